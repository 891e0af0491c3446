/* spawn_await.c. Question: what does one task cost that is awaited at once?
 * Two forms: plain, whose task gives a number and ends; "suspends", whose task keeps locals across one yield, so that it
 * cannot end before its awaiter has waited. */
#include "harness/bench.h"

#include <eddy/eddy.h>

static int give(void *arg, eddy_value *out) {
    out->i64 = (intptr_t)arg;
    return 0;
}

static int suspend(void *arg, eddy_value *out) {
    int64_t parts[4];
    for (int i = 0; i < 4; i++) parts[i] = (intptr_t)arg * i;
    int status = eddy_yield();
    if (status < 0) return status;
    out->i64 = parts[1] + parts[2] + parts[3] - 5 * (intptr_t)arg;
    return 0;
}

void bench_repetition(void) {
    eddy_coro_fn fn = bench_form("suspends") ? suspend : give;
    int64_t sum = 0;
    bench_start();
    for (intptr_t i = 0; i < bench.size; i++) {
        eddy_task *task;
        eddy_value value = EDDY_NONE;
        int status = eddy_spawn(&task, fn, (void *)i, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
        status = eddy_await(EDDY_FUTURE(task), &value);
        if (status < 0) bench_fail("eddy_await", status);
        eddy_task_release(task);
        sum += value.i64;
    }
    bench_stop(NULL, bench.size, sum);
}
