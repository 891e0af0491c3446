/* The calls on a stack that does not run are found, by their names, in builds of every kind. */
#include "base/base.h"
#include "coro/coro.h"
#include "harness/test.h"

#include <string.h>

static struct ed_stack_arena *arena;
static struct ed_stack_pool pool;
static struct ed_context here;
static struct ed_stack *stack;
static volatile int kept; /* no call below is the last thing its function does */

__attribute__((noinline)) static void innermost_call(void) {
    ed_context_switch(&stack->context, &here);
    kept++;
}
/* A frame whose size is known when it runs only, with more live values than registers. */
__attribute__((noinline)) static void call_in_between(int deep) {
    volatile char *some = __builtin_alloca((size_t)deep * 100 + 1);
    some[0] = 1;
    if (deep > 0) call_in_between(deep - 1);
    if (deep == 0) innermost_call();
    kept += some[0];
}
static void outermost_call(void *arg) {
    (void)arg;
    call_in_between(3);
    ed_stack_put(&pool, stack);
    ed_context_exit(&stack->context, &here);
}

UNIT(unwind, finds_the_calls_on_a_stack_that_does_not_run) {
    EXPECT_OK(ed_stack_arena_open(&arena, 512, NULL));
    ed_stack_pool_init(&pool, arena);
    ed_context_init_thread(&here);
    EXPECT_OK(ed_stack_get(&pool, ED_STACK_64K, &stack));
    ed_context_make(stack, outermost_call, NULL);
    ed_context_switch(&here, &stack->context);

    void *frames[32];
    char text[8192];
    size_t count = ed_unwind_context(&stack->context, frames, 32);
    EXPECT(count >= 6 && count < 16);
    ed_symbols_print(frames, count, "  ", text, sizeof text);
    const char *first = strstr(text, "innermost_call"), *last = strstr(text, "outermost_call");
    EXPECT(first != NULL && last != NULL && first < last);
    int between = 0;
    for (const char *at = text; (at = strstr(at, "call_in_between")) != NULL; at++) between++;
    EXPECT_EQ(4, between);
    EXPECT_EQ(2, ed_unwind_context(&stack->context, frames, 2)); /* no more than asked for */

    ed_context_switch(&here, &stack->context); /* it goes on unharmed */
    EXPECT_EQ(5, kept);
    ed_context_deinit_thread(&here);
    ed_stack_pool_deinit(&pool);
    ed_stack_arena_close(arena);
}

__attribute__((noinline)) static size_t look_here(void **frames) {
    size_t count = ed_unwind_here(frames, 8);
    kept++;
    return count;
}

UNIT(unwind, finds_the_calls_of_the_caller) {
    void *frames[8];
    char text[256];
    EXPECT(look_here(frames) >= 2);
    ed_symbol_print(frames[0], text, sizeof text);
    EXPECT_HAS(text, "look_here+0x");
}
