/* seize.c: one call has a stream's output for itself, across suspensions: a file, descriptors.
 *
 * Problem    What the system sends by itself goes past the output buffer. What was written before must leave before it, and
 *            what other tasks write meanwhile must not come into its middle, nor be refused, nor be lost.
 * Idea       Who seizes the output sends what lies in it first. Meanwhile the stream looks `blocked`: writes gather behind,
 *            and nobody sends. With TLS, whose output goes out by itself, writes gather in `held` and go through the
 *            layer when the seizure ends. A half close and a close that come meanwhile are done at its end, in order.
 * Ends       always by unseize, also after a cancel: what is not sent by then the seizer's caller knows.
 * Threads    The home worker.
 * Tests      tests/net/send_file_test.c, tests/net/pass_fds_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

#include <string.h>

int ed_stream_seize(eddy_stream *stream, struct ed_seizure *seizure) {
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN || stream->shutting) return EDDY_ECLOSED;
    if (stream->seizure != NULL) return EDDY_EBUSY;
    *seizure = (struct ed_seizure){0, {NULL, 0, 0}};
    stream->seizure = seizure;
    if (ed_stream_is_sealed(stream)) return 0;
    seizure->ahead = ed_buffer_size(&stream->out);
    if (stream->blocked) ed_poll_interrupt(stream->poll, ED_POLL_WRITE, 0); /* the notify: this call waits instead */
    ed_flush_forget(&stream->flush);
    stream->blocked = true;
    return 0;
}

int ed_stream_seized_status(const eddy_stream *stream) {
    if (stream->status < 0) return stream->status;
    return stream->state == OPEN || stream->state == CLOSING ? 0 : EDDY_ECLOSED;
}

int ed_stream_wait_seized(eddy_stream *stream, const char *reason) {
    int status = ed_poll_wait(stream->poll, ED_POLL_WRITE, reason);
    int ended = ed_stream_seized_status(stream);
    return ended < 0 && status != EDDY_ECANCELED ? ended : status;
}

int ed_stream_send_ahead(eddy_stream *stream, struct ed_seizure *seizure) {
    while (seizure->ahead > 0) {
        int sent =
            stream->calls->send(ed_poll_fd(stream->poll), ed_buffer_bytes(&stream->out), seizure->ahead, NULL, 0);
        if (sent >= 0) {
            ed_stream_sent_seized(stream, (size_t)sent);
            seizure->ahead -= (size_t)sent;
        } else if (sent == -EAGAIN) {
            int status = ed_stream_wait_seized(stream, "send");
            if (status < 0) return status;
        } else {
            ed_stream_fail(stream, sent);
            return stream->status;
        }
    }
    return 0;
}

static int hold(eddy_stream *stream, const void *data, size_t bytes) {
    struct ed_buffer *held = &stream->seizure->held;
    int status = ed_buffer_reserve(held, ed_stream_store(stream), bytes);
    if (status < 0) return status;
    memcpy(held->data + held->end, data, bytes);
    held->end += bytes;
    return 0;
}

int ed_stream_write_through(eddy_stream *stream, const void *data, size_t bytes) {
    bool held = stream->seizure != NULL && ed_stream_is_sealed(stream);
    return held ? hold(stream, data, bytes) : stream->layer->send(stream->layer, data, bytes);
}

void ed_stream_unseize(eddy_stream *stream, struct ed_seizure *seizure) {
    ED_ASSERT(stream->seizure == seizure);
    stream->seizure = NULL;
    ed_stream_take_reference(stream); /* what follows may close it */
    struct ed_layer *layer = stream->layer;
    if (!ed_stream_is_sealed(stream)) stream->blocked = false;
    if (ed_buffer_size(&seizure->held) > 0 && ed_stream_seized_status(stream) == 0) {
        int status = layer->send(layer, ed_buffer_bytes(&seizure->held), ed_buffer_size(&seizure->held));
        if (status < 0 && stream->status == 0) ed_stream_fail(stream, status); /* a gap in the data would be worse */
    }
    ed_buffer_release(&seizure->held, NULL);
    if (ed_stream_seized_status(stream) == 0) {
        if (layer != NULL && (stream->shutting || stream->state == CLOSING)) layer->end(layer);
        if (ed_buffer_size(&stream->out) > 0)
            ed_stream_flush(stream);
        else
            ed_stream_sent(stream, 0); /* what had to wait: a half close, a close */
    }
    ed_stream_drop_reference(stream);
}
