/* quiet.c: "nothing but the caller can run", from the runtime's own queues. */
#if __has_include("runtime/simulate.h")
#include "harness/harness.h"
#include "sched/sched.h"
#include "task/task.h"

void ed_test_until_quiet(void);

static bool quiet(struct ed_worker *here) {
    if (here->ready.head != NULL || ed_deque_private_count(&here->deque) > 0) return false;
    for (unsigned i = 0; i < here->sched->workers_count; i++) {
        struct ed_worker *worker = here->sched->workers[i];
        if (!ed_inbox_empty(&worker->inbox) || ed_deque_shared_count(&worker->deque) > 0) return false;
        if (worker != here && ED_LOAD_SEQCST(&worker->sleep) != ED_SLEEPING) return false;
    }
    return true;
}

void ed_test_until_quiet(void) {
    struct ed_worker *here = ed_worker_current();
    while (!quiet(here)) (void)eddy_yield();
}
#endif
