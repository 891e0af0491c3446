/* socket.c: the system's socket calls, each giving its result or -errno. EINTR is tried again. They stand in a file of
 * their own, behind the driver's table: see sched/driver.h. Those of each request: transfer.c. Threads: any. */
#include "eddy/net.h"
#include "loop/uvloop.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* More in one call is pointless, and the count must fit an int: two of these just do not reach INT_MAX + 1. */
static size_t at_most_gib(size_t bytes) {
    const size_t gib = ((size_t)1 << 30) - 1;
    return bytes < gib ? bytes : gib;
}

size_t ed_fitting_parts(struct iovec *fitting, const struct iovec *parts, size_t count) {
    size_t used = 0, room = at_most_gib(SIZE_MAX);
    for (; used < count && used < ED_PARTS_MAX && room > 0; used++) {
        size_t bytes = parts[used].iov_len < room ? parts[used].iov_len : room;
        fitting[used] = (struct iovec){parts[used].iov_base, bytes};
        room -= bytes;
    }
    return used;
}

static int socket_open(int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it; without it things are only slower */
    return fd;
}

int ed_system_duplicate(int fd) {
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return own < 0 ? -errno : own;
}

static void socket_close(int fd) { close(fd); /* EINTR: Linux has closed it all the same */ }

static int socket_connect(int fd, const eddy_address *address) {
    if (connect(fd, (const struct sockaddr *)&address->storage, address->bytes) == 0) return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

static int socket_error(int fd) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0) return -errno;
    return -error;
}

/* A path left behind by a server that is gone: nobody answers there. */
static bool is_stale(const eddy_address *address) {
    const struct sockaddr_un *un = (const void *)&address->storage;
    struct stat found;
    if (un->sun_path[0] == '\0' || stat(un->sun_path, &found) < 0 || !S_ISSOCK(found.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool refused = connect(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_path(int fd, const eddy_address *address) {
    const struct sockaddr *name = (const struct sockaddr *)&address->storage;
    if (bind(fd, name, address->bytes) == 0) return 0;
    if (errno != EADDRINUSE || !is_stale(address)) return -errno;
    unlink(((const struct sockaddr_un *)name)->sun_path);
    return bind(fd, name, address->bytes) < 0 ? -errno : 0;
}

static void socket_unbind(int fd) {
    struct sockaddr_un own = {.sun_family = AF_UNSPEC};
    socklen_t bytes = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &bytes) == 0 && own.sun_family == AF_UNIX && own.sun_path[0] != '\0')
        unlink(own.sun_path);
}

static int socket_bind(int fd, const eddy_address *address) {
    if (address->storage.ss_family == AF_UNIX) return bind_path(fd, address);
    int type = SOCK_STREAM;
    socklen_t type_bytes = sizeof type;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes);
    int status = type == SOCK_STREAM ? set(fd, SOL_SOCKET, SO_REUSEADDR, 1) : 0; /* UDP: would steal a port in use */
    if (status < 0) return status;
    return bind(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0 ? -errno : 0;
}

static int socket_share_port(int fd) { return set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

static int socket_both_families(int fd) { return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); }

static int socket_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }

static int socket_accept(int fd, eddy_address *peer_out) {
    for (;;) {
        peer_out->bytes = sizeof peer_out->storage;
        int accepted =
            accept4(fd, (struct sockaddr *)&peer_out->storage, &peer_out->bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) return accepted;
        if (errno != EINTR) return -errno;
    }
}

static int socket_refuse_new(int fd) {
    int family = 0;
    socklen_t family_bytes = sizeof family;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_bytes);
    if (family == AF_UNIX) return shutdown(fd, SHUT_RD) < 0 ? -errno : 0; /* what is queued can still be accepted */
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
        ssize_t got = recv(fd, buffer, bytes, flags);
        if (got >= 0) return (int)got;
        if (errno != EINTR) return -errno;
    }
}

static int socket_discard(int fd, size_t bytes) {
    int got = receive(fd, NULL, bytes, MSG_TRUNC); /* TCP: dropped without a copy */
    if (got != -EFAULT) return got;
    char dropped[4096]; /* a Unix socket insists on one */
    return receive(fd, dropped, bytes < sizeof dropped ? bytes : sizeof dropped, 0);
}

static int socket_send_parts(int fd, const struct iovec *parts, size_t count) {
    struct iovec fitting[ED_PARTS_MAX];
    const struct msghdr message = {.msg_iov = fitting, .msg_iovlen = ed_fitting_parts(fitting, parts, count)};
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent >= 0) return (int)sent;
        if (errno != EINTR) return -errno;
    }
}

static int socket_open_datagrams(int family, bool broadcast) {
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (broadcast) set(fd, SOL_SOCKET, SO_BROADCAST, 1);
    return fd;
}

static int socket_send_to(int fd, const void *data, size_t bytes, const eddy_address *to) {
    const struct sockaddr *name = to != NULL ? (const struct sockaddr *)&to->storage : NULL;
    for (;;) {
        ssize_t sent = sendto(fd, data, bytes, MSG_NOSIGNAL, name, to != NULL ? to->bytes : 0);
        if (sent >= 0) return (int)sent;
        if (errno != EINTR) return -errno;
    }
}

static int socket_receive_from(int fd, void *buffer, size_t bytes, eddy_address *from_out) {
    for (;;) {
        from_out->bytes = sizeof from_out->storage;
        ssize_t got = recvfrom(fd, buffer, bytes, MSG_TRUNC, (struct sockaddr *)&from_out->storage, &from_out->bytes);
        if (got >= 0) return (int)got;
        if (errno != EINTR) return -errno;
    }
}

static int socket_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

static void socket_reset_on_close(int fd) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void socket_local(int fd, eddy_address *address_out) {
    address_out->bytes = sizeof address_out->storage;
    if (getsockname(fd, (struct sockaddr *)&address_out->storage, &address_out->bytes) < 0) address_out->bytes = 0;
}

static int look_up(const char *host, const char *service, int family, int *error_out,
                   void (*add)(void *arg, const struct sockaddr *address, unsigned bytes), void *arg) {
    const struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = host == NULL ? AI_PASSIVE : 0};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host, service, &hints, &found);
    *error_out = errno;
    for (struct addrinfo *info = found; info != NULL; info = info->ai_next) add(arg, info->ai_addr, info->ai_addrlen);
    if (found != NULL) freeaddrinfo(found);
    return failure;
}

static int name_of(const eddy_address *address, int flags, char *host, size_t host_bytes, char *service,
                   size_t service_bytes, int *error_out) {
    int failure = getnameinfo((const struct sockaddr *)&address->storage, address->bytes, host, (socklen_t)host_bytes,
                              service, (socklen_t)service_bytes, flags);
    *error_out = errno;
    return failure;
}

const struct ed_sockets ed_system_sockets = {
    .open = socket_open,
    .close = socket_close,
    .duplicate = ed_system_duplicate,
    .connect = socket_connect,
    .error = socket_error,
    .bind = socket_bind,
    .unbind = socket_unbind,
    .share_port = socket_share_port,
    .both_families = socket_both_families,
    .listen = socket_listen,
    .accept = socket_accept,
    .refuse_new = socket_refuse_new,
    .receive = ed_system_receive,
    .discard = socket_discard,
    .send = ed_system_send,
    .send_parts = socket_send_parts,
    .send_file = ed_system_send_file,
    .read_file = ed_system_read_file,
    .send_fds = ed_system_send_fds,
    .receive_fds = ed_system_receive_fds,
    .open_datagrams = socket_open_datagrams,
    .send_to = socket_send_to,
    .receive_from = socket_receive_from,
    .shutdown_write = socket_shutdown_write,
    .reset_on_close = socket_reset_on_close,
    .local = socket_local,
    .look_up = look_up,
    .name_of = name_of,
};
