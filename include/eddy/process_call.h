/* eddy/process_call.h: what a call to a worker process takes along, and what its function may ask and say there.
 *
 * A function registered with EDDY_REMOTE runs in a process of its own, but its caller is a task that may be cancelled and
 * may have a deadline: both travel with each call. eddy_process_pool_call also takes along
 *   a buffer      memory that both processes see: much data, and not a copy of it
 *   descriptors   files, sockets, pipes, as open in the worker as they are here
 *   progress      and brings back small messages while the function runs */
#ifndef EDDY_PROCESS_CALL_H
#define EDDY_PROCESS_CALL_H

#include "eddy/process.h"

EDDY_BEGIN_DECLS

/* ---- shared memory ------------------------------------------------------------------------------ */

/** Memory that a call hands to a worker process and back. One owner at a time, who alone looks at it: whoever made it, then the
 *  call, then whoever called. */
typedef struct eddy_process_buffer eddy_process_buffer;

/** @param size  In bytes, at least 1; zeroed. Pages that nobody touches cost nothing, so a buffer may be made as large as a
 *               result can be.
 *  @return      0; EDDY_EINVAL, EDDY_ENOMEM, or a system code with a text. *buffer_out gives it:
 *               eddy_process_buffer_release(), or a call takes it.
 *  Uses one descriptor; sealed against changes of its size. Any thread, never suspends. */
EDDY_API int eddy_process_buffer_create(eddy_process_buffer **buffer_out, size_t size) EDDY_ANY_THREAD;
/** Its bytes, for its owner: nobody's while a call has it. */
EDDY_API eddy_bytes eddy_process_buffer_bytes(eddy_process_buffer *buffer) EDDY_ANY_THREAD;
/** Its owner gives it up, and it is gone. NULL is nothing. */
EDDY_API void eddy_process_buffer_release(eddy_process_buffer *buffer) EDDY_ANY_THREAD;

/* ---- the call ----------------------------------------------------------------------------------- */

enum {
    EDDY_PROCESS_FDS_MAX = 16,      /**< descriptors of one call        */
    EDDY_PROCESS_REPORT_MAX = 1024, /**< bytes of one message of progress */
};

/** Told in the task that made the call, before the call returns: what the function said last (eddy_process_report).
 *  @param arg     The option's.
 *  @param report  Borrowed until it returns.
 *  @param number  1 for the first thing said, and so on: a gap tells how many were said and overtaken meanwhile.
 *  @return        0 or more: go on. Negative: the call is given up, as by a cancel, and returns this status.
 *  May suspend: while it runs nothing is lost but what a newer message overtakes. */
typedef int (*eddy_process_progress_fn)(void *arg, eddy_bytes report, uint64_t number);

typedef struct eddy_process_call_options {
    size_t size;                  /**< sizeof(eddy_process_call_options): by EDDY_PROCESS_CALL or ..._init */
    eddy_process_buffer **buffer; /**< taken out of here, and put back when the call returns; NULL: none. See below */
    const int *fds;               /**< borrowed until the call returns: the call has copies of its own */
    size_t fds_count;             /**< at most EDDY_PROCESS_FDS_MAX */
    eddy_process_progress_fn progress; /**< NULL: what the function reports goes nowhere */
    void *progress_arg;                /**< borrowed until the call returns */
} eddy_process_call_options;

static inline eddy_process_call_options eddy_process_call_options_init(void) {
    eddy_process_call_options options = {sizeof(eddy_process_call_options), NULL, NULL, 0, NULL, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_PROCESS_CALL(...) (&(eddy_process_call_options){.size = sizeof(eddy_process_call_options), __VA_ARGS__})
#endif

/** As eddy_process_pool_run, and takes along what the options say.
 *
 *  @param pool     NULL: the default pool, as eddy_to_process.
 *  @param options  May be NULL. Borrowed.
 *  @return         Also EDDY_EINVAL with a text: too many descriptors, or `buffer` leads to NULL. A system code with a text:
 *                  a descriptor cannot be copied. EDDY_ELIMIT with a text: more descriptors are on their way to processes
 *                  than the system allows, or more came than the worker may have open.
 *
 *  The buffer is in `*options->buffer` again when the call returns, whatever its status: with what the function had written
 *  when it ended, or when its process died. One exception: after EDDY_ECANCELED of a call that was abandoned
 *  (EDDY_ABANDON) the function may still write, so it stays away, `*options->buffer` is NULL, and the pool releases it
 *  when the function has ended.
 *  The copies of the descriptors are closed when the call's answer is in, in the worker when its function has returned,
 *  those that it has not taken.
 *  A call with a buffer or descriptors goes to a process that is free, never behind another call.
 *
 *  Suspends: always. Cancellation point, threads: as eddy_to_process. Cost: as there; a buffer: one mapping in the worker,
 *  and the first touch of each of its pages. */
EDDY_API int eddy_process_pool_call(eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in, eddy_bytes *out,
                                    const eddy_process_call_options *options) EDDY_SUSPENDS;

/* ---- in the worker process ------------------------------------------------------------------------ */

/** In a function that a worker process runs: the caller's buffer, to read and to write, gone when the function returns.
 *  Empty: the call has none. Any thread of that process while the function runs. */
EDDY_API eddy_bytes eddy_process_lent_buffer(void) EDDY_ANY_THREAD;

/** How many descriptors the call brought. Any thread of that process while the function runs; outside: 0. */
EDDY_API size_t eddy_process_fd_count(void) EDDY_ANY_THREAD;

/** In a function that a worker process runs: gives the descriptor `index` of the call, open as it was for the caller (offset
 *  and flags are shared, as after dup), close-on-exec. The function's from then on, which closes it; may outlive the call.
 *  @return  Its number here; EDDY_EINVAL: there is none of this index, or no call; EDDY_ESTATE: it was taken already;
 *           EDDY_EWRONGTHREAD: not on the function's own thread. */
EDDY_API int eddy_process_fd_take(size_t index) EDDY_ANY_THREAD;

/** In a function that a worker process runs: tells the caller's progress function. Never waits for it: what it has not got
 *  yet is overtaken, so the caller always gets the newest message, and the last one before the function ends in any
 *  case, also if the process dies.
 *  @param data  Copied.
 *  @return      0, also if the caller does not want to know; EDDY_ELIMIT: more than EDDY_PROCESS_REPORT_MAX bytes;
 *               EDDY_EINVAL; EDDY_EWRONGTHREAD outside a call, or not on the function's own thread.
 *  Cost: a copy into shared memory; one send if the last message has been taken.
 *  Source: none in asyncio; Celery's update_state. */
EDDY_API int eddy_process_report(const void *data, size_t bytes) EDDY_ANY_THREAD;

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
