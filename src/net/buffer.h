/* buffer.h: the bytes a stream holds, and the worker's store of empty buffers.
 *
 * Idea       One block with a window that moves forward. An empty buffer holds no block; blocks of the usual size
 *            go back to the worker, because active streams take and give one for every request.
 * Block      Its capacity lies before its bytes, of which the first is `data`: a stream whose buffers are empty has no room for it.
 * Invariants (B1) begin <= end <= capacity; that is 0 <=> data == NULL.
 * Threads    The stream's home worker; freeing: any. */
#ifndef ED_NET_BUFFER_H
#define ED_NET_BUFFER_H

#include "base/base.h"

#include <string.h>

/* What one read asks for. 16 KiB: four pages, more than nearly all requests; 64 in store are 1 MiB a worker. */
enum { ED_BUFFER_BYTES = 16 * 1024, ED_BUFFERS_STORED_MAX = 64 };

struct ed_buffer {
    char *data;
    size_t begin, end;
};

struct ed_buffer_store {
    void *first; /* bytes of blocks of ED_BUFFER_BYTES, each beginning with a pointer to the next */
    unsigned count;
};

static inline size_t ed_buffer_size(const struct ed_buffer *buffer) { return buffer->end - buffer->begin; }
static inline size_t ed_block_capacity(const char *block) { return ((const size_t *)(const void *)block)[-1]; }
static inline size_t ed_buffer_capacity(const struct ed_buffer *buffer) {
    return buffer->data != NULL ? ed_block_capacity(buffer->data) : 0;
}
static inline size_t ed_buffer_room(const struct ed_buffer *buffer) { return ed_buffer_capacity(buffer) - buffer->end; }
static inline char *ed_buffer_bytes(const struct ed_buffer *buffer) { return buffer->data + buffer->begin; }
static inline void ed_buffer_consume(struct ed_buffer *buffer, size_t bytes) {
    ED_ASSERT(bytes <= ed_buffer_size(buffer));
    buffer->begin += bytes;
}

/* Takes a block of the usual size; the store is not empty. */
static inline char *ed_buffer_store_take(struct ed_buffer_store *store) {
    char *block = store->first;
    memcpy(&store->first, block, sizeof store->first);
    store->count--;
    return block;
}

/* ed_buffer_reserve where that needs another block, or a move. */
int ed_buffer_grow(struct ed_buffer *buffer, struct ed_buffer_store *store, size_t bytes);

/* Makes room for `bytes` more behind the end. 0 or EDDY_ENOMEM (unchanged). */
static inline int ed_buffer_reserve(struct ed_buffer *buffer, struct ed_buffer_store *store, size_t bytes) {
    if (ed_buffer_room(buffer) >= bytes) return 0;
    if (buffer->data != NULL || bytes > ED_BUFFER_BYTES || store->first == NULL)
        return ed_buffer_grow(buffer, store, bytes);
    *buffer = (struct ed_buffer){ed_buffer_store_take(store), 0, 0};
    return 0;
}

/* Gives the block back that it holds; store NULL: to the heap. */
static inline void ed_buffer_release_block(struct ed_buffer *buffer, struct ed_buffer_store *store) {
    char *block = buffer->data;
    if (ED_LIKELY(ed_block_capacity(block) == ED_BUFFER_BYTES && store != NULL &&
                  store->count < ED_BUFFERS_STORED_MAX)) {
        memcpy(block, &store->first, sizeof store->first);
        store->first = block;
        store->count++;
    } else {
        ed_free((size_t *)(void *)block - 1);
    }
    *buffer = (struct ed_buffer){NULL, 0, 0};
}
/* The same, if it holds one. */
static inline void ed_buffer_release(struct ed_buffer *buffer, struct ed_buffer_store *store) {
    if (buffer->data != NULL) ed_buffer_release_block(buffer, store);
}

void ed_buffer_store_deinit(struct ed_buffer_store *store);

#endif
