/* poller.c: watching descriptors with libuv: one uv_poll handle for each.
 *
 * Errors     libuv answers an error condition with a negative status, whose code says nothing, and stops the handle.
 * Threads    The worker that opened it.
 * Not here   Who waits, and what stays armed (poll.c).
 * Tests      tests/loop/poll_test.c. */
#include "loop/uvloop.h"

#include <unistd.h>

_Static_assert(UV_READABLE == ED_READABLE && UV_WRITABLE == ED_WRITABLE, "bits are libuv's");

static struct ed_uv_poller *uv_poller_of(struct ed_poller *poller) {
    return ED_CONTAINER(poller, struct ed_uv_poller, poller);
}

static void on_event(uv_poll_t *handle, int status, int events) {
    struct ed_poller *poller = handle->data;
    poller->event(poller, status < 0 ? 0 : (unsigned)events, status < 0);
}

static void on_closed(uv_handle_t *handle) {
    struct ed_poller *poller = handle->data;
    poller->closed(poller);
}

int ed_uv_poller_open(struct ed_poller *poller) {
    uv_poll_t *handle = &uv_poller_of(poller)->handle;
    handle->data = poller;
    return ed_uv_status(uv_poll_init(&ed_loop_of(poller->worker)->uv, handle, poller->fd));
}

void ed_uv_poller_set(struct ed_poller *poller, unsigned directions) {
    int status = uv_poll_start(&uv_poller_of(poller)->handle, (int)directions, on_event); /* 0 stops it */
    ED_ASSERT(status == 0); /* EEXIST: two handles for one descriptor */
}

void ed_uv_poller_close(struct ed_poller *poller) {
    uv_close((uv_handle_t *)&uv_poller_of(poller)->handle, on_closed);
    close(poller->fd); /* after uv_close: libuv has let go of it */
}
