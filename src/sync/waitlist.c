/* waitlist.c: waiting for an object, and being handed what one waited for.
 *
 * Problem    A lock, a slot or a turn that is given to a waiter is on its way for a while: the waiter sits on another
 *            worker, or has not had its turn yet. If it is cancelled meanwhile, what it was given must not be lost. And
 *            plain threads want to wait as well.
 * Idea       Who gives decides under the object's lock, not who wakes: it takes the oldest node out of the list, and
 *            with it goes what it meant to give. Then, without the lock, the node travels: at once on the same worker,
 *            else as a message; to a plain thread by a flag that it sleeps on. A wait that ends cancelled hands on what
 *            it was given (ed_line.leave), or keeps it and leaves the request to the next suspension (ed_line.keeps).
 * Node       A task's is strand->waiter, in the record of its stack: a stack waits for one thing at a time. A plain
 *            thread, and a wait in several lists at once, has a record on the heap for the time of the wait.
 *
 *                IDLE -> LINKED -> TAKEN -> ARRIVED (on its worker)
 *                          \-> IDLE (taken back by its worker; or another node of the same record was taken)
 *
 *            LINKED to TAKEN or IDLE: under the object's lock, so one of them happens. A task that is cancelled while
 *            its node is TAKEN stays parked until that arrives: the node is the stack's, and its next wait uses it.
 *            One that was cancelled before anything was given to it, on the taker's own worker, is leaving: it is
 *            passed over, as asyncio does ("no barging past a live waiter"). On another worker nobody can know yet.
 * Several    Lists under different locks: who makes `decided` 1 first, a taker or the waiter that gives up, decides. A
 *            node whose record is decided is dead: takers drop it, its owner takes the rest back before it frees them.
 * Life       A call that waits holds a reference from before its node is linked until it has taken or handed on what it
 *            got. So an object that was released right after its last waiters were served lives until they are through.
 *            Where what was handed over lies with the waiter, and is its for good (an event, a channel: ed_line.parts), the
 *            node holds the reference, and who takes it on the waiter's own worker gives it back at once: nothing can come
 *            between that and the arrival. Taken from another worker, a cancelled waiter may still look (take_back), so it
 *            keeps the reference until it knows. A plain thread never looks.
 * Invariants (S1) a node is in at most one list, and LINKED exactly while it is in an object's.
 *            (S2) each TAKEN node arrives exactly once, and nothing else ends its wait for good.
 *            (S3) who has sent a node touches neither that nor the object: the woken task may end.
 *            (S4) of one record at most one node is ever TAKEN.
 * Ordering   The object's lock, then the inbox (push releases, take acquires), the worker itself, or the thread's flag.
 *            `decided` orders nothing: what it decides about stands under a lock.
 * Threads    take, take_all, first: any, with the lock. wait: the task, or a plain thread, which it blocks.
 * Not here   What is handed over, and when: the objects. A node's way to its worker: task/waiter.c. Parking:
 *            task/wait.c.
 * Tests      tests/sync/: each object, cancelled while its node is on the way; tests/model/sync_model.c. */
#include "sync/waitlist.h"

void ed_sync_init(struct ed_sync *sync, void (*destroy)(struct ed_sync *sync)) {
    ed_guard_init(&sync->lock);
    sync->references = 1;
    sync->destroy = destroy;
}

void ed_sync_ref(struct ed_sync *sync) {
    ed_guard_lock(&sync->lock);
    sync->references++;
    ed_guard_unlock(&sync->lock);
}

void ed_sync_unref(struct ed_sync *sync) {
    ed_guard_lock(&sync->lock);
    bool last = --sync->references == 0;
    ed_guard_unlock(&sync->lock);
    if (last) sync->destroy(sync);
}

void ed_sync_release(struct ed_sync *sync, struct ed_list *waiters, struct ed_list *others, const char *call) {
    ed_guard_lock(&sync->lock);
    bool waited = ed_waitlist_first(waiters) != NULL || (others != NULL && ed_waitlist_first(others) != NULL);
    bool last = !waited && --sync->references == 0;
    ed_guard_unlock(&sync->lock);
    if (waited) ED_PANIC("%s while somebody waits: let all who wait end first", call);
    if (last) sync->destroy(sync);
}

/* ---- who gives ----------------------------------------------------------------------------------- */

bool ed_waitlist_is_leaving(const struct ed_waiter *node) {
    if (node->worker == NULL || node->worker != ed_worker_current()) return false;
    struct ed_strand *strand =
        node->standing != NULL ? ed_strand_of(node->standing->fiber) : ED_CONTAINER(node, struct ed_strand, waiter);
    return strand->parked && strand->cancelled;
}

/* The next after `link` that waits, up to the end of the list; drops dead ones. */
static struct ed_waiter *next_live(struct ed_list *waiters, struct ed_list *link) {
    for (struct ed_list *next; (link = link->next) != waiters;) {
        struct ed_waiter *node = ED_CONTAINER(link, struct ed_waiter, link);
        ED_ASSERT(node->state == ED_WAITER_LINKED);
        if (node->decided != NULL && ED_LOAD_RELAXED(node->decided) != 0) {
            next = link->prev;
            ed_list_remove(link);
            node->state = ED_WAITER_IDLE;
            link = next;
        } else if (!ed_waitlist_is_leaving(node)) {
            return node;
        }
    }
    return NULL;
}

struct ed_waiter *ed_waitlist_first(struct ed_list *waiters) {
    return next_live(waiters, waiters);
}

struct ed_waiter *ed_waitlist_take_live(struct ed_list *waiters, int status, struct ed_list *taken) {
    struct ed_waiter *node;
    while ((node = ed_waitlist_first(waiters)) != NULL) {
        ed_list_remove(&node->link);
        if (node->decided == NULL || ED_EXCHANGE(node->decided, 1) == 0) {
            node->state = ED_WAITER_TAKEN;
            node->status = status;
            if (node->held != NULL && (node->worker == NULL || node->worker == ed_worker_current())) {
                node->held->references--; /* it arrives before anything else can happen to it */
                node->held = NULL;
            }
            ed_list_push(taken, &node->link);
            return node;
        }
        node->state = ED_WAITER_IDLE;
    }
    return NULL;
}

void ed_waitlist_take_all(struct ed_list *waiters, int status, struct ed_list *taken) {
    while (ed_waitlist_take(waiters, status, taken) != NULL) continue;
}

/* ---- arriving ------------------------------------------------------------------------------------ */

static void strand_arrives(struct ed_waiter *node) {
    ed_wake(&ED_CONTAINER(node, struct ed_strand, waiter)->fiber, node->status);
}

static void standing_arrives(struct ed_waiter *node) {
    struct ed_standing *standing = node->standing;
    standing->winner = node;
    if (standing->fiber != NULL) {
        ed_wake(standing->fiber, node->status);
    } else {
        ed_thread_wake(&standing->arrived); /* the last touch */
    }
}

struct ed_standing *ed_standing_create(struct ed_fiber *fiber, size_t count, bool several) {
    struct ed_standing *standing = ed_alloc(sizeof *standing + count * sizeof standing->nodes[0]);
    if (standing == NULL) return NULL;
    standing->fiber = fiber;
    ED_STORE_RELAXED(&standing->decided, 0);
    ED_STORE_RELAXED(&standing->arrived, 0);
    standing->winner = NULL;
    for (size_t i = 0; i < count; i++) {
        standing->nodes[i] = (struct ed_waiter){.worker = fiber != NULL ? ed_fiber_worker(fiber) : NULL,
                                                .arrive = standing_arrives,
                                                .standing = standing,
                                                .decided = several ? &standing->decided : NULL};
    }
    return standing;
}

/* ---- who waits ----------------------------------------------------------------------------------- */

int ed_standing_wait(struct ed_standing *standing, const char *reason) {
    if (standing->fiber == NULL) {
        ed_thread_wait(&standing->arrived);
        return 0;
    }
    const struct ed_park park = {.reason = reason, .deadline_ns = INT64_MAX, .move = true};
    int status = ed_park(&park);
    while (!ed_park_woken()) {
        if (ED_EXCHANGE(&standing->decided, 1) == 0) return status;
        (void)ed_park(&park); /* one is on its way here */
    }
    if (status < 0 && status != standing->winner->status) ed_park_put_off(status);
    return 0;
}

static void link_last(struct ed_sync *sync, struct ed_list *waiters, struct ed_waiter *node, const struct ed_line *line,
                      void *item) {
    node->item = item;
    node->state = ED_WAITER_LINKED;
    node->held = NULL;
    if (line->parts) {
        ED_ASSERT(line->keeps || line->leave == NULL); /* nothing to hand on */
        sync->references++;
        node->held = sync;
    }
    ed_list_push(waiters, &node->link);
}

/* False: it is TAKEN. */
static bool take_back(struct ed_sync *sync, struct ed_waiter *node, const struct ed_line *line) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&sync->lock);
    bool linked = node->state == ED_WAITER_LINKED, last = false;
    if (linked) {
        ed_list_remove(&node->link);
        node->state = ED_WAITER_IDLE;
        last = node->held != NULL && --sync->references == 0;
        if (line->leave != NULL) line->leave(sync, node->item, false, &taken);
    }
    ed_guard_unlock(&sync->lock);
    ed_waitlist_send(&taken);
    if (last) sync->destroy(sync);
    return linked;
}

static void hand_on(struct ed_sync *sync, const struct ed_line *line, void *item) {
    struct ed_list taken;
    ed_list_init(&taken);
    if (line->leave == NULL) return;
    ed_guard_lock(&sync->lock);
    line->leave(sync, item, true, &taken);
    ed_guard_unlock(&sync->lock);
    ed_waitlist_send(&taken);
}

/* What is rare: the wait ended with something else than what it was woken with, or was served from another worker. */
static ED_COLD int stood(struct ed_sync *sync, const struct ed_line *line, void *item, struct ed_fiber *fiber,
                         int status) {
    struct ed_strand *strand = ed_strand_of(fiber);
    struct ed_waiter *node = &strand->waiter;
    while (!strand->woken) {
        if (take_back(sync, node, line)) return status;
        /* On its way here; a further request meanwhile is delivered with the first. */
        (void)ed_park_for(fiber, line->reason, true);
    }
    if (ED_UNLIKELY(node->held != NULL)) ed_sync_unref(sync); /* served from another worker */
    if (status == node->status || node->status != 0) return status;
    if (line->keeps) {
        ed_park_put_off(status);
        return 0;
    }
    hand_on(sync, line, item);
    return status;
}

ED_HOT int ed_waitlist_stand_here(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item,
                                  struct ed_fiber *fiber) {
    struct ed_strand *strand = ed_strand_of(fiber);
    struct ed_waiter *node = &strand->waiter;
    ED_ASSERT(node->state == ED_WAITER_IDLE || node->state == ED_WAITER_ARRIVED);
    node->worker = ed_fiber_worker(fiber);
    node->arrive = strand_arrives;
    node->standing = NULL;
    node->decided = NULL;
    link_last(sync, waiters, node, line, item);
    ed_guard_unlock(&sync->lock);
    if (line->linked != NULL) line->linked(sync, item);
    int status = ed_park_for(fiber, line->reason, true);
    if (ED_LIKELY(strand->woken && node->held == NULL && status == node->status)) return status;
    return stood(sync, line, item, fiber, status);
}

int ed_waitlist_stand(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item,
                      struct ed_fiber *fiber) {
    return ed_waitlist_stand_here(sync, waiters, line, item, fiber);
}

static int task_wait(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item,
                     struct ed_fiber *fiber) {
    ed_guard_lock(&sync->lock);
    if (line->enter(sync, item)) {
        ed_guard_unlock(&sync->lock);
        return 1;
    }
    return ed_waitlist_stand(sync, waiters, line, item, fiber);
}

static int thread_wait(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item) {
    struct ed_standing *standing = ed_standing_create(NULL, 1, false);
    if (standing == NULL) return EDDY_ENOMEM;
    struct ed_waiter *node = &standing->nodes[0];
    ed_guard_lock(&sync->lock);
    int status = line->enter(sync, item) ? 1 : 0;
    if (status == 0) link_last(sync, waiters, node, line, item);
    ed_guard_unlock(&sync->lock);
    if (status == 0) {
        if (line->linked != NULL) line->linked(sync, item);
        (void)ed_standing_wait(standing, line->reason);
        status = node->status;
    }
    ed_free(standing);
    return status;
}

int ed_waitlist_wait(struct ed_sync *sync, struct ed_list *waiters, const struct ed_line *line, void *item) {
    struct ed_fiber *fiber = ed_fiber_current();
    return fiber != NULL ? task_wait(sync, waiters, line, item, fiber) : thread_wait(sync, waiters, line, item);
}
