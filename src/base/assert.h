/* assert.h: checks that stay in every build.
 *
 * ED_ASSERT   must hold, or the program ends with file, line and the condition. Not compiled out: its
 *             conditions are loads of data that the next line uses anyway.
 * ED_PANIC    a named abort for wrong use of the public API: says what was done and the way out. */
#ifndef ED_BASE_ASSERT_H
#define ED_BASE_ASSERT_H

_Noreturn void ed_assert_failed(const char *file, int line, const char *condition);
_Noreturn void ed_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ED_LIKELY(x) __builtin_expect(!!(x), 1)
#define ED_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* On a definition: inlined wherever the compiler sees it, in what is shipped also into other files of the core
 * (docs/adr/0012). For what every spawn and await runs through; what is rare in it goes apart, in a function ED_COLD. */
#ifdef __OPTIMIZE__
#define ED_HOT __attribute__((always_inline))
#else
#define ED_HOT /* unoptimised, the frames of what is inlined add up, and fewer awaits fit on one stack */
#endif
#define ED_COLD __attribute__((noinline, cold))
/* On a definition that reads errno: inlined into what may switch stacks, it would let the compiler keep the address of errno
 * across the switch, and after a migration that is another thread's (tests/checks/thread_locals.sh). */
#define ED_SYSCALL __attribute__((noinline))
#define ED_ASSERT(condition) (ED_LIKELY(condition) ? (void)0 : ed_assert_failed(__FILE__, __LINE__, #condition))
#define ED_PANIC(...) ed_panic(__VA_ARGS__)

#endif
