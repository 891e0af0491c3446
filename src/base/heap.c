#include "base/base.h"

static bool before(const struct ed_heap_node *a, const struct ed_heap_node *b) {
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->seq < b->seq;
}

/* Both are roots; the later one becomes the first child of the earlier one. */
static struct ed_heap_node *meld(struct ed_heap_node *a, struct ed_heap_node *b) {
    if (a == NULL) return b;
    if (b == NULL) return a;
    if (before(b, a)) {
        struct ed_heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (a->child != NULL) a->child->back = b;
    b->back = a;
    a->child = b;
    return a;
}

/* Two passes over a list of siblings: pairs from the left, then one tree from the right. */
static struct ed_heap_node *meld_siblings(struct ed_heap_node *first) {
    struct ed_heap_node *pairs = NULL; /* a stack linked by sibling */
    while (first != NULL) {
        struct ed_heap_node *a = first, *b = first->sibling;
        first = b != NULL ? b->sibling : NULL;
        a->sibling = a->back = NULL;
        if (b != NULL) b->sibling = b->back = NULL;
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    struct ed_heap_node *root = NULL;
    while (pairs != NULL) {
        struct ed_heap_node *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void ed_heap_insert(struct ed_heap *heap, struct ed_heap_node *node) {
    node->child = node->sibling = node->back = NULL;
    heap->root = meld(heap->root, node);
    heap->count++;
}

void ed_heap_remove(struct ed_heap *heap, struct ed_heap_node *node) {
    ED_ASSERT(heap->count > 0);
    heap->count--;
    struct ed_heap_node *below = meld_siblings(node->child);
    if (node == heap->root) {
        heap->root = below;
    } else {
        if (node->back->child == node) {
            node->back->child = node->sibling;
        } else {
            node->back->sibling = node->sibling;
        }
        if (node->sibling != NULL) node->sibling->back = node->back;
        heap->root = meld(heap->root, below);
    }
    node->child = node->sibling = node->back = NULL;
}
