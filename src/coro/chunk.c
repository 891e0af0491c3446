#include "coro/chunk.h"

#include <pthread.h>

struct slot {
    _Atomic uint64_t sequence;
    _Atomic uintptr_t low;
    _Atomic size_t bytes, stack_bytes, guard_bytes, record_bytes;
};

static struct slot slots[ED_CHUNKS_MAX];
static _Atomic int slots_used; /* slots from here on were never written */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void write_slot(struct slot *slot, const struct ed_chunk *chunk) {
    uint64_t sequence = ED_LOAD_RELAXED(&slot->sequence);
    ED_ASSERT(sequence % 2 == 0);
    ED_STORE_RELAXED(&slot->sequence, sequence + 1);
    ED_STORE_RELEASE(&slot->low, chunk->low); /* release: a reader that sees it sees odd as well */
    ED_STORE_RELEASE(&slot->bytes, chunk->bytes);
    ED_STORE_RELEASE(&slot->stack_bytes, chunk->stack_bytes);
    ED_STORE_RELEASE(&slot->guard_bytes, chunk->guard_bytes);
    ED_STORE_RELEASE(&slot->record_bytes, chunk->record_bytes);
    ED_STORE_RELEASE(&slot->sequence, sequence + 2);
}

static bool read_slot(struct slot *slot, struct ed_chunk *chunk_out) {
    uint64_t sequence = ED_LOAD_ACQUIRE(&slot->sequence);
    if (sequence % 2 != 0) return false;
    chunk_out->low = ED_LOAD_ACQUIRE(&slot->low); /* acquire: the second look comes after */
    chunk_out->bytes = ED_LOAD_ACQUIRE(&slot->bytes);
    chunk_out->stack_bytes = ED_LOAD_ACQUIRE(&slot->stack_bytes);
    chunk_out->guard_bytes = ED_LOAD_ACQUIRE(&slot->guard_bytes);
    chunk_out->record_bytes = ED_LOAD_ACQUIRE(&slot->record_bytes);
    return ED_LOAD_RELAXED(&slot->sequence) == sequence && chunk_out->low != 0;
}

int ed_chunk_add(const struct ed_chunk *chunk) {
    ED_ASSERT(chunk->low != 0);
    ED_ASSERT(chunk->bytes % chunk->stack_bytes == 0);
    ED_ASSERT(chunk->record_bytes % ED_LINE == 0);

    int found = EDDY_ELIMIT;
    pthread_mutex_lock(&lock);
    int used = ED_LOAD_RELAXED(&slots_used);
    for (int i = 0; i < used && found < 0; i++)
        if (ED_LOAD_RELAXED(&slots[i].low) == 0) found = i;
    if (found < 0 && used < ED_CHUNKS_MAX) found = used;
    if (found >= 0) write_slot(&slots[found], chunk);
    if (found == used) ED_STORE_RELEASE(&slots_used, used + 1);
    pthread_mutex_unlock(&lock);
    return found;
}

void ed_chunk_remove(int slot) {
    const struct ed_chunk none = {0};
    pthread_mutex_lock(&lock);
    ED_ASSERT(ED_LOAD_RELAXED(&slots[slot].low) != 0);
    write_slot(&slots[slot], &none);
    pthread_mutex_unlock(&lock);
}

const struct ed_stack *ed_chunk_find(uintptr_t address, size_t *bytes_out, bool *guard_out) {
    int used = ED_LOAD_ACQUIRE(&slots_used);
    for (int i = 0; i < used; i++) {
        struct ed_chunk chunk;
        if (!read_slot(&slots[i], &chunk)) continue;
        if (address < chunk.low || address - chunk.low >= chunk.bytes) continue;
        *guard_out = (address - chunk.low) % chunk.stack_bytes < chunk.guard_bytes;
        *bytes_out = chunk.stack_bytes;
        return ed_chunk_stack(&chunk, (address - chunk.low) / chunk.stack_bytes);
    }
    return NULL;
}
