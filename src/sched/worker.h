/* worker.h: a worker: one thread, one loop, its queues; and the scheduler they share.
 *
 * A worker serves four sources by age (one sequence number over all): `ready` (what may run only here), `movable`
 * (started tasks that may leave: migrate.c; mostly empty), the private part of its deque (new tasks that nobody else
 * sees), and the shared part of it. Messages from other
 * threads come through the inbox. One pass: take messages, fire timers, poll; then run what is older than the
 * pass. Where the worker has serial domains a pass runs exactly that (asyncio's rule); else a pass ends after
 * ED_SLICES_PER_POLL slices, and chains of direct switches go on across passes.
 *
 * Fields are grouped by who may touch them, one cache line per group.
 *   (c) constant once the worker runs   (o) owner only   (s) shared: see the type's roles
 *   (w) written by the owner, read by anyone as a figure (relaxed) */
#ifndef ED_SCHED_WORKER_H
#define ED_SCHED_WORKER_H

#include "base/base.h"
#include "lockfree/lockfree.h"
#include "sched/driver.h"
#include "sched/entry.h"
#include "sched/fiber.h"
#include "sched/start.h"
#include "sched/timers.h"

/* `attention`: why the owner should look up at its next counted call. */
enum { ED_WANT = 1, ED_TICK = 2 };

/* `sleep`: transitions in idle.c, nobody else. */
enum { ED_AWAKE, ED_SLEEPING };

struct ed_worker {
    unsigned index;         /* (c) == position in sched->workers */
    uint64_t identity;      /* (c) no other worker of the process has it, ever; 0: it owns nothing (sync/guard.h) */
    struct ed_sched *sched; /* (c) */
    void *driver_data;      /* (c) the driver's */
    void *net_data;         /* (o) net/ */
    void *slab;             /* (o) task/slab.c: free records */
    void *handles;          /* (o) task/blocks.h: free records of task/handle.c */

    struct ed_fiber *running; /* (o) NULL <=> the worker's own stack runs */
    struct ed_ready ready;    /* (o) what runs here */
    struct ed_ready movable;  /* (o) ready fibers that may run elsewhere: migrate.c */
    uint64_t seq;             /* (o) the next age */
    uint64_t mark;            /* (o) ages below it belong to this pass */
    unsigned slices;          /* (o) left in this pass */
    int budget;               /* (o) counted calls left before a visit to the scheduler */
    unsigned preempted;       /* (o) fibers in `ready` put off by fairness */
    unsigned domains;         /* (o) serial domains here: passes are observable */

    int64_t polled_ns;       /* (o) clock at the end of the last poll; INT64_MAX: as this pass begins */
    int64_t poll_cost_ns;    /* (o) how long the last one in a pass took */
    uint64_t polled_seq;     /* (o) ages below it were queued before it ended */
    bool may_start;          /* (o) the tick's leave to start a new task beyond ED_PREEMPTED_MAX */
    uint64_t request;        /* (o) the cancel request that is being passed on, or 0 */
    void *call_loop;         /* (o) the domain of the callback that runs, or NULL */
    void *call_context;      /* (o) where the context of the callback that runs hangs, or NULL */
    bool searching;          /* (o) holds a searcher's token */
    struct ed_list flushes;  /* (o) flush.h */
    struct ed_timers timers; /* (o) */
    uint64_t guards_made;    /* (o) sync/guard.c */
    uint64_t guards_taken_before;
    uint64_t random;             /* (o) xorshift state, seeded */
    struct ed_context main;      /* (o) the worker's own stack */
    struct ed_stack_pool stacks; /* (o) */
    uint64_t next_id, last_id;   /* (o) task numbers reserved */
    void *handed;                /* (o) what a fiber chose and only the worker's own stack may run */
    uint8_t handed_kind;         /* (o) its kind */

    /* task/bias.h */
    _Atomic uint64_t fresh; /* (s) what a plain spawn here writes into the task's word */
    _Atomic uint64_t alone; /* (s) the same, or a word that no task has */
    _Atomic(void *) ending; /* (w) the plain task that ends here */

    _Alignas(ED_LINE) struct ed_deque deque;  /* (s) */
    _Alignas(ED_LINE) struct ed_inbox inbox;  /* (s) */
    _Alignas(ED_LINE) _Atomic uint32_t sleep; /* (s) idle.c */
    _Atomic uint32_t attention;               /* (s) set by anyone, cleared by the owner */
    _Atomic uint32_t visitors;                /* (s) threads of no worker of this run that are inside ed_post */
    struct ed_spinlock bias_lock;             /* (s) task/bias.c */
    _Atomic uint64_t bias_over;               /* (s) biases below it are over */

    _Alignas(ED_LINE) struct ed_worker_counts {
        _Atomic uint64_t on_stacks; /* tasks started on a stack of their own; the others: direct */
        _Atomic uint64_t direct, stolen, steals, polls, parks, switches, spawned, ended, given, migrated;
        _Atomic uint64_t slices; /* visits to the scheduler: the tick thread sees one that lasts */
        _Atomic int64_t stacks_alive, stacks_alive_max;
        _Atomic int64_t held_ns_max; /* written by the tick thread */
    } counts;                        /* (w) */
};
_Static_assert(offsetof(struct ed_worker, deque) % ED_LINE == 0, "thieves dirty the owner's line");

static inline void ed_count_add(_Atomic uint64_t *figure, uint64_t n) { /* one writer: no read-modify-write */
    ED_STORE_RELAXED(figure, ED_LOAD_RELAXED(figure) + n);
}

/* `idle`: {searching : 32, sleeping : 32} in one word, so that both are read at one instant. */
#define ED_IDLE_SLEEPER UINT64_C(1)
#define ED_IDLE_SEARCHER (UINT64_C(1) << 32)

struct ed_sched {
    const struct ed_driver *driver; /* (c) */
    struct ed_worker **workers;     /* (c) */
    unsigned workers_count;         /* (c) */
    bool direct_await;              /* (c) */
    bool debug;                     /* (c) debug mode: tasks look at what they leave behind */
    bool migrate;                   /* (c) started tasks may move unless they say no */
    bool migrate_always;            /* (c) for tests: and do, whenever they may */
    bool tick_always;               /* (c) for tests: each look finds a tick */
    struct ed_listener *listener;   /* (c) trace.h; NULL: nobody listens */
    int max_slices;                 /* (c) slices of a turn; the simulator takes fewer */
    struct ed_stack_arena *arena;   /* (c) */
    void (*run_start)(struct ed_start *start, struct ed_fiber *fiber); /* (c) task/: runs a claimed task to its end */
    void (*no_stack)(struct ed_start *start, int status);              /* (c) task/: ends one that finds no stack */
    void *tasks;                                                       /* (c) task/: slabs, reports, options */
    void *exec_data;                                                   /* exec/, under its own rules */
    void *file_data;                                                   /* file/, under its own rules */
    void *net_data;                                                    /* net/, under its own rules */
    void *runtime;                                                     /* runtime/ */
    void *world;                                                       /* sim/: what is outside the workers */

    _Alignas(ED_LINE) _Atomic uint64_t idle;    /* (s) idle.c */
    _Alignas(ED_LINE) _Atomic uint64_t next_id; /* (s) task numbers, reserved in blocks */
    _Atomic uint64_t next_request;              /* (s) numbers of cancel requests */
    _Atomic bool closed;                        /* (s) no task lives: none is taken from outside any more; spawn.c */
    _Atomic bool stopping;                      /* (s) workers end their loop */
    _Atomic uint32_t next_home;                 /* (s) round robin for domains */
    _Atomic uint32_t listeners;                 /* (s) of all workers; advice for the tick */
};

int ed_worker_init(struct ed_worker *worker, struct ed_sched *sched, unsigned index, uint64_t seed);
void ed_worker_deinit(struct ed_worker *worker);

/* One pass. True if anything ran or came; false: nothing is ready here, and a search found nothing. */
bool ed_worker_turn(struct ed_worker *worker);

/* After a poll that slept: the next pass need not ask again at once. */
static inline void ed_worker_polled(struct ed_worker *worker) {
    worker->polled_seq = worker->seq;
    worker->polled_ns = INT64_MAX;
}

/* The end of a worker's life: refuses messages from now on and lets those that came arrive. */
void ed_worker_close_inbox(struct ed_worker *worker);

/* Any thread: sends `message`, and wakes the worker if it sleeps. 0 or EDDY_ECLOSED. */
int ed_post(struct ed_worker *to, struct ed_message *message);

/* Owner: queues behind what is ready. */
void ed_ready_entry(struct ed_worker *worker, struct ed_entry *entry, enum ed_entry_kind kind);
static inline void ed_call_soon(struct ed_worker *worker, struct ed_call *call) {
    ed_ready_entry(worker, &call->entry, ED_ENTRY_CALL);
}

/* Owner: queues a new task in its deque or, pinned, in `ready`. 0 or EDDY_ENOMEM (state unchanged). */
int ed_start_push(struct ed_worker *worker, struct ed_start *start, bool pinned);

/* Owner, in a task or a callback: runs a new task here and now, until it first waits or ends; nothing else runs in
 * between. Its word is still FREE. 0, or why it finds no stack (nothing has begun). */
int ed_start_now(struct ed_worker *worker, struct ed_start *start);

/* Owner, in a task: counts a call; true when it is time to visit the scheduler first. */
static inline bool ed_count_call(struct ed_worker *worker) {
    return ED_UNLIKELY(--worker->budget <= 0 || (ED_LOAD_RELAXED(&worker->attention) & ED_TICK) != 0);
}
/* Owner, in a task: what ed_count_call asked for. May switch; the fiber may then go on on another worker if it
 * `may_move`. */
void ed_attend(struct ed_worker *worker, struct ed_fiber *fiber, bool may_move);

/* Owner: whether anything in its queues waits for its turn. */
static inline bool ed_anybody_waits(const struct ed_worker *worker) {
    return worker->ready.head != NULL || worker->movable.head != NULL;
}
/* Owner: that, or a new task in its deque: whether a turn would run something. */
bool ed_anything_ready(struct ed_worker *worker);

uint64_t ed_random(struct ed_worker *worker);

#endif
