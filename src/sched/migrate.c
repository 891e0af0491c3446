/* migrate.c: started tasks change workers, if they may.
 *
 * Problem    A started task has a stack, and others know where it is: its waiter's node, a cancel, a timer come to its
 *            host. It must not run on two workers, nor before its stack is saved, and nothing may be sent after it in
 *            vain. A program that does not ask for it must not pay.
 * Idea       A fiber is handed over, not stolen: it has one host at any time, and only the host gives it away, by a
 *            message to a worker that sleeps. A parked fiber never moves, so whatever wakes it finds it. Only one that
 *            is ready and has nothing registered anywhere moves: it waits in `movable`, not in `ready`, and its host
 *            runs it when its turn comes unless it has given it away before.
 * States     fiber->worker names the host, and that is all there is to decide:
 *
 *              H: running, parked, in `ready` ----> H: in `movable` ----> G: on its way ----> G: in `ready` -> running
 *                                                     \--> H: running          (queued stays true)
 *
 *            The store that makes it G's is the host's last touch of the fiber but for its message's node. From then on
 *            all that is said here of the host is G's, while the message is still on its way: a cancel that overtakes
 *            it finds the task ready, and leaves the request in its word.
 *            It arrives in `ready`: it runs on G at least once before it may move again.
 * Saved      Fibers are given away on the worker's own stack only. Then none of the worker's fibers runs, so the stack of
 *            each one is saved: a fiber that yields stands in `movable` while it still runs, and stays there until it has
 *            switched away.
 * Who moves  Its tasks all may (fiber->migrates: by their options, never in a domain, never one sent to a worker), it was
 *            woken at a place that says so (ed_park's move; eddy_await, eddy_yield, eddy_sleep, a group's exit, locks
 *            and their like) or put off at one, and no timeout scope of it is armed: timers are the host's.
 *            A cancel or a wait for a descriptor, a signal, a pool leaves it where it is. See docs/adr.
 * Who reads  fiber->worker is read by who wants to cancel a task on it (task/cancel.c). What it reads may be old: the
 *            message goes to a former host, which passes it on. Who finds itself there, acquiring, is the host: only a
 *            worker itself takes its name out.
 * Ordering   fiber->worker: release by the giver, acquire by who is asked about it; the inbox carries the fiber itself.
 *            No wake-up depends on whom it sees asleep: what is not given away its holder, awake, runs itself.
 * Whom       Workers that sleep, the half of what there is to each, but not the last one if there is nothing else to do
 *            here. For tests every movable fiber, to any other worker, before it runs (sched->migrate_always).
 * Threads    The owner; arrival: the new host.
 * Tests      tests/sched/migrate_test.c; tests/model/migrate_model.c; every test that runs with --migrate. */
#include "sched/sched.h"

enum { GIVEN_MAX = 32 }; /* at once to one worker: bounds the pause of the giver */

static void arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_fiber *fiber = ED_CONTAINER(message, struct ed_fiber, move);
    ED_ASSERT(ed_fiber_worker(fiber) == worker);
    ED_ASSERT(fiber->queued);
    ed_count_add(&worker->counts.migrated, 1);
    ED_STORE_RELAXED(&worker->counts.stacks_alive, ED_LOAD_RELAXED(&worker->counts.stacks_alive) + 1);
    ed_ready_entry(worker, &fiber->entry, ED_ENTRY_RESUME);
}

static void give(struct ed_worker *worker, struct ed_worker *to) {
    struct ed_fiber *fiber = ED_CONTAINER(ed_ready_pop(&worker->movable), struct ed_fiber, entry);
    if (fiber->preempted) {
        fiber->preempted = false;
        worker->preempted--;
    }
    ED_STORE_RELAXED(&worker->counts.stacks_alive, ED_LOAD_RELAXED(&worker->counts.stacks_alive) - 1);
    ed_count_add(&worker->counts.given, 1);
    ed_tell(worker, ED_EVENT_GIVE, fiber->task, to->index, NULL);
    fiber->move.arrive = arrives;
    ED_STORE_RELEASE(&fiber->worker, to);
    int status = ed_post(to, &fiber->move);
    ED_ASSERT(status == 0); /* a task lives, so no worker is closed */
}

static void give_all(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    while (worker->movable.head != NULL) {
        unsigned other = 1 + (unsigned)(ed_random(worker) % (sched->workers_count - 1));
        give(worker, sched->workers[(worker->index + other) % sched->workers_count]);
    }
}

void ed_migrate(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    ED_ASSERT(worker->running == NULL); /* every fiber here is saved */
    if (sched->migrate_always) {
        give_all(worker);
        return;
    }
    if (!ed_idle_any(sched)) return;
    bool others = worker->ready.head != NULL || ed_deque_private_count(&worker->deque) > 0;
    uint64_t keep = others ? 0 : 1;
    for (unsigned i = 1; i < sched->workers_count && worker->movable.count > keep; i++) {
        struct ed_worker *other = sched->workers[(worker->index + i) % sched->workers_count];
        if (ED_LOAD_RELAXED(&other->sleep) != ED_SLEEPING) continue;
        uint64_t half = (worker->movable.count - keep + 1) / 2;
        for (uint64_t given = 0; given < half && given < GIVEN_MAX; given++) give(worker, other);
    }
}

void ed_fiber_ready_movable(struct ed_fiber *fiber) {
    ED_ASSERT(!fiber->queued);
    ED_ASSERT(fiber->migrates);
    struct ed_worker *worker = ed_fiber_worker(fiber);
    if (worker->sched->workers_count == 1) {
        ed_fiber_ready(worker, fiber);
        return;
    }
    fiber->queued = true;
    fiber->entry.kind = ED_ENTRY_RESUME;
    fiber->entry.seq = worker->seq++;
    ed_ready_push(&worker->movable, &fiber->entry);
}
