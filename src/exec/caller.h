/* caller.h: the task that waits for a pool, and how a plain thread wakes it.
 *
 * Problem    A pool's thread ends a job whose task sits on some worker, and may have stopped waiting (cancelled) at
 *            the same moment.
 * Idea       The thread only ever sends a message; on the task's own worker its arrival wakes the task, if it still
 *            waits. So arrival, cancel and wake never race.
 * Invariants (C1) ed_caller_wake is called at most once. (C2) The record that holds the caller lives until the message
 *            has arrived: whoever calls ed_caller_wake hands one reference of it over to `arrived`.
 * Threads    init and park: the task. wake: any thread. arrived(): the task's worker, outside tasks, or the waking
 *            thread once that worker takes no more messages. */
#ifndef ED_EXEC_CALLER_H
#define ED_EXEC_CALLER_H

#include "sched/sched.h"
#include "task/task.h"

struct ed_caller {
    struct ed_message message;
    struct ed_worker *worker;            /* (c) the host of the task                              */
    struct ed_fiber *fiber;              /* host only; NULL: nobody is parked here                */
    bool here;                           /* host only: the message has arrived                    */
    void (*arrived)(struct ed_caller *); /* (c) gives back the reference that the message carried */
};

/* The calling task is the one to wake. */
void ed_caller_init(struct ed_caller *caller, void (*arrived)(struct ed_caller *));

/* Suspends until the message has arrived: true. False: a cancel was delivered before that (or a timeout scope found
 * no memory); the task may park again, or leave. *interrupted_out gets that status, also together with true, and is
 * otherwise left alone. */
bool ed_caller_park(struct ed_caller *caller, const char *reason, int *interrupted_out);

void ed_caller_wake(struct ed_caller *caller);

#endif
