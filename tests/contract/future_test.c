/* Futures: F1 to F5. */
#include "contract/contract_testing.h"

/* ---- F1: ends once --------------------------------------------------------------------------------------- */

RULE(F1_the_result_of_a_pending_one_is_a_state_error) {
    eddy_value value;
    eddy_future *future = eddy_future_create();
    EXPECT(!eddy_future_done(future) && !eddy_future_cancelled(future));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_result(future, &value));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(future, &value));
    EXPECT(eddy_future_error(future) == NULL);
    eddy_future_release(future);
}

RULE(F1_ends_once_with_a_value) {
    eddy_value value;
    eddy_future *future = eddy_future_create();
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
}

RULE(F1_ends_once_with_a_failure) {
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_fail(future, -61, "no data in %s", "slot"));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_fail(future, -62, "again"));
    EXPECT(!eddy_cancel(future));
    EXPECT(eddy_future_done(future) && !eddy_future_cancelled(future));
    EXPECT_EQ(-61, eddy_await(future, NULL));
    EXPECT_STR("no data in slot", eddy_error_text(eddy_error_current(-61)));
    EXPECT_EQ(-61, eddy_await(future, NULL)); /* for each who asks */
    eddy_future_release(future);
}

RULE(F1_ends_once_cancelled) {
    eddy_future *future = eddy_future_create();
    EXPECT(eddy_cancel(future));
    EXPECT(!eddy_cancel(future));
    EXPECT(eddy_future_done(future) && eddy_future_cancelled(future));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_fail(future, -5, NULL));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(future, NULL));
    EXPECT_EQ(0, requests()); /* the future was cancelled, not this task */
    eddy_future_release(future);
}

/* Done and cancelled are for good before those who wait have run. */
RULE(F1_is_done_before_its_waiters_run) {
    eddy_future *future = eddy_future_create();
    eddy_task *waiter = spawn_parked(await_future, future);
    EXPECT_OK(eddy_future_set(future, EDDY_I64(3)));
    EXPECT(eddy_future_done(future) && !eddy_cancel(future));
    if (alone()) EXPECT(!eddy_future_done(EDDY_FUTURE(waiter)));
    EXPECT_OK(end_of(waiter));
    eddy_future_release(future);
}

struct race {
    eddy_future *futures[64];
    int own;
    _Atomic int won;
};
static void *race_to_end(void *arg) {
    struct race *race = arg;
    for (int i = 0; i < 64; i++) {
        int status = race->own == 3   ? (eddy_cancel(race->futures[i]) ? 0 : EDDY_ESTATE)
                     : race->own == 2 ? eddy_future_fail(race->futures[i], -9, "thread %d", 2)
                                      : eddy_future_set(race->futures[i], EDDY_I64(race->own));
        if (status == 0) race->won++;
        EXPECT(status == 0 || status == EDDY_ESTATE);
    }
    return NULL;
}

/* MT: four threads set, fail and cancel the same futures while a task waits for each: one wins, the others get the
 * state error. */
RULE(F1_one_of_many_threads_decides, TEST_REAL, TEST_LIMIT(60)) {
    for (int round = 0; round < 10; round++) {
        struct race races[4] = {0};
        eddy_task *waiters[64];
        pthread_t threads[4];
        for (int i = 0; i < 64; i++) {
            eddy_future *future = eddy_future_create();
            for (int k = 0; k < 4; k++) races[k].futures[i] = future;
            waiters[i] = spawn(await_future, future);
        }
        for (int k = 0; k < 4; k++) {
            races[k].own = k;
            EXPECT_EQ(0, pthread_create(&threads[k], NULL, race_to_end, &races[k]));
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

/* ---- F2: done callbacks ---------------------------------------------------------------------------------- */

struct order {
    pthread_mutex_t mutex;
    int count, seen[16], workers[16];
};
struct tag {
    struct order *order;
    int tag;
};
static int note_tag(eddy_future *future, void *arg) {
    struct tag *tag = arg;
    pthread_mutex_lock(&tag->order->mutex);
    EXPECT(eddy_future_done(future));
    EXPECT(eddy_current_task() == NULL);
    tag->order->workers[tag->order->count] = eddy_worker_index();
    tag->order->seen[tag->order->count++] = tag->tag;
    pthread_mutex_unlock(&tag->order->mutex);
    return 0;
}

RULE(F2_callbacks_run_in_the_order_added_never_inline) {
    struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tag tags[8];
    eddy_future *future = eddy_future_create();
    for (int i = 0; i < 8; i++) {
        tags[i] = (struct tag){&order, i};
        EXPECT_OK(eddy_future_add_callback(future, note_tag, &tags[i]));
    }
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(0, order.count);
    test_until_all_parked();
    EXPECT_EQ(8, order.count);
    for (int i = 0; i < 8; i++) EXPECT_EQ(i, order.seen[i]);
    eddy_future_release(future);
}

RULE(F2_added_when_done_they_come_through_the_loop_too) {
    struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tag tags[2] = {{&order, 0}, {&order, 1}};
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_future_add_callback(future, note_tag, &tags[i]));
    EXPECT_EQ(0, order.count);
    test_until_all_parked();
    EXPECT_EQ(2, order.count);
    for (int i = 0; i < 2; i++) EXPECT_EQ(i, order.seen[i]);
    eddy_future_release(future);
}

/* Each through call_soon: what was queued before the end runs before them, what is queued after it behind them. */
RULE_OF_ORDER(F2_callbacks_take_their_place_in_the_loops_queue) {
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d1"));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s2", NULL));
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d2"));
    EXPECT_OK(eddy_yield());
    expect_trace("s1 d1 s2 d2");
    eddy_future_release(future);
}

static int await_and_note(void *arg, eddy_value *out) {
    void **what = arg;
    int status = eddy_await(what[0], out);
    note(what[1]);
    return status;
}

/* Waiting tasks and callbacks are one list. */
RULE_OF_ORDER(F2_waiters_and_callbacks_share_one_order) {
    eddy_future *future = eddy_future_create();
    void *first[] = {future, "w1"}, *second[] = {future, "w2"};
    eddy_task *tasks[2];
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d1"));
    tasks[0] = spawn(await_and_note, first);
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d2"));
    tasks[1] = spawn(await_and_note, second);
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d3"));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    for (int i = 0; i < 2; i++) EXPECT_OK(end_of(tasks[i]));
    expect_trace("d1 w1 d2 w2 d3");
    eddy_future_release(future);
}

static int set_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_future_set(arg, EDDY_NONE);
}

/* MT: on whichever worker the future ends, its callbacks run on its own loop. */
RULE(F2_callbacks_run_on_the_futures_loop) {
    for (int round = 0; round < 20; round++) {
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct tag tags[4];
        eddy_future *future = eddy_future_create();
        int home = eddy_worker_index();
        for (int i = 0; i < 4; i++) {
            tags[i] = (struct tag){&order, i};
            EXPECT_OK(eddy_future_add_callback(future, note_tag, &tags[i]));
        }
        eddy_task *setter;
        EXPECT_OK(eddy_spawn(&setter, set_it, future, EDDY_TASK(.loop = EDDY_ANYWHERE)));
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

static int fail_done(eddy_future *future, void *arg) {
    (void)future;
    return *(int *)arg;
}

RULE(F2_one_that_fails_does_not_stop_the_others) {
    int status = -42;
    struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tag tags[2] = {{&order, 0}, {&order, 1}};
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, note_tag, &tags[0]));
    EXPECT_OK(eddy_future_add_callback(future, fail_done, &status));
    EXPECT_OK(eddy_future_add_callback(future, note_tag, &tags[1]));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    test_until_all_parked();
    EXPECT_EQ(2, order.count);
    TAKE_REPORT(EDDY_REPORT_CALLBACK_FAILED, -42);
    eddy_future_release(future);
}

RULE(F2_remove_takes_all_equal_ones_and_counts_them) {
    struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tag a = {&order, 1}, b = {&order, 2};
    eddy_future *future = eddy_future_create();
    EXPECT_EQ(0, eddy_future_remove_callback(future, note_tag, &a));
    EXPECT_OK(eddy_future_add_callback(future, note_tag, &a));
    EXPECT_OK(eddy_future_add_callback(future, note_tag, &b));
    EXPECT_OK(eddy_future_add_callback(future, note_tag, &a));
    EXPECT_EQ(2, eddy_future_remove_callback(future, note_tag, &a));
    EXPECT_EQ(0, eddy_future_remove_callback(future, note_tag, &a));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_EQ(0, eddy_future_remove_callback(future, note_tag, &b)); /* on its way: it runs */
    test_until_all_parked();
    EXPECT_EQ(1, order.count);
    EXPECT_EQ(2, order.seen[0]);
    eddy_future_release(future);
}

static int add_more(eddy_future *future, void *arg) {
    int *left = arg;
    if (--*left > 0) EXPECT_OK(eddy_future_add_callback(future, add_more, left));
    return 0;
}

RULE(F2_callbacks_may_add_callbacks) {
    int left = 6;
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, add_more, &left));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    eddy_future_release(future); /* they hold it */
    test_until_all_parked();
    EXPECT_EQ(0, left);
}

static int see_result(eddy_future *future, void *arg) {
    *(_Atomic int *)arg = eddy_future_result(future, NULL);
    return 0;
}

/* A task is a future: its callbacks run when it has ended. */
RULE(F2_a_task_has_callbacks) {
    _Atomic int seen = 0;
    int status = -33;
    eddy_task *task = spawn(fail_with, &status);
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(task), see_result, (void *)&seen));
    eddy_task_release(task);
    while (seen == 0) EXPECT_OK(eddy_yield());
    EXPECT_EQ(-33, seen);
    test_until_all_parked();
}

/* ---- F3: failures that nobody looks at ------------------------------------------------------------------- */

RULE(F3_a_failure_is_reported_when_the_last_reference_goes) {
    eddy_future *future = eddy_future_create(), *again = eddy_future_share(future);
    EXPECT_OK(eddy_future_fail(future, -32, "nobody looks"));
    eddy_future_release(future);
    EXPECT_EQ(0, test_reports_left());
    eddy_future_release(again);
    const struct test_report *report = TAKE_REPORT(EDDY_REPORT_NEVER_RETRIEVED, -32);
    EXPECT_HAS(report->message, "never retrieved");
    EXPECT_STR("nobody looks", report->text);
}

RULE(F3_of_a_task_with_its_name) {
    int status = -31;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fail_with, &status, EDDY_TASK(.name = "dropped")));
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    eddy_task_release(task);
    test_until_all_parked();
    EXPECT_STR("dropped", TAKE_REPORT(EDDY_REPORT_NEVER_RETRIEVED, -31)->task);
    EXPECT_OK(eddy_spawn(NULL, fail_with, &status, EDDY_TASK(.name = "lost"))); /* nobody ever could */
    while (test_reports_left() == 0) EXPECT_OK(eddy_yield());
    EXPECT_STR("lost", TAKE_REPORT(EDDY_REPORT_NEVER_RETRIEVED, -31)->task);
}

/* Each of the ways to look, and cancelling: no report is left, or the harness fails this test. */
RULE(F3_looking_or_cancelling_clears_it) {
    int status = -31;
    for (int way = 0; way < 6; way++) {
        eddy_future *future = eddy_future_create();
        if (way < 5) EXPECT_OK(eddy_future_fail(future, -32, "text"));
        switch (way) {
        case 0: EXPECT_EQ(-32, eddy_await(future, NULL)); break;
        case 1: EXPECT_EQ(-32, eddy_future_result(future, NULL)); break;
        case 2: EXPECT(eddy_future_error(future) != NULL); break;
        case 3: EXPECT_EQ(-32, eddy_future_take(future, NULL)); break;
        case 4: EXPECT_EQ(-32, eddy_wait_for(future, 0, NULL)); break;
        default: EXPECT(eddy_cancel(future)); break;
        }
        eddy_future_release(future);
    }
    EXPECT_EQ(-31, end_of(spawn(fail_with, &status)));
    eddy_task *task = spawn(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    eddy_task_release(task);
    test_until_all_parked();
}

/* ---- F4: what cannot be awaited -------------------------------------------------------------------------- */

static int await_itself(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_await(EDDY_FUTURE(eddy_current_task()), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ESTATE)), "cannot await itself");
    return 0;
}

RULE(F4_a_task_that_awaits_itself_gets_a_state_error) { EXPECT_OK(end_of(spawn(await_itself, NULL))); }

static int await_foreign(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_await(arg, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ESTATE)), "another runtime");
    return 0;
}
static void *run_another(void *arg) {
    EXPECT_OK(eddy_run(await_foreign, arg, NULL, EDDY_RUN(.workers = 1, .serial = true)));
    return NULL;
}

RULE(F4_a_future_of_another_runtime_gets_a_state_error, TEST_REAL) {
    eddy_future *future = eddy_future_create();
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, run_another, future));
    pthread_join(thread, NULL);
    EXPECT(!eddy_future_done(future));
    eddy_future_release(future);
}

/* ---- F5: across loops ------------------------------------------------------------------------------------ */

/* A future is awaited from any domain as it is: state, value and failure arrive, and a cancel of the awaiter cancels it. */
struct crossing {
    eddy_future *future;
    int status;
    int64_t value;
};
static int await_crossing(void *arg, eddy_value *out) {
    struct crossing *self = arg;
    eddy_value value = EDDY_I64(-1);
    self->status = eddy_await(self->future, &value);
    self->value = value.i64;
    (void)out;
    return self->status;
}

RULE(F5_state_crosses_from_loop_to_loop) {
    static const int ends[] = {0, -9, EDDY_ECANCELED};
    for (int i = 0; i < 3; i++) {
        eddy_loop *loop;
        EXPECT_OK(eddy_domain_open(&loop));
        struct crossing self = {.future = eddy_future_create()};
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, await_crossing, &self, EDDY_TASK(.loop = loop)));
        test_until_all_parked();
        if (i == 0) EXPECT_OK(eddy_future_set(self.future, EDDY_I64(7)));
        if (i == 1) EXPECT_OK(eddy_future_fail(self.future, -9, "from afar"));
        if (i == 2) EXPECT(eddy_cancel(self.future));
        EXPECT_EQ(ends[i], eddy_await(EDDY_FUTURE(task), NULL));
        EXPECT_EQ(ends[i], self.status);
        EXPECT_EQ(i == 0 ? 7 : -1, self.value);
        if (i == 1) EXPECT_STR("from afar", eddy_error_text(eddy_error_current(-9)));
        eddy_task_release(task);
        eddy_future_release(self.future);
    }
}

RULE(F5_cancelling_the_outer_cancels_the_source_on_another_loop) {
    eddy_loop *loop;
    EXPECT_OK(eddy_domain_open(&loop));
    struct crossing self = {.future = eddy_future_create()};
    eddy_task *outer, *inner;
    EXPECT_OK(eddy_spawn(&inner, await_future, self.future, EDDY_TASK(.loop = loop)));
    struct crossing chained = {.future = EDDY_FUTURE(inner)};
    EXPECT_OK(eddy_domain_open(&loop));
    EXPECT_OK(eddy_spawn(&outer, await_crossing, &chained, EDDY_TASK(.loop = loop)));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(outer)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(outer));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(inner)) && eddy_future_cancelled(self.future));
    eddy_task_release(inner);
    eddy_future_release(self.future);
}
