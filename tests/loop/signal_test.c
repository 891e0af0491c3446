/* Signals as something to wait for: counted, cancelled without loss, from any worker, given back by close. */
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/signal.h"
#include "eddy/task.h"
#include "harness/test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static int wait_for_signal(void *arg, eddy_value *out) {
    (void)out;
    return eddy_signal_wait(arg);
}

static void set_fired(uv_timer_t *timer) { EXPECT_OK(eddy_future_set(timer->data, EDDY_NONE)); }

static void set_closed(uv_handle_t *handle) { *(bool *)handle->data = true; }

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

/* ---- where it is taken ------------------------------------------------------------------------- */

static bool is_pending(int signum) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, signum) == 1;
}

static bool is_blocked(int signum) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, signum) == 1;
}

static int take_between_tasks(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_signal *signal, *twin;
    EXPECT(!is_blocked(SIGUSR1));
    EXPECT_OK(eddy_signal_open(&signal, SIGUSR1));
    EXPECT_OK(eddy_signal_open(&twin, SIGUSR1));
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT(is_pending(SIGUSR1)); /* while this task runs */
    EXPECT_EQ(1, eddy_signal_wait(signal));
    EXPECT(!is_pending(SIGUSR1));
    eddy_signal_close(signal);
    EXPECT(is_blocked(SIGUSR1)); /* the twin is open */
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    eddy_signal_close(twin); /* with one pending: the default would end the process */
    EXPECT(!is_pending(SIGUSR1));
    EXPECT(!is_blocked(SIGUSR1));
    return 0;
}

UNIT(signal, is_taken_between_tasks) { EXPECT_OK(eddy_run(take_between_tasks, NULL, NULL, EDDY_RUN(.workers = 1))); }

/* One that was open before the worker's loop was lent, and one that was not: both come, and the loop's own things too. */
TEST(signal, comes_as_well_when_the_loop_is_lent) {
    test_stay();
    eddy_signal *before, *after;
    eddy_future *fired = eddy_future_create_on(eddy_loop_current(), NULL);
    uv_timer_t timer = {.data = fired};
    EXPECT_OK(eddy_signal_open(&before, SIGUSR1));
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT_EQ(0, uv_timer_init(eddy_loop_uv(), &timer));
    EXPECT_EQ(0, uv_timer_start(&timer, set_fired, 1, 0));
    EXPECT_OK(eddy_signal_open(&after, SIGUSR2));
    EXPECT_EQ(1, eddy_signal_wait(before));
    EXPECT_OK(eddy_await(fired, NULL));
    EXPECT_EQ(0, kill(getpid(), SIGUSR1));
    EXPECT_EQ(0, kill(getpid(), SIGUSR2));
    EXPECT_EQ(1, eddy_signal_wait(after));
    EXPECT_EQ(1, eddy_signal_wait(before));
    eddy_signal_close(before);
    eddy_signal_close(after);
    bool closed = false;
    timer.data = &closed;
    uv_close((uv_handle_t *)&timer, set_closed);
    while (!closed) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    eddy_future_release(fired);
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
