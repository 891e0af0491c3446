/* lookup.c: the threads in which names are looked up.
 *
 * Problem    The system's resolver blocks for as long as a server far away likes, needs more stack than a task has, and cannot
 *            be interrupted.
 * Idea       Threads of net/'s own, at most four, made on demand and joined when the run ends; users' blocking work has
 *            other threads, so it cannot delay a look-up. The task waits for a future that the job completes.
 * Cancel     The task lets go of the future; the job owns all that it touches (its name, its future), so it ends
 *            whenever it likes, and the future's drop frees what it found. One that has not begun is not begun.
 * Threads    The queue: any, under `lock`. A job: its thread, once taken from the queue.
 * Not here   What is looked up (resolve.c, address_name.c).
 * Tests      tests/net/resolve_test.c. */
#include "net/lookup.h"
#include "task/task.h"

#include <netdb.h>
#include <pthread.h>
#include <uv.h>

enum { THREADS_MAX = 4 }; /* a machine with four dead name servers still answers; each thread is 8 MiB of addresses */

/* sched->net_data, made when first needed, under `making`. */
struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct ed_lookup *first, **last;
    unsigned queued; /* jobs that no thread has taken */
    unsigned threads_count, threads_idle;
    bool closing;
    pthread_t threads[THREADS_MAX];
};
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static void drop_job(struct ed_lookup *job) {
    if (ED_SUB(&job->references, 1) != 1) return;
    eddy_future_release(job->future);
    ed_free(job);
}

static void *thread_main(void *arg) {
    struct resolver *resolver = arg;
    pthread_mutex_lock(&resolver->lock);
    for (;;) {
        while (resolver->first == NULL && !resolver->closing) {
            resolver->threads_idle++;
            pthread_cond_wait(&resolver->more, &resolver->lock);
            resolver->threads_idle--;
        }
        struct ed_lookup *job = resolver->first;
        if (job == NULL) break;
        resolver->first = job->next;
        resolver->queued--;
        if (resolver->first == NULL) resolver->last = &resolver->first;
        bool skip = resolver->closing || ED_LOAD_RELAXED(&job->abandoned);
        pthread_mutex_unlock(&resolver->lock);
        if (!skip) job->run(job);
        drop_job(job);
        pthread_mutex_lock(&resolver->lock);
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

/* ---- the queue -------------------------------------------------------------------------------- */

static struct resolver *resolver_of(struct ed_sched *sched) {
    pthread_mutex_lock(&making);
    struct resolver *resolver = sched->net_data;
    if (resolver == NULL && (resolver = ed_calloc(sizeof *resolver)) != NULL) {
        pthread_mutex_init(&resolver->lock, NULL);
        pthread_cond_init(&resolver->more, NULL);
        resolver->last = &resolver->first;
        sched->net_data = resolver;
    }
    pthread_mutex_unlock(&making);
    return resolver;
}

/* Under the lock. 0 or a status: there is no thread at all. */
static int add_thread(struct resolver *resolver) {
    int status = ed_thread_create(&resolver->threads[resolver->threads_count], thread_main, resolver);
    if (status == 0) resolver->threads_count++;
    return resolver->threads_count > 0 ? 0 : status;
}

/* Under the lock. A thread that was told of a job is idle until it has taken it. */
static int enqueue(struct resolver *resolver, struct ed_lookup *job) {
    int status = 0;
    if (resolver->threads_idle <= resolver->queued && resolver->threads_count < THREADS_MAX)
        status = add_thread(resolver);
    if (status < 0) return status;
    resolver->queued++;
    ED_ADD_RELAXED(&job->references, 1);
    *resolver->last = job;
    resolver->last = &job->next;
    pthread_cond_signal(&resolver->more);
    return 0;
}

static void run_later(struct ed_later *later) {
    struct ed_lookup *job = ED_CONTAINER(later, struct ed_lookup, later);
    if (!ED_LOAD_RELAXED(&job->abandoned)) job->run(job);
    drop_job(job);
}

static int submit(struct ed_sched *sched, struct ed_lookup *job) {
    if (sched->driver->later != NULL) {
        ED_ADD_RELAXED(&job->references, 1);
        job->later.run = run_later;
        sched->driver->later(sched, &job->later);
        return 0;
    }
    struct resolver *resolver = resolver_of(sched);
    if (resolver == NULL) return EDDY_ENOMEM;
    pthread_mutex_lock(&resolver->lock);
    int status = enqueue(resolver, job);
    pthread_mutex_unlock(&resolver->lock);
    return status;
}

void ed_resolver_close(struct ed_sched *sched) {
    struct resolver *resolver = sched->net_data;
    if (resolver == NULL) return;
    pthread_mutex_lock(&resolver->lock);
    resolver->closing = true;
    pthread_cond_broadcast(&resolver->more);
    pthread_mutex_unlock(&resolver->lock);
    for (unsigned i = 0; i < resolver->threads_count; i++) pthread_join(resolver->threads[i], NULL);
    ED_ASSERT(resolver->first == NULL);
    pthread_cond_destroy(&resolver->more);
    pthread_mutex_destroy(&resolver->lock);
    ed_free(resolver);
    sched->net_data = NULL;
}

/* ---- in the task ------------------------------------------------------------------------------ */

void *ed_lookup_create(size_t bytes, void (*run)(struct ed_lookup *lookup), void (*drop)(eddy_value value)) {
    struct ed_lookup *job = ed_calloc(bytes);
    if (job == NULL) return NULL;
    job->future = eddy_future_create_on(eddy_loop_current(), drop);
    if (job->future == NULL) {
        ed_free(job);
        return NULL;
    }
    ED_STORE_RELAXED(&job->references, 1);
    job->sockets = ed_worker_current()->sched->driver->sockets;
    job->run = run;
    return job;
}

int ed_lookup_do(struct ed_lookup *job, const char *reason, eddy_value *value_out) {
    int status = submit(ed_worker_current()->sched, job);
    if (status == 0) status = ed_await_hooked(job->future, NULL, reason, NULL, NULL);
    if (status == 0) status = eddy_future_take(job->future, value_out);
    if (status < 0) ED_STORE_RELAXED(&job->abandoned, true);
    drop_job(job);
    return status;
}

int ed_lookup_status(int failure, int error) {
    switch (failure) {
    case EAI_ADDRFAMILY: return UV_EAI_ADDRFAMILY;
    case EAI_AGAIN: return UV_EAI_AGAIN;
    case EAI_BADFLAGS: return UV_EAI_BADFLAGS;
    case EAI_FAIL: return UV_EAI_FAIL;
    case EAI_FAMILY: return UV_EAI_FAMILY;
    case EAI_MEMORY: return EDDY_ENOMEM;
    case EAI_NODATA: return UV_EAI_NODATA;
    case EAI_OVERFLOW: return UV_EAI_OVERFLOW;
    case EAI_SERVICE: return UV_EAI_SERVICE;
    case EAI_SOCKTYPE: return UV_EAI_SOCKTYPE;
    case EAI_SYSTEM: return error > 0 && error != ECANCELED ? -error : UV_EAI_FAIL;
    default: return UV_EAI_NONAME;
    }
}
