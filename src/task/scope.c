/* scope.c: timeout scopes.
 *
 * Idea       A scope is a timer of the task's host that cancels the task, and a count of the requests that were there
 *            before it: at the exit the scope takes its own request back, and if no other is left EDDY_ECANCELED
 *            becomes EDDY_ETIMEDOUT (CPython's timeouts.Timeout).
 * Domains    There the timer queues a callback, and the callback cancels: asyncio's order. Without memory for it the timer
 *            cancels, one pass early.
 * Place      The first ED_SCOPES_INLINE lie in the strand, deeper ones on the heap. Tasks that run on one stack (direct
 *            awaits) share the strand's stack of scopes: the innermost belongs to the innermost task that has one.
 * Moving     A task with an armed scope stays on its worker: the timer is that one's.
 * Threads    The host only.
 * Tests      tests/task/scope_test.c, tests/contract/timeout_test.c. */
#include "task/task.h"

static void expire(struct ed_scope *scope) {
    scope->due = false;
    scope->expired = true;
    eddy_cancel(&scope->task->future);
}

static int call_expires(void *arg) {
    struct ed_scope *scope = arg;
    eddy_handle_release(scope->call);
    scope->call = NULL;
    expire(scope);
    return 0;
}

/* The deadline has passed. In a domain the rest is a callback's, as in asyncio: the task may be ahead of it in the same
 * pass, and leave the scope. False: none is queued. */
static bool queue_call(struct ed_scope *scope) {
    eddy_loop *loop = scope->task->future.loop;
    return loop != NULL && eddy_call_soon(loop, call_expires, scope, &scope->call) == 0;
}

static void scope_fires(struct ed_timer *timer) {
    struct ed_scope *scope = ED_CONTAINER(timer, struct ed_scope, timer);
    if (!queue_call(scope)) expire(scope);
}

static void scope_disarm(struct ed_scope *scope) {
    ed_timer_stop(&scope->timer);
    scope->due = false;
    if (scope->call == NULL) return;
    eddy_handle_cancel(scope->call);
    eddy_handle_release(scope->call);
    scope->call = NULL;
}

void ed_scope_check(struct ed_strand *strand) {
    for (struct ed_scope *scope = strand->scope; scope != NULL; scope = scope->outer)
        if (scope->due) expire(scope);
}

static struct ed_scope *scope_get(struct ed_strand *strand) {
    if (strand->scopes_missing > 0) return NULL;
    if (strand->scopes_used < ED_SCOPES_INLINE) {
        struct ed_scope *scope = &strand->scopes[strand->scopes_used++];
        scope->allocated = false;
        return scope;
    }
    struct ed_scope *scope = ed_alloc(sizeof *scope);
    if (scope != NULL) scope->allocated = true;
    return scope;
}

/* Arms or disarms by the scope's deadline. */
static void scope_arm(struct ed_scope *scope, int64_t timeout_ns) {
    scope_disarm(scope);
    scope->deadline_ns = EDDY_FOREVER;
    if (timeout_ns == EDDY_FOREVER) return;
    int64_t now_ns = eddy_time_ns();
    scope->deadline_ns = timeout_ns > INT64_MAX - 1 - now_ns ? INT64_MAX - 1 : now_ns + timeout_ns;
    if (timeout_ns <= 0) {
        scope->due = !queue_call(scope);
    } else {
        ed_timer_start(ed_fiber_worker(ed_task_fiber(scope->task)), &scope->timer, scope->deadline_ns);
    }
}

void eddy_timeout_push(int64_t timeout_ns) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return;
    struct ed_strand *strand = ed_strand_of(fiber);
    struct ed_scope *scope = scope_get(strand);
    if (scope == NULL) {
        strand->scopes_missing++;
        strand->scope_failed = true;
        return;
    }
    eddy_task *task = fiber->task;
    scope->task = task;
    scope->outer = strand->scope;
    scope->timeout_ns = timeout_ns;
    /* A request that is not delivered yet will be inside: then it is not one from before, and passes through. In a domain
     * it is, as in CPython: there it cannot have come unseen. */
    uint64_t word = ED_LOAD_ACQUIRE(&task->future.word);
    scope->requests_before = ed_count_of(word) - ((word & ED_CANCEL) && task->future.loop == NULL ? 1 : 0);
    scope->expired = false;
    scope->timer.worker = NULL;
    scope->timer.fire = scope_fires;
    scope->call = NULL;
    scope_arm(scope, timeout_ns);
    strand->scope = scope;
}

static struct ed_scope *innermost(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return NULL;
    struct ed_scope *scope = ed_strand_of(fiber)->scope;
    return scope != NULL && scope->task == fiber->task ? scope : NULL;
}

int eddy_timeout_pop(int status) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return status;
    struct ed_strand *strand = ed_strand_of(fiber);
    if (strand->scopes_missing > 0) {
        strand->scopes_missing--;
        return status;
    }
    struct ed_scope *scope = innermost();
    if (scope == NULL) ED_PANIC("eddy_timeout_pop without a matching eddy_timeout_push in this task");
    scope_disarm(scope);
    strand->scope = scope->outer;
    bool expired = scope->expired;
    unsigned before = scope->requests_before;
    int64_t timeout_ns = scope->timeout_ns;
    if (scope->allocated) {
        ed_free(scope);
    } else {
        strand->scopes_used--;
    }
    if (expired && eddy_task_uncancel(fiber->task) <= before && status == EDDY_ECANCELED)
        return eddy_fail(EDDY_ETIMEDOUT, "timed out after %.3f ms", (double)(timeout_ns > 0 ? timeout_ns : 0) / 1e6);
    return status;
}

int eddy_timeout_reschedule(int64_t timeout_ns) {
    struct ed_scope *scope = innermost();
    if (scope == NULL || scope->expired) return EDDY_ESTATE;
    scope->timeout_ns = timeout_ns;
    scope_arm(scope, timeout_ns);
    return 0;
}

int64_t eddy_timeout_deadline_ns(void) {
    struct ed_scope *scope = innermost();
    return scope != NULL ? scope->deadline_ns : EDDY_FOREVER;
}

int64_t ed_scope_deadline(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    int64_t deadline_ns = EDDY_FOREVER;
    if (fiber == NULL) return deadline_ns;
    for (struct ed_scope *scope = ed_strand_of(fiber)->scope; scope != NULL; scope = scope->outer)
        if (!scope->expired && scope->deadline_ns < deadline_ns) deadline_ns = scope->deadline_ns;
    return deadline_ns;
}

bool eddy_timeout_expired(void) {
    struct ed_scope *scope = innermost();
    return scope != NULL && scope->expired;
}

/* W2. Without time left the caller does not wait for `future` itself: a cancel of its own must not wait for its end. */
int eddy_wait_for(eddy_future *future, int64_t timeout_ns, eddy_value *value_out) {
    if (timeout_ns > 0) return EDDY_TIMEOUT(timeout_ns, eddy_await(future, value_out));
    if (eddy_future_done(future)) return eddy_await(future, value_out);
    (void)eddy_cancel(future);
    int status = eddy_wait(&future, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
    if (status < 0) return status;
    status = eddy_await(future, value_out);
    return status == EDDY_ECANCELED ? eddy_fail(EDDY_ETIMEDOUT, "no time to wait for it") : status;
}
