/* world.h: what a simulation keeps beside its workers: sched->world. Inside sim/ only. */
#ifndef ED_SIM_WORLD_H
#define ED_SIM_WORLD_H

#include "sim/events.h"

struct ed_sim_world {
    struct ed_sim_events events;
};

static inline struct ed_sim_world *ed_sim_world(struct ed_sched *sched) { return sched->world; }

#endif
