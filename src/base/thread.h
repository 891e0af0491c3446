/* thread.h: threads of eddy's own. They begin with all signals blocked, which are the host's, but those that a fault of the
 * thread itself raises (blocked, they would kill without a report) and SIGPROF. Threads: any. */
#ifndef ED_BASE_THREAD_H
#define ED_BASE_THREAD_H

#include <pthread.h>

#include <stdbool.h>
#include <stdint.h>

/* 0 or a negative errno. */
int ed_thread_create(pthread_t *thread_out, void *(*body)(void *), void *arg);

/* Blocks the calling thread until ed_thread_wake(flag); the flag begins as 0. What was written before that is seen. */
void ed_thread_wait(_Atomic uint32_t *flag);
/* The same until `deadline_ns` of CLOCK_MONOTONIC at most. False: it has passed and the flag is still 0. */
bool ed_thread_wait_until(_Atomic uint32_t *flag, int64_t deadline_ns);
/* Any thread, once. Whoever waits may free the flag as soon as it is set: this touches it no more, and a wake-up of an
 * address that is somebody else's by then is one for no reason, which ed_thread_wait and all users of futexes bear. */
void ed_thread_wake(_Atomic uint32_t *flag);

/* Whether this process can have ed_barrier. The first call asks the system; any thread. */
bool ed_barrier_open(void);
/* Each other thread of the process passes a full fence between this call and its return, wherever it is: what it stored
 * before that is seen by the caller, what it loads after that is not older than what the caller stored. */
void ed_barrier(void);

#endif
