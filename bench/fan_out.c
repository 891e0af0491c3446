/* fan_out.c. Question: what does a task cost when ten are spawned, then awaited in the order of their spawns?
 * The form "reverse" awaits the newest first: what a stack of tasks likes best. */
#include "harness/bench.h"

#include <eddy/eddy.h>

enum { WIDTH = 10 };

static int give(void *arg, eddy_value *out) {
    out->i64 = (intptr_t)arg;
    return 0;
}

void bench_repetition(void) {
    bool reverse = bench_form("reverse");
    int64_t sum = 0;
    bench_start();
    for (int64_t round = 0; round < bench.size; round++) {
        eddy_task *tasks[WIDTH];
        for (intptr_t i = 0; i < WIDTH; i++) {
            int status = eddy_spawn(&tasks[i], give, (void *)i, NULL);
            if (status < 0) bench_fail("eddy_spawn", status);
        }
        for (int i = 0; i < WIDTH; i++) {
            eddy_task *task = tasks[reverse ? WIDTH - 1 - i : i];
            eddy_value value = EDDY_NONE;
            int status = eddy_await(EDDY_FUTURE(task), &value);
            if (status < 0) bench_fail("eddy_await", status);
            eddy_task_release(task);
            sum += value.i64;
        }
    }
    bench_stop(NULL, bench.size * WIDTH, sum);
}
