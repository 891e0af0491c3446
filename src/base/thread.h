/* thread.h: threads of eddy's own. They begin with all signals blocked, which are the host's, but those that a fault of the
 * thread itself raises (blocked, they would kill without a report) and SIGPROF. Threads: any. */
#ifndef ED_BASE_THREAD_H
#define ED_BASE_THREAD_H

#include <pthread.h>

/* 0 or a negative errno. */
int ed_thread_create(pthread_t *thread_out, void *(*body)(void *), void *arg);

#endif
