/* stream.c: a connection, pipe or terminal as tasks see it: its states, from opening it to its end.
 *
 * Problem    A request must cost one read and one write, a slow peer must hold up nobody but its own task, a
 *            cancelled read must lose nothing, and tasks on several workers may use one stream.
 * Idea       A stream belongs to one worker, its home. The system is asked first, and waited for only when it has
 *            nothing (stream_read.c). Output gathers in a buffer that goes out at once for many writes
 *            (stream_write.c). Calls from other workers travel home: those that wait as helper tasks
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
 * Not here   Output (stream_write.c) and input (stream_read.c); the public words, and calls from other workers
 *            (stream_calls.c); connecting (connect.c), accepting (accept.c), the system's calls (loop/socket.c).
 * Tests      tests/net/stream_test.c. */
#include "loop/loop.h"
#include "net/address.h"
#include "net/stream_parts.h"

#include <stdio.h>

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

void ed_stream_set_layer(eddy_stream *stream, struct ed_layer *layer, struct ed_buffer *ahead_out) {
    ED_ASSERT(stream->layer == NULL && stream->state == OPEN);
    *ahead_out = stream->in;
    stream->in = (struct ed_buffer){NULL, 0, 0};
    stream->layer = layer;
    stream->special = true;
    layer->exhausted = stream->exhausted;
    stream->exhausted = false;
}

/* ---- ends ------------------------------------------------------------------------------------- */

void ed_stream_tell(eddy_future **slot, int status) {
    eddy_future *future = *slot;
    if (future == NULL) return;
    *slot = NULL;
    eddy_future_set(future, EDDY_I64(status));
    eddy_future_release(future);
}

int ed_stream_wait_told(eddy_future **slot, const char *reason) {
    if (*slot == NULL) *slot = eddy_future_create();
    if (*slot == NULL) return EDDY_ENOMEM;
    eddy_future *future = eddy_future_share(*slot);
    eddy_value value = EDDY_NONE;
    int status = ed_await_hooked(future, &value, reason, NULL, NULL);
    eddy_future_release(future);
    return status < 0 ? status : (int)value.i64;
}

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
    ed_buffer_release(&stream->out, ed_stream_store(stream));
    ed_stream_set_buffered(stream);
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

void ed_stream_finish_close(eddy_stream *stream) {
    ED_ASSERT(stream->state == CLOSING && ed_buffer_size(&stream->out) == 0);
    ed_stream_tell(&stream->drained, stream->status);
    ed_stream_tell(&stream->closed, stream->status);
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
    ed_buffer_release(&stream->out, ed_stream_store(stream));
    ed_stream_set_buffered(stream);
    ed_stream_tell(&stream->drained, stream->status);
    if (stream->seizure != NULL) ed_poll_interrupt(stream->poll, ED_POLL_WRITE, 0);
    if (stream->state == CLOSING)
        ed_stream_finish_close(stream);
    else
        ed_poll_interrupt(stream->poll, ED_POLL_READ, 0); /* a reader learns what the socket says to it */
}

void ed_stream_end_layer(eddy_stream *stream) {
    if (stream->layer != NULL && stream->status == 0 && !stream->shutting) stream->layer->end(stream->layer);
}

void ed_stream_begin_close_here(eddy_stream *stream) {
    if (stream->state != OPEN) return;
    stream->state = CLOSING;
    ED_STORE_RELAXED(&stream->refusal, EDDY_ECLOSED);
    ed_stream_take_reference(stream); /* for this function: a flush may end the stream */
    ed_poll_interrupt(stream->poll, ED_POLL_READ, EDDY_ECLOSED);
    if (stream->seizure == NULL) ed_stream_end_layer(stream);
    ed_stream_flush(stream);
    if (stream->state == CLOSING && ed_buffer_size(&stream->out) == 0 && stream->seizure == NULL)
        ed_stream_finish_close(stream);
    ed_stream_drop_reference(stream);
}

int ed_stream_close_here(eddy_stream *stream) {
    ed_stream_begin_close_here(stream);
    return stream->state == CLOSING ? ed_stream_wait_told(&stream->closed, "close") : stream->status;
}

void ed_stream_abort_here(eddy_stream *stream) {
    if (stream->state == CLOSED) return;
    if (stream->state != LINGERING) {
        if (stream->status == 0) stream->status = EDDY_ECLOSED;
        stream->special = true;
        ED_STORE_RELAXED(&stream->refusal, EDDY_ECLOSED);
        ed_stream_tell(&stream->drained, EDDY_ECLOSED);
        ed_stream_tell(&stream->closed, EDDY_ECLOSED);
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
