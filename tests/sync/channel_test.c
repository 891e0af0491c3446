/* Channels and select: each element sent is received or dropped, exactly once, in order; a select does exactly one of
 * its cases; a call that was cancelled did nothing. */
#include "eddy/channel.h"

#include "base/base.h"
#include "crowd.h"
#include "eddy/runtime.h"

#include <signal.h>
#include <string.h>

struct parcel { /* of no power of two */
    int64_t id;
    int64_t check;
    char tag[3];
};
EDDY_CHANNEL(parcels, struct parcel);
EDDY_CHANNEL(numbers, int64_t);

static struct parcel parcel(int64_t id) {
    struct parcel one = {.id = id, .check = id * 31 + 7, .tag = "ok"};
    return one;
}

static void expect_whole(const struct parcel *one) {
    EXPECT_EQ(one->id * 31 + 7, one->check);
    EXPECT_STR("ok", one->tag);
}

enum { ITEMS_MAX = 1 << 16 };
static _Atomic uint8_t sent[ITEMS_MAX], got[ITEMS_MAX], dropped[ITEMS_MAX];

static void items_forget(void) {
    memset((void *)sent, 0, sizeof sent);
    memset((void *)got, 0, sizeof got);
    memset((void *)dropped, 0, sizeof dropped);
}

static void expect_exactly_once(int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (sent[i] != got[i] + dropped[i])
            test_fail(__FILE__, __LINE__, "%lld: sent %d, got %d, dropped %d", (long long)i, sent[i], got[i],
                      dropped[i]);
}

static void drop(eddy_value value) {
    EXPECT_EQ(sizeof(struct parcel), value.size);
    struct parcel one;
    memcpy(&one, value.ptr, sizeof one);
    expect_whole(&one);
    ED_ADD(&dropped[one.id], 1);
}

/* ---- alone ----------------------------------------------------------------------------------------- */

UNIT(channel, ring_keeps_the_order_and_its_bound) {
    uint64_t random = 777;
    for (size_t capacity = 1; capacity < 10; capacity += 3) {
        parcels channel = parcels_create(capacity, NULL);
        int64_t in = 0, out = 0;
        for (int i = 0; i < 5000; i++) {
            struct parcel one;
            if (crowd_random(&random) % 2) {
                bool full = (size_t)(in - out) == capacity;
                EXPECT_EQ(full ? EDDY_EBUSY : 0, parcels_try_send(channel, parcel(in)));
                in += !full;
            } else {
                EXPECT_EQ(in > out ? 0 : EDDY_EBUSY, parcels_try_receive(channel, &one));
                if (in == out) continue;
                expect_whole(&one);
                EXPECT_EQ(out++, one.id);
            }
            EXPECT_EQ(in - out, eddy_channel_size(channel.any));
        }
        parcels_release(channel);
    }
    EXPECT(eddy_channel_create(0, 4, NULL) == NULL);
    EXPECT(eddy_channel_create(SIZE_MAX / 4, 4, NULL) == NULL);
    eddy_channel_release(NULL);
}

UNIT(channel, close_lets_what_is_there_out_and_release_drops_the_rest) {
    items_forget();
    parcels channel = parcels_create(5, drop);
    struct parcel one;
    for (int64_t i = 0; i < 5; i++) {
        EXPECT_OK(parcels_try_send(channel, parcel(i)));
        ED_ADD(&sent[i], 1);
    }
    EXPECT_OK(parcels_receive(channel, &one));
    ED_ADD(&got[one.id], 1);
    EXPECT_OK(parcels_send(channel, parcel(5))); /* the ring has gone round */
    ED_ADD(&sent[5], 1);
    parcels_close(channel);
    parcels_close(channel);
    EXPECT_EQ(EDDY_ECLOSED, parcels_send(channel, parcel(6)));
    EXPECT_EQ(EDDY_ECLOSED, parcels_try_send(channel, parcel(6)));
    EXPECT_OK(parcels_receive(channel, &one));
    EXPECT_EQ(1, one.id);
    ED_ADD(&got[one.id], 1);
    parcels_release(channel);
    expect_exactly_once(10);
    EXPECT_EQ(1, dropped[5]);

    channel = parcels_create(0, drop);
    parcels_close(channel);
    EXPECT_EQ(EDDY_ECLOSED, parcels_receive(channel, &one));
    EXPECT_EQ(EDDY_ECLOSED, parcels_try_receive(channel, &one));
    parcels_release(channel);
}

/* ---- lines ----------------------------------------------------------------------------------------- */

struct party {
    parcels channel;
    int status;
    struct parcel parcel;
};

static int stand_to_receive(void *arg, eddy_value *out) {
    struct party *party = arg;
    (void)out;
    party->status = parcels_receive(party->channel, &party->parcel);
    if (party->status == 0) expect_whole(&party->parcel);
    return 0;
}

static int stand_to_send(void *arg, eddy_value *out) {
    struct party *party = arg;
    (void)out;
    party->status = parcels_send(party->channel, party->parcel);
    return 0;
}

static void line_up(struct crowd *crowd, struct party *parties, int count, parcels channel, eddy_coro_fn fn) {
    for (int i = 0; i < count; i++) {
        parties[i] = (struct party){.channel = channel, .status = 1, .parcel = parcel(10 + i)};
        crowd_add_parked(crowd, fn, &parties[i]);
    }
}

CORE_TEST(channel, rendezvous_is_done_when_the_other_is_there) {
    parcels channel = parcels_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct party parties[3];
    struct parcel one;
    EXPECT_EQ(EDDY_EBUSY, parcels_try_send(channel, parcel(1)));
    EXPECT_EQ(EDDY_EBUSY, parcels_try_receive(channel, &one));
    line_up(&crowd, parties, 3, channel, stand_to_send);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(1, parties[i].status);
        EXPECT_OK(i == 0 ? parcels_try_receive(channel, &one) : parcels_receive(channel, &one));
        EXPECT_EQ(10 + i, one.id);
        EXPECT_OK(eddy_await(EDDY_FUTURE(crowd.tasks[i]), NULL));
        EXPECT_OK(parties[i].status);
    }
    crowd_join(&crowd);
    line_up(&crowd, parties, 3, channel, stand_to_receive);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(1, parties[i].status);
        EXPECT_OK(i == 0 ? parcels_try_send(channel, parcel(i)) : parcels_send(channel, parcel(i)));
        EXPECT_OK(eddy_await(EDDY_FUTURE(crowd.tasks[i]), NULL));
        EXPECT_EQ(i, parties[i].parcel.id);
    }
    crowd_join(&crowd);
    EXPECT_EQ(0, eddy_channel_size(channel.any));
    parcels_release(channel);
}

CORE_TEST(channel, element_of_a_waiting_sender_moves_up) {
    parcels channel = parcels_create(2, NULL);
    struct crowd crowd = {.count = 0};
    struct party parties[3];
    struct parcel one;
    for (int i = 0; i < 2; i++) EXPECT_OK(parcels_send(channel, parcel(8 + i)));
    line_up(&crowd, parties, 3, channel, stand_to_send);
    for (int i = 0; i < 5; i++) {
        EXPECT_OK(parcels_try_receive(channel, &one));
        EXPECT_EQ(8 + i, one.id);
        EXPECT_EQ(i < 3 ? 2 : 4 - i, eddy_channel_size(channel.any)); /* at once, although nobody has run */
    }
    crowd_join(&crowd);
    for (int i = 0; i < 3; i++) EXPECT_OK(parties[i].status);
    parcels_release(channel);
}

CORE_TEST(channel, close_refuses_all_who_wait) {
    parcels empty = parcels_create(3, NULL), full = parcels_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct party receivers[3], senders[3];
    line_up(&crowd, receivers, 3, empty, stand_to_receive);
    line_up(&crowd, senders, 3, full, stand_to_send);
    parcels_close(empty);
    parcels_close(full);
    crowd_join(&crowd);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_ECLOSED, receivers[i].status);
        EXPECT_EQ(EDDY_ECLOSED, senders[i].status);
    }
    parcels_release(empty);
    parcels_release(full);
}

/* ---- cancels at each point --------------------------------------------------------------------------- */

CORE_TEST(channel, cancelled_one_leaves_the_line_and_did_nothing) {
    for (size_t capacity = 0; capacity < 2; capacity++) {
        parcels channel = parcels_create(capacity, NULL);
        struct crowd crowd = {.count = 0};
        struct party parties[2];
        struct parcel one;
        line_up(&crowd, parties, 2, channel, stand_to_receive);
        eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
        test_until_all_parked();
        EXPECT_EQ(EDDY_ECANCELED, parties[0].status);
        EXPECT_OK(parcels_try_send(channel, parcel(1)));
        crowd_join(&crowd);
        EXPECT_EQ(1, parties[1].parcel.id);

        if (capacity > 0) EXPECT_OK(parcels_try_send(channel, parcel(2)));
        line_up(&crowd, parties, 2, channel, stand_to_send);
        eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
        test_until_all_parked();
        EXPECT_EQ(EDDY_ECANCELED, parties[0].status);
        for (size_t i = 0; i <= capacity; i++) EXPECT_OK(parcels_receive(channel, &one));
        EXPECT_EQ(11, one.id);
        crowd_join(&crowd);
        EXPECT_EQ(EDDY_EBUSY, parcels_try_receive(channel, &one));
        EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), parcels_receive(channel, &one)));
        parcels_release(channel);
    }
}

static int receive_then_yield(void *arg, eddy_value *out) {
    (void)stand_to_receive(arg, out);
    return eddy_yield();
}

static int send_then_yield(void *arg, eddy_value *out) {
    (void)stand_to_send(arg, out);
    return eddy_yield();
}

/* What is done stays done; the request is delivered by the next suspension. */
CORE_TEST(channel, cancel_that_comes_with_the_exchange_does_not_undo_it) {
    parcels channel = parcels_create(0, NULL);
    struct crowd crowd = {.count = 0};
    struct party party = {.channel = channel, .status = 1, .parcel = parcel(5)};
    struct parcel one;
    for (int sends = 0; sends < 2; sends++) {
        crowd_add_parked(&crowd, sends ? send_then_yield : receive_then_yield, &party);
        EXPECT_OK(sends ? parcels_try_receive(channel, &one) : parcels_try_send(channel, parcel(5)));
        bool asked = eddy_cancel(EDDY_FUTURE(crowd.tasks[0]));
        EXPECT_EQ(asked ? EDDY_ECANCELED : 0, eddy_await(EDDY_FUTURE(crowd.tasks[0]), NULL));
        EXPECT_OK(party.status);
        EXPECT_EQ(5, sends ? one.id : party.parcel.id);
        crowd_join(&crowd);
    }
    parcels_release(channel);
}

static void send_seven(void *channel) { EXPECT_OK(eddy_channel_try_send(channel, &(struct parcel){.id = 7})); }

static int receive_seven(void *arg, eddy_value *out) {
    struct party *party = arg;
    (void)out;
    party->status = eddy_channel_receive(party->channel.any, &party->parcel);
    return eddy_check_cancel();
}

TEST(channel, cancel_while_the_element_is_on_its_way) {
    if (test_workers() < 2) return;
    test_stay();
    for (int round = 0; round < 50; round++) {
        parcels channel = parcels_create(0, NULL);
        struct crowd crowd = {.count = 0};
        struct party party = {.channel = channel, .status = 1};
        crowd_add_there(&crowd, receive_seven, &party);
        crowd_cancel_on_its_way(crowd.tasks[0], send_seven, channel.any);
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(crowd.tasks[0]), NULL)); /* delivered after it */
        crowd_join(&crowd);
        EXPECT_OK(party.status);
        EXPECT_EQ(7, party.parcel.id);
        parcels_release(channel);
    }
}

/* ---- select ------------------------------------------------------------------------------------------ */

CORE_TEST(select, does_one_that_is_ready_and_leaves_the_others) {
    numbers a = numbers_create(1, NULL), b = numbers_create(1, NULL), none = {NULL};
    int64_t got_a = 0, got_b = 0, out = 9;
    eddy_select_case cases[] = {numbers_case_receive(a, &got_a), numbers_case_receive(b, &got_b),
                                numbers_case_receive(none, &got_a)};
    EXPECT_EQ(EDDY_EBUSY, eddy_try_select(cases, 3));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_select(cases, 3)));
    EXPECT_OK(numbers_send(b, 4));
    EXPECT_EQ(1, eddy_select(cases, 3));
    EXPECT_OK(cases[1].status);
    EXPECT_EQ(4, got_b);
    int chosen[2] = {0, 0};
    for (int i = 0; i < 200; i++) { /* by lot */
        (void)numbers_try_send(a, i);
        (void)numbers_try_send(b, i);
        chosen[eddy_select(cases, 2)]++;
    }
    EXPECT(chosen[0] > 50 && chosen[1] > 50);
    while (eddy_try_select(cases, 2) >= 0) continue;
    cases[2] = numbers_case_send(b, &out);
    EXPECT_EQ(2, eddy_select(cases, 3));
    EXPECT_EQ(1, eddy_select(cases, 2)); /* what it has just sent */
    EXPECT_EQ(9, got_b);
    numbers_close(a);
    EXPECT_EQ(0, eddy_select(cases, 2));
    EXPECT_EQ(EDDY_ECLOSED, cases[0].status);
    numbers_release(a);
    numbers_release(b);
}

CORE_TEST(select, wrong_cases_are_refused) {
    numbers a = numbers_create(1, NULL);
    int64_t number;
    eddy_select_case cases[EDDY_SELECT_MAX + 1] = {{a.any, &number, &number, 0}};
    EXPECT_EQ(EDDY_EINVAL, eddy_select(cases, 1));
    cases[0] = (eddy_select_case){a.any, NULL, NULL, 0};
    EXPECT_EQ(EDDY_EINVAL, eddy_try_select(cases, 1));
    cases[0].channel = NULL;
    EXPECT_EQ(EDDY_EINVAL, eddy_select(cases, 1));
    EXPECT_EQ(EDDY_EINVAL, eddy_select(cases, 0));
    EXPECT_EQ(EDDY_EINVAL, eddy_select(cases, EDDY_SELECT_MAX + 1));
    numbers_release(a);
}

struct chooser {
    eddy_select_case cases[4];
    size_t count;
    int done;
};

static int choose(void *arg, eddy_value *out) {
    struct chooser *chooser = arg;
    (void)out;
    chooser->done = eddy_select(chooser->cases, chooser->count);
    return 0;
}

CORE_TEST(select, waits_for_the_first_and_takes_its_other_places_back) {
    numbers a = numbers_create(0, NULL), b = numbers_create(0, NULL), c = numbers_create(0, NULL);
    int64_t from_a = 0, to_b = 6, from_c = 0, number = 0;
    struct crowd crowd = {.count = 0};
    for (int which = 0; which < 4; which++) {
        struct chooser chooser = {
            {numbers_case_receive(a, &from_a), numbers_case_send(b, &to_b), numbers_case_receive(c, &from_c)}, 3, -1};
        crowd_add_parked(&crowd, choose, &chooser);
        if (which == 0) EXPECT_OK(numbers_try_send(a, 5));
        if (which == 1) EXPECT_OK(numbers_try_receive(b, &number));
        if (which == 2) EXPECT_OK(numbers_send(c, 7));
        /* Dead places are nobody. */
        if (which == 0) EXPECT_EQ(EDDY_EBUSY, numbers_try_receive(b, &number));
        if (which == 1) EXPECT_EQ(EDDY_EBUSY, numbers_try_send(a, 1));
        if (which == 2) EXPECT_EQ(EDDY_EBUSY, numbers_try_send(c, 1));
        if (which == 3) numbers_close(b);
        crowd_join(&crowd);
        EXPECT_EQ(which == 3 ? 1 : which, chooser.done);
        EXPECT_EQ(which == 3 ? EDDY_ECLOSED : 0, chooser.cases[chooser.done].status);
        EXPECT_EQ(EDDY_EBUSY, numbers_try_send(a, 1));
    }
    EXPECT_EQ(5, from_a);
    EXPECT_EQ(6, number);
    EXPECT_EQ(7, from_c);
    numbers_release(a);
    numbers_release(b);
    numbers_release(c);
}

/* Decided by one channel, it has not run yet: the others may be released all the same. */
CORE_TEST(select, channel_with_dead_places_may_be_released) {
    numbers a = numbers_create(0, NULL), b = numbers_create(0, NULL);
    int64_t number = 0;
    struct crowd crowd = {.count = 0};
    struct chooser chooser = {{numbers_case_receive(a, &number), numbers_case_receive(b, &number)}, 2, -1};
    crowd_add_parked(&crowd, choose, &chooser);
    EXPECT_OK(numbers_try_send(b, 3));
    numbers_release(a);
    numbers_release(b);
    crowd_join(&crowd);
    EXPECT_EQ(1, chooser.done);
    EXPECT_EQ(3, number);
}

CORE_TEST(select, two_selects_meet) {
    numbers a = numbers_create(0, NULL), b = numbers_create(0, NULL);
    int64_t out = 1, in = 0, out_2 = 2, in_2 = 0;
    struct crowd crowd = {.count = 0};
    struct chooser one = {
        {numbers_case_send(a, &out), numbers_case_receive(b, &in), numbers_case_send(b, &out)}, 3, -1};
    crowd_add_parked(&crowd, choose, &one); /* stands on both sides of b, and does not meet itself */
    EXPECT_EQ(-1, one.done);
    struct chooser two = {{numbers_case_send(b, &out_2), numbers_case_receive(a, &in_2)}, 2, -1};
    crowd_add_parked(&crowd, choose, &two);
    crowd_join(&crowd);
    if (two.done == 0) {
        EXPECT_EQ(1, one.done);
        EXPECT_EQ(2, in);
    } else {
        EXPECT_EQ(1, two.done);
        EXPECT_EQ(0, one.done);
        EXPECT_EQ(1, in_2);
    }
    numbers_release(a);
    numbers_release(b);
}

static int select_once(void *arg) {
    (void)arg;
    int64_t number;
    numbers a = numbers_create(1, NULL);
    if (a.any == NULL) return EDDY_ENOMEM;
    eddy_select_case one = numbers_case_receive(a, &number);
    int status = EDDY_TIMEOUT(0, eddy_select(&one, 1));
    EXPECT(status == EDDY_ETIMEDOUT || status == EDDY_ENOMEM);
    numbers_release(a);
    eddy_handled(); /* the timeout's detail */
    return status == EDDY_ETIMEDOUT ? 0 : status;
}

CORE_TEST(select, no_memory_is_a_status) { EXPECT(test_each_allocation_fails(select_once, NULL) >= 2); }

/* ---- crowds ------------------------------------------------------------------------------------------ */

enum { LANES = 3 };

struct bazaar {
    parcels lanes[LANES];
    int64_t per_sender;
    _Atomic int64_t next_sender, cancelled;
    _Atomic int sending;
};

static int sell(void *arg, eddy_value *out) {
    struct bazaar *bazaar = arg;
    (void)out;
    int64_t id = ED_ADD(&bazaar->next_sender, 1) * bazaar->per_sender, end = id + bazaar->per_sender;
    for (; id < end; id++) {
        struct parcel one = parcel(id);
        int status;
        if (id % 3 == 0) {
            eddy_select_case cases[LANES];
            for (int i = 0; i < LANES; i++) cases[i] = parcels_case_send(bazaar->lanes[i], &one);
            status = eddy_select(cases, LANES);
            if (status >= 0) status = cases[status].status;
        } else {
            status = parcels_send(bazaar->lanes[id % LANES], one);
        }
        EXPECT(status == 0 || status == EDDY_ECANCELED || status == EDDY_ECLOSED);
        if (status == 0) ED_ADD(&sent[id], 1);
        if (status == EDDY_ECANCELED) ED_ADD(&bazaar->cancelled, 1);
        if (id % 16 == 0) (void)eddy_yield();
    }
    ED_SUB(&bazaar->sending, 1);
    return 0;
}

static int buy(void *arg, eddy_value *out) {
    struct bazaar *bazaar = arg;
    (void)out;
    bool closed[LANES] = {false};
    for (int64_t i = 0; !(closed[0] && closed[1] && closed[2]); i++) {
        struct parcel one, others[LANES];
        int status, lane = (int)(i % LANES);
        if (i % 3 == 0 || closed[lane]) {
            eddy_select_case cases[LANES];
            for (int j = 0; j < LANES; j++)
                cases[j] = parcels_case_receive(closed[j] ? (parcels){NULL} : bazaar->lanes[j], &others[j]);
            lane = status = eddy_select(cases, LANES);
            if (lane >= 0) {
                status = cases[lane].status;
                one = others[lane];
            }
        } else {
            status = parcels_receive(bazaar->lanes[lane], &one);
        }
        EXPECT(status == 0 || status == EDDY_ECANCELED || status == EDDY_ECLOSED);
        if (status == 0) {
            expect_whole(&one);
            ED_ADD(&got[one.id], 1);
        } else if (status == EDDY_ECLOSED) {
            closed[lane] = true;
        } else {
            ED_ADD(&bazaar->cancelled, 1);
        }
    }
    return 0;
}

static bool nobody_sends(void *arg) { return ED_LOAD_SEQCST(&((struct bazaar *)arg)->sending) == 0; }

struct closing {
    struct crowd *crowd;
    struct bazaar *bazaar;
    uint64_t after;
};

static bool closes_early(void *arg) {
    struct closing *closing = arg;
    if (closing->after > 0 && --closing->after % 50 == 0) parcels_close(closing->bazaar->lanes[closing->after / 50]);
    return crowd_done(closing->crowd);
}

/* Method: as queue's: every receiver goes on until all is closed and empty. In odd rounds they are closed some time. */
CORE_TEST(channel, everything_sent_is_received_exactly_once) {
    uint64_t random = test_seed() * 77 + 1;
    int64_t cancelled = 0;
    for (int round = 0; round < 8; round++) {
        items_forget();
        struct bazaar bazaar = {.per_sender = test_scaled(600), .sending = 4};
        for (int i = 0; i < LANES; i++) bazaar.lanes[i] = parcels_create((size_t)(crowd_random(&random) % 4), drop);
        struct crowd crowd = {.count = 0};
        for (int i = 0; i < 4; i++) crowd_add(&crowd, buy, &bazaar);
        test_until_all_parked();
        for (int i = 0; i < 4; i++) {
            crowd_add(&crowd, sell, &bazaar);
            eddy_share();
        }
        while (ED_LOAD_SEQCST(&bazaar.next_sender) < 4) EXPECT_OK(eddy_yield());
        if (round % 2) {
            struct closing closing = {&crowd, &bazaar, 149};
            crowd_harass(&crowd, crowd.count, &random, closes_early, &closing);
        } else {
            crowd_harass(&crowd, crowd.count, &random, nobody_sends, &bazaar);
            for (int i = 0; i < LANES; i++) parcels_close(bazaar.lanes[i]);
            crowd_harass(&crowd, crowd.count, &random, crowd_is_done, &crowd);
        }
        crowd_join(&crowd);
        cancelled += bazaar.cancelled;
        for (int i = 0; i < LANES; i++) {
            EXPECT_EQ(0, eddy_channel_size(bazaar.lanes[i].any));
            parcels_release(bazaar.lanes[i]);
        }
        expect_exactly_once(4 * bazaar.per_sender);
    }
    EXPECT(cancelled > 0);
}

/* ---- wrong use --------------------------------------------------------------------------------------- */

static int release_too_early(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct crowd crowd = {.count = 0};
    struct party party;
    parcels channel = parcels_create(0, NULL);
    line_up(&crowd, &party, 1, channel, stand_to_receive);
    parcels_release(channel);
    return 0;
}

static void run_release_too_early(void *arg) { (void)eddy_run(release_too_early, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(channel, release_with_waiters_is_a_named_abort) {
    struct test_child child = test_child_run(run_release_too_early, NULL);
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_channel_release while somebody waits");
}
