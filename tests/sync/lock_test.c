/* The lock: one at a time, first come, first served, and never lost, wherever a cancel falls. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

#include <pthread.h>
#include <signal.h>

/* What the lock guards is plain data: ThreadSanitizer sees it if the lock does not order its holders. */
struct guarded {
    eddy_lock *lock;
    int64_t value;
    bool inside;
    int64_t rounds;
    _Atomic int64_t taken, cancelled;
};

static void step(struct guarded *guarded, bool pause) {
    EXPECT(!guarded->inside);
    guarded->inside = true;
    int64_t value = guarded->value;
    if (pause) (void)eddy_yield();
    guarded->value = value + 1;
    guarded->inside = false;
}

static int count_up(void *arg, eddy_value *out) {
    struct guarded *guarded = arg;
    (void)out;
    for (int64_t i = 0; i < guarded->rounds; i++) {
        EXPECT_OK(eddy_lock_acquire(guarded->lock));
        step(guarded, i % 64 == 0);
        EXPECT_OK(eddy_lock_unlock(guarded->lock));
    }
    return 0;
}

CORE_TEST(lock, eight_tasks_count_to_100000) {
    struct guarded guarded = {.lock = eddy_lock_create(), .rounds = test_scaled(12500)};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, count_up, &guarded);
    eddy_share();
    crowd_join(&crowd);
    EXPECT_EQ(8 * guarded.rounds, guarded.value);
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(guarded.lock));
    eddy_lock_release(guarded.lock);
}

/* Tasks that stand in line for the lock, and note in it when they had it. */
struct line {
    eddy_lock *lock;
    int order[16], count; /* under lock */
    struct place {
        struct line *line;
        int index, status;
    } places[16];
};

static int stand(void *arg, eddy_value *out) {
    struct place *place = arg;
    struct line *line = place->line;
    (void)out;
    place->status = eddy_lock_acquire(line->lock);
    if (place->status < 0) return 0;
    line->order[line->count++] = place->index;
    EXPECT_OK(eddy_lock_unlock(line->lock));
    return 0;
}

static struct place *place_of(struct line *line, int index) {
    line->places[index] = (struct place){.line = line, .index = index, .status = 1};
    return &line->places[index];
}

CORE_TEST(lock, is_given_in_the_order_asked_and_nobody_overtakes) {
    struct line line = {.lock = eddy_lock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT_OK(eddy_lock_acquire(line.lock));
    for (int i = 0; i < 8; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
    EXPECT_OK(eddy_lock_unlock(line.lock));
    EXPECT_OK(eddy_lock_acquire(line.lock)); /* at once, yet behind all of them */
    EXPECT_EQ(8, line.count);
    for (int i = 0; i < 8; i++) EXPECT_EQ(i, line.order[i]);
    EXPECT_OK(eddy_lock_unlock(line.lock));
    crowd_join(&crowd);
    eddy_lock_release(line.lock);
}

CORE_TEST(lock, waiter_that_is_cancelled_leaves_the_line) {
    struct line line = {.lock = eddy_lock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT_OK(eddy_lock_acquire(line.lock));
    for (int i = 0; i < 3; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
    EXPECT(eddy_cancel(EDDY_FUTURE(crowd.tasks[1])));
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECANCELED, line.places[1].status);
    EXPECT_OK(eddy_lock_unlock(line.lock));
    crowd_join(&crowd);
    EXPECT_EQ(2, line.count);
    EXPECT_EQ(0, line.order[0]);
    EXPECT_EQ(2, line.order[1]);
    eddy_lock_release(line.lock);
}

/* Method: unlock and cancel in one pass. With one worker the waiter cannot have run in between; with more it may have
 * had the lock before the cancel came. */
CORE_TEST(lock, waiter_cancelled_with_the_lock_in_its_hands_hands_it_on) {
    for (int victims = 1; victims <= 3; victims++) {
        struct line line = {.lock = eddy_lock_create()};
        struct crowd crowd = {.count = 0};
        EXPECT_OK(eddy_lock_acquire(line.lock));
        for (int i = 0; i < 4; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
        EXPECT_OK(eddy_lock_unlock(line.lock));
        for (int i = 0; i < victims; i++) eddy_cancel(EDDY_FUTURE(crowd.tasks[i]));
        crowd_join(&crowd);
        int had = 0;
        for (int i = 0; i < 4; i++) {
            if (test_workers() == 1) EXPECT_EQ(i < victims ? EDDY_ECANCELED : 0, line.places[i].status);
            had += line.places[i].status == 0;
        }
        EXPECT_EQ(line.count, had);
        EXPECT_OK(line.places[3].status);
        EXPECT_OK(eddy_lock_acquire(line.lock));
        eddy_lock_release(line.lock);
    }
}

static void unlock(void *lock) { EXPECT_OK(eddy_lock_unlock(lock)); }

TEST(lock, waiter_cancelled_while_the_lock_is_on_its_way_hands_it_on) {
    if (test_workers() < 2) return;
    test_stay();
    for (int round = 0; round < 50; round++) {
        struct line line = {.lock = eddy_lock_create()};
        struct crowd crowd = {.count = 0};
        EXPECT_OK(eddy_lock_acquire(line.lock));
        crowd_add_there(&crowd, stand, place_of(&line, 0));
        crowd_add_parked(&crowd, stand, place_of(&line, 1));
        crowd_cancel_on_its_way(crowd.tasks[0], unlock, line.lock);
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_ECANCELED, line.places[0].status);
        EXPECT_OK(line.places[1].status);
        EXPECT_EQ(1, line.count);
        eddy_lock_release(line.lock);
    }
}

static int grab(void *arg, eddy_value *out) {
    struct guarded *guarded = arg;
    (void)out;
    for (int64_t i = 0; i < guarded->rounds; i++) {
        int status = eddy_lock_acquire(guarded->lock);
        if (status == EDDY_ECANCELED) {
            ED_ADD(&guarded->cancelled, 1);
            continue;
        }
        EXPECT_OK(status);
        ED_ADD(&guarded->taken, 1);
        step(guarded, i % 4 == 0);
        EXPECT_OK(eddy_lock_unlock(guarded->lock));
    }
    return 0;
}

CORE_TEST(lock, survives_cancels_at_random) {
    struct guarded guarded = {.lock = eddy_lock_create(), .rounds = test_scaled(3000)};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 8; i++) crowd_add(&crowd, grab, &guarded);
    EXPECT_OK(eddy_yield()); /* they start: a task that is cancelled before that never runs */
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    EXPECT_EQ(guarded.taken, guarded.value);
    EXPECT_OK(eddy_lock_acquire(guarded.lock));
    if (test_workers() == 1) EXPECT(guarded.cancelled > 0);
    eddy_lock_release(guarded.lock);
}

CORE_TEST(lock, wait_ends_with_its_timeout_scope) {
    eddy_lock *lock = eddy_lock_create();
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_lock_acquire(lock)));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_lock_acquire(lock)));
    EXPECT_OK(eddy_lock_unlock(lock));
    EXPECT_OK(EDDY_TIMEOUT(0, eddy_lock_acquire(lock))); /* can complete at once: does */
    EXPECT_OK(eddy_lock_unlock(lock));
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    eddy_lock_release(lock);
}

CORE_TEST(lock, free_lock_is_taken_with_a_cancel_pending) {
    eddy_lock *lock = eddy_lock_create();
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task())));
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_EQ(EDDY_ECANCELED, eddy_lock_acquire(lock)); /* would wait for itself: the pending cancel is delivered */
    EXPECT_OK(eddy_lock_unlock(lock));
    eddy_lock_release(lock);
}

static void *unlock_in_thread(void *lock) {
    unlock(lock);
    return NULL;
}

TEST(lock, plain_thread_may_unlock) {
    struct line line = {.lock = eddy_lock_create()};
    for (int round = 0; round < 20; round++) {
        struct crowd crowd = {.count = 0};
        line.count = 0;
        EXPECT_OK(eddy_lock_acquire(line.lock));
        for (int i = 0; i < 3; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
        pthread_t thread;
        EXPECT_EQ(0, pthread_create(&thread, NULL, unlock_in_thread, line.lock));
        crowd_join(&crowd);
        pthread_join(thread, NULL);
        EXPECT_EQ(3, line.count);
    }
    eddy_lock_release(line.lock);
}

CORE_TEST(lock, says_who_holds_it) {
    struct line line = {.lock = eddy_lock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT(!eddy_lock_is_held(line.lock));
    EXPECT(eddy_lock_try_acquire(line.lock));
    EXPECT(eddy_lock_is_held(line.lock));
    EXPECT(!eddy_lock_try_acquire(line.lock));
    crowd_add_parked(&crowd, stand, place_of(&line, 0));
    EXPECT_OK(eddy_lock_unlock(line.lock));
    if (test_workers() == 1 && !test_simulated()) { /* on its way: nobody's, and nobody else's */
        EXPECT(!eddy_lock_is_held(line.lock));
        EXPECT(!eddy_lock_try_acquire(line.lock));
        EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(line.lock));
    }
    crowd_join(&crowd);
    EXPECT_EQ(1, line.count);
    EXPECT(!eddy_lock_is_held(line.lock));
    eddy_lock_release(line.lock);
    eddy_lock_release(NULL);
}

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct line line = {.lock = eddy_lock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT_OK(eddy_lock_acquire(line.lock));
    crowd_add_parked(&crowd, stand, place_of(&line, 0));
    eddy_lock_release(line.lock);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(lock, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_lock_release while somebody waits");
}
