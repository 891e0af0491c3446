/* simulate.h: a program on the single-threaded driver. */
#ifndef ED_RUNTIME_SIMULATE_H
#define ED_RUNTIME_SIMULATE_H

#include "eddy/runtime.h"
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
    uint64_t steps_max;    /* turns after which a program that has not ended is a panic; 0: no bound */
    size_t stacks_max;     /* stacks that there are, the runtime's own two included; 0: no bound */
    FILE *trace;           /* gets a line for each event; NULL: none */
    eddy_exception_handler on_exception; /* NULL: standard error */
    void *on_exception_arg;
    bool migrate; /* as eddy_run_options.migrate */
};

/* For tests: in runs that begin from now on, on threads or not, each started task that may move does so, to some other
 * worker, each time it is ready; and all may that do not say EDDY_STAY. */
void ed_runtime_migrate_always(bool always);

/* As eddy_run, on virtual workers. A deadlock is a panic, and so is a broken invariant of the core. */
int ed_sim_run(int (*fn)(void *arg, eddy_value *out), void *arg, const struct ed_sim_options *options);

#endif
