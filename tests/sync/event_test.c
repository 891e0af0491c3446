/* The event: a set wakes all who wait, once, whatever becomes of the flag and of the event before they run. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

#include <pthread.h>
#include <signal.h>

struct hall {
    eddy_event *event;
    _Atomic int woken, cancelled;
};

static int wait_in(void *arg, eddy_value *out) {
    struct hall *hall = arg;
    (void)out;
    int status = eddy_event_wait(hall->event);
    EXPECT(status == 0 || status == EDDY_ECANCELED);
    ED_ADD(status == 0 ? &hall->woken : &hall->cancelled, 1);
    return status;
}

CORE_TEST(event, set_then_clear_wakes_all_who_waited) {
    struct hall hall = {.event = eddy_event_create()};
    struct crowd crowd = {.count = 0}, late = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, wait_in, &hall);
    test_until_all_parked();
    EXPECT(!eddy_event_is_set(hall.event));
    eddy_event_set(hall.event);
    EXPECT(eddy_event_is_set(hall.event));
    eddy_event_clear(hall.event);
    EXPECT(!eddy_event_is_set(hall.event));
    crowd_join(&crowd);
    EXPECT_EQ(8, hall.woken);

    crowd_add_parked(&late, wait_in, &hall);
    EXPECT_EQ(8, hall.woken);
    eddy_event_set(hall.event);
    eddy_event_set(hall.event);
    crowd_join(&late);
    EXPECT_EQ(9, hall.woken);
    EXPECT_OK(eddy_event_wait(hall.event));
    eddy_event_release(hall.event);
}

CORE_TEST(event, wait_for_a_set_one_does_not_suspend) {
    eddy_event *event = eddy_event_create();
    eddy_event_set(event);
    EXPECT(eddy_cancel(EDDY_FUTURE(eddy_current_task())));
    EXPECT_OK(eddy_event_wait(event));
    eddy_event_clear(event);
    EXPECT_EQ(EDDY_ECANCELED, eddy_event_wait(event));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_event_wait(event)));
    eddy_event_release(event);
}

/* Method: set, cancel and release in one pass: those who wait find the event released, and some of them are cancelled
 * while they are on their way. AddressSanitizer sees a touch of what is freed. */
CORE_TEST(event, may_be_released_right_after_set) {
    for (int round = 0; round < 20; round++) {
        struct hall hall = {.event = eddy_event_create()};
        struct crowd crowd = {.count = 0};
        for (int i = 0; i < 8; i++) crowd_add(&crowd, wait_in, &hall);
        test_until_all_parked();
        eddy_event_set(hall.event);
        for (int i = 0; i < 8; i += 2) eddy_cancel(EDDY_FUTURE(crowd.tasks[i]));
        eddy_event_release(hall.event);
        crowd_join(&crowd);
        EXPECT_EQ(8, hall.woken + hall.cancelled);
        if (test_workers() == 1) EXPECT_EQ(4, hall.cancelled);
    }
}

static int watch(void *arg, eddy_value *out) {
    eddy_event *event = arg;
    (void)out;
    while (!eddy_event_is_set(event)) EXPECT_OK(eddy_yield());
    eddy_event_release(event);
    return 0;
}

/* Who sees the flag may release the event although the setter has not returned yet. */
CORE_TEST(event, may_be_released_by_who_sees_it_set) {
    for (int64_t round = 0; round < test_scaled(500); round++) {
        eddy_event *event = eddy_event_create();
        struct crowd crowd = {.count = 0};
        crowd_add(&crowd, watch, event);
        eddy_share();
        if (round % 2) EXPECT_OK(eddy_yield());
        eddy_event_set(event);
        crowd_join(&crowd);
    }
}

struct gate {
    eddy_event *event;
    _Atomic bool stop;
};

static void *set_from_thread(void *arg) {
    struct gate *gate = arg;
    while (!ED_LOAD_SEQCST(&gate->stop)) {
        eddy_event_set(gate->event);
        eddy_event_clear(gate->event);
    }
    eddy_event_set(gate->event);
    return NULL;
}

static int wait_often(void *arg, eddy_value *out) {
    struct gate *gate = arg;
    (void)out;
    for (int64_t i = 0; i < test_scaled(500); i++) {
        int status = eddy_event_wait(gate->event);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
    }
    return 0;
}

TEST(event, plain_thread_sets_it_while_waiters_are_cancelled) {
    struct gate gate = {.event = eddy_event_create()};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, set_from_thread, &gate));
    for (int i = 0; i < 8; i++) crowd_add(&crowd, wait_often, &gate);
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    ED_STORE_SEQCST(&gate.stop, true);
    crowd_join(&crowd);
    pthread_join(thread, NULL);
    eddy_event_release(gate.event);
}

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct hall hall = {.event = eddy_event_create()};
    struct crowd crowd = {.count = 0};
    crowd_add_parked(&crowd, wait_in, &hall);
    eddy_event_release(hall.event);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(event, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_event_release while somebody waits");
}
