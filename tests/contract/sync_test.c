/* Locks, events, conditions, semaphores, barriers, queues: S1 to S6. */
#include "contract/contract_testing.h"
#include "eddy/queue.h"
#include "eddy/sync.h"
#include "sync/crowd.h"

/* Tasks that wait for one thing, and note their name, and "-" if that failed, when they run again. */
struct waiter {
    const char *name;
    int (*wait)(struct waiter *waiter);
    void *object;
    int status;
    eddy_value value;
};

static int wait_and_note(void *arg, eddy_value *out) {
    struct waiter *waiter = arg;
    (void)out;
    waiter->status = waiter->wait(waiter);
    char text[16];
    snprintf(text, sizeof text, "%s%s", waiter->status < 0 ? "-" : "", waiter->name);
    note(text);
    return 0;
}

static void start(struct crowd *crowd, struct waiter *waiter, const char *name, int (*wait)(struct waiter *),
                  void *object) {
    *waiter = (struct waiter){.name = name, .wait = wait, .object = object, .status = 1};
    crowd_add_parked(crowd, wait_and_note, waiter);
}

/* Where one hands on to another, they run in this order in domains only. */
static void expect_trace_if_alone(const char *want) {
    if (alone()) {
        expect_trace(want);
    } else {
        trace_used = 0;
    }
}

static void cancel(struct crowd *crowd, int i) { EXPECT(eddy_cancel(EDDY_FUTURE(crowd->tasks[i]))); }

/* ---- S1: lock -------------------------------------------------------------------------------------------- */

static int pass_lock(struct waiter *waiter) {
    int status = eddy_lock_acquire(waiter->object);
    if (status < 0) return status;
    waiter->value = EDDY_I64(1); /* under the lock */
    EXPECT_OK(eddy_lock_unlock(waiter->object));
    return 0;
}
static int take_lock(struct waiter *waiter) { return eddy_lock_acquire(waiter->object); }

RULE(S1_a_lock_is_not_bound_to_its_owner) {
    eddy_lock *lock = eddy_lock_create();
    struct crowd crowd = {.count = 0};
    struct waiter a;
    start(&crowd, &a, "a", take_lock, lock);
    crowd_join(&crowd);
    EXPECT(eddy_lock_is_held(lock)); /* its owner has ended */
    EXPECT_OK(eddy_lock_unlock(lock));
    EXPECT(!eddy_lock_is_held(lock));
    eddy_lock_release(lock);
    expect_trace("a");
}

RULE(S1_unlocking_what_nobody_holds_is_an_error) {
    eddy_lock *lock = eddy_lock_create();
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_OK(eddy_lock_unlock(lock));
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    eddy_lock_release(lock);
}

RULE(S1_first_come_first_served) {
    eddy_lock *lock = eddy_lock_create();
    struct crowd crowd = {.count = 0};
    struct waiter w[3];
    EXPECT_OK(eddy_lock_acquire(lock));
    start(&crowd, &w[0], "a", take_lock, lock);
    start(&crowd, &w[1], "b", take_lock, lock);
    start(&crowd, &w[2], "c", take_lock, lock);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_lock_unlock(lock));
        test_until_all_parked();
    }
    crowd_join(&crowd);
    eddy_lock_release(lock);
    expect_trace("a b c");
}

RULE(S1_nobody_passes_a_live_waiter) {
    eddy_lock *lock = eddy_lock_create();
    struct crowd crowd = {.count = 0};
    struct waiter a;
    EXPECT_OK(eddy_lock_acquire(lock));
    start(&crowd, &a, "a", pass_lock, lock);
    EXPECT_OK(eddy_lock_unlock(lock));
    if (alone()) {
        EXPECT(!eddy_lock_is_held(lock)); /* free, and yet not to be had */
        EXPECT(!eddy_lock_try_acquire(lock));
        EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    }
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_EQ(1, a.value.i64); /* it had it before */
    crowd_join(&crowd);
    eddy_lock_release(lock);
    expect_trace("a");
}

RULE_OF_ORDER(S1_a_cancelled_waiter_is_passed) {
    eddy_lock *lock = eddy_lock_create();
    struct crowd crowd = {.count = 0};
    struct waiter a;
    EXPECT_OK(eddy_lock_acquire(lock));
    start(&crowd, &a, "a", pass_lock, lock);
    cancel(&crowd, 0);
    EXPECT_OK(eddy_lock_unlock(lock));
    cancel_self();
    EXPECT_OK(eddy_lock_acquire(lock)); /* at once: it did not suspend */
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_ECANCELED, a.status);
    eddy_lock_release(lock);
    expect_trace("-a");
}

RULE(S1_a_waiter_cancelled_after_its_wake_up_passes_it_on) {
    eddy_lock *lock = eddy_lock_create();
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    EXPECT_OK(eddy_lock_acquire(lock));
    start(&crowd, &w[0], "a", pass_lock, lock);
    start(&crowd, &w[1], "b", pass_lock, lock);
    EXPECT_OK(eddy_lock_unlock(lock));
    (void)eddy_cancel(EDDY_FUTURE(crowd.tasks[0])); /* outside domains it may have ended */
    crowd_join(&crowd);
    if (alone()) EXPECT_EQ(EDDY_ECANCELED, w[0].status);
    EXPECT_OK(w[1].status);
    EXPECT(eddy_lock_try_acquire(lock));
    eddy_lock_release(lock);
    expect_trace_if_alone("-a b");
}

static int wait_event(struct waiter *waiter) { return eddy_event_wait(waiter->object); }

/* A release that finds a cancelled head wakes nobody: the head does when it runs. */
RULE_OF_ORDER(S1_a_cancelled_head_wakes_the_next_when_it_runs) {
    eddy_lock *lock = eddy_lock_create();
    eddy_event *event = eddy_event_create();
    struct crowd crowd = {.count = 0};
    struct waiter w[3];
    EXPECT_OK(eddy_lock_acquire(lock));
    start(&crowd, &w[0], "a", pass_lock, lock);
    start(&crowd, &w[1], "b", pass_lock, lock);
    start(&crowd, &w[2], "event", wait_event, event);
    cancel(&crowd, 0);
    EXPECT_OK(eddy_lock_unlock(lock));
    eddy_event_set(event);
    crowd_join(&crowd);
    eddy_lock_release(lock);
    eddy_event_release(event);
    expect_trace("-a event b");
}

/* ---- S2: event ------------------------------------------------------------------------------------------- */

RULE(S2_set_and_cleared_before_the_waiters_run_they_still_wake) {
    eddy_event *event = eddy_event_create();
    struct crowd crowd = {.count = 0};
    struct waiter w[3];
    start(&crowd, &w[0], "a", wait_event, event);
    start(&crowd, &w[1], "a", wait_event, event);
    eddy_event_set(event);
    EXPECT(eddy_event_is_set(event));
    eddy_event_clear(event);
    EXPECT(!eddy_event_is_set(event));
    test_until_all_parked();
    EXPECT_OK(w[0].status);
    EXPECT_OK(w[1].status);
    start(&crowd, &w[2], "b", wait_event, event);
    EXPECT_EQ(1, w[2].status); /* it is clear for who comes now */
    eddy_event_set(event);
    eddy_event_set(event);
    crowd_join(&crowd);
    eddy_event_release(event);
    expect_trace("a a b");
}

RULE(S2_a_set_event_does_not_suspend) {
    eddy_event *event = eddy_event_create();
    eddy_event_set(event);
    cancel_self();
    EXPECT_OK(eddy_event_wait(event));
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    eddy_event_release(event);
}

/* ---- S3: condition --------------------------------------------------------------------------------------- */

struct shared {
    eddy_lock *lock;
    eddy_condition *condition;
    int level;
};
static void shared_open(struct shared *shared) {
    shared->lock = eddy_lock_create();
    shared->condition = eddy_condition_create(shared->lock);
    shared->level = 0;
}
static void shared_close(struct shared *shared) {
    eddy_condition_release(shared->condition);
    eddy_lock_release(shared->lock);
}
static int wait_condition(struct waiter *waiter) {
    struct shared *shared = waiter->object;
    EXPECT_OK(eddy_lock_acquire(shared->lock));
    int status = eddy_condition_wait(shared->condition);
    EXPECT(eddy_lock_is_held(shared->lock));
    EXPECT_OK(eddy_lock_unlock(shared->lock));
    return status;
}
static bool is_two(void *shared) { return ((struct shared *)shared)->level == 2; }
static int wait_for_two(struct waiter *waiter) {
    struct shared *shared = waiter->object;
    EXPECT_OK(eddy_lock_acquire(shared->lock));
    int status = eddy_condition_wait_for(shared->condition, is_two, shared);
    EXPECT(status < 0 || shared->level == 2);
    EXPECT_OK(eddy_lock_unlock(shared->lock));
    return status;
}
static void notify(struct shared *shared, size_t count) {
    EXPECT_OK(eddy_lock_acquire(shared->lock));
    EXPECT_OK(eddy_condition_notify(shared->condition, count));
    EXPECT_OK(eddy_lock_unlock(shared->lock));
}

RULE(S3_without_the_lock_it_is_an_error) {
    struct shared shared;
    shared_open(&shared);
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_wait(shared.condition));
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_notify(shared.condition, 1));
    EXPECT_EQ(EDDY_ESTATE, eddy_condition_notify_all(shared.condition));
    shared_close(&shared);
}

RULE(S3_notify_wakes_as_many_as_asked) {
    struct shared shared;
    shared_open(&shared);
    struct crowd crowd = {.count = 0};
    struct waiter w[4];
    for (int i = 0; i < 4; i++) start(&crowd, &w[i], "w", wait_condition, &shared);
    notify(&shared, 1);
    test_until_all_parked();
    EXPECT_OK(w[0].status); /* the oldest */
    EXPECT_EQ(1, w[1].status);
    notify(&shared, 2);
    test_until_all_parked();
    EXPECT_OK(w[1].status);
    EXPECT_OK(w[2].status);
    EXPECT_EQ(1, w[3].status);
    EXPECT_OK(eddy_lock_acquire(shared.lock));
    EXPECT_OK(eddy_condition_notify_all(shared.condition));
    EXPECT_EQ(1, w[3].status); /* not before it has the lock */
    EXPECT_OK(eddy_lock_unlock(shared.lock));
    crowd_join(&crowd);
    shared_close(&shared);
    expect_trace("w w w w");
}

RULE(S3_wait_for_asks_again_after_each_notification) {
    struct shared shared;
    shared_open(&shared);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    start(&crowd, &a, "a", wait_for_two, &shared);
    for (int i = 1; i <= 2; i++) {
        EXPECT_EQ(1, a.status);
        EXPECT_OK(eddy_lock_acquire(shared.lock));
        shared.level = i;
        EXPECT_OK(eddy_condition_notify(shared.condition, 1));
        EXPECT_OK(eddy_lock_unlock(shared.lock));
        test_until_all_parked();
    }
    crowd_join(&crowd);
    EXPECT_OK(a.status);
    shared_close(&shared);
    expect_trace("a");
}

RULE(S3_takes_the_lock_back_even_when_cancelled_twice) {
    struct shared shared;
    shared_open(&shared);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    start(&crowd, &a, "a", wait_condition, &shared);
    EXPECT_OK(eddy_lock_acquire(shared.lock));
    for (int i = 0; i < 2; i++) {
        cancel(&crowd, 0);
        test_until_all_parked();
        EXPECT_EQ(1, a.status); /* it waits for the lock */
    }
    EXPECT_OK(eddy_lock_unlock(shared.lock));
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_ECANCELED, a.status);
    EXPECT(!eddy_lock_is_held(shared.lock));
    shared_close(&shared);
    expect_trace("-a");
}

RULE(S3_a_cancelled_wait_notifies_one_other) {
    struct shared shared;
    shared_open(&shared);
    struct crowd crowd = {.count = 0};
    struct waiter w[3];
    start(&crowd, &w[0], "a", wait_condition, &shared);
    start(&crowd, &w[1], "b", wait_condition, &shared);
    start(&crowd, &w[2], "c", wait_condition, &shared);
    cancel(&crowd, 0); /* which had not been notified */
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECANCELED, w[0].status);
    EXPECT_OK(w[1].status); /* for no reason of its own */
    EXPECT_EQ(1, w[2].status);
    notify(&shared, 1);
    crowd_join(&crowd);
    shared_close(&shared);
    expect_trace_if_alone("-a b c");
}

RULE_OF_ORDER(S3_a_wait_cancelled_after_its_notification_passes_it_on) {
    struct shared shared;
    shared_open(&shared);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", wait_condition, &shared);
    start(&crowd, &w[1], "b", wait_condition, &shared);
    notify(&shared, 1);
    cancel(&crowd, 0);
    crowd_join(&crowd);
    EXPECT_OK(w[1].status);
    shared_close(&shared);
    expect_trace("-a b");
}

/* ---- S4: semaphore --------------------------------------------------------------------------------------- */

static int take_slot(struct waiter *waiter) { return eddy_semaphore_acquire(waiter->object); }

RULE(S4_a_slot_given_to_a_waiter_is_reserved_for_it) {
    eddy_semaphore *semaphore = eddy_semaphore_create(0);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", take_slot, semaphore);
    start(&crowd, &w[1], "b", take_slot, semaphore);
    EXPECT_OK(eddy_semaphore_post(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    test_until_all_parked();
    EXPECT_OK(w[0].status);
    EXPECT_EQ(1, w[1].status);
    EXPECT_OK(eddy_semaphore_post(semaphore));
    crowd_join(&crowd);
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    eddy_semaphore_release(semaphore);
    expect_trace("a b");
}

RULE_OF_ORDER(S4_a_newcomer_waits_for_who_was_served_before_it) {
    eddy_semaphore *semaphore = eddy_semaphore_create(0);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    start(&crowd, &a, "a", take_slot, semaphore);
    EXPECT_OK(eddy_semaphore_post(semaphore));
    EXPECT_OK(eddy_semaphore_post(semaphore));
    EXPECT(!eddy_semaphore_try_acquire(semaphore)); /* a slot is free, but `a` has not run */
    EXPECT_OK(eddy_semaphore_acquire(semaphore));
    EXPECT_OK(a.status);
    crowd_join(&crowd);
    eddy_semaphore_release(semaphore);
    expect_trace("a");
}

RULE(S4_a_waiter_cancelled_after_its_wake_up_passes_the_slot_on) {
    eddy_semaphore *semaphore = eddy_semaphore_create(0);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", take_slot, semaphore);
    start(&crowd, &w[1], "b", take_slot, semaphore);
    EXPECT_OK(eddy_semaphore_post(semaphore));
    bool cancelled = eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    if (alone()) EXPECT(cancelled);
    test_until_all_parked();
    if (w[0].status == 0) EXPECT_OK(eddy_semaphore_post(semaphore));
    crowd_join(&crowd);
    EXPECT_OK(w[1].status);
    EXPECT(!eddy_semaphore_try_acquire(semaphore));
    eddy_semaphore_release(semaphore);
    expect_trace_if_alone("-a b");
}

RULE(S4_a_bounded_one_refuses_a_release_too_many) {
    eddy_semaphore *semaphore = eddy_semaphore_create_bounded(1);
    EXPECT_EQ(EDDY_ESTATE, eddy_semaphore_post(semaphore));
    EXPECT_OK(eddy_semaphore_acquire(semaphore));
    EXPECT_OK(eddy_semaphore_post(semaphore));
    EXPECT_EQ(EDDY_ESTATE, eddy_semaphore_post(semaphore));
    eddy_semaphore_release(semaphore);
}

/* ---- S5: barrier ----------------------------------------------------------------------------------------- */

static int meet(struct waiter *waiter) { return eddy_barrier_wait(waiter->object); }

RULE(S5_indexes_go_from_0_to_n_minus_1) {
    eddy_barrier *barrier = eddy_barrier_create(3);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", meet, barrier);
    start(&crowd, &w[1], "b", meet, barrier);
    EXPECT_EQ(2, eddy_barrier_waiting(barrier));
    cancel_self();
    EXPECT_EQ(2, eddy_barrier_wait(barrier)); /* who fills it, without suspending */
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    crowd_join(&crowd);
    EXPECT_EQ(0, w[0].status);
    EXPECT_EQ(1, w[1].status);
    EXPECT_EQ(0, eddy_barrier_waiting(barrier));
    eddy_barrier_release(barrier);
    expect_trace_if_alone("a b");
}

RULE_OF_ORDER(S5_who_comes_while_it_drains_waits_for_that) {
    eddy_barrier *barrier = eddy_barrier_create(2);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", meet, barrier);
    EXPECT_EQ(1, eddy_barrier_wait(barrier));
    EXPECT_EQ(0, eddy_barrier_waiting(barrier)); /* drains: `a` has not left */
    start(&crowd, &w[1], "b", meet, barrier);
    EXPECT_EQ(1, eddy_barrier_waiting(barrier)); /* let in afterwards */
    EXPECT_EQ(1, eddy_barrier_wait(barrier));
    crowd_join(&crowd);
    EXPECT_EQ(0, w[1].status);
    eddy_barrier_release(barrier);
    expect_trace("a b");
}

RULE(S5_reset_breaks_who_waits_and_begins_anew) {
    eddy_barrier *barrier = eddy_barrier_create(2);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", meet, barrier);
    eddy_barrier_reset(barrier);
    EXPECT(!eddy_barrier_is_broken(barrier));
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_EBROKEN, w[0].status);
    start(&crowd, &w[1], "b", meet, barrier);
    EXPECT_EQ(1, eddy_barrier_wait(barrier));
    crowd_join(&crowd);
    eddy_barrier_release(barrier);
    expect_trace("-a b");
}

RULE(S5_abort_breaks_it_until_a_reset) {
    eddy_barrier *barrier = eddy_barrier_create(2);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    start(&crowd, &a, "a", meet, barrier);
    eddy_barrier_abort(barrier);
    EXPECT(eddy_barrier_is_broken(barrier));
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_EBROKEN, a.status);
    EXPECT_EQ(EDDY_EBROKEN, eddy_barrier_wait(barrier));
    eddy_barrier_reset(barrier);
    EXPECT(!eddy_barrier_is_broken(barrier));
    start(&crowd, &a, "b", meet, barrier);
    EXPECT_EQ(1, eddy_barrier_wait(barrier));
    crowd_join(&crowd);
    eddy_barrier_release(barrier);
    expect_trace("-a b");
}

/* As in CPython: the others wait on, and the next one gets the number of one that waits. */
RULE(S5_a_cancelled_one_leaves_the_others_waiting) {
    eddy_barrier *barrier = eddy_barrier_create(3);
    struct crowd crowd = {.count = 0};
    struct waiter w[3];
    start(&crowd, &w[0], "a", meet, barrier);
    start(&crowd, &w[1], "b", meet, barrier);
    cancel(&crowd, 0);
    test_until_all_parked();
    EXPECT_EQ(EDDY_ECANCELED, w[0].status);
    EXPECT_EQ(1, eddy_barrier_waiting(barrier));
    start(&crowd, &w[2], "b", meet, barrier);
    EXPECT_EQ(2, eddy_barrier_wait(barrier));
    crowd_join(&crowd);
    EXPECT_EQ(1, w[1].status);
    EXPECT_EQ(1, w[2].status);
    eddy_barrier_release(barrier);
    expect_trace("-a b b");
}

/* ---- S6: queues ------------------------------------------------------------------------------------------ */

static int get(struct waiter *waiter) { return eddy_queue_get(waiter->object, &waiter->value); }
static int put_nine(struct waiter *waiter) { return eddy_queue_put(waiter->object, EDDY_I64(9)); }
static int join(struct waiter *waiter) { return eddy_queue_join(waiter->object); }

static void put(eddy_queue *queue, int64_t item) { EXPECT_OK(eddy_queue_try_put(queue, EDDY_I64(item))); }

/* The items in the order they come out, as digits. */
static int64_t drained(eddy_queue *queue) {
    eddy_value item;
    int64_t digits = 0;
    while (eddy_queue_try_get(queue, &item) == 0) digits = digits * 10 + item.i64;
    return digits;
}

static int64_t itself(eddy_value item) { return item.i64; }

RULE(S6_fifo_lifo_and_priority_order) {
    eddy_queue *queues[] = {eddy_queue_create(0, NULL), eddy_queue_create_lifo(0, NULL),
                            eddy_queue_create_priority(0, itself, NULL)};
    static const int64_t orders[] = {31425, 52413, 12345};
    for (int i = 0; i < 3; i++) {
        for (int64_t digits = 31425, one = 10000; one > 0; one /= 10) put(queues[i], digits / one % 10);
        EXPECT_EQ(orders[i], drained(queues[i]));
        eddy_queue_release(queues[i]);
    }
}

RULE(S6_a_cancelled_get_loses_no_item_and_passes_its_wake_up_on) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    start(&crowd, &w[0], "a", get, queue);
    start(&crowd, &w[1], "b", get, queue);
    put(queue, 1);
    (void)eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    if (alone()) EXPECT_EQ(EDDY_ECANCELED, w[0].status);
    struct waiter *winner = &w[w[0].status < 0];
    EXPECT_OK(winner->status);
    EXPECT_EQ(1, winner->value.i64);
    if (w[1].status == 1) put(queue, 2);
    crowd_join(&crowd);
    EXPECT_EQ(0, eddy_queue_size(queue));
    eddy_queue_release(queue);
    expect_trace_if_alone("-a b");
}

RULE(S6_a_cancelled_put_puts_nothing_and_passes_its_wake_up_on) {
    eddy_queue *queue = eddy_queue_create(1, NULL);
    struct crowd crowd = {.count = 0};
    struct waiter w[2];
    eddy_value item;
    put(queue, 1);
    start(&crowd, &w[0], "a", put_nine, queue);
    start(&crowd, &w[1], "b", put_nine, queue);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    (void)eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
    test_until_all_parked();
    if (alone()) EXPECT_EQ(EDDY_ECANCELED, w[0].status);
    EXPECT_EQ(1, eddy_queue_size(queue));
    if (w[0].status == 0) EXPECT_OK(eddy_queue_try_get(queue, &item));
    crowd_join(&crowd);
    EXPECT_OK(w[1].status);
    EXPECT_EQ(9, drained(queue));
    eddy_queue_release(queue);
    expect_trace_if_alone("-a b");
}

RULE_OF_ORDER(S6_a_newcomer_may_be_faster_than_who_was_woken) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    eddy_value item;
    start(&crowd, &a, "a", get, queue);
    put(queue, 1);
    EXPECT_OK(eddy_queue_get(queue, &item)); /* at once */
    EXPECT_EQ(1, a.status);
    test_until_all_parked();
    EXPECT_EQ(1, a.status); /* it waits again */
    put(queue, 2);
    crowd_join(&crowd);
    EXPECT_EQ(2, a.value.i64);
    eddy_queue_release(queue);
    expect_trace("a");
}

RULE(S6_join_waits_until_each_item_is_done_with) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    EXPECT_OK(eddy_queue_join(queue));
    put(queue, 1);
    put(queue, 2);
    start(&crowd, &a, "a", join, queue);
    EXPECT_EQ(12, drained(queue));
    EXPECT_OK(eddy_queue_task_done(queue));
    test_until_all_parked();
    EXPECT_EQ(1, a.status);
    EXPECT_OK(eddy_queue_task_done(queue));
    crowd_join(&crowd);
    EXPECT_OK(a.status);
    eddy_queue_release(queue);
    expect_trace("a");
}

RULE(S6_task_done_too_often_is_an_error) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    EXPECT_EQ(EDDY_ESTATE, eddy_queue_task_done(queue));
    put(queue, 1);
    EXPECT_OK(eddy_queue_task_done(queue)); /* it need not have been got */
    EXPECT_EQ(EDDY_ESTATE, eddy_queue_task_done(queue));
    EXPECT_EQ(1, drained(queue));
    eddy_queue_release(queue);
}

RULE(S6_shutdown_lets_the_items_out_and_refuses_puts) {
    eddy_queue *queue = eddy_queue_create(1, NULL), *empty = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct waiter putter, getter;
    eddy_value item;
    put(queue, 1);
    start(&crowd, &putter, "p", put_nine, queue);
    start(&crowd, &getter, "p", get, empty);
    eddy_queue_close(queue);
    eddy_queue_close(empty);
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_put(queue, EDDY_I64(2)));
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_put(queue, EDDY_I64(2)));
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_ECLOSED, putter.status);
    EXPECT_EQ(EDDY_ECLOSED, getter.status);
    EXPECT_OK(eddy_queue_get(queue, &item));
    EXPECT_EQ(1, item.i64);
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_get(queue, &item));
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_get(queue, &item));
    eddy_queue_release(queue);
    eddy_queue_release(empty);
    expect_trace("-p -p");
}

static int dropped;
static void count_drop(eddy_value item) { dropped += (int)item.i64; }

RULE(S6_immediate_shutdown_drains_and_counts_for_join) {
    dropped = 0;
    eddy_queue *queue = eddy_queue_create(0, count_drop);
    struct crowd crowd = {.count = 0};
    struct waiter a;
    eddy_value item;
    for (int i = 1; i <= 3; i++) put(queue, i);
    EXPECT_OK(eddy_queue_try_get(queue, &item));
    start(&crowd, &a, "a", join, queue);
    eddy_queue_close_now(queue);
    EXPECT_EQ(5, dropped);
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_get(queue, &item));
    test_until_all_parked();
    EXPECT_EQ(1, a.status); /* the one that was got is not done with */
    EXPECT_OK(eddy_queue_task_done(queue));
    crowd_join(&crowd);
    EXPECT_OK(a.status);
    eddy_queue_release(queue);
    EXPECT_EQ(5, dropped);
    expect_trace("a");
}
