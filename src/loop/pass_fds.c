/* pass_fds.c: descriptors beside the bytes of a Unix socket (SCM_RIGHTS), each call giving its result or -errno.
 *
 * Problem    Descriptors that come and find no room in the control data are lost, and some kernels install those that fit in
 *            the padding: each that was installed must be found, or it leaks.
 * Idea       Room for as many as the system passes at once; whoever wants fewer gets the first ones, the rest is closed here.
 * Threads    any. EINTR is tried again. */
#include "loop/uvloop.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 253 }; /* the kernel's SCM_MAX_FD */

union control {
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    struct cmsghdr aligned;
};

int ed_system_send_fds(int fd, const void *data, size_t bytes, const int *fds, size_t count) {
    union control control;
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > FDS_MAX) return -EINVAL;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent >= 0) return (int)sent;
        if (errno != EINTR) return -errno;
    }
}

/* Those of one header: the first ones to `fds`, the rest is closed. */
static void take(const struct cmsghdr *header, int *fds, size_t room, size_t *count, bool *lost) {
    size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < came; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA((struct cmsghdr *)(uintptr_t)header) + i * sizeof fd, sizeof fd);
        if (*count < room) {
            fds[(*count)++] = fd;
        } else {
            close(fd);
            *lost = true;
        }
    }
}

int ed_system_receive_fds(int fd, void *buffer, size_t bytes, int *fds, size_t room, size_t *count_out,
                          bool *lost_out) {
    union control control;
    struct iovec part = {buffer, bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *count_out = 0;
    *lost_out = false;
    ssize_t got;
    do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take(header, fds, room, count_out, lost_out);
    if (message.msg_flags & MSG_CTRUNC) *lost_out = true; /* no descriptors were free here, or no memory */
    return (int)got;
}
