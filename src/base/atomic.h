/* atomic.h: the one door to atomics.
 *
 * Every atomic access of the project is written with these macros, so that a model or simulator build
 * can make each a switch point (ED_ATOMIC_POINT), and a reader can find them all. The order stands on
 * the access; there are no stand-alone fences (ThreadSanitizer cannot see those).
 *
 *   relaxed  a counter or a flag that only advises     acquire/release  hands over what was written before
 *   seqcst   one of two parties must see the other (store buffering): always with its partner named */
#ifndef ED_BASE_ATOMIC_H
#define ED_BASE_ATOMIC_H

#include "base/chaos.h"

#include <stdatomic.h>

#ifndef ED_ATOMIC_POINT
#define ED_ATOMIC_POINT() ED_CHAOS(ATOMIC)
#endif

#define ED_LOAD_RELAXED(p) (ED_ATOMIC_POINT(), atomic_load_explicit((p), memory_order_relaxed))
#define ED_LOAD_ACQUIRE(p) (ED_ATOMIC_POINT(), atomic_load_explicit((p), memory_order_acquire))
#define ED_LOAD_SEQCST(p) (ED_ATOMIC_POINT(), atomic_load_explicit((p), memory_order_seq_cst))
#define ED_STORE_RELAXED(p, v) (ED_ATOMIC_POINT(), atomic_store_explicit((p), (v), memory_order_relaxed))
#define ED_STORE_RELEASE(p, v) (ED_ATOMIC_POINT(), atomic_store_explicit((p), (v), memory_order_release))
#define ED_STORE_SEQCST(p, v) (ED_ATOMIC_POINT(), atomic_store_explicit((p), (v), memory_order_seq_cst))
#define ED_EXCHANGE(p, v) (ED_ATOMIC_POINT(), atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#define ED_ADD(p, v) (ED_ATOMIC_POINT(), atomic_fetch_add_explicit((p), (v), memory_order_seq_cst))
#define ED_ADD_RELAXED(p, v) (ED_ATOMIC_POINT(), atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define ED_SUB(p, v) (ED_ATOMIC_POINT(), atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst))
#define ED_OR(p, v) (ED_ATOMIC_POINT(), atomic_fetch_or_explicit((p), (v), memory_order_seq_cst))
#define ED_AND(p, v) (ED_ATOMIC_POINT(), atomic_fetch_and_explicit((p), (v), memory_order_seq_cst))
/* Compare and swap; on failure *expected holds what was found. Weak: may fail for no reason. */
#define ED_CAS(p, expected, v) \
    (ED_ATOMIC_POINT(),        \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, memory_order_seq_cst))
#define ED_CAS_WEAK(p, expected, v) \
    (ED_ATOMIC_POINT(),             \
     atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_seq_cst, memory_order_seq_cst))

static inline void ed_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
