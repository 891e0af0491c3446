/* events.h: what happens at a moment of the virtual clock without a worker: bytes arrive, blocking work is done. See
 * events.c. */
#ifndef ED_SIM_EVENTS_H
#define ED_SIM_EVENTS_H

#include "sched/sched.h"

struct ed_sim_events {
    struct ed_heap heap; /* of ed_later.node */
    uint64_t seq;
    uint64_t random; /* apart from the schedule's: see ed_sim_draw */
};

void ed_sim_events_init(struct ed_sim_events *events, uint64_t seed);

/* Runs `later` when the clock shows when_ns: on no worker's behalf, but ed_sched_visited() is `sched`. */
void ed_sim_at(struct ed_sched *sched, struct ed_later *later, int64_t when_ns);
/* Takes one back that is under way. */
void ed_sim_forget(struct ed_sched *sched, struct ed_later *later);

/* When the next one is due, INT64_MAX if there is none. */
int64_t ed_sim_events_next(struct ed_sched *sched);
/* Runs what is due. */
void ed_sim_events_run(struct ed_sched *sched, int64_t now_ns);

/* The next number of a sequence (splitmix64: Steele, Lea, Flood 2014). */
uint64_t ed_sim_next(uint64_t *state);
/* The seed's next number of at least `low` and at most `high`. */
int64_t ed_sim_draw(struct ed_sched *sched, int64_t low, int64_t high);
/* True so many times in a thousand. */
bool ed_sim_chance(struct ed_sched *sched, unsigned per_mille);

/* driver->later: at a step of the next millisecond. */
void ed_sim_later(struct ed_sched *sched, struct ed_later *later);

#endif
