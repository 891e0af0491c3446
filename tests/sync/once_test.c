/* Once: it happens once, all wait for it, and a failure lets the next one try. */
#include "crowd.h"
#include "sync/sync.h"

struct birth {
    eddy_once *once;
    _Atomic int tries, running;
    int fail_first, value;
    struct witness {
        struct birth *birth;
        int status;
    } witnesses[16];
};

static int happen(void *arg) {
    struct birth *birth = arg;
    EXPECT_EQ(0, ED_ADD(&birth->running, 1));
    int tries = ED_ADD(&birth->tries, 1);
    int status = eddy_sleep(EDDY_US(10));
    if (status == 0) status = tries < birth->fail_first ? EDDY_EINVAL : 0;
    if (status == 0) birth->value = 42;
    ED_SUB(&birth->running, 1);
    return status;
}

static int witness(void *arg, eddy_value *out) {
    struct witness *me = arg;
    (void)out;
    me->status = eddy_once_run(me->birth->once, happen, me->birth);
    if (me->status == 0) EXPECT_EQ(42, me->birth->value);
    return 0;
}

static void gather_round(struct crowd *crowd, struct birth *birth, int count) {
    for (int i = 0; i < count; i++) {
        birth->witnesses[i] = (struct witness){.birth = birth, .status = 1};
        crowd_add(crowd, witness, &birth->witnesses[i]);
    }
    eddy_share();
}

CORE_TEST(once, one_runs_it_and_the_others_wait) {
    struct birth birth = {.once = eddy_once_create()};
    struct crowd crowd = {.count = 0};
    EXPECT(!eddy_once_is_done(birth.once));
    gather_round(&crowd, &birth, 8);
    crowd_join(&crowd);
    EXPECT_EQ(1, birth.tries);
    for (int i = 0; i < 8; i++) EXPECT_OK(birth.witnesses[i].status);
    EXPECT(eddy_once_is_done(birth.once));
    EXPECT_OK(eddy_once_run(birth.once, happen, &birth));
    EXPECT_EQ(1, birth.tries);
    eddy_once_release(birth.once);
    eddy_once_release(NULL);
}

CORE_TEST(once, failure_is_its_callers_and_the_next_one_tries) {
    struct birth birth = {.once = eddy_once_create(), .fail_first = 3};
    struct crowd crowd = {.count = 0};
    gather_round(&crowd, &birth, 8);
    crowd_join(&crowd);
    EXPECT_EQ(4, birth.tries);
    int failed = 0;
    for (int i = 0; i < 8; i++) failed += birth.witnesses[i].status == EDDY_EINVAL;
    EXPECT_EQ(3, failed);
    EXPECT(eddy_once_is_done(birth.once));
    eddy_once_release(birth.once);
}

static int never(void *arg) {
    (void)arg;
    return eddy_sleep(EDDY_SECONDS(1000));
}

static int try_for_ever(void *arg, eddy_value *out) {
    (void)out;
    return eddy_once_run(arg, never, NULL);
}

CORE_TEST(once, cancelled_run_lets_the_next_one_try) {
    struct birth birth = {.once = eddy_once_create()};
    struct crowd first = {.count = 0}, crowd = {.count = 0};
    crowd_add_parked(&first, try_for_ever, birth.once);
    gather_round(&crowd, &birth, 3);
    test_until_all_parked();
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0])); /* one that waits leaves the line */
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECANCELED, birth.witnesses[0].status);
    EXPECT_EQ(0, birth.tries);
    eddy_cancel(EDDY_FUTURE(first.tasks[0])); /* the one that runs it */
    crowd_join(&first);
    crowd_join(&crowd);
    EXPECT_EQ(1, birth.tries);
    EXPECT_OK(birth.witnesses[1].status);
    EXPECT_OK(birth.witnesses[2].status);
    eddy_once_release(birth.once);
}

CORE_TEST(once, happens_although_all_are_cancelled_at_random) {
    for (int round = 0; round < 20; round++) {
        struct birth birth = {.once = eddy_once_create(), .fail_first = round % 3};
        struct crowd crowd = {.count = 0};
        uint64_t random = test_seed() * 77 + (uint64_t)round;
        gather_round(&crowd, &birth, 8);
        for (int i = 0; i < 6; i++) {
            eddy_cancel(EDDY_FUTURE(crowd.tasks[crowd_random(&random) % 8]));
            if (i % 2) EXPECT_OK(eddy_yield());
        }
        crowd_join(&crowd);
        EXPECT_EQ(0, birth.running);
        bool done = eddy_once_is_done(birth.once);
        for (int i = 0; i < 8; i++) EXPECT(done || birth.witnesses[i].status != 0);
        int status = EDDY_EINVAL;
        while (status == EDDY_EINVAL) status = eddy_once_run(birth.once, happen, &birth);
        EXPECT_OK(status);
        eddy_once_release(birth.once);
    }
}
