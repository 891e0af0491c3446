/* debug.h: door of debug/: debug mode's look at workers that are held too long (watchdog.c). */
#ifndef ED_DEBUG_DEBUG_H
#define ED_DEBUG_DEBUG_H

#include "eddy/debug.h"
#include "task/task.h"

#include "debug/inspect.h"

struct ed_watchdog;

/* Reports whoever holds a worker for `slow_ns` or more. 0 or EDDY_ENOMEM. */
int ed_watchdog_open(struct ed_watchdog **watchdog_out, struct ed_sched *sched, int64_t slow_ns);
void ed_watchdog_close(struct ed_watchdog *watchdog); /* NULL is nothing */

/* The worker's thread, from its first turn to its last. Leave: the tick thread may still look. */
void ed_watchdog_enter(struct ed_watchdog *watchdog, struct ed_worker *worker);
void ed_watchdog_leave(struct ed_watchdog *watchdog, struct ed_worker *worker);

/* Hears what debug mode wants to know (listen.c): sched->listener. */
extern struct ed_listener ed_debug_listener;

/* The tick thread, at each tick: the worker has not visited its scheduler for `held_ns`; 0: it just has, or sleeps. */
void ed_watchdog_look(struct ed_watchdog *watchdog, struct ed_worker *worker, int64_t held_ns, uint64_t slices);

#endif
