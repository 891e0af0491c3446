/* sockets.h: what the servers by hand and their load do with sockets besides serving: on the loopback, one thread. A call that
 * fails ends the program. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "harness/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static inline int sockets_check(const char *what, int result) {
    if (result < 0) bench_fail(what, -errno);
    return result;
}

static inline void sockets_send_at_once(int fd) {
    int on = 1;
    sockets_check("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

/* Listens at a free port, and tells the runner which. */
static inline int sockets_listen(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = sockets_check("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockets_check("bind", bind(listener, (struct sockaddr *)&address, sizeof address));
    sockets_check("listen", listen(listener, 1024));
    sockets_check("getsockname", getsockname(listener, (struct sockaddr *)&address, &bytes));
    printf("{\"port\": %u}\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* Negative: nobody is left in the queue. */
static inline int sockets_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) sockets_send_at_once(fd);
    return fd;
}

static inline void sockets_watch(int poll, int fd, void *data) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    sockets_check("epoll_ctl", epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event));
}

#endif
