/* timers.h: deadlines of one worker: a wheel for what is far, a heap for what is near.
 *
 * Never early: a timer fires in the first pass whose clock shows at least `when_ns`. Equal deadlines fire in
 * the order they were started. Stopping removes at once. Nothing allocates.
 * Threads: the worker that owns the timer. fire() runs on the scheduler's stack; it queues, never runs user
 * code. How it is done: timers.c. */
#ifndef ED_SCHED_TIMERS_H
#define ED_SCHED_TIMERS_H

#include "base/base.h"

struct ed_worker;

struct ed_timer {
    struct ed_worker *worker; /* != NULL <=> armed */
    union {
        struct ed_heap_node node; /* near; when_ns and seq hold in both */
        struct ed_list link;      /* far: over node.child and node.sibling, and node.back is the node itself */
    };
    void (*fire)(struct ed_timer *timer);
};
_Static_assert(sizeof(struct ed_list) <= offsetof(struct ed_heap_node, back), "a far timer keeps its mark");

enum {
    ED_WHEEL_LEVELS = 8,
    ED_WHEEL_SLOT_BITS = 6,
    ED_WHEEL_FINEST_BITS = 20, /* a slot of level 0 is 2^20 ns, about a millisecond: what is that near is in the heap */
};
_Static_assert(ED_WHEEL_FINEST_BITS + ED_WHEEL_LEVELS * ED_WHEEL_SLOT_BITS >= 63, "every deadline has a slot");

struct ed_wheel_slot {
    struct ed_list list; /* of ed_timer.link; this and the next: good while the slot's bit is set */
    int64_t least_ns;    /* no deadline in it is earlier; one that was may be gone */
};

/* (o) all of it; all zero: no timers */
struct ed_timers {
    struct ed_heap near;
    int64_t position_ns;                  /* of the clock: T1, T2 */
    int64_t look_ns;                      /* nothing is due, and no slot begins, before it */
    uint64_t seq;                         /* of the next one started */
    uint32_t levels;                      /* bit: a level with timers */
    uint64_t slots_used[ED_WHEEL_LEVELS]; /* bit: a slot with timers */
    struct ed_wheel_slot slots[ED_WHEEL_LEVELS][1 << ED_WHEEL_SLOT_BITS];
};

void ed_timer_start(struct ed_worker *worker, struct ed_timer *timer, int64_t when_ns);
void ed_timer_stop(struct ed_timer *timer); /* one that is not armed: nothing */
static inline bool ed_timer_armed(const struct ed_timer *timer) { return timer->worker != NULL; }

/* Fires what is due at now_ns. */
void ed_timers_expire(struct ed_worker *worker, int64_t now_ns);
/* When to look again: the next deadline, or that of a timer that was stopped, or INT64_MAX if there is none. */
int64_t ed_timers_next(const struct ed_worker *worker);
/* One that is armed, or NULL. */
struct ed_timer *ed_timers_any(const struct ed_worker *worker);

#endif
