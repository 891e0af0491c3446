/* future.h: futures: one word, a list of who waits, a result.
 *
 * Problem    Any thread may complete, cancel, await, add a callback to and release one future, and a task that
 *            completes a million of them must pay one compare-and-swap each.
 * Idea       State, references, the count of cancel requests and the list's lock are one word.
 *
 *      63          32 31          16 15                    0
 *      | references  | cancel count | flags                 |
 *
 * States     PENDING -> (SETTING ->) DONE. A bare future goes through SETTING: the compare-and-swap that sets it
 *            decides among setters and cancellers (F1); the winner writes the result, then DONE. A task is
 *            completed by its host alone, with one compare-and-swap that also sees a cancel request that came too
 *            late to be delivered (T4). The result is constant once DONE is set (release) and seen (acquire).
 * List       Waiters and done callbacks are one ring, in the order added (F2). LOCK guards it for a few stores;
 *            nothing is called under it, and LOCK is never held across a switch. Who sets DONE takes the whole list
 *            in the same moment (each node TAKEN), then sends each node to its worker without the lock. A node:
 *
 *                IDLE -> LINKED -> TAKEN -> ARRIVED (on its worker)
 *                          \-> IDLE (unlinked by its worker)
 *
 *            Who gives up waiting and finds the node TAKEN must wait for it to arrive. A plain thread's arrives in the
 *            completer's thread and stays TAKEN (waiter.c).
 * Ordering   All read-modify-writes of the word are seq_cst (base/atomic.h); DONE is read with acquire. The cancel
 *            protocol against start words: sched/start.h.
 * References The last one frees. A sole owner (count 1) needs no read-modify-write: nobody else can raise it.
 * Threads    As said in include/eddy/task.h.
 * Tests      tests/task/future_test.c, tests/contract/future_test.c. */
#ifndef ED_TASK_FUTURE_H
#define ED_TASK_FUTURE_H

#include "eddy/loop.h"
#include "eddy/task.h"
#include "sched/sched.h"

#define ED_DONE UINT64_C(0x0001)
#define ED_SETTING UINT64_C(0x0002)
#define ED_LOCK UINT64_C(0x0004)
#define ED_WAITED UINT64_C(0x0008)    /* the list is not empty */
#define ED_CANCEL UINT64_C(0x0010)    /* task: a request is pending, not yet delivered */
#define ED_CANCELLED UINT64_C(0x0020) /* with DONE: ended cancelled */
#define ED_RETRIEVED UINT64_C(0x0040) /* somebody looked at the result */
#define ED_VALUE_TAKEN UINT64_C(0x0080)
#define ED_IS_TASK UINT64_C(0x0100)
#define ED_MESSAGE UINT64_C(0x0200) /* task: a cancel message is on its way */
#define ED_HIDDEN UINT64_C(0x0400)  /* task: the runtime's own, not in all_tasks */
#define ED_TRACED UINT64_C(0x0800)  /* debug mode: where it was made is noted (origin.h) */
#define ED_BIAS UINT64_C(0xf000)    /* task: of whose plain stores one must beware: bias.h */
#define ED_BIAS_ONE UINT64_C(0x1000)
#define ED_COUNT_ONE (UINT64_C(1) << 16)
#define ED_REF_ONE (UINT64_C(1) << 32)

static inline unsigned ed_count_of(uint64_t word) { return (unsigned)(word >> 16 & 0xffff); }
static inline uint64_t ed_refs_of(uint64_t word) { return word >> 32; }

struct ed_sync;

struct ed_waiter {
    struct ed_list link;       /* in the future's list, or its completer's */
    struct ed_message message; /* when the completer sits on another worker */
    struct ed_worker *worker;  /* (c) while linked: where it arrives; NULL: anywhere, a plain thread waits */
    void (*arrive)(struct ed_waiter *waiter); /* on worker; only queues */
    uint8_t state;                            /* under LOCK until TAKEN; then the completer's, then worker's */
    /* Of waits in sync/, under the rules of sync/waitlist.c: */
    int status;                   /* what the wait ends with; written with TAKEN */
    void *item;                   /* (c) while linked: the waiting call's */
    struct ed_standing *standing; /* (c) the record it lies in; NULL: a stack's */
    _Atomic uint32_t *decided;    /* (c) while linked: what decides among several nodes; NULL: there is only this one */
    struct ed_sync *held;         /* the object that it holds a reference of; under its lock until TAKEN */
};
enum { ED_WAITER_IDLE, ED_WAITER_LINKED, ED_WAITER_TAKEN, ED_WAITER_ARRIVED };

/* Sends nodes that are TAKEN, each to its worker (waiter.c). Without any lock; the list's head is left as it was. */
void ed_waiters_send(struct ed_list *taken);

struct eddy_future {
    _Atomic uint64_t word;
    struct ed_list waiters; /* under LOCK */
    int status;             /* (c) once DONE, as all of the result */
    eddy_value value;
    eddy_drop_fn drop;
    eddy_error *error;
    struct ed_sched *sched;
    struct ed_worker *home;                      /* (c) whose loop runs done callbacks */
    eddy_loop *loop;                             /* (c) its domain, or NULL */
    void (*destroy)(struct eddy_future *future); /* (c) frees the memory of one that is no task */
};

/* A pending future, no task, with `refs` references and `flags`, in memory that `destroy` gives back. */
void ed_future_init(eddy_future *future, struct ed_worker *home, eddy_loop *loop, uint64_t refs, uint64_t flags,
                    void (*destroy)(eddy_future *));

/* In halves: where a body has just written one of them, a load of both at once waits for the store to leave the processor's
 * buffer, which took a third of a spawn and its await. */
static inline void ed_value_copy(eddy_value *to, const eddy_value *from) {
    uint64_t word = from->u64;
    size_t size = from->size;
    __asm__("" : "+r"(word), "+r"(size)); /* the compiler would make one load of them */
    to->u64 = word;
    to->size = size;
}

static inline bool ed_future_is_done(const eddy_future *future) {
    return (ED_LOAD_ACQUIRE((_Atomic uint64_t *)&future->word) & ED_DONE) != 0;
}
void ed_bias_leave(eddy_future *future, uint64_t word);
/* By whoever holds a future and is about to change its word, before that: on its home, nothing; elsewhere its bias ends. */
static inline void ed_bias_enter(eddy_future *future) {
    uint64_t word = ED_LOAD_RELAXED(&future->word);
    if (ED_UNLIKELY((word & ED_BIAS) != 0)) ed_bias_leave(future, word);
}
/* A reference on a task that may have ended, or be another one by now; false: there is none to be had. */
bool ed_bias_hold(eddy_future *future);
static inline void ed_future_share(eddy_future *future) {
    ed_bias_enter(future);
    ED_ADD(&future->word, ED_REF_ONE);
}
void ed_future_release(eddy_future *future);

/* Takes LOCK; gives the word as it is now, LOCK set. */
uint64_t ed_future_lock(eddy_future *future);
void ed_future_unlock(eddy_future *future, uint64_t set, uint64_t clear);

/* Links a waiter; false if the future is done (nothing was linked). */
bool ed_future_link(eddy_future *future, struct ed_waiter *waiter);
/* The waiter's worker: takes it back. False if it is TAKEN: it will arrive. */
bool ed_future_unlink(eddy_future *future, struct ed_waiter *waiter);

/* The completer's last step: sets DONE and `flags`, clears `clear`, takes the list and sends it
 * out. The result is written. `how`: ED_FINISH_CHECK gives up, false, when ED_CANCEL is set
 * meanwhile; ED_FINISH_RELEASE gives the caller's reference back in the same step. Without it the
 * caller must hold one through the call. */
enum { ED_FINISH_CHECK = 1, ED_FINISH_RELEASE = 2 };
bool ed_future_finish(eddy_future *future, uint64_t flags, uint64_t clear, int how);

/* Ends a bare future; takes `error`. 0 or EDDY_ESTATE (value and error stay the caller's). */
int ed_future_complete(eddy_future *future, int status, eddy_value value, eddy_error *error);
/* The same, for exec/ and net/: failure with a detail made elsewhere. */
int ed_future_fail_with(eddy_future *future, int status, eddy_error *taken);

/* A bare future in memory of its own, without a home on the calling thread. NULL: no memory. */
eddy_future *ed_future_create_at(struct ed_worker *home, eddy_loop *loop, eddy_drop_fn drop);

#endif
