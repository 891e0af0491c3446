/* What nobody handled: reports to the exception handler, and to standard error without one. Each test runs a
 * program of its own on 1, 2 and 8 workers and counts what the handler got. */
#include "task/core_testing.h"

static void run_reporting(eddy_coro_fn fn, void *arg, struct reports *reports, int workers) {
    reports->count = 0;
    EXPECT_OK(
        eddy_run(fn, arg, NULL,
                 EDDY_RUN(.workers = (unsigned)workers, .on_exception = reports_take, .on_exception_arg = reports)));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static int fails(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-31, "nobody looks");
}

/* ---- never retrieved (F3) -------------------------------------------------------------------------------- */

static int leaves_failures(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(NULL, fails, NULL, EDDY_TASK(.name = "lost")));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fails, NULL, EDDY_TASK(.name = "dropped")));
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    eddy_task_release(task);
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_fail(future, -32, "nobody looks either"));
    eddy_future_release(future);

    /* Looked at, in each of the ways; or cancelled: no report. */
    task = spawn(fails, NULL);
    EXPECT_EQ(-31, end_of(task));
    task = spawn(fails, NULL);
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    EXPECT_EQ(-31, eddy_future_result(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    task = spawn(fails, NULL);
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    EXPECT(eddy_future_error(EDDY_FUTURE(task)) != NULL);
    eddy_task_release(task);
    task = spawn(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    eddy_task_release(task);
    test_until_all_parked();
    return 0;
}

/* ---- callbacks ------------------------------------------------------------------------------------------- */

static int bad_callback(void *arg) {
    (void)arg;
    return -41;
}
static int bad_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return -42;
}
static int good_done(eddy_future *future, void *arg) {
    (void)future;
    (*(int *)arg)++;
    return 0;
}
static int calls_back(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_call_soon(NULL, bad_callback, NULL, NULL));
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, good_done, arg));
    EXPECT_OK(eddy_future_add_callback(future, bad_done, NULL));
    EXPECT_OK(eddy_future_add_callback(future, good_done, arg)); /* one that fails does not stop the others (F2) */
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    eddy_future_release(future);
    test_until_all_parked();
    return 0;
}

/* ---- coroutine objects ----------------------------------------------------------------------------------- */

static int add(void *arg, eddy_value *out) {
    int status = eddy_yield();
    *out = EDDY_I64(*(int64_t *)arg + 1);
    return status;
}

CORE_TEST(report, coroutine_object_is_inert_until_driven) {
    char text[128];
    int64_t n = 4;
    eddy_value value;
    eddy_coro *coro = eddy_coro_create(add, &n, "adder");
    EXPECT(eddy_coro_print(coro, text, sizeof text) > 0);
    EXPECT_HAS(text, "<coroutine adder fn=0x");
    EXPECT_HAS(text, "created>");
    test_until_all_parked();
    n = 6;
    EXPECT_OK(eddy_coro_await(coro, &value));
    EXPECT_EQ(7, value.i64);

    eddy_task *task;
    coro = eddy_coro_create(add, &n, "adder");
    EXPECT_EQ(EDDY_EINVAL, eddy_coro_spawn(coro, &task, EDDY_TASK(.stack_bytes = 1 << 20))); /* it is still there */
    EXPECT_OK(eddy_coro_spawn(coro, &task, NULL));
    eddy_task_name(task, text, sizeof text);
    EXPECT_STR("adder", text);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(7, value.i64);
    eddy_task_release(task);
    eddy_coro_release(NULL);
}

static int drops_coroutine(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_coro_release(eddy_coro_create(add, NULL, "forgotten"));
    eddy_coro_release(eddy_coro_create(add, NULL, NULL));
    return 0;
}

UNIT(report, coroutine_object_was_never_awaited) {
    struct reports reports = REPORTS_INIT;
    for (int workers = 1; workers <= 8; workers *= 2) {
        run_reporting(drops_coroutine, NULL, &reports, workers);
        EXPECT_EQ(2, reports.count);
        EXPECT_EQ(EDDY_REPORT_NEVER_AWAITED, reports.all[0].kind);
        EXPECT_STR("forgotten", reports.all[0].task);
        EXPECT_HAS(reports.all[0].message, "'forgotten' was never awaited");
    }
}

/* ---- standard error -------------------------------------------------------------------------------------- */

static void run_without_handler(void *arg) {
    (void)arg;
    EXPECT_OK(eddy_run(leaves_failures, NULL, NULL, EDDY_RUN(.workers = 1)));
    EXPECT_OK(eddy_run(drops_coroutine, NULL, NULL, EDDY_RUN(.workers = 1)));
    EXPECT_OK(eddy_run(calls_back, &(int){0}, NULL, EDDY_RUN(.workers = 1)));
    eddy_coro_release(eddy_coro_create(add, NULL, "outside")); /* no run at all */
}

UNIT(report, goes_to_standard_error_without_a_handler) {
    struct test_child child = test_child_run(run_without_handler, NULL);
    EXPECT_EQ(0, child.exit_code);
    EXPECT_HAS(child.stderr_text,
               "eddy: a task failed and its failure was never retrieved (\"lost\"), made at tests/task/report_test.c:");
    EXPECT_HAS(child.stderr_text, "nobody looks either");
    EXPECT_HAS(child.stderr_text, "coroutine 'forgotten' was never awaited");
    EXPECT_HAS(child.stderr_text, "a done callback failed");
    EXPECT_HAS(child.stderr_text, "coroutine 'outside' was never awaited");
}

static int fail_named(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(EDDY_EINVAL, "no such port");
}

static const char *place_seen;
static void take_place(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind == EDDY_REPORT_NEVER_RETRIEVED || report->kind == EDDY_REPORT_NEVER_AWAITED)
        place_seen = report->place;
}

static int spawn_in_four_ways(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    char text[256];
    EXPECT_OK(eddy_spawn(NULL, fail_named, NULL, NULL));
    test_until_all_parked();
    EXPECT_HAS(place_seen, "report_test.c:");
    EXPECT_HAS(place_seen, " (fail_named)");
    EXPECT_OK((eddy_spawn)(&task, fail_named, NULL, NULL)); /* the function: the place is not known */
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "fn=0x");
    EXPECT_EQ(EDDY_EINVAL, end_of(task));
    eddy_handled();

    eddy_coro_release(eddy_coro_create(fail_named, NULL, NULL));
    EXPECT_HAS(place_seen, " (fail_named)");
    EXPECT_OK(eddy_spawn_threadsafe(eddy_loop_current(), &task, fail_named, NULL, NULL));
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "report_test.c:");
    EXPECT_EQ(EDDY_EINVAL, end_of(task));
    eddy_handled();
    return 0;
}

/* Whoever is named was made somewhere: the report says where. */
UNIT(report, names_the_place) {
    EXPECT_OK(eddy_run(spawn_in_four_ways, NULL, NULL, EDDY_RUN(.workers = 1, .on_exception = take_place)));
}
