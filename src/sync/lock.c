/* lock.c: a lock between tasks (asyncio.Lock).
 *
 * Idea       Unlocking with waiters hands the lock to the oldest: until that one runs nobody holds it, and nobody else
 *            gets it. So there is no moment at which a newcomer could overtake.
 * States     FREE -> HELD -> FREE, or with waiters HELD -> HANDED -> HELD. A waiter that ends cancelled with the lock
 *            in its hands hands it on.
 * Invariants (L1) somebody waits => HELD, HANDED, or FREE with one before it that is leaving.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/lock_test.c; tests/model/sync_model.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_lock {
    struct ed_sync sync;               /* first      */
    struct ed_list waiters;            /* under lock */
    enum { FREE, HELD, HANDED } state; /* under lock */
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_lock *eddy_lock_create(void) {
    eddy_lock *lock = ed_alloc(sizeof *lock);
    if (lock == NULL) return NULL;
    ed_sync_init(&lock->sync, destroy);
    ed_list_init(&lock->waiters);
    lock->state = FREE;
    return lock;
}

void eddy_lock_release(eddy_lock *lock) {
    if (lock != NULL) ed_sync_release(&lock->sync, &lock->waiters, NULL, "eddy_lock_release");
}

static bool enter(struct ed_sync *sync, void *item) {
    eddy_lock *lock = (eddy_lock *)sync;
    (void)item;
    if (lock->state != FREE || ed_waitlist_first(&lock->waiters) != NULL) return false;
    lock->state = HELD;
    return true;
}

/* To the head of the line. If that one is leaving it does this again when it runs (asyncio's order). */
static void hand(eddy_lock *lock, struct ed_list *taken) {
    struct ed_list *head = lock->waiters.next;
    bool leaving = head != &lock->waiters && ed_waitlist_is_leaving(ED_CONTAINER(head, struct ed_waiter, link));
    lock->state = !leaving && ed_waitlist_hand(&lock->waiters, taken) ? HANDED : FREE;
}

static void leave(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_lock *lock = (eddy_lock *)sync;
    (void)item;
    if (handed || lock->state == FREE) hand(lock, taken);
}

bool eddy_lock_try_acquire(eddy_lock *lock) {
    ed_guard_lock(&lock->sync.lock);
    bool taken = enter(&lock->sync, NULL);
    ed_guard_unlock(&lock->sync.lock);
    return taken;
}

int eddy_lock_acquire(eddy_lock *lock) {
    static const struct ed_line line = {.reason = "lock", .enter = enter, .leave = leave};
    struct ed_fiber *fiber;
    if (!ed_sync_enter_as(&fiber)) return EDDY_EWRONGTHREAD;
    ed_guard_lock(&lock->sync.lock);
    if (enter(&lock->sync, NULL)) {
        ed_guard_unlock(&lock->sync.lock);
        return 0;
    }
    lock->sync.references++;
    int status;
    if (fiber != NULL) {
        status = ed_waitlist_stand(&lock->sync, &lock->waiters, &line, NULL, fiber);
    } else {
        ed_guard_unlock(&lock->sync.lock);
        status = ed_waitlist_wait(&lock->sync, &lock->waiters, &line, NULL);
    }
    ed_guard_lock(&lock->sync.lock);
    if (status == 0) lock->state = HELD;
    bool last = --lock->sync.references == 0;
    ed_guard_unlock(&lock->sync.lock);
    if (last) destroy(&lock->sync);
    return status < 0 ? status : 0;
}

int eddy_lock_unlock(eddy_lock *lock) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&lock->sync.lock);
    bool held = lock->state == HELD;
    if (held) hand(lock, &taken);
    ed_guard_unlock(&lock->sync.lock);
    ed_waitlist_send(&taken);
    return held ? 0 : EDDY_ESTATE;
}

bool eddy_lock_is_held(const eddy_lock *lock) {
    struct ed_guard *guard = (struct ed_guard *)&lock->sync.lock;
    ed_guard_lock(guard);
    bool held = lock->state == HELD;
    ed_guard_unlock(guard);
    return held;
}
