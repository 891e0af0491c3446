/* world.h: what a simulation keeps beside its workers: sched->world. Inside sim/ only. */
#ifndef ED_SIM_WORLD_H
#define ED_SIM_WORLD_H

#include "eddy/sim.h"
#include "sim/events.h"
#include "sim/net.h"
#include "sim/sim.h"

struct ed_sim_world {
    eddy_sim_options options; /* with defaults filled in */
    bool (*may_jump)(struct ed_sched *sched, int64_t to_ns);
    void (*too_long)(struct ed_sched *sched, bool again);
    struct ed_sim_events events;
    int64_t now_ns;        /* the clock of all */
    uint64_t random;       /* splitmix64 state: every choice of the schedule comes from here, in order */
    uint64_t step;         /* turns so far */
    unsigned disturbances; /* of ED_SIM_ALL */
    uint64_t next_check;   /* the step of the next look: check.c */
    uint64_t alive;        /* tasks at the last look */
    FILE *trace;           /* NULL: none */
    struct ed_listener listener;
    struct ed_sim_net net;
    struct ed_list idle;         /* of struct ed_sim_idle: tasks in eddy_sim_until_idle */
    uint64_t random_for_program; /* eddy_sim_random's */
    int64_t failing_allocation;  /* allocations until the next failure */
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
/* The same about what arrives. */
void ed_sim_note_packet(struct ed_sched *sched, unsigned from_port, unsigned to_port, const char *what, size_t bytes);

/* Panics when an invariant of the core does not hold. Between turns, when no worker runs. */
void ed_sim_check(struct ed_sched *sched);

/* Nobody can run: wakes the first task that waits for that. False: there is none. */
bool ed_sim_wake_idle(struct ed_sched *sched);

/* Around a worker's turn: the seed's failing allocation is in it or not. */
void ed_sim_faults_begin(struct ed_sched *sched);
void ed_sim_faults_end(struct ed_sched *sched);

#endif
