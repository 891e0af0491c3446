/* timers.h: deadlines of one worker, on the heap of base/heap.h.
 *
 * Never early: a timer fires in the first pass whose clock shows at least `when_ns`. Equal deadlines fire in
 * the order they were started. Stopping removes at once. Nothing allocates.
 * Threads: the worker that owns the timer. fire() runs on the scheduler's stack; it queues, never runs user
 * code. */
#ifndef ED_SCHED_TIMERS_H
#define ED_SCHED_TIMERS_H

#include "base/base.h"

struct ed_worker;

struct ed_timer {
    struct ed_heap_node node;
    struct ed_worker *worker; /* != NULL <=> armed */
    void (*fire)(struct ed_timer *timer);
};

void ed_timer_start(struct ed_worker *worker, struct ed_timer *timer, int64_t when_ns);
void ed_timer_stop(struct ed_timer *timer); /* one that is not armed: nothing */
static inline bool ed_timer_armed(const struct ed_timer *timer) { return timer->worker != NULL; }

/* Fires what is due at now_ns. */
void ed_timers_expire(struct ed_worker *worker, int64_t now_ns);
/* The next deadline, INT64_MAX if there is none. */
int64_t ed_timers_next(const struct ed_worker *worker);

#endif
