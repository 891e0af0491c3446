/* driver.h: the seam below the core and net/: sleeping, waking, the clock; descriptors and the calls on them; threads for
 * blocking work. Implementations: loop/ (libuv, the system) and sim/ (one thread, a virtual clock, a network in memory).
 *
 * Rooms above make a system call through this table or not at all, so that what they do can be simulated whole. */
#ifndef ED_SCHED_DRIVER_H
#define ED_SCHED_DRIVER_H

#include "base/base.h"

struct eddy_address;
struct ed_sched;
struct ed_worker;
struct iovec;
struct sockaddr;

#define ED_POLL_NOW INT64_MIN

/* Directions of a descriptor, as bits. */
enum { ED_READABLE = 1, ED_WRITABLE = 2 };

/* A descriptor that a worker watches. The driver's own part of it follows in memory: driver->poller_bytes are all. */
struct ed_poller {
    struct ed_worker *worker; /* (c) */
    int fd;                   /* (c) */
    /* Inside the driver's poll: `directions` may be ready; level-triggered. `disarmed`: there is an error condition, and
     * nothing is watched until the next poller_set. */
    void (*event)(struct ed_poller *poller, unsigned directions, bool disarmed);
    /* After poller_close, in it or later: the memory is the owner's again. */
    void (*closed)(struct ed_poller *poller);
};

/* Socket calls, each giving its result or -errno, none blocking. They are only ever called through these pointers:
 * functions that suspend must not touch errno, since its address would be kept across the switch. */
struct ed_sockets {
    int (*open)(int family); /* a TCP socket: non-blocking, close-on-exec, Nagle's algorithm off */
    void (*close)(int fd);
    int (*duplicate)(int fd); /* another descriptor of the same: each is watched and closed by itself */
    int (*connect)(int fd, const struct eddy_address *address); /* 0 or -EINPROGRESS: under way */
    int (*error)(int fd);                                       /* the pending error, taken: 0 or negative */
    int (*bind)(
        int fd,
        const struct eddy_address *address); /* streams: with SO_REUSEADDR; a path that nobody serves is taken over */
    void (*unbind)(int fd);                  /* a path goes; nothing for other addresses */
    int (*share_port)(int fd);               /* SO_REUSEPORT */
    int (*both_families)(int fd);            /* an IPv6 listener takes IPv4 too */
    int (*listen)(int fd, int backlog);
    int (*accept)(int fd, struct eddy_address *peer_out);
    /* Handshakes that begin from now on are not answered; those under way are completed. */
    int (*refuse_new)(int fd);
    int (*receive)(int fd, void *buffer, size_t bytes); /* 0: the end */
    /* Drops what was received, at most `bytes`: how much, 0 for the end, or negative. */
    int (*discard)(int fd, size_t bytes);
    /* Two pieces of memory in one call; either may be empty. */
    int (*send)(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes);
    /* Any number of them, of which a call may look at the first ones only. */
    int (*send_parts)(int fd, const struct iovec *parts, size_t count);
    /* A file's bytes from `offset` on, without their passing through the program; 0: its end; -EINVAL and its like: not
     * this file. NULL: not to be had. Its position is not moved. */
    int (*send_file)(int fd, int file, int64_t offset, size_t bytes);
    int (*read_file)(int file, void *buffer, size_t bytes, int64_t offset); /* may wait for the disk */
    /* Unix sockets: with open descriptors beside the bytes; NULL: not to be had. send: 1 byte or more; what was taken has
     * them all. receive: at most `room` of them, close-on-exec; bytes as receive; *count_out, and *lost_out: there were more. */
    int (*send_fds)(int fd, const void *data, size_t bytes, const int *fds, size_t count);
    int (*receive_fds)(int fd, void *buffer, size_t bytes, int *fds, size_t room, size_t *count_out, bool *lost_out);
    int (*shutdown_write)(int fd);
    /* Datagrams. `to` NULL: the connected peer. receive_from gives the
     * datagram's whole length, of which at most `bytes` are written. */
    int (*open_datagrams)(int family, bool broadcast);
    int (*send_to)(int fd, const void *data, size_t bytes, const struct eddy_address *to);
    int (*receive_from)(int fd, void *buffer, size_t bytes, struct eddy_address *from_out);
    void (*reset_on_close)(int fd);
    void (*local)(int fd, struct eddy_address *address_out); /* bytes 0: not to be had */
    /* Blocks, on a plain thread or in an ed_later: gives each address of a name to add(). 0 or an EAI_ code, with
     * *error_out for EAI_SYSTEM. NULL as host: any address; NULL as service: port 0. */
    int (*look_up)(const char *host, const char *service, int family, int *error_out,
                   void (*add)(void *arg, const struct sockaddr *address, unsigned bytes), void *arg);
    /* The same, the other way: NI_ flags; blocks unless both are to be numbers. */
    int (*name_of)(const struct eddy_address *address, int flags, char *host, size_t host_bytes, char *service,
                   size_t service_bytes, int *error_out);
};

/* Something to run once at a step of its own, outside workers. */
struct ed_later {
    void (*run)(struct ed_later *later); /* may free the record */
    struct ed_heap_node node;            /* the driver's */
};

struct ed_driver {
    /* On the worker's thread, before its first turn. Sets worker->driver_data. 0 or a status. */
    int (*open)(struct ed_worker *worker);
    /* On the worker's thread, after its last turn: everything that needs the loop is closed by now. */
    void (*close)(struct ed_worker *worker);
    /* ED_POLL_NOW: takes the events that are there. Else sleeps until an event, a wake, or the clock shows
     * deadline_ns (INT64_MAX: none). Runs the worker's flushes first. Event callbacks run inside; they wake fibers and
     * queue calls, never run user code. */
    void (*poll)(struct ed_worker *worker, int64_t deadline_ns);
    /* Any thread: makes a sleeping poll return, or the next one not sleep. */
    void (*wake)(struct ed_worker *worker);
    /* Monotonic nanoseconds. */
    int64_t (*now)(struct ed_worker *worker);
    /* Whether polling could bring anything (open handles beside the driver's own). */
    bool (*holds_io)(struct ed_worker *worker);

    /* The worker's own. Watches nothing at first. 0, and the descriptor is the poller's, and non-blocking. Or a status: it
     * is the caller's still, as it was. */
    size_t poller_bytes;
    int (*poller_open)(struct ed_poller *poller);
    void (*poller_set)(struct ed_poller *poller, unsigned directions);
    void (*poller_close)(struct ed_poller *poller); /* and its descriptor */

    const struct ed_sockets *sockets;
    /* What to poll and read for a descriptor from outside that is to be a stream: `fd`, or another, close-on-exec, of the
     * same terminal; *calls_out are those for its kind. Or negative. `fd` is the caller's still, and as it was.
     * NULL: no such descriptors here. */
    int (*adopt)(int fd, const struct ed_sockets **calls_out, struct eddy_address *peer_out);

    /* NULL: blocking work has threads. Else there are none: this runs the work, when no worker runs. */
    void (*later)(struct ed_sched *sched, struct ed_later *later);
};

#endif
