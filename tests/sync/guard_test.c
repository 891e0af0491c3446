/* The guard: one at a time, biased or not, whoever takes the bias away, and when. What it guards is plain data:
 * ThreadSanitizer sees it if the guard does not order its holders. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/guard.h"

#include <pthread.h>

struct guarded {
    struct ed_guard guard;
    int64_t value;
    _Atomic bool go;
    int64_t rounds;
};

static void count(struct guarded *guarded) {
    for (int64_t i = 0; i < guarded->rounds; i++) {
        ed_guard_lock(&guarded->guard);
        guarded->value++;
        ed_guard_unlock(&guarded->guard);
    }
}

static bool is_biased(const struct guarded *guarded) {
    return ED_LOAD_RELAXED((_Atomic uint64_t *)&guarded->guard.owner) != ED_GUARD_SHARED;
}

CORE_TEST(guard, belongs_to_the_worker_that_made_it) {
    struct guarded guarded = {.rounds = 1000};
    ed_guard_init(&guarded.guard);
    EXPECT_EQ(ed_barrier_open(), is_biased(&guarded));
    count(&guarded);
    EXPECT_EQ(ed_barrier_open(), is_biased(&guarded));
    EXPECT_EQ(1000, guarded.value);
}

static void *other_thread(void *arg) {
    struct guarded *guarded = arg;
    while (!ED_LOAD_ACQUIRE(&guarded->go)) ed_cpu_relax();
    count(guarded);
    return NULL;
}

/* The thread comes while the owner goes in and out. */
TEST(guard, is_taken_from_an_owner_that_is_busy) {
    int64_t rounds = test_scaled(100);
    for (int64_t i = 0; i < rounds; i++) {
        struct guarded guarded = {.rounds = 2000};
        ed_guard_init(&guarded.guard);
        pthread_t thread;
        EXPECT_EQ(0, pthread_create(&thread, NULL, other_thread, &guarded));
        ED_STORE_RELEASE(&guarded.go, true);
        count(&guarded);
        pthread_join(thread, NULL);
        EXPECT(!is_biased(&guarded));
        EXPECT_EQ(2 * guarded.rounds, guarded.value);
    }
}

static int count_task(void *arg, eddy_value *out) {
    (void)out;
    count(arg);
    return 0;
}

CORE_TEST(guard, is_everybodys_in_the_end) {
    struct guarded guarded = {.rounds = test_scaled(20000)};
    ed_guard_init(&guarded.guard);
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, count_task, &guarded);
    eddy_share();
    crowd_join(&crowd);
    EXPECT_EQ(8 * guarded.rounds, guarded.value);
}

/* Who hands every object to somebody else pays for few of them only. */
TEST(guard, stops_making_what_is_taken_from_it) {
    int biased = 0;
    for (int i = 0; i < 200; i++) {
        struct guarded guarded = {.rounds = 1};
        ed_guard_init(&guarded.guard);
        biased += is_biased(&guarded);
        pthread_t thread;
        ED_STORE_RELEASE(&guarded.go, true);
        EXPECT_EQ(0, pthread_create(&thread, NULL, other_thread, &guarded));
        pthread_join(thread, NULL);
    }
    EXPECT(biased <= 32);
}
