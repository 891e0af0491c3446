/* poll.c: who waits for a descriptor: one poller of the driver's, with a waiter slot for each direction.
 *
 * Problem    Asking the kernel to watch a descriptor for each wait costs more than the read it waits for (three
 *            epoll_ctl a request); watching without end makes the loop spin when nobody reads.
 * Idea       Readable interest stays armed after a wait, writable interest goes with the wake that used it.
 *            Readiness that finds no waiter is remembered: the next wait for it returns at once, and its caller makes
 *            the system call. If it comes a second time, and still nobody waits, that direction is dropped: a task that
 *            is put off between its answer and its next read would otherwise cost two changes of what is watched. A
 *            task that was woken and is still queued counts as a waiter: a busy worker polls again before all that it
 *            woke have read.
 * Invariants (P1) `applied` is what the driver watches; changes are gathered during an event and applied once.
 *            (P2) A slot holds a fiber or a notify, never both; it is emptied by whoever wakes it.
 *            (P3) A record outlives its poller and every task that has not yet returned from its wait: `users`
 *            counts those.
 * Errors     On an error condition the driver disarms the poller; what it is nobody knows (the system says that there
 *            is one, not which), so both directions are woken to ask the socket itself.
 * Threads    The worker that opened it.
 * Not here   Watching (poller.c; sim/net.c).
 * Tests      tests/loop/poll_test.c. */
#include "loop/loop.h"
#include "task/task.h"

struct slot {
    void (*ready)(void *arg); /* a notify; NULL: a task waits, or nobody */
    union {
        struct ed_fiber *fiber; /* NULL: nobody      */
        void *arg;              /* of the notify     */
    };
};

/* Directions are bits 1 << enum ed_poll_direction. */
struct ed_poll {
    struct slot slots[2];    /* by enum ed_poll_direction                                      */
    uint8_t wanted;          /* directions to watch; once it is closing, none                  */
    uint8_t applied;         /* directions that the driver watches                             */
    uint8_t woken;           /* directions of which a task was woken and has not yet run       */
    uint8_t seen;            /* directions of which readiness came and found nobody            */
    bool in_event;           /* inside on_event: it applies `wanted` when it is through        */
    bool closing;            /* closed by its owner                                            */
    bool closed;             /* nothing of the driver's needs the record any more              */
    uint32_t users;          /* tasks inside ed_poll_wait, and on_any_event                    */
    struct ed_poller poller; /* last: the driver's part follows                               */
};

_Static_assert(ED_READABLE == 1 << ED_POLL_READ && ED_WRITABLE == 1 << ED_POLL_WRITE, "bits are the driver's");

static const struct ed_driver *driver_of(const struct ed_poll *poll) { return poll->poller.worker->sched->driver; }

static void apply(struct ed_poll *poll) {
    if (poll->in_event || poll->closing || poll->wanted == poll->applied) return;
    poll->applied = poll->wanted;
    driver_of(poll)->poller_set(&poll->poller, poll->wanted);
}

static bool is_empty(const struct slot *slot) { return slot->fiber == NULL && slot->ready == NULL; }

static void deliver(struct ed_poll *poll, enum ed_poll_direction direction, int status) {
    struct slot slot = poll->slots[direction];
    poll->slots[direction] = (struct slot){.ready = NULL};
    if (slot.ready != NULL) {
        slot.ready(slot.arg);
    } else if (slot.fiber != NULL) {
        poll->woken |= (uint8_t)(1 << direction);
        ed_wake(slot.fiber, status);
    }
}

static ED_COLD void leave_closed(struct ed_poll *poll) {
    if (poll->users == 0) ed_free(poll);
}

static inline void leave(struct ed_poll *poll) {
    poll->users--;
    if (ED_UNLIKELY(poll->closed)) leave_closed(poll);
}

static ED_COLD void on_any_event(struct ed_poll *poll, unsigned events, bool disarmed) {
    if (disarmed) {
        poll->applied = 0;
        poll->wanted = 0;
        events = ED_READABLE | ED_WRITABLE;
    }
    poll->in_event = true;
    poll->users++;
    for (int direction = 0; direction < 2; direction++) {
        const uint8_t bit = (uint8_t)(1 << direction);
        if (!(events & bit) || poll->closing) continue;
        if (is_empty(&poll->slots[direction])) {
            if (poll->woken & bit) continue;
            if (poll->seen & bit) poll->wanted &= (uint8_t)~bit;
            poll->seen |= bit;
        } else {
            if (direction == ED_POLL_WRITE) poll->wanted &= (uint8_t)~ED_WRITABLE;
            deliver(poll, direction, 0);
        }
    }
    poll->in_event = false;
    apply(poll);
    leave(poll);
}

/* Nearly always what a task waits for to read has come, and that is all: what is watched stays as it is, and nobody's code
 * runs. */
static ED_HOT void on_event(struct ed_poller *poller, unsigned events, bool disarmed) {
    struct ed_poll *poll = ED_CONTAINER(poller, struct ed_poll, poller);
    struct slot *slot = &poll->slots[ED_POLL_READ];
    if (ED_UNLIKELY(events != ED_READABLE || disarmed || slot->ready != NULL || slot->fiber == NULL)) {
        on_any_event(poll, events, disarmed);
        return;
    }
    struct ed_fiber *fiber = slot->fiber;
    slot->fiber = NULL;
    poll->woken |= ED_READABLE;
    ed_wake(fiber, 0);
}

static void on_closed(struct ed_poller *poller) {
    struct ed_poll *poll = ED_CONTAINER(poller, struct ed_poll, poller);
    poll->closed = true;
    poll->users++;
    leave(poll);
}

int ed_poll_open(struct ed_poll **poll_out, int fd) {
    struct ed_worker *worker = ed_worker_current();
    ED_ASSERT(worker != NULL);
    const struct ed_driver *driver = worker->sched->driver;
    struct ed_poll *poll = ed_calloc(offsetof(struct ed_poll, poller) + driver->poller_bytes);
    if (poll == NULL) return EDDY_ENOMEM;
    poll->poller.worker = worker;
    poll->poller.fd = fd;
    poll->poller.event = on_event;
    poll->poller.closed = on_closed;
    int status = driver->poller_open(&poll->poller);
    if (status < 0) {
        ed_free(poll);
        return status;
    }
    *poll_out = poll;
    return 0;
}

void ed_poll_close(struct ed_poll *poll) {
    ED_ASSERT(ed_worker_current() == poll->poller.worker);
    ED_ASSERT(!poll->closing);
    poll->closing = true;
    poll->wanted = 0;
    for (int direction = 0; direction < 2; direction++) ed_poll_interrupt(poll, direction, EDDY_ECLOSED);
    driver_of(poll)->poller_close(&poll->poller);
}

/* The end of a wait that found nothing. */
static ED_COLD int give_up(struct ed_poll *poll, enum ed_poll_direction direction, int status) {
    const uint8_t bit = (uint8_t)(1 << direction);
    if (!ed_park_woken())
        poll->slots[direction].fiber = NULL;
    else if (status == EDDY_ECANCELED)
        poll->seen |= bit; /* for the next who waits */
    poll->woken &= (uint8_t)~bit;
    leave(poll);
    return status;
}

ED_HOT int ed_poll_wait_on(struct ed_poll *poll, struct ed_fiber *fiber, enum ed_poll_direction direction,
                           const char *reason) {
    ED_ASSERT(ed_fiber_worker(fiber) == poll->poller.worker);
    struct slot *slot = &poll->slots[direction];
    const uint8_t bit = (uint8_t)(1 << direction);
    if (ED_UNLIKELY(!is_empty(slot))) return EDDY_EBUSY;
    if (ED_UNLIKELY(!(poll->wanted & bit) || (poll->seen & bit))) {
        if (poll->closing) return EDDY_ECLOSED;
        if (poll->seen & bit) {
            poll->seen &= (uint8_t)~bit;
            return 0;
        }
        poll->wanted |= bit;
        apply(poll);
    }
    slot->fiber = fiber;
    poll->users++;

    int status = ed_park_for(fiber, reason, false);

    if (ED_UNLIKELY(status < 0)) return give_up(poll, direction, status);
    poll->woken &= (uint8_t)~bit;
    leave(poll);
    return 0;
}

int ed_poll_wait(struct ed_poll *poll, enum ed_poll_direction direction, const char *reason) {
    return ed_poll_wait_on(poll, ed_fiber_current(), direction, reason);
}

void ed_poll_notify(struct ed_poll *poll, enum ed_poll_direction direction, void (*ready)(void *arg), void *arg) {
    struct slot *slot = &poll->slots[direction];
    const uint8_t bit = (uint8_t)(1 << direction);
    ED_ASSERT(is_empty(slot) && !poll->closing);
    slot->ready = ready;
    slot->arg = arg;
    poll->seen &= (uint8_t)~bit; /* watching again tells what is so now */
    poll->wanted |= bit;
    apply(poll);
}

void ed_poll_interrupt(struct ed_poll *poll, enum ed_poll_direction direction, int status) {
    struct slot *slot = &poll->slots[direction];
    if (slot->ready != NULL) *slot = (struct slot){.ready = NULL};
    deliver(poll, direction, status);
}

int ed_poll_fd(const struct ed_poll *poll) { return poll->poller.fd; }
