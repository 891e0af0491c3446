/* eddy/sim.h: a whole program in one thread, on a virtual clock, under a schedule that a seed chooses.
 *
 * eddy_sim_run() runs the same code as eddy_run(): servers, streams, locks, thread pools. Which worker runs next, how
 * long bytes travel, where a read is cut short and what breaks all come from the seed: the same seed gives the same run,
 * however often, so a failure that shows once in a thousand seeds can be looked at for as long as it takes.
 *
 * In a simulation
 *   the clock stands still while code runs (but for a little at each step) and jumps when all tasks wait;
 *   the network is in memory: each address is this one machine's, names but "localhost" are unknown (EAI_NONAME);
 *   datagrams arrive in any order, and are lost or doubled as often as asked; Unix sockets, pipes and other descriptors
 *   from outside are not there (EAFNOSUPPORT, EDDY_ENOTSUP);
 *   blocking functions (eddy_to_thread) run in the one thread, at a later step; processes and signals are not there
 *   (EDDY_ENOTSUP). What asks the system by itself (time(), a random device, an own thread) is outside: a program that
 *   acts on its answers does not replay. */
#ifndef EDDY_SIM_H
#define EDDY_SIM_H

#include <stdio.h>

#include "eddy/base.h"
#include "eddy/loop.h"

EDDY_BEGIN_DECLS

/** Chances are counted per mille. */
typedef struct eddy_sim_options {
    size_t size;             /**< sizeof(eddy_sim_options): by EDDY_SIM or eddy_sim_options_init */
    uint64_t seed;           /**< chooses everything; eddy_sim_explore counts it up */
    unsigned workers;        /**< virtual ones; 0: 3 */
    bool serial;             /**< as in eddy_run_options */
    bool no_direct_await;    /**< as in eddy_run_options */
    bool migrate;            /**< as in eddy_run_options */
    int64_t latency_ns_min;  /**< how long a packet travels, each drawn anew; both 0: 10 us to 1 ms */
    int64_t latency_ns_max;  /**< not less than latency_ns_min */
    int short_reads;         /**< a read or write moves less than it could, a packet is cut; 0: 100, negative: never */
    unsigned resets;         /**< a packet breaks its connection: ECONNRESET on both sides */
    unsigned refused;        /**< a connect is refused */
    unsigned shortages;      /**< an accept finds no descriptor: EMFILE */
    unsigned datagrams_lost; /**< a datagram does not arrive */
    unsigned datagrams_doubled;  /**< a datagram arrives twice. Their order is never kept */
    unsigned failed_allocations; /**< an allocation of the library's fails: EDDY_ENOMEM */
    int64_t limit_ns;            /**< virtual time after which a run that has not ended has failed; 0: 24 hours */
    uint64_t steps_max;          /**< the same in steps, each of them a worker's turn; 0: 100 million, about a minute */
    int64_t shutdown_ns;         /**< as in eddy_run_options */
    FILE *trace;                 /**< gets a line for each event: who runs, waits, wakes; what arrives. NULL: none */
    eddy_exception_handler on_exception; /**< NULL: standard error */
    void *on_exception_arg;              /**< borrowed until the call returns */
} eddy_sim_options;

static inline eddy_sim_options eddy_sim_options_init(void) {
    eddy_sim_options options = {
        sizeof(eddy_sim_options), 0, 0, false, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_SIM(...) (&(eddy_sim_options){.size = sizeof(eddy_sim_options), __VA_ARGS__})
#endif

/** Runs `fn(arg, &value)` as eddy_run does, simulated.
 *
 *  @param value_out  May be NULL. main's value if the status is 0 or more: the caller's.
 *  @param options    May be NULL: seed 0.
 *  @return           As eddy_run. -EDEADLK: all tasks wait, no timer is set and nothing is under way, so nothing could
 *                    ever happen again: each task is reported with what it waits on (EDDY_REPORT_STILL_PENDING), then all
 *                    are cancelled. EDDY_ETIMEDOUT: the clock would pass limit_ns; EDDY_ELIMIT: steps_max; likewise. Tasks that
 *                    then do not end, within shutdown_ns or a million steps, end the process, by name. EDDY_EINVAL for options out of range.
 *
 *  While it runs a fatal signal (an assertion of yours that fails: SIGABRT) names the seed on standard error before the
 *  process ends. Blocks the calling thread. One simulation at a time in a process. */
EDDY_API int eddy_sim_run(eddy_coro_fn fn, void *arg, eddy_value *value_out,
                          const eddy_sim_options *options) EDDY_BLOCKS;

/** Runs `fn` under options.seed, the next one, and so on, until one fails with a negative status or `seeds` have been
 *  run; says on standard error which one failed, and how to run it again. With EDDY_SIM_SEED=N in the environment only
 *  that seed is run.
 *
 *  @param arg             Borrowed; the same for each run: `fn` starts from a fresh state by itself.
 *  @param failed_seed_out May be NULL. Written when the status is negative.
 *  @return                0 if none failed, else the first failure; EDDY_EINVAL.
 *  Blocks the calling thread. */
EDDY_API int eddy_sim_explore(eddy_coro_fn fn, void *arg, uint64_t seeds, uint64_t *failed_seed_out,
                              const eddy_sim_options *options) EDDY_BLOCKS;

/** Waits until every other task waits and no callback is queued: nothing can happen any more unless the clock jumps. In a
 *  test: what has been set in motion has come as far as it gets without time. Bytes that travel and blocking functions
 *  that run take time: sleep for that, then call this.
 *  @return 0, EDDY_ECANCELED, EDDY_ENOTSUP outside a simulation, EDDY_EWRONGTHREAD outside a task.
 *  Suspends: always. Cancellation point: yes. Several waiters go on one after the other, the first one first. */
EDDY_API int eddy_sim_until_idle(void) EDDY_SUSPENDS;

/** The next number of a sequence that the seed begins: for chances of the program's own. Outside a simulation 0. Any
 *  task, callback or blocking function of a simulation. */
EDDY_API uint64_t eddy_sim_random(void) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
