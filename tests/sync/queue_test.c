/* The queue: each item that was put is got or dropped, exactly once, in order, wherever a cancel or a close falls. */
#include "base/base.h"
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* ---- items that are counted ----------------------------------------------------------------------- */

enum { ITEMS_MAX = 1 << 16 };
static _Atomic uint8_t put_ok[ITEMS_MAX], got[ITEMS_MAX], dropped[ITEMS_MAX];

static void items_forget(void) {
    memset((void *)put_ok, 0, sizeof put_ok);
    memset((void *)got, 0, sizeof got);
    memset((void *)dropped, 0, sizeof dropped);
}

static void drop(eddy_value item) { ED_ADD(&dropped[item.i64], 1); }

/* Each of the first `count` was got or dropped once if its put succeeded, else never. @return how many were dropped. */
static int expect_exactly_once(int64_t count) {
    int drops = 0;
    for (int64_t i = 0; i < count; i++) {
        if (put_ok[i] != got[i] + dropped[i])
            test_fail(__FILE__, __LINE__, "item %lld: put %d, got %d, dropped %d", (long long)i, put_ok[i], got[i],
                      dropped[i]);
        drops += dropped[i];
    }
    return drops;
}

/* ---- alone ----------------------------------------------------------------------------------------- */

/* A random walk over several chunks, against counters. */
UNIT(queue, gives_items_in_order_through_many_chunks) {
    uint64_t random = 12345;
    for (size_t capacity = 0; capacity <= 300; capacity += 100) {
        eddy_queue *queue = eddy_queue_create(capacity, NULL);
        int64_t next_in = 0, next_out = 0;
        for (int i = 0; i < 20000; i++) {
            bool more = crowd_random(&random) % 100 < (i / 2000 % 2 ? 30 : 70);
            size_t size = (size_t)(next_in - next_out);
            if (more) {
                bool full = capacity > 0 && size == capacity;
                EXPECT_EQ(full ? EDDY_EBUSY : 0, eddy_queue_try_put(queue, EDDY_I64(next_in)));
                next_in += !full;
            } else {
                eddy_value item;
                EXPECT_EQ(size > 0 ? 0 : EDDY_EBUSY, eddy_queue_try_get(queue, &item));
                if (size > 0) EXPECT_EQ(next_out++, item.i64);
            }
            EXPECT_EQ(next_in - next_out, eddy_queue_size(queue));
        }
        eddy_queue_release(queue);
    }
    eddy_queue_release(NULL);
}

UNIT(queue, drops_what_is_left_once_and_in_order) {
    for (int64_t count = 0; count < 200; count += 31) {
        items_forget();
        eddy_queue *queue = eddy_queue_create(0, drop);
        for (int64_t i = 0; i < count; i++) {
            EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(i)));
            ED_ADD(&put_ok[i], 1);
        }
        eddy_queue_close(queue);
        eddy_queue_close(queue);
        EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_put(queue, EDDY_I64(count)));
        eddy_value item;
        if (count > 0) {
            EXPECT_OK(eddy_queue_try_get(queue, &item));
            EXPECT_EQ(0, item.i64);
            ED_ADD(&got[0], 1);
        } else {
            EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_get(queue, &item));
        }
        eddy_queue_release(queue);
        EXPECT_EQ(count > 0 ? count - 1 : 0, expect_exactly_once(ITEMS_MAX));
    }
}

static int use_all(void *arg) {
    (void)arg;
    eddy_lock *lock = eddy_lock_create();
    eddy_event *event = eddy_event_create();
    eddy_semaphore *semaphore = eddy_semaphore_create(1);
    eddy_queue *queue = eddy_queue_create(0, drop);
    int status = lock != NULL && event != NULL && semaphore != NULL && queue != NULL ? 0 : EDDY_ENOMEM;
    size_t size = 0;
    while (status == 0 && size < 150) {
        status = eddy_queue_try_put(queue, EDDY_I64(size));
        if (status == 0) size++;
    }
    if (queue != NULL) EXPECT_EQ(size, eddy_queue_size(queue));
    eddy_lock_release(lock);
    eddy_event_release(event);
    eddy_semaphore_release(semaphore);
    eddy_queue_release(queue);
    return status;
}

UNIT(queue, no_memory_is_a_status_and_nothing_is_lost) {
    EXPECT_EQ(7, test_each_allocation_fails(use_all, NULL)); /* four objects, three chunks */
}

/* Against a sorted list: the least comes out first, of equal ones the oldest; and youngest first. */
static int64_t tens(eddy_value item) { return item.i64 / 1000; }

UNIT(queue, priority_and_lifo_keep_their_order_through_many_blocks) {
    enum { MOST = 400 };
    uint64_t random = 54321;
    for (int lifo = 0; lifo < 2; lifo++) {
        eddy_queue *queue = lifo ? eddy_queue_create_lifo(MOST, NULL) : eddy_queue_create_priority(MOST, tens, NULL);
        int64_t model[MOST], serial = 0;
        int count = 0;
        for (int i = 0; i < 20000; i++) {
            if (crowd_random(&random) % 100 < (i / 2000 % 2 ? 30 : 70)) {
                int64_t item = (int64_t)(crowd_random(&random) % 7) * 1000 + serial++ % 1000;
                EXPECT_EQ(count == MOST ? EDDY_EBUSY : 0, eddy_queue_try_put(queue, EDDY_I64(item)));
                if (count < MOST) model[count++] = item;
            } else {
                eddy_value item;
                EXPECT_EQ(count > 0 ? 0 : EDDY_EBUSY, eddy_queue_try_get(queue, &item));
                if (count == 0) continue;
                int next = lifo ? count - 1 : 0;
                for (int j = 1; !lifo && j < count; j++)
                    if (model[j] / 1000 < model[next] / 1000) next = j;
                EXPECT_EQ(model[next], item.i64);
                count--;
                for (int j = next; j < count; j++) model[j] = model[j + 1];
            }
            EXPECT_EQ(count, eddy_queue_size(queue));
        }
        eddy_queue_release(queue);
    }
    EXPECT(eddy_queue_create_priority(0, NULL, NULL) == NULL);
}

UNIT(queue, close_now_drops_what_is_there_once) {
    for (int kind = 0; kind < 3; kind++) {
        items_forget();
        eddy_queue *queue = kind == 0   ? eddy_queue_create(0, drop)
                            : kind == 1 ? eddy_queue_create_lifo(0, drop)
                                        : eddy_queue_create_priority(0, tens, drop);
        for (int64_t i = 0; i < 150; i++) {
            EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(i)));
            ED_ADD(&put_ok[i], 1);
        }
        eddy_value item;
        EXPECT_OK(eddy_queue_try_get(queue, &item));
        ED_ADD(&got[item.i64], 1);
        eddy_queue_close_now(queue);
        EXPECT_EQ(0, eddy_queue_size(queue));
        EXPECT_EQ(149, expect_exactly_once(ITEMS_MAX));
        EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_get(queue, &item));
        EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_put(queue, item));
        EXPECT_OK(eddy_queue_task_done(queue)); /* that was the one got; the others are done with */
        EXPECT_EQ(EDDY_ESTATE, eddy_queue_task_done(queue));
        eddy_queue_close_now(queue);
        eddy_queue_release(queue);
    }
}

/* ---- one producer, one consumer --------------------------------------------------------------------- */

struct pipe {
    eddy_queue *queue;
    int64_t count;
};

static int produce(void *arg, eddy_value *out) {
    struct pipe *pipe = arg;
    (void)out;
    for (int64_t i = 0; i < pipe->count; i++) EXPECT_OK(eddy_queue_put(pipe->queue, EDDY_I64(i)));
    eddy_queue_close(pipe->queue);
    return 0;
}

static int consume(void *arg, eddy_value *out) {
    struct pipe *pipe = arg;
    (void)out;
    eddy_value item;
    int64_t next = 0;
    int status;
    while ((status = eddy_queue_get(pipe->queue, &item)) == 0) EXPECT_EQ(next++, item.i64);
    EXPECT_EQ(EDDY_ECLOSED, status);
    EXPECT_EQ(pipe->count, next);
    return 0;
}

CORE_TEST(queue, carries_a_stream_in_order) {
    const size_t capacities[] = {1, 2, 100, 0};
    for (size_t i = 0; i < 4; i++) {
        struct pipe pipe = {.queue = eddy_queue_create(capacities[i], NULL), .count = test_scaled(5000)};
        struct crowd crowd = {.count = 0};
        crowd_add(&crowd, i % 2 ? produce : consume, &pipe);
        crowd_add(&crowd, i % 2 ? consume : produce, &pipe);
        eddy_share();
        crowd_join(&crowd);
        eddy_queue_release(pipe.queue);
    }
}

/* ---- lines ----------------------------------------------------------------------------------------- */

/* Tasks that stand in line to get one item, or to put their own. */
struct place {
    eddy_queue *queue;
    int status;
    eddy_value item;
};

static int stand_to_get(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    place->status = eddy_queue_get(place->queue, &place->item);
    return 0;
}

static int stand_to_put(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    place->status = eddy_queue_put(place->queue, place->item);
    return 0;
}

static void line_up(struct crowd *crowd, struct place *places, int count, eddy_queue *queue, eddy_coro_fn fn) {
    for (int i = 0; i < count; i++) {
        places[i] = (struct place){.queue = queue, .status = 1, .item = EDDY_I64(10 + i)};
        crowd_add_parked(crowd, fn, &places[i]);
    }
}

CORE_TEST(queue, items_go_to_the_getters_in_the_order_they_asked) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[4];
    line_up(&crowd, places, 4, queue, stand_to_get);
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(i)));
        EXPECT_OK(eddy_await(EDDY_FUTURE(crowd.tasks[i]), NULL));
        EXPECT_OK(places[i].status);
        EXPECT_EQ(i, places[i].item.i64);
    }
    crowd_join(&crowd);
    eddy_queue_release(queue);
}

/* Who asks before the woken getter has run is faster; that one waits again, and is not forgotten. */
CORE_TEST(queue, newcomer_may_be_faster_than_who_was_woken) {
    eddy_queue *queue = eddy_queue_create(1, NULL);
    struct crowd crowd = {.count = 0};
    struct place getter, putter;
    eddy_value item;
    line_up(&crowd, &getter, 1, queue, stand_to_get);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    bool faster = eddy_queue_try_get(queue, &item) == 0;
    if (test_workers() == 1) EXPECT(faster);
    test_until_all_parked();
    EXPECT_EQ(faster ? 1 : 0, getter.status);
    if (faster) EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(2)));
    crowd_join(&crowd);
    EXPECT_EQ(faster ? 2 : 1, getter.item.i64);

    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(3)));
    line_up(&crowd, &putter, 1, queue, stand_to_put);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    faster = eddy_queue_try_put(queue, EDDY_I64(4)) == 0;
    test_until_all_parked();
    EXPECT_EQ(faster ? 1 : 0, putter.status);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    EXPECT_EQ(faster ? 4 : 10, item.i64);
    crowd_join(&crowd);
    EXPECT_OK(putter.status);
    EXPECT_EQ(faster, eddy_queue_size(queue));
    eddy_queue_release(queue);
}

CORE_TEST(queue, places_go_to_the_putters_in_the_order_they_asked) {
    eddy_queue *queue = eddy_queue_create(2, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[4];
    eddy_value item;
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(8 + i)));
    line_up(&crowd, places, 4, queue, stand_to_put);
    for (int i = 0; i < 6; i++) {
        EXPECT_OK(eddy_queue_try_get(queue, &item));
        EXPECT_EQ(8 + i, item.i64);
        if (i >= 4) continue;
        EXPECT_OK(eddy_await(EDDY_FUTURE(crowd.tasks[i]), NULL));
        EXPECT_OK(places[i].status);
        EXPECT_EQ(2, eddy_queue_size(queue));
    }
    crowd_join(&crowd);
    eddy_queue_release(queue);
}

/* ---- done with -------------------------------------------------------------------------------------- */

static int join_it(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    place->status = eddy_queue_join(place->queue);
    return 0;
}

CORE_TEST(queue, join_waits_until_all_is_done_with) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct place joiners[3];
    eddy_value item;
    EXPECT_OK(eddy_queue_join(queue)); /* nothing was put */
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_queue_put(queue, EDDY_I64(i)));
    line_up(&crowd, joiners, 3, queue, join_it);
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_queue_get(queue, &item));
    eddy_cancel(EDDY_FUTURE(crowd.tasks[1]));
    EXPECT_OK(eddy_queue_task_done(queue));
    test_until_all_parked();
    EXPECT_EQ(1, joiners[0].status);
    EXPECT_EQ(EDDY_ECANCELED, joiners[1].status);
    EXPECT_OK(eddy_queue_task_done(queue));
    EXPECT_OK(eddy_queue_try_put(queue, item)); /* too late to keep them */
    crowd_join(&crowd);
    EXPECT_OK(joiners[0].status);
    EXPECT_OK(joiners[2].status);
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_queue_join(queue)));
    line_up(&crowd, joiners, 1, queue, join_it);
    eddy_queue_close_now(queue);
    crowd_join(&crowd);
    EXPECT_OK(joiners[0].status);
    EXPECT_EQ(EDDY_ESTATE, eddy_queue_task_done(queue));
    eddy_queue_release(queue);
}

/* ---- cancels at each point -------------------------------------------------------------------------- */

CORE_TEST(queue, getter_that_is_cancelled_leaves_the_line) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[3];
    line_up(&crowd, places, 3, queue, stand_to_get);
    EXPECT(eddy_cancel(EDDY_FUTURE(crowd.tasks[0])));
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECANCELED, places[0].status);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(2)));
    crowd_join(&crowd);
    EXPECT_OK(places[1].status);
    EXPECT_OK(places[2].status);
    EXPECT_EQ(3, places[1].item.i64 + places[2].item.i64);
    EXPECT_EQ(0, eddy_queue_size(queue));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_queue_get(queue, &places[0].item)));
    eddy_queue_release(queue);
}

/* Method: put and cancel in one pass; with one worker the getter cannot have run in between. */
CORE_TEST(queue, getter_cancelled_with_an_item_in_its_hands_leaves_it_at_its_place) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[2];
    line_up(&crowd, places, 2, queue, stand_to_get);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    if (test_workers() == 1) EXPECT_EQ(EDDY_ECANCELED, places[0].status);
    struct place *winner = &places[places[0].status < 0];
    EXPECT_OK(winner->status); /* handed on to the second */
    EXPECT_EQ(1, winner->item.i64);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(2)));
    crowd_join(&crowd);

    while (eddy_queue_size(queue) > 0) EXPECT_OK(eddy_queue_try_get(queue, &places[1].item));
    line_up(&crowd, places, 1, queue, stand_to_get);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(3)));
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(4)));
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    crowd_join(&crowd);
    if (places[0].status < 0) { /* nobody else waits: it stands where it stood */
        EXPECT_OK(eddy_queue_get(queue, &places[0].item));
        EXPECT_EQ(3, places[0].item.i64);
    }
    EXPECT_OK(eddy_queue_get(queue, &places[0].item));
    EXPECT_EQ(4, places[0].item.i64);
    eddy_queue_release(queue);
}

CORE_TEST(queue, putter_cancelled_with_a_place_in_its_hands_hands_it_on) {
    eddy_queue *queue = eddy_queue_create(1, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[3];
    eddy_value item;
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    line_up(&crowd, places, 3, queue, stand_to_put);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    if (test_workers() == 1) EXPECT_EQ(EDDY_ECANCELED, places[0].status);
    int64_t next = places[0].status < 0 ? 11 : 10;
    for (; next <= 12; next++) {
        EXPECT_OK(eddy_queue_get(queue, &item));
        EXPECT_EQ(next, item.i64);
    }
    crowd_join(&crowd);
    EXPECT_EQ(0, eddy_queue_size(queue));
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(2))); /* no place is still reserved */
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_queue_put(queue, item)));
    eddy_queue_release(queue);
}

static void put_one(void *queue) { EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(7))); }

static void get_one(void *queue) {
    eddy_value item;
    EXPECT_OK(eddy_queue_try_get(queue, &item));
}

TEST(queue, cancel_while_the_right_is_on_its_way) {
    if (test_workers() < 2) return;
    test_stay();
    for (int round = 0; round < 50; round++) {
        eddy_queue *queue = eddy_queue_create(1, NULL);
        struct crowd crowd = {.count = 0};
        struct place getter = {.queue = queue, .status = 1}, putter = {.queue = queue, .status = 1};
        crowd_add_there(&crowd, stand_to_get, &getter);
        crowd_cancel_on_its_way(crowd.tasks[0], put_one, queue);
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_ECANCELED, getter.status);
        EXPECT_EQ(1, eddy_queue_size(queue));

        crowd_add_there(&crowd, stand_to_put, &putter);
        crowd_cancel_on_its_way(crowd.tasks[0], get_one, queue);
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_ECANCELED, putter.status);
        EXPECT_EQ(0, eddy_queue_size(queue));
        put_one(queue);
        eddy_queue_release(queue);
    }
}

/* Method: the queue is one full chunk; the place that becomes free is in the next one, for which there is no memory. */
CORE_TEST(queue, putter_that_finds_no_memory_hands_its_place_on) {
    eddy_queue *queue = eddy_queue_create(62, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[2];
    eddy_value item;
    for (int i = 0; i < 62; i++) EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(i)));
    line_up(&crowd, places, 2, queue, stand_to_put);
    ed_alloc_fail_at(1);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    test_until_all_parked();
    EXPECT_EQ(0, ed_alloc_fail_remaining());
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_ENOMEM, places[0].status);
    EXPECT_OK(places[1].status);
    EXPECT_EQ(62, eddy_queue_size(queue));
    eddy_queue_release(queue);
}

/* ---- close ------------------------------------------------------------------------------------------ */

CORE_TEST(queue, close_refuses_all_who_wait) {
    eddy_queue *empty = eddy_queue_create(0, NULL), *full = eddy_queue_create(1, NULL);
    struct crowd crowd = {.count = 0};
    struct place getters[3], putters[3];
    eddy_value item;
    EXPECT_OK(eddy_queue_try_put(full, EDDY_I64(5)));
    line_up(&crowd, getters, 3, empty, stand_to_get);
    line_up(&crowd, putters, 3, full, stand_to_put);
    eddy_queue_close(empty);
    eddy_queue_close(full);
    crowd_join(&crowd);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_ECLOSED, getters[i].status);
        EXPECT_EQ(EDDY_ECLOSED, putters[i].status);
    }
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_put(full, EDDY_NONE));
    EXPECT_OK(eddy_queue_get(full, &item));
    EXPECT_EQ(5, item.i64);
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_get(full, &item));
    eddy_queue_release(empty);
    eddy_queue_release(full);
}

/* The one that was woken for the last item is cancelled: another of those that close wakes finds it. */
CORE_TEST(queue, last_item_of_a_closed_queue_is_got_by_whom_is_left) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct place places[3];
    line_up(&crowd, places, 3, queue, stand_to_get);
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    eddy_queue_close(queue);
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    crowd_join(&crowd);
    if (test_workers() == 1) EXPECT_EQ(EDDY_ECANCELED, places[0].status);
    int winners = 0;
    for (int i = 0; i < 3; i++) {
        winners += places[i].status == 0;
        EXPECT(places[i].status == 0 || places[i].status == (i == 0 ? EDDY_ECANCELED : EDDY_ECLOSED) ||
               places[i].status == EDDY_ECLOSED);
    }
    EXPECT_EQ(1, winners);
    EXPECT_EQ(0, eddy_queue_size(queue));
    eddy_queue_release(queue);
}

CORE_TEST(queue, putter_with_a_place_in_its_hands_is_refused_by_close) {
    eddy_queue *queue = eddy_queue_create(1, NULL);
    struct crowd crowd = {.count = 0};
    struct place place;
    eddy_value item;
    EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(1)));
    line_up(&crowd, &place, 1, queue, stand_to_put);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    eddy_queue_close(queue);
    crowd_join(&crowd);
    if (test_workers() == 1) EXPECT_EQ(EDDY_ECLOSED, place.status);
    EXPECT_EQ(place.status == 0, eddy_queue_size(queue));
    eddy_queue_release(queue);
}

/* ---- crowds ----------------------------------------------------------------------------------------- */

struct market {
    eddy_queue *queue;
    int64_t per_producer;
    _Atomic int64_t next_producer;
    _Atomic int producing;
    _Atomic int64_t cancelled;
};

static int sell(void *arg, eddy_value *out) {
    struct market *market = arg;
    (void)out;
    int64_t item = ED_ADD(&market->next_producer, 1) * market->per_producer;
    int64_t end = item + market->per_producer;
    while (item < end) {
        int status = item % 5 == 0 ? eddy_queue_try_put(market->queue, EDDY_I64(item)) : EDDY_EBUSY;
        if (status == EDDY_EBUSY) status = eddy_queue_put(market->queue, EDDY_I64(item));
        if (status == EDDY_ECLOSED) break;
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        if (status == 0) {
            ED_ADD(&put_ok[item], 1);
        } else {
            ED_ADD(&market->cancelled, 1);
        }
        item++; /* one whose put was cancelled must never come out */
        if (item % 16 == 0) (void)eddy_yield();
    }
    ED_SUB(&market->producing, 1);
    return 0;
}

static int buy(void *arg, eddy_value *out) {
    struct market *market = arg;
    (void)out;
    for (int64_t i = 0;; i++) {
        eddy_value item;
        int status = i % 5 == 0 ? eddy_queue_try_get(market->queue, &item) : EDDY_EBUSY;
        if (status == EDDY_EBUSY) status = eddy_queue_get(market->queue, &item);
        if (status == EDDY_ECLOSED) return 0;
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        if (status == 0) {
            ED_ADD(&got[item.i64], 1);
        } else {
            ED_ADD(&market->cancelled, 1);
        }
    }
}

static bool nobody_produces(void *arg) {
    struct market *market = arg;
    return ED_LOAD_SEQCST(&market->producing) == 0;
}

struct closing {
    struct crowd *crowd;
    eddy_queue *queue;
    uint64_t after;
};

static bool closes_early(void *arg) {
    struct closing *closing = arg;
    if (closing->after > 0 && --closing->after == 0) eddy_queue_close(closing->queue);
    return crowd_done(closing->crowd);
}

/* Method: four producers, four consumers, all of them cancelled at random; every consumer goes on until it is told that
 * the queue is closed and empty, so nothing may be left to drop. In odd rounds it is closed at a random moment. */
CORE_TEST(queue, everything_put_is_got_exactly_once) {
    uint64_t random = test_seed() * 77 + 1;
    int64_t cancelled = 0;
    for (int round = 0; round < 8; round++) {
        items_forget();
        struct market market = {.queue = eddy_queue_create((size_t)(crowd_random(&random) % 4), drop),
                                .per_producer = test_scaled(1000),
                                .producing = 4};
        struct crowd crowd = {.count = 0};
        for (int i = 0; i < 4; i++) crowd_add(&crowd, buy, &market);
        test_until_all_parked();
        for (int i = 0; i < 4; i++) { /* started by the time they can be cancelled */
            crowd_add(&crowd, sell, &market);
            eddy_share();
        }
        while (ED_LOAD_SEQCST(&market.next_producer) < 4) EXPECT_OK(eddy_yield());
        if (round % 2) {
            struct closing closing = {&crowd, market.queue, 1 + crowd_random(&random) % 200};
            crowd_harass(&crowd, crowd.count, &random, closes_early, &closing);
        } else {
            crowd_harass(&crowd, crowd.count, &random, nobody_produces, &market);
            eddy_queue_close(market.queue);
            crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
        }
        crowd_join(&crowd);
        cancelled += market.cancelled;
        EXPECT_EQ(0, eddy_queue_size(market.queue));
        eddy_queue_release(market.queue);
        EXPECT_EQ(0, expect_exactly_once(4 * market.per_producer));
    }
    EXPECT(cancelled > 0);
}

static void *put_from_thread(void *arg) {
    struct market *market = arg;
    int64_t item = ED_ADD(&market->next_producer, 1) * market->per_producer;
    for (int64_t end = item + market->per_producer; item < end; item++) {
        EXPECT_OK(eddy_queue_try_put(market->queue, EDDY_I64(item)));
        ED_ADD(&put_ok[item], 1);
    }
    if (ED_SUB(&market->producing, 1) == 1) eddy_queue_close(market->queue);
    return NULL;
}

TEST(queue, plain_threads_may_put_and_close) {
    struct market market = {.queue = eddy_queue_create(0, drop), .per_producer = test_scaled(16000), .producing = 4};
    struct crowd crowd = {.count = 0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) crowd_add(&crowd, buy, &market);
    test_until_all_parked();
    for (int i = 0; i < 4; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, put_from_thread, &market));
    uint64_t random = test_seed() * 77 + 1;
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    eddy_queue_release(market.queue);
    EXPECT_EQ(0, expect_exactly_once(4 * market.per_producer));
}

/* ---- wrong use -------------------------------------------------------------------------------------- */

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct crowd crowd = {.count = 0};
    struct place place;
    eddy_queue *queue = eddy_queue_create(0, NULL);
    line_up(&crowd, &place, 1, queue, stand_to_get);
    eddy_queue_release(queue);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(queue, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_queue_release while somebody waits");
}
