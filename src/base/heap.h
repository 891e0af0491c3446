/* heap.h: an intrusive pairing heap of timers: the earliest (when_ns, seq) first.
 *
 * Problem    A timer must be armed and disarmed without allocating (a wake-up never fails), and equal
 *            deadlines must come out in the order they went in.
 * Idea       Pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): the node lies in the timer, insert
 *            and find-min are O(1), removal of any node O(log n) amortized; cancelled timers leave at
 *            once, so memory is bounded by what is armed.
 * Threads    One owner. Nothing here allocates.
 * Tests      tests/base/heap_test.c against a sorted array. */
#ifndef ED_BASE_HEAP_H
#define ED_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ed_heap_node {
    struct ed_heap_node *child, *sibling; /* first child; next sibling */
    struct ed_heap_node *back;            /* previous sibling, or parent for a first child; NULL at the root */
    int64_t when_ns;
    uint64_t seq;
};

struct ed_heap {
    struct ed_heap_node *root;
    size_t count;
};

static inline struct ed_heap_node *ed_heap_first(const struct ed_heap *heap) { return heap->root; }
void ed_heap_insert(struct ed_heap *heap, struct ed_heap_node *node);
void ed_heap_remove(struct ed_heap *heap, struct ed_heap_node *node);

#endif
