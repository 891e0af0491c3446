/* sync.h: door of sync/: lock, event, condition, semaphore, barrier, read-write lock, once, gate, queue,
 * channel, select. Rooms above use them as everybody does. */
#ifndef ED_SYNC_SYNC_H
#define ED_SYNC_SYNC_H

#include "eddy/channel.h"
#include "eddy/gate.h"
#include "eddy/queue.h"
#include "eddy/sync.h"

#endif
