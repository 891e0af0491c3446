/* eddy_run: main's value and failure, runs beside each other, options, tasks that spawn at the end. The rules, R1 and R2:
 * tests/contract/run_test.c. */
#include "task/core_testing.h"

#include <unistd.h>

static const int each_workers[] = {1, 2, 8};

/* ---- main ------------------------------------------------------------------------------------------------ */

static int give(void *arg, eddy_value *out) {
    *out = EDDY_PTR(arg);
    return 5;
}
static int fail_with_text(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-77, "main said no");
}
static int cancelled(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    (void)eddy_cancel(EDDY_FUTURE(eddy_current_task()));
    return eddy_yield();
}

UNIT(run, gives_mains_status_and_value) {
    for (int i = 0; i < 3; i++) {
        int here;
        eddy_value value = EDDY_NONE;
        EXPECT_EQ(5, eddy_run(give, &here, &value, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT(value.ptr == &here);
        EXPECT_EQ(5, eddy_run(give, &here, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i], .serial = true)));
        EXPECT_EQ(EDDY_ECANCELED, eddy_run(cancelled, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
    }
    EXPECT_EQ(5, eddy_run(give, NULL, NULL, NULL)); /* one worker per usable core */
}

static void run_failing(void *arg) {
    (void)arg;
    EXPECT_EQ(-77, eddy_run(fail_with_text, NULL, NULL, EDDY_RUN(.workers = 2, .name = "chief")));
}

UNIT(run, prints_mains_failure) {
    struct test_child child = test_child_run(run_failing, NULL);
    EXPECT_EQ(0, child.exit_code);
    EXPECT_HAS(child.stderr_text, "\"chief\" failed");
    EXPECT_HAS(child.stderr_text, "main said no");
    EXPECT(strstr(child.stderr_text, "never retrieved") == NULL);
}

static int run_nested(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_run(give, NULL, NULL, EDDY_RUN(.workers = 1)));
    return 0;
}
static void *run_in_thread(void *arg) {
    EXPECT_EQ(5, eddy_run(give, arg, NULL, EDDY_RUN(.workers = 2)));
    return NULL;
}
static int run_beside(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, run_in_thread, NULL));
    EXPECT_EQ(0, pthread_join(thread, NULL));
    return 0;
}

UNIT(run, nested_is_refused_beside_is_not) {
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_run(run_nested, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT_OK(eddy_run(run_beside, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
    }
}

static int spawn_some(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[20];
    for (int i = 0; i < 20; i++) tasks[i] = spawn(give_nothing, NULL);
    for (int i = 0; i < 20; i++) EXPECT_OK(end_of(tasks[i]));
    return 0;
}

/* A run is over with all its threads, stacks and bytes; the next one starts afresh. */
UNIT(run, a_hundred_times, TEST_LIMIT(60)) {
    for (int i = 0; i < test_scaled(100); i++) {
        EXPECT_OK(eddy_run(spawn_some, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i % 3])));
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

static int serial_child(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_EQ(0, eddy_worker_index());
    EXPECT(eddy_loop_current() == arg);
    return 0;
}
static int serial_main(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 20; i++) EXPECT_OK(end_of(spawn(serial_child, eddy_loop_current())));
    return 0;
}

UNIT(run, serial_puts_main_and_its_children_into_a_domain) {
    for (int i = 0; i < 3; i++)
        EXPECT_OK(eddy_run(serial_main, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i], .serial = true)));
}

/* ---- the end (R1) ---------------------------------------------------------------------------------------- */

static _Atomic int spawned;

static int spawn_in_cleanup(void *arg, eddy_value *out) {
    (void)out;
    int depth = (int)(intptr_t)arg;
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, status);
    if (depth > 0) {
        EXPECT_OK(eddy_spawn(NULL, spawn_in_cleanup, (void *)(intptr_t)(depth - 1), NULL));
        eddy_task *task = spawn(give_nothing, NULL);
        int end = end_of(task);
        EXPECT(end == 0 || end == EDDY_ECANCELED);
        spawned++;
    }
    return status;
}
static int leave_spawners(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 4; i++) EXPECT_OK(eddy_spawn(NULL, spawn_in_cleanup, (void *)(intptr_t)3, NULL));
    test_until_all_parked();
    return 0;
}

/* Tasks spawned while the run ends are cancelled as well, before or after they start. */
UNIT(run, tasks_may_spawn_in_their_cleanup) {
    for (int i = 0; i < 3; i++) {
        spawned = 0;
        EXPECT_OK(eddy_run(leave_spawners, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT(spawned >= 4);
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* Callbacks and timers that are queued when the run ends do not run, and leave nothing. */
static int never_called(void *arg) {
    (void)arg;
    EXPECT(!"called after the end");
    return 0;
}
static int leave_timers(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_handle *handle;
    for (int i = 0; i < 10; i++) EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000), never_called, NULL, NULL));
    EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000), never_called, NULL, &handle));
    eddy_handle_release(handle);
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    eddy_future_release(future);
    return 0;
}

UNIT(run, drops_timers_that_are_left) {
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_run(leave_timers, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* A thread that calls into a run that ends gets an error and no crash; what was accepted was kept or dropped. */
static _Atomic bool stop_calling;
static _Atomic int64_t called;
static int count_call(void *arg) {
    (void)arg;
    atomic_fetch_add(&called, 1);
    return 0;
}
struct late_caller {
    pthread_t thread;
    eddy_loop *loop;
    _Atomic int64_t accepted;
};
static void *call_until_told(void *arg) {
    struct late_caller *caller = arg;
    while (!atomic_load(&stop_calling)) {
        if (eddy_call_soon_threadsafe(caller->loop, count_call, NULL, NULL) == 0)
            atomic_fetch_add(&caller->accepted, 1);
    }
    return NULL;
}
static int end_under_calls(void *arg, eddy_value *out) {
    (void)out;
    struct late_caller *caller = arg;
    caller->loop = eddy_loop_current();
    EXPECT_EQ(0, pthread_create(&caller->thread, NULL, call_until_told, caller));
    while (atomic_load(&called) < 100) EXPECT_OK(eddy_yield());
    atomic_store(&stop_calling, true); /* the loop's memory ends with the run */
    pthread_join(caller->thread, NULL);
    return 0;
}

UNIT(run, ends_with_calls_from_threads_in_its_inbox) {
    for (int i = 0; i < 3; i++) {
        struct late_caller caller = {0};
        atomic_store(&stop_calling, false);
        atomic_store(&called, 0);
        EXPECT_OK(eddy_run(end_under_calls, &caller, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT(called <= caller.accepted);
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* 20,000 tasks alive when main ends, all parked: all are cancelled and end. */
static int park_many(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < (test_under("thread") ? 1000 : test_scaled(20000)); i++)
        EXPECT_OK(eddy_spawn(NULL, sleep_forever, NULL, EDDY_TASK(.stack_bytes = 16 * 1024)));
    test_until_all_parked();
    return 0;
}

UNIT(run, ends_with_many_tasks_alive, TEST_LIMIT(60)) {
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_run(park_many, NULL, NULL, EDDY_RUN(.workers = (unsigned)each_workers[i])));
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* ---- no memory ------------------------------------------------------------------------------------------- */

static int run_small(void *arg) {
    return eddy_run(give_nothing, NULL, NULL, EDDY_RUN(.workers = (unsigned)*(int *)arg));
}

UNIT(run, without_memory_gives_enomem) {
    for (int i = 0; i < 2; i++) EXPECT(test_each_allocation_fails(run_small, (void *)&each_workers[i]) > 5);
}

static int do_nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

static void run_without_standard_descriptors(void *arg) {
    (void)arg;
    close(0);
    close(1);
    _exit(eddy_run(do_nothing, NULL, NULL, EDDY_RUN(.workers = 2)) == 0 ? 0 : 1);
}

/* libuv would abort when its own descriptors got the numbers 0 to 2. */
UNIT(run, starts_without_standard_descriptors) {
    struct test_child child = test_child_run(run_without_standard_descriptors, NULL);
    EXPECT_EQ(0, child.signal);
    EXPECT_EQ(0, child.exit_code);
}
