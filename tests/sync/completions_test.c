/* as_completed: order of the ends, timeouts, cancelled waits (G5). */
#include "task/core_testing.h"

CORE_TEST(completions, come_in_the_order_of_the_ends) {
    eddy_future *futures[4];
    for (int i = 0; i < 4; i++) futures[i] = eddy_future_create();
    EXPECT_OK(eddy_future_set(futures[3], EDDY_NONE)); /* done before: in argument order */
    EXPECT_OK(eddy_future_set(futures[1], EDDY_NONE));
    eddy_completions *completions;
    EXPECT_OK(eddy_as_completed(&completions, futures, 4, EDDY_FOREVER));
    static const size_t want[] = {1, 3, 2, 0};
    for (int i = 0; i < 4; i++) {
        size_t index = 99;
        if (i == 2) EXPECT_EQ(0, eddy_future_fail(futures[2], EDDY_EINVAL, "failed all the same"));
        if (i == 3) EXPECT(eddy_cancel(futures[0]));
        EXPECT_OK(eddy_completions_next(completions, &index));
        EXPECT_EQ(want[i], index);
    }
    size_t index;
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    EXPECT_EQ(EDDY_EINVAL, eddy_future_result(futures[2], NULL));
    eddy_completions_release(completions);
    for (int i = 0; i < 4; i++) eddy_future_release(futures[i]);
}

static int sleep_for(void *arg, eddy_value *out) {
    *out = EDDY_I64(*(int64_t *)arg);
    return eddy_sleep(*(int64_t *)arg);
}

CORE_TEST(completions, of_tasks_on_any_worker) {
    enum { TASKS = 30 };
    int64_t delays[TASKS];
    eddy_future *futures[TASKS];
    bool seen[TASKS] = {false};
    for (int i = 0; i < TASKS; i++) {
        delays[i] = EDDY_US((i * 37) % 50);
        futures[i] = EDDY_FUTURE(spawn(sleep_for, &delays[i]));
    }
    eddy_completions *completions;
    EXPECT_OK(eddy_as_completed(&completions, futures, TASKS, EDDY_SECONDS(1000)));
    size_t index;
    for (int i = 0; i < TASKS; i++) {
        EXPECT_OK(eddy_completions_next(completions, &index));
        EXPECT(index < TASKS && !seen[index] && eddy_future_done(futures[index]));
        seen[index] = true;
    }
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    eddy_completions_release(completions);
    for (int i = 0; i < TASKS; i++) eddy_future_release(futures[i]);
}

/* After the timeout each that has not ended fails, and runs on. */
CORE_TEST(completions, a_timeout_fails_each_of_the_rest) {
    eddy_future *futures[3];
    for (int i = 0; i < 3; i++) futures[i] = eddy_future_create();
    eddy_completions *completions;
    if (!test_simulated()) EXPECT_OK(eddy_future_set(futures[1], EDDY_NONE)); /* a machine may stand for 200 ms */
    EXPECT_OK(eddy_as_completed(&completions, futures, 3, EDDY_MS(200)));
    if (test_simulated()) {
        EXPECT_OK(eddy_future_set(futures[1], EDDY_NONE));
        test_until_all_parked();
        EXPECT_OK(eddy_sleep(EDDY_MS(300))); /* nobody asks when they are late */
    }
    size_t index = 99;
    EXPECT_OK(eddy_completions_next(completions, &index));
    EXPECT_EQ(1, index);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    EXPECT_OK(eddy_future_set(futures[0], EDDY_NONE)); /* too late */
    test_until_all_parked();
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    EXPECT(!eddy_future_done(futures[2]));
    eddy_completions_release(completions);
    for (int i = 0; i < 3; i++) eddy_future_release(futures[i]);
}

CORE_TEST(completions, a_waiting_next_times_out) {
    eddy_future *future = eddy_future_create();
    eddy_completions *completions;
    EXPECT_OK(eddy_as_completed(&completions, &future, 1, EDDY_MS(1)));
    size_t index;
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    eddy_completions_release(completions);
    eddy_future_release(future);
}

static int next_one(void *arg, eddy_value *out) {
    size_t index = 0;
    int status = eddy_completions_next(arg, &index);
    *out = EDDY_I64((int64_t)index);
    return status;
}

CORE_TEST(completions, a_cancelled_next_takes_nothing) {
    eddy_future *futures[2] = {eddy_future_create(), eddy_future_create()};
    eddy_completions *completions;
    EXPECT_OK(eddy_as_completed(&completions, futures, 2, EDDY_FOREVER));
    eddy_task *task = spawn_parked(next_one, completions);
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_OK(eddy_future_set(futures[1], EDDY_NONE));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    size_t index = 99;
    EXPECT_OK(eddy_completions_next(completions, &index));
    EXPECT_EQ(1, index);
    eddy_completions_release(completions); /* futures[0] is let go before it ends */
    for (int i = 0; i < 2; i++) eddy_future_release(futures[i]);
}

CORE_TEST(completions, of_nothing) {
    eddy_completions *completions;
    size_t index;
    EXPECT_OK(eddy_as_completed(&completions, NULL, 0, EDDY_FOREVER));
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    eddy_completions_release(completions);
    eddy_completions_release(NULL);
}

static int collect_three(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *future = eddy_future_create();
    if (future == NULL) return EDDY_ENOMEM;
    eddy_future *futures[3] = {future, future, future};
    eddy_completions *completions;
    int status = eddy_as_completed(&completions, futures, 3, EDDY_FOREVER);
    if (status == 0) {
        EXPECT_OK(eddy_future_set(future, EDDY_NONE));
        size_t index;
        for (int i = 0; i < 3; i++) EXPECT_OK(eddy_completions_next(completions, &index));
        eddy_completions_release(completions);
    }
    eddy_future_release(future);
    return status;
}
static int collect_in_a_run(void *arg) { return eddy_run(collect_three, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(completions, survives_the_failure_of_each_allocation) {
    EXPECT(test_each_allocation_fails(collect_in_a_run, NULL) > 3);
}
