/* semaphore.c: a number of slots (asyncio.Semaphore, asyncio.BoundedSemaphore).
 *
 * Idea       A slot that is given back goes to the oldest waiter, and counts as free only without waiters. Until who
 *            was given one runs, newcomers stand in line even if another slot is free (asyncio's rule: first come,
 *            first served); it lets them on when it arrives.
 * Invariants (M1) somebody waits => no slot is free, or one is on its way. (M2) free, held and on their way: always the
 *            slots there are.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/semaphore_test.c; tests/model/sync_model.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_semaphore {
    struct ed_sync sync;    /* first                                             */
    struct ed_list waiters; /* under lock                                        */
    size_t free;            /* under lock                                        */
    size_t handed;          /* under lock: slots on their way                    */
    size_t bound;           /* (c) more than that are never free; SIZE_MAX: none */
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

static eddy_semaphore *create(size_t slots, size_t bound) {
    eddy_semaphore *semaphore = ed_alloc(sizeof *semaphore);
    if (semaphore == NULL) return NULL;
    ed_sync_init(&semaphore->sync, destroy);
    ed_list_init(&semaphore->waiters);
    semaphore->free = slots;
    semaphore->handed = 0;
    semaphore->bound = bound;
    return semaphore;
}

eddy_semaphore *eddy_semaphore_create(size_t slots) { return create(slots, SIZE_MAX); }
eddy_semaphore *eddy_semaphore_create_bounded(size_t slots) { return create(slots, slots); }

void eddy_semaphore_release(eddy_semaphore *semaphore) {
    if (semaphore != NULL) ed_sync_release(&semaphore->sync, &semaphore->waiters, NULL, "eddy_semaphore_release");
}

static bool enter(struct ed_sync *sync, void *item) {
    eddy_semaphore *semaphore = (eddy_semaphore *)sync;
    (void)item;
    if (semaphore->free == 0 || semaphore->handed > 0) return false;
    semaphore->free--;
    return true;
}

static void hand_free(eddy_semaphore *semaphore, struct ed_list *taken) {
    while (semaphore->free > 0 && ed_waitlist_hand(&semaphore->waiters, taken)) {
        semaphore->free--;
        semaphore->handed++;
    }
}

static void leave(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_semaphore *semaphore = (eddy_semaphore *)sync;
    (void)item;
    if (handed) {
        semaphore->handed--;
        semaphore->free++;
    }
    hand_free(semaphore, taken);
}

bool eddy_semaphore_try_acquire(eddy_semaphore *semaphore) {
    ed_guard_lock(&semaphore->sync.lock);
    bool taken = enter(&semaphore->sync, NULL);
    ed_guard_unlock(&semaphore->sync.lock);
    return taken;
}

static void slot_arrived(eddy_semaphore *semaphore) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&semaphore->sync.lock);
    semaphore->handed--;
    hand_free(semaphore, &taken);
    ed_guard_unlock(&semaphore->sync.lock);
    ed_waitlist_send(&taken);
}

int eddy_semaphore_acquire(eddy_semaphore *semaphore) {
    static const struct ed_line line = {.reason = "semaphore", .enter = enter, .leave = leave};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    if (eddy_semaphore_try_acquire(semaphore)) return 0;
    ed_sync_ref(&semaphore->sync);
    int status = ed_waitlist_wait(&semaphore->sync, &semaphore->waiters, &line, NULL);
    if (status == 0) slot_arrived(semaphore);
    ed_sync_unref(&semaphore->sync);
    return status < 0 ? status : 0;
}

int eddy_semaphore_post(eddy_semaphore *semaphore) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&semaphore->sync.lock);
    bool room = semaphore->free < semaphore->bound;
    if (room) {
        semaphore->free++;
        /* One slot, one waiter: where slots are free already, who has one on its way lets the next on. */
        if (ed_waitlist_hand(&semaphore->waiters, &taken)) {
            semaphore->free--;
            semaphore->handed++;
        }
    }
    ed_guard_unlock(&semaphore->sync.lock);
    ed_waitlist_send(&taken);
    return room ? 0 : EDDY_ESTATE;
}
