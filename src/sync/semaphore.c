/* semaphore.c: a number of slots (asyncio.Semaphore).
 *
 * Idea       As lock.c: a slot that is given back goes to the oldest waiter, and counts as free only without waiters.
 * Invariants (M1) somebody waits => no slot is free. (M2) free, held and on their way: always the slots there are.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/semaphore_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_semaphore {
    struct ed_sync sync;    /* first      */
    struct ed_list waiters; /* under lock */
    size_t free;            /* under lock */
};

eddy_semaphore *eddy_semaphore_create(size_t slots) {
    eddy_semaphore *semaphore = ed_alloc(sizeof *semaphore);
    if (semaphore == NULL) return NULL;
    ed_sync_init(&semaphore->sync);
    ed_list_init(&semaphore->waiters);
    semaphore->free = slots;
    return semaphore;
}

static void unref(eddy_semaphore *semaphore) {
    if (ed_sync_unref(&semaphore->sync)) ed_free(semaphore);
}

void eddy_semaphore_release(eddy_semaphore *semaphore) {
    if (semaphore == NULL) return;
    ed_spinlock_lock(&semaphore->sync.lock);
    bool waited = !ed_list_empty(&semaphore->waiters);
    ed_spinlock_unlock(&semaphore->sync.lock);
    if (waited) ED_PANIC("eddy_semaphore_release while tasks wait for a slot");
    unref(semaphore);
}

/* Under the lock. */
static bool take_free(eddy_semaphore *semaphore) {
    if (semaphore->free == 0) return false;
    semaphore->free--;
    return true;
}

bool eddy_semaphore_try_acquire(eddy_semaphore *semaphore) {
    ed_spinlock_lock(&semaphore->sync.lock);
    bool taken = take_free(semaphore);
    ed_spinlock_unlock(&semaphore->sync.lock);
    return taken;
}

int eddy_semaphore_acquire(eddy_semaphore *semaphore) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    ed_spinlock_lock(&semaphore->sync.lock);
    if (take_free(semaphore)) {
        ed_spinlock_unlock(&semaphore->sync.lock);
        return 0;
    }
    bool handed;
    int status = ed_waitlist_wait(&semaphore->sync, &semaphore->waiters, "semaphore", &handed);
    if (status < 0 && handed) eddy_semaphore_post(semaphore);
    unref(semaphore);
    return status;
}

void eddy_semaphore_post(eddy_semaphore *semaphore) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&semaphore->sync.lock);
    if (!ed_waitlist_hand(&semaphore->waiters, &taken)) semaphore->free++;
    ed_spinlock_unlock(&semaphore->sync.lock);
    ed_waiters_send(&taken);
}
