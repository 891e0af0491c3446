/* The work-stealing deque: the owner's order, and under thieves: every entry is given to exactly one taker. */
#include "harness/test.h"
#include "lockfree/lockfree.h"

#include <pthread.h>
#include <stdlib.h>

static void *hint(uint64_t n) { return (void *)(uintptr_t)(n + 1); }
static uint64_t number(const void *at) { return (uintptr_t)at - 1; }

static void share_all(struct ed_deque *deque) {
    uint64_t count = ed_deque_private_count(deque);
    EXPECT_OK(ed_deque_reserve_shared(deque, count));
    for (; count > 0; count--) {
        struct ed_deque_entry *entry = ed_deque_oldest(deque);
        ed_deque_append_shared(deque, entry->hint, entry->seq);
        ed_deque_drop_oldest(deque);
    }
    ed_deque_publish(deque);
}

UNIT(deque, owner_sees_both_ends_and_shares_the_oldest) {
    struct ed_deque deque;
    EXPECT_OK(ed_deque_init(&deque));
    uint64_t seq;
    bool lost;
    EXPECT(ed_deque_oldest(&deque) == NULL && ed_deque_newest(&deque) == NULL);
    EXPECT(!ed_deque_shared_oldest(&deque, &seq));
    EXPECT(ed_deque_take(&deque, &lost) == NULL && !lost);
    for (uint64_t i = 0; i < 1000; i++) EXPECT_OK(ed_deque_push(&deque, hint(i), i * 10)); /* grows */
    EXPECT_EQ(1000, ed_deque_private_count(&deque));
    EXPECT_EQ(0, number(ed_deque_oldest(&deque)->hint));
    EXPECT_EQ(999, number(ed_deque_newest(&deque)->hint));
    ed_deque_drop_newest(&deque);
    ed_deque_drop_oldest(&deque);
    EXPECT_EQ(998, number(ed_deque_newest(&deque)->hint));

    EXPECT_OK(ed_deque_reserve_shared(&deque, 500));
    for (int i = 0; i < 500; i++) {
        ed_deque_append_shared(&deque, ed_deque_oldest(&deque)->hint, ed_deque_oldest(&deque)->seq);
        ed_deque_drop_oldest(&deque);
    }
    EXPECT_EQ(0, ed_deque_shared_count(&deque)); /* invisible until published */
    ed_deque_publish(&deque);
    EXPECT_EQ(500, ed_deque_shared_count(&deque));
    EXPECT(ed_deque_shared_oldest(&deque, &seq));
    EXPECT_EQ(10, seq);
    for (uint64_t i = 1; i <= 500; i++) EXPECT_EQ(i, number(ed_deque_take(&deque, &lost)));
    EXPECT(ed_deque_take(&deque, &lost) == NULL && !lost);
    EXPECT_EQ(501, number(ed_deque_oldest(&deque)->hint));
    ed_deque_deinit(&deque);
}

UNIT(deque, without_memory_nothing_changes) {
    struct ed_deque deque;
    for (int nth = 1; nth <= 2; nth++) {
        ed_alloc_fail_at(nth);
        EXPECT_EQ(EDDY_ENOMEM, ed_deque_init(&deque));
    }
    EXPECT_OK(ed_deque_init(&deque));
    for (uint64_t i = 0; i < 64; i++) EXPECT_OK(ed_deque_push(&deque, hint(i), i));
    ed_alloc_fail_at(1);
    EXPECT_EQ(EDDY_ENOMEM, ed_deque_push(&deque, hint(64), 64));
    EXPECT_EQ(64, ed_deque_private_count(&deque));
    ed_alloc_fail_at(1);
    EXPECT_EQ(EDDY_ENOMEM, ed_deque_reserve_shared(&deque, 65));
    EXPECT_EQ(0, ed_deque_shared_count(&deque));
    share_all(&deque);
    EXPECT_EQ(64, ed_deque_shared_count(&deque));
    ed_alloc_fail_at(0);
    ed_deque_deinit(&deque);
}

/* ---- owner and three thieves ----------------------------------------------------------------------------- */

enum { THIEVES = 3 };

struct stress {
    struct ed_deque deque;
    _Atomic unsigned char *given; /* how often each entry was given */
    _Atomic bool done;
    _Atomic uint64_t taken;
    uint64_t total;
};

static void note_given(struct stress *stress, void *at) {
    EXPECT(number(at) < stress->total);
    EXPECT_EQ(0, ED_ADD_RELAXED(&stress->given[number(at)], 1));
}

static void *thief(void *arg) {
    struct stress *stress = arg;
    uint64_t taken = 0, last = 0;
    for (;;) {
        bool done = ED_LOAD_SEQCST(&stress->done), lost;
        void *at = ed_deque_take(&stress->deque, &lost);
        if (at != NULL) {
            note_given(stress, at);
            EXPECT(taken == 0 || number(at) > last); /* each thief sees them in order */
            last = number(at);
            taken++;
        } else if (done && !lost) {
            break;
        }
    }
    ED_ADD(&stress->taken, taken);
    return NULL;
}

/* 10^6 entries: pushed in bursts, some popped at either end by the owner, the rest published in bursts that make the
 * shared ring grow while thieves read it. None is lost, none is given twice. */
UNIT(deque, owner_and_three_thieves, TEST_LIMIT(60)) {
    static struct stress stress;
    stress.total = (uint64_t)test_scaled(1000000);
    stress.given = calloc(stress.total, 1);
    EXPECT_OK(ed_deque_init(&stress.deque));
    pthread_t threads[THIEVES];
    for (int i = 0; i < THIEVES; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, thief, &stress));

    uint64_t random = 2463534242u, own = 0;
    for (uint64_t next = 0; next < stress.total;) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t burst = random % 16 == 0 ? 500 : random % 8;
        for (; burst > 0 && next < stress.total; burst--, next++)
            EXPECT_OK(ed_deque_push(&stress.deque, hint(next), next));
        if (random >> 8 & 1 && ed_deque_newest(&stress.deque) != NULL) {
            note_given(&stress, ed_deque_newest(&stress.deque)->hint);
            ed_deque_drop_newest(&stress.deque);
            own++;
        }
        if (random >> 9 & 1 && ed_deque_oldest(&stress.deque) != NULL) {
            note_given(&stress, ed_deque_oldest(&stress.deque)->hint);
            ed_deque_drop_oldest(&stress.deque);
            own++;
        }
        if (random >> 10 & 1) share_all(&stress.deque);
        if (random >> 12 & 1) {
            bool lost;
            void *at = ed_deque_take(&stress.deque, &lost);
            if (at != NULL) {
                note_given(&stress, at);
                own++;
            }
        }
    }
    share_all(&stress.deque);
    ED_STORE_SEQCST(&stress.done, true);
    for (int i = 0; i < THIEVES; i++) pthread_join(threads[i], NULL);
    EXPECT_EQ(stress.total, own + stress.taken);
    for (uint64_t i = 0; i < stress.total; i++) EXPECT_EQ(1, stress.given[i]);
    EXPECT_EQ(0, ed_deque_shared_count(&stress.deque));
    ed_deque_deinit(&stress.deque);
    free((void *)stress.given);
}
