#include "task/blocks.h"

#include "lockfree/lockfree.h"

enum { BATCH = 64 }; /* of a chunk too */

struct chunk {
    struct chunk *next;
    _Alignas(16) char blocks[];
};

struct ed_block_store {
    size_t block_bytes; /* (c) */
    struct ed_spinlock lock;
    struct chunk *chunks;
    struct ed_block *batches; /* whole ones, by next_batch */
    struct ed_block *loose;   /* what threads without a cache gave back */
    int64_t out;
    bool closed;
};

int ed_block_store_open(struct ed_block_store **store_out, size_t block_bytes) {
    ED_ASSERT(block_bytes >= sizeof(struct ed_block) && block_bytes % _Alignof(struct ed_block) == 0);
    struct ed_block_store *store = ed_calloc(sizeof *store);
    if (store == NULL) return EDDY_ENOMEM;
    store->block_bytes = block_bytes;
    ed_spinlock_init(&store->lock);
    *store_out = store;
    return 0;
}

static void destroy(struct ed_block_store *store) {
    while (store->chunks != NULL) {
        struct chunk *chunk = store->chunks;
        store->chunks = chunk->next;
        ed_free(chunk);
    }
    ed_free(store);
}

/* `more` blocks are out, and maybe the last is back. */
static void unlock_counted(struct ed_block_store *store, int64_t more) {
    store->out += more;
    const bool over = store->closed && store->out == 0;
    ed_spinlock_unlock(&store->lock);
    if (over) destroy(store);
}

void ed_block_store_close(struct ed_block_store *store) {
    ed_spinlock_lock(&store->lock);
    store->closed = true;
    unlock_counted(store, 0);
}

void ed_block_cache_open(struct ed_block_cache *cache, struct ed_block_store *store) {
    *cache = (struct ed_block_cache){.store = store};
}

void ed_block_cache_close(struct ed_block_cache *cache) {
    ed_spinlock_lock(&cache->store->lock); /* its blocks are in their chunks, and nobody asks for one any more */
    unlock_counted(cache->store, cache->out);
}

#ifdef ED_CORO_ASAN

void *ed_block_get(struct ed_block_store *store, struct ed_block_cache *cache) {
    struct ed_block *block = ed_alloc(store->block_bytes);
    if (block == NULL) return NULL;
    block->store = store;
    if (cache != NULL) {
        cache->out++;
        return block;
    }
    ed_spinlock_lock(&store->lock);
    unlock_counted(store, 1);
    return block;
}

void ed_block_put(struct ed_block *block, struct ed_block_cache *cache) {
    struct ed_block_store *store = block->store;
    ed_free(block);
    if (cache != NULL) {
        cache->out--;
        return;
    }
    ed_spinlock_lock(&store->lock);
    unlock_counted(store, -1);
}

#else

static struct ed_block *pop(struct ed_block **list) {
    struct ed_block *block = *list;
    if (block != NULL) *list = block->next;
    return block;
}

static struct ed_block *new_batch(struct ed_block_store *store) {
    struct chunk *chunk = ed_alloc(sizeof *chunk + BATCH * store->block_bytes);
    if (chunk == NULL) return NULL;
    struct ed_block *batch = NULL;
    for (int i = BATCH - 1; i >= 0; i--) {
        struct ed_block *block = (struct ed_block *)(chunk->blocks + (size_t)i * store->block_bytes);
        block->store = store;
        block->next = batch;
        batch = block;
    }
    ed_spinlock_lock(&store->lock);
    chunk->next = store->chunks;
    store->chunks = chunk;
    ed_spinlock_unlock(&store->lock);
    return batch;
}

/* Fills an empty cache: with its cold batch, one of the store, what lies loose there, or a new chunk. */
static ED_COLD bool refill(struct ed_block_cache *cache) {
    struct ed_block_store *store = cache->store;
    cache->hot_count = BATCH;
    cache->hot = cache->cold;
    cache->cold = NULL;
    if (cache->hot != NULL) return true;
    ed_spinlock_lock(&store->lock);
    cache->hot = store->batches;
    if (cache->hot != NULL) {
        store->batches = cache->hot->next_batch;
    } else {
        struct ed_block *block;
        for (cache->hot_count = 0; cache->hot_count < BATCH && (block = pop(&store->loose)) != NULL;
             cache->hot_count++) {
            block->next = cache->hot;
            cache->hot = block;
        }
    }
    ed_spinlock_unlock(&store->lock);
    if (cache->hot != NULL) return true;
    cache->hot = new_batch(store);
    cache->hot_count = cache->hot != NULL ? BATCH : 0;
    return cache->hot != NULL;
}

/* Hot has become a whole batch. */
static ED_COLD void spill(struct ed_block_cache *cache) {
    struct ed_block_store *store = cache->store;
    if (cache->cold != NULL) {
        ed_spinlock_lock(&store->lock);
        cache->cold->next_batch = store->batches;
        store->batches = cache->cold;
        ed_spinlock_unlock(&store->lock);
    }
    cache->cold = cache->hot;
    cache->hot = NULL;
    cache->hot_count = 0;
}

/* Of what is loose; else a batch becomes that. */
static ED_COLD void *get_by_visitor(struct ed_block_store *store) {
    ed_spinlock_lock(&store->lock);
    if (store->loose == NULL && store->batches != NULL) {
        store->loose = store->batches;
        store->batches = store->batches->next_batch;
    }
    struct ed_block *block = pop(&store->loose);
    unlock_counted(store, block != NULL);
    if (block != NULL) return block;
    struct ed_block *batch = new_batch(store);
    if (batch == NULL) return NULL;
    block = pop(&batch);
    ed_spinlock_lock(&store->lock);
    for (struct ed_block *rest; (rest = pop(&batch)) != NULL;) { /* others may have brought some meanwhile */
        rest->next = store->loose;
        store->loose = rest;
    }
    unlock_counted(store, 1);
    return block;
}

static ED_COLD void put_by_visitor(struct ed_block *block) {
    struct ed_block_store *store = block->store;
    ed_spinlock_lock(&store->lock);
    block->next = store->loose;
    store->loose = block;
    unlock_counted(store, -1);
}

void *ed_block_get(struct ed_block_store *store, struct ed_block_cache *cache) {
    if (ED_UNLIKELY(cache == NULL)) return get_by_visitor(store);
    if (ED_UNLIKELY(cache->hot == NULL && !refill(cache))) return NULL;
    struct ed_block *block = pop(&cache->hot);
    cache->hot_count--;
    cache->out++;
    return block;
}

void ed_block_put(struct ed_block *block, struct ed_block_cache *cache) {
    if (ED_UNLIKELY(cache == NULL)) {
        put_by_visitor(block);
        return;
    }
    block->next = cache->hot;
    cache->hot = block;
    cache->out--;
    if (ED_UNLIKELY(++cache->hot_count >= BATCH)) spill(cache);
}

#endif
