/* queue.c: a queue of values between tasks, bounded or not (asyncio.Queue, LifoQueue, PriorityQueue).
 *
 * Problem    An item must not be lost with a getter that is cancelled, nor a free place with a putter.
 * Idea       Items do not travel. Each item that comes wakes the oldest getter, each place that gets free the oldest
 *            putter; the task itself takes its item out, or puts its own in, when it runs. A newcomer may be faster
 *            (asyncio's rule): then the woken one waits again, behind the others. One that ends cancelled, or finds no
 *            memory, wakes the next if there is still something to be had.
 * Invariants (Q1) a getter waits => each item has a woken getter on its way to it, or there is none.
 *            (Q2) a putter waits => the same of free places.
 *            (Q3) with a capacity, count <= capacity. (Q4) unfinished >= count, but for what was put before a
 *            close_now.
 * Close      All who wait are woken, and look for themselves: putters are refused, getters when nothing is left.
 * Threads    As in eddy/queue.h. Hand-over: waitlist.c. Memory and order of the items: store.c.
 * Tests      tests/sync/queue_test.c; tests/model/sync_model.c. */
#include "sync/store.h"
#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_queue {
    struct ed_sync sync;                  /* first                                            */
    struct ed_list getters, putters;      /* under lock                                       */
    struct ed_list joiners;               /* under lock                                       */
    struct ed_store store;                /* under lock                                       */
    size_t unfinished;                    /* under lock: items put, and not yet done with     */
    bool closed;                          /* under lock                                       */
    size_t capacity;                      /* (c) 0: no bound                                  */
    int64_t (*priority)(eddy_value item); /* (c) of an ED_PRIORITY store                      */
    eddy_drop_fn drop;                    /* (c)                                              */
};

/* ---- life ---------------------------------------------------------------------------------------- */

/* Empties what nobody else sees any more. */
static void drop_all(struct ed_store *store, eddy_drop_fn drop) {
    while (store->count > 0) {
        eddy_value item;
        ed_free(ed_store_pop(store, &item));
        if (drop != NULL) drop(item);
    }
    ed_store_deinit(store);
}

static void destroy(struct ed_sync *sync) {
    eddy_queue *queue = (eddy_queue *)sync;
    drop_all(&queue->store, queue->drop);
    ed_free(queue);
}

static eddy_queue *create(size_t capacity, enum ed_order order, int64_t (*priority)(eddy_value), eddy_drop_fn drop) {
    eddy_queue *queue = ed_calloc(sizeof *queue);
    if (queue == NULL) return NULL;
    ed_sync_init(&queue->sync, destroy);
    ed_list_init(&queue->getters);
    ed_list_init(&queue->putters);
    ed_list_init(&queue->joiners);
    ed_store_init(&queue->store, order);
    queue->capacity = capacity;
    queue->priority = priority;
    queue->drop = drop;
    return queue;
}

eddy_queue *eddy_queue_create(size_t capacity, eddy_drop_fn drop) { return create(capacity, ED_FIFO, NULL, drop); }
eddy_queue *eddy_queue_create_lifo(size_t capacity, eddy_drop_fn drop) { return create(capacity, ED_LIFO, NULL, drop); }
eddy_queue *eddy_queue_create_priority(size_t capacity, int64_t (*priority)(eddy_value item), eddy_drop_fn drop) {
    return priority != NULL ? create(capacity, ED_PRIORITY, priority, drop) : NULL;
}

void eddy_queue_release(eddy_queue *queue) {
    if (queue == NULL) return;
    ed_guard_lock(&queue->sync.lock);
    bool joined = !ed_list_empty(&queue->joiners);
    ed_guard_unlock(&queue->sync.lock);
    if (joined) ED_PANIC("eddy_queue_release while somebody waits in eddy_queue_join");
    ed_sync_release(&queue->sync, &queue->getters, &queue->putters, "eddy_queue_release");
}

size_t eddy_queue_size(const eddy_queue *queue) {
    struct ed_guard *lock = (struct ed_guard *)&queue->sync.lock;
    ed_guard_lock(lock);
    size_t count = queue->store.count;
    ed_guard_unlock(lock);
    return count;
}

/* ---- what can be had: under the lock --------------------------------------------------------------- */

static bool full(const eddy_queue *queue) { return queue->capacity > 0 && queue->store.count >= queue->capacity; }

static int put_status(const eddy_queue *queue) { return queue->closed ? EDDY_ECLOSED : full(queue) ? EDDY_EBUSY : 0; }

static int get_status(const eddy_queue *queue) {
    return queue->store.count > 0 ? 0 : queue->closed ? EDDY_ECLOSED : EDDY_EBUSY;
}

static bool enter_put(struct ed_sync *sync, void *item) {
    (void)item;
    return put_status((eddy_queue *)sync) != EDDY_EBUSY;
}

static bool enter_get(struct ed_sync *sync, void *item) {
    (void)item;
    return get_status((eddy_queue *)sync) != EDDY_EBUSY;
}

static void leave_put(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_queue *queue = (eddy_queue *)sync;
    (void)item;
    if (handed && !full(queue)) (void)ed_waitlist_hand(&queue->putters, taken);
}

static void leave_get(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_queue *queue = (eddy_queue *)sync;
    (void)item;
    if (handed && queue->store.count > 0) (void)ed_waitlist_hand(&queue->getters, taken);
}

/* ---- put ------------------------------------------------------------------------------------------ */

static int put_with(eddy_queue *queue, eddy_value item, int64_t priority, struct ed_chunk **spare) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&queue->sync.lock);
    int status = put_status(queue);
    if (status == 0 && !ed_store_push(&queue->store, item, priority, spare)) status = EDDY_ENOMEM;
    if (status == 0) {
        queue->unfinished++;
        (void)ed_waitlist_hand(&queue->getters, &taken);
    }
    ed_guard_unlock(&queue->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

int eddy_queue_try_put(eddy_queue *queue, eddy_value item) {
    int64_t priority = queue->priority != NULL ? queue->priority(item) : 0;
    struct ed_chunk *spare = NULL;
    int status = put_with(queue, item, priority, &spare);
    if (status == EDDY_ENOMEM && (spare = ed_store_block()) != NULL) {
        status = put_with(queue, item, priority, &spare);
        ed_free(spare); /* another's get may have left a chunk meanwhile */
    }
    return status;
}

/* Who was woken for a place finds no memory: it is another's. */
static void give_place_up(eddy_queue *queue) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&queue->sync.lock);
    leave_put(&queue->sync, NULL, true, &taken);
    ed_guard_unlock(&queue->sync.lock);
    ed_waitlist_send(&taken);
}

int eddy_queue_put(eddy_queue *queue, eddy_value item) {
    static const struct ed_line line = {.reason = "queue put", .enter = enter_put, .leave = leave_put};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    int status = eddy_queue_try_put(queue, item);
    if (status != EDDY_EBUSY) return status;
    ed_sync_ref(&queue->sync);
    do {
        status = ed_waitlist_wait(&queue->sync, &queue->putters, &line, NULL);
        if (status < 0) break;
        bool woken = status == 0;
        status = eddy_queue_try_put(queue, item);
        if (status == EDDY_ENOMEM && woken) give_place_up(queue);
    } while (status == EDDY_EBUSY);
    ed_sync_unref(&queue->sync);
    return status;
}

/* ---- get ------------------------------------------------------------------------------------------ */

int eddy_queue_try_get(eddy_queue *queue, eddy_value *item_out) {
    struct ed_list taken;
    ed_list_init(&taken);
    struct ed_chunk *empty = NULL;
    ed_guard_lock(&queue->sync.lock);
    int status = get_status(queue);
    if (status == 0) {
        empty = ed_store_pop(&queue->store, item_out);
        (void)ed_waitlist_hand(&queue->putters, &taken);
    }
    ed_guard_unlock(&queue->sync.lock);
    ed_free(empty);
    ed_waitlist_send(&taken);
    return status;
}

int eddy_queue_get(eddy_queue *queue, eddy_value *item_out) {
    static const struct ed_line line = {.reason = "queue get", .enter = enter_get, .leave = leave_get};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    int status = eddy_queue_try_get(queue, item_out);
    if (status != EDDY_EBUSY) return status;
    ed_sync_ref(&queue->sync);
    do {
        status = ed_waitlist_wait(&queue->sync, &queue->getters, &line, NULL);
        if (status >= 0) status = eddy_queue_try_get(queue, item_out);
    } while (status == EDDY_EBUSY);
    ed_sync_unref(&queue->sync);
    return status;
}

/* ---- done with ------------------------------------------------------------------------------------- */

static void finish(eddy_queue *queue, size_t count, struct ed_list *taken) { /* under the lock */
    queue->unfinished -= count < queue->unfinished ? count : queue->unfinished;
    if (queue->unfinished == 0) ed_waitlist_take_all(&queue->joiners, 0, taken);
}

int eddy_queue_task_done(eddy_queue *queue) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&queue->sync.lock);
    int status = queue->unfinished > 0 ? 0 : EDDY_ESTATE;
    if (status == 0) finish(queue, 1, &taken);
    ed_guard_unlock(&queue->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

static bool enter_join(struct ed_sync *sync, void *item) {
    (void)item;
    return ((eddy_queue *)sync)->unfinished == 0;
}

int eddy_queue_join(eddy_queue *queue) {
    static const struct ed_line line = {.reason = "queue join", .enter = enter_join};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    ed_sync_ref(&queue->sync);
    int status = ed_waitlist_wait(&queue->sync, &queue->joiners, &line, NULL);
    ed_sync_unref(&queue->sync);
    return status < 0 ? status : 0;
}

/* ---- close ----------------------------------------------------------------------------------------- */

static void close_queue(eddy_queue *queue, bool now) {
    struct ed_list taken;
    ed_list_init(&taken);
    struct ed_store left;
    ed_store_init(&left, ED_FIFO);
    ed_guard_lock(&queue->sync.lock);
    queue->closed = true;
    if (now) {
        left = queue->store;
        ed_store_init(&queue->store, left.order);
        finish(queue, left.count, &taken);
    }
    ed_waitlist_take_all(&queue->getters, 0, &taken);
    ed_waitlist_take_all(&queue->putters, 0, &taken);
    ed_guard_unlock(&queue->sync.lock);
    ed_waitlist_send(&taken);
    drop_all(&left, queue->drop);
}

void eddy_queue_close(eddy_queue *queue) { close_queue(queue, false); }
void eddy_queue_close_now(eddy_queue *queue) { close_queue(queue, true); }
