/* The timers' heap against a sorted array: any sequence of inserts and removals comes out in order of (when, seq). */
#include "base/base.h"
#include "harness/test.h"

#include <stdlib.h>

static uint64_t random_state;
static uint64_t dice(void) {
    uint64_t x = random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return random_state = x;
}

static bool before(const struct ed_heap_node *a, const struct ed_heap_node *b) {
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->seq < b->seq;
}
static int compare(const void *a, const void *b) {
    const struct ed_heap_node *x = *(struct ed_heap_node *const *)a, *y = *(struct ed_heap_node *const *)b;
    return before(x, y) ? -1 : before(y, x);
}

UNIT(heap, empty_one_and_equal) {
    struct ed_heap heap = {0};
    EXPECT(ed_heap_first(&heap) == NULL);
    struct ed_heap_node a = {.when_ns = 5, .seq = 2}, b = {.when_ns = 5, .seq = 1}, c = {.when_ns = -5, .seq = 3};
    ed_heap_insert(&heap, &a);
    EXPECT(ed_heap_first(&heap) == &a);
    ed_heap_insert(&heap, &b);
    EXPECT(ed_heap_first(&heap) == &b); /* equal deadlines: the earlier sequence number */
    ed_heap_insert(&heap, &c);
    EXPECT(ed_heap_first(&heap) == &c);
    EXPECT_EQ(3, heap.count);
    ed_heap_remove(&heap, &b);
    ed_heap_remove(&heap, &c);
    EXPECT(ed_heap_first(&heap) == &a);
    ed_heap_remove(&heap, &a);
    EXPECT(ed_heap_first(&heap) == NULL);
    EXPECT_EQ(0, heap.count);
}

/* Inserts and removes at random; after each step the first is the least of an array that is kept beside it. */
UNIT(heap, same_as_an_array_under_random_steps) {
    enum { NODES = 300 };
    static struct ed_heap_node nodes[NODES];
    static bool in[NODES];
    struct ed_heap heap = {0};
    size_t count = 0;
    random_state = 88172645463325252u;
    for (uint64_t step = 0; step < 200000; step++) {
        size_t i = dice() % NODES;
        if (in[i]) {
            ed_heap_remove(&heap, &nodes[i]);
            count--;
        } else {
            nodes[i].when_ns = (int64_t)(dice() % 50); /* many are equal */
            nodes[i].seq = step;
            ed_heap_insert(&heap, &nodes[i]);
            count++;
        }
        in[i] = !in[i];
        EXPECT_EQ(count, heap.count);
        if (step % 16 != 0) continue;
        const struct ed_heap_node *least = NULL;
        for (size_t k = 0; k < NODES; k++)
            if (in[k] && (least == NULL || before(&nodes[k], least))) least = &nodes[k];
        EXPECT(ed_heap_first(&heap) == least);
    }
}

/* Drained, it gives everything in order: sorted input, reversed input, random input. */
UNIT(heap, drains_in_order) {
    enum { NODES = 20000 };
    struct ed_heap_node *nodes = calloc(NODES, sizeof *nodes), **sorted = calloc(NODES, sizeof *sorted);
    random_state = 1;
    for (int form = 0; form < 3; form++) {
        struct ed_heap heap = {0};
        for (int i = 0; i < NODES; i++) {
            nodes[i].when_ns = form == 0 ? i : form == 1 ? NODES - i : (int64_t)(dice() % 1000);
            nodes[i].seq = (uint64_t)i;
            sorted[i] = &nodes[i];
            ed_heap_insert(&heap, &nodes[i]);
        }
        qsort(sorted, NODES, sizeof *sorted, compare);
        for (int i = 0; i < NODES; i++) {
            EXPECT(ed_heap_first(&heap) == sorted[i]);
            ed_heap_remove(&heap, ed_heap_first(&heap));
        }
        EXPECT(ed_heap_first(&heap) == NULL);
    }
    free(nodes);
    free(sorted);
}
