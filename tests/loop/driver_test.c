/* The libuv driver: deadlines are met within 0.2 ms and never early, other threads wake a sleeping worker, and a loop
 * that has nothing to watch is not turned. */
#include "eddy/loop.h"
#include "eddy/runtime.h"
#include "eddy/signal.h"
#include "eddy/task.h"
#include "harness/test.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* Method: late by less is possible, so the driver does not round; whether it happens is the machine's doing, so it is tried until
 * it does. */
TEST(driver, deadline_is_met_within_200_us_and_never_early, TEST_WITHOUT("thread address valgrind qemu")) {
    int64_t late_ns = INT64_MAX;
    for (int i = 0; late_ns >= EDDY_US(200); i = (i + 1) % 60) {
        int64_t deadline_ns = eddy_time_ns() + EDDY_US(900 + 37 * i);
        EXPECT_OK(eddy_sleep_until(deadline_ns));
        late_ns = eddy_time_ns() - deadline_ns;
        EXPECT(late_ns >= 0);
    }
}

static void *set_from_thread(void *arg) {
    EXPECT_OK(eddy_future_set(arg, EDDY_I64(7)));
    return NULL;
}

TEST(driver, thread_wakes_a_sleeping_worker) {
    for (int i = 0; i < 50; i++) {
        eddy_future *future = eddy_future_create_on(eddy_loop_current(), NULL);
        pthread_t thread;
        EXPECT_EQ(0, pthread_create(&thread, NULL, set_from_thread, eddy_future_share(future)));
        eddy_value value;
        EXPECT_OK(eddy_await(future, &value));
        EXPECT_EQ(7, value.i64);
        pthread_join(thread, NULL);
        eddy_future_release(future);
        eddy_future_release(future);
    }
}

static int sleep_long(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(100));
}

/* The worker sleeps until a far deadline, is woken, and then has a near one. */
TEST(driver, nearer_deadline_replaces_a_farther_one) {
    eddy_task *sleeper;
    EXPECT_OK(eddy_spawn(&sleeper, sleep_long, NULL, NULL));
    test_until_all_parked();
    for (int i = 0; i < 5; i++) {
        eddy_future *future = eddy_future_create_on(eddy_loop_current(), NULL);
        pthread_t thread;
        EXPECT_EQ(0, pthread_create(&thread, NULL, set_from_thread, eddy_future_share(future)));
        EXPECT_OK(eddy_await(future, NULL));
        pthread_join(thread, NULL);
        eddy_future_release(future);
        eddy_future_release(future);
        EXPECT_OK(eddy_sleep(EDDY_MS(1))); /* 100 s would be over the test's limit */
    }
    EXPECT(eddy_cancel(EDDY_FUTURE(sleeper)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(sleeper), NULL));
    eddy_task_release(sleeper);
}

/* ---- the loop for others ---------------------------------------------------------------------- */

struct foreign {
    uv_timer_t timer;
    eddy_future *fired, *closed;
};

static void on_closed(uv_handle_t *handle) {
    EXPECT_OK(eddy_future_set(((struct foreign *)handle->data)->closed, EDDY_NONE));
}

static void on_timer(uv_timer_t *timer) {
    EXPECT_OK(eddy_future_set(((struct foreign *)timer->data)->fired, EDDY_NONE));
    uv_close((uv_handle_t *)timer, on_closed);
}

TEST(driver, a_library_that_speaks_libuv_uses_the_loop) {
    struct foreign foreign = {.fired = eddy_future_create(), .closed = eddy_future_create()};
    foreign.timer.data = &foreign;
    EXPECT_EQ(0, uv_timer_init(eddy_loop_uv(), &foreign.timer));
    EXPECT_EQ(0, uv_timer_start(&foreign.timer, on_timer, 3, 0));
    EXPECT_OK(eddy_await(foreign.fired, NULL));
    EXPECT_OK(eddy_await(foreign.closed, NULL));
    eddy_future_release(foreign.fired);
    eddy_future_release(foreign.closed);
}

static void set_none(void *future) { EXPECT_OK(eddy_future_set(future, EDDY_NONE)); }

static void on_prepare(uv_prepare_t *prepare) { ++*(int *)prepare->data; }

static void set_closed(uv_handle_t *handle) { *(bool *)handle->data = true; }

/* Once somebody has had the loop the worker's own descriptors are served through it: in sleep, and when others are ready. */
TEST(driver, own_descriptors_and_a_library_share_the_worker) {
    test_stay();
    uv_prepare_t prepare;
    int turns = 0;
    EXPECT_EQ(0, uv_prepare_init(eddy_loop_uv(), &prepare));
    prepare.data = &turns;
    EXPECT_EQ(0, uv_prepare_start(&prepare, on_prepare));
    for (int unreferenced = 0; unreferenced < 2; unreferenced++) {
        if (unreferenced) uv_unref((uv_handle_t *)&prepare);
        int fds[2], before = turns;
        char c = 'a';
        struct ed_poll *poll;
        EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
        EXPECT_OK(ed_poll_open(&poll, fds[0]));
        eddy_future *future = eddy_future_create_on(eddy_loop_current(), NULL);
        ed_poll_notify(poll, ED_POLL_READ, set_none, future);
        EXPECT_EQ(1, write(fds[1], &c, 1));
        EXPECT_OK(eddy_await(future, NULL));
        EXPECT(turns > before);
        ed_poll_close(poll);
        close(fds[1]);
        eddy_future_release(future);
    }
    bool closed = false;
    prepare.data = &closed;
    uv_close((uv_handle_t *)&prepare, set_closed);
    while (!closed) EXPECT_OK(eddy_sleep(EDDY_US(100)));
}

/* ---- what libuv calls back just before it waits (U5) --------------------------------------------- */

enum deed { SETS, SPAWNS, CALLS_LATER, DEEDS };

struct before_wait {
    uv_prepare_t prepare;
    uv_timer_t keeps_turning;
    eddy_future *done;
    enum deed deed;
    int turns_left, open;
};

static int set_in_task(void *future, eddy_value *out) {
    (void)out;
    return eddy_future_set(future, EDDY_NONE);
}

static int set_in_call(void *future) { return eddy_future_set(future, EDDY_NONE); }

static void act_before_wait(uv_prepare_t *prepare) {
    struct before_wait *before = prepare->data;
    if (--before->turns_left > 0) return;
    EXPECT_EQ(0, uv_prepare_stop(prepare));
    EXPECT_EQ(0, uv_timer_stop(&before->keeps_turning));
    if (before->deed == SETS) set_none(before->done);
    if (before->deed == SPAWNS) EXPECT_OK(eddy_spawn(NULL, set_in_task, before->done, NULL));
    if (before->deed == CALLS_LATER)
        EXPECT_OK(eddy_call_later(eddy_loop_current(), EDDY_MS(1), set_in_call, before->done, NULL));
}

static void count_closed(uv_handle_t *handle) { ((struct before_wait *)handle->data)->open--; }

static void keep_turning(uv_timer_t *timer) { (void)timer; }

static void act_before_the_nth_wait(enum deed deed, int n) {
    struct before_wait before = {.deed = deed, .turns_left = n, .open = 2};
    before.done = eddy_future_create_on(eddy_loop_current(), NULL);
    before.prepare.data = before.keeps_turning.data = &before;
    EXPECT_EQ(0, uv_prepare_init(eddy_loop_uv(), &before.prepare));
    EXPECT_EQ(0, uv_timer_init(eddy_loop_uv(), &before.keeps_turning));
    EXPECT_EQ(0, uv_prepare_start(&before.prepare, act_before_wait));
    EXPECT_EQ(0, uv_timer_start(&before.keeps_turning, keep_turning, 1, 1));
    EXPECT_OK(eddy_await(before.done, NULL));
    uv_close((uv_handle_t *)&before.prepare, count_closed);
    uv_close((uv_handle_t *)&before.keeps_turning, count_closed);
    while (before.open > 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    eddy_future_release(before.done);
}

/* Some of the turns poll for what is there, most are to wait until something comes, and then nothing else would. */
TEST(driver, what_a_callback_before_the_wait_made_ready_is_not_slept_on) {
    test_stay();
    for (int deed = SETS; deed < DEEDS; deed++)
        for (int n = 1; n <= 4; n++) act_before_the_nth_wait((enum deed)deed, n);
}

static int leave_a_timer(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_EQ(0, uv_timer_init(eddy_loop_uv(), arg));
    return uv_timer_start(arg, (uv_timer_cb)abort, 3600000, 0);
}

UNIT(driver, a_handle_that_was_left_open_does_not_hold_up_the_end) {
    static uv_timer_t timer;
    EXPECT_OK(eddy_run(leave_a_timer, &timer, NULL, EDDY_RUN(.workers = 1)));
    EXPECT(eddy_loop_uv() == NULL);
}

/* A worker that only switches between tasks makes no system call for its empty loop. */
TEST(driver, empty_loop_is_not_polled) {
    if (test_workers() != 1) return; /* others' stealing is not the point */
    eddy_worker_stats before, after;
    EXPECT_OK(eddy_worker_stats_read(0, &before));
    for (int i = 0; i < 10000; i++) EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_worker_stats_read(0, &after));
    EXPECT_EQ(before.polls, after.polls);
}

static void burn(uv_prepare_t *prepare) {
    (void)prepare;
    const int64_t end_ns = eddy_time_ns() + EDDY_MS(20);
    while (eddy_time_ns() < end_ns) continue;
}

static int yield_often(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 200; i++) EXPECT_OK(eddy_yield());
    return 0;
}

static int yield_beside_slow_polls(void *arg, eddy_value *out) {
    static uv_prepare_t prepare;
    eddy_task *task;
    (void)arg, (void)out;
    EXPECT_EQ(0, uv_prepare_init(eddy_loop_uv(), &prepare));
    EXPECT_EQ(0, uv_prepare_start(&prepare, burn));
    EXPECT_OK(eddy_spawn(&task, yield_often, NULL, NULL));
    EXPECT_OK(yield_often(NULL, NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT_EQ(0, uv_prepare_stop(&prepare));
    uv_close((uv_handle_t *)&prepare, NULL);
    return 0;
}

/* Each poll takes longer than a tick: a pass still runs what is ready, and most of the time is the tasks'. */
UNIT(driver, a_long_poll_does_not_keep_tasks_from_running) {
    for (int serial = 0; serial < 2; serial++)
        EXPECT_OK(eddy_run(yield_beside_slow_polls, NULL, NULL, EDDY_RUN(.workers = 1, .serial = serial)));
}
