/* counter.c: a shared counter goes wrong in parallel, and its two cures.
 *
 * asyncio runs one task at a time, so `counter += 1` is safe between two awaits. eddy's tasks run on all
 * cores at once: two read the same value, both write it back plus one, and one addition is lost. Cures:
 *
 *     a serial domain   asyncio's loop again: its tasks run on one worker, in FIFO order. No lock, one core.
 *     a lock            asyncio.Lock: who finds it held is suspended, and its worker runs other tasks.
 *
 * (A program that is one domain as a whole: eddy_run with EDDY_RUN(.serial = true).) */
#include <eddy/eddy.h>

#include <stdio.h>

enum { TASKS = 4, ROUNDS = 2000 };

static struct counter {
    volatile long value; /* volatile: the compiler must not keep it in a register */
    eddy_lock *lock;
} counter;

static void add_one(void) {
    const long seen = counter.value;
    for (volatile int work = 0; work < 5000; work++) continue; /* somebody else may write here */
    counter.value = seen + 1;
}

static int add_unguarded(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int round = 1; round <= ROUNDS; round++) {
        add_one();
        const int status = round % 500 == 0 ? eddy_yield() : 0; /* in a domain others run only here */
        if (status < 0) return status;
    }
    return 0;
}

static int add_locked(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int round = 0; round < ROUNDS; round++) {
        const int status = eddy_lock_acquire(counter.lock);
        if (status < 0) return status;
        add_one();
        eddy_lock_unlock(counter.lock);
    }
    return 0;
}

/* Counts with TASKS tasks, and tells how many additions were lost. */
static int count(const char *how, eddy_coro_fn add, eddy_loop *loop, long *lost_out) {
    counter.value = 0;
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < TASKS && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, add, NULL, EDDY_TASK(.name = how, .loop = loop));
    status = eddy_group_exit(&group, status);
    *lost_out = (long)TASKS * ROUNDS - counter.value;
    if (status == 0) printf("%-12s %ld of %d, %ld lost\n", how, counter.value, TASKS * ROUNDS, *lost_out);
    return status;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    long in_parallel = 0, in_domain = 0, locked = 0;
    eddy_loop *domain;
    int status = eddy_domain_open(&domain);
    if (status < 0) return status;
    counter.lock = eddy_lock_create();
    if (counter.lock == NULL) return EDDY_ENOMEM;

    for (int attempt = 0; attempt < 10 && status == 0 && in_parallel == 0; attempt++)
        status = count("in parallel", add_unguarded, NULL, &in_parallel); /* a race need not show each time */
    if (status == 0) status = count("in a domain", add_unguarded, domain, &in_domain);
    if (status == 0) status = count("with a lock", add_locked, NULL, &locked);
    eddy_lock_release(counter.lock);
    if (status < 0) return status;

    if (in_parallel == 0) return eddy_fail(EDDY_ESTATE, "nothing was lost: was it in parallel?");
    if (in_domain != 0 || locked != 0) return eddy_fail(EDDY_ESTATE, "a cure lost additions");
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.workers = 4)) < 0; }
