/* stream_calls.c: the public words of a stream: from whichever task, worker or thread to its home.
 *
 * Problem    A stream belongs to one worker, but tasks anywhere may read, write, close and release it; the calls of one
 *            task must keep their order, and the common case, a task at home, must cost nothing for it.
 * Idea       At home a call is a call. From elsewhere those that wait travel as helper tasks (loop/remote.c), the rest
 *            as messages: a write copies its bytes into one, the others have theirs in the stream.
 * Order      Messages and helper tasks of one thread arrive in the order in which they were sent.
 * Threads    As each function says.
 * Not here   What happens at home (stream.c).
 * Tests      tests/net/stream_test.c. */
#include "loop/loop.h"
#include "net/address.h"
#include "net/stream_parts.h"

#include <limits.h>
#include <string.h>

/* ---- messages ---------------------------------------------------------------------------------- */

/* What one message may bring: nobody is harmed if it overtakes what its sender has written. */
enum { ORDER_FINISH = 1, ORDER_ABORT = 2 };

static void arrive_orders(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_stream *stream = ED_CONTAINER(message, eddy_stream, orders_message);
    unsigned orders = ED_EXCHANGE(&stream->orders, 0); /* from here on it may be sent again */
    ed_home_arrived(&stream->home);
    if (orders & ORDER_FINISH) ed_stream_finish_input_here(stream);
    if (orders & ORDER_ABORT) ed_stream_abort_here(stream);
    ed_stream_drop_reference(stream);
}

static void arrive_close(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_stream *stream = ED_CONTAINER(message, eddy_stream, close_message);
    ed_home_arrived(&stream->home);
    ed_stream_begin_close_here(stream);
    ed_stream_drop_reference(stream);
}

/* Sends one of the stream's own messages home, behind the writes that this thread has sent. */
static void post_own(eddy_stream *stream, struct ed_message *message,
                     void (*arrive)(struct ed_message *, struct ed_worker *)) {
    ed_stream_take_reference(stream);
    message->arrive = arrive;
    if (ed_stream_post(stream, message) < 0) ed_stream_drop_reference(stream); /* the run's end closes it */
}

static void order(eddy_stream *stream, uint8_t orders) {
    if (ED_OR(&stream->orders, orders) == 0) post_own(stream, &stream->orders_message, arrive_orders);
}

void eddy_stream_abort(eddy_stream *stream) {
    if (ED_LOAD_ACQUIRE(&stream->gone)) return;
    if (ed_stream_is_at(stream, ed_worker_current()))
        ed_stream_abort_here(stream);
    else
        order(stream, ORDER_ABORT);
}

void ed_stream_begin_close(eddy_stream *stream) {
    if (ed_stream_is_at(stream, ed_worker_current()))
        ed_stream_begin_close_here(stream);
    else if (!ED_EXCHANGE(&stream->close_sent, true))
        post_own(stream, &stream->close_message, arrive_close);
}

void ed_stream_finish_input(eddy_stream *stream) {
    if (ed_stream_is_at(stream, ed_worker_current()))
        ed_stream_finish_input_here(stream);
    else
        order(stream, ORDER_FINISH);
}

void eddy_stream_release(eddy_stream *stream) {
    if (stream == NULL || ED_SUB(&stream->handles, 1) != 1) return;
    if (!ED_LOAD_ACQUIRE(&stream->gone)) ed_stream_begin_close(stream);
    ed_stream_drop_reference(stream); /* the handles' */
}

/* A write on its way home; without data: shutdown_write. */
struct write_message {
    struct ed_message message;
    eddy_stream *stream; /* one reference */
    size_t bytes;
    char data[];
};

static void arrive_write(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct write_message *write = ED_CONTAINER(message, struct write_message, message);
    eddy_stream *stream = write->stream;
    ed_home_arrived(&stream->home);
    int status =
        write->bytes == 0 ? ed_stream_shutdown_here(stream) : ed_stream_write_here(stream, write->data, write->bytes);
    if (status < 0 && stream->status == 0 && stream->state == OPEN && !stream->shutting)
        ed_stream_fail(stream, status); /* a gap in the data would be worse */
    ed_stream_drop_reference(stream);
    ed_free(write);
}

int ed_stream_write_elsewhere(eddy_stream *stream, const struct iovec *parts, size_t count) {
    if (ed_worker_current()->sched != ed_home_find(&stream->home)->sched) return EDDY_ESTATE;
    int refusal = ED_LOAD_RELAXED(&stream->refusal);
    if (refusal < 0) return refusal;
    size_t bytes = ed_parts_bytes(parts, count);
    struct write_message *write = bytes < SIZE_MAX / 2 ? ed_alloc(sizeof *write + bytes) : NULL;
    if (write == NULL) return EDDY_ENOMEM;
    write->message.arrive = arrive_write;
    write->stream = stream;
    write->bytes = bytes;
    char *at = write->data;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    ed_stream_take_reference(stream);
    int status = ed_stream_post(stream, &write->message);
    if (status < 0) {
        ed_stream_drop_reference(stream);
        ed_free(write);
    }
    return status;
}

static ED_COLD int write_away(eddy_stream *stream, const void *data, size_t bytes) {
    if (ed_worker_current() == NULL) return EDDY_EWRONGTHREAD;
    if (bytes == 0) return ED_LOAD_RELAXED(&stream->refusal);
    return ed_stream_write_elsewhere(stream, &(struct iovec){(void *)(uintptr_t)data, bytes}, 1);
}

int eddy_stream_write(eddy_stream *stream, const void *data, size_t bytes) {
    if (ED_LIKELY(ed_stream_is_at(stream, ed_worker_current()))) return ed_stream_write_here(stream, data, bytes);
    return write_away(stream, data, bytes);
}

int eddy_stream_shutdown_write(eddy_stream *stream) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return EDDY_EWRONGTHREAD;
    return ed_stream_is_at(stream, worker) ? ed_stream_shutdown_here(stream)
                                           : ed_stream_write_elsewhere(stream, NULL, 0);
}

size_t eddy_stream_buffered(const eddy_stream *stream) { return ED_LOAD_RELAXED((_Atomic size_t *)&stream->buffered); }

/* ---- calls that wait, from any worker ---------------------------------------------------------- */

struct call {
    int (*run)(struct call *call);
    int (*custom)(eddy_stream *stream, void *arg);
    eddy_stream *stream;
    void *buffer;
    size_t bytes, limit_bytes, got;
    const char *line;
    int result;
    bool as_reader;
    bool moved; /* it was somewhere else when the call came there */
};

static int run_read(struct call *call) {
    return call->result = ed_stream_read_here(call->stream, call->buffer, call->bytes);
}
static int run_read_exactly(struct call *call) {
    return ed_stream_read_exactly_here(call->stream, call->buffer, call->bytes, &call->got);
}
static int run_read_until(struct call *call) {
    return ed_stream_read_until_here(call->stream, call->buffer, call->bytes, call->limit_bytes, &call->line,
                                     &call->got);
}
static int run_drain(struct call *call) { return ed_stream_drain_here(call->stream); }
static int run_close(struct call *call) { return ed_stream_close_here(call->stream); }

static int run_custom(struct call *call) { return call->custom(call->stream, call->buffer); }

/* One reader at a time. */
static int run_as_reader(struct call *call) {
    if (call->stream->reading) return EDDY_EBUSY;
    call->stream->reading = true;
    int status = call->run(call);
    call->stream->reading = false;
    return status;
}

/* On what was the stream's home when this was sent. */
static int remote_call(void *arg, eddy_value *out) {
    (void)out;
    struct call *call = arg;
    call->moved = !ed_stream_is_at(call->stream, ed_worker_current());
    if (call->moved) return 0;
    int status = call->as_reader ? run_as_reader(call) : call->run(call);
    return status < 0 ? status : 0;
}

static int call_home(struct call *call, const char *name) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    ed_count_io(); /* first: who is put off may find the stream moved */
    if (ed_stream_is_at(call->stream, ed_worker_current()))
        return call->as_reader ? run_as_reader(call) : call->run(call);
    int status;
    do status = ed_run_on(ed_home_find(&call->stream->home), remote_call, call, name);
    while (call->moved && status == 0);
    return status;
}

static int call_reader(struct call *call, const char *name) {
    call->as_reader = true;
    return call_home(call, name);
}

int ed_stream_at_home(eddy_stream *stream, int (*run)(eddy_stream *stream, void *arg), void *arg, const char *name) {
    struct call call = {.run = run_custom, .custom = run, .stream = stream, .buffer = arg};
    return call_home(&call, name);
}

int ed_stream_as_reader(eddy_stream *stream, int (*run)(eddy_stream *stream, void *arg), void *arg, const char *name) {
    struct call call = {.run = run_custom, .custom = run, .stream = stream, .buffer = arg};
    return call_reader(&call, name);
}

int eddy_stream_read(eddy_stream *stream, void *buffer, size_t bytes) {
    if (ED_UNLIKELY(bytes - 1 >= INT_MAX)) return bytes == 0 ? 0 : EDDY_EINVAL;
    struct ed_worker *worker = ed_worker_current();
    struct ed_fiber *fiber = worker != NULL ? worker->running : NULL;
    if (ED_LIKELY(fiber != NULL && fiber->task != NULL && ed_stream_is_at(stream, worker) &&
                  ed_stream_reads_plainly(stream) && !ed_count_call(worker)))
        return ed_stream_read_plainly(stream, fiber, buffer, bytes);
    struct call call = {.run = run_read, .stream = stream, .buffer = buffer, .bytes = bytes};
    int status = call_reader(&call, "read");
    return status < 0 ? status : call.result;
}

int eddy_stream_read_exactly(eddy_stream *stream, void *buffer, size_t bytes, size_t *got_out) {
    struct call call = {.run = run_read_exactly, .stream = stream, .buffer = buffer, .bytes = bytes};
    int status = call_reader(&call, "read_exactly");
    if (got_out != NULL) *got_out = call.got;
    return status;
}

int eddy_stream_read_until(eddy_stream *stream, const void *separator, size_t separator_bytes, size_t limit_bytes,
                           const char **line_out, size_t *bytes_out) {
    if (separator_bytes == 0) return EDDY_EINVAL;
    struct call call = {.run = run_read_until,
                        .stream = stream,
                        .buffer = (void *)(uintptr_t)separator,
                        .bytes = separator_bytes,
                        .limit_bytes = limit_bytes};
    int status = call_reader(&call, "read_until");
    if (status == 0 || status == EDDY_EINCOMPLETE || status == EDDY_EOF) {
        *line_out = call.line;
        *bytes_out = call.got;
    }
    return status;
}

int eddy_stream_drain(eddy_stream *stream) {
    struct call call = {.run = run_drain, .stream = stream};
    return call_home(&call, "drain");
}

int eddy_stream_close(eddy_stream *stream) {
    struct call call = {.run = run_close, .stream = stream};
    struct ed_worker *worker = ed_worker_current();
    if (worker != NULL && !ed_stream_is_at(stream, worker))
        ed_stream_begin_close(stream); /* however the wait for it ends */
    return call_home(&call, "close");
}

size_t eddy_stream_peer(const eddy_stream *stream, char *buffer, size_t bytes) {
    eddy_address peer = ed_address_unpack(stream->addresses, stream->peer_bytes);
    return eddy_address_text(&peer, buffer, bytes);
}

size_t eddy_stream_local(const eddy_stream *stream, char *buffer, size_t bytes) {
    eddy_address local = ed_stream_local(stream);
    return eddy_address_text(&local, buffer, bytes);
}
