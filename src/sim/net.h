/* net.h: the simulated network: descriptors, connections, what travels between them. See net.c, wire.c, socket.c. Inside sim/ only. */
#ifndef ED_SIM_NET_H
#define ED_SIM_NET_H

#include "sched/sched.h"

struct ed_sim_socket;

struct ed_sim_net {
    struct ed_sim_socket **sockets; /* by descriptor - ED_SIM_FD_FIRST; NULL: free */
    size_t capacity, open;
    size_t links;          /* connections that anything still needs */
    uint16_t next_port;    /* for those that ask for any */
    struct ed_list *ready; /* of a poller for each worker: what its next poll brings */
    struct ed_sim_poller *delivering;
};

/* Unlike any real descriptor, so that a system call on one fails. */
#define ED_SIM_FD_FIRST 1000000000

struct ed_sim_poller {
    struct ed_poller poller; /* first */
    struct ed_list node;     /* in net.ready */
    struct ed_list sibling;  /* in socket->pollers */
    struct ed_sim_socket *socket;
    unsigned wanted;
};

extern const struct ed_sockets ed_sim_sockets;

int ed_sim_net_init(struct ed_sched *sched);
void ed_sim_net_deinit(struct ed_sched *sched);

/* Whether a poll of `worker` would bring anything. */
bool ed_sim_net_ready(struct ed_worker *worker);
/* In the driver's poll: events to whoever waits. True if there was one. */
bool ed_sim_net_deliver(struct ed_worker *worker);

/* The driver's pollers. */
int ed_sim_poller_open(struct ed_poller *poller);
void ed_sim_poller_set(struct ed_poller *poller, unsigned directions);
void ed_sim_poller_close(struct ed_poller *poller);

#endif
