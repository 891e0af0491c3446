/* world.c: what a simulation keeps beside its workers. */
#include "sim/world.h"

int ed_sim_open(struct ed_sched *sched, uint64_t seed) {
    struct ed_sim_world *world = ed_calloc(sizeof *world);
    if (world == NULL) return EDDY_ENOMEM;
    ed_sim_events_init(&world->events, seed);
    world->now_ns = ED_SIM_BEGIN_NS;
    world->random = seed;
    sched->world = world;
    return 0;
}

void ed_sim_close(struct ed_sched *sched) {
    struct ed_sim_world *world = sched->world;
    ED_ASSERT(world->events.heap.count == 0);
    sched->listener = NULL;
    ed_free(world);
}
