/* Bare futures: one end (F1), whoever sets it; done callbacks in order and never inline (F2); failures that
 * nobody looked at (F3, in report_test.c); values with an owner. */
#include "task/core_testing.h"

/* ---- one end --------------------------------------------------------------------------------------------- */

CORE_TEST(future, ends_once) {
    eddy_value value;
    eddy_future *future = eddy_future_create();
    EXPECT(!eddy_future_done(future));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_result(future, &value));
    EXPECT(eddy_future_error(future) == NULL);
    EXPECT_EQ(EDDY_EINVAL, eddy_future_fail(future, 0, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_future_fail(future, EDDY_ECANCELED, NULL));
    EXPECT(!eddy_future_done(future));

    EXPECT_OK(eddy_future_set(future, EDDY_I64(3)));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(future, EDDY_I64(4)));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_fail(future, -5, "late"));
    EXPECT(!eddy_cancel(future));
    EXPECT(eddy_future_done(future) && !eddy_future_cancelled(future));
    EXPECT_OK(eddy_future_result(future, &value));
    EXPECT_EQ(3, value.i64);
    EXPECT_OK(eddy_await(future, &value));
    EXPECT_EQ(3, value.i64);
    eddy_future_release(future);

    future = eddy_future_create();
    EXPECT(eddy_cancel(future));
    EXPECT(!eddy_cancel(future));
    EXPECT(eddy_future_cancelled(future));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(future, NULL));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task())); /* the future was cancelled, not this task */
    eddy_future_release(future);
}

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

CORE_TEST(future, a_task_is_not_for_others_to_set) {
    eddy_future *gate = eddy_future_create();
    eddy_task *task = spawn_parked(await_future, gate);
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(EDDY_FUTURE(task), EDDY_NONE));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_fail(EDDY_FUTURE(task), -5, "no"));
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(task));
    eddy_future_release(gate);
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

struct race {
    eddy_future *futures[64];
    int count;
    int64_t own;
    _Atomic int won;
};
static void *race_to_set(void *arg) {
    struct race *race = arg;
    for (int i = 0; i < race->count; i++) {
        int status = race->own == 3   ? (eddy_cancel(race->futures[i]) ? 0 : EDDY_ESTATE)
                     : race->own == 2 ? eddy_future_fail(race->futures[i], -9, "thread %d", 2)
                                      : eddy_future_set(race->futures[i], EDDY_I64(race->own));
        if (status == 0) atomic_fetch_add(&race->won, 1);
        EXPECT(status == 0 || status == EDDY_ESTATE);
    }
    return NULL;
}

/* Four threads set, fail and cancel the same futures while a task waits for each: one wins each (F1). */
TEST(future, threads_race_to_end_it, TEST_LIMIT(60)) {
    for (int round = 0; round < 20; round++) {
        struct race races[4] = {0};
        eddy_task *waiters[64];
        for (int i = 0; i < 64; i++) {
            eddy_future *future = eddy_future_create();
            for (int k = 0; k < 4; k++) races[k].futures[i] = future;
            waiters[i] = spawn(await_future, future);
        }
        pthread_t threads[4];
        for (int k = 0; k < 4; k++) {
            races[k].count = 64;
            races[k].own = k;
            EXPECT_EQ(0, pthread_create(&threads[k], NULL, race_to_set, &races[k]));
        }
        for (int i = 0; i < 64; i++) {
            eddy_value value = EDDY_NONE, again = EDDY_NONE;
            int status = eddy_await(EDDY_FUTURE(waiters[i]), &value);
            EXPECT(status == 0 || status == -9 || status == EDDY_ECANCELED);
            EXPECT(status < 0 || value.i64 == 0 || value.i64 == 1);
            if (status == -9) EXPECT_STR("thread 2", eddy_error_text(eddy_error_current(-9)));
            EXPECT_EQ(status, eddy_future_result(races[0].futures[i], &again));
            EXPECT_EQ(value.i64, again.i64);
            eddy_task_release(waiters[i]);
        }
        int won = 0;
        for (int k = 0; k < 4; k++) {
            pthread_join(threads[k], NULL);
            won += races[k].won;
        }
        EXPECT_EQ(64, won);
        for (int i = 0; i < 64; i++) eddy_future_release(races[0].futures[i]);
    }
}

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

struct order {
    pthread_mutex_t mutex;
    int count;
    int64_t seen[64];
    int workers[64];
    eddy_future *future;
};
#define ORDER_INIT \
    { .mutex = PTHREAD_MUTEX_INITIALIZER }
struct tag {
    struct order *order;
    int64_t tag;
};

static int note_done(eddy_future *future, void *arg) {
    struct tag *tag = arg;
    pthread_mutex_lock(&tag->order->mutex);
    EXPECT(eddy_future_done(future));
    EXPECT(eddy_current_task() == NULL);
    tag->order->workers[tag->order->count] = eddy_worker_index();
    tag->order->seen[tag->order->count++] = tag->tag;
    pthread_mutex_unlock(&tag->order->mutex);
    return 0;
}

/* In the order added, each once, never inline; those added when it is done come through the loop as well. */
CORE_TEST(future, callbacks_run_in_order_on_the_home_loop) {
    struct order order = ORDER_INIT;
    struct tag tags[8];
    eddy_future *future = eddy_future_create();
    int home = eddy_worker_index();
    for (int i = 0; i < 8; i++) {
        tags[i] = (struct tag){&order, i};
        if (i < 6) EXPECT_OK(eddy_future_add_callback(future, note_done, &tags[i]));
    }
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(0, order.count);
    EXPECT_OK(eddy_future_add_callback(future, note_done, &tags[6]));
    EXPECT_OK(eddy_future_add_callback(future, note_done, &tags[7]));
    EXPECT_EQ(0, order.count);
    test_until_all_parked();
    EXPECT_EQ(8, order.count);
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(i, order.seen[i]);
        EXPECT_EQ(home, order.workers[i]);
    }
    eddy_future_release(future);
}

static int set_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_future_set(arg, EDDY_NONE);
}

/* Completed on whichever worker, the callbacks run on the home. */
CORE_TEST(future, callbacks_come_home) {
    for (int round = 0; round < 20; round++) {
        struct order order = ORDER_INIT;
        struct tag tags[4];
        eddy_future *future = eddy_future_create();
        int home = eddy_worker_index();
        for (int i = 0; i < 4; i++) {
            tags[i] = (struct tag){&order, i};
            EXPECT_OK(eddy_future_add_callback(future, note_done, &tags[i]));
        }
        eddy_task *setter = spawn(set_it, future);
        eddy_share();
        test_until_all_parked();
        EXPECT_OK(end_of(setter));
        EXPECT_EQ(4, order.count);
        for (int i = 0; i < 4; i++) {
            EXPECT_EQ(i, order.seen[i]);
            EXPECT_EQ(home, order.workers[i]);
        }
        eddy_future_release(future);
    }
}

CORE_TEST(future, remove_takes_all_equal_ones) {
    struct order order = ORDER_INIT;
    struct tag a = {&order, 1}, b = {&order, 2};
    eddy_future *future = eddy_future_create();
    EXPECT_EQ(0, eddy_future_remove_callback(future, note_done, &a));
    EXPECT_OK(eddy_future_add_callback(future, note_done, &a));
    EXPECT_OK(eddy_future_add_callback(future, note_done, &b));
    EXPECT_OK(eddy_future_add_callback(future, note_done, &a));
    EXPECT_EQ(2, eddy_future_remove_callback(future, note_done, &a));
    EXPECT_EQ(0, eddy_future_remove_callback(future, note_done, &a));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    test_until_all_parked();
    EXPECT_EQ(1, order.count);
    EXPECT_EQ(2, order.seen[0]);
    eddy_future_release(future);
}

/* A task is a future: its callbacks run when it has ended, with its result to see. */
static int see_result(eddy_future *future, void *arg) {
    atomic_store((_Atomic int *)arg, eddy_future_result(future, NULL));
    return 0;
}
static int fails(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return -33;
}

CORE_TEST(future, a_task_has_callbacks) {
    _Atomic int seen = 0;
    eddy_task *task = spawn(fails, NULL);
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(task), see_result, &seen));
    eddy_task_release(task);
    while (atomic_load(&seen) == 0) EXPECT_OK(eddy_yield());
    EXPECT_EQ(-33, atomic_load(&seen));
    test_until_all_parked();
}

static int add_more(eddy_future *future, void *arg) {
    struct tag *tag = arg;
    if (tag->tag-- > 0) EXPECT_OK(eddy_future_add_callback(future, add_more, tag));
    tag->order->count++;
    return 0;
}

CORE_TEST(future, callbacks_may_add_callbacks) {
    struct order order = ORDER_INIT;
    struct tag tag = {&order, 5};
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, add_more, &tag));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    eddy_future_release(future); /* they hold it */
    test_until_all_parked();
    EXPECT_EQ(6, order.count);
}

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
