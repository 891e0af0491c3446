/* task.c: a task's body runs, and ends.
 *
 * Life      spawned (spawn.c) -> claimed (sched/start.h) -> its body runs, on a stack of its own or as a plain call on its
 *           awaiter's -> defers, argument dropped -> result written, DONE -> its group is told -> the runtime's reference
 *           goes. The last reference frees the record.
 * Ends      Two: of a plain task (task.h), which is its value and one store, and of all others.
 * Ordering  Who starts a task writes its `fiber`, then looks for CANCEL (T1); partner: cancel.c. What the body has written is
 *           its awaiters' by the change of the word to DONE.
 * Threads   The host. References: any.
 * Not here  Making and queueing it (spawn.c); waiting (wait.c); what others may ask of it (names.c); requests to end (cancel.c).
 * Tests     tests/task/task_test.c, tests/task/eager_test.c, tests/contract/task_test.c; tests/model/task_model.c. */
#include "task/task.h"
#include "task/bias.h"

/* ---- the end ------------------------------------------------------------------------------------- */

static ED_COLD void drop_arg(eddy_task *task) {
    if (task->drop_arg != NULL) {
        task->drop_arg(eddy_value_ptr(task->arg));
        task->drop_arg = NULL;
    }
    if (task->arg_allocated) {
        ed_free(task->arg);
        task->arg_allocated = false;
    }
}

void ed_task_drop_inputs(eddy_task *task) {
    drop_arg(task);
    eddy_context_release(task->context);
    task->context = NULL;
}

static void tell_group(struct ed_call *call) {
    eddy_task *task = ED_CONTAINER(call, struct eddy_task, group_call);
    ed_group_child_done(task->group, task);
    ed_future_release(&task->future);
}

/* DONE, with what the body gave, unless a request is still pending: that one takes the value (T4). */
static void finish(eddy_future *future, int status, int how) {
    future->status = status;
    if (status < 0) {
        ed_future_finish(future, status == EDDY_ECANCELED ? ED_CANCELLED : 0, ED_CANCEL, how);
    } else if (!ed_future_finish(future, 0, 0, how | ED_FINISH_CHECK)) {
        if (future->drop != NULL) future->drop(future->value);
        future->value = EDDY_NONE;
        future->status = EDDY_ECANCELED;
        ed_future_finish(future, ED_CANCELLED, ED_CANCEL, how);
    }
}

/* On the host, `worker`. The value is where the body has put it. */
static void end(eddy_task *task, struct ed_worker *worker, int status) {
    eddy_future *future = &task->future;
    ed_task_drop_inputs(task);
    if (status < 0) ed_task_set_special(task); /* its last reference looks whether anybody has seen that */
    if (ED_UNLIKELY(task->error != NULL)) {    /* its detail, if that is of this failure */
        if (task->error->status == status) {
            future->error = task->error;
        } else {
            eddy_error_release(task->error);
        }
        task->error = NULL;
    }
    struct ed_group *group = task->group;
    const int how =
        group == NULL ? ED_FINISH_RELEASE : 0; /* nothing is left to do: the last reference may go with it */
    ed_count_add(&worker->counts.ended, 1);
    ed_tell(worker, ED_EVENT_END, task, status, NULL);
    /* In a domain its group hears of it in a step of its own, before all others that wait for it, as in asyncio; and that
     * of a task which may still be inside its spawn. */
    const bool in_own_step = group != NULL && (future->loop != NULL || task->eager);
    if (in_own_step) {
        task->group_call.run = tell_group;
        ed_call_soon(worker, &task->group_call);
    }
    finish(future, status, how);
    if (group != NULL && !in_own_step) {
        ed_group_child_done(group, task);
        ed_future_release(future);
    }
}

static inline bool is_plain(eddy_task *task) { return !ED_LOAD_RELAXED(&task->special); }

/* A plain one: there is nothing but its value, and nearly always its awaiter holds the only handle. Who has another one may
 * use it at any time, hence the compare-and-swap. False: it may have ended otherwise. */
static inline ED_HOT bool end_plain(eddy_task *task, struct ed_worker *worker, int status) {
    task->future.status = status;
    ed_count_add(&worker->counts.ended, 1);
    ED_CHAOS(DONE);
    if (ED_LIKELY(ed_bias_try_end(worker, &task->future))) return true;
    uint64_t word = ED_FRESH;
    if (ED_CAS(&task->future.word, &word, ED_ENDED)) return true;
    finish(&task->future, status, ED_FINISH_RELEASE);
    return false;
}

/* ---- debug mode ---------------------------------------------------------------------------------- */

/* What the body of `task`, which has just returned to `frame`, leaves behind. */
static ED_COLD void look_back(eddy_task *task, struct ed_fiber *fiber, int status, void *frame) {
    struct ed_sched *sched = task->future.sched;
    if (status >= 0 && ed_count_of(ED_LOAD_RELAXED(&task->future.word)) > 0)
        ed_report_task(sched, EDDY_REPORT_SWALLOWED, task, "a task ended well although it was cancelled", 0, NULL);
    struct ed_strand *strand = ed_strand_of(fiber);
    if (strand->lent != NULL) ed_lent_end(task, strand, frame);
    if (strand->holds != NULL) ed_hold_end(task, strand);
}

/* ---- running ------------------------------------------------------------------------------------- */

/* The functions that call bodies are in a section of their own, and inlined nowhere: a place in there, on a stack, is where
 * one task's calls end and its awaiter's begin. */
#define CALLS_BODIES __attribute__((noinline, section("ed_task_bodies")))
extern const char __start_ed_task_bodies[] __attribute__((visibility("hidden")));
extern const char __stop_ed_task_bodies[] __attribute__((visibility("hidden")));

bool ed_task_runs_at(const void *place) {
    return (uintptr_t)place > (uintptr_t)__start_ed_task_bodies && (uintptr_t)place <= (uintptr_t)__stop_ed_task_bodies;
}

static ED_COLD void run_defers(eddy_task *task) {
    while (task->defers != NULL) {
        struct ed_defer *defer = task->defers;
        task->defers = defer->next;
        defer->fn(defer->arg);
        ed_free(defer);
    }
}

static ED_COLD _Noreturn void panic_in_scope(const eddy_task *task) {
    char name[ED_TASK_NAME_BYTES];
    eddy_task_name(task, name, sizeof name);
    ED_PANIC("task \"%s\" ended inside a timeout scope: call eddy_timeout_pop on every way out", name);
}

/* Runs a task that was claimed for the running stack, on `worker`. `awaiter` is the task below, or NULL. In every build
 * inlined where it is called: those are the functions of the section. */
static inline __attribute__((always_inline)) void run(eddy_task *task, struct ed_fiber *fiber, struct ed_worker *worker,
                                                      eddy_task *awaiter) {
    struct ed_strand *strand = ed_strand_of(fiber);
    struct ed_scope *scope = strand->scope;
    bool migrates = awaiter != NULL && fiber->migrates;
    if (awaiter == NULL || ED_UNLIKELY(migrates)) fiber->migrates = task->migration != EDDY_STAY;
    fiber->task = task;
    ED_STORE_RELEASE(&task->fiber, fiber);
    ed_count_add(awaiter != NULL ? &worker->counts.direct : &worker->counts.on_stacks, 1);
    ed_tell(worker, awaiter != NULL ? ED_EVENT_DIRECT : ED_EVENT_START, task, 0, NULL);

    if (ED_UNLIKELY(worker != task->future.home)) ED_AND(&task->future.word, ~ED_BIAS); /* B4 */
    task->future.value = EDDY_NONE;                                                     /* read by nobody before DONE */
    int status;
    if (ED_UNLIKELY(ED_LOAD_SEQCST(&task->future.word) & ED_CANCEL)) { /* T1; partner: cancel.c */
        status = EDDY_ECANCELED;
    } else {
        status = task->fn(task->arg, &task->future.value);
    }
    if (ED_UNLIKELY(task->defers != NULL)) run_defers(task);
    if (ED_UNLIKELY(strand->scope != scope)) panic_in_scope(task);
    if (ED_UNLIKELY(task->future.sched->debug)) look_back(task, fiber, status, __builtin_frame_address(0));
    fiber->task = awaiter;
    if (ED_UNLIKELY(migrates)) fiber->migrates = true;
    worker = ed_fiber_worker(fiber); /* another one, perhaps, than when it began */
    if (ED_LIKELY(is_plain(task) && status >= 0)) {
        (void)end_plain(task, worker, status);
    } else {
        end(task, worker, status);
    }
}

CALLS_BODIES bool ed_task_run_direct(struct ed_fiber *fiber, eddy_task *child, const char *reason,
                                     bool (*on_cancel)(void *), void *arg) {
    struct ed_worker *worker = ed_fiber_worker(fiber); /* until the child is entered */
    struct ed_strand *strand = ed_strand_of(fiber);
    eddy_task *task = fiber->task;
    if (!worker->sched->direct_await || task->future.loop != NULL || child->future.loop != NULL ||
        child->start.stack_class > fiber->stack.class_ || strand->scope_failed ||
        (child->migration == EDDY_MIGRATE && !fiber->migrates))
        return false;
    enum ed_start_state state = ed_start_state(ED_LOAD_RELAXED(&child->start.word));
    if (state != ED_START_NEW_OWN && state != ED_START_NEW_SHARED) return false;
    if (ed_stack_left(&fiber->stack.context) < ED_DIRECT_STACK_BYTES) return false;

    /* A direct await is a suspension: what is pending is passed on before the child is entered. */
    ed_wait_begin(task, reason, on_cancel, arg);
    if (ED_UNLIKELY(strand->scope_due)) ed_scope_check(strand);
    if (ED_UNLIKELY(ed_cancel_pending(task, false))) ed_cancel_deliver(task);
    bool claimed = ed_start_claim(&child->start, worker->index);
    if (ED_LIKELY(claimed)) {
        struct ed_deque_entry *newest = ed_deque_newest(&worker->deque);
        if (newest != NULL && newest->hint == &child->start) ed_deque_drop_newest(&worker->deque);
        run(child, fiber, worker, task);
    }
    ed_wait_end(task);
    return claimed;
}

/* What a body that ran as plain leaves behind. */
static ED_COLD void end_awaited(eddy_task *task, struct ed_fiber *fiber, eddy_task *awaiter, int status) {
    if (task->defers != NULL) run_defers(task);
    if (ed_strand_of(fiber)->scope != NULL) panic_in_scope(task);
    fiber->task = awaiter;
    end(task, ed_fiber_worker(fiber), status);
}

/* Not read before: no request is pending for the task (its word says so); from now on whoever asks sends to this worker, as
 * a holder claims with a plain store. While it is held here its entry is in the private part, which is not empty. */
CALLS_BODIES int ed_task_run_plain(struct ed_fiber *fiber, eddy_task *child, eddy_value *value_out) {
    struct ed_worker *worker = ed_fiber_worker(fiber);
    eddy_task *task = fiber->task;
    ed_start_claim_own(&child->start);
    if (ED_LIKELY(worker->deque.top[-1].hint == &child->start)) ed_deque_drop_newest(&worker->deque);
    ED_STORE_RELAXED(&task->above, child);
    fiber->task = child;
    ED_STORE_RELEASE(&child->fiber, fiber);
    ed_count_add(&worker->counts.direct, 1);

    child->future.value = EDDY_NONE; /* read by nobody before DONE */
    int status = child->fn(child->arg, &child->future.value);
    bool as_said = false;
    if (ED_LIKELY(is_plain(child) && status >= 0 && ed_strand_of(fiber)->scope == NULL)) {
        fiber->task = task;
        as_said = end_plain(child, ed_fiber_worker(fiber), status);
    } else {
        end_awaited(child, fiber, task, status);
    }
    ED_STORE_RELAXED(&task->above, NULL);
    if (ED_UNLIKELY(ed_cancel_pending(task, false))) return (void)ed_cancel_pending(task, true), EDDY_ECANCELED;
    if (ED_UNLIKELY(!as_said)) return ed_await_result(&child->future, value_out);
    if (value_out != NULL) ed_value_copy(value_out, &child->future.value);
    return status;
}

int eddy_defer(void (*fn)(void *arg), void *arg) {
    eddy_task *task = ed_task_current();
    if (task == NULL) return EDDY_EWRONGTHREAD;
    if (fn == NULL) return EDDY_EINVAL;
    struct ed_defer *defer = ed_alloc(sizeof *defer);
    if (defer == NULL) return EDDY_ENOMEM;
    *defer = (struct ed_defer){task->defers, fn, arg};
    ed_task_set_special(task);
    task->defers = defer;
    return 0;
}

/* A started task that found no stack: it ends with that, its body is not entered. */
void ed_task_no_stack(struct ed_start *start, int status) {
    eddy_task *task = ED_CONTAINER(start, struct eddy_task, start);
    ed_task_set_special(task);
    ed_bias_enter(&task->future); /* it may have been taken from elsewhere */
    task->error = ed_error_create(status, "", "no stack for the task: too many are alive");
    end(task, ed_worker_current(), status);
}

CALLS_BODIES void ed_task_run_start(struct ed_start *start, struct ed_fiber *fiber) {
    struct ed_strand *strand = ed_strand_of(fiber);
    strand->scopes_used = strand->scopes_missing = 0;
    strand->scope = NULL;
    strand->parked = strand->scope_due = strand->scope_failed = strand->woken = false;
    strand->waiter.state = ED_WAITER_IDLE;
    strand->timer.worker = NULL;
    strand->alarm_ns = INT64_MAX;
    run(ED_CONTAINER(start, struct eddy_task, start), fiber, ed_fiber_worker(fiber), NULL);
    if (ED_UNLIKELY(strand->alarm_ns != INT64_MAX)) ed_scope_leave(strand);
}

/* ---- references ----------------------------------------------------------------------------------- */

eddy_task *eddy_task_share(eddy_task *task) {
    ed_future_share(&task->future);
    return task;
}

void eddy_task_release(eddy_task *task) {
    if (task == NULL) return;
    if (ED_LIKELY(ED_LOAD_ACQUIRE(&task->future.word) == ED_ENDED && is_plain(task))) { /* the last reference */
        ed_slab_put_plain(task);
    } else {
        ed_future_release(&task->future);
    }
}
