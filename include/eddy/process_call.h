/* eddy/process_call.h: what a call to a worker process takes along, and what its function may ask there.
 *
 * A function registered with EDDY_REMOTE runs in a process of its own, but its caller is a task that may be cancelled and
 * may have a deadline. Both travel with the call: */
#ifndef EDDY_PROCESS_CALL_H
#define EDDY_PROCESS_CALL_H

#include "eddy/process.h"

EDDY_BEGIN_DECLS

/* ---- in the worker process ------------------------------------------------------------------------ */

/** In a function that a worker process runs: true once the task that waits for it was cancelled (its timeout scope's end is a
 *  cancel too), or its pool is being terminated. A long function asks from time to time, cleans up and returns: what it
 *  returns to a cancelled task is not looked at. With EDDY_KILL it has the pool's .grace_ns for that, with EDDY_ABANDON
 *  any time. Outside: false.
 *  Any thread of that process while the function runs. Never blocks: one load of shared memory.
 *  Source: a cancelled context that travels with the call (Go's context.Context, gRPC); asyncio has none. */
EDDY_API bool eddy_process_cancelled(void) EDDY_ANY_THREAD;

/** In a function that a worker process runs: how long until the innermost deadline of the timeout scopes that the calling
 *  task had open when it made the call; 0: it has passed. EDDY_FOREVER: there is none, or no call is being served.
 *  A scope that is moved afterwards (eddy_timeout_reschedule) is not followed. Scopes of other tasks that await the
 *  calling one do not count.
 *  Threads and cost: as eddy_process_cancelled, and a look at the clock. */
EDDY_API int64_t eddy_process_time_left_ns(void) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
