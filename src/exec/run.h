/* run.h: the record of all pools of one run; see exec.h. Inside exec/ only. */
#ifndef ED_EXEC_RUN_H
#define ED_EXEC_RUN_H

#include "base/base.h"
#include "sched/sched.h"

#include <pthread.h>

/* What the run knows of a pool of either kind. */
struct ed_pool {
    struct ed_list link;  /* in ed_exec.pools, under its lock */
    struct ed_exec *exec; /* (c)                              */
    /* All (c); called under the run's lock, they take the pool's. The first two give true if the pool has no thread
     * left: it is then taken from the list and `ended` called. Else its last thread does so (ed_pool_delist). */
    bool (*begin_close)(struct ed_pool *); /* refuse new work, end when there is none; idempotent      */
    bool (*cut_off)(struct ed_pool *);     /* the deadline has passed: leave behind or kill what runs  */
    void (*ended)(struct ed_pool *);       /* the list's reference goes, a closer is told              */
};

struct ed_exec {
    struct ed_sched *sched; /* (c)                                         */
    pthread_mutex_t lock;
    pthread_cond_t changed;              /* `pools` got shorter                         */
    struct ed_list pools;                /* lock                                        */
    bool closing;                        /* lock                                        */
    bool has_buried;                     /* lock                                        */
    pthread_t buried;                    /* lock: the last thread that ended            */
    struct eddy_thread_pool *threads;    /* lock: the default pools, made at first use  */
    struct eddy_process_pool *processes; /* lock                                        */
};

/* The record of the calling worker's run; NULL outside. */
struct ed_exec *ed_exec_current(void);

/* Puts a new pool into the list. 0, or EDDY_ECLOSED when the run shuts down. */
int ed_pool_enlist(struct ed_exec *exec, struct ed_pool *pool);
/* The pool has no thread left but perhaps the caller, and its begin_close or cut_off gave false. */
void ed_pool_delist(struct ed_pool *pool);

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
