/* run.h: the record of all pools of one run, and what pools of both kinds share; see exec.h. Inside exec/ only.
 *
 *   pool     open -> closing (begin_close) -> ended: its last thread has taken it from the list -> gone: a message has gone
 *            round the workers, the closer is told, the last reference is given back.
 *
 * The message round the workers: a call that has begun before the close ended may still be inside the pool's record on
 * another worker, refused, and reads its name. Such a call does not suspend there, so once a worker has taken a message, none
 * of its tasks is inside. */
#ifndef ED_EXEC_RUN_H
#define ED_EXEC_RUN_H

#include "base/base.h"
#include "exec/caller.h"

#include <pthread.h>

enum { ED_POOL_NAME_BYTES = 32 };

enum ed_close {
    ED_CLOSE,           /* refuse new work, end when there is none */
    ED_CLOSE_CANCEL,    /* and take back what has not begun        */
    ED_CLOSE_TERMINATE, /* and ask what has to end, then kill it: processes only */
    ED_CLOSE_KILL,      /* and kill what has: processes only       */
    ED_CLOSE_CUT        /* the run's deadline has passed: leave behind or kill what runs */
};

struct ed_pool;

struct ed_pool_kind {
    const char *closing; /* what a closer waits for */
    /* Called under the run's lock or by a closer; takes the pool's. May come again, with another word. True if the pool has no
     * thread left: it is then taken from the list and ends. Else its last thread does so (ed_pool_delist). */
    bool (*begin_close)(struct ed_pool *pool, enum ed_close how);
    void (*destroy)(struct ed_pool *pool); /* the last reference is gone: frees the record */
};

/* First in a pool of either kind. */
struct ed_pool {
    struct ed_list link;             /* in ed_exec.pools, under its lock                  */
    struct ed_exec *exec;            /* (c)                                               */
    const struct ed_pool_kind *kind; /* (c)                                               */
    char name[ED_POOL_NAME_BYTES];   /* (c)                                               */
    _Atomic unsigned references;     /* the run's list, or its closer; more by kind       */
    pthread_mutex_t lock;            /* of all that is under the pool's lock              */
    bool has_closer;                 /* lock                                              */
    struct ed_caller closer;         /* the task in ed_pool_close                         */
    struct ed_message round;         /* after the end: goes round the workers             */
    unsigned round_at;               /* whoever has `round`: the next worker              */
};

struct ed_exec {
    struct ed_sched *sched; /* (c)                                         */
    pthread_mutex_t lock;
    pthread_cond_t changed;                   /* `pools` got shorter                         */
    struct ed_list pools;                     /* lock                                        */
    _Atomic unsigned pools_count;             /* of them; written under the lock */
    bool closing;                             /* lock                                        */
    bool has_buried;                          /* lock                                        */
    pthread_t buried;                         /* lock: the last thread that ended            */
    struct eddy_thread_pool *_Atomic threads; /* the default pools, made at first use under the lock */
    struct eddy_process_pool *processes;      /* lock                                        */
};

/* The record of the calling worker's run; NULL outside. */
struct ed_exec *ed_exec_current(void);

/* A record in zeroed memory, with one reference. */
void ed_pool_init(struct ed_pool *pool, struct ed_exec *exec, const struct ed_pool_kind *kind, const char *name);
static inline void ed_pool_ref(struct ed_pool *pool) { ED_ADD(&pool->references, 1); }
void ed_pool_release(struct ed_pool *pool);

/* A pool that was put into the list, under the run's lock, and has got no thread. */
void ed_pool_unlist(struct ed_pool *pool);
/* Puts a new pool into the list. 0, or EDDY_ECLOSED when the run shuts down. */
int ed_pool_enlist(struct ed_pool *pool);
/* The pool has no thread left but perhaps the caller, and its begin_close gave false. */
void ed_pool_delist(struct ed_pool *pool);

/* Closes the pool and waits for its end: 0; EDDY_ESTATE: somebody closes it already; EDDY_EWRONGTHREAD; or the status of
 * an interruption: it goes on closing alone. NULL is nothing. */
int ed_pool_close(struct ed_pool *pool, enum ed_close how);

/* The calling thread is about to end. Its pool is still in the list, and stays there until this returns. */
void ed_exec_bury_self(struct ed_exec *exec);

/* The calling thread's, cut at 15 bytes. */
void ed_exec_name_thread(const char *name);

/* A condition variable that waits by the clock of eddy_time_ns(). */
int ed_exec_cond_init(pthread_cond_t *cond);
/* False: the clock shows deadline_ns. */
bool ed_exec_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);

/* Cores that this process may use, at least 1. */
unsigned ed_exec_cores(void);

#endif
