/* task.c: spawn, run, end: a task's life; names and all_tasks.
 *
 * Life      record from the slab; spawned with a reference for the runtime, one for the caller's handle, one for a
 *           message if it must start on another worker -> claimed (sched/start.h) -> its body runs on a stack -> defers,
 *           argument dropped -> result written, DONE -> its group is told -> the runtime's reference goes.
 * Threads   spawn: tasks and callbacks; ed_spawn_on: any. run and end: the host. */
#include "task/task.h"
#include "task/bias.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
/* Its argument and its locals. */
static void drop_inputs(eddy_task *task) {
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
    drop_inputs(task);
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

/* ---- spawning ------------------------------------------------------------------------------------ */

static int stack_class(size_t bytes) {
    if (bytes == 0) return ED_STACK_64K;
    if (bytes <= 16 * 1024) return ED_STACK_16K;
    if (bytes <= 64 * 1024) return ED_STACK_64K;
    if (bytes <= 256 * 1024) return ED_STACK_256K;
    return EDDY_EINVAL;
}

static inline uint64_t next_id(struct ed_sched *sched, struct ed_worker *worker) {
    enum { BLOCK = 64 }; /* one visit to the common line for 64 tasks */
    if (worker == NULL) return ED_ADD(&sched->next_id, 1) + 1;
    if (worker->next_id == worker->last_id) {
        worker->next_id = ED_ADD(&sched->next_id, BLOCK);
        worker->last_id = worker->next_id + BLOCK;
    }
    return ++worker->next_id;
}

/* Which domain and worker a spawn from `here` means; EDDY_EINVAL for a loop of another runtime, for a task of a domain that
 * asks to migrate, or where an eager task would have to begin on another worker. */
static int locate(struct ed_sched *sched, struct ed_worker *here, const eddy_task_options *options, eddy_loop **loop_io,
                  struct ed_worker **pinned_out) {
    if (options != NULL && options->loop != NULL) *loop_io = options->loop == EDDY_ANYWHERE ? NULL : options->loop;
    if (*loop_io != NULL && (*loop_io)->sched != sched) return EDDY_EINVAL;
    if (*loop_io != NULL && (*loop_io)->worker == NULL) *loop_io = NULL; /* the runtime's own: no domain */
    *pinned_out = *loop_io != NULL ? (*loop_io)->worker : NULL;
    if (options != NULL && options->migrate == EDDY_MIGRATE && *pinned_out != NULL) return EDDY_EINVAL;
    bool elsewhere = *pinned_out != NULL && *pinned_out != here;
    return options != NULL && options->eager && (here == NULL || elsewhere) ? EDDY_EINVAL : 0;
}

/* A record with everything but its place in a queue. */
static int prepare(eddy_task **task_out, struct ed_sched *sched, struct ed_worker *here, eddy_context **slot,
                   eddy_coro_fn fn, void *arg, const eddy_task_options *options) {
    if (fn == NULL) return EDDY_EINVAL;
    if (options != NULL && (options->size != sizeof *options || stack_class(options->stack_bytes) < 0 ||
                            (options->copy_bytes > 0 && options->drop_arg != NULL)))
        return EDDY_EINVAL;
    eddy_task *task = ed_slab_get_from(sched, here);
    if (task == NULL) return EDDY_ENOMEM;
    task->fn = fn;
    task->arg = arg;
    if (options != NULL) {
        ed_task_set_special(task);
        task->eager = options->eager;
        task->start.stack_class = (uint8_t)stack_class(options->stack_bytes);
        if (options->name != NULL) snprintf(task->name, sizeof task->name, "%s", options->name);
        if (options->copy_bytes > 0) {
            task->arg = options->copy_bytes <= sizeof task->copy ? task->copy : ed_alloc(options->copy_bytes);
            if (task->arg == NULL) {
                ed_slab_put(task);
                return EDDY_ENOMEM;
            }
            task->arg_allocated = task->arg != task->copy;
            memcpy(task->arg, arg, options->copy_bytes);
        }
        task->drop_arg = options->drop_arg;
    }
    eddy_context *context = options != NULL && options->context != NULL ? options->context
                            : slot != NULL                              ? *slot
                                                                        : NULL;
    if (ED_UNLIKELY(context != NULL)) {
        ed_task_set_slow(task);
        task->context = eddy_context_share(context);
    }
    task->id = next_id(sched, here);
    *task_out = task;
    return 0;
}

/* Whether a task may leave the worker it has started on; one that was sent to a worker stays unless it asks. */
static enum eddy_migration migration(struct ed_sched *sched, bool pinned, const eddy_task_options *options) {
    enum eddy_migration asked = options != NULL ? options->migrate : EDDY_MIGRATION_DEFAULT;
    if (asked != EDDY_MIGRATION_DEFAULT) return asked;
    return sched->migrate && !pinned ? EDDY_MIGRATION_DEFAULT : EDDY_STAY;
}

static void arrive_pinned(struct ed_message *message, struct ed_worker *worker) {
    eddy_task *task = ED_CONTAINER(message, struct eddy_task, message);
    (void)ed_start_push(worker, &task->start, true); /* pinned: needs no memory */
    ED_AND(&task->future.word, ~ED_MESSAGE);         /* a cancel meanwhile: the start sees it */
    ed_future_release(&task->future);
}

/* Debug mode: the task's flags, with ED_TRACED if there was memory for the note. */
static ED_COLD uint64_t note_origin(eddy_task *task, uint64_t flags) {
    task->origin = ed_origin_take();
    ed_task_set_special(task);
    ed_lent_note(task);
    return task->origin != NULL ? flags : flags & ~ED_TRACED;
}

/* Ends unseen: somebody who walks all tasks may hold it for a moment. */
static ED_COLD void launch_failed(eddy_task *task, int status, uint64_t refs) {
    task->drop_arg = NULL; /* spawn_failed drops it */
    drop_inputs(task);
    task->future.status = status;
    ed_task_set_special(task);
    ed_future_finish(&task->future, ED_RETRIEVED, ED_CANCEL, 0);
    while (refs-- > 0) ed_future_release(&task->future);
}

/* Whether the run takes no more tasks from where none runs: other threads, callbacks. The record is in sight of who walks
 * all tasks before `closed` is read; who closes walks them once more. One of them sees the other: the read-modify-write
 * and the load here, the exchange in ed_tasks_refuse and the walk's loads, all seq_cst. */
static ED_COLD bool refused(eddy_task *task) {
    ED_OR(&task->future.word, 0);
    return ED_LOAD_SEQCST(&task->future.sched->closed);
}

bool ed_tasks_refuse(struct ed_sched *sched) { return ED_EXCHANGE(&sched->closed, true); }

static int launch(eddy_task *task, eddy_task **task_out, struct ed_worker *here, struct ed_worker *pinned,
                  eddy_loop *loop, const eddy_task_options *options, struct ed_group *group, uint64_t flags) {
    bool elsewhere = pinned != NULL && pinned != here;
    uint64_t refs = 1 + (task_out != NULL) + elsewhere;
    struct ed_worker *home = pinned != NULL ? pinned : here;
    if (flags & ED_TRACED) flags = note_origin(task, flags);
    task->future.home = home;
    task->future.loop = loop;
    const struct ed_sched *sched = home->sched;
    if (loop != NULL || !sched->direct_await || sched->debug || sched->listener != NULL) ed_task_set_slow(task);
    if (options != NULL) task->future.drop = options->drop;
    if (options != NULL || pinned != NULL) {
        ed_task_set_special(task);
        task->migration = (uint8_t)migration(home->sched, pinned != NULL, options);
    }
    /* Last: whoever walks the slabs sees a whole record. */
    ED_STORE_RELEASE(&task->future.word, refs * ED_REF_ONE | ED_IS_TASK | flags | (elsewhere ? ED_MESSAGE : 0));
    int status = group != NULL ? ed_group_add(group, task) : 0;
    bool added = group != NULL && status == 0;
    if (ED_UNLIKELY(here == NULL || here->running == NULL) && status == 0 && refused(task)) status = EDDY_ECLOSED;
    if (status == 0 && elsewhere) {
        ed_start_new(&task->start, pinned->index, ED_START_NEW_PINNED);
        task->message.arrive = arrive_pinned;
        status = ed_post(pinned, &task->message);
    } else if (status == 0 && options != NULL && options->eager) {
        status = ed_start_now(here, &task->start);
    } else if (status == 0) {
        status = ed_start_push(here, &task->start, pinned != NULL);
    }
    if (ED_UNLIKELY(status < 0)) {
        if (added) ed_group_forget(group, task);
        launch_failed(task, status, refs);
        return status;
    }
    if (task_out != NULL) *task_out = task;
    return 0;
}

/* A failed spawn took the argument as well, if that was to be taken. */
static int spawn_failed(int status, void *arg, const eddy_task_options *options) {
    if (options != NULL && options->size == sizeof *options && options->drop_arg != NULL)
        options->drop_arg(eddy_value_ptr(arg));
    return status;
}

/* From `here`, in the domain `loop` unless options say otherwise; the caller's locals hang at *slot. */
static int spawn(struct ed_worker *here, eddy_loop *loop, eddy_context **slot, const char *place, eddy_task **task_out,
                 eddy_coro_fn fn, void *arg, const eddy_task_options *options, struct ed_group *group, uint64_t flags) {
    struct ed_worker *pinned;
    int status = locate(here->sched, here, options, &loop, &pinned);
    eddy_task *task = NULL;
    if (status == 0) status = prepare(&task, here->sched, here, slot, fn, arg, options);
    if (ED_UNLIKELY(status < 0)) return spawn_failed(status, arg, options);
    task->place = place;
    if (group != NULL) {
        ed_task_set_special(task);
        task->group = group;
    }
    status = launch(task, task_out, here, pinned, loop, options, group, flags);
    return ED_UNLIKELY(status < 0) ? spawn_failed(status, arg, options) : 0;
}

int ed_task_spawn(const char *place, eddy_task **task_out, eddy_coro_fn fn, void *arg, const eddy_task_options *options,
                  struct ed_group *group) {
    struct ed_worker *here = ed_worker_current();
    if (ED_UNLIKELY(here == NULL)) return spawn_failed(EDDY_EWRONGTHREAD, arg, options);
    return spawn(here, ed_domain_on(here), ed_context_slot(here), place, task_out, fn, arg, options, group,
                 here->sched->debug ? ED_TRACED : 0);
}

/* All of a spawn that is plain: a clean record, which names this worker as its home, gets what it is to run and an entry in
 * the deque. Whatever else there is to think of, or to make room for, is ed_task_spawn's. */
int eddy_spawn_at(const char *place, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                  const eddy_task_options *options) {
    struct ed_worker *here = ed_worker_current();
    const eddy_task *parent = here != NULL && here->running != NULL ? here->running->task : NULL;
    if (ED_UNLIKELY(parent == NULL || parent->slow || options != NULL || fn == NULL || task_out == NULL))
        return ed_task_spawn(place, task_out, fn, arg, options, NULL);
    struct ed_slab_cache *cache = here->slab;
    if (ED_UNLIKELY(cache->count == 0 || here->next_id == here->last_id || ed_deque_is_full(&here->deque) ||
                    (ED_LOAD_RELAXED(&here->attention) & ED_WANT) != 0))
        return ed_task_spawn(place, task_out, fn, arg, NULL, NULL);
    eddy_task *task = cache->free[--cache->count];
    task->fn = fn;
    task->arg = arg;
    task->place = place;
    task->id = ++here->next_id;
    /* Last: whoever walks the slabs sees a whole record. */
    ED_STORE_RELEASE(&task->future.word, ED_LOAD_RELAXED(&here->fresh));
    ed_deque_push_into(&here->deque, &task->start, here->seq++);
    ed_start_new_own(&task->start, here->index);
    ed_count_add(&here->counts.spawned, 1);
    *task_out = task;
    return 0;
}

int(eddy_spawn)(eddy_task **task_out, eddy_coro_fn fn, void *arg, const eddy_task_options *options) {
    return ed_task_spawn(NULL, task_out, fn, arg, options, NULL);
}

static int spawn_on(const char *place, struct ed_worker *worker, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                    const eddy_task_options *options, uint64_t flags) {
    struct ed_worker *here = ed_worker_current(), *pinned;
    if (here != NULL && here->sched != worker->sched) here = NULL;
    eddy_loop *loop = NULL;
    int status = locate(worker->sched, NULL, options, &loop, &pinned);
    eddy_task *task = NULL;
    if (status == 0) status = prepare(&task, worker->sched, here, ed_context_slot(here), fn, arg, options);
    if (status < 0) return spawn_failed(status, arg, options);
    task->place = place;
    if (worker->sched->debug) flags |= ED_TRACED;
    status = launch(task, task_out, here, worker, loop, options, NULL, flags);
    return status < 0 ? spawn_failed(status, arg, options) : 0;
}

int ed_spawn_on(struct ed_worker *worker, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                const eddy_task_options *options, uint64_t flags) {
    return spawn_on(NULL, worker, task_out, fn, arg, options, flags);
}

int eddy_spawn_threadsafe_at(const char *place, eddy_loop *loop, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                             const eddy_task_options *options) {
    if (loop == NULL || (options != NULL && options->loop != NULL && options->loop != loop))
        return spawn_failed(EDDY_EINVAL, arg, options);
    /* The runtime's own loop stands for one fixed worker here, as in eddy_call_soon_threadsafe. */
    struct ed_worker *worker = loop->worker != NULL ? loop->worker : loop->sched->workers[0];
    eddy_task_options placed = options != NULL ? *options : eddy_task_options_init();
    placed.loop = loop;
    return spawn_on(place, worker, task_out, fn, arg, &placed, 0);
}

int(eddy_spawn_threadsafe)(eddy_loop *loop, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                           const eddy_task_options *options) {
    return eddy_spawn_threadsafe_at(NULL, loop, task_out, fn, arg, options);
}

void eddy_share(void) {
    struct ed_worker *worker = ed_worker_current();
    if (worker != NULL && worker->sched->workers_count > 1) ed_publish(worker, 0);
}

/* ---- handles, names ------------------------------------------------------------------------------ */

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

eddy_task *eddy_future_task(eddy_future *future) {
    return ED_LOAD_RELAXED(&future->word) & ED_IS_TASK ? (eddy_task *)future : NULL;
}

eddy_task *eddy_current_task(void) { return ed_task_current(); }

uint64_t eddy_task_id(const eddy_task *task) { return task->id; }

size_t eddy_task_name(const eddy_task *task, char *buffer, size_t bytes) {
    eddy_future *future = (eddy_future *)&task->future;
    char name[ED_TASK_NAME_BYTES];
    ed_future_lock(future);
    memcpy(name, task->name, sizeof name);
    ed_future_unlock(future, 0, 0);
    if (name[0] == '\0') return (size_t)snprintf(buffer, bytes, "Task-%" PRIu64, task->id);
    return (size_t)snprintf(buffer, bytes, "%s", name);
}

void eddy_task_set_name(eddy_task *task, const char *name) {
    char copy[ED_TASK_NAME_BYTES] = "";
    snprintf(copy, sizeof copy, "%s", name != NULL ? name : "");
    ed_task_set_special(task);
    ed_future_lock(&task->future);
    memcpy(task->name, copy, sizeof copy);
    ed_future_unlock(&task->future, 0, 0);
}

size_t eddy_task_print(const eddy_task *task, char *buffer, size_t bytes) {
    char name[ED_TASK_NAME_BYTES];
    eddy_task_name(task, name, sizeof name);
    uint64_t word = ED_LOAD_ACQUIRE((_Atomic uint64_t *)&task->future.word);
    const char *state = "pending";
    if (word & ED_DONE) state = word & ED_CANCELLED ? "cancelled" : task->future.status < 0 ? "failed" : "finished";
    const char *reason = ED_LOAD_RELAXED(&((eddy_task *)task)->reason);
    if (ED_LOAD_RELAXED(&((eddy_task *)task)->above) != NULL) reason = "await";
    bool waits = !(word & ED_DONE) && reason != NULL;
    char place[256];
    if (task->place != NULL)
        snprintf(place, sizeof place, "spawned at %s", task->place);
    else
        snprintf(place, sizeof place, "fn=%p", (void *)(uintptr_t)task->fn);
    return (size_t)snprintf(buffer, bytes, "<Task name='%s' id=%" PRIu64 " state=%s %s%s%s>", name, task->id, state,
                            place, waits ? " waiting on " : "", waits ? reason : "");
}

/* ---- all tasks ----------------------------------------------------------------------------------- */

struct collect {
    eddy_task **tasks;
    size_t count, capacity;
};

static bool collect(eddy_task *task, void *arg) {
    struct collect *all = arg;
    if (ED_LOAD_RELAXED(&task->future.word) & ED_HIDDEN) return true;
    if (all->count < all->capacity) all->tasks[all->count] = eddy_task_share(task);
    all->count++;
    return true;
}

static int by_id(const void *a, const void *b) {
    uint64_t left = (*(eddy_task *const *)a)->id, right = (*(eddy_task *const *)b)->id;
    return (left > right) - (left < right);
}

size_t eddy_all_tasks(eddy_task **tasks_out, size_t capacity) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return 0;
    struct collect all = {tasks_out, 0, capacity};
    ed_slab_each(worker->sched, collect, &all);
    size_t given = all.count < capacity ? all.count : capacity;
    if (given > 1) qsort(tasks_out, given, sizeof *tasks_out, by_id);
    return all.count;
}
