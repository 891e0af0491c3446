/* uvloop.h: a worker's libuv loop and what hangs on it. Inside loop/ only. */
#ifndef ED_LOOP_UVLOOP_H
#define ED_LOOP_UVLOOP_H

#include <signal.h>
#include <uv.h>

#include "loop/loop.h"
#include "sched/sched.h"

/* (c) constant while the worker runs   (o) owner only */
struct ed_loop {
    uv_loop_t uv;             /* (o)                                                            */
    struct ed_worker *worker; /* (c)                                                            */

    int wake_fd;         /* (c) eventfd that any thread writes                             */
    uv_poll_t wake_poll; /* (o) armed for good                                             */

    int timer_fd;         /* (c) timerfd, absolute, monotonic                               */
    uv_poll_t timer_poll; /* (o) armed for good                                             */
    int64_t armed_ns;     /* (o) what timer_fd is set to; INT64_MAX: nothing                */

    struct ed_list signals; /* (o) of eddy_signal: open ones                                  */
};

static inline struct ed_loop *ed_loop_of(const struct ed_worker *worker) { return worker->driver_data; }

/* poller.c: the driver's pollers. */
struct ed_uv_poller {
    struct ed_poller poller; /* first */
    uv_poll_t handle;
};
int ed_uv_poller_open(struct ed_poller *poller);
void ed_uv_poller_set(struct ed_poller *poller, unsigned directions);
void ed_uv_poller_close(struct ed_poller *poller);

/* socket.c: the system's calls; transfer.c: two of them. */
struct iovec;
enum { ED_PARTS_MAX = 64 };
/* The first of `parts` as one call may have them: at most ED_PARTS_MAX, whose sum fits an int; how many. */
int ed_system_duplicate(int fd);
size_t ed_fitting_parts(struct iovec *fitting, const struct iovec *parts, size_t count);
extern const struct ed_sockets ed_system_sockets;
int ed_system_receive(int fd, void *buffer, size_t bytes);
int ed_system_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes);

/* send_file.c. Between begin and end a write to what nobody reads raises no SIGPIPE; `result`: what it gave, or -errno. */
struct ed_quiet {
    sigset_t mask;
    bool was_pending;
};
void ed_quiet_begin(struct ed_quiet *quiet);
void ed_quiet_end(const struct ed_quiet *quiet, int result);
int ed_system_send_file(int fd, int file, int64_t offset, size_t bytes);
int ed_system_read_file(int file, void *buffer, size_t bytes, int64_t offset);

/* pass_fds.c */
int ed_system_send_fds(int fd, const void *data, size_t bytes, const int *fds, size_t count);
int ed_system_receive_fds(int fd, void *buffer, size_t bytes, int *fds, size_t room, size_t *count_out, bool *lost_out);

/* adopt.c */
int ed_uv_adopt(int fd, const struct ed_sockets **calls_out, struct eddy_address *peer_out);

/* Stops and reports the signals that were left open. */
void ed_signals_close(struct ed_loop *loop);

#endif
