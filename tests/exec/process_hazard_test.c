/* process_hazard_test.c: worker processes that are stopped (SIGSTOP: a debugger, a freezer): no call waits for them longer than its
 * caller, and they outlive nobody. Other hazards of worker processes: process_life_test.c (deaths, liars, a killed parent), and
 * tests/checks/worker_start.sh (the hook not linked, plug-ins, replaced programs, set-user-id, no /proc). */
#include "exec/process_helpers.h"

#include "eddy/process_call.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* A worker that is stopped while it runs a call that never ends. */
static eddy_task *stop_at_work(eddy_process_pool *pool, int *pid_out) {
    struct help_gate gate;
    eddy_task *task;
    help_gate_init(&gate, pool);
    EXPECT_OK(eddy_spawn(&task, help_begin_task, &gate, NULL));
    EXPECT_EQ(1, help_gate_until_open(&gate));
    help_gate_deinit(&gate);
    EXPECT_EQ(1, eddy_process_pool_pids(pool, pid_out, 1));
    EXPECT_EQ(0, kill(*pid_out, SIGSTOP));
    return task;
}

static void expect_gone(int pid) {
    EXPECT_EQ(-1, kill(pid, 0));
    EXPECT_EQ(ESRCH, test_errno());
}

TEST(process_hazard, a_cancel_kills_a_stopped_worker, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .grace_ns = EDDY_MS(5))));
    int pid, after;
    eddy_task *task = stop_at_work(pool, &pid);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    expect_gone(pid);
    EXPECT_EQ(0, help_pid(pool, &after)); /* by another one */
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* A call that a stopped worker has not begun is taken back, and the worker goes on when it may. */
TEST(process_hazard, a_stopped_idle_worker_is_not_killed_for_it, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    int pid, after;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_EQ(0, kill(pid, SIGSTOP));
    for (int i = 0; i < 3; i++) {
        const int status = EDDY_TIMEOUT(EDDY_MS(10), help_pid(pool, &after));
        /* the signal and the call may cross: then the call was begun, perhaps answered */
        EXPECT(status == EDDY_ETIMEDOUT || status == 0);
    }
    eddy_handled();
    kill(pid, SIGCONT);
    EXPECT_EQ(0, help_pid(pool, &after));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT(pid == after || stats.kills > 0);
    EXPECT_EQ(0, stats.deaths);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_hazard, terminate_and_kill_end_stopped_workers, NEEDS_PROCESSES) {
    for (int kills = 0; kills < 2; kills++) {
        eddy_process_pool *pool;
        EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
        int pid;
        eddy_task *task = stop_at_work(pool, &pid);
        EXPECT_OK(kills ? eddy_process_pool_kill(pool) : eddy_process_pool_terminate(pool, EDDY_MS(5)));
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(task), NULL));
        eddy_handled();
        eddy_task_release(task);
        expect_gone(pid);
        help_no_children();
    }
}

static int leave_one_stopped(void *arg, eddy_value *out) {
    eddy_process_pool *pool;
    (void)out;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    EXPECT_EQ(0, help_pid(pool, arg));
    return kill(*(int *)arg, SIGSTOP);
}

/* An idle one: it cannot read that it is to end. */
UNIT(process_hazard, the_end_of_the_run_ends_a_stopped_worker, NEEDS_PROCESSES) {
    int pid;
    EXPECT_OK(eddy_run(leave_one_stopped, &pid, NULL, EDDY_RUN(.workers = 2, .shutdown_ns = EDDY_MS(50))));
    expect_gone(pid);
    help_no_children();
}

static int stop_and_wait(void *arg, eddy_value *out) {
    const int pipe = *(int *)arg;
    int pid;
    (void)out;
    EXPECT_OK(leave_one_stopped(&pid, NULL));
    EXPECT_EQ(sizeof pid, write(pipe, &pid, sizeof pid));
    return eddy_sleep(EDDY_FOREVER);
}

static bool is_gone(int pid) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'X';
    fclose(file);
    return state == 'Z' || state == 'X'; /* somebody else's to wait for */
}

UNIT(process_hazard, a_killed_parent_leaves_no_stopped_worker, NEEDS_PROCESSES) {
    int pipes[2], pid;
    EXPECT_EQ(0, pipe2(pipes, O_CLOEXEC));
    const pid_t parent = fork();
    if (parent == 0) {
        eddy_run(stop_and_wait, &pipes[1], NULL, EDDY_RUN(.workers = 2));
        _exit(1);
    }
    close(pipes[1]);
    EXPECT_EQ(sizeof pid, read(pipes[0], &pid, sizeof pid));
    close(pipes[0]);
    EXPECT(!is_gone(pid));
    kill(parent, SIGKILL);
    EXPECT_EQ(parent, waitpid(parent, NULL, 0));
    while (!is_gone(pid)) usleep(1000); /* the harness has a limit */
}
