/* store.h: the items of a queue, in its order. See store.c. */
#ifndef ED_SYNC_STORE_H
#define ED_SYNC_STORE_H

#include "base/base.h"

enum ed_order { ED_FIFO, ED_LIFO, ED_PRIORITY };

struct ed_store {
    enum ed_order order;                 /* (c)                                                          */
    size_t count;                        /* items                                                        */
    struct ed_chunk *head, *tail, *kept; /* oldest items, youngest items; an empty chunk                 */
    unsigned head_at, tail_at;           /* the oldest item in head, one behind the youngest in tail     */
    struct ed_heap heap;                 /* ED_PRIORITY: (priority, order of the puts)                   */
    struct ed_prior *free;               /* ED_PRIORITY: nodes without an item, through heap.sibling     */
    uint64_t puts;
};

void ed_store_init(struct ed_store *store, enum ed_order order);
/* Frees the memory of an empty one. */
void ed_store_deinit(struct ed_store *store);

/* A block for ed_store_push; NULL: no memory. ed_free gives it back. */
struct ed_chunk *ed_store_block(void);
/* Adds an item, using *spare if it needs a block (NULL afterwards). False: it needs one, and there is none. */
bool ed_store_push(struct ed_store *store, eddy_value item, int64_t priority, struct ed_chunk **spare);
/* Takes the next item out; there is one. Gives a block that is to be freed, or NULL. */
struct ed_chunk *ed_store_pop(struct ed_store *store, eddy_value *item_out);

#endif
