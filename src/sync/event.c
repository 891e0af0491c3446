/* event.c: a flag that tasks wait for (asyncio.Event).
 *
 * Idea       Setting takes all who wait now: they wake whatever happens to the flag before they run (S2 of asyncio's
 *            contract). Nothing travels with them, so one that ends cancelled has nothing to hand on.
 * Life       Looking at the flag takes the lock as well: whoever sees it set may release the event at once, and the
 *            setter must be out of it by then.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/event_test.c; tests/model/sync_model.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_event {
    struct ed_sync sync;    /* first      */
    struct ed_list waiters; /* under lock */
    bool set;               /* under lock */
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_event *eddy_event_create(void) {
    eddy_event *event = ed_alloc(sizeof *event);
    if (event == NULL) return NULL;
    ed_sync_init(&event->sync, destroy);
    ed_list_init(&event->waiters);
    event->set = false;
    return event;
}

void eddy_event_release(eddy_event *event) {
    if (event != NULL) ed_sync_release(&event->sync, &event->waiters, NULL, "eddy_event_release");
}

void eddy_event_set(eddy_event *event) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&event->sync.lock);
    event->set = true;
    ed_waitlist_take_all(&event->waiters, 0, &taken);
    ed_guard_unlock(&event->sync.lock);
    ed_waitlist_send(&taken);
}

void eddy_event_clear(eddy_event *event) {
    ed_guard_lock(&event->sync.lock);
    event->set = false;
    ed_guard_unlock(&event->sync.lock);
}

bool eddy_event_is_set(const eddy_event *event) {
    struct ed_guard *lock = (struct ed_guard *)&event->sync.lock;
    ed_guard_lock(lock);
    bool set = event->set;
    ed_guard_unlock(lock);
    return set;
}

static bool enter(struct ed_sync *sync, void *item) {
    (void)item;
    return ((eddy_event *)sync)->set;
}

int eddy_event_wait(eddy_event *event) {
    static const struct ed_line line = {.reason = "event", .enter = enter, .parts = true};
    struct ed_fiber *fiber;
    if (!ed_sync_enter_as(&fiber)) return EDDY_EWRONGTHREAD;
    ed_guard_lock(&event->sync.lock);
    bool set = event->set;
    if (!set && fiber != NULL) return ed_waitlist_stand(&event->sync, &event->waiters, &line, NULL, fiber);
    ed_guard_unlock(&event->sync.lock);
    if (set) return 0;
    int status = ed_waitlist_wait(&event->sync, &event->waiters, &line, NULL);
    return status < 0 ? status : 0;
}
