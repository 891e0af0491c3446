#include "lockfree/deque.h"

#include <string.h>

enum { FIRST_CAPACITY = 64 }; /* 1 KiB each: a worker that never spawns more than that never grows */

static struct ed_deque_ring *ring_create(uint64_t capacity, struct ed_deque_ring *older) {
    struct ed_deque_ring *ring = ed_alloc(sizeof *ring + capacity * sizeof ring->slots[0]);
    if (ring == NULL) return NULL;
    ring->older = older;
    ring->mask = capacity - 1;
    return ring;
}

int ed_deque_init(struct ed_deque *deque) {
    *deque = (struct ed_deque){.own = ed_alloc(FIRST_CAPACITY * sizeof deque->own[0])};
    struct ed_deque_ring *ring = ring_create(FIRST_CAPACITY, NULL);
    if (deque->own == NULL || ring == NULL) {
        ed_free(deque->own);
        ed_free(ring);
        return EDDY_ENOMEM;
    }
    deque->oldest = deque->top = deque->own;
    deque->end = deque->own + FIRST_CAPACITY;
    ED_STORE_RELAXED(&deque->ring, ring);
    return 0;
}

void ed_deque_deinit(struct ed_deque *deque) {
    struct ed_deque_ring *ring = ED_LOAD_RELAXED(&deque->ring);
    while (ring != NULL) {
        struct ed_deque_ring *older = ring->older;
        ed_free(ring);
        ring = older;
    }
    ed_free(deque->own);
}

int ed_deque_grow(struct ed_deque *deque) {
    size_t capacity = (size_t)(deque->end - deque->own), count = (size_t)(deque->top - deque->oldest);
    struct ed_deque_entry *own = deque->own;
    if (count > capacity / 2) {
        capacity *= 2;
        own = ed_alloc(capacity * sizeof own[0]);
        if (own == NULL) return EDDY_ENOMEM;
    }
    memmove(own, deque->oldest, count * sizeof own[0]);
    if (own != deque->own) ed_free(deque->own);
    deque->own = deque->oldest = own;
    deque->top = own + count;
    deque->end = own + capacity;
    return 0;
}

int ed_deque_reserve_shared(struct ed_deque *deque, uint64_t count) {
    struct ed_deque_ring *ring = ED_LOAD_RELAXED(&deque->ring);
    uint64_t head = ED_LOAD_ACQUIRE(&deque->head); /* acquire: takers are done with the slots below it */
    uint64_t needed = deque->tail_own - head + count;
    if (needed <= ring->mask + 1) return 0;
    uint64_t capacity = (ring->mask + 1) * 2;
    while (capacity < needed) capacity *= 2;
    struct ed_deque_ring *grown = ring_create(capacity, ring);
    if (grown == NULL) return EDDY_ENOMEM;
    for (uint64_t i = head; i != deque->tail_own; i++) {
        struct ed_deque_slot *from = &ring->slots[i & ring->mask], *to = &grown->slots[i & grown->mask];
        ED_STORE_RELAXED(&to->hint, ED_LOAD_RELAXED(&from->hint));
        to->seq = from->seq;
    }
    ED_STORE_RELEASE(&deque->ring, grown);
    return 0;
}

void ed_deque_append_shared(struct ed_deque *deque, void *hint, uint64_t seq) {
    struct ed_deque_ring *ring = ED_LOAD_RELAXED(&deque->ring);
    struct ed_deque_slot *slot = &ring->slots[deque->tail_own++ & ring->mask];
    ED_STORE_RELAXED(&slot->hint, hint);
    slot->seq = seq;
}

void ed_deque_publish(struct ed_deque *deque) {
    ED_STORE_SEQCST(&deque->tail, deque->tail_own); /* partner: ed_idle_prepare's last look */
}

bool ed_deque_shared_oldest(struct ed_deque *deque, uint64_t *seq_out) {
    uint64_t head = ED_LOAD_ACQUIRE(&deque->head);
    if (head == deque->tail_own) return false;
    *seq_out = ED_LOAD_RELAXED(&deque->ring)->slots[head & ED_LOAD_RELAXED(&deque->ring)->mask].seq;
    return true;
}

uint64_t ed_deque_shared_count(struct ed_deque *deque) {
    uint64_t head = ED_LOAD_ACQUIRE(&deque->head);
    uint64_t tail = ED_LOAD_SEQCST(&deque->tail);
    return tail > head ? tail - head : 0;
}

void *ed_deque_take(struct ed_deque *deque, bool *lost_out) {
    *lost_out = false;
    uint64_t head = ED_LOAD_ACQUIRE(&deque->head);
    uint64_t tail = ED_LOAD_ACQUIRE(&deque->tail);
    if (head >= tail) return NULL;
    struct ed_deque_ring *ring = ED_LOAD_ACQUIRE(&deque->ring);
    void *hint = ED_LOAD_RELAXED(&ring->slots[head & ring->mask].hint);
    ED_CHAOS(STEAL);
    if (ED_CAS(&deque->head, &head, head + 1)) return hint;
    *lost_out = true;
    return NULL;
}
