/* Stacks come from a pool, last in first out, whole, guarded, with their record at the top, up
 * to the cap. */
#include "base/base.h"
#include "coro/coro.h"
#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
    struct ed_stack stack;
    uint64_t mark;
    char rest[400];
};

static struct ed_stack_arena *arena;
static struct ed_stack_pool pool;

static bool open_with(enum ed_stack_guard guard, size_t cap) {
    struct ed_stack_options options = {.guard = guard, .cap = cap};
    int status = ed_stack_arena_open(&arena, sizeof(struct record), &options);
    if (status == EDDY_ENOTSUP && guard == ED_GUARD_ADVISE) return false;
    EXPECT_OK(status);
    ed_stack_pool_init(&pool, arena);
    return true;
}

static void shut(void) {
    ed_stack_pool_deinit(&pool);
    ed_stack_arena_close(arena);
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static struct ed_stack *get(enum ed_stack_class class_) {
    struct ed_stack *stack;
    EXPECT_OK(ed_stack_get(&pool, class_, &stack));
    return stack;
}

/* Can the kernel write there? It says so, where we would be killed. */
static bool touchable(int pipe_in, const void *address) {
    ssize_t wrote = write(pipe_in, address, 1);
    EXPECT(wrote == 1 || errno == EFAULT);
    return wrote == 1;
}

static void check_guards(enum ed_stack_guard guard) {
    if (!open_with(guard, 0)) test_skip("no MADV_GUARD_INSTALL in this kernel");
    EXPECT_EQ(guard, ed_stack_arena_counts(arena).guard);
    int ends[2];
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
    for (int class_ = 0; class_ < ED_STACK_CLASSES; class_++) {
        struct ed_stack *stacks[40];
        for (int i = 0; i < 40; i++) {
            stacks[i] = get(class_);
            char *low = (char *)stacks[i]->context.stack_low;
            EXPECT_EQ((uintptr_t)stacks[i], (uintptr_t)low + stacks[i]->context.stack_bytes);
            memset(low, 0x5a, stacks[i]->context.stack_bytes); /* all of it is there */
            memset((char *)stacks[i] + sizeof(struct ed_stack), i, sizeof(struct record) - sizeof(struct ed_stack));
            EXPECT(touchable(ends[1], low));
            EXPECT(!touchable(ends[1], low - 1));
            EXPECT(!touchable(ends[1], low - sysconf(_SC_PAGESIZE)));
        }
        for (int i = 0; i < 40; i++) { /* nobody wrote into a neighbour */
            struct record *record = (struct record *)stacks[i];
            const char *low = stacks[i]->context.stack_low;
            EXPECT_EQ(0x5a, low[0]);
            EXPECT_EQ(0x5a, low[stacks[i]->context.stack_bytes - 1]);
            EXPECT_EQ(i, record->rest[sizeof record->rest - 1]);
            EXPECT_EQ(class_, stacks[i]->class_);
            ed_stack_put(&pool, stacks[i]);
        }
    }
    close(ends[0]);
    close(ends[1]);
    shut();
}

UNIT(coro_stack, advice_guards_each_stack, TEST_WITHOUT("valgrind qemu")) { check_guards(ED_GUARD_ADVISE); }

UNIT(coro_stack, mprotect_guards_each_stack) { check_guards(ED_GUARD_MPROTECT); }

/* The record's memory is zero at first and then kept, however often the stack goes round. */
static void check_record(enum ed_stack_guard guard) {
    if (!open_with(guard, 0)) test_skip("no MADV_GUARD_INSTALL in this kernel");
    enum { STACKS = 3 * ED_STACK_BATCH };
    struct record *records[STACKS];
    for (int i = 0; i < STACKS; i++) {
        records[i] = (struct record *)get(ED_STACK_64K);
        EXPECT_EQ(0, records[i]->mark);
        records[i]->mark = (uintptr_t)records[i];
        memset((char *)records[i]->stack.context.stack_low, 1, records[i]->stack.context.stack_bytes);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, &records[i]->stack);
        for (int i = 0; i < STACKS; i++) {
            records[i] = (struct record *)get(ED_STACK_64K);
            EXPECT_EQ((uintptr_t)records[i], records[i]->mark);
        }
    }
    EXPECT_EQ(STACKS, ed_stack_arena_counts(arena).alive);
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, &records[i]->stack);
    shut();
}

UNIT(coro_stack, record_survives_with_advice, TEST_WITHOUT("valgrind qemu")) { check_record(ED_GUARD_ADVISE); }

UNIT(coro_stack, record_survives_with_mprotect) { check_record(ED_GUARD_MPROTECT); }

UNIT(coro_stack, pool_is_last_in_first_out) {
    open_with(ED_GUARD_AUTO, 0);
    enum { STACKS = ED_STACK_BATCH + 5 }; /* over the border between hot and cold */
    struct ed_stack *stacks[STACKS];
    for (int i = 0; i < STACKS; i++) stacks[i] = get(ED_STACK_16K);
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    for (int i = STACKS - 1; i >= 0; i--) EXPECT(get(ED_STACK_16K) == stacks[i]);
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    shut();
}

static long resident_pages(void) {
    long total, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    EXPECT(file != NULL);
    EXPECT_EQ(2, fscanf(file, "%ld %ld", &total, &resident));
    fclose(file);
    return resident;
}

/* A pool keeps two batches; what it spills another pool gets, and its deep pages are given back. (Under qemu the
 * emulator's own pages are counted as well.) */
UNIT(coro_stack, pool_spills_whole_batches_and_their_memory, TEST_WITHOUT("valgrind address thread qemu")) {
    open_with(ED_GUARD_AUTO, 0);
    enum { STACKS = 10 * ED_STACK_BATCH };
    static struct ed_stack *stacks[STACKS];
    for (int i = 0; i < STACKS; i++) {
        stacks[i] = get(ED_STACK_64K);
        memset((char *)stacks[i]->context.stack_low, 1, stacks[i]->context.stack_bytes);
    }
    long before = resident_pages();
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    EXPECT(pool.hot[ED_STACK_64K].count + pool.cold[ED_STACK_64K].count <= 2 * ED_STACK_BATCH);
    EXPECT(pool.hot[ED_STACK_64K].first == stacks[STACKS - 1]); /* the last one is not spilled */

    int64_t now_ns = 1;
    for (int i = 0; i < STACKS; i++, now_ns++) ed_stack_arena_trim_old(arena, now_ns);
    EXPECT(before - resident_pages() <= 16); /* not at once, and not before a period is over */
    EXPECT_EQ(0, ed_stack_arena_counts(arena).alive);
    now_ns = EDDY_SECONDS(3);
    for (int i = 0; i < STACKS; i++, now_ns++) ed_stack_arena_trim_old(arena, now_ns);
    long given_back = (before - resident_pages()) * sysconf(_SC_PAGESIZE);
    EXPECT(given_back > 7 * ED_STACK_BATCH * (56l << 10));

    struct ed_stack_counts counts = ed_stack_arena_counts(arena);
    EXPECT_EQ(0, counts.alive);
    EXPECT(counts.pooled >= STACKS);

    struct ed_stack_pool other;
    ed_stack_pool_init(&other, arena);
    for (int i = 0; i < STACKS / 2; i++) EXPECT_OK(ed_stack_get(&other, ED_STACK_64K, &stacks[i]));
    EXPECT_EQ(counts.pooled, ed_stack_arena_counts(arena).pooled + STACKS / 2); /* none was made */
    EXPECT_EQ(STACKS / 2, ed_stack_arena_counts(arena).alive);
    for (int i = 0; i < STACKS / 2; i++) ed_stack_put(&other, stacks[i]);
    ed_stack_pool_deinit(&other);
    shut();
}

/* Free stacks in the arena keep no page when they were trimmed, and are like new ones afterwards. */
UNIT(coro_stack, trimmed_stacks_have_no_memory_and_are_as_new, TEST_WITHOUT("valgrind address thread qemu")) {
    open_with(ED_GUARD_AUTO, 0);
    enum { STACKS = 20 * ED_STACK_BATCH };
    static struct ed_stack *stacks[STACKS];
    for (int i = 0; i < STACKS; i++) {
        stacks[i] = get(ED_STACK_64K);
        ((struct record *)stacks[i])->mark = 1;
        memset((char *)stacks[i]->context.stack_low, 1, stacks[i]->context.stack_bytes);
    }
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    long before = resident_pages();
    size_t pooled = ed_stack_arena_counts(arena).pooled;
    while (ed_stack_arena_trim(arena)) continue;
    EXPECT(before - resident_pages() >= STACKS - 3 * ED_STACK_BATCH); /* the pool keeps two batches */
    EXPECT_EQ(pooled, ed_stack_arena_counts(arena).pooled);
    EXPECT_EQ(0, ed_stack_arena_counts(arena).alive);

    int marked = 0;
    for (int i = 0; i < STACKS; i++) {
        stacks[i] = get(ED_STACK_64K);
        marked += ((struct record *)stacks[i])->mark != 0;
        memset((char *)stacks[i]->context.stack_low, 2, stacks[i]->context.stack_bytes); /* all of it is there */
    }
    EXPECT_EQ(2 * ED_STACK_BATCH, marked);
    EXPECT_EQ(pooled, ed_stack_arena_counts(arena).pooled + STACKS); /* none was made */
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    shut();
}

static void check_cap(enum ed_stack_guard guard) {
    enum { CAP = 100 };
    if (!open_with(guard, CAP)) test_skip("no MADV_GUARD_INSTALL in this kernel");
    struct ed_stack *stacks[CAP], *extra = NULL;
    for (int i = 0; i < CAP; i++) stacks[i] = get(ED_STACK_64K);
    for (int class_ = 0; class_ < ED_STACK_CLASSES; class_++)
        EXPECT_EQ(EDDY_ELIMIT, ed_stack_get(&pool, class_, &extra));
    EXPECT(extra == NULL);
    EXPECT_EQ(CAP, ed_stack_arena_counts(arena).alive);
    ed_stack_put(&pool, stacks[0]);
    EXPECT(get(stacks[0]->class_) == stacks[0]); /* one back, one more */
    for (int i = 0; i < CAP; i++) ed_stack_put(&pool, stacks[i]);
    shut();
}

UNIT(coro_stack, cap_is_a_clear_error_with_advice, TEST_WITHOUT("valgrind qemu")) { check_cap(ED_GUARD_ADVISE); }

UNIT(coro_stack, cap_is_a_clear_error_with_mprotect) { check_cap(ED_GUARD_MPROTECT); }

static int mappings(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    EXPECT(file != NULL);
    int lines = 0;
    for (int byte; (byte = getc(file)) != EOF;) lines += byte == '\n';
    fclose(file);
    return lines;
}

/* Beyond what a process may map, with no cap of ours before it: still an error, and all goes on. */
UNIT(coro_stack, end_of_mappings_is_a_clear_error, TEST_WITHOUT("valgrind address thread qemu")) {
    open_with(ED_GUARD_MPROTECT, SIZE_MAX);
    enum { MOST = 40000 };
    struct ed_stack **stacks = malloc(MOST * sizeof *stacks);
    int got = 0, status = 0;
    while (got < MOST && (status = ed_stack_get(&pool, ED_STACK_16K, &stacks[got])) == 0) got++;
    if (got == MOST) test_skip("this machine allows more than 80,000 mappings");
    EXPECT_EQ(EDDY_ELIMIT, status);
    EXPECT(got > 1000);
    for (int i = 0; i < got; i++) ed_stack_put(&pool, stacks[i]);
    EXPECT_OK(ed_stack_get(&pool, ED_STACK_16K, &stacks[0]));
    ed_stack_put(&pool, stacks[0]);
    shut();
    free(stacks);
}

UNIT(coro_stack, advice_needs_few_mappings, TEST_WITHOUT("valgrind address thread qemu")) {
    int before = mappings();
    if (!open_with(ED_GUARD_ADVISE, 0)) test_skip("no MADV_GUARD_INSTALL in this kernel");
    enum { STACKS = 20000 };
    struct ed_stack **stacks = malloc(STACKS * sizeof *stacks);
    for (int i = 0; i < STACKS; i++) stacks[i] = get(ED_STACK_64K);
    EXPECT(mappings() - before < 20);
    EXPECT(ed_stack_arena_counts(arena).chunks < 10);
    for (int i = 0; i < STACKS; i++) ed_stack_put(&pool, stacks[i]);
    shut();
    free(stacks);
}

/* Four pools on one arena, stacks got and put at random: no stack has two owners. */
enum { THREADS = 4, HELD = 100 };

static void *churn(void *arg) {
    struct ed_stack_pool own;
    struct record *held[HELD] = {0};
    uint64_t random = (uintptr_t)arg * 7919 + test_seed();
    ed_stack_pool_init(&own, arena);
    for (int64_t i = 0; i < test_scaled(200000); i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct record **at = &held[(random >> 33) % HELD];
        if (*at == NULL) {
            struct ed_stack *stack;
            EXPECT_OK(ed_stack_get(&own, ED_STACK_16K, &stack));
            *at = (struct record *)stack;
            EXPECT_EQ(0, (*at)->mark);
            (*at)->mark = (uintptr_t)arg;
        } else {
            EXPECT_EQ((uintptr_t)arg, (*at)->mark);
            (*at)->mark = 0;
            ed_stack_put(&own, &(*at)->stack);
            *at = NULL;
        }
        if (i % 1000 == 0) EXPECT(ed_stack_arena_counts(arena).alive <= THREADS * (HELD + ED_STACK_BATCH));
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i] == NULL) continue;
        held[i]->mark = 0;
        ed_stack_put(&own, &held[i]->stack);
    }
    ed_stack_pool_deinit(&own);
    return NULL;
}

UNIT(coro_stack, pools_share_an_arena, TEST_LIMIT(60)) {
    open_with(ED_GUARD_AUTO, 0);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, churn, (void *)(i + 1)));
    for (int i = 0; i < THREADS; i++) EXPECT_EQ(0, pthread_join(threads[i], NULL));
    EXPECT_EQ(0, ed_stack_arena_counts(arena).alive);
    shut();
}

static int open_get_close(void *arg) {
    (void)arg;
    int status = ed_stack_arena_open(&arena, sizeof(struct record), NULL);
    if (status < 0) return status;
    ed_stack_pool_init(&pool, arena);
    for (int class_ = 0; class_ < ED_STACK_CLASSES && status == 0; class_++) {
        struct ed_stack *stack;
        status = ed_stack_get(&pool, class_, &stack);
        if (status == 0) ed_stack_put(&pool, stack);
    }
    ed_stack_pool_deinit(&pool);
    ed_stack_arena_close(arena);
    return status;
}

UNIT(coro_stack, each_allocation_may_fail) {
    EXPECT_EQ(4, test_each_allocation_fails(open_get_close, NULL)); /* the arena, a chunk per class */
}

static void get_own_stack(void *arg) {
    struct ed_stack *stack = arg, *again;
    ed_stack_put(&pool, stack);
    ed_stack_get(&pool, stack->class_, &again);
}

static void run_on_own_stack(void *arg) {
    (void)arg;
    struct ed_context here;
    open_with(ED_GUARD_AUTO, 0);
    ed_context_init_thread(&here);
    struct ed_stack *stack = get(ED_STACK_64K);
    ed_context_make(stack, get_own_stack, stack);
    ed_context_switch(&here, &stack->context);
}

UNIT(coro_stack, get_of_a_stack_not_yet_left_is_caught, TEST_WITHOUT("thread")) {
    struct test_child child = test_child_run(run_on_own_stack, NULL);
    EXPECT(child.signal != 0 || child.exit_code != 0);
    EXPECT_HAS(child.stderr_text, "ed_stack_left");
}
