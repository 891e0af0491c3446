/* Timeout scopes of many tasks. The rules, W1 to W5: tests/contract/timeout_test.c. */
#include "task/core_testing.h"

/* A request that was there and not yet delivered when the scope began is delivered inside, and passes through. */
CORE_TEST(scope, passes_on_a_request_that_was_pending_before_it) {
    eddy_task *self = eddy_current_task();
    EXPECT(eddy_cancel(EDDY_FUTURE(self)));
    EXPECT_EQ(EDDY_ECANCELED, EDDY_TIMEOUT(0, eddy_sleep(EDDY_SECONDS(1))));
    EXPECT_EQ(0, eddy_task_uncancel(self));
    EXPECT(eddy_cancel(EDDY_FUTURE(self)));
    EXPECT_EQ(EDDY_ECANCELED, EDDY_TIMEOUT(0, EDDY_TIMEOUT(0, eddy_sleep(EDDY_SECONDS(1)))));
    EXPECT_EQ(0, eddy_task_uncancel(self));
    EXPECT_OK(eddy_yield());
}

/* Outer and inner expire in one pass: the inner converts, the outer's own request is still there for the
 * next wait. */
CORE_TEST(scope, inner_and_outer_at_once) {
    eddy_timeout_push(0);
    eddy_timeout_push(0);
    int status = eddy_timeout_pop(eddy_yield());
    EXPECT(status == EDDY_ETIMEDOUT || status == EDDY_ECANCELED);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_timeout_pop(EDDY_ECANCELED));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_yield());
}

/* Each of many tasks has its own scopes, at every depth; all timers go. */
static int many_scopes(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_US(20), eddy_sleep(EDDY_SECONDS(1000))));
        EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), EDDY_TIMEOUT(EDDY_SECONDS(1000), eddy_sleep(1000))));
    }
    return 0;
}

CORE_TEST(scope, of_200_tasks) {
    eddy_task *tasks[200];
    for (int i = 0; i < 200; i++) tasks[i] = spawn(many_scopes, NULL);
    for (int i = 0; i < 200; i++) EXPECT_OK(end_of(tasks[i]));
}

CORE_TEST(scope, tells_its_deadline) {
    EXPECT_EQ(EDDY_FOREVER, eddy_timeout_deadline_ns());
    const int64_t before_ns = eddy_time_ns();
    eddy_timeout_push(EDDY_SECONDS(100));
    EXPECT(eddy_timeout_deadline_ns() >= before_ns + EDDY_SECONDS(100));
    EXPECT(eddy_timeout_deadline_ns() <= eddy_time_ns() + EDDY_SECONDS(100));
    EXPECT_OK(eddy_timeout_reschedule(EDDY_FOREVER));
    EXPECT_EQ(EDDY_FOREVER, eddy_timeout_deadline_ns());
    EXPECT_OK(eddy_timeout_pop(0));
}
