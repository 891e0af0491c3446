/* wait.c: the one door through which tasks suspend and are woken.
 *
 * Problem    A parked task can be woken by completion, by a cancel and by a deadline, from any thread, and must wake
 *            exactly once, with a cancel winning over a value that came in the same pass (CPython's rule).
 * Idea       All of it happens on the host. A completer elsewhere sends the waiter as a message; a canceller elsewhere
 *            sends the task's message; deadlines are the host's timers. So nothing races here: each cause leaves its
 *            mark and queues the fiber if it is not queued, and the woken task itself reads the marks and decides:
 *            cancel, then wake, then deadline.
 * States     strand: running -> parked -> parked and queued -> running. Marks: cancelled, woken, timed_out, and
 *            ED_CANCEL in the task's word: a request that found it on its way already. Before it returns, ed_park has disarmed its timer; the caller takes back its waiter.
 * Cancel     A request that came before the park is seen when the task has registered (the count is looked at again),
 *            and is delivered as if it came then: what is awaited is cancelled, or the fiber is queued behind what is
 *            ready, as CPython does.
 * Moving     A task that may migrate leaves its host only when it is ready (sched/migrate.c): woken at a park that says
 *            so, or put off. Then the switch returns on another worker: what was read of a worker before is void.
 * Threads    The host only, but for reads of the word.
 * Tests      tests/contract/task_test.c, loop_test.c, tests/task/wait_test.c, cancel_test.c; all others. */
#include "task/task.h"

ED_HOT struct ed_fiber *ed_fiber_current(void) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL || worker->running == NULL) return NULL;
    return worker->running->task != NULL ? worker->running : NULL; /* none: a drop function, after its task's end */
}

eddy_task *ed_task_current(void) {
    struct ed_worker *worker = ed_worker_current();
    return worker != NULL ? ed_task_running_on(worker) : NULL;
}

bool ed_stay_begin(struct ed_fiber *fiber) {
    const bool migrates = fiber->migrates;
    fiber->migrates = false;
    return migrates;
}

void ed_stay_end(struct ed_fiber *fiber, bool migrates) { fiber->migrates = migrates; }

eddy_loop *ed_domain_current(void) { return ed_domain_on(ed_worker_current()); }

static void queue(struct ed_strand *strand) {
    if (!strand->fiber.queued) ed_fiber_ready(ed_fiber_worker(&strand->fiber), &strand->fiber);
}

/* Whether a fiber that is about to be ready may leave its worker: an armed scope keeps it, and an alarm that no scope needs
 * goes. */
static bool may_move(struct ed_strand *strand) {
    if (ED_LIKELY(!strand->fiber.migrates)) return false;
    for (struct ed_scope *scope = strand->scope; scope != NULL; scope = scope->outer)
        if (scope->state & ED_SCOPE_ARMED) return false;
    ed_scope_leave(strand);
    return true;
}

/* As queue(), for one that has been woken, or is past its deadline: nothing but its own timer is left of the park. */
static inline void queue_done(struct ed_worker *host, struct ed_strand *strand) {
    if (strand->fiber.queued) return;
    if (strand->may_move && may_move(strand)) {
        ed_timer_stop(&strand->timer);
        ed_fiber_ready_movable(&strand->fiber);
    } else {
        ed_fiber_ready(host, &strand->fiber);
    }
}

ED_HOT void ed_wake_on(struct ed_worker *host, struct ed_fiber *fiber, int status) {
    struct ed_strand *strand = ed_strand_of(fiber);
    ED_ASSERT(strand->parked);
    ED_ASSERT(!strand->woken);
    strand->woken = true;
    strand->status = status;
    ed_tell(host, ED_EVENT_WAKE, fiber->task, status, NULL);
    queue_done(host, strand);
}

void ed_wake(struct ed_fiber *fiber, int status) { ed_wake_on(ed_fiber_worker(fiber), fiber, status); }

static void deadline_called(struct ed_call *call) { queue(ED_CONTAINER(call, struct ed_strand, deadline_call)); }

/* In a domain a due timer is a callback, and the task runs in the next pass, as in asyncio. The call is ahead of whatever
 * queues the fiber, so it has run before the fiber does. */
static void deadline_passed(struct ed_timer *timer) {
    struct ed_strand *strand = ED_CONTAINER(timer, struct ed_strand, timer);
    strand->timed_out = true;
    ed_tell(ed_fiber_worker(&strand->fiber), ED_EVENT_DUE, strand->fiber.task, 0, NULL);
    if (strand->fiber.queued) return;
    if (((eddy_task *)strand->fiber.task)->future.loop == NULL) {
        queue_done(ed_fiber_worker(&strand->fiber), strand);
    } else {
        strand->deadline_call.run = deadline_called;
        ed_call_soon(ed_fiber_worker(&strand->fiber), &strand->deadline_call);
    }
}

bool ed_cancel_pending(eddy_task *task, bool take) {
    uint64_t word = ED_LOAD_ACQUIRE(&task->future.word);
    if (!(word & ED_CANCEL)) return false;
    if (take) ED_AND(&task->future.word, ~ED_CANCEL);
    return true;
}

bool ed_cancel_future(void *future) { return eddy_cancel(future); }

bool ed_task_waits(eddy_task *task, struct ed_waits *waits_out) {
    eddy_task *above = ED_LOAD_RELAXED(&task->above);
    if (above != NULL)
        *waits_out = (struct ed_waits){"await", ed_cancel_future, above};
    else
        *waits_out = (struct ed_waits){ED_LOAD_RELAXED(&task->reason), task->on_cancel, task->on_cancel_arg};
    return waits_out->reason != NULL;
}

void ed_cancel_deliver(eddy_task *task) {
    struct ed_waits waits;
    if (!ed_task_waits(task, &waits)) return; /* it runs: its next suspension sees the bit */
    /* The bit goes first: a request that comes while this one is passed on is one of its own. Taken back already: nothing
     * is left to deliver. */
    if (!(ED_AND(&task->future.word, ~ED_CANCEL) & ED_CANCEL)) return;
    struct ed_strand *strand = ed_strand_of(ed_task_fiber(task));
    struct ed_worker *worker = ed_fiber_worker(&strand->fiber);
    ed_tell(worker, ED_EVENT_DELIVER, task, 0, NULL);
    if (waits.on_cancel != NULL) {
        uint64_t outer = worker->request;
        worker->request = ED_LOAD_RELAXED(&task->request);
        task->passing = true;
        bool passed_on = waits.on_cancel(waits.arg);
        task->passing = false;
        worker->request = outer;
        if (passed_on) return;
    }
    bool on_top = strand->fiber.task == task && strand->parked;
    if (on_top && !strand->woken && waits.on_cancel == NULL) {
        strand->cancelled = true; /* delivered: an uncancel comes too late (CPython: the awaited future is cancelled) */
        queue(strand);
    } else {
        /* What it waits for is over: it wakes by itself and finds the request (CPython: _must_cancel). */
        ED_OR(&task->future.word, ED_CANCEL);
    }
}

/* Apart, so that a park that nobody listens to costs one test. */
static __attribute__((noinline)) void suspend_told(struct ed_fiber *fiber, const char *reason) {
    ed_tell(ed_fiber_worker(fiber), ED_EVENT_PARK, fiber->task, 0, reason);
    ed_fiber_suspend(ed_fiber_worker(fiber), fiber);
    ed_tell(ed_fiber_worker(fiber), ED_EVENT_RESUME, fiber->task, 0, reason);
}

/* In each caller a body of its own: what it says is constant there. */
static inline __attribute__((always_inline)) int park_on(struct ed_fiber *fiber, const struct ed_park *park) {
    if (ED_UNLIKELY(fiber == NULL)) return ed_outside_task();
    struct ed_worker *here = ed_worker_current(); /* until the switch */
    struct ed_strand *strand = ed_strand_of(fiber);
    eddy_task *task = fiber->task;
    ED_ASSERT(!strand->parked);
    if (ED_UNLIKELY(strand->scope_failed)) {
        strand->woken = strand->scope_failed = false;
        return eddy_fail(EDDY_ENOMEM, "no memory for a timeout scope");
    }
    strand->parked = true;
    strand->woken = strand->cancelled = strand->timed_out = false;
    strand->may_move = park->move;
    ed_wait_begin(task, park->reason, park->on_cancel, park->arg);
    if (ED_UNLIKELY(strand->scope_due)) ed_scope_check(strand);
    if (ED_UNLIKELY(ed_cancel_pending(task, false))) ed_cancel_deliver(task);
    if (park->yield) {
        strand->woken = true;
        strand->status = 0;
        queue_done(here, strand);
    } else if (park->deadline_ns != INT64_MAX) {
        strand->timer.fire = deadline_passed;
        ed_timer_start(here, &strand->timer, park->deadline_ns);
    }

    ED_CHAOS(PARK);
    if (ED_UNLIKELY(here->sched->listener != NULL)) {
        suspend_told(fiber, park->reason);
    } else {
        ed_fiber_suspend(here, fiber);
    }

    if (ED_UNLIKELY(park->deadline_ns != INT64_MAX && ed_timer_armed(&strand->timer))) ed_timer_stop(&strand->timer);
    strand->parked = false;
    ed_wait_end(task);
    if (ED_UNLIKELY(ed_cancel_pending(task, true) || strand->cancelled)) return EDDY_ECANCELED;
    if (strand->woken) return strand->status;
    ED_ASSERT(strand->timed_out);
    return EDDY_ETIMEDOUT;
}

int ed_park(const struct ed_park *park) { return park_on(ed_fiber_current(), park); }

ED_HOT int ed_park_for(struct ed_fiber *fiber, const char *reason, bool move) {
    return park_on(fiber, &(struct ed_park){.reason = reason, .deadline_ns = INT64_MAX, .move = move});
}

bool ed_park_woken(void) { return ed_strand_of(ed_fiber_current())->woken; }

void ed_park_put_off(int status) {
    struct ed_strand *strand = ed_strand_of(ed_fiber_current());
    ED_ASSERT(strand->woken && status < 0);
    if (status == EDDY_ENOMEM) {
        strand->scope_failed = true;
    } else if (status == EDDY_ECANCELED) {
        eddy_task *task = strand->fiber.task;
        uint64_t word = ED_LOAD_RELAXED(&task->future.word);
        do {
            if (ed_count_of(word) == 0) return; /* taken back meanwhile */
        } while (!ED_CAS_WEAK(&task->future.word, &word, word | ED_CANCEL));
    }
}

void ed_count_io(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber != NULL && ed_count_call(ed_fiber_worker(fiber))) ed_attend(ed_fiber_worker(fiber), fiber, false);
}

void ed_attend_await(struct ed_fiber *fiber) {
    ed_attend(ed_fiber_worker(fiber), fiber, may_move(ed_strand_of(fiber)));
}

/* ---- await --------------------------------------------------------------------------------------- */

static void strand_arrive(struct ed_waiter *waiter) {
    ed_wake(&ED_CONTAINER(waiter, struct ed_strand, waiter)->fiber, 0);
}

int ed_await_result(eddy_future *future, eddy_value *value_out) {
    int status = eddy_future_result(future, value_out);
    if (status < 0) ed_error_set_current(eddy_error_share(future->error));
    return status;
}

/* What the hook says of a park: reason, on_cancel, arg, move. */
static int await(eddy_future *future, eddy_value *value_out, const struct ed_park *hook) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return ed_outside_task();
    struct ed_strand *strand = ed_strand_of(fiber);
    if (!ed_future_is_done(future)) {
        strand->waiter.worker = ed_fiber_worker(fiber);
        strand->waiter.arrive = strand_arrive;
        if (ed_future_link(future, &strand->waiter)) {
            struct ed_park park = *hook;
            park.deadline_ns = INT64_MAX;
            int status = ed_park(&park);
            while (status < 0 && !strand->woken && !ed_future_unlink(future, &strand->waiter)) {
                /* TAKEN: it is on its way here. Nothing else may wake this park. */
                park.on_cancel = NULL;
                (void)ed_park(&park); /* a second request meanwhile is this one's delivery */
            }
            if (status < 0) return status;
        }
    }
    return ed_await_result(future, value_out);
}

static __attribute__((noinline)) int await_parked(eddy_future *future, eddy_value *value_out) {
    return await(future, value_out,
                 &(struct ed_park){.reason = "await", .on_cancel = ed_cancel_future, .arg = future, .move = true});
}

int ed_await_hooked(eddy_future *future, eddy_value *value_out, const char *reason, bool (*on_cancel)(void *arg),
                    void *arg) {
    return await(future, value_out, &(struct ed_park){.reason = reason, .on_cancel = on_cancel, .arg = arg});
}

static __attribute__((noinline)) int await_any(eddy_future *future, eddy_value *value_out) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (ED_UNLIKELY(fiber == NULL)) return ed_outside_task();
    eddy_task *task = fiber->task;
    if (ED_UNLIKELY(future == &task->future)) return eddy_fail(EDDY_ESTATE, "a task cannot await itself");
    if (ED_UNLIKELY(future->sched != ed_fiber_worker(fiber)->sched)) /* F4 */
        return eddy_fail(EDDY_ESTATE, "the future belongs to another runtime");
    ed_count_await(fiber);
    uint64_t word = ED_LOAD_ACQUIRE(&future->word);
    if (!(word & ED_DONE)) {
        if (!(word & ED_IS_TASK) || !ed_task_run_direct(fiber, (eddy_task *)future, "await", ed_cancel_future, future))
            return await_parked(future, value_out);
        if (ED_UNLIKELY(ed_cancel_pending(task, true))) return EDDY_ECANCELED; /* came after it had ended */
    }
    return ed_await_result(future, value_out);
}

/* Whether `child` is a task that the one on `fiber` may run in its own place with nothing to think of: it is plain, held by
 * this worker (whose tasks are of its run), and nobody has asked for its end; and so on. */
static inline ED_HOT bool is_plain_await(struct ed_worker *worker, struct ed_fiber *fiber, eddy_future *future) {
    if ((ED_LOAD_RELAXED(&future->word) & (ED_BIAS_ONE - 1)) != ED_IS_TASK || future->home != worker) return false;
    eddy_task *task = fiber->task, *child = (eddy_task *)future;
    if (ED_LOAD_RELAXED(&child->special) || ed_start_state(ED_LOAD_RELAXED(&child->start.word)) != ED_START_NEW_OWN)
        return false;
    const struct ed_strand *strand = ed_strand_of(fiber);
    if (task->slow || strand->scope != NULL || strand->scope_failed || fiber->migrates) return false;
    return ed_fiber_has_room(fiber) && !ed_cancel_pending(task, false);
}

int eddy_await(eddy_future *future, eddy_value *value_out) {
    struct ed_worker *worker = ed_worker_current();
    struct ed_fiber *fiber = worker != NULL ? worker->running : NULL;
    if (ED_UNLIKELY(fiber == NULL || fiber->task == NULL || !is_plain_await(worker, fiber, future) ||
                    ed_count_call(worker)))
        return await_any(future, value_out);
    return ed_task_run_plain(fiber, (eddy_task *)future, value_out);
}

/* ---- sleep --------------------------------------------------------------------------------------- */

int eddy_yield(void) {
    return park_on(
        ed_fiber_current(),
        &(struct ed_park){.reason = "yield", .deadline_ns = INT64_MAX, .yield = true, .move = true}); /* T10 */
}

int64_t eddy_time_ns(void) {
    struct ed_worker *worker = ed_worker_current();
    if (worker != NULL) return worker->sched->driver->now(worker);
    struct ed_sched *visited = ed_sched_visited();
    if (visited != NULL) return visited->driver->now(visited->workers[0]);
    return ed_clock_ns();
}

int eddy_sleep_until(int64_t deadline_ns) {
    int status = ed_park(&(struct ed_park){.reason = "sleep", .deadline_ns = deadline_ns, .move = true});
    return status == EDDY_ETIMEDOUT ? 0 : status;
}

int eddy_sleep(int64_t duration_ns) {
    if (duration_ns <= 0) return eddy_yield();
    if (ed_fiber_current() == NULL) return ed_outside_task();
    int64_t now_ns = eddy_time_ns();
    return eddy_sleep_until(duration_ns > INT64_MAX - now_ns ? INT64_MAX - 1 : now_ns + duration_ns);
}
