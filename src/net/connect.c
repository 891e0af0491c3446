/* connect.c: a name and a port to a stream: look up, then try the addresses in turn.
 * Tests      tests/net/connect_test.c. */
#include "loop/loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "task/task.h"

#include <stdio.h>

static int connect_to(eddy_stream **stream_out, const eddy_address *address, const eddy_connect_options *options) {
    const struct ed_sockets *sockets = ed_worker_current()->sched->driver->sockets;
    int fd = sockets->open(address->storage.ss_family);
    if (fd < 0) return fd;
    struct ed_poll *poll;
    int status = ed_poll_open(&poll, fd);
    if (status < 0) {
        sockets->close(fd);
        return status;
    }
    status = sockets->connect(fd, address);
    if (status == -EINPROGRESS) {
        status = ed_poll_wait(poll, ED_POLL_WRITE, "connect");
        if (status == 0) status = sockets->error(fd);
    }
    if (status == 0) status = ed_stream_open(stream_out, poll, address, options->limit_bytes, options->high_bytes);
    if (status < 0) ed_poll_close(poll);
    return status;
}

static int fail_connect(int status, const char *host, uint16_t port, const eddy_address *address) {
    char text[64];
    eddy_address_text(address, text, sizeof text);
    return eddy_fail(status, "cannot connect to %s port %u (%s): %s", host, port, text, eddy_status_text(status));
}

static int connect_any(eddy_stream **stream_out, const char *host, uint16_t port, const eddy_connect_options *options) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    eddy_addresses *addresses;
    int status = eddy_resolve(host, service, options->family, &addresses);
    if (status < 0) return status;
    size_t count = eddy_addresses_count(addresses);
    status = EDDY_EINVAL;
    for (size_t i = 0; i < count; i++) {
        const eddy_address *address = eddy_addresses_get(addresses, i);
        status = connect_to(stream_out, address, options);
        if (status == 0) eddy_handled(); /* what an earlier address said */
        if (status == 0 || status == EDDY_ECANCELED) break;
        fail_connect(status, host, port, address);
    }
    eddy_addresses_release(addresses);
    return status;
}

int eddy_connect(eddy_stream **stream_out, const char *host, uint16_t port, const eddy_connect_options *options) {
    if (ed_fiber_current() == NULL) return EDDY_EWRONGTHREAD;
    if (host == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    eddy_connect_options own = options != NULL ? *options : eddy_connect_options_init();
    ed_count_io();
    eddy_stream *stream;
    int status = connect_any(&stream, host, port, &own);
    if (status == 0 && own.tls != NULL) {
        status = ed_tls_start(stream, own.tls, own.server_name != NULL ? own.server_name : host);
        if (status < 0) eddy_stream_release(stream);
    }
    if (status == 0) *stream_out = stream;
    return status;
}
