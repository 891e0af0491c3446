/* gather.c: waiting for many futures: gather, wait, shield.
 *
 * Idea       Each child gets a done callback on the caller's worker (callback.h), so the bookkeeping of one call is
 *            touched by one thread only and needs no atomics; the record outlives the call as long as callbacks are
 *            under way. The caller waits for a bare future (gather), or is woken by the callback (wait).
 * Life       record: counted by the caller and by each callback; all on the caller's worker.
 * Threads    The caller's worker. shield's callback runs on the worker that made the outer.
 * Tests      tests/task/gather_test.c, tests/contract/gather_test.c. */
#include "task/callback.h"

#include <string.h>

/* ---- the common part: one callback per future ----------------------------------------------------- */

struct many {
    size_t references; /* the caller and each callback that has not run */
    size_t count, pending;
    bool all;                /* gather_all: failures are results */
    bool requested;          /* the outer was cancelled and a child was asked */
    size_t failed;           /* wait: children that failed */
    eddy_future *outer;      /* gather */
    struct ed_fiber *waiter; /* wait: NULL once it needs no wake */
    size_t needed;           /* wait: wake at so many done */
    bool on_failure;         /* wait: or at the first failure */
    struct child {
        eddy_future *future;          /* one reference */
        struct ed_callback *callback; /* until it is started */
    } children[];
};

static void many_release(struct many *many) {
    if (--many->references > 0) return;
    if (many->outer != NULL) {
        (void)eddy_future_error(many->outer); /* looked at, whatever it is */
        ed_future_release(many->outer);
    }
    for (size_t i = 0; i < many->count; i++) {
        struct child *child = &many->children[i];
        if (child->callback != NULL) ed_callback_discard(child->callback);
        ed_future_release(child->future);
    }
    ed_free(many);
}

/* A callback of one runtime has no business in another, which may end before. */
static int all_own(eddy_future *const *futures, size_t count, const struct ed_worker *worker) {
    for (size_t i = 0; i < count; i++)
        if (futures[i]->sched != worker->sched)
            return eddy_fail(EDDY_ESTATE, "future %zu belongs to another runtime", i);
    return 0;
}

static struct many *many_create(eddy_future *const *futures, size_t count, eddy_done_fn fn) {
    struct ed_worker *worker = ed_worker_current();
    struct many *many = ed_calloc(sizeof *many + count * sizeof many->children[0]);
    if (many == NULL) return NULL;
    many->references = 1;
    for (; many->count < count; many->count++) {
        struct ed_callback *callback = ed_callback_create(futures[many->count], fn, many, worker);
        if (callback == NULL) {
            many_release(many);
            return NULL;
        }
        many->children[many->count] = (struct child){eddy_future_share(futures[many->count]), callback};
    }
    many->pending = count;
    return many;
}

static void child_start(struct many *many, struct child *child) {
    struct ed_callback *callback = child->callback;
    child->callback = NULL;
    many->references++;
    ed_callback_start(callback);
}

/* ---- gather --------------------------------------------------------------------------------------- */

static int gather_child_done(eddy_future *future, void *arg) {
    struct many *many = arg;
    many->pending--;
    int status = eddy_future_result(future, NULL); /* counts as retrieved, now and later (G2) */
    if (!many->all && status < 0)
        (void)ed_future_fail_with(many->outer, status, eddy_error_share(future->error)); /* the first wins */
    if (many->pending == 0) {
        if (many->requested) {
            (void)ed_future_fail_with(many->outer, EDDY_ECANCELED, NULL); /* G3 */
        } else {
            (void)eddy_future_set(many->outer, EDDY_NONE);
        }
    }
    many_release(many);
    return 0;
}

static bool gather_cancelled(void *arg) {
    struct many *many = arg;
    bool asked = false;
    if (ed_future_is_done(many->outer)) return false; /* the caller is on its way */
    for (size_t i = 0; i < many->count; i++)
        if (eddy_cancel(many->children[i].future)) asked = true;
    if (asked) many->requested = true;
    return asked;
}

/* What is done already counts at once, after the others have their callbacks: a gather may be done before it waits. */
static void gather_start(struct many *many) {
    for (size_t i = 0; i < many->count; i++)
        if (!ed_future_is_done(many->children[i].future)) child_start(many, &many->children[i]);
    for (size_t i = 0; i < many->count; i++) {
        struct child *child = &many->children[i];
        if (child->callback == NULL) continue;
        ed_callback_discard(child->callback);
        child->callback = NULL;
        many->references++;
        (void)gather_child_done(child->future, many);
    }
}

static int gather(eddy_future *const *futures, size_t count, eddy_result *results, bool all) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return ed_outside_task();
    if (count == 0) return 0;
    int own = all_own(futures, count, ed_fiber_worker(fiber));
    if (own < 0) return own;
    struct many *many = many_create(futures, count, gather_child_done);
    if (many == NULL) return eddy_fail(EDDY_ENOMEM, "no memory to gather %zu futures", count);
    many->all = all;
    many->outer = ed_future_create_at(ed_fiber_worker(fiber), ed_domain_current(), NULL);
    if (many->outer == NULL) {
        many_release(many);
        return eddy_fail(EDDY_ENOMEM, "no memory to gather %zu futures", count);
    }
    gather_start(many);
    int status = ed_await_hooked(many->outer, NULL, "gather", gather_cancelled, many);
    if (status >= 0 && results != NULL)
        for (size_t i = 0; i < count; i++) {
            results[i].value = EDDY_NONE;
            results[i].status = eddy_future_result(futures[i], &results[i].value);
        }
    many_release(many);
    return status;
}

int eddy_gather(eddy_future *const *futures, size_t count, eddy_result *results) {
    return gather(futures, count, results, false);
}

int eddy_gather_all(eddy_future *const *futures, size_t count, eddy_result *results) {
    return gather(futures, count, results, true);
}

/* ---- wait ----------------------------------------------------------------------------------------- */

static bool is_failure(eddy_future *future) { return future->status < 0 && !eddy_future_cancelled(future); }

static int wait_child_done(eddy_future *future, void *arg) {
    struct many *many = arg;
    many->pending--;
    if (is_failure(future)) {
        many->failed++;
        if (many->on_failure && many->pending > 0) (void)eddy_future_error(future); /* looked at, as CPython does */
    }
    bool enough = many->count - many->pending >= many->needed || (many->on_failure && many->failed > 0);
    if (enough && many->waiter != NULL) {
        struct ed_fiber *waiter = many->waiter;
        many->waiter = NULL;
        ed_wake(waiter, 0);
    }
    many_release(many);
    return 0;
}

/* Takes back the callbacks that are not on their way. */
static void wait_forget(struct many *many, eddy_future *const *futures) {
    many->waiter = NULL;
    for (size_t i = 0; i < many->count; i++) {
        int removed = eddy_future_remove_callback(futures[i], wait_child_done, many);
        while (removed-- > 0) many_release(many);
    }
}

int eddy_wait(eddy_future *const *futures, size_t count, int64_t timeout_ns, enum eddy_wait_when when, bool *done_out) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return ed_outside_task();
    if (count == 0 || count > INT32_MAX) return eddy_fail(EDDY_EINVAL, "eddy_wait needs at least one future");
    int own = all_own(futures, count, ed_fiber_worker(fiber));
    if (own < 0) return own;
    struct many *many = many_create(futures, count, wait_child_done);
    if (many == NULL) return eddy_fail(EDDY_ENOMEM, "no memory to wait for %zu futures", count);
    many->needed = when == EDDY_FIRST_COMPLETED ? 1 : count;
    many->on_failure = when == EDDY_FIRST_EXCEPTION;
    many->waiter = fiber;
    for (size_t i = 0; i < count; i++) child_start(many, &many->children[i]);
    int64_t now_ns = timeout_ns == EDDY_FOREVER ? 0 : eddy_time_ns();
    int64_t deadline_ns = timeout_ns >= INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    int status = ed_park(&(struct ed_park){.reason = "wait", .deadline_ns = deadline_ns, .arg = many});
    wait_forget(many, futures);
    many_release(many);
    if (status < 0 && status != EDDY_ETIMEDOUT) return status; /* G4: time that is over is no failure */
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        bool is = ed_future_is_done(futures[i]);
        if (done_out != NULL) done_out[i] = is;
        done += is;
    }
    return (int)done;
}

/* ---- shield --------------------------------------------------------------------------------------- */

struct shield {
    struct eddy_future outer; /* first */
    eddy_future *inner;
};

static void shield_destroy(eddy_future *outer) {
    struct shield *shield = (struct shield *)outer;
    ed_future_release(shield->inner);
    ed_free(shield);
}

static int shield_inner_done(eddy_future *inner, void *arg) {
    eddy_future *outer = arg;
    int status = inner->status;
    if (ed_future_is_done(outer)) {
        if (is_failure(inner)) {
            (void)eddy_future_error(inner); /* reported here: retrieved */
            ed_report(inner->sched, &(eddy_report){.kind = EDDY_REPORT_SHIELD,
                                                   .message = "a shielded future failed after its outer was cancelled",
                                                   .task = "",
                                                   .status = status,
                                                   .error = inner->error,
                                                   .future = inner});
        }
    } else if (status >= 0) {
        (void)eddy_future_set(outer, inner->value);
    } else {
        (void)eddy_future_error(inner);
        (void)ed_future_fail_with(outer, status, eddy_error_share(inner->error));
    }
    ed_future_release(outer);
    return 0;
}

int eddy_shield(eddy_future **outer_out, eddy_future *inner) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return EDDY_EWRONGTHREAD;
    int own = all_own(&inner, 1, worker);
    if (own < 0) return own;
    if (ed_future_is_done(inner)) {
        *outer_out = eddy_future_share(inner);
        return 0;
    }
    struct shield *shield = ed_alloc(sizeof *shield);
    if (shield == NULL) return EDDY_ENOMEM;
    ed_future_init(&shield->outer, worker, ed_domain_current(), 2, 0, shield_destroy);
    shield->inner = eddy_future_share(inner);
    struct ed_callback *callback = ed_callback_create(inner, shield_inner_done, &shield->outer, worker);
    if (callback == NULL) {
        ed_future_release(inner);
        ed_free(shield);
        return EDDY_ENOMEM;
    }
    ed_callback_start(callback);
    *outer_out = &shield->outer;
    return 0;
}

/* ---- who waits for whom --------------------------------------------------------------------------- */

bool ed_task_awaits(eddy_task *task, void (*each)(void *arg, eddy_future *future), void *arg) {
    struct ed_waits waits;
    if (!ed_task_waits(task, &waits) || waits.reason == NULL || waits.arg == NULL) return false;
    const char *reason = waits.reason;
    if (strcmp(reason, "await") == 0) {
        each(arg, waits.arg);
    } else if (strcmp(reason, "gather") == 0 || strcmp(reason, "wait") == 0) {
        const struct many *many = waits.arg;
        for (size_t i = 0; i < many->count; i++) each(arg, many->children[i].future);
    }
    return strcmp(reason, "task group") == 0;
}
