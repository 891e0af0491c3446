/* stats.c: what the workers counted, read without stopping anyone. Threads: tasks and callbacks of the runtime. */
#include "task/task.h"

int eddy_worker_index(void) {
    struct ed_worker *worker = ed_worker_current();
    return worker != NULL ? (int)worker->index : -1;
}

int eddy_worker_stats_read(unsigned index, eddy_worker_stats *stats_out) {
    struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    if (index >= here->sched->workers_count) return EDDY_EINVAL;
    struct ed_worker_counts *counts = &here->sched->workers[index]->counts;
    *stats_out = (eddy_worker_stats){
        .tasks_started = ED_LOAD_RELAXED(&counts->on_stacks) + ED_LOAD_RELAXED(&counts->direct),
        .tasks_direct = ED_LOAD_RELAXED(&counts->direct),
        .tasks_stolen = ED_LOAD_RELAXED(&counts->stolen),
        .steals = ED_LOAD_RELAXED(&counts->steals),
        .polls = ED_LOAD_RELAXED(&counts->polls),
        .parks = ED_LOAD_RELAXED(&counts->parks),
        .switches = ED_LOAD_RELAXED(&counts->switches),
        .held_ns_max = ED_LOAD_RELAXED(&counts->held_ns_max),
        .stacks_alive = (uint64_t)ED_LOAD_RELAXED(&counts->stacks_alive),
        .migrations = ED_LOAD_RELAXED(&counts->migrated),
    };
    return 0;
}

int eddy_stats_read(eddy_stats *stats_out) {
    struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    eddy_stats stats = {.workers = here->sched->workers_count};
    uint64_t spawned = 0, ended = 0;
    for (unsigned i = 0; i < stats.workers; i++) {
        struct ed_worker_counts *counts = &here->sched->workers[i]->counts;
        ended += ED_LOAD_RELAXED(&counts->ended);
        spawned += ED_LOAD_RELAXED(&counts->spawned);
        stats.stacks_alive += (uint64_t)ED_LOAD_RELAXED(&counts->stacks_alive);
        stats.stacks_alive_max += (uint64_t)ED_LOAD_RELAXED(&counts->stacks_alive_max);
        int64_t held_ns = ED_LOAD_RELAXED(&counts->held_ns_max);
        stats.migrations += ED_LOAD_RELAXED(&counts->migrated);
        if (held_ns > stats.held_ns_max) stats.held_ns_max = held_ns;
    }
    stats.tasks_alive = spawned > ended ? spawned - ended : 0;
    *stats_out = stats;
    return 0;
}
