/* spinlock.h: a lock for a few stores, from Concurrency Kit (fetch-and-store).
 *
 * Held for tens of nanoseconds, never across a switch, a system call or user code. Threads: any. Under
 * ThreadSanitizer CK's inline assembly is replaced by compiler atomics (tsan/ck_pr.h). */
#ifndef ED_LOCKFREE_SPINLOCK_H
#define ED_LOCKFREE_SPINLOCK_H

#include "base/base.h"

#include <ck_spinlock.h>

struct ed_spinlock {
    ck_spinlock_fas_t fas;
};

static inline void ed_spinlock_init(struct ed_spinlock *lock) { ck_spinlock_fas_init(&lock->fas); }
static inline void ed_spinlock_lock(struct ed_spinlock *lock) {
    ED_CHAOS(LOCK);
    ck_spinlock_fas_lock(&lock->fas);
    ED_CHAOS(LOCK);
}
static inline void ed_spinlock_unlock(struct ed_spinlock *lock) { ck_spinlock_fas_unlock(&lock->fas); }

#endif
