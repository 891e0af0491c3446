/* contract_testing.h: for the tests of asyncio's rules: a trace of what ran, and the usual bodies. See rule.h. */
#ifndef CONTRACT_TESTING_H
#define CONTRACT_TESTING_H

#include "contract/rule.h"
#include "task/core_testing.h"

/* ---- what ran, in its order ------------------------------------------------------------------------------ */

static pthread_mutex_t trace_mutex = PTHREAD_MUTEX_INITIALIZER;
static char trace[1024];
static size_t trace_used;

static inline void note(const char *what) {
    pthread_mutex_lock(&trace_mutex);
    trace_used +=
        (size_t)snprintf(trace + trace_used, sizeof trace - trace_used, "%s%s", trace_used > 0 ? " " : "", what);
    EXPECT(trace_used < sizeof trace);
    pthread_mutex_unlock(&trace_mutex);
}

/* All of it since the last time. */
static inline void expect_trace(const char *want) {
    pthread_mutex_lock(&trace_mutex);
    EXPECT_STR(want, trace);
    trace_used = 0;
    trace[0] = '\0';
    pthread_mutex_unlock(&trace_mutex);
}

static inline int note_call(void *arg) {
    note(arg);
    return 0;
}
static inline int note_done(eddy_future *future, void *arg) {
    EXPECT(eddy_future_done(future));
    note(arg);
    return 0;
}
static inline int note_body(void *arg, eddy_value *out) {
    (void)out;
    note(arg);
    return 0;
}

/* ---- bodies ---------------------------------------------------------------------------------------------- */

/* Fails with the status that `arg` points to. */
static inline int fail_with(void *arg, eddy_value *out) {
    (void)out;
    int status = *(int *)arg;
    return eddy_fail(status, "failed with %d", status);
}
static inline int fail_soon(void *arg, eddy_value *out) {
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    return fail_with(arg, out);
}

/* Goes on until the future is done, however often it is cancelled. */
static inline int ignore_cancels(void *arg, eddy_value *out) {
    int status;
    do status = await_shielded(arg, out);
    while (status == EDDY_ECANCELED);
    return status;
}

/* A request for the calling task, pending when this returns. */
static inline void cancel_self(void) { EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task()))); }
static inline unsigned requests(void) { return eddy_task_cancelling(eddy_current_task()); }

/* Nobody can start a task but the caller's own worker in its own time. */
static inline bool alone(void) { return test_serial() || (test_workers() == 1 && !test_simulated()); }

#endif
