/* datagram.c: datagrams of a simulation: each whole, once, twice or not at all, in any order.
 *
 * Idea       Each travels by itself, for as long as the seed draws; that alone changes their order. Some are lost, some come
 *            twice, as the options say; more than a receiver has room for are lost as well, as the system has it. Where
 *            nobody listens the sender is told, if it has a peer: ECONNREFUSED at its next call.
 * Invariants (M5) net->links counts the datagrams under way.
 * Threads    The simulation's one thread.
 * Tests      tests/sim/datagram_test.c. */
#include "sim/wire.h"

#include <string.h>

enum { LARGEST = 65507, ROOM_BYTES = 212992 };

struct datagram {
    struct ed_later later;
    struct ed_list node; /* in socket->datagrams */
    struct ed_sched *sched;
    eddy_address from, to;
    size_t bytes;
    char data[];
};

static bool same_port(eddy_address *left, eddy_address *right) {
    return left->storage.ss_family == right->storage.ss_family && *ed_sim_port_of(left) == *ed_sim_port_of(right);
}

/* Who receives what comes from `from` to `to`: this machine is every machine. Of several that share a port always the same
 * one for one sender. */
static struct ed_sim_socket *receiver_of(struct ed_sched *sched, eddy_address *from, eddy_address *to) {
    struct ed_sim_net *net = ed_sim_net_of(sched);
    struct ed_sim_socket *found = NULL;
    size_t count = 0, wanted = ntohs(*ed_sim_port_of(from));
    for (int round = 0; round < 2; round++) {
        size_t seen = 0;
        for (size_t i = 0; i < net->capacity; i++) {
            struct ed_sim_socket *socket = net->sockets[i];
            if (socket == NULL || socket->state != DATAGRAMS || !socket->bound || !same_port(&socket->local, to))
                continue;
            if (socket->peer.bytes > 0 && !same_port(&socket->peer, from)) continue;
            if (round == 1 && seen == wanted % count) found = socket;
            seen++;
        }
        count = seen;
        if (count == 0) return NULL;
    }
    return found;
}

static void drop(struct datagram *datagram) {
    ed_sim_net_of(datagram->sched)->links--;
    ed_free(datagram);
}

static void arrives(struct ed_later *later) {
    struct datagram *datagram = ED_CONTAINER(later, struct datagram, later);
    struct ed_sched *sched = datagram->sched;
    ed_sim_note_packet(sched, ntohs(*ed_sim_port_of(&datagram->from)), ntohs(*ed_sim_port_of(&datagram->to)),
                       "datagram", datagram->bytes);
    struct ed_sim_socket *socket = receiver_of(sched, &datagram->from, &datagram->to);
    if (socket == NULL) { /* its sender is told, if it has a peer */
        struct ed_sim_socket *sender = receiver_of(sched, &datagram->to, &datagram->from);
        if (sender != NULL && sender->peer.bytes > 0) {
            sender->error = -ECONNREFUSED;
            ed_sim_poke(sender);
        }
        drop(datagram);
    } else if (socket->datagrams_bytes + datagram->bytes > ROOM_BYTES) {
        drop(datagram);
    } else {
        socket->datagrams_bytes += datagram->bytes;
        ed_list_push(&socket->datagrams, &datagram->node);
        ed_sim_poke(socket);
    }
}

static bool send_one(struct ed_sim_socket *socket, const void *data, size_t bytes, const eddy_address *to) {
    struct ed_sched *sched = socket->sched;
    const eddy_sim_options *options = ed_sim_options_of(sched);
    struct datagram *datagram = ed_alloc(sizeof *datagram + bytes);
    if (datagram == NULL) return false;
    *datagram = (struct datagram){.sched = sched, .from = socket->local, .to = *to, .bytes = bytes};
    datagram->later.run = arrives;
    ed_list_init(&datagram->node);
    if (bytes > 0) memcpy(datagram->data, data, bytes);
    ed_sim_net_of(sched)->links++;
    ed_sim_at(sched, &datagram->later,
              ed_sim_now(sched) + ed_sim_draw(sched, options->latency_ns_min, options->latency_ns_max));
    return true;
}

static int take_error(struct ed_sim_socket *socket) {
    int error = socket->error;
    socket->error = 0;
    return error;
}

int ed_sim_datagram_send(struct ed_sim_socket *socket, const void *data, size_t bytes, const eddy_address *to) {
    const eddy_sim_options *options = ed_sim_options_of(socket->sched);
    int error = take_error(socket);
    if (error < 0) return error;
    if (to == NULL) to = &socket->peer;
    if (to->bytes == 0) return -EDESTADDRREQ;
    if (to->storage.ss_family != socket->family) return -EAFNOSUPPORT;
    if (bytes > LARGEST) return -EMSGSIZE;
    ed_sim_bind_any(socket, to);
    if (ed_sim_chance(socket->sched, options->datagrams_lost)) return (int)bytes;
    bool twice = ed_sim_chance(socket->sched, options->datagrams_doubled);
    if (!send_one(socket, data, bytes, to)) return -ENOBUFS;
    if (twice) (void)send_one(socket, data, bytes, to);
    return (int)bytes;
}

int ed_sim_datagram_receive(struct ed_sim_socket *socket, void *buffer, size_t bytes, eddy_address *from_out) {
    int error = take_error(socket);
    if (error < 0) return error;
    if (ed_list_empty(&socket->datagrams)) return -EAGAIN;
    struct datagram *datagram = ED_CONTAINER(ed_list_pop(&socket->datagrams), struct datagram, node);
    size_t whole = datagram->bytes, copied = whole < bytes ? whole : bytes;
    if (copied > 0) memcpy(buffer, datagram->data, copied);
    *from_out = datagram->from;
    socket->datagrams_bytes -= whole;
    drop(datagram);
    return (int)whole;
}

void ed_sim_datagrams_drop(struct ed_sim_socket *socket) {
    for (struct ed_list *node; (node = ed_list_pop(&socket->datagrams)) != NULL;)
        drop(ED_CONTAINER(node, struct datagram, node));
}
