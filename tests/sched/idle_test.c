/* Sleeping and waking: work that comes to sleeping workers is done, however often they fall asleep; the counts of
 * sleepers and searchers stay within bounds. A lost wake-up is a hang here, and a panic on the simulator. */
#include "sched/sched.h"
#include "task/core_testing.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* A ball between two domains: each throw wakes a worker that has just gone to sleep, or is about to. */
struct game {
    eddy_future *balls[2001];
    int throws;
};
static int player(void *arg, eddy_value *out) {
    (void)out;
    struct game *game = ((void **)arg)[0];
    int first = (int)(intptr_t)((void **)arg)[1];
    for (int i = first; i < game->throws; i += 2) {
        EXPECT_OK(eddy_await(game->balls[i], NULL));
        EXPECT_OK(eddy_future_set(game->balls[i + 1], EDDY_NONE));
    }
    return 0;
}

CORE_TEST(idle, ball_between_two_workers, TEST_LIMIT(60)) {
    struct game game = {.throws = (int)test_scaled(2000)};
    for (int i = 0; i <= game.throws; i++) game.balls[i] = eddy_future_create();
    eddy_task *players[2];
    void *args[2][2] = {{&game, (void *)0}, {&game, (void *)1}};
    for (int i = 0; i < 2; i++) {
        eddy_loop *loop;
        EXPECT_OK(eddy_domain_open(&loop));
        EXPECT_OK(eddy_spawn(&players[i], player, args[i], EDDY_TASK(.loop = loop)));
    }
    EXPECT_OK(eddy_future_set(game.balls[0], EDDY_NONE));
    EXPECT_OK(eddy_await(game.balls[game.throws], NULL));
    for (int i = 0; i < 2; i++) EXPECT_OK(end_of(players[i]));
    for (int i = 0; i <= game.throws; i++) eddy_future_release(game.balls[i]);
    ed_idle_check(ed_worker_current()->sched);
}

/* Bursts of work after silence: sleepers are woken, help, and fall asleep again. */
static int spin_a_little(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (volatile int i = 0; i < 2000; i++) {
    }
    return 0;
}

CORE_TEST(idle, bursts_after_silence, TEST_LIMIT(60)) {
    for (int burst = 0; burst < 100; burst++) {
        eddy_task *tasks[30];
        for (int i = 0; i < 30; i++) tasks[i] = spawn(spin_a_little, NULL);
        if (burst % 2) eddy_share();
        for (int i = 0; i < 30; i++) EXPECT_OK(end_of(tasks[i]));
        test_until_all_parked();
        ed_idle_check(ed_worker_current()->sched);
        EXPECT_OK(eddy_sleep(EDDY_US(20)));
    }
}

/* Work offered while the last worker falls asleep: the offerer holds its worker, so only a woken one can run it. */
TEST(idle, offered_work_wakes_a_sleeper, TEST_LIMIT(60)) {
    if (test_workers() == 1) return;
    for (int i = 0; i < 300; i++) {
        if (i % 3 == 0) test_until_all_parked(); /* all others sleep; else they are on their way to it */
        eddy_task *task = spawn(give_nothing, NULL);
        eddy_share();
        while (!eddy_future_done(EDDY_FUTURE(task))) sched_yield();
        eddy_task_release(task);
    }
    ed_idle_check(ed_worker_current()->sched);
}

/* A plain thread wakes workers in turn, each from its sleep. */
struct wakes {
    eddy_loop *loops[8];
    _Atomic int64_t count;
};
static int count_up(void *arg) {
    atomic_fetch_add((_Atomic int64_t *)arg, 1);
    return 0;
}
static void *wake_in_turn(void *arg) {
    struct wakes *wakes = arg;
    for (int i = 0; i < 2000; i++) {
        EXPECT_OK(eddy_call_soon_threadsafe(wakes->loops[i % 8], count_up, (void *)&wakes->count, NULL));
        if (i % 4 == 0)
            while (atomic_load(&wakes->count) <= i) sched_yield();
    }
    return NULL;
}

TEST(idle, thread_wakes_each_worker) {
    struct wakes wakes = {0};
    for (int i = 0; i < 8; i++) EXPECT_OK(eddy_domain_open(&wakes.loops[i]));
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, wake_in_turn, &wakes));
    while (atomic_load(&wakes.count) < 2000) EXPECT_OK(eddy_sleep(EDDY_US(200)));
    pthread_join(thread, NULL);
    EXPECT_EQ(2000, wakes.count);
    ed_idle_check(ed_worker_current()->sched);
}

/* An idle run costs no turns: with everybody parked the counters of polls stand still. */
TEST(idle, sleeping_workers_do_not_turn) {
    test_until_all_parked();
    eddy_worker_stats before, after;
    unsigned index = (unsigned)test_workers() - 1;
    EXPECT_OK(eddy_worker_stats_read(index, &before));
    EXPECT_OK(eddy_sleep(EDDY_MS(20)));
    EXPECT_OK(eddy_worker_stats_read(index, &after));
    EXPECT(after.parks - before.parks <= 10);
    EXPECT(after.polls - before.polls <= 10);
}

/* ---- the simulator's own words --------------------------------------------------------------------------- */

static int wait_for_nobody(void *arg, eddy_value *out) {
    (void)arg;
    eddy_future *future = eddy_future_create();
    return eddy_await(future, out);
}
static void deadlock(void *arg) {
    (void)arg;
    if (ed_sim_run(wait_for_nobody, NULL, &(struct ed_sim_options){.seed = 1}) == -EDEADLK) _exit(35);
}

/* The planted hang: the simulator says that nothing can ever run again. */
UNIT(idle, simulator_names_a_deadlock) {
    struct test_child child = test_child_run(deadlock, NULL);
    EXPECT_EQ(35, child.exit_code);
    EXPECT_HAS(child.stderr_text, "nothing can ever run again: <Task name='main'");
}

static char traces[2][4096];
static size_t trace_used;
static int trace_worker(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 5; i++) {
        trace_used += (size_t)snprintf(traces[0] + trace_used, sizeof traces[0] - trace_used, "%d@%d ",
                                       (int)(intptr_t)arg, eddy_worker_index());
        EXPECT_OK(eddy_sleep(EDDY_US((intptr_t)arg * 7 % 5)));
    }
    return 0;
}
static int trace_all(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[12];
    for (intptr_t i = 0; i < 12; i++) {
        tasks[i] = spawn(trace_worker, (void *)i);
        eddy_share();
    }
    for (int i = 0; i < 12; i++) EXPECT_OK(end_of(tasks[i]));
    return 0;
}

UNIT(idle, simulator_repeats_a_seed) {
    int different = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        for (int again = 0; again < 2; again++) {
            trace_used = 0;
            EXPECT_OK(ed_sim_run(trace_all, NULL, &(struct ed_sim_options){.seed = seed}));
            if (again) EXPECT_STR(traces[1], traces[0]);
            if (!again && seed > 1) different += strcmp(traces[0], traces[1]) != 0;
            memcpy(traces[1], traces[0], sizeof traces[0]);
        }
    }
    EXPECT(different > 5); /* and seeds differ */
}
