/* eddy/udp.h: datagrams over UDP.
 *
 * A socket belongs to one worker (its home) and may be used by tasks of any. Datagrams arrive whole, or cut, or not at
 * all, and in any order: that is UDP, and a simulation does all of it (eddy/sim.h). */
#ifndef EDDY_UDP_H
#define EDDY_UDP_H

#include "eddy/net.h"

EDDY_BEGIN_DECLS

typedef struct eddy_udp eddy_udp;

typedef struct eddy_udp_options {
    size_t size;     /**< sizeof(eddy_udp_options): by EDDY_UDP or eddy_udp_options_init */
    int family;      /**< AF_INET, AF_INET6, or 0: what the host's first address is */
    bool share_port; /**< SO_REUSEPORT: several sockets on one port, the system spreads senders over them */
    bool broadcast;  /**< may send to broadcast addresses */
} eddy_udp_options;

static inline eddy_udp_options eddy_udp_options_init(void) {
    eddy_udp_options options = {sizeof(eddy_udp_options), 0, false, false};
    return options;
}
#ifndef __cplusplus
#define EDDY_UDP(...) (&(eddy_udp_options){.size = sizeof(eddy_udp_options), __VA_ARGS__})
#endif

/** Opens a socket on a local address, to receive from anybody and answer; or one that speaks to a single peer.
 *
 *  @param udp_out  Gives it: eddy_udp_close().
 *  @param host     open: an own name or address, NULL for all of `family` (IPv4 if that is 0); connect: the peer's.
 *  @param port     open: 0 for a free one: eddy_udp_port().
 *  @param options  May be NULL. Borrowed.
 *  @return         0; EADDRINUSE, EACCES, ENETUNREACH... with a text that names host and port; the look-up's failure;
 *                  EDDY_EINVAL; EDDY_ENOMEM; EDDY_ECANCELED; EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends: for the look-up, unless `host` is numeric or NULL. Cancellation point: when it suspends.  Threads: any task;
 *  its worker is the socket's home.  Source: loop.create_datagram_endpoint. */
EDDY_API int eddy_udp_open(eddy_udp **udp_out, const char *host, uint16_t port,
                           const eddy_udp_options *options) EDDY_SUSPENDS;
EDDY_API int eddy_udp_connect(eddy_udp **udp_out, const char *host, uint16_t port,
                              const eddy_udp_options *options) EDDY_SUSPENDS;

/** Sends one datagram, to `to`, or to the peer of eddy_udp_connect if that is NULL.
 *  @return 0: the system has it. EMSGSIZE, ENETUNREACH, EDESTADDRREQ, ...; ECONNREFUSED: an earlier one found nobody
 *          (connected sockets only); EDDY_ECLOSED; EDDY_ECANCELED (not sent); EDDY_EWRONGTHREAD outside a task.
 *  Suspends: while the system has no room. Cancellation point: when it suspends.  Threads: any task, any number.
 *  Source: DatagramTransport.sendto. */
EDDY_API int eddy_udp_send(eddy_udp *udp, const void *data, size_t bytes, const eddy_address *to) EDDY_SUSPENDS;

/** Receives one datagram.
 *
 *  @param from_out  May be NULL. Its sender. Written, as `buffer` is, when 0 or more is returned.
 *  @return          Its bytes, perhaps 0; more than `bytes`: it was so long, and is cut; EDDY_EBUSY while another task
 *                   receives; ECONNREFUSED as for send; EDDY_ECLOSED; EDDY_ECANCELED (none was taken);
 *                   EDDY_EWRONGTHREAD outside a task.
 *  Suspends: unless one is there. Cancellation point: when it suspends.  Threads: any task.
 *  Source: DatagramProtocol.datagram_received, error_received. */
EDDY_API int eddy_udp_receive(eddy_udp *udp, void *buffer, size_t bytes, eddy_address *from_out) EDDY_SUSPENDS;

/** The own port, and the own address as eddy_address_text writes it. */
EDDY_API uint16_t eddy_udp_port(const eddy_udp *udp) EDDY_ANY_THREAD;
EDDY_API size_t eddy_udp_local(const eddy_udp *udp, char *buffer, size_t bytes) EDDY_ANY_THREAD;

/** Takes the socket back: tasks that wait get EDDY_ECLOSED; no call may begin any more. NULL is nothing. Never suspends; any
 *  thread. One that is left open when the run ends is closed and reported. */
EDDY_API void eddy_udp_close(eddy_udp *udp) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
