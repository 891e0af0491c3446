/* thread_test.c: thread pools: values, texts, cancels at every point, who owns what, limits, the end of a run.
 *
 * Method: functions block on a gate (a mutex and a condition variable) that the test opens, so each claim is made in a
 * known state; where "until it has happened" is needed the test yields, and the harness's limit ends a wait for ever. */
#include "harness/test.h"

#include "base/base.h"
#include "eddy/loop.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/task.h"
#include "eddy/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- a function that waits to be let go ----------------------------------------------------------- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int inside; /* functions that came to the gate */
    int passed; /* functions that went on          */
    bool open;
};
#define GATE \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false }

static int pass_gate(void *arg, eddy_value *out) {
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    while (!gate->open) pthread_cond_wait(&gate->changed, &gate->lock);
    gate->passed++;
    pthread_mutex_unlock(&gate->lock);
    *out = EDDY_I64(7);
    return 0;
}

static void open_gate(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static int gate_count(struct gate *gate, int *figure) {
    pthread_mutex_lock(&gate->lock);
    const int count = *figure;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

static void until_inside(struct gate *gate, int count) {
    while (gate_count(gate, &gate->inside) < count) EXPECT_OK(eddy_yield());
}

struct run_args {
    eddy_thread_pool *pool; /* NULL: the default one */
    eddy_thread_fn fn;
    void *arg;
    eddy_value value;
};

static int run_task(void *arg, eddy_value *out) {
    struct run_args *args = arg;
    const int status = args->pool != NULL ? eddy_thread_pool_run(args->pool, args->fn, args->arg, &args->value)
                                          : eddy_to_thread(args->fn, args->arg, &args->value);
    *out = args->value;
    return status;
}

/* ---- values and failures ----------------------------------------------------------------------------- */

static int double_it(void *arg, eddy_value *out) {
    EXPECT(out->ptr == NULL && out->size == 0);
    EXPECT_EQ(-1, eddy_worker_index());
    *out = EDDY_I64(2 * *(int *)arg);
    return 3;
}

TEST(thread_pool, runs_elsewhere_and_gives_the_value) {
    int number = 21;
    eddy_value value;
    EXPECT_EQ(3, eddy_to_thread(double_it, &number, &value));
    EXPECT_EQ(42, value.i64);
    EXPECT_EQ(3, eddy_to_thread(double_it, &number, NULL));
}

static int fail_with_text(void *arg, eddy_value *out) {
    (void)out;
    return eddy_fail(-71, "row %d is locked", *(int *)arg);
}

TEST(thread_pool, failure_travels_with_its_text) {
    int row = 12;
    EXPECT_EQ(-71, eddy_to_thread(fail_with_text, &row, NULL));
    EXPECT_STR("row 12 is locked", eddy_error_text(eddy_error_current(-71)));
    eddy_handled();
    EXPECT(eddy_error_current(-71) == NULL);
}

static int fail_after_another(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    (void)eddy_fail(-5, "this one was dealt with");
    return -6;
}

TEST(thread_pool, text_of_another_failure_does_not_travel) {
    EXPECT_EQ(-6, eddy_to_thread(fail_after_another, NULL, NULL));
    EXPECT(eddy_error_current(-6) == NULL);
    EXPECT_EQ(-6, eddy_to_thread(fail_after_another, NULL, NULL)); /* nothing stays behind on the thread */
}

static int nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

static int call_eddy_from_a_thread(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_to_thread(nothing, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_thread_pool_run(arg, nothing, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_thread_pool_close(arg));
    eddy_thread_pool *pool;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_thread_pool_create(&pool, NULL));
    EXPECT(!eddy_job_cancelled());
    return 0;
}

TEST(thread_pool, wrong_use_gives_a_status) {
    eddy_thread_pool *pool;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 5000)));
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_create(NULL, NULL));
    EXPECT_OK(eddy_thread_pool_create(&pool, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_run(pool, NULL, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_run(NULL, nothing, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_to_thread_abandon(nothing, NULL, &(eddy_abandon_options){.size = 1}, NULL));
    EXPECT_OK(eddy_thread_pool_run(pool, call_eddy_from_a_thread, pool, NULL));
    EXPECT(!eddy_job_cancelled());
    EXPECT_OK(eddy_thread_pool_close(pool));
    EXPECT_OK(eddy_thread_pool_close(NULL));
}

struct seen {
    sigset_t mask;
    char name[17];
};

static int look_around(void *arg, eddy_value *out) {
    (void)out;
    struct seen *seen = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    return prctl(PR_GET_NAME, seen->name);
}

/* A signal of the process must not be taken by a pool's thread; one for a fault of its own must. */
TEST(thread_pool, has_a_name_and_leaves_signals_alone) {
    eddy_thread_pool *pool;
    struct seen seen = {.name = ""};
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1, .name = "db")));
    EXPECT_OK(eddy_thread_pool_run(pool, look_around, &seen, NULL));
    EXPECT_STR("db-0", seen.name);
    const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE};
    const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGPROF};
    for (int i = 0; i < 7; i++) EXPECT(sigismember(&seen.mask, blocked[i]));
    for (int i = 0; i < 7; i++) EXPECT(!sigismember(&seen.mask, open[i]));
    EXPECT_OK(eddy_thread_pool_close(pool));
}

/* ---- cancels: the borrowing form -------------------------------------------------------------------------- */

struct patient {
    _Atomic bool begun, ended;
};

static int until_cancelled(void *arg, eddy_value *out) {
    struct patient *patient = arg;
    ED_STORE_RELEASE(&patient->begun, true);
    while (!eddy_job_cancelled()) usleep(100);
    *out = EDDY_I64(5);
    ED_STORE_RELEASE(&patient->ended, true);
    return -9; /* not looked at */
}

TEST(thread_pool, cancel_raises_the_flag_and_waits_for_the_end) {
    struct patient patient = {false, false};
    struct run_args args = {.fn = until_cancelled, .arg = &patient};
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, run_task, &args, NULL));
    while (!ED_LOAD_ACQUIRE(&patient.begun)) EXPECT_OK(eddy_yield());
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    eddy_cancel(EDDY_FUTURE(task)); /* a second request may find it waiting for the end */
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(ED_LOAD_ACQUIRE(&patient.ended));
    EXPECT_EQ(5, args.value.i64); /* what it gave is the caller's all the same */
    eddy_task_release(task);
}

TEST(thread_pool, timeout_is_a_cancel) {
    struct patient patient = {false, false};
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_to_thread(until_cancelled, &patient, NULL)));
    EXPECT(ED_LOAD_ACQUIRE(&patient.begun) == ED_LOAD_ACQUIRE(&patient.ended));
    EXPECT_OK(eddy_to_thread(nothing, NULL, NULL)); /* the flag was that job's alone */
}

TEST(thread_pool, cancel_takes_a_queued_job_back) {
    struct gate gate = GATE;
    eddy_thread_pool *pool;
    eddy_task *first, *second;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1)));
    struct run_args one = {.pool = pool, .fn = pass_gate, .arg = &gate};
    EXPECT_OK(eddy_spawn(&first, run_task, &one, NULL));
    until_inside(&gate, 1);
    struct run_args two = {.pool = pool, .fn = pass_gate, .arg = &gate};
    EXPECT_OK(eddy_spawn(&second, run_task, &two, NULL));
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.queued == 0);
    EXPECT_EQ(1, stats.running);
    EXPECT_EQ(1, stats.threads);

    EXPECT(eddy_cancel(EDDY_FUTURE(second)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(second), NULL)); /* while the gate is shut */
    EXPECT(two.value.ptr == NULL);
    eddy_thread_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.queued);
    open_gate(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(first), NULL));
    EXPECT_OK(eddy_thread_pool_close(pool));
    EXPECT_EQ(1, gate.passed);
    eddy_task_release(first);
    eddy_task_release(second);
}

static int add_up(void *arg, eddy_value *out) {
    int *numbers = arg;
    for (int i = 0; i < 1000; i++) numbers[1] += numbers[0];
    *out = EDDY_I64(numbers[1]);
    return 0;
}

/* The argument lies in the frame of a task that may be cancelled: it must not be gone while the function runs. */
static int borrow_own_frame(void *arg, eddy_value *out) {
    (void)arg;
    int numbers[2] = {3, 0};
    const int status = eddy_to_thread(add_up, numbers, out);
    EXPECT(status == EDDY_ECANCELED || (status == 0 && numbers[1] == 3000));
    EXPECT(out->ptr == NULL || out->i64 == 3000); /* it ran to its end, or not at all */
    return status;
}

/* Cancelled after 0, 1, 2... steps of the scheduler. */
TEST(thread_pool, cancel_at_every_step, TEST_LIMIT(60)) {
    int ended = 0, cancelled = 0;
    for (int64_t k = 0; k < test_scaled(300); k++) {
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, borrow_own_frame, NULL, NULL));
        for (int64_t step = 0; step < k * k / 16; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        *(status == 0 ? &ended : &cancelled) += 1;
        eddy_task_release(task);
    }
    EXPECT(cancelled > 0);
}

TEST(thread_pool, gather_of_many) {
    enum { COUNT = 100 };
    eddy_task *tasks[COUNT];
    eddy_future *futures[COUNT];
    eddy_result results[COUNT];
    struct run_args args[COUNT];
    int numbers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        numbers[i] = i;
        args[i] = (struct run_args){.fn = double_it, .arg = &numbers[i]};
        EXPECT_OK(eddy_spawn(&tasks[i], run_task, &args[i], NULL));
        futures[i] = EDDY_FUTURE(tasks[i]);
    }
    EXPECT_OK(eddy_gather(futures, COUNT, results));
    for (int i = 0; i < COUNT; i++) {
        EXPECT_EQ(2 * i, results[i].value.i64);
        eddy_task_release(tasks[i]);
    }
    eddy_thread_pool_stats stats;
    eddy_thread_pool_stats_read(NULL, &stats);
    EXPECT_EQ(COUNT, stats.done);
    EXPECT(stats.threads <= 32);
}

static int gather_three(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[3];
    eddy_future *futures[3];
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_spawn(&tasks[i], borrow_own_frame, NULL, NULL));
        futures[i] = EDDY_FUTURE(tasks[i]);
    }
    const int status = eddy_gather_all(futures, 3, NULL);
    for (int i = 0; i < 3; i++) eddy_task_release(tasks[i]);
    return status;
}

TEST(thread_pool, gather_cancelled_at_every_step, TEST_LIMIT(60)) {
    for (int64_t k = 0; k < test_scaled(100); k++) {
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, gather_three, NULL, NULL));
        for (int64_t step = 0; step < k * k / 8; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        eddy_task_release(task);
    }
}

/* ---- the abandoning form ----------------------------------------------------------------------------------- */

struct owned {
    struct gate *gate;
    _Atomic int *args_dropped, *values_dropped;
    int fail;
};

static void drop_owned_arg(eddy_value value) {
    struct owned *owned = value.ptr;
    ED_ADD(owned->args_dropped, 1);
    free(owned);
}

static void drop_counter(eddy_value value) { ED_ADD((_Atomic int *)value.ptr, 1); }

static int pass_gate_owned(void *arg, eddy_value *out) {
    struct owned *owned = arg;
    if (owned->gate != NULL) pass_gate(owned->gate, out);
    *out = EDDY_PTR(owned->values_dropped);
    return owned->fail != 0 ? eddy_fail(owned->fail, "the disk said no") : 0;
}

static struct owned *owned_create(struct gate *gate, _Atomic int *args_dropped, _Atomic int *values_dropped, int fail) {
    struct owned *owned = malloc(sizeof *owned);
    *owned = (struct owned){gate, args_dropped, values_dropped, fail};
    return owned;
}

static int abandon_task(void *arg, eddy_value *out) {
    return eddy_to_thread_abandon(
        pass_gate_owned, arg, EDDY_ABANDON_JOB(.drop_arg = drop_owned_arg, .drop = drop_counter, .name = "slow"), out);
}

TEST(thread_pool, abandoned_result_is_given_if_nobody_cancels) {
    _Atomic int args = 0, values = 0;
    eddy_value value;
    EXPECT_OK(abandon_task(owned_create(NULL, &args, &values, 0), &value));
    EXPECT(value.ptr == &values);
    EXPECT_EQ(1, ED_LOAD_ACQUIRE(&args));
    EXPECT_EQ(0, ED_LOAD_ACQUIRE(&values));
    EXPECT_EQ(-5, abandon_task(owned_create(NULL, &args, &values, -5), &value));
    EXPECT_STR("the disk said no", eddy_error_text(eddy_error_current(-5)));
    EXPECT_EQ(2, ED_LOAD_ACQUIRE(&args));
    EXPECT_OK(eddy_to_thread_abandon(pass_gate_owned, owned_create(NULL, &args, &values, 0),
                                     EDDY_ABANDON_JOB(.drop_arg = drop_owned_arg, .drop = drop_counter), NULL));
    EXPECT_EQ(1, ED_LOAD_ACQUIRE(&values)); /* nobody wanted it */
}

TEST(thread_pool, abandoning_cancel_returns_at_once) {
    struct gate gate = GATE;
    _Atomic int args = 0, values = 0;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, abandon_task, owned_create(&gate, &args, &values, 0), NULL));
    until_inside(&gate, 1);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL)); /* while the gate is shut */
    EXPECT_EQ(0, ED_LOAD_ACQUIRE(&args));
    open_gate(&gate);
    while (ED_LOAD_ACQUIRE(&values) == 0) EXPECT_OK(eddy_yield());
    EXPECT_EQ(1, ED_LOAD_ACQUIRE(&args));
    eddy_task_release(task);
}

struct handing_over {
    struct owned *owned;
    bool begun;
};

static int hand_over(void *arg, eddy_value *out) {
    struct handing_over *handing = arg;
    handing->begun = true;
    return abandon_task(handing->owned, out);
}

/* Each argument is dropped once, each value is dropped once or given. */
TEST(thread_pool, abandoning_cancel_at_every_step, TEST_LIMIT(60)) {
    _Atomic int args = 0, values = 0;
    int given = 0, begun = 0;
    for (int64_t k = 0; k < test_scaled(300); k++) {
        eddy_task *task;
        struct handing_over handing = {owned_create(NULL, &args, &values, 0), false};
        EXPECT_OK(eddy_spawn(&task, hand_over, &handing, EDDY_TASK(.drop = drop_counter)));
        for (int64_t step = 0; step < k * k / 16; step++) EXPECT_OK(eddy_yield());
        if (k % 10 > 0) eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        eddy_value value;
        if (status == 0) EXPECT_OK(eddy_future_take(EDDY_FUTURE(task), &value));
        given += status == 0;
        begun += handing.begun;
        if (!handing.begun) free(handing.owned);
        eddy_task_release(task);
    }
    EXPECT(given > 0);
    eddy_thread_pool_stats stats;
    do { /* until the last thread is done with what was left to it: a job runs until it is counted as done, and drops after that */
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(NULL, &stats);
    } while (stats.queued + stats.running > 0 || ED_LOAD_ACQUIRE(&values) + given < (int)stats.done);
    EXPECT_EQ(begun, ED_LOAD_ACQUIRE(&args));
    EXPECT_EQ(stats.done, ED_LOAD_ACQUIRE(&values) + given);
}

/* ---- pools ------------------------------------------------------------------------------------------------ */

TEST(thread_pool, full_queue_is_a_limit) {
    struct gate gate = GATE;
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 2, .name = "db", .queue_max = 3)));
    struct run_args args = {.pool = pool, .fn = pass_gate, .arg = &gate};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    struct run_args own[5];
    for (int i = 0; i < 5; i++) {
        own[i] = args;
        EXPECT_OK(eddy_group_spawn(&group, NULL, run_task, &own[i], NULL));
    }
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.running < 2 || stats.queued < 3);
    EXPECT_EQ(EDDY_ELIMIT, eddy_thread_pool_run(pool, pass_gate, &gate, NULL));
    EXPECT_STR("thread pool 'db': 3 jobs wait already", eddy_error_text(eddy_error_current(EDDY_ELIMIT)));
    eddy_handled();
    _Atomic int dropped = 0, values = 0;
    EXPECT_EQ(EDDY_ELIMIT, eddy_thread_pool_abandon(pool, pass_gate_owned, owned_create(NULL, &dropped, &values, 0),
                                                    EDDY_ABANDON_JOB(.drop_arg = drop_owned_arg), NULL));
    EXPECT_EQ(1, ED_LOAD_ACQUIRE(&dropped)); /* taken, also when the call fails */
    open_gate(&gate);
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT_EQ(5, gate.passed);
    EXPECT_OK(eddy_thread_pool_close(pool));
}

static int close_task(void *arg, eddy_value *out) {
    (void)out;
    return eddy_thread_pool_close(arg);
}

TEST(thread_pool, close_waits_for_started_and_queued_work) {
    struct gate gate = GATE;
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1, .name = "db")));
    eddy_task *tasks[3], *closer;
    struct run_args args[3];
    for (int i = 0; i < 3; i++) {
        args[i] = (struct run_args){.pool = pool, .fn = pass_gate, .arg = &gate};
        EXPECT_OK(eddy_spawn(&tasks[i], run_task, &args[i], NULL));
    }
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.running + stats.queued < 3);
    until_inside(&gate, 1);
    EXPECT_OK(eddy_spawn(&closer, close_task, pool, NULL));
    int status;
    do { /* until the closer has begun, calls are taken: cancelled at once, they are taken back */
        status = EDDY_TIMEOUT(0, eddy_thread_pool_run(pool, nothing, NULL, NULL));
    } while (status == EDDY_ETIMEDOUT);
    EXPECT_EQ(EDDY_ECLOSED, status);
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ECLOSED)), "'db' is closing");
    EXPECT_EQ(EDDY_ESTATE, eddy_thread_pool_close(pool));
    EXPECT(!eddy_future_done(EDDY_FUTURE(closer)));
    open_gate(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    EXPECT_EQ(3, gate.passed);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    eddy_task_release(closer);
}

static int cancel_pool_task(void *arg, eddy_value *out) {
    (void)out;
    return eddy_thread_pool_cancel(arg);
}

/* What a thread has begun ends; what waits never runs, and its callers are told; then nothing is left of the pool. */
TEST(thread_pool, cancel_takes_back_what_waits) {
    enum { WAITING = 5 };
    struct gate gate = GATE;
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1)));
    eddy_task *tasks[1 + WAITING], *closer;
    struct run_args args[1 + WAITING];
    for (int i = 0; i < 1 + WAITING; i++) {
        args[i] = (struct run_args){.pool = pool, .fn = pass_gate, .arg = &gate};
        EXPECT_OK(eddy_spawn(&tasks[i], run_task, &args[i], NULL));
        if (i == 0) until_inside(&gate, 1);
    }
    eddy_thread_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(pool, &stats);
    } while (stats.queued < WAITING);
    EXPECT_OK(eddy_spawn(&closer, cancel_pool_task, pool, NULL));
    for (int i = 1; i < 1 + WAITING; i++) /* while the gate is shut */
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
    EXPECT(!eddy_future_done(EDDY_FUTURE(tasks[0])));
    EXPECT(!eddy_future_done(EDDY_FUTURE(closer)));
    EXPECT_EQ(EDDY_ESTATE, eddy_thread_pool_cancel(pool));
    open_gate(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[0]), NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    EXPECT_EQ(1, gate.passed);
    for (int i = 0; i < 1 + WAITING; i++) eddy_task_release(tasks[i]);
    eddy_task_release(closer);
    EXPECT_OK(eddy_thread_pool_cancel(NULL));
}

/* A cancelled close goes on alone; the run's end waits for it (the harness sees the bytes that would be left). */
TEST(thread_pool, cancelled_close_goes_on) {
    struct gate *gate = calloc(1, sizeof *gate);
    *gate = (struct gate)GATE;
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, NULL));
    eddy_task *task;
    struct run_args own = {.pool = pool, .fn = pass_gate, .arg = gate};
    EXPECT_OK(eddy_spawn(&task, run_task, &own, NULL));
    until_inside(gate, 1);
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_thread_pool_close(pool)));
    open_gate(gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    free(gate);
}

static int note_initialized(void *arg) {
    ED_ADD((_Atomic int *)arg, 1);
    return 0;
}

static int refuse_to_initialize(void *arg) {
    (void)arg;
    return eddy_fail(-13, "no such database");
}

TEST(thread_pool, initializer_runs_first_and_its_failure_breaks_the_pool) {
    _Atomic int count = 0;
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(
        &pool, EDDY_THREAD_POOL(.threads = 1, .initializer = note_initialized, .initializer_arg = &count)));
    EXPECT_OK(eddy_thread_pool_run(pool, nothing, NULL, NULL));
    EXPECT_OK(eddy_thread_pool_run(pool, nothing, NULL, NULL));
    EXPECT_EQ(1, ED_LOAD_ACQUIRE(&count));
    EXPECT_OK(eddy_thread_pool_close(pool));

    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.name = "db", .initializer = refuse_to_initialize)));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_thread_pool_run(pool, nothing, NULL, NULL));
        EXPECT_STR("thread pool 'db': its initializer failed with EACCES: no such database",
                   eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)));
        eddy_handled();
    }
    EXPECT_OK(eddy_thread_pool_close(pool));
}

TEST(thread_pool, idle_threads_end) {
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 2, .idle_ns = EDDY_MS(1))));
    eddy_thread_pool_stats stats;
    for (int i = 0; i < 20; i++) {
        EXPECT_OK(eddy_thread_pool_run(pool, nothing, NULL, NULL));
        do {
            if (i % 2 == 0) break; /* half of the calls find a thread that is about to end */
            EXPECT_OK(eddy_yield());
            eddy_thread_pool_stats_read(pool, &stats);
        } while (stats.threads > 0);
    }
    EXPECT_OK(eddy_thread_pool_close(pool));
}

struct crowd {
    _Atomic int now, max;
};

static int join_crowd(void *arg, eddy_value *out) {
    struct crowd *crowd = arg;
    (void)out;
    const int now = ED_ADD(&crowd->now, 1) + 1;
    for (int max = ED_LOAD_RELAXED(&crowd->max); now > max && !ED_CAS(&crowd->max, &max, now);) continue;
    usleep(200);
    ED_SUB(&crowd->now, 1);
    return 0;
}

TEST(thread_pool, no_more_threads_than_asked_for) {
    enum { COUNT = 60 };
    struct crowd crowd = {0, 0};
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 4)));
    eddy_group group;
    struct run_args args = {.pool = pool, .fn = join_crowd, .arg = &crowd};
    struct run_args own[COUNT];
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < COUNT; i++) {
        own[i] = args;
        EXPECT_OK(eddy_group_spawn(&group, NULL, run_task, &own[i], NULL));
    }
    EXPECT_OK(eddy_group_exit(&group, 0));
    EXPECT(ED_LOAD_RELAXED(&crowd.max) <= 4);
    eddy_thread_pool_stats stats;
    eddy_thread_pool_stats_read(pool, &stats);
    EXPECT_EQ(COUNT, stats.done);
    EXPECT(stats.threads <= 4);
    EXPECT_OK(eddy_thread_pool_close(pool));
}

static int use_pool(void *arg) {
    (void)arg;
    eddy_thread_pool *pool;
    int number = 4;
    eddy_value value;
    int status = eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 2));
    if (status < 0) return status;
    status = eddy_thread_pool_run(pool, double_it, &number, &value);
    const int closed = eddy_thread_pool_close(pool);
    eddy_handled(); /* the text of a failure is memory too */
    return status < 0 ? status : closed;
}

TEST(thread_pool, survives_the_failure_of_each_allocation) { EXPECT(test_each_allocation_fails(use_pool, NULL) >= 2); }

/* ---- the end of a run ---------------------------------------------------------------------------------------- */

struct report_log {
    _Atomic int count;
    enum eddy_report_kind kind;
    int status;
    char task[64], text[128], message[128];
};

static void log_report(const eddy_report *report, void *arg) {
    struct report_log *log = arg;
    log->kind = report->kind;
    log->status = report->status;
    strncpy(log->task, report->task, sizeof log->task - 1);
    strncpy(log->text, eddy_error_text(report->error), sizeof log->text - 1);
    strncpy(log->message, report->message, sizeof log->message - 1);
    ED_ADD(&log->count, 1);
}

struct leaving {
    struct gate gate;
    _Atomic int args, values;
    int fail;
    bool open_before_the_end;
};

static int leave_one_behind(void *arg, eddy_value *out) {
    struct leaving *leaving = arg;
    (void)out;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, abandon_task,
                         owned_create(&leaving->gate, &leaving->args, &leaving->values, leaving->fail), NULL));
    until_inside(&leaving->gate, 1);
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    if (leaving->open_before_the_end) open_gate(&leaving->gate);
    return 0;
}

/* A failure that nobody saw is reported with its name and text, also when it comes as the run ends. */
UNIT(thread_pool, abandoned_failure_is_reported) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct report_log log = {.count = 0};
        struct leaving leaving = {.gate = GATE, .fail = -28, .open_before_the_end = true};
        EXPECT_OK(eddy_run(leave_one_behind, &leaving, NULL,
                           EDDY_RUN(.workers = workers, .on_exception = log_report, .on_exception_arg = &log)));
        EXPECT_EQ(1, log.count);
        EXPECT_EQ(EDDY_REPORT_NEVER_RETRIEVED, log.kind);
        EXPECT_EQ(-28, log.status);
        EXPECT_STR("slow", log.task);
        EXPECT_STR("the disk said no", log.text);
        EXPECT_EQ(1, leaving.args);
        EXPECT_EQ(0, leaving.values);
    }
}

/* A function that does not return is named at the deadline and left behind; what it owned goes when it ends. */
UNIT(thread_pool, stuck_function_is_left_behind) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct report_log log = {.count = 0};
        struct leaving leaving = {.gate = GATE};
        EXPECT_OK(eddy_run(leave_one_behind, &leaving, NULL,
                           EDDY_RUN(.workers = workers, .shutdown_ns = EDDY_MS(20), .on_exception = log_report,
                                    .on_exception_arg = &log)));
        EXPECT_EQ(1, log.count);
        EXPECT_EQ(EDDY_REPORT_SHUTDOWN, log.kind);
        EXPECT_STR("slow", log.task);
        EXPECT_HAS(log.message, "left behind");
        EXPECT_EQ(0, ED_LOAD_ACQUIRE(&leaving.args));
        EXPECT(ed_alloc_live_bytes() > 0); /* the job and its pool's record, nothing of the run */
        open_gate(&leaving.gate);
        while (ED_LOAD_ACQUIRE(&leaving.args) == 0 || ED_LOAD_ACQUIRE(&leaving.values) == 0 ||
               ed_alloc_live_bytes() > 0)
            usleep(100);
    }
}

static int open_and_forget(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_thread_pool *pool;
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 3)));
        if (i > 0) EXPECT_OK(eddy_thread_pool_run(pool, nothing, NULL, NULL));
    }
    return 0;
}

UNIT(thread_pool, end_of_the_run_closes_open_pools) {
    EXPECT_OK(eddy_run(open_and_forget, NULL, NULL, EDDY_RUN(.workers = 2)));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}
