/* completions.c: as_completed: futures in the order in which they end.
 *
 * Idea       A done callback on each future appends the future's index to an array with room for all and posts a semaphore;
 *            who asks for the next acquires it and takes the oldest. What is done already when the collection begins goes
 *            in first, in argument order: in a domain by its callback, as in asyncio; elsewhere at once, since the
 *            callbacks of futures that live on several workers have no order.
 * Deadline   A callback of the loop, as in asyncio: it appends LATE for each future that has not ended, and those that
 *            end later append nothing. So an end and a deadline that fall together go by the order of their callbacks.
 * Invariants (A1) a post follows its append, so who has acquired finds an entry. (A2) appended <= count.
 * Life       Counted: the user, and each callback until it has run or was taken back.
 * Threads    Callbacks run in the adder's domain, or where each future lives: the queue takes them from any thread. One
 *            task at a time asks.
 * Tests      tests/sync/completions_test.c. */
#include "sync/sync.h"
#include "task/task.h"

enum { LATE = -1 };

struct eddy_completions {
    _Atomic size_t references;
    eddy_semaphore *ready; /* entries of `order` that nobody has taken */
    struct ed_spinlock lock;
    size_t appended, taken; /* under lock */
    bool expired;           /* under lock: those left are LATE */
    int32_t *order;         /* under lock: indices, or LATE; `count` entries behind the items */
    eddy_handle *deadline;  /* (c) NULL: none */
    size_t count;           /* (c) */
    size_t given;           /* by next, late ones included */
    struct item {
        eddy_completions *completions;
        eddy_future *future; /* one reference */
    } items[];
};

static void drop_reference(eddy_completions *completions) {
    if (ED_SUB(&completions->references, 1) != 1) return;
    for (size_t i = 0; i < completions->count; i++) eddy_future_release(completions->items[i].future);
    eddy_semaphore_release(completions->ready);
    eddy_handle_release(completions->deadline);
    ed_free(completions);
}

static void append(struct item *item) {
    eddy_completions *completions = item->completions;
    ed_spinlock_lock(&completions->lock);
    bool in_time = !completions->expired;
    if (in_time) completions->order[completions->appended++] = (int32_t)(item - completions->items);
    ed_spinlock_unlock(&completions->lock);
    if (in_time) eddy_semaphore_post(completions->ready);
}

static int expire(void *arg) {
    eddy_completions *completions = arg;
    ed_spinlock_lock(&completions->lock);
    size_t late = completions->count - completions->appended;
    while (completions->appended < completions->count) completions->order[completions->appended++] = LATE;
    completions->expired = true;
    ed_spinlock_unlock(&completions->lock);
    while (late-- > 0) eddy_semaphore_post(completions->ready);
    drop_reference(completions);
    return 0;
}

static int32_t take(eddy_completions *completions) {
    ed_spinlock_lock(&completions->lock);
    ED_ASSERT(completions->taken < completions->appended);
    int32_t index = completions->order[completions->taken++];
    ed_spinlock_unlock(&completions->lock);
    return index;
}

static int future_done(eddy_future *future, void *arg) {
    struct item *item = arg;
    (void)future;
    append(item);
    drop_reference(item->completions);
    return 0;
}

void eddy_completions_release(eddy_completions *completions) {
    if (completions == NULL) return;
    for (size_t i = 0; i < completions->count; i++) {
        struct item *item = &completions->items[i];
        int removed = eddy_future_remove_callback(item->future, future_done, item);
        while (removed-- > 0) drop_reference(completions);
    }
    if (completions->deadline != NULL) {
        eddy_handle_cancel(completions->deadline);
        if (eddy_handle_cancelled(completions->deadline)) drop_reference(completions); /* else `expire` has, or will */
    }
    drop_reference(completions);
}

int eddy_as_completed(eddy_completions **completions_out, eddy_future *const *futures, size_t count,
                      int64_t timeout_ns) {
    const struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    if (count > INT32_MAX) return EDDY_EINVAL;
    for (size_t i = 0; i < count; i++)
        if (futures[i]->sched != here->sched) return eddy_fail(EDDY_ESTATE, "future %zu belongs to another runtime", i);
    const size_t items_bytes = sizeof(eddy_completions) + count * sizeof(struct item);
    eddy_completions *completions = ed_calloc(items_bytes + count * sizeof completions->order[0]);
    if (completions == NULL) return EDDY_ENOMEM;
    ED_STORE_RELAXED(&completions->references, 1);
    ed_spinlock_init(&completions->lock);
    completions->order = (int32_t *)((char *)completions + items_bytes);
    completions->ready = eddy_semaphore_create(0);
    if (completions->ready == NULL) {
        ed_free(completions);
        return EDDY_ENOMEM;
    }
    for (; completions->count < count; completions->count++) {
        struct item *item = &completions->items[completions->count];
        *item = (struct item){completions, eddy_future_share(futures[completions->count])};
    }
    for (size_t i = 0; i < count; i++) {
        struct item *item = &completions->items[i];
        if (ed_domain_current() == NULL && ed_future_is_done(item->future)) {
            append(item);
            continue;
        }
        ED_ADD_RELAXED(&completions->references, 1);
        int status = eddy_future_add_callback(item->future, future_done, item);
        if (status < 0) {
            drop_reference(completions);
            eddy_completions_release(completions);
            return status;
        }
    }
    if (count > 0 && timeout_ns != EDDY_FOREVER) {
        ED_ADD_RELAXED(&completions->references, 1);
        int status = eddy_call_later(NULL, timeout_ns, expire, completions, &completions->deadline);
        if (status < 0) {
            drop_reference(completions);
            eddy_completions_release(completions);
            return status;
        }
    }
    *completions_out = completions;
    return 0;
}

int eddy_completions_next(eddy_completions *completions, size_t *index_out) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (completions->given == completions->count) return EDDY_EOF;
    int status = eddy_semaphore_acquire(completions->ready);
    if (status < 0) return status;
    completions->given++;
    int32_t index = take(completions);
    if (index == LATE) return EDDY_ETIMEDOUT;
    *index_out = (size_t)index;
    return 0;
}
