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

/* Most elements are a word: copied without a call. */
enum { WORD = 8 };

static inline bool is_word(const eddy_channel *channel) { return ED_LIKELY(channel->element_bytes == WORD); }

static inline void copy(const eddy_channel *channel, void *to, const void *from) {
    if (is_word(channel)) {
        memcpy(to, from, WORD);
    } else {
        memcpy(to, from, channel->element_bytes);
    }
}

static unsigned char *place(eddy_channel *channel, size_t index) {
    size_t at = channel->head + index;
    return channel->ring + (at < channel->capacity ? at : at - channel->capacity) * channel->element_bytes;
}

static inline void drop_oldest(eddy_channel *channel) {
    channel->head = channel->head + 1 < channel->capacity ? channel->head + 1 : 0;
    channel->count--;
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
        copy(channel, receiver->item, element);
    } else if (channel->count < channel->capacity) {
        copy(channel, place(channel, channel->count++), element);
    } else {
        return false;
    }
    return true;
}

bool ed_channel_receive_now(eddy_channel *channel, void *element_out, struct ed_list *taken) {
    if (channel->count > 0) {
        copy(channel, element_out, place(channel, 0));
        drop_oldest(channel);
        struct ed_waiter *sender = ed_waitlist_take(&channel->senders, 0, taken);
        if (sender != NULL) copy(channel, place(channel, channel->count++), sender->item);
        return true;
    }
    struct ed_waiter *sender = ed_waitlist_take(&channel->senders, 0, taken);
    if (sender != NULL) copy(channel, element_out, sender->item);
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
    struct ed_guard *lock = (struct ed_guard *)&channel->sync.lock;
    ed_guard_lock(lock);
    size_t count = channel->count;
    ed_guard_unlock(lock);
    return count;
}

void eddy_channel_close(eddy_channel *channel) {
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&channel->sync.lock);
    channel->closed = true;
    ed_waitlist_take_all(&channel->receivers, EDDY_ECLOSED, &taken);
    ed_waitlist_take_all(&channel->senders, EDDY_ECLOSED, &taken);
    ed_guard_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
}

/* ---- one at a time --------------------------------------------------------------------------------- */

static bool enter_send(struct ed_sync *sync, void *item) {
    (void)item;
    return ed_channel_send_status((eddy_channel *)sync) != EDDY_EBUSY;
}

static bool enter_receive(struct ed_sync *sync, void *item) {
    (void)item;
    return ed_channel_receive_status((eddy_channel *)sync) != EDDY_EBUSY;
}

static const struct ed_line send_line = {.reason = "channel send", .enter = enter_send, .keeps = true, .parts = true};
static const struct ed_line receive_line = {
    .reason = "channel receive", .enter = enter_receive, .keeps = true, .parts = true};

/* With the lock, which they give back. A task that finds nothing to be done at once stands in line before that; the rest,
 * `fiber` NULL, are told that it is busy. */

static __attribute__((noinline)) int send_locked(eddy_channel *channel, const void *element, struct ed_fiber *fiber) {
    struct ed_list taken;
    ed_list_init(&taken);
    int status = channel->closed ? EDDY_ECLOSED : ed_channel_send_now(channel, element, &taken) ? 0 : EDDY_EBUSY;
    if (status == EDDY_EBUSY && fiber != NULL) /* the element is only read */
        return ed_waitlist_stand(&channel->sync, &channel->senders, &send_line, (void *)element, fiber);
    ed_guard_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

static __attribute__((noinline)) int receive_locked(eddy_channel *channel, void *element_out, struct ed_fiber *fiber) {
    struct ed_list taken;
    ed_list_init(&taken);
    int status = ed_channel_receive_now(channel, element_out, &taken) ? 0 : channel->closed ? EDDY_ECLOSED : EDDY_EBUSY;
    if (status == EDDY_EBUSY && fiber != NULL)
        return ed_waitlist_stand(&channel->sync, &channel->receivers, &receive_line, element_out, fiber);
    ed_guard_unlock(&channel->sync.lock);
    ed_waitlist_send(&taken);
    return status;
}

int eddy_channel_try_send(eddy_channel *channel, const void *element) {
    ed_guard_lock(&channel->sync.lock);
    return send_locked(channel, element, NULL);
}

int eddy_channel_try_receive(eddy_channel *channel, void *element_out) {
    ed_guard_lock(&channel->sync.lock);
    return receive_locked(channel, element_out, NULL);
}

static __attribute__((noinline)) int send_any(eddy_channel *channel, const void *element) {
    struct ed_fiber *fiber;
    if (!ed_sync_enter_as(&fiber)) return EDDY_EWRONGTHREAD;
    ed_guard_lock(&channel->sync.lock);
    int status = send_locked(channel, element, fiber);
    while (ED_UNLIKELY(status == EDDY_EBUSY)) { /* a plain thread */
        status = ed_waitlist_wait(&channel->sync, &channel->senders, &send_line, (void *)element);
        if (status == 1) status = eddy_channel_try_send(channel, element);
    }
    return status;
}

static __attribute__((noinline)) int receive_any(eddy_channel *channel, void *element_out) {
    struct ed_fiber *fiber;
    if (!ed_sync_enter_as(&fiber)) return EDDY_EWRONGTHREAD;
    ed_guard_lock(&channel->sync.lock);
    int status = receive_locked(channel, element_out, fiber);
    while (ED_UNLIKELY(status == EDDY_EBUSY)) { /* a plain thread */
        status = ed_waitlist_wait(&channel->sync, &channel->receivers, &receive_line, element_out);
        if (status == 1) status = eddy_channel_try_receive(channel, element_out);
    }
    return status;
}

/* Most calls: a word, by a task of the channel's own worker. Nothing is called from the middle of these, so no register is
 * saved; all else goes on in functions of its own, with the lock or from the beginning. */

ED_RETURN_THUNK;

/* Who comes back from these comes back into other code than that which ran until then, mostly: a receiver after a sender. */
static __attribute__((noinline)) ED_RETURNS_BY_JUMP int stand_to_send(eddy_channel *channel, const void *element,
                                                                      struct ed_fiber *fiber) {
    return ed_waitlist_stand_here(&channel->sync, &channel->senders, &send_line, (void *)element,
                                  fiber); /* only read */
}

static __attribute__((noinline)) ED_RETURNS_BY_JUMP int stand_to_receive(eddy_channel *channel, void *element_out,
                                                                         struct ed_fiber *fiber) {
    return ed_waitlist_stand_here(&channel->sync, &channel->receivers, &receive_line, element_out, fiber);
}

/* From or to one who waited, who is served. */
static __attribute__((noinline)) int pass(eddy_channel *channel, void *to, const void *from, struct ed_strand *served) {
    memcpy(to, from, WORD);
    ed_guard_unlock(&channel->sync.lock);
    ed_waitlist_wake(served);
    return 0;
}

int eddy_channel_send(eddy_channel *channel, const void *element) {
    struct ed_fiber *fiber = ed_sync_enter_own(&channel->sync);
    if (ED_UNLIKELY(fiber == NULL)) return send_any(channel, element);
    if (ED_UNLIKELY(!is_word(channel) || channel->closed)) return send_locked(channel, element, fiber);
    if (ed_list_empty(&channel->receivers)) {
        if (channel->count == channel->capacity) return stand_to_send(channel, element, fiber);
        memcpy(place(channel, channel->count++), element, WORD);
        ed_guard_unlock(&channel->sync.lock);
        return 0;
    }
    struct ed_strand *receiver = ed_waitlist_serve(&channel->receivers);
    if (receiver == NULL) return send_locked(channel, element, fiber);
    return pass(channel, receiver->waiter.item, element, receiver);
}

int eddy_channel_receive(eddy_channel *channel, void *element_out) {
    struct ed_fiber *fiber = ed_sync_enter_own(&channel->sync);
    if (ED_UNLIKELY(fiber == NULL)) return receive_any(channel, element_out);
    if (ED_UNLIKELY(!is_word(channel))) return receive_locked(channel, element_out, fiber);
    bool alone = ed_list_empty(&channel->senders);
    if (channel->count > 0) {
        if (!alone) return receive_locked(channel, element_out, fiber); /* one moves up */
        memcpy(element_out, place(channel, 0), WORD);
        drop_oldest(channel);
        ed_guard_unlock(&channel->sync.lock);
        return 0;
    }
    if (alone && !channel->closed) return stand_to_receive(channel, element_out, fiber);
    struct ed_strand *sender = alone ? NULL : ed_waitlist_serve(&channel->senders);
    if (sender == NULL) return receive_locked(channel, element_out, fiber);
    return pass(channel, element_out, sender->waiter.item, sender);
}
