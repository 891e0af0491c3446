#include "net/buffer.h"

#include <string.h>

static char *get_block(struct ed_buffer_store *store) {
    if (store->first == NULL) return ed_alloc(ED_BUFFER_BYTES);
    void *block = store->first;
    memcpy(&store->first, block, sizeof store->first);
    store->count--;
    return block;
}

void ed_buffer_release(struct ed_buffer *buffer, struct ed_buffer_store *store) {
    if (buffer->capacity == ED_BUFFER_BYTES && store != NULL && store->count < ED_BUFFERS_STORED_MAX) {
        memcpy(buffer->data, &store->first, sizeof store->first);
        store->first = buffer->data;
        store->count++;
    } else {
        ed_free(buffer->data);
    }
    *buffer = (struct ed_buffer){NULL, 0, 0, 0};
}

int ed_buffer_reserve(struct ed_buffer *buffer, struct ed_buffer_store *store, size_t bytes) {
    size_t size = ed_buffer_size(buffer);
    if (ed_buffer_room(buffer) >= bytes) return 0;
    if (bytes > SIZE_MAX / 4 - size) return EDDY_ENOMEM;
    /* Moving at most half of the block for room that is at least as much keeps the cost a byte constant. */
    if (buffer->begin + ed_buffer_room(buffer) >= bytes && size <= buffer->capacity / 2) {
        memmove(buffer->data, ed_buffer_bytes(buffer), size);
        buffer->begin = 0;
        buffer->end = size;
        return 0;
    }
    size_t capacity = ED_BUFFER_BYTES;
    while (capacity < size + bytes) capacity *= 2;
    char *data = capacity == ED_BUFFER_BYTES ? get_block(store) : ed_alloc(capacity);
    if (data == NULL) return EDDY_ENOMEM;
    if (size > 0) memcpy(data, ed_buffer_bytes(buffer), size);
    ed_buffer_release(buffer, store);
    *buffer = (struct ed_buffer){data, 0, size, capacity};
    return 0;
}

void ed_buffer_store_deinit(struct ed_buffer_store *store) {
    while (store->first != NULL) ed_free(get_block(store));
}
