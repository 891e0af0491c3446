/* The gate: never more inside than it has slots, first come, first served, no slot lost; who would wait too long is refused
 * at once, and nobody waits longer than is allowed. What is said of times is said on a clock that stands while code runs. */
#include "crowd.h"
#include "eddy/gate.h"
#include "eddy/loop.h"
#include "runtime/simulate.h"

#include <pthread.h>
#include <signal.h>

/* ---- on a virtual clock, to the nanosecond -------------------------------------------------------- */

static void run_exactly(void (*claim)(void)); /* in a simulation of 1 and of 3 workers, in a domain and outside any */
#define EXACT(name_, ...)                                                  \
    static void name_(void);                                               \
    UNIT(gate, name_, TEST_LIMIT(60), __VA_ARGS__) { run_exactly(name_); } \
    static void name_(void)
/* Of two that come in the same moment the first must be first: ticks and moves change that. */
#define IN_TURN TEST_WITHOUT("tick migrate")

static int call_claim(void *arg, eddy_value *out) {
    (void)out;
    (*(void (**)(void))arg)();
    return 0;
}

static void run_exactly(void (*claim)(void)) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const struct ed_sim_options options = {
            .seed = seed, .workers = seed % 2 ? 1 : 3, .serial = seed <= 2, .clock_step_ns = 1};
        EXPECT_OK(ed_sim_run(call_claim, &claim, &options));
    }
}

static eddy_gate *gate;
static int64_t begun_ns; /* of the claim */

static int64_t passed_ms(void) { return (eddy_time_ns() - begun_ns) / EDDY_MS(1); }

/* A request: comes, is let in or not, stays inside for a time. */
struct request {
    int64_t comes_ms, patience_ms, takes_ms; /* patience 0: no deadline */
    int status;
    int64_t answered_ms; /* when it was let in or refused */
    eddy_task *task;
};

#define COMES(at_ms, patience_ms_, takes_ms_) \
    { .comes_ms = at_ms, .patience_ms = patience_ms_, .takes_ms = takes_ms_ }

static int make_request(void *arg, eddy_value *out) {
    struct request *request = arg;
    (void)out;
    EXPECT_OK(eddy_sleep_until(begun_ns + EDDY_MS(request->comes_ms)));
    request->status = eddy_gate_enter(gate, request->patience_ms == 0 ? EDDY_FOREVER
                                                                      : eddy_time_ns() + EDDY_MS(request->patience_ms));
    request->answered_ms = passed_ms();
    if (request->status < 0) return 0;
    EXPECT_OK(eddy_sleep(EDDY_MS(request->takes_ms)));
    return eddy_gate_exit(gate);
}

/* Begins at 0 ms, and returns when all have ended. */
static void make_requests(struct request *requests, size_t count) {
    begun_ns = eddy_time_ns();
    for (size_t i = 0; i < count; i++) EXPECT_OK(eddy_spawn(&requests[i].task, make_request, &requests[i], NULL));
    for (size_t i = 0; i < count; i++) {
        EXPECT_OK(eddy_await(EDDY_FUTURE(requests[i].task), NULL));
        eddy_task_release(requests[i].task);
    }
}

static void expect_answer(const struct request *request, int status, int64_t at_ms) {
    EXPECT_EQ(status, request->status);
    EXPECT_EQ(at_ms, request->answered_ms);
}

static eddy_gate_stats stats(void) {
    eddy_gate_stats stats;
    eddy_gate_stats_read(gate, &stats);
    return stats;
}

/* As many requests as there are slots have been inside for `takes_ms`, and are gone. */
static void make_known(size_t slots, int64_t takes_ms) {
    struct request known[8];
    EXPECT(slots <= 8);
    for (size_t i = 0; i < slots; i++) known[i] = (struct request){.takes_ms = takes_ms};
    make_requests(known, slots);
    EXPECT_EQ(EDDY_MS(takes_ms), stats().taken_ns);
    EXPECT_EQ(0, stats().wait_ns);
}

EXACT(who_waits_is_served_in_the_order_of_coming) {
    gate = eddy_gate_create(2, NULL);
    struct request requests[] = {COMES(0, 0, 10), COMES(1, 0, 20), COMES(2, 0, 10), COMES(3, 0, 10), COMES(4, 0, 10)};
    make_requests(requests, 5);
    const int64_t served_ms[] = {0, 1, 10, 20, 21};
    for (int i = 0; i < 5; i++) expect_answer(&requests[i], 0, served_ms[i]);
    EXPECT_EQ(5, stats().admitted);
    EXPECT_EQ(0, stats().refused);
    EXPECT_EQ(0, stats().inside);
    EXPECT_EQ(EDDY_MS(12), stats().taken_ns); /* 60 ms were spent inside, by 5 */
    eddy_gate_release(gate);
}

EXACT(wait_is_estimated_before_anybody_waits) {
    gate = eddy_gate_create(2, NULL);
    make_known(2, 10);
    struct request requests[] = {COMES(0, 0, 10),  COMES(0, 0, 10),  COMES(1, 5, 10), COMES(2, 5, 10),
                                 COMES(2, 10, 10), COMES(3, 10, 10), COMES(3, 15, 10)};
    make_requests(requests, 7);
    expect_answer(&requests[2], EDDY_EOVERLOADED, 6); /* let in line by the estimate, 5 ms, which was 4 ms too low */
    expect_answer(&requests[3], EDDY_EOVERLOADED, 2); /* 10 ms, while that one waits */
    expect_answer(&requests[4], 0, 10);
    expect_answer(&requests[5], EDDY_EOVERLOADED, 3); /* 15 ms */
    expect_answer(&requests[6], 0, 10);
    EXPECT_EQ(3, stats().refused);
    eddy_gate_release(gate);
}

EXACT(deadline_that_has_passed_is_refused_although_a_slot_is_free) {
    gate = eddy_gate_create(1, NULL);
    EXPECT_EQ(EDDY_EOVERLOADED, eddy_gate_enter(gate, eddy_time_ns()));
    EXPECT_EQ(EDDY_EOVERLOADED, eddy_gate_enter(gate, 0));
    EXPECT_OK(eddy_gate_enter(gate, eddy_time_ns() + 1));
    EXPECT_EQ(2, stats().refused);
    EXPECT_OK(eddy_gate_exit(gate));
    eddy_gate_release(gate);
}

/* Nothing is known of how long requests take: the clock decides. */
EXACT(nobody_waits_longer_than_is_allowed, IN_TURN) {
    gate = eddy_gate_create(1, EDDY_GATE(.wait_ns_max = EDDY_MS(30)));
    struct request requests[] = {COMES(0, 0, 100), COMES(0, 0, 0), COMES(5, 10, 0), COMES(29, 80, 7), COMES(31, 0, 7)};
    make_requests(requests, 5);
    EXPECT_EQ(0, requests[0].status);
    expect_answer(&requests[1], EDDY_EOVERLOADED, 30);
    expect_answer(&requests[2], EDDY_EOVERLOADED, 15);
    expect_answer(&requests[3], EDDY_EOVERLOADED, 29); /* behind one, and the first has been inside for 29 ms */
    expect_answer(&requests[4], EDDY_EOVERLOADED, 31); /* for 31 */
    eddy_gate_release(gate);
}

/* Requests that took 10 ms take for ever. */
EXACT(newcomers_are_refused_while_all_who_are_inside_hang) {
    gate = eddy_gate_create(2, NULL);
    make_known(2, 10);
    struct request requests[] = {COMES(0, 0, 500), COMES(0, 0, 500), COMES(20, 20, 0),
                                 COMES(50, 45, 0), COMES(150, 0, 0), COMES(410, 0, 0)};
    make_requests(requests, 6);
    expect_answer(&requests[2], EDDY_EOVERLOADED, 40);  /* 5 ms, says the mean */
    expect_answer(&requests[3], EDDY_EOVERLOADED, 50);  /* 50 ms, says the time since the last exit */
    expect_answer(&requests[4], EDDY_EOVERLOADED, 150); /* more than anybody may wait */
    expect_answer(&requests[5], EDDY_EOVERLOADED, 410);
    eddy_gate_release(gate);
}

/* Twice as much as it can do, for half a second; a pause; a burst. */
EXACT(burst_may_wait_and_a_standing_queue_may_not, IN_TURN) {
    enum { LOAD = 250, BURST = 20, ALL = LOAD + BURST };
    static struct request requests[ALL];
    gate = eddy_gate_create(1, EDDY_GATE(.wait_ns_max = EDDY_MS(100), .target_ns = EDDY_MS(12)));
    make_known(1, 4);
    for (int i = 0; i < LOAD; i++) requests[i] = (struct request){.comes_ms = 2 * i, .takes_ms = 4};
    for (int i = LOAD; i < ALL; i++) requests[i] = (struct request){.comes_ms = 700, .takes_ms = 4};
    make_requests(requests, ALL);
    int refused = 0;
    for (int i = 0; i < ALL; i++) {
        const int64_t waited_ms = requests[i].answered_ms - requests[i].comes_ms;
        refused += requests[i].status < 0;
        if (requests[i].status < 0) EXPECT_EQ(0, waited_ms);
        /* at 100 ms the wait would be 100 ms; it has been above 12 ms since 16 ms at the latest */
        if (requests[i].comes_ms < 96 || i >= LOAD) EXPECT_EQ(0, requests[i].status);
        if (requests[i].comes_ms >= 116 && i < LOAD && requests[i].status == 0) EXPECT(waited_ms <= 12);
        if (requests[i].comes_ms >= 200 && i < LOAD) EXPECT(requests[i].status < 0 || waited_ms >= 4);
    }
    /* After 200 ms it is never idle: every other one is served. */
    int served = 0;
    for (int i = 100; i < LOAD; i++) served += requests[i].status == 0;
    EXPECT_EQ((LOAD - 100) / 2, served);
    EXPECT_EQ((int64_t)refused, (int64_t)stats().refused);
    int64_t last_ms = 0;
    for (int i = LOAD; i < ALL; i++)
        if (requests[i].answered_ms > last_ms) last_ms = requests[i].answered_ms;
    EXPECT_EQ(700 + 76, last_ms);
    eddy_gate_release(gate);
}

/* One turn of one slot is 50 ms, ten times the target. */
EXACT(slow_requests_leave_no_slot_idle_when_the_queue_stands) {
    enum { LOAD = 100 };
    static struct request requests[LOAD];
    gate = eddy_gate_create(1, NULL);
    make_known(1, 50);
    for (int i = 0; i < LOAD; i++) requests[i] = (struct request){.comes_ms = 10 * i, .takes_ms = 50};
    make_requests(requests, LOAD);
    int served = 0;
    for (int i = 0; i < LOAD; i++) served += requests[i].status == 0;
    EXPECT_EQ(21, served); /* one second, and the one that waited at its end */
    eddy_gate_release(gate);
}

EXACT(queue_has_a_bound_of_its_own) {
    gate = eddy_gate_create(1, EDDY_GATE(.waiting_max = 2));
    struct request requests[] = {COMES(0, 0, 10), COMES(1, 0, 10), COMES(2, 0, 10), COMES(3, 0, 10), COMES(12, 0, 10)};
    make_requests(requests, 5);
    expect_answer(&requests[1], 0, 10);
    expect_answer(&requests[2], 0, 20);
    expect_answer(&requests[3], EDDY_EOVERLOADED, 3);
    expect_answer(&requests[4], 0, 30);
    eddy_gate_release(gate);
}

/* Two classes: what comes for one does not wait for the other's. */
EXACT(classes_do_not_stand_in_each_others_way) {
    eddy_gate *bulk = eddy_gate_create(1, NULL);
    gate = eddy_gate_create(1, NULL);
    EXPECT_OK(eddy_gate_enter(bulk, EDDY_FOREVER));
    EXPECT(!eddy_gate_try_enter(bulk));
    EXPECT_OK(eddy_gate_enter(gate, EDDY_FOREVER));
    EXPECT_OK(eddy_gate_exit(gate));
    EXPECT_OK(eddy_gate_exit(bulk));
    eddy_gate_release(bulk);
    eddy_gate_release(gate);
}

EXACT(scope_outside_decides_when_it_ends_first) {
    gate = eddy_gate_create(1, NULL);
    EXPECT_OK(eddy_gate_enter(gate, EDDY_FOREVER));
    begun_ns = eddy_time_ns();
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(7), eddy_gate_enter(gate, EDDY_FOREVER)));
    EXPECT_EQ(7, passed_ms());
    EXPECT_EQ(EDDY_EOVERLOADED,
              EDDY_TIMEOUT(EDDY_MS(20), eddy_gate_enter(gate, eddy_timeout_deadline_ns() - EDDY_MS(2))));
    EXPECT_EQ(25, passed_ms());
    EXPECT_EQ(0, stats().waiting);
    EXPECT_OK(eddy_gate_exit(gate));
    eddy_gate_release(gate);
}

/* ---- wherever tasks run ----------------------------------------------------------------------------- */

enum { SLOTS = 3 };

struct crossing {
    eddy_gate *gate;
    int64_t rounds;
    _Atomic int inside;
    _Atomic int64_t entered, refused, cancelled;
};

/* Nobody is refused while the test is slow. */
static eddy_gate *patient(size_t slots) {
    return eddy_gate_create(slots, EDDY_GATE(.wait_ns_max = EDDY_SECONDS(1000)));
}

static int come_and_go(void *arg, eddy_value *out) {
    struct crossing *crossing = arg;
    (void)out;
    for (int64_t i = 0; i < crossing->rounds; i++) {
        int status = i % 3 == 0 && eddy_gate_try_enter(crossing->gate) ? 0 : 1;
        if (status == 1) {
            if (i % 3 == 0) ED_ADD(&crossing->refused, 1);
            status = eddy_gate_enter(crossing->gate, EDDY_FOREVER);
        }
        ED_ADD(status == 0                  ? &crossing->entered
               : status == EDDY_EOVERLOADED ? &crossing->refused
                                            : &crossing->cancelled,
               1);
        if (status < 0) {
            EXPECT(status == EDDY_EOVERLOADED || status == EDDY_ECANCELED);
            continue;
        }
        EXPECT(ED_ADD(&crossing->inside, 1) < SLOTS);
        if (i % 2 == 0) (void)eddy_yield();
        ED_SUB(&crossing->inside, 1);
        EXPECT_OK(eddy_gate_exit(crossing->gate));
    }
    return 0;
}

static void expect_all_slots_free(struct crossing *crossing) {
    eddy_gate_stats stats;
    eddy_gate_stats_read(crossing->gate, &stats);
    EXPECT_EQ(0, stats.inside);
    EXPECT_EQ(0, stats.waiting);
    EXPECT_EQ(crossing->refused, (int64_t)stats.refused);
    EXPECT_EQ(crossing->entered, (int64_t)stats.admitted);
    for (int i = 0; i < SLOTS; i++) EXPECT(eddy_gate_try_enter(crossing->gate));
    EXPECT(!eddy_gate_try_enter(crossing->gate));
}

CORE_TEST(gate, lets_no_more_in_than_it_has_slots) {
    struct crossing crossing = {.gate = patient(SLOTS), .rounds = test_scaled(1000)};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, come_and_go, &crossing);
    eddy_share();
    while (!crowd_done(&crowd)) EXPECT_OK(eddy_yield());
    crowd_join(&crowd);
    EXPECT_EQ(8 * crossing.rounds, crossing.entered);
    expect_all_slots_free(&crossing);
    eddy_gate_release(crossing.gate);
}

CORE_TEST(gate, loses_no_slot_to_cancels_at_random) {
    struct crossing crossing = {.gate = eddy_gate_create(SLOTS, EDDY_GATE(.wait_ns_max = EDDY_US(100))),
                                .rounds = test_scaled(1000)};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 8; i++) crowd_add(&crowd, come_and_go, &crossing);
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    expect_all_slots_free(&crossing);
    eddy_gate_release(crossing.gate);
}

static int stand(void *arg, eddy_value *out) {
    struct crossing *crossing = arg;
    (void)out;
    const int status = eddy_gate_enter(crossing->gate, EDDY_FOREVER);
    if (status == 0) ED_ADD(&crossing->entered, 1);
    return status;
}

static void leave(void *held) { EXPECT_OK(eddy_gate_exit(held)); }

TEST(gate, waiter_cancelled_while_its_slot_is_on_its_way_hands_it_on) {
    if (test_workers() < 2) return;
    test_stay();
    for (int round = 0; round < 50; round++) {
        struct crossing crossing = {.gate = patient(1)};
        struct crowd crowd = {.count = 0};
        EXPECT(eddy_gate_try_enter(crossing.gate));
        crowd_add_there(&crowd, stand, &crossing);
        crowd_cancel_on_its_way(crowd.tasks[0], leave, crossing.gate);
        crowd_join(&crowd);
        EXPECT_EQ(0, crossing.entered);
        EXPECT(eddy_gate_try_enter(crossing.gate));
        EXPECT(!eddy_gate_try_enter(crossing.gate));
        eddy_gate_release(crossing.gate);
    }
}

static void *leave_from_thread(void *held) {
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_gate_enter(held, EDDY_FOREVER));
    EXPECT(!eddy_gate_try_enter(held));
    EXPECT_OK(eddy_gate_exit(held));
    return NULL;
}

TEST(gate, plain_thread_may_leave_for_a_task) {
    struct crossing crossing = {.gate = patient(1)};
    struct crowd crowd = {.count = 0};
    pthread_t thread;
    EXPECT_OK(eddy_gate_enter(crossing.gate, EDDY_FOREVER));
    crowd_add_parked(&crowd, stand, &crossing);
    EXPECT_EQ(0, pthread_create(&thread, NULL, leave_from_thread, crossing.gate));
    crowd_join(&crowd);
    pthread_join(thread, NULL);
    EXPECT_EQ(1, crossing.entered);
    eddy_gate_release(crossing.gate);
}

/* The gate's own limit is far off: it refuses at once who comes when its slot was held for as long as that. */
static int enter_deep_in_scopes(void *arg) {
    (void)arg;
    eddy_gate *own = eddy_gate_create(1, EDDY_GATE(.wait_ns_max = EDDY_SECONDS(3600)));
    if (own == NULL) return EDDY_ENOMEM;
    EXPECT(eddy_gate_try_enter(own));
    int status = EDDY_TIMEOUT(
        EDDY_FOREVER,
        EDDY_TIMEOUT(EDDY_FOREVER,
                     EDDY_TIMEOUT(EDDY_FOREVER, EDDY_TIMEOUT(EDDY_MS(1), eddy_gate_enter(own, EDDY_FOREVER)))));
    EXPECT(status == EDDY_ETIMEDOUT || status == EDDY_ENOMEM);
    eddy_handled();
    eddy_gate_release(own);
    return status == EDDY_ETIMEDOUT ? 0 : status;
}

CORE_TEST(gate, without_memory_nobody_waits) { EXPECT(test_each_allocation_fails(enter_deep_in_scopes, NULL) >= 2); }

UNIT(gate, wrong_numbers_give_no_gate) {
    EXPECT(eddy_gate_create(0, NULL) == NULL);
    EXPECT(eddy_gate_create((size_t)UINT32_MAX + 1, NULL) == NULL);
    EXPECT(eddy_gate_create(1, EDDY_GATE(.wait_ns_max = -1)) == NULL);
    EXPECT(eddy_gate_create(1, EDDY_GATE(.target_ns = -1)) == NULL);
    EXPECT(eddy_gate_create(1, EDDY_GATE(.wait_ns_max = 10, .target_ns = 11)) == NULL);
    eddy_gate_options options = eddy_gate_options_init();
    options.wait_ns_max = 1; /* the usual target is longer */
    eddy_gate *small = eddy_gate_create(1, &options);
    EXPECT(small != NULL);
    EXPECT_EQ(EDDY_ESTATE, eddy_gate_exit(small));
    eddy_gate_release(small);
    eddy_gate_release(NULL);
}

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct crossing crossing = {.gate = patient(1)};
    struct crowd crowd = {.count = 0};
    EXPECT(eddy_gate_try_enter(crossing.gate));
    crowd_add_parked(&crowd, stand, &crossing);
    eddy_gate_release(crossing.gate);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(gate, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_gate_release while somebody waits");
}
