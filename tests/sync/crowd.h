/* crowd.h: tasks in numbers, for tests of waiting: spawn them, cancel them at random, see them all end. */
#ifndef TESTS_SYNC_CROWD_H
#define TESTS_SYNC_CROWD_H

#include "eddy/scope.h"
#include "eddy/task.h"
#include "harness/test.h"
#include "task/task.h"

enum { CROWD_MAX = 32 };

struct crowd {
    eddy_task *tasks[CROWD_MAX];
    int count;
};

static inline void crowd_add(struct crowd *crowd, eddy_coro_fn fn, void *arg) {
    EXPECT(crowd->count < CROWD_MAX);
    EXPECT_OK(eddy_spawn(&crowd->tasks[crowd->count++], fn, arg, NULL));
}

/* Adds one and lets it go on until it waits. */
static inline void crowd_add_parked(struct crowd *crowd, eddy_coro_fn fn, void *arg) {
    crowd_add(crowd, fn, arg);
    test_until_all_parked();
}

static inline uint64_t crowd_random(uint64_t *state) { /* xorshift64 (Marsaglia 2003) */
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline bool crowd_done(const struct crowd *crowd) {
    for (int i = 0; i < crowd->count; i++)
        if (!eddy_future_done(EDDY_FUTURE(crowd->tasks[i]))) return false;
    return true;
}

/* Cancels one of the first `victims` at random, again and again, until `over(arg)`. */
static inline void crowd_harass(struct crowd *crowd, int victims, uint64_t *random, bool (*over)(void *), void *arg) {
    while (!over(arg)) {
        uint64_t dice = crowd_random(random);
        if (dice % 4 != 0) eddy_cancel(EDDY_FUTURE(crowd->tasks[(dice >> 8) % (uint64_t)victims]));
        EXPECT_OK(eddy_yield());
    }
}

static inline bool crowd_is_done(void *crowd) { return crowd_done(crowd); }

/* Waits for all, whatever they end with. */
static inline void crowd_join(struct crowd *crowd) {
    for (int i = 0; i < crowd->count; i++) {
        int status = eddy_await(EDDY_FUTURE(crowd->tasks[i]), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        eddy_task_release(crowd->tasks[i]);
    }
    crowd->count = 0;
}

/* Cancels a task while what it waits for is in its worker's inbox, and sees to it that the cancel comes first.
 * Method: a task on the same worker keeps that worker busy, so that it cannot look at its inbox, until `give(arg)` has
 * been called on another one; then it cancels. Needs two workers; `victim` sits on worker 1, the caller on 0, where it
 * stays (test_stay). */
struct crowd_ambush {
    eddy_task *victim;
    _Atomic bool ready, given;
};

static inline int crowd_ambush_run(void *arg, eddy_value *out) {
    struct crowd_ambush *ambush = arg;
    (void)out;
    ED_STORE_SEQCST(&ambush->ready, true);
    while (!ED_LOAD_SEQCST(&ambush->given)) ed_cpu_relax();
    EXPECT(eddy_cancel(EDDY_FUTURE(ambush->victim)));
    return 0;
}

static inline void crowd_cancel_on_its_way(eddy_task *victim, void (*give)(void *), void *arg) {
    struct crowd_ambush ambush = {.victim = victim};
    struct ed_worker *there = ed_worker_current()->sched->workers[1];
    eddy_task *task;
    EXPECT_OK(ed_spawn_on(there, &task, crowd_ambush_run, &ambush, NULL, 0));
    while (!ED_LOAD_SEQCST(&ambush.ready)) EXPECT_OK(eddy_yield());
    give(arg);
    ED_STORE_SEQCST(&ambush.given, true);
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
}

/* Adds one on worker 1 and lets it go on until it waits. */
static inline void crowd_add_there(struct crowd *crowd, eddy_coro_fn fn, void *arg) {
    EXPECT(crowd->count < CROWD_MAX);
    EXPECT_OK(ed_spawn_on(ed_worker_current()->sched->workers[1], &crowd->tasks[crowd->count++], fn, arg, NULL, 0));
    test_until_all_parked();
}

#endif
