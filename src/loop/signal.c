/* signal.c: waiting for the system's signals.
 *
 * Problem    A signal handler may do next to nothing, and a signal that comes while a task runs cuts its system calls short,
 *            on the task's small stack.
 * Idea       The thread of the worker that opened a signal blocks it, and has a signalfd for it in its set. When that tells
 *            that the signal is pending, the worker lets it through for a moment, on its own stack and between tasks: libuv's
 *            handler runs there and writes to a pipe, which tells everybody who has the signal open, on every loop. A thread
 *            of the program's own that does not block it may be given it instead: the handler runs there, and all is as before.
 * Invariants (S1) `count` is what came and was not yet waited for.
 *            (S2) The record lives until its owner has closed it, the signalfd is closed, libuv's close callback has run (or
 *            the loop is gone) and no task waits in it: `holders` counts these.
 *            (S3) The signalfd is never read: the signal is the handler's.
 * Threads    open, and all that touches the record: its home worker. wait and close from elsewhere travel there.
 * Tests      tests/loop/signal_test.c. */
#include "eddy/signal.h"
#include "eddy/loop.h"
#include "loop/uvloop.h"
#include "task/task.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct eddy_signal {
    uv_signal_t handle;
    struct ed_own_poller pending; /* (o) of the signalfd                                 */
    struct ed_worker *worker;     /* (c) home                                            */
    struct ed_list node;          /* (o) in the loop's signals while open                */
    struct ed_message close;      /* eddy_signal_close from another thread               */
    int signum;                   /* (c)                                                 */
    int count;                    /* (o) came and not waited for                         */
    struct ed_fiber *fiber;       /* (o) who waits                                       */
    bool closing;                 /* (o)                                                 */
    bool was_blocked;             /* (o) on the home thread before the first one opened  */
    _Atomic bool gone;            /* the loop has ended: nothing is left but the memory  */
    unsigned holders;             /* (o) S2                                              */
};

static void leave(eddy_signal *signal) {
    if (--signal->holders == 0) ed_free(signal);
}

static void on_signal(uv_signal_t *handle, int signum) {
    (void)signum;
    eddy_signal *signal = handle->data;
    if (signal->count < INT_MAX) signal->count++;
    if (signal->fiber == NULL) return;
    ed_wake(signal->fiber, 0);
    signal->fiber = NULL;
}

static void on_closed(uv_handle_t *handle) { leave(handle->data); }

static sigset_t only(int signum) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signum);
    return set;
}

/* Blocks or lets through `signum` on the calling thread. True if it was blocked. */
static bool mask(int how, int signum) {
    sigset_t set = only(signum), before;
    pthread_sigmask(how, &set, &before);
    return sigismember(&before, signum) == 1;
}

/* If it is pending its handler runs before this returns. For who blocks it. */
static void let_through(int signum) {
    mask(SIG_UNBLOCK, signum);
    mask(SIG_BLOCK, signum);
}

static void on_pending(struct ed_poller *poller, unsigned directions, bool disarmed) {
    (void)directions, (void)disarmed;
    let_through(ED_CONTAINER(poller, eddy_signal, pending.poller)->signum);
}

static void on_pending_closed(struct ed_poller *poller) { leave(ED_CONTAINER(poller, eddy_signal, pending.poller)); }

/* 0 or a status. */
static int watch_pending(eddy_signal *signal) {
    sigset_t set = only(signal->signum);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return -errno;
    signal->pending.poller =
        (struct ed_poller){.worker = signal->worker, .fd = fd, .event = on_pending, .closed = on_pending_closed};
    int status = ed_own_poller_open(&signal->pending.poller);
    if (status < 0) {
        close(fd);
        return status;
    }
    ed_own_poller_set(&signal->pending.poller, ED_READABLE);
    return 0;
}

/* An open one for the same signal on this loop. */
static eddy_signal *find_other(const struct ed_loop *loop, int signum) {
    for (struct ed_list *node = loop->signals.next; node != &loop->signals; node = node->next) {
        eddy_signal *signal = ED_CONTAINER(node, eddy_signal, node);
        if (signal->signum == signum) return signal;
    }
    return NULL;
}

static bool refused(int signum) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i] == signum) return true;
    return false;
}

static void close_handle(eddy_signal *signal) {
    uv_close((uv_handle_t *)&signal->handle, on_closed);
    ed_loop_ask(ed_loop_of(signal->worker));
}

/* Blocked first: from the handler's first moment on it runs between tasks only. */
static int begin(eddy_signal *signal) {
    const eddy_signal *other = find_other(ed_loop_of(signal->worker), signal->signum);
    bool was_blocked = mask(SIG_BLOCK, signal->signum);
    signal->was_blocked = other != NULL ? other->was_blocked : was_blocked;
    int status = uv_signal_start(&signal->handle, on_signal, signal->signum);
    if (status < 0) {
        status = ed_uv_status(status);
    } else {
        ed_loop_ask(ed_loop_of(signal->worker));
        status = watch_pending(signal);
    }
    if (status < 0 && !was_blocked) mask(SIG_UNBLOCK, signal->signum);
    return status;
}

int eddy_signal_open(eddy_signal **signal_out, int signum) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL || ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    if (refused(signum)) return EDDY_EINVAL;
    if (worker->sched->driver != &ed_uv_driver) return eddy_fail(EDDY_ENOTSUP, "no signals in the simulator");
    struct ed_loop *loop = ed_loop_of(worker);
    uv_loop_t *uv = ed_loop_for_signals(loop);
    eddy_signal *signal = uv != NULL ? ed_calloc(sizeof *signal) : NULL;
    if (signal == NULL) return EDDY_ENOMEM;
    int status = uv_signal_init(uv, &signal->handle);
    if (status < 0) {
        ed_free(signal);
        return ed_uv_status(status);
    }
    signal->handle.data = signal;
    signal->worker = worker;
    signal->signum = signum;
    signal->holders = 1; /* the handle */
    ed_list_init(&signal->node);
    status = begin(signal);
    if (status < 0) {
        close_handle(signal);
        return status;
    }
    signal->holders += 2; /* the owner, the signalfd */
    ed_list_push(&loop->signals, &signal->node);
    *signal_out = signal;
    return 0;
}

static int wait_here(eddy_signal *signal) {
    if (signal->closing) return EDDY_ECLOSED;
    if (signal->fiber != NULL) return EDDY_EBUSY;
    if (signal->count == 0) {
        signal->fiber = ed_fiber_current();
        signal->holders++;
        int status = ed_park(&(struct ed_park){.reason = "signal", .deadline_ns = INT64_MAX});
        if (!ed_park_woken()) signal->fiber = NULL;
        bool closing = signal->closing;
        leave(signal);
        if (status < 0) return status;
        if (closing) return EDDY_ECLOSED;
    }
    int count = signal->count;
    signal->count = 0;
    return count;
}

struct remote_wait {
    eddy_signal *signal;
    int count;
};

static int wait_remote(void *arg, eddy_value *out) {
    (void)out;
    struct remote_wait *wait = arg;
    int status = wait_here(wait->signal);
    if (status > 0) wait->count = status;
    return status < 0 ? status : 0;
}

int eddy_signal_wait(eddy_signal *signal) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (ed_worker_current() == signal->worker) return wait_here(signal);
    struct remote_wait wait = {signal, 0};
    int status = ed_run_on(signal->worker, wait_remote, &wait, "signal wait");
    return status < 0 ? status : wait.count;
}

/* Ends the watching; the owner's hold remains. */
static void stop(eddy_signal *signal) {
    signal->closing = true;
    ed_list_remove(&signal->node);
    if (signal->fiber != NULL) ed_wake(signal->fiber, EDDY_ECLOSED);
    signal->fiber = NULL;
    let_through(signal->signum); /* what came before is not the default's */
    bool last = find_other(ed_loop_of(signal->worker), signal->signum) == NULL;
    ed_own_poller_close(&signal->pending.poller);
    close_handle(signal);
    if (last && !signal->was_blocked) mask(SIG_UNBLOCK, signal->signum);
}

static void arrive_close(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_signal *signal = ED_CONTAINER(message, eddy_signal, close);
    if (!signal->closing) stop(signal);
    leave(signal);
}

void eddy_signal_close(eddy_signal *signal) {
    if (signal == NULL) return;
    if (ED_LOAD_ACQUIRE(&signal->gone)) {
        ed_free(signal);
        return;
    }
    signal->close.arrive = arrive_close;
    if (ed_worker_current() == signal->worker)
        arrive_close(&signal->close, signal->worker);
    else if (ed_post(signal->worker, &signal->close) < 0)
        ED_PANIC("eddy_signal_close: the run has ended on the signal's worker; close signals before main returns");
}

void ed_signals_close(struct ed_loop *loop) {
    while (!ed_list_empty(&loop->signals)) {
        eddy_signal *signal = ED_CONTAINER(loop->signals.next, eddy_signal, node);
        eddy_report report = {.kind = EDDY_REPORT_SHUTDOWN, .message = "a signal was never closed", .task = ""};
        ed_report(loop->worker->sched, &report);
        stop(signal);
        uv_run(&loop->uv, UV_RUN_NOWAIT); /* the close callback: only the owner holds it afterwards */
        ED_STORE_RELEASE(&signal->gone, true);
    }
}

struct uv_loop_s *eddy_loop_uv(void) {
    struct ed_worker *worker = ed_worker_current();
    return worker != NULL && worker->sched->driver == &ed_uv_driver ? ed_loop_lend(ed_loop_of(worker)) : NULL;
}
