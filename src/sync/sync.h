/* sync.h: door of sync/: lock, event, semaphore, queue. Rooms above use them as everybody does. */
#ifndef ED_SYNC_SYNC_H
#define ED_SYNC_SYNC_H

#include "eddy/sync.h"

#endif
