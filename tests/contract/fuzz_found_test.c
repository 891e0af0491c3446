/* fuzz_found_test.c: what the fuzzer found to differ from CPython 3.13's asyncio, each as a small program of its own: in a
 * serial domain eddy does as asyncio does, to the letter. The traces are CPython's. See tests/fuzz. */
#include "task/core_testing.h"

static char trace[64];
static size_t trace_used;

static void note(char what) { /* a domain is serial */
    EXPECT(trace_used + 1 < sizeof trace);
    trace[trace_used++] = what;
    trace[trace_used] = '\0';
}

static void in_domain(eddy_coro_fn fn) {
    eddy_loop *loop;
    eddy_task *task;
    trace_used = 0;
    EXPECT_OK(eddy_domain_open(&loop));
    EXPECT_OK(eddy_spawn(&task, fn, NULL, EDDY_TASK(.loop = loop)));
    EXPECT_OK(end_of(task));
}

/* Notes each pass in which it runs: 0 1 2 3. */
static int count_passes(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (char digit = '0'; digit < '4'; digit++) {
        note(digit);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

static int fail(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(EDDY_EINVAL, "fails");
}

/* ---- F3: cancelling what has failed counts as looking at it ---------------------------------------- */

static int cancel_a_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *failed = eddy_future_create();
    EXPECT_OK(eddy_future_fail(failed, EDDY_EINVAL, "not looked at"));
    EXPECT(!eddy_cancel(failed));
    eddy_future_release(failed);
    eddy_task *task = spawn(fail, NULL);
    EXPECT_OK(eddy_yield());
    EXPECT(!eddy_cancel(EDDY_FUTURE(task)));
    eddy_task_release(task);
    return 0;
}

UNIT(fuzz_found, cancelling_a_failure_counts_as_looking_at_it) {
    struct reports reports = REPORTS_INIT;
    EXPECT_OK(eddy_run(cancel_a_failure, NULL, NULL,
                       EDDY_RUN(.serial = true, .on_exception = reports_take, .on_exception_arg = &reports)));
    EXPECT_EQ(0, reports.count);
}

/* ---- W4: a timeout expires in a callback ------------------------------------------------------------- */

static int timeout_at_once(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *never = eddy_future_create();
    eddy_task *counter = spawn(count_passes, NULL);
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_await(never, NULL)));
    note('T');
    eddy_future_release(never);
    return end_of(counter);
}

CORE_TEST(fuzz_found, a_timeout_without_time_cancels_in_a_callback) {
    in_domain(timeout_at_once);
    EXPECT_STR("01T23", trace);
}

struct late {
    eddy_future *future;
    int64_t until_ns;
};
static int set_late(void *arg, eddy_value *out) {
    (void)out;
    struct late *late = arg;
    while (eddy_time_ns() <= late->until_ns) EXPECT_OK(eddy_yield());
    return eddy_future_set(late->future, EDDY_NONE);
}
static int leave_in_time(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct late late = {eddy_future_create(), eddy_time_ns() + EDDY_MS(2)};
    eddy_task *task = spawn(set_late, &late);
    /* The future is set in the pass in which the deadline is first seen to have passed, or in the one before it: the
     * task is ahead of the callback. */
    int status = EDDY_TIMEOUT(EDDY_MS(2), eddy_await(late.future, NULL));
    EXPECT(status == 0 || status == EDDY_ETIMEDOUT);
    EXPECT_OK(eddy_yield()); /* and the callback does not come after all */
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    int ended = end_of(task);
    EXPECT(ended == 0 || (ended == EDDY_ESTATE && status == EDDY_ETIMEDOUT));
    eddy_future_release(late.future);
    return 0;
}

CORE_TEST(fuzz_found, a_scope_left_before_its_callback_never_expires) { in_domain(leave_in_time); }

/* A request that is not delivered yet when the scope begins was there before it, and the scope takes only its own back:
 * with that one left it converts. (Outside domains it passes through: tests/task/scope_test.c.) */
static int pending_before(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *self = eddy_current_task();
    EXPECT(eddy_cancel(EDDY_FUTURE(self)));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_sleep(EDDY_SECONDS(1))));
    EXPECT_EQ(0, eddy_task_uncancel(self));
    return 0;
}

CORE_TEST(fuzz_found, a_request_pending_when_a_scope_begins_was_there_before_it) { in_domain(pending_before); }

/* ---- W2: wait_for without time ----------------------------------------------------------------------- */

static int slow_to_end(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(100)));
    return eddy_await(arg, NULL);
}
static int wait_without_time(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_wait_for(EDDY_FUTURE((eddy_task *)arg), 0, NULL);
    note('w');
    return status;
}
static int cancel_the_waiter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *gate = eddy_future_create();
    eddy_task *slow = spawn(slow_to_end, gate);
    EXPECT_OK(eddy_yield());
    eddy_task *waiter = spawn(wait_without_time, slow);
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, (int)trace_used); /* `slow` cleans up, and is waited for */
    EXPECT(eddy_cancel(EDDY_FUTURE(waiter)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(waiter)); /* its own cancel is not passed on, and does not wait */
    EXPECT_EQ(1, eddy_task_cancelling(slow));
    EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
    EXPECT_OK(end_of(slow));
    eddy_future_release(gate);
    return 0;
}

CORE_TEST(fuzz_found, a_wait_for_without_time_can_be_cancelled_while_it_waits) { in_domain(cancel_the_waiter); }

/* ---- G1, G4: what is done already --------------------------------------------------------------------- */

static int gather_the_done(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *futures[] = {eddy_future_create(), eddy_future_create(), eddy_future_create()};
    eddy_task *counter = spawn(count_passes, NULL);
    EXPECT_OK(eddy_future_set(futures[0], EDDY_NONE));
    EXPECT_OK(eddy_gather(futures, 1, NULL));
    EXPECT_OK(eddy_future_fail(futures[1], EDDY_EINVAL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_gather(futures, 3, NULL)); /* the third is pending, and stays so */
    note('g');
    bool done[2];
    EXPECT_EQ(2, eddy_wait(futures, 2, EDDY_FOREVER, EDDY_ALL_COMPLETED, done));
    note('w');
    EXPECT_OK(end_of(counter));
    EXPECT(eddy_cancel(futures[2]));
    EXPECT_OK(eddy_yield()); /* the gather lets go of it */
    for (int i = 0; i < 3; i++) eddy_future_release(futures[i]);
    return 0;
}

CORE_TEST(fuzz_found, gather_takes_what_is_done_at_once_and_wait_takes_two_passes) {
    in_domain(gather_the_done);
    EXPECT_STR("g01w23", trace);
}

static int look_at_the_first_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *futures[] = {eddy_future_create(), eddy_future_create()};
    EXPECT_OK(eddy_future_fail(futures[0], EDDY_EINVAL, NULL));
    EXPECT_EQ(1, eddy_wait(futures, 2, EDDY_FOREVER, EDDY_FIRST_EXCEPTION, NULL));
    for (int i = 0; i < 2; i++) eddy_future_release(futures[i]);
    return 0;
}

UNIT(fuzz_found, wait_for_the_first_failure_looks_at_it) {
    struct reports reports = REPORTS_INIT;
    EXPECT_OK(eddy_run(look_at_the_first_failure, NULL, NULL,
                       EDDY_RUN(.serial = true, .on_exception = reports_take, .on_exception_arg = &reports)));
    EXPECT_EQ(0, reports.count);
}

/* ---- T2, G3: requests ------------------------------------------------------------------------------------ */

static eddy_task *below[3]; /* two that await the third */
static int gather_two_ways(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *futures[] = {EDDY_FUTURE(below[0]), EDDY_FUTURE(below[1])};
    return eddy_gather(futures, 2, NULL);
}
static int cancel_two_ways(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    below[2] = spawn(sleep_forever, NULL);
    below[0] = spawn(await_future, below[2]);
    below[1] = spawn(await_future, below[2]);
    eddy_task *top = spawn(gather_two_ways, NULL);
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_yield());
    EXPECT(eddy_cancel(EDDY_FUTURE(top)));
    EXPECT_EQ(2, eddy_task_cancelling(below[2]));
    EXPECT_EQ(EDDY_ECANCELED, end_of(top));
    for (int i = 0; i < 3; i++) EXPECT_EQ(EDDY_ECANCELED, end_of(below[i]));
    return 0;
}

CORE_TEST(fuzz_found, a_request_counts_once_for_each_way_by_which_it_comes) { in_domain(cancel_two_ways); }

static int gather_one(void *arg, eddy_value *out) {
    (void)out;
    eddy_future *future = arg;
    int status = eddy_gather(&future, 1, NULL);
    note('g');
    return status;
}
static int cancel_twice(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *future = eddy_future_create();
    eddy_task *task = spawn(gather_one, future);
    EXPECT_OK(eddy_yield());
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT(eddy_future_cancelled(future));
    EXPECT(eddy_cancel(EDDY_FUTURE(task))); /* its child is done: it waits for the child's callback all the same */
    eddy_task *counter = spawn(count_passes, NULL);
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_future_release(future);
    return end_of(counter);
}

CORE_TEST(fuzz_found, a_second_request_does_not_overtake_the_end_of_a_gather) {
    in_domain(cancel_twice);
    EXPECT_STR("0g123", trace);
}

static int gather_both(void *arg, eddy_value *out) {
    (void)out;
    return eddy_gather(arg, 2, NULL);
}
static int cancel_after_the_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *other = spawn(sleep_forever, NULL);
    eddy_future *futures[] = {eddy_future_create(), EDDY_FUTURE(other)};
    eddy_task *task = spawn(gather_both, futures);
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_future_fail(futures[0], EDDY_EINVAL, NULL));
    EXPECT_OK(eddy_yield()); /* the gather has failed, and its task is about to run */
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(other));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT(eddy_cancel(EDDY_FUTURE(other)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(other));
    eddy_future_release(futures[0]);
    return 0;
}

CORE_TEST(fuzz_found, a_gather_that_has_failed_passes_no_request_on) { in_domain(cancel_after_the_failure); }

/* ---- TG3, TG4: groups ------------------------------------------------------------------------------------- */

static int await_the_last_child(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    eddy_task *child, *counter;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &child, give_nothing, NULL, NULL));
    counter = spawn(count_passes, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(child), NULL));
    EXPECT_OK(eddy_group_exit(&group, 0)); /* it knows already: it does not wait */
    note('x');
    eddy_task_release(child);
    return end_of(counter);
}

CORE_TEST(fuzz_found, a_group_hears_of_its_child_before_all_others) {
    in_domain(await_the_last_child);
    EXPECT_STR("0x123", trace);
}

static eddy_task *failing;
static int end_later(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_yield());
    return arg != NULL ? EDDY_EINVAL : 0;
}
static int group_with_a_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &failing, end_later, &group, NULL));
    EXPECT_OK(eddy_group_spawn(&group, NULL, end_later, NULL, NULL));
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    note('x');
    return 0;
}
static int watch(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_EINVAL, eddy_await(EDDY_FUTURE(failing), NULL));
    note('w');
    EXPECT_OK(eddy_yield());
    note('y');
    return 0;
}
static int watch_the_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *parent = spawn(group_with_a_failure, NULL);
    EXPECT_OK(eddy_yield());
    eddy_task *watcher = spawn(watch, NULL);
    EXPECT_OK(end_of(parent));
    EXPECT_OK(end_of(watcher));
    eddy_task_release(failing);
    return 0;
}

/* Both children end in one pass: the failure wakes the parent, not the last child. */
CORE_TEST(fuzz_found, a_failure_wakes_the_parent_in_the_exit) {
    in_domain(watch_the_failure);
    EXPECT_STR("wxy", trace);
}

/* ---- G5: as_completed hears of each end, and of its deadline, by a callback ------------------------- */

static int collect_what_is_done(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    size_t index = 9;
    eddy_completions *completions;
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    eddy_task *counter = spawn(count_passes, NULL);
    EXPECT_OK(eddy_as_completed(&completions, &future, 1, EDDY_FOREVER));
    EXPECT_OK(eddy_completions_next(completions, &index));
    EXPECT_EQ(0, index);
    note('d');
    eddy_completions_release(completions);
    eddy_future_release(future);
    return end_of(counter);
}

CORE_TEST(fuzz_found, as_completed_gives_what_is_done_by_a_callback) {
    in_domain(collect_what_is_done);
    EXPECT_STR("01d23", trace);
}

static int collect_without_time(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    size_t index;
    eddy_completions *completions;
    eddy_future *futures[2] = {eddy_future_create(), eddy_future_create()};
    EXPECT_OK(eddy_future_set(futures[1], EDDY_NONE));
    eddy_task *counter = spawn(count_passes, NULL);
    EXPECT_OK(eddy_as_completed(&completions, futures, 2, 0));
    EXPECT_OK(eddy_completions_next(completions, &index));
    EXPECT_EQ(1, index);
    note('d');
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_completions_next(completions, &index));
    note('T');
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    eddy_completions_release(completions);
    for (int i = 0; i < 2; i++) eddy_future_release(futures[i]);
    return end_of(counter);
}

/* What is done comes first, then the deadline: both in the pass behind this one. */
CORE_TEST(fuzz_found, as_completed_without_time_gives_what_is_done) {
    in_domain(collect_without_time);
    EXPECT_STR("01dT23", trace);
}

/* ---- S5: who leaves a barrier by a cancel wakes one other, which goes to the end of the line ---------- */

static eddy_barrier *barrier;

static int come(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_barrier_wait(barrier);
    note(*(char *)arg);
    return status < 0 ? status : 0;
}

static int cancel_one_at_the_barrier(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    static char names[] = "abcd";
    eddy_task *tasks[4];
    barrier = eddy_barrier_create(4);
    for (int i = 0; i < 3; i++) tasks[i] = spawn(come, &names[i]);
    EXPECT_OK(eddy_yield());
    EXPECT(eddy_cancel(EDDY_FUTURE(tasks[0])));
    tasks[3] = spawn(come, &names[3]);
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_yield());
    EXPECT_EQ(3, eddy_barrier_wait(barrier));
    EXPECT_EQ(EDDY_ECANCELED, end_of(tasks[0]));
    for (int i = 1; i < 4; i++) EXPECT_OK(end_of(tasks[i]));
    eddy_barrier_release(barrier);
    return 0;
}

CORE_TEST(fuzz_found, a_cancel_at_a_barrier_sends_another_to_the_end_of_the_line) {
    in_domain(cancel_one_at_the_barrier);
    EXPECT_STR("acdb", trace);
}

/* ---- S5: a reset wakes who waits outside, who then comes before those that come later ------------------- */

static int come_later(void *arg, eddy_value *out) {
    EXPECT_OK(eddy_yield());
    return come(arg, out);
}
static int reset_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_barrier_reset(barrier);
    return 0;
}
static int reset_one_that_drains(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    static char names[] = "abm";
    barrier = eddy_barrier_create(2);
    eddy_task *inside = spawn(come, &names[0]);
    EXPECT_OK(eddy_yield());
    eddy_task *resets = spawn(reset_it, NULL), *later = spawn(come_later, &names[1]);
    EXPECT_EQ(1, eddy_barrier_wait(barrier)); /* it drains */
    EXPECT_EQ(0, eddy_barrier_wait(barrier));
    note(names[2]);
    EXPECT_EQ(EDDY_EBROKEN, end_of(inside));
    EXPECT_OK(end_of(resets));
    EXPECT_OK(end_of(later));
    eddy_barrier_release(barrier);
    return 0;
}

CORE_TEST(fuzz_found, a_reset_wakes_those_who_wait_outside_the_barrier) {
    in_domain(reset_one_that_drains);
    EXPECT_STR("abm", trace);
}
