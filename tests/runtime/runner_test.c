/* A runner keeps its runtime between runs: tasks, the loop, the workers; closing it ends what is left. */
#include "task/core_testing.h"

#include <signal.h>
#include <unistd.h>

static int give_arg(void *arg, eddy_value *out) {
    int status = eddy_sleep(EDDY_US(100));
    *out = EDDY_I64(*(int64_t *)arg);
    return status;
}
static int fail(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return -77;
}

UNIT(runner, runs_one_main_after_the_other) {
    for (unsigned workers = 1; workers <= 8; workers *= 2)
        for (int serial = 0; serial < 2; serial++) {
            eddy_runner *runner;
            EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = workers, .serial = serial)));
            for (int64_t i = 0; i < 20; i++) {
                eddy_value value;
                EXPECT_OK(eddy_runner_run(runner, give_arg, &i, &value));
                EXPECT_EQ(i, value.i64);
            }
            EXPECT_EQ(-77, eddy_runner_run(runner, fail, NULL, NULL));
            EXPECT_OK(eddy_runner_run(runner, give_nothing, NULL, NULL));
            EXPECT_OK(eddy_runner_close(runner));
            EXPECT_EQ(0, ed_alloc_live_bytes());
        }
}

/* ---- what is kept ------------------------------------------------------------------------------------------ */

struct kept {
    eddy_loop *loop;
    eddy_task *task;
    _Atomic int ticks;
    _Atomic bool cancelled;
};
static int tick(void *arg, eddy_value *out) {
    struct kept *kept = arg;
    int status;
    (void)out;
    while ((status = eddy_sleep(EDDY_US(200))) == 0) kept->ticks++;
    kept->cancelled = status == EDDY_ECANCELED;
    return status;
}
static int leave_one(void *arg, eddy_value *out) {
    struct kept *kept = arg;
    (void)out;
    kept->loop = eddy_loop_current();
    return eddy_spawn(&kept->task, tick, kept, NULL);
}
static int find_it(void *arg, eddy_value *out) {
    struct kept *kept = arg;
    (void)out;
    EXPECT(kept->loop == eddy_loop_current());
    EXPECT(!eddy_future_done(EDDY_FUTURE(kept->task)));
    eddy_task *tasks[4];
    EXPECT_EQ(2, eddy_all_tasks(tasks, 4)); /* it, and this main: no task of the runner's own */
    eddy_task_release(tasks[0]);
    eddy_task_release(tasks[1]);
    eddy_task_release(kept->task);
    return 0;
}
static int set_flag(void *arg) {
    *(_Atomic bool *)arg = true;
    return 0;
}
UNIT(runner, keeps_tasks_and_loop_until_it_is_closed) {
    for (int serial = 0; serial < 2; serial++) {
        eddy_runner *runner;
        struct kept kept = {0};
        EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = 2, .serial = serial)));
        EXPECT_OK(eddy_runner_run(runner, leave_one, &kept, NULL));
        int ticks = kept.ticks;
        while (kept.ticks < ticks + 3) usleep(100); /* it goes on between two runs */
        EXPECT(eddy_runner_loop(runner) == kept.loop);
        _Atomic bool called = false;
        EXPECT_OK(eddy_call_soon_threadsafe(kept.loop, set_flag, &called, NULL));
        while (!called) usleep(100);
        EXPECT_OK(eddy_runner_run(runner, find_it, &kept, NULL));
        EXPECT_OK(eddy_runner_close(runner));
        EXPECT(kept.cancelled);
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
    EXPECT_OK(eddy_runner_close(NULL));
}

/* ---- SIGINT ------------------------------------------------------------------------------------------------ */

static int interrupt_self(void *arg, eddy_value *out) {
    EXPECT_EQ(0, kill(getpid(), SIGINT));
    int status = sleep_forever(arg, out);
    EXPECT_EQ(EDDY_ECANCELED, status);
    return status;
}
static int swallow_one(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, interrupt_self(arg, out));
    EXPECT_EQ(0, kill(getpid(), SIGINT));
    return sleep_forever(arg, out);
}
UNIT(runner, sigint_ends_the_main_that_runs) {
    eddy_runner *runner;
    EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = 2, .handle_sigint = true)));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EINTERRUPTED, eddy_runner_run(runner, interrupt_self, NULL, NULL));
        EXPECT_EQ(EDDY_EINTERRUPTED, eddy_runner_run(runner, swallow_one, NULL, NULL));
        EXPECT_OK(eddy_runner_run(runner, give_nothing, NULL, NULL));
    }
    EXPECT_OK(eddy_runner_close(runner));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

/* ---- wrong use, no memory ------------------------------------------------------------------------------------ */

static int use_inside(void *arg, eddy_value *out) {
    eddy_runner *runner = arg, *other;
    (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_runner_run(runner, give_nothing, NULL, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_runner_close(runner));
    EXPECT_EQ(EDDY_ESTATE, eddy_runner_open(&other, NULL));
    return 0;
}
UNIT(runner, refuses_wrong_use) {
    eddy_runner *runner;
    eddy_run_options wrong = {0};
    EXPECT_EQ(EDDY_EINVAL, eddy_runner_open(&runner, &wrong));
    EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = 1)));
    EXPECT_EQ(EDDY_EINVAL, eddy_runner_run(runner, NULL, NULL, NULL));
    EXPECT_OK(eddy_runner_run(runner, use_inside, runner, NULL));
    EXPECT_OK(eddy_runner_close(runner));
}

static int open_and_close(void *arg) {
    eddy_runner *runner;
    int status = eddy_runner_open(&runner, EDDY_RUN(.workers = 1));
    if (status < 0) return status;
    status = eddy_runner_run(runner, give_nothing, arg, NULL);
    int closed = eddy_runner_close(runner);
    return status < 0 ? status : closed;
}
UNIT(runner, does_without_memory) { EXPECT(test_each_allocation_fails(open_and_close, NULL) > 4); }
