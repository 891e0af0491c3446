/* The inbox: FIFO per producer, nothing lost, closed against pushes that race with it. The spin lock beside it. */
#include "harness/test.h"
#include "lockfree/lockfree.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { PRODUCERS = 8 };

struct letter {
    struct ed_message message; /* first */
    int producer;
    int64_t number;
};

struct post {
    struct ed_inbox inbox;
    _Atomic bool start;
    int64_t each;
    _Atomic int64_t accepted[PRODUCERS];
};
struct producer {
    struct post *post;
    int index;
    struct letter *letters;
    pthread_t thread;
};

UNIT(inbox, takes_all_oldest_first_and_refuses_when_closed) {
    struct ed_inbox inbox;
    struct letter letters[5];
    ed_inbox_init(&inbox);
    EXPECT(ed_inbox_empty(&inbox));
    EXPECT(ed_inbox_take(&inbox) == NULL);
    for (int i = 0; i < 3; i++) EXPECT_OK(ed_inbox_push(&inbox, &letters[i].message));
    EXPECT(!ed_inbox_empty(&inbox));
    struct ed_message *message = ed_inbox_take(&inbox);
    for (int i = 0; i < 3; i++, message = message->next) EXPECT(message == &letters[i].message);
    EXPECT(message == NULL);
    EXPECT(ed_inbox_empty(&inbox));
    EXPECT_OK(ed_inbox_push(&inbox, &letters[3].message));
    message = ed_inbox_close(&inbox);
    EXPECT(message == &letters[3].message && message->next == NULL);
    EXPECT_EQ(EDDY_ECLOSED, ed_inbox_push(&inbox, &letters[4].message));
    EXPECT(ed_inbox_take(&inbox) == NULL);
}

static void *produce(void *arg) {
    struct producer *self = arg;
    struct post *post = self->post;
    while (!ED_LOAD_ACQUIRE(&post->start)) sched_yield();
    for (int64_t i = 0; i < post->each; i++) {
        self->letters[i].producer = self->index;
        self->letters[i].number = i;
        if (ed_inbox_push(&post->inbox, &self->letters[i].message) < 0) break;
        ED_ADD_RELAXED(&post->accepted[self->index], 1);
    }
    return NULL;
}

static void count_letters(struct ed_message *message, int64_t *seen) {
    for (; message != NULL; message = message->next) {
        struct letter *letter = (struct letter *)message;
        EXPECT_EQ(seen[letter->producer], letter->number); /* each producer's in order */
        seen[letter->producer]++;
    }
}

/* Eight producers. With `close_after` the owner closes after so many letters: what was accepted was seen, in
 * order. */
static void run_post(int64_t each, int64_t close_after) {
    struct post post = {.each = each};
    struct producer producers[PRODUCERS];
    int64_t seen[PRODUCERS] = {0}, total = 0;
    ed_inbox_init(&post.inbox);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){&post, i, calloc((size_t)each, sizeof(struct letter)), 0};
        EXPECT_EQ(0, pthread_create(&producers[i].thread, NULL, produce, &producers[i]));
    }
    ED_STORE_RELEASE(&post.start, true);
    int64_t until = close_after < 0 ? each * PRODUCERS : close_after;
    while (total < until) {
        struct ed_message *message = ed_inbox_take(&post.inbox);
        if (message == NULL) sched_yield();
        count_letters(message, seen);
        total = 0;
        for (int i = 0; i < PRODUCERS; i++) total += seen[i];
    }
    count_letters(ed_inbox_close(&post.inbox), seen);
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        EXPECT_EQ(ED_LOAD_RELAXED(&post.accepted[i]), seen[i]);
        if (close_after < 0) EXPECT_EQ(each, seen[i]);
        free(producers[i].letters);
    }
}

UNIT(inbox, eight_producers_fifo_each, TEST_LIMIT(60)) { run_post(test_scaled(100000), -1); }

UNIT(inbox, close_against_push, TEST_LIMIT(60)) {
    for (int i = 0; i < test_scaled(200); i++) run_post(2000, i * 37 % 4000);
}

/* ---- the spin lock --------------------------------------------------------------------------------------- */

struct shared {
    struct ed_spinlock lock;
    int64_t count; /* under lock */
    int64_t each;
};
static void *count_under_lock(void *arg) {
    struct shared *shared = arg;
    for (int64_t i = 0; i < shared->each; i++) {
        ed_spinlock_lock(&shared->lock);
        shared->count++;
        ed_spinlock_unlock(&shared->lock);
    }
    return NULL;
}

UNIT(inbox, spinlock_excludes) {
    struct shared shared = {.each = test_scaled(100000)};
    pthread_t threads[4];
    ed_spinlock_init(&shared.lock);
    for (int i = 0; i < 4; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, count_under_lock, &shared));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    EXPECT_EQ(4 * shared.each, shared.count);
}
