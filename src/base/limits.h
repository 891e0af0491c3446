/* limits.h: every limit of the core, each with its derivation. */
#ifndef ED_BASE_LIMITS_H
#define ED_BASE_LIMITS_H

#define ED_LINE 64 /* cache line of x86_64 and of most aarch64: keeps owners and thieves apart */

/* Workers of one runtime: beyond the cores of any machine we know; worker indexes fit 16 bits of the
 * start word. */
#define ED_WORKERS_MAX 1024

/* Counted calls between two visits to the scheduler: 256 calls of 20 ns are 5 us, one slice. */
#define ED_BUDGET_CALLS 256

/* Timers and the poll are looked at at least every so many slices, passes without domain entries. */
#define ED_SLICES_PER_POLL 64

/* Stacks that were put off by fairness (not parked) beyond which new tasks of the private part start
 * only once a tick: bounds the stacks of fork-join code (fib(35): at most about this many plus depth). */
#define ED_PREEMPTED_MAX 64

/* A task started directly on its awaiter's stack has at least this much of it (of the default 64 KiB). */
#define ED_DIRECT_STACK_BYTES (40 * 1024)

/* Timeout scopes that lie in the stack's own record; deeper ones are allocated. */
#define ED_SCOPES_INLINE 4

#define ED_TICK_NS 1000000 /* tick thread: bounds a slice of counted calls to about 1 ms */

/* A worker that has not visited its scheduler for so long is held: another one accepts its connections. */
#define ED_HELD_NS 10000000

/* While what a poll woke has not run yet, the next poll waits so long: what it woke would run later anyway; a socket that
 * takes output again, and a signal, are worth more than an endless queue. */
#define ED_POLL_DELAY_NS 10000000

/* In a domain the OS poll may be left out of a pass for at most this long. */
#define ED_DOMAIN_POLL_NS 100000

#endif
