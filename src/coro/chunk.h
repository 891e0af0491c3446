/* chunk.h: which stack does an address belong to? One table for the process.
 *
 * Problem    A signal handler holds a fault's address and needs the stack, while other threads open
 *            and close arenas. It may take no lock and follow no pointer that could be freed.
 * Idea       A fixed table of chunks, each slot under a sequence count: odd while it is being
 *            written. A reader skips a slot that changes under it: the stack it runs on cannot be
 *            in there.
 * Invariants (K1) A chunk with stacks in use is in the table, its slot's sequence even.
 * Ordering   Writers (under one lock) raise the sequence to odd, release the fields, raise to even;
 *            readers acquire the sequence, the fields, and compare. All fields are atomics.
 * Threads    add and remove: any, not in a signal handler. find: any, also in one. */
#ifndef ED_CORO_CHUNK_H
#define ED_CORO_CHUNK_H

#include "base/base.h"
#include "coro/coro.h"

/* 1 GiB each once an arena has grown: 4 TiB of stacks. */
enum { ED_CHUNKS_MAX = 4096 };

/* Where stacks lie in a chunk. Stack i: [guard page][usable, downwards][record][colour]. */
struct ed_chunk {
    uintptr_t low; /* 0: the slot is free */
    size_t bytes;
    size_t stack_bytes;  /* of one stack, guard and record included */
    size_t guard_bytes;  /* one page                                */
    size_t record_bytes; /* multiple of ED_LINE                     */
};

/* Records are spread over lines of their page: with all at one offset, a walk over many tasks
 * would use one set of the first-level cache. 16 lines of 64 leave 3 KiB of the page for shallow
 * frames. */
enum { ED_STACK_COLOURS = 16 };

static inline struct ed_stack *ed_chunk_stack(const struct ed_chunk *chunk, size_t index) {
    return (struct ed_stack *)(chunk->low + (index + 1) * chunk->stack_bytes - index % ED_STACK_COLOURS * ED_LINE -
                               chunk->record_bytes);
}

int ed_chunk_add(const struct ed_chunk *chunk); /* its slot, or EDDY_ELIMIT: the table is full */
void ed_chunk_remove(int slot);

/* The stack that `address` lies in, NULL if in none; *bytes_out: its size; *guard_out: in its guard. Safe in signals. */
const struct ed_stack *ed_chunk_find(uintptr_t address, size_t *bytes_out, bool *guard_out);

#endif
