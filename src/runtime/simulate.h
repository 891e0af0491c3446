/* simulate.h: a program on the single-threaded driver. */
#ifndef ED_RUNTIME_SIMULATE_H
#define ED_RUNTIME_SIMULATE_H

#include "eddy/task.h"

struct ed_sim_options {
    uint64_t seed;
    unsigned workers; /* virtual ones; 0: 3 */
    bool no_direct_await;
};

/* As eddy_run, on virtual workers. A deadlock is a panic. */
int ed_sim_run(int (*fn)(void *arg, eddy_value *out), void *arg, const struct ed_sim_options *options);

#endif
