/* job.c: a job on its task's side: submitted, awaited, given up. Protocol: thread_pool.h.
 *
 * Whose      A borrowed job lies in the record of its task's stack, and is the task's again once it is answered or taken back.
 *            An owned one (the abandoning form) is allocated; who abandons it leaves it to the thread, whose answer then
 *            frees it on the task's worker. */
#include "exec/thread_pool.h"
#include "task/task.h"

#include "eddy/loop.h"

#include <stdio.h>

_Static_assert(sizeof(struct ed_job) + ED_LINE - 1 <= ED_STRAND_CALL_BYTES,
               "a borrowed job lies in the stack's record");

/* ---- records ---------------------------------------------------------------------------------- */

void ed_job_free(struct ed_job *job) {
    const bool is_owned =
        job->has & ED_JOB_IS_OWNED; /* a drop of a local may use the stack's record for a job of its own */
    if (ED_UNLIKELY(job->has & ED_JOB_HAS_ERROR)) eddy_error_release(job->error);
    if (ED_UNLIKELY(job->has & ED_JOB_HAS_CONTEXT)) eddy_context_release(job->context);
    if (is_owned) ed_free(ED_CONTAINER(job, struct ed_owned_job, job));
}

void ed_job_describe(const struct ed_owned_job *owned, char text[static ED_JOB_NAME_BYTES]) {
    if (owned->name[0] != 0)
        snprintf(text, ED_JOB_NAME_BYTES, "%s", owned->name);
    else
        snprintf(text, ED_JOB_NAME_BYTES, "fn=%p", (void *)(uintptr_t)owned->fn);
}

/* A failure that nobody waits for any more. */
static void report_lost(struct ed_sched *sched, const struct ed_owned_job *owned) {
    char name[ED_JOB_NAME_BYTES];
    ed_job_describe(owned, name);
    ed_report(sched, &(eddy_report){.kind = EDDY_REPORT_NEVER_RETRIEVED,
                                    .message = "an abandoned thread function failed",
                                    .task = name,
                                    .status = owned->job.status,
                                    .error = owned->job.has & ED_JOB_HAS_ERROR ? owned->job.error : NULL});
}

/* On the caller's worker; the task may have left. */
static void job_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_job *job = ED_CONTAINER(message, struct ed_job, caller.message);
    ed_caller_arrives(&job->caller);
    if (!job->abandoned) return;
    if (job->status < 0) report_lost(worker->sched, ED_CONTAINER(job, struct ed_owned_job, job));
    ed_job_free(job);
}

/* ---- submitting --------------------------------------------------------------------------------- */

/* The pool takes no job. */
static int refused(struct eddy_thread_pool *pool) {
    pthread_mutex_lock(&pool->pool.lock);
    const bool is_broken = pool->is_broken;
    eddy_error *error = pool->broken != NULL ? eddy_error_share(pool->broken) : NULL;
    pthread_mutex_unlock(&pool->pool.lock);
    if (error != NULL) ed_error_set_current(error);
    if (is_broken) return EDDY_EBROKENPOOL;
    return eddy_fail(EDDY_ECLOSED, "thread pool '%s' is closing", pool->pool.name);
}

static int submit(struct eddy_thread_pool *pool, struct ed_job *job) {
    ED_STORE_RELAXED(&job->state, ED_JOB_QUEUED);
    const int status = ed_pool_push(pool, job);
    if (status == 0) return 0;
    if (status == EDDY_ECLOSED) return refused(pool);
    if (status == EDDY_ELIMIT)
        return eddy_fail(status, "thread pool '%s': %zu jobs wait already", pool->pool.name, pool->queue_max);
    return eddy_fail(status, "thread pool '%s': cannot start a thread", pool->pool.name);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/* The task was interrupted before the answer arrived. True: it need not wait for that. (While the job runs `has` is the
 * thread's: whether it is owned was asked before.) */
static bool give_up(struct eddy_thread_pool *pool, struct ed_job *job, bool is_owned) {
    pthread_mutex_lock(&pool->pool.lock);
    ed_pool_gather(pool);
    const int state = ED_LOAD_RELAXED(&job->state);
    if (state == ED_JOB_QUEUED) {
        ed_pool_take_back(pool, job);
    } else if (state == ED_JOB_RUNNING) {
        ED_STORE_RELAXED(&job->cancelled, true);
        job->abandoned = is_owned;
    } /* else its answer is on the way */
    const bool leave = state == ED_JOB_QUEUED || job->abandoned;
    pthread_mutex_unlock(&pool->pool.lock);
    return leave;
}

/* What an owned job ended with that nobody waits for any more, on the caller's worker. */
static void lose_result(struct ed_owned_job *owned) {
    if (owned->job.status < 0)
        report_lost(owned->job.caller.worker->sched, owned);
    else if (owned->drop != NULL)
        owned->drop(owned->job.value);
}

/* The life of a job on its task's side. Afterwards it is the task's, unless it is abandoned. */
static int run_to_end(struct eddy_thread_pool *pool, struct ed_job *job, eddy_value *value_out) {
    const bool is_owned = job->has & ED_JOB_IS_OWNED;
    int status = submit(pool, job);
    if (status < 0) return status;
    int interrupted = 0;
    while (!ed_caller_park(&job->caller, "thread", &interrupted))
        if (give_up(pool, job, is_owned)) return interrupted;
    if (ED_LOAD_RELAXED(&job->state) == ED_JOB_DONE) {
        if (is_owned && (interrupted < 0 || value_out == NULL)) {
            if (interrupted < 0 || job->status >= 0) lose_result(ED_CONTAINER(job, struct ed_owned_job, job));
        } else if (value_out != NULL && (!is_owned || job->status >= 0)) {
            *value_out = job->value;
        }
    }
    if (interrupted < 0) return interrupted;
    if (ED_UNLIKELY(job->has & ED_JOB_HAS_ERROR)) {
        ed_error_set_current(job->error);
        job->has &= (uint8_t)~ED_JOB_HAS_ERROR;
    }
    return job->status;
}

/* ---- the public calls --------------------------------------------------------------------------- */

static void job_init(struct ed_job *job, eddy_thread_fn fn, void *arg, bool is_owned) {
    ed_caller_init(&job->caller, job_arrives);
    job->fn = fn;
    job->arg = arg;
    job->status = 0;
    ED_STORE_RELAXED(&job->cancelled, false);
    job->has = is_owned ? ED_JOB_IS_OWNED : 0;
    job->abandoned = false;
    eddy_context *context = ed_context_capture(job->caller.worker);
    if (ED_UNLIKELY(context != NULL)) {
        job->context = context;
        job->has |= ED_JOB_HAS_CONTEXT;
    }
}

/* Room for a borrowed job, on lines of its own. */
static struct ed_job *job_of(struct ed_fiber *fiber) {
    const uintptr_t at = (uintptr_t)ed_strand_of(fiber)->call;
    return (struct ed_job *)((at + ED_LINE - 1) & ~(uintptr_t)(ED_LINE - 1));
}

static int run_borrowed(struct eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, eddy_value *value_out) {
    struct ed_job *job = job_of(ed_fiber_current());
    job_init(job, fn, arg, false);
    const int status = run_to_end(pool, job, value_out);
    ed_job_free(job);
    return status;
}

/* *begun_out: drop_arg is the thread's. */
static int run_owned(struct eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, const eddy_abandon_options *options,
                     eddy_value *value_out, bool *begun_out) {
    struct ed_owned_job *owned = ed_alloc(sizeof *owned);
    if (owned == NULL) return EDDY_ENOMEM;
    struct ed_job *job = &owned->job;
    job_init(job, fn, arg, true);
    owned->fn = fn;
    owned->arg = arg;
    owned->drop_arg = options->drop_arg;
    owned->drop = options->drop;
    snprintf(owned->name, sizeof owned->name, "%s", options->name != NULL ? options->name : "");
    const int status = run_to_end(pool, job, value_out);
    *begun_out =
        job->abandoned || ED_LOAD_RELAXED(&job->state) == ED_JOB_DONE; /* abandoned: arrives here, so not yet gone */
    if (!job->abandoned) ed_job_free(job);
    return status;
}

static int check(eddy_thread_fn fn, const struct eddy_thread_pool *pool, const eddy_abandon_options *options) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (fn == NULL || pool == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    return 0;
}

int eddy_thread_pool_run(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, eddy_value *value_out) {
    if (value_out != NULL) *value_out = EDDY_NONE;
    const int status = check(fn, pool, NULL);
    return status < 0 ? status : run_borrowed(pool, fn, arg, value_out);
}

int eddy_thread_pool_abandon(eddy_thread_pool *pool, eddy_thread_fn fn, void *arg, const eddy_abandon_options *options,
                             eddy_value *value_out) {
    const eddy_abandon_options defaults = eddy_abandon_options_init();
    if (options == NULL) options = &defaults;
    if (value_out != NULL) *value_out = EDDY_NONE;
    bool begun = false;
    int status = check(fn, pool, options);
    if (status == 0) status = run_owned(pool, fn, arg, options, value_out, &begun);
    if (!begun && options->drop_arg != NULL) options->drop_arg(EDDY_PTR(arg));
    return status;
}

int eddy_to_thread(eddy_thread_fn fn, void *arg, eddy_value *value_out) {
    if (value_out != NULL) *value_out = EDDY_NONE;
    struct eddy_thread_pool *pool;
    const int status = ed_thread_pool_default(&pool);
    return status < 0 ? status : eddy_thread_pool_run(pool, fn, arg, value_out);
}

int eddy_to_thread_abandon(eddy_thread_fn fn, void *arg, const eddy_abandon_options *options, eddy_value *value_out) {
    struct eddy_thread_pool *pool = NULL;
    const int status = ed_thread_pool_default(&pool);
    if (status == 0) return eddy_thread_pool_abandon(pool, fn, arg, options, value_out);
    if (value_out != NULL) *value_out = EDDY_NONE;
    if (options != NULL && options->size == sizeof *options && options->drop_arg != NULL)
        options->drop_arg(EDDY_PTR(arg));
    return status;
}
