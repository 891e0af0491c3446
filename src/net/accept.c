/* accept.c: a server's part on one worker: its listener, and a task for each connection.
 *
 * Problem    A server that ends must not reset connections which the system has accepted on its behalf; running out of
 *            descriptors must neither end the server nor make its loop spin.
 * Idea       Each listener has an acceptor, a task of its worker. What is short is waited for in the system's queue.
 * Held       A worker that computes does not accept. When the tick has missed it for ED_HELD_NS another worker is asked to
 *            visit its listeners, and takes what is queued there as connections of its own. `door` says whether one may:
 *            OPEN -> VISITED -> OPEN by the visitor; to CLOSING by the owner, who waits for the visitor's CLOSED if it
 *            was VISITED, and then closes the socket.
 * Close      The listener's socket refuses new handshakes, those under way get HANDSHAKE_NS to be completed, the queue
 *            is accepted empty, then the socket is closed. A socket from outside is left as it is, since it may be somebody
 *            else's, too: what its queue holds at that moment is accepted, and no more, or it might never be empty.
 * Threads    The part's worker; a visitor beside it; orders come from any.
 * Not here   What a server consists of, its invariants and references (server_parts.h); the whole of it (server.c); streams
 *            (stream.c).
 * Tests      tests/net/server_test.c. */
#include "eddy/scope.h"
#include "eddy/sync.h"
#include "net/address.h"
#include "net/net.h"
#include "net/server_parts.h"
#include "net/tls.h"
#include "task/task.h"

#include <stdio.h>

static const int64_t handshake_ns = 20000000; /* a round trip of a continent; ours to wait for only at the very end */
static const int64_t pause_ns = 20000000;     /* between attempts while descriptors or memory are out */

enum door { DOOR_CLOSED, DOOR_OPEN, DOOR_VISITED, DOOR_CLOSING };
enum { VISIT_MAX = 64 }; /* connections that a visitor takes before it looks at its own work */

/* From accept until its task has ended. */
struct connection {
    struct ed_server_part *part;
    int fd; /* -1: the stream has it */
    unsigned peer_bytes;
    char peer[]; /* packed */
};

/* While its handler may run; on its task's stack. */
struct client {
    struct ed_list node; /* V2 */
    eddy_stream *stream;
    eddy_task *task; /* borrowed: runs while the node is linked */
};

/* ---- connections ------------------------------------------------------------------------------ */

static void obey(struct client *client, uint32_t orders) {
    if (orders & ED_SERVER_FINISH_CLIENTS) ed_stream_finish_input(client->stream);
    if (orders & ED_SERVER_CLOSE_CLIENTS) ed_stream_begin_close(client->stream);
    if (orders & ED_SERVER_ABORT_CLIENTS) eddy_stream_abort(client->stream);
    if (orders & ED_SERVER_CANCEL_CLIENTS) eddy_cancel(EDDY_FUTURE(client->task));
}

static void arrive_orders(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct ed_server_part *part = ED_CONTAINER(message, struct ed_server_part, message);
    uint32_t orders = ED_EXCHANGE(&part->wanted, 0); /* from here on it may be sent again */
    if ((orders & ED_SERVER_CLOSE) && part->listener != NULL) ed_poll_interrupt(part->listener, ED_POLL_READ, 0);
    for (struct ed_list *node = part->connections.next; node != &part->connections; node = node->next)
        obey(ED_CONTAINER(node, struct client, node), orders);
    ed_server_drop_reference(part->server);
}

void ed_part_order(struct ed_server_part *part, uint32_t orders) {
    if (ED_OR(&part->wanted, orders) != 0) return; /* the message is under way, and will see these */
    ED_ADD_RELAXED(&part->server->references, 1);
    part->message.arrive = arrive_orders;
    if (ed_post(part->worker, &part->message) < 0) ed_server_drop_reference(part->server); /* the run is over there */
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
static ED_COLD int open_stream(struct connection *connection, eddy_stream **stream_out) {
    const eddy_server_options *options = &connection->part->server->options;
    eddy_address peer = ed_address_unpack(connection->peer, connection->peer_bytes);
    int status = ed_stream_open(stream_out, connection->fd, ed_part_sockets(connection->part), &peer,
                                options->limit_bytes, options->high_bytes);
    if (status == 0) connection->fd = -1;
    return status;
}

static int connection_main(void *arg, eddy_value *out) {
    (void)out;
    struct connection *connection = arg;
    struct ed_server_part *part = connection->part;
    eddy_server *server = part->server;
    struct client client = {.task = ed_task_current()};
    int status = open_stream(connection, &client.stream);
    if (status < 0) {
        ED_ADD_RELAXED(&server->refused, 1);
        return 0;
    }
    ed_list_push(&part->connections, &client.node);
    uint32_t orders = ED_LOAD_SEQCST(&server->orders);
    obey(&client, orders & ~(uint32_t)ED_SERVER_CANCEL_CLIENTS);
    status = orders & ED_SERVER_CANCEL_CLIENTS ? EDDY_ECANCELED : serve(server, client.stream);
    end_stream(server, client.stream, status);
    ed_list_remove(&client.node);
    eddy_stream_release(client.stream);
    return report_worthy(status);
}

/* The connection's task has ended, or never began. */
static void drop_connection(eddy_value value) {
    struct connection *connection = value.ptr;
    eddy_server *server = connection->part->server;
    if (connection->fd >= 0) ed_part_sockets(connection->part)->close(connection->fd);
    ed_free(connection);
    ED_SUB(&server->connections, 1);
    if (server->slots != NULL) eddy_semaphore_post(server->slots);
    ed_server_drop_live(server);
}

/* Takes `fd` in any case. */
static int start_connection(struct ed_server_part *part, int fd, const eddy_address *peer) {
    eddy_server *server = part->server;
    struct connection *connection = ed_calloc(sizeof *connection + ed_address_packed(peer));
    if (connection == NULL) {
        ed_part_sockets(part)->close(fd);
        if (server->slots != NULL) eddy_semaphore_post(server->slots);
        return EDDY_ENOMEM;
    }
    if (server->handed_out) part = &server->parts[ED_ADD_RELAXED(&server->next_part, 1) % server->parts_count];
    connection->part = part;
    connection->fd = fd;
    connection->peer_bytes = ed_address_pack(connection->peer, peer);
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

static bool closing(const struct ed_server_part *part) {
    return (ED_LOAD_RELAXED(&part->server->orders) & ED_SERVER_CLOSE) != 0;
}

/* Accepts until the queue is empty or, as long as it still fills (`fills`), the server closes: clients that never pause
 * could keep it full. 0, or EDDY_ECANCELED, or a failure of the listener itself. */
static int accept_all(struct ed_server_part *part, bool fills) {
    eddy_server *server = part->server;
    for (int i = 0;; i++) {
        ed_count_io();
        if (fills && closing(part)) return 0;
        if (!fills && server->from_outside && i >= server->options.backlog) return 0;
        if (server->slots != NULL) {
            int status = eddy_semaphore_acquire(server->slots);
            if (status < 0) return status;
        }
        eddy_address peer;
        int fd = ed_part_sockets(part)->accept(ed_poll_fd(part->listener), &peer);
        int status = fd < 0 ? fd : start_connection(part, fd, &peer);
        if (status == 0) continue;
        if (fd < 0 && server->slots != NULL) eddy_semaphore_post(server->slots);
        if (status == -EAGAIN) return 0;
        if (ed_is_shortage(status)) {
            ED_ADD_RELAXED(&server->refused, 1);
            status = eddy_sleep(pause_ns);
            if (status < 0) return status;
        } else if (status == -EBADF || status == -EINVAL || status == -ENOTSOCK || status == EDDY_ECLOSED) {
            return status;
        } /* else that connection broke while it was queued: the next one */
    }
}

/* Once: the second time the path may be another server's. */
static void unbind(struct ed_server_part *part) {
    if (part->bound) ed_part_sockets(part)->unbind(ed_poll_fd(part->listener));
    part->bound = false;
}

static int accept_until_closed(struct ed_server_part *part) {
    int status;
    while ((status = accept_all(part, true)) == 0 && !closing(part)) {
        status = ed_poll_wait(part->listener, ED_POLL_READ, "accept");
        if (status < 0) return status;
    }
    if (status < 0) return status;
    if (part->server->from_outside) return accept_all(part, false);
    unbind(part); /* first: a path then belongs to whoever comes next */
    if (ed_part_sockets(part)->refuse_new(ed_poll_fd(part->listener)) == 0) {
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

static void open_door(struct ed_server_part *part) {
    ed_list_push(&ed_net_of(part->worker)->listeners, &part->node);
    part->door_fd = ed_poll_fd(part->listener);
    ED_STORE_RELEASE(&part->door, DOOR_OPEN);
    ED_ADD_RELAXED(&part->worker->sched->listeners, 1);
}

/* Nobody visits from here on. A visitor is in there for a few system calls, and is waited for. */
static void close_door(struct ed_server_part *part) {
    ED_SUB(&part->worker->sched->listeners, 1);
    ed_list_remove(&part->node);
    if (ED_EXCHANGE(&part->door, DOOR_CLOSING) == DOOR_VISITED)
        while (ED_LOAD_ACQUIRE(&part->door) != DOOR_CLOSED) ed_cpu_relax();
}

/* Takes what is queued at `other`, whose worker is held, as connections of `part`, whose worker this is. */
static void visit(struct ed_server_part *part, struct ed_server_part *other) {
    eddy_server *server = part->server;
    uint32_t open = DOOR_OPEN, visited = DOOR_VISITED;
    if (!ED_CAS(&other->door, &open, DOOR_VISITED)) return;
    for (int i = 0; i < VISIT_MAX; i++) {
        if (server->slots != NULL && !eddy_semaphore_try_acquire(server->slots)) break;
        eddy_address peer;
        int fd = ed_part_sockets(part)->accept(other->door_fd, &peer);
        if (fd < 0 && server->slots != NULL) eddy_semaphore_post(server->slots);
        if (fd < 0 || start_connection(part, fd, &peer) < 0) break; /* what it means is the owner's business */
    }
    if (!ED_CAS(&other->door, &visited, DOOR_OPEN)) ED_STORE_RELEASE(&other->door, DOOR_CLOSED);
}

void ed_net_visit(struct ed_worker *worker, const struct ed_worker *held) {
    struct ed_net_worker *net = worker->net_data;
    if (net == NULL) return;
    for (struct ed_list *node = net->listeners.next; node != &net->listeners; node = node->next) {
        struct ed_server_part *part = ED_CONTAINER(node, struct ed_server_part, node);
        if (part->server->parts_count > 1) visit(part, &part->server->parts[held->index]);
    }
}

/* ---- listening -------------------------------------------------------------------------------- */

/* The acceptor has ended, or was cancelled before it began: on its worker. */
static void end_listener(eddy_value value) {
    struct ed_server_part *part = value.ptr;
    eddy_server *server = part->server;
    bool told = part->opening || (ed_server_order(server, ED_SERVER_CLOSE) & ED_SERVER_CLOSE);
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
    ed_server_drop_live(server);
}

int ed_part_open(void *arg, eddy_value *out) {
    (void)out;
    struct ed_server_part *part = arg;
    if (ed_net_of(part->worker) == NULL) return EDDY_ENOMEM;
    int status = ed_poll_open(&part->listener, part->fd);
    if (status < 0) return status;
    part->fd = -1;
    part->bound = !part->server->from_outside;
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
