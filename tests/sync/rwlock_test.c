/* The read-write lock: writers alone, readers together, nobody starves, and it is never lost. */
#include "crowd.h"
#include "sync/sync.h"

struct book {
    eddy_rwlock *lock;
    int64_t left, right; /* plain: ThreadSanitizer sees it if the lock does not order its holders */
    int64_t rounds;
    _Atomic int readers, writers;
    int order[16];
    _Atomic int count;
    struct person {
        struct book *book;
        int index, status;
        bool writes, stays;
    } people[16];
};

static int use(void *arg, eddy_value *out) {
    struct person *person = arg;
    struct book *book = person->book;
    (void)out;
    person->status = person->writes ? eddy_rwlock_write(book->lock) : eddy_rwlock_read(book->lock);
    if (person->status < 0) return 0;
    book->order[ED_ADD(&book->count, 1)] = person->index;
    if (!person->stays) EXPECT_OK(eddy_rwlock_unlock(book->lock));
    return 0;
}

static struct person *person_of(struct book *book, int index, bool writes, bool stays) {
    book->people[index] = (struct person){.book = book, .index = index, .status = 1, .writes = writes, .stays = stays};
    return &book->people[index];
}

CORE_TEST(rwlock, readers_share_it_and_a_waiting_writer_keeps_newcomers_out) {
    struct book book = {.lock = eddy_rwlock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT_OK(eddy_rwlock_read(book.lock));
    EXPECT(eddy_rwlock_try_read(book.lock));
    EXPECT(!eddy_rwlock_try_write(book.lock));
    crowd_add_parked(&crowd, use, person_of(&book, 0, true, true));
    EXPECT(!eddy_rwlock_try_read(book.lock)); /* no starvation of writers */
    for (int i = 1; i < 4; i++) crowd_add_parked(&crowd, use, person_of(&book, i, i == 3, true));
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    test_until_all_parked();
    EXPECT_EQ(0, book.count);
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    test_until_all_parked();
    EXPECT_EQ(1, book.count); /* the writer, alone */
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    test_until_all_parked();
    EXPECT_EQ(3, book.count); /* both readers, together; not the writer behind them */
    EXPECT_EQ(1, book.people[3].status);
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    crowd_join(&crowd);
    EXPECT_EQ(3, book.order[3]);
    EXPECT(!eddy_rwlock_try_read(book.lock));
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    EXPECT_EQ(EDDY_ESTATE, eddy_rwlock_unlock(book.lock));
    EXPECT(eddy_rwlock_try_write(book.lock));
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    eddy_rwlock_release(book.lock);
    eddy_rwlock_release(NULL);
}

/* Readers that waited for a writer only go on when that one gives up. */
CORE_TEST(rwlock, writer_that_is_cancelled_lets_the_readers_behind_it_in) {
    struct book book = {.lock = eddy_rwlock_create()};
    struct crowd crowd = {.count = 0};
    EXPECT_OK(eddy_rwlock_read(book.lock));
    for (int i = 0; i < 3; i++) crowd_add_parked(&crowd, use, person_of(&book, i, i == 0, false));
    EXPECT(eddy_cancel(EDDY_FUTURE(crowd.tasks[0])));
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_ECANCELED, book.people[0].status);
    EXPECT_EQ(2, book.count);
    EXPECT_OK(eddy_rwlock_unlock(book.lock));
    EXPECT(eddy_rwlock_try_write(book.lock));
    eddy_rwlock_release(book.lock);
}

/* Method: unlock and cancel in one pass; with one worker the waiter cannot have run in between. */
CORE_TEST(rwlock, waiter_cancelled_with_the_lock_in_its_hands_hands_it_on) {
    for (int writes = 0; writes < 2; writes++) {
        struct book book = {.lock = eddy_rwlock_create()};
        struct crowd crowd = {.count = 0};
        EXPECT_OK(eddy_rwlock_write(book.lock));
        crowd_add_parked(&crowd, use, person_of(&book, 0, writes, false));
        crowd_add_parked(&crowd, use, person_of(&book, 1, true, false));
        crowd_add_parked(&crowd, use, person_of(&book, 2, false, false));
        EXPECT_OK(eddy_rwlock_unlock(book.lock));
        eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
        crowd_join(&crowd);
        if (test_workers() == 1) EXPECT_EQ(EDDY_ECANCELED, book.people[0].status);
        EXPECT_OK(book.people[1].status);
        EXPECT_OK(book.people[2].status);
        EXPECT(eddy_rwlock_try_write(book.lock));
        eddy_rwlock_release(book.lock);
    }
}

static int read_and_write(void *arg, eddy_value *out) {
    struct person *person = arg;
    struct book *book = person->book;
    (void)out;
    for (int64_t i = 0; i < book->rounds; i++) {
        bool writes = (i + person->index) % 4 == 0;
        int status = writes ? eddy_rwlock_write(book->lock) : eddy_rwlock_read(book->lock);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        if (status < 0) continue;
        if (writes) {
            EXPECT_EQ(0, ED_ADD(&book->writers, 1) + ED_LOAD_SEQCST(&book->readers));
            book->left++;
            if (i % 3 == 0) (void)eddy_yield();
            book->right++;
            ED_SUB(&book->writers, 1);
        } else {
            ED_ADD(&book->readers, 1);
            EXPECT_EQ(0, ED_LOAD_SEQCST(&book->writers));
            EXPECT_EQ(book->left, book->right);
            if (i % 3 == 0) (void)eddy_yield();
            ED_SUB(&book->readers, 1);
        }
        EXPECT_OK(eddy_rwlock_unlock(book->lock));
    }
    return 0;
}

CORE_TEST(rwlock, writers_are_alone_although_all_are_cancelled_at_random) {
    struct book book = {.lock = eddy_rwlock_create(), .rounds = test_scaled(2000)};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 8; i++) crowd_add(&crowd, read_and_write, person_of(&book, i, false, false));
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    EXPECT(eddy_rwlock_try_write(book.lock)); /* nobody has it, and it is on nobody's way */
    eddy_rwlock_release(book.lock);
}
