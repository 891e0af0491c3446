/* eddy/sync.h: what tasks use to wait for each other: lock, event, semaphore, queue.
 *
 * They work between tasks of any worker and domain; what says any thread may be called from plain threads too.
 *
 * Life       _create gives the object, _release takes it back (NULL is nothing). A release while a task still waits
 *            for its turn is a named abort. One that was served already and only has not run yet is no obstacle.
 * Waiting    First come, first served, without barging: what is given back goes to the oldest waiter, and is its own
 *            from that moment, however late it runs.
 * Cancel     A cancelled wait took nothing: what was handed to it in the same moment goes to the next waiter.
 *            Cancellation point: when it suspends. A call that can complete at once does, also with a cancel pending.
 * Status     Calls that suspend give EDDY_EWRONGTHREAD outside a task, and EDDY_ENOMEM, nothing taken, where they would
 *            suspend inside a timeout scope that found no memory (scope.h).
 * Cost       Without waiting: a spin lock for a few stores. Waiting: no allocation; the waiter lies in the task's stack
 *            record. */
#ifndef EDDY_SYNC_H
#define EDDY_SYNC_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/* ---- lock ------------------------------------------------------------------------------------- */

typedef struct eddy_lock eddy_lock;

/** A lock that is free. NULL: no memory. Source: asyncio.Lock. */
EDDY_API eddy_lock *eddy_lock_create(void) EDDY_ANY_THREAD;
/** Takes the lock back; it may be held (nobody can give it back any more then). */
EDDY_API void eddy_lock_release(eddy_lock *lock) EDDY_ANY_THREAD;

/** Takes the lock. Not recursive: a task that holds it and acquires it again waits for itself.
 *  @return 0, EDDY_ECANCELED (not held then).
 *  Suspends: while it is held.  Threads: any task.  Source: Lock.acquire. */
EDDY_API int eddy_lock_acquire(eddy_lock *lock) EDDY_SUSPENDS;
/** Gives the lock to the oldest waiter, or frees it. Not bound to who acquired it: any thread may.
 *  @return 0, EDDY_ESTATE if it is not held.  Never suspends.  Source: Lock.release. */
EDDY_API int eddy_lock_unlock(eddy_lock *lock) EDDY_ANY_THREAD;

/* ---- event ------------------------------------------------------------------------------------ */

typedef struct eddy_event eddy_event;

/** An event that is not set. NULL: no memory. Source: asyncio.Event. */
EDDY_API eddy_event *eddy_event_create(void) EDDY_ANY_THREAD;
EDDY_API void eddy_event_release(eddy_event *event) EDDY_ANY_THREAD;

/** Wakes all who wait now, also when it is cleared before they run; later waits do not suspend until it is cleared.
 *  Idempotent. What was written before it is seen by those it wakes. Never suspends. Source: Event.set. */
EDDY_API void eddy_event_set(eddy_event *event) EDDY_ANY_THREAD;
EDDY_API void eddy_event_clear(eddy_event *event) EDDY_ANY_THREAD;
EDDY_API bool eddy_event_is_set(const eddy_event *event) EDDY_ANY_THREAD;
/** @return 0, EDDY_ECANCELED.  Suspends: unless it is set.  Threads: any task.  Source: Event.wait. */
EDDY_API int eddy_event_wait(eddy_event *event) EDDY_SUSPENDS;

/* ---- semaphore -------------------------------------------------------------------------------- */

typedef struct eddy_semaphore eddy_semaphore;

/** A semaphore with `slots` free slots; may be 0. NULL: no memory. Source: asyncio.Semaphore. */
EDDY_API eddy_semaphore *eddy_semaphore_create(size_t slots) EDDY_ANY_THREAD;
EDDY_API void eddy_semaphore_release(eddy_semaphore *semaphore) EDDY_ANY_THREAD;

/** Takes a slot.  @return 0, EDDY_ECANCELED (none taken).
 *  Suspends: while there is none.  Threads: any task.  Source: Semaphore.acquire. */
EDDY_API int eddy_semaphore_acquire(eddy_semaphore *semaphore) EDDY_SUSPENDS;
/** Takes a slot if there is one and nobody waits. @return true if taken. Never suspends. */
EDDY_API bool eddy_semaphore_try_acquire(eddy_semaphore *semaphore) EDDY_ANY_THREAD;
/** Gives a slot back, or one more: the oldest waiter gets it reserved. Never suspends. Source: Semaphore.release. */
EDDY_API void eddy_semaphore_post(eddy_semaphore *semaphore) EDDY_ANY_THREAD;

/* ---- queue ------------------------------------------------------------------------------------ */

typedef struct eddy_queue eddy_queue;

/** A queue for `capacity` items; 0: no bound. NULL: no memory.
 *  @param drop  May be NULL. Runs once on each item that is left at the release, oldest first, on its thread.
 *  Source: asyncio.Queue. */
EDDY_API eddy_queue *eddy_queue_create(size_t capacity, eddy_drop_fn drop) EDDY_ANY_THREAD;
EDDY_API void eddy_queue_release(eddy_queue *queue) EDDY_ANY_THREAD;

/** Puts an item behind the others.
 *  @param item  Taken when 0 is returned, else still the caller's.
 *  @return      0, EDDY_ECANCELED, EDDY_ECLOSED, EDDY_ENOMEM.
 *  Suspends: while the queue is full.  Threads: any task.  Cost: an allocation for each 62 items that the queue has
 *  not held before.  Source: Queue.put. */
EDDY_API int eddy_queue_put(eddy_queue *queue, eddy_value item) EDDY_SUSPENDS;
/** The same, never suspending. @return also EDDY_EBUSY when it is full, or what is free is reserved for tasks that
 *  wait. */
EDDY_API int eddy_queue_try_put(eddy_queue *queue, eddy_value item) EDDY_ANY_THREAD;

/** Takes the oldest item out.
 *  @param item_out  Written when 0 is returned: the caller's from then on.
 *  @return          0; EDDY_ECANCELED: an item that was meant for it is still in the queue, at its place, for the
 *                   next; EDDY_ECLOSED once the queue is closed and empty.
 *  Suspends: while the queue is empty.  Threads: any task.  Source: Queue.get. */
EDDY_API int eddy_queue_get(eddy_queue *queue, eddy_value *item_out) EDDY_SUSPENDS;
/** The same, never suspending. @return also EDDY_EBUSY when it is empty, or what is in it is reserved for tasks that
 *  wait. */
EDDY_API int eddy_queue_try_get(eddy_queue *queue, eddy_value *item_out) EDDY_ANY_THREAD;

/** Items in it, also those that are reserved for tasks about to run. Out of date at once where others use it. */
EDDY_API size_t eddy_queue_size(const eddy_queue *queue) EDDY_ANY_THREAD;

/** Puts fail from now on with EDDY_ECLOSED, those that wait too; gets when the last item is gone. Idempotent. Never
 *  suspends. Source: Queue.shutdown. */
EDDY_API void eddy_queue_close(eddy_queue *queue) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
