/* guard_model.c: a biased guard: at most one thread inside, each sees what those before it wrote, whoever takes the bias
 * away and whenever; and who leaves last may free it. The real src/sync/guard.h, .c on the explorer's memory, with a
 * membarrier that is a full fence between its caller and each other thread.
 * Sources src/sync/guard.c
 * Smaller src/sync/guard.c s/static _Atomic uint64_t taken/extern uint64_t taken/; s/ED_LOAD_RELAXED(&taken)/taken/; s/ED_ADD_RELAXED(&taken, 1)/taken++/ */
#include "explorer.h"
#include "sync/guard.h"

struct guarded {
    struct ed_guard guard;
    int64_t value;
    unsigned references;
};
static struct guarded *guarded;
static struct ed_worker *workers;
static unsigned ended;
uint64_t taken; /* guard.c counts in this */

static void setup(void) {
    taken = 0; /* each schedule begins alike */
    workers = model_alloc(sizeof *workers * MODEL_THREADS);
    for (unsigned i = 0; i < MODEL_THREADS; i++) workers[i].identity = i;
    guarded = ed_alloc(sizeof *guarded);
    model_set_worker(&workers[1]); /* made by thread 1's worker */
    ed_guard_init(&guarded->guard);
    model_set_worker(NULL);
    guarded->value = 0;
    guarded->references = 3;
    ended = 0;
    model_name(&guarded->guard.owner, "owner");
    model_name(&guarded->guard.inside, "inside");
    model_name(&guarded->guard.lock, "lock");
    model_name(&guarded->value, "value");
}

static void step(void) {
    ed_guard_lock(&guarded->guard);
    guarded->value++;
    ed_guard_unlock(&guarded->guard);
}

static void owner_twice(void) {
    model_set_worker(&workers[1]);
    step();
    step();
    ended++;
}
static void owner(void) {
    model_set_worker(&workers[1]);
    step();
    ended++;
}
static void other(void) {
    model_set_worker(&workers[model_self()]);
    step();
    ended++;
}
static void other_twice(void) {
    model_set_worker(&workers[model_self()]);
    step();
    step();
    ended++;
}
static void plain_thread(void) {
    step();
    ended++;
}
static void check_sum(unsigned threads, int64_t steps) {
    MODEL_CHECK(ended == threads);
    step();
    MODEL_CHECK(guarded->value == steps + 1);
}
static void check_two(void) { check_sum(2, 3); }
static void check_two_twice(void) { check_sum(2, 4); }
static void check_three(void) { check_sum(3, 3); }

static void drop(void) {
    ed_guard_lock(&guarded->guard);
    bool last = --guarded->references == 0;
    ed_guard_unlock(&guarded->guard);
    if (last) ed_free(guarded);
}
static void owner_drops(void) {
    model_set_worker(&workers[1]);
    drop();
}
static void other_drops(void) {
    model_set_worker(&workers[model_self()]);
    drop();
}
static void check_freed(void) { MODEL_CHECK(model_live() == 0); }

static const struct model_scenario scenarios[] = {
    {.name = "guard_owner_twice", .setup = setup, .threads = {owner_twice, other}, .check = check_two},
    {.name = "guard_both_twice", .setup = setup, .threads = {owner_twice, other_twice}, .check = check_two_twice},
    {.name = "guard_two_others", .setup = setup, .threads = {owner, other, plain_thread}, .check = check_three},
    {.name = "guard_last_frees",
     .setup = setup,
     .threads = {owner_drops, other_drops, other_drops},
     .check = check_freed},
};
MODEL_MAIN(scenarios)
