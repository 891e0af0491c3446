/* events.c: what happens at a moment of the virtual clock without a worker.
 *
 * Idea       A heap of moments. The turn loop runs what is due before each step; when all workers sleep the clock jumps to
 *            the next moment or deadline. Equal moments come in the order they were set.
 * Random     The numbers that the outside world draws (delays, faults) come from a sequence of their own: more of them do
 *            not change the schedule of a program that never looks outside.
 * Threads    The simulation's one thread. */
#include "sim/events.h"
#include "sim/world.h"

enum { LATER_NS_MAX = 1000000 };

static struct ed_sim_events *events_of(struct ed_sched *sched) { return &ed_sim_world(sched)->events; }

void ed_sim_events_init(struct ed_sim_events *events, uint64_t seed) {
    *events = (struct ed_sim_events){.random = seed ^ UINT64_C(0x6a09e667f3bcc908)};
}

void ed_sim_at(struct ed_sched *sched, struct ed_later *later, int64_t when_ns) {
    struct ed_sim_events *events = events_of(sched);
    later->node.when_ns = when_ns;
    later->node.seq = events->seq++;
    ed_heap_insert(&events->heap, &later->node);
}

void ed_sim_forget(struct ed_sched *sched, struct ed_later *later) {
    ed_heap_remove(&events_of(sched)->heap, &later->node);
}

int64_t ed_sim_events_next(struct ed_sched *sched) {
    const struct ed_heap_node *node = ed_heap_first(&events_of(sched)->heap);
    return node != NULL ? node->when_ns : INT64_MAX;
}

void ed_sim_events_run(struct ed_sched *sched, int64_t now_ns) {
    struct ed_heap *heap = &events_of(sched)->heap;
    struct ed_heap_node *node;
    ed_sched_visit(sched);
    while ((node = ed_heap_first(heap)) != NULL && node->when_ns <= now_ns) {
        struct ed_later *later = ED_CONTAINER(node, struct ed_later, node);
        ed_heap_remove(heap, node);
        later->run(later);
    }
    ed_sched_visit(NULL);
}

uint64_t ed_sim_next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t ed_sim_draw(struct ed_sched *sched, int64_t low, int64_t high) {
    ED_ASSERT(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    uint64_t drawn = ed_sim_next(&events_of(sched)->random);
    return (int64_t)((uint64_t)low + (span == 0 ? drawn : drawn % span));
}

bool ed_sim_chance(struct ed_sched *sched, unsigned per_mille) {
    return per_mille > 0 && ed_sim_draw(sched, 0, 999) < (int64_t)per_mille;
}

void ed_sim_later(struct ed_sched *sched, struct ed_later *later) {
    ed_sim_at(sched, later, sched->driver->now(sched->workers[0]) + ed_sim_draw(sched, 1, LATER_NS_MAX));
}
