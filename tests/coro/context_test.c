/* A switch keeps what the compiler trusts it to keep, on however many stacks, and a debugger
 * finds the end. */
#include "base/base.h"
#include "coro/coro.h"
#include "harness/test.h"

#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <string.h>

enum { RECORD_BYTES = 512 };

static struct ed_stack_arena *arena;
static struct ed_stack_pool pool;
static struct ed_context here;

static void set_up(void) {
    EXPECT_OK(ed_stack_arena_open(&arena, RECORD_BYTES, NULL));
    ed_stack_pool_init(&pool, arena);
    ed_context_init_thread(&here);
}

static void tear_down(void) {
    ed_context_deinit_thread(&here);
    ed_stack_pool_deinit(&pool);
    EXPECT_EQ(0, ed_stack_arena_counts(arena).alive);
    ed_stack_arena_close(arena);
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static struct ed_stack *make(void (*entry)(void *), void *arg) {
    struct ed_stack *stack;
    EXPECT_OK(ed_stack_get(&pool, ED_STACK_64K, &stack));
    ed_context_make(stack, entry, arg);
    return stack;
}

/* What each body below is given. */
struct body {
    struct ed_stack *stack;
    uint64_t number, count;
};

static void leave(struct body *body) {
    ed_stack_put(&pool, body->stack);
    ed_context_exit(&body->stack->context, &here);
}

/* ---- Registers ------------------------------------------------------------------------------ */

/* Fills more values than there are registers with what depends on `seed`, switches, and looks at
 * each. */
__attribute__((noinline)) static bool keeps_values(struct ed_context *from, struct ed_context *to, uint64_t seed) {
    uint64_t integers[16];
    double reals[16];
    for (uint64_t i = 0; i < 16; i++) {
        integers[i] = seed * 1000003 + i;
        reals[i] = (double)(seed + i) / 3;
        __asm__ volatile("" : "+r"(integers[i]));
        __asm__ volatile("" : "+m"(reals[i]));
    }
    uint64_t a = integers[0], b = integers[1], c = integers[2], d = integers[3], e = integers[4], f = integers[5],
             g = integers[6];
    double x = reals[0], y = reals[1], z = reals[2];
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
    ed_context_switch(from, to);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
    bool kept = a == integers[0] && b == integers[1] && c == integers[2] && d == integers[3] && e == integers[4] &&
                f == integers[5] && g == integers[6] && x == reals[0] && y == reals[1] && z == reals[2];
    for (uint64_t i = 0; i < 16; i++)
        kept = kept && integers[i] == seed * 1000003 + i && reals[i] == (double)(seed + i) / 3;
    return kept;
}

static void keep_values_body(void *arg) {
    struct body *body = arg;
    for (uint64_t i = 0; i < body->count; i++) EXPECT(keeps_values(&body->stack->context, &here, body->number * 7 + i));
    leave(body);
}

UNIT(coro_context, keeps_values_of_both_sides) {
    set_up();
    enum { BODIES = 5, ROUNDS = 100 };
    struct body bodies[BODIES];
    for (uint64_t i = 0; i < BODIES; i++) {
        bodies[i] = (struct body){.number = i, .count = ROUNDS};
        bodies[i].stack = make(keep_values_body, &bodies[i]);
    }
    for (uint64_t round = 0; round <= ROUNDS; round++)
        for (uint64_t i = 0; i < BODIES; i++) EXPECT(keeps_values(&here, &bodies[i].stack->context, round * 31 + i));
    tear_down();
}

/* The callee-saved registers by name, as a caller in assembly holds them: 0 if `call` kept them
 * all. */
#if defined(__x86_64__)
uint64_t coro_test_call(void (*call)(struct ed_context *, struct ed_context *), struct ed_context *from,
                        struct ed_context *to);
__asm__(".text\n"
        ".type coro_test_call, @function\n"
        "coro_test_call:\n"
        "    pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "    subq $8, %rsp\n"
        "    movq $0x1111, %rbx\n movq $0x2222, %rbp\n movq $0x3333, %r12\n"
        "    movq $0x4444, %r13\n movq $0x5555, %r14\n movq $0x6666, %r15\n"
        "    movq %rdi, %rax\n movq %rsi, %rdi\n movq %rdx, %rsi\n"
        "    callq *%rax\n"
        "    xorq $0x1111, %rbx\n xorq $0x2222, %rbp\n xorq $0x3333, %r12\n"
        "    xorq $0x4444, %r13\n xorq $0x5555, %r14\n xorq $0x6666, %r15\n"
        "    movq %rbx, %rax\n orq %rbp, %rax\n orq %r12, %rax\n"
        "    orq %r13, %rax\n orq %r14, %rax\n orq %r15, %rax\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
        "    ret\n"
        ".size coro_test_call, .-coro_test_call\n");

__attribute__((noinline)) static void switch_between(struct ed_context *from, struct ed_context *to) {
    ed_context_switch(from, to);
}

static void clobber_body(void *arg) {
    struct body *body = arg;
    for (; body->count > 0; body->count--) {
        __asm__ volatile("xorl %%ebx, %%ebx\n xorl %%r12d, %%r12d\n xorl %%r13d, %%r13d\n"
                         "xorl %%r14d, %%r14d\n xorl %%r15d, %%r15d\n" ::
                             : "rbx", "r12", "r13", "r14", "r15", "cc");
        ed_context_switch(&body->stack->context, &here);
    }
    leave(body);
}
#elif defined(__aarch64__)
uint64_t coro_test_call(void (*call)(struct ed_context *, struct ed_context *), struct ed_context *from,
                        struct ed_context *to);
/* x19 to x28 hold 19 to 28, d8 to d15 hold 8.0 to 15.0. */
__asm__(".text\n"
        ".type coro_test_call, %function\n"
        "coro_test_call:\n"
        "    stp x29, x30, [sp, #-160]!\n mov x29, sp\n"
        "    stp x19, x20, [sp, #16]\n stp x21, x22, [sp, #32]\n stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
        "    mov x19, #19\n mov x20, #20\n mov x21, #21\n mov x22, #22\n mov x23, #23\n"
        "    mov x24, #24\n mov x25, #25\n mov x26, #26\n mov x27, #27\n mov x28, #28\n"
        "    fmov d8, #8.0\n fmov d9, #9.0\n fmov d10, #10.0\n fmov d11, #11.0\n"
        "    fmov d12, #12.0\n fmov d13, #13.0\n fmov d14, #14.0\n fmov d15, #15.0\n"
        "    mov x9, x0\n mov x0, x1\n mov x1, x2\n"
        "    blr x9\n"
        "    sub x0, x19, #19\n"
        "    sub x9, x20, #20\n orr x0, x0, x9\n sub x9, x21, #21\n orr x0, x0, x9\n"
        "    sub x9, x22, #22\n orr x0, x0, x9\n sub x9, x23, #23\n orr x0, x0, x9\n"
        "    sub x9, x24, #24\n orr x0, x0, x9\n sub x9, x25, #25\n orr x0, x0, x9\n"
        "    sub x9, x26, #26\n orr x0, x0, x9\n sub x9, x27, #27\n orr x0, x0, x9\n"
        "    sub x9, x28, #28\n orr x0, x0, x9\n"
        "    fcvtzs x9, d8\n sub x9, x9, #8\n orr x0, x0, x9\n fcvtzs x9, d9\n sub x9, x9, #9\n orr x0, x0, x9\n"
        "    fcvtzs x9, d10\n sub x9, x9, #10\n orr x0, x0, x9\n fcvtzs x9, d11\n sub x9, x9, #11\n orr x0, x0, x9\n"
        "    fcvtzs x9, d12\n sub x9, x9, #12\n orr x0, x0, x9\n fcvtzs x9, d13\n sub x9, x9, #13\n orr x0, x0, x9\n"
        "    fcvtzs x9, d14\n sub x9, x9, #14\n orr x0, x0, x9\n fcvtzs x9, d15\n sub x9, x9, #15\n orr x0, x0, x9\n"
        "    ldp d14, d15, [sp, #144]\n ldp d12, d13, [sp, #128]\n ldp d10, d11, [sp, #112]\n ldp d8, d9, [sp, #96]\n"
        "    ldp x27, x28, [sp, #80]\n ldp x25, x26, [sp, #64]\n"
        "    ldp x23, x24, [sp, #48]\n ldp x21, x22, [sp, #32]\n ldp x19, x20, [sp, #16]\n"
        "    ldp x29, x30, [sp], #160\n"
        "    ret\n"
        ".size coro_test_call, .-coro_test_call\n");

__attribute__((noinline)) static void switch_between(struct ed_context *from, struct ed_context *to) {
    ed_context_switch(from, to);
}

static void clobber_body(void *arg) {
    struct body *body = arg;
    for (; body->count > 0; body->count--) {
        __asm__ volatile("mov x20, xzr\n mov x21, xzr\n mov x22, xzr\n mov x23, xzr\n mov x24, xzr\n"
                         "mov x25, xzr\n mov x26, xzr\n mov x27, xzr\n mov x28, xzr\n"
                         "fmov d8, xzr\n fmov d9, xzr\n fmov d10, xzr\n fmov d11, xzr\n"
                         "fmov d12, xzr\n fmov d13, xzr\n fmov d14, xzr\n fmov d15, xzr\n" ::
                             : "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "d8", "d9", "d10", "d11",
                               "d12", "d13", "d14", "d15");
        ed_context_switch(&body->stack->context, &here);
    }
    leave(body);
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
UNIT(coro_context, keeps_every_callee_saved_register) {
    set_up();
    struct body body = {.count = 3};
    body.stack = make(clobber_body, &body);
    for (int i = 0; i < 4; i++) EXPECT_EQ(0, coro_test_call(switch_between, &here, &body.stack->context));
    tear_down();
}
#endif

/* ---- Floating point control ------------------------------------------------------------------ */

/* 1/7 is rounded down to the nearest in both formats, so that rounding up shows. On x86_64 long
 * double is the x87's, which has a control word of its own; elsewhere it may be software that
 * ignores this. */
static volatile double one = 1, seven = 7;
static volatile long double long_one = 1, long_seven = 7;

struct seventh {
    volatile double as_double;
    volatile long double as_long;
};

static void divide(struct seventh *seventh) {
    seventh->as_double = one / seven;
    seventh->as_long = long_one / long_seven;
}

static void round_up_body(void *arg) {
    struct body *body = arg;
    struct seventh nearest, up;
    EXPECT_EQ(FE_TONEAREST, fegetround()); /* as whoever made the context */
    divide(&nearest);
    fesetround(FE_UPWARD);
    for (; body->count > 0; body->count--) {
        divide(&up);
        EXPECT_EQ(FE_UPWARD, fegetround());
        EXPECT(up.as_double > nearest.as_double);
#if defined(__x86_64__)
        EXPECT(up.as_long > nearest.as_long);
#endif
        ed_context_switch(&body->stack->context, &here);
    }
    leave(body);
}

UNIT(coro_context, keeps_rounding_of_each_side, TEST_WITHOUT("valgrind")) {
    set_up();
    struct body body = {.count = 3};
    struct seventh nearest, now;
    body.stack = make(round_up_body, &body);
    divide(&nearest);
    for (int i = 0; i < 4; i++) {
        ed_context_switch(&here, &body.stack->context);
        divide(&now);
        EXPECT_EQ(FE_TONEAREST, fegetround());
        EXPECT(now.as_double == nearest.as_double);
        EXPECT(now.as_long == nearest.as_long);
    }
    tear_down();
}

/* ---- Many switches --------------------------------------------------------------------------- */

static void count_body(void *arg) {
    struct body *body = arg;
    for (;;) {
        body->count++;
        ed_context_switch(&body->stack->context, &here);
    }
}

UNIT(coro_context, switches_a_million_times) {
    set_up();
    struct body body = {.count = 0};
    body.stack = make(count_body, &body);
    const int64_t rounds = test_scaled(500000); /* two switches each */
    for (int64_t i = 0; i < rounds; i++) ed_context_switch(&here, &body.stack->context);
    EXPECT_EQ(rounds, body.count);
    ed_stack_put(&pool, body.stack);
    tear_down();
}

static struct body *ring;

static void ring_body(void *arg) {
    struct body *body = arg;
    size_t next = body->number + 1;
    for (; body->count > 0; body->count--) {
        struct ed_context *to = next < 50 ? &ring[next].stack->context : &here;
        ed_context_switch(&body->stack->context, to);
    }
    leave(body);
}

UNIT(coro_context, goes_straight_from_stack_to_stack) {
    set_up();
    struct body bodies[50];
    ring = bodies;
    for (uint64_t i = 0; i < 50; i++) {
        bodies[i] = (struct body){.number = i, .count = 20};
        bodies[i].stack = make(ring_body, &bodies[i]);
    }
    for (int round = 0; round < 20; round++) ed_context_switch(&here, &bodies[0].stack->context);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(1, bodies[i].count);
        ed_context_switch(&here, &bodies[i].stack->context); /* each leaves */
        EXPECT_EQ(0, bodies[i].count);
    }
    tear_down();
}

/* A context is no thread's: what one began another goes on with. */
static void *resume_on_thread(void *arg) {
    struct body *body = arg;
    struct ed_context thread;
    ed_context_init_thread(&thread);
    struct ed_context main_thread = here;
    here = thread;
    ed_context_switch(&here, &body->stack->context);
    thread = here;
    here = main_thread;
    ed_context_deinit_thread(&thread);
    return NULL;
}

UNIT(coro_context, moves_between_threads) {
    set_up();
    struct body body = {.count = 0};
    body.stack = make(count_body, &body);
    ed_context_switch(&here, &body.stack->context);
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, resume_on_thread, &body));
    EXPECT_EQ(0, pthread_join(thread, NULL));
    ed_context_switch(&here, &body.stack->context);
    EXPECT_EQ(3, body.count);
    ed_stack_put(&pool, body.stack);
    tear_down();
}

/* ---- The first frame ------------------------------------------------------------------------- */

static void first_frame_body(void *arg) {
    struct body *body = arg;
    _Alignas(16) volatile char aligned[16] = {0};
    EXPECT_EQ(0, (uintptr_t)aligned % 16);
    EXPECT_EQ(0, (uintptr_t)__builtin_frame_address(0) % 16); /* a frame pointer is aligned if calls are */

    void *frames[100];
    int count = backtrace(frames, 100);
    EXPECT(count >= 2);
    EXPECT(count <= 4); /* this, the first call, the trampoline: and there it ends */

    size_t left = ed_stack_left(&body->stack->context);
    EXPECT(left > body->stack->context.stack_bytes - 4096);
    EXPECT(left < body->stack->context.stack_bytes);
    EXPECT_EQ(0, ed_stack_left(&here)); /* that is not where we run */
    body->count = 1;
    leave(body);
}

UNIT(coro_context, first_frame_is_aligned_and_ends_a_backtrace) {
    set_up();
    struct body body = {0};
    body.stack = make(first_frame_body, &body);
    ed_context_switch(&here, &body.stack->context);
    EXPECT_EQ(1, body.count);
    EXPECT(ed_stack_left(&here) > 0);
    tear_down();
}

/* One stack, many uses: each starts afresh, whatever the last left in its frames. */
static void deep_body(void *arg) {
    struct body *body = arg;
    volatile char frame[8000];
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = (char)body->number;
    body->count += (uint64_t)(unsigned char)frame[sizeof frame / 2];
    leave(body);
}

UNIT(coro_context, reuses_a_stack) {
    set_up();
    struct body body = {0};
    struct ed_stack *first = NULL;
    for (uint64_t i = 1; i <= 200; i++) {
        body.number = i % 8;
        body.stack = make(deep_body, &body);
        if (first == NULL) first = body.stack;
        EXPECT(body.stack == first);
        ed_context_switch(&here, &body.stack->context);
    }
    EXPECT_EQ(700, body.count);
    tear_down();
}

static void return_body(void *arg) { (void)arg; }

static void run_returning(void *arg) {
    (void)arg;
    set_up();
    struct ed_stack *stack = make(return_body, NULL);
    ed_context_switch(&here, &stack->context);
}

UNIT(coro_context, entry_that_returns_is_a_named_abort, TEST_WITHOUT("thread")) {
    struct test_child child = test_child_run(run_returning, NULL);
    EXPECT(child.signal != 0 || child.exit_code != 0);
    EXPECT_HAS(child.stderr_text, "entry of a stack returned");
}

/* ---- Planted --------------------------------------------------------------------------------- */

static int unguarded;

static void race_body(void *arg) {
    struct body *body = arg;
    unguarded++;
    leave(body);
}

static void *race_thread(void *arg) {
    (void)arg;
    unguarded++;
    return NULL;
}

/* A race between a task's stack and a thread, which the race detector must see through the
 * switch. */
PLANTED(coro_context, race_on_a_stack_of_its_own) {
    set_up();
    struct body body = {0};
    body.stack = make(race_body, &body);
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, race_thread, NULL));
    ed_context_switch(&here, &body.stack->context);
    EXPECT_EQ(0, pthread_join(thread, NULL));
    tear_down();
}

static void overrun_body(void *arg) {
    struct body *body = arg;
    char small[16];
    memset(small, 0, sizeof small);
    volatile size_t at = 20;
    ((volatile char *)small)[at] = 1;
    leave(body);
}

/* A write past a local of a task, which the address checker must see on a stack that it did not
 * make. */
PLANTED(coro_context, overrun_on_a_stack_of_its_own) {
    set_up();
    struct body body = {0};
    body.stack = make(overrun_body, &body);
    ed_context_switch(&here, &body.stack->context);
    tear_down();
}
