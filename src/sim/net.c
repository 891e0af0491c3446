/* net.c: which sockets of a simulation are ready, and who is told of it.
 *
 * Idea       Stands where epoll stands: what a program may do with a socket is computed from the socket's state, and told to
 *            its poller in the next poll of the poller's worker. Level-triggered.
 * Invariants (M4) A poller is in its worker's ready list exactly when it wants a direction that is ready, as far as that was
 *            seen: ed_sim_poke() after each change.
 * Threads    The simulation's one thread.
 * Not here   What travels (wire.c), the socket calls (socket.c).
 * Tests      tests/sim/net_test.c, and the tests of net/. */
#include "sim/wire.h"

#include <string.h>

/* ---- readiness ------------------------------------------------------------------------------------- */

/* What the system would report of it. */
static unsigned ready_of(const struct ed_sim_socket *socket) {
    if (socket->state == LISTENING) return ed_list_empty(&socket->queue) ? 0 : ED_READABLE;
    if (socket->state == FAILED) return ED_READABLE | ED_WRITABLE;
    if (socket->state == DATAGRAMS)
        return ED_WRITABLE | (!ed_list_empty(&socket->datagrams) || socket->error < 0 ? ED_READABLE : 0);
    if (socket->state != CONNECTED) return 0;
    const struct ed_sim_side *own = &socket->link->sides[socket->side], *other = &socket->link->sides[!socket->side];
    if (ed_sim_failed(own)) return ED_READABLE | ED_WRITABLE;
    return (own->arrived_bytes > 0 || own->got_fin ? ED_READABLE : 0) | (ed_sim_has_room(other) ? ED_WRITABLE : 0);
}

static void poke_poller(struct ed_sim_poller *poller) {
    const struct ed_sim_socket *socket = poller->socket;
    if ((ready_of(socket) & poller->wanted) == 0 || !ed_list_empty(&poller->node)) return;
    ed_list_push(&ed_sim_net_of(socket->sched)->ready[poller->poller.worker->index], &poller->node);
}

void ed_sim_poke(struct ed_sim_socket *socket) {
    if (socket == NULL) return;
    for (struct ed_list *node = socket->pollers.next; node != &socket->pollers; node = node->next)
        poke_poller(ED_CONTAINER(node, struct ed_sim_poller, sibling));
}

bool ed_sim_net_ready(struct ed_worker *worker) {
    return !ed_list_empty(&ed_sim_net_of(worker->sched)->ready[worker->index]);
}

bool ed_sim_net_deliver(struct ed_worker *worker) {
    struct ed_sim_net *net = ed_sim_net_of(worker->sched);
    struct ed_list now_ready, *node;
    bool any = false;
    ed_list_init(&now_ready);
    ed_list_splice(&now_ready, &net->ready[worker->index]);
    while ((node = ed_list_pop(&now_ready)) != NULL) {
        struct ed_sim_poller *poller = ED_CONTAINER(node, struct ed_sim_poller, node);
        struct ed_sim_socket *socket = poller->socket;
        unsigned directions = ready_of(socket) & poller->wanted;
        if (directions == 0) continue;
        bool disarmed = socket->state == CONNECTED && socket->link->sides[socket->side].error < 0; /* as libuv does */
        if (disarmed) poller->wanted = 0;
        any = true;
        net->delivering = poller;
        poller->poller.event(&poller->poller, directions, disarmed);
        if (net->delivering != NULL) poke_poller(poller); /* else it was closed */
        net->delivering = NULL;
    }
    return any;
}

int ed_sim_poller_open(struct ed_poller *poller) {
    struct ed_sim_net *net = ed_sim_net_of(poller->worker->sched);
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    struct ed_sim_socket *socket = net->sockets[poller->fd - ED_SIM_FD_FIRST];
    ed_list_init(&own->node);
    own->socket = socket;
    own->wanted = 0;
    ed_list_push(&socket->pollers, &own->sibling);
    return 0;
}

void ed_sim_poller_set(struct ed_poller *poller, unsigned directions) {
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    own->wanted = directions;
    poke_poller(own);
}

void ed_sim_poller_close(struct ed_poller *poller) {
    struct ed_sim_poller *own = ED_CONTAINER(poller, struct ed_sim_poller, poller);
    struct ed_sim_net *net = ed_sim_net_of(poller->worker->sched);
    if (net->delivering == own) net->delivering = NULL;
    ed_list_remove(&own->node);
    ed_list_remove(&own->sibling);
    ed_sim_sockets.close(poller->fd);
    poller->closed(poller);
}

/* ---- the whole -------------------------------------------------------------------------------------- */

int ed_sim_net_init(struct ed_sched *sched) {
    struct ed_sim_net *net = ed_sim_net_of(sched);
    net->next_port = PORT_FIRST;
    net->ready = ed_calloc(sched->workers_count * sizeof net->ready[0]);
    if (net->ready == NULL) return EDDY_ENOMEM;
    for (unsigned i = 0; i < sched->workers_count; i++) ed_list_init(&net->ready[i]);
    return 0;
}

void ed_sim_net_deinit(struct ed_sched *sched) {
    struct ed_sim_net *net = ed_sim_net_of(sched);
    ED_ASSERT(net->open == 0);
    ED_ASSERT(net->links == 0);
    ed_free(net->sockets);
    ed_free(net->ready);
}
