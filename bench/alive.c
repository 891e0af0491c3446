/* alive.c. Question: what do `size` tasks cost, in memory and time, that have all run and now wait?
 * Each task counts itself and waits for one event; when all are there the resident memory is read and the event is set.
 * The form "snprintf" has each print a number into a buffer first: a library call's worth of stack.
 * Cells: all (spawn to end, for one task), resident (bytes more than before the first task, for one task). */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdio.h>
#include <stdlib.h>

static eddy_event *go, *all_here;
static int64_t here;

static int live(void *arg, eddy_value *out) {
    char text[64];
    int64_t number = (intptr_t)arg;
    if (bench_form("snprintf")) {
        snprintf(text, sizeof text, "%.3f is a number", (double)number);
        number = strtoll(text, NULL, 10);
    }
    if (__atomic_add_fetch(&here, 1, __ATOMIC_RELAXED) == bench.size) eddy_event_set(all_here);
    int status = eddy_event_wait(go);
    out->i64 = number;
    return status;
}

void bench_repetition(void) {
    eddy_task **tasks = malloc((size_t)bench.size * sizeof *tasks);
    go = eddy_event_create(), all_here = eddy_event_create();
    if (tasks == NULL || go == NULL || all_here == NULL) bench_fail("memory", EDDY_ENOMEM);
    for (int64_t i = 0; i < bench.size; i++) tasks[i] = NULL; /* the handles are resident before */
    here = 0;
    static int64_t before_bytes;
    if (bench.repetition == 1) before_bytes = bench_resident_bytes();
    int64_t resident_bytes, sum = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        int status = eddy_spawn(&tasks[i], live, (void *)(intptr_t)i, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    int status = eddy_event_wait(all_here);
    if (status < 0) bench_fail("eddy_event_wait", status);
    resident_bytes = bench_resident_bytes() - before_bytes;
    eddy_event_set(go);
    for (int64_t i = 0; i < bench.size; i++) {
        eddy_value value = EDDY_NONE;
        status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
        if (status < 0) bench_fail("eddy_await", status);
        eddy_task_release(tasks[i]);
        sum += value.i64;
    }
    bench_stop(NULL, bench.size, sum);
    bench_amount("resident", "byte", (double)resident_bytes / (double)bench.size, sum);
    eddy_event_release(go);
    eddy_event_release(all_here);
    free(tasks);
}
