/* wait_for and timeout scopes: W1 to W5. */
#include "contract/contract_testing.h"

static _Atomic int entered;
static int enter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    entered++;
    return 0;
}
static int give_seven(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(7);
    return eddy_yield();
}

/* As main was before it: nothing is counted, nothing pending. */
static void expect_untouched(void) {
    EXPECT_EQ(0, requests());
    EXPECT_OK(eddy_yield());
}

/* ---- W1: wait_for ---------------------------------------------------------------------------------------- */

static int tell_task(void *arg, eddy_value *out) {
    *(eddy_task **)arg = eddy_current_task();
    *out = EDDY_I64(7);
    return eddy_yield();
}

RULE(W1_a_coroutine_runs_in_the_callers_own_task) {
    eddy_task *seen = NULL;
    eddy_value value;
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), tell_task(&seen, &value)));
    EXPECT(seen == eddy_current_task());
    EXPECT_EQ(7, value.i64);
}

RULE(W1_gives_the_result_in_time) {
    eddy_value value;
    eddy_task *task = spawn(give_seven, NULL);
    EXPECT_OK(eddy_wait_for(EDDY_FUTURE(task), EDDY_SECONDS(1000), &value));
    EXPECT_EQ(7, value.i64);
    EXPECT_OK(eddy_wait_for(EDDY_FUTURE(task), EDDY_FOREVER, &value));
    eddy_task_release(task);
    expect_untouched();
}

struct wait_for_call {
    eddy_future *future;
    int64_t timeout_ns;
    int status;
};
static int call_wait_for(void *arg, eddy_value *out) {
    struct wait_for_call *call = arg;
    return call->status = eddy_wait_for(call->future, call->timeout_ns, out);
}

RULE(W1_done_and_cancelled_in_one_pass_gives_canceled) {
    eddy_future *future = eddy_future_create();
    struct wait_for_call call = {future, EDDY_SECONDS(1000), 0};
    eddy_task *waiter = spawn_parked(call_wait_for, &call);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(1)));
    bool asked = eddy_cancel(EDDY_FUTURE(waiter));
    EXPECT(asked || !test_serial());
    EXPECT_EQ(asked ? EDDY_ECANCELED : 0, eddy_await(EDDY_FUTURE(waiter), NULL));
    /* Not a value, and the end of the task that T4 makes of it; elsewhere the call may be over before the request. */
    if (test_serial()) EXPECT_EQ(EDDY_ECANCELED, call.status);
    EXPECT_EQ(asked, eddy_task_cancelling(waiter));
    eddy_task_release(waiter);
    eddy_future_release(future);
}

RULE(W1_cancelled_it_cancels_the_work_and_gives_canceled) {
    eddy_task *work = spawn_parked(sleep_forever, NULL);
    struct wait_for_call call = {EDDY_FUTURE(work), EDDY_SECONDS(2000), 0};
    eddy_task *waiter = spawn_parked(call_wait_for, &call);
    EXPECT(eddy_cancel(EDDY_FUTURE(waiter)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(waiter));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(work)));
    eddy_task_release(work);
}

static int slow_to_end(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(ignore_cancels(arg, out));
    return EDDY_ECANCELED;
}

/* Expired, and cancelled while it waits for the end of the work: the request is not lost. */
RULE(W1_cancelled_after_its_expiry_gives_canceled) {
    static const int64_t timeouts[] = {0, EDDY_MS(1)};
    for (int i = 0; i < 2; i++) {
        eddy_future *gate = eddy_future_create();
        eddy_task *slow = spawn_parked(slow_to_end, gate);
        struct wait_for_call call = {EDDY_FUTURE(slow), timeouts[i], 0};
        eddy_task *waiter = spawn(call_wait_for, &call);
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

/* ---- W2: without time ------------------------------------------------------------------------------------ */

RULE(W2_without_time_what_is_done_gives_its_result) {
    static const int64_t timeouts[] = {0, -EDDY_MS(1)};
    eddy_value value;
    eddy_task *task = spawn(give_seven, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(eddy_wait_for(EDDY_FUTURE(task), timeouts[i], &value));
        EXPECT_EQ(7, value.i64);
    }
    eddy_task_release(task);
    expect_untouched();
}

RULE(W2_without_time_a_body_that_did_not_start_never_starts) {
    eddy_task *task = spawn(enter, NULL);
    int status = eddy_wait_for(EDDY_FUTURE(task), 0, NULL);
    if (alone()) EXPECT_EQ(EDDY_ETIMEDOUT, status);
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_EQ(status == 0, entered);
    eddy_task_release(task);
    expect_untouched();
}

static int note_cleanup(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    *(bool *)arg = true;
    return status;
}

RULE(W2_without_time_it_cancels_and_waits_for_the_end) {
    bool cleaned_up = false;
    eddy_task *task = spawn_parked(note_cleanup, &cleaned_up);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_wait_for(EDDY_FUTURE(task), 0, NULL));
    EXPECT(cleaned_up);
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    expect_untouched();
}

/* ---- W3: after expiry ------------------------------------------------------------------------------------ */

static int wait_a_moment_for(eddy_coro_fn fn, void *arg, eddy_value *value_out) {
    eddy_task *task = spawn_parked(fn, arg); /* it has begun, however slow the machine is */
    int status = eddy_wait_for(EDDY_FUTURE(task), EDDY_MS(1), value_out);
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return status;
}

RULE(W3_expired_it_waits_for_the_cancelled_work_to_end) {
    bool cleaned_up = false;
    int64_t before_ns = eddy_time_ns();
    EXPECT_EQ(EDDY_ETIMEDOUT, wait_a_moment_for(note_cleanup, &cleaned_up, NULL));
    EXPECT(cleaned_up);
    EXPECT(eddy_time_ns() - before_ns >= EDDY_MS(2)); /* so it takes longer than its timeout */
    expect_untouched();
}

static int suppress(void *arg, eddy_value *out) {
    (void)arg;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    *out = EDDY_I64(8);
    return 0;
}

RULE(W3_work_that_suppresses_the_cancel_gives_its_value) {
    eddy_value value;
    EXPECT_OK(wait_a_moment_for(suppress, NULL, &value));
    EXPECT_EQ(8, value.i64);
    expect_untouched();
}

static int fail_in_cleanup(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    return fail_with(arg, out);
}

RULE(W3_work_that_fails_in_its_cleanup_gives_that_failure) {
    int status = -51;
    EXPECT_EQ(-51, wait_a_moment_for(fail_in_cleanup, &status, NULL));
    EXPECT_STR("failed with -51", eddy_error_text(eddy_error_current(-51)));
    expect_untouched();
}

/* ---- W4: scopes ------------------------------------------------------------------------------------------ */

RULE(W4_expired_canceled_becomes_timedout) {
    int64_t before_ns = eddy_time_ns();
    eddy_timeout_push(EDDY_MS(2));
    EXPECT(!eddy_timeout_expired());
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT(eddy_timeout_expired());
    EXPECT_EQ(1, requests());
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(status));
    EXPECT(eddy_time_ns() - before_ns >= EDDY_MS(2));
    expect_untouched();
}

RULE(W4_in_time_the_bodys_status_stays) {
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(100), eddy_sleep(1000)));
    EXPECT_OK(EDDY_TIMEOUT(EDDY_FOREVER, eddy_sleep(1000)));
    EXPECT_EQ(3, EDDY_TIMEOUT(EDDY_SECONDS(100), 3));
    EXPECT_EQ(-9, EDDY_TIMEOUT(EDDY_SECONDS(100), -9));
    EXPECT_EQ(EDDY_ECANCELED, EDDY_TIMEOUT(EDDY_SECONDS(100), EDDY_ECANCELED)); /* not by the scope */
    expect_untouched();
}

RULE(W4_a_body_that_fails_otherwise_keeps_its_failure) {
    eddy_timeout_push(EDDY_US(10));
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_EQ(-7, eddy_timeout_pop(-7));
    expect_untouched();
}

static int in_scope(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return EDDY_TIMEOUT(EDDY_SECONDS(1000), eddy_sleep(EDDY_SECONDS(2000)));
}

RULE(W4_a_request_from_outside_passes_through) {
    eddy_task *task = spawn_parked(in_scope, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_EQ(1, eddy_task_cancelling(task));
    eddy_task_release(task);
}

static int expire_and_be_cancelled(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_timeout_push(0);
    int status = eddy_yield();
    EXPECT_EQ(EDDY_ECANCELED, status);
    cancel_self();
    status = eddy_timeout_pop(status);
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT_EQ(1, requests());
    return status;
}

RULE(W4_a_request_from_outside_beside_its_own_passes_through) {
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(expire_and_be_cancelled, NULL)));
}

/* Requests made before the scope was entered are not its business. */
static int time_out_in_cleanup(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    cancel_self();
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_sleep(EDDY_SECONDS(1000))));
    EXPECT_EQ(1, requests());
    return EDDY_ECANCELED;
}

RULE(W4_in_cleanup_only_requests_after_its_entry_count) {
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(time_out_in_cleanup, NULL)));
}

RULE(W4_swallowed_it_is_no_timeout_but_expired) {
    eddy_timeout_push(EDDY_MS(1));
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(1000)); /* it cancels once */
    EXPECT(eddy_timeout_expired());
    EXPECT_EQ(4, eddy_timeout_pop(4));
    expect_untouched();
}

RULE(W4_without_time_it_expires_at_the_first_suspension) {
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_yield()));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(-EDDY_MS(3), eddy_sleep(1)));
    eddy_future *future = eddy_future_create();
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_await(future, NULL)));
    EXPECT(eddy_future_cancelled(future));
    eddy_future_release(future);
    expect_untouched();
}

RULE(W4_a_body_that_never_suspends_ends_without_timedout) {
    eddy_future *done = eddy_future_create();
    EXPECT_OK(eddy_future_set(done, EDDY_NONE));
    EXPECT_OK(EDDY_TIMEOUT(0, eddy_await(done, NULL)));
    EXPECT_EQ(5, EDDY_TIMEOUT(-1, 5));
    eddy_future_release(done);
    expect_untouched();
}

/* Its expiry reaches what the task waits for, through tasks that it awaits. */
static int sleep_deep(void *arg, eddy_value *out) {
    int depth = *(int *)arg;
    if (depth == 0) return eddy_sleep(EDDY_SECONDS(1000));
    int next = depth - 1;
    eddy_task *task = spawn(sleep_deep, &next);
    int status = eddy_await(EDDY_FUTURE(task), out);
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return status;
}

RULE(W4_its_cancel_unwinds_a_chain_of_awaits) {
    int depth = 5;
    eddy_value value;
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), sleep_deep(&depth, &value)));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, sleep_deep(&depth, &value)));
    expect_untouched();
}

/* ---- W5: nested, rescheduled ----------------------------------------------------------------------------- */

/* Six deep, one of them expires: it converts, those within pass the cancel on, those around see its failure. */
RULE(W5_only_the_expired_scope_converts) {
    for (int expires = 0; expires < 6; expires++) {
        for (int i = 0; i < 6; i++) eddy_timeout_push(i == expires ? EDDY_MS(1) : EDDY_SECONDS(1000));
        int status = eddy_sleep(EDDY_SECONDS(2000));
        for (int i = 5; i >= 0; i--) {
            EXPECT_EQ(i < expires ? EDDY_ETIMEDOUT : EDDY_ECANCELED, status);
            EXPECT_EQ(i == expires, eddy_timeout_expired());
            status = eddy_timeout_pop(status);
        }
        EXPECT_EQ(EDDY_ETIMEDOUT, status);
        expect_untouched();
    }
}

/* Both expire before the task runs: the inner one sees the outer's request, counted before or after its entry. */
RULE(W5_both_expired_the_outer_one_converts) {
    eddy_timeout_push(EDDY_MS(1));
    eddy_timeout_push(EDDY_MS(1));
    int64_t until_ns = eddy_time_ns() + EDDY_MS(2);
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    while (eddy_time_ns() < until_ns) (void)eddy_yield();
    for (int i = 0; i < 1000 && !eddy_timeout_expired(); i++) (void)eddy_yield(); /* a pass looks at timers */
    EXPECT(eddy_timeout_expired());
    int status = eddy_timeout_pop(EDDY_ECANCELED);
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(status));
    expect_untouched();
}

RULE(W5_reschedule_moves_the_deadline_while_active) {
    eddy_timeout_push(EDDY_MS(1));
    EXPECT_OK(eddy_timeout_reschedule(EDDY_FOREVER)); /* never */
    EXPECT_OK(eddy_sleep(EDDY_MS(3)));
    EXPECT(!eddy_timeout_expired());
    EXPECT_OK(eddy_timeout_reschedule(EDDY_SECONDS(1000)));
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_OK(eddy_timeout_reschedule(EDDY_MS(1)));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(eddy_sleep(EDDY_SECONDS(2000))));
    eddy_timeout_push(EDDY_SECONDS(1000));
    EXPECT_OK(eddy_timeout_reschedule(0));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(eddy_yield()));
    expect_untouched();
}

RULE(W5_expired_or_left_it_cannot_be_rescheduled) {
    EXPECT_EQ(EDDY_ESTATE, eddy_timeout_reschedule(1)); /* never entered */
    eddy_timeout_push(0);
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_EQ(EDDY_ESTATE, eddy_timeout_reschedule(EDDY_SECONDS(1)));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(EDDY_ECANCELED));
    EXPECT_EQ(EDDY_ESTATE, eddy_timeout_reschedule(1));
    EXPECT(!eddy_timeout_expired());
    expect_untouched();
}
