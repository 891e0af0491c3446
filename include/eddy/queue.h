/* eddy/queue.h: queues of values between tasks and threads: oldest first, youngest first, least first.
 *
 * What eddy/sync.h says about life, cancel, status, plain threads and cost holds here too. The order of service is
 * asyncio's: an item that comes wakes the getter that has waited longest, but whoever asks before that one has run may
 * be faster; then it waits again. */
#ifndef EDDY_QUEUE_H
#define EDDY_QUEUE_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_queue eddy_queue;

/** A queue for `capacity` items; 0: no bound. NULL: no memory.
 *  @param drop  May be NULL. Runs once on each item that is left at the release, in the queue's order, on its thread;
 *               on those that eddy_queue_close_now finds, on that one's.
 *  Source: asyncio.Queue. */
EDDY_API eddy_queue *eddy_queue_create(size_t capacity, eddy_drop_fn drop) EDDY_ANY_THREAD;
/** The youngest item comes out first. Source: asyncio.LifoQueue. */
EDDY_API eddy_queue *eddy_queue_create_lifo(size_t capacity, eddy_drop_fn drop) EDDY_ANY_THREAD;
/** The item of the least priority comes out first; of equal ones that which was put first.
 *  @param priority  Asked once for each item, by the putter, before it is in the queue. Must not suspend. NULL: no
 *                   queue is made.
 *  Cost: memory for the most items that it ever held at once is kept until the release.
 *  Source: asyncio.PriorityQueue, whose order of equal items is open. */
EDDY_API eddy_queue *eddy_queue_create_priority(size_t capacity, int64_t (*priority)(eddy_value item),
                                                eddy_drop_fn drop) EDDY_ANY_THREAD;
EDDY_API void eddy_queue_release(eddy_queue *queue) EDDY_ANY_THREAD;

/** Puts an item in.
 *  @param item  Taken when 0 is returned, else still the caller's.
 *  @return      0, EDDY_ECANCELED, EDDY_ECLOSED, EDDY_ENOMEM.
 *  Waits: while the queue is full.  Cost: an allocation for each 62 items that the queue has not held before (a
 *  priority queue: 17).  Source: Queue.put. */
EDDY_API int eddy_queue_put(eddy_queue *queue, eddy_value item) EDDY_WAITS;
/** The same, never waiting. @return also EDDY_EBUSY when it is full. Source: Queue.put_nowait. */
EDDY_API int eddy_queue_try_put(eddy_queue *queue, eddy_value item) EDDY_ANY_THREAD;

/** Takes the next item out.
 *  @param item_out  Written when 0 is returned: the caller's from then on.
 *  @return          0; EDDY_ECANCELED: no item was taken; EDDY_ECLOSED once the queue is closed and empty.
 *  Waits: while the queue is empty.  Source: Queue.get. */
EDDY_API int eddy_queue_get(eddy_queue *queue, eddy_value *item_out) EDDY_WAITS;
/** The same, never waiting. @return also EDDY_EBUSY when it is empty. Source: Queue.get_nowait. */
EDDY_API int eddy_queue_try_get(eddy_queue *queue, eddy_value *item_out) EDDY_ANY_THREAD;

/** Items in it. Out of date at once where others use it. Source: Queue.qsize. */
EDDY_API size_t eddy_queue_size(const eddy_queue *queue) EDDY_ANY_THREAD;

/** Says that one item that was got has been dealt with. Only who uses eddy_queue_join needs it.
 *  @return 0, EDDY_ESTATE if it is called more often than items were put.  Source: Queue.task_done. */
EDDY_API int eddy_queue_task_done(eddy_queue *queue) EDDY_ANY_THREAD;
/** Waits until every item that was put has been said to be done with; what is put before it runs again does not matter.
 *  @return 0, EDDY_ECANCELED.  Waits: while one is not.  Source: Queue.join. */
EDDY_API int eddy_queue_join(eddy_queue *queue) EDDY_WAITS;

/** Puts fail from now on with EDDY_ECLOSED, those that wait too; gets when the last item is gone. Idempotent. Never
 *  suspends. Source: Queue.shutdown(). */
EDDY_API void eddy_queue_close(eddy_queue *queue) EDDY_ANY_THREAD;
/** The same, and the items that are in it are dropped, and count as done with. Source:
 *  Queue.shutdown(immediate=True). */
EDDY_API void eddy_queue_close_now(eddy_queue *queue) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
