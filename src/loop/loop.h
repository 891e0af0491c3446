/* loop.h: the door of loop/: where libuv begins.
 *
 * Problem    A worker must sleep until the system, a timer or another worker has something for it, and a task
 *            must be able to wait for a descriptor without a system call for each wait.
 * Idea       One set of descriptors and one libuv loop per worker behind the core's driver seam; one poller per
 *            descriptor, with a waiter slot for each direction, whose readable interest stays armed between waits.
 * Threads    Everything here belongs to the worker it was opened on, unless a line says otherwise.
 * Not here   What is read and written (net/, exec/); when a worker may sleep (sched/).
 * Tests      tests/loop/. */
#ifndef ED_LOOP_H
#define ED_LOOP_H

#include "base/base.h"
#include "eddy/base.h"

struct ed_driver;
struct ed_fiber;
struct ed_worker;
struct ed_poll;

/* The driver of every real runtime. */
extern const struct ed_driver ed_uv_driver;

/* libuv's status as eddy's: its ECANCELED is a closed handle, never a cancelled task. */
static inline int ed_uv_status(int status) { return status == EDDY_ECANCELED ? EDDY_ECLOSED : status; }

/* ---- descriptors ------------------------------------------------------------------------------ */

enum ed_poll_direction { ED_POLL_READ, ED_POLL_WRITE };

/* Watches `fd` on the calling worker. Takes it if 0 is returned: it is then non-blocking, and closed by
 * ed_poll_close. */
int ed_poll_open(struct ed_poll **poll_out, int fd);

/* Wakes whoever waits with EDDY_ECLOSED, forgets a notify, closes the descriptor. The pointer is void. */
void ed_poll_close(struct ed_poll *poll);

/* Suspends the calling task until `direction` may be ready. Call it after the system call gave EAGAIN, and
 * make that call again afterwards: readiness is a hint, and the call knows the real error.
 * 0, EDDY_ECANCELED (readiness that came meanwhile is kept for the next wait), EDDY_ECLOSED, EDDY_EBUSY: the
 * slot is taken, or the status given to ed_poll_interrupt. After EDDY_ECLOSED the pointer is void. */
int ed_poll_wait(struct ed_poll *poll, enum ed_poll_direction direction, const char *reason);
/* The same for the running `fiber`; inlined where it is called. */
int ed_poll_wait_on(struct ed_poll *poll, struct ed_fiber *fiber, enum ed_poll_direction direction, const char *reason);

/* The same for one that is no task: runs ready(arg) once, on the scheduler's stack, when `direction` may be
 * ready. The slot must be free. */
void ed_poll_notify(struct ed_poll *poll, enum ed_poll_direction direction, void (*ready)(void *arg), void *arg);

/* Wakes the task that waits in the slot, if any, with `status`; a notify is forgotten. */
void ed_poll_interrupt(struct ed_poll *poll, enum ed_poll_direction direction, int status);

int ed_poll_fd(const struct ed_poll *poll);

/* ---- guests ----------------------------------------------------------------------------------- */

/* A worker whose thread sleeps in somebody else's loop: what it waits for makes this descriptor readable. */
int ed_guest_fd(struct ed_worker *worker);

/* Instead of a sleeping poll, after ed_idle_prepare: takes the events that are there, and sees to it that what comes
 * later makes the descriptor readable, the clock at the next timer too. */
void ed_guest_poll(struct ed_worker *worker);

/* ---- elsewhere -------------------------------------------------------------------------------- */

/* Runs fn(arg, &value) as a task on `worker` and waits for its end. A cancel of the caller cancels that task
 * and is answered when it has ended, so `arg` is borrowed for the call. The status of `fn`. Any task. */
int ed_run_on(struct ed_worker *worker, eddy_coro_fn fn, void *arg, const char *name);

#endif
