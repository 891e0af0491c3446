#include "sched/sched.h"

void ed_timer_start(struct ed_worker *worker, struct ed_timer *timer, int64_t when_ns) {
    ED_ASSERT(timer->worker == NULL);
    timer->worker = worker;
    timer->node.when_ns = when_ns;
    timer->node.seq = worker->timer_seq++;
    ed_heap_insert(&worker->timers, &timer->node);
}

void ed_timer_stop(struct ed_timer *timer) {
    if (timer->worker == NULL) return;
    ed_heap_remove(&timer->worker->timers, &timer->node);
    timer->worker = NULL;
}

void ed_timers_expire(struct ed_worker *worker, int64_t now_ns) {
    struct ed_heap_node *node;
    while ((node = ed_heap_first(&worker->timers)) != NULL && node->when_ns <= now_ns) {
        struct ed_timer *timer = ED_CONTAINER(node, struct ed_timer, node);
        ed_timer_stop(timer);
        timer->fire(timer);
    }
}

int64_t ed_timers_next(const struct ed_worker *worker) {
    const struct ed_heap_node *node = ed_heap_first(&worker->timers);
    return node != NULL ? node->when_ns : INT64_MAX;
}
