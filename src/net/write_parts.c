/* write_parts.c: many pieces in one write, and when a writer has to wait.
 *
 * Problem    A message lies in pieces: headers here, a body there. Copying them together, or a system call for each, is what
 *            the pieces were meant to save.
 * Idea       What waits in the output goes first, the pieces behind it, in one call of the system; what that refuses is
 *            copied into the output, from the very byte where it stopped. Little that fits into what gathers is copied at
 *            once, as a small write is. A layer makes records of whatever it gets: there the pieces are put together, so
 *            that they share records.
 * Invariants Room for all is made before anything is sent: EDDY_ENOMEM means that nothing will be.
 * Threads    The home worker; from elsewhere a copy travels (stream_calls.c).
 * Tests      tests/net/write_parts_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

#include <string.h>

enum { WINDOW = 64 }; /* pieces in one call: 1 KiB of stack */

size_t ed_parts_bytes(const struct iovec *parts, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(bytes, parts[i].iov_len, &bytes)) return SIZE_MAX;
    return bytes;
}

/* What is left of the pieces: all from `index` on but the first `skipped` bytes. */
struct rest {
    const struct iovec *parts;
    size_t count, index, skipped;
};

static struct iovec piece_at(const struct rest *rest, size_t index) {
    size_t skipped = index == rest->index ? rest->skipped : 0;
    const struct iovec *part = &rest->parts[index];
    return skipped == 0 ? *part : (struct iovec){(char *)part->iov_base + skipped, part->iov_len - skipped};
}

static void skip(struct rest *rest, size_t bytes) {
    for (; rest->index < rest->count; rest->index++, rest->skipped = 0) {
        size_t left = piece_at(rest, rest->index).iov_len;
        if (bytes < left) {
            rest->skipped += bytes;
            return;
        }
        bytes -= left;
    }
    ED_ASSERT(bytes == 0);
}

/* Sends the output and behind it what it can of `rest`, and takes both from there. 0: nothing is left, or the socket is full;
 * or what it said. */
static int send_directly(eddy_stream *stream, struct rest *rest) {
    for (;;) {
        struct iovec window[WINDOW];
        size_t used = 0, bytes = 0, waiting = ed_buffer_size(&stream->out);
        if (waiting > 0) window[used++] = (struct iovec){ed_buffer_bytes(&stream->out), waiting};
        for (size_t i = rest->index; i < rest->count && used < WINDOW; i++) window[used++] = piece_at(rest, i);
        for (size_t i = 0; i < used; i++) bytes += window[i].iov_len;
        if (bytes == 0) return 0;
        int sent = stream->calls->send_parts(ed_poll_fd(stream->poll), window, used);
        if (sent < 0) return sent;
        size_t of_output = (size_t)sent < waiting ? (size_t)sent : waiting;
        ed_buffer_consume(&stream->out, of_output);
        skip(rest, (size_t)sent - of_output);
        if ((size_t)sent < bytes) return 0;
    }
}

static int write_together(eddy_stream *stream, const struct iovec *parts, size_t count, size_t bytes) {
    struct ed_buffer_store *store = ed_stream_store(stream);
    struct ed_buffer all = {NULL, 0, 0};
    int status = ed_buffer_reserve(&all, store, bytes);
    if (status < 0) return status;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) memcpy(all.data + all.end, parts[i].iov_base, parts[i].iov_len);
        all.end += parts[i].iov_len;
    }
    status = ed_stream_write_here(stream, all.data, bytes);
    ed_buffer_release(&all, store);
    return status;
}

int ed_stream_write_parts_here(eddy_stream *stream, const struct iovec *parts, size_t count) {
    size_t bytes = ed_parts_bytes(parts, count);
    if (count == 1 || bytes == 0) return ed_stream_write_here(stream, count == 1 ? parts[0].iov_base : NULL, bytes);
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN || stream->shutting) return EDDY_ECLOSED;
    if (stream->layer != NULL) return write_together(stream, parts, count, bytes);
    int status = ed_stream_reserve_raw(stream, bytes);
    if (status < 0) return status;
    struct rest rest = {parts, count, 0, 0};
    bool now = !stream->blocked && ed_buffer_size(&stream->out) + bytes >= ED_BUFFER_BYTES;
    int sent = now ? send_directly(stream, &rest) : 0;
    for (size_t i = rest.index; i < count; i++) {
        struct iovec piece = piece_at(&rest, i);
        if (piece.iov_len > 0) ed_stream_append_raw(stream, piece.iov_base, piece.iov_len);
    }
    if (now) {
        ed_flush_forget(&stream->flush);
        ed_stream_sent(stream, sent);
    }
    return stream->status;
}

int eddy_stream_writev(eddy_stream *stream, const struct iovec *parts, size_t count) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return EDDY_EWRONGTHREAD;
    if (ed_stream_is_at(stream, worker)) return ed_stream_write_parts_here(stream, parts, count);
    if (ed_parts_bytes(parts, count) == 0) return ED_LOAD_RELAXED(&stream->refusal);
    return ed_stream_write_elsewhere(stream, parts, count);
}

/* ---- water marks -------------------------------------------------------------------------------- */

struct marks {
    size_t high_bytes, low_bytes;
};

static int set_marks(eddy_stream *stream, void *arg) {
    const struct marks *marks = arg;
    ed_stream_set_marks_here(stream, marks->high_bytes, marks->low_bytes);
    return 0;
}

int eddy_stream_set_water_marks(eddy_stream *stream, size_t high_bytes, size_t low_bytes) {
    if (low_bytes > high_bytes) return EDDY_EINVAL;
    struct marks marks = {high_bytes, low_bytes};
    return ed_stream_at_home(stream, set_marks, &marks, "set_water_marks");
}
