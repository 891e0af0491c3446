/* once.c: something that is to happen once, however many ask for it.
 *
 * States     NEW -> RUNNING -> DONE, or RUNNING -> NEW (it failed, nobody waits), or RUNNING -> RUNNING (it failed: the
 *            oldest waiter tries next). Who is woken either finds it DONE or runs it itself; one that ends cancelled
 *            with that turn in its hands hands it on.
 * Ordering   DONE is stored with release under the lock and read with acquire without it: what fn wrote is seen.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/once_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

enum { NEW, RUNNING, DONE };

struct eddy_once {
    struct ed_sync sync;    /* first                            */
    struct ed_list waiters; /* under lock                       */
    _Atomic uint32_t state; /* written under lock; DONE for good */
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_once *eddy_once_create(void) {
    eddy_once *once = ed_alloc(sizeof *once);
    if (once == NULL) return NULL;
    ed_sync_init(&once->sync, destroy);
    ed_list_init(&once->waiters);
    ED_STORE_RELAXED(&once->state, NEW);
    return once;
}

void eddy_once_release(eddy_once *once) {
    if (once != NULL) ed_sync_release(&once->sync, &once->waiters, NULL, "eddy_once_release");
}

bool eddy_once_is_done(const eddy_once *once) { return ED_LOAD_ACQUIRE((_Atomic uint32_t *)&once->state) == DONE; }

static bool enter(struct ed_sync *sync, void *item) {
    eddy_once *once = (eddy_once *)sync;
    (void)item;
    if (ED_LOAD_RELAXED(&once->state) == RUNNING) return false;
    if (ED_LOAD_RELAXED(&once->state) == NEW) ED_STORE_RELAXED(&once->state, RUNNING);
    return true;
}

static void leave(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_once *once = (eddy_once *)sync;
    (void)item;
    if (handed && ED_LOAD_RELAXED(&once->state) == RUNNING && !ed_waitlist_hand(&once->waiters, taken))
        ED_STORE_RELAXED(&once->state, NEW);
}

static int run(eddy_once *once, int (*fn)(void *arg), void *arg) {
    int status = fn(arg);
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&once->sync.lock);
    if (status >= 0) {
        ED_STORE_RELEASE(&once->state, DONE);
        ed_waitlist_take_all(&once->waiters, 0, &taken);
    } else {
        leave(&once->sync, NULL, true, &taken);
    }
    ed_guard_unlock(&once->sync.lock);
    ed_waitlist_send(&taken);
    return status < 0 ? status : 0;
}

int eddy_once_run(eddy_once *once, int (*fn)(void *arg), void *arg) {
    static const struct ed_line line = {.reason = "once", .enter = enter, .leave = leave};
    if (eddy_once_is_done(once)) return 0;
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    ed_sync_ref(&once->sync);
    int status = ed_waitlist_wait(&once->sync, &once->waiters, &line, NULL);
    if (status >= 0) status = eddy_once_is_done(once) ? 0 : run(once, fn, arg);
    ed_sync_unref(&once->sync);
    return status;
}
