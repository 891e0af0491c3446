#include "base/base.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
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

void ed_thread_wake(_Atomic uint32_t *flag) {
    ED_STORE_RELEASE(flag, 1);
    syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
