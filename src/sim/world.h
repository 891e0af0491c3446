/* world.h: what a simulation keeps beside its workers: sched->world. Inside sim/ only. */
#ifndef ED_SIM_WORLD_H
#define ED_SIM_WORLD_H

#include "sim/events.h"
#include "sim/sim.h"

struct ed_sim_world {
    struct ed_sim_events events;
    int64_t now_ns;        /* the clock of all */
    uint64_t random;       /* splitmix64 state: every choice of the schedule comes from here, in order */
    uint64_t step;         /* turns so far */
    unsigned disturbances; /* of ED_SIM_ALL */
    uint64_t next_check;   /* the step of the next look: check.c */
    uint64_t alive;        /* tasks at the last look */
    FILE *trace;           /* NULL: none */
    struct ed_listener listener;
};

/* worker->driver_data */
struct ed_sim_worker {
    bool asleep, woken;
    uint64_t held_until; /* the step before which it does not run unless nobody else can */
    int64_t priority;    /* schedules by priority: the highest runs */
};

#define ED_SIM_BEGIN_NS INT64_C(1000000000)

static inline struct ed_sim_world *ed_sim_world(struct ed_sched *sched) { return sched->world; }
static inline struct ed_sim_worker *ed_sim_worker_of(struct ed_worker *worker) { return worker->driver_data; }

/* A line of the trace about a worker, where there is one. */
void ed_sim_note(struct ed_worker *worker, const char *what);

/* Panics when an invariant of the core does not hold. Between turns, when no worker runs. */
void ed_sim_check(struct ed_sched *sched);

#endif
