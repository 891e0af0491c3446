/* stream_read.c: a stream's input: what the socket, or a layer, gives, and the waits for it.
 *
 * Problem    Asking the socket for what it does not have is a wasted system call, waiting for what it has a lost wake-up; and
 *            a read that is cancelled must have taken nothing.
 * Idea       A read that got less than it asked for has taken all there was: the next one waits first (N5). Bytes go straight
 *            to the caller; `in` holds only what was read ahead for a separator or a whole number of bytes, and those leave it
 *            in the call that returns them (N3). A wait flushes the output first: the peer may be waiting for that.
 * Short way  A read of a stream with no mark but `exhausted` asks about all marks at once, before its wait and after it.
 * Ends       After the end of input, or a failure, what has come can still be read; then each read says the same again.
 * Threads    The home worker, and one reader at a time (stream_calls.c).
 * Not here   States and invariants (stream.c); output (stream_write.c).
 * Tests      tests/net/stream_test.c, tests/sim/net_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

#include <string.h>

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
            int status = ed_buffer_reserve(&stream->in, ed_stream_store(stream), room);
            if (status < 0) return status;
            int got = try_receive(stream, stream->in.data + stream->in.end, ed_buffer_room(&stream->in));
            if (got > 0) stream->in.end += (size_t)got;
            if (got != -EAGAIN) return got;
        }
        if (ed_buffer_size(&stream->in) == 0) ed_buffer_release(&stream->in, ed_stream_store(stream));
        int status = ed_stream_wait_raw(stream);
        if (status < 0) return status;
    }
}

/* Consumes what the caller has a copy of: who stops reading here may be idle for long. */
static void consume_copied(eddy_stream *stream, size_t bytes) {
    ed_buffer_consume(&stream->in, bytes);
    if (ed_buffer_size(&stream->in) == 0) ed_buffer_release(&stream->in, ed_stream_store(stream));
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
            ed_buffer_release(&stream->in, ed_stream_store(stream)); /* a line that was read is over */
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
        if (ED_LIKELY(ed_buffer_size(&stream->out) > 0) && !ed_stream_flush(stream) &&
            ED_UNLIKELY(stream->marks != waiting))
            return read_on(stream, buffer, bytes, 1);
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
