/* eddy/gate.h: admission: how many requests of a class are worked on at a time, how long others may wait for that, and
 * which are refused at once because they would wait too long.
 *
 * A server that is offered more than it can do has a queue somewhere, and the queue grows until every answer comes too
 * late: it works at full speed for clients that have gone. A gate keeps the wait short, so that those who are let in get
 * their answer in time, and the others know at once and may go elsewhere.
 *
 * A program has a gate for each class of requests, so that one class cannot use up what another needs.
 *
 * Rules      A request is let in at once while a slot is free. Else its wait is estimated: how long requests have taken
 *            lately, times those before it and itself, divided by the slots. It is refused if that is longer than
 *            allowed, if it would pass its own deadline, or if the queue is full. Who waits is served in the order of
 *            coming, and is refused after wait_ns_max or at its deadline, whatever the estimate was.
 * Allowed    A burst may wait for wait_ns_max. A wait that has been above target_ns for so long, without a break, is no
 *            burst, but a queue that stands: from then on no more than target_ns is allowed, until nobody has been refused
 *            for wait_ns_max. (Where the time in which one slot comes free is longer, it stands for target_ns.)
 *            Source: K. Nichols, V. Jacobson, "Controlling Queue Delay" (2012), for the difference between a burst and a
 *            standing queue; B. Maurer, "Fail at Scale" (2015), for the two limits on the wait of a server's requests.
 * Threads    Any task of any worker and domain. */
#ifndef EDDY_GATE_H
#define EDDY_GATE_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_gate eddy_gate;

typedef struct eddy_gate_options {
    size_t size;         /**< sizeof(eddy_gate_options): by EDDY_GATE or eddy_gate_options_init */
    size_t waiting_max;  /**< requests that may wait at a time; 0: only their time is limited */
    int64_t wait_ns_max; /**< nobody waits longer; 0: 100 ms */
    int64_t target_ns;   /**< the wait that is allowed once a queue stands; at most wait_ns_max; 0: 5 ms, or wait_ns_max
                          *   if that is less */
} eddy_gate_options;

static inline eddy_gate_options eddy_gate_options_init(void) {
    eddy_gate_options options = {sizeof(eddy_gate_options), 0, 0, 0};
    return options;
}
#ifndef __cplusplus
#define EDDY_GATE(...) (&(eddy_gate_options){.size = sizeof(eddy_gate_options), __VA_ARGS__})
#endif

/** A gate with nobody inside.
 *  @param slots    Requests that may be inside at a time, 1 to UINT32_MAX: as many as keep the machine, or what they wait
 *                  for, busy.
 *  @param options  May be NULL. Borrowed.
 *  @return         NULL: no memory, or a number out of range. */
EDDY_API eddy_gate *eddy_gate_create(size_t slots, const eddy_gate_options *options) EDDY_ANY_THREAD;
/** Takes the gate back; NULL is nothing. Somebody may be inside (and cannot leave any more); a release while somebody still
 *  waits is a named abort. */
EDDY_API void eddy_gate_release(eddy_gate *gate) EDDY_ANY_THREAD;

/** Enters: from then on until eddy_gate_exit one slot is the caller's.
 *
 *  @param deadline_ns  On eddy_time_ns(): a request that would wait beyond it is refused, and so is one whose deadline has
 *                      passed. EDDY_FOREVER: it has none. In a timeout scope: eddy_timeout_deadline_ns().
 *  @return             0; EDDY_EOVERLOADED: refused, at once or after a wait (without a text: many of these are made at
 *                      the worst time); EDDY_ECANCELED: not inside; EDDY_ENOMEM: it would have waited, and there was no
 *                      memory for a timeout scope (scope.h); EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: while it waits. Cancellation point: when it suspends; a slot that was given to it in the same moment goes to
 *  the next.  Cost: without waiting a clock and a spin lock for a few stores; refused: the same. */
EDDY_API int eddy_gate_enter(eddy_gate *gate, int64_t deadline_ns) EDDY_SUSPENDS;
/** Enters if a slot is free. @return true if so; false counts as refused. Never suspends. */
EDDY_API bool eddy_gate_try_enter(eddy_gate *gate) EDDY_ANY_THREAD;
/** Leaves: the slot goes to the oldest who waits. Not bound to who entered.
 *  @return 0, EDDY_ESTATE if nobody is inside. Never suspends. */
EDDY_API int eddy_gate_exit(eddy_gate *gate) EDDY_ANY_THREAD;

typedef struct eddy_gate_stats {
    size_t inside;     /**< also who was given a slot and has not run yet */
    size_t waiting;    /**< also who has been cancelled or refused and has not run yet */
    uint64_t admitted; /**< since the gate was made */
    uint64_t refused;
    int64_t taken_ns; /**< how long requests have been inside lately; 0: none has left yet */
    int64_t wait_ns;  /**< the estimate for one that came now, for a Retry-After; 0: a slot is free */
    bool standing;    /**< the queue is no burst: target_ns is what is allowed */
} eddy_gate_stats;

/** One consistent picture. Any thread, never suspends. */
EDDY_API void eddy_gate_stats_read(eddy_gate *gate, eddy_gate_stats *stats_out) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
