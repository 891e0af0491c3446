/* Debug mode remembers by which calls tasks, futures and handles were made, and reports tell; without it nothing is kept. */
#include "task/core_testing.h"

static _Atomic int kept; /* no call below is the last thing its function does */
static char origin[4096], message[256];
static const void *object;
static int count;

static void take(const eddy_report *report, void *arg) {
    (void)arg;
    count++;
    snprintf(message, sizeof message, "%s", report->message);
    snprintf(origin, sizeof origin, "%s", report->origin != NULL ? report->origin : "");
    object = report->handle != NULL ? (const void *)report->handle : report->future;
    if (report->future != NULL && report->task[0] != '\0') EXPECT(eddy_future_task(report->future) != NULL);
}

static int fails(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return -31;
}
static int callback_fails(void *arg) {
    (void)arg;
    return -41;
}
static int done_fails(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return -42;
}

__attribute__((noinline)) static eddy_task *make_task(void) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fails, NULL, NULL));
    kept++;
    return task;
}
__attribute__((noinline)) static eddy_future *make_future(void) {
    eddy_future *future = eddy_future_create();
    kept++;
    return future;
}
__attribute__((noinline)) static eddy_handle *make_handle(bool threadsafe) {
    eddy_handle *handle;
    if (threadsafe)
        EXPECT_OK(eddy_call_soon_threadsafe(eddy_loop_current(), callback_fails, NULL, &handle));
    else
        EXPECT_OK(eddy_call_soon(NULL, callback_fails, NULL, &handle));
    kept++;
    return handle;
}

/* The calls that made it: the innermost is the program's. */
static void expect_origin(bool debug, const char *maker) {
    if (debug) {
        char want[64];
        snprintf(want, sizeof want, "  %s+0x", maker);
        EXPECT(strncmp(origin, want, strlen(want)) == 0);
        EXPECT_HAS(origin, "make_each+0x");
    } else {
        EXPECT_STR("", origin);
    }
}

static int make_each(void *arg, eddy_value *out) {
    const bool debug = *(bool *)arg;
    (void)out;
    eddy_task *task = make_task();
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, count);
    eddy_task_release(task);
    EXPECT_EQ(1, count);
    EXPECT_STR("a task failed and its failure was never retrieved", message);
    EXPECT(object == task);
    expect_origin(debug, "make_task");

    eddy_future *future = make_future();
    EXPECT_OK(eddy_future_add_callback(future, done_fails, NULL));
    EXPECT_OK(eddy_future_fail(future, -32, NULL));
    test_until_all_parked();
    EXPECT_HAS(message, "a done callback failed: done_fails+0x1 (");
    EXPECT(object == future);
    eddy_future_release(future);
    EXPECT_STR("a future failed and its failure was never retrieved", message);
    EXPECT(object == future);
    EXPECT_EQ(3, count);
    expect_origin(debug, "make_future");

    for (int threadsafe = 0; threadsafe < 2; threadsafe++) {
        eddy_handle *handle = make_handle(threadsafe);
        test_until_all_parked();
        EXPECT_EQ(4 + threadsafe, count);
        EXPECT_HAS(message, "a callback failed: ");
        EXPECT(object == handle);
        expect_origin(debug, "make_handle");
        eddy_handle_release(handle);
    }
    future = make_future(); /* nothing to report of it */
    eddy_future_release(future);
    EXPECT_EQ(5, count);
    kept++;
    return 0;
}

UNIT(origin, is_told_in_debug_mode) {
    for (int debug = 0; debug < 2; debug++) {
        bool flag = debug;
        count = 0;
        EXPECT_OK(eddy_run(make_each, &flag, NULL, EDDY_RUN(.workers = 1, .debug = debug, .on_exception = take)));
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* ---- where there is no memory for it --------------------------------------------------------------------- */

static int make_some(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int here = 3;
    eddy_task *task;
    int status = eddy_spawn(&task, give_nothing, &here, NULL);
    if (status < 0) return status;
    eddy_future *future = eddy_future_create();
    status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    eddy_future_release(future);
    return future == NULL ? EDDY_ENOMEM : status;
}
static int run_in_debug(void *arg) { return eddy_run(make_some, arg, NULL, EDDY_RUN(.workers = 1, .debug = true)); }
UNIT(origin, is_left_out_without_memory) { EXPECT(test_each_allocation_fails(run_in_debug, NULL) > 4); }

/* ---- many tasks: an end looks at what was spawned from its own stack only ------------------------------------ */

static int spawn_many(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    enum { TASKS = 20000 };
    static eddy_task *tasks[TASKS];
    int mine = 3; /* on this stack, which lives */
    for (int i = 0; i < TASKS; i++) EXPECT_OK(eddy_spawn(&tasks[i], give_nothing, &mine, NULL));
    for (int i = 0; i < TASKS; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_EQ(0, count);
    return 0;
}
UNIT(origin, many_tasks_end_in_debug_mode_in_time, TEST_WITHOUT("thread valgrind qemu")) {
    count = 0;
    EXPECT_OK(eddy_run(spawn_many, NULL, NULL,
                       EDDY_RUN(.workers = 2, .debug = true, .slow_ns = EDDY_SECONDS(100), .on_exception = take)));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}
