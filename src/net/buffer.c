#include "net/buffer.h"

#include <string.h>

static char *make_block(size_t capacity) {
    size_t *block = ed_alloc(sizeof *block + capacity);
    if (block == NULL) return NULL;
    *block = capacity;
    return (char *)(block + 1);
}

int ed_buffer_grow(struct ed_buffer *buffer, struct ed_buffer_store *store, size_t bytes) {
    size_t size = ed_buffer_size(buffer);
    if (bytes > SIZE_MAX / 4 - size) return EDDY_ENOMEM;
    /* Moving at most half of the block for room that is at least as much keeps the cost a byte constant. */
    if (buffer->begin + ed_buffer_room(buffer) >= bytes && size <= ed_buffer_capacity(buffer) / 2) {
        memmove(buffer->data, ed_buffer_bytes(buffer), size);
        buffer->begin = 0;
        buffer->end = size;
        return 0;
    }
    size_t capacity = ED_BUFFER_BYTES;
    while (capacity < size + bytes) capacity *= 2;
    bool stored = capacity == ED_BUFFER_BYTES && store->first != NULL;
    char *data = stored ? ed_buffer_store_take(store) : make_block(capacity);
    if (data == NULL) return EDDY_ENOMEM;
    if (size > 0) memcpy(data, ed_buffer_bytes(buffer), size);
    ed_buffer_release(buffer, store);
    *buffer = (struct ed_buffer){data, 0, size};
    return 0;
}

void ed_buffer_store_deinit(struct ed_buffer_store *store) {
    while (store->first != NULL) ed_buffer_release(&(struct ed_buffer){ed_buffer_store_take(store), 0, 0}, NULL);
}
