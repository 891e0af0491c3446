/* eddy/channel.h: channels: typed, bounded, between any number of tasks and threads; and select over several.
 *
 *     EDDY_CHANNEL(orders, struct order);                 a type, and its functions
 *     orders channel = orders_create(16, NULL);
 *     status = orders_send(channel, order);               in one task
 *     status = orders_receive(channel, &order);           in another
 *
 * What eddy/sync.h says about life, status, plain threads and cost holds here too. Beyond asyncio; the rules are Go's,
 * but for a send on a closed channel, which fails.
 *
 * Elements   are copied, once on each way, under a spin lock: keep them small, or send pointers.
 * Order      Elements come out in the order they went in. Who waits is served first come, first served.
 * Cancel     A call that returns EDDY_ECANCELED did nothing. One that was served in the same moment stays done: it
 *            returns 0, and the request is delivered by the next call that suspends. */
#ifndef EDDY_CHANNEL_H
#define EDDY_CHANNEL_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

typedef struct eddy_channel eddy_channel;

/** A channel for elements of `element_bytes` (> 0).
 *  @param capacity  Elements that fit in without a receiver; 0: a send ends when a receiver has the element
 *                   (rendezvous).
 *  @param drop      May be NULL. Runs once on each element that is left at the release, oldest first, on its thread:
 *                   .ptr is its place, valid for the call, .size its bytes.
 *  @return          NULL: no memory, or no size. */
EDDY_API eddy_channel *eddy_channel_create(size_t element_bytes, size_t capacity, eddy_drop_fn drop) EDDY_ANY_THREAD;
EDDY_API void eddy_channel_release(eddy_channel *channel) EDDY_ANY_THREAD;

/** Sends a copy of what `element` points to.
 *  @param element  Borrowed: must stay until the call returns.
 *  @return         0; EDDY_ECANCELED, EDDY_ECLOSED: not sent.
 *  Waits: while the channel is full; without capacity, for a receiver.  Source: Go's `c <- x`. */
EDDY_API int eddy_channel_send(eddy_channel *channel, const void *element) EDDY_WAITS;
/** The same, never waiting. @return also EDDY_EBUSY. */
EDDY_API int eddy_channel_try_send(eddy_channel *channel, const void *element) EDDY_ANY_THREAD;

/** Receives the oldest element.
 *  @param element_out  Borrowed: must stay until the call returns. Written when 0 is returned.
 *  @return             0; EDDY_ECANCELED: none; EDDY_ECLOSED once the channel is closed and empty.
 *  Waits: while there is none.  Source: Go's `x = <-c`. */
EDDY_API int eddy_channel_receive(eddy_channel *channel, void *element_out) EDDY_WAITS;
/** The same, never waiting. @return also EDDY_EBUSY. */
EDDY_API int eddy_channel_try_receive(eddy_channel *channel, void *element_out) EDDY_ANY_THREAD;

/** Sends fail from now on with EDDY_ECLOSED, those that wait too; receives when the last element is gone. Idempotent.
 *  Never suspends. Source: Go's close. */
EDDY_API void eddy_channel_close(eddy_channel *channel) EDDY_ANY_THREAD;
/** Elements in it. Out of date at once where others use it. */
EDDY_API size_t eddy_channel_size(const eddy_channel *channel) EDDY_ANY_THREAD;

/* ---- select ----------------------------------------------------------------------------------- */

enum {
    EDDY_SELECT_MAX = 16
}; /**< cases of one select: their order and lots lie on the stack, all their locks are held */

/** Something to be done with a channel: exactly one of `send` and `receive` is not NULL. */
typedef struct eddy_select_case {
    eddy_channel *channel; /**< NULL: this case is never ready                          */
    const void *send;      /**< an element to send                                      */
    void *receive;         /**< where an element is to be received to                   */
    int status;            /**< written in the case that was done: 0, or EDDY_ECLOSED    */
} eddy_select_case;

static inline eddy_select_case eddy_case_send(eddy_channel *channel, const void *element) {
    eddy_select_case one = {channel, element, NULL, 0};
    return one;
}
static inline eddy_select_case eddy_case_receive(eddy_channel *channel, void *element_out) {
    eddy_select_case one = {channel, NULL, element_out, 0};
    return one;
}

/** Does exactly one of the cases: one that is ready, by lot if several are, or else the first that gets ready. A closed
 *  channel is ready: its case ends with EDDY_ECLOSED as `status`.
 *  @param cases  Borrowed, and the elements they point to. A channel may stand in several.
 *  @param count  At most EDDY_SELECT_MAX, one of them with a channel.
 *  @return       The index of the case; EDDY_ECANCELED, EDDY_ENOMEM: none was done; EDDY_EINVAL.
 *  Waits: while none is ready.  Cost: where it waits, one allocation.  Source: Go's select. */
EDDY_API int eddy_select(eddy_select_case *cases, size_t count) EDDY_WAITS;
/** The same, never waiting. @return also EDDY_EBUSY. Source: Go's select with a default. */
EDDY_API int eddy_try_select(eddy_select_case *cases, size_t count) EDDY_ANY_THREAD;

EDDY_END_DECLS

/* ---- types ------------------------------------------------------------------------------------ */

#if defined(__GNUC__)
#define EDDY_TYPED_ __attribute__((unused)) static inline
#else
#define EDDY_TYPED_ static inline
#endif

/** Makes `name` a channel of elements of `type`, with functions name_create, name_release, name_send, name_try_send,
 *  name_receive, name_try_receive, name_close, name_case_send and name_case_receive: those above, for this type. `.any`
 *  is the channel itself, NULL where there was no memory. At file scope; ends in a semicolon. */
#define EDDY_CHANNEL(name, type)                                                                                 \
    typedef struct name {                                                                                        \
        eddy_channel *any;                                                                                       \
    } name;                                                                                                      \
    EDDY_TYPED_ name name##_create(size_t capacity, eddy_drop_fn drop) {                                         \
        name channel = {eddy_channel_create(sizeof(type), capacity, drop)};                                      \
        return channel;                                                                                          \
    }                                                                                                            \
    EDDY_TYPED_ void name##_release(name channel) { eddy_channel_release(channel.any); }                         \
    EDDY_TYPED_ void name##_close(name channel) { eddy_channel_close(channel.any); }                             \
    EDDY_TYPED_ int name##_send(name channel, type element) { return eddy_channel_send(channel.any, &element); } \
    EDDY_TYPED_ int name##_try_send(name channel, type element) {                                                \
        return eddy_channel_try_send(channel.any, &element);                                                     \
    }                                                                                                            \
    EDDY_TYPED_ int name##_receive(name channel, type *element_out) {                                            \
        return eddy_channel_receive(channel.any, element_out);                                                   \
    }                                                                                                            \
    EDDY_TYPED_ int name##_try_receive(name channel, type *element_out) {                                        \
        return eddy_channel_try_receive(channel.any, element_out);                                               \
    }                                                                                                            \
    EDDY_TYPED_ eddy_select_case name##_case_send(name channel, const type *element) {                           \
        return eddy_case_send(channel.any, element);                                                             \
    }                                                                                                            \
    EDDY_TYPED_ eddy_select_case name##_case_receive(name channel, type *element_out) {                          \
        return eddy_case_receive(channel.any, element_out);                                                      \
    }                                                                                                            \
    struct name

#endif
