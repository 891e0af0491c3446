/* descriptor.c: see descriptor.h. */
#include "base/descriptor.h"
#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

ED_SYSCALL int ed_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

ED_SYSCALL int ed_fd_copy(int fd, int lowest) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    return copy < 0 ? -errno : copy;
}

int ed_fd_lift(int *fd, int lowest) {
    const int lifted = ed_fd_copy(*fd, lowest);
    if (lifted < 0) return lifted;
    close(*fd);
    *fd = lifted;
    return 0;
}

ED_SYSCALL int ed_pidfd_open(pid_t pid) {
    const long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}
