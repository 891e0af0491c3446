/* eddy/thread.h: blocking functions on threads of their own: to_thread, its abandoning form, pools.
 *
 * A blocking call inside a task holds its worker, and every task there. A thread pool runs it elsewhere while
 * the task is suspended. Two forms say who owns the argument when the task is cancelled while the function runs:
 *   borrowing    eddy_to_thread, eddy_thread_pool_run: the call returns only after the function has ended, so
 *                `arg` may lie on the caller's stack. A cancel is passed on as a flag that the function may ask
 *                for (eddy_job_cancelled).
 *   abandoning   eddy_to_thread_abandon, eddy_thread_pool_abandon: the pool takes `arg`; a cancel returns at once
 *                and the thread runs on alone. asyncio's form.
 * Functions run on plain threads: nothing that suspends may be called there. eddy_fail() works and its text
 * reaches the awaiter. All signals are blocked in them but SEGV, BUS, ILL, FPE, TRAP, ABRT and PROF. */
#ifndef EDDY_THREAD_H
#define EDDY_THREAD_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/** A blocking function: a coroutine function's signature, on a plain thread. `out` is never NULL and holds
 *  EDDY_NONE at entry. */
typedef int (*eddy_thread_fn)(void *arg, eddy_value *out);

/** True once the caller's awaiter was cancelled: a long function asks from time to time and returns early
 *  (what it returns is then not looked at). False outside a pool's function. Never suspends. */
EDDY_API bool eddy_job_cancelled(void) EDDY_ANY_THREAD;

/* ---- the default pool --------------------------------------------------------------------------- */

/** Runs `fn(arg, &value)` on a thread of the default pool: at most min(32, cores + 4) threads, started on
 *  demand, ended when idle.
 *
 *  @param arg        Borrowed until the call returns; fn has ended by then, whatever the status.
 *  @param value_out  May be NULL. Holds what fn gave if fn ran, also when the status is EDDY_ECANCELED (the
 *                    value is the caller's then too); else EDDY_NONE.
 *  @return           fn's status, with its detail. EDDY_ECANCELED after a cancel: before fn began it is taken
 *                    back at once and never runs; after that its flag is raised and its end awaited. EDDY_ENOMEM
 *                    or a system code if there is no thread to run it. EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: always.  Cancellation point: yes, as said.  Threads: any task.
 *  Cost: no allocation, and no lock where a thread is on its way to look; a wake-up of a thread that sleeps, and of
 *  the worker if it does.
 *  Source: asyncio.to_thread, with borrowed arguments. */
EDDY_API int eddy_to_thread(eddy_thread_fn fn, void *arg, eddy_value *value_out) EDDY_SUSPENDS;

typedef struct eddy_abandon_options {
    size_t size;           /**< sizeof(eddy_abandon_options): by EDDY_ABANDON_JOB or eddy_abandon_options_init */
    eddy_drop_fn drop_arg; /**< runs once on `arg`: after fn has ended, or if it never ran; NULL: nothing to do */
    eddy_drop_fn drop;     /**< runs on fn's value if nobody took it; NULL: nothing to do */
    const char *name;      /**< in reports; copied, cut at 31 bytes; NULL: the function's address */
} eddy_abandon_options;

static inline eddy_abandon_options eddy_abandon_options_init(void) {
    eddy_abandon_options options = {sizeof(eddy_abandon_options), NULL, NULL, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_ABANDON_JOB(...) (&(eddy_abandon_options){.size = sizeof(eddy_abandon_options), __VA_ARGS__})
#endif

/** As eddy_to_thread, but a cancel returns at once: a function that has begun runs on alone.
 *
 *  @param arg        Taken in every case, also when the call fails: options.drop_arg runs on it exactly once, on
 *                    the thread that ran fn or the caller's. fn's value must not point into it.
 *  @param options    May be NULL: `arg` needs no drop. Borrowed.
 *  @param value_out  May be NULL (then the value goes to .drop). Written if the status is 0 or more.
 *  @return           As eddy_to_thread. After EDDY_ECANCELED a value fn still gives goes to .drop, and a failure
 *                    is reported to the exception handler. The end of the run waits for it until the shutdown
 *                    deadline, then names it and goes on.
 *
 *  Suspends, cancellation point, threads, cost: as eddy_to_thread. Source: asyncio.to_thread. */
EDDY_API int eddy_to_thread_abandon(eddy_thread_fn fn, void *arg, const eddy_abandon_options *options,
                                    eddy_value *value_out) EDDY_SUSPENDS;

/* ---- pools -------------------------------------------------------------------------------------- */

typedef struct eddy_thread_pool eddy_thread_pool;

typedef struct eddy_thread_pool_options {
    size_t size;                   /**< sizeof(eddy_thread_pool_options): by EDDY_THREAD_POOL or ..._init */
    unsigned threads;              /**< at most; 0: min(32, cores + 4); more than 1024 is EDDY_EINVAL */
    const char *name;              /**< of the pool, in thread names and reports; cut at 31 bytes; NULL: "pool" */
    size_t queue_max;              /**< jobs that may wait for a thread; 0: no limit */
    int64_t idle_ns;               /**< a thread without work ends after this; 0: 10 s */
    int (*initializer)(void *arg); /**< runs first on each thread; a negative status breaks the pool */
    void *initializer_arg;         /**< borrowed until the pool is closed */
} eddy_thread_pool_options;

static inline eddy_thread_pool_options eddy_thread_pool_options_init(void) {
    eddy_thread_pool_options options = {sizeof(eddy_thread_pool_options), 0, NULL, 0, 0, NULL, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_THREAD_POOL(...) (&(eddy_thread_pool_options){.size = sizeof(eddy_thread_pool_options), __VA_ARGS__})
#endif

/** Opens a pool: threads start when there is work for them.
 *  @param pool_out  Gives the pool: eddy_thread_pool_close(). One that is still open when the run ends is closed
 *                   by it.
 *  @param options   May be NULL. Borrowed.
 *  @return          0, EDDY_ENOMEM, EDDY_EINVAL, EDDY_EWRONGTHREAD outside a task or callback, EDDY_ECLOSED while
 *                   the run shuts down.  Never suspends. Source: ThreadPoolExecutor(...). */
EDDY_API int eddy_thread_pool_create(eddy_thread_pool **pool_out, const eddy_thread_pool_options *options);

/** As eddy_to_thread, on this pool. @return also EDDY_ELIMIT, with a text, when `queue_max` jobs wait already;
 *  EDDY_ECLOSED once the pool is closing; EDDY_EBROKENPOOL when its initializer failed.
 *  Source: loop.run_in_executor(pool, fn, arg). */
EDDY_API int eddy_thread_pool_run(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg,
                                  eddy_value *value_out) EDDY_SUSPENDS;
/** As eddy_to_thread_abandon, on this pool; further statuses as eddy_thread_pool_run. */
EDDY_API int eddy_thread_pool_abandon(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg,
                                      const eddy_abandon_options *options, eddy_value *value_out) EDDY_SUSPENDS;

/** Refuses new work, waits until queued and started work has ended and every thread with it, and until each worker has
 *  looked at its messages once, then the pool is gone.
 *  @param pool  Taken, whatever the status: no call on it may begin once this one has returned. Calls by other
 *               tasks meanwhile get EDDY_ECLOSED. NULL is nothing.
 *  @return      0; EDDY_ECANCELED: it goes on closing alone, and the end of the run waits for it;
 *               EDDY_EWRONGTHREAD outside a task (the pool stays the caller's).
 *  Suspends: while there are threads. Cancellation point: when it suspends. Source: executor.shutdown(). */
EDDY_API int eddy_thread_pool_close(eddy_thread_pool *pool) EDDY_SUSPENDS;
/** The same, but jobs that no thread has begun never run: their calls return EDDY_ECANCELED.
 *  Source: executor.shutdown(cancel_futures=True). */
EDDY_API int eddy_thread_pool_cancel(eddy_thread_pool *pool) EDDY_SUSPENDS;

typedef struct eddy_thread_pool_stats {
    size_t queued;    /**< jobs that wait for a thread */
    size_t running;   /**< jobs that a thread runs */
    unsigned threads; /**< threads alive, idle ones included */
    uint64_t done;    /**< jobs that ended since the pool opened */
} eddy_thread_pool_stats;

/** One consistent picture. NULL as `pool`: the default pool (all 0 if it was not used yet; inside the runtime
 *  only). Any thread, never suspends. */
EDDY_API void eddy_thread_pool_stats_read(eddy_thread_pool *pool, eddy_thread_pool_stats *stats_out) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
