/* Cancelling from other workers and threads, against completion, by the hundred thousand. Its rules, T1 to T5 and T12:
 * tests/contract/task_test.c. */
#include "task/core_testing.h"

#include <sched.h>

/* ---- T1: cancelled before it starts ---------------------------------------------------------------------- */

static _Atomic int entered;
static int enter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    atomic_fetch_add(&entered, 1);
    return 0;
}

/* From another worker: the victims wait in their spawner's private queue. */
struct victims {
    eddy_task *tasks[50];
    _Atomic bool ready, done;
};
static int make_victims(void *arg, eddy_value *out) {
    (void)out;
    struct victims *victims = arg;
    for (int i = 0; i < 50; i++) victims->tasks[i] = spawn(enter, NULL);
    atomic_store(&victims->ready, true);
    while (!atomic_load(&victims->done)) sched_yield(); /* holds its worker: only thieves and cancellers get at them */
    for (int i = 0; i < 50; i++) EXPECT_OK(eddy_await(EDDY_FUTURE(victims->tasks[i]), NULL) <= 0 ? 0 : -1);
    return 0;
}

TEST(cancel, before_start_from_another_worker) {
    if (test_workers() == 1) return; /* there is no other */
    struct victims victims = {0};
    eddy_task *maker = spawn(make_victims, &victims);
    eddy_share();
    while (!atomic_load(&victims.ready)) sched_yield(); /* holds this worker: the other takes the maker */
    for (int i = 0; i < 50; i++) (void)eddy_cancel(EDDY_FUTURE(victims.tasks[i]));
    atomic_store(&victims.done, true);
    EXPECT_OK(end_of(maker));
    int cancelled = 0;
    for (int i = 0; i < 50; i++) {
        EXPECT(eddy_future_done(EDDY_FUTURE(victims.tasks[i])));
        cancelled += eddy_future_cancelled(EDDY_FUTURE(victims.tasks[i]));
        eddy_task_release(victims.tasks[i]);
    }
    EXPECT(atomic_load(&entered) >= 50 - cancelled); /* more: cancelled while its body runs elsewhere it is both */
}

/* ---- storms ---------------------------------------------------------------------------------------------- */

enum { STORM = 100000, BATCH = 100 };

struct storm {
    _Atomic int64_t given, values_dropped, args_dropped, ended, bodies;
    _Atomic uint64_t random;
};
static struct storm storm;

static uint64_t dice(void) { /* splitmix64 */
    uint64_t z = atomic_fetch_add(&storm.random, UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void storm_drop_value(eddy_value value) {
    atomic_fetch_add(&storm.values_dropped, 1);
    free(value.ptr);
}
static void storm_drop_arg(eddy_value value) {
    atomic_fetch_add(&storm.args_dropped, 1);
    free(value.ptr);
}

static int storm_leaf(void *arg, eddy_value *out) {
    (void)arg;
    if (dice() % 2) (void)eddy_yield();
    *out = EDDY_PTR(malloc(8));
    atomic_fetch_add(&storm.given, 1);
    return 0;
}

static int storm_body(void *arg, eddy_value *out) {
    EXPECT_EQ(1, *(int *)arg);
    atomic_fetch_add(&storm.bodies, 1);
    int status = 0;
    switch (dice() % 6) {
    case 0: break;
    case 1: status = eddy_yield(); break;
    case 2: status = eddy_sleep(1 + (int64_t)(dice() % 20000)); break;
    case 3: {
        eddy_task *leaf;
        EXPECT_OK(eddy_spawn(&leaf, storm_leaf, NULL, EDDY_TASK(.drop = storm_drop_value)));
        status = eddy_await(EDDY_FUTURE(leaf), NULL);
        EXPECT(eddy_future_done(EDDY_FUTURE(leaf)));
        eddy_task_release(leaf);
        break;
    }
    case 4: {
        eddy_task *leaf;
        EXPECT_OK(eddy_spawn(&leaf, storm_leaf, NULL, EDDY_TASK(.drop = storm_drop_value)));
        status = eddy_wait_for(EDDY_FUTURE(leaf), (int64_t)(dice() % 3000), NULL);
        eddy_task_release(leaf);
        break;
    }
    default: {
        eddy_group group;
        EXPECT_OK(eddy_group_enter(&group));
        for (int i = 0; i < 3; i++)
            EXPECT_OK(eddy_group_spawn(&group, NULL, storm_leaf, NULL, EDDY_TASK(.drop = storm_drop_value)));
        status = eddy_group_exit(&group, 0);
        break;
    }
    }
    if (status < 0 && status != EDDY_ETIMEDOUT) return status;
    *out = EDDY_PTR(malloc(8));
    atomic_fetch_add(&storm.given, 1);
    return 0;
}

static int storm_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    atomic_fetch_add(&storm.ended, 1);
    return 0;
}

/* Spawns a batch, cancels at random, awaits some, lets others go. */
static int storm_batch(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[BATCH];
    int *one;
    for (int i = 0; i < BATCH; i++) {
        one = malloc(sizeof *one);
        *one = 1;
        EXPECT_OK(
            eddy_spawn(&tasks[i], storm_body, one, EDDY_TASK(.drop = storm_drop_value, .drop_arg = storm_drop_arg)));
        EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(tasks[i]), storm_done, NULL));
        if (dice() % 4 == 0) (void)eddy_cancel(EDDY_FUTURE(tasks[dice() % (uint64_t)(i + 1)]));
    }
    for (int i = 0; i < BATCH; i++) {
        uint64_t what = dice();
        if (what % 3 == 0) (void)eddy_cancel(EDDY_FUTURE(tasks[what / 8 % BATCH]));
        if (what % 7 == 0) EXPECT_OK(eddy_yield());
    }
    for (int i = 0; i < BATCH; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        EXPECT(eddy_future_done(EDDY_FUTURE(tasks[i])));
    }
    for (int i = 0; i < BATCH; i++) eddy_task_release(tasks[i]);
    eddy_handled();
    return 0;
}

/* 10^5 tasks, cancelled at random against their completion from everywhere: each ends exactly once, each argument and
 * each value is dropped exactly once. */
CORE_TEST(cancel, storm_ends_each_task_once, TEST_LIMIT(120)) {
    storm.random = test_seed() * 1000 + (uint64_t)test_workers();
    int batches = (int)test_scaled(STORM) / BATCH / (test_simulated() ? 10 : 1), wide = 16;
    eddy_task *running[16];
    for (int i = 0; i < batches; i += wide) {
        int count = batches - i < wide ? batches - i : wide;
        for (int k = 0; k < count; k++) running[k] = spawn(storm_batch, NULL);
        for (int k = 0; k < count; k++) EXPECT_OK(end_of(running[k]));
    }
    while (atomic_load(&storm.ended) < batches * BATCH) EXPECT_OK(eddy_yield());
    test_until_all_parked();
    EXPECT_EQ(batches * BATCH, atomic_load(&storm.ended));
    EXPECT_EQ(batches * BATCH, atomic_load(&storm.args_dropped));
    EXPECT_EQ(atomic_load(&storm.given), atomic_load(&storm.values_dropped));
    EXPECT(atomic_load(&storm.bodies) < batches * BATCH); /* some were cancelled before they started */
    EXPECT_EQ(1, eddy_all_tasks(NULL, 0));
}

/* Eight cancellers on any workers hit one task that goes from wait to wait; it counts every request and ends once. */
struct hunt {
    eddy_task *prey;
    _Atomic int hits;
};
static int prey(void *arg, eddy_value *out) {
    (void)arg;
    int64_t delivered = 0;
    while (delivered < 50) {
        int status = delivered % 3 == 0 ? eddy_yield() : delivered % 3 == 1 ? eddy_sleep(500) : eddy_yield();
        if (status == EDDY_ECANCELED) delivered++;
    }
    *out = EDDY_I64(delivered);
    return 0;
}
static int hunter(void *arg, eddy_value *out) {
    (void)out;
    struct hunt *hunt = arg;
    while (eddy_cancel(EDDY_FUTURE(hunt->prey))) {
        atomic_fetch_add(&hunt->hits, 1);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

CORE_TEST(cancel, from_eight_at_once_is_counted_and_delivered) {
    struct hunt hunt = {.prey = spawn(prey, NULL)};
    EXPECT_OK(eddy_yield());
    eddy_task *hunters[8];
    for (int i = 0; i < 8; i++) hunters[i] = spawn(hunter, &hunt);
    for (int i = 0; i < 8; i++) EXPECT_OK(end_of(hunters[i]));
    int status = eddy_await(EDDY_FUTURE(hunt.prey), NULL); /* a request may have come too late to be delivered: T4 */
    EXPECT(status == 0 || status == EDDY_ECANCELED);
    int hits = atomic_load(&hunt.hits);
    EXPECT_EQ(hits < 65535 ? hits : 65535, eddy_task_cancelling(hunt.prey)); /* the count ends there */
    EXPECT(hits >= 50 || status == EDDY_ECANCELED);
    eddy_task_release(hunt.prey);
}

static void *cancel_from_thread(void *arg) {
    eddy_task **tasks = arg;
    for (int i = 0; i < 200; i++) (void)eddy_cancel(EDDY_FUTURE(tasks[i]));
    return NULL;
}

/* Cancels from a plain thread reach tasks wherever they sit. */
TEST(cancel, from_a_plain_thread) {
    eddy_task *tasks[200];
    for (int i = 0; i < 200; i++) tasks[i] = spawn(sleep_forever, NULL);
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, cancel_from_thread, tasks));
    for (int i = 0; i < 200; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
    pthread_join(thread, NULL); /* it may still be inside the last cancel that ended one */
    for (int i = 0; i < 200; i++) eddy_task_release(tasks[i]);
}
