/* eddy/mutex.h: pthread's mutexes and spin locks, watched: in debug mode a task that suspends while it has one locked is
 * reported (eddy_hold_begin in debug.h). Not part of eddy.h: include it where locks are taken, or give the compiler
 * `-include eddy/mutex.h` for all of a program. The locks stay what they are; a wait for a condition is no suspension. */
#ifndef EDDY_MUTEX_H
#define EDDY_MUTEX_H

#include "eddy/debug.h"

#include <pthread.h>

EDDY_BEGIN_DECLS

static inline int eddy_watched_lock(int status, const char *place, const volatile void *lock) {
    if (status == 0) eddy_hold_begin_at(place, lock);
    return status;
}
static inline const volatile void *eddy_watched_unlock(const volatile void *lock) {
    eddy_hold_end(lock);
    return lock;
}

#define pthread_mutex_lock(mutex) eddy_watched_lock((pthread_mutex_lock)(mutex), EDDY_PLACE(mutex), (mutex))
#define pthread_mutex_trylock(mutex) eddy_watched_lock((pthread_mutex_trylock)(mutex), EDDY_PLACE(mutex), (mutex))
#define pthread_mutex_unlock(mutex) (pthread_mutex_unlock)((pthread_mutex_t *)(uintptr_t)eddy_watched_unlock(mutex))
#define pthread_spin_lock(lock) eddy_watched_lock((pthread_spin_lock)(lock), EDDY_PLACE(lock), (lock))
#define pthread_spin_trylock(lock) eddy_watched_lock((pthread_spin_trylock)(lock), EDDY_PLACE(lock), (lock))
#define pthread_spin_unlock(lock) (pthread_spin_unlock)((pthread_spinlock_t *)(uintptr_t)eddy_watched_unlock((lock)))

EDDY_END_DECLS

#endif
