#include "base/base.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int ed_thread_create(pthread_t *thread_out, void *(*body)(void *), void *arg) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGPROF};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) sigdelset(&blocked, open[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(thread_out, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

void ed_thread_wait(_Atomic uint32_t *flag) {
    while (ED_LOAD_ACQUIRE(flag) == 0) syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

bool ed_thread_wait_until(_Atomic uint32_t *flag, int64_t deadline_ns) {
    const struct timespec at = {deadline_ns / 1000000000, deadline_ns % 1000000000};
    while (ED_LOAD_ACQUIRE(flag) == 0) {
        if (ed_clock_ns() >= deadline_ns) return ED_LOAD_ACQUIRE(flag) != 0;
        syscall(SYS_futex, flag, FUTEX_WAIT_BITSET_PRIVATE, 0, &at, NULL, FUTEX_BITSET_MATCH_ANY);
    }
    return true;
}

void ed_thread_wake(_Atomic uint32_t *flag) {
    ED_STORE_RELEASE(flag, 1);
    syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool ed_barrier_open(void) {
    static _Atomic int state; /* 0: not asked yet; 1: there; -1: not */
    int known = ED_LOAD_RELAXED(&state);
    if (known == 0) {
        known = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 1 : -1;
        ED_STORE_RELAXED(&state, known);
    }
    return known > 0;
}

void ed_barrier(void) {
    /* Registered, it fails only where the kernel has no memory for a set of processors: the slow kind needs none. */
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) ED_PANIC("membarrier fails");
}
