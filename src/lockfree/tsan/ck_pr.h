/* ck_pr.h for ThreadSanitizer builds: first on the include path there, so that CK's loads, stores and
 * exchanges are compiler atomics, which the sanitizer sees; CK's own are inline assembly, which it does
 * not. Fences become stronger orders on the accesses. It hides missing fences inside CK, not in eddy. */
#ifndef ED_TSAN_CK_PR_H
#define ED_TSAN_CK_PR_H

#include_next <ck_pr.h>

#undef ck_pr_load_uint
#define ck_pr_load_uint(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#undef ck_pr_store_uint
#define ck_pr_store_uint(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#undef ck_pr_fas_uint
#define ck_pr_fas_uint(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

#endif
