/* Tasks: T1 to T12. */
#include "contract/contract_testing.h"

#include "sched/sched.h"

/* ---- T1: spawned, not run -------------------------------------------------------------------------------- */

static _Atomic int entered;
static int enter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    entered++;
    return 0;
}

RULE_OF_ORDER(T1_the_first_step_is_queued_not_run) {
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    eddy_task *task = spawn(note_body, "t1");
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s2", NULL));
    note("m");
    EXPECT_OK(end_of(task));
    expect_trace("m s1 t1 s2");
}

RULE(T1_cancelled_before_it_starts_its_body_is_never_entered) {
    eddy_task *tasks[20];
    for (int i = 0; i < 20; i++) tasks[i] = spawn(enter, NULL);
    int cancelled = 0, was = 0;
    for (int i = 0; i < 20; i++) was += eddy_cancel(EDDY_FUTURE(tasks[i]));
    for (int i = 0; i < 20; i++) {
        EXPECT(eddy_await(EDDY_FUTURE(tasks[i]), NULL) <= 0);
        cancelled += eddy_future_cancelled(EDDY_FUTURE(tasks[i]));
        eddy_task_release(tasks[i]);
    }
    EXPECT(entered >= 20 - cancelled); /* more: who is cancelled while its body runs, elsewhere, is both */
    EXPECT(was >= cancelled);
    if (alone()) {
        EXPECT_EQ(20, cancelled);
        EXPECT_EQ(0, entered);
    }
}

/* The same when the request comes down from an awaiter that is cancelled already. */
static int await_new_child_cancelled(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *child = spawn(enter, NULL);
    cancel_self();
    int status = eddy_await(EDDY_FUTURE(child), NULL);
    EXPECT(eddy_future_done(EDDY_FUTURE(child)));
    if (test_serial()) EXPECT(eddy_future_cancelled(EDDY_FUTURE(child))); /* elsewhere a tick may start it before */
    eddy_task_release(child);
    return status;
}

RULE(T1_a_pending_request_reaches_a_child_before_it_starts) {
    eddy_task *task = spawn(await_new_child_cancelled, NULL);
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_EQ(1, eddy_task_cancelling(task));
    if (test_serial()) EXPECT_EQ(0, entered);
    eddy_task_release(task);
}

/* ---- T2: cancel ------------------------------------------------------------------------------------------ */

RULE(T2_cancel_of_a_done_task_is_false_and_counts_nothing) {
    eddy_task *task = spawn(give_nothing, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(!eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(task));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
}

struct level {
    eddy_future *future;
    const char *name;
};
static int await_and_note_end(void *arg, eddy_value *out) {
    struct level *level = arg;
    int status = eddy_await(level->future, out);
    EXPECT_EQ(EDDY_ECANCELED, status);
    note(level->name);
    return status;
}

RULE(T2_a_chain_of_awaits_unwinds_from_the_inside) {
    eddy_future *future = eddy_future_create();
    struct level inner_level = {future, "inner"};
    eddy_task *inner = spawn_parked(await_and_note_end, &inner_level);
    struct level middle_level = {EDDY_FUTURE(inner), "middle"};
    eddy_task *middle = spawn_parked(await_and_note_end, &middle_level);
    struct level outer_level = {EDDY_FUTURE(middle), "outer"};
    eddy_task *outer = spawn_parked(await_and_note_end, &outer_level);
    EXPECT(eddy_cancel(EDDY_FUTURE(outer)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(outer));
    expect_trace("inner middle outer");
    EXPECT(eddy_future_cancelled(future));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(inner)) && eddy_future_cancelled(EDDY_FUTURE(middle)));
    EXPECT_EQ(1, eddy_task_cancelling(inner));
    EXPECT_EQ(1, eddy_task_cancelling(middle));
    eddy_task_release(middle);
    eddy_task_release(inner);
    eddy_future_release(future);
}

static int await_new_child(void *arg, eddy_value *out) {
    eddy_task *task = spawn(await_future, arg);
    int status = eddy_await(EDDY_FUTURE(task), out); /* outside domains: as a call on this stack */
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return status;
}

RULE(T2_also_through_a_child_on_the_same_stack) {
    eddy_future *future = eddy_future_create();
    eddy_task *task = spawn_parked(await_new_child, future);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT(eddy_future_cancelled(future));
    eddy_future_release(future);
}

static int complete_then_suspend(void *arg, eddy_value *out) {
    (void)out;
    cancel_self();
    EXPECT_OK(eddy_await(arg, NULL)); /* done: it completes, and the request stays pending */
    EXPECT_OK(eddy_wait_for(arg, EDDY_SECONDS(1), NULL));
    EXPECT_OK(eddy_gather((eddy_future *[]){arg}, 0, NULL));
    EXPECT_EQ(1, requests());
    return eddy_sleep(EDDY_SECONDS(1000)); /* this one really suspends */
}

RULE(T2_the_next_call_that_really_suspends_fails) {
    eddy_future *done = eddy_future_create();
    EXPECT_OK(eddy_future_set(done, EDDY_NONE));
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(complete_then_suspend, done)));
    eddy_future_release(done);
}

static int count_deliveries(void *arg, eddy_value *out) {
    (void)arg;
    int64_t delivered = 0;
    if (eddy_sleep(EDDY_SECONDS(1000)) == EDDY_ECANCELED) delivered++;
    for (int i = 0; i < 4; i++)
        if (eddy_yield() == EDDY_ECANCELED) delivered++;
    *out = EDDY_I64(delivered);
    return 0;
}

/* In one pass of a domain; elsewhere the second may come when the first was delivered already. */
RULE_OF_ORDER(T2_two_requests_to_a_waiting_task_count_two_and_are_delivered_once) {
    eddy_value value;
    eddy_task *task = spawn_parked(count_deliveries, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(1, value.i64);
    EXPECT_EQ(2, eddy_task_cancelling(task));
    eddy_task_release(task);
}

static int cancel_self_twice(void *arg, eddy_value *out) {
    cancel_self();
    cancel_self();
    EXPECT_EQ(2, requests());
    return count_deliveries(arg, out);
}

RULE(T2_two_requests_to_a_running_task_count_two_and_are_delivered_once) {
    eddy_value value;
    eddy_task *task = spawn(cancel_self_twice, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(1, value.i64);
    EXPECT_EQ(2, eddy_task_cancelling(task));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task))); /* it swallowed them and returned normally */
    eddy_task_release(task);
}

static int cleans_up(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    note("p1");
    int status = eddy_sleep(EDDY_SECONDS(100));
    note("pc");
    EXPECT_OK(eddy_sleep(0));
    note("pd");
    return status;
}

/* The delivery is queued: what is ready already runs first. */
RULE_OF_ORDER(T2_a_request_is_delivered_in_the_next_pass) {
    eddy_task *task = spawn(cleans_up, NULL);
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(task), note_done, "D"));
    EXPECT_OK(eddy_sleep(0));
    note("m1");
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    note("m2");
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    note("m3");
    EXPECT_EQ(2, eddy_task_cancelling(task));
    eddy_task_release(task);
    expect_trace("p1 m1 m2 pc s1 pd D m3");
}

/* The awaiter goes on only after what it awaits has ended, whatever that makes of the request. */
RULE(T2_the_awaiter_goes_on_when_what_it_awaits_has_ended) {
    eddy_value value;
    eddy_future *future = eddy_future_create();
    eddy_task *stubborn = spawn_parked(ignore_cancels, future);
    eddy_task *task = spawn_parked(await_future, EDDY_FUTURE(stubborn));
    for (int i = 0; i < 5; i++) {
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        test_until_all_parked();
        EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    }
    EXPECT_OK(eddy_future_set(future, EDDY_I64(9)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(9, value.i64);
    EXPECT_EQ(5, eddy_task_cancelling(task));
    EXPECT_EQ(5, eddy_task_cancelling(stubborn));
    eddy_task_release(task);
    eddy_task_release(stubborn);
    eddy_future_release(future);
}

/* ---- T3: counting ---------------------------------------------------------------------------------------- */

static int count_down(void *arg, eddy_value *out) {
    eddy_task *self = eddy_current_task();
    (void)arg, (void)out;
    EXPECT_EQ(0, eddy_task_uncancel(self)); /* never below 0 */
    cancel_self();
    cancel_self();
    EXPECT_EQ(2, eddy_task_cancelling(self));
    EXPECT_EQ(1, eddy_task_uncancel(self));
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield()); /* above 0 the request stays */
    EXPECT_EQ(0, eddy_task_uncancel(self));
    EXPECT_EQ(0, eddy_task_uncancel(self));
    return eddy_yield();
}

RULE(T3_uncancel_lowers_the_count_never_below_0) { EXPECT_OK(end_of(spawn(count_down, NULL))); }

static int take_back(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    cancel_self();
    cancel_self();
    EXPECT_EQ(1, eddy_task_uncancel(eddy_current_task()));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
    return eddy_yield();
}

RULE(T3_at_0_a_request_not_delivered_yet_is_taken_back) { EXPECT_OK(end_of(spawn(take_back, NULL))); }

/* A task that waits: its request is delivered when it is made, to what it waits on. */
RULE_OF_ORDER(T3_what_was_delivered_is_not_taken_back) {
    eddy_future *future = eddy_future_create();
    eddy_task *task = spawn_parked(await_future, future);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_uncancel(task));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_EQ(0, eddy_task_cancelling(task));
    eddy_task_release(task);
    eddy_future_release(future);
    task = spawn_parked(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_uncancel(task));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
}

/* ---- T4: how a cancelled body ends ----------------------------------------------------------------------- */

static _Atomic int dropped;
static void drop(eddy_value value) {
    EXPECT_EQ(6, value.i64);
    dropped++;
}
static int return_too_late(void *arg, eddy_value *out) {
    (void)arg;
    cancel_self();
    *out = EDDY_I64(6);
    return 0;
}

RULE(T4_a_body_that_returns_with_a_request_pending_ends_cancelled) {
    eddy_task *task;
    eddy_value value = EDDY_I64(5);
    EXPECT_OK(eddy_spawn(&task, return_too_late, NULL, EDDY_TASK(.drop = drop)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), &value));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    EXPECT_EQ(5, value.i64);
    EXPECT_EQ(1, dropped); /* its value is lost: to its drop function, once */
    eddy_task_release(task);
    EXPECT_EQ(1, dropped);
}

static int fail_too_late(void *arg, eddy_value *out) {
    cancel_self();
    return fail_with(arg, out);
}

RULE(T4_a_body_that_fails_with_an_error_of_its_own_keeps_it) {
    int status = -44;
    eddy_task *task = spawn(fail_too_late, &status);
    EXPECT_EQ(-44, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_STR("failed with -44", eddy_error_text(eddy_error_current(-44)));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
}

RULE(T4_one_that_fails_with_canceled_by_itself_ends_cancelled) {
    int status = EDDY_ECANCELED;
    eddy_task *task = spawn(fail_with, &status);
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(task));
    eddy_task_release(task);
}

/* ---- T5: edge-triggered ---------------------------------------------------------------------------------- */

static int go_on_after_a_request(void *arg, eddy_value *out) {
    cancel_self();
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_EQ(1, requests());
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_sleep(1000));
    EXPECT_OK(end_of(spawn(give_nothing, NULL)));
    return eddy_await(arg, out);
}

RULE(T5_after_one_delivery_later_awaits_work) {
    eddy_value value;
    eddy_future *future = eddy_future_create();
    eddy_task *task = spawn_parked(go_on_after_a_request, future);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(6)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(6, value.i64);
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    eddy_future_release(future);
}

/* ---- T6: eager start ------------------------------------------------------------------------------------- */

static const eddy_local shade = EDDY_LOCAL("shade", NULL);

static int run_eagerly(void *arg, eddy_value *out) {
    EXPECT(eddy_current_task() != arg);
    note("b1");
    EXPECT_EQ(1, eddy_local_get(&shade, EDDY_NONE).i64);
    EXPECT_OK(eddy_local_set(&shade, EDDY_I64(2), NULL));
    EXPECT_OK(eddy_yield());
    note("b2");
    *out = EDDY_I64(7);
    return 0;
}

RULE_OF_ORDER(T6_an_eager_body_runs_inside_the_spawn_until_it_first_waits) {
    eddy_task *self = eddy_current_task(), *task;
    EXPECT_OK(eddy_local_set(&shade, EDDY_I64(1), NULL));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s", NULL));
    EXPECT_OK(eddy_spawn(&task, run_eagerly, self, EDDY_TASK(.eager = true)));
    note("m1");
    EXPECT(eddy_current_task() == self);
    EXPECT_EQ(1, eddy_local_get(&shade, EDDY_NONE).i64); /* its context is its own */
    EXPECT_OK(end_of(task));
    expect_trace("b1 m1 s b2");
}

RULE(T6_one_that_ends_was_never_queued) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, note_body, "b", EDDY_TASK(.eager = true)));
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    expect_trace("b");
    EXPECT_OK(end_of(task));
}

/* CPython 3.14: read, not run. (3.13.0 aborts the group inside create_task.) */
RULE_OF_ORDER(T6_an_eager_child_that_fails_at_once_aborts_its_group_by_a_callback) {
    int status = -21;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_with, &status, EDDY_TASK(.eager = true)));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, EDDY_ECANCELED));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
}

/* ---- T7: names ------------------------------------------------------------------------------------------- */

RULE(T7_names_count_up_and_can_be_set) {
    char text[64], wanted[64];
    uint64_t last = 0;
    test_stay(); /* each worker has numbers of its own, taken in blocks */
    for (int i = 0; i < 5; i++) {
        eddy_task *task = spawn(give_nothing, NULL);
        EXPECT(eddy_task_id(task) > last);
        last = eddy_task_id(task);
        snprintf(wanted, sizeof wanted, "Task-%llu", (unsigned long long)last);
        eddy_task_name(task, text, sizeof text);
        EXPECT_STR(wanted, text);
        eddy_task_set_name(task, "mine");
        EXPECT_EQ(4, eddy_task_name(task, text, sizeof text));
        EXPECT_STR("mine", text);
        EXPECT_OK(end_of(task));
    }
}

RULE(T7_printing_shows_state_name_function_and_what_it_waits_on) {
    char text[256];
    eddy_future *future = eddy_future_create();
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, await_future, future, EDDY_TASK(.name = "mine")));
    test_until_all_parked();
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "name='mine'");
    EXPECT_HAS(text, "state=pending");
    EXPECT_HAS(text, "(await_future)");
    EXPECT_HAS(text, "tests/contract/task_test.c:");
    EXPECT_HAS(text, "waiting on await");
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "state=finished");
    eddy_task_release(task);
    eddy_future_release(future);
    task = spawn_parked(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "state=cancelled");
    eddy_task_release(task);
}

/* ---- T9: all tasks --------------------------------------------------------------------------------------- */

RULE(T9_all_tasks_are_those_not_done) {
    enum { COUNT = 20 };
    eddy_future *future = eddy_future_create();
    eddy_task *tasks[COUNT], *found[COUNT + 8];
    for (int i = 0; i < COUNT; i++) tasks[i] = spawn(await_shielded, future);
    EXPECT_OK(end_of(spawn(give_nothing, NULL)));
    test_until_all_parked();
    EXPECT_EQ(COUNT + 1, eddy_all_tasks(NULL, 0));
    EXPECT_EQ(COUNT + 1, eddy_all_tasks(found, COUNT + 8));
    EXPECT(found[0] == eddy_current_task());
    for (int i = 0; i < COUNT; i++) EXPECT(found[i + 1] == tasks[i]);
    for (int i = 0; i <= COUNT; i++) eddy_task_release(found[i]);
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    for (int i = 0; i < COUNT; i++) EXPECT_OK(end_of(tasks[i]));
    test_until_all_parked();
    EXPECT_EQ(1, eddy_all_tasks(found, 1));
    eddy_task_release(found[0]);
    eddy_future_release(future);
}

/* Nobody holds them but the runtime, and each runs to its end. (CPython's references are weak: it loses tasks.) */
RULE(T9_the_runtime_holds_running_tasks) {
    eddy_future *gate = eddy_future_create();
    for (int i = 0; i < 20; i++) EXPECT_OK(eddy_spawn(NULL, await_shielded, gate, NULL));
    test_until_all_parked();
    EXPECT_EQ(21, eddy_all_tasks(NULL, 0));
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    test_until_all_parked();
    EXPECT_EQ(1, eddy_all_tasks(NULL, 0));
    eddy_future_release(gate);
}

/* ---- T10: sleep ------------------------------------------------------------------------------------------ */

static int yielder(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 3; i++) {
        note(arg);
        EXPECT_OK(i == 0 ? eddy_sleep(0) : i == 1 ? eddy_sleep(-5) : eddy_yield());
    }
    note(arg);
    return 0;
}

RULE_OF_ORDER(T10_sleep_of_nothing_is_exactly_one_yield) {
    eddy_task *a = spawn(yielder, "a"), *b = spawn(yielder, "b"), *c = spawn(yielder, "c");
    EXPECT_OK(end_of(a));
    EXPECT_OK(end_of(b));
    EXPECT_OK(end_of(c));
    expect_trace("a b c a b c a b c a b c");
}

RULE(T10_sleep_is_never_early) {
    for (int i = 0; i < 20; i++) {
        int64_t duration_ns = EDDY_US(10) + i * 7919, before_ns = eddy_time_ns();
        EXPECT_OK(eddy_sleep(duration_ns));
        EXPECT(eddy_time_ns() - before_ns >= duration_ns);
    }
}

RULE_OF_ORDER(T10_a_cancelled_sleep_leaves_no_timer) {
    EXPECT_EQ(INT64_MAX, ed_timers_next(ed_worker_current()));
    eddy_task *task = spawn_parked(sleep_forever, NULL);
    EXPECT(ed_timers_next(ed_worker_current()) != INT64_MAX);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(INT64_MAX, ed_timers_next(ed_worker_current()));
}

RULE(T10_a_yield_is_a_suspension) {
    cancel_self();
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(0));
    EXPECT_OK(eddy_sleep(0));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
}

/* ---- T11: the end of the run ----------------------------------------------------------------------------- */

static _Atomic bool begun, named;
static struct reports reports = REPORTS_INIT;
static void take_and_note(const eddy_report *report, void *arg) {
    reports_take(report, arg);
    if (report->kind == EDDY_REPORT_STILL_PENDING) named = true;
}
static int outlive_cancels(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    begun = true;
    while (!named) (void)eddy_sleep(EDDY_US(200));
    return 0;
}
static int leave_one_that_outlives(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(NULL, outlive_cancels, NULL, EDDY_TASK(.name = "mule")));
    while (!begun) EXPECT_OK(eddy_yield()); /* one that never began would just be cancelled */
    return 0;
}

/* asyncio destroys such a task, and says so; here the run waits for it, and says so. */
UNIT(contract, T11_a_task_that_is_pending_at_the_end_is_reported) {
    for (unsigned i = 0; i < 6; i++) {
        begun = named = false;
        reports.count = 0;
        EXPECT_OK(eddy_run(leave_one_that_outlives, NULL, NULL,
                           EDDY_RUN(.workers = 1u << i % 3, .serial = i < 3, .shutdown_ns = EDDY_MS(20),
                                    .on_exception = take_and_note, .on_exception_arg = &reports)));
        EXPECT_EQ(1, reports.count);
        EXPECT_EQ(EDDY_REPORT_STILL_PENDING, reports.all[0].kind);
        EXPECT_STR("mule", reports.all[0].task);
        EXPECT_HAS(reports.all[0].message, "still alive");
        EXPECT_HAS(reports.all[0].message, "name='mule'");
    }
}

static _Atomic int named_count;
static void take_and_count(const eddy_report *report, void *arg) {
    reports_take(report, arg);
    if (report->kind == EDDY_REPORT_STILL_PENDING) named_count++;
}
static int outlive_until_all_are_named(void *arg, eddy_value *out) {
    (void)out;
    begun = true;
    while (named_count < *(const int *)arg) (void)eddy_sleep(EDDY_US(200));
    return 0;
}
static int await_one_that_outlives(void *arg, eddy_value *out) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, outlive_until_all_are_named, arg, EDDY_TASK(.name = "mule")));
    int status = eddy_await(EDDY_FUTURE(task), out);
    eddy_task_release(task);
    return status;
}
static int leave_two_that_outlive(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_spawn(NULL, await_one_that_outlives, arg, EDDY_TASK(.name = "driver")));
    while (!begun) EXPECT_OK(eddy_yield());
    return 0;
}
/* At once, and not each when the one before it has ended: the mule goes on until both were named. */
UNIT(contract, T11_all_that_are_pending_at_the_end_are_reported) {
    static const int both = 2;
    for (unsigned i = 0; i < 6; i++) {
        begun = false;
        named_count = reports.count = 0;
        EXPECT_OK(eddy_run(leave_two_that_outlive, (void *)(uintptr_t)&both, NULL,
                           EDDY_RUN(.workers = 1u << i % 3, .serial = i < 3, .shutdown_ns = EDDY_MS(20),
                                    .on_exception = take_and_count, .on_exception_arg = &reports)));
        EXPECT_EQ(2, reports.count);
        EXPECT_STR("driver", reports.all[0].task);
        EXPECT_STR("mule", reports.all[1].task);
    }
}

/* ---- T12: cycles ----------------------------------------------------------------------------------------- */

struct ring {
    eddy_task *tasks[4];
    eddy_future *gate, *opening;
    _Atomic int unwound;
};
struct link {
    struct ring *ring;
    int index;
};
static int await_next(void *arg, eddy_value *out) {
    struct link *link = arg;
    EXPECT_OK(eddy_await(link->ring->gate, NULL)); /* until all are there */
    int status = eddy_await(EDDY_FUTURE(link->ring->tasks[(link->index + 1) % 4]), out);
    link->ring->unwound++;
    return status;
}
static int gather_next(void *arg, eddy_value *out) {
    struct link *link = arg;
    (void)out;
    EXPECT_OK(eddy_await(link->ring->gate, NULL));
    eddy_future *futures[] = {EDDY_FUTURE(link->ring->tasks[1]), link->ring->opening};
    int status = eddy_gather(futures, 2, NULL);
    link->ring->unwound++;
    return status;
}

/* Four tasks, each awaits the next, the last the first, which gathers the second and a future besides. A cancel of the
 * second goes round, asks each once, and ends; it cancels that future too, which unwinds them all. (CPython recurses
 * until it fails.) */
RULE(T12_a_cancel_round_a_cycle_ends_and_asks_each_once) {
    struct ring ring = {.gate = eddy_future_create(), .opening = eddy_future_create()};
    struct link links[4];
    for (int i = 0; i < 4; i++) {
        links[i] = (struct link){&ring, i};
        ring.tasks[i] = spawn(i == 0 ? gather_next : await_next, &links[i]);
        eddy_share();
    }
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(ring.gate, EDDY_NONE));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(ring.tasks[1])));
    for (int i = 0; i < 4; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(ring.tasks[i]), NULL));
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(1, eddy_task_cancelling(ring.tasks[i]));
        eddy_task_release(ring.tasks[i]);
    }
    EXPECT_EQ(4, ring.unwound);
    EXPECT(eddy_future_cancelled(ring.opening));
    eddy_future_release(ring.opening);
    eddy_future_release(ring.gate);
}
