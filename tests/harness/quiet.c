/* quiet.c: "nothing but the caller can run", from the runtime's own queues. */
#if __has_include("runtime/simulate.h")
#include "harness/harness.h"
#include "sched/sched.h"
#include "task/task.h"

void ed_test_until_quiet(void);
void ed_test_stay(void);

/* Whether all other workers sleep, and how often they have gone to sleep so far. */
static bool asleep(struct ed_worker *here, uint64_t *parks_out) {
    *parks_out = 0;
    for (unsigned i = 0; i < here->sched->workers_count; i++) {
        struct ed_worker *worker = here->sched->workers[i];
        if (worker != here && ED_LOAD_SEQCST(&worker->sleep) != ED_SLEEPING) return false;
        *parks_out += ED_LOAD_SEQCST(&worker->counts.parks);
    }
    return true;
}

/* One look at the queues is not enough: a worker may have sent a message and gone to sleep behind it. So they are looked
 * at between two looks at the workers in which nobody woke. */
static bool quiet(struct ed_worker *here) {
    uint64_t before, after;
    if (!asleep(here, &before)) return false;
    if (ed_anybody_waits(here) || ed_deque_private_count(&here->deque) > 0) return false;
    for (unsigned i = 0; i < here->sched->workers_count; i++) {
        struct ed_worker *worker = here->sched->workers[i];
        if (!ed_inbox_empty(&worker->inbox) || ed_deque_shared_count(&worker->deque) > 0) return false;
    }
    return asleep(here, &after) && before == after;
}

void ed_test_stay(void) { ed_fiber_current()->migrates = false; }

void ed_test_until_quiet(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    const bool migrates = fiber->migrates;
    fiber->migrates = false; /* else the caller wakes a worker each time that it looks whether all sleep */
    while (!quiet(ed_worker_current())) (void)eddy_yield();
    fiber->migrates = migrates;
}
#endif
