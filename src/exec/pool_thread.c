/* pool_thread.c: a pool's threads: how they find jobs, sleep, run, answer and end. Protocol: thread_pool.h.
 *
 * Waking     One thread at a time is on its way to look (`searching`): started, woken, or spinning for a moment after it ran
 *            dry. When it finds a job it first calls the next one, if more is queued. So a burst wakes threads one by one,
 *            as long as there is work, and who pushes into a pool where somebody looks does nothing but push. */
#include "exec/exec.h"
#include "exec/thread_pool.h"

#include "eddy/loop.h"

#include <stdio.h>
#include <string.h>

enum { SPINS = 200 }; /* some microseconds: less than a sleep and a wake-up cost */

/* The job that a pool thread runs. Read and written by functions that never switch stacks. */
static _Thread_local struct ed_job *current_job;

bool eddy_job_cancelled(void) { return current_job != NULL && ED_LOAD_RELAXED(&current_job->cancelled); }

/* ---- who looks ------------------------------------------------------------------------------------ */

static int begin_thread(struct eddy_thread_pool *pool);

/* Takes over a chain of messages, linked by `next` as the queue is. */
static void queue_all(struct eddy_thread_pool *pool, struct ed_message *oldest) {
    for (struct ed_message *message = oldest; message != NULL; message = message->next) {
        struct ed_job *job = ED_CONTAINER(message, struct ed_job, caller.message);
        job->prev = pool->last;
        if (pool->last != NULL)
            pool->last->caller.message.next = message;
        else
            pool->first = job;
        pool->last = job;
        pool->queued++;
    }
}

static struct ed_job *next_of(struct ed_job *job) {
    struct ed_message *next = job->caller.message.next;
    return next != NULL ? ED_CONTAINER(next, struct ed_job, caller.message) : NULL;
}

/* The lock is held. */
static void unqueue(struct eddy_thread_pool *pool, struct ed_job *job) {
    struct ed_job *next = next_of(job);
    if (job->prev != NULL)
        job->prev->caller.message.next = job->caller.message.next;
    else
        pool->first = next;
    if (next != NULL)
        next->prev = job->prev;
    else
        pool->last = job->prev;
    pool->queued--;
}

void ed_pool_gather(struct eddy_thread_pool *pool) { queue_all(pool, ed_inbox_take(&pool->inlet)); }

void ed_pool_close_inlet(struct eddy_thread_pool *pool) {
    if (!pool->is_shut) queue_all(pool, ed_inbox_close(&pool->inlet));
    pool->is_shut = true;
}

size_t ed_pool_busy(const struct eddy_thread_pool *pool) {
    uint64_t busy = 0;
    for (struct ed_pool_thread *thread = pool->all; thread != NULL; thread = thread->next)
        busy += thread->taken - ED_LOAD_RELAXED(&thread->ended);
    return busy;
}

/* The lock is held, nobody searches. */
static int call_one(struct eddy_thread_pool *pool) {
    if (pool->sleeping > 0) {
        pool->sleeping--;
        pool->wakes++;
        pthread_cond_signal(&pool->work);
    } else if (pool->serving < pool->threads_max && pool->queued > pool->serving - ed_pool_busy(pool)) {
        const int status = begin_thread(pool);
        if (status < 0) return status;
        pool->threads++;
        pool->serving++;
    } else {
        return 0; /* all are busy and will look, or one is between two jobs */
    }
    pool->searching = 1;
    return 0;
}

int ed_pool_call_threads(struct eddy_thread_pool *pool) {
    for (;;) {
        int status = 0;
        if (pool->queued > 0 && pool->searching == 0) status = call_one(pool);
        const bool hungry = pool->searching == 0 && (pool->sleeping > 0 || pool->serving < pool->threads_max);
        const bool was_hungry = pool->is_hungry;
        if (hungry == was_hungry) return status;
        pool->is_hungry = hungry;
        ED_STORE_SEQCST(&pool->hungry, hungry);
        /* Who pushed before the store told nobody: partner of the look at `hungry` in ed_pool_push. */
        if (!hungry || pool->is_shut || ed_inbox_empty(&pool->inlet)) return status;
        ed_pool_gather(pool);
    }
}

void ed_pool_take_back(struct eddy_thread_pool *pool, struct ed_job *job) {
    unqueue(pool, job);
    ED_STORE_RELAXED(&job->state, ED_JOB_TAKEN_BACK);
}

/* The lock is held. The job was pushed, and perhaps nobody looks. A thread may have it by now, or have answered it. */
static int see_to(struct eddy_thread_pool *pool, struct ed_job *job) {
    ed_pool_gather(pool);
    const int status = ed_pool_call_threads(pool);
    if (status == 0 || pool->serving > 0 || ED_LOAD_RELAXED(&job->state) != ED_JOB_QUEUED) return 0;
    ed_pool_take_back(pool, job); /* (T1) */
    return status;
}

static int push_within_limit(struct eddy_thread_pool *pool, struct ed_job *job) {
    int status;
    pthread_mutex_lock(&pool->pool.lock);
    ed_pool_gather(pool);
    if (pool->queued >= pool->threads_max - ed_pool_busy(pool) + pool->queue_max && !pool->is_shut)
        status = EDDY_ELIMIT;
    else if ((status = ed_inbox_push(&pool->inlet, &job->caller.message)) == 0)
        status = see_to(pool, job);
    pthread_mutex_unlock(&pool->pool.lock);
    return status;
}

int ed_pool_push(struct eddy_thread_pool *pool, struct ed_job *job) {
    if (ED_UNLIKELY(pool->queue_max > 0)) return push_within_limit(pool, job);
    int status = ed_inbox_push(&pool->inlet, &job->caller.message);
    if (status < 0 || !ED_LOAD_SEQCST(&pool->hungry)) return status; /* partner: ed_pool_call_threads */
    pthread_mutex_lock(&pool->pool.lock);
    status = see_to(pool, job);
    pthread_mutex_unlock(&pool->pool.lock);
    return status;
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void outbox_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_outbox *box = ED_CONTAINER(message, struct ed_outbox, message);
    struct ed_outbox *first = box - worker->index;
    struct eddy_thread_pool *pool = ED_CONTAINER(first, struct ed_pool_thread, outboxes[0])->pool;
    ed_outbox_arrives(box, worker);
    ed_pool_release(&pool->pool);
}

/* The job is not this thread's any more after this. */
static void answer(struct ed_pool_thread *thread, struct ed_job *job) {
    struct ed_worker *worker = job->caller.worker;
    struct ed_outbox *box = &thread->outboxes[worker->index];
    if (!ed_outbox_push(box, &job->caller.message)) return;
    ed_pool_ref(&thread->pool->pool);
    const int status = ed_post(worker, &box->message);
    ED_ASSERT(status == 0); /* workers take messages until all executors have ended; who was cut off does not answer */
}

/* ---- running ------------------------------------------------------------------------------------ */

/* Runs a function with its failure's detail captured. */
static int call_captured(int (*call)(void *), void *arg, eddy_error **error_out) {
    *error_out = NULL;
    ed_error_thread_slot(error_out);
    const int status = call(arg);
    ed_error_thread_slot(NULL);
    if (ED_UNLIKELY(*error_out != NULL) && (status >= 0 || eddy_error_status(*error_out) != status)) {
        eddy_error_release(*error_out);
        *error_out = NULL;
    }
    return status;
}

struct body {
    eddy_thread_fn fn;
    void *arg;
    eddy_value *value;
};

static int call_body(void *arg) {
    const struct body *body = arg;
    return body->fn(body->arg, body->value);
}

static void note_ended(struct ed_pool_thread *thread) {
    ED_STORE_RELAXED(&thread->ended, ED_LOAD_RELAXED(&thread->ended) + 1);
}

/* The end of an abandoning job. False: the run has ended without this thread. */
static bool end_owned(struct ed_pool_thread *thread, struct ed_owned_job *owned) {
    struct eddy_thread_pool *pool = thread->pool;
    struct ed_job *job = &owned->job;
    if (owned->drop_arg != NULL) owned->drop_arg(EDDY_PTR(owned->arg));
    pthread_mutex_lock(&pool->pool.lock);
    const bool is_cut = pool->is_cut, abandoned = job->abandoned;
    ED_STORE_RELAXED(&job->state, ED_JOB_DONE);
    thread->owned = NULL;
    if (!is_cut) note_ended(thread);
    pthread_mutex_unlock(&pool->pool.lock);

    if (abandoned && job->status >= 0 && owned->drop != NULL) owned->drop(job->value);
    if (is_cut)
        ed_job_free(job);
    else
        answer(thread, job);
    return !is_cut;
}

/* Runs a job that is RUNNING. False: the run has ended without this thread. */
static bool run_job(struct ed_pool_thread *thread, struct ed_job *job) {
    struct body body = {job->fn, job->arg, &job->value};
    eddy_error *error;
    eddy_context *context = job->has & ED_JOB_HAS_CONTEXT ? job->context : NULL;
    job->value = EDDY_NONE;
    current_job = job;
    ed_context_thread_slot(&context);
    job->status = call_captured(call_body, &body, &error);
    ed_context_thread_slot(NULL);
    current_job = NULL;
    if (ED_UNLIKELY(context != NULL)) {
        job->context = context;
        job->has |= ED_JOB_HAS_CONTEXT;
    }
    if (ED_UNLIKELY(error != NULL)) {
        job->error = error;
        job->has |= ED_JOB_HAS_ERROR;
    }
    if (job->has & ED_JOB_IS_OWNED) return end_owned(thread, ED_CONTAINER(job, struct ed_owned_job, job));
    ED_STORE_RELAXED(&job->state, ED_JOB_DONE);
    note_ended(thread);
    answer(thread, job);
    return true;
}

/* The lock is held. The initializer failed: whatever waits, fails. */
static void break_pool(struct ed_pool_thread *thread, int status, eddy_error *error) {
    struct eddy_thread_pool *pool = thread->pool;
    ed_pool_close_inlet(pool);
    pool->is_broken = true;
    if (pool->broken == NULL) {
        char text[256];
        snprintf(text, sizeof text, "thread pool '%s': its initializer failed with %s%s%s", pool->pool.name,
                 eddy_status_name(status), error != NULL ? ": " : "", eddy_error_text(error));
        pool->broken = ed_error_create(EDDY_EBROKENPOOL, "", text);
    }
    eddy_error_release(error);
    while (pool->first != NULL) {
        struct ed_job *job = pool->first;
        ed_pool_take_back(pool, job);
        job->status = EDDY_EBROKENPOOL;
        if (pool->broken != NULL) {
            job->error = eddy_error_share(pool->broken);
            job->has |= ED_JOB_HAS_ERROR;
        }
        answer(thread, job);
    }
    pthread_cond_broadcast(&pool->work);
}

/* The lock is held: nobody is on the way to look because of this thread any more. */
static void search_end(struct ed_pool_thread *thread) {
    if (!thread->searching) return;
    thread->searching = false;
    thread->pool->searching = 0;
}

/* The lock is held; it is not while the initializer runs. False: the run has ended without this thread. */
static bool initialize(struct ed_pool_thread *thread) {
    struct eddy_thread_pool *pool = thread->pool;
    if (pool->initializer == NULL) return true;
    search_end(thread); /* it may take long: nobody waits for it to look */
    (void)ed_pool_call_threads(pool);
    pool->initializing++;
    pthread_mutex_unlock(&pool->pool.lock);
    eddy_error *error;
    const int status = call_captured(pool->initializer, pool->initializer_arg, &error);
    pthread_mutex_lock(&pool->pool.lock);
    if (pool->is_cut) {
        eddy_error_release(error);
        return false;
    }
    pool->initializing--;
    if (status < 0) break_pool(thread, status, error);
    return true;
}

/* ---- looking for a job ---------------------------------------------------------------------------- */

/* The lock is held; it is not while this spins. */
static void spin(struct ed_pool_thread *thread) {
    struct eddy_thread_pool *pool = thread->pool;
    thread->searching = true;
    pool->searching = 1;
    (void)ed_pool_call_threads(pool); /* not hungry */
    pthread_mutex_unlock(&pool->pool.lock);
    for (int i = 0; i < SPINS && ed_inbox_empty(&pool->inlet); i++) ed_cpu_relax();
    pthread_mutex_lock(&pool->pool.lock);
}

/* The lock is held: sleeps until it is called or idle for too long. False: the latter. */
static bool sleep_until_called(struct ed_pool_thread *thread, int64_t idle_until_ns) {
    struct eddy_thread_pool *pool = thread->pool;
    search_end(thread);
    pool->sleeping++;
    (void)ed_pool_call_threads(pool); /* hungry; what came meanwhile may wake this very thread */
    bool in_time = true;
    while (pool->wakes == 0 && !pool->closing && !pool->is_broken && in_time)
        in_time = ed_exec_cond_wait_until(&pool->work, &pool->pool.lock, idle_until_ns);
    if (pool->wakes > 0) {
        pool->wakes--;
        thread->searching = true; /* counted by who called */
        return true;
    }
    pool->sleeping--;
    return in_time;
}

/* The lock is held: the oldest job is this thread's, and runs. */
static struct ed_job *take_first(struct ed_pool_thread *thread) {
    struct eddy_thread_pool *pool = thread->pool;
    struct ed_job *job = pool->first;
    unqueue(pool, job);
    ED_ASSERT(ED_LOAD_RELAXED(&job->state) == ED_JOB_QUEUED);
    ED_STORE_RELAXED(&job->state, ED_JOB_RUNNING);
    thread->taken++;
    if (ED_UNLIKELY(job->has & ED_JOB_IS_OWNED)) thread->owned = ED_CONTAINER(job, struct ed_owned_job, job);
    return job;
}

/* Takes the next job, waiting for one if asked. NULL: the thread is to end, and left `serving`. The lock is held. */
static struct ed_job *next_job(struct ed_pool_thread *thread, bool may_wait) {
    struct eddy_thread_pool *pool = thread->pool;
    if (ED_LIKELY(pool->queued > 0 && !pool->is_hungry && !thread->searching))
        return take_first(thread); /* nobody can be called, and nothing changes that */
    int64_t idle_until_ns = 0;
    bool has_spun = false, in_time = true;
    for (;;) {
        if (pool->queued == 0) ed_pool_gather(pool);
        if (pool->queued > 0 || !may_wait || !in_time || pool->closing || pool->is_broken) break;
        if (!has_spun && (thread->searching || pool->searching == 0)) {
            has_spun = true;
            spin(thread);
            continue;
        }
        if (idle_until_ns == 0) idle_until_ns = eddy_time_ns() + pool->idle_ns;
        in_time = sleep_until_called(thread, idle_until_ns);
    }
    search_end(thread);
    struct ed_job *job = NULL;
    if (pool->queued > 0)
        job = take_first(thread);
    else
        pool->serving--;
    (void)ed_pool_call_threads(pool); /* the next one, if there is more, or a new one; if that fails it is not needed */
    return job;
}

/* ---- a thread's life ------------------------------------------------------------------------------ */

bool ed_pool_ends_now(struct eddy_thread_pool *pool) {
    if (pool->threads > 0 || pool->is_ended) return false;
    pool->is_ended = true;
    return true;
}

/* The thread touches nothing of the pool's after this. */
static void leave(struct ed_pool_thread *thread) {
    struct eddy_thread_pool *pool = thread->pool;
    pthread_mutex_lock(&pool->pool.lock);
    thread->serves = false;
    pool->threads--;
    const bool last = pool->closing && ed_pool_ends_now(pool);
    pthread_mutex_unlock(&pool->pool.lock);
    if (last) ed_pool_delist(&pool->pool);
}

/* The run has ended without this thread, which comes back from user code. */
static void *end_alone(struct eddy_thread_pool *pool) {
    pthread_detach(pthread_self());
    ed_pool_release(&pool->pool);
    return NULL;
}

static void *thread_body(void *arg) {
    struct ed_pool_thread *thread = arg;
    struct eddy_thread_pool *pool = thread->pool;
    char name[ED_POOL_NAME_BYTES + 16];
    snprintf(name, sizeof name, "%.9s-%u", pool->pool.name, thread->number);
    ed_exec_name_thread(name);
    pthread_mutex_lock(&pool->pool.lock);
    thread->searching = true; /* counted by who started it */
    if (!initialize(thread)) {
        pthread_mutex_unlock(&pool->pool.lock);
        return end_alone(pool);
    }
    for (struct ed_job *job; (job = next_job(thread, true)) != NULL;) {
        pthread_mutex_unlock(&pool->pool.lock);
        if (!run_job(thread, job)) return end_alone(pool);
        pthread_mutex_lock(&pool->pool.lock);
    }
    pthread_mutex_unlock(&pool->pool.lock);
    ed_exec_bury_self(pool->pool.exec);
    leave(thread);
    return NULL;
}

/* Where there are no threads: one in steps, each at a time of the driver's choice. What a thread does between two looks
 * at the pool is one step; it ends where a thread would wait. Never cut off: the run ends after the last step. */
static void step(struct ed_later *later) {
    struct ed_pool_thread *thread = ED_CONTAINER(later, struct ed_pool_thread, later);
    struct eddy_thread_pool *pool = thread->pool;
    struct ed_sched *sched = pool->pool.exec->sched;
    if (thread->step != NULL) {
        (void)run_job(thread, thread->step);
        thread->step = NULL;
    } else {
        pthread_mutex_lock(&pool->pool.lock);
        if (!thread->is_initialized) {
            thread->searching = true;
            (void)initialize(thread);
        }
        thread->is_initialized = true;
        thread->step = next_job(thread, false);
        pthread_mutex_unlock(&pool->pool.lock);
        if (thread->step == NULL) {
            leave(thread);
            return;
        }
    }
    sched->driver->later(sched, later);
}

/* The lock is held. A record that no thread has; NULL: no memory. */
static struct ed_pool_thread *get_record(struct eddy_thread_pool *pool) {
    struct ed_pool_thread *thread = pool->all;
    while (thread != NULL && thread->serves) thread = thread->next;
    if (thread != NULL) return thread;
    const unsigned workers = pool->pool.exec->sched->workers_count;
    thread = ed_alloc_aligned(ED_LINE, sizeof *thread + workers * sizeof thread->outboxes[0]);
    if (thread == NULL) return NULL;
    memset(thread, 0, sizeof *thread);
    for (unsigned i = 0; i < workers; i++) {
        ed_inbox_init(&thread->outboxes[i].answers);
        thread->outboxes[i].message.arrive = outbox_arrives;
    }
    thread->pool = pool;
    thread->next = pool->all;
    pool->all = thread;
    return thread;
}

/* The lock is held. A thread, or what stands for one. */
static int begin_thread(struct eddy_thread_pool *pool) {
    struct ed_sched *sched = pool->pool.exec->sched;
    struct ed_pool_thread *thread = get_record(pool);
    if (thread == NULL) return EDDY_ENOMEM;
    thread->searching = thread->is_initialized = false;
    thread->number = pool->started;
    if (sched->driver->later != NULL) {
        thread->step = NULL;
        thread->later.run = step;
        sched->driver->later(sched, &thread->later);
    } else {
        pthread_t handle;
        const int status = ed_thread_create(&handle, thread_body, thread);
        if (status < 0) return status;
    }
    thread->serves = true;
    pool->started++;
    return 0;
}
