/* waitlist.c: waiting for an object, and being handed what one waited for.
 *
 * Problem    A lock, a slot or an item that is given to a waiter is on its way for a while: the waiter sits on another
 *            worker, or has not had its turn yet. If it is cancelled meanwhile, what it was given must not be lost; and
 *            nobody who comes later may snatch it.
 * Idea       Who gives decides under the object's lock, not who wakes: it takes the oldest node out of the list, and
 *            with it goes ownership of the lock, a slot, or the right to one item (the object counts it as reserved).
 *            Then, without the lock, the node travels: at once on the same worker, else as a message. The waiter reads
 *            on arrival what it has. A wait that ends cancelled hands on what it was given.
 * Node       strand->waiter, in the record of the waiter's stack: a stack waits for one thing at a time.
 *
 *                IDLE -> LINKED -> TAKEN -> ARRIVED (on its worker)
 *                          \-> IDLE (taken back by its worker)
 *
 *            LINKED to TAKEN or IDLE: under the object's lock, so one of them happens. A task that is cancelled while
 *            its node is TAKEN stays parked until that arrives: the node is the stack's, and its next wait uses it.
 *            What it arrives with stands in node->arrive, written by the taker: handed, or refused.
 * Life       A task that waits holds a reference from before it is linked until it has taken or handed on what it got.
 *            So an object that was released right after its last waiters were served lives until they are through.
 * Invariants (S1) a node is in at most one list, and LINKED exactly while it is in an object's.
 *            (S2) each TAKEN node arrives exactly once, and nothing else ends its wait for good.
 *            (S3) who has sent a node touches neither that nor the object: the woken task may end.
 * Ordering   The object's lock, then the inbox (push releases, take acquires) or the worker itself.
 * Threads    hand, refuse_all: any, plain threads too. wait: the task.
 * Not here   What is handed over, and when: lock.c, event.c, semaphore.c, queue.c. A node's way to its worker:
 *            task/waiter.c. Parking: task/wait.c.
 * Tests      tests/sync/: each of the four, cancelled while its node is on the way. */
#include "sync/waitlist.h"

void ed_sync_init(struct ed_sync *sync) {
    ed_spinlock_init(&sync->lock);
    ED_STORE_RELAXED(&sync->references, 1);
}

bool ed_sync_unref(struct ed_sync *sync) { return ED_SUB(&sync->references, 1) == 1; }

bool ed_sync_enter(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return false;
    ed_count_await(fiber);
    return true;
}

/* ---- who gives ----------------------------------------------------------------------------------- */

static void arrive(struct ed_waiter *node, int status) {
    ed_wake(&ED_CONTAINER(node, struct ed_strand, waiter)->fiber, status);
}

static void arrive_handed(struct ed_waiter *node) { arrive(node, 0); }

static void arrive_refused(struct ed_waiter *node) { arrive(node, EDDY_ECLOSED); }

static bool take(struct ed_list *waiters, struct ed_list *taken, void (*how)(struct ed_waiter *)) {
    struct ed_list *link = ed_list_pop(waiters);
    if (link == NULL) return false;
    struct ed_waiter *node = ED_CONTAINER(link, struct ed_waiter, link);
    ED_ASSERT(node->state == ED_WAITER_LINKED);
    node->state = ED_WAITER_TAKEN;
    node->arrive = how;
    ed_list_push(taken, link);
    return true;
}

bool ed_waitlist_hand(struct ed_list *waiters, struct ed_list *taken) { return take(waiters, taken, arrive_handed); }

void ed_waitlist_refuse_all(struct ed_list *waiters, struct ed_list *taken) {
    while (take(waiters, taken, arrive_refused)) continue;
}

/* ---- who waits ----------------------------------------------------------------------------------- */

/* False: it is TAKEN. */
static bool take_back(struct ed_sync *sync, struct ed_waiter *node) {
    ed_spinlock_lock(&sync->lock);
    bool linked = node->state == ED_WAITER_LINKED;
    if (linked) {
        ed_list_remove(&node->link);
        node->state = ED_WAITER_IDLE;
    }
    ed_spinlock_unlock(&sync->lock);
    return linked;
}

int ed_waitlist_wait(struct ed_sync *sync, struct ed_list *waiters, const char *reason, bool *handed_out) {
    struct ed_fiber *fiber = ed_fiber_current();
    struct ed_strand *strand = ed_strand_of(fiber);
    struct ed_waiter *node = &strand->waiter;
    ED_ASSERT(node->state == ED_WAITER_IDLE || node->state == ED_WAITER_ARRIVED);
    node->worker = ed_fiber_worker(fiber);
    node->state = ED_WAITER_LINKED;
    ed_list_push(waiters, &node->link);
    ED_ADD_RELAXED(&sync->references, 1);
    ed_spinlock_unlock(&sync->lock);

    const struct ed_park park = {.reason = reason, .deadline_ns = INT64_MAX, .move = true};
    int status = ed_park(&park);
    while (!ed_park_woken()) {
        if (take_back(sync, node)) {
            *handed_out = false;
            return status;
        }
        (void)ed_park(&park); /* on its way here; a further request meanwhile is delivered with the first */
    }
    *handed_out = strand->status == 0; /* what the node arrived with */
    return status;
}
