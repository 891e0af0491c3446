/* timers.c: deadlines of one worker.
 *
 * Problem    A million timers, nearly all of which are stopped long before they are due: starting and stopping one must
 *            cost next to nothing, touch nothing that lies far off in memory, and never fail. The few that come due must
 *            fire in exact order, by deadline and then by start, to the nanosecond.
 * Idea       A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7) in front of a heap. The wheel does not fire: a
 *            far timer lies in the slot that its deadline falls into, in a list, in no order; what comes within the
 *            next millisecond is in the heap (base/heap.h), which has the order. When the clock reaches a slot its timers
 *            move one level down, or into the heap. A list's neighbours were mostly started right after each other, so
 *            they lie near each other too, where a heap's are anywhere.
 * Place      Level L has 64 slots of 2^(20 + 6L) ns. The level of a deadline is that of the highest bit in which it differs
 *            from the position, its slot is its own six bits there. So all in one level are before all in the next, and
 *            in a level the slots are in order: the first timer is in the lowest slot of the lowest level in use.
 * Invariants (T1) A timer is far exactly if its deadline lies behind the finest slot that position_ns lies in, judged when it
 *            was placed; all that are near are before all that are far.
 *            (T2) A far timer's slot is what (Place) says of the position now: the position moves, never back, to
 *            the beginning of the first slot in use, whose timers are then placed anew, or to a moment before it.
 *            (T3) look_ns <= every deadline in the heap, and <= the beginning of every slot in use.
 *            (T4) least_ns <= every deadline in its slot: it is not raised when one is stopped. So a worker may wake for
 *            a timer that is gone, once: the slot has begun by then, and its timers are placed anew.
 * Order      Lists are first in, first out, and a slot of level 0 enters the heap from its end: timers that were started in
 *            order of their deadlines, as equal sleeps are, become a heap that is one chain, out of which each comes
 *            in a constant time. Others cost O(log n) of those in the same millisecond.
 * Cost       Start, stop: O(1). In a life that ends by firing: at most 8 moves, and the heap.
 * Threads    The owner.
 * Tests      tests/sched/timers_test.c against an array; tests/contract/loop_test.c (L1, L2, L3). */
#include "sched/sched.h"

static struct ed_timer *timer_of(struct ed_list *link) { return ED_CONTAINER(link, struct ed_timer, link); }
static bool is_far(const struct ed_timer *timer) { return timer->node.back == &timer->node; }

static unsigned shift_of(unsigned level) { return ED_WHEEL_FINEST_BITS + level * ED_WHEEL_SLOT_BITS; }

/* The first slot in use; there is one. */
static unsigned first_level(const struct ed_timers *timers) { return (unsigned)__builtin_ctz(timers->levels); }
static unsigned first_slot(const struct ed_timers *timers, unsigned level) {
    return (unsigned)__builtin_ctzll(timers->slots_used[level]);
}

/* When a slot begins: the position's bits above the level, the slot's own, then zeros. */
static int64_t beginning(const struct ed_timers *timers, unsigned level, unsigned slot) {
    uint64_t above = shift_of(level) + ED_WHEEL_SLOT_BITS < 63
                         ? (uint64_t)timers->position_ns >> (shift_of(level) + ED_WHEEL_SLOT_BITS)
                         : 0;
    return (int64_t)((above << ED_WHEEL_SLOT_BITS | slot) << shift_of(level));
}

static void place(struct ed_timers *timers, struct ed_timer *timer) {
    const int64_t when_ns = timer->node.when_ns;
    const uint64_t differs = (uint64_t)(when_ns ^ timers->position_ns) >> ED_WHEEL_FINEST_BITS;
    if (when_ns < timers->position_ns || differs == 0) {
        if (when_ns < timers->look_ns) timers->look_ns = when_ns;
        ed_heap_insert(&timers->near, &timer->node);
        return;
    }
    const unsigned level = (63 - (unsigned)__builtin_clzll(differs)) / ED_WHEEL_SLOT_BITS;
    const unsigned number = (unsigned)(when_ns >> shift_of(level)) & ((1 << ED_WHEEL_SLOT_BITS) - 1);
    const uint64_t bit = UINT64_C(1) << number;
    struct ed_wheel_slot *slot = &timers->slots[level][number];
    if (!(timers->slots_used[level] & bit)) {
        timers->slots_used[level] |= bit;
        timers->levels |= 1u << level;
        ed_list_init(&slot->list);
        slot->least_ns = when_ns;
        const int64_t begins_ns = beginning(timers, level, number);
        if (begins_ns < timers->look_ns) timers->look_ns = begins_ns;
    } else if (when_ns < slot->least_ns) {
        slot->least_ns = when_ns;
    }
    timer->node.back = &timer->node;
    ed_list_push(&slot->list, &timer->link);
}

static void slot_is_empty(struct ed_timers *timers, unsigned level, unsigned slot) {
    timers->slots_used[level] &= ~(UINT64_C(1) << slot);
    if (timers->slots_used[level] == 0) timers->levels &= ~(1u << level);
}

void ed_timer_start(struct ed_worker *worker, struct ed_timer *timer, int64_t when_ns) {
    ED_ASSERT(timer->worker == NULL);
    struct ed_timers *timers = &worker->timers;
    timer->worker = worker;
    timer->node.when_ns = when_ns;
    timer->node.seq = timers->seq++;
    place(timers, timer);
}

void ed_timer_stop(struct ed_timer *timer) {
    if (timer->worker == NULL) return;
    struct ed_timers *timers = &timer->worker->timers;
    timer->worker = NULL;
    if (!is_far(timer)) {
        ed_heap_remove(&timers->near, &timer->node);
        return;
    }
    struct ed_list *prev = timer->link.prev, *next = timer->link.next;
    prev->next = next;
    next->prev = prev;
    if (prev != next) return;
    /* It was the last of its slot: what is left is the list itself. */
    const size_t index = (size_t)(ED_CONTAINER(next, struct ed_wheel_slot, list) - &timers->slots[0][0]);
    slot_is_empty(timers, (unsigned)(index >> ED_WHEEL_SLOT_BITS), (unsigned)index & ((1 << ED_WHEEL_SLOT_BITS) - 1));
}

/* The clock has reached the first slot in use: it becomes the position, and its timers are placed anew. */
static void open_slot(struct ed_timers *timers, unsigned level, unsigned number, int64_t begins_ns) {
    struct ed_list moving;
    ed_list_init(&moving);
    ed_list_splice(&moving, &timers->slots[level][number].list);
    slot_is_empty(timers, level, number);
    timers->position_ns = begins_ns;
    while (!ed_list_empty(&moving)) {
        struct ed_list *link = level == 0 ? moving.prev : moving.next;
        /* A list cannot be run ahead of, but tasks that went to sleep one after the other lie mostly at equal distances. */
        const uintptr_t distance = (uintptr_t)(level == 0 ? link->prev : link->next) - (uintptr_t)link;
        __builtin_prefetch((const char *)((uintptr_t)link + 8 * distance), 1);
        ed_list_remove(link);
        place(timers, timer_of(link));
    }
}

static void fire_near(struct ed_timers *timers, int64_t now_ns) {
    struct ed_heap_node *node;
    while ((node = ed_heap_first(&timers->near)) != NULL && node->when_ns <= now_ns) {
        struct ed_timer *timer = ED_CONTAINER(node, struct ed_timer, node);
        ed_heap_remove(&timers->near, node);
        timer->worker = NULL;
        timer->fire(timer);
    }
    timers->look_ns = node != NULL ? node->when_ns : INT64_MAX;
}

void ed_timers_expire(struct ed_worker *worker, int64_t now_ns) {
    struct ed_timers *timers = &worker->timers;
    if (ED_LIKELY(now_ns < timers->look_ns)) return;
    fire_near(timers, now_ns);
    while (timers->levels != 0) {
        const unsigned level = first_level(timers), slot = first_slot(timers, level);
        const int64_t begins_ns = beginning(timers, level, slot);
        if (begins_ns > now_ns) {
            if (begins_ns < timers->look_ns) timers->look_ns = begins_ns;
            break;
        }
        open_slot(timers, level, slot, begins_ns);
        fire_near(timers, now_ns);
    }
    timers->position_ns = now_ns; /* no slot in use begins before it: T2 */
}

int64_t ed_timers_next(const struct ed_worker *worker) {
    const struct ed_timers *timers = &worker->timers;
    const struct ed_heap_node *node = ed_heap_first(&timers->near);
    if (node != NULL) return node->when_ns;
    if (timers->levels == 0) return INT64_MAX;
    const unsigned level = first_level(timers);
    return timers->slots[level][first_slot(timers, level)].least_ns;
}

struct ed_timer *ed_timers_any(const struct ed_worker *worker) {
    const struct ed_timers *timers = &worker->timers;
    struct ed_heap_node *node = ed_heap_first(&timers->near);
    if (node != NULL) return ED_CONTAINER(node, struct ed_timer, node);
    if (timers->levels == 0) return NULL;
    const unsigned level = first_level(timers);
    return timer_of(timers->slots[level][first_slot(timers, level)].list.next);
}
