/* poller.c: watching descriptors: an epoll descriptor of each worker, the set.
 *
 * Problem    A uv_poll handle for each descriptor is 160 bytes, and an event passes three functions of libuv's on its way.
 * Idea       What eddy itself waits for lies in a set of its own, each entry with a pointer to its poller; the worker waits for
 *            the set, and libuv for nothing, until somebody was given its loop. From then on the set lies in libuv's, as one
 *            descriptor that is readable when anything in it is ready (driver.c).
 * States     In the set from open to close. With directions: level-triggered, as asked. With none: edge-triggered and nothing is
 *            asked for, since the system tells of errors and hang-ups unasked, and would without end; that is ignored.
 * Invariants (E1) `directions` is what the set has. An event that was taken before it changed tells only what is in it.
 *            (E2) loop->watched counts the pollers with directions, but for the loop's own.
 *            (E3) While events are delivered none of those to come names a poller that was closed: close takes them out. A
 *            number that is used again meanwhile is in the set anew, and nothing of it has been taken.
 * Threads    The worker that opened it.
 * Not here   Who waits, and what stays armed (poll.c).
 * Tests      tests/loop/poll_test.c, tests/loop/driver_test.c. */
#include "loop/uvloop.h"

#include <sys/ioctl.h>
#include <unistd.h>

static struct ed_own_poller *own_of(struct ed_poller *poller) {
    return ED_CONTAINER(poller, struct ed_own_poller, poller);
}

static ED_SYSCALL int control(struct ed_loop *loop, int operation, struct ed_own_poller *own) {
    unsigned directions = own->directions;
    struct epoll_event event = {.data.ptr = own};
    event.events = (directions & ED_READABLE ? EPOLLIN : 0u) | (directions & ED_WRITABLE ? EPOLLOUT : 0u);
    if (directions == 0) event.events = EPOLLET;
    return epoll_ctl(loop->set, operation, own->poller.fd, &event) < 0 ? -errno : 0;
}

int ed_set_add(struct ed_loop *loop, struct ed_own_poller *own, unsigned directions) {
    own->directions = directions;
    return control(loop, EPOLL_CTL_ADD, own);
}

static ED_SYSCALL int make_non_blocking(int fd) {
    int on = 1;
    return ioctl(fd, FIONBIO, &on) < 0 ? -errno : 0;
}

void ed_set_remove(struct ed_loop *loop, struct ed_own_poller *own) {
    (void)epoll_ctl(loop->set, EPOLL_CTL_DEL, own->poller.fd, NULL); /* a duplicate of it would keep it there */
    for (int i = 0; i < loop->delivering; i++)
        if (loop->events[i].data.ptr == own) loop->events[i].data.ptr = NULL; /* E3 */
}

int ed_own_poller_open(struct ed_poller *poller) {
    struct ed_loop *loop = ed_loop_of(poller->worker);
    int status = ed_set_add(loop, own_of(poller), 0);
    if (status < 0) return status;
    status = make_non_blocking(poller->fd);
    if (status < 0) ed_set_remove(loop, own_of(poller));
    return status;
}

void ed_own_poller_set(struct ed_poller *poller, unsigned directions) {
    struct ed_loop *loop = ed_loop_of(poller->worker);
    struct ed_own_poller *own = own_of(poller);
    if (own->directions != 0) loop->watched--;
    if (directions != 0) loop->watched++;
    own->directions = directions;
    int status = control(loop, EPOLL_CTL_MOD, own);
    ED_ASSERT(status == 0);
}

void ed_own_poller_close(struct ed_poller *poller) {
    struct ed_loop *loop = ed_loop_of(poller->worker);
    struct ed_own_poller *own = own_of(poller);
    if (own->directions != 0) loop->watched--;
    ed_set_remove(loop, own);
    close(poller->fd);
    poller->closed(poller);
}

/* Another event than that there is something to read. */
static ED_COLD void tell(struct ed_own_poller *own, uint32_t events) {
    if (own->directions == 0) return;
    if (events & EPOLLERR) {
        ed_own_poller_set(&own->poller, 0);
        own->poller.event(&own->poller, 0, true);
        return;
    }
    unsigned ready = (events & EPOLLIN ? ED_READABLE : 0) | (events & EPOLLOUT ? ED_WRITABLE : 0);
    ready &= own->directions;
    if (ready == 0 && (events & EPOLLHUP)) ready = own->directions;
    if (ready != 0) own->poller.event(&own->poller, ready, false);
}

/* How many events it put there. */
static ED_SYSCALL int wait_for_events(struct ed_loop *loop, bool sleeps) {
    for (;;) {
        int count = epoll_wait(loop->set, loop->events, ED_EVENTS_MAX, sleeps ? -1 : 0);
        if (count >= 0) return count;
        ED_ASSERT(errno == EINTR);
    }
}

void ed_set_take(struct ed_loop *loop, bool sleeps) {
    int count = wait_for_events(loop, sleeps);
    loop->delivering = count;
    for (int i = 0; i < count; i++) {
        struct ed_own_poller *own = loop->events[i].data.ptr;
        if (ED_UNLIKELY(own == NULL)) continue;
        uint32_t events = loop->events[i].events;
        if (ED_LIKELY(events == EPOLLIN && (own->directions & ED_READABLE)))
            own->poller.event(&own->poller, ED_READABLE, false);
        else
            tell(own, events);
    }
    loop->delivering = 0;
}
