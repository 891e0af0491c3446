/* spawn.c: a task is made, and queued where it may start.
 *
 * Life      A record from the slab, filled in; references for the runtime, for the caller's handle, and for a message if it
 *           must start on another worker; its future's word, from which on it is in sight of who walks all tasks; then its
 *           group's list, and last its queue: the young end of this worker's deque, the worker that it is pinned to, by a
 *           message, or, eager, at once. Whoever claims it there runs it (task.c).
 * Short way A plain spawn (task.h) takes a clean record that names this worker as its home, and writes no more than what is
 *           to run.
 * Failure   A spawn that fails has taken the argument all the same, where that was to be taken.
 * Threads   eddy_spawn: tasks and callbacks; ed_spawn_on, eddy_spawn_threadsafe: any.
 * Not here  Records (slab.c); deque and start word (sched/).
 * Tests     tests/task/task_test.c, tests/task/eager_test.c, tests/contract/task_test.c; tests/model/task_model.c. */
#include "task/task.h"

#include <stdio.h>
#include <string.h>

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
    ed_task_drop_inputs(task);
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
