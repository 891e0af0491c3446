/* idle.h: when a worker may sleep, and whom new work wakes. See idle.c. */
#ifndef ED_SCHED_IDLE_H
#define ED_SCHED_IDLE_H

#include "sched/worker.h"

/* Owner: work was published; wakes a sleeper as a searcher unless somebody searches already. */
void ed_idle_notify(struct ed_worker *worker);

/* Whether anybody sleeps or searches (advice). */
static inline bool ed_idle_any(struct ed_sched *sched) { return ED_LOAD_RELAXED(&sched->idle) != 0; }

/* Owner: becomes a searcher, or learns that enough search. */
bool ed_idle_search_begin(struct ed_worker *worker);
/* Owner: gives the token back. True if it was the last one: then somebody else should look as well. */
bool ed_idle_search_end(struct ed_worker *worker);

/* Owner, nothing to do: marks the worker asleep and looks again. True: the driver may sleep in poll, and
 * ed_idle_awake must follow. False: something came. */
bool ed_idle_prepare(struct ed_worker *worker);
void ed_idle_awake(struct ed_worker *worker);

/* Any thread, after it gave `worker` something: wakes it if it sleeps. */
void ed_idle_wake(struct ed_worker *worker);

/* Invariants, for tests: the counts are within bounds. */
void ed_idle_check(struct ed_sched *sched);

#endif
