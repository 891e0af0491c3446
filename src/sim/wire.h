/* wire.h: what travels between the sockets of a simulation, and what a socket is. See wire.c. Inside sim/ only. */
#ifndef ED_SIM_WIRE_H
#define ED_SIM_WIRE_H

#include "eddy/net.h"
#include "sim/net.h"
#include "sim/world.h"

#include <netinet/in.h>

enum { PORT_FIRST = 40000 }; /* of those that the simulation chooses */

enum kind { SYN, SYN_ACK, ACK, DATA, FIN, RST, REFUSE };

struct ed_sim_packet {
    struct ed_later later;
    struct ed_list node; /* DATA that has arrived: in side->arrived */
    struct ed_sim_link *link;
    uint8_t to; /* the side it travels to */
    uint8_t kind;
    size_t begin, bytes; /* DATA: what is left of the bytes that follow in memory */
};

static inline char *ed_sim_data_of(struct ed_sim_packet *packet) { return (char *)(packet + 1); }

/* One end of a connection. */
struct ed_sim_side {
    struct ed_sim_socket *socket; /* NULL: not accepted yet, or closed */
    bool closed;                  /* by the program: what still comes is answered by a reset */
    bool sent_fin;                /* it said that it sends no more */
    bool got_fin;                 /* the other one did, and that has arrived */
    bool dead;                    /* reset */
    int error;                    /* told to the next call: 0 or negative */
    struct ed_list arrived;
    size_t arrived_bytes, flying_bytes, capacity;
    int64_t last_ns; /* when the last packet to this side arrives */
    struct ed_sim_packet fin, rst;
};

enum { CLIENT, SERVER };

struct ed_sim_link {
    struct ed_sched *sched;
    unsigned references;
    struct ed_sim_side sides[2];
    eddy_address client, server;
    struct ed_list node;            /* in the listener's half or queue */
    struct ed_sim_socket *listener; /* from SYN to accept; NULL: gone */
    struct ed_sim_packet shake;     /* SYN, SYN_ACK, ACK in turn, or REFUSE */
};

enum state { FRESH, LISTENING, CONNECTING, CONNECTED, FAILED, DATAGRAMS };

struct ed_sim_socket {
    struct ed_sched *sched;
    enum state state;
    int family;
    bool bound, shared, both_families, refusing, reset_on_close;
    int error; /* of a connect */
    eddy_address local;
    int backlog;
    struct ed_list half, queue; /* of link.node: handshakes under way; connections to accept */
    size_t queued;
    eddy_address peer;        /* DATAGRAMS: bytes 0: anybody */
    struct ed_list datagrams; /* DATAGRAMS: that have arrived */
    size_t datagrams_bytes;   /* of these */
    struct ed_sim_link *link; /* CONNECTING and CONNECTED */
    unsigned side;
    struct ed_list pollers; /* of ed_sim_poller.sibling: one for each descriptor at most */
    unsigned descriptors;
};

static inline struct ed_sim_net *ed_sim_net_of(struct ed_sched *sched) { return &ed_sim_world(sched)->net; }
static inline const eddy_sim_options *ed_sim_options_of(struct ed_sched *sched) {
    return &ed_sim_world(sched)->options;
}

static inline int64_t ed_sim_now(struct ed_sched *sched) { return sched->driver->now(sched->workers[0]); }

static inline bool ed_sim_cut(struct ed_sched *sched) {
    return ed_sim_chance(sched, (unsigned)ed_sim_options_of(sched)->short_reads);
}

static inline in_port_t *ed_sim_port_of(eddy_address *address) {
    return address->storage.ss_family == AF_INET6 ? &((struct sockaddr_in6 *)&address->storage)->sin6_port
                                                  : &((struct sockaddr_in *)&address->storage)->sin_port;
}

static inline bool ed_sim_failed(const struct ed_sim_side *side) { return side->error < 0 || side->dead; }

static inline bool ed_sim_has_room(const struct ed_sim_side *side) {
    return side->flying_bytes + side->arrived_bytes < side->capacity;
}

/* net.c: what the socket is ready for may have changed. NULL is nothing. */
void ed_sim_poke(struct ed_sim_socket *socket);

/* datagram.c: the calls of sockets of that kind. */
int ed_sim_datagram_send(struct ed_sim_socket *socket, const void *data, size_t bytes, const eddy_address *to);
int ed_sim_datagram_receive(struct ed_sim_socket *socket, void *buffer, size_t bytes, eddy_address *from_out);
void ed_sim_datagrams_drop(struct ed_sim_socket *socket);
/* socket.c: gives it a port, if it has none. `like`: whose family and address are meant. */
void ed_sim_bind_any(struct ed_sim_socket *socket, const eddy_address *like);

/* wire.c */
struct ed_sim_link *ed_sim_link_create(struct ed_sched *sched); /* NULL: no memory */
void ed_sim_link_drop(struct ed_sim_link *link);
/* Under way for as long as the seed draws; `in_order`: not before what was sent to that side before. */
void ed_sim_send_packet(struct ed_sim_packet *packet, bool in_order);
/* Breaks the connection for side `to`: once. */
void ed_sim_send_reset(struct ed_sim_link *link, unsigned to, bool may_overtake);
/* The server's side, which no program has: ends. */
void ed_sim_forget_server(struct ed_sim_link *link);

#endif
