/* lockfree.h: door of lockfree/: the work-stealing deque, the inbox, spin locks. The only room that
 * includes Concurrency Kit. */
#ifndef ED_LOCKFREE_LOCKFREE_H
#define ED_LOCKFREE_LOCKFREE_H

#include "lockfree/deque.h"
#include "lockfree/inbox.h"
#include "lockfree/spinlock.h"

#endif
