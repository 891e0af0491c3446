/* eddy/signal.h: waiting for the system's signals; the libuv loop below.
 *
 * The threads that the runtime makes block signals; the thread that called eddy_run keeps its own mask. While an
 * eddy_signal is open its signal is taken from the whole process and given to whoever waits, and the thread of its worker
 * blocks it: it is taken between tasks, and cuts no system call of a task short. When the last one is closed the default
 * and the mask come back. */
#ifndef EDDY_SIGNAL_H
#define EDDY_SIGNAL_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_signal eddy_signal;

/** Begins to catch `signum`. Several may catch the same one: each gets it.
 *  @param signal_out  Gives the object: eddy_signal_close().
 *  @return 0; EDDY_EINVAL for a number that cannot be caught (SIGKILL, SIGSTOP, and SEGV, BUS, ILL, FPE, TRAP,
 *          ABRT, which the runtime reports); EDDY_ENOMEM; EDDY_EWRONGTHREAD outside a task.
 *  Never suspends. Threads: any task; its worker watches for the signal.
 *  Source: loop.add_signal_handler. */
EDDY_API int eddy_signal_open(eddy_signal **signal_out, int signum);

/** Waits until the signal has come since it was opened or last waited for.
 *  @return how often it came, 1 or more (the system merges those that come close together); EDDY_ECLOSED when it
 *          is closed meanwhile; EDDY_EBUSY while another task waits; EDDY_ECANCELED (it stays counted).
 *  Suspends: unless it has come. Cancellation point: when it suspends. Threads: any task. */
EDDY_API int eddy_signal_wait(eddy_signal *signal) EDDY_SUSPENDS;

/** Takes the object back: a task that waits gets EDDY_ECLOSED. NULL is nothing. Never suspends; any thread. One that
 *  is left open when the run ends is reported. */
EDDY_API void eddy_signal_close(eddy_signal *signal) EDDY_ANY_THREAD;

/** The libuv loop of the calling task's worker, for libraries that speak libuv: use it on this worker only, never
 *  run or close it. Its callbacks run on the worker, outside tasks; they must not suspend. Handles of the caller's
 *  must be closed before the run ends. NULL outside the runtime. */
EDDY_API struct uv_loop_s *eddy_loop_uv(void) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
