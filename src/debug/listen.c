/* listen.c: debug mode listens to what the workers do: since when a task waits, and what it holds then.
 * Threads: the worker on which it happens. Tests: tests/debug/picture_test.c, hold_test.c. */
#include "debug/debug.h"

static void look_at_holds(const eddy_task *task, const char *reason) {
    struct ed_strand *strand = ed_strand_of(ed_task_fiber((eddy_task *)(uintptr_t)task));
    if (ED_UNLIKELY(strand->holds != NULL)) ed_hold_suspends(strand, reason);
}

static void hear(struct ed_listener *listener, struct ed_worker *worker, enum ed_event event, const void *what,
                 int64_t number, const char *text) {
    (void)listener, (void)number;
    eddy_task *task = (eddy_task *)(uintptr_t)what;
    switch (event) {
    case ED_EVENT_DIRECT: look_at_holds(task, "await"); break;
    case ED_EVENT_PREEMPT: look_at_holds(task, "fairness"); break;
    case ED_EVENT_PARK:
        task->since_ns = worker->sched->driver->now(worker);
        look_at_holds(task, text);
        break;
    case ED_EVENT_RESUME: task->since_ns = 0; break;
    default: break;
    }
}

struct ed_listener ed_debug_listener = {hear};
