/* sim.h: door of sim/: the single-threaded driver: virtual workers, a virtual clock, a seeded schedule. See sim.c. */
#ifndef ED_SIM_SIM_H
#define ED_SIM_SIM_H

#include "sched/sched.h"

extern const struct ed_driver ed_sim_driver;

/* What is outside the workers: before the first driver is opened, after the last is closed. 0 or EDDY_ENOMEM. */
int ed_sim_open(struct ed_sched *sched, uint64_t seed);
void ed_sim_close(struct ed_sched *sched);

/* Turns the workers of `sched`, in an order that `seed` chooses, until *until. Panics when all sleep without a timer: a
 * lost wake-up or a deadlock of the program. clock_step_ns > 0: the clock moves only while all sleep, to a multiple of
 * it, and a turn is not cut short. */
void ed_sim_turn(struct ed_sched *sched, uint64_t seed, int64_t clock_step_ns, _Atomic bool *until);

#endif
