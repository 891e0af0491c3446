/* event.c: a flag that tasks wait for (asyncio.Event).
 *
 * Idea       Setting takes all who wait now: they wake whatever happens to the flag before they run (S2 of asyncio's
 *            contract). Nothing travels with them, so one that ends cancelled has nothing to hand on.
 * Life       Looking at the flag takes the lock as well: whoever sees it set may release the event at once, and the
 *            setter must be out of it by then.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/event_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_event {
    struct ed_sync sync;    /* first      */
    struct ed_list waiters; /* under lock */
    bool set;               /* under lock */
};

eddy_event *eddy_event_create(void) {
    eddy_event *event = ed_alloc(sizeof *event);
    if (event == NULL) return NULL;
    ed_sync_init(&event->sync);
    ed_list_init(&event->waiters);
    event->set = false;
    return event;
}

static void unref(eddy_event *event) {
    if (ed_sync_unref(&event->sync)) ed_free(event);
}

void eddy_event_release(eddy_event *event) {
    if (event == NULL) return;
    ed_spinlock_lock(&event->sync.lock);
    bool waited = !ed_list_empty(&event->waiters);
    ed_spinlock_unlock(&event->sync.lock);
    if (waited) ED_PANIC("eddy_event_release while tasks wait for the event");
    unref(event);
}

void eddy_event_set(eddy_event *event) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&event->sync.lock);
    event->set = true;
    while (ed_waitlist_hand(&event->waiters, &taken)) continue;
    ed_spinlock_unlock(&event->sync.lock);
    ed_waiters_send(&taken);
}

void eddy_event_clear(eddy_event *event) {
    ed_spinlock_lock(&event->sync.lock);
    event->set = false;
    ed_spinlock_unlock(&event->sync.lock);
}

bool eddy_event_is_set(const eddy_event *event) {
    struct ed_spinlock *lock = (struct ed_spinlock *)&event->sync.lock;
    ed_spinlock_lock(lock);
    bool set = event->set;
    ed_spinlock_unlock(lock);
    return set;
}

int eddy_event_wait(eddy_event *event) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    ed_spinlock_lock(&event->sync.lock);
    if (event->set) {
        ed_spinlock_unlock(&event->sync.lock);
        return 0;
    }
    bool woken;
    int status = ed_waitlist_wait(&event->sync, &event->waiters, "event", &woken);
    unref(event);
    return status;
}
