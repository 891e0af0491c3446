/* The condition: nobody misses a notification, and each wait ends with the lock in hand, wherever a cancel falls. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

#include <signal.h>

struct room {
    eddy_lock *lock;
    eddy_condition *condition;
    int64_t level; /* under lock, as the next three */
    bool inside;
    int order[16], count;
    struct guest {
        struct room *room;
        int index, status;
    } guests[16];
};

static void room_open(struct room *room) {
    *room = (struct room){.lock = eddy_lock_create()};
    room->condition = eddy_condition_create(room->lock);
    eddy_lock_release(room->lock); /* shared by the condition */
}

static int wait_once(void *arg, eddy_value *out) {
    struct guest *guest = arg;
    struct room *room = guest->room;
    (void)out;
    int status = eddy_lock_acquire(room->lock);
    if (status < 0) return status;
    guest->status = eddy_condition_wait(room->condition);
    EXPECT(eddy_lock_is_held(room->lock));
    EXPECT(!room->inside);
    room->inside = true;
    room->order[room->count++] = guest->index;
    room->inside = false;
    EXPECT_OK(eddy_lock_unlock(room->lock));
    return 0;
}

static struct guest *guest_of(struct room *room, int index) {
    room->guests[index] = (struct guest){.room = room, .index = index, .status = 1};
    return &room->guests[index];
}

static void notify(struct room *room, size_t count) {
    EXPECT_OK(eddy_lock_acquire(room->lock));
    EXPECT_OK(eddy_condition_notify(room->condition, count));
    EXPECT_OK(eddy_lock_unlock(room->lock));
}

CORE_TEST(condition, notify_wakes_the_oldest_and_no_more) {
    struct room room;
    room_open(&room);
    struct crowd crowd = {.count = 0};
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_notify(room.condition, 1));
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_notify_all(room.condition));
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_wait(room.condition));
    for (int i = 0; i < 6; i++) crowd_add_parked(&crowd, wait_once, guest_of(&room, i));
    notify(&room, 0);
    test_until_all_parked();
    EXPECT_EQ(0, room.count);
    notify(&room, 2);
    test_until_all_parked();
    EXPECT_EQ(2, room.count);
    EXPECT_OK(eddy_lock_acquire(room.lock));
    EXPECT_OK(eddy_condition_notify_all(room.condition));
    EXPECT_EQ(2, room.count); /* the caller has the lock */
    EXPECT_OK(eddy_lock_unlock(room.lock));
    crowd_join(&crowd);
    EXPECT_EQ(6, room.count);
    for (int i = 0; i < 6; i++) EXPECT_OK(room.guests[i].status);
    eddy_condition_release(room.condition);
}

CORE_TEST(condition, waiter_that_is_cancelled_has_the_lock_again) {
    struct room room;
    room_open(&room);
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 2; i++) crowd_add_parked(&crowd, wait_once, guest_of(&room, i));
    EXPECT_OK(eddy_lock_acquire(room.lock));
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    EXPECT_EQ(1, room.guests[0].status); /* it waits for the lock */
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    EXPECT_EQ(1, room.guests[0].status); /* cancelled again, and still does */
    EXPECT_OK(eddy_lock_unlock(room.lock));
    crowd_join(&crowd); /* the second was notified by the first, for no reason */
    EXPECT_EQ(EDDY_ECANCELED, room.guests[0].status);
    EXPECT_OK(room.guests[1].status);
    EXPECT_OK(eddy_lock_acquire(room.lock));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_condition_wait(room.condition)));
    EXPECT(eddy_lock_is_held(room.lock));
    EXPECT_OK(eddy_lock_unlock(room.lock));
    eddy_condition_release(room.condition);
}

CORE_TEST(condition, cancel_that_comes_with_a_notification_passes_it_on) {
    struct room room;
    room_open(&room);
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 2; i++) crowd_add_parked(&crowd, wait_once, guest_of(&room, i));
    notify(&room, 1);
    eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    if (test_workers() == 1 && !test_simulated()) { /* else it may be through already */
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_ECANCELED, room.guests[0].status);
        EXPECT_OK(room.guests[1].status);
    } else {
        test_until_all_parked();
        notify(&room, 1);
        crowd_join(&crowd);
    }
    eddy_condition_release(room.condition);
}

static bool is_high(void *room) { return ((struct room *)room)->level > 0; }

/* A notification is enough for one item, and each item is taken by one. */
static int take_one(void *arg, eddy_value *out) {
    struct room *room = arg;
    (void)out;
    int status = eddy_lock_acquire(room->lock);
    if (status < 0) return status;
    status = eddy_condition_wait_for(room->condition, is_high, room);
    EXPECT(!room->inside);
    room->inside = true;
    if (status == 0) {
        room->level--;
        room->count++;
    }
    room->inside = false;
    EXPECT_OK(eddy_lock_unlock(room->lock));
    return status;
}

static int take_many(void *arg, eddy_value *out) {
    struct room *room = arg;
    eddy_value value;
    (void)out;
    for (;;) {
        int status = take_one(arg, &value);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        while (eddy_lock_acquire(room->lock) < 0) continue;
        bool over = room->order[0] == 1;
        EXPECT_OK(eddy_lock_unlock(room->lock));
        if (over) return 0;
    }
}

struct supply {
    struct room *room;
    int64_t left;
};

static bool supplied(void *arg) {
    struct supply *supply = arg;
    struct room *room = supply->room;
    EXPECT_OK(eddy_lock_acquire(room->lock));
    if (supply->left > 0) {
        supply->left--;
        room->level++;
        EXPECT_OK(eddy_condition_notify(room->condition, 1));
    }
    bool over = supply->left == 0 && room->level == 0;
    EXPECT_OK(eddy_lock_unlock(room->lock));
    return over;
}

CORE_TEST(condition, each_item_is_taken_although_takers_are_cancelled_at_random) {
    struct room room;
    room_open(&room);
    struct crowd crowd = {.count = 0};
    int64_t items = test_scaled(2000);
    struct supply supply = {&room, items};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 6; i++) crowd_add(&crowd, take_many, &room);
    eddy_share();
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, supplied, &supply);
    EXPECT_OK(eddy_lock_acquire(room.lock));
    EXPECT_EQ(items, room.count);
    room.order[0] = 1;
    room.level = crowd.count;
    EXPECT_OK(eddy_condition_notify_all(room.condition));
    EXPECT_OK(eddy_lock_unlock(room.lock));
    crowd_join(&crowd);
    eddy_condition_release(room.condition);
}

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct room room;
    room_open(&room);
    struct crowd crowd = {.count = 0};
    crowd_add_parked(&crowd, wait_once, guest_of(&room, 0));
    eddy_condition_release(room.condition);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(condition, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_condition_release while somebody waits");
    eddy_condition_release(NULL);
}
