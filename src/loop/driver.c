/* driver.c: how a worker sleeps and wakes: the core's driver on libuv.
 *
 * Problem    A sleeping worker must wake at once for another thread, within 0.2 ms of a deadline and for every
 *            descriptor; a busy one must ask the system rarely and cheaply.
 * Idea       A worker waits for its own set of descriptors (poller.c). Two of them are there for good: an eventfd that other
 *            threads write, and a timerfd for deadlines. The timerfd is set only when the deadline differs from what
 *            it is set to; one that is out of date wakes once too often, which is harmless. libuv's loop stands beside
 *            it. For signals its descriptor lies in the set, and the loop is run when that is readable: a server with a
 *            signal pays nothing for it. Once a user was given the loop the worker runs it instead, and the set is one
 *            descriptor in it. (uv_async is not used: its receiver spins, and libuv needs an eventfd for it as well;
 *            uv_timer counts whole milliseconds.)
 * States     place: UNUSED -> INSIDE (the first signal) -> AROUND (the first user, or a guest's worker), or UNUSED -> AROUND;
 *            never back. INSIDE is for signals only, since a callback that adds a descriptor to libuv's loop needs another
 *            round of it before the system knows; those of signals add none.
 * Invariants (U1) The set's own handle in libuv's loop is unreferenced but while the loop runs, so uv_loop_alive() tells
 *            whether anybody else has something in it, and a poll for nothing is no system call.
 *            (U2) armed_ns is what the timerfd is set to, INT64_MAX after it has gone off.
 *            (U3) Neither epoll descriptor lies in the other, or the one in the other as `place` tells: never both.
 *            (U4) INSIDE: uv_asked if a handle was begun or closed since the loop ran; it runs before the worker sleeps.
 *            (U5) AROUND: libuv calls back before it waits as well: timers that are due (to libuv 1.44), prepare handles.
 *            What those made ready, or put a timer before, is looked at last of all, and the loop then does not wait.
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

static void on_wake(struct ed_poller *poller, unsigned directions, bool disarmed) {
    (void)directions, (void)disarmed;
    drain_counter(poller->fd);
}

static void wake(struct ed_worker *worker) {
    const uint64_t one = 1;
    ssize_t put = write(ed_loop_of(worker)->wake.poller.fd, &one, sizeof one);
    (void)put; /* EAGAIN: the counter is full, so it is readable */
}

static void on_timer(struct ed_poller *poller, unsigned directions, bool disarmed) {
    (void)directions, (void)disarmed;
    drain_counter(poller->fd);
    ed_loop_of(poller->worker)->armed_ns = INT64_MAX;
}

static void arm_timer(struct ed_loop *loop, int64_t deadline_ns) {
    if (deadline_ns == INT64_MAX || deadline_ns == loop->armed_ns) return;
    const struct itimerspec at = {.it_value = {deadline_ns / 1000000000, deadline_ns % 1000000000}};
    int failed = timerfd_settime(loop->timer.poller.fd, TFD_TIMER_ABSTIME, &at, NULL);
    ED_ASSERT(failed == 0);
    loop->armed_ns = deadline_ns;
}

/* ---- polling ---------------------------------------------------------------------------------- */

static void on_set(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    ed_set_take(handle->data, false);
}

/* U5. The first of the prepare handles to be started is the last to be called. */
static void on_about_to_wait(uv_prepare_t *handle) {
    struct ed_loop *loop = handle->data;
    if (ed_anything_ready(loop->worker) || ed_timers_next(loop->worker) < loop->waits_until_ns) uv_stop(&loop->uv);
}

/* libuv's loop, with the set in it. */
static void run_uv(struct ed_loop *loop, uv_run_mode mode, int64_t deadline_ns) {
    loop->waits_until_ns = deadline_ns;
    uv_ref((uv_handle_t *)&loop->in_uv);
    uv_run(&loop->uv, mode);
    uv_unref((uv_handle_t *)&loop->in_uv);
}

static void on_uv(struct ed_poller *poller, unsigned directions, bool disarmed) {
    (void)directions, (void)disarmed;
    uv_run(&ed_loop_of(poller->worker)->uv, UV_RUN_NOWAIT);
}

uv_loop_t *ed_loop_for_signals(struct ed_loop *loop) {
    if (loop->place == ED_UV_UNUSED) {
        loop->in_set.poller =
            (struct ed_poller){.worker = loop->worker, .fd = uv_backend_fd(&loop->uv), .event = on_uv};
        if (ed_set_add(loop, &loop->in_set, ED_READABLE) < 0) return NULL;
        loop->place = ED_UV_INSIDE;
    }
    return &loop->uv;
}

uv_loop_t *ed_loop_lend(struct ed_loop *loop) {
    if (loop->place == ED_UV_AROUND) return &loop->uv;
    if (loop->place == ED_UV_INSIDE) ed_set_remove(loop, &loop->in_set);
    int status = uv_poll_start(&loop->in_uv, UV_READABLE, on_set);
    ED_ASSERT(status == 0);
    uv_unref((uv_handle_t *)&loop->in_uv);
    uv_prepare_init(&loop->uv, &loop->about_to_wait);
    loop->about_to_wait.data = loop;
    uv_prepare_start(&loop->about_to_wait, on_about_to_wait);
    uv_unref((uv_handle_t *)&loop->about_to_wait);
    loop->place = ED_UV_AROUND;
    return &loop->uv;
}

static bool is_used(const struct ed_loop *loop) {
    return loop->watched > 0 || (loop->place != ED_UV_UNUSED && uv_loop_alive(&loop->uv));
}

static bool holds_io(struct ed_worker *worker) {
    return is_used(ed_loop_of(worker)) || !ed_list_empty(&worker->flushes);
}

static void poll(struct ed_worker *worker, int64_t deadline_ns) {
    struct ed_loop *loop = ed_loop_of(worker);
    ed_flush_run(worker);
    if (ED_UNLIKELY(loop->uv_asked) && loop->place == ED_UV_INSIDE) {
        loop->uv_asked = false;
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
    bool sleeps = deadline_ns != ED_POLL_NOW && (deadline_ns == INT64_MAX || deadline_ns > now_ns(worker));
    if (sleeps && ed_anything_ready(worker)) sleeps = false; /* a flush may have woken somebody */
    if (!sleeps && !is_used(loop)) return;
    if (sleeps) arm_timer(loop, deadline_ns);
    if (ED_UNLIKELY(loop->place == ED_UV_AROUND))
        run_uv(loop, sleeps ? UV_RUN_ONCE : UV_RUN_NOWAIT, deadline_ns);
    else
        ed_set_take(loop, sleeps);
}

/* ---- guests ----------------------------------------------------------------------------------- */

int ed_guest_fd(struct ed_worker *worker) { return uv_backend_fd(&ed_loop_of(worker)->uv); }

/* The system learns of new descriptors in a poll only, so there is one behind everything else. Timers that a user has in
 * the loop go off by ours: the host does not know libuv's timeout. */
void ed_guest_poll(struct ed_worker *worker) {
    struct ed_loop *loop = ed_loop_of(worker);
    ed_loop_lend(loop);
    ed_flush_run(worker);
    run_uv(loop, UV_RUN_NOWAIT, ED_POLL_NOW);
    int timeout_ms = uv_backend_timeout(&loop->uv);
    int64_t uv_ns = timeout_ms > 0 ? now_ns(worker) + EDDY_MS(timeout_ms) : INT64_MAX;
    int64_t own_ns = ed_timers_next(worker); /* now: a callback may have put one before the others */
    arm_timer(loop, uv_ns < own_ns ? uv_ns : own_ns);
}

/* ---- opening and closing ---------------------------------------------------------------------- */

/* For one of the loop's own descriptors, which it takes; a negative one is a status. */
static int watch(struct ed_loop *loop, struct ed_own_poller *own, int fd,
                 void (*event)(struct ed_poller *poller, unsigned directions, bool disarmed)) {
    if (fd < 0) return -errno;
    own->poller = (struct ed_poller){.worker = loop->worker, .fd = fd, .event = event};
    int status = ed_set_add(loop, own, ED_READABLE);
    if (status < 0) close(fd);
    return status;
}

/* All three descriptors, or none. */
static int open_own(struct ed_loop *loop) {
    loop->set = epoll_create1(EPOLL_CLOEXEC);
    if (loop->set < 0) return -errno;
    int status = watch(loop, &loop->wake, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), on_wake);
    if (status < 0) goto close_set;
    status = watch(loop, &loop->timer, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), on_timer);
    if (status < 0) goto close_wake;
    status = uv_poll_init(&loop->uv, &loop->in_uv, loop->set);
    if (status < 0) goto close_timer;
    loop->in_uv.data = loop;
    return 0;

close_timer:
    close(loop->timer.poller.fd);
close_wake:
    close(loop->wake.poller.fd);
close_set:
    close(loop->set);
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
    uv_close((uv_handle_t *)&loop->in_uv, NULL);
    close_uv(loop);
    close(loop->timer.poller.fd);
    close(loop->wake.poller.fd);
    close(loop->set);
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
    .poller_bytes = sizeof(struct ed_own_poller),
    .poller_open = ed_own_poller_open,
    .poller_set = ed_own_poller_set,
    .poller_close = ed_own_poller_close,
    .sockets = &ed_system_sockets,
    .adopt = ed_uv_adopt,
};
