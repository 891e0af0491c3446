#include "base/base.h"

#include <signal.h>

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
