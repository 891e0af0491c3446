/* timers.c. Question: what do timers cost?
 * Cells: restart (one timer started and stopped, over and over), create and cancel (`size` timers for an hour alive at
 * once). Timers are call_later's callbacks, as a program without a task for each would use them. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdlib.h>

static int never(void *arg) {
    (void)arg;
    bench_fail("a timer that was stopped", 0);
    return 0;
}

static eddy_handle *start(int64_t i) {
    eddy_handle *handle;
    int status = eddy_call_later(NULL, EDDY_SECONDS(3600) + EDDY_MS(i * 7919 % 1000000), never, NULL, &handle);
    if (status < 0) bench_fail("eddy_call_later", status);
    return handle;
}

static void stop(eddy_handle *handle) {
    eddy_handle_cancel(handle);
    eddy_handle_release(handle);
}

void bench_repetition(void) {
    eddy_handle **handles = malloc((size_t)bench.size * sizeof *handles);
    if (handles == NULL) bench_fail("memory", EDDY_ENOMEM);
    int64_t count = 0;

    bench_start();
    for (int64_t i = 0; i < bench.size; i++, count++) stop(start(i));
    bench_stop("restart", bench.size, count);

    count = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++, count++) handles[i] = start(i);
    bench_stop("create", bench.size, count);

    count = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        stop(handles[i]);
        count++;
    }
    bench_stop("cancel", bench.size, count);
    free(handles);
}
