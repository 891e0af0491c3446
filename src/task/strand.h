/* strand.h: what a stack carries for the tasks that run on it: park state, its waiter, timeout scopes. It lies in the
 * stack's own record, so what other workers touch (the waiter) is never in a frame.
 *
 * Fields     All belong to the host. `waiter` is linked into futures under their rules (future.h). */
#ifndef ED_TASK_STRAND_H
#define ED_TASK_STRAND_H

#include "task/future.h"

struct ed_scope {
    struct ed_timer timer;
    eddy_handle *call;      /* in a domain: the deadline has passed, and this is queued */
    struct ed_scope *outer; /* the scope that this one lies in */
    eddy_task *task;
    int64_t timeout_ns;       /* as pushed: for the report */
    int64_t deadline_ns;      /* EDDY_FOREVER: none */
    unsigned requests_before; /* cancel requests that others had made */
    bool expired;
    bool due; /* delay <= 0, outside domains: expires at the first suspension */
    bool allocated;
};

/* What a call that suspends may keep for other threads to touch: room in the stack's record, so that such a call
 * allocates nothing. One call at a time is parked on a stack. Holds a job for a thread (exec/job.h). */
enum { ED_STRAND_CALL_BYTES = 144 };

/* What each park touches comes first, in five lines; where a million tasks wait none of them is in a cache. */
struct ed_strand {
    struct ed_fiber fiber; /* first */
    bool parked;           /* between ed_park and its return */
    bool woken;            /* ed_wake came */
    bool cancelled;        /* a request was delivered to this park */
    bool timed_out;
    bool may_move;     /* what the park said */
    bool last_woken;   /* for ed_park_woken */
    bool scope_failed; /* a scope found no memory: the next suspension says so */
    struct ed_waiter waiter;
    int status;             /* given to ed_wake */
    unsigned scopes_used;   /* of scopes[] */
    struct ed_scope *scope; /* innermost */
    struct ed_timer timer;  /* deadline of the park */

    struct ed_call deadline_call; /* of a task in a domain */
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

/* Innermost scopes that are due expire now (scope.c). */
void ed_scope_check(struct ed_strand *strand);

#endif
