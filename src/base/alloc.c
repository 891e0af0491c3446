#include "base/base.h"

#include <stdlib.h>
#include <string.h>

struct header {
    _Alignas(16) size_t bytes;
};

static _Atomic int64_t live_bytes;
static _Atomic int64_t fail_at;

static int fails_now(void) {
    if (ED_LIKELY(ED_LOAD_RELAXED(&fail_at) <= 0)) return 0;
    return ED_SUB(&fail_at, 1) == 1;
}

void *ed_alloc(size_t bytes) {
    if (fails_now()) return NULL;
    struct header *header = malloc(sizeof *header + bytes);
    if (header == NULL) return NULL;
    header->bytes = bytes;
    ED_ADD_RELAXED(&live_bytes, (int64_t)bytes);
    return header + 1;
}

void *ed_calloc(size_t bytes) {
    void *block = ed_alloc(bytes);
    if (block != NULL) memset(block, 0, bytes);
    return block;
}

void *ed_realloc(void *block, size_t bytes) {
    if (block == NULL) return ed_alloc(bytes);
    if (fails_now()) return NULL;
    struct header *header = (struct header *)block - 1;
    size_t before = header->bytes;
    header = realloc(header, sizeof *header + bytes);
    if (header == NULL) return NULL;
    header->bytes = bytes;
    ED_ADD_RELAXED(&live_bytes, (int64_t)bytes - (int64_t)before);
    return header + 1;
}

void ed_free(void *block) {
    if (block == NULL) return;
    struct header *header = (struct header *)block - 1;
    ED_ADD_RELAXED(&live_bytes, -(int64_t)header->bytes);
    free(header);
}

/* A block with room to shift: what the block was lies right before what is given. */
void *ed_alloc_aligned(size_t alignment, size_t bytes) {
    char *block = ed_alloc(bytes + alignment + sizeof(void *));
    if (block == NULL) return NULL;
    uintptr_t at = ((uintptr_t)block + sizeof(void *) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    ((void **)at)[-1] = block;
    return (void *)at;
}

void ed_free_aligned(void *block) {
    if (block != NULL) ed_free(((void **)block)[-1]);
}

char *ed_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = ed_alloc(bytes);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

int64_t ed_alloc_live_bytes(void) { return ED_LOAD_RELAXED(&live_bytes); }

void ed_alloc_fail_at(int64_t nth) { ED_STORE_RELAXED(&fail_at, nth); }

int64_t ed_alloc_fail_remaining(void) {
    const int64_t left = ED_LOAD_RELAXED(&fail_at);
    return left > 0 ? left : 0; /* below 0 where several threads counted down at once: one of them failed */
}
