/* lock.c: a lock between tasks (asyncio.Lock).
 *
 * Idea       Unlocking with waiters leaves the lock held and makes the oldest its owner; only without waiters does it
 *            become free. So there is no moment at which a newcomer could overtake.
 * Invariants (L1) somebody waits => held. Owned by nobody for good never happens: a waiter that ends cancelled with the
 *            lock in its hands unlocks it.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/lock_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_lock {
    struct ed_sync sync;    /* first                                                        */
    struct ed_list waiters; /* under lock                                                   */
    bool held;              /* under lock: by a task, or by a waiter on its way to know it  */
};

eddy_lock *eddy_lock_create(void) {
    eddy_lock *lock = ed_alloc(sizeof *lock);
    if (lock == NULL) return NULL;
    ed_sync_init(&lock->sync);
    ed_list_init(&lock->waiters);
    lock->held = false;
    return lock;
}

static void unref(eddy_lock *lock) {
    if (ed_sync_unref(&lock->sync)) ed_free(lock);
}

void eddy_lock_release(eddy_lock *lock) {
    if (lock == NULL) return;
    ed_spinlock_lock(&lock->sync.lock);
    bool waited = !ed_list_empty(&lock->waiters);
    ed_spinlock_unlock(&lock->sync.lock);
    if (waited) ED_PANIC("eddy_lock_release while tasks wait for the lock");
    unref(lock);
}

int eddy_lock_acquire(eddy_lock *lock) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    ed_spinlock_lock(&lock->sync.lock);
    if (!lock->held) {
        lock->held = true;
        ed_spinlock_unlock(&lock->sync.lock);
        return 0;
    }
    bool handed;
    int status = ed_waitlist_wait(&lock->sync, &lock->waiters, "lock", &handed);
    if (status < 0 && handed) (void)eddy_lock_unlock(lock);
    unref(lock);
    return status;
}

int eddy_lock_unlock(eddy_lock *lock) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&lock->sync.lock);
    bool held = lock->held;
    if (held) lock->held = ed_waitlist_hand(&lock->waiters, &taken);
    ed_spinlock_unlock(&lock->sync.lock);
    ed_waiters_send(&taken);
    return held ? 0 : EDDY_ESTATE;
}
