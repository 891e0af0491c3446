/* stack.c: memory for stacks: an arena per runtime, a pool per worker.
 *
 * Problem    A stack for each started task: taken and put back in a few nanoseconds on its worker,
 *            a page resident, and no limit at 32,000 of them, where the kernel's mappings end.
 * Idea       The arena maps large chunks and carves stacks from them in order; a chunk stays one
 *            mapping when guards are advice (MADV_GUARD_INSTALL). A pool keeps two batches per
 *            class, hot and cold: it puts to and gets from hot, and when both are full gives all of
 *            cold to the arena.
 *            What lies free in the arena when the program idles is trimmed: it gives back its record's
 *            page too, and is as one never used; an array then knows it.
 * Trimming   What deep calls have touched goes back, but not when a stack is put back: that is a call of the system for
 *            each, 0.5 us, a third of the life of a task that waits once, and mostly for nothing: the next task takes the
 *            stack at once, or it was never deep. The arena keeps apart what came back since the period began (`recent`),
 *            what came before and lies there still (`old`), and what is trimmed (`free`). The tick trims a few old ones.
 *            So memory that is not needed for a period or two goes back also where the program never idles, and what
 *            is used again and again is never touched.
 * Invariants (S1) A stack is in use, in one list of one pool, in the arena's list of its class, or bare:
 *            in its array, without any memory (or on its way there, in ed_stack_arena_trim).
 *            (S2) cold is empty or was put, whole, before everything in hot: gets are last in first
 *            out.
 *            (S3) A spilled stack was put at least a batch ago. So the one that the caller still
 *            runs on is not touched, and not seen by another worker, before it has been left.
 *            (S4) alive == made - free in the arena - in pools.
 * Ordering   Pools are their owner's; batches change hands under the arena's lock. counts() reads
 *            the pools' lengths while they move: those are relaxed atomics, written by the owner.
 * Threads    Pool: its worker, also after the worker changed threads. Arena: any.
 * Not here   What the record holds beyond struct ed_stack (task/); the address look-up (chunk.h).
 * Tests      tests/coro/stack_test.c. */
#include "coro/chunk.h"
#include "coro/context.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

enum {
    MPROTECT_CAP = 30000, /* two mappings each, of 65,530: 5,000 are left to the host */
    TRIMMED_A_TICK = 8,   /* of each class, 0.5 us each: less than a hundredth of the tick */
    CARVE = 8,            /* new stacks at a time: the guards cost 1 to 2 us each, under the lock */
};
static const int64_t TRIM_PERIOD_NS = 1000000000;        /* longer than most gaps between two loads */
static const size_t CHUNK_BYTES_MIN = (size_t)1 << 20;   /* where address space is limited        */
static const size_t CHUNK_BYTES_FIRST = (size_t)1 << 26; /* 1,024 stacks of 64 KiB                */
static const size_t CHUNK_BYTES_MAX = (size_t)1 << 30;   /* a million stacks in about 64 chunks   */

static const size_t nominal_bytes[ED_STACK_CLASSES] = {16 << 10, 64 << 10, 256 << 10};

struct arena_chunk {
    struct ed_chunk chunk;
    struct arena_chunk *next;
    int slot;      /* in the process's table          */
    size_t carved; /* stacks [0, carved) were made    */
};

struct arena_class {
    size_t stack_bytes;
    size_t next_chunk_bytes;
    struct ed_stack_list recent, old, free; /* see Trimming; taken in this order */
    struct ed_stack **bare;                 /* trimmed ones */
    size_t bare_count, bare_capacity;
    struct arena_chunk *chunks; /* newest first: only that one has stacks to carve */
};

/* (c) constant; the rest under `lock` */
struct ed_stack_arena {
    size_t record_bytes;       /* (c) multiple of ED_LINE */
    size_t page_bytes;         /* (c)                     */
    size_t cap;                /* (c)                     */
    enum ed_stack_guard guard; /* (c) never AUTO          */

    pthread_mutex_t lock;
    struct arena_class classes[ED_STACK_CLASSES];
    struct ed_stack_pool *pools;
    int64_t period_end_ns;    /* when what is recent becomes old */
    _Atomic size_t untrimmed; /* in recent and old of all classes: written under the lock, read by anyone */
    size_t made;              /* stacks of all classes */
    size_t trimming;          /* on their way to being bare */
    size_t chunks;            /* calls of mmap         */
};

/* ---- Guards --------------------------------------------------------------------------------- */

/* Some kernels, and qemu, accept the advice and guard nothing: only a look from the kernel's
 * side, which gives an error instead of a signal, tells. */
static bool advice_guards(size_t page_bytes) {
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    bool guards = false;
    int ends[2];
    if (madvise(page, page_bytes, MADV_GUARD_INSTALL) == 0 && pipe2(ends, O_CLOEXEC) == 0) {
        guards = write(ends[1], page, 1) == -1 && errno == EFAULT;
        close(ends[0]);
        close(ends[1]);
    }
    munmap(page, page_bytes);
    return guards;
}

static int install_guard(const struct ed_stack_arena *arena, uintptr_t page) {
    int failed = arena->guard == ED_GUARD_ADVISE ? madvise((void *)page, arena->page_bytes, MADV_GUARD_INSTALL)
                                                 : mprotect((void *)page, arena->page_bytes, PROT_NONE);
    if (failed == 0) return 0;
    return arena->guard == ED_GUARD_MPROTECT && errno == ENOMEM ? EDDY_ELIMIT : EDDY_ENOMEM;
}

/* ---- The arena ------------------------------------------------------------------------------ */

int ed_stack_arena_open(struct ed_stack_arena **arena_out, size_t record_bytes,
                        const struct ed_stack_options *options) {
    ED_ASSERT(arena_out != NULL);
    ED_ASSERT(record_bytes >= sizeof(struct ed_stack));
    ED_ASSERT(record_bytes <= 2048); /* with colour and shallow frames: one page */

    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    enum ed_stack_guard guard = options != NULL ? options->guard : ED_GUARD_AUTO;
    if (guard != ED_GUARD_MPROTECT) {
        bool works = advice_guards(page_bytes);
        if (!works && guard == ED_GUARD_ADVISE) return EDDY_ENOTSUP;
        guard = works ? ED_GUARD_ADVISE : ED_GUARD_MPROTECT;
    }

    struct ed_stack_arena *arena = ed_calloc(sizeof *arena);
    if (arena == NULL) return EDDY_ENOMEM;
    arena->record_bytes = (record_bytes + ED_LINE - 1) / ED_LINE * ED_LINE;
    arena->page_bytes = page_bytes;
    arena->guard = guard;
    arena->cap = options != NULL ? options->cap : 0;
    if (arena->cap == 0) arena->cap = guard == ED_GUARD_MPROTECT ? MPROTECT_CAP : SIZE_MAX;
    pthread_mutex_init(&arena->lock, NULL);
    for (int i = 0; i < ED_STACK_CLASSES; i++) {
        struct arena_class *class_ = &arena->classes[i];
        class_->stack_bytes = nominal_bytes[i];
        if (class_->stack_bytes < 4 * page_bytes) class_->stack_bytes = 4 * page_bytes; /* big pages */
        class_->next_chunk_bytes = CHUNK_BYTES_FIRST;
    }
    *arena_out = arena;
    return 0;
}

void ed_stack_arena_close(struct ed_stack_arena *arena) {
    ED_ASSERT(arena->pools == NULL);
    for (int i = 0; i < ED_STACK_CLASSES; i++) {
        ed_free(arena->classes[i].bare);
        for (struct arena_chunk *chunk; (chunk = arena->classes[i].chunks) != NULL;) {
            arena->classes[i].chunks = chunk->next;
            for (size_t k = 0; k < chunk->carved; k++)
                ed_context_unregister(&ed_chunk_stack(&chunk->chunk, k)->context);
            ed_chunk_remove(chunk->slot);
            munmap((void *)chunk->chunk.low, chunk->chunk.bytes);
            ed_free(chunk);
        }
    }
    pthread_mutex_destroy(&arena->lock);
    ed_free(arena);
}

/* Under the lock. Where address space is limited a smaller chunk will do. */
static int add_chunk(struct ed_stack_arena *arena, struct arena_class *class_) {
    struct arena_chunk *chunk = ed_calloc(sizeof *chunk);
    if (chunk == NULL) return EDDY_ENOMEM;

    size_t bytes = class_->next_chunk_bytes;
    void *memory;
    for (;; bytes /= 2) {
        memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (memory != MAP_FAILED || bytes <= CHUNK_BYTES_MIN) break;
    }
    int status = EDDY_ENOMEM;
    if (memory == MAP_FAILED) goto free_chunk;
    madvise(memory, bytes, MADV_NOHUGEPAGE); /* or one task touches 2 MiB; a kernel without: fine */

    chunk->chunk = (struct ed_chunk){.low = (uintptr_t)memory,
                                     .bytes = bytes,
                                     .stack_bytes = class_->stack_bytes,
                                     .guard_bytes = arena->page_bytes,
                                     .record_bytes = arena->record_bytes};
    status = ed_chunk_add(&chunk->chunk);
    if (status < 0) goto unmap;

    chunk->slot = status;
    chunk->next = class_->chunks;
    class_->chunks = chunk;
    class_->next_chunk_bytes = bytes < CHUNK_BYTES_MAX ? bytes * 2 : CHUNK_BYTES_MAX;
    arena->chunks++;
    return 0;

unmap:
    munmap(memory, bytes);
free_chunk:
    ed_free(chunk);
    return status;
}

/* The end of the stack's memory: its record's page is the last. */
static uintptr_t top_of(const struct ed_stack_arena *arena, const struct ed_stack *stack) {
    return ((uintptr_t)stack / arena->page_bytes + 1) * arena->page_bytes;
}

/* Under the lock: a stack whose record is all zero is one of the arena's free ones. */
static void add_free(struct ed_stack_arena *arena, enum ed_stack_class number, struct ed_stack *stack) {
    struct arena_class *class_ = &arena->classes[number];
    uintptr_t low = top_of(arena, stack) - class_->stack_bytes + arena->page_bytes; /* above its guard */
    stack->context.stack_low = (void *)low;
    stack->context.stack_bytes = (uintptr_t)stack - low;
    stack->class_ = (uint8_t)number;
    stack->next = class_->free.first;
    class_->free.first = stack;
    class_->free.count++;
}

/* Under the lock: makes one stack and pushes it onto the arena's free list. */
static int carve_one(struct ed_stack_arena *arena, enum ed_stack_class number) {
    struct arena_class *class_ = &arena->classes[number];
    if (arena->made >= arena->cap) return EDDY_ELIMIT;

    struct arena_chunk *chunk = class_->chunks;
    if (chunk == NULL || chunk->carved == chunk->chunk.bytes / class_->stack_bytes) {
        int status = add_chunk(arena, class_);
        if (status < 0) return status;
        chunk = class_->chunks;
    }
    uintptr_t guard = chunk->chunk.low + chunk->carved * class_->stack_bytes;
    int status = install_guard(arena, guard);
    if (status < 0) return status;

    add_free(arena, number, ed_chunk_stack(&chunk->chunk, chunk->carved++));
    arena->made++;
    return 0;
}

struct ed_stack_counts ed_stack_arena_counts(struct ed_stack_arena *arena) {
    struct ed_stack_counts counts = {.guard = arena->guard};
    pthread_mutex_lock(&arena->lock);
    for (int i = 0; i < ED_STACK_CLASSES; i++) {
        counts.pooled += arena->classes[i].recent.count + arena->classes[i].old.count + arena->classes[i].free.count;
        for (struct ed_stack_pool *pool = arena->pools; pool != NULL; pool = pool->next_pool)
            counts.pooled += ED_LOAD_RELAXED(&pool->hot[i].count) + ED_LOAD_RELAXED(&pool->cold[i].count);
    }
    for (int i = 0; i < ED_STACK_CLASSES; i++) counts.pooled += arena->classes[i].bare_count;
    counts.pooled += arena->trimming;
    counts.alive = arena->made > counts.pooled ? arena->made - counts.pooled : 0;
    counts.chunks = arena->chunks;
    counts.mappings = arena->chunks;
    if (arena->guard == ED_GUARD_MPROTECT) counts.mappings += 2 * arena->made;
    pthread_mutex_unlock(&arena->lock);
    return counts;
}

/* ---- Pools ---------------------------------------------------------------------------------- */

static void push(struct ed_stack_list *list, struct ed_stack *stack) {
    stack->next = list->first;
    list->first = stack;
    ED_STORE_RELAXED(&list->count, ED_LOAD_RELAXED(&list->count) + 1);
}

static struct ed_stack *pop(struct ed_stack_list *list) {
    struct ed_stack *stack = list->first;
    list->first = stack->next;
    ED_STORE_RELAXED(&list->count, ED_LOAD_RELAXED(&list->count) - 1);
    return stack;
}

static void move(struct ed_stack_list *to, struct ed_stack_list *from) {
    to->first = from->first;
    ED_STORE_RELAXED(&to->count, ED_LOAD_RELAXED(&from->count));
    from->first = NULL;
    ED_STORE_RELAXED(&from->count, 0);
}

/* `from`, whose last is `last`, ahead of what is in `to`. */
static void append(struct ed_stack_list *to, struct ed_stack_list *from, struct ed_stack *last) {
    last->next = to->first;
    to->first = from->first;
    ED_STORE_RELAXED(&to->count, ED_LOAD_RELAXED(&to->count) + ED_LOAD_RELAXED(&from->count));
}

/* Gives a list of stacks, none in use any more, to the arena. */
static void spill(struct ed_stack_arena *arena, enum ed_stack_class number, struct ed_stack_list *list) {
    if (list->first == NULL) return;
    struct ed_stack *last = NULL;
    for (struct ed_stack *stack = list->first; stack != NULL; last = stack, stack = stack->next)
        ed_context_forget(&stack->context);
    pthread_mutex_lock(&arena->lock);
    if (ED_LOAD_RELAXED(&arena->untrimmed) == 0) arena->period_end_ns = 0; /* the next tick begins one */
    append(&arena->classes[number].recent, list, last);
    ED_STORE_RELAXED(&arena->untrimmed, ED_LOAD_RELAXED(&arena->untrimmed) + ED_LOAD_RELAXED(&list->count));
    list->first = NULL;
    ED_STORE_RELAXED(&list->count, 0);
    pthread_mutex_unlock(&arena->lock);
}

/* Under the lock: one of the arena's, trimmed ones last; NULL: there is none. */
static struct ed_stack *take_spare(struct ed_stack_arena *arena, struct arena_class *class_) {
    if (class_->recent.first == NULL && class_->old.first == NULL)
        return class_->free.first != NULL ? pop(&class_->free) : NULL;
    ED_STORE_RELAXED(&arena->untrimmed, ED_LOAD_RELAXED(&arena->untrimmed) - 1);
    return pop(class_->recent.first != NULL ? &class_->recent : &class_->old);
}

static size_t spare_count(const struct arena_class *class_) {
    return class_->recent.count + class_->old.count + class_->free.count;
}

/* Fills an empty hot with free stacks, or with a few new ones: 0 if there is at least one. */
static int refill(struct ed_stack_pool *pool, enum ed_stack_class number) {
    struct ed_stack_arena *arena = pool->arena;
    struct arena_class *class_ = &arena->classes[number];
    int status = 0;
    pthread_mutex_lock(&arena->lock);
    for (int i = 0; i < ED_STACK_BATCH && spare_count(class_) < ED_STACK_BATCH && class_->bare_count > 0; i++)
        add_free(arena, number, class_->bare[--class_->bare_count]);
    if (spare_count(class_) == 0)
        for (int i = 0; i < CARVE && status == 0; i++) status = carve_one(arena, number);
    struct ed_stack *stack;
    for (int i = 0; i < ED_STACK_BATCH && (stack = take_spare(arena, class_)) != NULL; i++) {
        /* They were put back one after the other, and lie mostly at equal distances: eight ahead, or nowhere. */
        const uintptr_t distance = (uintptr_t)stack->next - (uintptr_t)stack;
        __builtin_prefetch((const char *)((uintptr_t)stack + 8 * distance));
        push(&pool->hot[number], stack);
        status = 0;
    }
    pthread_mutex_unlock(&arena->lock);
    return status;
}

/* ---- Trimming ------------------------------------------------------------------------------- */

/* Under the lock: room for a batch more. Without memory: none, and nothing is trimmed. */
static bool reserve_bare(struct arena_class *class_) {
    if (class_->bare_capacity - class_->bare_count >= ED_STACK_BATCH) return true;
    size_t capacity = 2 * class_->bare_capacity + ED_STACK_BATCH;
    struct ed_stack **bare = ed_alloc(capacity * sizeof bare[0]);
    if (bare == NULL) return false;
    if (class_->bare_count > 0) memcpy(bare, class_->bare, class_->bare_count * sizeof bare[0]);
    ed_free(class_->bare);
    class_->bare = bare;
    class_->bare_capacity = capacity;
    return true;
}

/* How many of one class, at most a batch. */
static size_t trim_some(struct ed_stack_arena *arena, enum ed_stack_class number) {
    struct arena_class *class_ = &arena->classes[number];
    struct ed_stack *taken[ED_STACK_BATCH];
    size_t count = 0;
    pthread_mutex_lock(&arena->lock);
    if (spare_count(class_) > 0 && reserve_bare(class_))
        while (count < ED_STACK_BATCH && spare_count(class_) > 0) taken[count++] = take_spare(arena, class_);
    arena->trimming += count;
    pthread_mutex_unlock(&arena->lock);
    for (size_t i = 0; i < count; i++) {
        uintptr_t low = (uintptr_t)taken[i]->context.stack_low, top = top_of(arena, taken[i]);
        ed_context_unregister(&taken[i]->context);
        if (madvise((void *)low, top - low, MADV_DONTNEED) != 0) memset(taken[i], 0, arena->record_bytes);
    }
    pthread_mutex_lock(&arena->lock);
    for (size_t i = 0; i < count; i++) class_->bare[class_->bare_count++] = taken[i];
    arena->trimming -= count;
    pthread_mutex_unlock(&arena->lock);
    return count;
}

bool ed_stack_arena_trim(struct ed_stack_arena *arena) {
    for (int i = 0; i < ED_STACK_CLASSES; i++)
        if (trim_some(arena, i) > 0) return true;
    return false;
}

/* Under the lock: at most `count` of what is old. */
static struct ed_stack_list take_old(struct ed_stack_arena *arena, struct arena_class *class_, size_t count) {
    struct ed_stack_list some = {0};
    for (; count > 0 && class_->old.first != NULL; count--) push(&some, pop(&class_->old));
    ED_STORE_RELAXED(&arena->untrimmed, ED_LOAD_RELAXED(&arena->untrimmed) - ED_LOAD_RELAXED(&some.count));
    arena->trimming += ED_LOAD_RELAXED(&some.count);
    return some;
}

void ed_stack_arena_trim_old(struct ed_stack_arena *arena, int64_t now_ns) {
    if (ED_LIKELY(ED_LOAD_RELAXED(&arena->untrimmed) == 0)) return;
    pthread_mutex_lock(&arena->lock);
    bool over = arena->period_end_ns != 0 && now_ns >= arena->period_end_ns;
    if (over || arena->period_end_ns == 0) arena->period_end_ns = now_ns + TRIM_PERIOD_NS;
    for (int i = 0; i < ED_STACK_CLASSES; i++) {
        struct arena_class *class_ = &arena->classes[i];
        if (over && class_->old.first == NULL) move(&class_->old, &class_->recent);
        struct ed_stack_list some = take_old(arena, class_, over ? 0 : TRIMMED_A_TICK);
        if (some.first == NULL) continue;
        pthread_mutex_unlock(&arena->lock);
        struct ed_stack *last = NULL;
        for (struct ed_stack *stack = some.first; stack != NULL; last = stack, stack = stack->next) {
            uintptr_t low = (uintptr_t)stack->context.stack_low, kept = top_of(arena, stack) - arena->page_bytes;
            madvise((void *)low, kept - low, MADV_DONTNEED);
        }
        pthread_mutex_lock(&arena->lock);
        append(&class_->free, &some, last);
        arena->trimming -= ED_LOAD_RELAXED(&some.count);
    }
    pthread_mutex_unlock(&arena->lock);
}

/* ---- Pools' ends ---------------------------------------------------------------------------- */

void ed_stack_pool_init(struct ed_stack_pool *pool, struct ed_stack_arena *arena) {
    *pool = (struct ed_stack_pool){.arena = arena};
    pthread_mutex_lock(&arena->lock);
    pool->next_pool = arena->pools;
    arena->pools = pool;
    pthread_mutex_unlock(&arena->lock);
}

void ed_stack_pool_deinit(struct ed_stack_pool *pool) {
    struct ed_stack_arena *arena = pool->arena;
    for (int i = 0; i < ED_STACK_CLASSES; i++) {
        spill(arena, i, &pool->hot[i]);
        spill(arena, i, &pool->cold[i]);
    }
    pthread_mutex_lock(&arena->lock);
    struct ed_stack_pool **link = &arena->pools;
    while (*link != pool) link = &(*link)->next_pool; /* a pool that is not there: a fault at NULL */
    *link = pool->next_pool;
    pthread_mutex_unlock(&arena->lock);
    pool->arena = NULL;
}

int ed_stack_get(struct ed_stack_pool *pool, enum ed_stack_class class_, struct ed_stack **stack_out) {
    ED_ASSERT((unsigned)class_ < ED_STACK_CLASSES);
    struct ed_stack_list *hot = &pool->hot[class_];
    if (ED_UNLIKELY(hot->first == NULL)) {
        move(hot, &pool->cold[class_]);
        if (hot->first == NULL) {
            int status = refill(pool, class_);
            if (status < 0) return status;
        }
    }
    struct ed_stack *stack = pop(hot);
    ed_stack_fetch(hot->first); /* who takes one takes the next one soon */
    ED_ASSERT(stack->class_ == class_);
    ED_ASSERT(ed_stack_left(&stack->context) == 0); /* it was put by its runner, who did not leave it */
    *stack_out = stack;
    return 0;
}

void ed_stack_put(struct ed_stack_pool *pool, struct ed_stack *stack) {
    ED_ASSERT(stack->class_ < ED_STACK_CLASSES);
    struct ed_stack_list *hot = &pool->hot[stack->class_], *cold = &pool->cold[stack->class_];
    if (ED_UNLIKELY(ED_LOAD_RELAXED(&hot->count) == ED_STACK_BATCH)) {
        spill(pool->arena, stack->class_, cold);
        move(cold, hot);
    }
    push(hot, stack);
}
