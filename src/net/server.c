/* server.c: a server as a whole: it listens on every worker, and is told what to do with its clients.
 *
 * Problem    Connections must come in on all workers without passing through one; a port that somebody uses must be
 *            refused, though the workers share it.
 * Idea       A listener for each worker on one port (SO_REUSEPORT: the system spreads the connections). The first socket is
 *            bound without SO_REUSEPORT, so a port that somebody uses is refused; it then lets the others share it. Where
 *            that is not to be had, for a socket from outside, and in a serial domain, there is one listener; without a
 *            domain its connections are handed out in turn.
 * Not here   What a server consists of, its invariants and references (server_parts.h); what happens in a part: accepting,
 *            connections, closing (accept.c).
 * Tests      tests/net/server_test.c. */
#include "eddy/loop.h"
#include "eddy/scope.h"
#include "eddy/sync.h"
#include "net/address.h"
#include "net/server_parts.h"
#include "task/task.h"

#include <stdio.h>

static const int64_t default_linger_ns = 30000000000;
enum { BACKLOG = 1024 };

/* ---- life ------------------------------------------------------------------------------------- */

void ed_server_drop_reference(eddy_server *server) {
    if (ED_SUB(&server->references, 1) != 1) return;
    eddy_future_release(server->ended);
    if (server->slots != NULL) eddy_semaphore_release(server->slots);
    ed_free(server);
}

void ed_server_drop_live(eddy_server *server) {
    if (ED_SUB(&server->live, 1) != 1) return;
    eddy_future_set(server->ended, EDDY_NONE);
    ed_server_drop_reference(server);
}

uint32_t ed_server_order(eddy_server *server, uint32_t orders) {
    uint32_t before = ED_OR(&server->orders, orders);
    for (unsigned i = 0; i < server->parts_count; i++) ed_part_order(&server->parts[i], orders);
    if ((orders & ED_SERVER_CLOSE) && !(before & ED_SERVER_CLOSE)) ed_server_drop_live(server);
    return before;
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
        if (server->parts[i].fd >= 0) ed_part_sockets(&server->parts[i])->close(server->parts[i].fd);
        server->parts[i].fd = -1;
    }
}

/* Binds and listens on one socket, or one for each part. */
static int open_sockets(eddy_server *server, eddy_address *address, bool both_families) {
    bool shared = !server->options.single_listener && server->parts_count > 1;
    const struct ed_sockets *sockets = ed_part_sockets(&server->parts[0]);
    int fd = bind_socket(sockets, address, true, shared, both_families);
    if (fd < 0) return fd;
    server->parts[0].fd = fd;
    sockets->local(fd, address); /* with the port that was chosen */
    server->port = ed_address_port(address);
    for (unsigned i = 1; shared && i < server->parts_count; i++) {
        fd = bind_socket(sockets, address, false, true, both_families);
        server->parts[i].fd = fd < 0 ? -1 : fd;
        if (fd < 0 && ed_is_shortage(fd)) goto failed;
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

/* Where to listen: a socket from outside, a path, or a host (NULL: everywhere) and a port. */
struct place {
    int fd; /* borrowed; -1: none */
    const char *path, *host;
    uint16_t port;
};

static int fail_open(int status, const struct place *place) {
    if (place->fd >= 0)
        return eddy_fail(status, "cannot listen on descriptor %d: %s", place->fd, eddy_status_text(status));
    if (place->path != NULL) return eddy_fail(status, "cannot listen on %s: %s", place->path, eddy_status_text(status));
    return eddy_fail(status, "cannot listen on %s:%u: %s", place->host != NULL ? place->host : "*", place->port,
                     eddy_status_text(status));
}

/* On a duplicate: what follows may close it, and the caller's is the caller's until all has gone well. */
static int listen_on_socket(eddy_server *server, int fd) {
    const struct ed_sockets *sockets = ed_part_sockets(&server->parts[0]);
    eddy_address address;
    int own = sockets->duplicate(fd);
    if (own < 0) return own;
    server->from_outside = true;
    server->handed_out = server->parts_count > 1;
    server->parts[0].fd = own;
    sockets->local(own, &address);
    server->port = ed_address_port(&address);
    return sockets->listen(own, server->options.backlog);
}

static int listen_on(eddy_server *server, const struct place *place) {
    const char *host = place->host;
    uint16_t port = place->port;
    eddy_address address;
    int status;
    if (place->fd >= 0) return listen_on_socket(server, place->fd);
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
        struct ed_server_part *part = &server->parts[i];
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
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (handler == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    eddy_server *server = create_server(handler, arg, options);
    if (server == NULL) return EDDY_ENOMEM;
    int status = listen_on(server, place);
    if (status < 0 && status != EDDY_ECANCELED && eddy_error_current(status) == NULL) fail_open(status, place);
    for (unsigned i = 0; status == 0 && i < server->parts_count; i++) {
        struct ed_server_part *part = &server->parts[i];
        if (part->fd >= 0) status = ed_run_on(part->worker, ed_part_open, part, "server open");
    }
    close_sockets(server, 0); /* those that no part has taken */
    ed_server_drop_live(server);
    if (status < 0) {
        eddy_server_release(server); /* closes what is open */
        return status;
    }
    *server_out = server;
    return 0;
}

int eddy_server_open(eddy_server **server_out, const char *host, uint16_t port, eddy_connection_fn handler, void *arg,
                     const eddy_server_options *options) {
    return open_server(server_out, &(struct place){.fd = -1, .host = host, .port = port}, handler, arg, options);
}

int eddy_server_open_unix(eddy_server **server_out, const char *path, eddy_connection_fn handler, void *arg,
                          const eddy_server_options *options) {
    if (path == NULL) return EDDY_EINVAL;
    return open_server(server_out, &(struct place){.fd = -1, .path = path}, handler, arg, options);
}

int eddy_server_open_fd(eddy_server **server_out, int fd, eddy_connection_fn handler, void *arg,
                        const eddy_server_options *options) {
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    const struct ed_driver *driver = ed_worker_current()->sched->driver;
    if (driver->adopt == NULL) return eddy_fail(EDDY_ENOTSUP, "no descriptors from outside in a simulation");
    if (fd < 0) return -EBADF;
    int status = open_server(server_out, &(struct place){.fd = fd}, handler, arg, options);
    if (status == 0) driver->sockets->close(fd);
    return status;
}

/* ---- the rest of the public words -------------------------------------------------------------- */

eddy_server *eddy_server_share(eddy_server *server) {
    ED_ADD_RELAXED(&server->handles, 1);
    return server;
}

void eddy_server_release(eddy_server *server) {
    if (server == NULL || ED_SUB(&server->handles, 1) != 1) return;
    eddy_server_close(server);
    ed_server_drop_reference(server);
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
    if (!(ED_LOAD_SEQCST(&server->orders) & ED_SERVER_CLOSE)) ed_server_order(server, ED_SERVER_CLOSE);
}

void eddy_server_finish_clients(eddy_server *server) { ed_server_order(server, ED_SERVER_FINISH_CLIENTS); }

void eddy_server_close_clients(eddy_server *server) { ed_server_order(server, ED_SERVER_CLOSE_CLIENTS); }

void eddy_server_abort_clients(eddy_server *server) { ed_server_order(server, ED_SERVER_ABORT_CLIENTS); }

int eddy_server_wait_closed(eddy_server *server) {
    return ed_await_hooked(server->ended, NULL, "server close", NULL, NULL);
}

int eddy_server_shutdown(eddy_server *server, int64_t grace_ns) {
    eddy_server_close(server);
    eddy_server_finish_clients(server);
    int status = EDDY_TIMEOUT(grace_ns, eddy_server_wait_closed(server));
    if (status != EDDY_ETIMEDOUT) return status;
    ed_server_order(server, ED_SERVER_ABORT_CLIENTS | ED_SERVER_CANCEL_CLIENTS);
    status = eddy_server_wait_closed(server);
    return status < 0 ? status : EDDY_ETIMEDOUT;
}
