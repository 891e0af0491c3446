/* Eager start: the body begins inside the spawn (T6). */
#include "task/core_testing.h"

static const eddy_local number = EDDY_LOCAL("number", NULL);

struct log {
    _Atomic int count;
    int64_t seen[64];
};
static void note(struct log *log, int64_t what) { log->seen[atomic_fetch_add(&log->count, 1)] = what; }
static void expect_log(const struct log *log, int count, const int64_t *want) {
    EXPECT_EQ(count, log->count);
    for (int i = 0; i < count; i++) EXPECT_EQ(want[i], log->seen[i]);
}

static int eager(eddy_task **task_out, eddy_coro_fn fn, void *arg) {
    return eddy_spawn(task_out, fn, arg, EDDY_TASK(.eager = true));
}

static eddy_task *spawner;
static int two_steps(void *arg, eddy_value *out) {
    struct log *log = arg;
    eddy_task *self = eddy_current_task();
    EXPECT(self != spawner);
    EXPECT_EQ(7, eddy_local_get(&number, EDDY_NONE).i64);
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(8), NULL));
    note(log, 1);
    EXPECT_OK(eddy_yield());
    EXPECT(eddy_current_task() == self);
    note(log, 3);
    *out = EDDY_I64(5);
    return 0;
}

/* As the current task, in its own context; at its first suspension the spawner goes on. */
CORE_TEST(eager, runs_until_it_first_waits) {
    struct log log = {0};
    eddy_task *task;
    eddy_value value;
    spawner = eddy_current_task();
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(7), NULL));
    /* One that migrates may go on elsewhere before its spawner does here. */
    EXPECT_OK(eddy_spawn(&task, two_steps, &log, EDDY_TASK(.eager = true, .migrate = EDDY_STAY)));
    EXPECT(eddy_current_task() == spawner);
    EXPECT_EQ(7, eddy_local_get(&number, EDDY_NONE).i64);
    note(&log, 2);
    EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(5, value.i64);
    eddy_task_release(task);
    expect_log(&log, 3, (const int64_t[]){1, 2, 3});
}

static int end_at_once(void *arg, eddy_value *out) {
    note(arg, 1);
    *out = EDDY_I64(6);
    return 0;
}

CORE_TEST(eager, one_that_ends_at_once_was_never_queued) {
    struct log log = {0};
    eddy_task *task;
    eddy_value value;
    EXPECT_OK(eager(&task, end_at_once, &log));
    EXPECT_EQ(1, log.count);
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_future_result(EDDY_FUTURE(task), &value));
    EXPECT_EQ(6, value.i64);
    eddy_task_release(task);
    EXPECT_OK(eager(NULL, end_at_once, &log)); /* nobody holds it */
    EXPECT_EQ(2, log.count);
}

struct nest {
    struct log *log;
    int depth;
};
static int spawn_deeper(void *arg, eddy_value *out) {
    struct nest *nest = arg;
    (void)out;
    note(nest->log, nest->depth);
    if (nest->depth < 5) {
        struct nest inner = {nest->log, nest->depth + 1};
        eddy_task *task;
        EXPECT_OK(eager(&task, spawn_deeper, &inner));
        note(nest->log, 10 + nest->depth); /* the inner one waits: its spawner is next, before all who wait already */
        EXPECT_OK(end_of(task));
    } else {
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

CORE_TEST(eager, nests) {
    struct log log = {0};
    struct nest nest = {&log, 1};
    EXPECT_OK(spawn_deeper(&nest, NULL));
    expect_log(&log, 9, (const int64_t[]){1, 2, 3, 4, 5, 14, 13, 12, 11});
}

static int wait_in_vain(void *arg, eddy_value *out) {
    note(arg, 1);
    int status = sleep_forever(arg, out);
    note(arg, 2);
    return status;
}

CORE_TEST(eager, can_be_cancelled_where_it_waits) {
    struct log log = {0};
    eddy_task *task;
    EXPECT_OK(eager(&task, wait_in_vain, &log));
    EXPECT_EQ(1, log.count);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(2, log.count);
}

static int fail_at_once(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(EDDY_EINVAL, "at once");
}

/* Its failure aborts the group through a callback, not inside the spawn. */
CORE_TEST(eager, a_failing_child_aborts_its_group_later) {
    eddy_group group;
    eddy_task *task;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, &task, fail_at_once, NULL, EDDY_TASK(.eager = true)));
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    EXPECT_OK(eddy_group_spawn(&group, NULL, give_nothing, NULL, NULL)); /* it is not aborting yet */
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, status));
    eddy_handled();
    eddy_task_release(task);
}

static eddy_task *from_callback;
static int spawn_in_callback(void *arg) {
    struct log *log = arg;
    EXPECT_OK(eager(&from_callback, wait_in_vain, log));
    note(log, 3);
    EXPECT(eddy_current_task() == NULL);
    EXPECT_OK(eager(NULL, end_at_once, log));
    note(log, 4);
    return 0;
}

CORE_TEST(eager, starts_from_a_callback) {
    struct log log = {0};
    EXPECT_OK(eddy_call_soon(NULL, spawn_in_callback, &log, NULL));
    test_until_all_parked();
    expect_log(&log, 4, (const int64_t[]){1, 3, 1, 4});
    EXPECT(eddy_cancel(EDDY_FUTURE(from_callback)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(from_callback));
}

static int in_a_domain(void *arg, eddy_value *out) {
    struct log *log = arg;
    eddy_task *task;
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(7), NULL));
    spawner = eddy_current_task();
    EXPECT_OK(eager(&task, two_steps, log));
    EXPECT_EQ(1, log->count);
    note(log, 2);
    int status = eddy_await(EDDY_FUTURE(task), out);
    eddy_task_release(task);
    return status;
}

TEST(eager, in_a_domain) {
    for (int i = 0; i < 3; i++) {
        struct log log = {0};
        eddy_loop *domain;
        eddy_task *task;
        EXPECT_OK(eddy_domain_open(&domain));
        EXPECT_OK(eddy_spawn(&task, in_a_domain, &log, EDDY_TASK(.loop = domain)));
        EXPECT_OK(end_of(task));
        expect_log(&log, 3, (const int64_t[]){1, 2, 3});
    }
}

CORE_TEST(eager, not_on_another_worker) {
    eddy_loop *domain, *here = eddy_loop_current();
    struct log log = {0};
    EXPECT_OK(eddy_domain_open(&domain));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn_threadsafe(here, NULL, end_at_once, &log, EDDY_TASK(.eager = true)));
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(eddy_domain_open(&domain));
        int status = eddy_spawn(NULL, end_at_once, &log, EDDY_TASK(.loop = domain, .eager = true));
        EXPECT(status == 0 || status == EDDY_EINVAL);
        EXPECT_EQ(status == 0, atomic_exchange(&log.count, 0));
    }
}

static int spawn_eagerly(void *arg, eddy_value *out) {
    struct log log = {0};
    eddy_task *task;
    (void)arg, (void)out;
    int status = eager(&task, wait_in_vain, &log);
    if (status < 0) {
        EXPECT_EQ(0, log.count);
        return status;
    }
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_handled();
    return 0;
}
static int spawn_eagerly_in_a_run(void *arg) { return eddy_run(spawn_eagerly, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(eager, survives_the_failure_of_each_allocation) {
    EXPECT(test_each_allocation_fails(spawn_eagerly_in_a_run, NULL) > 3);
}
