/* Executors: E1 to E6. */
#include "contract/rule.h"
#include "eddy/local.h"
#include "eddy/process_call.h"
#include "exec/process_helpers.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Functions of a pool wait here until the gate is open. */
struct gate {
    _Atomic bool open;
    _Atomic int inside, ended;
};
static int pass_gate(void *arg, eddy_value *out) {
    struct gate *gate = arg;
    (void)out;
    gate->inside++;
    while (!gate->open && !eddy_job_cancelled()) usleep(200);
    gate->ended++;
    return 0;
}
static void until_inside(struct gate *gate, int count) {
    while (gate->inside < count) EXPECT_OK(eddy_yield());
}
static int borrow(void *arg, eddy_value *out) { return eddy_to_thread(pass_gate, arg, out); }
static int pass_gate_deaf(void *arg, eddy_value *out) { /* to cancels */
    struct gate *gate = arg;
    (void)out;
    gate->inside++;
    while (!gate->open) usleep(200);
    gate->ended++;
    return 0;
}
static int abandon(void *arg, eddy_value *out) { return eddy_to_thread_abandon(pass_gate_deaf, arg, NULL, out); }
static eddy_task *spawn_one(eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fn, arg, NULL));
    return task;
}
static int end_one(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

/* ---- E1: to_thread --------------------------------------------------------------------------------------- */

static const eddy_local color = EDDY_LOCAL("color", NULL);

static int see_color(void *arg, eddy_value *out) {
    EXPECT_EQ(-1, eddy_worker_index()); /* not on a worker */
    *out = eddy_local_get(&color, EDDY_I64(-1));
    EXPECT_OK(eddy_local_set(&color, EDDY_I64(*(int64_t *)arg), NULL));
    return 0;
}

RULE(E1_runs_in_a_thread_of_the_default_pool_in_a_copy_of_the_context, TEST_REAL) {
    int64_t other = 9;
    eddy_value value;
    EXPECT_OK(eddy_local_set(&color, EDDY_I64(4), NULL));
    EXPECT_OK(eddy_to_thread(see_color, &other, &value));
    EXPECT_EQ(4, value.i64);
    EXPECT_EQ(4, eddy_local_get(&color, EDDY_I64(-1)).i64);
    eddy_thread_pool_stats stats;
    eddy_thread_pool_stats_read(NULL, &stats);
    EXPECT_EQ(1, stats.done);
}

RULE(E1_a_cancel_of_the_abandoning_form_returns_at_once, TEST_REAL) {
    static struct gate gate; /* taken by the job */
    eddy_task *task = spawn_one(abandon, &gate);
    until_inside(&gate, 1);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_one(task));
    EXPECT_EQ(0, gate.ended); /* the thread runs on */
    gate.open = true;
}

RULE(E1_a_cancel_of_the_borrowing_form_waits_for_the_end, TEST_REAL) {
    struct gate gate = {0};
    eddy_task *task = spawn_one(borrow, &gate);
    until_inside(&gate, 1);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_one(task));
    EXPECT_EQ(1, gate.ended); /* its flag told it */
}

static _Atomic bool begun, let_on, ran_on;
static int run_on(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    begun = true;
    while (!let_on) usleep(200);
    usleep(20000); /* while the run ends */
    ran_on = true;
    return 0;
}
static int abandon_run_on(void *arg, eddy_value *out) { return eddy_to_thread_abandon(run_on, arg, NULL, out); }
static int leave_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task = spawn_one(abandon_run_on, NULL);
    while (!begun) EXPECT_OK(eddy_yield()); /* before that it would be taken back */
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_one(task));
    let_on = true;
    return 0;
}

UNIT(contract, E1_the_end_of_the_run_waits_for_the_thread) {
    for (unsigned i = 0; i < 4; i++) {
        begun = let_on = ran_on = false;
        EXPECT_OK(eddy_run(leave_it, NULL, NULL, EDDY_RUN(.workers = 1 + i % 2, .serial = i < 2)));
        EXPECT(ran_on);
    }
}

/* ---- E2: the thread pool --------------------------------------------------------------------------------- */

static int nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}
static unsigned threads_of(eddy_thread_pool *pool) {
    eddy_thread_pool_stats stats;
    eddy_thread_pool_stats_read(pool, &stats);
    return stats.threads;
}

RULE(E2_threads_start_on_demand_and_idle_ones_are_used_again, TEST_REAL) {
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 8)));
    EXPECT_EQ(0, threads_of(pool));
    for (int i = 0; i < 20; i++) {
        EXPECT_OK(eddy_thread_pool_run(pool, nothing, NULL, NULL));
        EXPECT(threads_of(pool) <= 2); /* one that is about to be idle is not idle yet */
    }
    EXPECT_OK(eddy_thread_pool_close(pool));
}

RULE(E2_the_default_pool_has_at_most_cpus_and_4_threads, TEST_REAL) {
    enum { COUNT = 60 };
    struct gate gate = {0};
    eddy_task *tasks[COUNT];
    long most = sysconf(_SC_NPROCESSORS_ONLN) + 4;
    for (int i = 0; i < COUNT; i++) tasks[i] = spawn_one(borrow, &gate);
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(NULL, &stats);
    } while (stats.running + stats.queued < COUNT);
    EXPECT(stats.threads <= (most < 32 ? most : 32));
    EXPECT(stats.queued > 0);
    gate.open = true;
    for (int i = 0; i < COUNT; i++) EXPECT_OK(end_one(tasks[i]));
}

static int refuse(void *arg) {
    (void)arg;
    return eddy_fail(-13, "no such database");
}
struct call {
    eddy_thread_pool *pool;
    struct gate *gate;
};
static int run_in_pool(void *arg, eddy_value *out) {
    struct call *call = arg;
    return eddy_thread_pool_run(call->pool, pass_gate, call->gate, out);
}

RULE(E2_a_failing_initializer_breaks_the_pool_for_all_pending_work, TEST_REAL) {
    struct gate gate = {.open = true};
    eddy_thread_pool *pool;
    eddy_task *tasks[4];
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1, .initializer = refuse)));
    struct call call = {pool, &gate};
    for (int i = 0; i < 4; i++) tasks[i] = spawn_one(run_in_pool, &call);
    for (int i = 0; i < 4; i++) EXPECT_EQ(EDDY_EBROKENPOOL, end_one(tasks[i]));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "no such database");
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_thread_pool_run(pool, nothing, NULL, NULL)); /* and for all later work */
    EXPECT_EQ(0, gate.inside);
    EXPECT_OK(eddy_thread_pool_close(pool));
}

/* ---- E3 to E5: the process pool -------------------------------------------------------------------------- */

RULE(E3_abandoned_work_that_was_handed_over_is_not_cancelled, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_process_pool_stats stats;
    struct help_gate gate;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    help_gate_init(&gate, pool);
    eddy_task *task = spawn_one(help_gate_task, &gate);
    help_until(pool, 1, 0);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_one(task));
    help_gate_open(&gate);
    help_until(pool, 0, 0);
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(1, stats.done); /* it ran to its end */
    EXPECT_EQ(0, stats.kills);
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
}

RULE(E3_by_default_a_cancel_kills_the_work, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task = spawn_one(help_begin_task, &gate);
    EXPECT_EQ(1, help_gate_until_open(&gate)); /* before that it would be taken back */
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_one(task));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(1, stats.kills);
    int pid;
    EXPECT_OK(help_pid(pool, &pid)); /* the pool goes on */
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* Two calls on two processes, of which the first is killed: how many of the calls fail. */
static int failures_after_a_death(enum eddy_on_death on_death, bool *broken_out) {
    eddy_process_pool *pool;
    eddy_task *tasks[2];
    struct help_gate begins, stays;
    int first, pid;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2, .on_death = on_death)));
    help_gate_init(&begins, pool);
    help_gate_init(&stays, pool);
    strcat(stays.path, "-stays");
    tasks[0] = spawn_one(help_begin_task, &begins);
    EXPECT_EQ(1, help_gate_until_open(&begins)); /* a call that has not begun would move to another process */
    EXPECT_EQ(1, eddy_process_pool_pids(pool, &first, 1));
    tasks[1] = spawn_one(help_gate_task, &stays);
    help_until(pool, 2, 0);
    kill(first, SIGKILL);
    int failed = end_one(tasks[0]) == EDDY_EBROKENPOOL;
    if (on_death == EDDY_RESPAWN) help_gate_open(&stays);
    failed += end_one(tasks[1]) == EDDY_EBROKENPOOL;
    *broken_out = help_pid(pool, &pid) == EDDY_EBROKENPOOL;
    eddy_handled();
    if (on_death == EDDY_RESPAWN) help_gate_deinit(&stays);
    help_gate_deinit(&begins);
    EXPECT_OK(eddy_process_pool_close(pool));
    return failed;
}

RULE(E4_with_fail_all_a_death_fails_all_work, TEST_REAL, NEEDS_PROCESSES) {
    bool broken;
    EXPECT_EQ(2, failures_after_a_death(EDDY_FAIL_ALL, &broken));
    EXPECT(broken);
}

RULE(E4_by_default_only_the_call_that_died_fails, TEST_REAL, NEEDS_PROCESSES) {
    bool broken;
    EXPECT_EQ(1, failures_after_a_death(EDDY_RESPAWN, &broken));
    EXPECT(!broken);
}

RULE(E5_processes_are_replaced_after_max_tasks, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    int pids[6];
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .max_tasks = 2)));
    for (int i = 0; i < 6; i++) EXPECT_OK(help_pid(pool, &pids[i]));
    for (int i = 1; i < 6; i++) EXPECT((pids[i] == pids[i - 1]) == (i % 2 == 1));
    EXPECT_OK(eddy_process_pool_close(pool));
}

static int contract_refuse(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return eddy_fail(-2, "no model file");
}
EDDY_REMOTE(contract_refuse);

RULE(E5_a_failing_initializer_breaks_the_pool, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    int pid;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .initializer = contract_refuse)));
    EXPECT_EQ(EDDY_EBROKENPOOL, help_pid(pool, &pid));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "no model file");
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* ---- E6: shutdown ---------------------------------------------------------------------------------------- */

static int close_pool(void *arg, eddy_value *out) {
    (void)out;
    return eddy_thread_pool_close(arg);
}

RULE(E6_shutdown_refuses_new_work_and_ends_queued_and_started, TEST_REAL) {
    struct gate gate = {0};
    eddy_thread_pool *pool;
    eddy_task *tasks[3];
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1)));
    struct call call = {pool, &gate};
    for (int i = 0; i < 3; i++) tasks[i] = spawn_one(run_in_pool, &call);
    until_inside(&gate, 1);
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.queued < 2);
    eddy_task *closer = spawn_one(close_pool, pool);
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECLOSED, eddy_thread_pool_run(pool, nothing, NULL, NULL));
    EXPECT(!eddy_future_done(EDDY_FUTURE(closer)));
    gate.open = true;
    for (int i = 0; i < 3; i++) EXPECT_OK(end_one(tasks[i])); /* queued work still runs */
    EXPECT_OK(end_one(closer));
    EXPECT_EQ(3, gate.ended);
}

static int cancel_pool(void *arg, eddy_value *out) {
    (void)out;
    return eddy_thread_pool_cancel(arg);
}

RULE(E6_cancel_futures_takes_queued_work_back_and_ends_started, TEST_REAL) {
    struct gate gate = {0};
    eddy_thread_pool *pool;
    eddy_task *tasks[3];
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1)));
    struct call call = {pool, &gate};
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_one(run_in_pool, &call);
        if (i == 0) until_inside(&gate, 1);
    }
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.queued < 2);
    eddy_task *closer = spawn_one(cancel_pool, pool);
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECLOSED, eddy_thread_pool_run(pool, nothing, NULL, NULL));
    EXPECT(eddy_future_done(EDDY_FUTURE(tasks[1])));
    EXPECT(eddy_future_done(EDDY_FUTURE(tasks[2])));
    EXPECT(!eddy_future_done(EDDY_FUTURE(tasks[0])));
    gate.open = true;
    EXPECT_OK(end_one(tasks[0]));
    for (int i = 1; i < 3; i++) EXPECT_EQ(EDDY_ECANCELED, end_one(tasks[i]));
    EXPECT_OK(end_one(closer));
    EXPECT_EQ(1, gate.ended);
}

/* CPython 3.14: read, not run. */
RULE(E6_kill_workers_fails_queued_and_started_work, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_task *tasks[2];
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (int i = 0; i < 2; i++) tasks[i] = spawn_one(help_spin_task, pool);
    help_until(pool, 1, 1);
    EXPECT_OK(eddy_process_pool_kill(pool));
    for (int i = 0; i < 2; i++) EXPECT_EQ(EDDY_EBROKENPOOL, end_one(tasks[i]));
}

/* CPython 3.14: read, not run; there the signal ends the worker, here its function may end by itself. */
static int until_told(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    while (!eddy_process_cancelled()) usleep(200);
    return eddy_bytes_copy(out, "told", 4);
}
EDDY_REMOTE(until_told);

static int until_told_task(void *pool, eddy_value *out) {
    (void)out;
    return eddy_process_pool_run(pool, until_told, eddy_bytes_view("", 0), NULL);
}

RULE(E6_terminate_workers_asks_started_work_to_end_and_fails_queued_work, TEST_REAL, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_task *tasks[2];
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (size_t i = 0; i < 2; i++) {
        tasks[i] = spawn_one(until_told_task, pool);
        help_until(pool, 1, i);
    }
    EXPECT_OK(eddy_process_pool_terminate(pool, EDDY_FOREVER));
    EXPECT_EQ(0, end_one(tasks[0]));
    EXPECT_EQ(EDDY_EBROKENPOOL, end_one(tasks[1]));
}

static int contract_fail(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return eddy_fail(-5, "the remote text");
}
EDDY_REMOTE(contract_fail);

RULE(E6_a_failure_carries_the_remote_text, TEST_REAL, NEEDS_PROCESSES) {
    EXPECT_EQ(-5, eddy_to_process(contract_fail, eddy_bytes_view("", 0), NULL));
    EXPECT_STR("the remote text", eddy_error_text(eddy_error_current(-5)));
}
