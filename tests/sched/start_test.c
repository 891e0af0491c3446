/* The start word: of all who may reach a new task exactly one enters its body, whatever life of the record
 * they mean. */
#include "harness/test.h"
#include "sched/sched.h"

#include <pthread.h>
#include <sched.h>

UNIT(start, only_the_holder_claims_its_own) {
    struct ed_start start = {0};
    EXPECT(!ed_start_claim(&start, 0)); /* FREE */
    ed_start_new(&start, 3, ED_START_NEW_OWN);
    EXPECT(ed_start_is_own(&start, 3) && !ed_start_is_own(&start, 2));
    EXPECT(!ed_start_claim(&start, 2));
    EXPECT(ed_start_claim(&start, 3));
    EXPECT(!ed_start_claim(&start, 3));
    EXPECT_EQ(ED_START_STARTED, ed_start_state(ED_LOAD_RELAXED(&start.word)));
    EXPECT_EQ(3, ed_start_worker(ED_LOAD_RELAXED(&start.word)));
}

UNIT(start, anyone_claims_a_shared_one_once) {
    struct ed_start start = {0};
    ed_start_new(&start, 3, ED_START_NEW_OWN);
    ed_start_new(&start, 3, ED_START_NEW_SHARED);
    EXPECT(!ed_start_is_own(&start, 3));
    EXPECT(ed_start_claim(&start, 900));
    EXPECT(!ed_start_claim(&start, 3));
    EXPECT_EQ(900, ed_start_worker(ED_LOAD_RELAXED(&start.word))); /* the host from now on */
}

/* A pinned one is claimed from its worker's queue only: a stale hint that finds it there leaves it alone. */
UNIT(start, pinned_is_not_for_hints) {
    struct ed_start start = {0};
    ed_start_new(&start, 3, ED_START_NEW_PINNED);
    EXPECT(!ed_start_claim(&start, 2));
    EXPECT(!ed_start_claim(&start, 3));
    ed_start_claim_pinned(&start, 3);
    EXPECT_EQ(ED_START_STARTED, ed_start_state(ED_LOAD_RELAXED(&start.word)));
    EXPECT_EQ(3, ed_start_worker(ED_LOAD_RELAXED(&start.word)));
}

UNIT(start, each_life_has_another_generation) {
    struct ed_start start = {0};
    uint64_t seen[50];
    for (int life = 0; life < 50; life++) {
        ed_start_new(&start, 1, ED_START_NEW_OWN);
        seen[life] = ED_LOAD_RELAXED(&start.word);
        for (int i = 0; i < life; i++) EXPECT(seen[i] != seen[life]);
        EXPECT(ed_start_claim(&start, 1));
        ed_start_free(&start);
        EXPECT_EQ(ED_START_FREE, ed_start_state(ED_LOAD_RELAXED(&start.word)));
        EXPECT(!ed_start_claim(&start, 1));
    }
}

/* Four threads race for each of many shared words. */
enum { WORDS = 20000, RACERS = 4 };
struct race {
    struct ed_start starts[WORDS];
    _Atomic int won[WORDS];
    _Atomic int ready;
    _Atomic unsigned next;
};
static void *racer(void *arg) {
    struct race *race = arg;
    unsigned self = ED_ADD(&race->next, 1);
    ED_ADD(&race->ready, 1);
    while (ED_LOAD_SEQCST(&race->ready) < RACERS) sched_yield();
    for (int i = 0; i < WORDS; i++) {
        if (!ed_start_claim(&race->starts[i], self)) continue;
        ED_ADD(&race->won[i], 1);
        EXPECT_EQ(self, ed_start_worker(ED_LOAD_RELAXED(&race->starts[i].word)));
    }
    return NULL;
}

UNIT(start, one_of_four_racers_wins) {
    static struct race race;
    pthread_t threads[RACERS];
    for (int i = 0; i < WORDS; i++) {
        ed_start_new(&race.starts[i], 0, ED_START_NEW_OWN);
        ed_start_new(&race.starts[i], 0, ED_START_NEW_SHARED);
    }
    for (int i = 0; i < RACERS; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, racer, &race));
    for (int i = 0; i < RACERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < WORDS; i++) EXPECT_EQ(1, race.won[i]);
}
