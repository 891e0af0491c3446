/* The barrier: it opens when all are there, for exactly those, and everybody learns of a reset or an abort. */
#include "crowd.h"
#include "eddy/runtime.h"
#include "sync/sync.h"

struct camp {
    eddy_barrier *barrier;
    int64_t rounds;
    int parties;
    _Atomic int64_t in_round[1024]; /* who has come in this round; a bit for each index seen, above */
    struct hiker {
        struct camp *camp;
        int status;
    } hikers[16];
};

static int come(void *arg, eddy_value *out) {
    struct hiker *hiker = arg;
    (void)out;
    hiker->status = eddy_barrier_wait(hiker->camp->barrier);
    return 0;
}

static struct hiker *hiker_of(struct camp *camp, int i) {
    camp->hikers[i] = (struct hiker){.camp = camp, .status = -1};
    return &camp->hikers[i];
}

CORE_TEST(barrier, opens_for_the_last_and_numbers_them_in_order) {
    struct camp camp = {.barrier = eddy_barrier_create(4)};
    for (int round = 0; round < 3; round++) {
        struct crowd crowd = {.count = 0};
        for (int i = 0; i < 3; i++) {
            crowd_add_parked(&crowd, come, hiker_of(&camp, i));
            EXPECT_EQ(i + 1, eddy_barrier_waiting(camp.barrier));
            EXPECT_EQ(-1, camp.hikers[i].status);
        }
        EXPECT_EQ(3, eddy_barrier_wait(camp.barrier)); /* at once */
        crowd_join(&crowd);
        for (int i = 0; i < 3; i++) EXPECT_EQ(i, camp.hikers[i].status);
        EXPECT_EQ(0, eddy_barrier_waiting(camp.barrier));
    }
    eddy_barrier_release(camp.barrier);
    EXPECT(eddy_barrier_create(0) == NULL);
    eddy_barrier_release(NULL);
}

CORE_TEST(barrier, who_comes_while_it_drains_waits_outside) {
    struct camp camp = {.barrier = eddy_barrier_create(2)};
    struct crowd crowd = {.count = 0};
    crowd_add_parked(&crowd, come, hiker_of(&camp, 0));
    EXPECT_EQ(1, eddy_barrier_wait(camp.barrier)); /* the other has not left yet */
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_barrier_wait(camp.barrier)));
    crowd_join(&crowd);
    EXPECT_EQ(0, camp.hikers[0].status);
    EXPECT_EQ(0, eddy_barrier_waiting(camp.barrier));
    eddy_barrier_release(camp.barrier);
}

CORE_TEST(barrier, reset_and_abort_reach_all_who_wait) {
    struct camp camp = {.barrier = eddy_barrier_create(4)};
    for (int abort = 0; abort < 2; abort++) {
        struct crowd crowd = {.count = 0};
        for (int i = 0; i < 2; i++) crowd_add_parked(&crowd, come, hiker_of(&camp, i));
        if (abort) {
            eddy_barrier_abort(camp.barrier);
        } else {
            eddy_barrier_reset(camp.barrier);
        }
        crowd_join(&crowd);
        for (int i = 0; i < 2; i++) EXPECT_EQ(EDDY_EBROKEN, camp.hikers[i].status);
        EXPECT_EQ(abort, eddy_barrier_is_broken(camp.barrier));
        if (abort) EXPECT_EQ(EDDY_EBROKEN, eddy_barrier_wait(camp.barrier));
        EXPECT_EQ(0, eddy_barrier_waiting(camp.barrier));
    }
    eddy_barrier_reset(camp.barrier);
    EXPECT(!eddy_barrier_is_broken(camp.barrier));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_barrier_wait(camp.barrier)));
    EXPECT_EQ(0, eddy_barrier_waiting(camp.barrier));
    eddy_barrier_release(camp.barrier);
}

/* One worker: who was released has not run when the abort comes, and learns of that. */
CORE_TEST(barrier, state_counts_when_the_waiter_runs) {
    if (test_workers() > 1 || test_simulated()) return;
    struct camp camp = {.barrier = eddy_barrier_create(2)};
    struct crowd crowd = {.count = 0};
    crowd_add_parked(&crowd, come, hiker_of(&camp, 0));
    EXPECT_EQ(1, eddy_barrier_wait(camp.barrier));
    eddy_barrier_abort(camp.barrier);
    crowd_join(&crowd);
    EXPECT_EQ(EDDY_EBROKEN, camp.hikers[0].status);
    eddy_barrier_reset(camp.barrier);

    crowd_add_parked(&crowd, come, hiker_of(&camp, 0));
    EXPECT_EQ(1, eddy_barrier_wait(camp.barrier));
    crowd_add(&crowd, come, hiker_of(&camp, 1)); /* finds it draining or resetting */
    eddy_barrier_reset(camp.barrier);
    test_until_all_parked();
    EXPECT_EQ(EDDY_EBROKEN, camp.hikers[0].status);
    EXPECT_EQ(1, eddy_barrier_waiting(camp.barrier));
    EXPECT_EQ(1, eddy_barrier_wait(camp.barrier));
    crowd_join(&crowd);
    EXPECT_EQ(0, camp.hikers[1].status);
    eddy_barrier_release(camp.barrier);
}

static int hike(void *arg, eddy_value *out) {
    struct hiker *hiker = arg;
    struct camp *camp = hiker->camp;
    (void)out;
    for (int64_t round = 0; round < camp->rounds; round++) {
        ED_ADD(&camp->in_round[round], 1);
        int index = eddy_barrier_wait(camp->barrier);
        EXPECT_OK(index);
        EXPECT_EQ(camp->parties, (int)(ED_LOAD_SEQCST(&camp->in_round[round]) & 0xff)); /* nobody is missing */
        EXPECT_EQ(0, (int)(ED_OR(&camp->in_round[round], INT64_C(256) << index) & (INT64_C(256) << index)));
    }
    return 0;
}

CORE_TEST(barrier, keeps_eight_tasks_in_step) {
    struct camp camp = {.barrier = eddy_barrier_create(8), .rounds = test_scaled(1000), .parties = 8};
    struct crowd crowd = {.count = 0};
    for (int i = 0; i < 8; i++) crowd_add(&crowd, hike, hiker_of(&camp, i));
    eddy_share();
    crowd_join(&crowd);
    for (int64_t round = 0; round < camp.rounds; round++) EXPECT_EQ(8 + (255 << 8), camp.in_round[round]);
    eddy_barrier_release(camp.barrier);
}

static int wander(void *arg, eddy_value *out) {
    struct camp *camp = ((struct hiker *)arg)->camp;
    (void)out;
    for (int64_t round = 0; round < camp->rounds; round++) {
        int status = eddy_barrier_wait(camp->barrier);
        EXPECT(status >= 0 || status == EDDY_ECANCELED || status == EDDY_EBROKEN);
        if (status >= 0) ED_ADD(&camp->in_round[0], 1);
    }
    eddy_barrier_abort(camp->barrier); /* too few are left */
    return 0;
}

CORE_TEST(barrier, survives_cancels_at_random) {
    struct camp camp = {.barrier = eddy_barrier_create(3), .rounds = test_scaled(300)};
    struct crowd crowd = {.count = 0};
    uint64_t random = test_seed() * 77 + 1;
    for (int i = 0; i < 6; i++) crowd_add(&crowd, wander, hiker_of(&camp, i));
    EXPECT_OK(eddy_yield());
    crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
    crowd_join(&crowd);
    EXPECT_EQ(0, eddy_barrier_waiting(camp.barrier));
    eddy_barrier_reset(camp.barrier);
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_barrier_wait(camp.barrier))); /* nobody is left inside */
    eddy_barrier_release(camp.barrier);
}
