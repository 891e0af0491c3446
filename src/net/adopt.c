/* adopt.c: a stream changes its home.
 *
 * Problem    A stream may be used by tasks of all workers at any moment; each looks where its home is and calls or sends a
 *            message there. When it moves, none of them may act at the old home any more, no message may arrive there, and
 *            messages of one sender must stay in order.
 * Idea       Both homes can serve it before it moves: the new one has a poller of its own, for a duplicate of the
 *            descriptor. The move is one store, made at the old home while nothing of the stream is under way: no call is
 *            inside, no message has been sent and not arrived (home.h).
 * At home    A call that suspends inside is seen (reading, drained, closed, seizure), so it keeps the stream there.
 *            Helper tasks that come to a former home find it gone, and are sent after it by their callers.
 * Moves      input that was read ahead, output that waits, and TLS as it is: they lie in the stream. Deadlines belong to
 *            tasks.
 * Invariants (A1) Between the store and the next step of an adopter here the stream is in no list of net/'s; the adopter's task
 *            lives.
 * Threads    A task.
 * Tests      tests/net/adopt_test.c; tests/model/home_model.c. */
#include "loop/loop.h"
#include "net/stream_parts.h"

struct adoption {
    eddy_stream *stream;
    struct ed_worker *to;
    struct ed_poll *poll; /* of `to` */
    int fd;               /* the duplicate */
    bool moved;           /* it was somewhere else already */
};

/* Where its home was: whether that is still so, and then whether no call is inside. */
static int may_leave(struct adoption *adoption) {
    const eddy_stream *stream = adoption->stream;
    adoption->moved = !ed_stream_is_at(stream, ed_worker_current());
    if (adoption->moved) return 0;
    if (stream->state != OPEN) return EDDY_ECLOSED;
    bool busy = stream->reading || stream->drained != NULL || stream->closed != NULL || stream->seizure != NULL;
    return busy ? eddy_fail(EDDY_EBUSY, "a task is inside a call of this stream") : 0;
}

static int lend(void *arg, eddy_value *out) {
    (void)out;
    struct adoption *adoption = arg;
    const eddy_stream *stream = adoption->stream;
    int status = may_leave(adoption);
    if (status < 0 || adoption->moved) return status;
    adoption->fd = stream->calls->duplicate(ed_poll_fd(stream->poll));
    return adoption->fd < 0 ? adoption->fd : 0;
}

static int move(void *arg, eddy_value *out) {
    (void)out;
    struct adoption *adoption = arg;
    eddy_stream *stream = adoption->stream;
    int status = may_leave(adoption);
    if (status < 0 || adoption->moved) return status;
    if (!ed_home_move_begin(&stream->home))
        return eddy_fail(EDDY_EBUSY, "a write or a close is on its way to this stream");
    ed_flush_forget(&stream->flush);
    ed_list_remove(&stream->node);
    struct ed_poll *before = stream->poll;
    stream->poll = adoption->poll;
    stream->blocked = false; /* the new home flushes */
    stream->exhausted = false;
    if (stream->layer != NULL) stream->layer->exhausted = false;
    ed_home_move_end(&stream->home, adoption->to);
    ed_poll_close(before);
    return 0;
}

void ed_stream_settle_in(eddy_stream *stream, struct ed_net_worker *net) {
    if (!ed_stream_is_at(stream, ed_worker_current()) || stream->state == CLOSED) return;
    if (ed_list_empty(&stream->node)) ed_list_push(&net->streams, &stream->node); /* A1 */
    if (stream->state == OPEN) ed_stream_flush(stream);
}

/* The worker that the calling task stays on is the new home. */
static int adopt(eddy_stream *stream) {
    struct ed_worker *here = ed_worker_current();
    for (;;) {
        if (ed_stream_is_at(stream, here)) return stream->state == OPEN ? 0 : EDDY_ECLOSED;
        struct ed_net_worker *net = ed_net_of(here);
        if (net == NULL) return EDDY_ENOMEM;
        struct adoption adoption = {.stream = stream, .to = here};
        struct ed_worker *home = ed_home_find(&stream->home);
        int status = ed_run_on(home, lend, &adoption, "adopt");
        if (status < 0) return status;
        if (adoption.moved) continue;
        status = ed_poll_open(&adoption.poll, adoption.fd);
        if (status < 0) {
            stream->calls->close(adoption.fd);
            return status;
        }
        status = ed_run_on(home, move, &adoption, "adopt");
        if (status == 0 && !adoption.moved) {
            ed_stream_settle_in(stream, net);
            return 0;
        }
        ed_poll_close(adoption.poll);
        if (status < 0) return status;
    }
}

int eddy_stream_adopt(eddy_stream *stream) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return ed_outside_task();
    ed_count_io();
    const bool migrates = ed_stay_begin(fiber);
    int status = adopt(stream);
    ed_stay_end(fiber, migrates);
    return status;
}
