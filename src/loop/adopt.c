/* adopt.c: descriptors from outside, and the calls of those that are no sockets: pipes, terminals, devices.
 *
 * Problem    write() to a pipe that nobody reads raises SIGPIPE, which would end a host that left it to its default; a
 *            terminal that is made non-blocking is so for every program that shares it.
 * Idea       SIGPIPE is blocked around the write on its thread and taken back if it came: the host's disposition stays
 *            as it is. A terminal is opened once more: the new description's flags are our own.
 * Threads    adopt: a worker. The calls: any, as in socket.c. EINTR is tried again.
 * Tests      tests/net/local_test.c. */
#include "eddy/net.h"
#include "loop/uvloop.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int pipe_receive(int fd, void *buffer, size_t bytes) {
    for (;;) {
        ssize_t got = read(fd, buffer, bytes < INT_MAX ? bytes : INT_MAX);
        if (got >= 0) return (int)got;
        if (errno == EIO) return 0; /* the other side of a pseudo-terminal is gone */
        if (errno != EINTR) return -errno;
    }
}

static int pipe_discard(int fd, size_t bytes) {
    char dropped[4096];
    return pipe_receive(fd, dropped, bytes < sizeof dropped ? bytes : sizeof dropped);
}

static int write_quietly(int fd, const struct iovec *parts, int count) {
    struct ed_quiet quiet;
    ssize_t sent;
    ed_quiet_begin(&quiet);
    do sent = writev(fd, parts, count);
    while (sent < 0 && errno == EINTR);
    int result = sent < 0 ? -errno : (int)sent;
    ed_quiet_end(&quiet, result);
    return result;
}

static int pipe_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    const size_t most = 1 << 30; /* the sum must fit an int */
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_bytes < most ? first_bytes : most},
                             {(void *)(uintptr_t)second, second_bytes}};
    if (first_bytes + second_bytes > most) parts[1].iov_len = 0;
    if (first_bytes == 0) parts[0] = (struct iovec){parts[1].iov_base, second_bytes < most ? second_bytes : most};
    return write_quietly(fd, parts, first_bytes > 0 && parts[1].iov_len > 0 ? 2 : 1);
}

static int pipe_send_parts(int fd, const struct iovec *parts, size_t count) {
    struct iovec fitting[ED_PARTS_MAX];
    return write_quietly(fd, fitting, (int)ed_fitting_parts(fitting, parts, count));
}

static void pipe_close(int fd) { close(fd); }
static int pipe_shutdown_write(int fd) {
    (void)fd;
    return EDDY_ENOTSUP;
}
static void pipe_reset_on_close(int fd) { (void)fd; }
static void pipe_local(int fd, eddy_address *address_out) {
    (void)fd;
    address_out->bytes = 0;
}

static const struct ed_sockets pipe_calls = {
    .close = pipe_close,
    .duplicate = ed_system_duplicate,
    .receive = pipe_receive,
    .discard = pipe_discard,
    .send = pipe_send,
    .send_parts = pipe_send_parts,
    .send_file = ed_system_send_file,
    .read_file = ed_system_read_file,
    .shutdown_write = pipe_shutdown_write,
    .reset_on_close = pipe_reset_on_close,
    .local = pipe_local,
};

/* A description of the terminal that is nobody else's; -1: not to be had, and the shared one will do. A pseudo-terminal's
 * master is not to be had: opening its name makes another one. */
static int open_again(int fd) {
    char path[32];
    int number;
    if (!isatty(fd) || ioctl(fd, TIOCGPTN, &number) == 0) return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

int ed_uv_adopt(int fd, const struct ed_sockets **calls_out, eddy_address *peer_out) {
    struct stat kind;
    peer_out->bytes = 0;
    if (fstat(fd, &kind) < 0) return -errno;
    if (S_ISSOCK(kind.st_mode)) {
        int type = 0;
        socklen_t bytes = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0) return -errno;
        if (type != SOCK_STREAM) return EDDY_EINVAL;
        peer_out->bytes = sizeof peer_out->storage;
        if (getpeername(fd, (struct sockaddr *)&peer_out->storage, &peer_out->bytes) < 0) return -errno;
        *calls_out = &ed_system_sockets;
        return fd;
    }
    if (!S_ISFIFO(kind.st_mode) && !S_ISCHR(kind.st_mode)) return EDDY_EINVAL;
    int own = open_again(fd);
    *calls_out = &pipe_calls;
    return own >= 0 ? own : fd;
}
