/* trace.h: what happens in a run, told to whoever listens: the simulator's trace (sim/trace.c).
 *
 * Cost       A test of a pointer that lies beside what the same code has just read, at events that cost more than that:
 *            a switch, a system call, a task's begin and end. Nobody listens on real threads.
 * Threads    The worker on which it happens; NULL: another thread's. What is told may be read until the call returns. */
#ifndef ED_SCHED_TRACE_H
#define ED_SCHED_TRACE_H

#include "sched/worker.h"

enum ed_event {
    ED_EVENT_START,   /* task: its body is entered on a stack of its own */
    ED_EVENT_DIRECT,  /* task: its body is entered on its awaiter's stack */
    ED_EVENT_PARK,    /* task; text: the reason */
    ED_EVENT_RESUME,  /* task: the park returns */
    ED_EVENT_PREEMPT, /* task: put off by fairness */
    ED_EVENT_WAKE,    /* task: what it waits for has come; number: with this status */
    ED_EVENT_DUE,     /* task: the deadline of its wait has passed */
    ED_EVENT_CANCEL,  /* task: a request was counted; number: requests now */
    ED_EVENT_DELIVER, /* task: a request reaches it while it waits */
    ED_EVENT_END,     /* task; number: with this status */
    ED_EVENT_STEAL,   /* its struct ed_start; number: from this worker */
    ED_EVENT_PUBLISH, /* number: so many new tasks can be stolen from now on */
    ED_EVENT_GIVE,    /* task: started, it goes on on another worker; number: this one */
    ED_EVENT_POST     /* number: a message to this worker */
};

struct ed_listener {
    /* `what`: an eddy_task where it says task. */
    void (*hear)(struct ed_listener *listener, struct ed_worker *worker, enum ed_event event, const void *what,
                 int64_t number, const char *text);
};

static inline void ed_tell(struct ed_worker *worker, enum ed_event event, const void *what, int64_t number,
                           const char *text) {
    struct ed_listener *listener = worker->sched->listener;
    if (ED_UNLIKELY(listener != NULL)) listener->hear(listener, worker, event, what, number, text);
}

#endif
