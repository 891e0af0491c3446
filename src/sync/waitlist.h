/* waitlist.h: how tasks wait for an object of this room, first come, first served. See waitlist.c. */
#ifndef ED_SYNC_WAITLIST_H
#define ED_SYNC_WAITLIST_H

#include "task/task.h"

/* What every object begins with. */
struct ed_sync {
    struct ed_spinlock lock;     /* guards the object's fields and its lists; nothing is called under it */
    _Atomic unsigned references; /* the owner's, and one for each task between its wait and its way out  */
};

void ed_sync_init(struct ed_sync *sync);

/* Gives a reference back. True: it was the last one, the caller must free the object. */
bool ed_sync_unref(struct ed_sync *sync);

/* A call that may suspend begins: counts it, for fairness. False: outside a task. */
bool ed_sync_enter(void);

/* Under the lock: takes the oldest waiter, which then has what the caller meant for it. False: nobody waits. After this
 * and the next, without the lock: ed_waiters_send. */
bool ed_waitlist_hand(struct ed_list *waiters, struct ed_list *taken);
/* Under the lock: takes all; they get nothing but EDDY_ECLOSED. */
void ed_waitlist_refuse_all(struct ed_list *waiters, struct ed_list *taken);

/* Waits at the end of `waiters`. Called with the lock held; returns without it, and with a reference more.
 * @return 0; EDDY_ECLOSED; EDDY_ECANCELED, EDDY_ENOMEM: then *handed_out says whether something was handed over
 * nevertheless, which the caller must hand on. */
int ed_waitlist_wait(struct ed_sync *sync, struct ed_list *waiters, const char *reason, bool *handed_out);

#endif
