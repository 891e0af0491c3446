/* wire.c: a network in memory, with everything that TCP may do to a program.
 *
 * Problem    A program that is right over loopback may be wrong over a slow line: a message comes in pieces, a write is
 *            taken in part, a connection breaks between two bytes, a close overtakes them. Tests meet that too rarely.
 * Idea       A connection (struct ed_sim_link) has two sides. What one side sends travels as packets, each for a time that the
 *            seed draws, in order, to the other side's queue, where it is read. Handshake, end and reset are packets as
 *            well. An abort and a close with unread input drop what has not left yet: their resets overtake what they
 *            follow, or not.
 * Handshake  SYN -> (listener chosen) -> SYN+ACK -> ACK -> the listener's queue. No listener: refused. A full queue or a
 *            listener that refuses new ones does not answer, and the SYN comes again after a second.
 * Faults     As the options say: refused connects, resets. Buffers are of any size from 4 to 256 KiB.
 * Invariants (M1) link->references counts its open sides and the packets under way; none left: it is freed.
 *            (M2) in_flight + arrived bytes of a side <= capacity. (M3) Packets of one direction arrive in order, such
 *            resets excepted.
 * Threads    The simulation's one thread.
 * Not here   Who is told (net.c), the socket calls (socket.c).
 * Tests      tests/sim/net_test.c, and the tests of net/. */
#include "sim/wire.h"

enum { SYN_AGAIN_NS = 1000000000, CAPACITY_LEAST = 4096, CAPACITY_DOUBLED_MAX = 6 };

/* ---- connections ------------------------------------------------------------------------------------ */

static void side_init(struct ed_sim_side *side, struct ed_sim_link *link, unsigned index) {
    ed_list_init(&side->arrived);
    side->capacity = (size_t)CAPACITY_LEAST << ed_sim_draw(link->sched, 0, CAPACITY_DOUBLED_MAX);
    side->fin = (struct ed_sim_packet){.link = link, .to = (uint8_t)index, .kind = FIN};
    side->rst = (struct ed_sim_packet){.link = link, .to = (uint8_t)index, .kind = RST};
}

struct ed_sim_link *ed_sim_link_create(struct ed_sched *sched) {
    struct ed_sim_link *link = ed_calloc(sizeof *link);
    if (link == NULL) return NULL;
    link->sched = sched;
    link->references = 1; /* the client's side */
    ed_list_init(&link->node);
    for (unsigned i = 0; i < 2; i++) side_init(&link->sides[i], link, i);
    link->shake = (struct ed_sim_packet){.link = link, .to = SERVER, .kind = SYN};
    ed_sim_net_of(sched)->links++;
    return link;
}

void ed_sim_link_drop(struct ed_sim_link *link) {
    if (--link->references > 0) return;
    for (int i = 0; i < 2; i++)
        for (struct ed_list *node; (node = ed_list_pop(&link->sides[i].arrived)) != NULL;)
            ed_free(ED_CONTAINER(node, struct ed_sim_packet, node));
    ed_sim_net_of(link->sched)->links--;
    ed_free(link);
}

static void packet_arrives(struct ed_later *later);

/* Under way for as long as the seed draws; `in_order`: not before what was sent to that side before. */
void ed_sim_send_packet(struct ed_sim_packet *packet, bool in_order) {
    struct ed_sched *sched = packet->link->sched;
    const eddy_sim_options *options = ed_sim_options_of(sched);
    struct ed_sim_side *to = &packet->link->sides[packet->to];
    int64_t when_ns = ed_sim_now(sched) + ed_sim_draw(sched, options->latency_ns_min, options->latency_ns_max);
    if (in_order) {
        if (when_ns < to->last_ns) when_ns = to->last_ns;
        to->last_ns = when_ns;
    }
    packet->later.run = packet_arrives;
    packet->link->references++;
    ed_sim_at(sched, &packet->later, when_ns);
}

/* Breaks the connection for side `to`: once. */
void ed_sim_send_reset(struct ed_sim_link *link, unsigned to, bool may_overtake) {
    struct ed_sim_side *side = &link->sides[to];
    if (side->dead || side->rst.later.run != NULL) return;
    ed_sim_send_packet(&side->rst, !(may_overtake && ed_sim_chance(link->sched, 500)));
}

static void reset_arrives(struct ed_sim_side *side) {
    if (side->dead) return;
    side->dead = true;
    side->error = side->got_fin ? -EPIPE : -ECONNRESET;
    ed_sim_poke(side->socket);
}

static void data_arrives(struct ed_sim_packet *packet) {
    struct ed_sim_link *link = packet->link;
    struct ed_sim_side *to = &link->sides[packet->to];
    to->flying_bytes -= packet->bytes;
    if (ed_sim_chance(link->sched, ed_sim_options_of(link->sched)->resets)) {
        ed_sim_send_reset(link, CLIENT, true);
        ed_sim_send_reset(link, SERVER, true);
    }
    if (to->closed || to->dead) {
        if (to->closed) ed_sim_send_reset(link, !packet->to, false);
        ed_free(packet);
        return;
    }
    ed_list_push(&to->arrived, &packet->node);
    to->arrived_bytes += packet->bytes;
    ed_sim_poke(to->socket);
}

static bool takes(const struct ed_sim_socket *socket, const eddy_address *address) {
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
static struct ed_sim_socket *listener_for(struct ed_sched *sched, const eddy_address *address) {
    struct ed_sim_net *net = ed_sim_net_of(sched);
    struct ed_sim_socket *chosen = NULL;
    int64_t count = 0;
    for (size_t i = 0; i < net->capacity; i++)
        if (takes(net->sockets[i], address) && ed_sim_draw(sched, 0, count++) == 0) chosen = net->sockets[i];
    return chosen;
}

static void syn_arrives(struct ed_sim_link *link) {
    struct ed_sched *sched = link->sched;
    if (link->sides[CLIENT].closed) return; /* given up meanwhile */
    struct ed_sim_socket *listener = listener_for(sched, &link->server);
    link->shake.to = CLIENT;
    if (listener == NULL || ed_sim_chance(sched, ed_sim_options_of(sched)->refused)) {
        link->shake.kind = REFUSE;
        ed_sim_send_packet(&link->shake, true);
    } else if (listener->refusing || listener->queued > (size_t)listener->backlog) {
        link->shake.to = SERVER;
        link->references++;
        ed_sim_at(sched, &link->shake.later, ed_sim_now(sched) + SYN_AGAIN_NS);
    } else {
        link->listener = listener;
        link->references++; /* the server's side */
        listener->queued++;
        ed_list_push(&listener->half, &link->node);
        link->shake.kind = SYN_ACK;
        ed_sim_send_packet(&link->shake, true);
    }
}

/* The server's side, which no program has: ends. */
void ed_sim_forget_server(struct ed_sim_link *link) {
    if (link->listener != NULL) {
        ed_list_remove(&link->node);
        link->listener->queued--;
        link->listener = NULL;
    }
    link->sides[SERVER].closed = true;
    ed_sim_link_drop(link);
}

static void answer_arrives(struct ed_sim_link *link, bool refused) {
    struct ed_sim_side *client = &link->sides[CLIENT];
    struct ed_sim_socket *socket = client->socket;
    if (refused) {
        if (client->closed) return;
        socket->state = FAILED;
        socket->error = -ECONNREFUSED;
        ed_sim_poke(socket);
        return;
    }
    if (client->closed) { /* given up meanwhile: the server's side goes as if by a reset */
        ed_sim_forget_server(link);
        return;
    }
    socket->state = CONNECTED;
    link->shake.kind = ACK;
    link->shake.to = SERVER;
    ed_sim_send_packet(&link->shake, true);
    ed_sim_poke(socket);
}

static void ack_arrives(struct ed_sim_link *link) {
    struct ed_sim_socket *listener = link->listener;
    if (listener == NULL) { /* closed meanwhile */
        ed_sim_send_reset(link, CLIENT, false);
        ed_sim_forget_server(link);
        return;
    }
    ed_list_remove(&link->node);
    ed_list_push(&listener->queue, &link->node);
    ed_sim_poke(listener);
}

static void note_packet(const struct ed_sim_packet *packet) {
    static const char *const names[] = {
        [SYN] = "connect", [SYN_ACK] = "accepted", [ACK] = "established", [DATA] = "data",
        [FIN] = "no more", [RST] = "reset",        [REFUSE] = "refused",
    };
    struct ed_sim_link *link = packet->link;
    unsigned client = ntohs(*ed_sim_port_of(&link->client)), server = ntohs(*ed_sim_port_of(&link->server));
    bool to_server = packet->to == SERVER;
    ed_sim_note_packet(link->sched, to_server ? client : server, to_server ? server : client, names[packet->kind],
                       packet->bytes);
}

static void packet_arrives(struct ed_later *later) {
    struct ed_sim_packet *packet = ED_CONTAINER(later, struct ed_sim_packet, later);
    struct ed_sim_link *link = packet->link;
    struct ed_sim_side *to = &link->sides[packet->to];
    note_packet(packet);
    switch (packet->kind) {
    case SYN: syn_arrives(link); break;
    case SYN_ACK:
    case REFUSE: answer_arrives(link, packet->kind == REFUSE); break;
    case ACK: ack_arrives(link); break;
    case DATA: data_arrives(packet); break;
    case RST: reset_arrives(to); break;
    case FIN: to->got_fin = true; ed_sim_poke(to->socket);
    }
    ed_sim_link_drop(link);
}
