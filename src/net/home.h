/* home.h: where something lives that may move from worker to worker, and messages to it.
 *
 * Problem    A message must arrive where its object is, and messages of one sender in their order; so none may be on its way
 *            while the object moves.
 * Idea       The move is a store, made by the old home while nothing has been sent and not arrived.
 *              The old home:        worker = NULL; under_way == 0 ? worker = new : worker = old.
 *              A sender, anywhere:  under_way++; worker == NULL ? under_way--, again : post there.
 * Ordering   Both write theirs and then read the other's, sequentially consistent: either the mover sees the sender and
 *            stays, or the sender sees NULL or the new home. NULL lasts for a few instructions, and a sender spins as long.
 *            What the old home wrote before is the new one's by the store of its name.
 * At home    Whoever finds its own worker's name here is at home until it suspends: only the worker itself takes it out. So
 *            does a sender: a message to its own worker would arrive behind what it does at home next.
 * Threads    ed_home_move: the home. The rest: any.
 * Tests      tests/model/home_model.c. */
#ifndef ED_NET_HOME_H
#define ED_NET_HOME_H

#include "base/base.h"

struct ed_worker;

struct ed_home {
    _Atomic(struct ed_worker *) worker; /* NULL: it is just moving */
    _Atomic uint32_t under_way;         /* messages that have not arrived */
};

static inline void ed_home_init(struct ed_home *home, struct ed_worker *worker) {
    ED_STORE_RELAXED(&home->worker, worker);
}

/* Whether it is `worker`'s. NULL, no worker, has none. */
static inline bool ed_home_is(const struct ed_home *home, const struct ed_worker *worker) {
    return worker != NULL && ED_LOAD_ACQUIRE((_Atomic(struct ed_worker *) *)&home->worker) == worker;
}

/* At home: its name. */
static inline struct ed_worker *ed_home_here(const struct ed_home *home) {
    return ED_LOAD_RELAXED((_Atomic(struct ed_worker *) *)&home->worker);
}

/* Where it is now, perhaps not any more. */
static inline struct ed_worker *ed_home_find(struct ed_home *home) {
    struct ed_worker *worker;
    while ((worker = ED_LOAD_SEQCST(&home->worker)) == NULL) ed_cpu_relax();
    return worker;
}

/* Where to post a message; it stays there until that has arrived. */
static inline struct ed_worker *ed_home_send(struct ed_home *home) {
    for (;;) {
        ED_ADD(&home->under_way, 1);
        struct ed_worker *worker = ED_LOAD_SEQCST(&home->worker);
        if (worker != NULL) return worker;
        ED_SUB(&home->under_way, 1);
        (void)ed_home_find(home);
    }
}

/* The message is there, or was refused. */
static inline void ed_home_arrived(struct ed_home *home) { ED_SUB(&home->under_way, 1); }

/* begin: false, and it stays, if a message is under way. After end all of it is `to`'s. */
static inline bool ed_home_move_begin(struct ed_home *home) {
    struct ed_worker *here = ED_LOAD_RELAXED(&home->worker);
    ED_STORE_SEQCST(&home->worker, NULL);
    if (ED_LOAD_SEQCST(&home->under_way) == 0) return true;
    ED_STORE_SEQCST(&home->worker, here);
    return false;
}
static inline void ed_home_move_end(struct ed_home *home, struct ed_worker *to) { ED_STORE_SEQCST(&home->worker, to); }

#endif
