/* completions.c: as_completed: futures in the order in which they end.
 *
 * Idea       A done callback on each future appends the future's index to an array with room for all and posts a semaphore;
 *            who asks for the next acquires it, in a timeout scope if there is a deadline, and takes the oldest. What is
 *            done already when the collection begins goes in first, in argument order.
 * Invariant  A post follows its append, so who has acquired finds an index.
 * Deadline   Is looked at by both sides: a callback that comes after it puts nothing, so what was timed out for one
 *            call does not turn up in the next.
 * Life       Counted: the user, and each callback until it has run or was taken back.
 * Threads    Callbacks run in the adder's domain, or where each future lives: the queue takes them from any thread. One
 *            task at a time asks.
 * Tests      tests/sync/completions_test.c. */
#include "sync/sync.h"
#include "task/task.h"

struct eddy_completions {
    _Atomic size_t references;
    eddy_semaphore *ready; /* indices in `order` that nobody has taken */
    struct ed_spinlock lock;
    size_t appended, taken; /* under lock */
    size_t *order;          /* under lock: what ended in time; `count` entries behind the items */
    int64_t deadline_ns;    /* (c) EDDY_FOREVER: none */
    size_t count;           /* (c) */
    size_t given;           /* by next, timed out ones included */
    struct item {
        eddy_completions *completions;
        eddy_future *future; /* one reference */
    } items[];
};

static void drop_reference(eddy_completions *completions) {
    if (ED_SUB(&completions->references, 1) != 1) return;
    for (size_t i = 0; i < completions->count; i++) eddy_future_release(completions->items[i].future);
    eddy_semaphore_release(completions->ready);
    ed_free(completions);
}

static void append(struct item *item) {
    eddy_completions *completions = item->completions;
    ed_spinlock_lock(&completions->lock);
    completions->order[completions->appended++] = (size_t)(item - completions->items);
    ed_spinlock_unlock(&completions->lock);
    eddy_semaphore_post(completions->ready);
}

static size_t take(eddy_completions *completions) {
    ed_spinlock_lock(&completions->lock);
    ED_ASSERT(completions->taken < completions->appended);
    size_t index = completions->order[completions->taken++];
    ed_spinlock_unlock(&completions->lock);
    return index;
}

static int future_done(eddy_future *future, void *arg) {
    struct item *item = arg;
    (void)future;
    if (eddy_time_ns() < item->completions->deadline_ns) append(item);
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
    drop_reference(completions);
}

int eddy_as_completed(eddy_completions **completions_out, eddy_future *const *futures, size_t count,
                      int64_t timeout_ns) {
    if (ed_worker_current() == NULL) return EDDY_EWRONGTHREAD;
    if (count > INT32_MAX) return EDDY_EINVAL;
    const size_t items_bytes = sizeof(eddy_completions) + count * sizeof(struct item);
    eddy_completions *completions = ed_calloc(items_bytes + count * sizeof completions->order[0]);
    if (completions == NULL) return EDDY_ENOMEM;
    ED_STORE_RELAXED(&completions->references, 1);
    ed_spinlock_init(&completions->lock);
    completions->order = (size_t *)((char *)completions + items_bytes);
    completions->ready = eddy_semaphore_create(0);
    if (completions->ready == NULL) {
        ed_free(completions);
        return EDDY_ENOMEM;
    }
    int64_t now_ns = eddy_time_ns();
    completions->deadline_ns = timeout_ns >= INT64_MAX - now_ns ? EDDY_FOREVER : now_ns + timeout_ns;
    for (; completions->count < count; completions->count++) {
        struct item *item = &completions->items[completions->count];
        *item = (struct item){completions, eddy_future_share(futures[completions->count])};
    }
    for (size_t i = 0; i < count; i++) {
        struct item *item = &completions->items[i];
        if (eddy_future_done(item->future)) {
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
    *completions_out = completions;
    return 0;
}

int eddy_completions_next(eddy_completions *completions, size_t *index_out) {
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    if (completions->given == completions->count) return EDDY_EOF;
    int status = 0;
    if (!eddy_semaphore_try_acquire(completions->ready)) {
        int64_t left_ns = EDDY_FOREVER;
        if (completions->deadline_ns != EDDY_FOREVER) left_ns = completions->deadline_ns - eddy_time_ns();
        if (left_ns <= 0)
            status = EDDY_ETIMEDOUT;
        else
            status = EDDY_TIMEOUT(left_ns, eddy_semaphore_acquire(completions->ready));
    }
    if (status < 0 && status != EDDY_ETIMEDOUT) return status;
    completions->given++;
    if (status == 0) *index_out = take(completions);
    return status;
}
