/* exec.h: the door of exec/: thread pools, process pools, and their life with the runtime.
 *
 * Problem    Pools belong to a run: whatever its program forgets, no thread of them runs on afterwards unseen, no
 *            process is left, and yet a function that never returns must not hold the end of the run for ever.
 * Idea       One record per run (sched->exec_data) lists the pools. Each pool is a state machine of its own under its own
 *            lock. A thread that ends puts its handle here and joins the one that did so before it: joining the
 *            last one joins them all, and no task ever blocks in a join.
 * Invariants (X1) A pool is in the list from creation until its last thread is about to end; only then may a closer
 *            go on. (X2) A pool thread touches the run's record only while its pool is in the list. (X3) A function
 *            that outlives the shutdown deadline has its thread cut off: it frees its job and pool record, nothing else.
 * Ordering   Locks nest run -> pool, never the other way.
 * Threads    open, shutdown, close: the thread that runs the runtime, outside tasks. The rest: as said.
 * Not here   Thread pools: thread_pool.h (job.c, pool_thread.c, thread_pool.c). Process pools: process_pool.c (tasks), manager.c (its thread), spawn.c,
 *            worker_process.c (the other side), remote.c (names).
 * Tests      tests/exec/thread_test.c, process_test.c, process_life_test.c. */
#ifndef ED_EXEC_H
#define ED_EXEC_H

#include <stdint.h>

struct ed_sched;

/* Before main starts. 0 or EDDY_ENOMEM. */
int ed_exec_open(struct ed_sched *sched);

/* No task lives any more; workers may still turn. Closes all pools and blocks until they have ended or the clock shows
 * deadline_ns (eddy_time_ns): then functions that still run are reported by name and left behind, processes killed. */
void ed_exec_shutdown(struct ed_sched *sched, int64_t deadline_ns);

/* The record goes. After ed_exec_shutdown, or right after ed_exec_open. */
void ed_exec_close(struct ed_sched *sched);

/* Called first in eddy_run: a process that was started as a worker and got here without serving ends, by name. */
void ed_process_check_marker(void);

#endif
