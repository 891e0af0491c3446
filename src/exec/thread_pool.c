/* thread_pool.c: blocking functions on threads of their own.
 *
 * Problem    A job outlives the task that asked for it when that task is cancelled, or the whole run when its function
 *            never returns; and its task, its thread and a canceller may all look at it in the same moment.
 * Idea       Every transition of a job happens under its pool's lock; who made the last one knows what is left to do.
 *            Records are counted: the task and the thread hold one reference each.
 *
 *   job      QUEUED ---thread---> RUNNING ---thread---> DONE (the caller is told, unless abandoned or cut off)
 *              \---its task, the initializer's failure--> TAKEN_BACK (fn never runs)
 *            abandoned: set by the task while RUNNING: value and failure are the thread's to drop and report.
 *   thread   starts, runs the initializer, then jobs; leaves `serving` when it decides to end (closing, idle too long,
 *            failed initializer), is buried (exec.h), then leaves `threads`. Who takes `threads` to 0 in a closing
 *            pool ends the pool.
 *   pool     open -> closing -> ended; is_cut: the end of the run has counted out the threads that were in user code,
 *            each with a reference to the pool. What such a thread finds on its return: it detaches itself, frees
 *            its job, and touches nothing else.
 *
 * Invariants (T1) queued > 0 => serving > 0. (T2) A borrowing task returns only when its job is DONE or TAKEN_BACK.
 *            (T3) drop_arg runs once per job of the abandoning form, drop once per value nobody took.
 * Threads    Public functions: as thread.h says. Locks: exec.h.
 * Tests      tests/exec/thread_test.c. */
#include "exec/caller.h"
#include "exec/exec.h"
#include "exec/run.h"

#include "eddy/loop.h"
#include "eddy/thread.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 32, THREADS_MAX = 1024, DEFAULT_THREADS_MAX = 32 };
#define IDLE_DEFAULT_NS EDDY_SECONDS(10) /* a thread costs little to keep, 30 us to start again */

enum job_state { QUEUED, RUNNING, DONE, TAKEN_BACK };

struct job {
    struct ed_list link;           /* pool->queue or pool->running, under the lock       */
    struct ed_caller caller;       /* abandoned: carries the report of a failure         */
    struct eddy_thread_pool *pool; /* (c) one reference                                  */
    _Atomic unsigned references;
    eddy_thread_fn fn;           /* (c)                                                */
    void *arg;                   /* (c)                                                */
    eddy_drop_fn drop_arg, drop; /* (c)                                                */
    enum job_state state;        /* lock                                               */
    bool abandoned;              /* lock                                               */
    _Atomic bool cancelled;      /* asked by fn                                        */
    int status;                  /* once DONE or TAKEN_BACK                            */
    eddy_value value;            /* once DONE                                          */
    eddy_error *error;           /* once DONE: detail of a failure; moves to who reads */
    eddy_context *context;       /* the caller's locals, then fn's own: with the job   */
    char name[NAME_BYTES];       /* (c) empty: the function's address                  */
};

struct eddy_thread_pool {
    struct ed_pool pool;
    _Atomic unsigned references; /* the run's list, each job, each thread that was cut off */
    unsigned threads_max;        /* (c) */
    size_t queue_max;            /* (c) */
    int64_t idle_ns;             /* (c) */
    int (*initializer)(void *);  /* (c) */
    void *initializer_arg;       /* (c) */
    char name[NAME_BYTES];       /* (c) */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;
    struct ed_list queue, running;
    size_t queued, running_count;
    uint64_t done;
    unsigned threads;      /* started and not yet ended           */
    unsigned serving;      /* of these, will take another job     */
    unsigned initializing; /* of these, in the initializer   */
    unsigned started;      /* ever, for names                     */
    bool closing, is_ended, is_cut, is_broken;
    eddy_error *broken; /* why the initializer failed; NULL: no memory for that */
    bool has_closer;
    struct ed_caller closer; /* the task in eddy_thread_pool_close */
};

/* The job that a pool thread runs. Read and written by functions that never switch stacks. */
static _Thread_local struct job *current_job;

bool eddy_job_cancelled(void) { return current_job != NULL && ED_LOAD_RELAXED(&current_job->cancelled); }

/* ---- records ---------------------------------------------------------------------------------- */

static void pool_release(struct eddy_thread_pool *pool) {
    if (ED_SUB(&pool->references, 1) != 1) return;
    eddy_error_release(pool->broken);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    ed_free(pool);
}

static void job_release(struct job *job) {
    if (ED_SUB(&job->references, 1) != 1) return;
    eddy_error_release(job->error);
    eddy_context_release(job->context);
    pool_release(job->pool);
    ed_free(job);
}

static void job_describe(const struct job *job, char *text, size_t bytes) {
    if (job->name[0] != 0)
        snprintf(text, bytes, "%s", job->name);
    else
        snprintf(text, bytes, "fn=%p", (void *)(uintptr_t)job->fn);
}

static void report(struct ed_sched *sched, const struct job *job, eddy_report report) {
    char name[NAME_BYTES];
    job_describe(job, name, sizeof name);
    report.task = name;
    ed_report(sched, &report);
}

/* A failure that nobody waits for any more. The job is DONE. */
static void report_lost(struct ed_sched *sched, const struct job *job) {
    report(sched, job,
           (eddy_report){.kind = EDDY_REPORT_NEVER_RETRIEVED,
                         .message = "an abandoned thread function failed",
                         .status = job->status,
                         .error = job->error});
}

/* On the caller's worker. */
static void job_arrived(struct ed_caller *caller) {
    struct job *job = ED_CONTAINER(caller, struct job, caller);
    if (job->abandoned && job->status < 0) report_lost(caller->worker->sched, job);
    job_release(job);
}

/* ---- a pool's thread ---------------------------------------------------------------------------- */

/* Runs a function with its failure's detail captured. */
static int call_captured(int (*call)(void *), void *arg, eddy_error **error_out) {
    *error_out = NULL;
    ed_error_thread_slot(error_out);
    const int status = call(arg);
    ed_error_thread_slot(NULL);
    if (*error_out != NULL && (status >= 0 || eddy_error_status(*error_out) != status)) {
        eddy_error_release(*error_out);
        *error_out = NULL;
    }
    return status;
}

static int job_call(void *arg) {
    struct job *job = arg;
    return job->fn(job->arg, &job->value);
}

/* The lock is held, the pool is closing. True: no thread is left, and the caller must end the pool. */
static bool ends_now(struct eddy_thread_pool *pool) {
    if (pool->threads > 0 || pool->is_ended) return false;
    pool->is_ended = true;
    return true;
}

/* The run has ended without this thread, which comes back from user code. */
static void *end_alone(struct eddy_thread_pool *pool) {
    pthread_detach(pthread_self());
    pool_release(pool);
    return NULL;
}

/* Runs a job that is RUNNING. False: the run has ended without this thread. */
static bool run_job(struct eddy_thread_pool *pool, struct job *job) {
    current_job = job;
    ed_context_thread_slot(&job->context);
    eddy_error *error;
    const int status = call_captured(job_call, job, &error);
    ed_context_thread_slot(NULL);
    current_job = NULL;
    if (job->drop_arg != NULL) job->drop_arg(EDDY_PTR(job->arg));

    pthread_mutex_lock(&pool->lock);
    const bool is_cut = pool->is_cut, abandoned = job->abandoned;
    job->status = status;
    job->error = error;
    job->state = DONE;
    if (!is_cut) {
        ed_list_remove(&job->link);
        pool->running_count--;
        pool->done++;
    }
    pthread_mutex_unlock(&pool->lock);

    if (abandoned && status >= 0 && job->drop != NULL) job->drop(job->value);
    if (is_cut)
        job_release(job);
    else
        ed_caller_wake(&job->caller);
    return !is_cut;
}

/* The lock is held. The initializer failed: whatever waits, fails. */
static void break_pool(struct eddy_thread_pool *pool, int status, eddy_error *error) {
    pool->is_broken = true;
    if (pool->broken == NULL) {
        char text[256];
        snprintf(text, sizeof text, "thread pool '%s': its initializer failed with %s%s%s", pool->name,
                 eddy_status_name(status), error != NULL ? ": " : "", eddy_error_text(error));
        pool->broken = ed_error_create(EDDY_EBROKENPOOL, "", text);
    }
    eddy_error_release(error);
    for (struct ed_list *link; (link = ed_list_pop(&pool->queue)) != NULL;) {
        struct job *job = ED_CONTAINER(link, struct job, link);
        pool->queued--;
        job->state = TAKEN_BACK;
        job->status = EDDY_EBROKENPOOL;
        if (pool->broken != NULL) job->error = eddy_error_share(pool->broken);
        ed_caller_wake(&job->caller);
    }
}

/* Takes the next job, waiting for one if asked. NULL: the thread is to end, and left `serving`. The lock is held. */
static struct job *next_job(struct eddy_thread_pool *pool, bool may_wait) {
    const int64_t idle_until_ns = eddy_time_ns() + pool->idle_ns;
    while (may_wait && pool->queued == 0 && !pool->closing && !pool->is_broken)
        if (!ed_exec_cond_wait_until(&pool->work, &pool->lock, idle_until_ns)) break;
    if (pool->queued == 0) {
        pool->serving--;
        return NULL;
    }
    struct job *job = ED_CONTAINER(ed_list_pop(&pool->queue), struct job, link);
    ED_ASSERT(job->state == QUEUED);
    job->state = RUNNING;
    pool->queued--;
    pool->running_count++;
    ed_list_push(&pool->running, &job->link);
    return job;
}

/* The lock is held; it is not while the initializer runs. False: the run has ended without this thread. */
static bool initialize(struct eddy_thread_pool *pool) {
    if (pool->initializer == NULL) return true;
    pool->initializing++;
    pthread_mutex_unlock(&pool->lock);
    eddy_error *error;
    const int status = call_captured(pool->initializer, pool->initializer_arg, &error);
    pthread_mutex_lock(&pool->lock);
    if (pool->is_cut) {
        eddy_error_release(error);
        return false;
    }
    pool->initializing--;
    if (status < 0) break_pool(pool, status, error);
    return true;
}

/* The thread touches nothing of the pool's after this. */
static void leave(struct eddy_thread_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->threads--;
    const bool last = pool->closing && ends_now(pool);
    pthread_mutex_unlock(&pool->lock);
    if (last) ed_pool_delist(&pool->pool);
}

static void *thread_body(void *arg) {
    struct eddy_thread_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    char name[NAME_BYTES + 16];
    snprintf(name, sizeof name, "%.9s-%u", pool->name, pool->started++);
    ed_exec_name_thread(name);
    if (!initialize(pool)) {
        pthread_mutex_unlock(&pool->lock);
        return end_alone(pool);
    }
    for (struct job *job; (job = next_job(pool, true)) != NULL;) {
        pthread_mutex_unlock(&pool->lock);
        if (!run_job(pool, job)) return end_alone(pool);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    ed_exec_bury_self(pool->pool.exec);
    leave(pool);
    return NULL;
}

/* Where there are no threads: one in steps, each at a time of the driver's choice. What a thread does between two looks
 * at the pool is one step; it ends where a thread would wait. Never cut off: the run ends after the last step. */
struct stepper {
    struct ed_later later;
    struct eddy_thread_pool *pool;
    struct job *job; /* to run in the next step; NULL: look for one */
    bool is_initialized;
};

static void step(struct ed_later *later) {
    struct stepper *stepper = ED_CONTAINER(later, struct stepper, later);
    struct eddy_thread_pool *pool = stepper->pool;
    struct ed_sched *sched = pool->pool.exec->sched;
    if (stepper->job != NULL) {
        (void)run_job(pool, stepper->job);
        stepper->job = NULL;
    } else {
        pthread_mutex_lock(&pool->lock);
        if (!stepper->is_initialized) (void)initialize(pool);
        stepper->is_initialized = true;
        stepper->job = next_job(pool, false);
        pthread_mutex_unlock(&pool->lock);
        if (stepper->job == NULL) {
            ed_free(stepper);
            leave(pool);
            return;
        }
    }
    sched->driver->later(sched, later);
}

/* The lock is held. A thread, or what stands for one. */
static int begin_thread(struct eddy_thread_pool *pool) {
    struct ed_sched *sched = pool->pool.exec->sched;
    pthread_t thread;
    if (sched->driver->later == NULL) return ed_thread_create(&thread, thread_body, pool);
    struct stepper *stepper = ed_calloc(sizeof *stepper);
    if (stepper == NULL) return EDDY_ENOMEM;
    stepper->pool = pool;
    stepper->later.run = step;
    sched->driver->later(sched, &stepper->later);
    return 0;
}

/* ---- the pool ----------------------------------------------------------------------------------- */

static struct eddy_thread_pool *pool_of(struct ed_pool *pool) {
    return ED_CONTAINER(pool, struct eddy_thread_pool, pool);
}

static bool begin_close(struct ed_pool *base) {
    struct eddy_thread_pool *pool = pool_of(base);
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    const bool now = ends_now(pool);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

/* All threads in user code are counted out. The queue is empty: no task lives, and one that is cancelled takes its
 * queued job along. */
static bool cut_off(struct ed_pool *base) {
    struct eddy_thread_pool *pool = pool_of(base);
    struct ed_list left_behind;
    ed_list_init(&left_behind);
    pthread_mutex_lock(&pool->lock);
    ED_ASSERT(pool->queued == 0);
    pool->is_cut = true;
    const unsigned cut = (unsigned)pool->running_count + pool->initializing;
    const bool in_initializer = pool->initializing > 0;
    for (struct ed_list *link; (link = ed_list_pop(&pool->running)) != NULL;) {
        struct job *job = ED_CONTAINER(link, struct job, link);
        ED_ASSERT(job->abandoned);
        ED_ADD(&job->references, 1);
        ed_list_push(&left_behind, link);
    }
    ED_ADD(&pool->references, cut);
    pool->threads -= cut;
    pool->serving -= cut;
    pool->running_count = 0;
    pool->initializing = 0;
    const bool now = ends_now(pool);
    pthread_mutex_unlock(&pool->lock);

    if (in_initializer)
        ed_report(base->exec->sched, &(eddy_report){.kind = EDDY_REPORT_SHUTDOWN,
                                                    .message = "a thread pool's initializer still runs: left behind",
                                                    .task = pool->name});
    for (struct ed_list *link; (link = ed_list_pop(&left_behind)) != NULL;) {
        struct job *job = ED_CONTAINER(link, struct job, link);
        report(base->exec->sched, job,
               (eddy_report){.kind = EDDY_REPORT_SHUTDOWN, .message = "a thread function still runs: left behind"});
        job_release(job);
    }
    return now;
}

static void pool_ended(struct ed_pool *base) {
    struct eddy_thread_pool *pool = pool_of(base);
    pthread_mutex_lock(&pool->lock);
    const bool has_closer = pool->has_closer;
    pthread_mutex_unlock(&pool->lock);
    if (has_closer)
        ed_caller_wake(&pool->closer);
    else
        pool_release(pool);
}

static void closer_arrived(struct ed_caller *closer) {
    pool_release(ED_CONTAINER(closer, struct eddy_thread_pool, closer));
}

static unsigned default_threads(const struct ed_sched *sched) {
    const unsigned cores = sched->driver->later == NULL ? ed_exec_cores() : sched->workers_count;
    const unsigned threads = cores + 4;
    return threads < DEFAULT_THREADS_MAX ? threads : DEFAULT_THREADS_MAX;
}

static int pool_create(struct ed_exec *exec, struct eddy_thread_pool **pool_out,
                       const eddy_thread_pool_options *options) {
    struct eddy_thread_pool *pool = ed_calloc(sizeof *pool);
    if (pool == NULL) return EDDY_ENOMEM;
    int status = ed_exec_cond_init(&pool->work);
    if (status < 0) {
        ed_free(pool);
        return status;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pool->references = 1;
    pool->pool.begin_close = begin_close;
    pool->pool.cut_off = cut_off;
    pool->pool.ended = pool_ended;
    pool->threads_max = options->threads != 0 ? options->threads : default_threads(exec->sched);
    pool->queue_max = options->queue_max;
    pool->idle_ns = options->idle_ns > 0 ? options->idle_ns : IDLE_DEFAULT_NS;
    pool->initializer = options->initializer;
    pool->initializer_arg = options->initializer_arg;
    snprintf(pool->name, sizeof pool->name, "%s", options->name != NULL ? options->name : "pool");
    ed_list_init(&pool->queue);
    ed_list_init(&pool->running);
    status = ed_pool_enlist(exec, &pool->pool);
    if (status < 0) {
        pool_release(pool);
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

static int default_pool(struct eddy_thread_pool **pool_out) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return EDDY_EWRONGTHREAD;
    eddy_thread_pool_options options = eddy_thread_pool_options_init();
    options.name = "eddy";
    int status = 0;
    pthread_mutex_lock(&exec->lock);
    if (exec->threads == NULL) status = pool_create(exec, &exec->threads, &options);
    *pool_out = exec->threads;
    pthread_mutex_unlock(&exec->lock);
    return status;
}

int eddy_thread_pool_close(eddy_thread_pool *pool) {
    if (pool == NULL) return 0;
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    pthread_mutex_lock(&pool->lock);
    const bool closed_before = pool->has_closer;
    if (!closed_before) {
        ED_ADD(&pool->references, 1); /* the closer's */
        ed_caller_init(&pool->closer, closer_arrived);
        pool->has_closer = true;
    }
    pthread_mutex_unlock(&pool->lock);
    if (closed_before) return EDDY_ESTATE;

    if (begin_close(&pool->pool)) ed_pool_delist(&pool->pool);
    int interrupted = 0;
    const bool ended = ed_caller_park(&pool->closer, "thread pool to close", &interrupted);
    pool_release(pool);
    return ended ? 0 : interrupted;
}

void eddy_thread_pool_stats_read(eddy_thread_pool *pool, eddy_thread_pool_stats *stats_out) {
    memset(stats_out, 0, sizeof *stats_out);
    if (pool == NULL) {
        struct ed_exec *exec = ed_exec_current();
        if (exec == NULL) return;
        pthread_mutex_lock(&exec->lock);
        pool = exec->threads;
        pthread_mutex_unlock(&exec->lock);
        if (pool == NULL) return;
    }
    pthread_mutex_lock(&pool->lock);
    stats_out->queued = pool->queued;
    stats_out->running = pool->running_count;
    stats_out->threads = pool->threads;
    stats_out->done = pool->done;
    pthread_mutex_unlock(&pool->lock);
}

/* ---- jobs --------------------------------------------------------------------------------------- */

/* The lock is held. */
static int start_thread(struct eddy_thread_pool *pool) {
    const int status = begin_thread(pool);
    if (status < 0) return status;
    pool->threads++;
    pool->serving++;
    return 0;
}

/* Queues a job (with the task's and the thread's reference), and sees to it that a thread will take it. */
static int submit(struct eddy_thread_pool *pool, struct job *job) {
    pthread_mutex_lock(&pool->lock);
    if (pool->is_broken) {
        eddy_error *error = pool->broken != NULL ? eddy_error_share(pool->broken) : NULL;
        pthread_mutex_unlock(&pool->lock);
        if (error != NULL) ed_error_set_current(error);
        return EDDY_EBROKENPOOL;
    }
    int status = 0;
    const size_t free_threads = pool->serving - pool->running_count;
    if (pool->closing) {
        status = EDDY_ECLOSED;
    } else if (pool->queue_max > 0 && pool->serving == pool->threads_max &&
               pool->queued >= free_threads + pool->queue_max) {
        status = EDDY_ELIMIT;
    } else {
        job->state = QUEUED;
        ed_list_push(&pool->queue, &job->link);
        pool->queued++;
        pthread_cond_signal(&pool->work);
        if (pool->queued > free_threads && pool->serving < pool->threads_max) status = start_thread(pool);
        if (status < 0 && pool->serving == 0) { /* (T1) */
            ed_list_remove(&job->link);
            pool->queued--;
        } else {
            status = 0;
        }
    }
    pthread_mutex_unlock(&pool->lock);

    if (status == 0) return 0;
    if (status == EDDY_ECLOSED) return eddy_fail(status, "thread pool '%s' is closing", pool->name);
    if (status == EDDY_ELIMIT)
        return eddy_fail(status, "thread pool '%s': %zu jobs wait already", pool->name, pool->queue_max);
    return eddy_fail(status, "thread pool '%s': cannot start a thread", pool->name);
}

/* The task was interrupted. True: it need not wait for the job's message. */
static bool give_up(struct eddy_thread_pool *pool, struct job *job, bool may_abandon) {
    pthread_mutex_lock(&pool->lock);
    const bool take_back = job->state == QUEUED;
    if (take_back) {
        ed_list_remove(&job->link);
        pool->queued--;
        job->state = TAKEN_BACK;
    } else if (job->state == RUNNING) {
        ED_STORE_RELAXED(&job->cancelled, true);
        job->abandoned = may_abandon;
    } /* else its message is on the way */
    const bool leave = take_back || job->abandoned;
    pthread_mutex_unlock(&pool->lock);
    if (take_back) job_release(job); /* the reference of a thread that will never see it */
    return leave;
}

/* What a job that nobody waits for any more ended with, on the caller's worker. */
static void lose_result(struct job *job) {
    if (job->status < 0)
        report_lost(job->caller.worker->sched, job);
    else if (job->drop != NULL)
        job->drop(job->value);
}

/* The life of one job on its task's side. *ran_out: fn has begun, drop_arg is the thread's. */
static int run_to_end(struct eddy_thread_pool *pool, struct job *job, bool abandoning, eddy_value *value_out,
                      bool *ran_out) {
    *ran_out = false;
    int status = submit(pool, job);
    if (status < 0) {
        job_release(job); /* the thread's */
        return status;
    }
    int interrupted = 0;
    while (!ed_caller_park(&job->caller, "thread", &interrupted))
        if (give_up(pool, job, abandoning)) break;
    if (job->abandoned) { /* by this task; the rest is the thread's */
        *ran_out = true;
        return interrupted;
    }
    *ran_out = job->state == DONE;
    if (job->state == DONE && abandoning && (interrupted < 0 || value_out == NULL)) {
        if (interrupted < 0 || job->status >= 0) lose_result(job);
    } else if (job->state == DONE && value_out != NULL && (!abandoning || job->status >= 0)) {
        *value_out = job->value;
    }
    if (interrupted < 0) return interrupted;
    if (job->error != NULL) {
        ed_error_set_current(job->error);
        job->error = NULL;
    }
    return job->status;
}

static int run_in_pool(struct eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, const eddy_abandon_options *abandon,
                       eddy_value *value_out) {
    struct job *job = ed_calloc(sizeof *job);
    bool ran = false;
    int status = EDDY_ENOMEM;
    if (job != NULL) {
        job->references = 2; /* the task's and the thread's */
        job->pool = pool;
        ED_ADD(&pool->references, 1);
        job->fn = fn;
        job->arg = arg;
        job->context = ed_context_capture(ed_worker_current());
        if (abandon != NULL) {
            job->drop_arg = abandon->drop_arg;
            job->drop = abandon->drop;
            if (abandon->name != NULL) snprintf(job->name, sizeof job->name, "%s", abandon->name);
        }
        ed_caller_init(&job->caller, job_arrived);
        status = run_to_end(pool, job, abandon != NULL, value_out, &ran);
        job_release(job);
    }
    if (!ran && abandon != NULL && abandon->drop_arg != NULL) abandon->drop_arg(EDDY_PTR(arg));
    return status;
}

/* What the four public calls share. */
static int run_from_task(eddy_thread_pool *pool, bool is_default, eddy_thread_fn fn, void *arg,
                         const eddy_abandon_options *abandon, eddy_value *value_out) {
    if (value_out != NULL) *value_out = EDDY_NONE;
    int status = 0;
    if (ed_fiber_current() == NULL)
        status = EDDY_EWRONGTHREAD;
    else if (fn == NULL || (pool == NULL && !is_default) || (abandon != NULL && abandon->size != sizeof *abandon))
        status = EDDY_EINVAL;
    else if (is_default)
        status = default_pool(&pool);
    if (status == 0) return run_in_pool(pool, fn, arg, abandon, value_out);
    if (abandon != NULL && abandon->drop_arg != NULL) abandon->drop_arg(EDDY_PTR(arg));
    return status;
}

int eddy_thread_pool_run(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, eddy_value *value_out) {
    return run_from_task(pool, false, fn, arg, NULL, value_out);
}

int eddy_to_thread(eddy_thread_fn fn, void *arg, eddy_value *value_out) {
    return run_from_task(NULL, true, fn, arg, NULL, value_out);
}

int eddy_thread_pool_abandon(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, const eddy_abandon_options *options,
                             eddy_value *value_out) {
    const eddy_abandon_options defaults = eddy_abandon_options_init();
    return run_from_task(pool, false, fn, arg, options != NULL ? options : &defaults, value_out);
}

int eddy_to_thread_abandon(eddy_thread_fn fn, void *arg, const eddy_abandon_options *options, eddy_value *value_out) {
    const eddy_abandon_options defaults = eddy_abandon_options_init();
    return run_from_task(NULL, true, fn, arg, options != NULL ? options : &defaults, value_out);
}
