/* queue.c: a queue of values between tasks, bounded or not (asyncio.Queue).
 *
 * Problem    An item on its way to a getter that is cancelled must come back to its old place, not behind younger ones;
 *            a put that is cancelled must not have happened.
 * Idea       Items do not travel. A woken getter has the right to one item, a woken putter to one free place: the queue
 *            counts both as reserved, and lets nobody else at them. The task itself takes its item out, or puts it in,
 *            when it runs. Giving a right up is one subtraction.
 * Items      In a chain of chunks, first in first out. Memory is fetched and freed without the lock: a put that finds
 *            the last chunk full fetches one and tries again. An empty chunk is kept for the next need.
 * Invariants (Q1) a getter waits => every item is reserved, and the queue is open or holds an item.
 *            (Q2) a putter waits => the queue is open, and items and reserved places fill it.
 *            (Q3) items_reserved <= count; with a capacity, count + places_reserved <= capacity.
 *            (Q4) items lie in [head, head_at) ... (tail, tail_at); with chunks there is always a head.
 * Close      Putters are refused. Getters are only when nothing is left, reserved items included: the getter that has
 *            the right to the last one may yet be cancelled, and another must find it then.
 * Threads    As in eddy/sync.h. Hand-over: waitlist.c.
 * Tests      tests/sync/queue_test.c. */
#include "sync/sync.h"
#include "sync/waitlist.h"

enum { CHUNK_ITEMS = 62 }; /* a chunk and its header of the allocator are 1 KiB */

struct chunk {
    struct chunk *next;
    eddy_value items[CHUNK_ITEMS];
};

struct eddy_queue {
    struct ed_sync sync;              /* first                                                      */
    struct ed_list getters, putters;  /* under lock                                                 */
    struct chunk *head, *tail, *kept; /* under lock: oldest items, youngest items; an empty chunk   */
    unsigned head_at, tail_at;        /* under lock: the oldest item in head, one behind the youngest in tail */
    size_t count;                     /* under lock: items                                          */
    size_t items_reserved;            /* under lock: of count, for getters that were woken          */
    size_t places_reserved;           /* under lock: for putters that were woken                    */
    bool closed;                      /* under lock                                                 */
    size_t capacity;                  /* (c) 0: no bound                                            */
    eddy_drop_fn drop;                /* (c)                                                        */
};

eddy_queue *eddy_queue_create(size_t capacity, eddy_drop_fn drop) {
    eddy_queue *queue = ed_calloc(sizeof *queue);
    if (queue == NULL) return NULL;
    ed_sync_init(&queue->sync);
    ed_list_init(&queue->getters);
    ed_list_init(&queue->putters);
    queue->capacity = capacity;
    queue->drop = drop;
    return queue;
}

/* ---- the chain: all under the lock ---------------------------------------------------------------- */

/* Room for one more behind the youngest, with the kept chunk or *spare if need be. False: neither is there. */
static bool make_room(eddy_queue *queue, struct chunk **spare) {
    if (queue->tail != NULL && queue->tail_at < CHUNK_ITEMS) return true;
    struct chunk **from = queue->kept != NULL ? &queue->kept : spare;
    struct chunk *chunk = *from;
    if (chunk == NULL) return false;
    *from = NULL;
    chunk->next = NULL;
    if (queue->tail != NULL) {
        queue->tail->next = chunk;
    } else {
        queue->head = chunk;
    }
    queue->tail = chunk;
    queue->tail_at = 0;
    return true;
}

/* Takes the oldest item out. Gives a chunk that is to be freed, or NULL. */
static struct chunk *pop(eddy_queue *queue, eddy_value *item_out) {
    ED_ASSERT(queue->count > 0);
    *item_out = queue->head->items[queue->head_at++];
    if (--queue->count == 0) {
        ED_ASSERT(queue->head == queue->tail && queue->head_at == queue->tail_at);
        queue->head_at = queue->tail_at = 0;
    } else if (queue->head_at == CHUNK_ITEMS) {
        struct chunk *empty = queue->head;
        queue->head = empty->next;
        queue->head_at = 0;
        if (queue->kept != NULL) return empty;
        queue->kept = empty;
    }
    return NULL;
}

/* ---- rights: all under the lock -------------------------------------------------------------------- */

static bool full(const eddy_queue *queue) {
    return queue->capacity > 0 && queue->count + queue->places_reserved >= queue->capacity;
}

/* An item is there that nobody has a right to: the oldest getter gets it. */
static void hand_item(eddy_queue *queue, struct ed_list *taken) {
    if (ed_waitlist_hand(&queue->getters, taken)) queue->items_reserved++;
}

static void hand_place(eddy_queue *queue, struct ed_list *taken) {
    if (ed_waitlist_hand(&queue->putters, taken)) queue->places_reserved++;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void unref(eddy_queue *queue) {
    if (!ed_sync_unref(&queue->sync)) return;
    while (queue->count > 0) {
        eddy_value item;
        ed_free(pop(queue, &item));
        if (queue->drop != NULL) queue->drop(item);
    }
    ed_free(queue->head); /* of an empty queue it is the only one */
    ed_free(queue->kept);
    ed_free(queue);
}

void eddy_queue_release(eddy_queue *queue) {
    if (queue == NULL) return;
    ed_spinlock_lock(&queue->sync.lock);
    bool waited = !ed_list_empty(&queue->getters) || !ed_list_empty(&queue->putters);
    ed_spinlock_unlock(&queue->sync.lock);
    if (waited) ED_PANIC("eddy_queue_release while tasks wait on the queue: close it and let them end first");
    unref(queue);
}

size_t eddy_queue_size(const eddy_queue *queue) {
    struct ed_spinlock *lock = (struct ed_spinlock *)&queue->sync.lock;
    ed_spinlock_lock(lock);
    size_t count = queue->count;
    ed_spinlock_unlock(lock);
    return count;
}

void eddy_queue_close(eddy_queue *queue) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&queue->sync.lock);
    queue->closed = true;
    ed_waitlist_refuse_all(&queue->putters, &taken);
    if (queue->count == 0) ed_waitlist_refuse_all(&queue->getters, &taken);
    ed_spinlock_unlock(&queue->sync.lock);
    ed_waiters_send(&taken);
}

/* ---- put ------------------------------------------------------------------------------------------ */

static int put_with(eddy_queue *queue, eddy_value item, bool has_place, struct chunk **spare) {
    struct ed_list taken;
    ed_list_init(&taken);
    int status = 0;
    ed_spinlock_lock(&queue->sync.lock);
    if (queue->closed) {
        status = EDDY_ECLOSED;
    } else if (!has_place && full(queue)) {
        status = EDDY_EBUSY;
    } else if (!make_room(queue, spare)) {
        status = EDDY_ENOMEM;
    } else {
        queue->tail->items[queue->tail_at++] = item;
        queue->count++;
        if (has_place) queue->places_reserved--;
        hand_item(queue, &taken);
    }
    ed_spinlock_unlock(&queue->sync.lock);
    ed_waiters_send(&taken);
    return status;
}

static int put(eddy_queue *queue, eddy_value item, bool has_place) {
    struct chunk *spare = NULL;
    int status = put_with(queue, item, has_place, &spare);
    if (status == EDDY_ENOMEM && (spare = ed_alloc(sizeof *spare)) != NULL)
        status = put_with(queue, item, has_place, &spare);
    ed_free(spare); /* another's get may have left a chunk meanwhile */
    return status;
}

int eddy_queue_try_put(eddy_queue *queue, eddy_value item) { return put(queue, item, false); }

static void give_place_up(eddy_queue *queue) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&queue->sync.lock);
    queue->places_reserved--;
    hand_place(queue, &taken);
    ed_spinlock_unlock(&queue->sync.lock);
    ed_waiters_send(&taken);
}

int eddy_queue_put(eddy_queue *queue, eddy_value item) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    for (;;) {
        int status = put(queue, item, false);
        if (status != EDDY_EBUSY) return status;
        ed_spinlock_lock(&queue->sync.lock);
        if (!queue->closed && full(queue)) break;
        ed_spinlock_unlock(&queue->sync.lock); /* it changed meanwhile */
    }
    bool has_place;
    int status = ed_waitlist_wait(&queue->sync, &queue->putters, "queue put", &has_place);
    if (status == 0) status = put(queue, item, true);
    if (status < 0 && has_place) give_place_up(queue);
    unref(queue);
    return status;
}

/* ---- get ------------------------------------------------------------------------------------------ */

/* Under the lock: what a get without a right can do. 0, EDDY_EBUSY, EDDY_ECLOSED. */
static int get_status(const eddy_queue *queue) {
    if (queue->count > queue->items_reserved) return 0;
    return queue->closed && queue->count == 0 ? EDDY_ECLOSED : EDDY_EBUSY;
}

static int get(eddy_queue *queue, eddy_value *item_out, bool has_item) {
    struct ed_list taken;
    ed_list_init(&taken);
    struct chunk *empty = NULL;
    ed_spinlock_lock(&queue->sync.lock);
    int status = has_item ? 0 : get_status(queue);
    if (status == 0) {
        empty = pop(queue, item_out);
        if (has_item) queue->items_reserved--;
        hand_place(queue, &taken);
        if (queue->closed && queue->count == 0) ed_waitlist_refuse_all(&queue->getters, &taken);
    }
    ed_spinlock_unlock(&queue->sync.lock);
    ed_free(empty);
    ed_waiters_send(&taken);
    return status;
}

int eddy_queue_try_get(eddy_queue *queue, eddy_value *item_out) { return get(queue, item_out, false); }

static void give_item_up(eddy_queue *queue) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&queue->sync.lock);
    queue->items_reserved--;
    hand_item(queue, &taken);
    ed_spinlock_unlock(&queue->sync.lock);
    ed_waiters_send(&taken);
}

int eddy_queue_get(eddy_queue *queue, eddy_value *item_out) {
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    for (;;) {
        int status = get(queue, item_out, false);
        if (status != EDDY_EBUSY) return status;
        ed_spinlock_lock(&queue->sync.lock);
        if (get_status(queue) == EDDY_EBUSY) break;
        ed_spinlock_unlock(&queue->sync.lock); /* it changed meanwhile */
    }
    bool has_item;
    int status = ed_waitlist_wait(&queue->sync, &queue->getters, "queue get", &has_item);
    if (status == 0) {
        status = get(queue, item_out, true);
    } else if (has_item) {
        give_item_up(queue);
    }
    unref(queue);
    return status;
}
