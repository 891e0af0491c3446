/* sched.h: door of sched/: workers, their queues, stealing, sleeping, timers, the driver seam. */
#ifndef ED_SCHED_SCHED_H
#define ED_SCHED_SCHED_H

#include "sched/current.h"
#include "sched/driver.h"
#include "sched/entry.h"
#include "sched/fiber.h"
#include "sched/flush.h"
#include "sched/idle.h"
#include "sched/migrate.h"
#include "sched/start.h"
#include "sched/steal.h"
#include "sched/timers.h"
#include "sched/trace.h"
#include "sched/worker.h"

#endif
