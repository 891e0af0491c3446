/* ping_pong.c. Question: what does it cost to hand a value to another task and get an answer, both on one worker?
 * Two tasks, two queues for one item each; each side checks what it got. One operation is a round trip. */
#include "harness/bench.h"

#include <eddy/eddy.h>

struct ends {
    eddy_queue *there, *back;
    int64_t sum;
};

static int ping(void *arg, eddy_value *out) {
    struct ends *ends = arg;
    (void)out;
    int status = 0;
    for (int64_t i = 0; i < bench.size && status == 0; i++) {
        eddy_value value = EDDY_NONE;
        status = eddy_queue_put(ends->there, EDDY_I64(i));
        if (status == 0) status = eddy_queue_get(ends->back, &value);
        if (value.i64 != i + 1) return EDDY_ESTATE;
        ends->sum += value.i64;
    }
    return status;
}

static int pong(void *arg, eddy_value *out) {
    struct ends *ends = arg;
    (void)out;
    int status = 0;
    for (int64_t i = 0; i < bench.size && status == 0; i++) {
        eddy_value value = EDDY_NONE;
        status = eddy_queue_get(ends->there, &value);
        if (value.i64 != i) return EDDY_ESTATE;
        if (status == 0) status = eddy_queue_put(ends->back, EDDY_I64(value.i64 + 1));
    }
    return status;
}

void bench_repetition(void) {
    static int (*const players[2])(void *arg, eddy_value *out) = {ping, pong};
    struct ends ends = {eddy_queue_create(1, NULL), eddy_queue_create(1, NULL), 0};
    if (ends.there == NULL || ends.back == NULL) bench_fail("eddy_queue_create", EDDY_ENOMEM);
    eddy_task *tasks[2];
    bench_start();
    for (int i = 0; i < 2; i++) {
        int status = eddy_spawn(&tasks[i], players[i], &ends, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    for (int i = 0; i < 2; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        if (status < 0) bench_fail("a player", status);
        eddy_task_release(tasks[i]);
    }
    bench_stop(NULL, bench.size, ends.sum);
    eddy_queue_release(ends.there);
    eddy_queue_release(ends.back);
}
