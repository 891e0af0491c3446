/* send_file.c: a file's bytes to a stream.
 *
 * Idea       The system moves them from its page cache to the socket, where it can: the call that it has for that does not
 *            wait for room, so it is made in the loop, a piece at a time. What it refuses, and what TLS must seal, is read
 *            in small pieces and sent as anything else.
 * Cancel     Each piece that was taken is counted at once: `sent` says where to go on. With a layer what is in the output
 *            is counted as sent: it goes out by itself.
 * Threads    The stream's home; from elsewhere the call travels.
 * Not here   How the output is kept from others meanwhile (seize.c).
 * Tests      tests/net/send_file_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

/* A piece: what a disk brings in a fraction of a millisecond, since the loop waits for it. */
enum { PIECE_BYTES = 256 * 1024 };

struct sending {
    struct ed_seizure seizure;
    int file;
    int64_t offset, left, sent;
};

static void note_sent(struct sending *sending, int bytes) {
    sending->offset += bytes;
    sending->left -= bytes;
    sending->sent += bytes;
}

static size_t next_bytes(const struct sending *sending, size_t most) {
    return sending->left < (int64_t)most ? (size_t)sending->left : most;
}

/* Not a failure: this file, or this kind of stream, is not for that call. */
static bool is_refusal(int status) {
    return status == -EINVAL || status == -ENOSYS || status == -EOPNOTSUPP || status == -ESPIPE || status == -EOVERFLOW;
}

static bool is_of_file(int status) { return status == -EBADF || status == -EIO || status == -ENOMEM; }

/* The system moves the bytes. EDDY_ENOTSUP: it does not. */
static int move(eddy_stream *stream, struct sending *sending) {
    if (stream->calls->send_file == NULL || ed_stream_is_sealed(stream)) return EDDY_ENOTSUP;
    while (sending->left > 0) {
        int sent = stream->calls->send_file(ed_poll_fd(stream->poll), sending->file, sending->offset,
                                            next_bytes(sending, PIECE_BYTES));
        if (sent == 0) return 0; /* the file's end */
        if (sent > 0) {
            note_sent(sending, sent);
            ed_count_io(); /* it does not move meanwhile: it is seized */
            int status = ed_stream_seized_status(stream);
            if (status < 0) return status;
        } else if (sent == -EAGAIN) {
            int status = ed_stream_wait_seized(stream, "send file");
            if (status < 0) return status;
        } else if (is_refusal(sent)) {
            return EDDY_ENOTSUP;
        } else if (is_of_file(sent)) {
            return sent;
        } else {
            ed_stream_fail(stream, sent);
            return stream->status;
        }
    }
    return 0;
}

/* Sends `bytes` of `block`, or some of them: how many, or negative. */
static int pass_on(eddy_stream *stream, const char *block, int bytes) {
    if (ed_stream_is_sealed(stream)) {
        int status = stream->layer->send(stream->layer, block, (size_t)bytes);
        return status < 0 ? status : bytes;
    }
    for (;;) {
        int sent = stream->calls->send(ed_poll_fd(stream->poll), block, (size_t)bytes, NULL, 0);
        if (sent >= 0) return sent;
        if (sent != -EAGAIN) {
            ed_stream_fail(stream, sent);
            return stream->status;
        }
        int status = ed_stream_wait_seized(stream, "send file");
        if (status < 0) return status;
    }
}

static int copy(eddy_stream *stream, struct sending *sending, char *block) {
    while (sending->left > 0) {
        int got = stream->calls->read_file(sending->file, block, next_bytes(sending, ED_BUFFER_BYTES), sending->offset);
        if (got <= 0) return got;
        int sent = pass_on(stream, block, got);
        if (sent < 0) return sent;
        note_sent(sending, sent);
        int status = ed_stream_is_sealed(stream) ? ed_stream_drain_layer(stream) : 0;
        if (status < 0) return status;
        ed_count_io();
        status = ed_stream_seized_status(stream);
        if (status < 0) return status;
    }
    return 0;
}

static int send_here(eddy_stream *stream, void *arg) {
    struct sending *sending = arg;
    int status = ed_stream_seize(stream, &sending->seizure);
    if (status < 0) return status;
    status = ed_stream_send_ahead(stream, &sending->seizure);
    if (status == 0) status = move(stream, sending);
    if (status == EDDY_ENOTSUP) {
        char *block = ed_alloc(ED_BUFFER_BYTES);
        status = block != NULL ? copy(stream, sending, block) : EDDY_ENOMEM;
        ed_free(block);
    }
    ed_stream_unseize(stream, &sending->seizure);
    return status;
}

int eddy_stream_send_file(eddy_stream *stream, int fd, int64_t offset, int64_t bytes, int64_t *sent_out) {
    if (sent_out != NULL) *sent_out = 0;
    if (offset < 0 || bytes < 0 || bytes > INT64_MAX - offset) return EDDY_EINVAL;
    struct sending sending = {.file = fd, .offset = offset, .left = bytes};
    int status = ed_stream_at_home(stream, send_here, &sending, "send_file");
    if (sent_out != NULL) *sent_out = sending.sent;
    return status;
}
