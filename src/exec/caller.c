/* caller.c: see caller.h. */
#include "exec/caller.h"

bool ed_caller_park(struct ed_caller *caller, const char *reason, int *interrupted_out) {
    if (caller->fiber == ED_CALLER_HERE) return true;
    caller->fiber = ed_fiber_current();
    const struct ed_park park = {.reason = reason, .deadline_ns = INT64_MAX};
    const int status = ed_park(&park);
    if (status < 0) *interrupted_out = status;
    if (caller->fiber == ED_CALLER_HERE) return true;
    caller->fiber = NULL;
    return false;
}

void ed_caller_wake(struct ed_caller *caller) {
    if (ed_post(caller->worker, &caller->message) < 0) caller->message.arrive(&caller->message, caller->worker);
}
