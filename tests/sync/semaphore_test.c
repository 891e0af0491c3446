/* The semaphore: never more than its slots, first come, first served, no slot lost. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

#include <pthread.h>
#include <signal.h>

enum { SLOTS = 3 };

struct pool {
    eddy_semaphore *semaphore;
    int64_t rounds;
    _Atomic int inside, inside_max;
    _Atomic int64_t cancelled;
};

static void be_inside(struct pool *pool, bool pause) {
    int inside = ED_ADD(&pool->inside, 1) + 1, max = ED_LOAD_RELAXED(&pool->inside_max);
    EXPECT(inside <= SLOTS);
    while (inside > max && !ED_CAS_WEAK(&pool->inside_max, &max, inside)) continue;
    if (pause) (void)eddy_yield();
    ED_SUB(&pool->inside, 1);
}

static int come_and_go(void *arg, eddy_value *out) {
    struct pool *pool = arg;
    (void)out;
    for (int64_t i = 0; i < pool->rounds; i++) {
        if (i % 3 != 0 || !eddy_semaphore_try_acquire(pool->semaphore)) {
            int status = eddy_semaphore_acquire(pool->semaphore);
            if (status == EDDY_ECANCELED) {
                ED_ADD(&pool->cancelled, 1);
                continue;
            }
            EXPECT_OK(status);
        }
        be_inside(pool, i % 2 == 0);
        eddy_semaphore_post(pool->semaphore);
    }
    return 0;
}

static void expect_all_slots_free(eddy_semaphore *semaphore) {
    for (int i = 0; i < SLOTS; i++) EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
}

CORE_TEST(semaphore, lets_no_more_in_than_it_has_slots) {
    struct pool pool = {.semaphore = eddy_semaphore_create(SLOTS), .rounds = test_scaled(5000)};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, come_and_go, &pool);
    eddy_share();
    while (!crowd_done(&crowd)) EXPECT_OK(eddy_yield());
    crowd_join(&crowd);
    if (test_workers() == 1) EXPECT_EQ(SLOTS, pool.inside_max); /* else the machine may run them one by one */
    expect_all_slots_free(pool.semaphore);
    eddy_semaphore_release(pool.semaphore);
}

CORE_TEST(semaphore, loses_no_slot_to_cancels_at_random) {
    struct pool pool = {.semaphore = eddy_semaphore_create(SLOTS), .rounds = test_scaled(3000)};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 8; i++) crowd_add(&crowd, come_and_go, &pool);
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    if (test_workers() == 1) EXPECT(pool.cancelled > 0);
    expect_all_slots_free(pool.semaphore);
    eddy_semaphore_release(pool.semaphore);
}

/* Tasks that stand in line for a slot, note when they had it, and keep it. */
struct line {
    eddy_semaphore *semaphore;
    _Atomic int count;
    struct place {
        struct line *line;
        int status, position;
    } places[8];
};

static int stand(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    place->status = eddy_semaphore_acquire(place->line->semaphore);
    if (place->status == 0) place->position = ED_ADD(&place->line->count, 1);
    return 0;
}

static struct place *place_of(struct line *line, int index) {
    line->places[index] = (struct place){.line = line, .status = 1};
    return &line->places[index];
}

CORE_TEST(semaphore, slot_posted_is_reserved_for_the_oldest_waiter) {
    struct line line = {.semaphore = eddy_semaphore_create(0)};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 4; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
    for (int i = 0; i < 4; i++) {
        EXPECT(!eddy_semaphore_try_acquire(line.semaphore));
        eddy_semaphore_post(line.semaphore);
        EXPECT(!eddy_semaphore_try_acquire(line.semaphore)); /* although no task has run */
        EXPECT_OK(eddy_await(EDDY_FUTURE(crowd.tasks[i]), NULL));
        EXPECT_EQ(i, line.places[i].position);
    }
    crowd_join(&crowd);
    eddy_semaphore_post(line.semaphore);
    EXPECT(eddy_semaphore_try_acquire(line.semaphore));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_semaphore_acquire(line.semaphore)));
    eddy_semaphore_release(line.semaphore);
}

CORE_TEST(semaphore, waiter_cancelled_with_a_slot_in_its_hands_hands_it_on) {
    struct line line = {.semaphore = eddy_semaphore_create(0)};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 3; i++) crowd_add_parked(&crowd, stand, place_of(&line, i));
    eddy_semaphore_post(line.semaphore);
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    if (test_workers() == 1) EXPECT_EQ(EDDY_ECANCELED, line.places[0].status);
    EXPECT_EQ(1, line.count);
    if (line.places[0].status < 0) EXPECT_OK(line.places[1].status);
    eddy_semaphore_post(line.semaphore);
    eddy_semaphore_post(line.semaphore);
    crowd_join(&crowd);
    EXPECT_OK(line.places[1].status);
    EXPECT_OK(line.places[2].status);
    EXPECT_EQ(line.places[0].status < 0, eddy_semaphore_try_acquire(line.semaphore));
    eddy_semaphore_release(line.semaphore);
}

static void post(void *semaphore) { eddy_semaphore_post(semaphore); }

TEST(semaphore, waiter_cancelled_while_its_slot_is_on_its_way_hands_it_on) {
    if (test_workers() < 2) return;
    test_stay();
    for (int round = 0; round < 50; round++) {
        struct line line = {.semaphore = eddy_semaphore_create(0)};
        struct crowd crowd = {.count = 0};
        crowd_add_there(&crowd, stand, place_of(&line, 0));
        crowd_cancel_on_its_way(crowd.tasks[0], post, line.semaphore);
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_ECANCELED, line.places[0].status);
        EXPECT(eddy_semaphore_try_acquire(line.semaphore));
        EXPECT(!eddy_semaphore_try_acquire(line.semaphore));
        eddy_semaphore_release(line.semaphore);
    }
}

static void *post_from_thread(void *arg) {
    struct pool *pool = arg;
    for (int64_t i = 0; i < pool->rounds; i++) eddy_semaphore_post(pool->semaphore);
    return NULL;
}

static int take_all(void *arg, eddy_value *out) {
    struct pool *pool = arg;
    (void)out;
    for (int64_t i = 0; i < pool->rounds / 4; i++) EXPECT_OK(eddy_semaphore_acquire(pool->semaphore));
    return 0;
}

TEST(semaphore, plain_thread_may_post) {
    struct pool pool = {.semaphore = eddy_semaphore_create(0), .rounds = test_scaled(40000) / 4 * 4};
    struct crowd crowd = {.count = 0};
    pthread_t thread;
    for (int i = 0; i < 4; i++) crowd_add(&crowd, take_all, &pool);
    EXPECT_EQ(0, pthread_create(&thread, NULL, post_from_thread, &pool));
    crowd_join(&crowd);
    pthread_join(thread, NULL);
    EXPECT(!eddy_semaphore_try_acquire(pool.semaphore));
    eddy_semaphore_release(pool.semaphore);
}

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct line line = {.semaphore = eddy_semaphore_create(0)};
    struct crowd crowd = {.count = 0};
    crowd_add_parked(&crowd, stand, place_of(&line, 0));
    eddy_semaphore_release(line.semaphore);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(semaphore, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_semaphore_release while somebody waits");
}

UNIT(semaphore, trying_takes_what_is_free) {
    eddy_semaphore *semaphore = eddy_semaphore_create(1);
    EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_semaphore_post(semaphore));
    for (int i = 0; i < 3; i++) EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    eddy_semaphore_release(semaphore);
    eddy_semaphore_release(NULL);
}

UNIT(semaphore, bounded_one_refuses_a_slot_too_many) {
    eddy_semaphore *semaphore = eddy_semaphore_create_bounded(2);
    EXPECT_EQ(EDDY_ESTATE, eddy_semaphore_post(semaphore));
    EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_semaphore_post(semaphore));
    EXPECT_EQ(EDDY_ESTATE, eddy_semaphore_post(semaphore));
    EXPECT(eddy_semaphore_try_acquire(semaphore));
    EXPECT_OK(eddy_semaphore_post(semaphore));
    eddy_semaphore_release(semaphore);
}
