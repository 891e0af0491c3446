/* Timeout scopes and wait_for: W1 to W5. */
#include "task/core_testing.h"

CORE_TEST(scope, expires_as_etimedout) {
    int64_t before_ns = eddy_time_ns();
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(2), eddy_sleep(EDDY_SECONDS(1000))));
    EXPECT(eddy_time_ns() - before_ns >= EDDY_MS(2));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETIMEDOUT)), "timed out after 2.000 ms");
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_yield());
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(100), eddy_sleep(1000)));
    EXPECT_OK(EDDY_TIMEOUT(EDDY_FOREVER, eddy_sleep(1000)));
    EXPECT_EQ(-9, EDDY_TIMEOUT(EDDY_SECONDS(100), -9));
}

/* A delay <= 0 expires at the first suspension; a body that never suspends ends without (W4). */
CORE_TEST(scope, without_delay_expires_at_the_first_suspension) {
    EXPECT_EQ(5, EDDY_TIMEOUT(0, 5));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_yield()));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(-EDDY_MS(3), eddy_sleep(1)));
    eddy_future *done = eddy_future_create();
    EXPECT_OK(eddy_future_set(done, EDDY_NONE));
    EXPECT_OK(EDDY_TIMEOUT(0, eddy_await(done, NULL)));
    eddy_future_release(done);
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
}

CORE_TEST(scope, swallowed_is_no_timeout_but_expired) {
    eddy_timeout_push(EDDY_MS(1));
    EXPECT(!eddy_timeout_expired());
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT(eddy_timeout_expired());
    EXPECT_EQ(EDDY_ESTATE, eddy_timeout_reschedule(EDDY_SECONDS(1)));
    EXPECT_OK(eddy_sleep(1000)); /* once */
    EXPECT_EQ(0, eddy_timeout_pop(0));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));

    EXPECT_EQ(-7, (eddy_timeout_push(EDDY_US(10)), (void)eddy_sleep(EDDY_SECONDS(1000)), eddy_timeout_pop(-7)));
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(EDDY_ESTATE, eddy_timeout_reschedule(1)); /* no scope is open */
    EXPECT(!eddy_timeout_expired());
}

/* Six deep: the first four lie in the stack, two on the heap. Only the one that expired converts (W5). */
CORE_TEST(scope, nested_six_deep_only_the_expired_one_converts) {
    for (int expires = 0; expires < 6; expires++) {
        for (int i = 0; i < 6; i++) eddy_timeout_push(i == expires ? EDDY_MS(1) : EDDY_SECONDS(1000));
        int status = eddy_sleep(EDDY_SECONDS(2000));
        for (int i = 5; i >= 0; i--) {
            EXPECT_EQ(i < expires ? EDDY_ETIMEDOUT : EDDY_ECANCELED, status);
            EXPECT_EQ(i == expires, eddy_timeout_expired());
            status = eddy_timeout_pop(status);
        }
        EXPECT_EQ(EDDY_ETIMEDOUT, status);
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
        EXPECT_OK(eddy_yield());
    }
}

/* Outer and inner expire in one pass: the inner converts, the outer's own request is still there for the
 * next wait. */
CORE_TEST(scope, inner_and_outer_at_once) {
    eddy_timeout_push(0);
    eddy_timeout_push(0);
    int status = eddy_timeout_pop(eddy_yield());
    EXPECT(status == EDDY_ETIMEDOUT || status == EDDY_ECANCELED);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(EDDY_ECANCELED));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_yield());
}

static int in_scope(void *arg, eddy_value *out) {
    (void)out;
    return EDDY_TIMEOUT(*(int64_t *)arg, eddy_sleep(EDDY_SECONDS(1000)));
}

/* A request from outside passes through (W4), also when the scope expires as well. */
CORE_TEST(scope, request_from_outside_passes_through) {
    int64_t long_ns = EDDY_SECONDS(1000);
    eddy_task *task = spawn_parked(in_scope, &long_ns);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_EQ(1, eddy_task_cancelling(task));
    eddy_task_release(task);
}

static int expire_and_cancel(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_timeout_push(0);
    int status = eddy_yield();
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task())));
    status = eddy_timeout_pop(status);
    EXPECT_EQ(1, eddy_task_cancelling(eddy_current_task()));
    return status;
}

CORE_TEST(scope, expired_and_cancelled_gives_ecanceled) {
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(expire_and_cancel, NULL)));
}

CORE_TEST(scope, is_rescheduled) {
    eddy_timeout_push(EDDY_MS(1));
    EXPECT_OK(eddy_timeout_reschedule(EDDY_FOREVER));
    EXPECT_OK(eddy_sleep(EDDY_MS(3)));
    EXPECT(!eddy_timeout_expired());
    EXPECT_OK(eddy_timeout_reschedule(EDDY_MS(1)));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(eddy_sleep(EDDY_SECONDS(1000))));
    eddy_timeout_push(EDDY_SECONDS(1000));
    EXPECT_OK(eddy_timeout_reschedule(0));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(eddy_yield()));
}

/* The scope of a task lies below the task that it awaits on its own stack: its expiry reaches the innermost one. */
static int sleep_in_child(void *arg, eddy_value *out) {
    int depth = *(int *)arg;
    if (depth == 0) return eddy_sleep(EDDY_SECONDS(1000));
    int next = depth - 1;
    eddy_task *task = spawn(sleep_in_child, &next);
    int status = eddy_await(EDDY_FUTURE(task), out);
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return status;
}

CORE_TEST(scope, reaches_through_awaited_tasks) {
    int depth = 5;
    eddy_value value;
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), sleep_in_child(&depth, &value)));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, sleep_in_child(&depth, &value)));
    EXPECT_OK(eddy_yield());
}

/* Each of many tasks has its own scopes, at every depth; all timers go. */
static int many_scopes(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_US(20), eddy_sleep(EDDY_SECONDS(1000))));
        EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), EDDY_TIMEOUT(EDDY_SECONDS(1000), eddy_sleep(1000))));
    }
    return 0;
}

CORE_TEST(scope, of_200_tasks) {
    eddy_task *tasks[200];
    for (int i = 0; i < 200; i++) tasks[i] = spawn(many_scopes, NULL);
    for (int i = 0; i < 200; i++) EXPECT_OK(end_of(tasks[i]));
}

/* ---- wait_for -------------------------------------------------------------------------------------------- */

static int give_seven(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(7);
    return eddy_yield();
}
static _Atomic int entered;
static int enter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    atomic_fetch_add(&entered, 1);
    return 0;
}
static int suppress(void *arg, eddy_value *out) {
    (void)arg;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    *out = EDDY_I64(8);
    return 0;
}
static int fail_in_cleanup(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    return eddy_fail(-51, "in cleanup");
}

static int wait_for(eddy_coro_fn fn, int64_t timeout_ns, eddy_value *value_out) {
    eddy_task *task = spawn(fn, NULL);
    int status = eddy_wait_for(EDDY_FUTURE(task), timeout_ns, value_out);
    EXPECT(eddy_future_done(EDDY_FUTURE(task))); /* W3: whatever it ended with, it has ended */
    if (status == EDDY_ETIMEDOUT) EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return status;
}

CORE_TEST(scope, wait_for_gives_the_result_or_etimedout) {
    eddy_value value;
    EXPECT_OK(wait_for(give_seven, EDDY_SECONDS(1000), &value));
    EXPECT_EQ(7, value.i64);
    EXPECT_OK(wait_for(give_seven, EDDY_FOREVER, &value));
    EXPECT_EQ(EDDY_ETIMEDOUT, wait_for(sleep_forever, EDDY_MS(1), NULL));
    EXPECT_OK(wait_for(suppress, EDDY_MS(1), &value)); /* W3 */
    EXPECT_EQ(8, value.i64);
    EXPECT_EQ(-51, wait_for(fail_in_cleanup, EDDY_MS(1), NULL));
    EXPECT_STR("in cleanup", eddy_error_text(eddy_error_current(-51)));
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
}

CORE_TEST(scope, wait_for_without_time) {
    eddy_value value;
    eddy_task *task = spawn(give_seven, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_OK(eddy_wait_for(EDDY_FUTURE(task), 0, &value)); /* W2: done gives the result */
    EXPECT_EQ(7, value.i64);
    eddy_task_release(task);

    int status = wait_for(enter, 0, NULL); /* else a body that did not start never starts */
    if (test_workers() == 1 && !test_simulated()) EXPECT_EQ(EDDY_ETIMEDOUT, status);
    EXPECT_EQ(status == 0, atomic_load(&entered));

    task = spawn_parked(suppress, NULL);
    EXPECT_OK(eddy_wait_for(EDDY_FUTURE(task), -1, &value));
    EXPECT_EQ(8, value.i64);
    eddy_task_release(task);
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
}

struct wait_for_call {
    eddy_future *future;
    int64_t timeout_ns;
};
static int slow_to_end(void *arg, eddy_value *out) {
    eddy_future *gate = arg;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    int status;
    do status = await_shielded(gate, out);
    while (status == EDDY_ECANCELED);
    return EDDY_ECANCELED;
}
static int call_wait_for(void *arg, eddy_value *out) {
    struct wait_for_call *call = arg;
    return eddy_wait_for(call->future, call->timeout_ns, out);
}

/* Expired, and cancelled from outside while it waits for the end of the cancelled work: EDDY_ECANCELED, never a lost
 * cancel (W1). */
CORE_TEST(scope, wait_for_cancelled_while_it_waits_for_the_end) {
    static const int64_t timeouts[] = {0, EDDY_MS(1)};
    for (int i = 0; i < 2; i++) {
        eddy_future *gate = eddy_future_create();
        eddy_task *slow = spawn_parked(slow_to_end, gate);
        struct wait_for_call call = {EDDY_FUTURE(slow), timeouts[i]};
        eddy_task *waiter = spawn_parked(call_wait_for, &call);
        while (eddy_task_cancelling(slow) == 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
        test_until_all_parked();
        EXPECT(!eddy_future_done(EDDY_FUTURE(waiter)));
        EXPECT(eddy_cancel(EDDY_FUTURE(waiter)));
        test_until_all_parked();
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(waiter), NULL));
        EXPECT_EQ(1, eddy_task_cancelling(waiter));
        eddy_task_release(waiter);
        eddy_task_release(slow);
        eddy_future_release(gate);
    }
}

/* Done and cancelled in one pass: EDDY_ECANCELED, not a value and a lost cancel (W1). */
CORE_TEST(scope, wait_for_done_and_cancelled_in_one_pass) {
    eddy_future *future = eddy_future_create();
    struct wait_for_call call = {future, EDDY_SECONDS(1000)};
    eddy_task *waiter = spawn_parked(call_wait_for, &call);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(1)));
    bool asked = eddy_cancel(EDDY_FUTURE(waiter));
    int status = eddy_await(EDDY_FUTURE(waiter), NULL);
    EXPECT_EQ(asked ? EDDY_ECANCELED : 0, status);
    eddy_task_release(waiter);
    eddy_future_release(future);
}

/* ---- wrong use ------------------------------------------------------------------------------------------- */

static int pop_without_push(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_timeout_pop(0);
}
static int push_without_pop(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_timeout_push(1);
    return 0;
}
static void run_wrong(void *arg) { (void)eddy_run((eddy_coro_fn)arg, NULL, NULL, EDDY_RUN(.workers = 1)); }

UNIT(scope, unbalanced_use_ends_the_program_with_a_name) {
    struct test_child child = test_child_run(run_wrong, (void *)pop_without_push);
    EXPECT(child.exit_code != 0);
    EXPECT_HAS(child.stderr_text, "eddy_timeout_pop without");
    child = test_child_run(run_wrong, (void *)push_without_pop);
    EXPECT(child.exit_code != 0);
    EXPECT_HAS(child.stderr_text, "\"main\" ended inside a timeout scope");
}

CORE_TEST(scope, tells_its_deadline) {
    EXPECT_EQ(EDDY_FOREVER, eddy_timeout_deadline_ns());
    const int64_t before_ns = eddy_time_ns();
    eddy_timeout_push(EDDY_SECONDS(100));
    EXPECT(eddy_timeout_deadline_ns() >= before_ns + EDDY_SECONDS(100));
    EXPECT(eddy_timeout_deadline_ns() <= eddy_time_ns() + EDDY_SECONDS(100));
    EXPECT_OK(eddy_timeout_reschedule(EDDY_FOREVER));
    EXPECT_EQ(EDDY_FOREVER, eddy_timeout_deadline_ns());
    EXPECT_OK(eddy_timeout_pop(0));
}
