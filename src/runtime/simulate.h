/* simulate.h: a program on the single-threaded driver. */
#ifndef ED_RUNTIME_SIMULATE_H
#define ED_RUNTIME_SIMULATE_H

#include "eddy/runtime.h"
#include "eddy/sim.h"
#include "eddy/task.h"

#include <stdio.h>

struct ed_sim_options {
    uint64_t seed;
    unsigned workers; /* virtual ones; 0: 3 */
    bool no_direct_await;
    bool serial;           /* main runs in a serial domain */
    int64_t clock_step_ns; /* > 0: the clock stands while anybody can run, then goes on to the first multiple of this at
                            * or past the next deadline; turns are whole. 0: it steps a little at each turn, by the seed */
    unsigned undisturbed;  /* kinds of disturbances to leave out: ED_SIM_... in sim/sim.h */
    size_t stacks_max;     /* stacks that there are, the runtime's own two included; 0: no bound */
    FILE *trace;           /* gets a line for each event; NULL: none */
    eddy_exception_handler on_exception; /* NULL: standard error */
    void *on_exception_arg;
    bool migrate; /* as eddy_run_options.migrate */
    const eddy_sim_options
        *outside;          /* network, faults, limits; its seed and the fields above do not count. NULL: defaults */
    eddy_value *value_out; /* NULL: not asked for */
};

/* For tests: in runs that begin from now on, on threads or not, each started task that may move does so, to some other
 * worker, each time it is ready; and all may that do not say EDDY_STAY. */
void ed_runtime_migrate_always(bool always);

/* For tests: in runs that begin from now on a tick has always come, whenever anybody looks: each counted call puts its task
 * off, and a pass ends with the first that ran. */
void ed_runtime_tick_always(bool always);

/* As eddy_sim_run, with what only the core's own tests ask for. A broken invariant of the core is a panic. */
int ed_sim_run(eddy_coro_fn fn, void *arg, const struct ed_sim_options *options);

#endif
