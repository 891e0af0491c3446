/* Gathering many; waits against completions. The rules, G1 to G6: tests/contract/gather_test.c. */
#include "task/core_testing.h"

struct end {
    int64_t after_ns;
    int status;
};
static int end_after(void *arg, eddy_value *out) {
    struct end *end = arg;
    int status = end->after_ns == 0 ? 0 : eddy_sleep(end->after_ns);
    if (status < 0) return status;
    *out = EDDY_I64(end->after_ns);
    return end->status < 0 ? eddy_fail(end->status, "end %d", end->status) : 0;
}

static void spawn_ends(eddy_task **tasks, eddy_future **futures, struct end *ends, int count) {
    for (int i = 0; i < count; i++) {
        tasks[i] = spawn(end_after, &ends[i]);
        futures[i] = EDDY_FUTURE(tasks[i]);
    }
}
static void release_all(eddy_task **tasks, int count) {
    for (int i = 0; i < count; i++) eddy_task_release(tasks[i]);
}

/* ---- gather ---------------------------------------------------------------------------------------------- */

CORE_TEST(gather, of_a_thousand) {
    enum { COUNT = 1000 };
    static eddy_task *tasks[COUNT];
    static eddy_future *futures[COUNT];
    static eddy_result results[COUNT];
    static struct end ends[COUNT];
    for (int i = 0; i < COUNT; i++) ends[i] = (struct end){i % 3 == 0 ? i + 1 : 0, 0};
    spawn_ends(tasks, futures, ends, COUNT);
    EXPECT_OK(eddy_gather(futures, COUNT, results));
    for (int i = 0; i < COUNT; i++) EXPECT_EQ(ends[i].after_ns, results[i].value.i64);
    release_all(tasks, COUNT);
}

/* ---- wait ------------------------------------------------------------------------------------------------ */

struct set {
    eddy_future *futures[3];
};
static int waiter(void *arg, eddy_value *out) {
    (void)out;
    struct set *self = arg;
    return eddy_wait(self->futures, 3, EDDY_FOREVER, EDDY_FIRST_COMPLETED, NULL);
}

CORE_TEST(gather, cancelled_wait_leaves_the_set_alone) {
    struct set set;
    for (int i = 0; i < 3; i++) set.futures[i] = eddy_future_create();
    eddy_task *task = spawn_parked(waiter, &set);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    for (int i = 0; i < 3; i++) EXPECT(!eddy_future_done(set.futures[i]));

    task = spawn_parked(waiter, &set);
    EXPECT_OK(eddy_future_set(set.futures[1], EDDY_NONE));
    bool asked = eddy_cancel(EDDY_FUTURE(task)); /* done and cancelled in one pass */
    EXPECT_EQ(asked ? EDDY_ECANCELED : 1, end_of(task));
    for (int i = 0; i < 3; i++) eddy_future_release(set.futures[i]);
}

/* Waiters on any workers, futures that end on any workers, with deadlines that meet their ends. */
static int set_later(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    return eddy_future_set(arg, EDDY_NONE);
}
static int wait_briefly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *futures[3];
    eddy_task *setters[3];
    for (int i = 0; i < 3; i++) {
        futures[i] = eddy_future_create();
        setters[i] = spawn(set_later, futures[i]);
    }
    eddy_share();
    int done = eddy_wait(futures, 3, EDDY_US(100), EDDY_ALL_COMPLETED, NULL);
    EXPECT(done >= 0 && done <= 3);
    done = eddy_wait(futures, 3, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
    EXPECT_EQ(3, done);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(end_of(setters[i]));
        eddy_future_release(futures[i]);
    }
    return 0;
}

CORE_TEST(gather, wait_deadlines_meet_completions) {
    for (int round = 0; round < 10; round++) {
        eddy_task *tasks[20];
        for (int i = 0; i < 20; i++) tasks[i] = spawn(wait_briefly, NULL);
        for (int i = 0; i < 20; i++) EXPECT_OK(end_of(tasks[i]));
    }
}

/* ---- shield ---------------------------------------------------------------------------------------------- */
