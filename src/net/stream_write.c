/* stream_write.c: a stream's output: gathered, sent at once for many writes, and by itself where the socket refuses.
 *
 * Problem    A write must neither wait nor cost a system call of its own; what the socket does not take must go out all the
 *            same, though no task waits for it, or a peer that waits for the question never answers.
 * Idea       Writes gather in `out`. It goes out when a reader of the stream is about to wait, before the worker asks the
 *            system for events, in a drain, and when a block has gathered, with the write that filled it, which is copied
 *            only as far as it is left. What the socket refuses stays, and `out` is itself the waiter for writability (N2).
 * Short way  Nearly every write finds no output, a block in store and nothing out of the ordinary; nearly every flush gets
 *            rid of all of it, and nobody asked to be told.
 * Ends       A flush may be what a close has waited for: the stream may be CLOSED after it, and gone unless the caller
 *            holds it. A half close waits likewise, for the last byte.
 * Threads    The home worker. Only drain suspends.
 * Not here   States and invariants (stream.c); who has the output for itself (seize.c); several parts (write_parts.c).
 * Tests      tests/net/stream_test.c, tests/sim/net_test.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

#include <string.h>

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
    ed_stream_set_buffered(stream);
    if (left > 0) {
        stream->blocked = true;
        ed_poll_notify(stream->poll, ED_POLL_WRITE, on_writable, stream);
    } else {
        ed_buffer_release(&stream->out, ed_stream_store(stream));
        if (stream->shutting && stream->seizure == NULL) stream->calls->shutdown_write(ed_poll_fd(stream->poll));
    }
    if (left <= stream->low_bytes) ed_stream_tell(&stream->drained, 0);
    if (left == 0 && stream->state == CLOSING && stream->seizure == NULL) ed_stream_finish_close(stream);
}

/* The same, for what it nearly always did: it took all of the `size`, nobody asked to be told, and nothing else is to be
 * done. False: it was not that, and sent_part has seen to it. */
static inline ED_HOT bool sent_all(eddy_stream *stream, int sent, size_t size) {
    const uint64_t ends = ED_STREAM_MARK(state) * 255 | ED_STREAM_MARK(shutting);
    if (ED_UNLIKELY(size == 0 || (size_t)sent != size || (stream->marks & ends) != 0 || stream->drained != NULL)) {
        sent_part(stream, sent);
        return false;
    }
    ed_buffer_release_block(&stream->out, ed_stream_store(stream));
    ED_STORE_RELAXED(&stream->buffered, 0);
    return true;
}

/* Sends what the socket takes. The stream may be CLOSED afterwards, and gone unless the caller holds it. */
ED_HOT bool ed_stream_flush(eddy_stream *stream) {
    size_t size = ed_buffer_size(&stream->out);
    if (stream->blocked || size == 0) return false;
    ed_flush_forget(&stream->flush);
    return sent_all(stream, stream->calls->send(ed_poll_fd(stream->poll), ed_buffer_bytes(&stream->out), size, NULL, 0),
                    size);
}

void ed_stream_sent(eddy_stream *stream, int sent) { (void)sent_all(stream, sent, ed_buffer_size(&stream->out)); }

void ed_stream_sent_seized(eddy_stream *stream, size_t bytes) {
    ed_buffer_consume(&stream->out, bytes);
    ed_stream_set_buffered(stream);
    if (ed_buffer_size(&stream->out) <= stream->low_bytes) ed_stream_tell(&stream->drained, 0);
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
    int status = ed_buffer_reserve(&stream->out, ed_stream_store(stream), bytes);
    if (status < 0) return status;
    if (ed_buffer_size(&stream->out) + bytes >= ED_BUFFER_BYTES && !stream->blocked)
        return write_now(stream, data, bytes);
    memcpy(stream->out.data + stream->out.end, data, bytes);
    stream->out.end += bytes;
    ed_stream_set_buffered(stream);
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
    if (stream->seizure == NULL) ed_stream_end_layer(stream);
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
    while (status == 0 && unsent_bytes(stream) > stream->high_bytes)
        status = ed_stream_wait_told(&stream->drained, "drain");
    return status;
}

int ed_stream_drain_layer(eddy_stream *stream) {
    int status = 0;
    while (status == 0 && ed_buffer_size(&stream->out) > stream->high_bytes)
        status = ed_stream_wait_told(&stream->drained, "drain");
    return status;
}

void ed_stream_set_marks_here(eddy_stream *stream, size_t high_bytes, size_t low_bytes) {
    stream->high_bytes = high_bytes;
    stream->low_bytes = low_bytes;
    if (ed_buffer_size(&stream->out) <= low_bytes) ed_stream_tell(&stream->drained, 0);
}

/* ---- below a layer ----------------------------------------------------------------------------- */

int ed_stream_reserve_raw(eddy_stream *stream, size_t bytes) {
    return ed_buffer_reserve(&stream->out, ed_stream_store(stream), bytes);
}

void ed_stream_append_raw(eddy_stream *stream, const void *data, size_t bytes) {
    ED_ASSERT(bytes <= ed_buffer_room(&stream->out));
    memcpy(stream->out.data + stream->out.end, data, bytes);
    stream->out.end += bytes;
    ed_stream_set_buffered(stream);
    if (!stream->blocked) ed_flush_later(ed_stream_worker(stream), &stream->flush);
}
