/* channel.h: what select.c may know of a channel. See channel.c. */
#ifndef ED_SYNC_CHANNEL_H
#define ED_SYNC_CHANNEL_H

#include "sync/sync.h"
#include "sync/waitlist.h"

struct eddy_channel {
    struct ed_sync sync;               /* first                                                                  */
    struct ed_list senders, receivers; /* under lock: item is the element to send, or the place for the one got  */
    size_t count, head;                /* under lock: elements in the ring, index of the oldest                  */
    bool closed;                       /* under lock                                                             */
    uint64_t random;                   /* under lock: xorshift state for select                                  */
    uint64_t id;                       /* (c) order in which select takes locks                                  */
    size_t element_bytes, capacity;    /* (c)                                                                    */
    eddy_drop_fn drop;                 /* (c)                                                                    */
    _Alignas(max_align_t) unsigned char ring[];
};

/* All under the lock. What can be done at once: 0: probably; EDDY_ECLOSED; EDDY_EBUSY: nothing. */
int ed_channel_send_status(eddy_channel *channel);
int ed_channel_receive_status(eddy_channel *channel);
/* Does it, if it is not closed. False: it cannot be done after all. */
bool ed_channel_send_now(eddy_channel *channel, const void *element, struct ed_list *taken);
bool ed_channel_receive_now(eddy_channel *channel, void *element_out, struct ed_list *taken);

#endif
