/* caller.c: see caller.h. */
#include "exec/caller.h"

static void arrive(struct ed_message *message, struct ed_worker *worker) {
    struct ed_caller *caller = ED_CONTAINER(message, struct ed_caller, message);
    ED_ASSERT(worker == caller->worker);
    ED_ASSERT(!caller->here);
    caller->here = true;
    struct ed_fiber *fiber = caller->fiber;
    caller->fiber = NULL;
    if (fiber != NULL) ed_wake(fiber, 0);
    caller->arrived(caller);
}

void ed_caller_init(struct ed_caller *caller, void (*arrived)(struct ed_caller *)) {
    caller->message.arrive = arrive;
    caller->worker = ed_worker_current();
    caller->fiber = NULL;
    caller->here = false;
    caller->arrived = arrived;
}

bool ed_caller_park(struct ed_caller *caller, const char *reason, int *interrupted_out) {
    if (caller->here) return true;
    caller->fiber = ed_fiber_current();
    const struct ed_park park = {.reason = reason, .deadline_ns = INT64_MAX};
    const int status = ed_park(&park);
    caller->fiber = NULL;
    if (status < 0) *interrupted_out = status;
    return caller->here;
}

void ed_caller_wake(struct ed_caller *caller) {
    if (ed_post(caller->worker, &caller->message) < 0) caller->arrived(caller);
}
