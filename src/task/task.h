/* task.h: door of task/: what the rooms above may use of futures, tasks, waiting, callbacks, reports.
 *
 * A task is a future with a start word (sched/start.h), a body, and a place in its host's world. Fields:
 *   (c) constant once spawned   (h) the host's, once started   (a) atomic, anyone
 * Its record comes from a slab (slab.c) and stays a task record until the run ends. */
#ifndef ED_TASK_TASK_H
#define ED_TASK_TASK_H

#include "eddy/local.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "sched/sched.h"
#include "task/future.h"
#include "task/origin.h"
#include "task/strand.h"
#include "task/wait.h"

enum { ED_TASK_NAME_BYTES = 32, ED_TASK_ARG_BYTES = 64 };

struct ed_block_store;

struct ed_defer {
    struct ed_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

struct eddy_task {
    struct eddy_future future; /* first */
    struct ed_start start;     /* (a) see sched/start.h */
    eddy_coro_fn fn;           /* (c) */
    void *arg;                 /* (c) */
    const char *place;         /* (c) where it was spawned; NULL: not known */
    uint64_t id;               /* (c) */
    union {
        struct eddy_task *next_free; /* in a free list */
        struct ed_origin *origin;    /* (c) with ED_TRACED */
    };

    /* (a) the stack it runs on, NULL before; written by who starts it */
    _Atomic(struct ed_fiber *) fiber;
    /* (a) the task that it awaits and that runs above it on its stack, if it has said no more of that (ed_task_waits) */
    _Atomic(struct eddy_task *) above;
    eddy_context *context;        /* (h) its locals; NULL: none are set */
    eddy_error *error;            /* (h) detail of its last failure */
    struct ed_defer *defers;      /* (h) */
    bool (*on_cancel)(void *);    /* (h) while waiting */
    void *on_cancel_arg;          /* (h) */
    _Atomic(const char *) reason; /* (a) what it waits on; NULL: it runs. Written by the host */
    eddy_drop_fn drop_arg;        /* (c) */
    struct ed_group *group;       /* (c) the group it is a child of, one reference */
    uint8_t migration;            /* (c) enum eddy_migration; DEFAULT: it may, and nobody asked for it */
    bool arg_allocated;           /* (c) arg is a copy on the heap */
    bool eager;                   /* (c) it has begun inside its spawn */
    bool passing;                 /* (h) inside its on_cancel */
    _Atomic bool special;         /* (a) ed_task_wipe is needed: see there */
    bool slow;                    /* (h) what it spawns and awaits is not plain: ed_task_set_slow */

    _Atomic uint64_t request;  /* (a) the latest cancel request that reached it: cancel.c */
    struct ed_list group_link; /* under the group's lock */
    struct ed_call group_call; /* (h) in a domain: tells the group in a step of its own */
    struct ed_message message; /* cancel on its way to the host: owned through ED_MESSAGE */
    int64_t since_ns;          /* (h) debug mode: when it began to wait; else 0 */

    char name[ED_TASK_NAME_BYTES]; /* under the future's LOCK; empty: "Task-<id>" */
    char copy[ED_TASK_ARG_BYTES];  /* small copied arguments */
};

/* A serial domain, or the runtime's loop (worker NULL). */
struct eddy_loop {
    struct ed_sched *sched;
    struct ed_worker *worker;
    struct eddy_loop *next; /* all of the run, under ed_tasks.lock */
};

/* What task/ keeps for a run: sched->tasks. */
struct ed_tasks {
    struct ed_spinlock lock;
    struct ed_slab_chunk *chunks;   /* under lock; never freed before the run ends */
    eddy_task *free;                /* under lock */
    struct ed_block_store *handles; /* (c) blocks.h */
    eddy_loop *domains;             /* under lock */
    eddy_loop loop;                 /* the runtime's */
    eddy_exception_handler on_exception;
    void *on_exception_arg;
};

int ed_tasks_open(struct ed_sched *sched, eddy_exception_handler handler, void *arg);
/* Once no worker runs: names task handles that were not given back. */
void ed_tasks_report_left(struct ed_sched *sched);
void ed_tasks_close(struct ed_sched *sched);
/* From now on spawns where no task runs give EDDY_ECLOSED; one that was taken before is in sight of eddy_all_tasks. Gives
 * whether it was so already. */
bool ed_tasks_refuse(struct ed_sched *sched);
int64_t ed_tasks_left_behind(void); /* task handles not released when their runs ended: for tests */
int ed_tasks_worker_open(struct ed_worker *worker);
void ed_tasks_worker_close(struct ed_worker *worker);
static inline struct ed_tasks *ed_tasks_of(struct ed_sched *sched) { return sched->tasks; }

/* Of a started task, on its host. */
static inline struct ed_fiber *ed_task_fiber(eddy_task *task) { return ED_LOAD_RELAXED(&task->fiber); }

/* Counts an await of the running task, or a call of sync/, so that a task that awaits what is done cannot hold its worker;
 * in a domain only I/O calls count. Visits the scheduler first when it is time, and may go on on another worker. */
static inline void ed_count_await(struct ed_fiber *fiber) {
    if (((eddy_task *)fiber->task)->future.loop == NULL && ed_count_call(ed_fiber_worker(fiber)))
        ed_attend_await(fiber);
}

/* Records in the slab are clean: all but what each spawn writes is as a plain spawn wants it, so that most spawns write only
 * that. Who changes one of the fields below says so in `special`, and it is wiped when it goes back; all others are
 * left as they were by who used them: a task that ends waits for nothing.
 *
 * Plain      A task that is not special has no options, domain, group, name, locals, defers and detail, was not cancelled and
 *            did not fail, and nobody listens: so spawn, await, end and release of most tasks ask this one question, and
 *            are short (eddy_spawn_at, eddy_await, ed_task_run_plain, eddy_task_release). Whoever gives a task one of
 *            these things sets `special` first; all of them do so on its host, but for cancels and names, of which the
 *            record needs to be wiped only. */
static inline void ed_task_wipe(eddy_task *task) {
    if (ED_UNLIKELY(ED_LOAD_RELAXED(&task->future.word) & ED_TRACED)) ed_free(task->origin);
    task->future.drop = NULL;
    task->future.loop = NULL;
    task->slow = false;
    task->start.stack_class = ED_STACK_64K;
    task->group = NULL;
    task->migration = task->future.sched->migrate ? EDDY_MIGRATION_DEFAULT : EDDY_STAY;
    task->eager = false;
    ED_STORE_RELAXED(&task->request, 0);
    task->name[0] = '\0';
    ED_STORE_RELAXED(&task->special, false);
}
/* Makes a clean record of memory that is all zero. */
static inline void ed_task_clean(eddy_task *task, struct ed_sched *sched) {
    ed_list_init(&task->future.waiters);
    task->future.sched = sched;
    ed_task_wipe(task);
}
static inline void ed_task_set_special(eddy_task *task) { ED_STORE_RELAXED(&task->special, true); }
/* It is in a domain, has locals, or in its run awaits are never direct, or somebody listens: so are its children. */
static inline void ed_task_set_slow(eddy_task *task) {
    task->slow = true;
    ed_task_set_special(task);
}

/* What a task that is about to wait says, on its host. */
static inline void ed_wait_begin(eddy_task *task, const char *reason, bool (*on_cancel)(void *), void *arg) {
    task->on_cancel = on_cancel;
    task->on_cancel_arg = arg;
    ED_STORE_RELAXED(&task->reason, reason);
}
static inline void ed_wait_end(eddy_task *task) { ED_STORE_RELAXED(&task->reason, NULL); }

/* What a started task waits for, on its host; false: it does not. */
struct ed_waits {
    const char *reason;
    bool (*on_cancel)(void *);
    void *arg;
};
bool ed_task_waits(eddy_task *task, struct ed_waits *waits_out);

/* slab.c: records. A worker's own, free and clean, in worker->slab; their home is this worker. */
enum { ED_SLAB_BATCH = 64 };
struct ed_slab_cache {
    size_t count;
    eddy_task *free[2 * ED_SLAB_BATCH];
};
/* A clean record; worker NULL: on other threads. NULL: no memory. */
eddy_task *ed_slab_get_from(struct ed_sched *sched, struct ed_worker *worker);
/* One whose last reference is gone. */
void ed_slab_put(eddy_task *task);
void ed_slab_put_plain(eddy_task *task);
/* Calls visit with a reference on each task that is alive and not done, until it returns false. */
void ed_slab_each(struct ed_sched *sched, bool (*visit)(eddy_task *task, void *arg), void *arg);

/* The running task; NULL outside. */
eddy_task *ed_task_current(void);
static inline eddy_task *ed_task_running_on(struct ed_worker *worker) {
    struct ed_fiber *fiber = worker->running;
    return fiber != NULL ? fiber->task : NULL;
}
/* The domain of the running task or callback; NULL: none. On a worker. */
eddy_loop *ed_domain_current(void);
static inline eddy_loop *ed_domain_on(struct ed_worker *worker) {
    eddy_task *task = ed_task_running_on(worker);
    return task != NULL ? task->future.loop : worker->call_loop;
}

/* As eddy_spawn, pinned to `worker`, from any thread. The task belongs to no domain unless options name one of that
 * worker. EDDY_ECLOSED once the worker is closed. */
int ed_spawn_on(struct ed_worker *worker, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                const eddy_task_options *options, uint64_t flags);
/* What eddy_spawn and the group's share. `group` (one reference taken with success) may be NULL. */
int ed_task_spawn(const char *place, eddy_task **task_out, eddy_coro_fn fn, void *arg, const eddy_task_options *options,
                  struct ed_group *group);
void ed_task_drop_inputs(eddy_task *task); /* its argument and its locals */
/* In the task that runs on `fiber`: runs `task`, of the same run, as a plain call if it has not started and may run here.
 * True: it has ended. */
bool ed_task_run_direct(struct ed_fiber *fiber, eddy_task *task, const char *reason, bool (*on_cancel)(void *),
                        void *arg);
/* In the task that runs on `fiber`, for its await: runs `child`, plain and held by this worker, on the same stack. As
 * eddy_await. */
int ed_task_run_plain(struct ed_fiber *fiber, eddy_task *child, eddy_value *value_out);
/* A cancel in two steps: counts a request and sets CANCEL (false: done), writing the task's words only; then, CANCEL
 * being set, tells whoever can act on it. */
bool ed_cancel_ask(eddy_task *task);
void ed_cancel_route(eddy_task *task);
/* Passes a pending request on, on the host. */
void ed_cancel_deliver(eddy_task *task);
/* on_cancel of an await: cancels the future. */
bool ed_cancel_future(void *future);

/* group.c: a child has ended. */
void ed_group_child_done(struct ed_group *group, eddy_task *task);
/* A child before it is queued: 0 or EDDY_ESTATE; and one that could not be queued. */
int ed_group_add(struct ed_group *group, eddy_task *task);
void ed_group_forget(struct ed_group *group, eddy_task *task);

/* On its host: a started child's parent. */
uint64_t ed_group_parent_id(const struct ed_group *group);

/* gather.c: calls `each` for the futures that a waiting task waits for, as far as that is known; true: it is in the exit
 * of a group, and waits for the children. On its host. */
bool ed_task_awaits(eddy_task *task, void (*each)(void *arg, eddy_future *future), void *arg);
/* Whether a place on a stack is where a task's body was called: what is outside of it is the awaiter's. */
bool ed_task_runs_at(const void *place);

/* What the scheduler calls (sched->run_start, sched->no_stack). */
void ed_task_run_start(struct ed_start *start, struct ed_fiber *fiber);
void ed_task_no_stack(struct ed_start *start, int status);

/* error.c */
struct eddy_error {
    _Atomic unsigned references;
    int status;
    unsigned children_count, children_capacity;
    eddy_error **children;
    char task[ED_TASK_NAME_BYTES];
    char text[];
};
eddy_error *ed_error_create(int status, const char *task, const char *text); /* NULL: no memory */
/* Adds a child, taking its reference; false: no memory (the child is released and counted as lost). */
bool ed_error_add_child(eddy_error *error, eddy_error *child);
/* As eddy_error_print; the task named `known` is not named again. */
size_t ed_error_print(const eddy_error *error, const char *known, char *buffer, size_t bytes);
/* Replaces the detail of the running task; takes the reference. */
void ed_error_set_current(eddy_error *error);
/* While set, eddy_fail on this plain thread stores its detail in *slot (releasing what is there). */
void ed_error_thread_slot(eddy_error **slot);

/* scope.c: the first deadline of the calling task's open scopes that has not expired; EDDY_FOREVER: none. */
int64_t ed_scope_deadline(void);

/* locals.c: where the context of a plain thread's function hangs; NULL: none runs. */
void ed_context_thread_slot(eddy_context **slot);
eddy_context **ed_context_of_thread(void);

/* Where the context of the caller on `here` (NULL: a plain thread) hangs; NULL: it has none. */
static inline eddy_context **ed_context_slot(struct ed_worker *here) {
    if (here == NULL) return ed_context_of_thread();
    eddy_task *task = ed_task_running_on(here);
    return task != NULL ? &task->context : here->call_context;
}
/* The same context, shared; NULL: nothing is set. */
static inline eddy_context *ed_context_capture(struct ed_worker *here) {
    eddy_context **slot = ed_context_slot(here);
    return slot != NULL && ED_UNLIKELY(*slot != NULL) ? eddy_context_share(*slot) : NULL;
}

/* handle.c */
int ed_handles_open(struct ed_block_store **store_out);
int ed_domain_open_on(struct ed_worker *worker, eddy_loop **loop_out);
void ed_handle_drop_timers(struct ed_worker *worker); /* at the end of a run: timers nobody will see fire */

/* hold.c: debug mode. The running stack is about to suspend: reports what it holds; and at a task's end. */
void ed_hold_suspends(struct ed_strand *strand, const char *reason);
void ed_hold_end(eddy_task *ended, struct ed_strand *strand);

/* report.c */
void ed_report(struct ed_sched *sched, const eddy_report *report);
void ed_report_task(struct ed_sched *sched, enum eddy_report_kind kind, eddy_task *task, const char *message,
                    int status, const eddy_error *error);
void ed_report_future(eddy_future *future, enum eddy_report_kind kind, const char *message);
/* What happened, and to which of the program's functions: its name, and its place for addr2line. */
enum { ED_FUNCTION_MESSAGE_BYTES = 256 };
void ed_function_message(const char *what, uintptr_t function, char message_out[ED_FUNCTION_MESSAGE_BYTES]);
/* EDDY_EWRONGTHREAD; debug mode of `sched` (NULL: of the calling worker's run) tells of it. */
int ed_wrong_thread(struct ed_sched *sched, const char *message);
ED_COLD int ed_outside_task(void); /* the same where no task runs, but one should */
/* The same with a stack to print. */
void ed_report_stack(struct ed_sched *sched, enum eddy_report_kind kind, eddy_task *task, const char *message,
                     const char *stack);

#endif
