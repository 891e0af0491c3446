/* server.c: listening on every worker, a task for each connection.
 *
 * Problem    Connections must come in on all workers without passing through one; a server that ends must not reset
 *            connections which the system has accepted on its behalf; running out of descriptors must neither end the
 *            server nor make its loop spin.
 * Idea       A listener for each worker on one port (SO_REUSEPORT: the system spreads the connections), each with an
 *            acceptor, a task of that worker. The first socket is bound without SO_REUSEPORT, so a port that somebody
 *            uses is refused; it then lets the others share it. Where that is not to be had, and in a serial domain,
 *            there is one listener; without a domain its connections are handed out in turn.
 * Parts      A server has a part for each worker that serves it: the listener there, and the connections whose tasks
 *            run there. Orders to the clients travel as messages to the parts, and hold for connections that begin
 *            later, too: `orders` keeps them.
 * Held       A worker that computes does not accept. When the tick has missed it for ED_HELD_NS another worker is asked to
 *            visit its listeners, and takes what is queued there as connections of its own. `door` says whether one may:
 *            OPEN -> VISITED -> OPEN by the visitor; to CLOSING by the owner, who waits for the visitor's CLOSED if it
 *            was VISITED, and then closes the socket.
 * Close      The listener's socket refuses new handshakes, those under way get HANDSHAKE_NS to be completed, the queue
 *            is accepted empty, then the socket is closed.
 * Invariants (V1) `live` counts the open server, its opening (the run may end, and close it, in between), each
 *            listener, each connection until its task is done; at 0 `ended` is set, for good.
 *            (V2) A connection is in its part's list from before its handler runs until its stream is closed.
 * References the users' handles as one, `live` as one, each message under way one; the last frees, on any thread.
 * Threads    Parts: their worker, but for `orders`, `wanted`, and `door` with `door_fd`. Counters: any.
 * Not here   Streams (stream.c).
 * Tests      tests/net/server_test.c. */
#include "eddy/loop.h"
#include "eddy/scope.h"
#include "eddy/sync.h"
#include "loop/loop.h"
#include "net/address.h"
#include "net/net.h"
#include "net/stream.h"
#include "net/tls.h"
#include "task/task.h"

#include <stdio.h>
#include <string.h>

static const int64_t handshake_ns = 20000000; /* a round trip of a continent; ours to wait for only at the very end */
static const int64_t pause_ns = 20000000;     /* between attempts while descriptors or memory are out */
static const int64_t default_linger_ns = 30000000000;
enum { BACKLOG = 1024, NAME_BYTES = 32 };

/* What a server was told, for its parts and for connections to come. */
enum { CLOSE = 1, FINISH_CLIENTS = 2, CLOSE_CLIENTS = 4, ABORT_CLIENTS = 8, CANCEL_CLIENTS = 16 };

enum door { DOOR_CLOSED, DOOR_OPEN, DOOR_VISITED, DOOR_CLOSING };
enum { VISIT_MAX = 64 }; /* connections that a visitor takes before it looks at its own work */

struct part {
    eddy_server *server;
    struct ed_worker *worker;   /* (c)                                                  */
    int fd;                     /* while the server is being opened: a bound socket, or -1 */
    bool opening;               /* (o) inside open_part                                 */
    bool bound;                 /* (o) the listener still has its path                  */
    struct ed_poll *listener;   /* (o) while it listens                                 */
    struct ed_list connections; /* (o) V2                                               */
    struct ed_list node;        /* (o) in ed_net_worker.listeners while it listens      */
    int door_fd;                /* the listener's, for visitors: written while the door is closed */
    _Atomic uint32_t door;      /* enum door                                            */
    struct ed_message message;  /* under way while `wanted` is not 0                    */
    _Atomic uint32_t wanted;    /* orders that the message brings                       */
};

struct eddy_server {
    _Atomic uint32_t handles, references;
    _Atomic uint32_t orders;
    _Atomic size_t live, connections;
    _Atomic uint64_t refused, handshakes_failed;
    eddy_future *ended;          /* (c) */
    eddy_connection_fn handler;  /* (c) */
    void *arg;                   /* (c) */
    eddy_loop *domain;           /* (c) that the connections' tasks belong to; NULL: none */
    eddy_semaphore *slots;       /* (c) NULL: no limit                                    */
    eddy_server_options options; /* (c) .name is `name`                                   */
    char name[NAME_BYTES];       /* (c) */
    uint16_t port;               /* (c) */
    _Atomic unsigned next_part;  /* whose turn it is to get a connection                  */
    unsigned parts_count;        /* (c) */
    bool handed_out;             /* (c) one listener for all parts                        */
    struct part parts[];
};

struct connection {
    struct part *part;
    int fd; /* -1: the stream has it */
    unsigned peer_bytes;
    struct ed_list node;
    eddy_stream *stream;
    eddy_task *task; /* borrowed: runs while the node is linked */
    char peer[];     /* packed */
};

static const struct ed_sockets *sockets_of(const struct part *part) { return part->worker->sched->driver->sockets; }

/* ---- life ------------------------------------------------------------------------------------- */

static void drop_reference(eddy_server *server) {
    if (ED_SUB(&server->references, 1) != 1) return;
    eddy_future_release(server->ended);
    if (server->slots != NULL) eddy_semaphore_release(server->slots);
    ed_free(server);
}

static void drop_live(eddy_server *server) {
    if (ED_SUB(&server->live, 1) != 1) return;
    eddy_future_set(server->ended, EDDY_NONE);
    drop_reference(server);
}

static void arrive_orders(struct ed_message *message, struct ed_worker *worker);

static void order_part(struct part *part, uint32_t orders) {
    if (ED_OR(&part->wanted, orders) != 0) return; /* the message is under way, and will see these */
    ED_ADD_RELAXED(&part->server->references, 1);
    part->message.arrive = arrive_orders;
    if (ed_post(part->worker, &part->message) < 0) drop_reference(part->server); /* the run is over there */
}

/* What had been ordered before. */
static uint32_t order(eddy_server *server, uint32_t orders) {
    uint32_t before = ED_OR(&server->orders, orders);
    for (unsigned i = 0; i < server->parts_count; i++) order_part(&server->parts[i], orders);
    if ((orders & CLOSE) && !(before & CLOSE)) drop_live(server);
    return before;
}

/* ---- connections ------------------------------------------------------------------------------ */

static void obey(struct connection *connection, uint32_t orders) {
    if (orders & FINISH_CLIENTS) ed_stream_finish_input(connection->stream);
    if (orders & CLOSE_CLIENTS) ed_stream_begin_close(connection->stream);
    if (orders & ABORT_CLIENTS) eddy_stream_abort(connection->stream);
    if (orders & CANCEL_CLIENTS) eddy_cancel(EDDY_FUTURE(connection->task));
}

static void arrive_orders(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct part *part = ED_CONTAINER(message, struct part, message);
    uint32_t orders = ED_EXCHANGE(&part->wanted, 0); /* from here on it may be sent again */
    if ((orders & CLOSE) && part->listener != NULL) ed_poll_interrupt(part->listener, ED_POLL_READ, 0);
    for (struct ed_list *node = part->connections.next; node != &part->connections; node = node->next)
        obey(ED_CONTAINER(node, struct connection, node), orders);
    drop_reference(part->server);
}

/* Whether `status` says more than that the connection or the task came to its end. */
static int report_worthy(int status) {
    switch (status) {
    case EDDY_EOF:
    case EDDY_EINCOMPLETE:
    case EDDY_ETRUNCATED:
    case EDDY_ECLOSED:
    case EDDY_ECANCELED:
    case -ECONNRESET:
    case -EPIPE: return 0;
    default: return status;
    }
}

/* Sends the last bytes for as long as is allowed. */
static void end_stream(const eddy_server *server, eddy_stream *stream, int status) {
    int64_t linger_ns = status == EDDY_ECANCELED ? 0 : server->options.linger_ns; /* 0: what goes at once */
    int closed = EDDY_TIMEOUT(linger_ns, eddy_stream_close(stream));
    if (closed < 0) eddy_stream_abort(stream);
}

static int serve(eddy_server *server, eddy_stream *stream) {
    if (server->options.tls != NULL) {
        int status = ed_tls_start(stream, server->options.tls, NULL);
        if (status < 0) {
            ED_ADD_RELAXED(&server->handshakes_failed, 1);
            return status == EDDY_ECANCELED ? status : EDDY_ECLOSED;
        }
    }
    return server->handler(stream, server->arg);
}

/* Apart, so that the address is not on the task's stack for as long as the connection lasts. */
static ED_COLD int open_stream(struct connection *connection) {
    const eddy_server_options *options = &connection->part->server->options;
    eddy_address peer = ed_address_unpack(connection->peer, connection->peer_bytes);
    int status = ed_stream_open(&connection->stream, connection->fd, sockets_of(connection->part), &peer,
                                options->limit_bytes, options->high_bytes);
    if (status == 0) connection->fd = -1;
    return status;
}

static int connection_main(void *arg, eddy_value *out) {
    (void)out;
    struct connection *connection = arg;
    struct part *part = connection->part;
    eddy_server *server = part->server;
    int status = open_stream(connection);
    if (status < 0) {
        ED_ADD_RELAXED(&server->refused, 1);
        return 0;
    }
    connection->task = ed_task_current();
    ed_list_push(&part->connections, &connection->node);
    uint32_t orders = ED_LOAD_SEQCST(&server->orders);
    obey(connection, orders & ~(uint32_t)CANCEL_CLIENTS);
    status = orders & CANCEL_CLIENTS ? EDDY_ECANCELED : serve(server, connection->stream);
    end_stream(server, connection->stream, status);
    ed_list_remove(&connection->node);
    eddy_stream_release(connection->stream);
    return report_worthy(status);
}

/* The connection's task has ended, or never began. */
static void drop_connection(eddy_value value) {
    struct connection *connection = value.ptr;
    eddy_server *server = connection->part->server;
    if (connection->fd >= 0) sockets_of(connection->part)->close(connection->fd);
    ed_free(connection);
    ED_SUB(&server->connections, 1);
    if (server->slots != NULL) eddy_semaphore_post(server->slots);
    drop_live(server);
}

/* Takes `fd` in any case. */
static int start_connection(struct part *part, int fd, const eddy_address *peer) {
    eddy_server *server = part->server;
    struct connection *connection = ed_calloc(sizeof *connection + ed_address_packed(peer));
    if (connection == NULL) {
        sockets_of(part)->close(fd);
        if (server->slots != NULL) eddy_semaphore_post(server->slots);
        return EDDY_ENOMEM;
    }
    if (server->handed_out) part = &server->parts[ED_ADD_RELAXED(&server->next_part, 1) % server->parts_count];
    connection->part = part;
    connection->fd = fd;
    connection->peer_bytes = ed_address_pack(connection->peer, peer);
    ed_list_init(&connection->node);
    ED_ADD(&server->live, 1);
    ED_ADD_RELAXED(&server->connections, 1);
    eddy_task_options options = eddy_task_options_init();
    options.name = server->name;
    options.loop = server->domain;
    options.stack_bytes = server->options.stack_bytes;
    options.drop_arg = drop_connection;
    return ed_spawn_on(part->worker, NULL, connection_main, connection, &options, 0);
}

/* ---- accepting -------------------------------------------------------------------------------- */

static bool closing(const struct part *part) { return (ED_LOAD_RELAXED(&part->server->orders) & CLOSE) != 0; }

/* Out of something that others will give back. */
static bool is_shortage(int status) {
    return status == -EMFILE || status == -ENFILE || status == -ENOBUFS || status == -ENOMEM;
}

/* Accepts until the queue is empty or, as long as it still fills (`fills`), the server closes: clients that never pause
 * could keep it full. 0, or EDDY_ECANCELED, or a failure of the listener itself. */
static int accept_all(struct part *part, bool fills) {
    eddy_server *server = part->server;
    for (;;) {
        ed_count_io();
        if (fills && closing(part)) return 0;
        if (server->slots != NULL) {
            int status = eddy_semaphore_acquire(server->slots);
            if (status < 0) return status;
        }
        eddy_address peer;
        int fd = sockets_of(part)->accept(ed_poll_fd(part->listener), &peer);
        int status = fd < 0 ? fd : start_connection(part, fd, &peer);
        if (status == 0) continue;
        if (fd < 0 && server->slots != NULL) eddy_semaphore_post(server->slots);
        if (status == -EAGAIN) return 0;
        if (is_shortage(status)) {
            ED_ADD_RELAXED(&server->refused, 1);
            status = eddy_sleep(pause_ns);
            if (status < 0) return status;
        } else if (status == -EBADF || status == -EINVAL || status == -ENOTSOCK || status == EDDY_ECLOSED) {
            return status;
        } /* else that connection broke while it was queued: the next one */
    }
}

/* Once: the second time the path may be another server's. */
static void unbind(struct part *part) {
    if (part->bound) sockets_of(part)->unbind(ed_poll_fd(part->listener));
    part->bound = false;
}

static int accept_until_closed(struct part *part) {
    int status;
    while ((status = accept_all(part, true)) == 0 && !closing(part)) {
        status = ed_poll_wait(part->listener, ED_POLL_READ, "accept");
        if (status < 0) return status;
    }
    if (status < 0) return status;
    unbind(part); /* first: a path then belongs to whoever comes next */
    if (sockets_of(part)->refuse_new(ed_poll_fd(part->listener)) == 0) {
        status = eddy_sleep(handshake_ns);
        if (status < 0) return status;
    }
    return accept_all(part, false);
}

static int acceptor_main(void *arg, eddy_value *out) {
    (void)out;
    int status = accept_until_closed(arg);
    return status == EDDY_ECANCELED ? status : 0; /* anything else: told by end_listener */
}

/* ---- visits ----------------------------------------------------------------------------------- */

static void open_door(struct part *part) {
    ed_list_push(&ed_net_of(part->worker)->listeners, &part->node);
    part->door_fd = ed_poll_fd(part->listener);
    ED_STORE_RELEASE(&part->door, DOOR_OPEN);
    ED_ADD_RELAXED(&part->worker->sched->listeners, 1);
}

/* Nobody visits from here on. A visitor is in there for a few system calls, and is waited for. */
static void close_door(struct part *part) {
    ED_SUB(&part->worker->sched->listeners, 1);
    ed_list_remove(&part->node);
    if (ED_EXCHANGE(&part->door, DOOR_CLOSING) == DOOR_VISITED)
        while (ED_LOAD_ACQUIRE(&part->door) != DOOR_CLOSED) ed_cpu_relax();
}

/* Takes what is queued at `other`, whose worker is held, as connections of `part`, whose worker this is. */
static void visit(struct part *part, struct part *other) {
    eddy_server *server = part->server;
    uint32_t open = DOOR_OPEN, visited = DOOR_VISITED;
    if (!ED_CAS(&other->door, &open, DOOR_VISITED)) return;
    for (int i = 0; i < VISIT_MAX; i++) {
        if (server->slots != NULL && !eddy_semaphore_try_acquire(server->slots)) break;
        eddy_address peer;
        int fd = sockets_of(part)->accept(other->door_fd, &peer);
        if (fd < 0 && server->slots != NULL) eddy_semaphore_post(server->slots);
        if (fd < 0 || start_connection(part, fd, &peer) < 0) break; /* what it means is the owner's business */
    }
    if (!ED_CAS(&other->door, &visited, DOOR_OPEN)) ED_STORE_RELEASE(&other->door, DOOR_CLOSED);
}

void ed_net_visit(struct ed_worker *worker, const struct ed_worker *held) {
    struct ed_net_worker *net = worker->net_data;
    if (net == NULL) return;
    for (struct ed_list *node = net->listeners.next; node != &net->listeners; node = node->next) {
        struct part *part = ED_CONTAINER(node, struct part, node);
        if (part->server->parts_count > 1) visit(part, &part->server->parts[held->index]);
    }
}

/* ---- listening -------------------------------------------------------------------------------- */

/* The acceptor has ended, or was cancelled before it began: on its worker. */
static void end_listener(eddy_value value) {
    struct part *part = value.ptr;
    eddy_server *server = part->server;
    bool told = part->opening || (order(server, CLOSE) & CLOSE);
    if (!told) { /* the run ends, or the listener broke */
        char text[64];
        snprintf(text, sizeof text, "the server on port %u was never closed", server->port);
        eddy_report report = {.kind = EDDY_REPORT_SHUTDOWN, .message = text, .task = server->name};
        ed_report(part->worker->sched, &report);
    }
    close_door(part);
    unbind(part);
    ed_poll_close(part->listener);
    part->listener = NULL;
    drop_live(server);
}

/* On the part's worker. Takes the part's descriptor, which is -1 then. */
static int open_part(void *arg, eddy_value *out) {
    (void)out;
    struct part *part = arg;
    if (ed_net_of(part->worker) == NULL) return EDDY_ENOMEM;
    int status = ed_poll_open(&part->listener, part->fd);
    if (status < 0) return status;
    part->fd = -1;
    part->bound = true;
    open_door(part);
    ED_ADD(&part->server->live, 1);
    eddy_task_options options = eddy_task_options_init();
    options.name = "acceptor";
    options.drop_arg = end_listener;
    part->opening = true;
    status = ed_spawn_on(part->worker, NULL, acceptor_main, part, &options, 0);
    part->opening = false;
    return status;
}

/* ---- opening ---------------------------------------------------------------------------------- */

/* A bound socket for `address`; the first one makes sure that the port is free. */
static int bind_socket(const struct ed_sockets *sockets, const eddy_address *address, bool first, bool shared,
                       bool both_families) {
    int fd = sockets->open(address->storage.ss_family);
    if (fd < 0) return fd;
    int status = both_families ? sockets->both_families(fd) : 0;
    if (status == 0 && !first) status = sockets->share_port(fd);
    if (status == 0) status = sockets->bind(fd, address);
    if (status == 0 && first && shared) sockets->share_port(fd); /* refused: the second bind will say so */
    if (status < 0) {
        sockets->close(fd);
        return status;
    }
    return fd;
}

static void close_sockets(eddy_server *server, unsigned from) {
    for (unsigned i = from; i < server->parts_count; i++) {
        if (server->parts[i].fd >= 0) sockets_of(&server->parts[i])->close(server->parts[i].fd);
        server->parts[i].fd = -1;
    }
}

/* Binds and listens on one socket, or one for each part. */
static int open_sockets(eddy_server *server, eddy_address *address, bool both_families) {
    bool shared = !server->options.single_listener && server->parts_count > 1;
    const struct ed_sockets *sockets = sockets_of(&server->parts[0]);
    int fd = bind_socket(sockets, address, true, shared, both_families);
    if (fd < 0) return fd;
    server->parts[0].fd = fd;
    sockets->local(fd, address); /* with the port that was chosen */
    server->port = ed_address_port(address);
    for (unsigned i = 1; shared && i < server->parts_count; i++) {
        fd = bind_socket(sockets, address, false, true, both_families);
        server->parts[i].fd = fd < 0 ? -1 : fd;
        if (fd < 0 && is_shortage(fd)) goto failed;
        if (fd < 0) shared = false;
    }
    if (!shared) close_sockets(server, 1);
    server->handed_out = !shared && server->parts_count > 1;
    for (unsigned i = 0; i < server->parts_count; i++) {
        if (server->parts[i].fd < 0) continue;
        fd = sockets->listen(server->parts[i].fd, server->options.backlog);
        if (fd < 0) goto failed;
    }
    return 0;

failed:
    close_sockets(server, 0);
    return fd;
}

/* Where to listen: a path, or a host (NULL: everywhere) and a port. */
struct place {
    const char *path, *host;
    uint16_t port;
};

static int fail_open(int status, const struct place *place) {
    if (place->path != NULL) return eddy_fail(status, "cannot listen on %s: %s", place->path, eddy_status_text(status));
    return eddy_fail(status, "cannot listen on %s:%u: %s", place->host != NULL ? place->host : "*", place->port,
                     eddy_status_text(status));
}

static int listen_on(eddy_server *server, const struct place *place) {
    const char *host = place->host;
    uint16_t port = place->port;
    eddy_address address;
    int status;
    if (place->path != NULL) {
        if (!ed_address_path(&address, place->path)) return EDDY_EINVAL;
        server->options.single_listener = true; /* paths are not shared */
        return open_sockets(server, &address, false);
    }
    if (host == NULL && server->options.family == 0) { /* one IPv6 socket takes both, where there is IPv6 */
        ed_address_parse(&address, NULL, AF_INET6, port);
        status = open_sockets(server, &address, true);
        if (status != -EAFNOSUPPORT && status != -EADDRNOTAVAIL) return status;
        ed_address_parse(&address, NULL, AF_INET, port);
    } else {
        char service[8];
        snprintf(service, sizeof service, "%u", port);
        eddy_addresses *addresses;
        status = eddy_resolve(host, service, server->options.family, &addresses);
        if (status < 0) return status;
        address = *eddy_addresses_get(addresses, 0);
        eddy_addresses_release(addresses);
    }
    return open_sockets(server, &address, false);
}

static eddy_server *create_server(eddy_connection_fn handler, void *arg, const eddy_server_options *options) {
    struct ed_worker *worker = ed_worker_current();
    eddy_loop *loop = eddy_loop_current();
    bool domain = loop->worker != NULL;
    unsigned parts_count = domain ? 1 : worker->sched->workers_count;
    eddy_server *server = ed_calloc(sizeof *server + parts_count * sizeof server->parts[0]);
    if (server == NULL) return NULL;
    if (options != NULL) server->options = *options;
    if (server->options.backlog <= 0) server->options.backlog = BACKLOG;
    if (server->options.linger_ns <= 0) server->options.linger_ns = default_linger_ns;
    snprintf(server->name, sizeof server->name, "%s",
             server->options.name != NULL ? server->options.name : "connection");
    server->options.name = server->name;
    ED_STORE_RELAXED(&server->handles, 1);
    ED_STORE_RELAXED(&server->references, 2);
    ED_STORE_RELAXED(&server->live, 2); /* open, and being opened */
    server->handler = handler;
    server->arg = arg;
    server->domain = domain ? loop : NULL;
    server->parts_count = parts_count;
    for (unsigned i = 0; i < parts_count; i++) {
        struct part *part = &server->parts[i];
        part->server = server;
        part->worker = domain ? worker : worker->sched->workers[i];
        part->fd = -1;
        ed_list_init(&part->connections);
        ed_list_init(&part->node);
    }
    server->ended = eddy_future_create();
    size_t slots = server->options.connections_max;
    if (slots > 0) server->slots = eddy_semaphore_create(slots);
    if (server->ended == NULL || (slots > 0 && server->slots == NULL)) {
        if (server->slots != NULL) eddy_semaphore_release(server->slots);
        eddy_future_release(server->ended);
        ed_free(server);
        return NULL;
    }
    return server;
}

static int open_server(eddy_server **server_out, const struct place *place, eddy_connection_fn handler, void *arg,
                       const eddy_server_options *options) {
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    if (handler == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    eddy_server *server = create_server(handler, arg, options);
    if (server == NULL) return EDDY_ENOMEM;
    int status = listen_on(server, place);
    if (status < 0 && status != EDDY_ECANCELED && eddy_error_current(status) == NULL) fail_open(status, place);
    for (unsigned i = 0; status == 0 && i < server->parts_count; i++) {
        struct part *part = &server->parts[i];
        if (part->fd >= 0) status = ed_run_on(part->worker, open_part, part, "server open");
    }
    close_sockets(server, 0); /* those that no part has taken */
    drop_live(server);
    if (status < 0) {
        eddy_server_release(server); /* closes what is open */
        return status;
    }
    *server_out = server;
    return 0;
}

int eddy_server_open(eddy_server **server_out, const char *host, uint16_t port, eddy_connection_fn handler, void *arg,
                     const eddy_server_options *options) {
    return open_server(server_out, &(struct place){.host = host, .port = port}, handler, arg, options);
}

int eddy_server_open_unix(eddy_server **server_out, const char *path, eddy_connection_fn handler, void *arg,
                          const eddy_server_options *options) {
    if (path == NULL) return EDDY_EINVAL;
    return open_server(server_out, &(struct place){.path = path}, handler, arg, options);
}

/* ---- the rest of the public words -------------------------------------------------------------- */

eddy_server *eddy_server_share(eddy_server *server) {
    ED_ADD_RELAXED(&server->handles, 1);
    return server;
}

void eddy_server_release(eddy_server *server) {
    if (server == NULL || ED_SUB(&server->handles, 1) != 1) return;
    eddy_server_close(server);
    drop_reference(server);
}

uint16_t eddy_server_port(const eddy_server *server) { return server->port; }

size_t eddy_server_connections(const eddy_server *server) {
    return ED_LOAD_RELAXED((_Atomic size_t *)&server->connections);
}

uint64_t eddy_server_refused(const eddy_server *server) {
    return ED_LOAD_RELAXED((_Atomic uint64_t *)&server->refused);
}

uint64_t eddy_server_handshakes_failed(const eddy_server *server) {
    return ED_LOAD_RELAXED((_Atomic uint64_t *)&server->handshakes_failed);
}

void eddy_server_close(eddy_server *server) {
    if (!(ED_LOAD_SEQCST(&server->orders) & CLOSE)) order(server, CLOSE);
}

void eddy_server_finish_clients(eddy_server *server) { order(server, FINISH_CLIENTS); }

void eddy_server_close_clients(eddy_server *server) { order(server, CLOSE_CLIENTS); }

void eddy_server_abort_clients(eddy_server *server) { order(server, ABORT_CLIENTS); }

int eddy_server_wait_closed(eddy_server *server) {
    return ed_await_hooked(server->ended, NULL, "server close", NULL, NULL);
}

int eddy_server_shutdown(eddy_server *server, int64_t grace_ns) {
    eddy_server_close(server);
    eddy_server_finish_clients(server);
    int status = EDDY_TIMEOUT(grace_ns, eddy_server_wait_closed(server));
    if (status != EDDY_ETIMEDOUT) return status;
    order(server, ABORT_CLIENTS | CANCEL_CLIENTS);
    status = eddy_server_wait_closed(server);
    return status < 0 ? status : EDDY_ETIMEDOUT;
}
