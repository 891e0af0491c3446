/* server_parts.h: a server and its parts, between server.c and accept.c.
 *
 * Parts      A server has a part for each worker that serves it: the listener there, and the connections whose tasks
 *            run there. Orders to the clients travel as messages to the parts, and hold for connections that begin
 *            later, too: `orders` keeps them.
 * Invariants (V1) `live` counts the open server, its opening (the run may end, and close it, in between), each
 *            listener, each connection until its task is done; at 0 `ended` is set, for good.
 *            (V2) A connection is in its part's list from before its handler runs until its stream is closed.
 * References the users' handles as one, `live` as one, each message under way one; the last frees, on any thread.
 * Threads    Parts: their worker, but for `orders`, `wanted`, and `door` with `door_fd`. Counters: any. */
#ifndef ED_NET_SERVER_PARTS_H
#define ED_NET_SERVER_PARTS_H

#include "loop/loop.h"
#include "net/stream.h"
#include "sched/sched.h"

enum { ED_SERVER_NAME_BYTES = 32 };

/* What a server was told, for its parts and for connections to come. */
enum {
    ED_SERVER_CLOSE = 1,
    ED_SERVER_FINISH_CLIENTS = 2,
    ED_SERVER_CLOSE_CLIENTS = 4,
    ED_SERVER_ABORT_CLIENTS = 8,
    ED_SERVER_CANCEL_CLIENTS = 16
};

struct ed_server_part {
    eddy_server *server;
    struct ed_worker *worker;   /* (c)                                                  */
    int fd;                     /* while the server is being opened: a bound socket, or -1 */
    bool opening;               /* (o) inside ed_part_open                              */
    bool bound;                 /* (o) the listener still has its path                  */
    struct ed_poll *listener;   /* (o) while it listens                                 */
    struct ed_list connections; /* (o) V2                                               */
    struct ed_list node;        /* (o) in ed_net_worker.listeners while it listens      */
    int door_fd;                /* the listener's, for visitors: written while the door is closed */
    _Atomic uint32_t door;      /* enum door, of accept.c                               */
    struct ed_message message;  /* under way while `wanted` is not 0                    */
    _Atomic uint32_t wanted;    /* orders that the message brings                       */
};

struct eddy_server {
    _Atomic uint32_t handles, references;
    _Atomic uint32_t orders;
    _Atomic size_t live, connections;
    _Atomic uint64_t refused, handshakes_failed;
    eddy_future *ended;              /* (c) */
    eddy_connection_fn handler;      /* (c) */
    void *arg;                       /* (c) */
    eddy_loop *domain;               /* (c) that the connections' tasks belong to; NULL: none */
    eddy_semaphore *slots;           /* (c) NULL: no limit                                    */
    eddy_server_options options;     /* (c) .name is `name`                                   */
    char name[ED_SERVER_NAME_BYTES]; /* (c) */
    uint16_t port;                   /* (c) */
    _Atomic unsigned next_part;      /* whose turn it is to get a connection                  */
    unsigned parts_count;            /* (c) */
    bool handed_out;                 /* (c) one listener for all parts                        */
    bool from_outside; /* (c) others may have the listener's socket, too: it is not shut, its path stays */
    struct ed_server_part parts[];
};

static inline const struct ed_sockets *ed_part_sockets(const struct ed_server_part *part) {
    return part->worker->sched->driver->sockets;
}

/* server.c. Any thread. order: to all parts; what had been ordered before. */
void ed_server_drop_reference(eddy_server *server);
void ed_server_drop_live(eddy_server *server);
uint32_t ed_server_order(eddy_server *server, uint32_t orders);

/* accept.c. order: any thread. open: a coroutine on the part's worker, which then accepts; takes the part's descriptor, which
 * is -1 then. */
void ed_part_order(struct ed_server_part *part, uint32_t orders);
int ed_part_open(void *part, eddy_value *out);

/* Whether `status` says that something is short that others will give back. */
static inline bool ed_is_shortage(int status) {
    return status == -EMFILE || status == -ENFILE || status == -ENOBUFS || status == -ENOMEM;
}

#endif
