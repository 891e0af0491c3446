/* udp.c: datagrams.
 *
 * Idea       The system is asked first, and waited for only when it has nothing, or no room. Who waits for room waits in
 *            line (`senders`): one descriptor has one slot for each direction.
 * Threads    The socket's home; calls from elsewhere travel there.
 * Tests      tests/net/udp_test.c. */
#include "eddy/udp.h"
#include "eddy/sync.h"
#include "net/address.h"
#include "net/opened.h"
#include "net/stream.h"
#include "task/task.h"

#include <stdio.h>

struct eddy_udp {
    struct ed_opened opened; /* first */
    const struct ed_sockets *calls;
    eddy_lock *senders;
    eddy_address local;
    bool receiving; /* (o) a task is in a receive: also one that was woken and has not run yet */
};

static void free_udp(struct ed_opened *opened) {
    eddy_udp *udp = ED_CONTAINER(opened, eddy_udp, opened);
    eddy_lock_release(udp->senders);
    ed_free(udp);
}

/* ---- opening ---------------------------------------------------------------------------------- */

/* A socket that is bound to `address`, or connected to it. */
static int make_socket(const struct ed_sockets *calls, const eddy_address *address, bool to,
                       const eddy_udp_options *options) {
    int fd = calls->open_datagrams(address->storage.ss_family, options->broadcast);
    if (fd < 0) return fd;
    int status = options->share_port ? calls->share_port(fd) : 0;
    if (status == 0) status = to ? calls->connect(fd, address) : calls->bind(fd, address);
    if (status == 0) return fd;
    calls->close(fd);
    return status;
}

static int open_on(eddy_udp **udp_out, const eddy_address *address, bool to, const eddy_udp_options *options) {
    const struct ed_sockets *calls = ed_worker_current()->sched->driver->sockets;
    eddy_udp *udp = ed_calloc(sizeof *udp);
    if (udp == NULL) return EDDY_ENOMEM;
    udp->calls = calls;
    udp->senders = eddy_lock_create();
    int status = udp->senders == NULL ? EDDY_ENOMEM : make_socket(calls, address, to, options);
    if (status >= 0) {
        int fd = status;
        calls->local(fd, &udp->local);
        status = ed_opened_init(&udp->opened, fd, "a UDP socket", free_udp);
        if (status < 0) calls->close(fd);
    }
    if (status < 0) {
        if (udp->senders != NULL) eddy_lock_release(udp->senders);
        ed_free(udp);
        return status;
    }
    *udp_out = udp;
    return 0;
}

static int open_udp(eddy_udp **udp_out, const char *host, uint16_t port, bool to, const eddy_udp_options *options) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (options != NULL && options->size != sizeof *options) return EDDY_EINVAL;
    eddy_udp_options own = options != NULL ? *options : eddy_udp_options_init();
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    eddy_addresses *addresses;
    if (host == NULL && own.family == 0) own.family = AF_INET;
    int status = eddy_resolve(host, service, own.family, &addresses);
    if (status < 0) return status;
    size_t count = eddy_addresses_count(addresses);
    for (size_t i = 0; i < count; i++) {
        status = open_on(udp_out, eddy_addresses_get(addresses, i), to, &own);
        if (status == 0 || status == EDDY_ENOMEM) break;
    }
    eddy_addresses_release(addresses);
    if (status < 0 && status != EDDY_ENOMEM)
        eddy_fail(status, "cannot open a UDP socket %s %s port %u: %s", to ? "to" : "on", host != NULL ? host : "*",
                  port, eddy_status_text(status));
    return status;
}

int eddy_udp_open(eddy_udp **udp_out, const char *host, uint16_t port, const eddy_udp_options *options) {
    return open_udp(udp_out, host, port, false, options);
}

int eddy_udp_connect(eddy_udp **udp_out, const char *host, uint16_t port, const eddy_udp_options *options) {
    return host == NULL ? EDDY_EINVAL : open_udp(udp_out, host, port, true, options);
}

void eddy_udp_close(eddy_udp *udp) {
    if (udp != NULL) ed_opened_close(&udp->opened);
}

uint16_t eddy_udp_port(const eddy_udp *udp) { return ed_address_port(&udp->local); }

size_t eddy_udp_local(const eddy_udp *udp, char *buffer, size_t bytes) {
    return eddy_address_text(&udp->local, buffer, bytes);
}

/* ---- datagrams --------------------------------------------------------------------------------- */

struct transfer {
    eddy_udp *udp;
    void *data;
    size_t bytes;
    const eddy_address *to;
    eddy_address *from;
    int got;
};

static int send_now(const struct transfer *transfer) {
    eddy_udp *udp = transfer->udp;
    if (udp->opened.poll == NULL) return EDDY_ECLOSED;
    int sent = udp->calls->send_to(ed_poll_fd(udp->opened.poll), transfer->data, transfer->bytes, transfer->to);
    return sent > 0 ? 0 : sent;
}

static int send_here(void *arg, eddy_value *out) {
    struct transfer *transfer = arg;
    eddy_udp *udp = transfer->udp;
    (void)out;
    int status = send_now(transfer);
    if (status != -EAGAIN) return status;
    status = eddy_lock_acquire(udp->senders); /* in line */
    if (status < 0) return status;
    while ((status = send_now(transfer)) == -EAGAIN) {
        status = ed_poll_wait(udp->opened.poll, ED_POLL_WRITE, "send");
        if (status < 0) break;
    }
    eddy_lock_unlock(udp->senders);
    return status;
}

static int receive_one(struct transfer *transfer) {
    eddy_udp *udp = transfer->udp;
    for (;;) {
        if (udp->opened.poll == NULL) return EDDY_ECLOSED;
        int got =
            udp->calls->receive_from(ed_poll_fd(udp->opened.poll), transfer->data, transfer->bytes, transfer->from);
        if (got >= 0) transfer->got = got;
        if (got != -EAGAIN) return got < 0 ? got : 0;
        int status = ed_poll_wait(udp->opened.poll, ED_POLL_READ, "receive");
        if (status < 0) return status;
    }
}

static int receive_here(void *arg, eddy_value *out) {
    struct transfer *transfer = arg;
    (void)out;
    if (transfer->udp->receiving) return EDDY_EBUSY;
    transfer->udp->receiving = true;
    int status = receive_one(transfer);
    transfer->udp->receiving = false; /* the memory is there: the call holds a reference */
    return status;
}

int eddy_udp_send(eddy_udp *udp, const void *data, size_t bytes, const eddy_address *to) {
    struct transfer transfer = {.udp = udp, .data = (void *)(uintptr_t)data, .bytes = bytes, .to = to};
    return ed_opened_call(&udp->opened, send_here, &transfer, "udp send");
}

int eddy_udp_receive(eddy_udp *udp, void *buffer, size_t bytes, eddy_address *from_out) {
    eddy_address from;
    struct transfer transfer = {.udp = udp, .data = buffer, .bytes = bytes, .from = &from};
    int status = ed_opened_call(&udp->opened, receive_here, &transfer, "udp receive");
    if (status < 0) return status;
    if (from_out != NULL) *from_out = from;
    return transfer.got;
}
