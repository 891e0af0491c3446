/* Bare futures: their failures' texts, waiters on any workers, values with an owner. Their rules, F1 to F5:
 * tests/contract/future_test.c. */
#include "task/core_testing.h"

/* ---- their end ------------------------------------------------------------------------------------------- */

CORE_TEST(future, failure_has_a_text) {
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_fail(future, -61, "no data in %s", "slot"));
    EXPECT_EQ(-61, eddy_await(future, NULL));
    EXPECT_STR("no data in slot", eddy_error_text(eddy_error_current(-61)));
    EXPECT_STR("main", eddy_error_task(eddy_future_error(future)));
    eddy_future_release(future);
    EXPECT_STR("no data in slot", eddy_error_text(eddy_error_current(-61))); /* the task's own reference */

    future = eddy_future_create();
    EXPECT_OK(eddy_future_fail(future, -62, NULL));
    EXPECT_EQ(-62, eddy_await(future, NULL));
    EXPECT(eddy_error_current(-62) == NULL);
    eddy_future_release(future);
}

/* Every waiter of one future wakes exactly once, on however many workers the waiters sit. */
struct latch {
    eddy_future *future;
    _Atomic int woken;
};
static int latch_wait(void *arg, eddy_value *out) {
    struct latch *latch = arg;
    int status = eddy_await(latch->future, out);
    atomic_fetch_add(&latch->woken, 1);
    return status;
}

CORE_TEST(future, set_wakes_every_waiter_exactly_once) {
    struct latch latch = {.future = eddy_future_create()};
    eddy_task *waiters[8];
    for (int i = 0; i < 8; i++) waiters[i] = spawn(latch_wait, &latch);
    test_until_all_parked();
    EXPECT_EQ(0, latch.woken);
    EXPECT_OK(eddy_future_set(latch.future, EDDY_PTR(&latch)));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(latch.future, EDDY_NONE));
    for (int i = 0; i < 8; i++) {
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(waiters[i]), &value));
        EXPECT(value.ptr == &latch);
        eddy_task_release(waiters[i]);
    }
    EXPECT_EQ(8, latch.woken);
    eddy_future_release(latch.future);
}

/* ---- from plain threads ---------------------------------------------------------------------------------- */

static void *create_and_set(void *arg) {
    eddy_loop *loop = arg;
    for (int i = 0; i < 100; i++) {
        eddy_future *future = eddy_future_create_on(loop, NULL);
        EXPECT(future != NULL);
        EXPECT_OK(eddy_future_set(future, EDDY_I64(i)));
        eddy_future_release(future);
    }
    return NULL;
}

TEST(future, threads_make_and_free_futures_of_a_loop) {
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, create_and_set, eddy_loop_current()));
    EXPECT_OK(eddy_yield());
    pthread_join(thread, NULL);
}

/* ---- done callbacks -------------------------------------------------------------------------------------- */
#define ORDER_INIT \
    { .mutex = PTHREAD_MUTEX_INITIALIZER }

/* ---- values ---------------------------------------------------------------------------------------------- */

static _Atomic int dropped;
static void drop(eddy_value value) {
    atomic_fetch_add(&dropped, 1);
    EXPECT_EQ(77, value.i64);
}

CORE_TEST(future, value_is_dropped_once) {
    eddy_value value;
    eddy_future *future = eddy_future_create_on(eddy_loop_current(), drop);
    eddy_future *again = eddy_future_share(future);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(77)));
    eddy_future_release(future);
    EXPECT_EQ(0, atomic_load(&dropped));
    eddy_future_release(again);
    EXPECT_EQ(1, atomic_load(&dropped));

    future = eddy_future_create_on(eddy_loop_current(), drop);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(77)));
    EXPECT_OK(eddy_future_take(future, &value));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(future, &value));
    eddy_future_release(future);

    future = eddy_future_create_on(eddy_loop_current(), drop);
    eddy_future_release(future); /* pending: nothing to drop */
    future = eddy_future_create_on(eddy_loop_current(), drop);
    EXPECT(eddy_cancel(future));
    eddy_future_release(future);
    EXPECT_EQ(1, atomic_load(&dropped));
}
