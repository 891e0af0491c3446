#include "sync/guard.h"

enum { TAKEN_FREE = 16, TAKEN_SHARE = 64 }; /* so many biases taken are no sign of anything; then one in so many */

static _Atomic uint64_t taken; /* in this process, from anybody: advice */

void ed_guard_init(struct ed_guard *guard) {
    struct ed_worker *here = ed_worker_current();
    uint64_t owner = ED_GUARD_SHARED;
    if (here != NULL && here->identity != 0) {
        uint64_t now = ED_LOAD_RELAXED(&taken);
        if (here->guards_made == 0) here->guards_taken_before = now;
        here->guards_made++;
        if (now - here->guards_taken_before <= TAKEN_FREE + here->guards_made / TAKEN_SHARE) owner = here->identity;
    }
    ED_STORE_RELAXED(&guard->owner, owner);
    ED_STORE_RELAXED(&guard->inside, ED_GUARD_OUT);
    ed_spinlock_init(&guard->lock);
}

void ed_guard_lock_shared(struct ed_guard *guard) {
    ed_spinlock_lock(&guard->lock);
    if (ED_LIKELY(ED_LOAD_RELAXED(&guard->owner) == ED_GUARD_SHARED)) return;
    ED_STORE_RELAXED(&guard->owner, ED_GUARD_SHARED);
    ed_barrier(); /* partner: the owner's second look */
    while (ED_LOAD_ACQUIRE(&guard->inside) != ED_GUARD_OUT) ed_cpu_relax();
    ED_ADD_RELAXED(&taken, 1);
}
