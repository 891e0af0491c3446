/* pass_fds.c: open descriptors that travel beside a Unix socket's bytes.
 *
 * Problem    Descriptors belong to a certain byte, and a read that does not ask for them loses them. Readers of streams read
 *            ahead, line by line or exactly so many bytes.
 * Idea       Sending seizes the output: what was written before leaves first, then all descriptors with the first of the
 *            given bytes, in one call: all or none. Receiving is a layer: each receive of it takes what came beside the
 *            bytes into a queue in the order of arrival, from which the program takes them. What finds no room is closed,
 *            and its place in the queue says so.
 * Invariants (R1) Descriptors in the queue are the stream's: closed with it.
 *            (R2) Bytes that were accepted with descriptors go out before what others wrote meanwhile.
 * Threads    The stream's home; from elsewhere calls travel.
 * Not here   The system's control messages (loop/pass_fds.c).
 * Tests      tests/net/pass_fds_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

#include <string.h>

enum { FDS_MAX = 253 }; /* SCM_MAX_FD of Linux: more do not travel with one byte */
enum { LOST = -1 };     /* in the queue: here came one or more that found no room */

static bool carries_fds(const eddy_stream *stream) {
    eddy_address local = ed_stream_local(stream);
    return stream->calls->send_fds != NULL && local.storage.ss_family == AF_UNIX;
}

static int refuse(void) { return eddy_fail(EDDY_ENOTSUP, "descriptors travel over Unix sockets only"); }

/* ---- sending ------------------------------------------------------------------------------------------ */

struct sending {
    const char *data;
    size_t bytes;
    const int *fds;
    size_t count;
};

/* What the caller or the system is to blame for: the connection is as it was. */
static bool is_callers(int status) {
    return status == -EBADF || status == -EINVAL || status == -ETOOMANYREFS || status == -ENOMEM ||
           status == -ENOBUFS || status == -EPERM;
}

/* There is room. */
static void put_first(struct ed_buffer *out, const char *data, size_t bytes) {
    if (bytes == 0) return;
    memmove(ed_buffer_bytes(out) + bytes, ed_buffer_bytes(out), ed_buffer_size(out));
    memcpy(ed_buffer_bytes(out), data, bytes);
    out->end += bytes;
}

static int send_seized(eddy_stream *stream, const struct sending *sending) {
    for (;;) {
        int status =
            ed_stream_reserve_raw(stream, sending->bytes); /* for what is left of them, which cannot fail then */
        if (status < 0) return status;
        int sent = stream->calls->send_fds(ed_poll_fd(stream->poll), sending->data, sending->bytes, sending->fds,
                                           sending->count);
        if (sent >= 0) {
            put_first(&stream->out, sending->data + sent, sending->bytes - (size_t)sent); /* R2 */
            return 0;
        }
        if (is_callers(sent)) return sent;
        if (sent != -EAGAIN) {
            ed_stream_fail(stream, sent);
            return stream->status;
        }
        status = ed_stream_wait_seized(stream, "send descriptors");
        if (status < 0) return status;
    }
}

static int send_here(eddy_stream *stream, void *arg) {
    struct ed_seizure seizure;
    if (!carries_fds(stream)) return refuse();
    if (ed_stream_is_sealed(stream)) return eddy_fail(EDDY_ESTATE, "descriptors do not travel inside TLS");
    int status = ed_stream_seize(stream, &seizure);
    if (status < 0) return status;
    status = ed_stream_send_ahead(stream, &seizure);
    if (status == 0) status = send_seized(stream, arg);
    ed_stream_unseize(stream, &seizure);
    return status;
}

int eddy_stream_send_fds(eddy_stream *stream, const void *data, size_t bytes, const int *fds, size_t count) {
    if (bytes == 0 || count > FDS_MAX) return EDDY_EINVAL;
    struct sending sending = {data, bytes, fds, count};
    return ed_stream_at_home(stream, send_here, &sending, "send_fds");
}

/* ---- receiving ---------------------------------------------------------------------------------------- */

struct receiver {
    struct ed_layer layer; /* first */
    eddy_stream *stream;   /* (c) owns this */
    size_t most;           /* (c) in the queue, LOST ones not counted */
    size_t held;           /* of these */
    size_t first, count;   /* of the ring */
    int ring[];            /* 2 * most + 1: each LOST one stands behind one that was held */
};

static struct receiver *receiver_of(struct ed_layer *layer) { return ED_CONTAINER(layer, struct receiver, layer); }

static size_t ring_size(const struct receiver *receiver) { return 2 * receiver->most + 1; }

static int last(const struct receiver *receiver) {
    return receiver->ring[(receiver->first + receiver->count - 1) % ring_size(receiver)];
}

static void push(struct receiver *receiver, int fd) {
    if (fd == LOST && receiver->count > 0 && last(receiver) == LOST) return;
    ED_ASSERT(receiver->count < ring_size(receiver));
    receiver->ring[(receiver->first + receiver->count++) % ring_size(receiver)] = fd;
    if (fd != LOST) receiver->held++;
}

static int pop(struct receiver *receiver) {
    int fd = receiver->ring[receiver->first];
    receiver->first = (receiver->first + 1) % ring_size(receiver);
    receiver->count--;
    if (fd != LOST) receiver->held--;
    return fd;
}

static int receive(struct ed_layer *layer, void *buffer, size_t bytes) {
    struct receiver *receiver = receiver_of(layer);
    const eddy_stream *stream = receiver->stream;
    if (layer->exhausted) return -EAGAIN;
    int fds[FDS_MAX];
    size_t count, room = receiver->most - receiver->held;
    bool lost;
    int got = stream->calls->receive_fds(ed_poll_fd(stream->poll), buffer, bytes, fds, room < FDS_MAX ? room : FDS_MAX,
                                         &count, &lost);
    if (got < 0) return got == -EAGAIN && stream->status < 0 ? stream->status : got;
    for (size_t i = 0; i < count; i++) push(receiver, fds[i]);
    if (lost) push(receiver, LOST);
    layer->exhausted = got > 0 && (size_t)got < bytes && count == 0 && !lost; /* descriptors end a receive early */
    return got;
}

static int send_plain(struct ed_layer *layer, const void *data, size_t bytes) {
    eddy_stream *stream = receiver_of(layer)->stream;
    int status = ed_stream_reserve_raw(stream, bytes);
    if (status < 0) return status;
    ed_stream_append_raw(stream, data, bytes);
    if (ed_buffer_size(&stream->out) >= ED_BUFFER_BYTES) ed_stream_flush(stream);
    return stream->status;
}

static void end(struct ed_layer *layer) { (void)layer; }

static void release(struct ed_layer *layer) {
    struct receiver *receiver = receiver_of(layer);
    while (receiver->count > 0) {
        int fd = pop(receiver);
        if (fd != LOST) receiver->stream->calls->close(fd); /* R1 */
    }
    ed_free(receiver);
}

static int accept_here(eddy_stream *stream, void *arg) {
    size_t most = *(size_t *)arg;
    if (!carries_fds(stream)) return refuse();
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN) return EDDY_ECLOSED;
    if (stream->layer != NULL) return eddy_fail(EDDY_ESTATE, "it receives descriptors already, or it is a TLS stream");
    struct receiver *receiver = ed_calloc(sizeof *receiver + (2 * most + 1) * sizeof receiver->ring[0]);
    if (receiver == NULL) return EDDY_ENOMEM;
    receiver->layer = (struct ed_layer){receive, send_plain, end, release, false, false};
    receiver->stream = stream;
    receiver->most = most;
    struct ed_buffer ahead;
    ed_stream_set_layer(stream, &receiver->layer, &ahead);
    stream->in = ahead;
    return 0;
}

int eddy_stream_accept_fds(eddy_stream *stream, size_t most) {
    if (most == 0 || most > 65536) return EDDY_EINVAL;
    return ed_stream_at_home(stream, accept_here, &most, "accept_fds");
}

static int take_here(eddy_stream *stream, void *arg) {
    if (stream->layer == NULL || stream->layer->receive != receive) return EDDY_ESTATE;
    struct receiver *receiver = receiver_of(stream->layer);
    if (receiver->count == 0) return -EAGAIN;
    int fd = pop(receiver);
    if (fd == LOST) return eddy_fail(EDDY_ELIMIT, "descriptors came and found no room");
    *(int *)arg = fd;
    return 0;
}

int eddy_stream_take_fd(eddy_stream *stream, int *fd_out) {
    return ed_stream_at_home(stream, take_here, fd_out, "take_fd");
}
