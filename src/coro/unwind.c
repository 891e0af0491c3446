/* unwind.c: the calls on a stack, also on one that does not run.
 *
 * Problem    Unwinders walk the stack they run on, in release builds by the tables of the compiler; a parked task's stack
 *            is another one, and frame pointers are not to be had in everybody's code.
 * Idea       A function whose own table says that its caller's registers are those which the switch saved in a context:
 *            the C library's unwinder, called from it, goes on in that context without knowing.
 * Registers  Stack pointer, place, frame and base pointer: what swap.h stores. The others it clobbers, so the function
 *            that contains it has saved them in its frame, and its table says where.
 * Threads    Whoever knows that the context does not run, and will not meanwhile: its worker.
 * Tests      tests/coro/unwind_test.c. */
#include "coro/context.h"

#include <execinfo.h>
#include <stdbool.h>
#include <string.h>

int ed_context_backtrace(const struct ed_context *context, void **frames_out, int capacity);
extern const char ed_context_backtrace_end[];

/* DW_CFA_def_cfa_expression (0x0f) and DW_CFA_expression (0x10), each with a register of the caller, a length and an
 * expression: the address in the register that holds `context`, plus an offset known from swap.h; the first also reads
 * there (0x06). */
#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".globl ed_context_backtrace\n"
        ".hidden ed_context_backtrace\n"
        ".type ed_context_backtrace, @function\n"
        "ed_context_backtrace:\n"
        ".cfi_startproc\n"
        "    pushq %rbx\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbx, -16\n"
        "    movq %rdi, %rbx\n"
        "    movq %rsi, %rdi\n"
        "    movl %edx, %esi\n"
        ".cfi_remember_state\n"
        ".cfi_escape 0x0f, 3, 0x73, 0x00, 0x06\n" /* rsp: at rbx + 0 */
        ".cfi_escape 0x10, 16, 2, 0x73, 0x08\n"   /* rip: at rbx + 8 */
        ".cfi_escape 0x10, 6, 2, 0x73, 0x10\n"    /* rbp: at rbx + 16 */
        ".cfi_escape 0x10, 3, 2, 0x73, 0x18\n"    /* rbx: at rbx + 24 */
        "    callq backtrace@PLT\n"
        "    nop\n"
        ".cfi_restore_state\n"
        "    popq %rbx\n"
        ".cfi_def_cfa_offset 8\n"
        "    retq\n"
        ".cfi_endproc\n"
        ".size ed_context_backtrace, .-ed_context_backtrace\n"
        ".globl ed_context_backtrace_end\n"
        ".hidden ed_context_backtrace_end\n"
        "ed_context_backtrace_end:\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".globl ed_context_backtrace\n"
        ".hidden ed_context_backtrace\n"
        ".type ed_context_backtrace, %function\n"
        "ed_context_backtrace:\n"
        ".cfi_startproc\n"
        "    stp x29, x30, [sp, #-32]!\n"
        ".cfi_def_cfa_offset 32\n"
        ".cfi_offset 29, -32\n"
        ".cfi_offset 30, -24\n"
        "    str x19, [sp, #16]\n"
        ".cfi_offset 19, -16\n"
        "    mov x19, x0\n"
        "    mov x0, x1\n"
        "    mov w1, w2\n"
        ".cfi_remember_state\n"
        ".cfi_escape 0x0f, 3, 0x83, 0x00, 0x06\n" /* sp: at x19 + 0 */
        ".cfi_escape 0x10, 30, 2, 0x83, 0x08\n"   /* the return address: at x19 + 8 */
        ".cfi_escape 0x10, 29, 2, 0x83, 0x10\n"   /* x29: at x19 + 16 */
        ".cfi_escape 0x10, 19, 2, 0x83, 0x18\n"   /* x19: at x19 + 24 */
        "    bl backtrace\n"
        "    nop\n"
        ".cfi_restore_state\n"
        "    ldr x19, [sp, #16]\n"
        "    ldp x29, x30, [sp], #32\n"
        ".cfi_def_cfa_offset 0\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size ed_context_backtrace, .-ed_context_backtrace\n"
        ".globl ed_context_backtrace_end\n"
        ".hidden ed_context_backtrace_end\n"
        "ed_context_backtrace_end:\n");
#endif

enum { FRAMES_MAX = 64, OWN_MAX = 4 };

static bool is_ours(const void *frame) {
    uintptr_t at = (uintptr_t)frame;
    return at > (uintptr_t)ed_context_backtrace && at < (uintptr_t)ed_context_backtrace_end;
}

size_t ed_unwind_context(const struct ed_context *context, void **frames_out, size_t capacity) {
    void *frames[FRAMES_MAX + OWN_MAX];
    if (capacity > FRAMES_MAX) capacity = FRAMES_MAX;
    size_t count = (size_t)ed_context_backtrace(context, frames, (int)capacity + OWN_MAX), first = 0;
    while (first < count && !is_ours(frames[first])) first++; /* a sanitizer's own frame may come before */
    if (first < count) first++;
    count -= first;
    if (count > capacity) count = capacity;
    memcpy(frames_out, frames + first, count * sizeof frames[0]);
    return count;
}

__attribute__((noinline)) size_t ed_unwind_here(void **frames_out, size_t capacity) {
    void *frames[FRAMES_MAX + OWN_MAX];
    if (capacity > FRAMES_MAX) capacity = FRAMES_MAX;
    const void *caller = __builtin_return_address(0);
    size_t count = (size_t)backtrace(frames, (int)capacity + OWN_MAX), first = 0;
    while (first < count && frames[first] != caller) first++;
    if (first == count) first = 0;
    count -= first;
    if (count > capacity) count = capacity;
    memcpy(frames_out, frames + first, count * sizeof frames[0]);
    return count;
}
