/* net.c: a network in memory, with everything that TCP may do to a program.
 *
 * Problem    A program that is right over loopback may be wrong over a slow line: a message comes in pieces, a write is
 *            taken in part, a connection breaks between two bytes, a close overtakes them. Tests meet that too rarely.
 * Idea       A connection (struct link) has two sides. What one side sends travels as packets, each for a time that the
 *            seed draws, in order, to the other side's queue, where it is read. Handshake, end and reset are packets as
 *            well. An abort and a close with unread input drop what has not left yet: their resets overtake what they follow, or
 *            not. The system's rules of what each call gives then are kept: data that has arrived can be read after a
 *            reset, the failure is told once, then reads give the end and writes EPIPE.
 * Handshake  SYN -> (listener chosen) -> SYN+ACK -> ACK -> the listener's queue. No listener: refused. A full queue or a
 *            listener that refuses new ones does not answer, and the SYN comes again after a second.
 * Faults     As the options say: refused connects, resets, EMFILE at accept, cut reads and writes. Buffers are of any
 *            size from 4 to 256 KiB.
 * Invariants (M1) link->references counts its open sides and the packets under way; none left: it is freed.
 *            (M2) in_flight + arrived bytes of a side <= capacity. (M3) Packets of one direction arrive in order, such
 *            resets excepted. (M4) A poller is in its worker's ready list exactly when it wants a direction that is ready, as far
 *            as that was seen: poke() after each change.
 * Threads    The simulation's one thread.
 * Tests      tests/sim/net_test.c, and the tests of net/. */
#include "sim/net.h"
#include "eddy/net.h"
#include "sim/world.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_FIRST = 40000, SYN_AGAIN_NS = 1000000000, CAPACITY_LEAST = 4096, CAPACITY_DOUBLED_MAX = 6 };

enum kind { SYN, SYN_ACK, ACK, DATA, FIN, RST, REFUSE };

struct packet {
    struct ed_later later;
    struct ed_list node; /* DATA that has arrived: in side->arrived */
    struct link *link;
    uint8_t to; /* the side it travels to */
    uint8_t kind;
    size_t begin, bytes; /* DATA: what is left of the bytes that follow in memory */
};

static char *data_of(struct packet *packet) { return (char *)(packet + 1); }

/* One end of a connection. */
struct side {
    struct socket *socket; /* NULL: not accepted yet, or closed */
    bool closed;           /* by the program: what still comes is answered by a reset */
    bool sent_fin;         /* it said that it sends no more */
    bool got_fin;          /* the other one did, and that has arrived */
    bool dead;             /* reset */
    int error;             /* told to the next call: 0 or negative */
    struct ed_list arrived;
    size_t arrived_bytes, flying_bytes, capacity;
    int64_t last_ns; /* when the last packet to this side arrives */
    struct packet fin, rst;
};

enum { CLIENT, SERVER };

struct link {
    struct ed_sched *sched;
    unsigned references;
    struct side sides[2];
    eddy_address client, server;
    struct ed_list node;     /* in the listener's half or queue */
    struct socket *listener; /* from SYN to accept; NULL: gone */
    struct packet shake;     /* SYN, SYN_ACK, ACK in turn, or REFUSE */
};

enum state { FRESH, LISTENING, CONNECTING, CONNECTED, FAILED };

struct socket {
    struct ed_sched *sched;
    int fd;
    enum state state;
    int family;
    bool bound, shared, both_families, refusing, reset_on_close;
    int error; /* of a connect */
    eddy_address local;
    int backlog;
    struct ed_list half, queue; /* of link.node: handshakes under way; connections to accept */
    size_t queued;
    struct link *link; /* CONNECTING and CONNECTED */
    unsigned side;
    struct ed_sim_poller *poller;
};

static struct ed_sim_net *net_of(struct ed_sched *sched) { return &ed_sim_world(sched)->net; }
static const eddy_sim_options *options_of(struct ed_sched *sched) { return &ed_sim_world(sched)->options; }

static int64_t now(struct ed_sched *sched) { return sched->driver->now(sched->workers[0]); }

static bool cut(struct ed_sched *sched) { return ed_sim_chance(sched, (unsigned)options_of(sched)->short_reads); }

static in_port_t *port_of(eddy_address *address) {
    return address->storage.ss_family == AF_INET6 ? &((struct sockaddr_in6 *)&address->storage)->sin6_port
                                                  : &((struct sockaddr_in *)&address->storage)->sin_port;
}

/* ---- readiness ------------------------------------------------------------------------------------- */

static bool failed(const struct side *side) { return side->error < 0 || side->dead; }

static bool has_room(const struct side *side) { return side->flying_bytes + side->arrived_bytes < side->capacity; }

/* What the system would report of it. */
static unsigned ready_of(const struct socket *socket) {
    if (socket->state == LISTENING) return ed_list_empty(&socket->queue) ? 0 : ED_READABLE;
    if (socket->state == FAILED) return ED_READABLE | ED_WRITABLE;
    if (socket->state != CONNECTED) return 0;
    const struct side *own = &socket->link->sides[socket->side], *other = &socket->link->sides[!socket->side];
    if (failed(own)) return ED_READABLE | ED_WRITABLE;
    return (own->arrived_bytes > 0 || own->got_fin ? ED_READABLE : 0) | (has_room(other) ? ED_WRITABLE : 0);
}

static void poke(struct socket *socket) {
    if (socket == NULL || socket->poller == NULL) return;
    struct ed_sim_poller *poller = socket->poller;
    if ((ready_of(socket) & poller->wanted) == 0 || !ed_list_empty(&poller->node)) return;
    ed_list_push(&net_of(socket->sched)->ready[poller->poller.worker->index], &poller->node);
}

bool ed_sim_net_ready(struct ed_worker *worker) { return !ed_list_empty(&net_of(worker->sched)->ready[worker->index]); }

bool ed_sim_net_deliver(struct ed_worker *worker) {
    struct ed_sim_net *net = net_of(worker->sched);
    struct ed_list now_ready, *node;
    bool any = false;
    ed_list_init(&now_ready);
    ed_list_splice(&now_ready, &net->ready[worker->index]);
    while ((node = ed_list_pop(&now_ready)) != NULL) {
        struct ed_sim_poller *poller = ED_CONTAINER(node, struct ed_sim_poller, node);
        struct socket *socket = poller->socket;
        unsigned directions = ready_of(socket) & poller->wanted;
        if (directions == 0) continue;
        bool disarmed = socket->state == CONNECTED && socket->link->sides[socket->side].error < 0; /* as libuv does */
        if (disarmed) poller->wanted = 0;
        any = true;
        net->delivering = poller;
        poller->poller.event(&poller->poller, directions, disarmed);
        if (net->delivering != NULL) poke(socket); /* else it was closed */
        net->delivering = NULL;
    }
    return any;
}

int ed_sim_poller_open(struct ed_poller *poller) {
    struct ed_sim_net *net = net_of(poller->worker->sched);
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    struct socket *socket = net->sockets[poller->fd - ED_SIM_FD_FIRST];
    ED_ASSERT(socket->poller == NULL);
    ed_list_init(&own->node);
    own->socket = socket;
    own->wanted = 0;
    socket->poller = own;
    return 0;
}

void ed_sim_poller_set(struct ed_poller *poller, unsigned directions) {
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    own->wanted = directions;
    poke(own->socket);
}

void ed_sim_poller_close(struct ed_poller *poller) {
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    struct ed_sim_net *net = net_of(poller->worker->sched);
    if (net->delivering == own) net->delivering = NULL;
    ed_list_remove(&own->node);
    own->socket->poller = NULL;
    ed_sim_sockets.close(poller->fd);
    poller->closed(poller);
}

/* ---- connections ------------------------------------------------------------------------------------ */

static void side_init(struct side *side, struct link *link, unsigned index) {
    ed_list_init(&side->arrived);
    side->capacity = (size_t)CAPACITY_LEAST << ed_sim_draw(link->sched, 0, CAPACITY_DOUBLED_MAX);
    side->fin = (struct packet){.link = link, .to = (uint8_t)index, .kind = FIN};
    side->rst = (struct packet){.link = link, .to = (uint8_t)index, .kind = RST};
}

static struct link *link_create(struct ed_sched *sched) {
    struct link *link = ed_calloc(sizeof *link);
    if (link == NULL) return NULL;
    link->sched = sched;
    link->references = 1; /* the client's side */
    ed_list_init(&link->node);
    for (unsigned i = 0; i < 2; i++) side_init(&link->sides[i], link, i);
    link->shake = (struct packet){.link = link, .to = SERVER, .kind = SYN};
    net_of(sched)->links++;
    return link;
}

static void link_drop(struct link *link) {
    if (--link->references > 0) return;
    for (int i = 0; i < 2; i++)
        for (struct ed_list *node; (node = ed_list_pop(&link->sides[i].arrived)) != NULL;)
            ed_free(ED_CONTAINER(node, struct packet, node));
    net_of(link->sched)->links--;
    ed_free(link);
}

static void packet_arrives(struct ed_later *later);

/* Under way for as long as the seed draws; `in_order`: not before what was sent to that side before. */
static void send_packet(struct packet *packet, bool in_order) {
    struct ed_sched *sched = packet->link->sched;
    const eddy_sim_options *options = options_of(sched);
    struct side *to = &packet->link->sides[packet->to];
    int64_t when_ns = now(sched) + ed_sim_draw(sched, options->latency_ns_min, options->latency_ns_max);
    if (in_order) {
        if (when_ns < to->last_ns) when_ns = to->last_ns;
        to->last_ns = when_ns;
    }
    packet->later.run = packet_arrives;
    packet->link->references++;
    ed_sim_at(sched, &packet->later, when_ns);
}

/* Breaks the connection for side `to`: once. */
static void send_reset(struct link *link, unsigned to, bool may_overtake) {
    struct side *side = &link->sides[to];
    if (side->dead || side->rst.later.run != NULL) return;
    send_packet(&side->rst, !(may_overtake && ed_sim_chance(link->sched, 500)));
}

static void reset_arrives(struct side *side) {
    if (side->dead) return;
    side->dead = true;
    side->error = side->got_fin ? -EPIPE : -ECONNRESET;
    poke(side->socket);
}

static void data_arrives(struct packet *packet) {
    struct link *link = packet->link;
    struct side *to = &link->sides[packet->to];
    to->flying_bytes -= packet->bytes;
    if (ed_sim_chance(link->sched, options_of(link->sched)->resets)) {
        send_reset(link, CLIENT, true);
        send_reset(link, SERVER, true);
    }
    if (to->closed || to->dead) {
        if (to->closed) send_reset(link, !packet->to, false);
        ed_free(packet);
        return;
    }
    ed_list_push(&to->arrived, &packet->node);
    to->arrived_bytes += packet->bytes;
    poke(to->socket);
}

static bool takes(const struct socket *socket, const eddy_address *address) {
    if (socket == NULL || socket->state != LISTENING) return false;
    const struct sockaddr_in *in = (const void *)&address->storage, *own = (const void *)&socket->local.storage;
    const struct sockaddr_in6 *in6 = (const void *)&address->storage, *own6 = (const void *)&socket->local.storage;
    bool any6 = socket->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&own6->sin6_addr);
    if (address->storage.ss_family == AF_INET) {
        if (socket->family == AF_INET6) return socket->both_families && any6 && own6->sin6_port == in->sin_port;
        bool here = own->sin_addr.s_addr == INADDR_ANY || own->sin_addr.s_addr == in->sin_addr.s_addr;
        return here && own->sin_port == in->sin_port;
    }
    if (socket->family != AF_INET6 || own6->sin6_port != in6->sin6_port) return false;
    return any6 || IN6_ARE_ADDR_EQUAL(&own6->sin6_addr, &in6->sin6_addr);
}

/* One of those that listen there; NULL: nobody. */
static struct socket *listener_for(struct ed_sched *sched, const eddy_address *address) {
    struct ed_sim_net *net = net_of(sched);
    struct socket *chosen = NULL;
    int64_t count = 0;
    for (size_t i = 0; i < net->capacity; i++)
        if (takes(net->sockets[i], address) && ed_sim_draw(sched, 0, count++) == 0) chosen = net->sockets[i];
    return chosen;
}

static void syn_arrives(struct link *link) {
    struct ed_sched *sched = link->sched;
    if (link->sides[CLIENT].closed) return; /* given up meanwhile */
    struct socket *listener = listener_for(sched, &link->server);
    link->shake.to = CLIENT;
    if (listener == NULL || ed_sim_chance(sched, options_of(sched)->refused)) {
        link->shake.kind = REFUSE;
        send_packet(&link->shake, true);
    } else if (listener->refusing || listener->queued > (size_t)listener->backlog) {
        link->shake.to = SERVER;
        link->references++;
        ed_sim_at(sched, &link->shake.later, now(sched) + SYN_AGAIN_NS);
    } else {
        link->listener = listener;
        link->references++; /* the server's side */
        listener->queued++;
        ed_list_push(&listener->half, &link->node);
        link->shake.kind = SYN_ACK;
        send_packet(&link->shake, true);
    }
}

/* The server's side, which no program has: ends. */
static void forget_server(struct link *link) {
    if (link->listener != NULL) {
        ed_list_remove(&link->node);
        link->listener->queued--;
        link->listener = NULL;
    }
    link->sides[SERVER].closed = true;
    link_drop(link);
}

static void answer_arrives(struct link *link, bool refused) {
    struct side *client = &link->sides[CLIENT];
    struct socket *socket = client->socket;
    if (refused) {
        if (client->closed) return;
        socket->state = FAILED;
        socket->error = -ECONNREFUSED;
        poke(socket);
        return;
    }
    if (client->closed) { /* given up meanwhile: the server's side goes as if by a reset */
        forget_server(link);
        return;
    }
    socket->state = CONNECTED;
    link->shake.kind = ACK;
    link->shake.to = SERVER;
    send_packet(&link->shake, true);
    poke(socket);
}

static void ack_arrives(struct link *link) {
    struct socket *listener = link->listener;
    if (listener == NULL) { /* closed meanwhile */
        send_reset(link, CLIENT, false);
        forget_server(link);
        return;
    }
    ed_list_remove(&link->node);
    ed_list_push(&listener->queue, &link->node);
    poke(listener);
}

static void note_packet(const struct packet *packet) {
    static const char *const names[] = {
        [SYN] = "connect", [SYN_ACK] = "accepted", [ACK] = "established", [DATA] = "data",
        [FIN] = "no more", [RST] = "reset",        [REFUSE] = "refused",
    };
    struct link *link = packet->link;
    unsigned client = ntohs(*port_of(&link->client)), server = ntohs(*port_of(&link->server));
    bool to_server = packet->to == SERVER;
    ed_sim_note_packet(link->sched, to_server ? client : server, to_server ? server : client, names[packet->kind],
                       packet->bytes);
}

static void packet_arrives(struct ed_later *later) {
    struct packet *packet = ED_CONTAINER(later, struct packet, later);
    struct link *link = packet->link;
    struct side *to = &link->sides[packet->to];
    note_packet(packet);
    switch (packet->kind) {
    case SYN: syn_arrives(link); break;
    case SYN_ACK:
    case REFUSE: answer_arrives(link, packet->kind == REFUSE); break;
    case ACK: ack_arrives(link); break;
    case DATA: data_arrives(packet); break;
    case RST: reset_arrives(to); break;
    case FIN: to->got_fin = true; poke(to->socket);
    }
    link_drop(link);
}

/* ---- socket calls ----------------------------------------------------------------------------------- */

static struct socket *socket_of(int fd) {
    struct ed_sim_net *net = net_of(ed_worker_current()->sched);
    ED_ASSERT(fd >= ED_SIM_FD_FIRST && (size_t)(fd - ED_SIM_FD_FIRST) < net->capacity);
    struct socket *socket = net->sockets[fd - ED_SIM_FD_FIRST];
    ED_ASSERT(socket != NULL); /* used after its close */
    return socket;
}

static int socket_open(int family) {
    if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
    struct ed_sched *sched = ed_worker_current()->sched;
    struct ed_sim_net *net = net_of(sched);
    size_t at = 0;
    while (at < net->capacity && net->sockets[at] != NULL) at++;
    if (at == net->capacity) {
        size_t capacity = 2 * net->capacity + 16;
        struct socket **more = ed_realloc(net->sockets, capacity * sizeof more[0]);
        if (more == NULL) return -ENOMEM;
        memset(more + net->capacity, 0, (capacity - net->capacity) * sizeof more[0]);
        net->sockets = more;
        net->capacity = capacity;
    }
    struct socket *socket = ed_calloc(sizeof *socket);
    if (socket == NULL) return -ENOMEM;
    socket->sched = sched;
    socket->family = family;
    socket->fd = ED_SIM_FD_FIRST + (int)at;
    ed_list_init(&socket->half);
    ed_list_init(&socket->queue);
    net->sockets[at] = socket;
    net->open++;
    return socket->fd;
}

static void stop_listening(struct socket *socket) {
    for (struct ed_list *node; (node = ed_list_pop(&socket->half)) != NULL;)
        ED_CONTAINER(node, struct link, node)->listener = NULL; /* ack_arrives resets it */
    for (struct ed_list *node; (node = ed_list_pop(&socket->queue)) != NULL;) {
        struct link *link = ED_CONTAINER(node, struct link, node);
        link->listener = NULL;
        send_reset(link, CLIENT, false);
        forget_server(link);
    }
}

static void send_fin(struct socket *socket) {
    struct side *own = &socket->link->sides[socket->side];
    if (own->sent_fin || own->dead) return;
    own->sent_fin = true;
    send_packet(&socket->link->sides[!socket->side].fin, true);
}

static void close_side(struct socket *socket) {
    struct link *link = socket->link;
    struct side *own = &link->sides[socket->side];
    own->closed = true;
    own->socket = NULL;
    if (socket->state == CONNECTED && (own->arrived_bytes > 0 || socket->reset_on_close))
        send_reset(link, !socket->side, true); /* what was not read is lost, and the peer learns it */
    else if (socket->state == CONNECTED)
        send_fin(socket);
    link_drop(link);
}

static void socket_close(int fd) {
    struct socket *socket = socket_of(fd);
    struct ed_sim_net *net = net_of(socket->sched);
    if (socket->state == LISTENING) stop_listening(socket);
    if (socket->link != NULL) close_side(socket);
    net->sockets[fd - ED_SIM_FD_FIRST] = NULL;
    net->open--;
    ed_free(socket);
}

/* Whether somebody has the port and does not share it with `socket`. */
static bool port_is_taken(struct socket *socket, in_port_t port) {
    struct ed_sim_net *net = net_of(socket->sched);
    for (size_t i = 0; i < net->capacity; i++) {
        struct socket *other = net->sockets[i];
        if (other == NULL || other == socket || !other->bound || *port_of(&other->local) != port) continue;
        if (other->family != socket->family && !other->both_families && !socket->both_families) continue;
        if (!socket->shared || !other->shared) return true;
    }
    return false;
}

static in_port_t free_port(struct socket *socket) {
    struct ed_sim_net *net = net_of(socket->sched);
    do {
        if (net->next_port < PORT_FIRST) net->next_port = PORT_FIRST;
    } while (port_is_taken(socket, htons(net->next_port++)));
    return htons((uint16_t)(net->next_port - 1));
}

static int socket_bind(int fd, const eddy_address *address) {
    struct socket *socket = socket_of(fd);
    eddy_address wanted = *address;
    if (*port_of(&wanted) == 0) *port_of(&wanted) = free_port(socket);
    if (port_is_taken(socket, *port_of(&wanted))) return -EADDRINUSE;
    socket->local = wanted;
    socket->bound = true;
    return 0;
}

static void socket_unbind(int fd) { (void)fd; /* no paths here */ }

static int socket_connect(int fd, const eddy_address *address) {
    struct socket *socket = socket_of(fd);
    struct link *link = link_create(socket->sched);
    if (link == NULL) return -ENOMEM;
    link->server = link->client = *address; /* this machine is every machine */
    *port_of(&link->client) = free_port(socket);
    socket->local = link->client;
    socket->bound = true;
    socket->link = link;
    socket->side = CLIENT;
    socket->state = CONNECTING;
    link->sides[CLIENT].socket = socket;
    send_packet(&link->shake, true);
    return -EINPROGRESS;
}

static int socket_error(int fd) {
    struct socket *socket = socket_of(fd);
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
    struct socket *socket = socket_of(fd);
    ED_ASSERT(socket->bound && socket->state == FRESH);
    socket->state = LISTENING;
    socket->backlog = backlog;
    return 0;
}

static int socket_accept(int fd, eddy_address *peer_out) {
    struct socket *listener = socket_of(fd);
    if (ed_list_empty(&listener->queue)) return -EAGAIN;
    if (ed_sim_chance(listener->sched, options_of(listener->sched)->shortages)) return -EMFILE;
    int accepted = socket_open(listener->family);
    if (accepted < 0) return accepted;
    struct link *link = ED_CONTAINER(ed_list_pop(&listener->queue), struct link, node);
    link->listener = NULL;
    listener->queued--;
    struct socket *socket = socket_of(accepted);
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
static int take_error(struct side *side, int otherwise) {
    int error = side->error;
    side->error = 0;
    return error < 0 ? error : otherwise;
}

/* `buffer` NULL: dropped. */
static int take(int fd, char *buffer, size_t bytes, bool may_cut) {
    struct socket *socket = socket_of(fd);
    if (socket->state != CONNECTED) return -ENOTCONN;
    struct side *own = &socket->link->sides[socket->side];
    if (own->arrived_bytes == 0) {
        if (own->got_fin) return 0; /* whatever came behind it */
        return failed(own) ? take_error(own, 0) : -EAGAIN;
    }
    if (bytes > own->arrived_bytes) bytes = own->arrived_bytes;
    if (may_cut && bytes > 1 && cut(socket->sched)) bytes = (size_t)ed_sim_draw(socket->sched, 1, (int64_t)bytes);
    for (size_t left = bytes; left > 0;) {
        struct packet *packet = ED_CONTAINER(own->arrived.next, struct packet, node);
        size_t now_bytes = packet->bytes < left ? packet->bytes : left;
        if (buffer != NULL) memcpy(buffer + (bytes - left), data_of(packet) + packet->begin, now_bytes);
        packet->begin += now_bytes;
        packet->bytes -= now_bytes;
        left -= now_bytes;
        if (packet->bytes > 0) continue;
        ed_list_remove(&packet->node);
        ed_free(packet);
    }
    own->arrived_bytes -= bytes;
    poke(socket->link->sides[!socket->side].socket); /* there is room */
    return (int)bytes;
}

static int socket_receive(int fd, void *buffer, size_t bytes) { return take(fd, buffer, bytes, true); }

static int socket_discard(int fd, size_t bytes) { return take(fd, NULL, bytes, false); }

struct pieces {
    const char *data[2];
    size_t bytes[2];
};

/* A packet of the first `bytes` of `pieces`, which go on behind them. False: no memory. */
static bool send_data(struct socket *socket, struct pieces *pieces, size_t bytes) {
    struct packet *packet = ed_alloc(sizeof *packet + bytes);
    if (packet == NULL) return false;
    *packet = (struct packet){.link = socket->link, .to = (uint8_t)!socket->side, .kind = DATA, .bytes = bytes};
    ed_list_init(&packet->node);
    for (size_t i = 0, at = 0; i < 2; i++) {
        size_t part = bytes - at < pieces->bytes[i] ? bytes - at : pieces->bytes[i];
        if (part > 0) memcpy(data_of(packet) + at, pieces->data[i], part);
        pieces->data[i] += part;
        pieces->bytes[i] -= part;
        at += part;
    }
    socket->link->sides[packet->to].flying_bytes += bytes;
    send_packet(packet, true);
    return true;
}

static int socket_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    struct socket *socket = socket_of(fd);
    if (socket->state != CONNECTED) return -ENOTCONN;
    struct side *own = &socket->link->sides[socket->side], *other = &socket->link->sides[!socket->side];
    if (failed(own)) return take_error(own, -EPIPE);
    if (own->sent_fin) return -EPIPE;
    size_t bytes = first_bytes + second_bytes, room = other->capacity - other->flying_bytes - other->arrived_bytes;
    if (room == 0) return -EAGAIN;
    if (bytes > room) bytes = room;
    if (bytes > 1 && cut(socket->sched)) bytes = (size_t)ed_sim_draw(socket->sched, 1, (int64_t)bytes);
    struct pieces pieces = {{first, second}, {first_bytes, second_bytes}};
    for (size_t left = bytes; left > 0;) {
        size_t now_bytes = cut(socket->sched) ? (size_t)ed_sim_draw(socket->sched, 1, (int64_t)left) : left;
        if (!send_data(socket, &pieces, now_bytes)) return left < bytes ? (int)(bytes - left) : -ENOBUFS;
        left -= now_bytes;
    }
    return (int)bytes;
}

static int socket_shutdown_write(int fd) {
    struct socket *socket = socket_of(fd);
    if (socket->state != CONNECTED || socket->link->sides[socket->side].dead) return -ENOTCONN;
    send_fin(socket);
    return 0;
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

const struct ed_sockets ed_sim_sockets = {
    .open = socket_open,
    .close = socket_close,
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
    .shutdown_write = socket_shutdown_write,
    .reset_on_close = socket_reset_on_close,
    .local = socket_local,
    .look_up = look_up,
};

/* ---- the whole -------------------------------------------------------------------------------------- */

int ed_sim_net_init(struct ed_sched *sched) {
    struct ed_sim_net *net = net_of(sched);
    net->next_port = PORT_FIRST;
    net->ready = ed_calloc(sched->workers_count * sizeof net->ready[0]);
    if (net->ready == NULL) return EDDY_ENOMEM;
    for (unsigned i = 0; i < sched->workers_count; i++) ed_list_init(&net->ready[i]);
    return 0;
}

void ed_sim_net_deinit(struct ed_sched *sched) {
    struct ed_sim_net *net = net_of(sched);
    ED_ASSERT(net->open == 0);
    ED_ASSERT(net->links == 0);
    ed_free(net->sockets);
    ed_free(net->ready);
}
