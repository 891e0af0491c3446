/* descriptor.c: descriptors from outside: as streams, and waited for as they are.
 *
 * Idea       A stream takes the descriptor; what its kind can do the driver knows. A watch borrows it: it polls a duplicate,
 *            so that closing the watch leaves the descriptor alone and libuv never sees one twice.
 * Whose      Everywhere in net/ what takes a descriptor, or a poll with one, has taken it if it gives 0, and only then.
 * Threads    opened.c.
 * Tests      tests/net/local_test.c. */
#include "loop/loop.h"
#include "net/opened.h"
#include "net/stream.h"
#include "task/task.h"

#include <fcntl.h>
#include <unistd.h>

int eddy_stream_open_fd(eddy_stream **stream_out, int fd) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    const struct ed_driver *driver = ed_worker_current()->sched->driver;
    if (driver->adopt == NULL) return eddy_fail(EDDY_ENOTSUP, "no descriptors from outside in a simulation");
    const struct ed_sockets *calls;
    eddy_address peer;
    int own = driver->adopt(fd, &calls, &peer);
    if (own == EDDY_EINVAL) return eddy_fail(own, "descriptor %d is no stream: a file, or a datagram socket", fd);
    if (own < 0) return own;
    int status = ed_stream_open(stream_out, own, calls, &peer, 0, 0);
    if (own == fd) {
        if (status == 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
        return status;
    }
    calls->close(status == 0 ? fd : own); /* the stream has the other one */
    return status;
}

/* ---- watches ----------------------------------------------------------------------------------- */

struct eddy_watch {
    struct ed_opened opened; /* first */
};

static void free_watch(struct ed_opened *opened) { ed_free(ED_CONTAINER(opened, eddy_watch, opened)); }

int eddy_watch_open(eddy_watch **watch_out, int fd) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (ed_worker_current()->sched->driver->adopt == NULL)
        return eddy_fail(EDDY_ENOTSUP, "no descriptors from outside in a simulation");
    eddy_watch *watch = ed_calloc(sizeof *watch);
    if (watch == NULL) return EDDY_ENOMEM;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int status = own < 0 ? -errno : ed_opened_init(&watch->opened, own, "a watch", free_watch);
    if (status < 0) {
        if (own >= 0) close(own);
        ed_free(watch);
        return status;
    }
    *watch_out = watch;
    return 0;
}

struct wait {
    eddy_watch *watch;
    enum ed_poll_direction direction;
};

static int wait_here(void *arg, eddy_value *out) {
    const struct wait *wait = arg;
    (void)out;
    if (wait->watch->opened.poll == NULL) return EDDY_ECLOSED;
    return ed_poll_wait(wait->watch->opened.poll, wait->direction, "watch");
}

int eddy_watch_readable(eddy_watch *watch) {
    struct wait wait = {watch, ED_POLL_READ};
    return ed_opened_call(&watch->opened, wait_here, &wait, "watch");
}

int eddy_watch_writable(eddy_watch *watch) {
    struct wait wait = {watch, ED_POLL_WRITE};
    return ed_opened_call(&watch->opened, wait_here, &wait, "watch");
}

void eddy_watch_close(eddy_watch *watch) {
    if (watch != NULL) ed_opened_close(&watch->opened);
}
