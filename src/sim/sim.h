/* sim.h: door of sim/: the single-threaded driver: virtual workers, a virtual clock, a seeded schedule. See sim.c. */
#ifndef ED_SIM_SIM_H
#define ED_SIM_SIM_H

#include "eddy/sim.h"
#include "sched/sched.h"

#include <stdio.h>

extern const struct ed_driver ed_sim_driver;

/* What is outside the workers, opened before the first driver. `may_jump` is asked when nobody can run, before the clock
 * jumps to `to_ns`, with no worker current; INT64_MAX: nothing will ever happen. False: it has set something in motion.
 * `too_long` is told that the run has come to its bound of steps, and `again` when that did not end it. 0 or EDDY_ENOMEM. */
int ed_sim_open(struct ed_sched *sched, const eddy_sim_options *options,
                bool (*may_jump)(struct ed_sched *sched, int64_t to_ns),
                void (*too_long)(struct ed_sched *sched, bool again));
/* When all descriptors are closed and the drivers are not: what still travels arrives. */
void ed_sim_drain(struct ed_sched *sched);
/* After the last driver. */
void ed_sim_close(struct ed_sched *sched);

/* What a schedule may do beside choosing who runs. */
enum {
    ED_SIM_SLOW_WAKES = 1, /* a woken worker comes late */
    ED_SIM_STALLS = 2,     /* a worker stands still for a while */
    ED_SIM_TICKS = 4,      /* slices end early, tasks are put off */
    ED_SIM_CLOCK = 8,      /* the clock jumps while there is work */
    ED_SIM_SLICES = 16,    /* turns of one to four slices */
    ED_SIM_ALL = 31
};

struct ed_sim_plan {
    uint64_t seed;
    int64_t clock_step_ns; /* > 0: the clock moves only while all sleep, to a multiple of it; nothing else disturbs */
    unsigned disturbances; /* of ED_SIM_ALL */
    uint64_t steps_max;    /* turns after which the program is told to end */
};

/* Turns the workers of `sched`, in an order that the plan chooses, until *until, and looks at the core's invariants
 * after each turn (check.c). */
void ed_sim_turn(struct ed_sched *sched, const struct ed_sim_plan *plan, _Atomic bool *until);

/* Writes a line for each event to `file` from now on. NULL: no more. */
void ed_sim_trace_to(struct ed_sched *sched, FILE *file);

#endif
