/* start.h: the start word: who starts a task.
 *
 * Problem    A new task can be reached from a deque entry, a thief, an awaiter, a group's exit and a cancel,
 *            on several workers at once. Exactly one may enter its body.
 * States     The word is {generation : 40, worker : 16, state : 8}.
 *
 *                 spawn                publish (holder)             claim (anyone: compare-and-swap)
 *      FREE ------------> NEW_OWN ----------------------> NEW_SHARED ----------------> STARTED
 *        ^        \           \--------- claim (holder: plain store) ------------------^   |
 *        |         \-> NEW_PINNED ------ claim (its worker: plain store) --------------^   |
 *        \------------------------- record freed, generation + 1 --------------------------/
 *
 *            worker: the holder while NEW_OWN or NEW_PINNED, the publisher while NEW_SHARED, the host once
 *            STARTED. Only the holder writes a NEW_OWN word, so it needs no atomic read-modify-write.
 * Hints      Deque entries are pointers to start records without a reference. Records are type-stable (their
 *            memory stays a start record until the run ends), so a stale hint reads a valid word. A claim is
 *            decided by the word alone: a hint that outlived its task and finds another new one in the record
 *            starts that one, early, which is harmless; holder and state in the word make it legal.
 * Cancel     A request sets the CANCEL bit of the task's future word (seq_cst) and then looks at this word; a
 *            claim of NEW_SHARED changes this word (seq_cst) and then looks at that bit. One of them sees the
 *            other (task/cancel.c).
 * Threads    As named above.
 * Tests      tests/sched/start_test.c; every multi-worker test. */
#ifndef ED_SCHED_START_H
#define ED_SCHED_START_H

#include "base/base.h"
#include "coro/coro.h"
#include "sched/entry.h"

enum ed_start_state { ED_START_FREE, ED_START_NEW_OWN, ED_START_NEW_SHARED, ED_START_NEW_PINNED, ED_START_STARTED };

struct ed_start {
    _Atomic uint64_t word;
    struct ed_entry entry; /* in `ready` while NEW_PINNED */
    uint8_t stack_class;   /* enum ed_stack_class the body needs; constant once spawned */
};

static inline enum ed_start_state ed_start_state(uint64_t word) { return (enum ed_start_state)(word & 0xff); }
static inline unsigned ed_start_worker(uint64_t word) { return (unsigned)(word >> 8 & 0xffff); }
static inline uint64_t ed_start_make(uint64_t word, unsigned worker, enum ed_start_state state) {
    return (word & ~UINT64_C(0xffffff)) | (uint64_t)worker << 8 | state;
}

/* The holder, or nobody else yet: FREE to NEW_*. */
static inline void ed_start_new(struct ed_start *start, unsigned worker, enum ed_start_state state) {
    ED_STORE_RELEASE(&start->word, ed_start_make(ED_LOAD_RELAXED(&start->word), worker, state));
}
/* The same, FREE to NEW_OWN; a word that is FREE has nothing but its generation. */
static inline void ed_start_new_own(struct ed_start *start, unsigned worker) {
    ED_STORE_RELEASE(&start->word, ED_LOAD_RELAXED(&start->word) | (uint64_t)worker << 8 | ED_START_NEW_OWN);
}
/* When the record is freed: the next life has another generation. */
static inline void ed_start_free(struct ed_start *start) {
    ED_STORE_RELEASE(&start->word, (ED_LOAD_RELAXED(&start->word) | UINT64_C(0xffffff)) + 1);
}

/* Whether `worker` may claim what the word says; then claims it. True: the caller must run the body. A pinned task is
 * not claimed so: a stale hint may find one in its record, and that one's entry is in `ready`. */
static inline ED_HOT bool ed_start_claim(struct ed_start *start, unsigned worker) {
    uint64_t word = ED_LOAD_ACQUIRE(&start->word);
    ED_CHAOS(START);
    switch (ed_start_state(word)) {
    case ED_START_NEW_OWN:
        if (ed_start_worker(word) != worker) return false;
        ED_STORE_RELEASE(&start->word, ed_start_make(word, worker, ED_START_STARTED));
        return true;
    case ED_START_NEW_SHARED: return ED_CAS(&start->word, &word, ed_start_make(word, worker, ED_START_STARTED));
    default: return false;
    }
}

/* The holder of a NEW_OWN word: nobody else writes it. */
static inline void ed_start_claim_own(struct ed_start *start) {
    ED_STORE_RELEASE(&start->word, ED_LOAD_RELAXED(&start->word) + (ED_START_STARTED - ED_START_NEW_OWN));
}

/* Its worker, from `ready`: nobody else may, and it is queued once. */
static inline void ed_start_claim_pinned(struct ed_start *start, unsigned worker) {
    uint64_t word = ED_LOAD_RELAXED(&start->word);
    ED_ASSERT(ed_start_state(word) == ED_START_NEW_PINNED);
    ED_ASSERT(ed_start_worker(word) == worker);
    ED_STORE_RELEASE(&start->word, ed_start_make(word, worker, ED_START_STARTED));
}

/* Whether the word still says what an entry of `worker`'s private part was pushed for. */
static inline bool ed_start_is_own(struct ed_start *start, unsigned worker) {
    uint64_t word = ED_LOAD_RELAXED(&start->word);
    return ed_start_state(word) == ED_START_NEW_OWN && ed_start_worker(word) == worker;
}

#endif
