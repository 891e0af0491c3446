/* idle.c: which sleeping worker to wake, and when a worker may sleep.
 *
 * Problem    A push that races with a worker falling asleep is a lost wake-up: the program hangs with work in a
 *            queue. Waking everybody on every push is correct, and slow.
 * Idea       Messages wake their worker if it sleeps. Published tasks wake one sleeper, and only if nobody searches:
 *            the waker hands it a searcher's token; a searcher that finds work gives the token back and, if it was
 *            the last, wakes the next one before it runs what it found.
 * States     worker->sleep: AWAKE or SLEEPING. Only the owner goes to SLEEPING (ed_idle_prepare). Whoever moves it
 *            back to AWAKE, by exchange or compare-and-swap, also takes the sleeper out of sched->idle: the owner
 *            itself, a sender of a message, or a notifier, which in the same step adds the token it hands over
 *            (worker->searching is then set by the owner when it finds IDLE_TOKEN, below).
 *            The hand-over travels in the state itself: SLEEPING -> AWAKE | TOKEN.
 * Invariants (I1) ready work exists => its holder is awake, or a wake-up is in flight to somebody who will look.
 *            (I2) searching, sleeping <= workers: ed_idle_check, when nobody is on the way to sleep. A worker says SLEEPING
 *            before it counts itself; who wakes it in between subtracts first, and for a moment the count is one low,
 *            or borrows from searching. Whoever is misled by that did its own access before the worker's addition, and
 *            the worker's last look, which follows it, sees what that one had published.
 * Ordering   Two pairs of store buffering, all four sides seq_cst:
 *              push message (RMW inbox.head), load sleep   against   store sleep, load inbox.head
 *              store tail, load idle                       against   RMW idle, load every tail
 *            A searcher gives its token back in the same RMW that counts it as a sleeper: a publisher that saw it
 *            searching published before its last look, one that comes later sees a sleeper.
 * Threads    As named in idle.h. Nothing here suspends or allocates; ed_idle_wake may write to an eventfd.
 * Not here   How a worker sleeps (driver.h); what it does awake (worker.c); whom it robs (steal.c).
 * Tests      tests/sched/idle_test.c. */
#include "sched/sched.h"

enum { TOKEN = 2 }; /* with ED_AWAKE: woken as a searcher; only the owner clears it */

static unsigned searching_of(uint64_t idle) { return (unsigned)(idle >> 32); }
static unsigned sleeping_of(uint64_t idle) { return (unsigned)idle; }

static bool anything_shared(struct ed_sched *sched) {
    for (unsigned i = 0; i < sched->workers_count; i++)
        if (ed_deque_shared_count(&sched->workers[i]->deque) > 0) return true;
    return false;
}

static bool anybody_asleep(struct ed_sched *sched) {
    for (unsigned i = 0; i < sched->workers_count; i++)
        if (ED_LOAD_RELAXED(&sched->workers[i]->sleep) == ED_SLEEPING) return true;
    return false;
}

void ed_idle_notify(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    do {
        uint64_t idle = ED_LOAD_SEQCST(&sched->idle); /* partner: ed_idle_prepare */
        do {
            if (searching_of(idle) != 0 || sleeping_of(idle) == 0) return;
        } while (!ED_CAS(&sched->idle, &idle, idle + ED_IDLE_SEARCHER)); /* the token, before it is handed over */
        for (unsigned i = 1; i < sched->workers_count; i++) {
            struct ed_worker *other = sched->workers[(worker->index + i) % sched->workers_count];
            uint32_t sleeping = ED_SLEEPING;
            if (ED_LOAD_RELAXED(&other->sleep) != ED_SLEEPING) continue;
            if (!ED_CAS(&other->sleep, &sleeping, ED_AWAKE | TOKEN)) continue;
            ED_SUB(&sched->idle, ED_IDLE_SLEEPER);
            ED_CHAOS(WAKE);
            sched->driver->wake(other);
            return;
        }
        /* All woke by themselves. They may have looked and be asleep again before somebody else published, who saw the
         * token held here and woke nobody: who gives a token back looks once more. Who sleeps since counted itself before
         * the subtraction, so its state is seen; who counts itself later sees what was published. */
        ED_SUB(&sched->idle, ED_IDLE_SEARCHER);
    } while (anybody_asleep(sched) && anything_shared(sched));
}

bool ed_idle_search_begin(struct ed_worker *worker) {
    if (worker->searching) return true;
    struct ed_sched *sched = worker->sched;
    if (sched->workers_count == 1) return false;
    uint64_t idle = ED_LOAD_RELAXED(&sched->idle);
    if (2 * searching_of(idle) >= sched->workers_count) return false; /* more would only get in their way */
    ED_ADD(&sched->idle, ED_IDLE_SEARCHER);
    worker->searching = true;
    return true;
}

bool ed_idle_search_end(struct ed_worker *worker) {
    if (!worker->searching) return false;
    worker->searching = false;
    return searching_of(ED_SUB(&worker->sched->idle, ED_IDLE_SEARCHER)) == 1;
}

/* What the last look may find: anything that another worker or thread could have given since the search. */
static bool anything_came(struct ed_worker *worker) {
    if (!ed_inbox_empty(&worker->inbox)) return true;
    return anything_shared(worker->sched) || ED_LOAD_SEQCST(&worker->sched->stopping);
}

bool ed_idle_prepare(struct ed_worker *worker) {
    struct ed_sched *sched = worker->sched;
    ed_count_add(&worker->counts.parks, 1); /* first: who sees it asleep again also sees that it has been awake */
    ED_CHAOS(PARK);
    ED_STORE_SEQCST(&worker->sleep, ED_SLEEPING);
    ED_CHAOS(PARK);
    ED_ADD(&sched->idle, ED_IDLE_SLEEPER - (worker->searching ? ED_IDLE_SEARCHER : 0));
    worker->searching = false;
    ED_CHAOS(PARK);
    if (!anything_came(worker)) return true;
    ed_idle_awake(worker);
    return false;
}

void ed_idle_awake(struct ed_worker *worker) {
    uint32_t state = ED_EXCHANGE(&worker->sleep, ED_AWAKE);
    if (state == ED_SLEEPING) {
        ED_SUB(&worker->sched->idle, ED_IDLE_SLEEPER);
    } else if (state & TOKEN) {
        worker->searching = true; /* counted by the notifier; it must search, or give it back */
    }
}

void ed_idle_wake(struct ed_worker *worker) {
    uint32_t sleeping = ED_SLEEPING;
    if (ED_LOAD_SEQCST(&worker->sleep) != ED_SLEEPING) return; /* partner: ed_idle_prepare */
    if (!ED_CAS(&worker->sleep, &sleeping, ED_AWAKE)) return;
    ED_SUB(&worker->sched->idle, ED_IDLE_SLEEPER);
    ED_CHAOS(WAKE);
    worker->sched->driver->wake(worker);
}

void ed_idle_check(struct ed_sched *sched) {
    uint64_t idle = ED_LOAD_SEQCST(&sched->idle);
    ED_ASSERT(searching_of(idle) <= sched->workers_count);
    ED_ASSERT(sleeping_of(idle) <= sched->workers_count);
}
