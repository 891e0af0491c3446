/* resolve.c: names to addresses, without ever holding up a loop.
 *
 * Problem    getaddrinfo blocks for as long as a server far away likes, needs more stack than a task has, and cannot
 *            be interrupted.
 * Idea       Numeric addresses need no resolver and are answered at once. Names go to threads of net/'s own, at most
 *            four, made on demand and joined when the run ends; users' blocking work has other threads, so it
 *            cannot delay a look-up. The task waits for a future that the job completes.
 * Cancel     The task lets go of the future; the job owns all that it touches (its name, its future), so it ends
 *            whenever it likes, and the future's drop frees what it found. One that has not begun is not begun.
 * Threads    The queue: any, under `lock`. A job: its thread, once taken from the queue.
 * Tests      tests/net/resolve_test.c. */
#include "net/resolve.h"
#include "eddy/net.h"
#include "net/address.h"
#include "task/task.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { ADDRESSES_EXPECTED = 4 };
enum { THREADS_MAX = 4 }; /* a machine with four dead name servers still answers; each thread is 8 MiB of addresses */

struct eddy_addresses {
    int failure; /* an EAI_ code; then there are no addresses */
    int error;   /* errno of EAI_SYSTEM                       */
    size_t count;
    eddy_address items[];
};

struct job {
    struct job *next;
    struct ed_later later; /* where there are no threads */
    const struct ed_sockets *sockets;
    eddy_future *future; /* one reference; completed with the addresses, NULL: no memory */
    _Atomic bool abandoned;
    _Atomic int references; /* the task and the queue */
    int family;
    char *service; /* NULL: none. Behind `host` in the same block */
    char *host;    /* NULL: none */
    char text[];
};

/* sched->net_data, made when first needed, under `making`. */
struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **last;
    unsigned threads_count, threads_idle;
    bool closing;
    pthread_t threads[THREADS_MAX];
};
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* ---- lists ------------------------------------------------------------------------------------ */

size_t eddy_addresses_count(const eddy_addresses *addresses) { return addresses->count; }

const eddy_address *eddy_addresses_get(const eddy_addresses *addresses, size_t index) {
    ED_ASSERT(index < addresses->count);
    return &addresses->items[index];
}

void eddy_addresses_release(eddy_addresses *addresses) { ed_free(addresses); }

static void drop_addresses(eddy_value value) { eddy_addresses_release(value.ptr); }

static eddy_addresses *create_addresses(size_t count) {
    eddy_addresses *addresses = ed_calloc(sizeof *addresses + count * sizeof addresses->items[0]);
    if (addresses != NULL) addresses->count = count;
    return addresses;
}

/* ---- in a look-up thread ---------------------------------------------------------------------- */

static void drop_job(struct job *job) {
    if (ED_SUB(&job->references, 1) != 1) return;
    eddy_future_release(job->future);
    ed_free(job);
}

struct found {
    eddy_addresses *addresses; /* NULL: no memory */
    size_t capacity;
};

static void add_address(void *arg, const struct sockaddr *address, unsigned bytes) {
    struct found *found = arg;
    eddy_addresses *addresses = found->addresses;
    if (addresses == NULL) return;
    if (addresses->count == found->capacity) {
        size_t capacity = 2 * found->capacity;
        eddy_addresses *more = ed_realloc(addresses, sizeof *more + capacity * sizeof more->items[0]);
        if (more == NULL) eddy_addresses_release(addresses);
        found->addresses = addresses = more;
        if (more == NULL) return;
        found->capacity = capacity;
    }
    eddy_address *item = &addresses->items[addresses->count++];
    memset(item, 0, sizeof *item);
    memcpy(&item->storage, address, bytes);
    item->bytes = bytes;
}

static void look_up(struct job *job) {
    struct found found = {create_addresses(ADDRESSES_EXPECTED), ADDRESSES_EXPECTED};
    if (found.addresses != NULL) found.addresses->count = 0;
    int error = 0;
    int failure = job->sockets->look_up(job->host, job->service, job->family, &error, add_address, &found);
    if (found.addresses != NULL) {
        found.addresses->failure = failure;
        found.addresses->error = error;
    }
    int status = eddy_future_set(job->future, EDDY_PTR(found.addresses));
    ED_ASSERT(status == 0); /* nobody else knows this future */
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
        struct job *job = resolver->first;
        if (job == NULL) break;
        resolver->first = job->next;
        if (resolver->first == NULL) resolver->last = &resolver->first;
        bool skip = resolver->closing || ED_LOAD_RELAXED(&job->abandoned);
        pthread_mutex_unlock(&resolver->lock);
        if (!skip) look_up(job);
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

/* Under the lock. */
static int enqueue(struct resolver *resolver, struct job *job) {
    int status = 0;
    if (resolver->threads_idle == 0 && resolver->threads_count < THREADS_MAX) status = add_thread(resolver);
    if (status < 0) return status;
    ED_ADD_RELAXED(&job->references, 1);
    *resolver->last = job;
    resolver->last = &job->next;
    pthread_cond_signal(&resolver->more);
    return 0;
}

static void run_later(struct ed_later *later) {
    struct job *job = ED_CONTAINER(later, struct job, later);
    if (!ED_LOAD_RELAXED(&job->abandoned)) look_up(job);
    drop_job(job);
}

static int submit(struct ed_sched *sched, struct job *job) {
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

static struct job *create_job(const char *host, const char *service, int family) {
    size_t host_bytes = host != NULL ? strlen(host) + 1 : 0, service_bytes = service != NULL ? strlen(service) + 1 : 0;
    struct job *job = ed_calloc(sizeof *job + host_bytes + service_bytes);
    if (job == NULL) return NULL;
    job->future = eddy_future_create_on(eddy_loop_current(), drop_addresses);
    if (job->future == NULL) {
        ed_free(job);
        return NULL;
    }
    ED_STORE_RELAXED(&job->references, 1);
    job->family = family;
    job->sockets = ed_worker_current()->sched->driver->sockets;
    if (host != NULL) job->host = memcpy(job->text, host, host_bytes);
    if (service != NULL) job->service = memcpy(job->text + host_bytes, service, service_bytes);
    return job;
}

/* libuv's code for what getaddrinfo gave. */
static int status_of(int failure, int error) {
    switch (failure) {
    case EAI_ADDRFAMILY: return UV_EAI_ADDRFAMILY;
    case EAI_AGAIN: return UV_EAI_AGAIN;
    case EAI_BADFLAGS: return UV_EAI_BADFLAGS;
    case EAI_FAIL: return UV_EAI_FAIL;
    case EAI_FAMILY: return UV_EAI_FAMILY;
    case EAI_MEMORY: return EDDY_ENOMEM;
    case EAI_NODATA: return UV_EAI_NODATA;
    case EAI_SERVICE: return UV_EAI_SERVICE;
    case EAI_SOCKTYPE: return UV_EAI_SOCKTYPE;
    case EAI_SYSTEM: return error > 0 && error != ECANCELED ? -error : UV_EAI_FAIL;
    default: return UV_EAI_NONAME;
    }
}

static int fail_look_up(const char *host, const char *service, int status) {
    return eddy_fail(status, "cannot look up %s%s%s: %s", host != NULL ? host : "any address",
                     service != NULL ? " port " : "", service != NULL ? service : "", eddy_status_text(status));
}

/* A port in digits, or none at all. */
static bool parse_port(const char *service, uint16_t *port_out) {
    *port_out = 0;
    if (service == NULL) return true;
    char *end;
    unsigned long port = service[0] >= '0' && service[0] <= '9' ? strtoul(service, &end, 10) : UINT16_MAX + 1;
    if (port > UINT16_MAX || *end != '\0') return false;
    *port_out = (uint16_t)port;
    return true;
}

static int numeric(const char *host, int family, uint16_t port, eddy_addresses **addresses_out) {
    eddy_address address;
    if (!ed_address_parse(&address, host, family, port)) return EDDY_ENOTSUP;
    eddy_addresses *addresses = create_addresses(1);
    if (addresses == NULL) return EDDY_ENOMEM;
    addresses->items[0] = address;
    *addresses_out = addresses;
    return 0;
}

int eddy_resolve(const char *host, const char *service, int family, eddy_addresses **addresses_out) {
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    uint16_t port;
    if (parse_port(service, &port)) {
        int status = numeric(host, family, port, addresses_out);
        if (status != EDDY_ENOTSUP) return status;
    }
    struct job *job = create_job(host, service, family);
    if (job == NULL) return EDDY_ENOMEM;
    eddy_value value = EDDY_NONE;
    int status = submit(ed_worker_current()->sched, job);
    if (status == 0) status = ed_await_hooked(job->future, NULL, "name look-up", NULL, NULL);
    if (status == 0) status = eddy_future_take(job->future, &value);
    if (status < 0) ED_STORE_RELAXED(&job->abandoned, true);
    drop_job(job);
    if (status < 0) return status;

    eddy_addresses *addresses = value.ptr;
    if (addresses == NULL) return EDDY_ENOMEM;
    if (addresses->count == 0) {
        status = status_of(addresses->failure, addresses->error);
        eddy_addresses_release(addresses);
        return fail_look_up(host, service, status);
    }
    *addresses_out = addresses;
    return 0;
}
