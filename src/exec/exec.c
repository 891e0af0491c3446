/* exec.c: the record of all pools of one run: enlisting, the end. Protocol: exec.h. */
#include "exec/exec.h"
#include "exec/run.h"

#include "eddy/loop.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct ed_exec *ed_exec_current(void) {
    struct ed_worker *worker = ed_worker_current();
    return worker == NULL ? NULL : worker->sched->exec_data;
}

int ed_exec_open(struct ed_sched *sched) {
    struct ed_exec *exec = ed_calloc(sizeof *exec);
    if (exec == NULL) return EDDY_ENOMEM;
    int status = ed_exec_cond_init(&exec->changed);
    if (status < 0) {
        ed_free(exec);
        return status;
    }
    pthread_mutexattr_t recursive; /* reports are made under it, and a handler may ask for figures */
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&exec->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    ed_list_init(&exec->pools);
    exec->sched = sched;
    sched->exec_data = exec;
    return 0;
}

/* ---- a pool's life ------------------------------------------------------------------------------ */

static void closer_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_pool *pool = ED_CONTAINER(message, struct ed_pool, closer.message);
    (void)worker;
    ed_caller_arrives(&pool->closer);
    ed_pool_release(pool);
}

/* On to the next worker, and behind the last one to the closer. The record may be gone when a post has succeeded. */
static void go_round(struct ed_pool *pool) {
    struct ed_sched *sched = pool->exec->sched;
    while (pool->round_at < sched->workers_count) {
        struct ed_worker *worker = sched->workers[pool->round_at++];
        if (worker == pool->closer.worker) continue; /* what tells the closer arrives there */
        if (ed_post(worker, &pool->round) == 0) return;
    }
    ed_caller_wake(&pool->closer);
}

static void round_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    go_round(ED_CONTAINER(message, struct ed_pool, round));
}

void ed_pool_init(struct ed_pool *pool, struct ed_exec *exec, const struct ed_pool_kind *kind, const char *name) {
    pool->exec = exec;
    pool->kind = kind;
    pool->references = 1;
    pool->round.arrive = round_arrives;
    snprintf(pool->name, sizeof pool->name, "%s", name != NULL ? name : "pool");
    pthread_mutex_init(&pool->lock, NULL);
}

void ed_pool_release(struct ed_pool *pool) {
    if (ED_SUB(&pool->references, 1) != 1) return;
    pthread_mutex_destroy(&pool->lock);
    pool->kind->destroy(pool);
}

int ed_pool_enlist(struct ed_pool *pool) {
    struct ed_exec *exec = pool->exec;
    pthread_mutex_lock(&exec->lock);
    const bool closing = exec->closing;
    if (!closing) {
        ed_list_push(&exec->pools, &pool->link);
        ED_ADD(&exec->pools_count, 1);
    }
    pthread_mutex_unlock(&exec->lock);
    return closing ? EDDY_ECLOSED : 0;
}

void ed_pool_unlist(struct ed_pool *pool) {
    struct ed_exec *exec = pool->exec;
    ed_list_remove(&pool->link);
    if (ED_SUB(&exec->pools_count, 1) == 1 && exec->closing) ed_idle_wake(exec->sched->workers[0]); /* wait_for_pools */
}

/* The run's lock is held: the pool has no thread left. */
static void ended(struct ed_pool *pool) {
    ed_pool_unlist(pool);
    pthread_mutex_lock(&pool->lock);
    const bool has_closer = pool->has_closer;
    pthread_mutex_unlock(&pool->lock);
    if (has_closer)
        go_round(pool); /* the list's reference goes to the closer's message */
    else
        ed_pool_release(pool);
}

void ed_pool_delist(struct ed_pool *pool) {
    struct ed_exec *exec = pool->exec;
    pthread_mutex_lock(&exec->lock);
    ended(pool);
    pthread_cond_broadcast(&exec->changed);
    pthread_mutex_unlock(&exec->lock);
}

int ed_pool_close(struct ed_pool *pool, enum ed_close how) {
    if (pool == NULL) return 0;
    if (ed_fiber_current() == NULL) return ed_outside_task();
    pthread_mutex_lock(&pool->lock);
    const bool closed_before = pool->has_closer;
    if (!closed_before) {
        ed_pool_ref(pool); /* the closer's */
        ed_caller_init(&pool->closer, closer_arrives);
        pool->has_closer = true;
    }
    pthread_mutex_unlock(&pool->lock);
    if (closed_before) return EDDY_ESTATE;

    if (pool->kind->begin_close(pool, how)) ed_pool_delist(pool);
    int interrupted = 0;
    (void)ed_caller_park(&pool->closer, pool->kind->closing, &interrupted);
    ed_pool_release(pool);
    return interrupted; /* also together with the end: the request was delivered here, and would be lost */
}

/* ---- the end of the run ------------------------------------------------------------------------- */

void ed_exec_bury_self(struct ed_exec *exec) {
    pthread_mutex_lock(&exec->lock);
    const bool has_before = exec->has_buried;
    const pthread_t before = exec->buried;
    exec->buried = pthread_self();
    exec->has_buried = true;
    pthread_mutex_unlock(&exec->lock);
    if (has_before) pthread_join(before, NULL);
}

/* Closes each pool in this way; those without a thread end here. */
static void each_pool(struct ed_exec *exec, enum ed_close how) {
    for (struct ed_list *link = exec->pools.next, *next; link != &exec->pools; link = next) {
        next = link->next;
        struct ed_pool *pool = ED_CONTAINER(link, struct ed_pool, link);
        if (!pool->kind->begin_close(pool, how)) continue;
        ended(pool);
    }
}

/* Until all pools have ended, or the deadline: worker 0 turns, for it may be the home of processes (process_pool.h). In a
 * simulation the other side of a pool is done by now. */
static void wait_for_pools(struct ed_exec *exec, int64_t deadline_ns) {
    struct ed_sched *sched = exec->sched;
    struct ed_worker *worker = sched->workers[0];
    while (sched->driver->later == NULL && ED_LOAD_SEQCST(&exec->pools_count) > 0 && eddy_time_ns() < deadline_ns) {
        if (ed_worker_turn(worker)) continue;
        if (!ed_idle_prepare(worker)) continue;
        const int64_t timer_ns = ed_timers_next(worker);
        if (ED_LOAD_SEQCST(&exec->pools_count) > 0)
            sched->driver->poll(worker, timer_ns < deadline_ns ? timer_ns : deadline_ns);
        ed_idle_awake(worker);
    }
}

void ed_exec_shutdown(struct ed_sched *sched, int64_t deadline_ns) {
    struct ed_exec *exec = sched->exec_data;
    pthread_mutex_lock(&exec->lock);
    exec->closing = true;
    each_pool(exec, ED_CLOSE);
    pthread_mutex_unlock(&exec->lock);
    wait_for_pools(exec, deadline_ns);
    pthread_mutex_lock(&exec->lock);
    each_pool(exec, ED_CLOSE_CUT);
    pthread_mutex_unlock(&exec->lock);
    wait_for_pools(exec, INT64_MAX);
    pthread_mutex_lock(&exec->lock);
    while (!ed_list_empty(&exec->pools)) pthread_cond_wait(&exec->changed, &exec->lock);
    const bool has_buried = exec->has_buried;
    exec->has_buried = false;
    pthread_mutex_unlock(&exec->lock);
    if (has_buried) pthread_join(exec->buried, NULL);
}

void ed_exec_close(struct ed_sched *sched) {
    struct ed_exec *exec = sched->exec_data;
    ED_ASSERT(ed_list_empty(&exec->pools));
    ED_ASSERT(!exec->has_buried);
    pthread_cond_destroy(&exec->changed);
    pthread_mutex_destroy(&exec->lock);
    sched->exec_data = NULL;
    ed_free(exec);
}

void ed_exec_name_thread(const char *name) {
    char cut[16];
    strncpy(cut, name, sizeof cut - 1);
    cut[sizeof cut - 1] = 0;
    pthread_setname_np(pthread_self(), cut);
}

int ed_exec_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error != 0) return -error;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    error = pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
    return -error;
}

bool ed_exec_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns) {
    const struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    return pthread_cond_timedwait(cond, lock, &deadline) != ETIMEDOUT;
}

unsigned ed_exec_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
    const int cores = CPU_COUNT(&set);
    return cores < 1 ? 1 : (unsigned)cores;
}
