/* litmus_model.c: the explorer's own controls: what each memory order allows must be found, what it forbids must not. */
#include "base/base.h"
#include "explorer.h"

static struct shared {
    _Atomic int x, y;
    int data, places[MODEL_THREADS];
    struct ed_list *block, *own[MODEL_THREADS];
} * shared;
static int seen[4], line;

static void setup(void) {
    shared = model_alloc(sizeof *shared);
    model_name(&shared->x, "x");
    model_name(&shared->y, "y");
    model_name(&shared->data, "data");
    for (int i = 0; i < 4; i++) seen[i] = -1;
    line = 0;
}
static void nothing(void) {}

/* Store buffering. */
static void sb1_relaxed(void) {
    ED_STORE_RELEASE(&shared->x, 1);
    seen[0] = ED_LOAD_ACQUIRE(&shared->y);
}
static void sb2_relaxed(void) {
    ED_STORE_RELEASE(&shared->y, 1);
    seen[1] = ED_LOAD_ACQUIRE(&shared->x);
}
static void sb1_seqcst(void) {
    ED_STORE_SEQCST(&shared->x, 1);
    seen[0] = ED_LOAD_SEQCST(&shared->y);
}
static void sb2_seqcst(void) {
    ED_STORE_SEQCST(&shared->y, 1);
    seen[1] = ED_LOAD_SEQCST(&shared->x);
}
static void sb1_modify(void) {
    ED_ADD(&shared->x, 1);
    seen[0] = ED_LOAD_SEQCST(&shared->y);
}
static void sb1_barrier(void) {
    ED_STORE_RELAXED(&shared->x, 1);
    ed_barrier();
    seen[0] = ED_LOAD_RELAXED(&shared->y);
}
static void not_both_zero(void) { MODEL_CHECK(seen[0] != 0 || seen[1] != 0); }

/* Message passing. */
static void mp_release(void) {
    shared->data = 7;
    ED_STORE_RELEASE(&shared->x, 1);
}
static void mp_relaxed(void) {
    shared->data = 7;
    ED_STORE_RELAXED(&shared->x, 1);
}
static void mp_acquire(void) {
    if (ED_LOAD_ACQUIRE(&shared->x) == 1) MODEL_CHECK(shared->data == 7);
}
static void mp_load_relaxed(void) {
    if (ED_LOAD_RELAXED(&shared->x) == 1) MODEL_CHECK(shared->data == 7);
}
static void mp_old(void) { /* relaxed values only: the second may be older */
    ED_STORE_RELAXED(&shared->x, 1);
    ED_STORE_RELAXED(&shared->y, 1);
}
static void mp_old_reads(void) {
    int y = ED_LOAD_RELAXED(&shared->y), x = ED_LOAD_RELAXED(&shared->x);
    MODEL_CHECK(!(y == 1 && x == 0));
}
static void mp_passed_on(void) { /* a relaxed read-modify-write carries a release on */
    int one = 1;
    atomic_compare_exchange_strong_explicit(&shared->x, &one, 2, memory_order_relaxed, memory_order_relaxed);
}
static void mp_acquire_two(void) {
    if (ED_LOAD_ACQUIRE(&shared->x) == 2) MODEL_CHECK(shared->data == 7);
}

/* Coherence: a thread's reads of one location never go back. */
static void two_values(void) {
    ED_STORE_RELAXED(&shared->x, 1);
    ED_STORE_RELAXED(&shared->x, 2);
}
static void no_way_back(void) {
    int first = ED_LOAD_RELAXED(&shared->x), second = ED_LOAD_RELAXED(&shared->x);
    MODEL_CHECK(second >= first);
}

/* Independent readers: two writers, one reader that passes on what it saw. */
static void write_x(void) { ED_STORE_RELEASE(&shared->x, 1); }
static void write_y_after_x(void) {
    if (ED_LOAD_ACQUIRE(&shared->x) == 1) ED_STORE_RELEASE(&shared->y, 1);
}
static void read_y_then_x(void) {
    if (ED_LOAD_ACQUIRE(&shared->y) == 1) MODEL_CHECK(ED_LOAD_RELAXED(&shared->x) == 1);
}
static void write_y_after_x_relaxed(void) {
    if (ED_LOAD_RELAXED(&shared->x) == 1) ED_STORE_RELEASE(&shared->y, 1);
}

static void read_y_then_data(void) {
    if (ED_LOAD_ACQUIRE(&shared->y) == 1) MODEL_CHECK(shared->data == 7);
}

/* Freed memory, waiting, spinning. */
static void setup_block(void) {
    setup();
    shared->block = ed_alloc(sizeof *shared->block);
    ed_list_init(shared->block);
}
static void free_block(void) {
    if (ED_ADD_RELAXED(&shared->x, 1) == 1) ed_free(shared->block);
}
static void use_and_free(void) {
    ed_list_init(shared->block);
    free_block();
}
static void free_block_ordered(void) {
    if (ED_ADD(&shared->x, 1) == 1) ed_free(shared->block);
}
static void use_and_free_ordered(void) {
    ed_list_init(shared->block);
    free_block_ordered();
}
static void free_then_use(void) {
    ed_free(shared->block);
    ed_list_init(shared->block);
}
static bool data_is_set(void *arg) {
    (void)arg;
    return shared->data != 0;
}
static void wait_for_data(void) { model_wait(data_is_set, NULL); }
static void spin_for_x(void) {
    while (ED_LOAD_ACQUIRE(&shared->x) == 0) ed_cpu_relax();
    MODEL_CHECK(shared->data == 7);
}

/* Two orders that have nothing to do with each other: who comes first to a global, or to memory, and who to x. */
static void stand_in_line(void) {
    shared->places[model_self()] = ++line;
    ED_STORE_RELAXED(&shared->x, (int)model_self());
}
static void both_stood_in_line(void) { MODEL_CHECK(shared->places[1] + shared->places[2] == 3); }
static void take_block(void) {
    shared->own[model_self()] = ed_alloc(sizeof *shared->block);
    ED_STORE_RELAXED(&shared->x, (int)model_self());
}
static void both_have_one(void) { MODEL_CHECK(shared->own[1] != shared->own[2]); }

/* States that are the same but for one thing, by which their futures differ (explorer.c, R3). Thread 1 stores 1 to x; who
 * reads x and then changes it knows as much after that, and x has the same values, whether it had read 0 or 1. */
static __attribute__((noinline)) bool passed_by(void) { /* x was 0, and then 1 */
    int first = ED_LOAD_RELAXED(&shared->x);
    return atomic_exchange_explicit(&shared->x, 5, memory_order_relaxed) == 1 && first == 0;
}
static void store_x(void) { ED_STORE_RELAXED(&shared->x, 1); }
static void kept_on_stack(void) {
    volatile bool passed = passed_by();
    ED_STORE_RELAXED(&shared->x, 6);
    shared->data = 1 + passed;
}
static __attribute__((noinline)) void keep_in_global(void) { line = passed_by(); }
static void kept_in_global(void) {
    keep_in_global();
    ED_STORE_RELAXED(&shared->x, 6);
    shared->data = 1 + line;
}
static __attribute__((noinline)) void read_data(void) {
    if (passed_by()) MODEL_CHECK(shared->data == 0);
}
static void kept_in_cell(void) { /* who has read the data */
    read_data();
    ED_STORE_RELAXED(&shared->x, 6);
}
static void store_x_and_data(void) {
    store_x();
    if (ED_LOAD_RELAXED(&shared->x) == 6) shared->data = 7;
}
static __attribute__((noinline)) void store_y(void) { ED_STORE_RELAXED(&shared->y, 1 + passed_by()); }
static void kept_in_old_value(void) {
    store_y();
    ED_STORE_RELAXED(&shared->y, 3);
    ED_STORE_RELAXED(&shared->x, 6);
}
static void store_x_read_y(void) {
    store_x();
    int x = ED_LOAD_RELAXED(&shared->x);
    shared->data = 10 * x + ED_LOAD_RELAXED(&shared->y);
}

/* It changes nothing, and has no end. */
static void round_for_ever(void) {
    int two = 2;
    while (!atomic_compare_exchange_strong_explicit(&shared->x, &two, 3, memory_order_relaxed, memory_order_relaxed))
        two = 2;
}

#define RACE "data race"
static const struct model_scenario scenarios[] = {
    {.name = "store_buffering_acq_rel",
     .setup = setup,
     .threads = {sb1_relaxed, sb2_relaxed},
     .check = not_both_zero,
     .must_find = "litmus_model.c"},
    {.name = "store_buffering_one_side",
     .setup = setup,
     .threads = {sb1_seqcst, sb2_relaxed},
     .check = not_both_zero,
     .must_find = "litmus_model.c"},
    {.name = "store_buffering_seq_cst", .setup = setup, .threads = {sb1_seqcst, sb2_seqcst}, .check = not_both_zero},
    {.name = "store_buffering_membarrier",
     .setup = setup,
     .threads = {sb1_barrier, sb2_relaxed},
     .check = not_both_zero},
    {.name = "store_buffering_modify", .setup = setup, .threads = {sb1_modify, sb2_seqcst}, .check = not_both_zero},
    {.name = "message_passing", .setup = setup, .threads = {mp_release, mp_acquire}, .check = nothing},
    {.name = "message_passing_relaxed_store",
     .setup = setup,
     .threads = {mp_relaxed, mp_acquire},
     .check = nothing,
     .must_find = RACE},
    {.name = "message_passing_relaxed_load",
     .setup = setup,
     .threads = {mp_release, mp_load_relaxed},
     .check = nothing,
     .must_find = RACE},
    {.name = "message_passing_values",
     .setup = setup,
     .threads = {mp_old, mp_old_reads},
     .check = nothing,
     .must_find = "litmus_model.c"},
    {.name = "message_passing_chain",
     .setup = setup,
     .threads = {mp_release, mp_passed_on, mp_acquire_two},
     .check = nothing},
    {.name = "coherence", .setup = setup, .threads = {two_values, no_way_back}, .check = nothing},
    {.name = "causality", .setup = setup, .threads = {write_x, write_y_after_x, read_y_then_x}, .check = nothing},
    {.name = "causality_relaxed",
     .setup = setup,
     .threads = {mp_release, write_y_after_x_relaxed, read_y_then_data},
     .check = nothing,
     .must_find = RACE},
    {.name = "last_one_frees",
     .setup = setup_block,
     .threads = {use_and_free_ordered, free_block_ordered},
     .check = nothing},
    {.name = "last_one_frees_relaxed",
     .setup = setup_block,
     .threads = {use_and_free, free_block},
     .check = nothing,
     .must_find = RACE},
    {.name = "use_after_free",
     .setup = setup_block,
     .threads = {free_then_use},
     .check = nothing,
     .must_find = "use after free"},
    {.name = "lost_wait",
     .setup = setup,
     .threads = {wait_for_data, write_x},
     .check = nothing,
     .must_find = "thread 1 waits for ever"},
    {.name = "order_in_global", .setup = setup, .threads = {stand_in_line, stand_in_line}, .check = both_stood_in_line},
    {.name = "order_of_blocks", .setup = setup, .threads = {take_block, take_block}, .check = both_have_one},
    {.name = "kept_on_stack", .setup = setup, .threads = {store_x, kept_on_stack}, .check = nothing},
    {.name = "kept_in_global", .setup = setup, .threads = {store_x, kept_in_global}, .check = nothing},
    {.name = "kept_in_cell",
     .setup = setup,
     .threads = {store_x_and_data, kept_in_cell},
     .check = nothing,
     .must_find = RACE},
    {.name = "kept_in_old_value", .setup = setup, .threads = {store_x_read_y, kept_in_old_value}, .check = nothing},
    {.name = "round_for_ever",
     .setup = setup,
     .threads = {round_for_ever, store_x},
     .check = nothing,
     .must_find = "no end"},
    {.name = "spin", .setup = setup, .threads = {spin_for_x, mp_release}, .check = nothing},
    {.name = "spin_for_ever",
     .setup = setup,
     .threads = {spin_for_x, nothing},
     .check = nothing,
     .must_find = "thread 1 spins for ever"},
};
MODEL_MAIN(scenarios)
