/* handle.c: call_soon, call_later and their handles; serial domains.
 *
 * Life       A handle is counted: the queue it is in (ready, timer, or a message on its way), and the caller if it asked.
 *            The callback runs once, or never once it was cancelled: PENDING goes to BEGUN or to CANCELLED.
 *            A timer is stopped by its worker: elsewhere (a task that migrates has left it behind) a message does it.
 * Threads    call_soon, call_later, call_at: the loop's worker. call_soon_threadsafe, cancel, release: any.
 * Tests      tests/task/handle_test.c, tests/contract/loop_test.c. */
#include "task/task.h"

#define WRONG_LOOP \
    "a callback was given to a loop from a thread that is not the loop's: eddy_call_soon_threadsafe may be"

enum state { PENDING, BEGUN, CANCELLED };

struct eddy_handle {
    _Atomic unsigned references;
    _Atomic uint32_t state; /* enum state: decides between the callback and a cancel */
    bool timed;             /* (c) made by call_at or call_later */
    struct ed_call call;
    struct ed_timer timer;     /* the worker's */
    struct ed_message message; /* of call_soon_threadsafe, or of a timer's cancel */
    struct ed_worker *worker;
    eddy_loop *loop;          /* its domain, or NULL */
    eddy_context *context;    /* the callback runs in it */
    struct ed_origin *origin; /* (c) debug mode; or NULL */
    int64_t when_ns;          /* (c) of a timer; else 0 */
    eddy_call_fn fn;
    void *arg;
};

void eddy_handle_release(eddy_handle *handle) {
    if (handle == NULL || ED_SUB(&handle->references, 1) != 1) return;
    eddy_context_release(handle->context);
    ed_free(handle->origin);
    ed_free(handle);
}

static __attribute__((noinline)) void report_failure(eddy_handle *handle, int status) {
    char origin[ED_ORIGIN_BYTES];
    const bool known = ed_origin_print(handle->origin, origin, sizeof origin) > 0;
    ed_report(handle->worker->sched, &(eddy_report){.kind = EDDY_REPORT_CALLBACK_FAILED,
                                                    .message = "a callback failed",
                                                    .task = "",
                                                    .status = status,
                                                    .handle = handle,
                                                    .origin = known ? origin : NULL});
}

static void handle_run(struct ed_call *call) {
    eddy_handle *handle = ED_CONTAINER(call, struct eddy_handle, call);
    struct ed_worker *worker = handle->worker;
    bool over = ED_LOAD_RELAXED(&worker->sched->stopping); /* the run has ended: dropped, as loop.close() does */
    uint32_t pending = PENDING;
    if (!over && ED_CAS(&handle->state, &pending, BEGUN)) {
        worker->call_loop = handle->loop;
        worker->call_context = &handle->context;
        int status = handle->fn(handle->arg);
        worker->call_loop = worker->call_context = NULL;
        if (status < 0) report_failure(handle, status);
    }
    eddy_handle_release(handle);
}

static void handle_fires(struct ed_timer *timer) {
    eddy_handle *handle = ED_CONTAINER(timer, struct eddy_handle, timer);
    ed_call_soon(handle->worker, &handle->call);
}

static void handle_arrives(struct ed_message *message, struct ed_worker *worker) {
    ed_call_soon(worker, &ED_CONTAINER(message, struct eddy_handle, message)->call);
}

void ed_handle_drop_timers(struct ed_worker *worker) {
    struct ed_timer *timer;
    while ((timer = ed_timers_any(worker)) != NULL) {
        ED_ASSERT(timer->fire == handle_fires); /* scopes and sleeps end with their tasks */
        ed_timer_stop(timer);
        eddy_handle_release(ED_CONTAINER(timer, struct eddy_handle, timer));
    }
}

static eddy_handle *handle_create(struct ed_worker *worker, eddy_loop *loop, eddy_call_fn fn, void *arg, bool shared) {
    eddy_handle *handle = ed_calloc(sizeof *handle);
    if (handle == NULL) return NULL;
    ED_STORE_RELAXED(&handle->references, shared ? 2 : 1);
    ED_STORE_RELAXED(&handle->state, PENDING);
    handle->call.run = handle_run;
    handle->timer.fire = handle_fires;
    handle->worker = worker;
    handle->loop = loop;
    handle->context = ed_context_capture(ed_worker_current());
    handle->fn = fn;
    handle->arg = arg;
    if (ED_UNLIKELY(worker->sched->debug)) handle->origin = ed_origin_take();
    return handle;
}

/* The worker and domain that `loop` means to a caller on `here`; EDDY_EWRONGTHREAD when that is another one: debug mode
 * tells of it. */
static int resolve(eddy_loop **loop_io, struct ed_worker *here) {
    if (here == NULL) return ed_wrong_thread(*loop_io != NULL ? (*loop_io)->sched : NULL, WRONG_LOOP);
    if (*loop_io == NULL) *loop_io = eddy_loop_current();
    if ((*loop_io)->sched != here->sched) return ed_wrong_thread((*loop_io)->sched, WRONG_LOOP);
    if ((*loop_io)->worker == NULL) {
        *loop_io = NULL;
    } else if ((*loop_io)->worker != here) {
        return ed_wrong_thread(here->sched, WRONG_LOOP);
    }
    return 0;
}

int eddy_call_soon(eddy_loop *loop, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    struct ed_worker *here = ed_worker_current();
    int status = resolve(&loop, here);
    if (status < 0) return status;
    eddy_handle *handle = handle_create(here, loop, fn, arg, handle_out != NULL);
    if (handle == NULL) return EDDY_ENOMEM;
    ed_call_soon(here, &handle->call);
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

int eddy_call_soon_threadsafe(eddy_loop *loop, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    if (loop == NULL) return EDDY_EINVAL;
    /* The runtime's own loop stands for one fixed worker here: FIFO per caller. */
    struct ed_worker *worker = loop->worker != NULL ? loop->worker : loop->sched->workers[0];
    eddy_handle *handle = handle_create(worker, loop->worker != NULL ? loop : NULL, fn, arg, handle_out != NULL);
    if (handle == NULL) return EDDY_ENOMEM;
    handle->message.arrive = handle_arrives;
    int status = ed_post(worker, &handle->message);
    if (status < 0) {
        eddy_context_release(handle->context);
        ed_free(handle->origin);
        ed_free(handle);
        return status;
    }
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

int eddy_call_at(eddy_loop *loop, int64_t when_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    struct ed_worker *here = ed_worker_current();
    int status = resolve(&loop, here);
    if (status < 0) return status;
    eddy_handle *handle = handle_create(here, loop, fn, arg, handle_out != NULL);
    if (handle == NULL) return EDDY_ENOMEM;
    handle->when_ns = when_ns;
    handle->timed = true;
    ed_timer_start(here, &handle->timer, when_ns);
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

int eddy_call_later(eddy_loop *loop, int64_t delay_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    int64_t now_ns = eddy_time_ns();
    return eddy_call_at(loop, delay_ns > INT64_MAX - 1 - now_ns ? INT64_MAX - 1 : now_ns + delay_ns, fn, arg,
                        handle_out);
}

static void stop_timer(eddy_handle *handle) {
    if (!ed_timer_armed(&handle->timer)) return; /* in ready: dropped when its turn comes */
    ed_timer_stop(&handle->timer);
    eddy_handle_release(handle);
}

static void cancel_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_handle *handle = ED_CONTAINER(message, struct eddy_handle, message);
    stop_timer(handle);
    eddy_handle_release(handle);
}

void eddy_handle_cancel(eddy_handle *handle) {
    uint32_t pending = PENDING;
    if (!ED_CAS(&handle->state, &pending, CANCELLED)) return;
    if (handle->worker == ed_worker_current()) {
        stop_timer(handle);
    } else if (handle->timed) {
        ED_ADD_RELAXED(&handle->references, 1);
        handle->message.arrive = cancel_arrives;
        if (ed_post(handle->worker, &handle->message) < 0) eddy_handle_release(handle); /* the run has ended */
    }
}

bool eddy_handle_cancelled(const eddy_handle *handle) {
    return ED_LOAD_RELAXED((_Atomic uint32_t *)&handle->state) == CANCELLED;
}

int64_t eddy_handle_when_ns(const eddy_handle *handle) { return handle->when_ns; }

/* ---- loops ---------------------------------------------------------------------------------------- */

eddy_loop *eddy_loop_current(void) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return NULL;
    eddy_loop *domain = ed_domain_current();
    return domain != NULL ? domain : &ed_tasks_of(worker->sched)->loop;
}

static void domain_arrives(struct ed_message *message, struct ed_worker *worker) {
    worker->domains++;
    ed_free(message);
}

int ed_domain_open_on(struct ed_worker *worker, eddy_loop **loop_out) {
    struct ed_tasks *tasks = ed_tasks_of(worker->sched);
    eddy_loop *loop = ed_alloc(sizeof *loop);
    if (loop == NULL) return EDDY_ENOMEM;
    if (worker == ed_worker_current()) {
        worker->domains++;
    } else {
        struct ed_message *message = ed_alloc(sizeof *message);
        if (message == NULL) {
            ed_free(loop);
            return EDDY_ENOMEM;
        }
        message->arrive = domain_arrives;
        int status = ed_post(worker, message); /* before any task of the domain */
        if (status < 0) {
            ed_free(message);
            ed_free(loop);
            return status;
        }
    }
    *loop = (eddy_loop){.sched = worker->sched, .worker = worker};
    ed_spinlock_lock(&tasks->lock);
    loop->next = tasks->domains;
    tasks->domains = loop;
    ed_spinlock_unlock(&tasks->lock);
    *loop_out = loop;
    return 0;
}

int eddy_domain_open(eddy_loop **loop_out) {
    struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    unsigned index = ED_ADD_RELAXED(&here->sched->next_home, 1) % here->sched->workers_count;
    return ed_domain_open_on(here->sched->workers[index], loop_out);
}
