/* socket.c: the socket calls of a simulation: what each gives is what the system would give.
 *
 * Idea       Data that has arrived can be read after a reset, the failure is told once, then reads give the end and writes
 *            EPIPE. Reads, writes and accepts are cut, and refused, as the seed and the options say.
 * Threads    The simulation's one thread.
 * Not here   What happens between two sockets (wire.c).
 * Tests      tests/sim/net_test.c, and the tests of net/. */
#include "sim/wire.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- socket calls ----------------------------------------------------------------------------------- */

static struct ed_sim_socket *socket_of(int fd) {
    struct ed_sim_net *net = ed_sim_net_of(ed_worker_current()->sched);
    ED_ASSERT(fd >= ED_SIM_FD_FIRST && (size_t)(fd - ED_SIM_FD_FIRST) < net->capacity);
    struct ed_sim_socket *socket = net->sockets[fd - ED_SIM_FD_FIRST];
    ED_ASSERT(socket != NULL); /* used after its close */
    return socket;
}

/* A descriptor for it. */
static int descriptor_of(struct ed_sim_socket *socket) {
    struct ed_sim_net *net = ed_sim_net_of(socket->sched);
    size_t at = 0;
    while (at < net->capacity && net->sockets[at] != NULL) at++;
    if (at == net->capacity) {
        size_t capacity = 2 * net->capacity + 16;
        struct ed_sim_socket **more = ed_realloc(net->sockets, capacity * sizeof more[0]);
        if (more == NULL) return -ENOMEM;
        memset(more + net->capacity, 0, (capacity - net->capacity) * sizeof more[0]);
        net->sockets = more;
        net->capacity = capacity;
    }
    net->sockets[at] = socket;
    net->open++;
    socket->descriptors++;
    return ED_SIM_FD_FIRST + (int)at;
}

static int socket_open(int family) {
    if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
    struct ed_sim_socket *socket = ed_calloc(sizeof *socket);
    if (socket == NULL) return -ENOMEM;
    socket->sched = ed_worker_current()->sched;
    socket->family = family;
    ed_list_init(&socket->half);
    ed_list_init(&socket->queue);
    ed_list_init(&socket->pollers);
    ed_list_init(&socket->datagrams);
    int fd = descriptor_of(socket);
    if (fd < 0) ed_free(socket);
    return fd;
}

static int socket_open_datagrams(int family, bool broadcast) {
    (void)broadcast;
    int fd = socket_open(family);
    if (fd >= 0) socket_of(fd)->state = DATAGRAMS;
    return fd;
}

static int socket_send_to(int fd, const void *data, size_t bytes, const eddy_address *to) {
    return ed_sim_datagram_send(socket_of(fd), data, bytes, to);
}

static int socket_receive_from(int fd, void *buffer, size_t bytes, eddy_address *from_out) {
    return ed_sim_datagram_receive(socket_of(fd), buffer, bytes, from_out);
}

static int socket_duplicate(int fd) { return descriptor_of(socket_of(fd)); }

static void stop_listening(struct ed_sim_socket *socket) {
    for (struct ed_list *node; (node = ed_list_pop(&socket->half)) != NULL;)
        ED_CONTAINER(node, struct ed_sim_link, node)->listener = NULL; /* ack_arrives resets it */
    for (struct ed_list *node; (node = ed_list_pop(&socket->queue)) != NULL;) {
        struct ed_sim_link *link = ED_CONTAINER(node, struct ed_sim_link, node);
        link->listener = NULL;
        ed_sim_send_reset(link, CLIENT, false);
        ed_sim_forget_server(link);
    }
}

static void send_fin(struct ed_sim_socket *socket) {
    struct ed_sim_side *own = &socket->link->sides[socket->side];
    if (own->sent_fin || own->dead) return;
    own->sent_fin = true;
    ed_sim_send_packet(&socket->link->sides[!socket->side].fin, true);
}

static void close_side(struct ed_sim_socket *socket) {
    struct ed_sim_link *link = socket->link;
    struct ed_sim_side *own = &link->sides[socket->side];
    own->closed = true;
    own->socket = NULL;
    if (socket->state == CONNECTED && (own->arrived_bytes > 0 || socket->reset_on_close))
        ed_sim_send_reset(link, !socket->side, true); /* what was not read is lost, and the peer learns it */
    else if (socket->state == CONNECTED)
        send_fin(socket);
    ed_sim_link_drop(link);
}

static void socket_close(int fd) {
    struct ed_sim_socket *socket = socket_of(fd);
    struct ed_sim_net *net = ed_sim_net_of(socket->sched);
    net->sockets[fd - ED_SIM_FD_FIRST] = NULL;
    net->open--;
    if (--socket->descriptors > 0) return;
    if (socket->state == LISTENING) stop_listening(socket);
    ed_sim_datagrams_drop(socket);
    if (socket->link != NULL) close_side(socket);
    ed_free(socket);
}

/* Whether somebody has the port and does not share it with `socket`. */
static bool port_is_taken(struct ed_sim_socket *socket, in_port_t port) {
    struct ed_sim_net *net = ed_sim_net_of(socket->sched);
    for (size_t i = 0; i < net->capacity; i++) {
        struct ed_sim_socket *other = net->sockets[i];
        if (other == NULL || other == socket || !other->bound || *ed_sim_port_of(&other->local) != port) continue;
        if ((other->state == DATAGRAMS) != (socket->state == DATAGRAMS)) continue; /* two spaces of ports */
        if (other->family != socket->family && !other->both_families && !socket->both_families) continue;
        if (!socket->shared || !other->shared) return true;
    }
    return false;
}

static in_port_t free_port(struct ed_sim_socket *socket) {
    struct ed_sim_net *net = ed_sim_net_of(socket->sched);
    do {
        if (net->next_port < PORT_FIRST) net->next_port = PORT_FIRST;
    } while (port_is_taken(socket, htons(net->next_port++)));
    return htons((uint16_t)(net->next_port - 1));
}

static int socket_bind(int fd, const eddy_address *address) {
    struct ed_sim_socket *socket = socket_of(fd);
    eddy_address wanted = *address;
    if (*ed_sim_port_of(&wanted) == 0) *ed_sim_port_of(&wanted) = free_port(socket);
    if (port_is_taken(socket, *ed_sim_port_of(&wanted))) return -EADDRINUSE;
    socket->local = wanted;
    socket->bound = true;
    return 0;
}

void ed_sim_bind_any(struct ed_sim_socket *socket, const eddy_address *like) {
    if (socket->bound) return;
    socket->local = *like; /* this machine is every machine */
    *ed_sim_port_of(&socket->local) = free_port(socket);
    socket->bound = true;
}

static void socket_unbind(int fd) { (void)fd; /* no paths here */ }

static int socket_connect(int fd, const eddy_address *address) {
    struct ed_sim_socket *socket = socket_of(fd);
    if (socket->state == DATAGRAMS) {
        socket->peer = *address;
        ed_sim_bind_any(socket, address);
        return 0;
    }
    struct ed_sim_link *link = ed_sim_link_create(socket->sched);
    if (link == NULL) return -ENOMEM;
    link->server = link->client = *address; /* this machine is every machine */
    *ed_sim_port_of(&link->client) = free_port(socket);
    socket->local = link->client;
    socket->bound = true;
    socket->link = link;
    socket->side = CLIENT;
    socket->state = CONNECTING;
    link->sides[CLIENT].socket = socket;
    ed_sim_send_packet(&link->shake, true);
    return -EINPROGRESS;
}

static int socket_error(int fd) {
    struct ed_sim_socket *socket = socket_of(fd);
    int error = socket->error;
    socket->error = 0;
    return error;
}

static int socket_share_port(int fd) {
    socket_of(fd)->shared = true;
    return 0;
}

static int socket_both_families(int fd) {
    socket_of(fd)->both_families = true;
    return 0;
}

static int socket_listen(int fd, int backlog) {
    struct ed_sim_socket *socket = socket_of(fd);
    ED_ASSERT(socket->bound && socket->state == FRESH);
    socket->state = LISTENING;
    socket->backlog = backlog;
    return 0;
}

static int socket_accept(int fd, eddy_address *peer_out) {
    struct ed_sim_socket *listener = socket_of(fd);
    if (ed_list_empty(&listener->queue)) return -EAGAIN;
    if (ed_sim_chance(listener->sched, ed_sim_options_of(listener->sched)->shortages)) return -EMFILE;
    int accepted = socket_open(listener->family);
    if (accepted < 0) return accepted;
    struct ed_sim_link *link = ED_CONTAINER(ed_list_pop(&listener->queue), struct ed_sim_link, node);
    link->listener = NULL;
    listener->queued--;
    struct ed_sim_socket *socket = socket_of(accepted);
    socket->state = CONNECTED;
    socket->link = link;
    socket->side = SERVER;
    socket->local = link->server;
    link->sides[SERVER].socket = socket;
    *peer_out = link->client;
    return accepted;
}

static int socket_refuse_new(int fd) {
    socket_of(fd)->refusing = true;
    return 0;
}

/* Takes the pending error, or tells what a socket without one gives. */
static int take_error(struct ed_sim_side *side, int otherwise) {
    int error = side->error;
    side->error = 0;
    return error < 0 ? error : otherwise;
}

/* `buffer` NULL: dropped. */
static int take(int fd, char *buffer, size_t bytes, bool may_cut) {
    struct ed_sim_socket *socket = socket_of(fd);
    if (socket->state != CONNECTED) return -ENOTCONN;
    struct ed_sim_side *own = &socket->link->sides[socket->side];
    if (own->arrived_bytes == 0) {
        if (own->got_fin) return 0; /* whatever came behind it */
        return ed_sim_failed(own) ? take_error(own, 0) : -EAGAIN;
    }
    if (bytes > own->arrived_bytes) bytes = own->arrived_bytes;
    if (may_cut && bytes > 1 && ed_sim_cut(socket->sched))
        bytes = (size_t)ed_sim_draw(socket->sched, 1, (int64_t)bytes);
    for (size_t left = bytes; left > 0;) {
        struct ed_sim_packet *packet = ED_CONTAINER(own->arrived.next, struct ed_sim_packet, node);
        size_t now_bytes = packet->bytes < left ? packet->bytes : left;
        if (buffer != NULL) memcpy(buffer + (bytes - left), ed_sim_data_of(packet) + packet->begin, now_bytes);
        packet->begin += now_bytes;
        packet->bytes -= now_bytes;
        left -= now_bytes;
        if (packet->bytes > 0) continue;
        ed_list_remove(&packet->node);
        ed_free(packet);
    }
    own->arrived_bytes -= bytes;
    ed_sim_poke(socket->link->sides[!socket->side].socket); /* there is room */
    return (int)bytes;
}

static int socket_receive(int fd, void *buffer, size_t bytes) { return take(fd, buffer, bytes, true); }

static int socket_discard(int fd, size_t bytes) { return take(fd, NULL, bytes, false); }

/* What is left to send: `skipped` bytes of the first part are gone. */
struct pieces {
    const struct iovec *parts;
    size_t skipped;
};

static size_t bytes_of(const struct iovec *parts, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts[i].iov_len;
    return bytes;
}

/* Writes the next `bytes` of `pieces`, which go on behind them. */
static void take_pieces(struct pieces *pieces, char *to, size_t bytes) {
    while (bytes > 0) {
        size_t left = pieces->parts->iov_len - pieces->skipped, part = bytes < left ? bytes : left;
        if (part > 0) memcpy(to, (const char *)pieces->parts->iov_base + pieces->skipped, part);
        pieces->skipped += part;
        to += part;
        bytes -= part;
        if (part == left) *pieces = (struct pieces){pieces->parts + 1, 0};
    }
}

/* A packet of the next `bytes` of `pieces`. False: no memory. */
static bool send_data(struct ed_sim_socket *socket, struct pieces *pieces, size_t bytes) {
    struct ed_sim_packet *packet = ed_alloc(sizeof *packet + bytes);
    if (packet == NULL) return false;
    *packet = (struct ed_sim_packet){.link = socket->link, .to = (uint8_t)!socket->side, .kind = DATA, .bytes = bytes};
    ed_list_init(&packet->node);
    take_pieces(pieces, ed_sim_data_of(packet), bytes);
    socket->link->sides[packet->to].flying_bytes += bytes;
    ed_sim_send_packet(packet, true);
    return true;
}

static int socket_send_parts(int fd, const struct iovec *parts, size_t count) {
    struct ed_sim_socket *socket = socket_of(fd);
    if (socket->state != CONNECTED) return -ENOTCONN;
    struct ed_sim_side *own = &socket->link->sides[socket->side], *other = &socket->link->sides[!socket->side];
    if (ed_sim_failed(own)) return take_error(own, -EPIPE);
    if (own->sent_fin) return -EPIPE;
    size_t bytes = bytes_of(parts, count), room = other->capacity - other->flying_bytes - other->arrived_bytes;
    if (room == 0) return -EAGAIN;
    if (bytes > room) bytes = room;
    if (bytes > 1 && ed_sim_cut(socket->sched)) bytes = (size_t)ed_sim_draw(socket->sched, 1, (int64_t)bytes);
    struct pieces pieces = {parts, 0};
    for (size_t left = bytes; left > 0;) {
        size_t now_bytes = ed_sim_cut(socket->sched) ? (size_t)ed_sim_draw(socket->sched, 1, (int64_t)left) : left;
        if (!send_data(socket, &pieces, now_bytes)) return left < bytes ? (int)(bytes - left) : -ENOBUFS;
        left -= now_bytes;
    }
    return (int)bytes;
}

static int socket_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    const struct iovec parts[] = {{(void *)(uintptr_t)first, first_bytes}, {(void *)(uintptr_t)second, second_bytes}};
    return socket_send_parts(fd, parts, 2);
}

static int socket_shutdown_write(int fd) {
    struct ed_sim_socket *socket = socket_of(fd);
    if (socket->state != CONNECTED || socket->link->sides[socket->side].dead) return -ENOTCONN;
    send_fin(socket);
    return 0;
}

/* Files are the system's own. */
static int read_file(int file, void *buffer, size_t bytes, int64_t offset) {
    ssize_t got = pread(file, buffer, bytes, offset);
    return got < 0 ? -errno : (int)got;
}

static void socket_reset_on_close(int fd) { socket_of(fd)->reset_on_close = true; }

static void socket_local(int fd, eddy_address *address_out) { *address_out = socket_of(fd)->local; }

/* ---- names ------------------------------------------------------------------------------------------ */

static int look_up(const char *host, const char *service, int family, int *error_out,
                   void (*add)(void *arg, const struct sockaddr *address, unsigned bytes), void *arg) {
    char *end = NULL;
    unsigned long port = service != NULL ? strtoul(service, &end, 10) : 0;
    *error_out = 0;
    if (service != NULL && (*service == '\0' || *end != '\0' || port > UINT16_MAX)) return EAI_SERVICE;
    if (host != NULL && strcmp(host, "localhost") != 0) return EAI_NONAME;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6.sin6_port};
    if (host != NULL) {
        in6.sin6_addr = in6addr_loopback;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (family != AF_INET) add(arg, (const struct sockaddr *)&in6, sizeof in6);
    if (family != AF_INET6) add(arg, (const struct sockaddr *)&in, sizeof in);
    return 0;
}

static bool is_loopback(const eddy_address *address) {
    const struct sockaddr_in *in = (const void *)&address->storage;
    const struct sockaddr_in6 *in6 = (const void *)&address->storage;
    if (address->storage.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    return in->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

static int name_of(const eddy_address *address, int flags, char *host, size_t host_bytes, char *service,
                   size_t service_bytes, int *error_out) {
    *error_out = 0;
    if (address->bytes == 0) return EAI_FAMILY;
    bool named = !(flags & NI_NUMERICHOST) && is_loopback(address);
    if (!named && (flags & NI_NAMEREQD)) return EAI_NONAME;
    if (named)
        snprintf(host, host_bytes, "localhost");
    else
        inet_ntop(address->storage.ss_family,
                  address->storage.ss_family == AF_INET6
                      ? (const void *)&((const struct sockaddr_in6 *)&address->storage)->sin6_addr
                      : (const void *)&((const struct sockaddr_in *)&address->storage)->sin_addr,
                  host, (socklen_t)host_bytes);
    eddy_address copy = *address;
    snprintf(service, service_bytes, "%u", ntohs(*ed_sim_port_of(&copy)));
    return 0;
}

const struct ed_sockets ed_sim_sockets = {
    .open = socket_open,
    .close = socket_close,
    .duplicate = socket_duplicate,
    .connect = socket_connect,
    .error = socket_error,
    .bind = socket_bind,
    .unbind = socket_unbind,
    .share_port = socket_share_port,
    .both_families = socket_both_families,
    .listen = socket_listen,
    .accept = socket_accept,
    .refuse_new = socket_refuse_new,
    .receive = socket_receive,
    .discard = socket_discard,
    .send = socket_send,
    .send_parts = socket_send_parts,
    .read_file = read_file,
    .open_datagrams = socket_open_datagrams,
    .send_to = socket_send_to,
    .receive_from = socket_receive_from,
    .shutdown_write = socket_shutdown_write,
    .reset_on_close = socket_reset_on_close,
    .local = socket_local,
    .look_up = look_up,
    .name_of = name_of,
};
