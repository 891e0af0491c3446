/* Signals as something to wait for: counted, cancelled without loss, from any worker, given back by close. */
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/signal.h"
#include "eddy/task.h"
#include "harness/test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static int wait_for_signal(void *arg, eddy_value *out) {
    (void)out;
    return eddy_signal_wait(arg);
}

TEST(signal, wakes_a_waiter) {
    eddy_signal *signal;
    EXPECT_OK(eddy_signal_open(&signal, SIGUSR1));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, wait_for_signal, signal, NULL)); /* on whichever worker */
    test_until_all_parked();
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT_EQ(1, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    eddy_signal_close(signal);
}

TEST(signal, that_came_before_the_wait_is_counted) {
    eddy_signal *signal, *twin;
    EXPECT_OK(eddy_signal_open(&signal, SIGUSR1));
    EXPECT_OK(eddy_signal_open(&twin, SIGUSR1));
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT_EQ(1, eddy_signal_wait(signal));
    EXPECT_EQ(1, eddy_signal_wait(twin)); /* each gets it */
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_signal_wait(signal)));
    eddy_signal_close(twin);
    EXPECT_EQ(0, kill(getpid(), SIGUSR1)); /* still caught: one is open */
    EXPECT_EQ(1, eddy_signal_wait(signal));
    eddy_signal_close(signal);
}

TEST(signal, one_waiter_at_a_time_and_close_wakes_it) {
    eddy_signal *signal;
    EXPECT_OK(eddy_signal_open(&signal, SIGUSR2));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, wait_for_signal, signal, NULL));
    test_until_all_parked();
    EXPECT_EQ(EDDY_EBUSY, eddy_signal_wait(signal));
    eddy_signal_close(signal);
    EXPECT_EQ(EDDY_ECLOSED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
}

TEST(signal, cancelled_wait_loses_no_signal) {
    eddy_signal *signal;
    EXPECT_OK(eddy_signal_open(&signal, SIGUSR1));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, wait_for_signal, signal, NULL));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT_EQ(1, eddy_signal_wait(signal));
    eddy_signal_close(signal);
}

TEST(signal, that_cannot_be_caught_is_refused) {
    eddy_signal *signal;
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&signal, SIGKILL));
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&signal, SIGSEGV));
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&signal, 12345));
    eddy_signal_close(NULL);
}

/* ---- what the run's end does ------------------------------------------------------------------ */

static char reported[256];

static void keep_report(const eddy_report *report, void *arg) {
    (void)arg;
    strncpy(reported, report->message, sizeof reported - 1);
}

static int leave_open(void *arg, eddy_value *out) {
    (void)out;
    return eddy_signal_open(arg, SIGUSR1);
}

UNIT(signal, left_open_is_reported) {
    eddy_signal *signal;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_signal_open(&signal, SIGUSR1));
    EXPECT_OK(eddy_run(leave_open, &signal, NULL, EDDY_RUN(.workers = 2, .on_exception = keep_report)));
    EXPECT_HAS(reported, "never closed");
    eddy_signal_close(signal); /* the memory is still its owner's */
}

static void die_by_default(void *arg) {
    (void)arg;
    eddy_signal *signal;
    EXPECT_OK(eddy_run(leave_open, &signal, NULL, EDDY_RUN(.workers = 1, .on_exception = keep_report)));
    kill(getpid(), SIGUSR1);
}

UNIT(signal, default_comes_back_after_the_run) {
    struct test_child child = test_child_run(die_by_default, NULL);
    EXPECT_EQ(SIGUSR1, child.signal);
}
