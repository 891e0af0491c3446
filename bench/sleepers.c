/* sleepers.c. Question: `size` tasks sleep for one second each: how long does it take in all, and how late is the last?
 * Cells: all (for one sleeper, the second included), late (how much more than a second passed between the last one's
 * beginning and the last one's end). */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdlib.h>

static int64_t awake, begun_ns;

static int sleeper(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int64_t now_ns = bench_now_ns(), seen_ns = __atomic_load_n(&begun_ns, __ATOMIC_RELAXED);
    while (seen_ns < now_ns &&
           !__atomic_compare_exchange_n(&begun_ns, &seen_ns, now_ns, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    int status = eddy_sleep(EDDY_SECONDS(1));
    __atomic_add_fetch(&awake, status == 0, __ATOMIC_RELAXED);
    return status;
}

void bench_repetition(void) {
    eddy_task **tasks = malloc((size_t)bench.size * sizeof *tasks);
    if (tasks == NULL) bench_fail("memory", EDDY_ENOMEM);
    awake = begun_ns = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        int status = eddy_spawn(&tasks[i], sleeper, NULL, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    for (int64_t i = 0; i < bench.size; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        if (status < 0) bench_fail("eddy_await", status);
        eddy_task_release(tasks[i]);
    }
    int64_t end_ns = bench_now_ns();
    bench_stop(NULL, bench.size, awake);
    bench_amount("late", "ms", (double)(end_ns - begun_ns) / 1e6 - 1000, awake);
    free(tasks);
}
