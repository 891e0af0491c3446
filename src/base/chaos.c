#define ED_ATOMIC_POINT() ((void)0) /* its own accesses are no places to stay at */
#include "base/chaos.h"
#include "base/atomic.h"

#ifdef ED_CHAOS_ON

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>

enum { SPINS_MAX = 1000, SLEEP_NS_MAX = 50000, ROUGH_NS_MAX = 4000000 };

static _Atomic uint64_t seed_now;
static _Atomic uint64_t round_now;               /* each thread draws anew when it has changed */
static _Atomic uint64_t threads;                 /* that have drawn in this round */
static _Atomic unsigned chance[ED_CHAOS_POINTS]; /* one in so many stays; 0: none */
static _Atomic uint64_t counts[ED_CHAOS_POINTS];
static _Atomic int64_t stays_left; /* with rough delays */
static _Atomic bool rough;

static _Thread_local struct { uint64_t round, random; } here;

static uint64_t mix(uint64_t x) { /* splitmix64 (Steele, Lea, Flood 2014) */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void set(uint64_t seed, bool is_rough) {
    static const unsigned named[] = {0, 2, 8, 32}, atomic[] = {0, 64, 512, 4096};
    for (unsigned i = 0; i < ED_CHAOS_POINTS; i++) {
        unsigned pick = (unsigned)(mix(seed * ED_CHAOS_POINTS + i) % 4);
        ED_STORE_RELAXED(&chance[i], seed == 0 ? 0 : i == ED_CHAOS_ATOMIC ? atomic[pick] : named[pick]);
    }
    ED_STORE_RELAXED(&rough, is_rough);
    ED_STORE_RELAXED(&stays_left, ED_CHAOS_STAYS);
    ED_STORE_RELAXED(&seed_now, seed);
    ED_STORE_RELAXED(&threads, 0);
    ED_ADD_RELAXED(&round_now, 1);
}

void ed_chaos_seed(uint64_t seed) { set(seed, false); }
void ed_chaos_seed_rough(uint64_t seed) { set(seed, true); }

uint64_t ed_chaos_count(enum ed_chaos_point point) { return ED_LOAD_RELAXED(&counts[point]); }

static void stay(uint64_t random) {
    unsigned how = random % 16;
    random >>= 8;
    if (how < 9) {
        for (volatile uint64_t i = random % SPINS_MAX; i > 0; i--) continue;
    } else if (how < 14) {
        sched_yield();
    } else {
        const bool is_long = ED_LOAD_RELAXED(&rough) && (random >> 32) % 16 == 0;
        nanosleep(&(struct timespec){.tv_nsec = (long)(random % (is_long ? ROUGH_NS_MAX : SLEEP_NS_MAX))}, NULL);
    }
}

__attribute__((noinline)) void ed_chaos(enum ed_chaos_point point) {
    unsigned one_in = ED_LOAD_RELAXED(&chance[point]);
    if (one_in == 0) return;
    if (here.round != ED_LOAD_RELAXED(&round_now)) {
        here.round = ED_LOAD_RELAXED(&round_now);
        here.random = mix(ED_LOAD_RELAXED(&seed_now) ^ mix(ED_ADD_RELAXED(&threads, 1))) | 1;
    }
    uint64_t x = here.random; /* xorshift64 (Marsaglia 2003) */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    here.random = x;
    if ((x >> 32) % one_in != 0) return;
    if (ED_LOAD_RELAXED(&rough) && ED_ADD_RELAXED(&stays_left, -1) <= 0) return;
    ED_ADD_RELAXED(&counts[point], 1);
    int saved = errno;
    stay(mix(x));
    errno = saved;
}

#endif
