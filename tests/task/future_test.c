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

/* ---- a pending future that nobody can end any more ------------------------------------------------------------- */

static int never_called(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    EXPECT(false);
    return 0;
}
static int count_call(eddy_future *future, void *arg) {
    (void)future;
    ++*(int *)arg;
    return 0;
}
static int release_in_task(void *arg, eddy_value *out) {
    (void)out;
    eddy_future_release(arg);
    return 0;
}

/* Its callbacks go with it, and run no more; one that somebody waits for otherwise lives on. */
CORE_TEST(future, pending_one_goes_with_its_callbacks) {
    for (int callbacks = 1; callbacks < 4; callbacks++) {
        eddy_future *future = eddy_future_create();
        for (int i = 0; i < callbacks; i++) EXPECT_OK(eddy_future_add_callback(future, never_called, NULL));
        eddy_future_release(eddy_future_share(future));
        EXPECT_EQ(1, eddy_future_remove_callback(future, never_called, NULL) > 0);
        EXPECT_OK(eddy_future_add_callback(future, never_called, NULL));
        /* The last references go on whichever workers these run. */
        eddy_task *task = spawn(release_in_task, eddy_future_share(future));
        eddy_future_release(future);
        EXPECT_OK(end_of(task));
    }
    int called = 0;
    eddy_future *inner = eddy_future_create(), *outer;
    EXPECT_OK(eddy_future_add_callback(inner, count_call, &called));
    EXPECT_OK(eddy_shield(&outer, inner));
    eddy_future *setter = eddy_future_share(inner);
    eddy_future_release(inner); /* the shield has a reference, and the setter */
    EXPECT_OK(eddy_future_set(setter, EDDY_NONE));
    eddy_future_release(setter);
    EXPECT_OK(eddy_await(outer, NULL));
    eddy_future_release(outer);
    test_until_all_parked();
    EXPECT_EQ(1, called);
}

CORE_TEST(future, tells_its_loop) {
    eddy_future *future = eddy_future_create();
    EXPECT(eddy_future_loop(future) == eddy_loop_current());
    eddy_future_release(future);
    eddy_loop *loop;
    EXPECT_OK(eddy_domain_open(&loop));
    future = eddy_future_create_on(loop, NULL);
    EXPECT(eddy_future_loop(future) == loop);
    eddy_future_release(future);
}
