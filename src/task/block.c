/* block.c: a plain thread waits for a future.
 *
 * Idea       Its node lies on its own stack and belongs to no worker, so it arrives in whichever thread completes the
 *            future: arriving sets a flag that the thread sleeps on, and is the completer's last touch.
 * Timeout    Taken back under the future's lock; a node that is TAKEN by then is waited for: it arrives at once.
 * Threads    Any that is no worker.
 * Tests      tests/runtime/embed_test.c. */
#include "task/future.h"

struct blocked {
    struct ed_waiter waiter;
    _Atomic uint32_t arrived;
};

static void blocked_arrives(struct ed_waiter *waiter) {
    ed_thread_wake(&ED_CONTAINER(waiter, struct blocked, waiter)->arrived); /* the last touch */
}

static int64_t deadline_after(int64_t timeout_ns) {
    int64_t now_ns = ed_clock_ns();
    if (timeout_ns < 0) timeout_ns = 0;
    return timeout_ns < INT64_MAX - now_ns ? now_ns + timeout_ns : INT64_MAX;
}

int eddy_future_wait(eddy_future *future, int64_t timeout_ns, eddy_value *value_out) {
    if (ed_worker_current() != NULL) return EDDY_EWRONGTHREAD;
    struct blocked blocked = {.waiter.arrive = blocked_arrives};
    if (ed_future_link(future, &blocked.waiter)) {
        bool done = ed_thread_wait_until(&blocked.arrived, deadline_after(timeout_ns));
        if (!done && ed_future_unlink(future, &blocked.waiter)) return EDDY_ETIMEDOUT;
        ed_thread_wait(&blocked.arrived);
    }
    return eddy_future_result(future, value_out);
}
