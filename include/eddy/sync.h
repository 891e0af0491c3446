/* eddy/sync.h: what tasks use to wait for each other: lock, event, semaphore, queue.
 *
 * All are counted objects: _create gives a reference (NULL: no memory), _release gives it back; releasing
 * one that tasks still wait on is a named abort. They work between tasks of any worker and domain. Waiters are
 * served first come, first served, without barging. A cancelled wait took nothing: what was handed to it in the
 * same moment goes to the next waiter.
 * Operations that suspend: cancellation point when they suspend; EDDY_EWRONGTHREAD outside a task. */
#ifndef EDDY_SYNC_H
#define EDDY_SYNC_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_lock eddy_lock;
EDDY_API eddy_lock *eddy_lock_create(void) EDDY_ANY_THREAD;
EDDY_API void eddy_lock_release(eddy_lock *lock) EDDY_ANY_THREAD;
/** Suspends while it is held. @return 0 or EDDY_ECANCELED. Source: asyncio.Lock.acquire. */
EDDY_API int eddy_lock_acquire(eddy_lock *lock) EDDY_SUSPENDS;
/** Hands it to the oldest waiter. Not bound to its owner: any thread may. @return 0, EDDY_ESTATE if not held. */
EDDY_API int eddy_lock_unlock(eddy_lock *lock) EDDY_ANY_THREAD;

typedef struct eddy_event eddy_event;
EDDY_API eddy_event *eddy_event_create(void) EDDY_ANY_THREAD;
EDDY_API void eddy_event_release(eddy_event *event) EDDY_ANY_THREAD;
/** Wakes all who wait now; later waits do not suspend until it is cleared. Source: asyncio.Event. */
EDDY_API void eddy_event_set(eddy_event *event) EDDY_ANY_THREAD;
EDDY_API void eddy_event_clear(eddy_event *event) EDDY_ANY_THREAD;
EDDY_API bool eddy_event_is_set(const eddy_event *event) EDDY_ANY_THREAD;
EDDY_API int eddy_event_wait(eddy_event *event) EDDY_SUSPENDS;

typedef struct eddy_semaphore eddy_semaphore;
EDDY_API eddy_semaphore *eddy_semaphore_create(size_t slots) EDDY_ANY_THREAD;
EDDY_API void eddy_semaphore_release(eddy_semaphore *semaphore) EDDY_ANY_THREAD;
/** Takes a slot. Suspends while there is none. Source: asyncio.Semaphore.acquire. */
EDDY_API int eddy_semaphore_acquire(eddy_semaphore *semaphore) EDDY_SUSPENDS;
/** Takes a slot if there is one and nobody waits. @return true if taken. */
EDDY_API bool eddy_semaphore_try_acquire(eddy_semaphore *semaphore) EDDY_ANY_THREAD;
/** Gives a slot back: the oldest waiter gets it reserved. */
EDDY_API void eddy_semaphore_post(eddy_semaphore *semaphore) EDDY_ANY_THREAD;

typedef struct eddy_queue eddy_queue;
/** `capacity` items (0: no bound). `drop` (may be NULL) runs on items that are left at the last release. */
EDDY_API eddy_queue *eddy_queue_create(size_t capacity, eddy_drop_fn drop) EDDY_ANY_THREAD;
EDDY_API void eddy_queue_release(eddy_queue *queue) EDDY_ANY_THREAD;
/** Takes `item` when 0 is returned. Suspends while full. @return 0, EDDY_ECANCELED, EDDY_ECLOSED, EDDY_ENOMEM. */
EDDY_API int eddy_queue_put(eddy_queue *queue, eddy_value item) EDDY_SUSPENDS;
/** Never suspends; any thread. @return 0, EDDY_EBUSY when full, EDDY_ECLOSED, EDDY_ENOMEM. */
EDDY_API int eddy_queue_try_put(eddy_queue *queue, eddy_value item) EDDY_ANY_THREAD;
/** Gives the oldest item. Suspends while empty. @return 0, EDDY_ECANCELED, EDDY_ECLOSED once closed and empty. */
EDDY_API int eddy_queue_get(eddy_queue *queue, eddy_value *item_out) EDDY_SUSPENDS;
EDDY_API int eddy_queue_try_get(eddy_queue *queue, eddy_value *item_out) EDDY_ANY_THREAD; /**< EDDY_EBUSY: empty */
EDDY_API size_t eddy_queue_size(const eddy_queue *queue) EDDY_ANY_THREAD;
/** Puts fail at once with EDDY_ECLOSED, gets when it is empty. Idempotent. Source: Queue.shutdown. */
EDDY_API void eddy_queue_close(eddy_queue *queue) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
