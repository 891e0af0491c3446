/* Task groups: TG1 to TG8. */
#include "contract/contract_testing.h"

static const eddy_error *failure(size_t index) { return eddy_error_child(eddy_error_current(EDDY_EGROUP), index); }
static size_t failures(void) { return eddy_error_children(eddy_error_current(EDDY_EGROUP)); }

static void expect_untouched(void) {
    EXPECT_EQ(0, requests());
    EXPECT_OK(eddy_yield());
}

/* ---- TG1: when children may be added --------------------------------------------------------------------- */

static void drop_count(eddy_value value) { ++*(_Atomic int *)value.ptr; }

static void expect_refused(eddy_group *group) {
    _Atomic int dropped = 0;
    EXPECT_EQ(EDDY_ESTATE,
              eddy_group_spawn(group, NULL, give_nothing, (void *)&dropped, EDDY_TASK(.drop_arg = drop_count)));
    EXPECT_EQ(1, dropped); /* it was taken all the same */
}

RULE(TG1_adding_before_entering_is_an_error) {
    eddy_group group = {NULL};
    expect_refused(&group);
}

RULE(TG1_adding_after_the_end_is_an_error) {
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, give_nothing, NULL, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    expect_refused(&group);
}

RULE(TG1_adding_while_aborting_is_an_error) {
    int status = -21;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_soon, &status, NULL));
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    expect_refused(&group);
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, EDDY_ECANCELED));
    expect_untouched();
}

UNIT(contract, TG1_entering_outside_a_task_is_an_error) {
    eddy_group group;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_group_enter(&group));
}

struct adder {
    eddy_group *group;
    _Atomic int count;
};
static int add_another(void *arg, eddy_value *out) {
    (void)out;
    struct adder *self = arg;
    if (self->count++ >= 20) return 0;
    EXPECT_OK(eddy_yield());
    return eddy_group_spawn(self->group, NULL, add_another, self, NULL);
}

RULE(TG1_children_may_be_added_during_the_exit_while_some_run) {
    eddy_group group;
    struct adder adder = {.group = &group};
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, add_another, &adder, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(21, adder.count);
}

/* ---- TG2: the first failure aborts ----------------------------------------------------------------------- */

RULE(TG2_the_first_failure_cancels_all_children_and_the_body_once) {
    int status = -21;
    eddy_task *siblings[3];
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, &siblings[i], sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_soon, &status, EDDY_TASK(.name = "bad")));
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_EQ(1, requests());
    EXPECT_OK(eddy_sleep(1000)); /* once */
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, EDDY_ECANCELED));
    EXPECT_EQ(1, failures());
    EXPECT_EQ(-21, eddy_error_status(failure(0)));
    EXPECT_STR("failed with -21", eddy_error_text(failure(0)));
    EXPECT_STR("bad", eddy_error_task(failure(0)));
    for (int i = 0; i < 3; i++) {
        EXPECT(eddy_future_cancelled(EDDY_FUTURE(siblings[i])));
        eddy_task_release(siblings[i]);
    }
    expect_untouched();
}

static int fail_in_cleanup(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    return fail_with(arg, out);
}

/* A second failure asks nobody again. */
RULE(TG2_later_failures_cancel_nobody) {
    int statuses[] = {-21, -22};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_in_cleanup, &statuses[0], NULL));
    test_until_all_parked();
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_soon, &statuses[1], NULL));
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    test_until_all_parked();
    EXPECT_EQ(1, requests());
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, EDDY_ECANCELED));
    EXPECT_EQ(2, failures());
    expect_untouched();
}

RULE(TG2_a_parent_that_waits_in_the_exit_is_not_asked) {
    int status = -21;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_soon, &status, NULL));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
    expect_untouched();
}

struct child {
    const char *name;
    int steps;
    bool fails;
};
static int child(void *arg, eddy_value *out) {
    (void)out;
    struct child *self = arg;
    char text[32];
    for (int i = 0; i < self->steps; i++) {
        snprintf(text, sizeof text, "%s%d", self->name, i);
        note(text);
        int status = eddy_sleep(0);
        snprintf(text, sizeof text, "%sc", self->name);
        if (status == EDDY_ECANCELED) note(text);
        if (status < 0) return status;
    }
    if (!self->fails) return 0;
    snprintf(text, sizeof text, "%s!", self->name);
    note(text);
    return -22;
}

RULE_OF_ORDER(TG2_aborts_in_a_callback_of_the_childs_end) {
    struct child all[] = {{"a", 4, false}, {"b", 1, true}, {"c", 4, false}};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, child, &all[i], NULL));
    note("m1");
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
    note("mE");
    expect_trace("m1 a0 b0 c0 a1 b! c1 a2 cc ac mE");
}

/* ---- TG3: the exit waits for all ------------------------------------------------------------------------- */

static int count_up(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_yield());
    ++*(_Atomic int *)arg;
    return 0;
}

RULE(TG3_the_exit_waits_for_all_children) {
    for (int count = 0; count < 100; count = count * 2 + 1) {
        _Atomic int ended = 0;
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        for (int i = 0; i < count; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, count_up, (void *)&ended, NULL));
        EXPECT_EQ(3, eddy_group_exit(&group, 3)); /* the body's own status */
        EXPECT_EQ(count, ended);
    }
}

struct parent {
    eddy_coro_fn child;
    void *child_arg;
    int children;
    bool sleeps_in_body;
    int body, result, next; /* next: of the suspension after the exit */
    unsigned after;         /* requests after the exit */
};
static int parent(void *arg, eddy_value *out) {
    (void)out;
    struct parent *self = arg;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < self->children; i++)
        EXPECT_OK(eddy_group_spawn(&group, NULL, self->child, self->child_arg, NULL));
    self->body = self->sleeps_in_body ? eddy_sleep(EDDY_SECONDS(1000)) : 0;
    self->result = eddy_group_exit(&group, self->body);
    self->after = requests();
    self->next = eddy_yield();
    return self->result;
}

RULE(TG3_the_exit_waits_however_often_it_is_cancelled) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_future *gate = eddy_future_create();
        struct parent self = {.child = ignore_cancels, .child_arg = gate, .children = 3, .sleeps_in_body = in_body};
        eddy_task *task = spawn_parked(parent, &self);
        for (int i = 0; i < 5; i++) {
            EXPECT(eddy_cancel(EDDY_FUTURE(task)));
            test_until_all_parked();
            EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
        }
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        EXPECT_EQ(5, self.after);
        EXPECT_EQ(0, self.next);
        eddy_future_release(gate);
    }
}

/* In the body, in the exit with children elsewhere, and outside domains in the exit with a child on the own stack. */
RULE(TG3_a_request_from_outside_is_passed_on) {
    for (int children = 0; children < 4; children++) {
        for (int in_body = 0; in_body < 2; in_body++) {
            if (children == 0 && !in_body) continue;
            struct parent self = {.child = sleep_forever, .children = children, .sleeps_in_body = in_body};
            eddy_task *task = spawn_parked(parent, &self);
            EXPECT(eddy_cancel(EDDY_FUTURE(task)));
            EXPECT_EQ(EDDY_ECANCELED, end_of(task));
            EXPECT_EQ(in_body ? EDDY_ECANCELED : 0, self.body);
            EXPECT_EQ(EDDY_ECANCELED, self.result);
            EXPECT_EQ(1, self.after);
            EXPECT_EQ(0, self.next); /* delivered once */
        }
    }
}

/* ---- TG4: what the exit gives ---------------------------------------------------------------------------- */

RULE(TG4_the_groups_request_to_its_parent_is_taken_back) {
    int status = -21;
    for (int fails_in_exit = 0; fails_in_exit < 2; fails_in_exit++) {
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        EXPECT_OK(eddy_group_spawn(&group, NULL, fails_in_exit ? fail_soon : fail_with, &status, NULL));
        if (!fails_in_exit) EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
        EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, fails_in_exit ? 0 : EDDY_ECANCELED));
        expect_untouched();
    }
}

/* Also when it was not delivered yet: the body does not suspend after the failure. */
RULE(TG4_also_one_that_was_not_delivered) {
    int status = -21;
    eddy_group group;
    eddy_task *task;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &task, fail_soon, &status, NULL));
    while (requests() == 0 && eddy_yield() == 0) continue;
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
    eddy_task_release(task);
    expect_untouched();
}

RULE(TG4_failures_are_collected_in_their_order_the_bodys_own_last) {
    int statuses[] = {-21, -22};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_in_cleanup, &statuses[0], NULL));
    test_until_all_parked();
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_soon, &statuses[1], NULL));
    (void)eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, eddy_fail(-23, "the body")));
    EXPECT_EQ(3, failures());
    EXPECT_EQ(-22, eddy_error_status(failure(0)));
    EXPECT_EQ(-21, eddy_error_status(failure(1)));
    EXPECT_EQ(-23, eddy_error_status(failure(2)));
    EXPECT_STR("the body", eddy_error_text(failure(2)));
    expect_untouched();
}

RULE(TG4_a_failing_body_cancels_its_children) {
    eddy_task *child;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &child, sleep_forever, NULL, NULL));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, -24));
    EXPECT_EQ(1, failures());
    EXPECT_EQ(-24, eddy_error_status(failure(0)));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(child)));
    eddy_task_release(child);
    expect_untouched();
}

/* A body that ends cancelled by itself: asyncio's `raise CancelledError` in the block. */
RULE(TG4_canceled_of_the_body_is_passed_on_when_nothing_failed) {
    eddy_task *child;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &child, sleep_forever, NULL, NULL));
    EXPECT_EQ(EDDY_ECANCELED, eddy_group_exit(&group, EDDY_ECANCELED));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(child)));
    eddy_task_release(child);
    expect_untouched();
}

/* ---- TG5: a cancelled child ------------------------------------------------------------------------------ */

RULE(TG5_a_cancelled_child_is_no_failure_and_the_group_goes_on) {
    _Atomic int ended = 0;
    eddy_task *child;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &child, sleep_forever, NULL, NULL));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(child)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(child), NULL));
    EXPECT_EQ(0, requests());
    EXPECT_OK(eddy_group_spawn(&group, NULL, count_up, (void *)&ended, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(1, ended);
    eddy_task_release(child);
    expect_untouched();
}

/* ---- TG6: failures and a cancel from outside ------------------------------------------------------------- */

static int ignore_cancels_then_fail(void *arg, eddy_value *out) {
    static int status = -29;
    EXPECT_OK(ignore_cancels(arg, out));
    return fail_with(&status, out);
}

RULE(TG6_failures_win_and_the_request_is_delivered_again) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_future *gate = eddy_future_create();
        struct parent self = {
            .child = ignore_cancels_then_fail, .child_arg = gate, .children = 1, .sleeps_in_body = in_body};
        eddy_task *task = spawn_parked(parent, &self);
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        test_until_all_parked();
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_EGROUP, eddy_await(EDDY_FUTURE(task), NULL));
        EXPECT_EQ(EDDY_EGROUP, self.result);
        EXPECT_EQ(1, self.after);
        EXPECT_EQ(EDDY_ECANCELED, self.next);
        eddy_task_release(task);
        eddy_future_release(gate);
    }
}

static int enter_and_ignore_cancels(void *arg, eddy_value *out) {
    void **what = arg;
    *(_Atomic bool *)what[1] = true;
    return ignore_cancels(what[0], out);
}
static int fail_and_be_cancelled(void *arg, eddy_value *out) {
    (void)out;
    _Atomic bool runs = false;
    void *what[] = {arg, (void *)&runs};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, enter_and_ignore_cancels, what, NULL));
    while (!runs) EXPECT_OK(eddy_yield());                            /* else the abort finds it new: never entered */
    int status = eddy_group_exit(&group, eddy_fail(-27, "the body")); /* cancelled from outside while it waits */
    EXPECT_EQ(EDDY_EGROUP, status);
    EXPECT_EQ(-27, eddy_error_status(failure(0)));
    EXPECT_EQ(1, requests());
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    return 0;
}

RULE(TG6_the_bodys_own_failure_wins_too) {
    eddy_future *gate = eddy_future_create();
    eddy_task *task = spawn_parked(fail_and_be_cancelled, gate);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(task));
    eddy_future_release(gate);
}

/* ---- TG7: nested ----------------------------------------------------------------------------------------- */

RULE(TG7_the_outer_group_holds_the_inner_one_as_one_failure) {
    int status = -21;
    eddy_group outer, inner;
    EXPECT_OK(eddy_group_enter(&outer));
    EXPECT_OK(eddy_group_spawn(&outer, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_enter(&inner));
    EXPECT_OK(eddy_group_spawn(&inner, NULL, sleep_forever, NULL, NULL));
    EXPECT_OK(eddy_group_spawn(&inner, NULL, fail_soon, &status, NULL));
    int body = eddy_group_exit(&inner, eddy_sleep(EDDY_SECONDS(1000)));
    EXPECT_EQ(EDDY_EGROUP, body);
    EXPECT_EQ(0, requests());
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&outer, body));
    EXPECT_EQ(1, failures());
    EXPECT_EQ(EDDY_EGROUP, eddy_error_status(failure(0)));
    EXPECT_EQ(1, eddy_error_children(failure(0)));
    EXPECT_EQ(-21, eddy_error_status(eddy_error_child(failure(0), 0)));
    expect_untouched();
}

RULE(TG7_the_inner_group_passes_the_outer_ones_cancel_on) {
    int status = -22;
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_group outer, inner;
        EXPECT_OK(eddy_group_enter(&outer));
        EXPECT_OK(eddy_group_spawn(&outer, NULL, fail_soon, &status, NULL));
        EXPECT_OK(eddy_group_enter(&inner));
        EXPECT_OK(eddy_group_spawn(&inner, NULL, sleep_forever, NULL, NULL));
        int body = in_body ? eddy_sleep(EDDY_SECONDS(1000)) : 0;
        body = eddy_group_exit(&inner, body);
        EXPECT_EQ(EDDY_ECANCELED, body);
        EXPECT_EQ(1, requests());
        EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&outer, body));
        EXPECT_EQ(1, failures());
        EXPECT_EQ(-22, eddy_error_status(failure(0)));
        expect_untouched();
    }
}

/* ---- TG8: the group's own cancel, of CPython 3.15: read, not run ----------------------------------------- */

static int cancel_group(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    eddy_group_cancel(arg);
    eddy_group_cancel(arg); /* idempotent */
    return 0;
}

RULE(TG8_group_cancel_ends_all_children_and_the_body_without_canceled) {
    for (int in_body = 0; in_body < 2; in_body++) {
        eddy_group group;
        eddy_task *children[3];
        EXPECT_OK(eddy_group_enter(&group));
        for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, &children[i], sleep_forever, NULL, NULL));
        EXPECT_OK(eddy_group_spawn(&group, NULL, cancel_group, &group, NULL));
        int status = in_body ? eddy_sleep(EDDY_SECONDS(1000)) : 0;
        EXPECT_EQ(in_body ? EDDY_ECANCELED : 0, status);
        EXPECT_EQ(0, eddy_group_exit(&group, status));
        for (int i = 0; i < 3; i++) {
            EXPECT(eddy_future_cancelled(EDDY_FUTURE(children[i])));
            eddy_task_release(children[i]);
        }
        expect_untouched();
    }
}

static int be_cancelled_both_ways(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleep_forever, NULL, NULL));
    eddy_group_cancel(&group);
    cancel_self();
    int status = eddy_group_exit(&group, eddy_yield());
    EXPECT_EQ(1, requests());
    return status;
}

RULE(TG8_group_cancel_never_eats_a_request_from_outside) {
    EXPECT_EQ(EDDY_ECANCELED, end_of(spawn(be_cancelled_both_ways, NULL)));
}

RULE(TG8_failures_still_come_out_of_a_cancelled_group) {
    int status = -26;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, fail_in_cleanup, &status, NULL));
    test_until_all_parked();
    eddy_group_cancel(&group);
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, eddy_yield()));
    EXPECT_EQ(1, failures());
    EXPECT_EQ(-26, eddy_error_status(failure(0)));
    expect_untouched();
}

RULE(TG8_a_group_that_was_never_entered_or_has_ended_ignores_it) {
    eddy_group group = {NULL};
    eddy_group_cancel(&group);
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_exit(&group, 0));
    eddy_group_cancel(&group);
    expect_untouched();
}
