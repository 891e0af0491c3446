/* channel.c: a bounded channel of elements of one size, between any number of senders and receivers.
 *
 * Problem    A queue's waiter takes the lock a second time when it runs, and a rendezvous has no place to leave an
 *            element at.
 * Idea       Go's (runtime/chan.go): under the lock an element goes from where it is to where it belongs: into the
 *            ring, or straight into the place that a waiting receiver gave; from the ring, or straight from a waiting
 *            sender, whose element moves up into the ring. A waiter that was taken is done when it runs. It stays done:
 *            a cancel that comes with it is left to the next suspension (ed_line.keeps), since a bounded ring may have
 *            no room to take an element back, and a sender cannot call one back.
 * Memory     Elements are copied from and to the callers' memory, also on stacks of tasks of other workers: while a
 *            node is LINKED its task is parked, or on its way out and must take the node back under this lock first.
 * Invariants (K1) a receiver waits => the ring is empty, no sender waits, and the channel is open.
 *            (K2) a sender waits => the ring is full (capacity 0: always), and the channel is open.
 *            But for nodes of a select that was decided elsewhere: they are dead (waitlist.c), and of one and the same
 *            select, which may stand on both sides.
 * Threads    As in eddy/channel.h. Hand-over: waitlist.c. Several at once: select.c.
 * Tests      tests/sync/channel_test.c, select_test.c; tests/model/sync_model.c. */
#include "sync/channel.h"

#include <string.h>

static _Atomic uint64_t ids;

static unsigned char *place(eddy_channel *channel, size_t index) {
    size_t at = channel->head + index;
    return channel->ring + (at < channel->capacity ? at : at - channel->capacity) * channel->element_bytes;
}

/* ---- under the lock -------------------------------------------------------------------------------- */

int ed_channel_send_status(eddy_channel *channel) {
    if (channel->closed) return EDDY_ECLOSED;
    if (channel->count < channel->capacity) return 0;
    return ed_waitlist_first(&channel->receivers) != NULL ? 0 : EDDY_EBUSY;
}

int ed_channel_receive_status(eddy_channel *channel) {
    if (channel->count > 0 || ed_waitlist_first(&channel->senders) != NULL) return 0;
    return channel->closed ? EDDY_ECLOSED : EDDY_EBUSY;
}

bool ed_channel_send_now(eddy_channel *channel, const void *element, struct ed_list *taken) {
    struct ed_waiter *receiver = ed_waitlist_take(&channel->receivers, 0, taken);
    if (receiver != NULL) {
        memcpy(receiver->item, element, channel->element_bytes);
    } else if (channel->count < channel->capacity) {
        memcpy(place(channel, channel->count++), element, channel->element_bytes);
    } else {
        return false;
    }
    return true;
}

bool ed_channel_receive_now(eddy_channel *channel, void *element_out, struct ed_list *taken) {
    if (channel->count > 0) {
        memcpy(element_out, place(channel, 0), channel->element_bytes);
        channel->head = channel->head + 1 < channel->capacity ? channel->head + 1 : 0;
        channel->count--;
        struct ed_waiter *sender = ed_waitlist_take(&channel->senders, 0, taken);
        if (sender != NULL) memcpy(place(channel, channel->count++), sender->item, channel->element_bytes);
        return true;
    }
    struct ed_waiter *sender = ed_waitlist_take(&channel->senders, 0, taken);
    if (sender != NULL) memcpy(element_out, sender->item, channel->element_bytes);
    return sender != NULL;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static void destroy(struct ed_sync *sync) {
    eddy_channel *channel = (eddy_channel *)sync;
    for (size_t i = 0; channel->drop != NULL && i < channel->count; i++)
        channel->drop(EDDY_BYTES(place(channel, i), channel->element_bytes));
    ed_free(channel);
}

eddy_channel *eddy_channel_create(size_t element_bytes, size_t capacity, eddy_drop_fn drop) {
    if (element_bytes == 0 || capacity > SIZE_MAX / 2 / element_bytes) return NULL;
    eddy_channel *channel = ed_alloc(sizeof *channel + capacity * element_bytes);
    if (channel == NULL) return NULL;
    ed_sync_init(&channel->sync, destroy);
    ed_list_init(&channel->senders);
    ed_list_init(&channel->receivers);
    channel->count = channel->head = 0;
    channel->closed = false;
    channel->id = ED_ADD_RELAXED(&ids, 1);
    channel->random = channel->id * 2 + 1;
    channel->element_bytes = element_bytes;
    channel->capacity = capacity;
    channel->drop = drop;
    return channel;
}

void eddy_channel_release(eddy_channel *channel) {
    if (channel != NULL)
        ed_sync_release(&channel->sync, &channel->senders, &channel->receivers, "eddy_channel_release");
}

size_t eddy_channel_size(const eddy_channel *channel) {
    struct ed_spinlock *lock = (struct ed_spinlock *)&channel->sync.lock;
    ed_spinlock_lock(lock);
    size_t count = channel->count;
    ed_spinlock_unlock(lock);
    return count;
}

void eddy_channel_close(eddy_channel *channel) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&channel->sync.lock);
    channel->closed = true;
    ed_waitlist_take_all(&channel->receivers, EDDY_ECLOSED, &taken);
    ed_waitlist_take_all(&channel->senders, EDDY_ECLOSED, &taken);
    ed_spinlock_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
}

/* ---- one at a time --------------------------------------------------------------------------------- */

int eddy_channel_try_send(eddy_channel *channel, const void *element) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&channel->sync.lock);
    int status = channel->closed ? EDDY_ECLOSED : ed_channel_send_now(channel, element, &taken) ? 0 : EDDY_EBUSY;
    ed_spinlock_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

int eddy_channel_try_receive(eddy_channel *channel, void *element_out) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_spinlock_lock(&channel->sync.lock);
    int status = ed_channel_receive_now(channel, element_out, &taken) ? 0 : channel->closed ? EDDY_ECLOSED : EDDY_EBUSY;
    ed_spinlock_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

static bool enter_send(struct ed_sync *sync, void *item) {
    (void)item;
    return ed_channel_send_status((eddy_channel *)sync) != EDDY_EBUSY;
}

static bool enter_receive(struct ed_sync *sync, void *item) {
    (void)item;
    return ed_channel_receive_status((eddy_channel *)sync) != EDDY_EBUSY;
}

int eddy_channel_send(eddy_channel *channel, const void *element) {
    static const struct ed_line line = {.reason = "channel send", .enter = enter_send, .keeps = true};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    int status = eddy_channel_try_send(channel, element);
    if (status != EDDY_EBUSY) return status;
    ed_sync_ref(&channel->sync);
    do {
        status = ed_waitlist_wait(&channel->sync, &channel->senders, &line, (void *)element); /* only read */
        if (status == 1) status = eddy_channel_try_send(channel, element);
    } while (status == EDDY_EBUSY);
    ed_sync_unref(&channel->sync);
    return status;
}

int eddy_channel_receive(eddy_channel *channel, void *element_out) {
    static const struct ed_line line = {.reason = "channel receive", .enter = enter_receive, .keeps = true};
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    int status = eddy_channel_try_receive(channel, element_out);
    if (status != EDDY_EBUSY) return status;
    ed_sync_ref(&channel->sync);
    do {
        status = ed_waitlist_wait(&channel->sync, &channel->receivers, &line, element_out);
        if (status == 1) status = eddy_channel_try_receive(channel, element_out);
    } while (status == EDDY_EBUSY);
    ed_sync_unref(&channel->sync);
    return status;
}
