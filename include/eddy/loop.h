/* eddy/loop.h: callbacks, handles, the clock, serial domains.
 *
 * A loop is a place where callbacks run. A serial domain is a loop tied to one worker: its tasks and callbacks
 * run only there, in asyncio's FIFO order, so nothing of the domain runs between two suspensions and its data
 * needs no lock. Outside domains the runtime's own loop stands for "some worker". */
#ifndef EDDY_LOOP_H
#define EDDY_LOOP_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/** A callback; must not suspend. A negative return goes to the exception handler. */
typedef int (*eddy_call_fn)(void *arg);

/** The loop of the calling task or callback: its domain, else the runtime's. Borrowed: valid until the run
 *  ends. NULL outside the runtime. Source: asyncio.get_running_loop. */
EDDY_API eddy_loop *eddy_loop_current(void) EDDY_ANY_THREAD;

/** Opens a serial domain on a worker of the runtime's choice (round robin). Lives until the run ends.
 *  @return 0, EDDY_ENOMEM, EDDY_EWRONGTHREAD outside the runtime. Never suspends. */
EDDY_API int eddy_domain_open(eddy_loop **loop_out);

/** Queues `fn(arg)` on `loop`, behind what is ready. NULL: the current loop (outside a domain: this worker).
 *  @param handle_out  May be NULL. Gives a handle: eddy_handle_release().
 *  @return 0, EDDY_ENOMEM, EDDY_EINVAL (fn is NULL), EDDY_EWRONGTHREAD from a thread that is not the loop's. Never suspends.
 *  Source: loop.call_soon. */
EDDY_API int eddy_call_soon(eddy_loop *loop, eddy_call_fn fn, void *arg, eddy_handle **handle_out);
/** The same from any thread; FIFO per calling thread and loop. Wakes the loop if it sleeps.
 *  @return 0, EDDY_ENOMEM, EDDY_EINVAL (loop or fn is NULL), EDDY_ECLOSED once the runtime takes no more.
 *  Source: loop.call_soon_threadsafe. */
EDDY_API int eddy_call_soon_threadsafe(eddy_loop *loop, eddy_call_fn fn, void *arg,
                                       eddy_handle **handle_out) EDDY_ANY_THREAD;
/** Runs `fn(arg)` when `delay_ns` have passed (<= 0: next pass), never early. Otherwise as eddy_call_soon; equal
 *  deadlines in the order of the calls. Source: loop.call_later. */
EDDY_API int eddy_call_later(eddy_loop *loop, int64_t delay_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out);
/** At `when_ns` of eddy_time_ns(). Source: loop.call_at. */
EDDY_API int eddy_call_at(eddy_loop *loop, int64_t when_ns, eddy_call_fn fn, void *arg, eddy_handle **handle_out);

/** Takes the callback back unless it has begun: it never runs then. Any thread. Source: Handle.cancel. */
EDDY_API void eddy_handle_cancel(eddy_handle *handle) EDDY_ANY_THREAD;
/** Any thread. Source: Handle.cancelled. */
EDDY_API bool eddy_handle_cancelled(const eddy_handle *handle) EDDY_ANY_THREAD;
/** When a handle of eddy_call_later or eddy_call_at runs, on eddy_time_ns(); 0 for the others. Any thread.
 *  Source: TimerHandle.when. */
EDDY_API int64_t eddy_handle_when_ns(const eddy_handle *handle) EDDY_ANY_THREAD;
/** Gives the handle back; the callback stays queued. NULL is nothing. Any thread. */
EDDY_API void eddy_handle_release(eddy_handle *handle) EDDY_ANY_THREAD;

/** The clock of all deadlines: monotonic nanoseconds. Source: loop.time. */
EDDY_API int64_t eddy_time_ns(void) EDDY_ANY_THREAD;

/* ---- what nobody handled ------------------------------------------------------------------------ */

enum eddy_report_kind {
    EDDY_REPORT_CALLBACK_FAILED, /**< a callback returned a negative status */
    EDDY_REPORT_NEVER_RETRIEVED, /**< a failure was never looked at */
    EDDY_REPORT_NEVER_AWAITED,   /**< a coroutine object was dropped without being driven */
    EDDY_REPORT_STILL_PENDING, /**< the run cannot end: a task outlives its cancel and the deadline (asyncio destroys it) */
    EDDY_REPORT_SHUTDOWN,      /**< a task failed, or is late, while the run was ending */
    EDDY_REPORT_SHIELD,        /**< a shielded future failed after its outer was cancelled */
    EDDY_REPORT_SLOW,          /**< debug mode: a worker was held too long */
    EDDY_REPORT_SWALLOWED,     /**< debug mode: a task ended well although it was cancelled */
    EDDY_REPORT_DEAD_ARG,      /**< debug mode: a running task's argument lies on a stack that is gone */
    EDDY_REPORT_WRONG_THREAD, /**< debug mode: a call that ended EDDY_EWRONGTHREAD: in a callback, or for another's loop */
    EDDY_REPORT_HELD,         /**< debug mode: a task suspends with a mutex locked (eddy/debug.h, eddy/mutex.h) */
    EDDY_REPORT_USER          /**< the program's own: eddy_report_send */
};
typedef struct eddy_report {
    enum eddy_report_kind kind;
    const char *message;     /**< one sentence, borrowed */
    const char *task;        /**< name of the task, coroutine or function; "" if none */
    int status;              /**< the failure, or 0 */
    const eddy_error *error; /**< its detail, borrowed; may be NULL */
    const char *place;       /**< where that task or object was made; NULL: not known */
    const char *stack;       /**< where it happens, a line for each call, innermost first; or NULL */
    /** The task or future that it is about, or NULL: borrowed for the call. In reports of failures that were never looked
     *  at its last reference has gone: it may be read, and not shared. eddy_future_task tells whether it is a task. */
    eddy_future *future;
    eddy_handle *handle; /**< the handle of the callback that failed, or NULL; borrowed for the call */
    const char *origin;  /**< debug mode: the calls that made the task, future or handle, as `stack`; or NULL */
} eddy_report;

/** Receives reports; default: one line each on standard error. Any worker thread, outside any task, or in debug mode
 *  a thread that watches the workers; must not suspend. */
typedef void (*eddy_exception_handler)(const eddy_report *report, void *arg);

/** Gives a report to the exception handler of the caller's run; outside a run to standard error. `report` is borrowed.
 *  Never suspends. Source: loop.call_exception_handler. */
EDDY_API void eddy_report_send(const eddy_report *report) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
