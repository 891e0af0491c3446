/* uvloop.h: a worker's libuv loop and what hangs on it. Inside loop/ only. */
#ifndef ED_LOOP_UVLOOP_H
#define ED_LOOP_UVLOOP_H

#include <signal.h>
#include <sys/epoll.h>
#include <uv.h>

#include "loop/loop.h"
#include "sched/sched.h"

/* poller.c: the driver's pollers. */
struct ed_own_poller {
    struct ed_poller poller; /* first */
    unsigned directions;     /* (o) what the set has for it */
};

enum { ED_EVENTS_MAX = 1024 }; /* taken at once; what is ready beyond them, the next time */

/* driver.c: what libuv's loop is to the worker. */
enum ed_uv_place {
    ED_UV_UNUSED, /* nothing is in it                                                  */
    ED_UV_INSIDE, /* signals are: its descriptor lies in the set                       */
    ED_UV_AROUND, /* somebody was given it: the set lies in it, and the worker runs it */
};

/* (c) constant while the worker runs   (o) owner only */
struct ed_loop {
    uv_loop_t uv;             /* (o)                                                            */
    struct ed_worker *worker; /* (c)                                                            */

    int set;                     /* (c) the epoll descriptor in which everything of eddy's own lies    */
    unsigned watched;            /* (o) E2                                                         */
    enum ed_uv_place place;      /* (o) U3                                                         */
    bool uv_asked;               /* (o) U4                                                         */
    uv_poll_t in_uv;             /* (o) the set in libuv's loop, for ED_UV_AROUND                  */
    uv_prepare_t about_to_wait;  /* (o) U5, for ED_UV_AROUND                                       */
    int64_t waits_until_ns;      /* (o) when the poll that runs is to be over                      */
    struct ed_own_poller in_set; /* (o) libuv's descriptor in the set, for ED_UV_INSIDE            */

    struct ed_own_poller wake;  /* (c) of an eventfd that any thread writes                       */
    struct ed_own_poller timer; /* (c) of a timerfd, absolute, monotonic                          */
    int64_t armed_ns;           /* (o) what the timerfd is set to; INT64_MAX: nothing             */

    struct ed_list signals; /* (o) of eddy_signal: open ones                                  */

    int delivering; /* (o) how many of events[] are just being delivered                  */
    struct epoll_event events[ED_EVENTS_MAX];
};

static inline struct ed_loop *ed_loop_of(const struct ed_worker *worker) { return worker->driver_data; }

int ed_own_poller_open(struct ed_poller *poller);
void ed_own_poller_set(struct ed_poller *poller, unsigned directions);
void ed_own_poller_close(struct ed_poller *poller);
/* One of the loop's own. 0 or a status. */
int ed_set_add(struct ed_loop *loop, struct ed_own_poller *own, unsigned directions);
/* The opposite. The descriptor stays open. */
void ed_set_remove(struct ed_loop *loop, struct ed_own_poller *own);
/* Takes the events that are there, or sleeps until there is one, and tells their pollers. */
void ed_set_take(struct ed_loop *loop, bool sleeps);

/* driver.c. libuv's loop for who may have anything in it from now on. */
uv_loop_t *ed_loop_lend(struct ed_loop *loop);
/* libuv's loop for signals, or NULL if the system has no memory for it. Who begins or closes a handle says so by ed_loop_ask. */
uv_loop_t *ed_loop_for_signals(struct ed_loop *loop);
static inline void ed_loop_ask(struct ed_loop *loop) { loop->uv_asked = true; }

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
