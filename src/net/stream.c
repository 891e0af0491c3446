/* stream.c: a connection, pipe or terminal as tasks see it.
 *
 * Problem    A request must cost one read and one write, a slow peer must hold up nobody but its own task, a
 *            cancelled read must lose nothing, and tasks on several workers may use one stream.
 * Idea       A stream belongs to one worker, its home. The system is asked first, and waited for only when it has
 *            nothing. Output gathers in a buffer that goes out at once for many writes: when a reader is about to
 *            wait, before the worker asks the system for events, in a drain, and when a block has gathered. What
 *            the socket refuses stays in the buffer, which then is itself the waiter for writability: no task is
 *            needed to send the rest. Calls from other workers travel home: those that wait as helper tasks
 *            (loop/remote.c), the rest as messages.
 * States     OPEN -> CLOSING (sending what is left) -> LINGERING (all sent; dropping what the peer still sends, or a
 *            reset would overtake our last bytes) -> CLOSED. abort goes to CLOSED from anywhere.
 * Invariants (N1) poll != NULL <=> the descriptor is open <=> state != CLOSED <=> the stream is in its worker's list
 *            and holds one reference for itself. (While it is being adopted it is in none: adopt.c.)
 *            (N2) `blocked` <=> a notify for writability is out, and `out` is not empty; or a call has seized the output
 *            (seize.c) of a stream that is not sealed. Nobody else sends then.
 *            (N3) Bytes leave `in`, or the socket, only in a call that returns them: no suspension lies between.
 *            (N4) `status` is the connection's first failure; once it is set `out` stays empty.
 *            (N5) `exhausted`: the last read took all there was. The next one waits without asking; readable
 *            interest is armed or gets armed, and is level-triggered, so what came meanwhile ends the wait.
 *            (N6) With a layer `in` holds what it gave, `out` what it made; `exhausted` is false: the layer has its own.
 *            (N7) `refusal` is 0 <=> OPEN, not `shutting`, and no failure.
 *            (N8) `special` <=> it has a layer, or `status` is set.
 * References `handles` are the users'. The last one closes the stream. `references`: the handles as one, the open
 *            descriptor, each message under way; the last one frees the memory, on any thread.
 * Threads    As each function says; fields marked (o) belong to the home worker, which may change (adopt.c).
 * Not here   The public words, and calls from other workers (stream_calls.c); connecting (connect.c), accepting (accept.c), the
 *            system's calls (loop/socket.c).
 * Tests      tests/net/stream_test.c. */
#include "loop/loop.h"
#include "net/address.h"
#include "net/stream_parts.h"

#include <stdio.h>
#include <string.h>

enum { LIMIT_BYTES = 64 * 1024, HIGH_BYTES = 64 * 1024 };

/* A client that is still sending when we close gets so long, and so many bytes, to see our last ones. */
static const int64_t linger_ns = 1000000000;
enum { LINGER_BYTES = 16 * 1024 * 1024, DISCARD_BYTES = 1024 * 1024 };

/* ---- life ------------------------------------------------------------------------------------- */

struct ed_net_worker *ed_net_of(struct ed_worker *worker) {
    if (worker->net_data == NULL) {
        struct ed_net_worker *net = ed_calloc(sizeof *net);
        if (net == NULL) return NULL;
        ed_list_init(&net->streams);
        ed_list_init(&net->listeners);
        ed_list_init(&net->opened);
        worker->net_data = net;
    }
    return worker->net_data;
}

static struct ed_buffer_store *store_of(eddy_stream *stream) {
    struct ed_net_worker *net = ed_stream_worker(stream)->net_data;
    return &net->store;
}

void ed_stream_drop_reference(eddy_stream *stream) {
    if (ED_SUB(&stream->references, 1) != 1) return;
    ed_buffer_release(&stream->in, NULL);
    ed_buffer_release(&stream->out, NULL);
    if (stream->layer != NULL) stream->layer->release(stream->layer);
    ed_free(stream);
}

static void run_flush(struct ed_flush *queued) { ed_stream_flush(ED_CONTAINER(queued, eddy_stream, flush)); }

/* All but its poll. NULL: no memory. */
static eddy_stream *create(int fd, const struct ed_sockets *calls, const eddy_address *peer, size_t limit_bytes,
                           size_t high_bytes) {
    struct ed_worker *worker = ed_worker_current();
    eddy_address local;
    calls->local(fd, &local);
    size_t packed_bytes = ed_address_packed(peer) + ed_address_packed(&local);
    eddy_stream *stream = ed_net_of(worker) != NULL ? ed_calloc(offsetof(eddy_stream, addresses) + packed_bytes) : NULL;
    if (stream == NULL) return NULL;
    ED_STORE_RELAXED(&stream->handles, 1);
    ED_STORE_RELAXED(&stream->references, 2);
    ed_home_init(&stream->home, worker);
    stream->calls = calls;
    stream->limit_bytes = limit_bytes != 0 ? limit_bytes : LIMIT_BYTES;
    stream->high_bytes = high_bytes != 0 ? high_bytes : HIGH_BYTES;
    stream->low_bytes = stream->high_bytes / 4;
    stream->peer_bytes = (uint8_t)ed_address_pack(stream->addresses, peer);
    stream->local_bytes = (uint8_t)ed_address_pack(stream->addresses + stream->peer_bytes, &local);
    ed_list_init(&stream->flush.node);
    stream->flush.run = run_flush;
    return stream;
}

/* N1 */
static void begin(eddy_stream *stream, struct ed_poll *poll) {
    stream->poll = poll;
    ed_list_push(&ed_net_of(ed_stream_worker(stream))->streams, &stream->node);
}

int ed_stream_open(eddy_stream **stream_out, int fd, const struct ed_sockets *calls, const eddy_address *peer,
                   size_t limit_bytes, size_t high_bytes) {
    eddy_stream *stream = create(fd, calls, peer, limit_bytes, high_bytes);
    if (stream == NULL) return EDDY_ENOMEM;
    struct ed_poll *poll;
    int status = ed_poll_open(&poll, fd);
    if (status < 0) {
        ed_free(stream);
        return status;
    }
    begin(stream, poll);
    *stream_out = stream;
    return 0;
}

int ed_stream_open_polled(eddy_stream **stream_out, struct ed_poll *poll, const struct ed_sockets *calls,
                          const eddy_address *peer, size_t limit_bytes, size_t high_bytes) {
    eddy_stream *stream = create(ed_poll_fd(poll), calls, peer, limit_bytes, high_bytes);
    if (stream == NULL) return EDDY_ENOMEM;
    begin(stream, poll);
    *stream_out = stream;
    return 0;
}

eddy_stream *eddy_stream_share(eddy_stream *stream) {
    ED_ADD_RELAXED(&stream->handles, 1);
    return stream;
}

/* ---- ends ------------------------------------------------------------------------------------- */

/* Tells whoever waits in `slot`, and forgets the future. */
static void settle(eddy_future **slot, int status) {
    eddy_future *future = *slot;
    if (future == NULL) return;
    *slot = NULL;
    eddy_future_set(future, EDDY_I64(status));
    eddy_future_release(future);
}

/* Waits until *slot is settled. */
static int wait_settled(eddy_future **slot, const char *reason) {
    if (*slot == NULL) *slot = eddy_future_create();
    if (*slot == NULL) return EDDY_ENOMEM;
    eddy_future *future = eddy_future_share(*slot);
    eddy_value value = EDDY_NONE;
    int status = ed_await_hooked(future, &value, reason, NULL, NULL);
    eddy_future_release(future);
    return status < 0 ? status : (int)value.i64;
}

static void set_buffered(eddy_stream *stream) { ED_STORE_RELAXED(&stream->buffered, ed_buffer_size(&stream->out)); }

/* A stream that lingers. */
struct ed_linger {
    struct ed_timer timer; /* ends it */
    eddy_stream *stream;
    size_t discarded;
};

static void close_descriptor(eddy_stream *stream) {
    if (stream->state == LINGERING) {
        ed_timer_stop(&stream->linger->timer);
        ed_free(stream->linger);
        stream->linger = NULL;
    }
    stream->state = CLOSED;
    ed_flush_forget(&stream->flush);
    ed_list_remove(&stream->node);
    ed_buffer_release(&stream->out, store_of(stream));
    set_buffered(stream);
    ed_poll_close(stream->poll); /* wakes a reader */
    stream->poll = NULL;
    ED_STORE_RELEASE(&stream->gone, true);
    ed_stream_drop_reference(stream); /* the descriptor's own: the last access */
}

static void linger_ends(struct ed_timer *timer) {
    close_descriptor(ED_CONTAINER(timer, struct ed_linger, timer)->stream);
}

/* Drops what has come, and counts it. True while the peer may be sending more. */
static bool discard(eddy_stream *stream, size_t *discarded) {
    int got;
    do {
        got = stream->calls->discard(ed_poll_fd(stream->poll), DISCARD_BYTES);
        if (got > 0) *discarded += (size_t)got;
    } while (got > 0 && *discarded < LINGER_BYTES);
    return got == -EAGAIN && *discarded > 0;
}

static void linger(void *arg) {
    eddy_stream *stream = arg;
    if (discard(stream, &stream->linger->discarded))
        ed_poll_notify(stream->poll, ED_POLL_READ, linger, stream);
    else
        close_descriptor(stream);
}

/* False: there is nothing to wait for, or no memory to wait with. */
static bool begin_linger(eddy_stream *stream) {
    size_t discarded = 0;
    if (!discard(stream, &discarded)) return false;
    struct ed_linger *record = ed_calloc(sizeof *record);
    if (record == NULL) return false;
    record->stream = stream;
    record->discarded = discarded;
    record->timer.fire = linger_ends;
    stream->state = LINGERING;
    stream->linger = record;
    ed_timer_start(ed_stream_worker(stream), &record->timer, eddy_time_ns() + linger_ns);
    ed_poll_notify(stream->poll, ED_POLL_READ, linger, stream);
    return true;
}

/* CLOSING, and nothing is left to send or nothing can be sent. */
static void finish_close(eddy_stream *stream) {
    ED_ASSERT(stream->state == CLOSING && ed_buffer_size(&stream->out) == 0);
    settle(&stream->drained, stream->status);
    settle(&stream->closed, stream->status);
    if (stream->status == 0 && !stream->eof) {
        stream->calls->shutdown_write(ed_poll_fd(stream->poll));
        if (begin_linger(stream)) return;
    }
    close_descriptor(stream);
}

/* The connection is broken: nothing more can be sent. */
void ed_stream_fail(eddy_stream *stream, int status) {
    if (stream->status == 0) stream->status = status;
    stream->special = true;
    ED_STORE_RELAXED(&stream->refusal, stream->status);
    ed_buffer_release(&stream->out, store_of(stream));
    set_buffered(stream);
    settle(&stream->drained, stream->status);
    if (stream->seizure != NULL) ed_poll_interrupt(stream->poll, ED_POLL_WRITE, 0);
    if (stream->state == CLOSING)
        finish_close(stream);
    else
        ed_poll_interrupt(stream->poll, ED_POLL_READ, 0); /* a reader learns what the socket says to it */
}

static void end_layer(eddy_stream *stream) {
    if (stream->layer != NULL && stream->status == 0 && !stream->shutting) stream->layer->end(stream->layer);
}

void ed_stream_begin_close_here(eddy_stream *stream) {
    if (stream->state != OPEN) return;
    stream->state = CLOSING;
    ED_STORE_RELAXED(&stream->refusal, EDDY_ECLOSED);
    ed_stream_take_reference(stream); /* for this function: a flush may end the stream */
    ed_poll_interrupt(stream->poll, ED_POLL_READ, EDDY_ECLOSED);
    if (stream->seizure == NULL) end_layer(stream);
    ed_stream_flush(stream);
    if (stream->state == CLOSING && ed_buffer_size(&stream->out) == 0 && stream->seizure == NULL) finish_close(stream);
    ed_stream_drop_reference(stream);
}

void ed_stream_abort_here(eddy_stream *stream) {
    if (stream->state == CLOSED) return;
    if (stream->state != LINGERING) {
        if (stream->status == 0) stream->status = EDDY_ECLOSED;
        stream->special = true;
        ED_STORE_RELAXED(&stream->refusal, EDDY_ECLOSED);
        settle(&stream->drained, EDDY_ECLOSED);
        settle(&stream->closed, EDDY_ECLOSED);
        stream->calls->reset_on_close(ed_poll_fd(stream->poll));
    }
    close_descriptor(stream);
}

void ed_stream_finish_input_here(eddy_stream *stream) {
    stream->finished = true;
    if (stream->state == OPEN) ed_poll_interrupt(stream->poll, ED_POLL_READ, 0);
}

eddy_stream *ed_stream_of_node(struct ed_list *node) { return ED_CONTAINER(node, eddy_stream, node); }

void ed_stream_end_run(eddy_stream *stream) {
    char text[128], peer[64];
    size_t unsent = ed_buffer_size(&stream->out);
    eddy_stream_peer(stream, peer, sizeof peer);
    if (stream->state == OPEN)
        snprintf(text, sizeof text, "a stream to %s was never closed", peer);
    else
        snprintf(text, sizeof text, "a stream to %s ended with %zu bytes unsent", peer, unsent);
    if (stream->state == OPEN || unsent > 0) {
        eddy_report report = {.kind = EDDY_REPORT_SHUTDOWN, .message = text, .task = ""};
        ed_report(ed_stream_worker(stream)->sched, &report);
    }
    ed_stream_abort_here(stream);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void on_writable(void *arg) {
    eddy_stream *stream = arg;
    stream->blocked = false;
    ed_stream_flush(stream);
}

/* The socket took `sent` bytes of `out`, or none (-EAGAIN), or failed. */
static ED_COLD void sent_part(eddy_stream *stream, int sent) {
    if (sent < 0 && sent != -EAGAIN) {
        ed_stream_fail(stream, sent);
        return;
    }
    if (sent > 0) ed_buffer_consume(&stream->out, (size_t)sent);
    size_t left = ed_buffer_size(&stream->out);
    set_buffered(stream);
    if (left > 0) {
        stream->blocked = true;
        ed_poll_notify(stream->poll, ED_POLL_WRITE, on_writable, stream);
    } else {
        ed_buffer_release(&stream->out, store_of(stream));
        if (stream->shutting && stream->seizure == NULL) stream->calls->shutdown_write(ed_poll_fd(stream->poll));
    }
    if (left <= stream->low_bytes) settle(&stream->drained, 0);
    if (left == 0 && stream->state == CLOSING && stream->seizure == NULL) finish_close(stream);
}

/* The same, for what it nearly always did: it took all of the `size`, nobody asked to be told, and nothing else is to be done. */
static inline ED_HOT void sent_some(eddy_stream *stream, int sent, size_t size) {
    const uint64_t ends = ED_STREAM_MARK(state) * 255 | ED_STREAM_MARK(shutting);
    if (ED_UNLIKELY(size == 0 || (size_t)sent != size || (stream->marks & ends) != 0 || stream->drained != NULL)) {
        sent_part(stream, sent);
        return;
    }
    ed_buffer_release(&stream->out, store_of(stream));
    ED_STORE_RELAXED(&stream->buffered, 0);
}

/* Sends what the socket takes. The stream may be CLOSED afterwards, and gone unless the caller holds it. */
static inline ED_HOT void flush(eddy_stream *stream) {
    size_t size = ed_buffer_size(&stream->out);
    if (stream->blocked || size == 0) return;
    ed_flush_forget(&stream->flush);
    sent_some(stream, stream->calls->send(ed_poll_fd(stream->poll), ed_buffer_bytes(&stream->out), size, NULL, 0),
              size);
}

void ed_stream_flush(eddy_stream *stream) { flush(stream); }

void ed_stream_sent(eddy_stream *stream, int sent) { sent_some(stream, sent, ed_buffer_size(&stream->out)); }

void ed_stream_sent_seized(eddy_stream *stream, size_t bytes) {
    ed_buffer_consume(&stream->out, bytes);
    set_buffered(stream);
    if (ed_buffer_size(&stream->out) <= stream->low_bytes) settle(&stream->drained, 0);
}

/* A block has gathered, with `bytes` of `data` for which there is room. */
static ED_COLD int write_now(eddy_stream *stream, const void *data, size_t bytes) {
    size_t waiting = ed_buffer_size(&stream->out), direct = 0; /* bytes of `data` that need no copy */
    int sent = stream->calls->send(ed_poll_fd(stream->poll), ed_buffer_bytes(&stream->out), waiting, data, bytes);
    if (sent > 0 && (size_t)sent > waiting) {
        direct = (size_t)sent - waiting;
        sent = (int)waiting;
    }
    memcpy(stream->out.data + stream->out.end, (const char *)data + direct, bytes - direct);
    stream->out.end += bytes - direct;
    ed_flush_forget(&stream->flush);
    sent_part(stream, sent);
    return stream->status;
}

static ED_COLD int write_any(eddy_stream *stream, const void *data, size_t bytes) {
    if (ED_LOAD_RELAXED(&stream->refusal) != 0) return stream->status < 0 ? stream->status : EDDY_ECLOSED;
    if (bytes == 0) return 0;
    if (stream->layer != NULL) return ed_stream_write_through(stream, data, bytes);
    int status = ed_buffer_reserve(&stream->out, store_of(stream), bytes);
    if (status < 0) return status;
    if (ed_buffer_size(&stream->out) + bytes >= ED_BUFFER_BYTES && !stream->blocked)
        return write_now(stream, data, bytes);
    memcpy(stream->out.data + stream->out.end, data, bytes);
    stream->out.end += bytes;
    set_buffered(stream);
    if (!stream->blocked) ed_flush_later(ed_stream_worker(stream), &stream->flush);
    return 0;
}

/* Nearly always the output is empty, a block is there, and is not filled: it is sent later. */
ED_HOT int ed_stream_write_here(eddy_stream *stream, const void *data, size_t bytes) {
    const uint64_t harmless =
        ED_STREAM_MARK(reading) | ED_STREAM_MARK(exhausted) | ED_STREAM_MARK(eof) | ED_STREAM_MARK(finished);
    struct ed_worker *worker = ed_stream_worker(stream);
    struct ed_buffer_store *store = &((struct ed_net_worker *)worker->net_data)->store;
    if (ED_UNLIKELY((stream->marks & ~harmless) != 0 || bytes - 1 >= ED_BUFFER_BYTES - 1 || stream->out.data != NULL ||
                    store->first == NULL))
        return write_any(stream, data, bytes);
    char *block = ed_buffer_store_take(store);
    stream->out = (struct ed_buffer){block, 0, bytes};
    ED_STORE_RELAXED(&stream->buffered, bytes);
    ed_flush_later(worker, &stream->flush);
    memcpy(block, data, bytes);
    return 0;
}

int ed_stream_shutdown_here(eddy_stream *stream) {
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN) return EDDY_ECLOSED;
    if (stream->shutting) return 0;
    if (stream->seizure == NULL) end_layer(stream);
    stream->shutting = true;
    ED_STORE_RELAXED(&stream->refusal, EDDY_ECLOSED);
    if (stream->seizure != NULL) return 0; /* when it is over */
    if (ed_buffer_size(&stream->out) == 0) return stream->calls->shutdown_write(ed_poll_fd(stream->poll));
    ed_stream_flush(stream);
    return stream->status;
}

static size_t unsent_bytes(const eddy_stream *stream) {
    return ed_buffer_size(&stream->out) + (stream->seizure != NULL ? ed_buffer_size(&stream->seizure->held) : 0);
}

int ed_stream_drain_here(eddy_stream *stream) {
    if (stream->status == 0 && stream->state == OPEN) ed_stream_flush(stream);
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN) return EDDY_ECLOSED;
    int status = 0;
    while (status == 0 && unsent_bytes(stream) > stream->high_bytes) status = wait_settled(&stream->drained, "drain");
    return status;
}

int ed_stream_drain_layer(eddy_stream *stream) {
    int status = 0;
    while (status == 0 && ed_buffer_size(&stream->out) > stream->high_bytes)
        status = wait_settled(&stream->drained, "drain");
    return status;
}

void ed_stream_set_marks_here(eddy_stream *stream, size_t high_bytes, size_t low_bytes) {
    stream->high_bytes = high_bytes;
    stream->low_bytes = low_bytes;
    if (ed_buffer_size(&stream->out) <= low_bytes) settle(&stream->drained, 0);
}

int ed_stream_close_here(eddy_stream *stream) {
    ed_stream_begin_close_here(stream);
    return stream->state == CLOSING ? wait_settled(&stream->closed, "close") : stream->status;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* What a read gives where the socket gave `got`, which is no bytes. */
static ED_COLD int received_none(eddy_stream *stream, int got) {
    if (got == -EAGAIN && stream->status == 0) return got;
    if (got == EDDY_ETRUNCATED) return got; /* only the input has ended */
    stream->eof =
        true; /* after a failure of our own (no memory to send) the socket itself would have us wait for ever */
    if (got < 0 && got != -EAGAIN) ed_stream_fail(stream, got);
    return stream->status < 0 ? stream->status : EDDY_EOF;
}

/* What the socket has: its bytes, EDDY_EOF, a failure, or -EAGAIN: wait. */
static int try_receive(eddy_stream *stream, void *buffer, size_t bytes) {
    if (stream->state != OPEN) return EDDY_ECLOSED;
    if (stream->eof) return stream->status < 0 ? stream->status : EDDY_EOF;
    if (stream->exhausted) return -EAGAIN;
    int got = stream->layer == NULL ? stream->calls->receive(ed_poll_fd(stream->poll), buffer, bytes)
                                    : stream->layer->receive(stream->layer, buffer, bytes);
    if (got <= 0) return received_none(stream, got);
    stream->exhausted = (size_t)got < bytes && stream->layer == NULL;
    return got;
}

int ed_stream_wait_raw(eddy_stream *stream) {
    ed_stream_flush(stream); /* the peer may be waiting for what we have buffered */
    if (stream->state != OPEN) return EDDY_ECLOSED;
    if (stream->finished) return EDDY_EOF;
    int status = 0; /* after a failed flush: what has come can still be read */
    if (stream->status == 0) status = ed_poll_wait(stream->poll, ED_POLL_READ, "read");
    if (status < 0) return status;
    stream->exhausted = false;
    if (stream->layer != NULL) stream->layer->exhausted = false;
    return 0;
}

/* Adds what comes to `in`, for which it makes room for at least `room` bytes. More than 0, or as try_receive. */
static int fill(eddy_stream *stream, size_t room) {
    for (;;) {
        if (!stream->exhausted || stream->eof) {
            int status = ed_buffer_reserve(&stream->in, store_of(stream), room);
            if (status < 0) return status;
            int got = try_receive(stream, stream->in.data + stream->in.end, ed_buffer_room(&stream->in));
            if (got > 0) stream->in.end += (size_t)got;
            if (got != -EAGAIN) return got;
        }
        if (ed_buffer_size(&stream->in) == 0) ed_buffer_release(&stream->in, store_of(stream));
        int status = ed_stream_wait_raw(stream);
        if (status < 0) return status;
    }
}

/* Consumes what the caller has a copy of: who stops reading here may be idle for long. */
static void consume_copied(eddy_stream *stream, size_t bytes) {
    ed_buffer_consume(&stream->in, bytes);
    if (ed_buffer_size(&stream->in) == 0) ed_buffer_release(&stream->in, store_of(stream));
}

/* A read of the socket, or through a layer. */
static int read_any(eddy_stream *stream, void *buffer, size_t bytes) {
    for (;;) {
        int got = try_receive(stream, buffer, bytes);
        if (got != -EAGAIN) return got;
        int status = ed_stream_wait_raw(stream);
        if (status < 0) return status;
    }
}

int ed_stream_read_here(eddy_stream *stream, void *buffer, size_t bytes) {
    if (stream->in.data != NULL) {
        size_t held = ed_buffer_size(&stream->in);
        if (held > 0) {
            if (stream->state != OPEN) return EDDY_ECLOSED;
            if (bytes > held) bytes = held;
            memcpy(buffer, ed_buffer_bytes(&stream->in), bytes);
            consume_copied(stream, bytes);
            return (int)bytes;
        }
        if (stream->state != CLOSED)
            ed_buffer_release(&stream->in, store_of(stream)); /* a line that was read is over */
    }
    return read_any(stream, buffer, bytes);
}

/* Where it is not plain any more; `got`: what the socket gave. */
static ED_COLD int read_on(eddy_stream *stream, void *buffer, size_t bytes, int got) {
    stream->reading = true;
    if (got <= 0) {
        got = received_none(stream, got);
        if (got == -EAGAIN) got = ed_stream_wait_raw(stream);
    }
    if (got >= 0) got = read_any(stream, buffer, bytes);
    stream->reading = false;
    return got;
}

ED_HOT int ed_stream_read_plainly(eddy_stream *stream, struct ed_fiber *fiber, void *buffer, size_t bytes) {
    const uint64_t waiting = ED_STREAM_MARK(exhausted) | ED_STREAM_MARK(reading);
    if (ED_LIKELY(stream->marks != 0)) {
        stream->marks = waiting;
        if (ED_LIKELY(ed_buffer_size(&stream->out) > 0)) flush(stream);
        if (ED_UNLIKELY(stream->marks != waiting)) return read_on(stream, buffer, bytes, 1);
        int status = ed_poll_wait_on(stream->poll, fiber, ED_POLL_READ, "read");
        if (ED_UNLIKELY(status < 0)) {
            stream->reading = false;
            return status;
        }
        bool plain = stream->marks == waiting;
        stream->exhausted = false;
        if (ED_UNLIKELY(!plain)) return read_on(stream, buffer, bytes, 1);
    }
    int got = stream->calls->receive(ed_poll_fd(stream->poll), buffer, bytes);
    if (ED_UNLIKELY(got <= 0)) return read_on(stream, buffer, bytes, got);
    stream->marks = (size_t)got < bytes ? ED_STREAM_MARK(exhausted) : 0;
    return got;
}

int ed_stream_read_exactly_here(eddy_stream *stream, void *buffer, size_t bytes, size_t *got_out) {
    *got_out = 0;
    int status = 0;
    while (ed_buffer_size(&stream->in) < bytes) {
        size_t missing = bytes - ed_buffer_size(&stream->in);
        int got = fill(stream, missing < ED_BUFFER_BYTES ? missing : ED_BUFFER_BYTES);
        if (got == EDDY_EOF) {
            status = ed_buffer_size(&stream->in) > 0 ? EDDY_EINCOMPLETE : EDDY_EOF;
            break;
        }
        if (got < 0) return got;
    }
    if (stream->state != OPEN) return EDDY_ECLOSED;
    size_t held = ed_buffer_size(&stream->in);
    *got_out = held < bytes ? held : bytes;
    if (*got_out > 0) memcpy(buffer, ed_buffer_bytes(&stream->in), *got_out);
    consume_copied(stream, *got_out);
    return status;
}

int ed_stream_read_until_here(eddy_stream *stream, const void *separator, size_t separator_bytes, size_t limit_bytes,
                              const char **line_out, size_t *bytes_out) {
    if (limit_bytes == 0) limit_bytes = stream->limit_bytes;
    size_t scanned = 0; /* bytes of `in` that hold no separator's beginning */
    for (;;) {
        if (stream->state != OPEN) return EDDY_ECLOSED;
        size_t held = ed_buffer_size(&stream->in);
        if (held >= scanned + separator_bytes) {
            const char *bytes = ed_buffer_bytes(&stream->in);
            const char *found = memmem(bytes + scanned, held - scanned, separator, separator_bytes);
            if (found != NULL) {
                size_t line_bytes = (size_t)(found - bytes) + separator_bytes;
                if (line_bytes > limit_bytes) return EDDY_ELIMIT;
                *line_out = bytes;
                *bytes_out = line_bytes;
                ed_buffer_consume(&stream->in, line_bytes);
                return 0;
            }
            scanned = held - separator_bytes + 1;
        }
        if (held >= limit_bytes) return EDDY_ELIMIT;
        int got = fill(stream, limit_bytes - held < ED_BUFFER_BYTES ? limit_bytes - held : ED_BUFFER_BYTES);
        if (got == EDDY_EOF) {
            *line_out = held > 0 ? ed_buffer_bytes(&stream->in) : "";
            *bytes_out = held;
            ed_buffer_consume(&stream->in, held);
            return held > 0 ? EDDY_EINCOMPLETE : EDDY_EOF;
        }
        if (got < 0) return got;
    }
}

/* ---- below a layer ----------------------------------------------------------------------------- */

int ed_stream_receive_raw(eddy_stream *stream, void *buffer, size_t bytes) {
    int got = stream->calls->receive(ed_poll_fd(stream->poll), buffer, bytes);
    return got == -EAGAIN && stream->status < 0 ? stream->status : got; /* as in try_receive */
}

int ed_stream_reserve_raw(eddy_stream *stream, size_t bytes) {
    return ed_buffer_reserve(&stream->out, store_of(stream), bytes);
}

void ed_stream_append_raw(eddy_stream *stream, const void *data, size_t bytes) {
    ED_ASSERT(bytes <= ed_buffer_room(&stream->out));
    memcpy(stream->out.data + stream->out.end, data, bytes);
    stream->out.end += bytes;
    set_buffered(stream);
    if (!stream->blocked) ed_flush_later(ed_stream_worker(stream), &stream->flush);
}

void ed_stream_set_layer(eddy_stream *stream, struct ed_layer *layer, struct ed_buffer *ahead_out) {
    ED_ASSERT(stream->layer == NULL && stream->state == OPEN);
    *ahead_out = stream->in;
    stream->in = (struct ed_buffer){NULL, 0, 0};
    stream->layer = layer;
    stream->special = true;
    layer->exhausted = stream->exhausted;
    stream->exhausted = false;
}
