/* Task groups: TG1 to TG8, with children that end on any worker and on their parent's own stack. */
#include "task/core_testing.h"

static int fail_with(void *arg, eddy_value *out) {
    (void)out;
    int status = *(int *)arg;
    return eddy_fail(status, "child %d", status);
}
static int fail_after_a_while(void *arg, eddy_value *out) {
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return fail_with(arg, out);
}

struct group_arg {
    eddy_group *group;
    eddy_future *gate;
    _Atomic int count;
};

/* ---- entering, adding, leaving --------------------------------------------------------------------------- */

static int count_up(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_yield());
    atomic_fetch_add(&((struct group_arg *)arg)->count, 1);
    return 0;
}

CORE_TEST(group, exit_waits_for_all_children) {
    for (int count = 0; count < 200; count = count * 2 + 1) {
        struct group_arg arg = {0};
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        for (int i = 0; i < count; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, count_up, &arg, NULL));
        EXPECT_EQ(3, eddy_group_exit(&group, 3)); /* the body's own status */
        EXPECT_EQ(count, arg.count);
    }
}

static void drop_int(eddy_value value) { atomic_fetch_add((_Atomic int *)value.ptr, 1); }

CORE_TEST(group, takes_no_children_before_enter_or_after_exit) {
    eddy_group group = {NULL};
    _Atomic int dropped = 0;
    EXPECT_EQ(EDDY_ESTATE,
              eddy_group_spawn(&group, NULL, give_nothing, (void *)&dropped, EDDY_TASK(.drop_arg = drop_int)));
    EXPECT_EQ(1, dropped);
    EXPECT_OK(eddy_group_exit(&group, 0)); /* an empty handle: as after an enter without memory */
    EXPECT_EQ(-4, eddy_group_exit(&group, -4));
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(EDDY_ESTATE,
              eddy_group_spawn(&group, NULL, give_nothing, (void *)&dropped, EDDY_TASK(.drop_arg = drop_int)));
    EXPECT_EQ(2, dropped);

    EXPECT_OK(eddy_group_enter(&group));
    eddy_group_cancel(&group);
    EXPECT_EQ(EDDY_ESTATE,
              eddy_group_spawn(&group, NULL, give_nothing, (void *)&dropped, EDDY_TASK(.drop_arg = drop_int)));
    EXPECT_EQ(3, dropped);
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_OK(eddy_yield());
}

/* During the exit children may be added while some still run (TG1). */
static int add_another(void *arg, eddy_value *out) {
    (void)out;
    struct group_arg *self = arg;
    if (atomic_fetch_add(&self->count, 1) >= 20) return 0;
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_group_spawn(self->group, NULL, add_another, self, NULL));
    return 0;
}

CORE_TEST(group, children_may_add_children_during_the_exit) {
    eddy_group group;
    struct group_arg arg = {.group = &group};
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, add_another, &arg, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(21, arg.count);
}

/* ---- failures -------------------------------------------------------------------------------------------- */

/* The first failure cancels the siblings, and the parent once as its body runs; the exit takes that back
 * (TG2, TG4). */
CORE_TEST(group, failure_cancels_siblings_and_body) {
    int status = -21;
    eddy_task *siblings[3];
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, &siblings[i], sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_after_a_while, &status, EDDY_TASK(.name = "bad")));
    int body = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, body);
    EXPECT_EQ(1, eddy_task_cancelling(eddy_current_task()));
    EXPECT_EQ(EDDY_ESTATE, eddy_group_spawn(&group, NULL, give_nothing, NULL, NULL)); /* aborting */
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, body));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    const eddy_error *error = eddy_error_current(EDDY_EGROUP);
    EXPECT_EQ(1, eddy_error_children(error)); /* cancelled siblings are no failures (TG5) */
    EXPECT_EQ(-21, eddy_error_status(eddy_error_child(error, 0)));
    EXPECT_STR("child -21", eddy_error_text(eddy_error_child(error, 0)));
    EXPECT_STR("bad", eddy_error_task(eddy_error_child(error, 0)));
    EXPECT(eddy_error_child(error, 1) == NULL);
    for (int i = 0; i < 3; i++) {
        EXPECT(eddy_future_cancelled(EDDY_FUTURE(siblings[i])));
        eddy_task_release(siblings[i]);
    }
    EXPECT_OK(eddy_yield());
}

/* A failure while the parent waits in the exit, or has the child on its own stack. */
CORE_TEST(group, failure_during_the_exit) {
    int statuses[] = {-21, -22};
    for (int i = 0; i < 2; i++) {
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
        EXPECT_OK(eddy_group_spawn(&group, NULL, i == 0 ? fail_with : fail_after_a_while, &statuses[i], NULL));
        EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
        EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
        EXPECT_EQ(statuses[i], eddy_error_status(eddy_error_child(eddy_error_current(EDDY_EGROUP), 0)));
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
        EXPECT_OK(eddy_yield());
    }
}

static int fail_in_cleanup(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    return fail_with(arg, out);
}

/* All failures in the order they came, the body's own last (TG4). */
CORE_TEST(group, failures_are_collected_the_bodys_last) {
    int statuses[] = {-21, -22};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_in_cleanup, &statuses[0], NULL));
    test_until_all_parked();
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_after_a_while, &statuses[1], NULL));
    (void)eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, eddy_fail(-23, "the body")));
    const eddy_error *error = eddy_error_current(EDDY_EGROUP);
    EXPECT_EQ(3, eddy_error_children(error));
    EXPECT_EQ(-22, eddy_error_status(eddy_error_child(error, 0)));
    EXPECT_EQ(-21, eddy_error_status(eddy_error_child(error, 1)));
    EXPECT_EQ(-23, eddy_error_status(eddy_error_child(error, 2)));
    EXPECT_STR("the body", eddy_error_text(eddy_error_child(error, 2)));
    char text[512];
    eddy_error_print(error, text, sizeof text);
    EXPECT_HAS(text, "EGROUP");
    EXPECT_HAS(text, "child -22");

    EXPECT_OK(eddy_group_enter(&group)); /* only the body fails: its children are cancelled */
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, -24));
    EXPECT_EQ(1, eddy_error_children(eddy_error_current(EDDY_EGROUP)));
    EXPECT_EQ(-24, eddy_error_status(eddy_error_child(eddy_error_current(EDDY_EGROUP), 0)));
    EXPECT_OK(eddy_yield());
}

CORE_TEST(group, cancelled_child_is_no_failure) {
    eddy_group group;
    eddy_task *child;
    struct group_arg arg = {0};
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &child, sleep_forever, NULL, NULL));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(child)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(child), NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, count_up, &arg, NULL)); /* it goes on (TG5) */
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(1, arg.count);
    eddy_task_release(child);
}

/* Children are asked in the order they were added (L2). */
struct asked {
    int own, *seen, *count;
};
static int note_when_asked(void *arg, eddy_value *out) {
    (void)out;
    struct asked *self = arg;
    int status = eddy_sleep(EDDY_SECONDS(1000));
    self->seen[(*self->count)++] = self->own; /* in one domain: no lock */
    return status;
}
static int abort_ten(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct asked asked[10];
    int seen[10], count = 0;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 10; i++) {
        asked[i] = (struct asked){i, seen, &count};
        EXPECT_OK(eddy_group_spawn(&group, NULL, note_when_asked, &asked[i], NULL));
    }
    EXPECT_OK(eddy_yield());
    eddy_group_cancel(&group);
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(10, count);
    for (int i = 0; i < 10; i++) EXPECT_EQ(i, seen[i]);
    return 0;
}

CORE_TEST(group, children_are_aborted_in_the_order_added) {
    eddy_loop *loop;
    eddy_task *task;
    EXPECT_OK(eddy_domain_open(&loop));
    EXPECT_OK(eddy_spawn(&task, abort_ten, NULL, EDDY_TASK(.loop = loop)));
    EXPECT_OK(end_of(task));
}

/* ---- cancels from outside -------------------------------------------------------------------------------- */

struct parent {
    eddy_future *gate; /* children that ignore cancels wait for it */
    bool sleeps_in_body;
    eddy_coro_fn child;
    void *child_arg;
    int children;
    int body, result;
    unsigned after; /* cancelling() after the exit */
    int next;       /* status of the next suspension */
};

static int ignore_cancels(void *arg, eddy_value *out) {
    int status;
    do status = await_shielded(arg, out);
    while (status == EDDY_ECANCELED);
    return status;
}
static int ignore_cancels_then_fail(void *arg, eddy_value *out) {
    EXPECT_OK(ignore_cancels(arg, out));
    return eddy_fail(-29, "after all");
}

static int parent(void *arg, eddy_value *out) {
    (void)out;
    struct parent *self = arg;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < self->children; i++)
        EXPECT_OK(eddy_group_spawn(&group, NULL, self->child, self->child_arg, NULL));
    self->body = self->sleeps_in_body ? eddy_sleep(EDDY_SECONDS(1000)) : 0;
    self->result = eddy_group_exit(&group, self->body);
    self->after = eddy_task_cancelling(eddy_current_task());
    self->next = eddy_yield();
    return self->result;
}

/* In the body, in the exit with children elsewhere, and in the exit with a child on the parent's own stack. */
CORE_TEST(group, cancel_from_outside_ends_it) {
    for (int children = 0; children < 4; children++) {
        for (int in_body = 0; in_body < 2; in_body++) {
            if (children == 0 && !in_body) continue;
            struct parent self = {.sleeps_in_body = in_body, .child = sleep_forever, .children = children};
            eddy_task *task = spawn_parked(parent, &self);
            EXPECT(eddy_cancel(EDDY_FUTURE(task)));
            EXPECT_EQ(EDDY_ECANCELED, end_of(task));
            EXPECT_EQ(in_body ? EDDY_ECANCELED : 0, self.body);
            EXPECT_EQ(EDDY_ECANCELED, self.result);
            EXPECT_EQ(1, self.after);
            EXPECT_EQ(0, self.next); /* delivered once */
        }
    }
}

/* The exit waits for all children, however often the parent is cancelled meanwhile (TG3). */
CORE_TEST(group, exit_waits_however_often_it_is_cancelled) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_future *gate = eddy_future_create();
        struct parent self = {.sleeps_in_body = in_body, .child = ignore_cancels, .child_arg = gate, .children = 3};
        eddy_task *task = spawn_parked(parent, &self);
        for (int i = 0; i < 5; i++) {
            EXPECT(eddy_cancel(EDDY_FUTURE(task)));
            test_until_all_parked();
            EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
        }
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        EXPECT_EQ(5, self.after);
        EXPECT_EQ(0, self.next);
        eddy_future_release(gate);
    }
}

/* Failures win; the request stays counted and is delivered again at the next await that suspends (TG6). */
CORE_TEST(group, failures_win_over_a_cancel_from_outside) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_future *gate = eddy_future_create();
        struct parent self = {
            .sleeps_in_body = in_body, .child = ignore_cancels_then_fail, .child_arg = gate, .children = 1};
        eddy_task *task = spawn_parked(parent, &self);
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        test_until_all_parked();
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_EGROUP, eddy_await(EDDY_FUTURE(task), NULL));
        EXPECT_EQ(EDDY_EGROUP, self.result);
        EXPECT_EQ(1, self.after);
        EXPECT_EQ(EDDY_ECANCELED, self.next);
        eddy_task_release(task);
        eddy_future_release(gate);
    }
}

static int enter_and_ignore_cancels(void *arg, eddy_value *out) {
    struct group_arg *self = arg;
    atomic_store(&self->count, 1);
    return ignore_cancels(self->gate, out);
}
static int fail_and_be_cancelled(void *arg, eddy_value *out) {
    (void)out;
    struct group_arg self = {.gate = arg};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, enter_and_ignore_cancels, &self, NULL));
    while (atomic_load(&self.count) == 0) EXPECT_OK(eddy_yield());    /* else the abort finds it new: never entered */
    int status = eddy_group_exit(&group, eddy_fail(-27, "the body")); /* cancelled from outside while it waits */
    EXPECT_EQ(EDDY_EGROUP, status);
    EXPECT_EQ(-27, eddy_error_status(eddy_error_child(eddy_error_current(EDDY_EGROUP), 0)));
    EXPECT_EQ(1, eddy_task_cancelling(eddy_current_task()));
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    return 0;
}

/* The body's own failure is one as well (TG4, TG6). */
CORE_TEST(group, failure_of_the_body_wins_over_a_cancel_from_outside) {
    eddy_future *gate = eddy_future_create();
    eddy_task *task = spawn_parked(fail_and_be_cancelled, gate);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(task));
    eddy_future_release(gate);
}

/* ---- nested (TG7) ---------------------------------------------------------------------------------------- */

CORE_TEST(group, nested_the_outer_holds_the_inner_as_one_failure) {
    int statuses[] = {-21, -22};
    eddy_group outer, inner;
    EXPECT_OK(eddy_group_enter(&outer));
    EXPECT_OK(eddy_group_spawn(&outer, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_enter(&inner));
    EXPECT_OK(eddy_group_spawn(&inner, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&inner, NULL, fail_after_a_while, &statuses[0], NULL));
    int status = eddy_sleep(EDDY_SECONDS(1000));
    status = eddy_group_exit(&inner, status);
    EXPECT_EQ(EDDY_EGROUP, status);
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&outer, status));
    const eddy_error *error = eddy_error_current(EDDY_EGROUP);
    EXPECT_EQ(1, eddy_error_children(error));
    EXPECT_EQ(EDDY_EGROUP, eddy_error_status(eddy_error_child(error, 0)));
    EXPECT_EQ(-21, eddy_error_status(eddy_error_child(eddy_error_child(error, 0), 0)));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_yield());

    /* A child of the outer one fails: the inner one passes the cancel on. */
    EXPECT_OK(eddy_group_enter(&outer));
    EXPECT_OK(eddy_group_spawn(&outer, NULL, fail_after_a_while, &statuses[1], NULL));
    EXPECT_OK(eddy_group_enter(&inner));
    EXPECT_OK(eddy_group_spawn(&inner, NULL, sleep_forever, NULL, NULL));
    status = eddy_group_exit(&inner, 0);
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&outer, status));
    EXPECT_EQ(1, eddy_error_children(eddy_error_current(EDDY_EGROUP)));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_yield());
}

/* ---- the group's own cancel (TG8) ------------------------------------------------------------------------ */

static int cancel_group(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    eddy_group_cancel(arg);
    eddy_group_cancel(arg);
    return 0;
}

CORE_TEST(group, own_cancel_ends_without_ecanceled) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
        EXPECT_OK(eddy_group_spawn(&group, NULL, cancel_group, &group, NULL));
        int status = in_body ? eddy_sleep(EDDY_SECONDS(1000)) : 0;
        EXPECT_EQ(in_body ? EDDY_ECANCELED : 0, status);
        EXPECT_EQ(0, eddy_group_exit(&group, status));
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
        EXPECT_OK(eddy_yield());
    }
    eddy_group none = {NULL};
    eddy_group_cancel(&none);
}

static int cancelled_both_ways(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
    eddy_group_cancel(&group);
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task())));
    int status = eddy_group_exit(&group, eddy_yield());
    EXPECT_EQ(1, eddy_task_cancelling(eddy_current_task()));
    return status;
}

/* It never eats a request from outside. */
CORE_TEST(group, own_cancel_and_one_from_outside) {
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(cancelled_both_ways, NULL)));
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

/* ---- wrong use ------------------------------------------------------------------------------------------- */

static int exit_elsewhere(void *arg, eddy_value *out) {
    (void)out;
    return eddy_group_exit(arg, 0);
}
static int enter_and_leave_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    return end_of(spawn(exit_elsewhere, &group));
}
static void run_wrong(void *arg) { (void)eddy_run((eddy_coro_fn)arg, NULL, NULL, EDDY_RUN(.workers = 1)); }

UNIT(group, exit_in_another_task_ends_the_program_with_a_name) {
    struct test_child child = test_child_run(run_wrong, (void *)enter_and_leave_it);
    EXPECT(child.exit_code != 0);
    EXPECT_HAS(child.stderr_text, "eddy_group_exit outside the task that entered the group");
}
