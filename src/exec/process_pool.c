/* process_pool.c: process pools as tasks see them: create, run, cancel, close. Protocol: process_pool.h. */
#include "exec/process_pool.h"
#include "exec/exec.h"
#include "exec/remote.h"

#include "eddy/loop.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A loaded machine makes a start some seconds late; who never serves is later than that. */
#define HELLO_DEFAULT_NS EDDY_SECONDS(60)
enum { KILLS_DEFAULT = 32 }; /* a second; each costs a start of about 1 ms of a core, so at most 3 % of one */

/* ---- bytes -------------------------------------------------------------------------------------- */

int eddy_bytes_alloc(eddy_bytes *out, size_t size) {
    *out = (eddy_bytes){ed_alloc(size), size};
    if (out->data != NULL) return 0;
    out->size = 0;
    return EDDY_ENOMEM;
}

int eddy_bytes_copy(eddy_bytes *out, const void *data, size_t size) {
    const int status = eddy_bytes_alloc(out, size);
    if (status == 0 && size > 0) memcpy(out->data, data, size);
    return status;
}

void eddy_bytes_free(eddy_bytes *bytes) {
    if (bytes == NULL) return;
    ed_free(bytes->data);
    *bytes = (eddy_bytes){NULL, 0};
}

/* ---- records ------------------------------------------------------------------------------------ */

void ed_remote_call_release(struct ed_remote_call *call) {
    if (ED_SUB(&call->references, 1) != 1) return;
    eddy_error_release(call->error);
    eddy_bytes_free(&call->out);
    ed_call_extras_free(call->extras);
    ed_pool_release(&call->pool->pool);
    ed_free(call);
}

/* On the caller's worker. */
static void call_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_remote_call *call = ED_CONTAINER(message, struct ed_remote_call, caller.message);
    ed_caller_arrives(&call->caller);
    if (call->abandoned && call->status < 0)
        ed_report(worker->sched, &(eddy_report){.kind = EDDY_REPORT_NEVER_RETRIEVED,
                                                .message = "an abandoned remote function failed",
                                                .task = call->name,
                                                .status = call->status,
                                                .error = call->error});
    ed_remote_call_release(call);
}

struct ed_remote_call *ed_remote_call_create(struct eddy_process_pool *pool, const struct eddy_remote *remote,
                                             eddy_bytes in) {
    const size_t name_bytes = strlen(remote->name);
    struct ed_remote_call *call = ed_alloc(sizeof *call + name_bytes + in.size);
    if (call == NULL) return NULL;
    memset(call, 0, sizeof *call);
    call->references = 2;
    call->pool = pool;
    call->name = remote->name;
    call->deadline_ns = ed_scope_deadline();
    call->head = (struct ed_wire_head){
        .magic = ED_WIRE_MAGIC, .kind = ED_WIRE_CALL, .text_bytes = (uint16_t)name_bytes, .bytes = in.size};
    call->frame_bytes = sizeof call->head + name_bytes + in.size;
    memcpy(call->rest, remote->name, name_bytes);
    if (in.size > 0) memcpy(call->rest + name_bytes, in.data, in.size);
    return call;
}
_Static_assert(offsetof(struct ed_remote_call, rest) ==
                   offsetof(struct ed_remote_call, head) + sizeof(struct ed_wire_head),
               "a frame is sent as it lies here");

/* ---- the pool ----------------------------------------------------------------------------------- */

void ed_process_pool_ring(struct eddy_process_pool *pool) {
    if (pool->bell < 0) return;
    const uint64_t one = 1;
    const ssize_t put = write(pool->bell, &one, sizeof one);
    ED_ASSERT(put == sizeof one); /* the counter of an eventfd has 2^64 - 2 rings */
}

static struct eddy_process_pool *pool_of(struct ed_pool *pool) {
    return ED_CONTAINER(pool, struct eddy_process_pool, pool);
}

/* The lock is held. The SENT call has begun and is to end early; its function may ask. */
static void tell_to_end(struct ed_remote_call *call) {
    const struct ed_process *process = call->process;
    ED_STORE_RELEASE(&process->os.page->terms[call->entry].cancelled, process->entries[call->entry].number);
}

/* The lock is held. Calls that have not begun end with `status`. */
static void end_waiting(struct eddy_process_pool *pool, int status) {
    for (struct ed_list *link; (link = ed_list_pop(&pool->queue)) != NULL;) {
        pool->queued--;
        ed_remote_call_end(ED_CONTAINER(link, struct ed_remote_call, link), status,
                           status == EDDY_ECANCELED ? NULL : ed_process_pool_error_of_end(pool));
    }
    for (unsigned i = 0; i < pool->processes_max; i++)
        for (unsigned k = 0; k < pool->processes[i].count; k++) {
            struct ed_process *process = &pool->processes[i];
            struct ed_entry_of_call *entry = &process->entries[(process->first + k) % ED_WIRE_IN_FLIGHT];
            if (entry->gone || !ed_remote_call_take(entry->call)) continue;
            ED_ADD(&entry->call->references, 1); /* its frame may still have to be sent */
            ed_remote_call_end(entry->call, status,
                               status == EDDY_ECANCELED ? NULL : ed_process_pool_error_of_end(pool));
        }
}

/* The lock is held, and end_waiting was called: what is left has begun. (Not before: a process whose function ends because
 * it was told begins the next call.) */
static void tell_all_to_end(struct eddy_process_pool *pool) {
    for (unsigned i = 0; i < pool->processes_max; i++)
        for (unsigned k = 0; k < pool->processes[i].count; k++) {
            struct ed_process *process = &pool->processes[i];
            const struct ed_entry_of_call *entry = &process->entries[(process->first + k) % ED_WIRE_IN_FLIGHT];
            if (!entry->gone) tell_to_end(entry->call);
        }
}

size_t ed_process_pool_waiting(const struct eddy_process_pool *pool, size_t *running_out) {
    size_t waiting = pool->queued, running = 0;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        size_t calls = 0;
        for (unsigned k = 0; k < process->count; k++) {
            const struct ed_entry_of_call *entry = &process->entries[(process->first + k) % ED_WIRE_IN_FLIGHT];
            calls += !entry->gone;
        }
        running += calls > 0;
        waiting += calls > 0 ? calls - 1 : 0;
    }
    *running_out = running;
    return waiting;
}

static void asked(struct ed_message *message, struct ed_worker *home) {
    struct eddy_process_pool *pool = ED_CONTAINER(message, struct eddy_process_pool, ask);
    (void)home;
    pthread_mutex_lock(&pool->pool.lock);
    pool->is_asked = false;
    pthread_mutex_unlock(&pool->pool.lock);
    ed_process_pool_feed(pool);
    ed_pool_release(&pool->pool);
}

/* The manager ends the pool, always. */
static bool begin_close(struct ed_pool *base, enum ed_close how) {
    struct eddy_process_pool *pool = pool_of(base);
    pthread_mutex_lock(&base->lock);
    pool->closing = true;
    pool->killing |= how == ED_CLOSE_KILL || how == ED_CLOSE_CUT;
    if (how == ED_CLOSE_CANCEL) end_waiting(pool, EDDY_ECANCELED);
    if (how == ED_CLOSE_TERMINATE) {
        const int64_t now_ns = eddy_time_ns(), grace_ns = pool->terminate_grace_ns;
        pool->terminating = true;
        pool->terminate_at_ns = grace_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + grace_ns;
        end_waiting(pool, EDDY_EBROKENPOOL);
        tell_all_to_end(pool);
    }
    ed_process_pool_ring(pool);
    pthread_mutex_unlock(&base->lock);
    return false;
}

static void destroy(struct ed_pool *base) {
    struct eddy_process_pool *pool = pool_of(base);
    if (pool->bell >= 0) close(pool->bell);
    eddy_error_release(pool->broken);
    ed_free(pool->initializer); /* never counted: it holds no reference of the pool */
    ed_free(pool->polls);
    ed_free(pool->processes);
    ed_free(pool->environment);
    ed_free(pool->worker_path);
    ed_free(pool);
}

static const struct ed_pool_kind process_pool = {
    .closing = "process pool to close", .begin_close = begin_close, .destroy = destroy};

static int check_options(const eddy_process_pool_options *options) {
    if (options->size != sizeof *options || options->processes > ED_PROCESSES_MAX) return EDDY_EINVAL;
    if (options->nice < 0 || options->nice > 19)
        return eddy_fail(EDDY_EINVAL, "a nice value of %d: it is 0 to 19", options->nice);
    if (options->cpu_ns < 0) return eddy_fail(EDDY_EINVAL, "a negative limit of CPU time");
    if (options->grace_ns < 0) return eddy_fail(EDDY_EINVAL, "a negative grace");
    const char *duplicate = ed_remote_duplicate();
    if (duplicate != NULL)
        return eddy_fail(EDDY_EINVAL, "two functions are registered as '%s' with EDDY_REMOTE", duplicate);
    if (options->initializer != NULL && ed_remote_by_fn(options->initializer) == NULL)
        return eddy_fail(EDDY_EINVAL, "the initializer is not registered with EDDY_REMOTE");
    const char *why;
    const int status = ed_spawn_supported(options->worker_path == NULL, &why);
    return status < 0 ? eddy_fail(status, "no process pool: %s", why) : 0;
}

/* Everything but the thread; what was made is released with the pool. */
static int pool_init(struct eddy_process_pool *pool, const eddy_process_pool_options *options) {
    pool->processes_max = options->processes != 0 ? options->processes : ed_exec_cores();
    if (pool->processes_max > ED_PROCESSES_MAX) pool->processes_max = ED_PROCESSES_MAX;
    pool->queue_max = options->queue_max;
    pool->on_cancel = options->on_cancel;
    pool->on_death = options->on_death;
    pool->max_tasks = options->max_tasks;
    pool->kills_per_second = options->kills_per_second != 0 ? options->kills_per_second : KILLS_DEFAULT;
    pool->kill_tokens = pool->kills_per_second;
    pool->kill_tokens_ns = eddy_time_ns();
    pool->limits = (struct ed_wire_limits){options->cpu_ns, options->memory_bytes, options->nice};
    pool->hello_ns = options->hello_ns > 0 ? options->hello_ns : HELLO_DEFAULT_NS;
    pool->grace_ns = options->grace_ns;
    pool->same_build = options->worker_path == NULL || options->same_build;
    ed_remote_identity(&pool->identity);

    if (options->worker_path != NULL && (pool->worker_path = ed_strdup(options->worker_path)) == NULL)
        return EDDY_ENOMEM;
    if (options->initializer != NULL) {
        pool->initializer = ed_remote_call_create(pool, ed_remote_by_fn(options->initializer), options->initializer_in);
        if (pool->initializer == NULL) return EDDY_ENOMEM;
    }
    pool->environment = ed_environment_copy();
    pool->processes = ed_calloc(pool->processes_max * sizeof *pool->processes);
    pool->polls = ed_alloc((1 + pool->processes_max) * sizeof *pool->polls);
    if (pool->environment == NULL || pool->processes == NULL || pool->polls == NULL) return EDDY_ENOMEM;
    for (unsigned i = 0; i < pool->processes_max; i++) pool->processes[i].pool = pool;
    pool->home = ed_worker_current();
    pool->ask.arrive = asked;
    pool->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return pool->bell < 0 ? -errno : 0;
}

static int pool_create(struct ed_exec *exec, struct eddy_process_pool **pool_out,
                       const eddy_process_pool_options *options) {
    if (exec->sched->driver->later != NULL)
        return eddy_fail(EDDY_ENOTSUP, "no process pool: a simulation has no processes");
    int status = check_options(options);
    if (status < 0) return status;
    struct eddy_process_pool *pool = ed_calloc(sizeof *pool);
    if (pool == NULL) return EDDY_ENOMEM;
    ed_pool_init(&pool->pool, exec, &process_pool, options->name);
    pool->bell = -1;
    ed_list_init(&pool->queue);
    status = pool_init(pool, options);
    if (status < 0) goto release;

    /* Under the run's lock, so that an end of the run finds the pool with its thread, or not at all. */
    pthread_mutex_lock(&exec->lock);
    pthread_t thread;
    status = ed_pool_enlist(&pool->pool);
    if (status == 0) {
        status = ed_thread_create(&thread, ed_process_manager, pool);
        if (status < 0) ed_pool_unlist(&pool->pool);
    }
    pthread_mutex_unlock(&exec->lock);
    if (status < 0) goto release;
    *pool_out = pool;
    return 0;

release:
    ed_pool_release(&pool->pool);
    return status;
}

int eddy_process_pool_create(eddy_process_pool **pool_out, const eddy_process_pool_options *options) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return EDDY_EWRONGTHREAD;
    if (pool_out == NULL) return EDDY_EINVAL;
    const eddy_process_pool_options defaults = eddy_process_pool_options_init();
    return pool_create(exec, pool_out, options != NULL ? options : &defaults);
}

int ed_process_pool_default(struct eddy_process_pool **pool_out) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return EDDY_EWRONGTHREAD;
    eddy_process_pool_options options = eddy_process_pool_options_init();
    options.name = "eddy";
    int status = 0;
    pthread_mutex_lock(&exec->lock);
    if (exec->processes == NULL) status = pool_create(exec, &exec->processes, &options);
    *pool_out = exec->processes;
    pthread_mutex_unlock(&exec->lock);
    return status;
}

int eddy_process_pool_close(eddy_process_pool *pool) {
    return ed_pool_close(pool != NULL ? &pool->pool : NULL, ED_CLOSE);
}

int eddy_process_pool_cancel(eddy_process_pool *pool) {
    return ed_pool_close(pool != NULL ? &pool->pool : NULL, ED_CLOSE_CANCEL);
}

int eddy_process_pool_kill(eddy_process_pool *pool) {
    return ed_pool_close(pool != NULL ? &pool->pool : NULL, ED_CLOSE_KILL);
}

int eddy_process_pool_terminate(eddy_process_pool *pool, int64_t grace_ns) {
    if (pool == NULL) return 0;
    if (ed_fiber_current() == NULL) return ed_outside_task();
    pthread_mutex_lock(&pool->pool.lock);
    if (!pool->pool.has_closer) pool->terminate_grace_ns = grace_ns > 0 ? grace_ns : 0;
    pthread_mutex_unlock(&pool->pool.lock);
    return ed_pool_close(&pool->pool, ED_CLOSE_TERMINATE);
}

/* The default pool if it was used already. */
static struct eddy_process_pool *default_pool_if_any(void) {
    struct ed_exec *exec = ed_exec_current();
    if (exec == NULL) return NULL;
    pthread_mutex_lock(&exec->lock);
    struct eddy_process_pool *pool = exec->processes;
    pthread_mutex_unlock(&exec->lock);
    return pool;
}

static bool is_alive(const struct ed_process *process) { return process->state != ED_PROCESS_DEAD; }

void eddy_process_pool_stats_read(eddy_process_pool *pool, eddy_process_pool_stats *stats_out) {
    memset(stats_out, 0, sizeof *stats_out);
    if (pool == NULL) pool = default_pool_if_any();
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->pool.lock);
    stats_out->queued = pool->queued;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        stats_out->processes += is_alive(process);
        for (unsigned k = 0; k < process->count; k++) {
            const unsigned at = (process->first + k) % ED_WIRE_IN_FLIGHT;
            const struct ed_entry_of_call *entry = &process->entries[at];
            if (entry->gone) continue;
            if (ed_wire_slot_begun(&process->os.page->slots[at], entry->number))
                stats_out->running++;
            else
                stats_out->queued++;
        }
    }
    stats_out->done = pool->done;
    stats_out->kills = pool->kills;
    stats_out->deaths = pool->deaths;
    stats_out->respawns = pool->respawns;
    pthread_mutex_unlock(&pool->pool.lock);
}

size_t eddy_process_pool_pids(eddy_process_pool *pool, int *pids_out, size_t capacity) {
    if (pool == NULL) pool = default_pool_if_any();
    if (pool == NULL) return 0;
    size_t count = 0;
    pthread_mutex_lock(&pool->pool.lock);
    for (unsigned i = 0; i < pool->processes_max; i++) {
        if (!is_alive(&pool->processes[i])) continue;
        if (count < capacity) pids_out[count] = pool->processes[i].os.pid;
        count++;
    }
    pthread_mutex_unlock(&pool->pool.lock);
    return count;
}

/* ---- calls -------------------------------------------------------------------------------------- */

/* Queues a call, and has the home look. The pool's refusals come with a text. */
static int submit(struct eddy_process_pool *pool, struct ed_remote_call *call) {
    const bool is_home = call->caller.worker == pool->home;
    bool ask = false;
    int status = 0;
    eddy_error *broken = NULL;
    pthread_mutex_lock(&pool->pool.lock);
    if (pool->is_broken) {
        status = EDDY_EBROKENPOOL;
        if (pool->broken != NULL) broken = eddy_error_share(pool->broken);
    } else if (pool->closing) {
        status = EDDY_ECLOSED;
    } else if (pool->queue_max > 0) { /* a call that a free process will take, or one not yet started, does not wait */
        size_t running;
        const size_t waiting = ed_process_pool_waiting(pool, &running);
        if (waiting >= pool->processes_max - running + pool->queue_max) status = EDDY_ELIMIT;
    }
    if (status == 0) {
        call->head.number = ++pool->calls;
        call->state = ED_CALL_QUEUED;
        ed_list_push(&pool->queue, &call->link);
        pool->queued++;
        ask = !is_home && !pool->is_asked;
        pool->is_asked |= ask;
        if (ask) ed_pool_ref(&pool->pool);
    }
    pthread_mutex_unlock(&pool->pool.lock);

    if (status == 0 && is_home) ed_process_pool_feed(pool);
    if (ask) {
        const int posted = ed_post(pool->home, &pool->ask);
        ED_ASSERT(posted == 0); /* a task lives, so workers take messages */
    }
    if (broken != NULL) ed_error_set_current(broken);
    if (status == EDDY_ECLOSED) return eddy_fail(status, "process pool '%s' is closing", pool->pool.name);
    if (status == EDDY_ELIMIT)
        return eddy_fail(status, "process pool '%s': %zu calls wait already", pool->pool.name, pool->queue_max);
    return status;
}

/* The task was interrupted. True: it need not wait for the call's message. */
static bool give_up(struct eddy_process_pool *pool, struct ed_remote_call *call) {
    pthread_mutex_lock(&pool->pool.lock);
    bool take_back = false, release = false;
    if (call->state == ED_CALL_QUEUED) {
        ed_list_remove(&call->link);
        pool->queued--;
        take_back = release = true;
    } else if (call->state == ED_CALL_SENT && ed_remote_call_take(call)) {
        take_back = true; /* the process's entry keeps the reference */
    } else if (call->state == ED_CALL_SENT && pool->on_cancel == EDDY_ABANDON) {
        tell_to_end(call);
        call->abandoned = true;
    } else if (call->state == ED_CALL_SENT && !call->kill_wanted) {
        tell_to_end(call);
        call->kill_wanted = true;
        call->kill_at_ns = pool->grace_ns > 0 ? eddy_time_ns() + pool->grace_ns : 0;
        pool->kills_wanted++;
        ed_process_pool_ring(pool);
    } /* else its message is on the way */
    if (take_back) call->state = ED_CALL_TAKEN_BACK;
    const bool leave = take_back || call->abandoned;
    pthread_mutex_unlock(&pool->pool.lock);
    if (release) ed_remote_call_release(call); /* the pool's */
    return leave;
}

int ed_remote_call_run(struct ed_remote_call *call, eddy_bytes *out) {
    struct eddy_process_pool *pool = call->pool;
    ed_caller_init(&call->caller, call_arrives);
    const int status = submit(pool, call);
    if (status < 0) {
        ed_remote_call_release(call); /* the manager's */
        return status;
    }
    int interrupted = 0;
    while (!ed_caller_park(&call->caller, "process", &interrupted)) {
        if (interrupted == 0) interrupted = ed_call_tell_news(call);
        if (interrupted < 0 && give_up(pool, call)) return interrupted;
    }
    if (interrupted == 0 && call->extras != NULL) interrupted = ed_call_tell_news(call);
    if (interrupted < 0) return interrupted;
    if (call->status >= 0 && out != NULL) {
        *out = call->out;
        call->out = (eddy_bytes){NULL, 0};
    }
    if (call->error != NULL) {
        ed_error_set_current(call->error);
        call->error = NULL;
    }
    return call->status;
}

int ed_remote_call_make(struct eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in,
                        struct ed_remote_call **call_out) {
    *call_out = NULL;
    if (pool == NULL || (in.data == NULL && in.size > 0)) return EDDY_EINVAL;
    if (in.size > ED_WIRE_BYTES_MAX)
        return eddy_fail(EDDY_ELIMIT, "an argument of %zu bytes, more than 1 GiB", in.size);
    const struct eddy_remote *remote = ed_remote_by_fn(fn);
    if (remote == NULL) return eddy_fail(EDDY_EINVAL, "the function is not registered with EDDY_REMOTE");

    struct ed_remote_call *call = ed_remote_call_create(pool, remote, in);
    if (call == NULL) return EDDY_ENOMEM;
    ed_pool_ref(&pool->pool);
    *call_out = call;
    return 0;
}

int eddy_process_pool_run(eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in, eddy_bytes *out) {
    if (out != NULL) *out = (eddy_bytes){NULL, 0};
    if (ed_fiber_current() == NULL) return ed_outside_task();
    struct ed_remote_call *call;
    int status = ed_remote_call_make(pool, fn, in, &call);
    if (status < 0) return status;
    status = ed_remote_call_run(call, out);
    ed_remote_call_release(call);
    return status;
}

int eddy_to_process(eddy_remote_fn fn, eddy_bytes in, eddy_bytes *out) {
    if (out != NULL) *out = (eddy_bytes){NULL, 0};
    if (ed_fiber_current() == NULL) return ed_outside_task();
    struct eddy_process_pool *pool;
    const int status = ed_process_pool_default(&pool);
    return status < 0 ? status : eddy_process_pool_run(pool, fn, in, out);
}
