#include "task/callback.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- the word ------------------------------------------------------------------------------------ */

uint64_t ed_future_lock(eddy_future *future) {
    ed_bias_enter(future);
    uint64_t word = ED_LOAD_RELAXED(&future->word);
    for (;;) {
        if (word & ED_LOCK) {
            ed_cpu_relax();
            word = ED_LOAD_RELAXED(&future->word);
        } else if (ED_CAS_WEAK(&future->word, &word, word | ED_LOCK)) {
            ED_CHAOS(LOCK);
            return word | ED_LOCK;
        }
    }
}

void ed_future_unlock(eddy_future *future, uint64_t set, uint64_t clear) {
    uint64_t word = ED_LOAD_RELAXED(&future->word);
    while (!ED_CAS_WEAK(&future->word, &word, ((word & ~clear) | set) & ~ED_LOCK)) {
    }
}

/* ---- the list ------------------------------------------------------------------------------------ */

bool ed_future_link(eddy_future *future, struct ed_waiter *waiter) {
    ED_ASSERT(waiter->state == ED_WAITER_IDLE || waiter->state == ED_WAITER_ARRIVED);
    uint64_t word = ed_future_lock(future);
    if (word & ED_DONE) {
        ed_future_unlock(future, 0, 0);
        return false;
    }
    waiter->state = ED_WAITER_LINKED;
    ed_list_push(&future->waiters, &waiter->link);
    ed_future_unlock(future, ED_WAITED, 0);
    return true;
}

bool ed_future_unlink(eddy_future *future, struct ed_waiter *waiter) {
    ed_future_lock(future);
    bool linked = waiter->state == ED_WAITER_LINKED;
    if (linked) {
        ed_list_remove(&waiter->link);
        waiter->state = ED_WAITER_IDLE;
    }
    ed_future_unlock(future, 0, ed_list_empty(&future->waiters) ? ED_WAITED : 0);
    return linked;
}

/* ---- life ---------------------------------------------------------------------------------------- */

void ed_future_init(eddy_future *future, struct ed_worker *home, eddy_loop *loop, uint64_t refs, uint64_t flags,
                    void (*destroy)(eddy_future *)) {
    ed_list_init(&future->waiters);
    future->status = 0;
    future->drop = NULL;
    future->error = NULL;
    future->sched = home->sched;
    future->home = home;
    future->loop = loop;
    future->destroy = destroy;
    ED_STORE_RELEASE(&future->word, refs * ED_REF_ONE | flags); /* last: whoever walks the slabs sees a whole record */
}

static ED_COLD void report_never_retrieved(eddy_future *future, uint64_t word) {
    if (word & ED_IS_TASK) {
        ed_report_task(future->sched, EDDY_REPORT_NEVER_RETRIEVED, (eddy_task *)future,
                       "a task failed and its failure was never retrieved", future->status, future->error);
    } else {
        ed_report_future(future, EDDY_REPORT_NEVER_RETRIEVED, "a future failed and its failure was never retrieved");
    }
}

static void future_last(eddy_future *future, uint64_t word) {
    if (word & ED_DONE) {
        if (ED_LIKELY(future->status >= 0)) {
            if (ED_UNLIKELY(future->drop != NULL) && !(word & ED_VALUE_TAKEN)) future->drop(future->value);
        } else if (!(word & (ED_RETRIEVED | ED_CANCELLED))) {
            report_never_retrieved(future, word);
        }
    }
    if (ED_UNLIKELY(future->error != NULL)) {
        eddy_error_release(future->error);
        future->error = NULL;
    }
    if (ED_LIKELY(word & ED_IS_TASK)) {
        ed_slab_put((eddy_task *)future);
    } else {
        future->destroy(future);
    }
}

static void set_states(struct ed_list *list, uint8_t state) {
    for (struct ed_list *link = list->next; link != list; link = link->next)
        ED_CONTAINER(link, struct ed_waiter, link)->state = state;
}

/* What the word becomes. */
static inline uint64_t finished(uint64_t word, uint64_t flags, uint64_t clear, int how) {
    return ((word & ~(clear | ED_BIAS)) | ED_DONE | flags) - (how & ED_FINISH_RELEASE ? ED_REF_ONE : 0);
}

/* The list is taken in the step that sets DONE and gives LOCK back. A request may come until that step, so its check is
 * part of it. */
static ED_COLD bool finish_waited(eddy_future *future, uint64_t flags, uint64_t clear, int how) {
    uint64_t word = ed_future_lock(future), next;
    struct ed_list taken;
    ed_list_init(&taken);
    ed_list_splice(&taken, &future->waiters);
    set_states(&taken, ED_WAITER_TAKEN);
    do {
        if ((how & ED_FINISH_CHECK) && (word & ED_CANCEL)) {
            set_states(&taken, ED_WAITER_LINKED);
            ed_list_splice(&future->waiters, &taken);
            ed_future_unlock(future, 0, 0);
            return false;
        }
        next = finished(word & ~ED_LOCK, flags, clear | ED_WAITED, how);
        ED_CHAOS(DONE);
    } while (!ED_CAS_WEAK(&future->word, &word, next));
    ED_CHAOS(WAKE);
    ed_waiters_send(&taken);
    if (ed_refs_of(next) == 0) future_last(future, next);
    return true;
}

bool ed_future_finish(eddy_future *future, uint64_t flags, uint64_t clear, int how) {
    uint64_t word = ED_LOAD_RELAXED(&future->word), next;
    while (!(word & (ED_LOCK | ED_WAITED))) { /* nobody waits: one compare-and-swap */
        if ((how & ED_FINISH_CHECK) && (word & ED_CANCEL)) return false;
        next = finished(word, flags, clear, how);
        ED_CHAOS(DONE);
        if (ED_CAS_WEAK(&future->word, &word, next)) {
            if (ED_UNLIKELY(ed_refs_of(next) == 0)) future_last(future, next);
            return true;
        }
    }
    return finish_waited(future, flags, clear, how);
}

/* A bare future that is pending and has callbacks: each of these holds a reference, but nobody can end it once there are no
 * others. Who sees that, under LOCK and with a reference of its own, is alone with it. */
static ED_COLD void release_waited(eddy_future *future) {
    uint64_t word = ed_future_lock(future);
    if (!(word & (ED_DONE | ED_SETTING)) && ed_refs_of(word) - 1 == ed_callbacks_count(future)) {
        ed_callbacks_drop(future);
        future_last(future, word);
        return;
    }
    word = ED_LOAD_RELAXED(&future->word);
    while (!ED_CAS_WEAK(&future->word, &word, (word & ~ED_LOCK) - ED_REF_ONE)) {
    }
    if (ed_refs_of(word) == 1) future_last(future, word);
}

void ed_future_release(eddy_future *future) {
    uint64_t word = ED_LOAD_ACQUIRE(&future->word);
    if (ed_refs_of(word) != 1) {
        if (ED_UNLIKELY((word & (ED_WAITED | ED_DONE | ED_IS_TASK)) == ED_WAITED)) {
            release_waited(future);
            return;
        }
        ed_bias_enter(future);
        word = ED_SUB(&future->word, ED_REF_ONE);
        if (ed_refs_of(word) != 1) return;
    }
    future_last(future, word);
}

static void free_bare(eddy_future *future) { ed_free(future); }
static void free_traced(eddy_future *future) { ed_free(ED_CONTAINER(future, struct ed_traced_future, future)); }

static __attribute__((noinline)) eddy_future *create_traced(struct ed_worker *home, eddy_loop *loop) {
    struct ed_traced_future *traced = ed_alloc(sizeof *traced);
    if (traced == NULL) return NULL;
    ed_origin_fill(&traced->origin);
    ed_future_init(&traced->future, home, loop, 1, ED_TRACED, free_traced);
    return &traced->future;
}

eddy_future *ed_future_create_at(struct ed_worker *home, eddy_loop *loop, eddy_drop_fn drop) {
    eddy_future *future;
    if (ED_UNLIKELY(home->sched->debug)) {
        future = create_traced(home, loop);
        if (future == NULL) return NULL;
    } else {
        future = ed_alloc(sizeof *future);
        if (future == NULL) return NULL;
        ed_future_init(future, home, loop, 1, 0, free_bare);
    }
    future->drop = drop;
    return future;
}

eddy_future *eddy_future_create(void) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return NULL;
    return ed_future_create_at(worker, ed_domain_current(), NULL);
}

eddy_future *eddy_future_create_on(eddy_loop *loop, eddy_drop_fn drop) {
    if (loop == NULL) return NULL;
    if (loop->worker != NULL) return ed_future_create_at(loop->worker, loop, drop);
    struct ed_worker *here = ed_worker_current();
    return ed_future_create_at(here != NULL && here->sched == loop->sched ? here : loop->sched->workers[0], NULL, drop);
}

eddy_loop *eddy_future_loop(const eddy_future *future) {
    return future->loop != NULL ? future->loop : &ed_tasks_of(future->sched)->loop;
}

eddy_future *eddy_future_share(eddy_future *future) {
    ed_future_share(future);
    return future;
}

void eddy_future_release(eddy_future *future) {
    if (future != NULL) ed_future_release(future);
}

/* ---- completing ---------------------------------------------------------------------------------- */

int ed_future_complete(eddy_future *future, int status, eddy_value value, eddy_error *error) {
    uint64_t word = ED_LOAD_RELAXED(&future->word);
    do {
        if (word & (ED_DONE | ED_SETTING | ED_IS_TASK)) return EDDY_ESTATE;
    } while (!ED_CAS_WEAK(&future->word, &word, word | ED_SETTING)); /* F1: decides */
    future->status = status;
    future->value = value;
    future->error = error;
    ed_future_finish(future, status == EDDY_ECANCELED ? ED_CANCELLED : 0, ED_SETTING, 0);
    return 0;
}

int ed_future_fail_with(eddy_future *future, int status, eddy_error *taken) {
    int result = ed_future_complete(future, status, EDDY_NONE, taken);
    if (result < 0) eddy_error_release(taken);
    return result;
}

int eddy_future_set(eddy_future *future, eddy_value value) { return ed_future_complete(future, 0, value, NULL); }

int eddy_future_fail(eddy_future *future, int status, const char *format, ...) {
    if (status >= 0 || status == EDDY_ECANCELED) return EDDY_EINVAL;
    eddy_error *error = NULL;
    if (format != NULL) {
        char text[512], name[ED_TASK_NAME_BYTES] = "";
        va_list list;
        va_start(list, format);
        vsnprintf(text, sizeof text, format, list);
        va_end(list);
        if (ed_task_current() != NULL) eddy_task_name(ed_task_current(), name, sizeof name);
        error = ed_error_create(status, name, text);
    }
    return ed_future_fail_with(future, status, error);
}

/* ---- looking ------------------------------------------------------------------------------------- */

bool eddy_future_done(const eddy_future *future) { return ed_future_is_done(future); }

bool eddy_future_cancelled(const eddy_future *future) {
    uint64_t word = ED_LOAD_ACQUIRE((_Atomic uint64_t *)&future->word);
    return (word & ED_DONE) && (word & ED_CANCELLED);
}

ED_HOT int eddy_future_result(eddy_future *future, eddy_value *value_out) {
    uint64_t word = ED_LOAD_ACQUIRE(&future->word);
    if (!(word & ED_DONE)) return EDDY_ESTATE;
    if (future->status < 0) {
        if (!(word & ED_RETRIEVED)) ED_OR(&future->word, ED_RETRIEVED);
    } else if (value_out != NULL) {
        ed_value_copy(value_out, &future->value);
    }
    return future->status;
}

int eddy_future_take(eddy_future *future, eddy_value *value_out) {
    int status = eddy_future_result(future, value_out);
    if (status < 0) return status;
    return ED_OR(&future->word, ED_VALUE_TAKEN) & ED_VALUE_TAKEN ? EDDY_ESTATE : status;
}

const eddy_error *eddy_future_error(eddy_future *future) {
    uint64_t word = ED_LOAD_ACQUIRE(&future->word);
    if (!(word & ED_DONE)) return NULL;
    if (future->status < 0 && !(word & ED_RETRIEVED)) ED_OR(&future->word, ED_RETRIEVED);
    return future->error;
}
