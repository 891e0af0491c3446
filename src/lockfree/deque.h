/* deque.h: the work-stealing deque: hints to new tasks, a private part and a shared part.
 *
 * Problem    A spawn whose task is awaited at once must cost a plain store, not a fence; yet idle workers
 *            must find work, oldest first.
 * Idea       Split, as Lace's (van Dijk, van de Pol 2014): the owner alone touches the private part, with
 *            plain accesses, and publishes its oldest entries into the shared part when somebody wants work.
 *            Who runs a task is decided in the task's start word (sched/start.h), so an entry is only a hint:
 *            it may be stale, and a task awaited directly leaves its entry behind. Hence nobody, the owner
 *            neither, ever pops the young end of the shared part, and Chase and Lev's race of pop against
 *            steal, with its fence, does not exist here: the shared part is a queue with one producer and
 *            many consumers.
 *
 *      private:  plain array      oldest .............. top          push and pop_newest at the top,
 *                                                                    pop_oldest and publish at the oldest
 *      shared:   ring of atomics  head ......... tail                owner writes tail; all take at head
 *
 * Invariants (D1) head <= tail <= head + capacity of the ring that was current when tail was written.
 *            (D2) entry i of the shared part is given to exactly one taker: the one whose compare-and-swap
 *                 moves head from i to i + 1.
 *            (D3) a ring is written by its owner only, at indexes >= head: a taker with an old head may read
 *                 a slot that is being overwritten (an atomic), but its compare-and-swap then fails, because
 *                 the slot is reused only after head has passed it.
 *            (D4) every shared entry is older than every private one.
 * Ordering   publish: slot (relaxed), then tail (seq_cst; at least release so that takers see slot and task).
 *            take: head (acquire), tail (acquire), ring (acquire), slot (relaxed), head by compare-and-swap.
 *            A taker that saw an old ring reads the same entry there: a grown ring is a copy, and old rings
 *            live until deinit. tail is seq_cst for the sleep protocol (sched/idle.c), which needs
 *            publish-then-look-at-`idle` against go-idle-then-look-at-tail.
 * Threads    As named: (o) owner only, (s) anyone.
 * Not here   When to publish, and whom to rob (sched/steal.c); what an entry means (sched/start.h).
 * Tests      tests/lockfree/deque_test.c. */
#ifndef ED_LOCKFREE_DEQUE_H
#define ED_LOCKFREE_DEQUE_H

#include "base/base.h"

struct ed_deque_entry {
    void *hint;
    uint64_t seq; /* the worker's sequence number at the push: ages are compared by it */
};

struct ed_deque_slot {
    _Atomic(void *) hint;
    uint64_t seq; /* (o) written before tail moves, read by the owner only */
};

struct ed_deque_ring {
    struct ed_deque_ring *older; /* kept until deinit */
    uint64_t mask;
    struct ed_deque_slot slots[];
};

struct ed_deque {
    struct ed_deque_entry *top;    /* (o) behind the newest private entry */
    struct ed_deque_entry *end;    /* (o) of the private array */
    struct ed_deque_entry *oldest; /* (o) == top: no private entry */
    struct ed_deque_entry *own;    /* (o) the private array */
    uint64_t tail_own;             /* (o) == tail, read without touching the shared line */

    _Alignas(ED_LINE) _Atomic uint64_t head; /* (s) next to take */
    _Alignas(ED_LINE) _Atomic uint64_t tail; /* (s) owner writes: one behind the newest */
    _Atomic(struct ed_deque_ring *) ring;    /* (s) owner writes */
};

int ed_deque_init(struct ed_deque *deque);
void ed_deque_deinit(struct ed_deque *deque); /* nobody may take any more */

/* (o) Makes room in the private array, by moving what is in it to its front or by a larger one: 0 or EDDY_ENOMEM. */
int ed_deque_grow(struct ed_deque *deque);

/* (o) entries in the private part, stale ones included. */
static inline uint64_t ed_deque_private_count(const struct ed_deque *deque) {
    return (uint64_t)(deque->top - deque->oldest);
}

/* (o) No room: ed_deque_grow, before a push. */
static inline bool ed_deque_is_full(const struct ed_deque *deque) { return deque->top == deque->end; }
/* (o) There is room. */
static inline void ed_deque_push_into(struct ed_deque *deque, void *hint, uint64_t seq) {
    *deque->top++ = (struct ed_deque_entry){hint, seq};
}
/* (o) 0 or EDDY_ENOMEM. */
static inline int ed_deque_push(struct ed_deque *deque, void *hint, uint64_t seq) {
    if (ED_UNLIKELY(ed_deque_is_full(deque))) {
        int status = ed_deque_grow(deque);
        if (status < 0) return status;
    }
    ed_deque_push_into(deque, hint, seq);
    return 0;
}

/* (o) The oldest and the newest private entry; NULL if there is none. Valid until the next push. */
static inline struct ed_deque_entry *ed_deque_oldest(struct ed_deque *deque) {
    return deque->oldest != deque->top ? deque->oldest : NULL;
}
static inline struct ed_deque_entry *ed_deque_newest(struct ed_deque *deque) {
    return deque->oldest != deque->top ? deque->top - 1 : NULL;
}
static inline void ed_deque_drop_oldest(struct ed_deque *deque) {
    if (++deque->oldest == deque->top) deque->oldest = deque->top = deque->own;
}
static inline void ed_deque_drop_newest(struct ed_deque *deque) { deque->top--; }
/* (o) Drops the private entries that are no `good` any more. */
static inline void ed_deque_sweep(struct ed_deque *deque, bool (*good)(void *hint, void *arg), void *arg) {
    struct ed_deque_entry *kept = deque->own;
    for (struct ed_deque_entry *entry = deque->oldest; entry != deque->top; entry++)
        if (good(entry->hint, arg)) *kept++ = *entry;
    deque->oldest = deque->own;
    deque->top = kept;
}

/* (o) Room for `count` more shared entries: 0 or EDDY_ENOMEM (nothing changes). */
int ed_deque_reserve_shared(struct ed_deque *deque, uint64_t count);
/* (o) Writes an entry behind the shared part; room was reserved. Invisible until ed_deque_publish. */
void ed_deque_append_shared(struct ed_deque *deque, void *hint, uint64_t seq);
/* (o) Makes all appended entries takeable. */
void ed_deque_publish(struct ed_deque *deque);

/* (o) Age of the oldest shared entry in *seq_out; false if the shared part is empty. */
bool ed_deque_shared_oldest(struct ed_deque *deque, uint64_t *seq_out);

/* (o) Nothing in either part; false in doubt: takers may have been there. */
static inline bool ed_deque_is_empty(struct ed_deque *deque) {
    return deque->oldest == deque->top && ED_LOAD_RELAXED(&deque->head) == deque->tail_own;
}

/* (s) entries in the shared part: exact for nobody, 0 is seen by the owner only if it is empty. */
uint64_t ed_deque_shared_count(struct ed_deque *deque);

/* (s) Takes the oldest shared entry. NULL: empty, or lost to another taker (*lost_out true). */
void *ed_deque_take(struct ed_deque *deque, bool *lost_out);

#endif
