/* eddy/task.h: futures, tasks, coroutine objects: spawn, await, cancel, sleep, gather, wait, shield.
 *
 * A coroutine function is a C function; calling it is asyncio's `await coro()`. A task is a coroutine
 * that runs on its own; a task is a future. Tasks run on any worker at once unless they belong to a
 * serial domain (loop.h): outside a domain, data shared by two tasks needs a lock.
 *
 * Cancellation (asyncio's): a request makes the next call that really suspends return EDDY_ECANCELED, once;
 * a call that can complete at once does, even with a request pending. "Cancellation point: when it
 * suspends" in these contracts means just that. A call that ends EDDY_ECANCELED was not done.
 *
 * Stacks: a task gets 64 KiB of address space (options: more or less), of which it may rely on 40 KiB: a
 * task that is awaited before it has started may run on its awaiter's stack. Touching the guard below the
 * stack ends the program with a report that names the task. */
#ifndef EDDY_TASK_H
#define EDDY_TASK_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/* ---- tasks ------------------------------------------------------------------------------------ */

/** Whether a task that has started may go on on another worker.
 *
 *  It may not unless it or the run (eddy_run_options.migrate) says so. One that may moves where it suspends and nothing
 *  of it is under way: when it is woken in eddy_await, eddy_yield, eddy_sleep, eddy_group_exit or a waiting call of
 *  eddy/sync.h, or let others run for fairness in one of them; only to a worker that has nothing to do; never inside a
 *  timeout scope that has a deadline, never in a domain, and not while it waits for a descriptor, a signal, a thread or
 *  a process. A task that runs directly on its awaiter's stack moves with it, and only if both may.
 *
 *  What that means for the code of such a task, and for all that it calls:
 *  - thread-local variables are another thread's after each call that suspends, errno among them, and so are addresses
 *    of them that were kept; compilers keep them of their own accord. Read them in a function that does not suspend.
 *  - a mutex of the system may not be held across such a call (it must be unlocked by the thread that locked it); an
 *    eddy_lock may. Nor may state that a library keeps for each thread.
 *  - eddy_worker_index changes. Streams and servers can be used as before, at the price of a message to their worker;
 *    what a write meets there shows in a later call.
 *  - the home of a future or task, where its done callbacks run, stays what it was. */
enum eddy_migration {
    EDDY_MIGRATION_DEFAULT, /**< as the run says */
    EDDY_MIGRATE,           /**< it may */
    EDDY_STAY               /**< it stays on the worker that starts it */
};

typedef struct eddy_task_options {
    size_t size;           /**< sizeof(eddy_task_options): filled by EDDY_TASK and eddy_task_options_init */
    const char *name;      /**< copied, cut at 31 bytes; NULL: "Task-N" */
    eddy_loop *loop;       /**< the serial domain to run in; NULL: the spawner's; EDDY_ANYWHERE: none */
    size_t stack_bytes;    /**< 0: 64 KiB. Rounded up to 16, 64 or 256 KiB; more is EDDY_EINVAL */
    size_t copy_bytes;     /**< > 0: this many bytes behind `arg` are copied into the task */
    eddy_drop_fn drop;     /**< runs on the task's value unless it was taken (eddy_future_take) */
    eddy_drop_fn drop_arg; /**< the task takes `arg`: runs once when the task has ended, or on a spawn     *
                              *   that failed. Not together with copy_bytes */
    eddy_context *context; /**< borrowed: the task starts with a copy of it; NULL: of the spawner's (local.h) */
    bool eager;            /**< the body runs inside the spawn until it first waits, as the current task; one that ends
                            *   there was never queued. In the spawner's domain or outside any, else EDDY_EINVAL */
    /** EDDY_MIGRATE in a domain is EDDY_EINVAL. */
    enum eddy_migration migrate;
} eddy_task_options;

/** A loop value for .loop that means "in no domain". */
#define EDDY_ANYWHERE ((eddy_loop *)-1)

static inline eddy_task_options eddy_task_options_init(void) {
    eddy_task_options options = {sizeof(eddy_task_options), NULL, NULL, 0, 0, NULL, NULL, NULL, false,
                                 EDDY_MIGRATION_DEFAULT};
    return options;
}
#ifndef __cplusplus
#define EDDY_TASK(...) (&(eddy_task_options){.size = sizeof(eddy_task_options), __VA_ARGS__})
#endif

/** Schedules `fn(arg, &value)` as a task of its own. It is queued, not run; it may start on any worker.
 *
 *  @param task_out  May be NULL. Gives one reference: eddy_task_release(). Without it the runtime alone
 *                   holds the task until it ends, and reports a failure that nobody could look at.
 *  @param arg       Borrowed until the task ends, unless options say copy_bytes or drop_arg.
 *  @param options   May be NULL. Borrowed.
 *  @return          0, EDDY_ENOMEM (nothing was spawned), EDDY_EINVAL, EDDY_EWRONGTHREAD outside the
 *                   runtime's own tasks and callbacks.
 *
 *  Suspends: never.  Threads: a task or callback of the runtime. Cost: no lock, no system call; a pooled
 *  record, and no stack until it starts.
 *  Sharing: a task that spawns and then computes without calling eddy keeps its last new task to itself;
 *  eddy_share() offers it to the other workers.
 *  Source: asyncio.create_task. */
EDDY_API int eddy_spawn(eddy_task **task_out, eddy_coro_fn fn, void *arg, const eddy_task_options *options);
/** The same, with the place that reports and eddy_task_print name; NULL: none. Static storage. */
EDDY_API int eddy_spawn_at(const char *place, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                           const eddy_task_options *options);
#define eddy_spawn(task_out, fn, ...) eddy_spawn_at(EDDY_PLACE(fn), task_out, fn, __VA_ARGS__)

/** As eddy_spawn, from any thread and never eager, on a loop: in its domain, or for the runtime's loop outside any. FIFO per calling thread
 *  and loop. @return 0, EDDY_ENOMEM, EDDY_EINVAL, EDDY_ECLOSED once the runtime takes no more: `loop` must outlive the call.
 *  Source: asyncio.run_coroutine_threadsafe. */
EDDY_API int eddy_spawn_threadsafe(eddy_loop *loop, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                                   const eddy_task_options *options) EDDY_ANY_THREAD;
EDDY_API int eddy_spawn_threadsafe_at(const char *place, eddy_loop *loop, eddy_task **task_out, eddy_coro_fn fn,
                                      void *arg, const eddy_task_options *options) EDDY_ANY_THREAD;
#define eddy_spawn_threadsafe(loop, task_out, fn, ...) \
    eddy_spawn_threadsafe_at(EDDY_PLACE(fn), loop, task_out, fn, __VA_ARGS__)

/** Offers the calling worker's new tasks to the other workers now. Never suspends; any task or callback; elsewhere it does
 *  nothing. */
EDDY_API void eddy_share(void);

/** Shares: one reference more. Any thread. */
EDDY_API eddy_task *eddy_task_share(eddy_task *task) EDDY_ANY_THREAD;
/** Gives a reference back; NULL is nothing. The task runs on. Any thread, until the runtime is freed (by the end of eddy_run,
 *  by eddy_runner_close or eddy_runtime_release) and every task with it: one that is not released by then is reported.
 *  So main waits for other threads that hold tasks. */
EDDY_API void eddy_task_release(eddy_task *task) EDDY_ANY_THREAD;

/** The task as the future that it is; the same reference. */
static inline eddy_future *eddy_task_future(const eddy_task *task) { return (eddy_future *)(uintptr_t)task; }
#define EDDY_FUTURE(task) (eddy_task_future(task))
/** The future as the task that it is; NULL for a bare future. The same reference. */
EDDY_API eddy_task *eddy_future_task(eddy_future *future) EDDY_ANY_THREAD;

/** The running task: borrowed, valid while it runs. NULL in callbacks and outside the runtime. */
EDDY_API eddy_task *eddy_current_task(void) EDDY_ANY_THREAD;

/** 1, 2, 3... in order of creation within a worker; unique in a run. */
EDDY_API uint64_t eddy_task_id(const eddy_task *task) EDDY_ANY_THREAD;

/** Copies the name as snprintf does. @return bytes of the whole name without its NUL. */
EDDY_API size_t eddy_task_name(const eddy_task *task, char *buffer, size_t bytes) EDDY_ANY_THREAD;
/** Cut at 31 bytes; NULL: no name. Any thread. */
EDDY_API void eddy_task_set_name(eddy_task *task, const char *name) EDDY_ANY_THREAD;

/** Writes `<Task name='n' id=3 state=pending spawned at app.c:7 (query) waiting on sleep>` as snprintf does: a snapshot. */
EDDY_API size_t eddy_task_print(const eddy_task *task, char *buffer, size_t bytes) EDDY_ANY_THREAD;

/** The tasks that are not done. Gives a reference to each of the first `capacity`, in order of creation
 *  (by id).  @return how many there are; more than `capacity`: call again with room.
 *  Source: asyncio.all_tasks. Threads: a task or callback of the runtime. Not an atomic picture: tasks
 *  that start or end meanwhile may be in it or not. 0 outside the runtime. */
EDDY_API size_t eddy_all_tasks(eddy_task **tasks_out, size_t capacity);

/* ---- awaiting --------------------------------------------------------------------------------- */

/** Waits until `future` is done, then reads its value.
 *
 *  @param future     Borrowed: the caller's reference must outlive the call.
 *  @param value_out  May be NULL. Written only when the status is 0 or more. Owned by the future: valid
 *                    until released (eddy_future_take moves it out).
 *  @return           The status the future ended with; its detail becomes the caller's. EDDY_ESTATE for
 *                    a task that awaits itself, and for a future of another runtime. EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: unless done. Cancellation point: when it suspends; what is awaited is cancelled too (asyncio's
 *  rule), and the call returns when that has ended.
 *  Threads: any task. Cost: done: no lock, no allocation; not yet started: a plain call on this stack;
 *  pending: one waiter, in a record.
 *  Source: asyncio's `await future`. */
EDDY_API int eddy_await(eddy_future *future, eddy_value *value_out) EDDY_SUSPENDS;

/** As eddy_await, with at most `timeout_ns`: then `future` is cancelled, and the call waits for its end.
 *  @return EDDY_ETIMEDOUT if it ended cancelled by that; its own value or failure if it swallowed the cancel.
 *  timeout_ns <= 0: the result if done, else cancelled at once; a task that has not started never starts.
 *  Source: asyncio.wait_for. Suspends, cancellation point, threads: as eddy_await. */
EDDY_API int eddy_wait_for(eddy_future *future, int64_t timeout_ns, eddy_value *value_out) EDDY_SUSPENDS;

/** Suspends for at least `duration_ns`; <= 0 is exactly one yield. @return 0, EDDY_ECANCELED (the timer is
 *  gone), EDDY_EWRONGTHREAD outside a task. Never early. Cancellation point: always. Source: asyncio.sleep. */
EDDY_API int eddy_sleep(int64_t duration_ns) EDDY_SUSPENDS;
/** Until the loop's clock (eddy_time_ns) shows `deadline_ns`. Otherwise as eddy_sleep. */
EDDY_API int eddy_sleep_until(int64_t deadline_ns) EDDY_SUSPENDS;
/** Lets everything run that is ready now, once: asyncio's sleep(0). As eddy_sleep. */
EDDY_API int eddy_yield(void) EDDY_SUSPENDS;

/** What an interval does when its task comes too late for a tick (the names are Tokio's MissedTickBehavior). */
enum eddy_missed_ticks {
    EDDY_TICKS_BURST, /**< catches up: the missed ones come at once, the schedule stays */
    EDDY_TICKS_SKIP,  /**< leaves the missed ones out, the schedule stays */
    EDDY_TICKS_DELAY  /**< the next one comes a whole period after this one */
};
/** A clock that ticks: lies anywhere, needs no release. */
typedef struct eddy_interval {
    int64_t period_ns, next_ns; /**< next_ns: the deadline of the next tick, on eddy_time_ns() */
    enum eddy_missed_ticks missed;
} eddy_interval;
/** The first tick comes one period from now. `period_ns` > 0. Never suspends; any thread. */
EDDY_API eddy_interval eddy_interval_start(int64_t period_ns, enum eddy_missed_ticks missed) EDDY_ANY_THREAD;
/** Waits for the next tick.
 *  @return 0 or more: how many ticks were left out before this one (EDDY_TICKS_SKIP), EDDY_ECANCELED (the tick is still
 *          to come), EDDY_EWRONGTHREAD outside a task. Suspends always, at least as eddy_yield does. Cancellation point. */
EDDY_API int64_t eddy_interval_wait(eddy_interval *interval) EDDY_SUSPENDS;

/* ---- cancelling ------------------------------------------------------------------------------- */

/** Asks `future` to end cancelled. A task: its request count goes up, and what it waits on is cancelled,
 *  from the inside out; one that has not started never enters its body. A plain future: ends EDDY_ECANCELED.
 *  At most 65,535 requests that were not taken back are counted for a task: one more is delivered, and not counted.
 *  @return true if it was not done. Never suspends; any thread. Source: Task.cancel, Future.cancel. */
EDDY_API bool eddy_cancel(eddy_future *future) EDDY_ANY_THREAD;

/** Requests that were not taken back. Source: Task.cancelling. */
EDDY_API unsigned eddy_task_cancelling(const eddy_task *task) EDDY_ANY_THREAD;
/** Takes one request back (not below 0); at 0 also one that is not yet delivered. @return what is left.
 *  Source: Task.uncancel. */
EDDY_API unsigned eddy_task_uncancel(eddy_task *task) EDDY_ANY_THREAD;

/** EDDY_ECANCELED if a request is pending for the calling task (it is then delivered), else 0, also outside tasks. Never
 *  suspends: for bodies that compute. */
EDDY_API int eddy_check_cancel(void);

/** Runs `fn(arg)` when the calling task ends, however it ends, last registered first, after its body has
 *  returned; it may suspend. @return 0; EDDY_ENOMEM, EDDY_EINVAL (fn is NULL), EDDY_EWRONGTHREAD outside a task: nothing is
 *  registered. Never suspends. */
EDDY_API int eddy_defer(void (*fn)(void *arg), void *arg);

/* ---- futures ---------------------------------------------------------------------------------- */

/** A bare future, pending; home: the caller's domain or worker. Gives one reference. NULL: no memory or
 *  no runtime on this thread. Source: loop.create_future. */
EDDY_API eddy_future *eddy_future_create(void);
/** With the loop whose threads run its done callbacks, from any thread, and a drop for its value (NULL:
 *  none). */
EDDY_API eddy_future *eddy_future_create_on(eddy_loop *loop, eddy_drop_fn drop) EDDY_ANY_THREAD;
/** The loop whose threads run its done callbacks: its domain, else the runtime's. Borrowed: valid until the run ends.
 *  Source: Future.get_loop. */
EDDY_API eddy_loop *eddy_future_loop(const eddy_future *future) EDDY_ANY_THREAD;
EDDY_API eddy_future *eddy_future_share(eddy_future *future) EDDY_ANY_THREAD;
/** NULL is nothing. Until the runtime is freed, as eddy_task_release. */
EDDY_API void eddy_future_release(eddy_future *future) EDDY_ANY_THREAD;

/** Ends a bare future with a value. @return 0, or EDDY_ESTATE if it is done or is a task: the value stays
 *  the caller's then. Any thread; wakes the waiters wherever they sit. Source: Future.set_result. */
EDDY_API int eddy_future_set(eddy_future *future, eddy_value value) EDDY_ANY_THREAD;
/** Ends it with a failure; `status` < 0 and not EDDY_ECANCELED (use eddy_cancel), else EDDY_EINVAL. `format`
 *  may be NULL. Otherwise as eddy_future_set. Source: Future.set_exception. */
EDDY_API int eddy_future_fail(eddy_future *future, int status, const char *format, ...)
    EDDY_PRINTF(3, 4) EDDY_ANY_THREAD;

EDDY_API bool eddy_future_done(const eddy_future *future) EDDY_ANY_THREAD;
EDDY_API bool eddy_future_cancelled(const eddy_future *future) EDDY_ANY_THREAD;

/** The status of a done future, and its value if that is 0 or more; EDDY_ESTATE while it is pending. Looking
 *  counts as retrieving. `value_out` may be NULL. Never suspends. Source: Future.result. */
EDDY_API int eddy_future_result(eddy_future *future, eddy_value *value_out) EDDY_ANY_THREAD;
/** Blocks until the future is done, or for `timeout_ns`.
 *
 *  @param timeout_ns  EDDY_FOREVER: without end. 0 or less: looks once.
 *  @param value_out   May be NULL; as eddy_future_result: the value is the future's unless eddy_future_take moves it out.
 *  @return            The future's status; EDDY_ETIMEDOUT when it is not done by then: it goes on, cancel it if nobody wants
 *                     it any more (a future may also fail with that status: eddy_future_done tells). EDDY_EWRONGTHREAD on a
 *                     worker: tasks call eddy_await.
 *  Threads: any that is no worker; several may wait. Source: concurrent.futures.Future.result. */
EDDY_API int eddy_future_wait(eddy_future *future, int64_t timeout_ns, eddy_value *value_out) EDDY_BLOCKS;
/** Moves the value out, once: from now on it is the caller's and the future's drop does not run on it. `value_out` may be
 *  NULL: for a value that owns nothing.
 *  @return as eddy_future_result; EDDY_ESTATE also when it was taken before. */
EDDY_API int eddy_future_take(eddy_future *future, eddy_value *value_out) EDDY_ANY_THREAD;
/** The failure's detail: borrowed, valid as long as the future; NULL without one. Counts as retrieving. */
EDDY_API const eddy_error *eddy_future_error(eddy_future *future) EDDY_ANY_THREAD;

/** Runs `fn(future, arg)` when it is done: always through the loop of the adder's domain, else of the
 *  future's home, never inline, in the order added. A negative return goes to the exception handler.
 *  A pending future whose last reference goes takes its callbacks with it: nobody could end it any more, and they never run.
 *  @return 0, EDDY_ENOMEM, EDDY_EINVAL (fn is NULL), EDDY_ESTATE for a future of another runtime, EDDY_EWRONGTHREAD outside
 *  the runtime. Never suspends. Threads: a task or callback of the runtime. Source: add_done_callback. */
typedef int (*eddy_done_fn)(eddy_future *future, void *arg);
EDDY_API int eddy_future_add_callback(eddy_future *future, eddy_done_fn fn, void *arg);
/** Removes all with this fn and arg that are not on their way yet. @return how many. Never suspends; any thread.
 *  Source: remove_done_callback. */
EDDY_API int eddy_future_remove_callback(eddy_future *future, eddy_done_fn fn, void *arg);

/* ---- many futures ----------------------------------------------------------------------------- */

/** What one child ended with: a status and, if that is 0 or more, a value owned by the child's future. */
typedef struct eddy_result {
    int status;
    eddy_value value;
} eddy_result;

/** Waits for all of `futures`.
 *  @param futures  Borrowed until the call returns; each is shared meanwhile and after a failure as long
 *                  as it runs. The same future twice appears twice.
 *  @param results  `count` entries in argument order, or NULL. Written when the call returns 0.
 *  @return         0, or the first failure as soon as there is one: the others keep running, and their
 *                  later failures count as retrieved. A cancelled child is a failure EDDY_ECANCELED.
 *                  EDDY_ENOMEM, EDDY_ESTATE (one is another runtime's), EDDY_EWRONGTHREAD outside a task: nothing was
 *                  waited for.
 *  Suspends: unless its result is known, because count is 0, all are done, or one that is done has failed.
 *  Cancellation point: when it suspends; every unfinished child is cancelled.
 *  Source: asyncio.gather. */
EDDY_API int eddy_gather(eddy_future *const *futures, size_t count, eddy_result *results) EDDY_SUSPENDS;
/** Waits for all to end whatever they end with; each status is in `results`. @return 0, EDDY_ECANCELED
 *  (every unfinished child was cancelled and has ended), otherwise as eddy_gather, and it suspends as that does. Source: gather(return_exceptions=True). */
EDDY_API int eddy_gather_all(eddy_future *const *futures, size_t count, eddy_result *results) EDDY_SUSPENDS;

enum eddy_wait_when {
    EDDY_ALL_COMPLETED,
    EDDY_FIRST_COMPLETED,
    EDDY_FIRST_EXCEPTION /**< the first that failed; cancelled ones do not count */
};
/** Waits until `when` holds for the set, or `timeout_ns` has passed (EDDY_FOREVER: no limit). Cancels nothing.
 *  @param done_out  `count` entries or NULL: which are done.
 *  @return          How many are done (0 or more), EDDY_EINVAL for count 0 or more than INT32_MAX, EDDY_ECANCELED (the
 *                   set is left alone), EDDY_ENOMEM, EDDY_ESTATE (one is another runtime's), EDDY_EWRONGTHREAD outside a
 *                   task.
 *  Suspends: always, also when `when` holds already. Cancellation point. Source: asyncio.wait. */
EDDY_API int eddy_wait(eddy_future *const *futures, size_t count, int64_t timeout_ns, enum eddy_wait_when when,
                       bool *done_out) EDDY_SUSPENDS;

/** The futures of a set one after the other, in the order in which they end. */
typedef struct eddy_completions eddy_completions;

/** Begins to collect what ends of `futures`: those that are done already in argument order, the others as they end.
 *
 *  @param completions_out  Gives the collection: eddy_completions_release(), by a task or callback of the runtime.
 *  @param futures          Borrowed for the call; each is shared until the collection is released.
 *  @param timeout_ns       From now; EDDY_FOREVER: none. What has not ended by then counts as timed out, and runs on.
 *  @return                 0, EDDY_ENOMEM, EDDY_EINVAL (more than INT32_MAX), EDDY_ESTATE (one is another runtime's),
 *                          EDDY_EWRONGTHREAD outside the runtime.
 *  Suspends: never.  Source: asyncio.as_completed. */
EDDY_API int eddy_as_completed(eddy_completions **completions_out, eddy_future *const *futures, size_t count,
                               int64_t timeout_ns);
/** The next one that has ended.
 *  @param index_out  Its place among the futures. Written when 0 is returned.
 *  @return           0; EDDY_ETIMEDOUT once for each that had not ended in time; EDDY_EOF when all were given;
 *                    EDDY_ECANCELED (nothing was taken), EDDY_EWRONGTHREAD outside a task.
 *  Suspends: until one ends. Cancellation point: when it suspends; the futures are left alone. Any task, one at a time. */
EDDY_API int eddy_completions_next(eddy_completions *completions, size_t *index_out) EDDY_SUSPENDS;
EDDY_API void eddy_completions_release(eddy_completions *completions); /**< NULL is nothing */

/** A future that follows `inner` but whose cancelling leaves `inner` alone; a cancelled inner cancels it. An
 *  inner that fails after the outer was cancelled is reported to the exception handler. Gives one reference.
 *  @return 0, EDDY_ENOMEM, EDDY_ESTATE (inner is another runtime's), EDDY_EWRONGTHREAD outside the runtime: nothing is
 *  given. Never suspends. The outer's value is inner's: borrowed from it; inner is held as
 *  long as the outer is. Source: asyncio.shield. */
EDDY_API int eddy_shield(eddy_future **outer_out, eddy_future *inner);

/* ---- coroutine objects ------------------------------------------------------------------------ */

/** The inert object that calling a coroutine function makes in Python: it does nothing until it is driven,
 *  by exactly one of await, spawn or release. `arg` is borrowed until then. Gives the object; NULL: no
 *  memory, or `fn` is NULL. `name` as in the task options; may be NULL. */
EDDY_API eddy_coro *eddy_coro_create(eddy_coro_fn fn, void *arg, const char *name) EDDY_ANY_THREAD;
EDDY_API eddy_coro *eddy_coro_create_at(const char *place, eddy_coro_fn fn, void *arg,
                                        const char *name) EDDY_ANY_THREAD;
#define eddy_coro_create(fn, arg, name) eddy_coro_create_at(EDDY_PLACE(fn), fn, arg, name)
/** `<coroutine name fn=0x... created>` as snprintf does. */
EDDY_API size_t eddy_coro_print(const eddy_coro *coro, char *buffer, size_t bytes) EDDY_ANY_THREAD;
/** Takes the object and runs it in the calling task: `await coro`. @return what the function returns; EDDY_EWRONGTHREAD
 *  outside a task (the object stays the caller's). `value_out` may be NULL. Suspends: if the function does. */
EDDY_API int eddy_coro_await(eddy_coro *coro, eddy_value *value_out) EDDY_SUSPENDS;
/** Takes the object (unless it fails) and spawns it; as eddy_spawn. */
EDDY_API int eddy_coro_spawn(eddy_coro *coro, eddy_task **task_out, const eddy_task_options *options);
/** Drops one that was not driven: reported as "was never awaited". NULL is nothing. */
EDDY_API void eddy_coro_release(eddy_coro *coro) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
