/* gather, wait, as_completed, shield: G1 to G6. */
#include "contract/contract_testing.h"

/* A child that waits at a gate and then ends as told. */
struct gated {
    eddy_future *gate;
    int status;
    int64_t value;
};
static int end_at_gate(void *arg, eddy_value *out) {
    struct gated *gated = arg;
    int status = eddy_await(gated->gate, NULL);
    if (status < 0) return status;
    *out = EDDY_I64(gated->value);
    return gated->status < 0 ? fail_with(&gated->status, out) : 0;
}
static int open_gate(void *arg) { return eddy_future_set(arg, EDDY_NONE); }

enum { MANY = 3 };
struct set {
    eddy_future *gates[MANY], *futures[MANY];
    struct gated children[MANY];
    eddy_task *tasks[MANY];
};
static void set_up(struct set *set, int a, int b, int c) {
    const int statuses[MANY] = {a, b, c};
    for (int i = 0; i < MANY; i++) {
        set->gates[i] = eddy_future_create();
        set->children[i] = (struct gated){set->gates[i], statuses[i], 10 + i};
        set->tasks[i] = spawn(end_at_gate, &set->children[i]);
        set->futures[i] = EDDY_FUTURE(set->tasks[i]);
    }
    test_until_all_parked();
}
static void tear_down(struct set *set) {
    for (int i = 0; i < MANY; i++) {
        eddy_task_release(set->tasks[i]);
        eddy_future_release(set->gates[i]);
    }
}
static void open_in_order(struct set *set, int a, int b, int c) {
    const int order[MANY] = {a, b, c};
    for (int i = 0; i < MANY; i++)
        if (order[i] >= 0) EXPECT_OK(eddy_call_soon(NULL, open_gate, set->gates[order[i]], NULL));
}

/* A task that gathers or waits. */
struct caller {
    struct set *set;
    bool all;
    eddy_result results[MANY];
};
static int call_gather(void *arg, eddy_value *out) {
    (void)out;
    struct caller *self = arg;
    return self->all ? eddy_gather_all(self->set->futures, MANY, self->results)
                     : eddy_gather(self->set->futures, MANY, self->results);
}
static int call_wait(void *arg, eddy_value *out) {
    (void)out;
    struct caller *self = arg;
    return eddy_wait(self->set->futures, MANY, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
}

/* ---- G1: results ----------------------------------------------------------------------------------------- */

RULE(G1_results_come_in_argument_order) {
    struct set set;
    eddy_result results[MANY];
    set_up(&set, 0, 0, 0);
    open_in_order(&set, 2, 0, 1);
    EXPECT_OK(eddy_gather(set.futures, MANY, results));
    for (int i = 0; i < MANY; i++) {
        EXPECT_EQ(0, results[i].status);
        EXPECT_EQ(10 + i, results[i].value.i64);
    }
    EXPECT_OK(eddy_gather(set.futures, MANY, results)); /* all done already */
    EXPECT_EQ(12, results[2].value.i64);
    tear_down(&set);
}

RULE(G1_the_same_future_twice_appears_twice) {
    struct set set;
    eddy_result results[5];
    set_up(&set, 0, 0, 0);
    eddy_future *futures[] = {set.futures[1], set.futures[0], set.futures[1], set.futures[1], set.futures[2]};
    open_in_order(&set, 0, 1, 2);
    EXPECT_OK(eddy_gather(futures, 5, results));
    static const int want[] = {11, 10, 11, 11, 12};
    for (int i = 0; i < 5; i++) EXPECT_EQ(want[i], results[i].value.i64);
    tear_down(&set);
}

RULE(G1_of_nothing_it_is_done) {
    cancel_self(); /* it does not suspend */
    EXPECT_OK(eddy_gather(NULL, 0, NULL));
    EXPECT_OK(eddy_gather_all(NULL, 0, NULL));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
}

/* ---- G2: failures ---------------------------------------------------------------------------------------- */

RULE(G2_the_first_failure_is_given_at_once_and_the_others_run_on) {
    struct set set;
    set_up(&set, -21, -22, 0);
    open_in_order(&set, 1, -1, -1);
    EXPECT_EQ(-22, eddy_gather(set.futures, MANY, NULL));
    EXPECT_STR("failed with -22", eddy_error_text(eddy_error_current(-22)));
    EXPECT(!eddy_future_done(set.futures[0]) && !eddy_future_done(set.futures[2]));
    EXPECT_EQ(0, eddy_task_cancelling(set.tasks[0]));
    open_in_order(&set, 0, 2, -1);
    EXPECT_EQ(-21, eddy_await(set.futures[0], NULL));
    EXPECT_OK(eddy_await(set.futures[2], NULL));
    tear_down(&set);
}

/* No report may come of them: the harness looks. */
RULE(G2_later_failures_count_as_retrieved) {
    struct set set;
    set_up(&set, -21, -22, -23);
    open_in_order(&set, 1, -1, -1);
    EXPECT_EQ(-22, eddy_gather(set.futures, MANY, NULL));
    open_in_order(&set, 0, 2, -1);
    test_until_all_parked();
    tear_down(&set);
    test_until_all_parked();
}

RULE(G2_a_cancelled_child_is_a_failure_and_its_siblings_go_on) {
    struct set set;
    set_up(&set, 0, 0, 0);
    EXPECT(eddy_cancel(set.futures[1]));
    EXPECT_EQ(EDDY_ECANCELED, eddy_gather(set.futures, MANY, NULL));
    EXPECT_EQ(0, requests()); /* the caller was not cancelled */
    EXPECT_EQ(0, eddy_task_cancelling(set.tasks[0]));
    EXPECT(!eddy_future_done(set.futures[0]) && !eddy_future_done(set.futures[2]));
    open_in_order(&set, 0, 2, -1);
    EXPECT_OK(eddy_await(set.futures[0], NULL));
    EXPECT_OK(eddy_await(set.futures[2], NULL));
    tear_down(&set);
}

RULE(G2_with_return_exceptions_every_status_is_a_result) {
    struct set set;
    eddy_result results[MANY];
    set_up(&set, -21, 0, 0);
    EXPECT(eddy_cancel(set.futures[2]));
    open_in_order(&set, 0, 1, -1);
    EXPECT_OK(eddy_gather_all(set.futures, MANY, results));
    EXPECT_EQ(-21, results[0].status);
    EXPECT_EQ(0, results[1].status);
    EXPECT_EQ(11, results[1].value.i64);
    EXPECT_EQ(EDDY_ECANCELED, results[2].status);
    tear_down(&set);
}

/* ---- G3: cancelled --------------------------------------------------------------------------------------- */

RULE(G3_cancelled_it_cancels_every_unfinished_child) {
    for (int all = 0; all < 2; all++) {
        struct set set;
        set_up(&set, 0, 0, 0);
        EXPECT_OK(eddy_future_set(set.gates[0], EDDY_NONE));
        EXPECT_OK(eddy_await(set.futures[0], NULL));
        struct caller caller = {.set = &set, .all = all};
        eddy_task *task = spawn_parked(call_gather, &caller);
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        EXPECT(!eddy_future_cancelled(set.futures[0]));
        for (int i = 1; i < MANY; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(set.futures[i], NULL));
        tear_down(&set);
    }
}

/* A child that swallows one cancel, then waits for its gate. */
static int swallow(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    return arg != NULL ? end_at_gate(arg, out) : 0;
}

enum ends { ALL_SWALLOW, ONE_IS_CANCELLED, ONE_FAILS };
static void cancel_a_gather(enum ends third, bool all, bool at_once, int want) {
    eddy_future *gates[] = {eddy_future_create(), eddy_future_create()};
    struct gated slow = {gates[0], 0, 0}, fails = {gates[1], -25, 0};
    struct set set;
    set.tasks[0] = spawn(swallow, NULL);
    set.tasks[1] = spawn(swallow, &slow);
    set.tasks[2] = spawn(third == ALL_SWALLOW ? swallow
                         : third == ONE_FAILS ? swallow
                                              : sleep_forever,
                         third == ONE_FAILS ? &fails : NULL);
    for (int i = 0; i < MANY; i++) set.futures[i] = EDDY_FUTURE(set.tasks[i]);
    test_until_all_parked();
    struct caller caller = {.set = &set, .all = all};
    eddy_task *task = spawn_parked(call_gather, &caller);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(gates[1], EDDY_NONE));
    test_until_all_parked(); /* the second child waits at its gate */
    EXPECT(!eddy_future_done(set.futures[1]));
    EXPECT_EQ(at_once, eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_future_set(gates[0], EDDY_NONE));
    EXPECT_EQ(want, end_of(task));
    EXPECT_OK(eddy_await(set.futures[0], NULL));
    EXPECT_OK(eddy_await(set.futures[1], NULL));
    test_until_all_parked();
    for (int i = 0; i < MANY; i++) eddy_task_release(set.tasks[i]);
    for (int i = 0; i < 2; i++) eddy_future_release(gates[i]);
}

RULE(G3_children_that_swallow_the_cancel_do_not_end_it) { cancel_a_gather(ALL_SWALLOW, false, false, EDDY_ECANCELED); }

RULE(G3_the_first_child_that_ends_cancelled_ends_it) { cancel_a_gather(ONE_IS_CANCELLED, false, true, EDDY_ECANCELED); }

RULE(G3_the_first_child_that_fails_ends_it) { cancel_a_gather(ONE_FAILS, false, true, -25); }

RULE(G3_with_return_exceptions_it_waits_for_all) {
    cancel_a_gather(ALL_SWALLOW, true, false, EDDY_ECANCELED);
    cancel_a_gather(ONE_IS_CANCELLED, true, false, EDDY_ECANCELED);
    cancel_a_gather(ONE_FAILS, true, false, EDDY_ECANCELED);
}

/* ---- G4: wait -------------------------------------------------------------------------------------------- */

RULE(G4_the_set_must_not_be_empty) { EXPECT_EQ(EDDY_EINVAL, eddy_wait(NULL, 0, 0, EDDY_ALL_COMPLETED, NULL)); }

RULE(G4_gives_done_and_pending) {
    struct set set;
    bool done[MANY] = {true, true, true};
    set_up(&set, 0, 0, -23);
    open_in_order(&set, 1, -1, -1);
    EXPECT_EQ(1, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_FIRST_COMPLETED, done));
    EXPECT(!done[0] && done[1] && !done[2]);
    cancel_self(); /* it holds already, and suspends all the same */
    EXPECT_EQ(EDDY_ECANCELED, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_FIRST_COMPLETED, done));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
    open_in_order(&set, 0, 2, -1);
    EXPECT_EQ(3, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_ALL_COMPLETED, done));
    EXPECT(done[0] && done[1] && done[2]);
    EXPECT_EQ(-23, eddy_future_result(set.futures[2], NULL));
    tear_down(&set);
}

RULE(G4_a_timeout_is_no_failure_and_cancels_nothing) {
    struct set set;
    bool done[MANY];
    set_up(&set, 0, 0, 0);
    int64_t before_ns = eddy_time_ns();
    EXPECT_EQ(0, eddy_wait(set.futures, MANY, EDDY_MS(2), EDDY_ALL_COMPLETED, done));
    EXPECT(eddy_time_ns() - before_ns >= EDDY_MS(2));
    EXPECT(!done[0] && !done[1] && !done[2]);
    EXPECT_EQ(0, eddy_wait(set.futures, MANY, 0, EDDY_FIRST_COMPLETED, NULL));
    for (int i = 0; i < MANY; i++) EXPECT_EQ(0, eddy_task_cancelling(set.tasks[i]));
    EXPECT_EQ(0, requests());
    open_in_order(&set, 0, 1, 2);
    EXPECT_EQ(3, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL));
    tear_down(&set);
}

RULE(G4_a_cancelled_waiter_leaves_the_set_alone) {
    struct set set;
    set_up(&set, 0, 0, 0);
    struct caller caller = {.set = &set};
    eddy_task *task = spawn_parked(call_wait, &caller);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    for (int i = 0; i < MANY; i++) {
        EXPECT(!eddy_future_done(set.futures[i]));
        EXPECT_EQ(0, eddy_task_cancelling(set.tasks[i]));
    }
    open_in_order(&set, 0, 1, 2);
    for (int i = 0; i < MANY; i++) EXPECT_OK(eddy_await(set.futures[i], NULL));
    tear_down(&set);
}

RULE(G4_first_exception_does_not_count_cancelled_ones) {
    struct set set;
    bool done[MANY];
    set_up(&set, 0, -22, 0);
    EXPECT(eddy_cancel(set.futures[0]));
    EXPECT_EQ(1, eddy_wait(set.futures, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL));
    int64_t began_ns = eddy_time_ns();
    EXPECT_EQ(1, eddy_wait(set.futures, MANY, EDDY_MS(1), EDDY_FIRST_EXCEPTION, done));
    EXPECT(eddy_time_ns() - began_ns >= EDDY_MS(1)); /* it waited on */
    EXPECT(done[0] && !done[1] && !done[2]);
    open_in_order(&set, 1, -1, -1);
    EXPECT_EQ(2, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_FIRST_EXCEPTION, done));
    EXPECT(done[0] && done[1] && !done[2]);
    EXPECT_EQ(-22, eddy_future_result(set.futures[1], NULL)); /* waiting is not looking */
    open_in_order(&set, 2, -1, -1);
    EXPECT_OK(eddy_await(set.futures[2], NULL));
    tear_down(&set);
}

RULE(G4_first_exception_without_one_waits_for_all) {
    struct set set;
    set_up(&set, 0, 0, 0);
    open_in_order(&set, 2, 1, 0);
    EXPECT_EQ(3, eddy_wait(set.futures, MANY, EDDY_FOREVER, EDDY_FIRST_EXCEPTION, NULL));
    tear_down(&set);
}

/* ---- G5: as_completed ------------------------------------------------------------------------------------ */

static void expect_next(eddy_completions *completions, size_t index) {
    size_t got = 99;
    EXPECT_OK(eddy_completions_next(completions, &got));
    EXPECT_EQ(index, got);
}

RULE(G5_as_completed_gives_them_in_the_order_in_which_they_end) {
    size_t index;
    struct set set;
    eddy_completions *completions;
    set_up(&set, 0, -22, 0);
    EXPECT_OK(eddy_as_completed(&completions, set.futures, MANY, EDDY_FOREVER));
    static const size_t order[MANY] = {2, 0, 1};
    for (int i = 0; i < MANY; i++) {
        EXPECT_OK(eddy_call_soon(NULL, open_gate, set.gates[order[i]], NULL));
        expect_next(completions, order[i]);
    }
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    EXPECT_EQ(-22, eddy_future_result(set.futures[1], NULL));
    eddy_completions_release(completions);
    tear_down(&set);
}

/* L2: CPython leaves this order open. */
RULE(G5_what_is_done_already_comes_first_in_argument_order) {
    struct set set;
    eddy_completions *completions;
    set_up(&set, 0, 0, 0);
    for (int i = MANY; i-- > 1;) {
        EXPECT_OK(eddy_future_set(set.gates[i], EDDY_NONE));
        EXPECT_OK(eddy_await(set.futures[i], NULL));
    }
    EXPECT_OK(eddy_as_completed(&completions, set.futures, MANY, EDDY_FOREVER));
    expect_next(completions, 1);
    expect_next(completions, 2);
    EXPECT_OK(eddy_future_set(set.gates[0], EDDY_NONE));
    expect_next(completions, 0);
    eddy_completions_release(completions);
    tear_down(&set);
}

RULE(G5_after_its_timeout_each_one_left_times_out_and_the_work_goes_on) {
    size_t index;
    struct set set;
    eddy_completions *completions;
    set_up(&set, 0, 0, 0);
    EXPECT_OK(eddy_future_set(set.gates[1], EDDY_NONE));
    EXPECT_OK(eddy_await(set.futures[1], NULL));
    EXPECT_OK(eddy_as_completed(&completions, set.futures, MANY, EDDY_MS(1)));
    expect_next(completions, 1);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    EXPECT_EQ(0, requests());
    eddy_completions_release(completions);
    for (int i = 0; i < MANY; i += 2) {
        EXPECT_EQ(0, eddy_task_cancelling(set.tasks[i]));
        EXPECT_OK(eddy_future_set(set.gates[i], EDDY_NONE));
        EXPECT_OK(eddy_await(set.futures[i], NULL));
    }
    tear_down(&set);
}

/* ---- G6: shield ------------------------------------------------------------------------------------------ */

RULE(G6_cancelling_the_outer_leaves_the_inner_alone) {
    eddy_future *gate = eddy_future_create();
    eddy_task *inner = spawn(await_future, gate);
    eddy_task *task = spawn_parked(await_shielded, EDDY_FUTURE(inner));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(0, eddy_task_cancelling(inner));
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(inner));
    eddy_future_release(gate);
}

RULE(G6_the_outer_follows_the_inner) {
    static const int ends[] = {0, -17, EDDY_ECANCELED};
    for (int i = 0; i < 6; i++) {
        eddy_value value = EDDY_NONE;
        eddy_future *inner = eddy_future_create(), *outer;
        int end = ends[i % 3];
        if (i < 3) EXPECT_OK(eddy_shield(&outer, inner));
        if (end == 0) EXPECT_OK(eddy_future_set(inner, EDDY_I64(4)));
        if (end == -17) EXPECT_OK(eddy_future_fail(inner, -17, "inside"));
        if (end == EDDY_ECANCELED) EXPECT(eddy_cancel(inner)); /* a cancelled inner cancels the outer */
        if (i >= 3) EXPECT_OK(eddy_shield(&outer, inner));     /* of one that is done */
        EXPECT_EQ(end, eddy_await(outer, &value));
        EXPECT_EQ(end == 0 ? 4 : 0, value.i64);
        if (end == -17) EXPECT_STR("inside", eddy_error_text(eddy_error_current(-17)));
        EXPECT_EQ(end == EDDY_ECANCELED, eddy_future_cancelled(outer));
        EXPECT_EQ(0, requests());
        eddy_future_release(inner);
        eddy_future_release(outer);
    }
}

/* CPython 3.14; before it the failure counted as retrieved, in silence. */
RULE(G6_a_failure_after_the_outer_was_cancelled_is_reported) {
    eddy_future *inner = eddy_future_create(), *outer;
    EXPECT_OK(eddy_shield(&outer, inner));
    EXPECT(eddy_cancel(outer));
    eddy_future_release(outer);
    EXPECT_OK(eddy_future_fail(inner, -33, "behind the shield"));
    test_until_all_parked();
    eddy_future_release(inner);
    EXPECT_STR("behind the shield", TAKE_REPORT(EDDY_REPORT_SHIELD, -33)->text);
}

RULE(G6_other_ends_after_the_outer_was_cancelled_are_not) {
    for (int i = 0; i < 2; i++) {
        eddy_future *inner = eddy_future_create(), *outer;
        EXPECT_OK(eddy_shield(&outer, inner));
        EXPECT(eddy_cancel(outer));
        eddy_future_release(outer);
        if (i == 0) EXPECT_OK(eddy_future_set(inner, EDDY_NONE));
        if (i == 1) EXPECT(eddy_cancel(inner));
        test_until_all_parked();
        eddy_future_release(inner);
    }
}
