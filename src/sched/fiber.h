/* fiber.h: a stack as the scheduler sees it. It lies at the high end of the stack itself; rooms above put
 * what they need behind it (task/strand.h).
 *
 * Life      got from the pool -> started with a task -> runs, is switched out, is resumed ... -> the task ends ->
 *           runs the next new task without a switch, or goes back to the pool.
 * Fields    All belong to the worker that runs the fiber; a fiber never changes workers. */
#ifndef ED_SCHED_FIBER_H
#define ED_SCHED_FIBER_H

#include "coro/coro.h"
#include "sched/entry.h"

struct ed_start;
struct ed_worker;

struct ed_fiber {
    struct ed_stack stack;    /* first: the stack's own record */
    struct ed_entry entry;    /* in `ready` while it waits for its turn */
    struct ed_worker *worker; /* the host */
    struct ed_start *start;   /* what it was started with */
    void *task;               /* innermost task on it: struct eddy_task */
    bool queued;              /* entry is in `ready` */
    bool preempted;           /* queued by fairness, not by a wake */
};

/* Queues a switched-out (or about to switch out) fiber behind what is ready. Owner only; once until it ran. */
void ed_fiber_ready(struct ed_fiber *fiber);

/* Leaves the running fiber for whatever is next; returns when it is resumed. It is queued, or somebody knows
 * how to queue it. */
void ed_fiber_suspend(struct ed_fiber *fiber);

/* Queues the running fiber and lets others run: fairness. */
void ed_fiber_preempt(struct ed_fiber *fiber);

#endif
