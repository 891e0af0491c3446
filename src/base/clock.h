/* clock.h: the system's clock, for drivers of real time and for plain threads. A worker's time is its driver's. */
#ifndef ED_BASE_CLOCK_H
#define ED_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC. Threads: any. */
static inline int64_t ed_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
