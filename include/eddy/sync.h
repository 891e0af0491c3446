/* eddy/sync.h: what tasks use to wait for each other: lock, event, condition, semaphore, barrier, read-write lock,
 * once. Queues: eddy/queue.h. Channels: eddy/channel.h.
 *
 * They work between tasks of any worker and domain, and plain threads.
 *
 * Life       _create gives the object, _release takes it back (NULL is nothing). A release while somebody still waits
 *            is a named abort. One that was served already and only has not run yet is no obstacle.
 * Waiting    First come, first served, without barging: what is given back goes to the oldest waiter, and is its own
 *            from that moment, however late it runs.
 * Cancel     A cancelled wait took nothing: what was handed to it in the same moment goes to the next waiter.
 *            Cancellation point: when it suspends. A call that can complete at once does, also with a cancel pending.
 * Threads    What waits suspends a task, and blocks a plain thread (also one of a pool: eddy_to_thread), which nobody
 *            can cancel. On a worker outside its tasks (callbacks, drop functions) it gives EDDY_EWRONGTHREAD. All else
 *            is legal anywhere.
 * Status     What waits gives EDDY_ENOMEM, nothing taken, where a task would suspend inside a timeout scope that found
 *            no memory (scope.h), or a thread would block and there is no memory for its place in line.
 * Cost       Without waiting: a spin lock for a few stores. Waiting: no allocation, the waiter lies in the task's stack
 *            record; for a plain thread, one. */
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
 *  Waits: while it is held, or on its way to another.  Source: Lock.acquire. */
EDDY_API int eddy_lock_acquire(eddy_lock *lock) EDDY_WAITS;
/** Takes the lock if nobody holds it or waits for it. @return true if taken. Never suspends. */
EDDY_API bool eddy_lock_try_acquire(eddy_lock *lock) EDDY_ANY_THREAD;
/** Gives the lock to the oldest waiter, or frees it. Not bound to who acquired it: anybody may.
 *  @return 0, EDDY_ESTATE if nobody holds it, or who was given it has not run yet.  Never suspends.
 *  Source: Lock.release. */
EDDY_API int eddy_lock_unlock(eddy_lock *lock) EDDY_ANY_THREAD;
/** Whether somebody holds it; not, while it is on its way to a waiter. Source: Lock.locked. */
EDDY_API bool eddy_lock_is_held(const eddy_lock *lock) EDDY_ANY_THREAD;

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
/** @return 0, EDDY_ECANCELED.  Waits: unless it is set.  Source: Event.wait. */
EDDY_API int eddy_event_wait(eddy_event *event) EDDY_WAITS;

/* ---- condition -------------------------------------------------------------------------------- */

typedef struct eddy_condition eddy_condition;

/** A condition of what `lock` guards; several may share one lock.
 *  @param lock  Shared: it may be released before the condition is.
 *  @return      NULL: no memory.  Source: asyncio.Condition. */
EDDY_API eddy_condition *eddy_condition_create(eddy_lock *lock) EDDY_ANY_THREAD;
EDDY_API void eddy_condition_release(eddy_condition *condition) EDDY_ANY_THREAD;

/** Gives the lock back, waits to be notified, and takes the lock again, however often it is cancelled meanwhile. A wait
 *  that fails notifies one other. So it may end without a reason: ask again for what you wait for
 *  (eddy_condition_wait_for).
 *  @return 0, EDDY_ECANCELED: with the lock held. EDDY_ESTATE: nobody holds the lock. EDDY_ENOMEM: with the lock held;
 *          a plain thread may not have given it back.
 *  Waits: always.  Source: Condition.wait. */
EDDY_API int eddy_condition_wait(eddy_condition *condition) EDDY_WAITS;
/** Waits until predicate(arg), which is asked with the lock held, at once and after each notification; it
 *  must not suspend.
 *  @return as eddy_condition_wait.  Waits: unless it holds at once.  Source: Condition.wait_for. */
EDDY_API int eddy_condition_wait_for(eddy_condition *condition, bool (*predicate)(void *arg), void *arg) EDDY_WAITS;
/** Wakes the `count` oldest waiters. They run when they have got the lock, which the caller holds.
 *  @return 0, EDDY_ESTATE: nobody holds the lock.  Never suspends.  Source: Condition.notify, notify_all. */
EDDY_API int eddy_condition_notify(eddy_condition *condition, size_t count) EDDY_ANY_THREAD;
EDDY_API int eddy_condition_notify_all(eddy_condition *condition) EDDY_ANY_THREAD;

/* ---- semaphore -------------------------------------------------------------------------------- */

typedef struct eddy_semaphore eddy_semaphore;

/** A semaphore with `slots` free slots; may be 0. NULL: no memory. Source: asyncio.Semaphore. */
EDDY_API eddy_semaphore *eddy_semaphore_create(size_t slots) EDDY_ANY_THREAD;
/** One that refuses more slots than it had at first. Source: asyncio.BoundedSemaphore. */
EDDY_API eddy_semaphore *eddy_semaphore_create_bounded(size_t slots) EDDY_ANY_THREAD;
EDDY_API void eddy_semaphore_release(eddy_semaphore *semaphore) EDDY_ANY_THREAD;

/** Takes a slot.  @return 0, EDDY_ECANCELED (none taken).
 *  Waits: while there is none, or who was given one before has not run yet.  Source: Semaphore.acquire. */
EDDY_API int eddy_semaphore_acquire(eddy_semaphore *semaphore) EDDY_WAITS;
/** Takes a slot if there is one and nobody is before the caller. @return true if taken. Never suspends. */
EDDY_API bool eddy_semaphore_try_acquire(eddy_semaphore *semaphore) EDDY_ANY_THREAD;
/** Gives a slot back, or one more: the oldest waiter gets it reserved.
 *  @return 0; EDDY_ESTATE: it is bounded, and all its slots are free.  Never suspends.  Source: Semaphore.release. */
EDDY_API int eddy_semaphore_post(eddy_semaphore *semaphore) EDDY_ANY_THREAD;

/* ---- barrier ---------------------------------------------------------------------------------- */

typedef struct eddy_barrier eddy_barrier;

/** A barrier that opens whenever `parties` wait at it. NULL: no memory, or `parties` is 0 or above INT_MAX.
 *  Source: asyncio.Barrier. */
EDDY_API eddy_barrier *eddy_barrier_create(unsigned parties) EDDY_ANY_THREAD;
EDDY_API void eddy_barrier_release(eddy_barrier *barrier) EDDY_ANY_THREAD;

/** Waits until all are there. Who comes before the last ones have left waits for that first.
 *  @return The number of those that were there before: 0 to parties - 1, the latter to who opens it. EDDY_ECANCELED: it
 *          has left, and the others wait on. EDDY_EBROKEN: the barrier was broken, or reset meanwhile.
 *  Waits: unless it is the last.  Source: Barrier.wait. */
EDDY_API int eddy_barrier_wait(eddy_barrier *barrier) EDDY_WAITS;
/** Empties it: who waits gets EDDY_EBROKEN, and who comes is let in when they have left. Never suspends.
 *  Source: Barrier.reset. */
EDDY_API void eddy_barrier_reset(eddy_barrier *barrier) EDDY_ANY_THREAD;
/** Breaks it: who waits and who comes gets EDDY_EBROKEN, until it is reset. Never suspends. Source: Barrier.abort. */
EDDY_API void eddy_barrier_abort(eddy_barrier *barrier) EDDY_ANY_THREAD;
EDDY_API bool eddy_barrier_is_broken(const eddy_barrier *barrier) EDDY_ANY_THREAD;
/** How many wait for it to open. Out of date at once where others use it. Source: Barrier.n_waiting. */
EDDY_API unsigned eddy_barrier_waiting(const eddy_barrier *barrier) EDDY_ANY_THREAD;

/* ---- read-write lock -------------------------------------------------------------------------- */

typedef struct eddy_rwlock eddy_rwlock;

/** A lock that many may hold for reading, or one for writing. Free; NULL: no memory. */
EDDY_API eddy_rwlock *eddy_rwlock_create(void) EDDY_ANY_THREAD;
EDDY_API void eddy_rwlock_release(eddy_rwlock *lock) EDDY_ANY_THREAD;

/** Takes it for reading. Not recursive: a second one waits behind a writer, who waits for the first.
 *  @return 0, EDDY_ECANCELED (not held then).
 *  Waits: while it is held for writing, or somebody waits. */
EDDY_API int eddy_rwlock_read(eddy_rwlock *lock) EDDY_WAITS;
/** Takes it for writing.  @return 0, EDDY_ECANCELED (not held then).  Waits: while it is held. */
EDDY_API int eddy_rwlock_write(eddy_rwlock *lock) EDDY_WAITS;
/** The same if that needs no waiting. @return true if taken. Never suspends. */
EDDY_API bool eddy_rwlock_try_read(eddy_rwlock *lock) EDDY_ANY_THREAD;
EDDY_API bool eddy_rwlock_try_write(eddy_rwlock *lock) EDDY_ANY_THREAD;
/** Gives back what the caller holds. When nothing stands against it, the oldest waiter has it from then on: one
 *  writer, or all readers before the next writer.  @return 0, EDDY_ESTATE if nobody holds it.  Never suspends. */
EDDY_API int eddy_rwlock_unlock(eddy_rwlock *lock) EDDY_ANY_THREAD;

/* ---- once ------------------------------------------------------------------------------------- */

typedef struct eddy_once eddy_once;

/** Something that has not happened yet. NULL: no memory. Source: Go's sync.Once, C11's call_once. */
EDDY_API eddy_once *eddy_once_create(void) EDDY_ANY_THREAD;
EDDY_API void eddy_once_release(eddy_once *once) EDDY_ANY_THREAD;

/** Makes sure that fn(arg) has run well, once: the first caller runs it, as a plain call, the others wait. If it fails
 *  (a negative status, EDDY_ECANCELED too) its caller gets that, and the next one tries with its own fn and arg.
 *  What it wrote is seen by all. fn may suspend in a task; it must not ask for the same once.
 *  @return 0, EDDY_ECANCELED, what fn returned.
 *  Waits: while another runs it.  Cost: afterwards one load. */
EDDY_API int eddy_once_run(eddy_once *once, int (*fn)(void *arg), void *arg) EDDY_WAITS;
EDDY_API bool eddy_once_is_done(const eddy_once *once) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
