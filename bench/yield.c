/* yield.c. Question: what does a yield cost when it switches to another task?
 * Two tasks take turns. Each writes down whose turn it was, and the checksum counts how often the turn changed: a yield
 * that did not switch is a wrong answer. */
#include "harness/bench.h"

#include <eddy/eddy.h>

static int64_t last, changes;

static int take_turns(void *arg, eddy_value *out) {
    (void)out;
    for (int64_t i = 0; i < bench.size; i++) {
        changes += last != (intptr_t)arg;
        last = (intptr_t)arg;
        int status = eddy_yield();
        if (status < 0) return status;
    }
    return 0;
}

void bench_repetition(void) {
    eddy_task *tasks[2];
    last = changes = 0;
    bench_start();
    for (intptr_t i = 0; i < 2; i++) {
        int status = eddy_spawn(&tasks[i], take_turns, (void *)(i + 1), NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    for (int i = 0; i < 2; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        if (status < 0) bench_fail("eddy_await", status);
        eddy_task_release(tasks[i]);
    }
    bench_stop(NULL, 2 * bench.size, changes);
}
