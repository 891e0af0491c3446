/* wait.h: the one door through which tasks suspend and are woken. See wait.c. */
#ifndef ED_TASK_WAIT_H
#define ED_TASK_WAIT_H

#include "task/future.h"

struct ed_park {
    const char *reason;  /* static text, shown in dumps */
    int64_t deadline_ns; /* absolute; INT64_MAX: none */
    /* A cancel was delivered to the parked task, on its host. True: passed on, stay parked. False or no function:
     * wake it with EDDY_ECANCELED. */
    bool (*on_cancel)(void *arg);
    void *arg;
    bool yield; /* queued at once, behind what is ready */
    /* Woken, or past its deadline, the task may go on on another worker: nothing of it is registered anywhere then, and
     * the caller has kept nothing of the worker it was on. Cancelled it stays. Where in doubt: false. */
    bool move;
};

/* The running stack; NULL outside a task. */
struct ed_fiber *ed_fiber_current(void);

/* Suspends the running task. @return the status given to ed_wake; EDDY_ECANCELED: a request was delivered (it wins
 * over a wake that came too: ed_park_woken tells); EDDY_ETIMEDOUT; EDDY_EWRONGTHREAD outside a task; EDDY_ENOMEM when a
 * timeout scope found no memory. Unless woken, the caller takes its fiber out of where it put it first of all. */
int ed_park(const struct ed_park *park);
/* The same for the running `fiber`, whose wait only ed_wake or a cancel ends. */
int ed_park_for(struct ed_fiber *fiber, const char *reason, bool move);
bool ed_park_woken(void);
/* The running task was woken and goes by that: `status`, what its park gave beside it, is for the next suspension. */
void ed_park_put_off(int status);

/* Wakes a parked fiber, at most once a park. Only on its host. */
void ed_wake(struct ed_fiber *fiber, int status);
/* The same by who knows its host, which is this worker. */
void ed_wake_on(struct ed_worker *host, struct ed_fiber *fiber, int status);

/* What an await gives of a future that is done. */
int ed_await_result(eddy_future *future, eddy_value *value_out);
/* As eddy_await, never on the awaiter's stack, with a cancel rule of its own; NULL: wake with EDDY_ECANCELED and leave
 * the future alone. The task goes on on the same worker. */
int ed_await_hooked(eddy_future *future, eddy_value *value_out, const char *reason, bool (*on_cancel)(void *arg),
                    void *arg);

/* Between begin and end the task that runs on `fiber` goes on on this worker whatever it suspends in, a task that it awaits
 * directly too: somebody has been told the worker's name, or it keeps what is the worker's. Pairs nest; what begin gave is
 * end's. It restores, and does not set, since the task may be one that never migrates, or be in such a pair already. */
bool ed_stay_begin(struct ed_fiber *fiber);
void ed_stay_end(struct ed_fiber *fiber, bool migrates);

/* Counts an I/O call of the running task; visits the scheduler first when it is time. It goes on on the same worker. */
void ed_count_io(void);
/* What ed_count_await (task.h) asked for: visits the scheduler; the task may go on on another worker. */
void ed_attend_await(struct ed_fiber *fiber);

/* Whether a request is pending for `task`; delivered with `take`. Host only. */
bool ed_cancel_pending(eddy_task *task, bool take);

#endif
