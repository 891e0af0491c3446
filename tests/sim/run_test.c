/* Simulations of a user's: what a run gives, when others are idle, what a deadlock and a limit say, seeds that fail and
 * replay. */
#include "eddy/eddy.h"
#include "harness/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a run -------------------------------------------------------------------------------------- */

static int sleep_long(void *arg, eddy_value *out) {
    (void)arg;
    int64_t begin_ns = eddy_time_ns();
    int status = eddy_sleep(EDDY_SECONDS(3600));
    *out = EDDY_I64(eddy_time_ns() - begin_ns);
    return status;
}

UNIT(sim_run, clock_jumps_over_what_all_wait_for) {
    eddy_value value;
    EXPECT_OK(eddy_sim_run(sleep_long, NULL, &value, EDDY_SIM(.seed = 3)));
    EXPECT(value.i64 >= EDDY_SECONDS(3600) && value.i64 < EDDY_SECONDS(3600) + EDDY_MS(1));
    EXPECT_OK(eddy_sim_run(sleep_long, NULL, NULL, NULL));
}

static int fail_at_once(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_sim_run(sleep_long, NULL, NULL, NULL)); /* inside one */
    EXPECT_EQ(EDDY_ESTATE, eddy_run(sleep_long, NULL, NULL, NULL));
    return -EPROTO;
}

UNIT(sim_run, wrong_use_and_failures_are_statuses) {
    eddy_sim_options options = eddy_sim_options_init();
    EXPECT_EQ(-EPROTO, eddy_sim_run(fail_at_once, NULL, NULL, &options));
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(NULL, NULL, NULL, &options));
    options.resets = 1001;
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(fail_at_once, NULL, NULL, &options));
    options = eddy_sim_options_init();
    options.latency_ns_min = 5;
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(fail_at_once, NULL, NULL, &options));
    options = eddy_sim_options_init();
    options.size--;
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(fail_at_once, NULL, NULL, &options));
    EXPECT_EQ(0, eddy_sim_random());
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_sim_until_idle());
}

static int not_here(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_signal *signal;
    EXPECT_EQ(EDDY_ENOTSUP, eddy_signal_open(&signal, 10));
    eddy_process_pool *pool;
    EXPECT_EQ(EDDY_ENOTSUP, eddy_process_pool_create(&pool, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ENOTSUP)), "a simulation has no processes");
    EXPECT(eddy_loop_uv() == NULL);
    return 0;
}

UNIT(sim_run, what_is_not_there_says_so) { EXPECT_OK(eddy_sim_run(not_here, NULL, NULL, NULL)); }

static int random_numbers(void *arg, eddy_value *out) {
    (void)out;
    uint64_t *numbers = arg;
    for (int i = 0; i < 4; i++) numbers[i] = eddy_sim_random();
    return 0;
}

UNIT(sim_run, random_numbers_come_from_the_seed) {
    uint64_t numbers[3][4];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_sim_run(random_numbers, numbers[i], NULL, EDDY_SIM(.seed = i == 2)));
    EXPECT(memcmp(numbers[0], numbers[1], sizeof numbers[0]) == 0);
    EXPECT(memcmp(numbers[0], numbers[2], sizeof numbers[0]) != 0);
}

/* ---- until idle ----------------------------------------------------------------------------------- */

struct line {
    eddy_queue *queues[6];
    int ended;
};

/* Hands what it gets to the next queue. */
static int hand_on(void *arg, eddy_value *out) {
    eddy_queue **queue = arg;
    (void)out;
    eddy_value value;
    int status = eddy_queue_get(queue[0], &value);
    return status < 0 ? status : eddy_queue_put(queue[1], value);
}

static int chain(void *arg, eddy_value *out) {
    struct line *line = arg;
    eddy_task *tasks[5], *sleeper;
    (void)out;
    EXPECT_OK(eddy_spawn(&sleeper, sleep_long, NULL, NULL));
    for (int i = 0; i < 6; i++) line->queues[i] = eddy_queue_create(1, NULL);
    for (int i = 0; i < 5; i++) EXPECT_OK(eddy_spawn(&tasks[i], hand_on, &line->queues[i], NULL));
    EXPECT_OK(eddy_sim_until_idle());
    EXPECT_OK(eddy_queue_put(line->queues[0], EDDY_I64(9)));
    EXPECT_OK(eddy_sim_until_idle()); /* five tasks, on any workers, have passed it on */
    EXPECT_EQ(1, eddy_queue_size(line->queues[5]));
    EXPECT(!eddy_future_done(EDDY_FUTURE(sleeper))); /* and the clock has not jumped */
    EXPECT(eddy_cancel(EDDY_FUTURE(sleeper)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(sleeper), NULL));
    eddy_task_release(sleeper);
    for (int i = 0; i < 5; i++) {
        EXPECT(eddy_future_done(EDDY_FUTURE(tasks[i])));
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    for (int i = 0; i < 6; i++) eddy_queue_release(line->queues[i]);
    return 0;
}

UNIT(sim_run, until_idle_waits_for_all_that_needs_no_time) {
    struct line line = {{NULL}, 0};
    for (uint64_t seed = 0; seed < 100; seed++) EXPECT_OK(eddy_sim_run(chain, &line, NULL, EDDY_SIM(.seed = seed)));
}

static int wait_idle(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_sim_until_idle();
    if (status == 0) ++*(int *)arg;
    return status;
}

static int several_wait(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int woken = 0;
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&tasks[i], wait_idle, &woken, NULL));
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_EQ(3, woken);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    EXPECT_OK(eddy_spawn(&tasks[0], wait_idle, &woken, NULL));
    EXPECT(eddy_cancel(EDDY_FUTURE(tasks[0])));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(tasks[0]), NULL));
    eddy_task_release(tasks[0]);
    return 0;
}

UNIT(sim_run, several_wait_until_idle) {
    for (uint64_t seed = 0; seed < 20; seed++)
        EXPECT_OK(eddy_sim_run(several_wait, NULL, NULL, EDDY_SIM(.seed = seed)));
}

/* ---- nothing can happen any more --------------------------------------------------------------------- */

static char reports[4096];

static void collect(const eddy_report *report, void *arg) {
    (void)arg;
    size_t used = strlen(reports);
    snprintf(reports + used, sizeof reports - used, "%d %s: %s\n", (int)report->kind, report->task, report->message);
}

struct locks {
    eddy_lock *locks[2];
};

static int lock_both(struct locks *locks, int first) {
    int status = eddy_lock_acquire(locks->locks[first]);
    if (status < 0) return status;
    status = eddy_sleep(EDDY_MS(1));
    if (status == 0) status = eddy_lock_acquire(locks->locks[!first]);
    if (status == 0) eddy_lock_unlock(locks->locks[!first]);
    eddy_lock_unlock(locks->locks[first]);
    return status;
}

static int lock_up(void *arg, eddy_value *out) { return (void)out, lock_both(arg, 0); }
static int lock_down(void *arg, eddy_value *out) { return (void)out, lock_both(arg, 1); }

static int embrace(void *arg, eddy_value *out) {
    struct locks *locks = arg;
    (void)out;
    for (int i = 0; i < 2; i++) locks->locks[i] = eddy_lock_create();
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, lock_up, locks, EDDY_TASK(.name = "up")));
    EXPECT_OK(eddy_group_spawn(&group, NULL, lock_down, locks, EDDY_TASK(.name = "down")));
    int status = eddy_group_exit(&group, 0);
    for (int i = 0; i < 2; i++) eddy_lock_release(locks->locks[i]);
    return status;
}

UNIT(sim_run, deadlock_is_a_status_and_names_who_waits) {
    struct locks locks;
    for (uint64_t seed = 0; seed < 20; seed++) {
        reports[0] = '\0';
        EXPECT_EQ(-EDEADLK, eddy_sim_run(embrace, &locks, NULL, EDDY_SIM(.seed = seed, .on_exception = collect)));
        EXPECT_HAS(reports, "up: deadlock: nothing can ever run again: <Task name='up'");
        EXPECT_HAS(reports, "down: deadlock");
        EXPECT_HAS(reports, "waiting on lock");
    }
}

static int tick_for_ever(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = 0;
    while (status == 0) status = eddy_sleep(EDDY_SECONDS(1));
    return status;
}

UNIT(sim_run, limit_of_time_is_a_status) {
    reports[0] = '\0';
    EXPECT_EQ(EDDY_ETIMEDOUT,
              eddy_sim_run(tick_for_ever, NULL, NULL, EDDY_SIM(.limit_ns = EDDY_SECONDS(60), .on_exception = collect)));
    EXPECT_HAS(reports, "main: the simulation has come to its limit of time: <Task name='main'");
}

static int yield_for_ever(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = 0;
    while (status == 0) status = eddy_yield();
    return status;
}

UNIT(sim_run, limit_of_steps_is_a_status) {
    reports[0] = '\0';
    EXPECT_EQ(EDDY_ELIMIT,
              eddy_sim_run(yield_for_ever, NULL, NULL, EDDY_SIM(.steps_max = 1000, .on_exception = collect)));
    EXPECT_HAS(reports, "main: the simulation has come to its limit of steps: <Task name='main'");
}

static int never_ends(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (;;) (void)eddy_sleep(EDDY_SECONDS(1)); /* whatever it gives */
}

static void run_endless(void *arg) { (void)eddy_sim_run(*(eddy_coro_fn *)arg, NULL, NULL, EDDY_SIM(.limit_ns = 1)); }

static int yields_on(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (;;) (void)eddy_yield();
}

static void run_endless_steps(void *arg) {
    (void)eddy_sim_run(*(eddy_coro_fn *)arg, NULL, NULL, EDDY_SIM(.steps_max = 1000));
}

/* A million turns. */
UNIT(sim_run, tasks_that_do_not_end_end_the_process, TEST_LIMIT(300)) {
    eddy_coro_fn fns[] = {never_ends, yields_on};
    for (int i = 0; i < 2; i++) {
        struct test_child child = test_child_run(i == 0 ? run_endless : run_endless_steps, &fns[i]);
        EXPECT_EQ(6, child.signal);
        EXPECT_HAS(child.stderr_text, "does not end after its cancel: <Task name='main'");
        EXPECT_HAS(child.stderr_text, "EDDY_SIM_SEED=0");
    }
}

/* ---- seeds ---------------------------------------------------------------------------------------- */

/* A check and an act with an await between them. */
struct shelf {
    int items, taken;
};

static int take_one(void *arg, eddy_value *out) {
    struct shelf *shelf = arg;
    (void)out;
    int status = eddy_sleep((int64_t)(eddy_sim_random() % 1000));
    if (status < 0 || shelf->items == 0) return status;
    status = eddy_sleep(20);
    shelf->items--;
    shelf->taken++;
    return status;
}

static int sell_one(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct shelf shelf = {1, 0};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, take_one, &shelf, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    if (shelf.taken > 1) return eddy_fail(-EPROTO, "one item was sold %d times", shelf.taken);
    return 0;
}

UNIT(sim_run, explore_finds_a_seed_that_replays) {
    uint64_t failed = 0;
    EXPECT_EQ(-EPROTO, eddy_sim_explore(sell_one, NULL, 10000, &failed, EDDY_SIM(.seed = 1)));
    EXPECT(failed >= 1);
    for (int i = 0; i < 3; i++) EXPECT_EQ(-EPROTO, eddy_sim_run(sell_one, NULL, NULL, EDDY_SIM(.seed = failed)));
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)failed);
    uint64_t again = 0;
    setenv("EDDY_SIM_SEED", text, 1);
    EXPECT_EQ(-EPROTO, eddy_sim_explore(sell_one, NULL, 10000, &again, NULL));
    EXPECT_EQ(failed, again);
    setenv("EDDY_SIM_SEED", "12a", 1);
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_explore(sell_one, NULL, 1, NULL, NULL));
    unsetenv("EDDY_SIM_SEED");
    EXPECT_OK(eddy_sim_explore(random_numbers, &(uint64_t[4]){0}, 5, NULL, NULL));
}

static int abort_under_seed_4(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    static int runs;
    if (runs++ == 4) abort(); /* an assertion of the program's */
    return 0;
}

static int exit_inside(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    exit(3);
}

static void explore(void *arg) { (void)eddy_sim_explore(*(eddy_coro_fn *)arg, NULL, 10, NULL, EDDY_SIM(.seed = 100)); }

UNIT(sim_run, seed_is_named_when_the_process_dies) {
    eddy_coro_fn fn = abort_under_seed_4;
    struct test_child child = test_child_run(explore, &fn);
    EXPECT_EQ(6, child.signal);
    EXPECT_HAS(child.stderr_text, "EDDY_SIM_SEED=104 ");
    fn = exit_inside;
    child = test_child_run(explore, &fn);
    EXPECT_EQ(3, child.exit_code);
    EXPECT_HAS(child.stderr_text, "EDDY_SIM_SEED=100 ");
}

/* ---- blocking functions ----------------------------------------------------------------------------- */

struct thread_log {
    int done, cancelled;
};

static int block(void *arg, eddy_value *out) {
    struct thread_log *log = arg;
    log->cancelled += eddy_job_cancelled();
    log->done++;
    *out = EDDY_I64(eddy_time_ns());
    return log->done % 4 == 0 ? eddy_fail(-EPROTO, "the %dth", log->done) : 0;
}

static int call_it(void *arg, eddy_value *out) { return eddy_to_thread(block, arg, out); }

static int call_threads(void *arg, eddy_value *out) {
    struct thread_log *log = arg;
    (void)out;
    eddy_value value;
    int64_t begin_ns = eddy_time_ns();
    EXPECT_OK(eddy_to_thread(block, log, &value));
    EXPECT(value.i64 > begin_ns && value.i64 <= eddy_time_ns()); /* the virtual clock */
    eddy_task *tasks[20];
    for (int i = 0; i < 20; i++) EXPECT_OK(eddy_spawn(&tasks[i], call_it, log, NULL));
    EXPECT_OK(eddy_sleep((int64_t)(eddy_sim_random() % 2000000)));
    for (int i = 0; i < 5; i++) eddy_cancel(EDDY_FUTURE(tasks[i]));
    int failed = 0, cancelled = 0;
    for (int i = 0; i < 20; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        EXPECT(status == 0 || status == -EPROTO || status == EDDY_ECANCELED);
        if (status == -EPROTO) EXPECT_HAS(eddy_error_text(eddy_error_current(status)), "th");
        failed += status == -EPROTO;
        cancelled += status == EDDY_ECANCELED;
        eddy_task_release(tasks[i]);
    }
    EXPECT(failed + cancelled >= log->done / 4);
    return 0;
}

static int leave_one_running(void *arg, eddy_value *out) {
    (void)out;
    return EDDY_TIMEOUT(eddy_sim_random() % 1000000, eddy_to_thread_abandon(block, arg, NULL, NULL));
}

static int use_a_pool(void *arg, eddy_value *out) {
    (void)out;
    eddy_thread_pool *pool;
    eddy_thread_pool_options options = eddy_thread_pool_options_init();
    options.threads = 2;
    EXPECT_OK(eddy_thread_pool_create(&pool, &options));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_thread_pool_run(pool, block, arg, NULL));
    return eddy_thread_pool_close(pool);
}

UNIT(sim_run, blocking_functions_run_at_later_steps) {
    int cancelled_inside = 0, done_least = 100, done_most = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct thread_log log = {0, 0};
        EXPECT_OK(eddy_sim_run(call_threads, &log, NULL, EDDY_SIM(.seed = seed)));
        cancelled_inside += log.cancelled;
        if (log.done < done_least) done_least = log.done;
        if (log.done > done_most) done_most = log.done;
        log = (struct thread_log){0, 0};
        int status = eddy_sim_run(leave_one_running, &log, NULL, EDDY_SIM(.seed = seed));
        EXPECT(status == 0 || status == EDDY_ETIMEDOUT);
        log = (struct thread_log){0, 0};
        EXPECT_OK(eddy_sim_run(use_a_pool, &log, NULL, EDDY_SIM(.seed = seed)));
        EXPECT_EQ(3, log.done);
    }
    EXPECT(cancelled_inside > 0);   /* some were cancelled between their beginning and their end, */
    EXPECT(done_least < done_most); /* others before */
}
