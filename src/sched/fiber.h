/* fiber.h: a stack as the scheduler sees it. It lies at the high end of the stack itself; rooms above put
 * what they need behind it (task/strand.h).
 *
 * Life      got from the pool -> started with a task -> runs, is switched out, is resumed ... -> the task ends ->
 *           runs the next new task without a switch, or goes back to the pool of the worker where it ended.
 * Fields    All belong to the host, the worker that `worker` names. Only the host writes that word: when it starts the
 *           fiber, and when it gives it away (migrate.c). Others may read it, to learn whom to ask. */
#ifndef ED_SCHED_FIBER_H
#define ED_SCHED_FIBER_H

#include "coro/coro.h"
#include "lockfree/lockfree.h"
#include "sched/entry.h"

struct ed_start;
struct ed_worker;

struct ed_fiber {
    struct ed_stack stack;              /* first: the stack's own record */
    struct ed_entry entry;              /* in `ready` while it waits for its turn */
    _Atomic(struct ed_worker *) worker; /* the host */
    struct ed_start *start;             /* what it was started with */
    void *task;                         /* innermost task on it: struct eddy_task */
    bool queued;                        /* entry is in `ready` or `movable`, or on its way there */
    bool preempted;                     /* queued by fairness, not by a wake */
    bool migrates;                      /* the tasks on it may change workers */
    uintptr_t direct_low;               /* (c) frames in the direct_bytes from here leave room for a direct await */
    size_t direct_bytes;
    struct ed_message move; /* while it goes to another worker */
};

/* The host, asked by itself. */
static inline struct ed_worker *ed_fiber_worker(struct ed_fiber *fiber) { return ED_LOAD_RELAXED(&fiber->worker); }

/* Whether another task may run in the caller's place, on the running `fiber`: there is enough of the stack left. */
static inline __attribute__((always_inline)) bool ed_fiber_has_room(const struct ed_fiber *fiber) {
    return (uintptr_t)__builtin_frame_address(0) - fiber->direct_low < fiber->direct_bytes;
}

/* Queues a switched-out (or about to switch out) fiber of `host` behind what is ready. Owner only; once until it ran. */
void ed_fiber_ready(struct ed_worker *host, struct ed_fiber *fiber);
/* The same for one that may go on on any worker: nothing of it is registered with this one (migrate.c). */
void ed_fiber_ready_movable(struct ed_fiber *fiber);

/* What is to run now that the running fiber of `here` does not: where it goes on; in `fiber` itself: its turn has come again.
 * (`here` is asked of the thread, not of the fiber: which fiber runs was written by the switch before, and with the worker
 * behind that each switch would wait for the one before it.) */
struct ed_context *ed_fiber_next(struct ed_worker *here, struct ed_fiber *fiber);

/* Leaves the running fiber for whatever is next; returns when it is resumed. It is queued, or somebody knows
 * how to queue it. Inline: who contains a switch saves all registers, and should do so once a suspension. */
static inline __attribute__((always_inline)) void ed_fiber_suspend(struct ed_worker *here, struct ed_fiber *fiber) {
    struct ed_context *next = ed_fiber_next(here, fiber);
    if (next != &fiber->stack.context) ed_context_switch(&fiber->stack.context, next);
}

/* Queues the running fiber and lets others run: fairness. */
void ed_fiber_preempt(struct ed_fiber *fiber, bool may_move);

#endif
