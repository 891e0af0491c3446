/* imbalance.c. Question: `size` tasks have all started on one worker of two; each has 50 us of work and a yield left. How
 * close does the run come to both cores' worth?
 * The tasks begin eagerly, where they are spawned, and wait for one event. In the form "migrate" they may change workers;
 * "stay" is the default. The checksum counts the tasks whose work came out right. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdlib.h>

enum { STEPS = 30000 }; /* about 50 us: each step waits for the one before */

static eddy_event *go;

static uint64_t work(uint64_t seed) {
    for (int i = 0; i < STEPS; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
    }
    return seed;
}

static int busy(void *arg, eddy_value *out) {
    const uint64_t *right = arg;
    int status = eddy_event_wait(go);
    if (status < 0) return status;
    out->i64 = work(1) == *right;
    return eddy_yield();
}

void bench_repetition(void) {
    eddy_task **tasks = malloc((size_t)bench.size * sizeof *tasks);
    volatile uint64_t seed = 1;
    uint64_t right = work(seed);
    int64_t sum = 0;
    go = eddy_event_create();
    if (tasks == NULL || go == NULL) bench_fail("memory", EDDY_ENOMEM);
    enum eddy_migration migrate = bench_form("migrate") ? EDDY_MIGRATE : EDDY_MIGRATION_DEFAULT;
    for (int64_t i = 0; i < bench.size; i++) {
        int status = eddy_spawn(&tasks[i], busy, &right, EDDY_TASK(.eager = true, .migrate = migrate));
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    bench_start();
    eddy_event_set(go);
    for (int64_t i = 0; i < bench.size; i++) {
        eddy_value value = EDDY_NONE;
        int status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
        if (status < 0) bench_fail("eddy_await", status);
        eddy_task_release(tasks[i]);
        sum += value.i64;
    }
    bench_stop(NULL, bench.size, sum);
    eddy_event_release(go);
    free(tasks);
}
