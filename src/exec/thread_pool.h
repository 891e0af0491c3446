/* thread_pool.h: blocking functions on threads of their own: what the three files of thread pools share. job.c: a job on
 * its task's side; pool_thread.c: threads, and when one is woken; thread_pool.c: pools from open to close.
 *
 * Problem    A job outlives its task when that is cancelled, or the whole run when its function never returns; and task,
 *            thread and canceller may all look at it in the same moment. A job of 100 ns must not pay for locks, memory
 *            and system calls of its own.
 * Idea       A borrowed job is a record of the stack that waits for it: nothing is allocated or counted. Workers push jobs
 *            into the pool's inlet without a lock; the thread that runs dry takes all of it over into the queue. A thread
 *            puts each answer into an outbox of its own for the task's worker at once, but sends the outbox only when
 *            it was empty: answers that pile up while the worker is busy travel as one message. Whether anybody must be
 *            told of a new job is one flag, `hungry`, false while a thread is on its way to look.
 *
 *   job      QUEUED ---thread---> RUNNING ---thread---> DONE (answered, unless abandoned and cut off)
 *              \---its task, a closer, the initializer's failure--> TAKEN_BACK (fn never runs)
 *            in the inlet or `queue` while QUEUED. abandoned: set by the task while RUNNING: value and failure are the
 *            thread's to drop and report.
 *   thread   SEARCHING (at most one: its start, a short spin) -> busy with a job -> looks again ... -> asleep -> woken as
 *            searching, or idle too long; leaves `serving` when it decides to end (closing, idle, failed initializer), is
 *            buried (exec.h), then leaves `threads`. Who takes `threads` to 0 in a closing pool ends the pool.
 *   outbox   empty -> (the first answer: its message goes to the worker) -> under way -> (arrival takes all) -> empty
 *   pool     open -> closing -> ended (run.h). Closing and broken pools have a closed inlet. is_cut: the end of the run has
 *            counted out the threads that were in user code, each with a reference to the pool: what such a thread
 *            finds on its return: it detaches itself, frees its job, and touches nothing else.
 *
 * Invariants (T1) a job is queued => a thread serves, and one of them is awake and will look, or all are busy and none may be
 *            started. (T2) A borrowing task returns only when its job is answered or TAKEN_BACK. (T3) drop_arg runs once
 *            per job of the abandoning form, drop once per value nobody took. (T4) What a job's task touches of the
 *            pool before the answer has arrived is there: a thread serves it until it is DONE, the thread is counted
 *            until it has sent its outbox, and an outbox under way holds a reference.
 * Ordering   Store buffering between who pushes and who stops looking: push (RMW inlet), load hungry; against store hungry,
 *            look at the inlet again. All four seq_cst. An answer's push releases what fn wrote; its arrival acquires it.
 * Fields     (c) constant; (l) under the pool's lock; (t) its thread's; (k) its task's.
 * Threads    Public functions: as thread.h says. Locks: run.h; user code and system calls but wake-ups never run under them.
 * Tests      tests/exec/thread_test.c; tests/model/pool_model.c (outbox; hungry against the inlet). */
#ifndef ED_EXEC_THREAD_POOL_H
#define ED_EXEC_THREAD_POOL_H

#include "eddy/thread.h"
#include "exec/outbox.h"
#include "exec/run.h"

enum ed_job_state { ED_JOB_QUEUED, ED_JOB_RUNNING, ED_JOB_DONE, ED_JOB_TAKEN_BACK };

/* What its thread touches is one cache line. */
struct ed_job {
    struct ed_caller caller; /* its message is also the node in the inlet, and its `next` that in the queue */
    struct ed_job *prev;     /* (l) in the queue                                                  */
    union {
        struct {
            eddy_thread_fn fn; /* (c) until RUNNING */
            void *arg;
        };
        eddy_value value; /* once DONE */
    };
    int status;             /* once DONE or TAKEN_BACK                                            */
    _Atomic uint8_t state;  /* l, but for a borrowed job's DONE: its thread's                     */
    _Atomic bool cancelled; /* asked by fn                                                        */
    uint8_t has;            /* what the second line holds; CONTEXT (c), ERROR with status         */
    bool abandoned;         /* (l)                                                                */

    eddy_context *context; /* the caller's locals, then fn's own: with the job                    */
    eddy_error *error;     /* detail; moves to who reads                                          */
};
enum { ED_JOB_HAS_CONTEXT = 1, ED_JOB_HAS_ERROR = 2, ED_JOB_IS_OWNED = 4 /* (c) a struct ed_owned_job */ };
_Static_assert(offsetof(struct ed_job, context) == ED_LINE, "the second line is for the few");

struct ed_owned_job {
    struct ed_job job;             /* first */
    eddy_thread_fn fn;             /* (c) for the name */
    void *arg;                     /* (c) for its drop */
    eddy_drop_fn drop_arg, drop;   /* (c) */
    char name[ED_POOL_NAME_BYTES]; /* (c) empty: the function's address */
};
enum { ED_JOB_NAME_BYTES = ED_POOL_NAME_BYTES };

/* A thread, or what stands for one; the record stays with the pool and is used again. */
struct ed_pool_thread {
    struct ed_pool_thread *next;   /* (l) in pool->all                                                */
    struct eddy_thread_pool *pool; /* (c)                                                             */
    bool serves;                   /* (l) a thread has this record                                    */
    uint64_t taken;                /* (l) jobs                                                        */
    struct ed_owned_job *owned;    /* (l) the abandoning job that it runs                             */
    bool is_stuck;                 /* (l) cut off in that                                             */
    char stuck[ED_JOB_NAME_BYTES]; /* in what: for the report                                         */
    bool searching;                /* (t)                                                             */
    unsigned number;               /* (c) for its name                                                */
    struct ed_later later;         /* where there are no threads: its next step                       */
    struct ed_job *step;           /* (t) what that runs; NULL: look for one                          */
    bool is_initialized;           /* (t)                                                             */

    _Alignas(ED_LINE) _Atomic uint64_t ended; /* jobs; written by the thread alone, before it answers */
    struct ed_outbox outboxes[];              /* one for each worker                                  */
};

struct eddy_thread_pool {
    struct ed_pool pool;        /* references also: each outbox under way, each thread that was cut off */
    unsigned threads_max;       /* (c) */
    size_t queue_max;           /* (c) */
    int64_t idle_ns;            /* (c) */
    int (*initializer)(void *); /* (c) */
    void *initializer_arg;      /* (c) */

    _Alignas(ED_LINE) struct ed_inbox inlet; /* any worker pushes, who holds the lock takes */
    _Atomic bool hungry;                     /* who pushes must look after it; written under the lock */

    _Alignas(ED_LINE) pthread_cond_t work; /* with the lock; (l) from here on */
    struct ed_job *first, *last;           /* the queue */
    size_t queued;
    bool is_hungry;                                     /* as `hungry`, on a line that pushers do not touch */
    struct ed_pool_thread *all;                         /* records */
    unsigned threads;                                   /* started and not yet ended                          */
    unsigned serving;                                   /* of these, will look for another job                */
    unsigned sleeping;                                  /* of these, wait for a wake-up                       */
    unsigned wakes;                                     /* given to sleepers (no longer `sleeping`) and not yet taken */
    unsigned searching;                                 /* 0 or 1: searches, has been woken to, or starts     */
    unsigned initializing;                              /* in the initializer                                 */
    unsigned started;                                   /* ever, for names                                    */
    bool closing, is_shut, is_ended, is_cut, is_broken; /* is_shut: the inlet is closed */
    eddy_error *broken;                                 /* why the initializer failed; NULL: no memory for that */
};

/* ---- thread_pool.c ------------------------------------------------------------------------------ */

/* The run's own, opened at its first use. 0, EDDY_EWRONGTHREAD, EDDY_ENOMEM, EDDY_ECLOSED. */
int ed_thread_pool_default(struct eddy_thread_pool **pool_out);

/* ---- job.c -------------------------------------------------------------------------------------- */

/* Its name or its function's address. */
void ed_job_describe(const struct ed_owned_job *owned, char text[static ED_JOB_NAME_BYTES]);
/* What it holds, and the record if it is owned. */
void ed_job_free(struct ed_job *job);

/* ---- pool_thread.c ------------------------------------------------------------------------------ */

/* Any worker. 0; EDDY_ECLOSED: the pool takes no more; EDDY_ELIMIT; or no thread serves and none can be started. */
int ed_pool_push(struct eddy_thread_pool *pool, struct ed_job *job);
/* The lock is held. All that was pushed is in the queue afterwards. */
void ed_pool_gather(struct eddy_thread_pool *pool);
/* The lock is held. As gather, and nothing can be pushed any more. */
void ed_pool_close_inlet(struct eddy_thread_pool *pool);
/* The lock is held: sees to it that somebody looks, if there are jobs, and sets `hungry`. A status: a thread was needed
 * and cannot be started. */
int ed_pool_call_threads(struct eddy_thread_pool *pool);
/* The lock is held. Jobs that are being run. */
size_t ed_pool_busy(const struct eddy_thread_pool *pool);
/* The lock is held: a QUEUED job that was gathered never runs. */
void ed_pool_take_back(struct eddy_thread_pool *pool, struct ed_job *job);
/* The lock is held, the pool is closing. True: no thread is left, and the caller must end the pool. */
bool ed_pool_ends_now(struct eddy_thread_pool *pool);

#endif
