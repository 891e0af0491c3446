/* sim.c: many virtual workers in one thread, on a virtual clock.
 *
 * Idea       Each step turns one worker that is not asleep, chosen by the seed, for a few slices; stalls and ticks come
 *            from the seed as well. A worker whose turn finds nothing falls asleep as on real threads; wakes take effect
 *            when the seed chooses it. When all sleep the clock jumps to the next deadline. The same seed gives the
 *            same schedule. With a clock step nothing but that jump moves the clock and nothing cuts a turn short: one
 *            worker is then asyncio's loop on a virtual clock. No I/O: tests of the core run here.
 * Threads    One. */
#include "sim/sim.h"
#include "sim/events.h"

struct sim_worker {
    bool asleep, woken;
    int64_t now_ns; /* the clock of all: worker 0's */
};

static int64_t *clock_of(struct ed_sched *sched) {
    return &((struct sim_worker *)sched->workers[0]->driver_data)->now_ns;
}

static int sim_open(struct ed_worker *worker) {
    worker->driver_data = ed_calloc(sizeof(struct sim_worker));
    return worker->driver_data != NULL ? 0 : EDDY_ENOMEM;
}

static void sim_close(struct ed_worker *worker) { ed_free(worker->driver_data); }

static void sim_poll(struct ed_worker *worker, int64_t deadline_ns) {
    struct sim_worker *sim = worker->driver_data;
    if (deadline_ns != ED_POLL_NOW) sim->asleep = true;
}

static void sim_wake(struct ed_worker *worker) { ((struct sim_worker *)worker->driver_data)->woken = true; }

static int64_t sim_now(struct ed_worker *worker) { return *clock_of(worker->sched); }

static bool sim_holds_io(struct ed_worker *worker) {
    (void)worker;
    return false;
}

const struct ed_driver ed_sim_driver = {
    .open = sim_open,
    .close = sim_close,
    .poll = sim_poll,
    .wake = sim_wake,
    .now = sim_now,
    .holds_io = sim_holds_io,
    .later = ed_sim_later,
};

static uint64_t next(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool can_run(struct ed_worker *worker) {
    struct sim_worker *sim = worker->driver_data;
    return !sim->asleep || sim->woken || ed_timers_next(worker) <= *clock_of(worker->sched);
}

/* Nobody can run: to the next moment or deadline, or the step behind it. */
static void advance(struct ed_sched *sched, int64_t step_ns) {
    int64_t least_ns = ed_sim_events_next(sched);
    for (unsigned i = 0; i < sched->workers_count; i++) {
        int64_t next_ns = ed_timers_next(sched->workers[i]);
        if (next_ns < least_ns) least_ns = next_ns;
    }
    if (least_ns == INT64_MAX)
        ED_PANIC("simulation: every worker sleeps and no timer is set: nothing can ever run again");
    *clock_of(sched) = step_ns > 0 ? (least_ns + step_ns - 1) / step_ns * step_ns : least_ns;
}

/* Chance that comes from the seed: a tick, time that passes, a turn that is cut short. */
static void disturb(struct ed_worker *worker, uint64_t dice) {
    if (dice % 16 == 0) ED_OR(&worker->attention, ED_TICK);
    *clock_of(worker->sched) += (int64_t)(dice >> 8) % 2000;
    worker->sched->max_slices = 1 + (int)(dice >> 32 & 3);
}

void ed_sim_turn(struct ed_sched *sched, uint64_t seed, int64_t clock_step_ns, _Atomic bool *until) {
    uint64_t state = seed;
    *clock_of(sched) = 1000000000;
    while (!ED_LOAD_SEQCST(until)) {
        ed_sim_events_run(sched, *clock_of(sched));
        unsigned count = 0, chosen = 0;
        for (unsigned i = 0; i < sched->workers_count; i++)
            if (can_run(sched->workers[i]) && next(&state) % ++count == 0) chosen = i;
        if (count == 0) {
            advance(sched, clock_step_ns);
            continue;
        }
        struct ed_worker *worker = sched->workers[chosen];
        struct sim_worker *sim = worker->driver_data;
        uint64_t dice = next(&state);
        if (clock_step_ns == 0) disturb(worker, dice);
        ed_worker_set_current(worker);
        if (sim->asleep) {
            sim->asleep = sim->woken = false;
            ed_idle_awake(worker);
        }
        if (!ed_worker_turn(worker) && ed_idle_prepare(worker)) sched->driver->poll(worker, ed_timers_next(worker));
        ed_worker_set_current(NULL);
    }
}
