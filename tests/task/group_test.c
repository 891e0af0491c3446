/* Task groups: children that fail while their parent leaves its body, chaos. The rules, TG1 to TG8:
 * tests/contract/group_test.c. */
#include "task/core_testing.h"

static int fail_with(void *arg, eddy_value *out) {
    (void)out;
    int status = *(int *)arg;
    return eddy_fail(status, "child %d", status);
}

/* ---- races ----------------------------------------------------------------------------------------------- */

/* A child that fails on another worker while the parent goes from its body into the exit: whichever sees it,
 * the parent's count is back at 0 after the exit and no request is left over (TG2, TG4). */
static int leave_while_a_child_fails(void *arg, eddy_value *out) {
    (void)out;
    int rounds = *(int *)arg, status = -21;
    for (int i = 0; i < rounds; i++) {
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        int spawned = 0;
        for (int k = 0; spawned == 0 && k < 3; k++) {
            spawned = eddy_group_spawn(&group, NULL, fail_with, &status, NULL);
            EXPECT(spawned == 0 || (spawned == EDDY_ESTATE && k > 0)); /* one has failed already */
        }
        eddy_share();
        int body = i % 3 == 0 ? 0 : i % 3 == 1 ? eddy_yield() : eddy_sleep(1000 + i % 100 * 100);
        EXPECT(body == 0 || body == EDDY_ECANCELED);
        EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, body));
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

CORE_TEST(group, child_fails_as_the_body_ends, TEST_LIMIT(60)) {
    int rounds = (int)test_scaled(test_simulated() ? 200 : 3000);
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) tasks[i] = spawn(leave_while_a_child_fails, &rounds);
    for (int i = 0; i < 4; i++) EXPECT_OK(end_of(tasks[i]));
}

/* The same with 100 siblings: whoever fails first has much to do before it comes to the parent. */
static int fail_loudly(void *arg, eddy_value *out) {
    (void)out;
    atomic_store((_Atomic int *)arg, 1);
    return -21;
}

CORE_TEST(group, child_fails_as_the_body_ends_beside_many, TEST_LIMIT(60)) {
    for (int i = 0; i < test_scaled(300); i++) {
        _Atomic int failing = 0;
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        for (int k = 0; k < 100; k++) EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
        EXPECT_OK(eddy_yield());
        EXPECT_OK(eddy_group_spawn(&group, NULL, fail_loudly, (void *)&failing, NULL));
        eddy_share();
        for (int k = 0; k < 2000000 && test_workers() > 1 && atomic_load(&failing) == 0; k++) {
        }
        for (int k = 0; k < i * 20; k++) atomic_load(&failing); /* each round ends a little later */
        EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
        EXPECT_OK(eddy_yield());
    }
}

/* Children fail, end, are cancelled and sleep while somebody cancels the parent: the exit gives one of the
 * three legal ends, and all children have ended. */
struct chaos {
    _Atomic int alive;
    uint64_t seed;
};
static int chaos_child(void *arg, eddy_value *out) {
    (void)out;
    struct chaos *chaos = arg;
    int number = atomic_fetch_add(&chaos->alive, 1);
    int status = 0;
    switch ((chaos->seed >> (number % 60)) % 4) {
    case 0: status = eddy_yield(); break;
    case 1: status = eddy_sleep(EDDY_US(50)); break;
    case 2: status = eddy_sleep(EDDY_SECONDS(1000)); break;
    default: status = chaos->seed % 3 == 0 ? eddy_fail(-21, "chaos") : 0; break;
    }
    atomic_fetch_sub(&chaos->alive, 1);
    return status;
}
static int chaos_parent(void *arg, eddy_value *out) {
    (void)out;
    struct chaos *chaos = arg;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 6; i++) {
        int status = eddy_group_spawn(&group, NULL, chaos_child, chaos, NULL);
        EXPECT(status == 0 || status == EDDY_ESTATE);
    }
    int status = eddy_group_exit(&group, chaos->seed % 2 ? eddy_yield() : 0);
    EXPECT_EQ(0, chaos->alive);
    return status;
}

CORE_TEST(group, chaos, TEST_LIMIT(60)) {
    uint64_t random = test_seed() * 7919;
    int rounds = (int)test_scaled(test_simulated() ? 100 : 1000);
    for (int i = 0; i < rounds; i++) {
        struct chaos chaos[8] = {0};
        eddy_task *parents[8];
        for (int k = 0; k < 8; k++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            chaos[k].seed = random >> 3;
            parents[k] = spawn(chaos_parent, &chaos[k]);
        }
        EXPECT_OK(eddy_sleep(EDDY_US(random >> 20 & 63)));
        for (int k = 0; k < 8; k++) (void)eddy_cancel(EDDY_FUTURE(parents[k]));
        for (int k = 0; k < 8; k++) {
            int status = end_of(parents[k]);
            EXPECT(status == 0 || status == EDDY_ECANCELED || status == EDDY_EGROUP);
        }
    }
}
