/* feeder.c: the home of a process pool: gives calls to processes, sends, receives, answers. Protocol: process_pool.h.
 *
 * Ordering   A process's end of the stream and its death are told by two descriptors in any order. The death decides, and
 *            before it counts (ed_process_detach), everything that the process had sent is read: an answer that came is
 *            an answer. Its slots are read after that: the kernel's reaping orders them.
 * Frames     A call that was taken out of a process may be given again at once, also while its frame is not sent there, or in
 *            part. So an entry keeps its call, and its frame names its own slot, until the process has answered: the slot tells
 *            the process not to run it.
 * Threads    The pool's home, but for ed_remote_call_take and _move. In a task of the home or its loop, never both at once.
 * Not here   How processes start and end (manager.c), what they do (worker_process.c).
 * Tests      tests/exec/process_move_test.c, process_test.c; tests/model/slots_model.c. */
#include "exec/process_pool.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    SMALL_BYTES = 16384,         /* of a frame that may wait behind another                 */
    RECEIVE_BYTES_MAX = 1 << 20, /* from one process before the others are looked at        */
    SCRATCH_BYTES = 32768,       /* of a read: many small answers                           */
    PARTS_MAX = ED_WIRE_IN_FLIGHT + 2
};

/* What one system call sends. */
struct frames {
    size_t count;
    struct iovec parts[PARTS_MAX];
    struct ed_wire_head moved; /* of a call that has: one at a time */
};

static struct ed_entry_of_call *entry_at(struct ed_process *process, unsigned i) {
    return &process->entries[(process->first + i) % ED_WIRE_IN_FLIGHT];
}

/* ---- sending ------------------------------------------------------------------------------------ */

static bool has_unsent(const struct ed_process *process) {
    return process->send_first_bytes > 0 || process->unsent > 0;
}

/* What comes behind the first `skip` bytes. */
static void add_part(struct frames *frames, void *data, size_t bytes, size_t skip) {
    if (skip < bytes) frames->parts[frames->count++] = (struct iovec){(char *)data + skip, bytes - skip};
}

/* A frame names the slot of its entry. The call itself names that which it was given last: it may have been taken back from
 * here since, and given again. */
static void collect_frames(struct ed_process *process, struct frames *frames) {
    frames->count = 0;
    add_part(frames, (void *)(uintptr_t)process->send_first, process->send_first_bytes, 0);
    size_t skip = process->sent_bytes;
    bool any_moved = false;
    for (unsigned i = process->count - process->unsent; i < process->count; i++, skip = 0) {
        const unsigned at = (process->first + i) % ED_WIRE_IN_FLIGHT;
        struct ed_remote_call *call = process->entries[at].call;
        if (call->head.slot == at) {
            add_part(frames, &call->head, call->frame_bytes, skip);
            continue;
        }
        if (any_moved) break; /* it is sent next */
        any_moved = true;
        struct ed_wire_head *head = &frames->moved;
        *head = call->head;
        head->slot = at;
        add_part(frames, head, sizeof *head, skip);
        add_part(frames, call->rest, call->frame_bytes - sizeof *head, skip > sizeof *head ? skip - sizeof *head : 0);
    }
}

static void was_sent(struct ed_process *process, size_t bytes) {
    const size_t first = bytes < process->send_first_bytes ? bytes : process->send_first_bytes;
    process->send_first += first;
    process->send_first_bytes -= first;
    process->sent_bytes += bytes - first;
    while (process->unsent > 0) {
        const size_t whole = entry_at(process, process->count - process->unsent)->call->frame_bytes;
        if (process->sent_bytes < whole) break;
        process->sent_bytes -= whole;
        process->unsent--;
    }
}

static void watch(struct ed_process *process) {
    if (process->poller == NULL) return;
    process->pool->home->sched->driver->poller_set(process->poller,
                                                   ED_READABLE | (has_unsent(process) ? ED_WRITABLE : 0));
}

/* Without an end: it is ending, its pidfd will tell, and what it answered before is still to be read. */
static void drop_unsent(struct ed_process *process) {
    process->send_first_bytes = process->sent_bytes = 0;
    process->unsent = 0;
}

/* The result or -errno. */
static ED_SYSCALL ssize_t socket_send(int socket, struct iovec *parts, size_t count,
                                      const struct ed_call_extras *extras) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    union ed_fds_control control = {.alignment = 0};
    if (extras != NULL) {
        message.msg_controllen = ed_fds_pack(&control, extras->fds, extras->fds_count);
        message.msg_control = &control;
    }
    const ssize_t put = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return put < 0 ? -errno : put;
}

static ED_SYSCALL ssize_t socket_receive(int socket, void *to, size_t bytes) {
    const ssize_t got = recv(socket, to, bytes, MSG_DONTWAIT);
    return got < 0 ? -errno : got;
}

/* The call that is the next to be sent has descriptors, and none of its frame is sent yet: what it brings. NULL: not so. */
static const struct ed_call_extras *fds_to_send(struct ed_process *process) {
    if (process->send_first_bytes > 0 || process->sent_bytes > 0) return NULL;
    const struct ed_call_extras *extras = entry_at(process, process->count - process->unsent)->call->extras;
    return extras != NULL && extras->fds_count > 0 ? extras : NULL;
}

/* The system lets no more descriptors be on their way: the call fails, and its frame goes without them, to be skipped. */
static void refuse_fds(struct ed_process *process) {
    struct eddy_process_pool *pool = process->pool;
    pthread_mutex_lock(&pool->pool.lock);
    struct ed_entry_of_call *entry = entry_at(process, process->count - process->unsent);
    struct ed_remote_call *call = entry->call;
    const bool taken = !entry->gone && ed_remote_call_take(call);
    ED_ASSERT(taken || entry->gone); /* nothing of it was sent, so it cannot have begun */
    if (taken) {
        ED_ADD(&call->references, 1); /* the entry keeps its own */
        ed_remote_call_end(
            call, EDDY_ELIMIT,
            ed_process_error(EDDY_ELIMIT,
                             "process pool '%s': too many descriptors are on their way to other processes "
                             "(ETOOMANYREFS, see RLIMIT_NOFILE)",
                             pool->pool.name));
    }
    pthread_mutex_unlock(&pool->pool.lock);
}

static void send_some(struct ed_process *process) {
    bool without_fds = false;
    while (has_unsent(process)) {
        struct frames frames;
        collect_frames(process, &frames);
        const struct ed_call_extras *extras = without_fds ? NULL : fds_to_send(process);
        const ssize_t put = socket_send(process->os.socket, frames.parts, frames.count, extras);
        if (put == -EINTR) continue;
        if (put == -ETOOMANYREFS && extras != NULL) {
            refuse_fds(process);
            without_fds = true;
            continue;
        }
        const bool later = put == -EAGAIN || put == -ENOBUFS || put == -ENOMEM; /* no room, or no memory, for now */
        if (later) {
            watch(process);
            return;
        }
        if (put < 0) {
            drop_unsent(process);
            return;
        }
        was_sent(process, (size_t)put);
    }
}

/* ---- who gets which call -------------------------------------------------------------------------- */

bool ed_remote_call_take(struct ed_remote_call *call) {
    struct ed_process *process = call->process;
    struct ed_entry_of_call *entry = &process->entries[call->entry];
    ED_ASSERT(entry->call == call);
    if (!ed_wire_slot_claim(&process->os.page->slots[call->entry], entry->number, ED_WIRE_TAKEN)) return false;
    entry->gone = true;
    return true;
}

bool ed_remote_call_move(struct ed_remote_call *call) {
    struct eddy_process_pool *pool = call->pool;
    if (!ed_remote_call_take(call)) return false;
    ED_ADD(&call->references, 1); /* the entry keeps its own: the frame may still have to be sent */
    call->process->served--;
    call->state = ED_CALL_QUEUED;
    ed_list_push(pool->queue.next, &call->link);
    pool->queued++;
    return true;
}

/* The lock is held. */
static void give(struct eddy_process_pool *pool, struct ed_process *process) {
    struct ed_remote_call *call = ED_CONTAINER(ed_list_pop(&pool->queue), struct ed_remote_call, link);
    pool->queued--;
    const unsigned at = (process->first + process->count) % ED_WIRE_IN_FLIGHT;
    process->entries[at] = (struct ed_entry_of_call){.call = call, .number = call->head.number};
    process->count++;
    process->unsent++;
    process->served++;
    call->state = ED_CALL_SENT;
    call->process = process;
    call->entry = at;
    call->head.slot = at;
    ed_call_write_terms(call, &process->os.page->terms[at]);
    ed_wire_slot_send(&process->os.page->slots[at], call->head.number);
}

static bool takes_calls(const struct eddy_process_pool *pool, const struct ed_process *process) {
    return process->state == ED_PROCESS_READY && !process->reaped && process->poller != NULL &&
           (pool->max_tasks == 0 || process->served < pool->max_tasks);
}

/* The lock is held: the newest call of this process that waits behind another is queued again. False: there is none. */
static bool call_back_newest(struct ed_process *process) {
    for (unsigned i = process->count; i > 1; i--) {
        const struct ed_entry_of_call *entry = entry_at(process, i - 1);
        if (!entry->gone) return ed_remote_call_move(entry->call); /* or it has begun, so those before it have ended */
    }
    return false;
}

/* The lock is held, nothing is queued: a call that waits behind another is queued again. False: there is none. */
static bool call_back_one(struct eddy_process_pool *pool) {
    for (unsigned i = 0; i < pool->processes_max; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->state == ED_PROCESS_READY && call_back_newest(process)) return true;
    }
    return false;
}

/* May it wait behind another in a process? */
static bool may_wait(const struct ed_remote_call *call) {
    return call->frame_bytes <= SMALL_BYTES && (call->extras == NULL || call->extras->fds_count == 0);
}

/* The lock is held. */
static void give_all(struct eddy_process_pool *pool) {
    unsigned alive = 0, ready = 0;
    for (unsigned i = 0; i < pool->processes_max; i++) {
        const struct ed_process *process = &pool->processes[i];
        alive += process->state != ED_PROCESS_DEAD;
        ready += process->state == ED_PROCESS_READY;
    }
    const unsigned depth = ready == pool->processes_max ? ED_WIRE_IN_FLIGHT : 1;
    for (unsigned level = 0; level < depth && pool->queued > 0; level++)
        for (unsigned i = 0; i < pool->processes_max && pool->queued > 0; i++) {
            struct ed_process *process = &pool->processes[i];
            if (process->count != level || !takes_calls(pool, process)) continue;
            const struct ed_remote_call *call = ED_CONTAINER(pool->queue.next, struct ed_remote_call, link);
            if (level == 0 || may_wait(call)) give(pool, process);
        }
    for (unsigned i = 0; i < pool->processes_max && pool->queued == 0; i++) {
        struct ed_process *process = &pool->processes[i];
        if (process->count == 0 && takes_calls(pool, process)) {
            if (!call_back_one(pool)) break;
            give(pool, process);
        }
    }
    if (alive == pool->processes_max) return;
    if (pool->queued == 0 && !pool->is_broken) (void)call_back_one(pool); /* one more would be free for it */
    if (pool->queued > 0) ed_process_pool_ring(pool);                     /* for one more */
}

void ed_process_pool_feed(struct eddy_process_pool *pool) {
    pthread_mutex_lock(&pool->pool.lock);
    give_all(pool);
    pthread_mutex_unlock(&pool->pool.lock);
    for (unsigned i = 0; i < pool->processes_max; i++)
        if (has_unsent(&pool->processes[i]) && pool->processes[i].poller != NULL) send_some(&pool->processes[i]);
}

/* ---- receiving ---------------------------------------------------------------------------------- */

/* The lock is held. */
static void ready_now(struct eddy_process_pool *pool, struct ed_process *process) {
    process->was_ready = true;
    process->awaits = ED_AWAITS_ANSWERS;
    pool->dead_starts = pool->refused_starts = 0;
    if (process->state != ED_PROCESS_DYING) process->state = ED_PROCESS_READY;
}

/* The lock is held: the manager looks at a process that has nothing to do. */
static void look_if_done(struct eddy_process_pool *pool, const struct ed_process *process) {
    if (process->count > 0) return;
    if (pool->closing || pool->is_broken || (pool->max_tasks > 0 && process->served >= pool->max_tasks))
        ed_process_pool_ring(pool);
}

/* Not under the lock: it is DONE, and this worker's or somebody else's to wake. */
static void tell(struct eddy_process_pool *pool, struct ed_remote_call *call) {
    if (call->caller.worker == pool->home && !call->abandoned)
        call->caller.message.arrive(&call->caller.message, pool->home);
    else
        ed_caller_wake(&call->caller);
}

/* The oldest call of this process has been answered. */
static void take_answer(struct eddy_process_pool *pool, struct ed_process *process, const struct ed_wire_head *head,
                        const char *text, eddy_bytes payload) {
    const bool no_memory = head->bytes > 0 && payload.data == NULL;
    eddy_error *error = NULL;
    if (head->text_bytes > 0) error = ed_process_error(head->status, "%.*s", head->text_bytes, text);

    pthread_mutex_lock(&pool->pool.lock);
    struct ed_entry_of_call entry = *entry_at(process, 0);
    if (!entry.gone) ed_call_keep_report(entry.call, &process->os.page->terms[entry.call->entry]);
    process->first = (process->first + 1) % ED_WIRE_IN_FLIGHT;
    process->count--;
    if (!entry.gone) {
        pool->done++;
        if (entry.call->kill_wanted) pool->kills_wanted--;
        entry.call->state = ED_CALL_DONE;
        entry.call->status = no_memory ? EDDY_ENOMEM : head->status;
        entry.call->error = error;
        entry.call->out = payload;
    }
    look_if_done(pool, process);
    pthread_mutex_unlock(&pool->pool.lock);
    if (!entry.gone) {
        tell(pool, entry.call);
        return;
    }
    ed_remote_call_release(entry.call);
    eddy_bytes_free(&payload);
    eddy_error_release(error);
}

/* Of a RESULT, which has the limits of its form. */
static bool result_is_legal(const struct ed_wire_head *head) {
    return head->kind == ED_WIRE_RESULT && head->text_bytes <= ED_WIRE_TEXT_MAX &&
           head->text_bytes <= (head->status < 0 ? ED_WIRE_TEXT_MAX : 0) &&
           head->bytes <= (head->status < 0 ? 0 : ED_WIRE_BYTES_MAX);
}

/* Takes the answers that are in boxes, the oldest calls' first. False: one is none. What the worker may still write to is
 * copied before it is looked at. */
static bool take_boxes(struct eddy_process_pool *pool, struct ed_process *process) {
    while (process->count > process->unsent) {
        const uint64_t number = entry_at(process, 0)->number; /* the home's to change */
        if (!ed_wire_slot_done(&process->os.page->slots[process->first], number)) return true;
        const struct ed_wire_box *box = &process->os.page->boxes[process->first];
        const struct ed_wire_head head = *(const volatile struct ed_wire_head *)&box->head;
        if (head.magic != ED_WIRE_MAGIC || head.number != number || !result_is_legal(&head) ||
            head.bytes > sizeof box->rest)
            return false;
        char text[ED_WIRE_TEXT_MAX];
        eddy_bytes payload = {NULL, 0};
        memcpy(text, box->rest, head.text_bytes);
        if (head.bytes > 0 && eddy_bytes_alloc(&payload, head.bytes) == 0) memcpy(payload.data, box->rest, head.bytes);
        take_answer(pool, process, &head, text, payload);
    }
    return true;
}

/* Is the one that says HELLO what this pool wants? Else why not; NULL with false: no memory for that. */
static bool hello_is_right(const struct eddy_process_pool *pool, const struct ed_process *process,
                           eddy_error **why_out) {
    const char *path = pool->worker_path != NULL ? pool->worker_path : "/proc/self/exe";
    const struct ed_wire_identity *own = &pool->identity;
    struct ed_wire_identity theirs;
    *why_out = NULL;
    if (process->head.slot != ED_WIRE_VERSION || process->head.text_bytes != sizeof theirs) {
        *why_out = ed_process_error(EDDY_EBROKENPOOL,
                                    "process pool '%s': '%s' was built with another version of eddy (its workers speak "
                                    "version %u, this program %u): build both with the same one",
                                    pool->pool.name, path, process->head.slot, ED_WIRE_VERSION);
        return false;
    }
    memcpy(&theirs, process->text, sizeof theirs);
    if (!pool->same_build || theirs.build == own->build) return true;
    if (theirs.registry == own->registry)
        *why_out =
            ed_process_error(EDDY_EBROKENPOOL,
                             "process pool '%s': '%s' is another build of this program (%016llx there, %016llx "
                             "here): was the file replaced? Start this program again",
                             pool->pool.name, path, (unsigned long long)theirs.build, (unsigned long long)own->build);
    else
        *why_out = ed_process_error(EDDY_EBROKENPOOL,
                                    "process pool '%s': '%s' has other functions registered with EDDY_REMOTE (%llu "
                                    "there, %llu here): register the same ones in both, before main",
                                    pool->pool.name, path, (unsigned long long)theirs.functions,
                                    (unsigned long long)own->functions);
    return false;
}

/* The call that runs has said something. If it has been answered since, that was kept with the answer. */
static void tell_news(struct eddy_process_pool *pool, struct ed_process *process) {
    if (process->count == process->unsent) return;
    pthread_mutex_lock(&pool->pool.lock);
    const struct ed_entry_of_call *entry = entry_at(process, 0);
    struct ed_remote_call *call = entry->number == process->head.number && !entry->gone ? entry->call : NULL;
    pthread_mutex_unlock(&pool->pool.lock);
    if (call != NULL) ed_call_has_news(call);
}

/* A whole frame has come in. False: what is in a box is none. */
static bool take_frame(struct eddy_process_pool *pool, struct ed_process *process) {
    eddy_bytes payload = process->payload;
    process->payload = (eddy_bytes){NULL, 0};
    process->got = 0;
    if (process->awaits == ED_AWAITS_ANSWERS) {
        if (process->head.kind == ED_WIRE_REPORTED) tell_news(pool, process);
        if (process->head.kind != ED_WIRE_RESULT) return true; /* the boxes have been looked at */
        take_answer(pool, process, &process->head, process->text, payload);
        return take_boxes(pool, process); /* those behind it, of which a frame may have told before */
    }
    const struct ed_wire_head *head = &process->head;
    eddy_bytes_free(&payload);
    pthread_mutex_lock(&pool->pool.lock);
    const bool is_hello = process->awaits == ED_AWAITS_HELLO;
    eddy_error *why;
    if (is_hello && !hello_is_right(pool, process, &why)) {
        ed_process_pool_break(pool, why);
        if (!process->reaped) ed_process_kill(process, true);
    } else if (is_hello && pool->initializer != NULL) {
        process->awaits = ED_AWAITS_INITIALIZER;
        if (process->state == ED_PROCESS_STARTING) process->state = ED_PROCESS_INITIALIZING;
        process->send_first = (const char *)&pool->initializer->head;
        process->send_first_bytes = pool->initializer->frame_bytes;
    } else if (is_hello || head->status >= 0) {
        ready_now(pool, process);
    } else {
        ed_process_pool_break(
            pool, ed_process_error(EDDY_EBROKENPOOL, "process pool '%s': its initializer failed with %s%s%.*s",
                                   pool->pool.name, eddy_status_name(head->status), head->text_bytes > 0 ? ": " : "",
                                   head->text_bytes, process->text));
        if (!process->reaped) ed_process_kill(process, true);
    }
    look_if_done(pool, process);
    pthread_mutex_unlock(&pool->pool.lock);
    return true;
}

/* Is the head that has come in one that this process may send now? */
static bool head_is_legal(struct eddy_process_pool *pool, struct ed_process *process) {
    const struct ed_wire_head *head = &process->head;
    if (head->magic != ED_WIRE_MAGIC) return false;
    if (process->awaits == ED_AWAITS_HELLO)
        return head->kind == ED_WIRE_HELLO && head->bytes == 0 && head->text_bytes <= sizeof process->text &&
               head->number == process->os.nonce;
    const bool is_result = result_is_legal(head);
    if (process->awaits == ED_AWAITS_INITIALIZER)
        return is_result && head->number == 0 && process->send_first_bytes == 0;
    if (head->kind == ED_WIRE_ANSWERED) ed_wire_listen(process->os.page);
    if (!take_boxes(pool, process)) return false; /* they came before this frame */
    if (head->kind == ED_WIRE_ANSWERED || head->kind == ED_WIRE_REPORTED)
        return head->bytes == 0 && head->text_bytes == 0;
    if (!is_result || process->count == process->unsent) return false;
    pthread_mutex_lock(&pool->pool.lock);
    const struct ed_entry_of_call entry = *entry_at(process, 0);
    pthread_mutex_unlock(&pool->pool.lock);
    return head->number == entry.number && !entry.gone;
}

/* Where the next bytes go, and how many may; 0: the frame is whole. NULL as place: nowhere. */
static size_t next_part(struct ed_process *process, char **to_out) {
    const size_t head_end = sizeof process->head, text_end = head_end + process->head.text_bytes;
    if (process->got < head_end) {
        *to_out = (char *)&process->head + process->got;
        return head_end - process->got;
    }
    if (process->got < text_end) {
        *to_out = process->text + (process->got - head_end);
        return text_end - process->got;
    }
    *to_out = process->payload.data != NULL ? (char *)process->payload.data + (process->got - text_end) : NULL;
    return process->head.bytes - (process->got - text_end);
}

/* Takes bytes of frames. False: they are no frame of this process now. */
static bool consume(struct eddy_process_pool *pool, struct ed_process *process, const char *bytes, size_t count) {
    for (;;) {
        char *to;
        const size_t wanted = next_part(process, &to), part = wanted < count ? wanted : count;
        if (wanted == 0) {
            if (!take_frame(pool, process)) return false;
            continue;
        }
        if (part == 0) return true;
        if (to != NULL) memcpy(to, bytes, part);
        process->got += part;
        bytes += part;
        count -= part;
        if (process->got != sizeof process->head) continue;
        if (!head_is_legal(pool, process)) return false;
        if (process->head.kind == ED_WIRE_RESULT && process->head.bytes > 0)
            eddy_bytes_alloc(&process->payload, process->head.bytes); /* no memory: read and thrown away */
    }
}

enum received { DRY, MORE, ENDED };

/* Reads what is there, or a part of much. */
static enum received receive(struct eddy_process_pool *pool, struct ed_process *process) {
    char scratch[SCRATCH_BYTES];
    for (size_t taken = 0; !process->is_deaf;) {
        char *to = NULL;
        const size_t wanted = process->got > sizeof process->head ? next_part(process, &to) : 0;
        const bool direct = to != NULL && wanted >= sizeof scratch; /* much of one payload: into its place */
        const ssize_t got = socket_receive(process->os.socket, direct ? to : scratch, direct ? wanted : sizeof scratch);
        if (got == -EINTR) continue;
        if (got == -EAGAIN) return DRY;
        if (got <= 0) return ENDED;
        taken += (size_t)got;
        if (direct) process->got += (size_t)got;
        if (!consume(pool, process, scratch, direct ? 0 : (size_t)got)) return ENDED;
        if (!direct && (size_t)got < sizeof scratch) return DRY; /* a short read has emptied it */
        if (taken >= RECEIVE_BYTES_MAX) return MORE;             /* the socket holds the rest: the loop will say so */
    }
    return DRY;
}

/* ---- descriptors -------------------------------------------------------------------------------- */

/* The process does what no worker does, or closed its end: then it is ending, unless a function of its user's did that. */
static void reject(struct eddy_process_pool *pool, struct ed_process *process) {
    pool->home->sched->driver->poller_set(process->poller, 0);
    process->is_deaf = true;
    pthread_mutex_lock(&pool->pool.lock);
    if (!process->reaped) ed_process_kill(process, process->expected);
    pthread_mutex_unlock(&pool->pool.lock);
}

static struct ed_process *process_of(struct ed_poller *poller) {
    return *(struct ed_process **)((char *)poller - ED_LINE);
}

static void on_event(struct ed_poller *poller, unsigned directions, bool disarmed) {
    struct ed_process *process = process_of(poller);
    struct eddy_process_pool *pool = process->pool;
    if (directions & ED_WRITABLE) {
        send_some(process);
        if (!has_unsent(process)) watch(process);
    }
    if ((directions & ED_READABLE) || disarmed) {
        const enum received received = receive(pool, process);
        if (received == ENDED)
            reject(pool, process);
        else if (disarmed)
            watch(process);
        ed_process_pool_feed(pool);
    }
}

/* The socket is closed. The pool may be gone when this returns. */
static void settle(struct ed_process *process) {
    struct eddy_process_pool *pool = process->pool;
    ed_pool_ref(&pool->pool);
    eddy_bytes_free(&process->payload);
    pthread_mutex_lock(&pool->pool.lock);
    ed_process_settle(process);
    ed_process_pool_ring(pool);
    pthread_mutex_unlock(&pool->pool.lock);
    ed_process_pool_feed(pool);
    ed_pool_release(&pool->pool);
}

static void on_closed(struct ed_poller *poller) {
    struct ed_process *process = process_of(poller);
    process->poller = NULL;
    ed_free((char *)poller - ED_LINE);
    settle(process);
}

static int open_poller(struct ed_process *process, struct ed_worker *home) {
    char *block = ed_calloc(ED_LINE + home->sched->driver->poller_bytes);
    if (block == NULL) return EDDY_ENOMEM;
    *(struct ed_process **)block = process;
    struct ed_poller *poller = (struct ed_poller *)(block + ED_LINE);
    *poller = (struct ed_poller){.worker = home, .fd = process->os.socket, .event = on_event, .closed = on_closed};
    const int status = home->sched->driver->poller_open(poller);
    if (status < 0) {
        ed_free(block);
        return status;
    }
    process->poller = poller;
    watch(process);
    return 0;
}

void ed_process_attach(struct ed_message *message, struct ed_worker *home) {
    struct ed_process *process = ED_CONTAINER(message, struct ed_process, attach);
    struct eddy_process_pool *pool = process->pool;
    const int status = open_poller(process, home);
    if (status == 0) return;
    pthread_mutex_lock(&pool->pool.lock);
    process->unattached = status; /* a start that was refused */
    if (!process->reaped) ed_process_kill(process, true);
    pthread_mutex_unlock(&pool->pool.lock);
}

void ed_process_detach(struct ed_message *message, struct ed_worker *home) {
    struct ed_process *process = ED_CONTAINER(message, struct ed_process, detach);
    if (process->poller == NULL) {
        close(process->os.socket);
        settle(process);
        return;
    }
    while (receive(process->pool, process) == MORE) continue; /* killed or not: an answer that came is an answer */
    (void)take_boxes(process->pool, process);
    home->sched->driver->poller_close(process->poller);
}
