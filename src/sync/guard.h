/* guard.h: the lock of an object of this room: a spin lock, free of charge to a worker that is alone with it.
 *
 * Problem    Most objects are used by the tasks of one worker only, and there a locked instruction, 5 to 6 ns on the
 *            machines that were measured, guards against nobody: a message through a channel was four of them. But any
 *            thread may come along at any time.
 * Idea       A bias (Kawachiya, Koseki, Onodera 2002; with the asymmetry of Dice, Huang, Yang 2001): the guard belongs to
 *            the worker that made it. That one enters by plain stores. The first other thread takes the bias away, once and
 *            for good: it says so in `owner`, has the system run a full fence on every thread of the process (membarrier),
 *            and waits until the owner is out. From then on it is a spin lock for everybody.
 * States     owner   W ---> SHARED          written once, under the spin lock
 *            inside  OUT -> TRYING -> IN -> OUT, the owner's; TRYING -> OUT when the second look finds SHARED
 * Invariants (G1) at most one thread is between lock and unlock: IN is never seen by who holds the spin lock. Owner:
 *            inside = TRYING, then looks at `owner`. Other: owner = SHARED, fence on all threads, then looks at `inside`.
 *            The fence falls, on the owner's thread, either before its look at `owner`, which then finds SHARED, or
 *            after its store of TRYING, which the other then sees, and waits for OUT.
 *            (G2) TRYING may be seen at any time after that, for a moment, and means nothing: the owner had read its own
 *            name just before. So unlock goes by IN, which is never in the way.
 *            (G3) the bias never comes back.
 * Ordering   What the owner wrote inside is handed over by its release store of OUT and the other's acquiring look. Between
 *            the owner's store of TRYING and its look at `owner` the compiler alone is held back (a signal fence): the
 *            processor is by membarrier, on demand, which is the point of it all.
 * Cost       Owner: six plain accesses. Taking a bias away: some microseconds, once; ed_guard_init keeps that rare: a
 *            worker makes no more biased guards when more than one in 64 that it made was taken from somebody.
 * Threads    Any. Held for tens of nanoseconds, never across a switch; nothing is called under it. Taking a bias away is
 *            the one system call under the spin lock: who waits for it meanwhile waits for microseconds.
 * Not here   What is guarded: waitlist.h.
 * Tests      tests/sync/guard_test.c; tests/model/guard_model.c. */
#ifndef ED_SYNC_GUARD_H
#define ED_SYNC_GUARD_H

#include "sched/sched.h"

#define ED_GUARD_SHARED UINT64_MAX

enum { ED_GUARD_OUT, ED_GUARD_TRYING, ED_GUARD_IN };

struct ed_guard {
    _Atomic uint64_t owner;  /* identity of the only worker that has used it, or SHARED */
    _Atomic uint32_t inside; /* the owner's */
    struct ed_spinlock lock; /* everybody's, and the owner's once it is SHARED */
};

/* By whom makes the object; biased to its worker, if it is on one. */
void ed_guard_init(struct ed_guard *guard);
void ed_guard_lock_shared(struct ed_guard *guard); /* takes the bias away, if there is one */

/* On the worker `here`. False: the guard is not that worker's, and is not held. */
static inline bool ed_guard_lock_own(struct ed_guard *guard, const struct ed_worker *here) {
    if (ED_UNLIKELY(ED_LOAD_RELAXED(&guard->owner) != here->identity)) return false;
    ED_STORE_RELAXED(&guard->inside, ED_GUARD_TRYING);
    atomic_signal_fence(memory_order_seq_cst);
    ED_CHAOS(LOCK);
    if (ED_LIKELY(ED_LOAD_RELAXED(&guard->owner) == here->identity)) { /* partner: ed_guard_lock_shared */
        ED_STORE_RELAXED(&guard->inside, ED_GUARD_IN);
        return true;
    }
    ED_STORE_RELEASE(&guard->inside, ED_GUARD_OUT);
    return false;
}

static inline void ed_guard_lock(struct ed_guard *guard) {
    struct ed_worker *here = ed_worker_current();
    if (ED_UNLIKELY(here == NULL || !ed_guard_lock_own(guard, here))) ed_guard_lock_shared(guard);
}

static inline void ed_guard_unlock(struct ed_guard *guard) {
    if (ED_LIKELY(ED_LOAD_RELAXED(&guard->inside) == ED_GUARD_IN)) {
        ED_STORE_RELEASE(&guard->inside, ED_GUARD_OUT);
    } else {
        ed_spinlock_unlock(&guard->lock);
    }
}

#endif
