/* check.c: what must hold between two turns, when no worker runs.
 *
 * Invariants (K1) an entry of `ready` or `movable` is there once, in the order of age, and is what its kind says; the counts
 *            agree; what is in `movable` may move, and no timer of it is armed.
 *            (K2) a started task either runs its stack's top, and is parked or put off, or waits below the one that does;
 *            one that stays is where it was started.
 *            (K3) a fiber is in a queue, or on its way to another worker, exactly if it says so; a wake, a deadline or a request that reached a parked task
 *                 has queued it. No wake-up is lost in a task.
 *            (K4) a request that is pending for a parked task is on its way to it. No cancel is lost.
 *            (K5) a new task can be found: in its holder's deque, in a shared part, or where it is pinned.
 *            (K6) both parts of a deque are in the order of age, the shared one older.
 *            (K7) a worker that sleeps has nothing to do; work that anybody may take finds somebody awake. No wake-up is
 *                 lost between workers. The counts of sleepers and searchers are exact.
 *            (K8) tasks spawned are those alive and those ended; stacks in use are those of started tasks.
 * Cost       Each look reads all tasks alive: with many of them only some turns are looked at, and (K5) is left out.
 * Threads    The simulator's.
 * Tests      tests/sim/mutants.txt: faults planted in the core, which the random programs and this find. */
#include "sim/world.h"
#include "task/task.h"

#include <inttypes.h>

enum { FEW = 256 };

struct look {
    struct ed_sched *sched;
    bool few;                      /* so few tasks that each may be looked for in the queues */
    uint64_t alive, started;       /* tasks; of these, on a stack */
    uint64_t pinned, pinned_ready; /* new tasks of one worker; of these, in `ready` */
    uint64_t fibers, queued;       /* stacks in use; of these, in `ready` or `movable`, or on their way there */
    uint64_t resumes;              /* entries of these two */
};

#define BROKEN(sched, ...)                                                              \
    do {                                                                                \
        char text_[256];                                                                \
        snprintf(text_, sizeof text_, __VA_ARGS__);                                     \
        ED_PANIC("simulation, turn %" PRIu64 ": %s", ed_sim_world(sched)->step, text_); \
    } while (0)

/* ---- queues ----------------------------------------------------------------------------------------- */

static void check_movable(struct look *look, struct ed_fiber *fiber) {
    struct ed_strand *strand = ed_strand_of(fiber);
    bool timed = ed_timer_armed(&strand->timer) || strand->alarm_ns != INT64_MAX;
    for (struct ed_scope *scope = strand->scope; scope != NULL; scope = scope->outer)
        timed = timed || (scope->state & ED_SCOPE_ARMED);
    if (timed || !fiber->migrates || (!fiber->preempted && !strand->woken && !strand->timed_out))
        BROKEN(look->sched, "w%u: a stack that must stay may leave", ed_fiber_worker(fiber)->index);
}

/* Gives the count of stacks that were put off. */
static uint64_t check_ready(struct look *look, struct ed_worker *worker, const struct ed_ready *ready) {
    uint64_t count = 0, preempted = 0, last_seq = 0;
    struct ed_entry *const *link = &ready->head;
    for (; *link != NULL; link = (struct ed_entry *const *)&(*link)->next) {
        struct ed_entry *entry = *link;
        bool first = entry->seq == 0 && last_seq == 0; /* of an eager child: ahead of all */
        if (!first && (entry->seq >= worker->seq || (count > 0 && entry->seq <= last_seq)))
            BROKEN(look->sched, "w%u: an entry of its ready queue is out of order", worker->index);
        last_seq = entry->seq;
        count++;
        if (entry->kind == ED_ENTRY_RESUME) {
            struct ed_fiber *fiber = ED_CONTAINER(entry, struct ed_fiber, entry);
            if (!fiber->queued || ed_fiber_worker(fiber) != worker)
                BROKEN(look->sched, "w%u: a stack is in its ready queue and does not know", worker->index);
            if (ready == &worker->movable) check_movable(look, fiber);
            look->resumes++;
            preempted += fiber->preempted;
        } else if (entry->kind == ED_ENTRY_START) {
            uint64_t word = ED_LOAD_RELAXED(&ED_CONTAINER(entry, struct ed_start, entry)->word);
            if (ed_start_state(word) != ED_START_NEW_PINNED || ed_start_worker(word) != worker->index)
                BROKEN(look->sched, "w%u: a task that is not pinned here is in its ready queue", worker->index);
            look->pinned_ready++;
        }
    }
    if (count != ready->count || link != (struct ed_entry *const *)ready->tail)
        BROKEN(look->sched, "w%u: its ready queue holds %" PRIu64 " entries and counts %" PRIu64, worker->index, count,
               ready->count);
    return preempted;
}

static void check_queues(struct look *look, struct ed_worker *worker) {
    uint64_t preempted = check_ready(look, worker, &worker->ready) + check_ready(look, worker, &worker->movable);
    if (preempted != worker->preempted)
        BROKEN(look->sched, "w%u: %" PRIu64 " stacks are put off and %u are counted", worker->index, preempted,
               worker->preempted);
}

/* Calls `visit` for each entry of a deque, oldest first: of the shared part, then of the private one. */
static bool deque_any(struct ed_deque *deque, bool private, bool (*visit)(void *hint, uint64_t seq, void *arg),
                      void *arg) {
    uint64_t head = ED_LOAD_RELAXED(&deque->head), tail = ED_LOAD_RELAXED(&deque->tail);
    const struct ed_deque_ring *ring = ED_LOAD_RELAXED(&deque->ring);
    for (; !private && head != tail; head++) {
        const struct ed_deque_slot *slot = &ring->slots[head & ring->mask];
        if (visit(ED_LOAD_RELAXED((_Atomic(void *) *)&slot->hint), slot->seq, arg)) return true;
    }
    for (const struct ed_deque_entry *entry = deque->oldest; private && entry != deque->top; entry++)
        if (visit(entry->hint, entry->seq, arg)) return true;
    return false;
}

/* True: out of order. */
static bool by_age(void *hint, uint64_t seq, void *arg) {
    uint64_t *at_least = arg;
    (void)hint;
    if (seq < *at_least) return true;
    *at_least = seq + 1;
    return false;
}

static void check_deque(struct look *look, struct ed_worker *worker) {
    struct ed_deque *deque = &worker->deque;
    if (ED_LOAD_RELAXED(&deque->tail) != deque->tail_own || ED_LOAD_RELAXED(&deque->head) > deque->tail_own)
        BROKEN(look->sched, "w%u: the ends of its shared deque contradict each other", worker->index);
    uint64_t at_least = 0;
    if (deque_any(deque, false, by_age, &at_least) || deque_any(deque, true, by_age, &at_least) ||
        at_least > worker->seq)
        BROKEN(look->sched, "w%u: its deque is not in the order of age", worker->index);
}

static bool is_it(void *hint, uint64_t seq, void *arg) {
    (void)seq;
    return hint == arg;
}

static bool can_be_taken(void *hint, uint64_t seq, void *arg) {
    (void)seq, (void)arg;
    return ed_start_state(ED_LOAD_RELAXED(&((struct ed_start *)hint)->word)) == ED_START_NEW_SHARED;
}

static bool in_a_shared_part(struct ed_sched *sched, struct ed_start *start) {
    for (unsigned i = 0; i < sched->workers_count; i++)
        if (deque_any(&sched->workers[i]->deque, false, is_it, start)) return true;
    return false;
}

/* ---- tasks ------------------------------------------------------------------------------------------ */

static void broken_task(struct look *look, const eddy_task *task, const char *what) {
    char name[ED_TASK_NAME_BYTES];
    eddy_task_name(task, name, sizeof name);
    BROKEN(look->sched, "task \"%s\" %s", name, what);
}

static void check_top(struct look *look, eddy_task *task, uint64_t word) {
    struct ed_strand *strand = ed_strand_of(ed_task_fiber(task));
    bool queued = strand->fiber.queued;
    look->fibers++;
    look->queued += queued;
    if (strand->fiber.preempted && !queued) broken_task(look, task, "is put off and not in its ready queue");
    if (queued) return; /* put off, woken, on its way to another worker, or one that started a task eagerly */
    if (!strand->parked) broken_task(look, task, "neither runs nor waits");
    if (strand->woken || strand->cancelled) broken_task(look, task, "was woken and is in no queue");
    if (strand->timed_out && task->future.loop == NULL) broken_task(look, task, "is due and is in no queue");
    bool over = task->on_cancel != NULL; /* what it waits for is over, and wakes it by a message or a callback */
    if ((word & ED_CANCEL) && !(word & ED_MESSAGE) && !over)
        broken_task(look, task, "is parked and its cancel is not on its way");
}

static bool check_task(eddy_task *task, void *arg) {
    struct look *look = arg;
    uint64_t word = ED_LOAD_RELAXED(&task->future.word), start = ED_LOAD_RELAXED(&task->start.word);
    struct ed_worker *worker = look->sched->workers[ed_start_worker(start)];
    look->few = ++look->alive < FEW && look->few;
    switch (ed_start_state(start)) {
    case ED_START_FREE: broken_task(look, task, "lives in a record that is free"); break;
    case ED_START_NEW_OWN:
        if (look->few && !deque_any(&worker->deque, true, is_it, &task->start))
            broken_task(look, task, "is new and not in its holder's deque");
        break;
    case ED_START_NEW_SHARED:
        if (look->few && !in_a_shared_part(look->sched, &task->start))
            broken_task(look, task, "is shared and in no deque");
        break;
    case ED_START_NEW_PINNED: look->pinned++; break;
    case ED_START_STARTED:
        look->started++;
        if (ed_task_fiber(task) == NULL) broken_task(look, task, "has started and has no stack");
        if (task->migration == EDDY_STAY && ed_fiber_worker(ed_task_fiber(task)) != worker)
            broken_task(look, task, "is not where it was started");
        if (ed_task_fiber(task)->task == task) {
            check_top(look, task, word);
        } else if (ED_LOAD_RELAXED(&task->reason) == NULL && ED_LOAD_RELAXED(&task->above) == NULL) {
            broken_task(look, task, "is below another one on its stack and does not wait");
        }
        break;
    }
    return true;
}

/* ---- sleep ------------------------------------------------------------------------------------------ */

static bool sleeps(struct ed_worker *worker) {
    struct ed_sim_worker *own = ed_sim_worker_of(worker);
    return own->asleep && !own->woken;
}

static bool is_own(void *hint, uint64_t seq, void *arg) {
    (void)seq;
    return ed_start_is_own(hint, ((struct ed_worker *)arg)->index);
}

static void check_sleep(struct look *look) {
    struct ed_sched *sched = look->sched;
    uint64_t sleepers = 0, searchers = 0;
    bool all = true, shared = false;
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct ed_worker *worker = sched->workers[i];
        uint32_t state = ED_LOAD_RELAXED(&worker->sleep);
        sleepers += state == ED_SLEEPING;
        searchers += worker->searching || (state & ~(uint32_t)ED_SLEEPING) != 0; /* a token on its way */
        shared = shared || deque_any(&worker->deque, false, can_be_taken, NULL);
        all = all && sleeps(worker);
        if (!sleeps(worker)) continue;
        if (state != ED_SLEEPING) BROKEN(sched, "w%u: was woken and its driver does not know", i);
        if (ed_anybody_waits(worker) || deque_any(&worker->deque, true, is_own, worker))
            BROKEN(sched, "w%u: sleeps with work in its queues: a wake-up is lost", i);
        if (!ed_inbox_empty(&worker->inbox))
            BROKEN(sched, "w%u: sleeps with a message in its inbox: a wake-up is lost", i);
    }
    if (all && shared) BROKEN(sched, "all workers sleep and a task could be stolen: a wake-up is lost");
    uint64_t idle = ED_LOAD_RELAXED(&sched->idle);
    if (idle != sleepers * ED_IDLE_SLEEPER + searchers * ED_IDLE_SEARCHER)
        BROKEN(sched, "%" PRIu64 " sleep and %" PRIu64 " search, but %" PRIu64 " and %" PRIu64 " are counted", sleepers,
               searchers, idle & 0xffffffff, idle >> 32);
}

/* ---- counts ----------------------------------------------------------------------------------------- */

static void check_counts(struct look *look) {
    struct ed_sched *sched = look->sched;
    uint64_t spawned = 0, ended = 0;
    int64_t stacks = 0;
    uint64_t moving = 0; /* stacks on their way */
    for (unsigned i = 0; i < sched->workers_count; i++) {
        const struct ed_worker_counts *counts = &sched->workers[i]->counts;
        spawned += ED_LOAD_RELAXED(&counts->spawned);
        ended += ED_LOAD_RELAXED(&counts->ended);
        stacks += ED_LOAD_RELAXED(&counts->stacks_alive);
        moving += ED_LOAD_RELAXED(&counts->given) - ED_LOAD_RELAXED(&counts->migrated);
    }
    uint64_t queued_once = look->alive - (look->pinned - look->pinned_ready); /* the rest are messages still */
    if (spawned - ended != queued_once)
        BROKEN(sched, "%" PRIu64 " tasks were spawned, %" PRIu64 " have ended, %" PRIu64 " are alive", spawned, ended,
               queued_once);
    if ((uint64_t)stacks + moving != look->fibers)
        BROKEN(sched, "%" PRIu64 " stacks are in use and %" PRId64 " are counted", look->fibers,
               stacks + (int64_t)moving);
    if (look->queued != look->resumes + moving)
        BROKEN(sched, "%" PRIu64 " stacks wait for their turn and %" PRIu64 " are in ready queues", look->queued,
               look->resumes + moving);
}

void ed_sim_check(struct ed_sched *sched) {
    struct ed_sim_world *world = ed_sim_world(sched);
    if (world->step < world->next_check) return;
    struct look look = {.sched = sched, .few = world->alive < FEW};
    for (unsigned i = 0; i < sched->workers_count; i++) {
        check_queues(&look, sched->workers[i]);
        check_deque(&look, sched->workers[i]);
    }
    ed_slab_each(sched, check_task, &look);
    check_sleep(&look);
    check_counts(&look);
    world->alive = look.alive;
    world->next_check = world->step + 1 + look.alive / 64;
}
