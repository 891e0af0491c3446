/* context.c: the first frame of a new stack, and what the tools must hear of it.
 *
 * Problem    A new stack has nobody to return to: debuggers must see its end, the first function
 *            must find it aligned, and race detector, address checker and valgrind must know that
 *            it is one.
 * Idea       A new context goes on in a trampoline of two instructions whose CFI says "outermost
 *            frame"; it calls first_call with the stack, which the switch that came here left in a
 *            register.
 * Invariants (X1) The trampoline is entered by ed_context_swap only, with the stack pointer aligned
 *            to 16 and `to`, the first member of the stack's record, in the register that swap.h
 *            names.
 *            (X2) A TSan fiber belongs to one use of a stack: it keeps what never returned.
 * Ordering   None of its own: who hands a context to another thread publishes it with release after
 *            the switch away, from the other side.
 * Threads    make: whoever holds the stack, which does not run.
 * Not here   The switch (swap.h); memory of stacks (stack.c).
 * Tests      tests/coro/context_test.c. */
#include "coro/context.h"

#include <pthread.h>
#include <string.h>

#ifdef ED_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* ---- The first frame ------------------------------------------------------------------------ */

void ed_context_first(void); /* the trampoline: never called, jumped into */
void ed_context_first_call(struct ed_stack *stack);

_Static_assert(offsetof(struct ed_stack, context) == 0, "the trampoline takes one for the other");

#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".globl ed_context_first\n"
        ".hidden ed_context_first\n"
        ".type ed_context_first, @function\n"
        ".cfi_startproc\n"
        ".cfi_undefined %rip\n" /* the outermost frame: a backtrace ends here */
        "    nop\n"             /* unwinders look up a return address less one */
        "ed_context_first:\n"
        "    movq %rsi, %rdi\n"
        "    callq ed_context_first_call\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size ed_context_first, .-ed_context_first\n");

static uint64_t fp_control(void) {
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(x87));
    return mxcsr | (uint64_t)x87 << 32;
}
#elif defined(__aarch64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".globl ed_context_first\n"
        ".hidden ed_context_first\n"
        ".type ed_context_first, %function\n"
        ".cfi_startproc\n"
        ".cfi_undefined 30\n" /* the outermost frame: a backtrace ends here */
        "    nop\n"           /* unwinders look up a return address less one */
        "ed_context_first:\n"
        "    mov x0, x1\n"
        "    bl ed_context_first_call\n"
        "    brk #1\n"
        ".cfi_endproc\n"
        ".size ed_context_first, .-ed_context_first\n");

static uint64_t fp_control(void) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}
#endif

__attribute__((used, visibility("hidden"))) void ed_context_first_call(struct ed_stack *stack) {
#ifdef ED_CORO_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL); /* ends the switch that brought us here */
#endif
    stack->entry(stack->arg);
    ED_PANIC("coro: the entry of a stack returned");
}

/* ---- Contexts ------------------------------------------------------------------------------- */

#ifdef ED_CORO_TSAN
enum { TSAN_NO_SYNC = 1 };
#endif

void ed_context_forget(struct ed_context *context) {
#ifdef ED_CORO_TSAN
    if (context->tsan_fiber == NULL) return;
    ED_ASSERT(context->tsan_fiber != __tsan_get_current_fiber());
    /* A fiber that never ran may not end in every TSan: let it run once, ordering nothing. */
    void *here = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(context->tsan_fiber, TSAN_NO_SYNC);
    __tsan_switch_to_fiber(here, TSAN_NO_SYNC);
    __tsan_destroy_fiber(context->tsan_fiber);
    context->tsan_fiber = NULL;
#else
    (void)context;
#endif
}

void ed_context_unregister(struct ed_context *context) {
    ed_context_forget(context);
#ifdef ED_CORO_ASAN
    __asan_unpoison_memory_region(context->stack_low, context->stack_bytes);
#endif
#ifdef ED_VALGRIND
    if (context->valgrind_id != 0) VALGRIND_STACK_DEREGISTER(context->valgrind_id);
    context->valgrind_id = 0;
#endif
}

void ed_context_make(struct ed_stack *stack, void (*entry)(void *arg), void *arg) {
    struct ed_context *context = &stack->context;
    ED_ASSERT(entry != NULL);
    ED_ASSERT(ed_stack_left(context) == 0); /* nobody runs on it, us included */

    uintptr_t top = (uintptr_t)context->stack_low + context->stack_bytes;
    ED_ASSERT(top % 16 == 0);
    stack->entry = entry;
    stack->arg = arg;
#ifdef ED_CORO_ASAN
    /* What ran here before never returned from its frames: their redzones are still poisoned. */
    __asan_unpoison_memory_region(context->stack_low, context->stack_bytes);
    context->asan_fake = NULL;
#endif
#ifdef ED_CORO_TSAN
    ed_context_forget(context); /* a fiber per use: its shadow stack keeps what never returned */
    context->tsan_fiber = __tsan_create_fiber(0);
#endif
#ifdef ED_VALGRIND
    if (context->valgrind_id == 0)
        context->valgrind_id = VALGRIND_STACK_REGISTER(context->stack_low, (char *)top); /* it starts at top */
#endif

    context->sp = (void *)top;
    context->pc = (void *)ed_context_first;
    context->frame = NULL; /* ends the chain of frame pointers */
    context->fp_control = fp_control();
}

void ed_context_init_thread(struct ed_context *context) {
    memset(context, 0, sizeof *context);
#ifdef ED_CORO_TSAN
    context->tsan_fiber = __tsan_get_current_fiber();
#endif
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void *low;
        if (pthread_attr_getstack(&attributes, &low, &context->stack_bytes) == 0) context->stack_low = low;
        pthread_attr_destroy(&attributes);
    }
#ifdef ED_CORO_ASAN
    ED_ASSERT(context->stack_low != NULL); /* ASan must know where it comes back to */
#endif
}

void ed_context_deinit_thread(struct ed_context *context) {
    memset(context, 0, sizeof *context); /* a late switch to it fails at once, at address 0 */
}
