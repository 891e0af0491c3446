#include "net/system.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* More in one call is pointless, and the count must fit an int: two of these just do not reach INT_MAX + 1. */
static size_t at_most_gib(size_t bytes) {
    const size_t gib = ((size_t)1 << 30) - 1;
    return bytes < gib ? bytes : gib;
}

int ed_socket_open(int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it; without it things are only slower */
    return fd;
}

void ed_socket_close(int fd) { close(fd); /* EINTR: Linux has closed it all the same */ }

int ed_socket_connect(int fd, const eddy_address *address) {
    if (connect(fd, (const struct sockaddr *)&address->storage, address->bytes) == 0) return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int ed_socket_error(int fd) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0) return -errno;
    return -error;
}

int ed_socket_bind(int fd, const eddy_address *address) {
    int status = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (status < 0) return status;
    return bind(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0 ? -errno : 0;
}

int ed_socket_share_port(int fd) { return set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

int ed_socket_both_families(int fd) { return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); }

int ed_socket_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }

int ed_socket_accept(int fd, eddy_address *peer_out) {
    for (;;) {
        peer_out->bytes = sizeof peer_out->storage;
        int accepted =
            accept4(fd, (struct sockaddr *)&peer_out->storage, &peer_out->bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) return accepted;
        if (errno != EINTR) return -errno;
    }
}

int ed_socket_refuse_new(int fd) {
    /* Packets for a listener pass its filter from the TCP header on: drop those with SYN set (byte 13, bit 1). */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

static int receive(int fd, void *buffer, size_t bytes, int flags) {
    for (;;) {
        ssize_t got = recv(fd, buffer, at_most_gib(bytes), flags);
        if (got >= 0) return (int)got;
        if (errno != EINTR) return -errno;
    }
}

int ed_socket_receive(int fd, void *buffer, size_t bytes) { return receive(fd, buffer, bytes, 0); }

int ed_socket_discard(int fd, size_t bytes) {
    return receive(fd, NULL, bytes, MSG_TRUNC); /* TCP: dropped without a copy */
}

int ed_socket_send(int fd, const void *data, size_t bytes) {
    for (;;) {
        ssize_t sent = send(fd, data, at_most_gib(bytes), MSG_NOSIGNAL);
        if (sent >= 0) return (int)sent;
        if (errno != EINTR) return -errno;
    }
}

int ed_socket_send_two(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    if (first_bytes == 0) return ed_socket_send(fd, second, second_bytes);
    if (at_most_gib(first_bytes) < first_bytes || at_most_gib(second_bytes) < second_bytes)
        return ed_socket_send(fd, first, first_bytes);
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_bytes}, {(void *)(uintptr_t)second, second_bytes}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent >= 0) return (int)sent;
        if (errno != EINTR) return -errno;
    }
}

int ed_socket_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

void ed_socket_reset_on_close(int fd) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void ed_socket_local(int fd, eddy_address *address_out) {
    address_out->bytes = sizeof address_out->storage;
    if (getsockname(fd, (struct sockaddr *)&address_out->storage, &address_out->bytes) < 0) address_out->bytes = 0;
}

/* ---- addresses -------------------------------------------------------------------------------- */

uint16_t ed_address_port(const eddy_address *address) {
    switch (address->bytes == 0 ? AF_UNSPEC : address->storage.ss_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    default: return 0;
    }
}

bool ed_address_parse(eddy_address *address, const char *host, int family, uint16_t port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    *address = (eddy_address){.bytes = 0};
    if (family != AF_INET6 && (host == NULL || inet_pton(AF_INET, host, &in.sin_addr) == 1)) {
        memcpy(&address->storage, &in, sizeof in);
        address->bytes = sizeof in;
    } else if (family != AF_INET && (host == NULL || inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)) {
        memcpy(&address->storage, &in6, sizeof in6);
        address->bytes = sizeof in6;
    }
    return address->bytes != 0;
}

size_t eddy_address_text(const eddy_address *address, char *buffer, size_t bytes) {
    char host[INET6_ADDRSTRLEN] = "";
    int length;
    if (address->bytes != 0 && address->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        length = snprintf(buffer, bytes, "%s:%u", host, ed_address_port(address));
    } else if (address->bytes != 0 && address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host, sizeof host);
        length = snprintf(buffer, bytes, "[%s]:%u", host, ed_address_port(address));
    } else {
        length = snprintf(buffer, bytes, "%s", "");
    }
    return (size_t)length;
}
