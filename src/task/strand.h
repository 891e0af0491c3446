/* strand.h: what a stack carries for the tasks that run on it: park state, its waiter, timeout scopes. It lies in the
 * stack's own record, so what other workers touch (the waiter) is never in a frame.
 *
 * Fields     All belong to the host. `waiter` is linked into futures under their rules (future.h). */
#ifndef ED_TASK_STRAND_H
#define ED_TASK_STRAND_H

#include "task/future.h"

/* scope.c */
enum {
    ED_SCOPE_ARMED = 1,   /* the alarm looks after it */
    ED_SCOPE_DUE = 2,     /* delay <= 0, outside domains: expires at the first suspension */
    ED_SCOPE_CALLED = 4,  /* in a domain: the deadline has passed, and `call` is queued */
    ED_SCOPE_EXPIRED = 8, /* it has cancelled its task */
    ED_SCOPE_ALLOCATED = 16
};

struct ed_scope {
    eddy_handle *call;      /* with ED_SCOPE_CALLED */
    struct ed_scope *outer; /* the scope that this one lies in */
    eddy_task *task;
    int64_t timeout_ns;   /* as pushed: for the report */
    int64_t deadline_ns;  /* EDDY_FOREVER: none */
    uint64_t word_before; /* the task's, at the push: which cancel requests others had made */
    uint8_t state;        /* ED_SCOPE_... */
};

/* What a call that suspends may keep for other threads to touch: room in the stack's record, so that such a call
 * allocates nothing. One call at a time is parked on a stack. Holds a job for a thread (exec/job.h). */
enum { ED_STRAND_CALL_BYTES = 144 };

/* What each park touches comes first, in five lines; where a million tasks wait none of them is in a cache. */
struct ed_strand {
    struct ed_fiber fiber; /* first */
    bool parked;           /* between ed_park and its return */
    bool woken;            /* ed_wake came to this park, or to the last one */
    bool cancelled;        /* a request was delivered to this park */
    bool timed_out;
    bool may_move;     /* what the park said */
    bool scope_due;    /* a scope expires at the next suspension */
    bool scope_failed; /* a scope found no memory: the next suspension says so */
    struct ed_waiter waiter;
    int status;             /* given to ed_wake */
    unsigned scopes_used;   /* of scopes[] */
    struct ed_scope *scope; /* innermost */
    struct ed_timer timer;  /* deadline of the park */
    int64_t alarm_ns;       /* what `alarm` is set to; INT64_MAX: it is not */

    struct ed_call deadline_call; /* of a task in a domain */
    struct ed_timer alarm;        /* of all scopes: scope.c; good while alarm_ns says so */
    unsigned scopes_missing;      /* pushed without memory, not yet popped */
    /* debug mode; empty between two tasks */
    struct ed_lent *lent; /* tasks whose arguments lie on this stack (origin.c) */
    size_t lent_count, lent_limit;
    struct ed_hold *holds; /* what the tasks on it hold that may not be held across a suspension (hold.c) */
    _Alignas(16) char call[ED_STRAND_CALL_BYTES];
    struct ed_scope scopes[ED_SCOPES_INLINE];
};
_Static_assert(offsetof(struct ed_strand, timer) + sizeof(void *) <= 5 * ED_LINE, "what each park touches");

static inline struct ed_strand *ed_strand_of(struct ed_fiber *fiber) {
    return ED_CONTAINER(fiber, struct ed_strand, fiber);
}

/* scope.c: scopes that are due expire now; what the alarm does; a stack that no scope is armed on takes it down. */
void ed_scope_check(struct ed_strand *strand);
void ed_scope_alarm(struct ed_timer *alarm);
void ed_scope_leave(struct ed_strand *strand);

#endif
