/* sim.c: many virtual workers in one thread, on a virtual clock.
 *
 * Idea       Each step turns one worker that is not asleep, for a few slices. A worker whose turn finds nothing falls
 *            asleep as on real threads; a wake takes effect when it is chosen. When all sleep the clock jumps to the next
 *            deadline. Between two steps nobody runs, so there the core's invariants must hold (check.c).
 * Schedules  The seed also chooses how the choices are made, since what one way hardly ever reaches another reaches soon:
 *              even      everybody is as likely as everybody else;
 *              bursts    mostly the one that ran last, so that one gets far while others stand still;
 *              priority  the highest of random priorities, which sinks to the lowest at a few random steps (Burckhardt,
 *                        Kothari, Musuvathi, Nagarakatte 2010: a bug that needs d orderings shows with a known
 *                        probability), or after it had TURNS_IN_A_ROW: tasks that yield until another worker has done
 *                        something would keep theirs for ever.
 * Disturbed  Workers stand still, wake late, get ticks, one slice only; the clock jumps. Each kind can be left out: what
 *            still fails then is easier to understand. Who stands still runs all the same when nobody else can. With a
 *            clock step nothing but the jump moves the clock and nothing cuts a turn short: one worker is then asyncio's
 *            loop on a virtual clock.
 * Seed       The only source of chance, also of the thieves' choice of victims (worker->random). Nothing depends on an
 *            address, the real clock or another thread: a seed gives one schedule, wherever it runs.
 * Not here   What happens without a worker (events.c), the network (net.c). Switches inside a turn: tests/model/.
 * Threads    One.
 * Tests      tests/sim/, and every CORE_TEST. */
#include "sim/world.h"

enum { TURNS_IN_A_ROW = 200, STEPS_TO_END = 1000000 };

static uint64_t next(struct ed_sim_world *world) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool one_in(struct ed_sim_world *world, unsigned n) { return next(world) % n == 0; }

/* ---- the driver ------------------------------------------------------------------------------------- */

static int sim_open(struct ed_worker *worker) {
    worker->driver_data = ed_calloc(sizeof(struct ed_sim_worker));
    return worker->driver_data != NULL ? 0 : EDDY_ENOMEM;
}

static void sim_close(struct ed_worker *worker) { ed_free(worker->driver_data); }

static void sim_poll(struct ed_worker *worker, int64_t deadline_ns) {
    ed_flush_run(worker);
    bool any = ed_sim_net_deliver(worker);
    if (deadline_ns == ED_POLL_NOW) return;
    ed_sim_note(worker, "sleeps");
    ed_sim_worker_of(worker)->asleep = true;
    if (any || worker->ready.head != NULL) ed_sim_worker_of(worker)->woken = true; /* a flush may have woken somebody */
}

static void sim_wake(struct ed_worker *worker) {
    struct ed_sim_world *world = ed_sim_world(worker->sched);
    struct ed_sim_worker *own = ed_sim_worker_of(worker);
    own->woken = true;
    if ((world->disturbances & ED_SIM_SLOW_WAKES) && one_in(world, 4)) own->held_until = world->step + next(world) % 64;
}

static int64_t sim_now(struct ed_worker *worker) { return ed_sim_world(worker->sched)->now_ns; }

static bool sim_holds_io(struct ed_worker *worker) {
    return !ed_list_empty(&worker->flushes) || ed_sim_net_ready(worker);
}

const struct ed_driver ed_sim_driver = {
    .open = sim_open,
    .close = sim_close,
    .poll = sim_poll,
    .wake = sim_wake,
    .now = sim_now,
    .holds_io = sim_holds_io,
    .poller_bytes = sizeof(struct ed_sim_poller),
    .poller_open = ed_sim_poller_open,
    .poller_set = ed_sim_poller_set,
    .poller_close = ed_sim_poller_close,
    .sockets = &ed_sim_sockets,
    .later = ed_sim_later,
};

/* ---- who runs --------------------------------------------------------------------------------------- */

enum { CHANGES_MAX = 8 };

struct schedule {
    enum { EVEN, BURSTS, PRIORITY } kind;
    struct ed_worker *last;
    unsigned turns; /* of `last`, in a row */
    int64_t lowest; /* priority given last */
    int changes;    /* steps at which who runs sinks: */
    uint64_t change_at[CHANGES_MAX];
};

static void schedule_init(struct schedule *schedule, struct ed_sched *sched) {
    struct ed_sim_world *world = ed_sim_world(sched);
    *schedule = (struct schedule){.kind = (int)(next(world) % 3)};
    if (schedule->kind != PRIORITY) return;
    for (unsigned i = 0; i < sched->workers_count; i++)
        ed_sim_worker_of(sched->workers[i])->priority = (int64_t)(next(world) >> 16);
    schedule->changes = 1 + (int)(next(world) % CHANGES_MAX);
    uint64_t horizon = UINT64_C(16) << next(world) % 8; /* nobody knows how long the program is */
    for (int i = 0; i < schedule->changes; i++) schedule->change_at[i] = next(world) % horizon;
}

static bool can_run(struct ed_worker *worker) {
    struct ed_sim_worker *own = ed_sim_worker_of(worker);
    return !own->asleep || own->woken || ed_sim_net_ready(worker) ||
           ed_timers_next(worker) <= ed_sim_world(worker->sched)->now_ns;
}

/* Whether `worker` goes before `other`; `count` of them were looked at. */
static bool goes_first(struct schedule *schedule, struct ed_worker *worker, struct ed_worker *other, unsigned count) {
    if (schedule->kind == PRIORITY) return ed_sim_worker_of(worker)->priority > ed_sim_worker_of(other)->priority;
    return one_in(ed_sim_world(worker->sched), count);
}

/* NULL: all sleep. */
static struct ed_worker *choose(struct schedule *schedule, struct ed_sched *sched) {
    struct ed_sim_world *world = ed_sim_world(sched);
    struct ed_worker *chosen = NULL, *held = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct ed_worker *worker = sched->workers[i];
        if (!can_run(worker)) continue;
        uint64_t until = ed_sim_worker_of(worker)->held_until;
        if (until > world->step) {
            if (held == NULL || until < ed_sim_worker_of(held)->held_until) held = worker;
        } else if (++count == 1 || goes_first(schedule, worker, chosen, count)) {
            chosen = worker;
        }
    }
    if (count == 0) return held;
    struct ed_worker *last = schedule->last;
    if (schedule->kind != BURSTS || last == NULL || one_in(world, 8)) return chosen;
    return can_run(last) && ed_sim_worker_of(last)->held_until <= world->step ? last : chosen;
}

/* After its turn: who has had enough sinks. */
static void sink(struct schedule *schedule, struct ed_worker *worker) {
    schedule->turns = worker == schedule->last ? schedule->turns + 1 : 0;
    schedule->last = worker;
    bool over = schedule->turns >= TURNS_IN_A_ROW;
    for (int i = 0; i < schedule->changes; i++)
        if (schedule->change_at[i] == ed_sim_world(worker->sched)->step) over = true;
    if (!over) return;
    ed_sim_worker_of(worker)->priority = --schedule->lowest;
    schedule->turns = 0;
    schedule->last = NULL;
}

/* ---- steps ------------------------------------------------------------------------------------------ */

/* Nobody can run: to the next moment or deadline, or the step behind it. */
static void advance(struct ed_sched *sched, int64_t step_ns) {
    int64_t least_ns = ed_sim_events_next(sched);
    for (unsigned i = 0; i < sched->workers_count; i++) {
        int64_t next_ns = ed_timers_next(sched->workers[i]);
        if (next_ns < least_ns) least_ns = next_ns;
    }
    if (ed_sim_wake_idle(sched) || !ed_sim_world(sched)->may_jump(sched, least_ns)) return;
    ed_sim_world(sched)->now_ns = step_ns > 0 ? (least_ns + step_ns - 1) / step_ns * step_ns : least_ns;
    ed_sim_note(sched->workers[0], "all sleep: the clock jumps");
}

/* What happens to a worker beside its turn, and how long that lasts. */
static void disturb(struct ed_worker *worker) {
    struct ed_sim_world *world = ed_sim_world(worker->sched);
    unsigned kinds = world->disturbances;
    world->now_ns += (int64_t)(next(world) % 2000);
    if ((kinds & ED_SIM_CLOCK) && one_in(world, 64)) world->now_ns += (int64_t)(next(world) % 1000000);
    if ((kinds & ED_SIM_TICKS) && one_in(world, 16)) ED_OR(&worker->attention, ED_TICK);
    if ((kinds & ED_SIM_STALLS) && one_in(world, 64))
        ed_sim_worker_of(worker)->held_until = world->step + 2 + next(world) % 64;
    worker->sched->max_slices = kinds & ED_SIM_SLICES ? 1 + (int)(next(world) % 4) : ED_SLICES_PER_POLL;
}

static void turn(struct ed_worker *worker) {
    struct ed_sim_worker *own = ed_sim_worker_of(worker);
    ed_worker_set_current(worker);
    if (own->asleep) {
        own->asleep = own->woken = false;
        (void)ed_sim_net_deliver(worker); /* what the sleeping poll returns with */
        ed_worker_polled(worker);
        ed_idle_awake(worker);
    }
    ed_sim_faults_begin(worker->sched);
    if (!ed_worker_turn(worker) && ed_idle_prepare(worker)) worker->sched->driver->poll(worker, ed_timers_next(worker));
    ed_sim_faults_end(worker->sched);
    ed_worker_set_current(NULL);
}

void ed_sim_turn(struct ed_sched *sched, const struct ed_sim_plan *plan, _Atomic bool *until) {
    struct ed_sim_world *world = ed_sim_world(sched);
    world->random = plan->seed;
    world->disturbances = plan->clock_step_ns == 0 ? plan->disturbances : 0;
    struct schedule schedule;
    schedule_init(&schedule, sched);
    while (!ED_LOAD_SEQCST(until)) {
        ed_sim_events_run(sched, world->now_ns);
        struct ed_worker *worker = choose(&schedule, sched);
        if (worker == NULL) {
            advance(sched, plan->clock_step_ns);
            continue;
        }
        if (world->step == plan->steps_max || world->step == plan->steps_max + STEPS_TO_END)
            world->too_long(sched, world->step > plan->steps_max);
        if (plan->clock_step_ns == 0) disturb(worker);
        turn(worker);
        ed_sim_check(sched);
        sink(&schedule, worker);
        world->step++;
    }
}
