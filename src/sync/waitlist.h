/* waitlist.h: how tasks and plain threads wait for an object of this room, first come, first served. See waitlist.c. */
#ifndef ED_SYNC_WAITLIST_H
#define ED_SYNC_WAITLIST_H

#include "sync/guard.h"
#include "task/task.h"

/* What every object begins with. */
struct ed_sync {
    struct ed_guard lock;                  /* guards the object's fields and its lists; nothing is called under it */
    unsigned references;                   /* under lock: the owner's, and one for each call that waits            */
    void (*destroy)(struct ed_sync *sync); /* (c) runs once, after the last reference                              */
};

void ed_sync_init(struct ed_sync *sync, void (*destroy)(struct ed_sync *sync));
void ed_sync_ref(struct ed_sync *sync);
void ed_sync_unref(struct ed_sync *sync);

/* The owner's release: gives its reference back. Whoever still waits in one of the lists (the second may be NULL) would
 * wait for ever: a panic that says `call`. */
void ed_sync_release(struct ed_sync *sync, struct ed_list *waiters, struct ed_list *others, const char *call);

/* A call that may wait begins: counts it, for fairness. False: on a worker, outside its tasks. */
static inline bool ed_sync_enter_as(struct ed_fiber **fiber_out) { /* the running stack; NULL: a plain thread's */
    struct ed_worker *here = ed_worker_current();
    *fiber_out = NULL;
    if (here == NULL) return true;
    struct ed_fiber *fiber = here->running;
    if (ED_UNLIKELY(fiber == NULL || fiber->task == NULL)) { /* a callback; a drop function, after its task's end */
        (void)ed_outside_task();
        return false;
    }
    ed_count_await(fiber);
    *fiber_out = fiber;
    return true;
}
static inline bool ed_sync_enter(void) {
    struct ed_fiber *fiber;
    return ed_sync_enter_as(&fiber);
}

/* The short beginning of the same call, without a call of its own: of a task, whose worker the object belongs to: its lock
 * is held now. NULL: nothing has happened yet. */
static inline ED_HOT struct ed_fiber *ed_sync_enter_own(struct ed_sync *sync) {
    struct ed_worker *here = ed_worker_current();
    struct ed_fiber *fiber = here != NULL ? here->running : NULL;
    if (ED_UNLIKELY(fiber == NULL || fiber->task == NULL)) return NULL;
    bool counts = ((eddy_task *)fiber->task)->future.loop == NULL;
    if (counts && ed_count_call(here)) return NULL; /* it will be time at the next count too */
    if (ED_LIKELY(ed_guard_lock_own(&sync->lock, here))) return fiber;
    here->budget += counts;
    return NULL;
}

/* What a kind of waiting is about. `item` is the caller's. All but `linked` run under the object's lock. */
struct ed_line {
    const char *reason;
    /* The last look before standing in line. True: no need to. */
    bool (*enter)(struct ed_sync *sync, void *item);
    /* May be NULL. A wait ended without use. Handed: what it was given must go to another; else it left the line. */
    void (*leave)(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken);
    /* May be NULL. It stands in line now, and the lock is free. */
    void (*linked)(struct ed_sync *sync, void *item);
    bool keeps; /* what was handed over is kept, whatever came with it; a request is delivered by the next suspension */
    bool parts; /* once served the call does not come back to the object: it needs no reference of its own */
};

/* Waits at the end of `waiters`, without the lock. The caller holds a reference across it unless the line parts.
 * @return 0: handed; 1: no need to wait; what ed_waitlist_take said; EDDY_ECANCELED, EDDY_ENOMEM: nothing is held. */
int ed_waitlist_wait(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item);
/* The same for a task that holds the lock, which this gives back, and has looked already. */
int ed_waitlist_stand(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item,
                      struct ed_fiber *fiber);
/* The same with a body in each caller, for what is hot: there the line is constant. */
int ed_waitlist_stand_here(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item,
                           struct ed_fiber *fiber);

/* ---- under the lock ------------------------------------------------------------------------------ */

/* Takes the oldest waiter: its wait ends with `status`, 0 meaning that it has what the caller meant for it. NULL:
 * nobody waits. Later, without the lock: ed_waitlist_send. */
struct ed_waiter *ed_waitlist_take_live(struct ed_list *waiters, int status, struct ed_list *taken);
static inline struct ed_waiter *ed_waitlist_take(struct ed_list *waiters, int status, struct ed_list *taken) {
    return ed_list_empty(waiters) ? NULL : ed_waitlist_take_live(waiters, status, taken);
}
static inline bool ed_waitlist_hand(struct ed_list *waiters, struct ed_list *taken) {
    return ed_waitlist_take(waiters, 0, taken) != NULL;
}
/* The short way to the oldest of those who wait, where that is a task of this worker that waits for nothing else and is not
 * leaving: it is taken, with status 0, and has arrived. Later, without the lock: ed_waitlist_wake. NULL: nothing was done. */
static inline ED_HOT struct ed_strand *ed_waitlist_serve(struct ed_list *waiters) {
    struct ed_waiter *node = ED_CONTAINER(waiters->next, struct ed_waiter, link);
    if (node->standing != NULL || node->worker != ed_worker_current()) return NULL;
    struct ed_strand *strand = ED_CONTAINER(node, struct ed_strand, waiter);
    if (ED_UNLIKELY(strand->cancelled)) return NULL; /* perhaps it is leaving */
    ED_ASSERT(node->state == ED_WAITER_LINKED);
    ed_list_remove(&node->link);
    node->state = ED_WAITER_ARRIVED;
    node->status = 0;
    if (node->held != NULL) {
        node->held->references--;
        node->held = NULL;
    }
    return strand;
}
static inline ED_HOT void ed_waitlist_wake(struct ed_strand *served) {
    ed_wake_on(ed_worker_current(), &served->fiber, 0);
}
void ed_waitlist_take_all(struct ed_list *waiters, int status, struct ed_list *taken);
/* The oldest, left where it is; NULL: nobody waits. */
struct ed_waiter *ed_waitlist_first(struct ed_list *waiters);
/* Its wait has been cancelled, and it will find that out when it runs. Take and first pass it over. */
bool ed_waitlist_is_leaving(const struct ed_waiter *node);

/* ---- without it ---------------------------------------------------------------------------------- */

static inline void ed_waitlist_send(struct ed_list *taken) {
    if (!ed_list_empty(taken)) ed_waiters_send(taken);
}

/* A wait with a record of its own: of a plain thread, or in several lists at once (select.c). */
struct ed_standing {
    struct ed_fiber *fiber;   /* (c) NULL: a plain thread                                                      */
    _Atomic uint32_t decided; /* who makes it 1 may take one of the nodes, or give all of them up              */
    _Atomic uint32_t arrived; /* a thread sleeps on it                                                         */
    struct ed_waiter *winner; /* written by its arrival, read after it                                         */
    struct ed_waiter nodes[];
};

/* For the running task or thread, with `count` nodes that are in no list. NULL: no memory. */
struct ed_standing *ed_standing_create(struct ed_fiber *fiber, size_t count, bool several);
/* Waits until one of the nodes has arrived: 0; or until the wait is given up: a negative status, `decided` is set and
 * none will arrive. What came together with a node is for the next suspension. */
int ed_standing_wait(struct ed_standing *standing, const char *reason);

#endif
