/* gather (G1 to G3), wait (G4), shield (G6). */
#include "task/core_testing.h"

struct end {
    int64_t after_ns;
    int status;
};
static int end_after(void *arg, eddy_value *out) {
    struct end *end = arg;
    int status = end->after_ns == 0 ? 0 : eddy_sleep(end->after_ns);
    if (status < 0) return status;
    *out = EDDY_I64(end->after_ns);
    return end->status < 0 ? eddy_fail(end->status, "end %d", end->status) : 0;
}

static void spawn_ends(eddy_task **tasks, eddy_future **futures, struct end *ends, int count) {
    for (int i = 0; i < count; i++) {
        tasks[i] = spawn(end_after, &ends[i]);
        futures[i] = EDDY_FUTURE(tasks[i]);
    }
}
static void release_all(eddy_task **tasks, int count) {
    for (int i = 0; i < count; i++) eddy_task_release(tasks[i]);
}

/* ---- gather ---------------------------------------------------------------------------------------------- */

CORE_TEST(gather, results_in_argument_order) {
    struct end ends[] = {{EDDY_MS(3), 0}, {EDDY_MS(1), 0}, {0, 0}, {EDDY_MS(2), 0}};
    eddy_task *tasks[4];
    eddy_future *futures[6];
    spawn_ends(tasks, futures, ends, 4);
    futures[4] = futures[0]; /* the same one twice appears twice */
    futures[5] = futures[0];
    eddy_result results[6];
    EXPECT_OK(eddy_gather(futures, 6, results));
    static const int64_t want[] = {EDDY_MS(3), EDDY_MS(1), 0, EDDY_MS(2), EDDY_MS(3), EDDY_MS(3)};
    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(0, results[i].status);
        EXPECT_EQ(want[i], results[i].value.i64);
    }
    EXPECT_OK(eddy_gather(futures, 6, results)); /* all done already */
    EXPECT_OK(eddy_gather(futures, 6, NULL));
    EXPECT_OK(eddy_gather(NULL, 0, NULL));
    EXPECT_OK(eddy_gather_all(NULL, 0, NULL));
    release_all(tasks, 4);
}

/* The first failure at once; the others go on (G2). That their failures count as retrieved: report_test.c. */
static int open_gate(void *arg) { return eddy_future_set(arg, EDDY_NONE); }
struct gated {
    eddy_future *gate;
    int status;
};
static int end_at_gate(void *arg, eddy_value *out) {
    struct gated *gated = arg;
    int status = eddy_await(gated->gate, out);
    return status < 0 || gated->status == 0 ? status : eddy_fail(gated->status, "end %d", gated->status);
}

CORE_TEST(gather, first_failure_is_given_at_once) {
    eddy_future *gates[2] = {eddy_future_create(), eddy_future_create()}, *futures[3];
    struct gated ends[] = {{gates[1], -21}, {gates[0], -22}, {gates[1], 0}};
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn(end_at_gate, &ends[i]);
        futures[i] = EDDY_FUTURE(tasks[i]);
    }
    EXPECT_OK(eddy_call_soon(NULL, open_gate, gates[0], NULL));
    EXPECT_EQ(-22, eddy_gather(futures, 3, NULL));
    EXPECT_STR("end -22", eddy_error_text(eddy_error_current(-22)));
    EXPECT(!eddy_future_done(futures[0]) && !eddy_future_done(futures[2]));
    EXPECT_EQ(0, eddy_task_cancelling(tasks[0]));
    EXPECT_OK(eddy_future_set(gates[1], EDDY_NONE));
    EXPECT_EQ(-21, eddy_await(futures[0], NULL));
    EXPECT_OK(eddy_await(futures[2], NULL));
    release_all(tasks, 3);
    for (int i = 0; i < 2; i++) eddy_future_release(gates[i]);
}

CORE_TEST(gather, cancelled_child_is_a_failure_of_its_own) {
    struct end ends[] = {{EDDY_MS(5), 0}, {EDDY_SECONDS(1000), 0}};
    eddy_task *tasks[2];
    eddy_future *futures[2];
    spawn_ends(tasks, futures, ends, 2);
    test_until_all_parked();
    EXPECT(eddy_cancel(futures[1]));
    EXPECT_EQ(EDDY_ECANCELED, eddy_gather(futures, 2, NULL));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT(!eddy_future_cancelled(futures[0]));
    EXPECT_OK(eddy_await(futures[0], NULL));
    release_all(tasks, 2);
}

CORE_TEST(gather, all_gives_every_status) {
    struct end ends[] = {{EDDY_MS(1), -21}, {0, 0}, {EDDY_SECONDS(1000), 0}, {EDDY_MS(2), 0}};
    eddy_task *tasks[4];
    eddy_future *futures[4];
    eddy_result results[4];
    spawn_ends(tasks, futures, ends, 4);
    test_until_all_parked();
    EXPECT(eddy_cancel(futures[2]));
    EXPECT_OK(eddy_gather_all(futures, 4, results));
    EXPECT_EQ(-21, results[0].status);
    EXPECT_EQ(0, results[1].status);
    EXPECT_EQ(EDDY_ECANCELED, results[2].status);
    EXPECT_EQ(0, results[3].status);
    EXPECT_EQ(EDDY_MS(2), results[3].value.i64);
    release_all(tasks, 4);
}

struct gatherer {
    eddy_future *futures[3];
    bool all;
};
static int gatherer(void *arg, eddy_value *out) {
    (void)out;
    struct gatherer *self = arg;
    return self->all ? eddy_gather_all(self->futures, 3, NULL) : eddy_gather(self->futures, 3, NULL);
}
/* Swallows one cancel; then waits for a gate, or for nothing. */
static int swallow(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    return arg != NULL ? eddy_await(arg, out) : 0;
}

/* Cancelling cancels every unfinished child (G3). */
CORE_TEST(gather, cancelled_cancels_its_children) {
    for (int all = 0; all < 2; all++) {
        struct gatherer gather = {.all = all};
        eddy_task *tasks[3];
        tasks[0] = spawn(give_nothing, NULL);
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[0]), NULL));
        for (int i = 1; i < 3; i++) tasks[i] = spawn(sleep_forever, NULL);
        for (int i = 0; i < 3; i++) gather.futures[i] = EDDY_FUTURE(tasks[i]);
        eddy_task *task = spawn_parked(gatherer, &gather);
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        for (int i = 1; i < 3; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(gather.futures[i], NULL));
        EXPECT(!eddy_future_cancelled(gather.futures[0]));
        release_all(tasks, 3);
    }
}

/* In the default form children that swallow the cancel do not end it: the first that fails or ends cancelled
 * does; if all swallow it, it ends cancelled when the last one ends. With _all it waits for every one (G3). */
CORE_TEST(gather, cancelled_with_children_that_swallow_it) {
    for (int form = 0; form < 3; form++) {
        struct gatherer gather = {.all = form == 2};
        eddy_future *gate = eddy_future_create();
        eddy_task *tasks[3] = {spawn(swallow, NULL), spawn(swallow, gate),
                               form == 0 ? spawn(swallow, NULL) : spawn(sleep_forever, NULL)};
        for (int i = 0; i < 3; i++) gather.futures[i] = EDDY_FUTURE(tasks[i]);
        test_until_all_parked();
        eddy_task *task = spawn_parked(gatherer, &gather);
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        test_until_all_parked(); /* the second child waits at the gate */
        EXPECT_EQ(form == 1, eddy_future_done(EDDY_FUTURE(task)));
        EXPECT(!eddy_future_done(gather.futures[1]));
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        EXPECT_OK(eddy_await(gather.futures[0], NULL));
        EXPECT_OK(eddy_await(gather.futures[1], NULL));
        release_all(tasks, 3);
        eddy_future_release(gate);
    }
}

CORE_TEST(gather, of_a_thousand) {
    enum { COUNT = 1000 };
    static eddy_task *tasks[COUNT];
    static eddy_future *futures[COUNT];
    static eddy_result results[COUNT];
    static struct end ends[COUNT];
    for (int i = 0; i < COUNT; i++) ends[i] = (struct end){i % 3 == 0 ? i + 1 : 0, 0};
    spawn_ends(tasks, futures, ends, COUNT);
    EXPECT_OK(eddy_gather(futures, COUNT, results));
    for (int i = 0; i < COUNT; i++) EXPECT_EQ(ends[i].after_ns, results[i].value.i64);
    release_all(tasks, COUNT);
}

/* ---- wait ------------------------------------------------------------------------------------------------ */

CORE_TEST(gather, wait_for_all_first_and_first_failure) {
    struct end ends[] = {{EDDY_SECONDS(500), 0}, {EDDY_SECONDS(1000), 0}, {EDDY_SECONDS(1000), 0}, {0, 0}};
    eddy_task *tasks[4];
    eddy_future *futures[5], *gate = eddy_future_create();
    bool done[5];
    spawn_ends(tasks, futures, ends, 4);
    futures[4] = gate;
    EXPECT_EQ(EDDY_EINVAL, eddy_wait(futures, 0, 0, EDDY_ALL_COMPLETED, NULL));
    EXPECT_EQ(1, eddy_wait(futures, 4, EDDY_FOREVER, EDDY_FIRST_COMPLETED, done));
    EXPECT(!done[0] && !done[1] && !done[2] && done[3]);
    EXPECT_EQ(1, eddy_wait(futures, 4, EDDY_FOREVER, EDDY_FIRST_COMPLETED, done)); /* holds already */

    int64_t before_ns = eddy_time_ns();
    EXPECT_EQ(1, eddy_wait(futures, 5, EDDY_MS(2), EDDY_ALL_COMPLETED, done)); /* G4: a timeout is no failure */
    EXPECT(eddy_time_ns() - before_ns >= EDDY_MS(2));
    EXPECT(done[3] && !done[4]);
    EXPECT_EQ(1, eddy_wait(futures, 5, 0, EDDY_ALL_COMPLETED, NULL));
    EXPECT_EQ(0, eddy_task_cancelling(tasks[0]));

    EXPECT(eddy_cancel(futures[0])); /* a cancelled one is no failure: it waits on */
    EXPECT_EQ(2, eddy_wait(futures, 5, EDDY_MS(2), EDDY_FIRST_EXCEPTION, done));
    EXPECT(done[0] && !done[1] && !done[2] && done[3] && !done[4]);
    EXPECT_OK(eddy_future_fail(gate, -31, NULL));
    EXPECT_EQ(3, eddy_wait(futures, 5, EDDY_FOREVER, EDDY_FIRST_EXCEPTION, done));
    EXPECT(done[0] && !done[1] && !done[2] && done[3] && done[4]);
    EXPECT_EQ(-31, eddy_future_result(gate, NULL));
    EXPECT(eddy_cancel(futures[1]));
    EXPECT(eddy_cancel(futures[2]));
    EXPECT_EQ(5, eddy_wait(futures, 5, EDDY_FOREVER, EDDY_ALL_COMPLETED, done));
    release_all(tasks, 4);
    eddy_future_release(gate);
}

static int waiter(void *arg, eddy_value *out) {
    (void)out;
    struct gatherer *self = arg;
    return eddy_wait(self->futures, 3, EDDY_FOREVER, EDDY_FIRST_COMPLETED, NULL);
}

CORE_TEST(gather, cancelled_wait_leaves_the_set_alone) {
    struct gatherer set;
    for (int i = 0; i < 3; i++) set.futures[i] = eddy_future_create();
    eddy_task *task = spawn_parked(waiter, &set);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    for (int i = 0; i < 3; i++) EXPECT(!eddy_future_done(set.futures[i]));

    task = spawn_parked(waiter, &set);
    EXPECT_OK(eddy_future_set(set.futures[1], EDDY_NONE));
    bool asked = eddy_cancel(EDDY_FUTURE(task)); /* done and cancelled in one pass */
    EXPECT_EQ(asked ? EDDY_ECANCELED : 1, end_of(task));
    for (int i = 0; i < 3; i++) eddy_future_release(set.futures[i]);
}

/* Waiters on any workers, futures that end on any workers, with deadlines that meet their ends. */
static int set_later(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    return eddy_future_set(arg, EDDY_NONE);
}
static int wait_briefly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *futures[3];
    eddy_task *setters[3];
    for (int i = 0; i < 3; i++) {
        futures[i] = eddy_future_create();
        setters[i] = spawn(set_later, futures[i]);
    }
    eddy_share();
    int done = eddy_wait(futures, 3, EDDY_US(100), EDDY_ALL_COMPLETED, NULL);
    EXPECT(done >= 0 && done <= 3);
    done = eddy_wait(futures, 3, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
    EXPECT_EQ(3, done);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(end_of(setters[i]));
        eddy_future_release(futures[i]);
    }
    return 0;
}

CORE_TEST(gather, wait_deadlines_meet_completions) {
    for (int round = 0; round < 10; round++) {
        eddy_task *tasks[20];
        for (int i = 0; i < 20; i++) tasks[i] = spawn(wait_briefly, NULL);
        for (int i = 0; i < 20; i++) EXPECT_OK(end_of(tasks[i]));
    }
}

/* ---- shield ---------------------------------------------------------------------------------------------- */

CORE_TEST(gather, shield_keeps_a_cancel_from_the_inner) {
    eddy_future *inner = eddy_future_create(), *outer;
    EXPECT_OK(eddy_shield(&outer, inner));
    EXPECT(eddy_cancel(outer));
    EXPECT(!eddy_future_done(inner));
    EXPECT_OK(eddy_future_set(inner, EDDY_I64(4)));
    eddy_future_release(outer);
    test_until_all_parked();

    EXPECT_OK(eddy_shield(&outer, inner)); /* done already */
    eddy_value value;
    EXPECT_OK(eddy_await(outer, &value));
    EXPECT_EQ(4, value.i64);
    eddy_future_release(outer);
    eddy_future_release(inner);
}

CORE_TEST(gather, shield_follows_the_inner) {
    eddy_value value;
    eddy_future *inner = eddy_future_create(), *outer;
    EXPECT_OK(eddy_shield(&outer, inner));
    EXPECT_OK(eddy_future_set(inner, EDDY_I64(4)));
    EXPECT_OK(eddy_await(outer, &value));
    EXPECT_EQ(4, value.i64);
    eddy_future_release(inner); /* the outer holds it */
    eddy_future_release(outer);

    inner = eddy_future_create();
    EXPECT_OK(eddy_shield(&outer, inner));
    EXPECT_OK(eddy_future_fail(inner, -17, "inside"));
    EXPECT_EQ(-17, eddy_await(outer, NULL));
    EXPECT_STR("inside", eddy_error_text(eddy_error_current(-17)));
    eddy_future_release(inner);
    eddy_future_release(outer);

    inner = eddy_future_create();
    EXPECT_OK(eddy_shield(&outer, inner));
    EXPECT(eddy_cancel(inner));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(outer, NULL));
    EXPECT(eddy_future_cancelled(outer));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    eddy_future_release(inner);
    eddy_future_release(outer);

    inner = eddy_future_create();
    EXPECT_OK(eddy_shield(&outer, inner));
    eddy_future_release(outer); /* nobody waits */
    EXPECT_OK(eddy_future_set(inner, EDDY_NONE));
    eddy_future_release(inner);
}

CORE_TEST(gather, shielded_task_goes_on) {
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
