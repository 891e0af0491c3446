/* driver.c: how a worker sleeps and wakes: the core's driver on libuv.
 *
 * Problem    A sleeping worker must wake at once for another thread, within 0.2 ms of a deadline and for every
 *            descriptor; a busy one must ask the system rarely and cheaply.
 * Idea       One uv_loop per worker. Two own descriptors in it, armed for good: an eventfd that other threads
 *            write, and a timerfd for deadlines, because libuv's timeout counts whole milliseconds. The
 *            timerfd is set only when the deadline differs from what it is set to; one that is out of date
 *            wakes once too often, which is harmless. (uv_async is not used: its receiver spins, and libuv needs
 *            an eventfd for it as well.)
 * Invariants (U1) Own handles are unreferenced except while the worker sleeps, so uv_loop_alive() tells whether
 *            anybody else has something in the loop, and a poll for nothing is no system call.
 *            (U2) armed_ns is what timer_fd is set to, INT64_MAX after it has gone off.
 * Ordering   wake() writes the eventfd after the waker's read-modify-write of the sleep word (sched/idle.c); it
 *            stays readable until the sleeper reads it, so a wake before the sleep ends that sleep.
 * Threads    wake, now: any. The rest: the worker.
 * Not here   Descriptors (poller.c), who waits for one (poll.c); when to sleep (sched/idle.c).
 * Tests      tests/loop/driver_test.c. */
#include "loop/uvloop.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int64_t now_ns(struct ed_worker *worker) {
    (void)worker;
    return ed_clock_ns();
}

/* ---- waking ----------------------------------------------------------------------------------- */

/* Reads a counter descriptor empty, so that it is not readable any more. */
static void drain_counter(int fd) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* EAGAIN: somebody else's event; nothing to empty */
}

static void on_wake(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    drain_counter(((struct ed_loop *)handle->data)->wake_fd);
}

static void wake(struct ed_worker *worker) {
    const uint64_t one = 1;
    ssize_t put = write(ed_loop_of(worker)->wake_fd, &one, sizeof one);
    (void)put; /* EAGAIN: the counter is full, so it is readable */
}

static void on_timer(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    struct ed_loop *loop = handle->data;
    drain_counter(loop->timer_fd);
    loop->armed_ns = INT64_MAX;
}

static void arm_timer(struct ed_loop *loop, int64_t deadline_ns) {
    if (deadline_ns == INT64_MAX || deadline_ns == loop->armed_ns) return;
    const struct itimerspec at = {.it_value = {deadline_ns / 1000000000, deadline_ns % 1000000000}};
    int failed = timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    ED_ASSERT(failed == 0);
    loop->armed_ns = deadline_ns;
}

/* ---- polling ---------------------------------------------------------------------------------- */

static bool holds_io(struct ed_worker *worker) {
    struct ed_loop *loop = ed_loop_of(worker);
    return uv_loop_alive(&loop->uv) || !ed_list_empty(&worker->flushes);
}

static void poll(struct ed_worker *worker, int64_t deadline_ns) {
    struct ed_loop *loop = ed_loop_of(worker);
    ed_flush_run(worker);
    bool sleeps = deadline_ns != ED_POLL_NOW && (deadline_ns == INT64_MAX || deadline_ns > now_ns(worker));
    if (!sleeps || ed_anybody_waits(worker)) { /* a flush may have woken somebody */
        if (uv_loop_alive(&loop->uv)) uv_run(&loop->uv, UV_RUN_NOWAIT);
        return;
    }
    arm_timer(loop, deadline_ns);
    uv_ref((uv_handle_t *)&loop->wake_poll);
    uv_run(&loop->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&loop->wake_poll);
}

/* ---- guests ----------------------------------------------------------------------------------- */

int ed_guest_fd(struct ed_worker *worker) { return uv_backend_fd(&ed_loop_of(worker)->uv); }

/* The system learns of new descriptors in a poll only, so there is one behind everything else. Timers that a user has in
 * the loop go off by ours: the host does not know libuv's timeout. */
void ed_guest_poll(struct ed_worker *worker, int64_t deadline_ns) {
    struct ed_loop *loop = ed_loop_of(worker);
    ed_flush_run(worker);
    uv_ref((uv_handle_t *)&loop->wake_poll);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_unref((uv_handle_t *)&loop->wake_poll);
    int timeout_ms = uv_backend_timeout(&loop->uv);
    int64_t at_ns = timeout_ms > 0 ? now_ns(worker) + EDDY_MS(timeout_ms) : INT64_MAX;
    arm_timer(loop, at_ns < deadline_ns ? at_ns : deadline_ns);
}

/* ---- opening and closing ---------------------------------------------------------------------- */

static int watch(struct ed_loop *loop, uv_poll_t *handle, int fd, uv_poll_cb on_event) {
    int status = uv_poll_init(&loop->uv, handle, fd);
    if (status < 0) return status;
    handle->data = loop;
    status = uv_poll_start(handle, UV_READABLE, on_event);
    ED_ASSERT(status == 0);
    uv_unref((uv_handle_t *)handle);
    return 0;
}

/* Both descriptors, or neither. */
static int open_own(struct ed_loop *loop) {
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) return -errno;
    int status = watch(loop, &loop->wake_poll, loop->wake_fd, on_wake);
    if (status < 0) goto close_wake;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    status = loop->timer_fd < 0 ? -errno : watch(loop, &loop->timer_poll, loop->timer_fd, on_timer);
    if (status < 0) goto close_timer;
    return 0;

close_timer:
    if (loop->timer_fd >= 0) close(loop->timer_fd);
    uv_close((uv_handle_t *)&loop->wake_poll, NULL);
close_wake:
    close(loop->wake_fd);
    return status;
}

static void close_foreign(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

/* Runs the close callbacks of all that is being closed, then the loop is no more. */
static void close_uv(struct ed_loop *loop) {
    uv_walk(&loop->uv, close_foreign, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int status = uv_loop_close(&loop->uv);
    ED_ASSERT(status == 0);
}

static int open_driver(struct ed_worker *worker) {
    struct ed_loop *loop = ed_calloc(sizeof *loop);
    if (loop == NULL) return EDDY_ENOMEM;
    loop->worker = worker;
    loop->armed_ns = INT64_MAX;
    ed_list_init(&loop->signals);

    int status = uv_loop_init(&loop->uv);
    if (status < 0) goto free_loop;
    status = open_own(loop);
    if (status < 0) goto close_loop;
    worker->driver_data = loop;
    return 0;

close_loop:
    close_uv(loop);
free_loop:
    ed_free(loop);
    return ed_uv_status(status);
}

static void close_driver(struct ed_worker *worker) {
    struct ed_loop *loop = ed_loop_of(worker);
    ed_flush_run(worker);
    ed_signals_close(loop);
    uv_close((uv_handle_t *)&loop->timer_poll, NULL);
    uv_close((uv_handle_t *)&loop->wake_poll, NULL);
    close_uv(loop);
    close(loop->timer_fd);
    close(loop->wake_fd);
    worker->driver_data = NULL;
    ed_free(loop);
}

const struct ed_driver ed_uv_driver = {
    .open = open_driver,
    .close = close_driver,
    .poll = poll,
    .wake = wake,
    .now = now_ns,
    .holds_io = holds_io,
    .poller_bytes = sizeof(struct ed_uv_poller),
    .poller_open = ed_uv_poller_open,
    .poller_set = ed_uv_poller_set,
    .poller_close = ed_uv_poller_close,
    .sockets = &ed_system_sockets,
    .adopt = ed_uv_adopt,
};
