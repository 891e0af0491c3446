/* migrate.h: started tasks that change workers. See migrate.c. */
#ifndef ED_SCHED_MIGRATE_H
#define ED_SCHED_MIGRATE_H

#include "sched/worker.h"

/* Owner, on its own stack: gives what waits in `movable` to workers that have nothing to do. */
void ed_migrate(struct ed_worker *worker);

#endif
