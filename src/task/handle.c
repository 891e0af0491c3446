/* handle.c: call_soon, call_later and their handles; serial domains.
 *
 * Life       A handle is counted: the queue it is in (ready, timer, or a message on its way), and the caller if it asked.
 *            The callback runs once, or never once it was cancelled: a word has the references and whether it was BEGUN or
 *            CANCELLED, which exclude each other. Who sees that the only reference is its own needs no read-modify-write:
 *            nobody else can change the word.
 *            A timer is stopped by its worker: elsewhere (a task that migrates has left it behind) a message does it.
 * Memory     Records come from the workers' caches (blocks.h).
 * Ordering   The last reference frees: a release by each, an acquire by the last, whether it subtracts or only looks.
 * Threads    call_soon, call_later, call_at: the loop's worker. call_soon_threadsafe, cancel, release: any.
 * Tests      tests/task/handle_test.c, tests/contract/loop_test.c; tests/model/handle_model.c. */
#include "task/blocks.h"
#include "task/task.h"

#define WRONG_LOOP \
    "a callback was given to a loop from a thread that is not the loop's: eddy_call_soon_threadsafe may be"

/* The word. */
enum { CANCELLED = 1, BEGUN = 2, TIMED = 4 /* (c) made by call_at or call_later */, REF_ONE = 8 };

struct eddy_handle {
    union {
        struct ed_block block; /* of the store while nobody has it */
        struct {
            struct ed_block_store *store;
            eddy_call_fn fn;
            void *arg;
        };
    };
    _Atomic uint32_t word;
    struct ed_worker *worker;
    eddy_loop *loop;          /* its domain, or NULL */
    eddy_context *context;    /* the callback runs in it */
    struct ed_origin *origin; /* (c) debug mode; or NULL */
    union {                   /* the worker's: first the one, then the other */
        struct ed_timer timer;
        struct {
            struct ed_worker *of_timer; /* timer.worker: NULL by then */
            struct ed_call call;
        };
    };
    int64_t when_ns;           /* (c) of a timer; else 0 */
    struct ed_message message; /* of call_soon_threadsafe, or of a timer's cancel */
};
_Static_assert(offsetof(struct eddy_handle, of_timer) == offsetof(struct eddy_handle, timer.worker),
               "a queued handle's timer is not armed");

static uint32_t references_of(uint32_t word) { return word / REF_ONE; }

/* The caller's free records of `store`, if it is one of its workers. */
static struct ed_block_cache *cache_of(struct ed_worker *here, const struct ed_block_store *store) {
    struct ed_block_cache *cache = here != NULL ? here->handles : NULL;
    return ED_LIKELY(cache != NULL && cache->store == store) ? cache : NULL;
}

static void handle_free(eddy_handle *handle) {
    if (ED_UNLIKELY(handle->context != NULL)) eddy_context_release(handle->context);
    if (ED_UNLIKELY(handle->origin != NULL)) ed_free(handle->origin);
    ed_block_put(&handle->block, cache_of(ed_worker_current(), handle->store));
}

void eddy_handle_release(eddy_handle *handle) {
    if (handle == NULL) return;
    if (references_of(ED_LOAD_ACQUIRE(&handle->word)) != 1 && references_of(ED_SUB(&handle->word, REF_ONE)) != 1)
        return;
    handle_free(handle);
}

static __attribute__((noinline)) void report_failure(eddy_handle *handle, int status) {
    char origin[ED_ORIGIN_BYTES];
    char message[ED_FUNCTION_MESSAGE_BYTES];
    const bool known = ed_origin_print(handle->origin, origin, sizeof origin) > 0;
    ed_function_message("a callback failed: ", (uintptr_t)handle->fn, message);
    ed_report(handle->worker->sched, &(eddy_report){.kind = EDDY_REPORT_CALLBACK_FAILED,
                                                    .message = message,
                                                    .task = "",
                                                    .status = status,
                                                    .handle = handle,
                                                    .origin = known ? origin : NULL});
}

/* False: it was cancelled. */
static bool begin(eddy_handle *handle) {
    uint32_t word = ED_LOAD_ACQUIRE(&handle->word);
    while (!(word & CANCELLED)) {
        if (references_of(word) == 1) {
            ED_STORE_RELAXED(&handle->word, word | BEGUN);
            return true;
        }
        if (ED_CAS_WEAK(&handle->word, &word, word | BEGUN)) return true;
    }
    return false;
}

static void handle_run(struct ed_call *call) {
    eddy_handle *handle = ED_CONTAINER(call, struct eddy_handle, call);
    struct ed_worker *worker = handle->worker;
    bool over = ED_LOAD_RELAXED(&worker->sched->stopping); /* the run has ended: dropped, as loop.close() does */
    if (begin(handle) && !over) {
        worker->call_loop = handle->loop;
        worker->call_context = &handle->context;
        int status = handle->fn(handle->arg);
        worker->call_loop = worker->call_context = NULL;
        if (status < 0) report_failure(handle, status);
    }
    eddy_handle_release(handle);
}

/* From now on the record's other half holds. */
static void queue(eddy_handle *handle) {
    handle->call.run = handle_run;
    ed_call_soon(handle->worker, &handle->call);
}

static void handle_fires(struct ed_timer *timer) { queue(ED_CONTAINER(timer, struct eddy_handle, timer)); }

static void handle_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    queue(ED_CONTAINER(message, struct eddy_handle, message));
}

void ed_handle_drop_timers(struct ed_worker *worker) {
    struct ed_timer *timer;
    while ((timer = ed_timers_any(worker)) != NULL) {
        ED_ASSERT(timer->fire == handle_fires); /* scopes and sleeps end with their tasks */
        ed_timer_stop(timer);
        eddy_handle *handle = ED_CONTAINER(timer, struct eddy_handle, timer);
        ED_OR(&handle->word, BEGUN); /* a late cancel finds nothing to do, and no worker to ask */
        eddy_handle_release(handle);
    }
}

static eddy_handle *handle_create(struct ed_worker *here, struct ed_worker *worker, eddy_loop *loop, eddy_call_fn fn,
                                  void *arg, uint32_t word) {
    struct ed_block_store *store = ed_tasks_of(worker->sched)->handles;
    eddy_handle *handle = ed_block_get(store, cache_of(here, store));
    if (handle == NULL) return NULL;
    ED_STORE_RELAXED(&handle->word, word);
    handle->timer.worker = NULL;
    handle->when_ns = 0;
    handle->worker = worker;
    handle->loop = loop;
    handle->context = ed_context_capture(here);
    handle->origin = ED_UNLIKELY(worker->sched->debug) ? ed_origin_take() : NULL;
    handle->fn = fn;
    handle->arg = arg;
    return handle;
}

static uint32_t references(eddy_handle **handle_out) { return handle_out != NULL ? 2 * REF_ONE : REF_ONE; }

/* The worker and domain that `loop` means to a caller on `here`; EDDY_EWRONGTHREAD when that is another one: debug mode
 * tells of it. */
static int resolve(eddy_loop **loop_io, struct ed_worker *here) {
    eddy_loop *loop = *loop_io;
    if (ED_UNLIKELY(here == NULL)) return ed_wrong_thread(loop != NULL ? loop->sched : NULL, WRONG_LOOP);
    if (loop == NULL) {
        *loop_io = ed_domain_on(here);
        return 0;
    }
    if (loop->sched != here->sched) return ed_wrong_thread(loop->sched, WRONG_LOOP);
    if (loop->worker == NULL) {
        *loop_io = NULL;
    } else if (loop->worker != here) {
        return ed_wrong_thread(here->sched, WRONG_LOOP);
    }
    return 0;
}

int eddy_call_soon(eddy_loop *loop, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    struct ed_worker *here = ed_worker_current();
    int status = resolve(&loop, here);
    if (status < 0) return status;
    if (fn == NULL) return EDDY_EINVAL;
    eddy_handle *handle = handle_create(here, here, loop, fn, arg, references(handle_out));
    if (handle == NULL) return EDDY_ENOMEM;
    queue(handle);
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

int eddy_call_soon_threadsafe(eddy_loop *loop, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    if (loop == NULL || fn == NULL) return EDDY_EINVAL;
    /* The runtime's own loop stands for one fixed worker here: FIFO per caller. */
    struct ed_worker *worker = loop->worker != NULL ? loop->worker : loop->sched->workers[0];
    eddy_loop *domain = loop->worker != NULL ? loop : NULL;
    eddy_handle *handle = handle_create(ed_worker_current(), worker, domain, fn, arg, references(handle_out));
    if (handle == NULL) return EDDY_ENOMEM;
    handle->message.arrive = handle_arrives;
    int status = ed_post(worker, &handle->message);
    if (status < 0) {
        handle_free(handle);
        return status;
    }
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

static ED_HOT int call_at(struct ed_worker *here, eddy_loop *loop, int64_t when_ns, eddy_call_fn fn, void *arg,
                          eddy_handle **handle_out) {
    int status = resolve(&loop, here);
    if (status < 0) return status;
    if (fn == NULL) return EDDY_EINVAL;
    eddy_handle *handle = handle_create(here, here, loop, fn, arg, references(handle_out) | TIMED);
    if (handle == NULL) return EDDY_ENOMEM;
    handle->when_ns = when_ns;
    handle->timer.fire = handle_fires;
    ed_timer_start(here, &handle->timer, when_ns);
    if (handle_out != NULL) *handle_out = handle;
    return 0;
}

int eddy_call_at(eddy_loop *loop, int64_t when_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    return call_at(ed_worker_current(), loop, when_ns, fn, arg, handle_out);
}

int eddy_call_later(eddy_loop *loop, int64_t delay_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out) {
    int64_t now_ns = eddy_time_ns();
    return call_at(ed_worker_current(), loop, delay_ns > INT64_MAX - 1 - now_ns ? INT64_MAX - 1 : now_ns + delay_ns, fn,
                   arg, handle_out);
}

static void cancel_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_handle *handle = ED_CONTAINER(message, struct eddy_handle, message);
    if (ed_timer_armed(&handle->timer)) { /* else in ready: dropped when its turn comes */
        ed_timer_stop(&handle->timer);
        eddy_handle_release(handle);
    }
    eddy_handle_release(handle);
}

void eddy_handle_cancel(eddy_handle *handle) {
    const bool here = handle->worker == ed_worker_current();
    const bool armed = here && ed_timer_armed(&handle->timer);
    uint32_t word = ED_LOAD_RELAXED(&handle->word), cancelled;
    bool sends;
    do {
        if (word & (CANCELLED | BEGUN)) return;
        sends = !here && (word & TIMED);
        cancelled = word | CANCELLED;
        if (armed) cancelled -= REF_ONE; /* the timer's */
        if (sends) cancelled += REF_ONE; /* the message's */
    } while (!ED_CAS_WEAK(&handle->word, &word, cancelled));
    if (armed) {
        ed_timer_stop(&handle->timer);
    } else if (sends) {
        handle->message.arrive = cancel_arrives;
        if (ed_post(handle->worker, &handle->message) < 0) eddy_handle_release(handle); /* the run has ended */
    }
}

bool eddy_handle_cancelled(const eddy_handle *handle) {
    return (ED_LOAD_RELAXED((_Atomic uint32_t *)&handle->word) & CANCELLED) != 0;
}

int64_t eddy_handle_when_ns(const eddy_handle *handle) { return handle->when_ns; }

/* ---- records ---------------------------------------------------------------------------------------- */

int ed_handles_open(struct ed_block_store **store_out) {
    return ed_block_store_open(store_out, sizeof(struct eddy_handle));
}

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
