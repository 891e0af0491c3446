/* steal.h: offering new tasks and taking other workers'. See steal.c. */
#ifndef ED_SCHED_STEAL_H
#define ED_SCHED_STEAL_H

#include "sched/worker.h"

/* Owner: moves all private entries but the newest `keep` into the shared part, and wakes a sleeper for them. */
void ed_publish(struct ed_worker *worker, uint64_t keep);

/* Owner, nothing to do: looks at every other worker once. A claimed start, or NULL. */
struct ed_start *ed_steal(struct ed_worker *worker);

/* Owner: tells every other worker that somebody is out of work. */
void ed_want_work(struct ed_worker *worker);

#endif
