/* thread_pool.c: thread pools from open to close, and their figures. Protocol: thread_pool.h. */
#include "exec/thread_pool.h"
#include "exec/exec.h"
#include "task/task.h"

#include "eddy/loop.h"

#include <stdio.h>
#include <string.h>

enum { THREADS_MAX = 1024, DEFAULT_THREADS_MAX = 32 };
#define IDLE_DEFAULT_NS EDDY_SECONDS(10) /* a thread costs little to keep, 30 us to start again */

static struct eddy_thread_pool *pool_of(struct ed_pool *pool) {
    return ED_CONTAINER(pool, struct eddy_thread_pool, pool);
}

/* ---- closing ------------------------------------------------------------------------------------ */

/* The lock is held. */
static void cancel_queued(struct eddy_thread_pool *pool) {
    while (pool->first != NULL) {
        struct ed_job *job = pool->first;
        ed_pool_take_back(pool, job);
        job->status = EDDY_ECANCELED;
        ed_caller_wake(&job->caller);
    }
}

/* The lock is held. All threads in user code are counted out. The queue is empty: no task lives, and one that is cancelled
 * takes its queued job along. True: one is stuck in the initializer. */
static bool cut(struct eddy_thread_pool *pool) {
    ED_ASSERT(pool->queued == 0);
    pool->is_cut = true;
    unsigned stuck = pool->initializing;
    for (struct ed_pool_thread *thread = pool->all; thread != NULL; thread = thread->next) {
        if (thread->owned == NULL) continue;
        ED_ASSERT(thread->owned->job.abandoned);
        ed_job_describe(thread->owned, thread->stuck);
        thread->is_stuck = true;
        stuck++;
    }
    for (unsigned i = 0; i < stuck; i++) ed_pool_ref(&pool->pool);
    pool->threads -= stuck;
    pool->serving -= stuck;
    const bool in_initializer = pool->initializing > 0;
    pool->initializing = 0;
    return in_initializer;
}

/* Nobody changes the list of records any more. */
static void report_stuck(struct eddy_thread_pool *pool, bool in_initializer) {
    struct ed_sched *sched = pool->pool.exec->sched;
    if (in_initializer)
        ed_report(sched, &(eddy_report){.kind = EDDY_REPORT_SHUTDOWN,
                                        .message = "a thread pool's initializer still runs: left behind",
                                        .task = pool->pool.name});
    for (struct ed_pool_thread *thread = pool->all; thread != NULL; thread = thread->next)
        if (thread->is_stuck)
            ed_report(sched, &(eddy_report){.kind = EDDY_REPORT_SHUTDOWN,
                                            .message = "a thread function still runs: left behind",
                                            .task = thread->stuck});
}

static bool begin_close(struct ed_pool *base, enum ed_close how) {
    struct eddy_thread_pool *pool = pool_of(base);
    bool in_initializer = false, now;
    pthread_mutex_lock(&base->lock);
    ed_pool_close_inlet(pool);
    pool->closing = true;
    if (how == ED_CLOSE_CANCEL) cancel_queued(pool);
    pthread_cond_broadcast(&pool->work);
    if (how == ED_CLOSE_CUT) {
        ed_pool_ref(base); /* those that are cut off may all come back while they are reported */
        in_initializer = cut(pool);
    }
    now = ed_pool_ends_now(pool);
    pthread_mutex_unlock(&base->lock);
    if (how == ED_CLOSE_CUT) {
        report_stuck(pool, in_initializer);
        ed_pool_release(base);
    }
    return now;
}

static void destroy(struct ed_pool *base) {
    struct eddy_thread_pool *pool = pool_of(base);
    for (struct ed_pool_thread *thread = pool->all, *next; thread != NULL; thread = next) {
        next = thread->next;
        ed_free_aligned(thread);
    }
    eddy_error_release(pool->broken);
    pthread_cond_destroy(&pool->work);
    ed_free_aligned(pool);
}

static const struct ed_pool_kind thread_pool = {
    .closing = "thread pool to close", .begin_close = begin_close, .destroy = destroy};

int eddy_thread_pool_close(eddy_thread_pool *pool) {
    return ed_pool_close(pool != NULL ? &pool->pool : NULL, ED_CLOSE);
}

int eddy_thread_pool_cancel(eddy_thread_pool *pool) {
    return ed_pool_close(pool != NULL ? &pool->pool : NULL, ED_CLOSE_CANCEL);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static unsigned default_threads(const struct ed_sched *sched) {
    const unsigned cores = sched->driver->later == NULL ? ed_exec_cores() : sched->workers_count;
    const unsigned threads = cores + 4;
    return threads < DEFAULT_THREADS_MAX ? threads : DEFAULT_THREADS_MAX;
}

static int pool_create(struct ed_exec *exec, struct eddy_thread_pool **pool_out,
                       const eddy_thread_pool_options *options) {
    struct eddy_thread_pool *pool = ed_alloc_aligned(ED_LINE, sizeof *pool);
    if (pool == NULL) return EDDY_ENOMEM;
    memset(pool, 0, sizeof *pool);
    int status = ed_exec_cond_init(&pool->work);
    if (status < 0) {
        ed_free_aligned(pool);
        return status;
    }
    ed_pool_init(&pool->pool, exec, &thread_pool, options->name);
    pool->threads_max = options->threads != 0 ? options->threads : default_threads(exec->sched);
    pool->queue_max = options->queue_max;
    pool->idle_ns = options->idle_ns > 0 ? options->idle_ns : IDLE_DEFAULT_NS;
    pool->initializer = options->initializer;
    pool->initializer_arg = options->initializer_arg;
    ed_inbox_init(&pool->inlet);
    pool->is_hungry = true;
    ED_STORE_RELAXED(&pool->hungry, true);
    status = ed_pool_enlist(&pool->pool);
    if (status < 0) {
        ed_pool_release(&pool->pool);
        return status;
    }
    *pool_out = pool;
    return 0;
}

int eddy_thread_pool_create(eddy_thread_pool **pool_out, const eddy_thread_pool_options *options) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return EDDY_EWRONGTHREAD;
    const eddy_thread_pool_options defaults = eddy_thread_pool_options_init();
    if (options == NULL) options = &defaults;
    if (pool_out == NULL || options->size != sizeof *options || options->threads > THREADS_MAX) return EDDY_EINVAL;
    return pool_create(exec, pool_out, options);
}

int ed_thread_pool_default(struct eddy_thread_pool **pool_out) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return EDDY_EWRONGTHREAD;
    *pool_out = ED_LOAD_ACQUIRE(&exec->threads);
    if (*pool_out != NULL) return 0;
    eddy_thread_pool_options options = eddy_thread_pool_options_init();
    options.name = "eddy";
    struct eddy_thread_pool *pool;
    int status = 0;
    pthread_mutex_lock(&exec->lock);
    if (ED_LOAD_RELAXED(&exec->threads) == NULL) {
        status = pool_create(exec, &pool, &options);
        if (status == 0) ED_STORE_RELEASE(&exec->threads, pool);
    }
    *pool_out = ED_LOAD_RELAXED(&exec->threads);
    pthread_mutex_unlock(&exec->lock);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------------ */

void eddy_thread_pool_stats_read(eddy_thread_pool *pool, eddy_thread_pool_stats *stats_out) {
    memset(stats_out, 0, sizeof *stats_out);
    if (pool == NULL) {
        struct ed_exec *exec = ed_exec_current();
        if (exec != NULL) pool = ED_LOAD_ACQUIRE(&exec->threads);
        if (pool == NULL) return;
    }
    pthread_mutex_lock(&pool->pool.lock);
    ed_pool_gather(pool);
    stats_out->queued = pool->queued;
    stats_out->running = ed_pool_busy(pool);
    stats_out->threads = pool->threads;
    for (struct ed_pool_thread *thread = pool->all; thread != NULL; thread = thread->next)
        stats_out->done += ED_LOAD_RELAXED(&thread->ended);
    pthread_mutex_unlock(&pool->pool.lock);
}
