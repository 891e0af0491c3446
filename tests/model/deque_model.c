/* deque_model.c: the shared part of the deque: each entry goes to exactly one taker, oldest first, with what its owner
 * wrote before it; while slots are reused and the ring grows.
 * Sources src/lockfree/deque.c
 * Smaller src/lockfree/deque.c s/FIRST_CAPACITY = 64/FIRST_CAPACITY = 4/ */
#include "explorer.h"
#include "lockfree/deque.h"

enum { CAPACITY = 4, ITEMS_MAX = CAPACITY + 8 }; /* of the first ring */

struct item {
    uint64_t number;
};

static struct ed_deque *deque;
static struct item *items;
static unsigned taken[ITEMS_MAX]; /* times */
static uint64_t published;

static void append(uint64_t number) {
    items[number].number = number;
    MODEL_CHECK(ed_deque_reserve_shared(deque, 1) == 0);
    ed_deque_append_shared(deque, &items[number], number);
    published = number + 1;
}

static void add(uint64_t number) {
    append(number);
    ed_deque_publish(deque);
}

static void setup(void) {
    deque = model_alloc(sizeof *deque);
    items = model_alloc(sizeof *items * ITEMS_MAX);
    model_name(&deque->head, "head");
    model_name(&deque->tail, "tail");
    model_name(&deque->ring, "ring");
    model_name(items, "items");
    MODEL_CHECK(ed_deque_init(deque) == 0);
    model_name(deque->ring, "first_ring");
    for (int i = 0; i < ITEMS_MAX; i++) taken[i] = 0;
    published = 0;
}
static void setup_two(void) {
    setup();
    append(0);
    append(1);
    ed_deque_publish(deque);
}
static void setup_full(void) {
    setup();
    for (uint64_t i = 0; i < CAPACITY; i++) append(i);
    ed_deque_publish(deque);
}

/* At most `count`; gives up where it is empty or lost `count` times. */
static void take(int count) {
    uint64_t last = 0;
    bool any = false;
    for (int i = 0; i < count; i++) {
        bool lost;
        struct item *item = ed_deque_take(deque, &lost);
        if (item == NULL) continue;
        taken[item->number]++;
        MODEL_CHECK(taken[item->number] == 1);
        MODEL_CHECK(!any || item->number > last);
        last = item->number;
        any = true;
    }
}
static void take_one(void) { take(1); }
static void take_two(void) { take(2); }
static void take_three(void) { take(3); }

static void owner_adds_two(void) {
    add(0);
    add(1);
}
static void owner_adds_and_takes(void) {
    add(0);
    uint64_t seq;
    if (ed_deque_shared_oldest(deque, &seq)) {
        MODEL_CHECK(seq == 0);
        take(1);
    }
    MODEL_CHECK(ed_deque_shared_count(deque) == 0); /* its only entry is gone, by whomever */
}
static void owner_adds_one_more(void) { add(CAPACITY); } /* the ring is full, unless a thief was first */
static void owner_grows(void) {
    add(CAPACITY);
    add(CAPACITY + 1);
}

static void check(void) {
    for (bool lost; ed_deque_shared_count(deque) > 0;) {
        struct item *item = ed_deque_take(deque, &lost);
        MODEL_CHECK(item != NULL);
        taken[item->number]++;
    }
    for (uint64_t i = 0; i < published; i++) MODEL_CHECK(taken[i] == 1);
    ed_deque_deinit(deque);
    MODEL_CHECK(model_live() == 0);
}

static const struct model_scenario scenarios[] = {
    {.name = "publish_take", .setup = setup, .threads = {owner_adds_two, take_two}, .check = check},
    {.name = "two_thieves", .setup = setup, .threads = {owner_adds_two, take_two, take_two}, .check = check},
    {.name = "takers_only", .setup = setup_two, .threads = {take_two, take_two, take_one}, .check = check},
    {.name = "owner_takes", .setup = setup, .threads = {owner_adds_and_takes, take_one, take_one}, .check = check},
    {.name = "slot_reuse", .setup = setup_full, .threads = {owner_adds_one_more, take_two, take_one}, .check = check},
    {.name = "growth", .setup = setup_full, .threads = {owner_grows, take_three}, .check = check},
    {.name = "growth_two_thieves", .setup = setup_full, .threads = {owner_grows, take_two, take_one}, .check = check},
};
MODEL_MAIN(scenarios)
