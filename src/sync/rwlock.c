/* rwlock.c: a lock that many may hold for reading, or one for writing.
 *
 * Idea       One line for both, first come, first served: a reader that finds somebody waiting stands behind, so
 *            writers do not starve; a lock given back goes to the writer at the head, or to all readers up to the next
 *            writer. Whenever the head may have changed, by unlocking or by a waiter that gives up, the line moves on.
 * Invariants (R1) writing => readers == 0. (R2) somebody waits => it is held, or on its way.
 *            (R3) the head of the line is one that may not go on: a writer, or a reader while writing.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/rwlock_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_rwlock {
    struct ed_sync sync;    /* first                                                                    */
    struct ed_list waiters; /* under lock: item is &wants_write or NULL                                 */
    size_t readers;         /* under lock: that hold it, or have it on its way; the same for `writing`  */
    bool writing;
};

static char wants_write;

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_rwlock *eddy_rwlock_create(void) {
    eddy_rwlock *lock = ed_alloc(sizeof *lock);
    if (lock == NULL) return NULL;
    ed_sync_init(&lock->sync, destroy);
    ed_list_init(&lock->waiters);
    lock->readers = 0;
    lock->writing = false;
    return lock;
}

void eddy_rwlock_release(eddy_rwlock *lock) {
    if (lock != NULL) ed_sync_release(&lock->sync, &lock->waiters, NULL, "eddy_rwlock_release");
}

/* Under the lock, as the next three: takes it if that kind of holder may be let in now. */
static bool take(eddy_rwlock *lock, bool write) {
    if (lock->writing || (write && lock->readers > 0)) return false;
    if (write) {
        lock->writing = true;
    } else {
        lock->readers++;
    }
    return true;
}

static bool enter(struct ed_sync *sync, void *item) {
    eddy_rwlock *lock = (eddy_rwlock *)sync;
    return ed_list_empty(&lock->waiters) && take(lock, item == &wants_write);
}

static void move_on(eddy_rwlock *lock, struct ed_list *taken) {
    struct ed_waiter *first;
    while ((first = ed_waitlist_first(&lock->waiters)) != NULL && take(lock, first->item == &wants_write))
        (void)ed_waitlist_take(&lock->waiters, 0, taken);
}

static void leave(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_rwlock *lock = (eddy_rwlock *)sync;
    if (handed) {
        if (item == &wants_write) {
            lock->writing = false;
        } else {
            lock->readers--;
        }
    }
    move_on(lock, taken);
}

static bool try_acquire(eddy_rwlock *lock, void *item) {
    ed_guard_lock(&lock->sync.lock);
    bool taken = enter(&lock->sync, item);
    ed_guard_unlock(&lock->sync.lock);
    return taken;
}

static int acquire(eddy_rwlock *lock, const struct ed_line *line, void *item) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    if (try_acquire(lock, item)) return 0;
    ed_sync_ref(&lock->sync);
    int status = ed_waitlist_wait(&lock->sync, &lock->waiters, line, item);
    ed_sync_unref(&lock->sync);
    return status < 0 ? status : 0;
}

int eddy_rwlock_read(eddy_rwlock *lock) {
    static const struct ed_line line = {.reason = "lock, to read", .enter = enter, .leave = leave};
    return acquire(lock, &line, NULL);
}

int eddy_rwlock_write(eddy_rwlock *lock) {
    static const struct ed_line line = {.reason = "lock, to write", .enter = enter, .leave = leave};
    return acquire(lock, &line, &wants_write);
}

bool eddy_rwlock_try_read(eddy_rwlock *lock) { return try_acquire(lock, NULL); }
bool eddy_rwlock_try_write(eddy_rwlock *lock) { return try_acquire(lock, &wants_write); }

int eddy_rwlock_unlock(eddy_rwlock *lock) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&lock->sync.lock);
    bool held = lock->writing || lock->readers > 0;
    if (held) leave(&lock->sync, lock->writing ? &wants_write : NULL, true, &taken);
    ed_guard_unlock(&lock->sync.lock);
    ed_waitlist_send(&taken);
    return held ? 0 : EDDY_ESTATE;
}
