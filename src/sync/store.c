/* store.c: the items of a queue: oldest first, youngest first, or least priority first.
 *
 * Problem    Items come and go under a spin lock: no allocation there, and no copying of many.
 * Idea       Oldest and youngest first: a chain of chunks. Least first: a heap of nodes (base/heap.h), which come from
 *            blocks of the same size and stay until the end. Memory is fetched and freed without the lock: a push that
 *            needs a block says so and is tried again with one. An empty chunk is kept for the next need.
 * Invariants (T1) items lie in [head, head_at) ... (tail, tail_at); with chunks there is always a head.
 *            (T2) ED_PRIORITY: head is the list of blocks, and every node is in the heap or free.
 * Threads    Under the queue's lock, all but block and deinit.
 * Tests      tests/sync/queue_test.c. */
#include "sync/store.h"

enum { CHUNK_ITEMS = 62 }; /* a block and its header of the allocator are 1 KiB */

struct ed_prior {
    struct ed_heap_node node;
    eddy_value item;
};
enum { CHUNK_NODES = CHUNK_ITEMS * sizeof(eddy_value) / sizeof(struct ed_prior) };

struct ed_chunk {
    struct ed_chunk *next, *previous;
    union {
        eddy_value items[CHUNK_ITEMS];
        struct ed_prior nodes[CHUNK_NODES];
    };
};

void ed_store_init(struct ed_store *store, enum ed_order order) { *store = (struct ed_store){.order = order}; }

struct ed_chunk *ed_store_block(void) {
    return ed_alloc(sizeof(struct ed_chunk));
}

void ed_store_deinit(struct ed_store *store) {
    ED_ASSERT(store->count == 0);
    while (store->head != NULL) {
        struct ed_chunk *next = store->head->next;
        ed_free(store->head);
        store->head = next;
    }
    ed_free(store->kept);
}

static struct ed_chunk *take_block(struct ed_store *store, struct ed_chunk **spare) {
    struct ed_chunk **from = store->kept != NULL ? &store->kept : spare;
    struct ed_chunk *block = *from;
    *from = NULL;
    return block;
}

/* ---- priority ------------------------------------------------------------------------------------ */

static bool push_prior(struct ed_store *store, eddy_value item, int64_t priority, struct ed_chunk **spare) {
    if (store->free == NULL) {
        struct ed_chunk *block = take_block(store, spare);
        if (block == NULL) return false;
        block->next = store->head;
        store->head = block;
        for (int i = 0; i < CHUNK_NODES; i++) {
            block->nodes[i].node.sibling = store->free != NULL ? &store->free->node : NULL;
            store->free = &block->nodes[i];
        }
    }
    struct ed_prior *prior = store->free;
    store->free = prior->node.sibling != NULL ? ED_CONTAINER(prior->node.sibling, struct ed_prior, node) : NULL;
    prior->item = item;
    prior->node = (struct ed_heap_node){.when_ns = priority, .seq = store->puts++};
    ed_heap_insert(&store->heap, &prior->node);
    return true;
}

static void pop_prior(struct ed_store *store, eddy_value *item_out) {
    struct ed_heap_node *node = ed_heap_first(&store->heap);
    struct ed_prior *prior = ED_CONTAINER(node, struct ed_prior, node);
    ed_heap_remove(&store->heap, node);
    *item_out = prior->item;
    node->sibling = store->free != NULL ? &store->free->node : NULL;
    store->free = prior;
}

/* ---- a chain of chunks --------------------------------------------------------------------------- */

static bool push_chain(struct ed_store *store, eddy_value item, struct ed_chunk **spare) {
    if (store->tail == NULL || store->tail_at == CHUNK_ITEMS) {
        struct ed_chunk *chunk = take_block(store, spare);
        if (chunk == NULL) return false;
        chunk->next = NULL;
        chunk->previous = store->tail;
        if (store->tail != NULL) {
            store->tail->next = chunk;
        } else {
            store->head = chunk;
        }
        store->tail = chunk;
        store->tail_at = 0;
    }
    store->tail->items[store->tail_at++] = item;
    return true;
}

/* Keeps an empty chunk, or gives it to be freed. */
static struct ed_chunk *keep(struct ed_store *store, struct ed_chunk *empty) {
    if (store->kept != NULL) return empty;
    store->kept = empty;
    return NULL;
}

static struct ed_chunk *pop_oldest(struct ed_store *store, eddy_value *item_out) {
    *item_out = store->head->items[store->head_at++];
    if (store->count == 0) {
        ED_ASSERT(store->head == store->tail && store->head_at == store->tail_at);
        store->head_at = store->tail_at = 0;
    } else if (store->head_at == CHUNK_ITEMS) {
        struct ed_chunk *empty = store->head;
        store->head = empty->next;
        store->head->previous = NULL;
        store->head_at = 0;
        return keep(store, empty);
    }
    return NULL;
}

static struct ed_chunk *pop_youngest(struct ed_store *store, eddy_value *item_out) {
    *item_out = store->tail->items[--store->tail_at];
    if (store->tail_at > 0 || store->tail->previous == NULL) return NULL;
    struct ed_chunk *empty = store->tail;
    store->tail = empty->previous;
    store->tail->next = NULL;
    store->tail_at = CHUNK_ITEMS;
    return keep(store, empty);
}

/* ---- either -------------------------------------------------------------------------------------- */

bool ed_store_push(struct ed_store *store, eddy_value item, int64_t priority, struct ed_chunk **spare) {
    bool pushed =
        store->order == ED_PRIORITY ? push_prior(store, item, priority, spare) : push_chain(store, item, spare);
    if (pushed) store->count++;
    return pushed;
}

struct ed_chunk *ed_store_pop(struct ed_store *store, eddy_value *item_out) {
    ED_ASSERT(store->count > 0);
    store->count--;
    if (store->order == ED_FIFO) return pop_oldest(store, item_out);
    if (store->order == ED_LIFO) return pop_youngest(store, item_out);
    pop_prior(store, item_out);
    return NULL;
}
