/* swap.h: the machine's part of a switch, inline. Included by coro.h only; use ed_context_switch.
 *
 * Problem    A switch by call and return costs a mispredicted return, because the processor
 *            predicts returns by a stack of its own that does not switch along; and one by call and
 *            jump leaves that stack one off, so that the callers' returns miss.
 * Idea       No call at all: the switch is a statement that clobbers every register, so the
 *            compiler saves what is live, and no more; the statement stores the stack pointer and
 *            the address after itself, loads the other's, and jumps. Calls and returns stay
 *            balanced.
 * Invariants (W1) Nothing is pushed: what the compiler keeps below the stack pointer (the red zone)
 *            stays as it is, here and on the other stack.
 *            (W2) The frame and base pointers cannot be clobbered in every function: saved by hand.
 *            (W3) FP control is the callee's to keep, so each context has its own. Loading it is
 *            slow and nearly always a no-op: only when it differs.
 *            (W4) Between the loads of frame and stack pointer and the jump, three instructions, an
 *            unwinder in a signal handler sees a mix of two stacks; nowhere else.
 * Measured   x86_64, ns a switch, by statement / by call and ret / by call and jmp. Two places in
 *            the code in turn (scheduler and task): 5.5 / 10.2 / 4.4. One place, 2 frames up and
 *            down in between: 2 stacks 7.0 / 6.9 / 19.9, 100 stacks 10.2 / 10.2 / 22.4, 10,000:
 *            18.4 / 18.4 / 51. A function that contains a switch saves all callee-saved registers:
 *            contain it in few.
 * Tests      tests/coro/context_test.c. */
#ifndef ED_CORO_SWAP_H
#define ED_CORO_SWAP_H

_Static_assert(offsetof(struct ed_context, sp) == 0, "known to the assembly below");
_Static_assert(offsetof(struct ed_context, pc) == 8, "known to the assembly below");
_Static_assert(offsetof(struct ed_context, frame) == 16, "known to the assembly below");
_Static_assert(offsetof(struct ed_context, base) == 24, "known to the assembly below");
_Static_assert(offsetof(struct ed_context, fp_control) == 32, "known to the assembly below");

#if defined(__x86_64__)

#ifdef __AVX512F__
#define ED_SWAP_CLOBBERS_AVX512                                                                                   \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define ED_SWAP_CLOBBERS_AVX512
#endif

/* A new context starts with rsi == to: ed_context_first relies on it. */
static inline __attribute__((always_inline)) void ed_context_swap(struct ed_context *from, struct ed_context *to) {
    __asm__ volatile("leaq 2f(%%rip), %%rax\n"
                     "stmxcsr 32(%%rdi)\n"
                     "fnstcw 36(%%rdi)\n"
                     "movq %%rsp, (%%rdi)\n"
                     "movq %%rax, 8(%%rdi)\n"
                     "movq %%rbp, 16(%%rdi)\n"
                     "movq %%rbx, 24(%%rdi)\n"
                     "movl 32(%%rsi), %%eax\n"
                     "movzwl 36(%%rsi), %%ecx\n"
                     "cmpl 32(%%rdi), %%eax\n"
                     "je 0f\n"
                     "ldmxcsr 32(%%rsi)\n"
                     "0: cmpw 36(%%rdi), %%cx\n"
                     "je 1f\n"
                     "fldcw 36(%%rsi)\n"
                     "1: movq 8(%%rsi), %%rdx\n"
                     "movq 24(%%rsi), %%rbx\n"
                     "movq 16(%%rsi), %%rbp\n"
                     "movq (%%rsi), %%rsp\n"
                     "jmpq *%%rdx\n"
                     "2:\n"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
                       "st(7)" ED_SWAP_CLOBBERS_AVX512);
}

/* On the definition of a function that contains a switch and is called by tail calls only: it returns by an indirect jump. The
 * processor's stack of returns holds the caller of the task that ran before; where the two have different callers, a return is
 * mispredicted each time (6 ns), and a jump is not. Where they have the same, returns further up would pay for it. */
#define ED_RETURNS_BY_JUMP __attribute__((function_return("thunk-extern")))
/* Once, in the one file that has such functions: what they return through. Compilers know it by this name, and it is local. */
#define ED_RETURN_THUNK                             \
    __asm__(".text\n"                               \
            ".p2align 4\n"                          \
            ".type __x86_return_thunk, @function\n" \
            ".cfi_startproc\n"                      \
            "__x86_return_thunk:\n"                 \
            "popq %rcx\n"                           \
            ".cfi_adjust_cfa_offset -8\n"           \
            ".cfi_register rip, rcx\n"              \
            "jmpq *%rcx\n"                          \
            ".cfi_endproc\n"                        \
            ".size __x86_return_thunk, . - __x86_return_thunk\n")

#elif defined(__aarch64__)

#define ED_RETURNS_BY_JUMP
#define ED_RETURN_THUNK _Static_assert(1, "returns are returns here")

/* A new context starts with x1 == to: ed_context_first relies on it. Its base pointer is x19. */
static inline __attribute__((always_inline)) void ed_context_swap(struct ed_context *from_, struct ed_context *to_) {
    register struct ed_context *from __asm__("x0") = from_;
    register struct ed_context *to __asm__("x1") = to_;
    __asm__ volatile("adr x9, 2f\n"
                     "mov x10, sp\n"
                     "mrs x11, fpcr\n"
                     "stp x10, x9, [x0]\n"
                     "stp x29, x19, [x0, #16]\n"
                     "str x11, [x0, #32]\n"
                     "ldr x12, [x1, #32]\n"
                     "ldp x10, x9, [x1]\n"
                     "cmp x11, x12\n"
                     "b.eq 1f\n"
                     "msr fpcr, x12\n"
                     "1: ldp x29, x19, [x1, #16]\n"
                     "mov sp, x10\n"
                     "br x9\n"
                     "2:\n"
                     : "+r"(from), "+r"(to)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "x18", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc",
                       "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                       "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
                       "v28", "v29", "v30", "v31");
}

#else
#error "coro/swap.h: no context switch for this machine"
#endif

#endif
