/* caller.h: the task that waits for a pool, and how a plain thread wakes it.
 *
 * Problem    A pool's thread ends a job whose task sits on some worker, and may have stopped waiting (cancelled) at
 *            the same moment.
 * Idea       The thread only ever sends a message; on the task's own worker its arrival wakes the task, if it still
 *            waits. So arrival, cancel and wake never race.
 * Invariants (C1) The message is sent at most once. (C2) The record that holds the caller lives until the message has
 *            arrived.
 * Threads    init and park: the task. Sending: any thread. Arrival: the task's worker, outside tasks, or the sender once
 *            that worker takes no more messages. */
#ifndef ED_EXEC_CALLER_H
#define ED_EXEC_CALLER_H

#include "sched/sched.h"
#include "task/task.h"

struct ed_caller {
    struct ed_message message; /* arrive: the owner's, which calls ed_caller_arrives first */
    struct ed_worker *worker;  /* (c) the host of the task                                 */
    struct ed_fiber *fiber;    /* host only; NULL: nobody is parked here; HERE: it arrived */
};

#define ED_CALLER_HERE ((struct ed_fiber *)(uintptr_t)1)

/* The calling task is the one to wake. */
static inline void ed_caller_init(struct ed_caller *caller, void (*arrive)(struct ed_message *, struct ed_worker *)) {
    caller->message.arrive = arrive;
    caller->worker = ed_worker_current();
    caller->fiber = NULL;
}

/* In the message's arrival. */
static inline void ed_caller_arrives(struct ed_caller *caller) {
    struct ed_fiber *fiber = caller->fiber;
    ED_ASSERT(fiber != ED_CALLER_HERE);
    caller->fiber = ED_CALLER_HERE;
    if (fiber != NULL) ed_wake(fiber, 0);
}

/* On the task's worker: if the task is parked here, ed_caller_park returns false, with no status. */
static inline void ed_caller_interrupt(struct ed_caller *caller) {
    struct ed_fiber *fiber = caller->fiber;
    if (fiber == NULL || fiber == ED_CALLER_HERE) return;
    caller->fiber = NULL;
    ed_wake(fiber, 0);
}

/* Suspends until the message has arrived: true. False: a cancel was delivered before that (or a timeout scope found
 * no memory), or ed_caller_interrupt came; the task may park again, or leave. *interrupted_out gets that status, also together with true, and is
 * otherwise left alone. */
bool ed_caller_park(struct ed_caller *caller, const char *reason, int *interrupted_out);

/* Sends the message by itself (exec/outbox.h: with others). */
void ed_caller_wake(struct ed_caller *caller);

#endif
