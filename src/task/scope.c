/* scope.c: timeout scopes.
 *
 * Problem    A server has a timeout around each read, and nearly none of them ever expires: what is paid for each is paid for
 *            nothing.
 * Idea       A scope is a deadline, and a count of the requests that were there before it: past the deadline the task is
 *            cancelled; at the exit the scope takes its own request back, and if no other is left EDDY_ECANCELED
 *            becomes EDDY_ETIMEDOUT (CPython's timeouts.Timeout).
 *            All scopes of a stack share one timer of their host, the alarm. It stays where it is when scopes come and
 *            go: a scope that opens finds it set, mostly, to a moment before its own deadline. When it goes off it looks for
 *            scopes whose deadline has come, and is set to the earliest of the others. So a stack whose scopes never
 *            expire pays for a timer once in the length of a timeout, not once for each scope, and a worker that sleeps
 *            wakes once too often then. (Kernels and servers have long done so with the timers of connections.)
 * Invariants (S1) ED_SCOPE_ARMED => the alarm is set, to the scope's deadline or before.
 *            (S2) alarm_ns is what the alarm is set to, INT64_MAX: it is not.
 * Domains    There the alarm queues a callback, and the callback cancels: asyncio's order. Without memory for it the alarm
 *            cancels, one pass early.
 * Place      The first ED_SCOPES_INLINE lie in the strand, deeper ones on the heap. Tasks that run on one stack (direct
 *            awaits) share the strand's stack of scopes: the innermost belongs to the innermost task that has one.
 * Moving     A task with an armed scope stays on its worker: the alarm is that one's. A stack that moves takes no alarm along,
 *            nor does one whose task has ended (ed_scope_leave).
 * Threads    The host only.
 * Tests      tests/task/scope_test.c, tests/contract/timeout_test.c. */
#include "task/task.h"

static void expire(struct ed_scope *scope) {
    scope->state = (uint8_t)((scope->state & ED_SCOPE_ALLOCATED) | ED_SCOPE_EXPIRED);
    eddy_cancel(&scope->task->future);
}

static int call_expires(void *arg) {
    struct ed_scope *scope = arg;
    eddy_handle_release(scope->call);
    expire(scope);
    return 0;
}

/* The deadline has passed. In a domain the rest is a callback's, as in asyncio: the task may be ahead of it in the same
 * pass, and leave the scope. False: none is queued. */
static bool queue_call(struct ed_scope *scope) {
    eddy_loop *loop = scope->task->future.loop;
    if (loop == NULL || eddy_call_soon(loop, call_expires, scope, &scope->call) < 0) return false;
    scope->state |= ED_SCOPE_CALLED;
    return true;
}

static ED_COLD void set_alarm(struct ed_strand *strand, int64_t deadline_ns) {
    if (strand->alarm_ns <= deadline_ns) return;
    ed_scope_leave(strand);
    strand->alarm.worker = NULL;
    strand->alarm.fire = ed_scope_alarm;
    strand->alarm_ns = deadline_ns;
    ed_timer_start(ed_fiber_worker(&strand->fiber), &strand->alarm, deadline_ns);
}

/* An armed scope whose deadline is not after `until_ns`, of equal ones the outermost; NULL: none. The earliest deadline of the
 * others in *next_out. */
static struct ed_scope *scope_past(struct ed_strand *strand, int64_t until_ns, int64_t *next_out) {
    struct ed_scope *past = NULL;
    *next_out = INT64_MAX;
    for (struct ed_scope *scope = strand->scope; scope != NULL; scope = scope->outer) {
        if (!(scope->state & ED_SCOPE_ARMED)) continue;
        if (scope->deadline_ns <= until_ns) {
            past = scope;
        } else if (scope->deadline_ns < *next_out) {
            *next_out = scope->deadline_ns;
        }
    }
    return past;
}

void ed_scope_alarm(struct ed_timer *timer) {
    struct ed_strand *strand = ED_CONTAINER(timer, struct ed_strand, alarm);
    int64_t until_ns = strand->alarm_ns, next_ns;
    strand->alarm_ns = INT64_MAX;
    struct ed_scope *scope;
    while ((scope = scope_past(strand, until_ns, &next_ns)) != NULL) {
        scope->state &= (uint8_t)~ED_SCOPE_ARMED;
        if (!queue_call(scope)) expire(scope);
    }
    if (next_ns != INT64_MAX) set_alarm(strand, next_ns);
}

void ed_scope_leave(struct ed_strand *strand) {
    if (strand->alarm_ns != INT64_MAX) ed_timer_stop(&strand->alarm);
    strand->alarm_ns = INT64_MAX;
}

static void scope_disarm(struct ed_scope *scope) {
    if (scope->state & ED_SCOPE_CALLED) {
        eddy_handle_cancel(scope->call);
        eddy_handle_release(scope->call);
    }
    scope->state &= (uint8_t) ~(ED_SCOPE_ARMED | ED_SCOPE_DUE | ED_SCOPE_CALLED);
}

void ed_scope_check(struct ed_strand *strand) {
    strand->scope_due = false;
    for (struct ed_scope *scope = strand->scope; scope != NULL; scope = scope->outer)
        if (scope->state & ED_SCOPE_DUE) expire(scope);
}

/* <= 0 */
static ED_COLD void arm_past(struct ed_scope *scope, struct ed_strand *strand) {
    if (queue_call(scope)) return;
    scope->state |= ED_SCOPE_DUE;
    strand->scope_due = true;
}

/* One that is not armed, by its timeout. */
static void scope_arm(struct ed_scope *scope, struct ed_strand *strand, int64_t timeout_ns) {
    scope->timeout_ns = timeout_ns;
    scope->deadline_ns = EDDY_FOREVER;
    if (ED_UNLIKELY(timeout_ns == EDDY_FOREVER)) return;
    struct ed_worker *worker = ed_fiber_worker(&strand->fiber);
    int64_t now_ns = worker->sched->driver->now(worker);
    scope->deadline_ns = timeout_ns > INT64_MAX - 1 - now_ns ? INT64_MAX - 1 : now_ns + timeout_ns;
    if (ED_UNLIKELY(timeout_ns <= 0)) {
        arm_past(scope, strand);
    } else {
        scope->state |= ED_SCOPE_ARMED;
        if (ED_UNLIKELY(strand->alarm_ns > scope->deadline_ns)) set_alarm(strand, scope->deadline_ns);
    }
}

/* Beyond ED_SCOPES_INLINE; NULL: no memory, and what lies deeper is missing with it. */
static ED_COLD struct ed_scope *scope_allocate(struct ed_strand *strand) {
    struct ed_scope *scope = strand->scopes_missing == 0 ? ed_alloc(sizeof *scope) : NULL;
    if (scope == NULL) {
        strand->scopes_missing++;
        strand->scope_failed = true;
    }
    return scope;
}

/* What each scope begins with. */
static inline void scope_enter(struct ed_scope *scope, struct ed_strand *strand) {
    eddy_task *task = strand->fiber.task;
    scope->task = task;
    scope->outer = strand->scope;
    scope->word_before = ED_LOAD_ACQUIRE(&task->future.word);
    strand->scope = scope;
}

static ED_COLD void push_any(struct ed_strand *strand, int64_t timeout_ns) {
    struct ed_scope *scope;
    if (strand->scopes_used < ED_SCOPES_INLINE) {
        scope = &strand->scopes[strand->scopes_used++];
        scope->state = 0;
    } else {
        scope = scope_allocate(strand);
        if (scope == NULL) return;
        scope->state = ED_SCOPE_ALLOCATED;
    }
    scope_enter(scope, strand);
    scope_arm(scope, strand, timeout_ns);
}

/* Nearly always there is room in the strand, and the timeout is neither over nor longer than any clock will show. */
void eddy_timeout_push(int64_t timeout_ns) {
    struct ed_worker *worker = ed_worker_current();
    struct ed_fiber *fiber = worker != NULL ? worker->running : NULL;
    if (ED_UNLIKELY(fiber == NULL || fiber->task == NULL)) return;
    struct ed_strand *strand = ed_strand_of(fiber);
    if (ED_UNLIKELY(((uint64_t)timeout_ns - 1) >> 61 != 0 || strand->scopes_used >= ED_SCOPES_INLINE)) {
        push_any(strand, timeout_ns);
        return;
    }
    const int64_t deadline_ns = worker->sched->driver->now(worker) + timeout_ns;
    struct ed_scope *scope = strand->scopes;
    if (ED_UNLIKELY(strand->scopes_used != 0)) scope += strand->scopes_used;
    strand->scopes_used++;
    scope_enter(scope, strand);
    scope->timeout_ns = timeout_ns;
    scope->deadline_ns = deadline_ns;
    scope->state = ED_SCOPE_ARMED;
    if (ED_UNLIKELY(strand->alarm_ns > deadline_ns)) set_alarm(strand, deadline_ns);
}

static struct ed_scope *innermost(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return NULL;
    struct ed_scope *scope = ed_strand_of(fiber)->scope;
    return scope != NULL && scope->task == fiber->task ? scope : NULL;
}

/* One that has done something, or must be given back. */
static ED_COLD int leave_used(struct ed_scope *scope, struct ed_strand *strand, int status) {
    eddy_task *task = scope->task;
    scope_disarm(scope);
    bool expired = scope->state & ED_SCOPE_EXPIRED;
    /* A request that was not delivered yet was inside: it is not one from before, and passes through. In a domain it is,
     * as in CPython: there it cannot have come unseen. */
    uint64_t word = scope->word_before;
    unsigned before = ed_count_of(word) - ((word & ED_CANCEL) && task->future.loop == NULL ? 1 : 0);
    double timeout_ms = scope->timeout_ns > 0 ? (double)scope->timeout_ns / 1e6 : 0;
    if (scope->state & ED_SCOPE_ALLOCATED) {
        ed_free(scope);
    } else {
        strand->scopes_used--;
    }
    if (expired && eddy_task_uncancel(task) <= before && status == EDDY_ECANCELED)
        return eddy_fail(EDDY_ETIMEDOUT, "timed out after %.3f ms", timeout_ms);
    return status;
}

int eddy_timeout_pop(int status) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (ED_UNLIKELY(fiber == NULL)) return status;
    struct ed_strand *strand = ed_strand_of(fiber);
    if (ED_UNLIKELY(strand->scopes_missing > 0)) {
        strand->scopes_missing--;
        return status;
    }
    struct ed_scope *scope = strand->scope;
    if (ED_UNLIKELY(scope == NULL || scope->task != fiber->task))
        ED_PANIC("eddy_timeout_pop without a matching eddy_timeout_push in this task");
    strand->scope = scope->outer;
    if (ED_UNLIKELY(scope->state & (ED_SCOPE_EXPIRED | ED_SCOPE_CALLED | ED_SCOPE_ALLOCATED)))
        return leave_used(scope, strand, status);
    strand->scopes_used--;
    return status;
}

int eddy_timeout_reschedule(int64_t timeout_ns) {
    struct ed_scope *scope = innermost();
    if (scope == NULL || (scope->state & ED_SCOPE_EXPIRED)) return EDDY_ESTATE;
    scope_disarm(scope);
    scope_arm(scope, ed_strand_of(ed_task_fiber(scope->task)), timeout_ns);
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
        if (!(scope->state & ED_SCOPE_EXPIRED) && scope->deadline_ns < deadline_ns) deadline_ns = scope->deadline_ns;
    return deadline_ns;
}

bool eddy_timeout_expired(void) {
    struct ed_scope *scope = innermost();
    return scope != NULL && (scope->state & ED_SCOPE_EXPIRED);
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
