/* Offering and taking: thieves help with work that computes, direct awaits are the rule where nobody helps,
 * hints that outlived their task do no harm. */
#include "task/core_testing.h"
#include "task/task.h"

#include <sched.h>

static eddy_worker_stats sum_of_workers(void) {
    eddy_stats stats;
    eddy_worker_stats sum = {0}, one;
    EXPECT_OK(eddy_stats_read(&stats));
    for (unsigned i = 0; i < stats.workers; i++) {
        EXPECT_OK(eddy_worker_stats_read(i, &one));
        sum.tasks_started += one.tasks_started;
        sum.tasks_direct += one.tasks_direct;
        sum.tasks_stolen += one.tasks_stolen;
        sum.steals += one.steals;
    }
    EXPECT_EQ(EDDY_EINVAL, eddy_worker_stats_read(stats.workers, &one));
    return sum;
}

/* ---- direct await ---------------------------------------------------------------------------------------- */

/* Spawn 10, await them in the order of their spawns: most run on their awaiter's stack. At a tick those that wait run first,
 * on stacks of their own. */
CORE_TEST(steal, fan_out_is_mostly_direct) {
    const int64_t start_ns = eddy_time_ns();
    int rounds = 200;
    for (int round = 0; round < rounds; round++) {
        eddy_task *tasks[10];
        for (int i = 0; i < 10; i++) tasks[i] = spawn(give_nothing, NULL);
        for (int i = 0; i < 10; i++) EXPECT_OK(end_of(tasks[i]));
    }
    eddy_worker_stats sum = sum_of_workers();
    EXPECT(sum.tasks_started >= 2000);
    const uint64_t ticks = test_ticks_since(start_ns);
    if (test_workers() == 1 && !test_simulated() && !test_ticks()) EXPECT(sum.tasks_direct + 10 * ticks >= 1800);
    EXPECT(sum.tasks_direct <= sum.tasks_started);
}

static int direct_or_not(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 100; i++) EXPECT_OK(end_of(spawn(give_nothing, NULL)));
    if (*(bool *)arg) EXPECT_EQ(0, sum_of_workers().tasks_direct);
    return 0;
}

UNIT(steal, no_direct_await_switches_it_off) {
    bool off = true;
    EXPECT_OK(eddy_run(direct_or_not, &off, NULL, EDDY_RUN(.workers = 2, .no_direct_await = true)));
    EXPECT_OK(ed_sim_run(direct_or_not, &off, &(struct ed_sim_options){.seed = 1, .no_direct_await = true}));
}

/* Awaits nested as deep as stacks go: each direct one has its 40 KiB, then a task gets a stack of its own. */
static int nest(void *arg, eddy_value *out) {
    int depth = *(int *)arg - 1;
    char ballast[2000];
    memset(ballast, depth, sizeof ballast);
    if (depth > 0) {
        EXPECT_OK(end_of(spawn(nest, &depth)));
        EXPECT_OK(eddy_yield());
    }
    for (size_t i = 0; i < sizeof ballast; i++) EXPECT_EQ((char)depth, ballast[i]);
    *out = EDDY_I64(depth);
    return 0;
}

CORE_TEST(steal, awaits_nest_deeper_than_a_stack) {
    int depth = test_under("thread") ? 100 : 300;
    EXPECT_OK(end_of(spawn(nest, &depth)));
}

/* A task that may not rely on its awaiter's stack does not get it. */
static int use_200_kib(void *arg, eddy_value *out) {
    (void)arg;
    volatile char large[200 * 1024];
    for (size_t i = 0; i < sizeof large; i += 512) large[i] = (char)i;
    *out = EDDY_I64(large[1024]);
    return 0;
}
static int await_large(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, use_200_kib, NULL, EDDY_TASK(.stack_bytes = 256 * 1024)));
    return end_of(task);
}

CORE_TEST(steal, large_task_gets_a_large_stack) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, await_large, NULL, EDDY_TASK(.stack_bytes = 16 * 1024)));
    EXPECT_OK(end_of(task));
}

/* ---- thieves --------------------------------------------------------------------------------------------- */

static int compute(void *arg, eddy_value *out) {
    (void)arg;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 300000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    *out = EDDY_I64((int64_t)(x & 0xff));
    return 0;
}

/* Until one has helped: the system may be slow to let a thief run. */
TEST(steal, thieves_help_with_work_that_computes, TEST_LIMIT(60)) {
    eddy_worker_stats sum;
    do {
        eddy_task *tasks[200];
        for (int i = 0; i < 200; i++) tasks[i] = spawn(compute, NULL);
        for (int i = 0; i < 200; i++) EXPECT_OK(end_of(tasks[i]));
        sum = sum_of_workers();
    } while (test_workers() > 1 && sum.tasks_stolen == 0);
    if (test_workers() == 1) EXPECT_EQ(0, sum.tasks_stolen);
    if (test_workers() > 1) EXPECT(sum.steals > 0);
}

/* A task that spawns and then computes: eddy_share offers what it keeps; somebody else runs it meanwhile. */
static int set_flag(void *arg, eddy_value *out) {
    (void)out;
    atomic_store((_Atomic bool *)arg, true);
    return 0;
}

TEST(steal, share_offers_the_last_task) {
    if (test_workers() == 1) return; /* there is nobody to offer it to */
    for (int i = 0; i < 100; i++) {
        _Atomic bool flag = false;
        eddy_task *task = spawn(set_flag, (void *)&flag);
        eddy_share();
        while (!atomic_load(&flag)) sched_yield(); /* this worker never comes to it */
        EXPECT_OK(end_of(task));
    }
}

/* A worker that was woken to search, and finds work of its own, lets others search while that lasts. Method: worker 1 sees
 * worker 0 asleep, shares a task, which wakes it as a searcher, and in the next step wakes what waits there; that offers a
 * task and holds worker 0 until somebody else has run it. (Found by delays, seed 30.) */
struct call_up {
    eddy_future *future;
    struct ed_worker *sleeper;
};
static int call_up(void *arg, eddy_value *out) {
    (void)out;
    struct call_up *call = arg;
    while (ED_LOAD_SEQCST(&call->sleeper->sleep) != ED_SLEEPING) sched_yield();
    eddy_task *task = spawn(give_nothing, NULL);
    eddy_share();
    EXPECT_OK(eddy_future_set(call->future, EDDY_NONE));
    return end_of(task);
}

TEST(steal, who_was_woken_to_search_and_has_work_lets_others_search) {
    if (test_workers() == 1) return;
    test_stay();
    for (int i = 0; i < 50; i++) {
        struct ed_worker *here = ed_worker_current();
        struct call_up call = {eddy_future_create(), here};
        eddy_task *caller;
        EXPECT_OK(ed_spawn_on(here->sched->workers[1], &caller, call_up, &call, NULL, 0));
        EXPECT_OK(eddy_await(call.future, NULL));
        _Atomic bool flag = false;
        eddy_task *task = spawn(set_flag, (void *)&flag);
        eddy_share();
        while (!atomic_load(&flag)) sched_yield(); /* holds this worker */
        EXPECT_OK(end_of(task));
        EXPECT_OK(end_of(caller));
        eddy_future_release(call.future);
    }
}

/* ---- stale hints ----------------------------------------------------------------------------------------- */

static int worker_index(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(eddy_worker_index());
    return 0;
}
static eddy_loop *domain_here(void) {
    for (;;) {
        eddy_loop *loop;
        eddy_task *task;
        eddy_value value;
        EXPECT_OK(eddy_domain_open(&loop));
        EXPECT_OK(eddy_spawn(&task, worker_index, NULL, EDDY_TASK(.loop = loop)));
        EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
        eddy_task_release(task);
        if (value.i64 == eddy_worker_index()) return loop;
    }
}

/* A task that was offered and then awaited directly leaves its entry in the shared part; its record is used
 * again at once, for a task that may start only from `ready`. */
CORE_TEST(steal, stale_hint_meets_a_pinned_task) {
    eddy_loop *here = domain_here();
    for (int i = 0; i < 200; i++) {
        eddy_task *task = spawn(give_nothing, NULL);
        eddy_share();
        EXPECT_OK(end_of(task));
        EXPECT_OK(eddy_spawn(&task, i % 2 ? give_nothing : worker_index, NULL, EDDY_TASK(.loop = here)));
        if (i % 3 == 0) EXPECT_OK(eddy_yield());
        EXPECT_OK(end_of(task));
    }
}

/* Records go round between private tasks, shared ones, pinned ones and cancelled ones, on all workers. */
static int mixed(void *arg, eddy_value *out) {
    (void)out;
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 300; i++) {
        eddy_task *tasks[6];
        for (int k = 0; k < 6; k++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            tasks[k] = spawn(random >> 60 & 1 ? give_nothing : worker_index, NULL);
            if (random >> 40 & 1) eddy_share();
            if ((random >> 41 & 7) == 0) (void)eddy_cancel(EDDY_FUTURE(tasks[k]));
            if ((random >> 44 & 7) == 0) EXPECT_OK(eddy_yield());
        }
        for (int k = 0; k < 6; k++) {
            int at = random >> 50 & 1 ? k : 5 - k, status = eddy_await(EDDY_FUTURE(tasks[at]), NULL);
            EXPECT(status == 0 || status == EDDY_ECANCELED);
            eddy_task_release(tasks[at]);
        }
    }
    return 0;
}

CORE_TEST(steal, records_go_round, TEST_LIMIT(60)) {
    eddy_loop *domains[3];
    eddy_task *tasks[12];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_domain_open(&domains[i]));
    for (int i = 0; i < 12; i++)
        EXPECT_OK(eddy_spawn(&tasks[i], mixed, (void *)(uintptr_t)(test_seed() * 100 + (uint64_t)i),
                             EDDY_TASK(.loop = i % 4 < 3 ? domains[i % 4] : EDDY_ANYWHERE)));
    for (int i = 0; i < 12; i++) EXPECT_OK(end_of(tasks[i]));
}
