/* stream_parts.h: a stream's parts, for the files that make it up. What the rest of net/ may do: stream.h. The protocol:
 * stream.c; output and input: stream_write.c, stream_read.c. */
#ifndef ED_NET_STREAM_PARTS_H
#define ED_NET_STREAM_PARTS_H

#include "net/address.h"
#include "net/home.h"
#include "net/stream.h"
#include "task/task.h"

#include <sys/uio.h>

/* What stands between a stream and its socket: TLS, or the receiving of descriptors. It belongs to the stream and lives at its home, where all but release
 * is called. None of it suspends. */
struct ed_layer {
    /* More than 0; 0: the end; -EAGAIN: all that has come is used up; or a failure, for which it has made the detail. */
    int (*receive)(struct ed_layer *layer, void *buffer, size_t bytes);
    /* 0; or a failure, and nothing of `data` is in the output. */
    int (*send)(struct ed_layer *layer, const void *data, size_t bytes);
    void (*end)(struct ed_layer *layer);     /* tells the peer that nothing more will come */
    void (*release)(struct ed_layer *layer); /* any thread */
    bool exhausted;                          /* N5, of the socket; cleared by the stream's wait */
    bool seals;                              /* bytes are not sent as they are */
};

/* A call that has the output for itself: see seize.c. It lies in that call's frame. */
struct ed_seizure {
    size_t ahead;          /* bytes of `out` that were written before it; unless sealed */
    struct ed_buffer held; /* what others have written meanwhile; if sealed                */
};

enum state { OPEN, CLOSING, LINGERING, CLOSED };

/* One of the marks, as it stands in all of them. */
#define ED_STREAM_MARK(mark) ((struct eddy_stream){.mark = true}.marks)

struct eddy_stream {
    _Atomic uint32_t handles;
    _Atomic uint32_t references;
    struct ed_home home;            /* adopt.c                                                    */
    const struct ed_sockets *calls; /* (c) of the descriptor's kind                               */
    size_t limit_bytes;             /* (c)                                                        */

    struct ed_poll *poll;       /* (o)                                                        */
    struct ed_list node;        /* (o) in ed_net_worker.streams                               */
    struct ed_flush flush;      /* (o) queued while `out` waits for the end of the pass       */
    struct ed_buffer in, out;   /* (o)                                                        */
    struct ed_layer *layer;     /* (o) NULL: none; set once                                   */
    size_t high_bytes;          /* (o) of `out`: drain waits above it                         */
    size_t low_bytes;           /* (o) of `out`: and not any more from here on                */
    struct ed_seizure *seizure; /* (o) NULL: none                                           */
    eddy_future *drained;       /* (o) set when `out` is low again; NULL: nobody waits        */
    union {
        eddy_future *closed;      /* (o) set when the stream is closed; NULL: nobody waits      */
        struct ed_linger *linger; /* (o) while LINGERING, before which `closed` was set         */
    };
    int status;          /* (o) 0, or the first failure                                */
    _Atomic int refusal; /* what a write from elsewhere gets; 0: accepted              */
    union {
        struct {
            uint8_t state;  /* (o) enum state                                             */
            bool reading;   /* (o) a task is in a read                                    */
            bool exhausted; /* (o) N5                                                     */
            bool eof;       /* (o) reading has come to its end                            */
            bool finished;  /* (o) nobody waits for input any more                        */
            bool blocked;   /* (o) N2                                                     */
            bool shutting;  /* (o) nothing more will be written                           */
            bool special;   /* (o) N8                                                     */
        };
        uint64_t marks; /* (o) all of these at once: 0 is OPEN, and nothing out of the ordinary */
    };

    _Atomic size_t buffered;          /* bytes in `out`, for other threads                          */
    struct ed_message orders_message; /* under way while `orders` is not 0                          */
    struct ed_message close_message;
    _Atomic uint8_t orders;  /* what was ordered from elsewhere: stream_calls.c            */
    _Atomic bool close_sent; /* its message is or was under way: once is enough            */
    _Atomic bool gone;       /* CLOSED: nothing needs the home worker any more             */

    uint8_t peer_bytes, local_bytes; /* (c)                                                            */
    char addresses[];                /* (c) both, packed: the peer's, the own                          */
};

/* Any thread. Its own address; 0 bytes, of no family: not to be had. */
static inline eddy_address ed_stream_local(const eddy_stream *stream) {
    return ed_address_unpack(stream->addresses + stream->peer_bytes, stream->local_bytes);
}

/* At home. */
static inline struct ed_worker *ed_stream_worker(const eddy_stream *stream) { return ed_home_here(&stream->home); }
/* Its worker's store of empty blocks. */
static inline struct ed_buffer_store *ed_stream_store(const eddy_stream *stream) {
    struct ed_net_worker *net = ed_stream_worker(stream)->net_data;
    return &net->store;
}
/* Whether this is its home, by a worker or, NULL, by any other thread. */
static inline bool ed_stream_is_at(const eddy_stream *stream, const struct ed_worker *worker) {
    return ed_home_is(&stream->home, worker);
}
/* Any thread: to its home; 0 or EDDY_ECLOSED. Each arrival begins with ed_home_arrived. Since its caller looked it may have
 * moved to the caller's own worker: then it arrives at once, or what the caller does next, at home, would overtake it. */
static inline int ed_stream_post(eddy_stream *stream, struct ed_message *message) {
    struct ed_worker *home = ed_home_send(&stream->home);
    if (ED_UNLIKELY(home == ed_worker_current())) {
        message->arrive(message, home);
        return 0;
    }
    int status = ed_post(home, message);
    if (status < 0) ed_home_arrived(&stream->home);
    return status;
}

/* Any thread. The last one frees the memory. */
static inline void ed_stream_take_reference(eddy_stream *stream) { ED_ADD_RELAXED(&stream->references, 1); }
void ed_stream_drop_reference(eddy_stream *stream);

/* What stream.c, stream_write.c and stream_read.c have in common, on the home worker. set_buffered: after each change of
 * `out`. tell: whoever waits in `slot`, `drained` or `closed`; wait_told: until it has been told. finish_close: CLOSING, and
 * nothing is left to send or nothing can be sent. end_layer: the layer's last bytes, once. */
static inline void ed_stream_set_buffered(eddy_stream *stream) {
    ED_STORE_RELAXED(&stream->buffered, ed_buffer_size(&stream->out));
}
void ed_stream_tell(eddy_future **slot, int status);
int ed_stream_wait_told(eddy_future **slot, const char *reason);
void ed_stream_finish_close(eddy_stream *stream);
void ed_stream_end_layer(eddy_stream *stream);

/* On the home worker; the calls of include/eddy/net.h as they are there. */
void ed_stream_fail(eddy_stream *stream, int status); /* the connection is broken: nothing more can be sent */
void ed_stream_abort_here(eddy_stream *stream);
void ed_stream_begin_close_here(eddy_stream *stream);
void ed_stream_finish_input_here(eddy_stream *stream);
int ed_stream_write_here(eddy_stream *stream, const void *data, size_t bytes);
int ed_stream_write_parts_here(eddy_stream *stream, const struct iovec *parts, size_t count);
void ed_stream_set_marks_here(eddy_stream *stream, size_t high_bytes, size_t low_bytes);
int ed_stream_shutdown_here(eddy_stream *stream);
int ed_stream_drain_here(eddy_stream *stream);
int ed_stream_close_here(eddy_stream *stream);
int ed_stream_read_here(eddy_stream *stream, void *buffer, size_t bytes);
/* The same of a stream with no mark but, maybe, `exhausted`, and no input that was read ahead, by the task that runs on `fiber`:
 * nearly every read. */
static inline bool ed_stream_reads_plainly(const eddy_stream *stream) {
    return (stream->marks & ~ED_STREAM_MARK(exhausted)) == 0 && stream->in.data == NULL;
}
int ed_stream_read_plainly(eddy_stream *stream, struct ed_fiber *fiber, void *buffer, size_t bytes);
int ed_stream_read_exactly_here(eddy_stream *stream, void *buffer, size_t bytes, size_t *got_out);
int ed_stream_read_until_here(eddy_stream *stream, const void *separator, size_t separator_bytes, size_t limit_bytes,
                              const char **line_out, size_t *bytes_out);

/* For layers, on the home worker. receive: what the socket has; more than 0, 0: its end, -EAGAIN, or a failure. reserve:
 * room in the output; append: into it, which then goes out with the next flush. wait: sends what is there, suspends until
 * there may be input; 0 or negative. flush: sends what the socket takes. */
int ed_stream_receive_raw(eddy_stream *stream, void *buffer, size_t bytes);
int ed_stream_reserve_raw(eddy_stream *stream, size_t bytes);
void ed_stream_append_raw(eddy_stream *stream, const void *data, size_t bytes);
bool ed_stream_flush(eddy_stream *stream); /* true: the socket took all, and of the stream only `out` has changed */
int ed_stream_wait_raw(eddy_stream *stream);
/* Takes the layer; it must get what had been read ahead, which is given here. */
void ed_stream_set_layer(eddy_stream *stream, struct ed_layer *layer, struct ed_buffer *ahead_out);

/* For writers of other kinds, on the home worker. sent: the socket took `sent` bytes of the output, -EAGAIN, or failed: what
 * is left waits for writability. write_elsewhere: to a home that is another worker, a copy. */
void ed_stream_sent(eddy_stream *stream, int sent);
void ed_stream_sent_seized(eddy_stream *stream, size_t bytes);
int ed_stream_write_through(eddy_stream *stream, const void *data, size_t bytes); /* write_here's, with a layer */
int ed_stream_drain_layer(eddy_stream *stream);                                   /* drain, of who has seized it */
/* seize.c. seize: EDDY_EBUSY, or what a write would get. send_ahead: what was written before; suspends. wait: until the
 * socket may take more; suspends. Both give 0, or EDDY_ECANCELED, or the connection's end. unseize: always at the end. */
static inline bool ed_stream_is_sealed(const eddy_stream *stream) {
    return stream->layer != NULL && stream->layer->seals;
}
int ed_stream_seize(eddy_stream *stream, struct ed_seizure *seizure);
int ed_stream_send_ahead(eddy_stream *stream, struct ed_seizure *seizure);
int ed_stream_wait_seized(eddy_stream *stream, const char *reason);
int ed_stream_seized_status(const eddy_stream *stream); /* 0: it still carries bytes */
void ed_stream_unseize(eddy_stream *stream, struct ed_seizure *seizure);
int ed_stream_write_elsewhere(eddy_stream *stream, const struct iovec *parts, size_t count);
size_t ed_parts_bytes(const struct iovec *parts, size_t count); /* SIZE_MAX: more than memory */

/* Runs run(stream, arg) at home. Any task; suspends if that is elsewhere, or if `run` does; `arg` is borrowed. as_reader: as
 * the stream's one reader. */
int ed_stream_at_home(eddy_stream *stream, int (*run)(eddy_stream *stream, void *arg), void *arg, const char *name);
int ed_stream_as_reader(eddy_stream *stream, int (*run)(eddy_stream *stream, void *arg), void *arg, const char *name);

/* adopt.c: puts a stream that came to the calling worker into its list, once. `net`: the worker's. */
void ed_stream_settle_in(eddy_stream *stream, struct ed_net_worker *net);

#endif
