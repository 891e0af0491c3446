/* What a program gets on standard error, without a handler, for each thing that nobody handled: the text, the task, where it
 * was spawned. The same through a handler: tests/debug, debug_test.c, run_test.c. */
#include "contract/contract_testing.h"
#include "debug/asking.h"
#include "eddy/debug.h"

#include <sys/mman.h>
#include <unistd.h>

#define PLACE_OF(fn) "(" #fn ")"

static eddy_coro_fn body;
static eddy_run_options options;
/* What the program says goes to a file in memory: it looks there itself, to go on when it has been told of. */
static int heard;
static char text_heard[16384];
static const char *hear(void) {
    const ssize_t bytes = pread(heard, text_heard, sizeof text_heard - 1, 0);
    text_heard[bytes > 0 ? bytes : 0] = '\0';
    return text_heard;
}
static bool is_said(const char *part) { return strstr(hear(), part) != NULL; }

static void run_it(void *arg) {
    EXPECT(dup(STDERR_FILENO) >= 0); /* who started it waits until this is closed */
    EXPECT_EQ(STDERR_FILENO, dup2(heard, STDERR_FILENO));
    EXPECT_OK(eddy_run(body, arg, NULL, &options));
}

static struct test_child said;
/* Runs `fn` on one worker in a process of its own, and gives what it said. */
static const char *run_program(eddy_coro_fn fn, bool debug) {
    body = fn;
    options = eddy_run_options_init();
    options.workers = 1;
    options.debug = debug;
    options.slow_ns = debug ? EDDY_MS(20) : 0;
    options.shutdown_ns = EDDY_MS(20);
    heard = memfd_create("heard", MFD_CLOEXEC);
    EXPECT(heard >= 0);
    said = test_child_run(run_it, NULL);
    hear();
    close(heard);
    if (said.exit_code != 0) test_fail(__FILE__, __LINE__, "it failed: %s%s", said.stderr_text, text_heard);
    return text_heard;
}

/* ---- never awaited --------------------------------------------------------------------------------------- */

static int drop_coroutine(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_coro_release(eddy_coro_create(note_body, NULL, "forgotten"));
    return 0;
}
UNIT(contract, D2_report_never_awaited) {
    const char *text = run_program(drop_coroutine, false);
    EXPECT_HAS(text, "eddy: coroutine 'forgotten' was never awaited, made at tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(note_body) "\n");
    EXPECT(strstr(text, "made by") == NULL);
    text = run_program(drop_coroutine, true); /* debug mode: by which calls */
    EXPECT_HAS(text, "\nmade by\n  ");
    EXPECT_HAS(text, "drop_coroutine+0x");
}

/* ---- never retrieved ------------------------------------------------------------------------------------- */

static int fail_41(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-41, "no such user");
}
static int lose_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(NULL, fail_41, NULL, EDDY_TASK(.name = "lost")));
    return eddy_yield();
}
UNIT(contract, F3_report_never_retrieved) {
    const char *text = run_program(lose_failure, true);
    EXPECT_HAS(
        text,
        "eddy: a task failed and its failure was never retrieved (\"lost\"), made at tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(fail_41) ": ");
    EXPECT_HAS(text, "no such user\nmade by\n");
    EXPECT_HAS(text, "lose_failure+0x");
}

/* ---- still pending --------------------------------------------------------------------------------------- */

static eddy_task *mule;
static bool mule_begun, mule_told;
static int outlive_cancels(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    mule_begun = true;
    while (!mule_told) (void)eddy_sleep(EDDY_SECONDS(1000));
    return 0;
}
static int let_mule_go(void *arg) { /* when it has been told of */
    mule_told = is_said("still alive after its cancel");
    if (!mule_told) return eddy_call_later(NULL, EDDY_MS(1), let_mule_go, arg, NULL);
    eddy_cancel(EDDY_FUTURE(mule));
    eddy_task_release(mule);
    return 0;
}
static int leave_mule(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_spawn(&mule, outlive_cancels, NULL, EDDY_TASK(.name = "mule")));
    while (!mule_begun) EXPECT_OK(eddy_yield());
    return eddy_call_soon(NULL, let_mule_go, arg, NULL);
}
UNIT(contract, T11_report_still_pending) {
    const char *text = run_program(leave_mule, false);
    EXPECT_HAS(text, "eddy: the run cannot end: still alive after its cancel ");
    EXPECT_HAS(text, " s ago: <Task name='mule' id=");
    EXPECT_HAS(text, PLACE_OF(outlive_cancels));
    EXPECT_HAS(text, " waiting on sleep>");
    EXPECT_HAS(text, "\n  eddy_sleep"); /* where */
    EXPECT_HAS(text, "\n  outlive_cancels+0x");
}

/* ---- swallowed cancel ------------------------------------------------------------------------------------ */

static int swallow(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(100)));
    return 0;
}
static int cancel_swallower(void *arg, eddy_value *out) {
    eddy_task *task;
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(&task, swallow, NULL, EDDY_TASK(.name = "swallower")));
    EXPECT_OK(eddy_yield());
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    return end_of(task);
}
UNIT(contract, D1_report_swallowed_cancel) {
    const char *text = run_program(cancel_swallower, true);
    EXPECT_HAS(
        text,
        "eddy: a task ended well although it was cancelled (\"swallower\"), made at tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(swallow) "\n");
    EXPECT_STR("", run_program(cancel_swallower, false));
}

/* ---- a blocked loop --------------------------------------------------------------------------------------- */

/* Until it has been told of. */
__attribute__((noinline)) static void compute(void) {
    while (!is_said("(\"blocker\")")) {
        const int64_t until_ns = eddy_time_ns() + EDDY_MS(5);
        while (eddy_time_ns() < until_ns) continue;
    }
}
static int block(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    compute();
    while (!is_said("was held for ")) EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return 0;
}
static int let_block(void *arg, eddy_value *out) {
    eddy_task *task;
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(&task, block, NULL, EDDY_TASK(.name = "blocker")));
    EXPECT_OK(eddy_yield()); /* awaited at once it would run in this slice, which may have been reported already */
    return end_of(task);
}
UNIT(contract, D1_report_blocked_loop) {
    const char *text = run_program(let_block, true);
    EXPECT_HAS(text, "eddy: worker 0 has been held for ");
    EXPECT_HAS(text, " s (\"blocker\"), made at tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(block) "\n");
    EXPECT_HAS(text, "compute+0x"); /* while it still blocks: its stack */
    EXPECT_HAS(text, "eddy: worker 0 was held for ");
}

/* ---- a wrong thread --------------------------------------------------------------------------------------- */

static int sleep_in_callback(void *arg) {
    *(int *)arg = eddy_sleep(EDDY_MS(1));
    return 0;
}
static int call_sleeper(void *arg, eddy_value *out) {
    static int status;
    (void)arg, (void)out;
    EXPECT_OK(eddy_call_soon(NULL, sleep_in_callback, &status, NULL));
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(EDDY_EWRONGTHREAD, status);
    return 0;
}
static int lock_in_callback(void *arg) {
    eddy_lock *lock = eddy_lock_create();
    *(int *)arg = eddy_lock_acquire(lock);
    eddy_lock_release(lock);
    return 0;
}
static int connect_in_callback(void *arg) {
    eddy_stream *stream;
    *(int *)arg = eddy_connect(&stream, "127.0.0.1", 1, NULL);
    return 0;
}
static int call_locker(void *arg, eddy_value *out) {
    static int lock_status, connect_status;
    (void)arg, (void)out;
    EXPECT_OK(eddy_call_soon(NULL, lock_in_callback, &lock_status, NULL));
    EXPECT_OK(eddy_call_soon(NULL, connect_in_callback, &connect_status, NULL));
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(EDDY_EWRONGTHREAD, lock_status);
    EXPECT_EQ(EDDY_EWRONGTHREAD, connect_status);
    return 0;
}
UNIT(contract, L6_report_outside_of_a_task) {
    const char *text = run_program(call_locker, true);
    EXPECT_HAS(text, "eddy: a function that belongs into a task was called outside of one\n");
    EXPECT_HAS(text, "lock_in_callback+0x");
    EXPECT_HAS(text, "connect_in_callback+0x");
    EXPECT_STR("", run_program(call_locker, false));
}
static void *call_from_thread(void *arg) {
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_soon(arg, note_call, NULL, NULL));
    return NULL;
}
static int call_wrongly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, call_from_thread, eddy_loop_current()));
    EXPECT_EQ(0, pthread_join(thread, NULL));
    return 0;
}
UNIT(contract, L6_report_wrong_thread) {
    const char *text = run_program(call_sleeper, true);
    EXPECT_HAS(text, "eddy: a function that belongs into a task was called outside of one\n");
    EXPECT_HAS(text, "sleep_in_callback+0x");
    EXPECT_STR("", run_program(call_sleeper, false));
    text = run_program(call_wrongly, true);
    EXPECT_HAS(
        text,
        "eddy: a callback was given to a loop from a thread that is not the loop's: eddy_call_soon_threadsafe may be\n");
    EXPECT_HAS(text, "call_from_thread+0x");
}

/* ---- a lock held across a suspension ----------------------------------------------------------------------- */

static int hold(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_hold_begin(&said);
    int status = eddy_yield();
    eddy_hold_end(&said);
    return status;
}
static int let_hold(void *arg, eddy_value *out) {
    eddy_task *task;
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(&task, hold, NULL, EDDY_TASK(.name = "holder")));
    return end_of(task);
}
UNIT(contract, D1_report_lock_held) {
    const char *text = run_program(let_hold, true);
    EXPECT_HAS(text, "eddy: a task suspends on yield while it holds what it took at tests/contract/report_test.c:");
    EXPECT_HAS(text, "(&said) (\"holder\"), made at tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(hold) "\n  ");
    EXPECT_HAS(text, "eddy_yield+0x");
    EXPECT_STR("", run_program(let_hold, false));
}

/* ---- an argument on a dead stack ---------------------------------------------------------------------------- */

static eddy_task *orphan;
static int sleep_a_while(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_MS(1));
}
static int leave_argument(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    volatile int on_stack = 3;
    return eddy_spawn(&orphan, sleep_a_while, (void *)(uintptr_t)&on_stack, EDDY_TASK(.name = "orphan"));
}
static int let_leave(void *arg, eddy_value *out) {
    eddy_task *task;
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(&task, leave_argument, NULL, EDDY_TASK(.name = "leaver")));
    EXPECT_OK(end_of(task));
    return end_of(orphan);
}
UNIT(contract, D1_report_argument_on_a_dead_stack, TEST_WITHOUT("address")) { /* which keeps locals elsewhere */
    const char *text = run_program(let_leave, true);
    EXPECT_HAS(text,
               "eddy: task \"leaver\" ended while a running task's argument lies on its stack (\"orphan\"), made at "
               "tests/contract/report_test.c:");
    EXPECT_HAS(text, PLACE_OF(sleep_a_while) "\n");
    EXPECT_STR("", run_program(let_leave, false));
}

/* ---- L4: what a report carries; L6: a loop that is closed ----------------------------------------------------- */

static const eddy_handle *handle_told;
static const eddy_future *future_told;
static void take_objects(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind != EDDY_REPORT_CALLBACK_FAILED) return;
    if (report->handle != NULL) handle_told = report->handle;
    if (report->future != NULL) future_told = report->future;
}
static int fail_call(void *arg) {
    (void)arg;
    return -31;
}
static int fail_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return -32;
}
static int fail_both(void *arg, eddy_value *out) {
    eddy_handle *handle;
    (void)arg, (void)out;
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_call_soon(NULL, fail_call, NULL, &handle));
    EXPECT_OK(eddy_future_add_callback(future, fail_done, NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    EXPECT(handle_told == handle);
    EXPECT(future_told == future);
    eddy_handle_release(handle);
    eddy_future_release(future);
    return 0;
}
UNIT(contract, L4_a_report_carries_the_handle_or_the_future) {
    for (int serial = 0; serial < 2; serial++) {
        handle_told = NULL, future_told = NULL;
        EXPECT_OK(
            eddy_run(fail_both, NULL, NULL, EDDY_RUN(.workers = 1, .serial = serial, .on_exception = take_objects)));
    }
}

static eddy_loop *closed_loop;
static int asked_when_closed;
static void ask_closed_loop(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind != EDDY_REPORT_SHUTDOWN) return; /* the last of a run: its workers have ended */
    EXPECT_EQ(EDDY_ECLOSED, eddy_call_soon_threadsafe(closed_loop, note_call, NULL, NULL));
    EXPECT_EQ(EDDY_ECLOSED, eddy_spawn_threadsafe(closed_loop, NULL, note_body, NULL, NULL));
    asked_when_closed++;
}
static int leave_handle(void *arg, eddy_value *out) {
    (void)out;
    eddy_task *task;
    closed_loop = eddy_loop_current();
    EXPECT_OK(eddy_spawn(&task, note_body, arg, NULL)); /* not given back */
    return eddy_yield();
}
static void ask_late(void *arg) {
    const unsigned workers = *(unsigned *)arg;
    for (int serial = 0; serial < 2; serial++)
        EXPECT_OK(eddy_run(leave_handle, "", NULL,
                           EDDY_RUN(.workers = workers, .serial = serial, .on_exception = ask_closed_loop)));
    EXPECT_EQ(2, asked_when_closed);
}
UNIT(contract, L6_a_closed_loop_takes_no_more) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct test_child child = test_child_run(ask_late, &workers);
        EXPECT_STR("", child.stderr_text);
        EXPECT_EQ(0, child.exit_code);
    }
}

/* ---- T8, D3 --------------------------------------------------------------------------------------------------- */

static _Atomic int kept; /* no call below is the last thing its function does */
__attribute__((noinline)) static int wait_deep(eddy_future *future, int depth) {
    int status = depth > 0 ? wait_deep(future, depth - 1) : eddy_await(future, NULL);
    kept++;
    return status;
}
static int wait_for_gate(void *arg, eddy_value *out) {
    (void)out;
    int status = wait_deep(arg, 2);
    kept++;
    return status;
}
RULE(T8_all_calls_of_a_suspended_task_are_shown) {
    char text[4096];
    eddy_future *gate = eddy_future_create();
    eddy_task *task = spawn_parked(wait_for_gate, gate);
    EXPECT(print_stack(task, text, sizeof text) > 0);
    int calls = 0;
    for (const char *at = text; (at = strstr(at, "wait_deep+0x")) != NULL; at++) calls++;
    EXPECT_EQ(3, calls);
    EXPECT_HAS(text, "wait_for_gate+0x");
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(task));
    eddy_future_release(gate);
}

static eddy_task *first_of_two, *second_of_two;
static int wait_for_second(void *arg, eddy_value *out) {
    eddy_future *second = EDDY_FUTURE(second_of_two);
    (void)arg, (void)out;
    return eddy_wait(&second, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
}
static int wait_for_first(void *arg, eddy_value *out) {
    EXPECT_OK(await_shielded(arg, out));
    return eddy_await(EDDY_FUTURE(first_of_two), out);
}
RULE(D3_a_round_of_waiting_tasks_is_found) {
    eddy_future *gate = eddy_future_create();
    second_of_two = spawn_parked(wait_for_first, gate);
    first_of_two = spawn_parked(wait_for_second, NULL);
    eddy_picture *picture = take_picture();
    uint64_t ids[2];
    EXPECT_EQ(0, eddy_picture_cycle(picture, ids, 2)); /* not yet */
    eddy_picture_release(picture);
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    test_until_all_parked();
    picture = take_picture();
    EXPECT_EQ(2, eddy_picture_cycle(picture, ids, 2));
    EXPECT(ids[0] < ids[1]);
    EXPECT_EQ(eddy_task_id(first_of_two) + eddy_task_id(second_of_two), ids[0] + ids[1]);
    eddy_picture_release(picture);
    EXPECT(eddy_cancel(EDDY_FUTURE(first_of_two)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(second_of_two)); /* the other is awaited until then */
    EXPECT_EQ(EDDY_ECANCELED, end_of(first_of_two));
    eddy_handled();
    eddy_future_release(gate);
}

static int never_called(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    EXPECT(false);
    return 0;
}
/* CPython's garbage collector does the same. That nothing is left is the harness's to see. */
RULE(F2_callbacks_of_a_future_that_nobody_can_end_go_with_it) {
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, never_called, NULL));
    EXPECT_OK(eddy_future_add_callback(future, never_called, &said));
    eddy_future_release(future);
    test_until_all_parked();
}
