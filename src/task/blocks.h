/* blocks.h: memory for records of one size that come and go with callbacks: handles.
 *
 * Problem    malloc and free cost more than all else that a callback's handle needs, and a burst that has gone is paid for
 *            again, page by page, by the next one. Whoever holds a handle may give it back on any thread, also after the
 *            run has ended.
 * Idea       Magazines (Bonwick and Adams 2001): each worker keeps two lists, of which one may be a whole batch; whole
 *            batches change hands under the store's lock. The record says which store it is of. Chunks live as long as the
 *            store, and the store until the run has closed it and the last block is back.
 * Invariants (K1) `out` of the store and of its workers' caches together are the blocks that somebody has.
 *            (K2) cold is empty or a whole batch; hot is shorter than one, or came whole from the store.
 * Threads    A cache is its worker's; the store's fields are under its lock.
 * Sanitizer  With AddressSanitizer each block comes from the heap, so that a late access is seen.
 * Tests      tests/task/blocks_test.c. */
#ifndef ED_TASK_BLOCKS_H
#define ED_TASK_BLOCKS_H

#include "base/base.h"
#include "coro/coro.h"

struct ed_block_store;
struct ed_block { /* how a record begins; behind `store` it is the record's own while somebody has it */
    struct ed_block_store *store;
    struct ed_block *next;       /* in a list */
    struct ed_block *next_batch; /* of the first of a batch */
};

struct ed_block_cache {
    struct ed_block_store *store; /* (c) */
    struct ed_block *hot, *cold;
    unsigned hot_count;
    int64_t out; /* given here less taken back here */
};

int ed_block_store_open(struct ed_block_store **store_out, size_t block_bytes);
/* No cache is left. Goes with the last block. */
void ed_block_store_close(struct ed_block_store *store);
void ed_block_cache_open(struct ed_block_cache *cache, struct ed_block_store *store);
void ed_block_cache_close(struct ed_block_cache *cache);

/* `cache`: of the worker that asks, if it is one of this store, else NULL. Its contents: `store`, else anything. NULL: no memory. */
void *ed_block_get(struct ed_block_store *store, struct ed_block_cache *cache);
void ed_block_put(struct ed_block *block, struct ed_block_cache *cache);

#endif
