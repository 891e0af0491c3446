/* Cancelling: T1 to T5 and T12, from the same worker and from others, against completion, by the hundred thousand. */
#include "task/core_testing.h"

#include <sched.h>

/* ---- T1: cancelled before it starts ---------------------------------------------------------------------- */

static _Atomic int entered;
static int enter(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    atomic_fetch_add(&entered, 1);
    return 0;
}

CORE_TEST(cancel, before_start_never_enters_the_body) {
    eddy_task *tasks[20];
    for (int i = 0; i < 20; i++) tasks[i] = spawn(enter, NULL);
    int cancelled = 0, was = 0;
    for (int i = 0; i < 20; i++) was += eddy_cancel(EDDY_FUTURE(tasks[i]));
    for (int i = 0; i < 20; i++) {
        EXPECT(eddy_await(EDDY_FUTURE(tasks[i]), NULL) <= 0);
        cancelled += eddy_future_cancelled(EDDY_FUTURE(tasks[i]));
        eddy_task_release(tasks[i]);
    }
    eddy_handled();
    EXPECT_EQ(20 - cancelled, atomic_load(&entered));
    EXPECT(was >= cancelled);
    if (test_workers() == 1 && !test_simulated()) EXPECT_EQ(20, cancelled); /* nobody could start one meanwhile */
}

static int await_cancelled_child(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *child;
    EXPECT_OK(eddy_spawn(&child, enter, NULL, EDDY_TASK(.loop = EDDY_ANYWHERE)));
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task()))); /* pending: an await that is not done suspends */
    int status = eddy_await(EDDY_FUTURE(child), NULL);
    eddy_task_release(child);
    return status;
}

/* A cancel that is pending when a task awaits one that has not started cancels that one: its body is not entered. */
CORE_TEST(cancel, pending_cancel_reaches_a_child_before_it_starts) {
    enum { ROUNDS = 10 };
    for (int i = 0; i < ROUNDS; i++) {
        eddy_task *task = spawn(await_cancelled_child, NULL);
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
        EXPECT_EQ(1, eddy_task_cancelling(task));
        eddy_task_release(task);
    }
    /* A tick between spawn and await lets it start by itself, but there is not one in each round. */
    if (test_workers() == 1 && !test_simulated()) EXPECT(atomic_load(&entered) < ROUNDS);
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
    EXPECT_EQ(50 - cancelled, atomic_load(&entered));
}

/* ---- T2: parked ------------------------------------------------------------------------------------------ */

CORE_TEST(cancel, reaches_a_parked_task_and_what_it_awaits) {
    eddy_future *future = eddy_future_create();
    eddy_task *inner = spawn_parked(await_future, future);
    eddy_task *middle = spawn_parked(await_future, EDDY_FUTURE(inner));
    eddy_task *outer = spawn_parked(await_future, EDDY_FUTURE(middle));
    EXPECT(eddy_cancel(EDDY_FUTURE(outer)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(outer));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(middle)));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(inner)));
    EXPECT(eddy_future_cancelled(future));
    EXPECT_EQ(1, eddy_task_cancelling(inner));
    eddy_task_release(middle);
    eddy_task_release(inner);
    eddy_future_release(future);
}

static int await_task_inside(void *arg, eddy_value *out) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, await_future, arg, NULL));
    int status = eddy_await(EDDY_FUTURE(task), out); /* direct, where it may be */
    if (status == EDDY_ECANCELED) {
        EXPECT(eddy_future_done(EDDY_FUTURE(task)));
        EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    }
    eddy_task_release(task);
    return status;
}

CORE_TEST(cancel, of_an_awaiter_unwinds_from_the_inside) {
    eddy_future *future = eddy_future_create();
    eddy_task *task = spawn_parked(await_task_inside, future);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT(eddy_future_cancelled(future));
    eddy_future_release(future);
}

CORE_TEST(cancel, of_a_done_task_is_false) {
    eddy_task *task = spawn(give_nothing, NULL);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(!eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(task));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
}

CORE_TEST(cancel, twice_counts_two_and_delivers_once) {
    eddy_task *task = spawn_parked(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)) || test_workers() > 1 || test_simulated());
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(eddy_task_cancelling(task) >= 1);
    eddy_task_release(task);
}

/* ---- T2 to T5: what a body makes of it ------------------------------------------------------------------- */

static int cancel_self(void) {
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task())));
    return 0;
}

static int swallow(void *arg, eddy_value *out) {
    (void)arg;
    cancel_self();
    cancel_self();
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_OK(eddy_yield()); /* T5: edge-triggered, once */
    EXPECT_OK(eddy_sleep(1000));
    *out = EDDY_I64(6);
    return 0;
}
static int too_late(void *arg, eddy_value *out) {
    (void)arg;
    cancel_self();
    *out = EDDY_I64(6);
    return 0;
}
static int own_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    cancel_self();
    return eddy_fail(-44, "of its own");
}
static int cancelled_by_itself(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return EDDY_ECANCELED;
}
static int takes_back(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task())); /* never below 0 */
    cancel_self();
    cancel_self();
    EXPECT_EQ(2, eddy_task_cancelling(eddy_current_task()));
    EXPECT_EQ(1, eddy_task_uncancel(eddy_current_task()));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task())); /* T3: what was not delivered is taken back as well */
    EXPECT_OK(eddy_yield());
    return 0;
}
static int done_awaits_do_not_suspend(void *arg, eddy_value *out) {
    (void)out;
    cancel_self();
    EXPECT_OK(eddy_await(arg, NULL)); /* done: completes at once, the request stays pending */
    EXPECT_EQ(EDDY_ECANCELED, eddy_check_cancel());
    EXPECT_EQ(0, eddy_check_cancel()); /* delivered */
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(1, eddy_task_cancelling(eddy_current_task()));
    return 0;
}

static _Atomic int dropped;
static void drop(eddy_value value) {
    EXPECT_EQ(6, value.i64);
    atomic_fetch_add(&dropped, 1);
}

CORE_TEST(cancel, may_be_swallowed_too_late_or_taken_back) {
    eddy_value value;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, swallow, NULL, EDDY_TASK(.drop = drop)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(6, value.i64);
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    EXPECT_EQ(2, eddy_task_cancelling(task));
    EXPECT_OK(eddy_future_take(EDDY_FUTURE(task), &value));
    eddy_task_release(task);

    EXPECT_OK(eddy_spawn(&task, too_late, NULL, EDDY_TASK(.drop = drop)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), &value)); /* T4: the value is lost: dropped */
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    EXPECT_EQ(1, atomic_load(&dropped));
    eddy_task_release(task);
    EXPECT_EQ(1, atomic_load(&dropped));

    task = spawn(own_failure, NULL);
    EXPECT_EQ(-44, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_STR("of its own", eddy_error_text(eddy_error_current(-44)));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);

    task = spawn(cancelled_by_itself, NULL);
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    EXPECT_EQ(0, eddy_task_cancelling(task));
    eddy_task_release(task);

    EXPECT_OK(end_of(spawn(takes_back, NULL)));
    eddy_future *done = eddy_future_create();
    EXPECT_OK(eddy_future_set(done, EDDY_NONE));
    EXPECT_OK(end_of(spawn(done_awaits_do_not_suspend, done)));
    eddy_future_release(done);
    EXPECT_OK(eddy_yield()); /* nothing of all this was for main */
}

/* One that swallows while it awaits another task: the other is cancelled, it goes on. */
static int swallow_and_go_on(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task = spawn(sleep_forever, NULL);
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    eddy_handled();
    return 0;
}
static int ignores_cancels(void *arg, eddy_value *out) {
    (void)out;
    int status;
    do status = await_shielded(arg, out);
    while (status == EDDY_ECANCELED);
    return status;
}

CORE_TEST(cancel, awaiter_goes_on_only_after_what_it_awaits_has_ended) {
    eddy_task *task = spawn_parked(swallow_and_go_on, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_OK(end_of(task));

    eddy_future *future = eddy_future_create();
    eddy_task *stubborn = spawn_parked(ignores_cancels, future);
    task = spawn_parked(await_future, EDDY_FUTURE(stubborn));
    for (int i = 0; i < 5; i++) {
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        test_until_all_parked();
        EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    }
    EXPECT_OK(eddy_future_set(future, EDDY_I64(9)));
    eddy_value value;
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(9, value.i64);
    EXPECT_EQ(5, eddy_task_cancelling(task));
    EXPECT_EQ(5, eddy_task_cancelling(stubborn));
    eddy_task_release(task);
    eddy_task_release(stubborn);
    eddy_future_release(future);
}

/* ---- T12: round a cycle ---------------------------------------------------------------------------------- */

struct ring {
    eddy_task *tasks[4];
    eddy_future *gate;
    _Atomic int asked;
};
struct link {
    struct ring *ring;
    int index;
};
static int await_next(void *arg, eddy_value *out) {
    struct link *link = arg;
    EXPECT_OK(eddy_await(link->ring->gate, NULL)); /* until all are there */
    int status = eddy_await(EDDY_FUTURE(link->ring->tasks[(link->index + 1) % 4]), out);
    atomic_fetch_add(&link->ring->asked, 1);
    return status;
}
static int wait_at_gate(void *arg, eddy_value *out) {
    struct link *link = arg;
    EXPECT_OK(eddy_await(link->ring->gate, NULL));
    eddy_future *futures[] = {EDDY_FUTURE(link->ring->tasks[1])}; /* a wait is not passed on: here the cycle opens */
    int status = eddy_wait(futures, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
    (void)out;
    return status;
}

/* Four tasks, on any workers, each awaits the next, the last the first. A cancel of the second goes round,
 * ends at the first, which waits in another way, and unwinds them all. */
CORE_TEST(cancel, round_a_ring_of_waiters) {
    struct ring ring = {.gate = eddy_future_create()};
    struct link links[4];
    for (int i = 0; i < 4; i++) {
        links[i] = (struct link){&ring, i};
        ring.tasks[i] = spawn(i == 0 ? wait_at_gate : await_next, &links[i]);
        eddy_share();
    }
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(ring.gate, EDDY_NONE));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(ring.tasks[1])));
    for (int i = 0; i < 4; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(ring.tasks[i]), NULL));
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(1, eddy_task_cancelling(ring.tasks[i]));
        eddy_task_release(ring.tasks[i]);
    }
    EXPECT_EQ(3, ring.asked);
    eddy_future_release(ring.gate);
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
    for (int i = 0; i < 200; i++) EXPECT_EQ(EDDY_ECANCELED, end_of(tasks[i]));
    pthread_join(thread, NULL);
}
