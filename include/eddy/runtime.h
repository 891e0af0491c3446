/* eddy/runtime.h: running a program, and what it counted. */
#ifndef EDDY_RUNTIME_H
#define EDDY_RUNTIME_H

#include "eddy/base.h"
#include "eddy/loop.h"

EDDY_BEGIN_DECLS

typedef struct eddy_run_options {
    size_t size;                         /**< sizeof(eddy_run_options): by EDDY_RUN or eddy_run_options_init */
    unsigned workers;                    /**< threads that run tasks; 0: one per usable core */
    bool serial;                         /**< main runs in a serial domain: asyncio's rules to the letter */
    bool no_direct_await;                /**< every task on a stack of its own */
    bool handle_sigint;                  /**< first SIGINT cancels main, a second stops waiting for it */
    const char *name;                    /**< main's task name; NULL: "main" */
    int64_t shutdown_ns;                 /**< report tasks still alive after this; 0: 300 s */
    eddy_exception_handler on_exception; /**< NULL: standard error */
    void *on_exception_arg;              /**< borrowed until eddy_run returns */
    bool migrate;    /**< started tasks may change workers unless they say EDDY_STAY; main too, except in a domain:
                   *   read enum eddy_migration (task.h) first */
    bool debug;      /**< debug mode, as with EDDY_DEBUG=1 in the environment: see below */
    int64_t slow_ns; /**< debug mode reports who holds its worker for so long; 0: 100 ms */
    bool inspect;    /**< answers eddy-ps and SIGUSR1 with its tasks, as with EDDY_INSPECT=1: see eddy/debug.h */
} eddy_run_options;

static inline eddy_run_options eddy_run_options_init(void) {
    eddy_run_options options = {
        sizeof(eddy_run_options), 0, false, false, false, NULL, 0, NULL, NULL, false, false, 0, false};
    return options;
}
#ifndef __cplusplus
#define EDDY_RUN(...) (&(eddy_run_options){.size = sizeof(eddy_run_options), __VA_ARGS__})
#endif

/* Debug mode reports, beside what every run reports:
 *   EDDY_REPORT_SLOW       who holds a worker for `slow_ns`, with its stack while it still does, and for how long when it is
 *                          over. The stack is taken by a signal, SIGURG, unless the host handles that itself: it cuts short
 *                          sleeps and polls of the code that holds the worker. A program that was not stripped has
 *                          names of functions there, static ones too.
 *   EDDY_REPORT_SWALLOWED  a task ended well although it was cancelled and the request was never taken back
 *   EDDY_REPORT_DEAD_ARG   a task ended while the argument of one lies on its stack that it has spawned and that still runs
 *   EDDY_REPORT_WRONG_THREAD  a callback waited, or somebody called a loop from a thread that is not its own, with the stack
 *   EDDY_REPORT_HELD       a task suspended, or ended, with a mutex locked: eddy/debug.h says how it is told
 * Reports tell by which calls the task, future or handle was made. Each of these remembers them: programs are slower. */

/** Runs `fn(arg, &value)` as the main task until it ends; then cancels all other tasks, waits for them,
 *  closes executors, stops the workers.
 *
 *  @param value_out  May be NULL. main's value if the status is 0 or more: the caller's.
 *  @param options    May be NULL: parallel, one worker per core.
 *  @return           main's status; a failure's detail is printed to standard error. EDDY_ESTATE inside a
 *                    running eddy_run of this thread. EDDY_EINTERRUPTED after SIGINT (if handled). EDDY_ENOMEM
 *                    or a system code if the workers cannot start. EDDY_EINVAL: no `fn`, or bad options; EDDY_ELIMIT:
 *                    more than 1,024 workers.
 *  Blocks the calling thread, which becomes worker 0. Standard descriptors that are closed are opened on /dev/null first.
 *  Source: asyncio.run. */
EDDY_API int eddy_run(eddy_coro_fn fn, void *arg, eddy_value *value_out, const eddy_run_options *options) EDDY_BLOCKS;

/* ---- several runs in one runtime -------------------------------------------------------------- */

/** A runtime that stays between runs: workers, tasks, executors, the loop. For a host that calls in now and then. */
typedef struct eddy_runner eddy_runner;

/** Starts a runtime on threads of its own; the calling thread is none of its workers. `options` as of eddy_run; they hold
 *  for all runs, `on_exception_arg` until the runner is closed.
 *  @param runner_out  Gives it: eddy_runner_close().
 *  @return            0, EDDY_ENOMEM, a system code if the workers cannot start; EDDY_EINVAL, EDDY_ELIMIT; EDDY_ESTATE inside a runtime's thread.
 *  Blocks. Source: asyncio.Runner. */
EDDY_API int eddy_runner_open(eddy_runner **runner_out, const eddy_run_options *options) EDDY_BLOCKS;

/** Runs `fn(arg, &value)` as a main task until it ends. Other tasks live on, and run on between two runs: only
 *  eddy_runner_close ends them.
 *  @return as eddy_run. EDDY_EINTERRUPTED after SIGINT (if handled: while this call lasts): after a second one main is
 *          cancelled again and left behind, with `arg`, until it ends.
 *  Blocks. Threads: one plain thread at a time. Source: Runner.run. */
EDDY_API int eddy_runner_run(eddy_runner *runner, eddy_coro_fn fn, void *arg, eddy_value *value_out) EDDY_BLOCKS;

/** The loop that mains run on: a domain if the options say `serial`. Valid until the runner is closed; eddy_spawn_threadsafe
 *  and eddy_call_soon_threadsafe take it between runs too. Source: Runner.get_loop. */
EDDY_API eddy_loop *eddy_runner_loop(const eddy_runner *runner) EDDY_ANY_THREAD;

/** Ends it as eddy_run ends: cancels all tasks, waits for them, closes executors, stops the workers. Frees the runner;
 *  NULL is nothing. @return 0, or why the runtime could not go on; EDDY_ESTATE inside a runtime's thread (nothing was done).
 *  Blocks. Source: Runner.close. */
EDDY_API int eddy_runner_close(eddy_runner *runner) EDDY_BLOCKS;

/** Counters since the run began, for one worker. */
typedef struct eddy_worker_stats {
    uint64_t tasks_started; /**< bodies entered here, direct ones included */
    uint64_t tasks_direct;  /**< of these, as a plain call on their awaiter's stack */
    uint64_t tasks_stolen;  /**< of these, taken from another worker */
    uint64_t steals;        /**< successful visits to another worker's deque */
    uint64_t polls;         /**< times the OS was asked for events */
    uint64_t parks;         /**< times the worker slept */
    uint64_t switches;      /**< stacks resumed */
    int64_t held_ns_max;    /**< longest time between two visits to the scheduler, 1 ms resolution */
    uint64_t stacks_alive;  /**< stacks in use by tasks of this worker */
    uint64_t migrations;    /**< started tasks that came here from another worker, with those on the same stack one */
} eddy_worker_stats;

typedef struct eddy_stats {
    uint64_t tasks_alive; /**< not done, new ones included */
    uint64_t stacks_alive, stacks_alive_max;
    int64_t held_ns_max;
    unsigned workers;
    uint64_t migrations; /**< of all workers */
} eddy_stats;

/** Both may be called from any task or callback; the figures are read without stopping anyone.
 *  @return 0, EDDY_EWRONGTHREAD outside the runtime, EDDY_EINVAL for an index not below eddy_stats.workers. */
EDDY_API int eddy_stats_read(eddy_stats *stats_out);
EDDY_API int eddy_worker_stats_read(unsigned index, eddy_worker_stats *stats_out);

/** The worker that runs the caller, from 0; -1 outside the runtime. */
EDDY_API int eddy_worker_index(void) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
