/* send_file.c: the system's calls between files and streams, each giving its result or -errno.
 *
 * Problem    sendfile has no MSG_NOSIGNAL: on a connection that broke it raises SIGPIPE.
 * Idea       As for pipes (adopt.c): quietly.
 * Threads    any. EINTR is tried again. */
#include "loop/uvloop.h"

#include <errno.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <unistd.h>

void ed_quiet_begin(struct ed_quiet *quiet) {
    sigset_t pipe_only, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    quiet->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &quiet->mask);
}

void ed_quiet_end(const struct ed_quiet *quiet, int result) {
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (result == -EPIPE && !quiet->was_pending) /* ours */
        while (sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR) {
        }
    pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
}

int ed_system_send_file(int fd, int file, int64_t offset, size_t bytes) {
    struct ed_quiet quiet;
    off_t at = offset;
    ssize_t sent;
    ed_quiet_begin(&quiet);
    do sent = sendfile(fd, file, &at, bytes);
    while (sent < 0 && errno == EINTR);
    int result = sent < 0 ? -errno : (int)sent;
    ed_quiet_end(&quiet, result);
    return result;
}

int ed_system_read_file(int file, void *buffer, size_t bytes, int64_t offset) {
    for (;;) {
        ssize_t got = pread(file, buffer, bytes, offset);
        if (got >= 0) return (int)got;
        if (errno != EINTR) return -errno;
    }
}
