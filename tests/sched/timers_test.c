/* A worker's timers against an array: whatever is started and stopped, and however the clock goes on, each fires in the first
 * look that is not before its deadline, in order of (deadline, start). */
#include "harness/test.h"
#include "sched/sched.h"

#include <stdlib.h>

static uint64_t random_state;
static uint64_t dice(void) {
    uint64_t x = random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return random_state = x;
}

enum { TIMERS = 400 };

static struct ed_timer timers[TIMERS];
static uint64_t order[TIMERS], starts; /* when each was started */
static int64_t now_ns, last_ns;        /* of what fired in this look: the last deadline, and its start */
static uint64_t last_order;
static int fired;

static void fire(struct ed_timer *timer) {
    const int64_t when_ns = timer->node.when_ns;
    const uint64_t started = order[timer - timers];
    EXPECT(!ed_timer_armed(timer));
    EXPECT(when_ns <= now_ns);
    EXPECT(fired == 0 || when_ns > last_ns || (when_ns == last_ns && started > last_order));
    last_ns = when_ns;
    last_order = started;
    fired++;
}

static void start(struct ed_worker *worker, int i, int64_t when_ns) {
    timers[i].fire = fire;
    order[i] = starts++;
    ed_timer_start(worker, &timers[i], when_ns);
    EXPECT(ed_timer_armed(&timers[i]));
}

/* How many are armed; the earliest deadline in *least_out. */
static int count_armed(int64_t *least_out) {
    int count = 0;
    *least_out = INT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        if (!ed_timer_armed(&timers[i])) continue;
        count++;
        if (timers[i].node.when_ns < *least_out) *least_out = timers[i].node.when_ns;
    }
    return count;
}

static void look(struct ed_worker *worker) {
    int64_t least_ns;
    const int before = count_armed(&least_ns);
    fired = 0;
    ed_timers_expire(worker, now_ns);
    EXPECT_EQ(before, count_armed(&least_ns) + fired);
    EXPECT(least_ns > now_ns); /* all that were due */
    EXPECT(ed_timers_next(worker) <= least_ns);
    EXPECT((ed_timers_next(worker) == INT64_MAX) == (least_ns == INT64_MAX));
    EXPECT((ed_timers_any(worker) == NULL) == (least_ns == INT64_MAX));
    if (ed_timers_any(worker) != NULL) EXPECT(ed_timer_armed(ed_timers_any(worker)));
}

static struct ed_worker *worker_at(int64_t at_ns) {
    struct ed_worker *worker = calloc(1, sizeof *worker);
    for (int i = 0; i < TIMERS; i++) timers[i] = (struct ed_timer){.worker = NULL};
    starts = 0;
    now_ns = at_ns;
    return worker;
}

UNIT(timers, none_one_and_equal) {
    struct ed_worker *worker = worker_at(1000000000);
    EXPECT_EQ(INT64_MAX, ed_timers_next(worker));
    look(worker);
    const int64_t delays_ns[] = {
        0, 1, 999, 1 << 20, (1 << 20) + 1, 1 << 26, EDDY_SECONDS(1), EDDY_SECONDS(86400 * 365)};
    for (size_t k = 0; k < sizeof delays_ns / sizeof *delays_ns; k++) {
        const int64_t when_ns = now_ns + delays_ns[k];
        for (int i = 0; i < 5; i++) start(worker, i, when_ns);
        EXPECT_EQ(when_ns, ed_timers_next(worker)); /* exactly, where none was stopped */
        ed_timer_stop(&timers[2]);
        ed_timer_stop(&timers[2]); /* not armed: nothing */
        now_ns = when_ns - 1;
        look(worker);
        EXPECT_EQ(0, fired);
        EXPECT_EQ(when_ns, ed_timers_next(worker));
        now_ns = when_ns;
        look(worker);
        EXPECT_EQ(4, fired);
        EXPECT_EQ(INT64_MAX, ed_timers_next(worker));
    }
    free(worker);
}

/* The ends of what a deadline can be: before the clock's beginning, long past, never. */
UNIT(timers, deadlines_beyond_the_clock) {
    struct ed_worker *worker = worker_at(0);
    const int64_t whens_ns[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX / 2, INT64_MAX / 2 + 1, INT64_C(1) << 62};
    const int count = sizeof whens_ns / sizeof *whens_ns;
    for (int i = 0; i < count; i++) start(worker, i, whens_ns[i]);
    look(worker);
    EXPECT_EQ(3, fired);
    now_ns = INT64_C(1) << 62;
    look(worker);
    EXPECT_EQ(4, fired);
    start(worker, 0, -5); /* behind the position */
    start(worker, 1, now_ns + 1);
    look(worker);
    EXPECT_EQ(1, fired);
    now_ns = INT64_MAX - 1;
    look(worker);
    EXPECT_EQ(2, fired);
    free(worker);
}

/* A worker that sleeps until ed_timers_next says, whatever was stopped meanwhile, is never late, and wakes for nothing at
 * most once for each timer that was stopped. */
UNIT(timers, whoever_sleeps_until_next_is_in_time) {
    random_state = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        struct ed_worker *worker = worker_at((int64_t)(dice() >> (1 + dice() % 60)));
        int stopped = 0, looks = 0, fires = 0;
        const int count = 1 + (int)(dice() % 60);
        for (int i = 0; i < count; i++)
            start(worker, i, now_ns + (int64_t)(dice() % (UINT64_C(1) << (1 + dice() % 45))));
        for (int i = 0; i < count; i++)
            if (dice() % 3 == 0) ed_timer_stop(&timers[i]), stopped++;
        int64_t next_ns, least_ns;
        while ((next_ns = ed_timers_next(worker)) != INT64_MAX) {
            if (next_ns > now_ns) now_ns = next_ns;
            count_armed(&least_ns);
            EXPECT(now_ns <= least_ns);
            look(worker);
            looks++;
            fires += fired;
        }
        EXPECT_EQ(count, fires + stopped);
        EXPECT(looks <= count);
        free(worker);
    }
}

UNIT(timers, same_as_an_array_under_random_steps) {
    random_state = 1234567891234567u;
    for (int round = 0; round < 20; round++) {
        struct ed_worker *worker = worker_at((int64_t)(dice() >> (2 + dice() % 60)));
        const unsigned near = 1 + (unsigned)(dice() % 50); /* each round its own distances */
        for (int step = 0; step < 2000; step++) {
            const int i = (int)(dice() % TIMERS);
            const unsigned kind = (unsigned)(dice() % 16);
            if (kind == 0) {
                now_ns += (int64_t)(dice() % (UINT64_C(1) << (1 + dice() % near)));
                look(worker);
            } else if (ed_timer_armed(&timers[i])) {
                if (kind < 8) ed_timer_stop(&timers[i]);
            } else {
                int64_t when_ns = now_ns + (int64_t)(dice() % (UINT64_C(1) << (1 + dice() % near)));
                if (dice() % 16 == 0) when_ns -= 1 << 21;                   /* long due */
                if (dice() % 4 == 0) when_ns = when_ns / 1000000 * 1000000; /* equal ones */
                start(worker, i, when_ns);
            }
        }
        now_ns = INT64_MAX - 1;
        look(worker);
        EXPECT(ed_timers_any(worker) == NULL);
        free(worker);
    }
}
