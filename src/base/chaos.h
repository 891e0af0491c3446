/* chaos.h: delays where threads meet, in builds that look for lost wake-ups.
 *
 * Problem    The windows in which a wake-up can be lost are a few instructions wide: real threads rarely stop there.
 * Idea       With ED_CHAOS_ON a thread now and then stays at such a place: it spins, gives its CPU away or sleeps for
 *            some microseconds. Every atomic access is a place (ED_ATOMIC_POINT); those named below are stayed at more
 *            often. A seed decides how often and how long, a place at a time, and some places it leaves alone:
 *            delays everywhere would only make everything slow alike. In all other builds ED_CHAOS is nothing.
 * Threads    Any. Nothing here allocates, takes a lock or changes errno.
 * Tests      tests/chaos/chaos.c runs programs under thousands of seeds; tests/checks/chaos.sh plants lost wake-ups that it
 *            must find. `zig build delays` runs the whole suite with rough ones. */
#ifndef ED_BASE_CHAOS_H
#define ED_BASE_CHAOS_H

#ifdef ED_CHAOS_ON

#include <stdint.h>

enum ed_chaos_point {
    ED_CHAOS_ATOMIC, /* before any atomic access */
    ED_CHAOS_LOCK,   /* about to take a spin lock, or having one */
    ED_CHAOS_STEAL,  /* having chosen what to take */
    ED_CHAOS_START,  /* having read a start word */
    ED_CHAOS_PARK,   /* on the way to sleep: a task, or a worker */
    ED_CHAOS_WAKE,   /* between what somebody waits for and telling him */
    ED_CHAOS_PUSH,   /* having read an inbox's head */
    ED_CHAOS_DONE,   /* about to say that a future is done */
    ED_CHAOS_POINTS
};

#define ED_CHAOS(point) ed_chaos(ED_CHAOS_##point)

void ed_chaos(enum ed_chaos_point point);

/* Delays are as `seed` says from now on; 0: none. */
void ed_chaos_seed(uint64_t seed);
/* The same for a program that was not written for it: some delays take milliseconds, as where other work has the machine, and
 * after ED_CHAOS_STAYS of them there are no more, so that it ends. */
enum { ED_CHAOS_STAYS = 40000 };
void ed_chaos_seed_rough(uint64_t seed);

/* Delays so far at a place. */
uint64_t ed_chaos_count(enum ed_chaos_point point);

#else
#define ED_CHAOS(point) ((void)0)
#endif

#endif
