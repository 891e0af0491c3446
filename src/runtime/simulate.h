/* simulate.h: a program on the single-threaded driver. */
#ifndef ED_RUNTIME_SIMULATE_H
#define ED_RUNTIME_SIMULATE_H

#include "eddy/runtime.h"
#include "eddy/task.h"

struct ed_sim_options {
    uint64_t seed;
    unsigned workers; /* virtual ones; 0: 3 */
    bool no_direct_await;
    int64_t clock_step_ns; /* > 0: the clock stands while anybody can run, then goes on to the first multiple of this at
                            * or past the next deadline; turns are whole. 0: it steps a little at each turn, by the seed */
    eddy_exception_handler on_exception; /* NULL: standard error */
    void *on_exception_arg;
};

/* As eddy_run, on virtual workers. A deadlock is a panic. */
int ed_sim_run(int (*fn)(void *arg, eddy_value *out), void *arg, const struct ed_sim_options *options);

#endif
