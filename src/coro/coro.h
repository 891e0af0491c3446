/* coro.h: the door of coro/: stacks, the switch between them, the report when one overflows.
 *
 * Problem    A task needs a stack of its own, thousands of them must be cheap, and running off the
 *            low end of one must be a named report, never a neighbour's corrupted memory.
 * Idea       A context is a stack pointer and a place in the code; the compiler saves what else
 *            lives. Stacks of a few sizes come from one arena per runtime through a pool per
 *            worker; the owner's record lies at the high end of the stack, so one page serves both.
 * Invariants (C1) A context runs on one thread at a time; `sp` means something only while it does
 *            not.
 *            (C2) Below each stack's low end lies one page that cannot be touched.
 *            (C3) A pooled stack is in one list: a pool's, or its arena's.
 * Threads    Contexts: whoever runs them. Pools: their owner. Arenas and the overflow report: any.
 * Not here   Who runs next (sched/); what a task is (task/).
 * Tests      tests/coro/context_test.c, stack_test.c, overflow_test.c. */
#ifndef ED_CORO_H
#define ED_CORO_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#define ED_CORO_HAS(feature) __has_feature(feature)
#else
#define ED_CORO_HAS(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || ED_CORO_HAS(thread_sanitizer)
#define ED_CORO_TSAN 1
/* The runtime's own names: not every compiler that has it ships its headers. */
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags); /* 0: what came before is seen after */
#endif
#if defined(__SANITIZE_ADDRESS__) || ED_CORO_HAS(address_sanitizer)
#define ED_CORO_ASAN 1
void __sanitizer_start_switch_fiber(void **fake_out, const void *low, size_t bytes);
void __sanitizer_finish_switch_fiber(void *fake, const void **low_out, size_t *bytes_out);
void __asan_unpoison_memory_region(const volatile void *memory, size_t bytes);
#endif

/* ---- Contexts ------------------------------------------------------------------------------- */

/* A place to come back to: a task's stack, or a thread's own. The first five fields are what a
 * switch saves and loads; swap.h knows their offsets. */
struct ed_context {
    void *sp;              /* saved stack pointer while switched out             */
    void *pc;              /* where to go on                                     */
    void *frame;           /* frame pointer: the compiler may not lend it to asm */
    void *base;            /* nor what it addresses realigned frames with        */
    uint64_t fp_control;   /* x86_64: mxcsr, x87 control word; aarch64: FPCR     */
    void *tsan_fiber;      /* TSan builds: what the tool knows this stack by     */
    void *asan_fake;       /* ASan builds: its frames for use-after-return       */
    const void *stack_low; /* lowest usable byte; NULL: not known (a thread's)   */
    size_t stack_bytes;    /* usable bytes from there                            */
    unsigned valgrind_id;  /* 0: not registered                                  */
};

/* Makes `context` the calling thread's own stack. Deinit on the same thread, on that stack. */
void ed_context_init_thread(struct ed_context *context);
void ed_context_deinit_thread(struct ed_context *context);

#include "coro/swap.h"

/* Leaves `from`, which runs, and goes on in `to`, which does not; returns when somebody switches
 * to `from` again, perhaps on another thread. The function that contains this may touch no
 * thread-local, errno included: its address would be kept across the switch. */
static inline __attribute__((always_inline)) void ed_context_switch(struct ed_context *from, struct ed_context *to) {
#ifdef ED_CORO_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
#ifdef ED_CORO_ASAN
    __sanitizer_start_switch_fiber(&from->asan_fake, to->stack_low, to->stack_bytes);
#endif
    ed_context_swap(from, to);
#ifdef ED_CORO_ASAN
    __sanitizer_finish_switch_fiber(from->asan_fake, NULL, NULL);
#endif
}

/* The last switch away from `from`: nobody will resume it. */
static inline __attribute__((always_inline, noreturn)) void ed_context_exit(struct ed_context *from,
                                                                            struct ed_context *to) {
#ifdef ED_CORO_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
#ifdef ED_CORO_ASAN
    __sanitizer_start_switch_fiber(NULL, to->stack_low, to->stack_bytes);
#endif
    ed_context_swap(from, to);
    __builtin_trap();
}

/* Bytes between the caller's frame and the low end of the running `context`; 0 where that end is
 * not known, or where the caller does not run on it. */
static inline size_t ed_stack_left(const struct ed_context *context) {
    uintptr_t left = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)context->stack_low;
    return left > context->stack_bytes ? 0 : left; /* below the low end, or none: it is more */
}

/* Places in the code of the calls under way on `context`, which does not run and will not meanwhile, innermost first: at
 * most `capacity`, and 64. They are return addresses; the first is that of the switch. Allocates nothing. */
size_t ed_unwind_context(const struct ed_context *context, void **frames_out, size_t capacity);
/* The same of the calling thread, its caller first. */
size_t ed_unwind_here(void **frames_out, size_t capacity);

/* ---- Stacks --------------------------------------------------------------------------------- */

enum ed_stack_class { ED_STACK_16K, ED_STACK_64K, ED_STACK_256K, ED_STACK_CLASSES };

/* The first member of the record at the high end of each stack. What follows it is the owner's:
 * zero when the stack is new or was trimmed, else kept from one use to the next. */
struct ed_stack {
    struct ed_context context;
    struct ed_stack *next;    /* in a pool or the arena; the owner's while the stack is in use  */
    void (*entry)(void *arg); /* what ed_context_make was given                                 */
    void *arg;
    uint8_t class_; /* enum ed_stack_class                                            */
};

enum ed_stack_guard {
    ED_GUARD_AUTO,     /* ADVISE where it is found to work, else MPROTECT                         */
    ED_GUARD_ADVISE,   /* MADV_GUARD_INSTALL (Linux 6.13): no mapping of its own                  */
    ED_GUARD_MPROTECT, /* two mappings a stack, of which a process has 65,530: capped             */
};

struct ed_stack_options {
    enum ed_stack_guard guard;
    size_t cap; /* stacks of all classes, at most; 0: 30,000 with MPROTECT, no limit with ADVISE  */
};

struct ed_stack_counts {
    size_t alive;              /* given out                                                                 */
    size_t pooled;             /* made and free: in pools and in the arena                                  */
    size_t chunks;             /* calls of mmap                                                             */
    size_t mappings;           /* about what the kernel counts for them, guards included                    */
    enum ed_stack_guard guard; /* which kind is in use: never AUTO                                */
};

/* All stacks of a runtime. Grows in chunks, gives address space back at close only. */
struct ed_stack_arena;

/* `record_bytes` are reserved at the high end of each stack, struct ed_stack included. NULL
 * options: defaults. Gives 0, EDDY_ENOMEM, or EDDY_ENOTSUP: ADVISE was asked for and does not
 * guard here. */
int ed_stack_arena_open(struct ed_stack_arena **arena_out, size_t record_bytes, const struct ed_stack_options *options);
/* All pools are gone, nobody runs on a stack of it: memory of stacks still given out goes too. */
void ed_stack_arena_close(struct ed_stack_arena *arena);
/* Any thread; a snapshot, exact when no pool is in use. */
struct ed_stack_counts ed_stack_arena_counts(struct ed_stack_arena *arena);

/* Gives the memory of some free stacks back, their records' too, which are all zero then. Any thread; blocks for some
 * ten microseconds. False: there was none left to trim. */
bool ed_stack_arena_trim(struct ed_stack_arena *arena);

/* The same while the program runs, of a few that have lain unused for a second, and not of the page of their record. To be
 * called at each tick. Any thread; a load where there is nothing to do, else some microseconds. */
void ed_stack_arena_trim_old(struct ed_stack_arena *arena, int64_t now_ns);

enum { ED_STACK_BATCH = 32 }; /* a pool keeps two of these per class, and spills one at a time */

struct ed_stack_list {
    struct ed_stack *first;
    _Atomic uint32_t count; /* written by the owner; others read it for counts */
};

/* A worker's own free stacks, last in first out. Owner only. */
struct ed_stack_pool {
    struct ed_stack_arena *arena;
    struct ed_stack_pool *next_pool;             /* the arena's list of pools, under its lock    */
    struct ed_stack_list hot[ED_STACK_CLASSES];  /* put here, taken from here                    */
    struct ed_stack_list cold[ED_STACK_CLASSES]; /* empty, or a full batch put before all of hot */
};

void ed_stack_pool_init(struct ed_stack_pool *pool, struct ed_stack_arena *arena);
void ed_stack_pool_deinit(struct ed_stack_pool *pool); /* its stacks go to the arena */

/* Fetches what a start or a switch touches first: lines of the record, and of the frames below it. For the one that comes
 * next: with more stacks than the caches hold its lines are then on their way while this one runs. Any address will do. */
static inline ED_HOT void ed_stack_fetch(const struct ed_stack *next) {
    for (intptr_t line = -5; line < 5; line++)
        __builtin_prefetch((const char *)((uintptr_t)next + (uintptr_t)(line * ED_LINE)), 1);
}

/* 0, EDDY_ENOMEM, or EDDY_ELIMIT: the cap, or the kernel's limit on mappings. */
int ed_stack_get(struct ed_stack_pool *pool, enum ed_stack_class class_, struct ed_stack **stack_out);
/* Takes `stack`. Legal on that very stack, if the caller's next acts are other than ed_stack_get on
 * this pool, and end in ed_context_exit: its memory is not touched before the owner has left it. */
void ed_stack_put(struct ed_stack_pool *pool, struct ed_stack *stack);

/* The next switch to stack->context calls entry(arg) at the high end of the stack. entry never
 * returns: its last act is ed_context_exit. Nobody runs on `stack`. */
void ed_context_make(struct ed_stack *stack, void (*entry)(void *arg), void *arg);

/* ---- The overflow report -------------------------------------------------------------------- */

/* SIGSEGV and SIGBUS: a fault in a guard is reported on stderr by the task's name; then, and for
 * any other fault at once, the handler that was there before runs, or the default. Counted. */
int ed_overflow_install(void); /* 0, or the negative errno of sigaction */
void ed_overflow_uninstall(void);

/* A thread that runs tasks needs a stack for the handler; one that the host has set is kept. */
int ed_overflow_thread_enter(void **state_out); /* 0 or EDDY_ENOMEM */
void ed_overflow_thread_leave(void *state);

/* `describe` writes the name of what runs on `stack`, without a NUL, gives its bytes; it runs in
 * the signal handler and may only read. NULL: no names. */
void ed_overflow_describe_with(size_t (*describe)(const struct ed_stack *stack, char *buffer, size_t bytes));

#endif
