/* barrier.c: a number of tasks wait for each other (asyncio.Barrier).
 *
 * States     FILLING -> DRAINING (the last one came) -> FILLING (all have left)
 *            any -> RESETTING (reset with tasks inside) -> FILLING (all have left); any -> BROKEN (abort), until reset
 *            Who comes while it drains or resets waits outside. Who is woken reads the state when it runs, not when it
 *            was woken: a reset or an abort in between still reaches it, as in asyncio. For the same reason a reset wakes
 *            those outside too, though it may be too early: who is first to run after the last one has left is first in.
 *            Who is cancelled wakes one other, as asyncio's condition does, which goes back to the end of the line.
 * Invariants (B1) inside == those that arrived and did not leave. (B2) DRAINING or RESETTING => inside > 0.
 *            (B3) somebody waits outside => DRAINING or RESETTING.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/barrier_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_barrier {
    struct ed_sync sync;                                 /* first                     */
    struct ed_list waiters, outside;                     /* under lock                */
    enum { FILLING, DRAINING, RESETTING, BROKEN } state; /* under lock                */
    unsigned inside;                                     /* under lock                */
    unsigned parties;                                    /* (c) > 0                   */
};

/* One that comes. */
struct arrival {
    struct ed_list taken; /* whom it releases               */
    int index;            /* < 0: the state did not let it in */
    bool inside;          /* it has been counted              */
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_barrier *eddy_barrier_create(unsigned parties) {
    eddy_barrier *barrier = parties > 0 && parties <= INT_MAX ? ed_alloc(sizeof *barrier) : NULL;
    if (barrier == NULL) return NULL;
    ed_sync_init(&barrier->sync, destroy);
    ed_list_init(&barrier->waiters);
    ed_list_init(&barrier->outside);
    barrier->state = FILLING;
    barrier->inside = 0;
    barrier->parties = parties;
    return barrier;
}

void eddy_barrier_release(eddy_barrier *barrier) {
    if (barrier != NULL) ed_sync_release(&barrier->sync, &barrier->waiters, &barrier->outside, "eddy_barrier_release");
}

static bool blocked(const eddy_barrier *barrier) { return barrier->state == DRAINING || barrier->state == RESETTING; }

static bool enter_outside(struct ed_sync *sync, void *item) {
    (void)item;
    return !blocked((eddy_barrier *)sync);
}

static bool enter(struct ed_sync *sync, void *item) {
    eddy_barrier *barrier = (eddy_barrier *)sync;
    struct arrival *arrival = item;
    if (arrival->inside) return barrier->state != FILLING;
    arrival->index = -1;
    if (barrier->state != FILLING) return true;
    arrival->index = (int)barrier->inside++;
    arrival->inside = true;
    if (barrier->inside < barrier->parties) return false;
    barrier->state = DRAINING;
    ed_waitlist_take_all(&barrier->waiters, 0, &arrival->taken);
    return true;
}

/* Under the lock: one that was inside goes. The last one opens a barrier that drained or was reset. */
static void leave(eddy_barrier *barrier, struct ed_list *taken) {
    ED_ASSERT(barrier->inside > 0);
    if (--barrier->inside > 0 || !blocked(barrier)) return;
    barrier->state = FILLING;
    ed_waitlist_take_all(&barrier->outside, 0, taken);
}

/* Cancelled: outside, and inside. */
static void leave_outside(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_barrier *barrier = (eddy_barrier *)sync;
    (void)item, (void)handed;
    if (!ed_waitlist_hand(&barrier->waiters, taken)) (void)ed_waitlist_hand(&barrier->outside, taken);
}
static void leave_inside(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    leave_outside(sync, item, handed, taken);
    ((struct arrival *)item)->inside = false;
    leave((eddy_barrier *)sync, taken);
}

/* 0 or EDDY_EBROKEN, by the state now. */
static int go(eddy_barrier *barrier, struct ed_list *taken) {
    ed_guard_lock(&barrier->sync.lock);
    int status = barrier->state == DRAINING ? 0 : EDDY_EBROKEN;
    leave(barrier, taken);
    ed_guard_unlock(&barrier->sync.lock);
    ed_waitlist_send(taken);
    return status;
}

int eddy_barrier_wait(eddy_barrier *barrier) {
    static const struct ed_line line = {.reason = "barrier", .enter = enter, .leave = leave_inside};
    static const struct ed_line outside = {
        .reason = "barrier, draining", .enter = enter_outside, .leave = leave_outside};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    struct arrival arrival = {.index = -1};
    ed_list_init(&arrival.taken);
    ed_sync_ref(&barrier->sync);
    int status;
    do {
        status = ed_waitlist_wait(&barrier->sync, &barrier->outside, &outside, NULL);
        while (status >= 0 && (status = ed_waitlist_wait(&barrier->sync, &barrier->waiters, &line, &arrival)) == 0)
            continue; /* woken: it looks again */
        if (status < 0 || arrival.index >= 0) break;
        if (eddy_barrier_is_broken(barrier)) status = EDDY_EBROKEN;
    } while (status >= 0);
    if (arrival.inside) { /* also a thread that found no memory to wait again */
        int went = go(barrier, &arrival.taken);
        if (status >= 0) status = went;
    }
    ed_sync_unref(&barrier->sync);
    return status < 0 ? status : arrival.index;
}

static void change(eddy_barrier *barrier, bool abort) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&barrier->sync.lock);
    barrier->state = abort ? BROKEN : barrier->inside > 0 ? RESETTING : FILLING;
    ed_waitlist_take_all(&barrier->waiters, 0, &taken);
    ed_waitlist_take_all(&barrier->outside, 0, &taken);
    ed_guard_unlock(&barrier->sync.lock);
    ed_waitlist_send(&taken);
}

void eddy_barrier_reset(eddy_barrier *barrier) { change(barrier, false); }
void eddy_barrier_abort(eddy_barrier *barrier) { change(barrier, true); }

bool eddy_barrier_is_broken(const eddy_barrier *barrier) {
    struct ed_guard *lock = (struct ed_guard *)&barrier->sync.lock;
    ed_guard_lock(lock);
    bool broken = barrier->state == BROKEN;
    ed_guard_unlock(lock);
    return broken;
}

unsigned eddy_barrier_waiting(const eddy_barrier *barrier) {
    struct ed_guard *lock = (struct ed_guard *)&barrier->sync.lock;
    ed_guard_lock(lock);
    unsigned waiting = barrier->state == FILLING ? barrier->inside : 0;
    ed_guard_unlock(lock);
    return waiting;
}
