/* sim.h: door of sim/: the single-threaded driver: virtual workers, a virtual clock, a seeded schedule. See sim.c. */
#ifndef ED_SIM_SIM_H
#define ED_SIM_SIM_H

#include "sched/sched.h"

extern const struct ed_driver ed_sim_driver;

/* Turns the workers of `sched`, in an order that `seed` chooses, until *until. Panics when all sleep without a timer: a
 * lost wake-up or a deadlock of the program. */
void ed_sim_turn(struct ed_sched *sched, uint64_t seed, _Atomic bool *until);

#endif
