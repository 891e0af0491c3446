/* condition.c: waiting, under a lock, for what others change under it (asyncio.Condition).
 *
 * Problem    Between giving the lock back and standing in line a notification could pass unseen; and a waiter that ends
 *            cancelled may have been the only one notified.
 * Idea       The waiter stands in line before it unlocks; who notifies holds the lock. A wait that ends otherwise than
 *            well notifies one other, whether it had been notified or not (S3 of asyncio's contract).
 * Invariants (C1) eddy_condition_wait returns with the lock held, but where it says that it did not wait.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/condition_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_condition {
    struct ed_sync sync;    /* first      */
    struct ed_list waiters; /* under its own lock */
    eddy_lock *lock;        /* (c) shared: begins with a struct ed_sync as all do */
};

static void destroy(struct ed_sync *sync) {
    ed_sync_unref((struct ed_sync *)((eddy_condition *)sync)->lock);
    ed_free(sync);
}

eddy_condition *eddy_condition_create(eddy_lock *lock) {
    eddy_condition *condition = ed_alloc(sizeof *condition);
    if (condition == NULL) return NULL;
    ed_sync_init(&condition->sync, destroy);
    ed_list_init(&condition->waiters);
    condition->lock = lock;
    ed_sync_ref((struct ed_sync *)lock);
    return condition;
}

void eddy_condition_release(eddy_condition *condition) {
    if (condition != NULL) ed_sync_release(&condition->sync, &condition->waiters, NULL, "eddy_condition_release");
}

static void notify(eddy_condition *condition, size_t count) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&condition->sync.lock);
    while (count-- > 0 && ed_waitlist_hand(&condition->waiters, &taken)) continue;
    ed_guard_unlock(&condition->sync.lock);
    ed_waitlist_send(&taken);
}

int eddy_condition_notify(eddy_condition *condition, size_t count) {
    if (!eddy_lock_is_held(condition->lock)) return EDDY_ESTATE;
    notify(condition, count);
    return 0;
}

int eddy_condition_notify_all(eddy_condition *condition) { return eddy_condition_notify(condition, SIZE_MAX); }

static bool enter(struct ed_sync *sync, void *item) {
    (void)sync, (void)item;
    return false;
}

static void linked(struct ed_sync *sync, void *unlocked) {
    *(bool *)unlocked = true;
    int status = eddy_lock_unlock(((eddy_condition *)sync)->lock);
    ED_ASSERT(status == 0);
}

int eddy_condition_wait(eddy_condition *condition) {
    static const struct ed_line line = {.reason = "condition", .enter = enter, .linked = linked};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    if (!eddy_lock_is_held(condition->lock)) return EDDY_ESTATE;
    bool unlocked = false;
    ed_sync_ref(&condition->sync);
    int status = ed_waitlist_wait(&condition->sync, &condition->waiters, &line, &unlocked);
    /* However often it is cancelled meanwhile: the caller will unlock it. */
    for (int again; unlocked && (again = eddy_lock_acquire(condition->lock)) < 0;) status = again;
    if (status < 0) notify(condition, 1);
    ed_sync_unref(&condition->sync);
    return status;
}

int eddy_condition_wait_for(eddy_condition *condition, bool (*predicate)(void *arg), void *arg) {
    if (ed_worker_current() != NULL && ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    if (!eddy_lock_is_held(condition->lock)) return EDDY_ESTATE;
    while (!predicate(arg)) {
        int status = eddy_condition_wait(condition);
        if (status < 0) return status;
    }
    return 0;
}
