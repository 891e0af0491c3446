/* steal.c: offering new tasks and taking other workers'.
 *
 * Problem    An idle worker must get work soon; a busy one must not pay for neighbours that are not there.
 * Idea       A worker without work sets ED_WANT in the others' `attention`, a flag that they load at each counted
 *            call anyway. Who sees it publishes: all private entries at a visit to the scheduler and at the first
 *            counted call after a tick, all but the newest at a spawn (its awaiter is about to take it). The flag is cleared only when nobody sleeps or
 *            searches, so that later spawns go on sharing while there are takers.
 * Ordering   ED_WANT is advice: relaxed. A worker that misses it still holds its tasks awake and looks again at
 *            its next call: no wake-up depends on it. What must not be missed is in idle.c.
 *            Publishing writes the start word (release) before the entry can be taken.
 * Threads    The owner; ed_steal touches other workers' deques through ed_deque_take only.
 * Tests      tests/sched/steal_test.c. */
#include "sched/sched.h"

/* Takes away the newest entries that are stale: what is kept is a task. */
static void trim(struct ed_worker *worker) {
    struct ed_deque_entry *entry;
    while ((entry = ed_deque_newest(&worker->deque)) != NULL && !ed_start_is_own(entry->hint, worker->index))
        ed_deque_drop_newest(&worker->deque);
}

void ed_publish(struct ed_worker *worker, uint64_t keep) {
    struct ed_deque *deque = &worker->deque;
    trim(worker);
    uint64_t count = ed_deque_private_count(deque);
    if (count > keep && ed_deque_reserve_shared(deque, count - keep) == 0) {
        for (; count > keep; count--) {
            struct ed_deque_entry *entry = ed_deque_oldest(deque);
            struct ed_start *start = entry->hint;
            if (ed_start_is_own(start, worker->index)) {
                ed_start_new(start, worker->index, ED_START_NEW_SHARED);
                ed_deque_append_shared(deque, start, entry->seq);
            }
            ed_deque_drop_oldest(deque);
        }
        ed_deque_publish(deque);
        ed_tell(worker, ED_EVENT_PUBLISH, NULL, (int64_t)ed_deque_shared_count(deque), NULL);
    }
    if (ed_deque_shared_count(deque) > 0) ed_idle_notify(worker); /* also for what was left from before */
    if (!ed_idle_any(worker->sched)) ED_AND(&worker->attention, ~(uint32_t)ED_WANT);
}

struct ed_start *ed_steal(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    unsigned count = sched->workers_count, first = (unsigned)(ed_random(worker) % count);
    for (unsigned i = 0; i < count; i++) {
        struct ed_worker *victim = sched->workers[(first + i) % count];
        if (victim == worker) continue;
        bool lost;
        do {
            struct ed_start *start = ed_deque_take(&victim->deque, &lost);
            ED_CHAOS(STEAL);
            if (start != NULL && ed_start_state(ED_LOAD_ACQUIRE(&start->word)) == ED_START_NEW_SHARED &&
                ed_start_claim(start, worker->index)) {
                ed_count_add(&worker->counts.steals, 1);
                ed_count_add(&worker->counts.stolen, 1);
                ed_tell(worker, ED_EVENT_STEAL, start, victim->index, NULL);
                return start;
            }
            if (start != NULL) lost = true; /* a stale hint: look at the next one */
        } while (lost);
    }
    return NULL;
}

void ed_want_work(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct ed_worker *other = sched->workers[i];
        if (other != worker && !(ED_LOAD_RELAXED(&other->attention) & ED_WANT)) ED_OR(&other->attention, ED_WANT);
    }
}
