/* world.c: what a simulation keeps beside its workers, and what a program may ask of it.
 *
 * Idle       A task that waits for the others to be idle is woken when no worker can run, before the clock jumps.
 * Threads    The simulation's one thread.
 * Tests      tests/sim/net_test.c, tests/sim/run_test.c. */
#include "sim/world.h"
#include "task/task.h"

enum { LATENCY_NS_MIN = 10000, LATENCY_NS_MAX = 1000000, SHORT_READS = 100 };

struct ed_sim_idle {
    struct ed_list node;
    struct ed_fiber *fiber;
};

int ed_sim_open(struct ed_sched *sched, const eddy_sim_options *options,
                bool (*may_jump)(struct ed_sched *sched, int64_t to_ns),
                void (*too_long)(struct ed_sched *sched, bool again)) {
    struct ed_sim_world *world = ed_calloc(sizeof *world);
    if (world == NULL) return EDDY_ENOMEM;
    world->options = *options;
    if (options->latency_ns_max == 0) {
        world->options.latency_ns_min = LATENCY_NS_MIN;
        world->options.latency_ns_max = LATENCY_NS_MAX;
    }
    world->options.short_reads = options->short_reads == 0 ? SHORT_READS : options->short_reads;
    if (options->short_reads < 0) world->options.short_reads = 0;
    world->may_jump = may_jump;
    world->too_long = too_long;
    world->now_ns = ED_SIM_BEGIN_NS;
    world->random = options->seed;
    world->random_for_program = options->seed ^ UINT64_C(0xbb67ae8584caa73b);
    ed_list_init(&world->idle);
    ed_sim_events_init(&world->events, options->seed);
    sched->world = world;
    int status = ed_sim_net_init(sched);
    if (status < 0) ed_free(world);
    return status;
}

void ed_sim_drain(struct ed_sched *sched) { ed_sim_events_run(sched, INT64_MAX); }

void ed_sim_close(struct ed_sched *sched) {
    struct ed_sim_world *world = sched->world;
    ED_ASSERT(world->events.heap.count == 0);
    sched->listener = NULL;
    ED_ASSERT(ed_list_empty(&world->idle));
    ed_sim_net_deinit(sched);
    ed_free(world);
    sched->world = NULL;
}

/* ---- idle ------------------------------------------------------------------------------------------- */

bool ed_sim_wake_idle(struct ed_sched *sched) {
    struct ed_list *node = ed_list_pop(&ed_sim_world(sched)->idle);
    if (node == NULL) return false;
    struct ed_fiber *fiber = ED_CONTAINER(node, struct ed_sim_idle, node)->fiber;
    ed_worker_set_current(fiber->worker);
    ed_wake(fiber, 0);
    ed_idle_wake(fiber->worker);
    ed_worker_set_current(NULL);
    return true;
}

int eddy_sim_until_idle(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return EDDY_EWRONGTHREAD;
    struct ed_sim_world *world = ed_sim_world(fiber->worker->sched);
    if (world == NULL) return eddy_fail(EDDY_ENOTSUP, "eddy_sim_until_idle outside a simulation");
    struct ed_sim_idle idle = {.fiber = fiber};
    ed_list_push(&world->idle, &idle.node);
    int status = ed_park(&(struct ed_park){.reason = "until idle", .deadline_ns = INT64_MAX});
    ed_list_remove(&idle.node); /* woken: it is in no list */
    return status;
}

/* ---- chance ----------------------------------------------------------------------------------------- */

uint64_t eddy_sim_random(void) {
    struct ed_worker *worker = ed_worker_current();
    struct ed_sched *sched = worker != NULL ? worker->sched : ed_sched_visited();
    return sched != NULL && sched->world != NULL ? ed_sim_next(&ed_sim_world(sched)->random_for_program) : 0;
}

void ed_sim_faults_begin(struct ed_sched *sched) {
    struct ed_sim_world *world = ed_sim_world(sched);
    unsigned per_mille = world->options.failed_allocations;
    if (per_mille == 0) return;
    if (world->failing_allocation == 0) /* the next one, with the asked chance on average */
        world->failing_allocation = ed_sim_draw(sched, 1, 2 * 1000 / (int64_t)per_mille);
    ed_alloc_fail_at(world->failing_allocation);
}

void ed_sim_faults_end(struct ed_sched *sched) {
    struct ed_sim_world *world = ed_sim_world(sched);
    if (world->options.failed_allocations == 0) return;
    int64_t left = ed_alloc_fail_remaining();
    world->failing_allocation = left > 0 ? left : 0;
    ed_alloc_fail_at(0);
}
