/* fork_join.c. Question: what does a call cost when each call is a task, as in fib(n)?
 * Each call spawns both halves and awaits them, the newest first. Not measured: what the tasks would do besides. */
#include "harness/bench.h"

#include <eddy/eddy.h>

static int64_t calls(int64_t n) { return n < 2 ? 1 : 1 + calls(n - 1) + calls(n - 2); }

static int fib(void *arg, eddy_value *out) {
    intptr_t n = (intptr_t)arg;
    out->i64 = n;
    if (n < 2) return 0;
    eddy_task *left, *right;
    eddy_value a = EDDY_NONE, b = EDDY_NONE;
    int status = eddy_spawn(&left, fib, (void *)(n - 1), NULL);
    if (status < 0) return status;
    status = eddy_spawn(&right, fib, (void *)(n - 2), NULL);
    if (status == 0) {
        status = eddy_await(EDDY_FUTURE(right), &b);
        eddy_task_release(right);
    }
    int first = eddy_await(EDDY_FUTURE(left), &a);
    eddy_task_release(left);
    out->i64 = a.i64 + b.i64;
    return status < 0 ? status : first;
}

void bench_repetition(void) {
    int64_t operations = calls(bench.size);
    eddy_value value = EDDY_NONE;
    bench_start();
    int status = fib((void *)(intptr_t)bench.size, &value);
    if (status < 0) bench_fail("fib", status);
    bench_stop(NULL, operations, value.i64);
}
