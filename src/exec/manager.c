/* manager.c: the thread of a process pool: starts, feeds, watches, kills and buries its processes. Protocol:
 * process_pool.h.
 *
 * Life       look (under the lock: what was asked for) -> start processes -> send -> poll -> receive, reap -> look ...
 * Ordering   A process's end of the stream and its death are told by two descriptors in any order. The death decides, and
 *            before it counts, everything that the process had sent is read: an answer that came is an answer.
 *            `started` in the shared page is read only after the death: the kernel's reaping orders it.
 * Threads    The manager, except for what the header says.
 * Not here   How a process is started (spawn.c), what it does (worker_process.c). */
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
    DEAD_STARTS_MAX = 3,         /* in a row: one may be an accident, three are the program             */
    MOVES_MAX = 3,               /* of one call whose processes die before they begin it: it is the call */
    RECEIVE_BYTES_MAX = 1 << 20, /* from one process before the others are looked at                    */
};
#define END_GRACE_NS EDDY_SECONDS(5) /* from the end of the stream to the kill    */
#define SPAWN_PAUSE_NS EDDY_MS(100)  /* after a start that the system refused     */

static void set_state(struct eddy_process_pool *pool, struct ed_process *process, enum ed_process_state state) {
    pthread_mutex_lock(&pool->pool.lock);
    process->state = state;
    pthread_mutex_unlock(&pool->pool.lock);
}

/* ---- how calls end ------------------------------------------------------------------------------ */

static eddy_error *error_of(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
static eddy_error *error_of(int status, const char *format, ...) {
    char text[ED_WIRE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ed_error_create(status, "", text);
}

/* The lock is held; no process has the call, and no queue. Takes `error`. */
static void end_call(struct ed_remote_call *call, int status, eddy_error *error) {
    call->state = ED_CALL_DONE;
    call->status = status;
    call->error = error;
    ed_caller_wake(&call->caller);
}

/* The lock is held: takes the call away from its process. */
static struct ed_remote_call *detach_call(struct eddy_process_pool *pool, struct ed_process *process) {
    struct ed_remote_call *call = process->call;
    process->call = NULL;
    pool->running--;
    if (call->kill_wanted) pool->kills_wanted--;
    return call;
}

/* The lock is held. */
static void fail_queued(struct eddy_process_pool *pool, eddy_error *error) {
    for (struct ed_list *link; (link = ed_list_pop(&pool->queue)) != NULL;) {
        pool->queued--;
        end_call(ED_CONTAINER(link, struct ed_remote_call, link), EDDY_EBROKENPOOL,
                 error != NULL ? eddy_error_share(error) : NULL);
    }
}

/* The lock is held. Takes `why`; the first one stays. */
static void break_pool(struct eddy_process_pool *pool, eddy_error *why) {
    if (pool->is_broken) {
        eddy_error_release(why);
    } else {
        pool->is_broken = true;
        pool->broken = why;
    }
    fail_queued(pool, pool->broken);
}

/* ---- how processes end ---------------------------------------------------------------------------- */

/* The lock is held. Its pidfd will tell. `expected`: by our own decision. */
static void kill_process(struct ed_process *process, bool expected) {
    process->state = ED_PROCESS_DYING;
    process->expected = expected;
    ed_pidfd_kill(process->os.pidfd); /* fails only if it has ended already */
}

/* What became of it, for people. */
static void describe_end(const struct ed_process *process, char *text, size_t bytes) {
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
    } else if (info.si_code == CLD_EXITED) {
        snprintf(text, bytes, "process %d exited with code %d", pid, info.si_status);
    } else {
        const char *name = sigdescr_np(info.si_status);
        snprintf(text, bytes, "process %d was ended by signal %d (%s)", pid, info.si_status,
                 name != NULL ? name : "unknown");
    }
}

/* The lock is held. What becomes of the call of a process that has died. */
static void settle_call(struct eddy_process_pool *pool, struct ed_process *process, const char *end) {
    struct ed_remote_call *call = detach_call(pool, process);
    const bool begun = ED_LOAD_ACQUIRE(&process->os.page->started) == call->head.number;
    if (call->kill_wanted) {
        end_call(call, EDDY_ECANCELED, NULL);
    } else if (pool->is_broken && pool->on_death == EDDY_FAIL_ALL && process->expected) {
        end_call(call, EDDY_EBROKENPOOL, pool->broken != NULL ? eddy_error_share(pool->broken) : NULL);
    } else if (begun || pool->killing || pool->is_broken || ++call->moves > MOVES_MAX) {
        end_call(
            call, EDDY_EBROKENPOOL,
            error_of(EDDY_EBROKENPOOL, "process pool '%s': %s while it had '%s'", pool->pool.name, end, call->name));
    } else {
        call->state = ED_CALL_QUEUED;
        struct ed_list *first = pool->queue.next; /* it was first once already */
        ed_list_push(first, &call->link);
        pool->queued++;
    }
}

/* The process has ended, and all that it sent was read. */
static void reap(struct eddy_process_pool *pool, struct ed_process *process) {
    char end[160];
    describe_end(process, end, sizeof end);
    close(process->os.pidfd);
    close(process->os.socket);
    eddy_bytes_free(&process->payload);

    pthread_mutex_lock(&pool->pool.lock);
    if (!process->expected) {
        pool->deaths++;
        pool->owed++;
        pool->dead_starts += !process->was_ready;
        if (pool->dead_starts >= DEAD_STARTS_MAX)
            break_pool(pool,
                       error_of(EDDY_EBROKENPOOL,
                                "process pool '%s': %d processes in a row died before their first call, the last: %s",
                                pool->pool.name, DEAD_STARTS_MAX, end));
        else if (pool->on_death == EDDY_FAIL_ALL && process->was_ready)
            break_pool(pool, error_of(EDDY_EBROKENPOOL, "process pool '%s': %s, and all calls fail with it",
                                      pool->pool.name, end));
    }
    if (process->call != NULL) settle_call(pool, process, end);
    munmap(process->os.page, sizeof *process->os.page);
    memset(process, 0, sizeof *process);
    ED_ASSERT(process->state == ED_PROCESS_DEAD);
    pthread_mutex_unlock(&pool->pool.lock);
}

/* The process does what no worker does, or closed its end: then it is ending, unless a function of its user's did that. */
static void reject(struct eddy_process_pool *pool, struct ed_process *process) {
    pthread_mutex_lock(&pool->pool.lock);
    kill_process(process, process->expected);
    pthread_mutex_unlock(&pool->pool.lock);
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

/* The lock is held. */
static void look_at_kills(struct eddy_process_pool *pool, int64_t now_ns) {
    for (unsigned i = 0; i < pool->processes_max && pool->kills_wanted > 0; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state != ED_PROCESS_BUSY || !process->call->kill_wanted) continue;
        if (!take_kill_token(pool, now_ns)) return;
        kill_process(process, true);
        pool->kills++;
        pool->owed++;
    }
}

/* The lock is held. Nothing will ever be for this process to do. */
static void end_process(struct ed_process *process, int64_t now_ns) {
    if (process->state == ED_PROCESS_STARTING || process->state == ED_PROCESS_INITIALIZING) {
        kill_process(process, true);
    } else if (process->state == ED_PROCESS_READY) {
        process->state = ED_PROCESS_ENDING;
        process->expected = true;
        process->deadline_ns = now_ns + END_GRACE_NS;
        shutdown(process->os.socket, SHUT_WR);
    }
}

/* The lock is held. */
static void give_call(struct eddy_process_pool *pool, struct ed_process *process) {
    struct ed_remote_call *call = ED_CONTAINER(ed_list_pop(&pool->queue), struct ed_remote_call, link);
    pool->queued--;
    pool->running++;
    call->state = ED_CALL_SENT;
    process->call = call;
    process->state = ED_PROCESS_BUSY;
    process->served++;
    process->send_at = (const char *)&call->head;
    process->send_bytes = call->frame_bytes;
}

/* Does what tasks asked for. False: the pool has ended. *starts_out: how many processes are wanted more; *alive_out: how
 * many there are. */
static bool look(struct eddy_process_pool *pool, unsigned *starts_out, unsigned *alive_out) {
    const int64_t now_ns = eddy_time_ns();
    pthread_mutex_lock(&pool->pool.lock);
    if (pool->killing && pool->queued > 0) {
        eddy_error *error = error_of(EDDY_EBROKENPOOL, "process pool '%s' was killed", pool->pool.name);
        fail_queued(pool, error);
        eddy_error_release(error);
    }
    look_at_kills(pool, now_ns);

    const bool kill_all = pool->killing || (pool->is_broken && pool->on_death == EDDY_FAIL_ALL);
    unsigned alive = 0, starting = 0;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state == ED_PROCESS_DEAD) continue;
        if (kill_all && process->state != ED_PROCESS_DYING) kill_process(process, true);
        if (pool->max_tasks > 0 && process->served >= pool->max_tasks) end_process(process, now_ns);
        if (process->state == ED_PROCESS_READY && pool->queued > 0) give_call(pool, process);
        if (pool->queued == 0 && (pool->closing || pool->is_broken)) end_process(process, now_ns);
        alive++;
        starting += process->state == ED_PROCESS_STARTING || process->state == ED_PROCESS_INITIALIZING;
    }
    const unsigned room = pool->processes_max - alive;
    const size_t wanted = pool->queued > starting ? pool->queued - starting : 0;
    *starts_out = wanted < room ? (unsigned)wanted : room;
    *alive_out = alive;
    const bool ended = pool->closing && pool->queued == 0 && alive == 0;
    pthread_mutex_unlock(&pool->pool.lock);
    return !ended;
}

/* ---- starting ----------------------------------------------------------------------------------- */

/* Gives how many of them could not be started for now. With others `alive` that is no reason to give up. */
static unsigned start_processes(struct eddy_process_pool *pool, unsigned starts, unsigned alive) {
    for (unsigned i = 0; i < pool->processes_max && starts > 0; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state != ED_PROCESS_DEAD) continue;
        const int64_t now_ns = eddy_time_ns();
        if (now_ns < pool->spawn_pause_until_ns) break;
        struct ed_spawned os;
        const int status = ed_spawn(pool->worker_path, pool->environment, &os);

        pthread_mutex_lock(&pool->pool.lock);
        if (status == 0) {
            process->os = os;
            process->state = ED_PROCESS_STARTING;
            process->deadline_ns = now_ns + pool->hello_ns;
            pool->respawns += pool->owed > 0;
            pool->owed -= pool->owed > 0;
            starts--;
            alive++;
        } else {
            pool->spawn_pause_until_ns = now_ns + SPAWN_PAUSE_NS;
            if (alive == 0 && ++pool->dead_starts >= DEAD_STARTS_MAX)
                break_pool(pool,
                           error_of(EDDY_EBROKENPOOL, "process pool '%s': cannot start '%s': %s (%s)", pool->pool.name,
                                    pool->worker_path != NULL ? pool->worker_path : "/proc/self/exe",
                                    eddy_status_name(status), eddy_status_text(status)));
        }
        pthread_mutex_unlock(&pool->pool.lock);
    }
    return starts;
}

/* ---- sending and receiving ------------------------------------------------------------------------ */

static void send_some(struct ed_process *process) {
    while (process->send_bytes > 0) {
        const ssize_t put =
            send(process->os.socket, process->send_at, process->send_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) return;
        if (put < 0) { /* it is ending: its pidfd will tell, and what it answered before is still to be read */
            process->send_bytes = 0;
            return;
        }
        process->send_at += put;
        process->send_bytes -= (size_t)put;
    }
}

static void ready_now(struct eddy_process_pool *pool, struct ed_process *process) {
    process->was_ready = true;
    pool->dead_starts = 0;
    set_state(pool, process, ED_PROCESS_READY);
}

/* A whole frame has come in. */
static void take_frame(struct eddy_process_pool *pool, struct ed_process *process) {
    const struct ed_wire_head head = process->head;
    const bool no_memory = head.kind == ED_WIRE_RESULT && head.bytes > 0 && process->payload.data == NULL;
    eddy_bytes payload = process->payload;
    process->payload = (eddy_bytes){NULL, 0};
    process->got = 0;

    if (process->state == ED_PROCESS_STARTING) {
        if (pool->initializer == NULL) {
            ready_now(pool, process);
            return;
        }
        process->send_at = (const char *)&pool->initializer->head;
        process->send_bytes = pool->initializer->frame_bytes;
        set_state(pool, process, ED_PROCESS_INITIALIZING);
        send_some(process);
    } else if (process->state == ED_PROCESS_INITIALIZING) {
        eddy_bytes_free(&payload);
        if (head.status >= 0) {
            ready_now(pool, process);
            return;
        }
        pthread_mutex_lock(&pool->pool.lock);
        break_pool(pool, error_of(EDDY_EBROKENPOOL, "process pool '%s': its initializer failed with %s%s%.*s",
                                  pool->pool.name, eddy_status_name(head.status), head.text_bytes > 0 ? ": " : "",
                                  head.text_bytes, process->text));
        kill_process(process, true);
        pthread_mutex_unlock(&pool->pool.lock);
    } else {
        eddy_error *error = NULL;
        if (head.text_bytes > 0) error = error_of(head.status, "%.*s", head.text_bytes, process->text);
        pthread_mutex_lock(&pool->pool.lock);
        struct ed_remote_call *call = detach_call(pool, process);
        process->state = ED_PROCESS_READY;
        pool->done++;
        call->out = payload;
        end_call(call, no_memory ? EDDY_ENOMEM : head.status, error);
        pthread_mutex_unlock(&pool->pool.lock);
    }
}

/* Is the head that has come in one that this process may send now? */
static bool head_is_legal(const struct eddy_process_pool *pool, const struct ed_process *process) {
    const struct ed_wire_head *head = &process->head;
    if (head->magic != ED_WIRE_MAGIC) return false;
    if (process->state == ED_PROCESS_STARTING)
        return head->kind == ED_WIRE_HELLO && head->text_bytes == 0 && head->number == process->os.nonce &&
               (pool->identity == 0 || head->bytes == pool->identity);
    if (process->state != ED_PROCESS_INITIALIZING && process->state != ED_PROCESS_BUSY) return false;
    const uint64_t number = process->state == ED_PROCESS_BUSY ? process->call->head.number : 0;
    return head->kind == ED_WIRE_RESULT && head->number == number && process->send_bytes == 0 &&
           head->text_bytes <= ED_WIRE_TEXT_MAX && (head->status < 0 || head->text_bytes == 0) &&
           (head->status >= 0 || head->bytes == 0) && head->bytes <= ED_WIRE_BYTES_MAX;
}

/* Where the next bytes go, and how many may; 0: the frame is whole. */
static size_t next_part(struct ed_process *process, char *scratch, size_t scratch_bytes, char **to_out) {
    const size_t head_end = sizeof process->head, text_end = head_end + process->head.text_bytes;
    if (process->got < head_end) {
        *to_out = (char *)&process->head + process->got;
        return head_end - process->got;
    }
    if (process->got < text_end) {
        *to_out = process->text + (process->got - head_end);
        return text_end - process->got;
    }
    const size_t left = process->head.kind == ED_WIRE_HELLO ? 0 : process->head.bytes - (process->got - text_end);
    *to_out = scratch;
    if (process->payload.data == NULL) return left < scratch_bytes ? left : scratch_bytes;
    *to_out = (char *)process->payload.data + (process->got - text_end);
    return left;
}

enum received { DRY, MORE, ENDED };

/* Reads what is there, or a part of much. */
static enum received receive(struct eddy_process_pool *pool, struct ed_process *process) {
    char scratch[4096];
    size_t taken = 0;
    for (;;) {
        char *to;
        const size_t bytes = next_part(process, scratch, sizeof scratch, &to);
        if (bytes == 0) {
            take_frame(pool, process);
            if (process->state == ED_PROCESS_DYING) return DRY;
            continue;
        }
        if (taken >= RECEIVE_BYTES_MAX) return MORE; /* the socket holds the rest: poll will say so */
        const ssize_t got = recv(process->os.socket, to, bytes, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return DRY;
        if (got <= 0) return ENDED;
        process->got += (size_t)got;
        taken += (size_t)got;
        if (process->got != sizeof process->head) continue;
        if (!head_is_legal(pool, process)) return ENDED;
        if (process->head.kind == ED_WIRE_RESULT && process->head.bytes > 0)
            eddy_bytes_alloc(&process->payload, process->head.bytes); /* no memory: read and thrown away */
    }
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a_ns, int64_t b_ns) { return a_ns < b_ns ? a_ns : b_ns; }

static int64_t next_deadline(struct eddy_process_pool *pool, bool wants_start) {
    int64_t deadline_ns = INT64_MAX;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        if (process->state == ED_PROCESS_STARTING || process->state == ED_PROCESS_ENDING)
            deadline_ns = earlier(deadline_ns, process->deadline_ns);
    }
    if (wants_start) deadline_ns = earlier(deadline_ns, pool->spawn_pause_until_ns);
    pthread_mutex_lock(&pool->pool.lock);
    if (pool->kills_wanted > 0 && pool->kill_tokens < 1)
        deadline_ns = earlier(deadline_ns, pool->kill_tokens_ns +
                                               (int64_t)((1 - pool->kill_tokens) * 1e9 / pool->kills_per_second) + 1);
    pthread_mutex_unlock(&pool->pool.lock);
    return deadline_ns;
}

static void look_at_deadlines(struct eddy_process_pool *pool) {
    const int64_t now_ns = eddy_time_ns();
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        const bool no_hello = process->state == ED_PROCESS_STARTING;
        if ((!no_hello && process->state != ED_PROCESS_ENDING) || now_ns < process->deadline_ns) continue;
        pthread_mutex_lock(&pool->pool.lock);
        if (no_hello)
            break_pool(pool, error_of(EDDY_EBROKENPOOL, "process pool '%s': process %d was not ready after %lld ms",
                                      pool->pool.name, process->os.pid, (long long)(pool->hello_ns / 1000000)));
        kill_process(process, true);
        pthread_mutex_unlock(&pool->pool.lock);
    }
}

/* Sleeps until something happens, and takes it. */
static void wait_for_events(struct eddy_process_pool *pool, bool wants_start) {
    struct pollfd *polls = pool->polls;
    polls[0] = (struct pollfd){.fd = pool->bell, .events = POLLIN};
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        const bool alive = process->state != ED_PROCESS_DEAD;
        const bool listens = alive && process->state != ED_PROCESS_DYING;
        polls[1 + 2 * i] = (struct pollfd){.fd = alive ? process->os.pidfd : -1, .events = POLLIN};
        polls[2 + 2 * i] = (struct pollfd){.fd = listens ? process->os.socket : -1,
                                           .events = (short)(POLLIN | (process->send_bytes > 0 ? POLLOUT : 0))};
    }
    const int64_t deadline_ns = next_deadline(pool, wants_start), now_ns = eddy_time_ns();
    const int64_t timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    const struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    if (ppoll(polls, 1 + 2 * pool->processes_max, deadline_ns == INT64_MAX ? NULL : &timeout, NULL) <= 0) return;

    uint64_t rings;
    if (polls[0].revents != 0 && read(pool->bell, &rings, sizeof rings) < 0) ED_ASSERT(errno == EAGAIN);
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        const bool died = polls[1 + 2 * i].revents != 0;
        const short events = polls[2 + 2 * i].revents;
        if (events & POLLOUT) send_some(process);
        enum received received = DRY;
        if (died || (events & ~POLLOUT) != 0) {
            do received = process->state == ED_PROCESS_DYING ? DRY : receive(pool, process);
            while (died && received == MORE);
        }
        if (died)
            reap(pool, process);
        else if (received == ENDED)
            reject(pool, process);
    }
}

void *ed_process_manager(void *arg) {
    struct eddy_process_pool *pool = arg;
    ed_exec_name_thread("eddy-processes");
    for (unsigned starts, alive; look(pool, &starts, &alive);) {
        starts = start_processes(pool, starts, alive);
        for (unsigned i = 0; i < pool->processes_max; i++) send_some(&pool->processes[i]);
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
