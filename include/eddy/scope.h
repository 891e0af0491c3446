/* eddy/scope.h: timeout scopes and task groups: the two brackets of structured concurrency. */
#ifndef EDDY_SCOPE_H
#define EDDY_SCOPE_H

#include "eddy/base.h"
#include "eddy/task.h"

EDDY_BEGIN_DECLS

/* ---- timeouts --------------------------------------------------------------------------------- */

/** Evaluates `expression` (a status) inside a timeout scope; its value is eddy_timeout_pop's:
 *      status = EDDY_TIMEOUT(EDDY_MS(200), query(&slow, &value));
 *  Source: asyncio.timeout. */
#define EDDY_TIMEOUT(timeout_ns, expression) (eddy_timeout_push(timeout_ns), eddy_timeout_pop(expression))

/** Opens a scope in the calling task: when `timeout_ns` have passed the task is cancelled, once.
 *  <= 0: at its first suspension. EDDY_FOREVER: never, until rescheduled. Scopes nest, and each push has its
 *  pop in the same function. The first 4 of a stack need no memory; where a deeper one finds none, the next
 *  call that would suspend gives EDDY_ENOMEM. Never suspends; outside a task: does nothing. */
EDDY_API void eddy_timeout_push(int64_t timeout_ns);
/** Closes the innermost scope. @return EDDY_ETIMEDOUT if the scope's own request is the only one left and
 *  `status` is EDDY_ECANCELED; else `status`, as outside a task. A pop without its push, and a task that ends inside a scope,
 *  are named aborts. Never suspends. */
EDDY_API int eddy_timeout_pop(int status);
/** Moves the innermost scope's deadline to eddy_time_ns() + timeout_ns, EDDY_FOREVER for never.
 *  @return 0, EDDY_ESTATE if there is no open scope or it has expired. */
EDDY_API int eddy_timeout_reschedule(int64_t timeout_ns);
/** The innermost open scope's deadline on eddy_time_ns(); EDDY_FOREVER: none, or no scope is open. Source: Timeout.when. */
EDDY_API int64_t eddy_timeout_deadline_ns(void);
/** True once the innermost open scope's deadline has passed and cancelled the task. */
EDDY_API bool eddy_timeout_expired(void);

/* ---- groups ----------------------------------------------------------------------------------- */

/** A handle to a task group: children end before it does. Lies anywhere, usually on the parent's stack;
 *  what other threads touch is in a record behind it. */
typedef struct eddy_group {
    struct ed_group *record;
} eddy_group;

/** Opens a group in the calling task. @return 0; EDDY_ENOMEM, EDDY_EWRONGTHREAD outside a task: the group stays empty,
 *  spawns into it give EDDY_ESTATE, and exit may be called or left out. Never suspends.
 *  Source: TaskGroup.__aenter__. */
EDDY_API int eddy_group_enter(eddy_group *group);

/** As eddy_spawn, for a child of the group. @return as eddy_spawn; EDDY_ESTATE when the group was not entered,
 *  has ended, is aborting, or is another runtime's. During the exit children may be added while some still run.
 *  Threads: the parent, and tasks that run while the group is open. Source: TaskGroup.create_task. */
EDDY_API int eddy_group_spawn(eddy_group *group, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                              const eddy_task_options *options);
EDDY_API int eddy_group_spawn_at(const char *place, eddy_group *group, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                                 const eddy_task_options *options);
#define eddy_group_spawn(group, task_out, fn, ...) eddy_group_spawn_at(EDDY_PLACE(fn), group, task_out, fn, __VA_ARGS__)

/** Cancels all children, and the body if it still runs, without a failure of its own: the exit gives 0. Idempotent. Never
 *  suspends. Threads: any, while the group is open. Source: 3.15's TaskGroup.cancel. */
EDDY_API void eddy_group_cancel(eddy_group *group);

/** Waits for all children, then ends the group. `status` is what the body ended with: negative aborts the
 *  children first.
 *  @return EDDY_EGROUP if anything failed: the detail's children are the failures in the order they came, the
 *          body's own last. EDDY_ECANCELED if the parent was cancelled from outside and nothing failed. Else
 *          `status` (0 or more).
 *  The first child failure (a cancel is none) cancels all children, and the parent once if its body runs.
 *  Suspends: while children run, however often the parent is cancelled. Cancellation point: when it suspends.
 *  Threads: the parent; elsewhere it is a named abort. Source: TaskGroup.__aexit__. */
EDDY_API int eddy_group_exit(eddy_group *group, int status) EDDY_SUSPENDS;

EDDY_END_DECLS

#endif
