/* manager.c: the thread of a process pool: starts, kills and buries its processes. Protocol: process_pool.h.
 *
 * Life       look (under the lock: what was asked for) -> start processes -> poll -> reap -> look ...
 * Threads    The manager, except for what the header says.
 * Not here   What goes through the sockets (feeder.c), how a process is started (spawn.c), what it does
 *            (worker_process.c). */
#include "exec/process_pool.h"

#include "eddy/loop.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DEAD_STARTS_MAX = 3, /* in a row: one may be an accident, three are the program             */
    MOVES_MAX = 3,       /* of one call whose processes die before they begin any: it is the call */
};
#define END_GRACE_NS EDDY_SECONDS(5) /* from the end of the stream to the kill    */
#define SPAWN_PAUSE_NS EDDY_MS(100)  /* after a start that was refused            */

/* ---- how calls end ------------------------------------------------------------------------------ */

eddy_error *ed_process_error(int status, const char *format, ...) {
    char text[ED_WIRE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ed_error_create(status, "", text);
}

eddy_error *ed_process_pool_error_of_end(const struct eddy_process_pool *pool) {
    return ed_process_error(EDDY_EBROKENPOOL, "process pool '%s' was %s", pool->pool.name,
                            pool->terminating ? "terminated" : "killed");
}

void ed_remote_call_end(struct ed_remote_call *call, int status, eddy_error *error) {
    call->state = ED_CALL_DONE;
    call->status = status;
    call->error = error;
    ed_caller_wake(&call->caller);
}

/* The lock is held. */
static void fail_queued(struct eddy_process_pool *pool, eddy_error *error) {
    for (struct ed_list *link; (link = ed_list_pop(&pool->queue)) != NULL;) {
        pool->queued--;
        ed_remote_call_end(ED_CONTAINER(link, struct ed_remote_call, link), EDDY_EBROKENPOOL,
                           error != NULL ? eddy_error_share(error) : NULL);
    }
}

void ed_process_pool_break(struct eddy_process_pool *pool, eddy_error *why) {
    if (pool->is_broken) {
        eddy_error_release(why);
    } else {
        pool->is_broken = true;
        pool->broken = why;
    }
    fail_queued(pool, pool->broken);
}

/* ---- how processes end ---------------------------------------------------------------------------- */

void ed_process_kill(struct ed_process *process, bool expected) {
    process->state = ED_PROCESS_DYING;
    process->expected = expected;
    ed_pidfd_signal(process->os.pidfd, SIGKILL); /* fails only if it has ended already */
}

/* What became of it, for people. True: the call that it had begun used up its CPU time. */
static bool describe_end(const struct ed_process *process, char *text, size_t bytes) {
    const int pid = process->os.pid;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int got;
    do got = waitid(P_PIDFD, (id_t)process->os.pidfd, &info, WEXITED);
    while (got < 0 && errno == EINTR);
    if (got < 0) { /* ECHILD: the host takes all its children */
        snprintf(text, bytes, "process %d ended, and somebody else took its exit status", pid);
    } else if (info.si_code == CLD_EXITED && info.si_status == ED_WORKER_NOT_SERVING) {
        snprintf(text, bytes, "process %d did not serve: see its message on standard error", pid);
    } else if (info.si_code == CLD_EXITED && info.si_status == ED_WORKER_CPU_USED_UP &&
               process->pool->limits.cpu_ns > 0) {
        snprintf(text, bytes, "process %d used %lld ms of CPU time", pid,
                 (long long)(process->pool->limits.cpu_ns / 1000000));
        return true;
    } else if (info.si_code == CLD_EXITED) {
        snprintf(text, bytes, "process %d exited with code %d", pid, info.si_status);
    } else {
        const char *name = sigdescr_np(info.si_status);
        snprintf(text, bytes, "process %d was ended by signal %d (%s)", pid, info.si_status,
                 name != NULL ? name : "unknown");
    }
    return false;
}

/* The lock is held. What becomes of a call of a process that has died. True: it is in the queue again. */
static bool settle_call(struct ed_process *process, struct ed_remote_call *call, bool begun, bool another_had_begun) {
    struct eddy_process_pool *pool = process->pool;
    if (begun) ed_call_keep_report(call, &process->os.page->terms[call->entry]);
    if (call->kill_wanted) {
        pool->kills_wanted--;
        ed_remote_call_end(call, EDDY_ECANCELED, NULL);
    } else if (pool->is_broken && pool->on_death == EDDY_FAIL_ALL && process->expected) {
        ed_remote_call_end(call, EDDY_EBROKENPOOL, pool->broken != NULL ? eddy_error_share(pool->broken) : NULL);
    } else if (begun && process->cpu_used_up) {
        ed_remote_call_end(call, EDDY_ELIMIT,
                           ed_process_error(EDDY_ELIMIT, "process pool '%s': '%s' used more than %lld ms of CPU time",
                                            pool->pool.name, call->name, (long long)(pool->limits.cpu_ns / 1000000)));
    } else if (begun || pool->killing || pool->is_broken || (!another_had_begun && ++call->moves > MOVES_MAX)) {
        ed_remote_call_end(call, EDDY_EBROKENPOOL,
                           ed_process_error(EDDY_EBROKENPOOL, "process pool '%s': %s while it had '%s'",
                                            pool->pool.name, process->end, call->name));
    } else {
        call->state = ED_CALL_QUEUED;
        struct ed_list *first = pool->queue.next; /* it was first once already */
        ed_list_push(first, &call->link);
        pool->queued++;
        return true;
    }
    return false;
}

/* The lock is held. The newest first, so that those which go back to the front of the queue are in order there. */
static void settle_calls(struct ed_process *process) {
    bool any_begun = false;
    for (unsigned i = 0; i < process->count; i++) {
        const unsigned at = (process->first + i) % ED_WIRE_IN_FLIGHT;
        any_begun |= ed_wire_slot_begun(&process->os.page->slots[at], process->entries[at].number);
    }
    for (unsigned i = process->count; i > 0; i--) {
        const unsigned at = (process->first + i - 1) % ED_WIRE_IN_FLIGHT;
        const struct ed_entry_of_call entry = process->entries[at];
        if (entry.gone)
            ed_remote_call_release(entry.call); /* not the last reference of the pool: the manager lives */
        else
            (void)settle_call(process, entry.call, ed_wire_slot_begun(&process->os.page->slots[at], entry.number),
                              any_begun);
    }
    process->count = 0;
}

static bool is_starting(const struct ed_process *process) {
    return process->state == ED_PROCESS_STARTING || process->state == ED_PROCESS_INITIALIZING;
}

/* What a system that is short of something for now refuses a start with. Any other status is the program's. */
static bool may_mend(int status) {
    return status == -EAGAIN || status == -ENOMEM || status == -EMFILE || status == -ENFILE || status == -ENOBUFS ||
           status == -ETXTBSY;
}

/* The lock is held: a process could not be started. Calls wait, and it is tried again after a pause: as long as there are other
 * processes, for these serve; else until that is hopeless. */
static void start_refused(struct eddy_process_pool *pool, int status) {
    unsigned others = 0;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        others += !process->reaped && (is_starting(process) || process->state == ED_PROCESS_READY);
    }
    pool->spawn_pause_until_ns = eddy_time_ns() + SPAWN_PAUSE_NS;
    pool->refused_starts = others == 0 ? pool->refused_starts + 1 : 0;
    if (others > 0 || (may_mend(status) && pool->refused_starts < ED_REFUSED_STARTS_MAX)) return;
    ed_process_pool_break(pool, ed_process_error(EDDY_EBROKENPOOL, "process pool '%s': cannot start '%s': %s (%s)",
                                                 pool->pool.name,
                                                 pool->worker_path != NULL ? pool->worker_path : "/proc/self/exe",
                                                 eddy_status_name(status), eddy_status_text(status)));
}

void ed_process_settle(struct ed_process *process) {
    struct eddy_process_pool *pool = process->pool;
    if (process->unattached < 0) {
        start_refused(pool, process->unattached);
    } else if (!process->expected) {
        pool->deaths++;
        pool->owed++;
        pool->dead_starts += !process->was_ready;
        if (pool->dead_starts >= DEAD_STARTS_MAX)
            ed_process_pool_break(
                pool,
                ed_process_error(EDDY_EBROKENPOOL,
                                 "process pool '%s': %d processes in a row died before their first call, the last: %s",
                                 pool->pool.name, DEAD_STARTS_MAX, process->end));
        else if (pool->on_death == EDDY_FAIL_ALL && process->was_ready)
            ed_process_pool_break(pool, ed_process_error(EDDY_EBROKENPOOL,
                                                         "process pool '%s': %s, and all calls fail with it",
                                                         pool->pool.name, process->end));
    }
    settle_calls(process);
    munmap(process->os.page, sizeof *process->os.page);
    memset(process, 0, sizeof *process);
    process->pool = pool;
    ED_ASSERT(process->state == ED_PROCESS_DEAD);
}

/* The process has ended: the home lets go of it. */
static void reap(struct eddy_process_pool *pool, struct ed_process *process) {
    char end[sizeof process->end];
    const bool cpu_used_up = describe_end(process, end, sizeof end);
    close(process->os.pidfd);
    pthread_mutex_lock(&pool->pool.lock);
    memcpy(process->end, end, sizeof end);
    process->reaped = true;
    if (cpu_used_up && !process->expected) { /* a limit of ours: no death */
        process->cpu_used_up = process->expected = true;
        pool->kills++;
        pool->owed++;
    }
    pthread_mutex_unlock(&pool->pool.lock);
    const int status = ed_post(pool->home, &process->detach);
    ED_ASSERT(status == 0); /* workers take messages until all executors have ended */
}

/* ---- looking: what was asked for ------------------------------------------------------------------ */

/* The lock is held. May one more process be killed because of a cancel? */
static bool take_kill_token(struct eddy_process_pool *pool, int64_t now_ns) {
    pool->kill_tokens += (double)(now_ns - pool->kill_tokens_ns) * 1e-9 * pool->kills_per_second;
    pool->kill_tokens_ns = now_ns;
    if (pool->kill_tokens > pool->kills_per_second) pool->kill_tokens = pool->kills_per_second;
    if (pool->kill_tokens < 1) return false;
    pool->kill_tokens -= 1;
    return true;
}

static struct ed_entry_of_call *entry_at(struct ed_process *process, unsigned i) {
    return &process->entries[(process->first + i) % ED_WIRE_IN_FLIGHT];
}

/* The lock is held: the first call of the process that is to be killed now; its count: none. */
static unsigned find_wanted(struct ed_process *process, int64_t now_ns) {
    unsigned i = 0;
    for (; i < process->count; i++) {
        const struct ed_entry_of_call *entry = entry_at(process, i);
        if (!entry->gone && entry->call->kill_wanted && entry->call->kill_at_ns <= now_ns) break;
    }
    return i;
}

/* The lock is held: the calls behind entry `wanted` go back to the front of the queue, so that its death is theirs no more.
 * False: one of them has begun, so the wanted one has ended and its answer is on the way. (What was answered before it is
 * read after the death.) */
static bool spare_others(struct ed_process *process, unsigned wanted) {
    for (unsigned i = process->count - 1; i > wanted; i--) {
        const struct ed_entry_of_call *entry = entry_at(process, i);
        if (!entry->gone && !ed_remote_call_move(entry->call)) return false;
    }
    return true;
}

/* The lock is held. */
static void look_at_kills(struct eddy_process_pool *pool, int64_t now_ns) {
    for (unsigned i = 0; i < pool->processes_max && pool->kills_wanted > 0; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state != ED_PROCESS_READY || process->reaped) continue;
        const unsigned wanted = find_wanted(process, now_ns);
        if (wanted == process->count) continue;
        if (!take_kill_token(pool, now_ns)) return;
        if (!spare_others(process, wanted)) continue;
        ed_process_kill(process, true);
        pool->kills++;
        pool->owed++;
    }
}

/* The lock is held. What has begun was told by its terms; a function that has a handler for SIGTERM is told by that as
 * well (a worker process begins with SIGTERM ignored). */
static void look_at_termination(struct eddy_process_pool *pool, int64_t now_ns) {
    if (!pool->terminating) return;
    for (unsigned i = 0; i < pool->processes_max && !pool->has_signalled; i++) {
        const struct ed_process *process = &pool->processes[i];
        if (process->state == ED_PROCESS_READY && !process->reaped && process->count > 0)
            ed_pidfd_signal(process->os.pidfd, SIGTERM);
    }
    pool->has_signalled = true;
    pool->killing |= now_ns >= pool->terminate_at_ns;
}

/* The lock is held. Nothing will ever be for this process to do. */
static void end_process(struct ed_process *process, int64_t now_ns) {
    if (process->reaped) return;
    if (is_starting(process)) {
        ed_process_kill(process, true);
    } else if (process->state == ED_PROCESS_READY && process->count == 0) {
        process->state = ED_PROCESS_ENDING;
        process->expected = true;
        process->deadline_ns = now_ns + END_GRACE_NS;
        shutdown(process->os.socket, SHUT_WR);
    }
}

/* The lock is held. It will take a queued call by itself: it is starting, or free, which the home has not seen yet. */
static bool comes_to_queue(const struct eddy_process_pool *pool, const struct ed_process *process) {
    if (is_starting(process)) return true;
    return process->state == ED_PROCESS_READY && !process->reaped && process->count == 0 &&
           (pool->max_tasks == 0 || process->served < pool->max_tasks);
}

/* Does what tasks asked for. False: the pool has ended. *starts_out: how many processes are wanted more. */
static bool look(struct eddy_process_pool *pool, unsigned *starts_out) {
    const int64_t now_ns = pool->looked_ns = eddy_time_ns();
    pthread_mutex_lock(&pool->pool.lock);
    look_at_termination(pool, now_ns);
    if ((pool->killing || pool->terminating) && pool->queued > 0) {
        eddy_error *error = ed_process_pool_error_of_end(pool);
        fail_queued(pool, error);
        eddy_error_release(error);
    }
    look_at_kills(pool, now_ns);

    const bool kill_all = pool->killing || (pool->is_broken && pool->on_death == EDDY_FAIL_ALL);
    /* While calls wait behind others, a process that is free will get one: the home has yet to see that it is. */
    size_t running;
    const bool is_over = (pool->closing || pool->is_broken) && ed_process_pool_waiting(pool, &running) == 0;
    unsigned alive = 0, coming = 0;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state == ED_PROCESS_DEAD) continue;
        if (kill_all && process->state != ED_PROCESS_DYING && !process->reaped) ed_process_kill(process, true);
        if (pool->max_tasks > 0 && process->served >= pool->max_tasks) end_process(process, now_ns);
        if (is_over) end_process(process, now_ns);
        alive++;
        coming += comes_to_queue(pool, process);
    }
    const unsigned room = pool->processes_max - alive;
    const size_t wanted = pool->queued > coming ? pool->queued - coming : 0;
    *starts_out = wanted < room ? (unsigned)wanted : room;
    const bool ended = pool->closing && pool->queued == 0 && alive == 0;
    pthread_mutex_unlock(&pool->pool.lock);
    return !ended;
}

/* ---- starting ----------------------------------------------------------------------------------- */

/* Gives how many of them could not be started for now. */
static unsigned start_processes(struct eddy_process_pool *pool, unsigned starts) {
    for (unsigned i = 0; i < pool->processes_max && starts > 0; i++) {
        struct ed_process *process = &pool->processes[i];
        pthread_mutex_lock(&pool->pool.lock);
        const bool is_dead = process->state == ED_PROCESS_DEAD;
        const int64_t now_ns = eddy_time_ns(), pause_until_ns = pool->spawn_pause_until_ns;
        pthread_mutex_unlock(&pool->pool.lock);
        if (now_ns < pause_until_ns) break;
        if (!is_dead) continue;
        struct ed_spawned os;
        const int status = ed_spawn(pool->worker_path, pool->environment, &pool->limits, &os);

        pthread_mutex_lock(&pool->pool.lock);
        if (status == 0) {
            process->os = os;
            process->state = ED_PROCESS_STARTING;
            process->attach.arrive = ed_process_attach;
            process->detach.arrive = ed_process_detach;
            process->deadline_ns = now_ns + pool->hello_ns;
            pool->respawns += pool->owed > 0;
            pool->owed -= pool->owed > 0;
            starts--;
        } else {
            start_refused(pool, status);
        }
        pthread_mutex_unlock(&pool->pool.lock);
        if (status < 0) continue;
        const int posted = ed_post(pool->home, &process->attach);
        ED_ASSERT(posted == 0); /* workers take messages until all executors have ended */
    }
    return starts;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a_ns, int64_t b_ns) { return a_ns < b_ns ? a_ns : b_ns; }

/* The lock is held: when the first of the calls that were in their grace at the last look is to be killed. */
static int64_t next_kill(struct eddy_process_pool *pool) {
    int64_t first_ns = INT64_MAX;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        for (unsigned k = 0; k < process->count; k++) {
            const struct ed_entry_of_call *entry = entry_at(process, k);
            if (!entry->gone && entry->call->kill_wanted && entry->call->kill_at_ns > pool->looked_ns)
                first_ns = earlier(first_ns, entry->call->kill_at_ns);
        }
    }
    return first_ns;
}

static int64_t next_deadline(struct eddy_process_pool *pool, bool wants_start) {
    pthread_mutex_lock(&pool->pool.lock);
    int64_t deadline_ns = wants_start ? pool->spawn_pause_until_ns : INT64_MAX;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        if (!process->reaped && (process->state == ED_PROCESS_STARTING || process->state == ED_PROCESS_ENDING))
            deadline_ns = earlier(deadline_ns, process->deadline_ns);
    }
    if (pool->terminating && !pool->killing) deadline_ns = earlier(deadline_ns, pool->terminate_at_ns);
    if (pool->kills_wanted > 0 && pool->grace_ns > 0) deadline_ns = earlier(deadline_ns, next_kill(pool));
    if (pool->kills_wanted > 0 && pool->kill_tokens < 1)
        deadline_ns = earlier(deadline_ns, pool->kill_tokens_ns +
                                               (int64_t)((1 - pool->kill_tokens) * 1e9 / pool->kills_per_second) + 1);
    pthread_mutex_unlock(&pool->pool.lock);
    return deadline_ns;
}

static void look_at_deadlines(struct eddy_process_pool *pool) {
    const int64_t now_ns = eddy_time_ns();
    pthread_mutex_lock(&pool->pool.lock);
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        const bool no_hello = process->state == ED_PROCESS_STARTING;
        if (process->reaped || (!no_hello && process->state != ED_PROCESS_ENDING) || now_ns < process->deadline_ns)
            continue;
        if (no_hello && ED_LOAD_ACQUIRE(&process->os.page->serves)) {
            process->deadline_ns = INT64_MAX; /* it is there: the home has yet to read that */
            continue;
        }
        if (no_hello)
            ed_process_pool_break(
                pool, ed_process_error(EDDY_EBROKENPOOL, "process pool '%s': process %d was not ready after %lld ms",
                                       pool->pool.name, process->os.pid, (long long)(pool->hello_ns / 1000000)));
        ed_process_kill(process, true);
    }
    pthread_mutex_unlock(&pool->pool.lock);
}

/* Sleeps until something happens, and takes it. */
static void wait_for_events(struct eddy_process_pool *pool, bool wants_start) {
    struct pollfd *polls = pool->polls;
    polls[0] = (struct pollfd){.fd = pool->bell, .events = POLLIN};
    pthread_mutex_lock(&pool->pool.lock);
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        const bool alive = process->state != ED_PROCESS_DEAD && !process->reaped;
        polls[1 + i] = (struct pollfd){.fd = alive ? process->os.pidfd : -1, .events = POLLIN};
    }
    pthread_mutex_unlock(&pool->pool.lock);
    const int64_t deadline_ns = next_deadline(pool, wants_start), now_ns = eddy_time_ns();
    const int64_t timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    const struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    if (ppoll(polls, 1 + pool->processes_max, deadline_ns == INT64_MAX ? NULL : &timeout, NULL) <= 0) return;

    uint64_t rings;
    if (polls[0].revents != 0 && read(pool->bell, &rings, sizeof rings) < 0) ED_ASSERT(errno == EAGAIN);
    for (unsigned i = 0; i < pool->processes_max; i++)
        if (polls[1 + i].revents != 0) reap(pool, &pool->processes[i]);
}

void *ed_process_manager(void *arg) {
    struct eddy_process_pool *pool = arg;
    ed_exec_name_thread("eddy-processes");
    for (unsigned starts; look(pool, &starts);) {
        starts = start_processes(pool, starts);
        wait_for_events(pool, starts > 0);
        look_at_deadlines(pool);
    }
    pthread_mutex_lock(&pool->pool.lock);
    close(pool->bell);
    pool->bell = -1;
    pthread_mutex_unlock(&pool->pool.lock);
    ed_exec_bury_self(pool->pool.exec);
    ed_pool_delist(&pool->pool);
    return NULL;
}
