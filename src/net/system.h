/* system.h: the socket calls of net/, each giving its result or -errno.
 *
 * They stand in a file of their own because functions that suspend must not touch errno: its address would be kept
 * across the switch. EINTR is tried again. */
#ifndef ED_NET_SYSTEM_H
#define ED_NET_SYSTEM_H

#include "base/base.h"
#include "eddy/net.h"

/* A TCP socket: non-blocking, close-on-exec, Nagle's algorithm off. */
int ed_socket_open(int family);
void ed_socket_close(int fd);

int ed_socket_connect(int fd, const eddy_address *address); /* 0 or -EINPROGRESS: under way */
int ed_socket_error(int fd);                                /* the pending error, taken: 0 or negative */
int ed_socket_bind(int fd, const eddy_address *address);    /* with SO_REUSEADDR */
int ed_socket_share_port(int fd);                           /* SO_REUSEPORT */
int ed_socket_both_families(int fd);                        /* an IPv6 listener takes IPv4 too */
int ed_socket_listen(int fd, int backlog);
int ed_socket_accept(int fd, eddy_address *peer_out);
/* Handshakes that begin from now on are not answered; those under way are completed. */
int ed_socket_refuse_new(int fd);

int ed_socket_receive(int fd, void *buffer, size_t bytes); /* 0: the end */
/* Drops what was received, at most `bytes`: how much, 0 for the end, or negative. */
int ed_socket_discard(int fd, size_t bytes);
int ed_socket_send(int fd, const void *data, size_t bytes);
int ed_socket_send_two(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes);
int ed_socket_shutdown_write(int fd);
void ed_socket_reset_on_close(int fd);

void ed_socket_local(int fd, eddy_address *address_out); /* bytes 0: not to be had */

/* The port in host order, 0 if it has none. */
uint16_t ed_address_port(const eddy_address *address);
/* A numeric host (NULL: any address of `family`) and port without asking anybody. False: it is a name. */
bool ed_address_parse(eddy_address *address, const char *host, int family, uint16_t port);

#endif
