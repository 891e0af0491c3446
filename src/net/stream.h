/* stream.h: what net/ itself may do with streams, beside include/eddy/net.h. See stream.c. */
#ifndef ED_NET_STREAM_H
#define ED_NET_STREAM_H

#include "eddy/net.h"
#include "net/buffer.h"

struct ed_poll;
struct ed_sockets;
struct ed_worker;

/* What net/ keeps for a worker: worker->net_data. */
struct ed_net_worker {
    struct ed_list streams;   /* of eddy_stream: those with a descriptor */
    struct ed_list listeners; /* of servers' parts: those that listen */
    struct ed_list opened;    /* of struct ed_opened: those with a descriptor */
    struct ed_buffer_store store;
};
struct ed_net_worker *ed_net_of(struct ed_worker *worker); /* makes it; NULL: no memory */

/* A stream on the calling worker for a connected socket, or what else `calls` are for. Takes `fd` if 0 is returned; _polled:
 * `poll`, which has it already. Gives one reference. Limits of 0: the defaults. */
int ed_stream_open(eddy_stream **stream_out, int fd, const struct ed_sockets *calls, const eddy_address *peer,
                   size_t limit_bytes, size_t high_bytes);
int ed_stream_open_polled(eddy_stream **stream_out, struct ed_poll *poll, const struct ed_sockets *calls,
                          const eddy_address *peer, size_t limit_bytes, size_t high_bytes);
eddy_stream *ed_stream_of_node(struct ed_list *node); /* of ed_net_worker.streams */

/* Any worker, outside tasks too; none suspends. */
void ed_stream_finish_input(eddy_stream *stream); /* what would wait for input gets EDDY_EOF */
void ed_stream_begin_close(eddy_stream *stream);  /* eddy_stream_close without its wait */
/* On the home worker. */
void ed_stream_end_run(eddy_stream *stream); /* the run ends: reports, closes the descriptor */

#endif
