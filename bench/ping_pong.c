/* ping_pong.c. Question: what does it cost to hand a value to another task and get an answer, both on one worker?
 * Two tasks, two channels without capacity; each side checks what it got. One operation is a round trip. */
#include "harness/bench.h"

#include <eddy/eddy.h>

EDDY_CHANNEL(numbers, int64_t);

struct ends {
    numbers there, back;
    int64_t sum;
};

static int ping(void *arg, eddy_value *out) {
    struct ends *ends = arg;
    (void)out;
    int status = 0;
    for (int64_t i = 0; i < bench.size && status == 0; i++) {
        int64_t value = 0;
        status = numbers_send(ends->there, i);
        if (status == 0) status = numbers_receive(ends->back, &value);
        if (value != i + 1) return EDDY_ESTATE;
        ends->sum += value;
    }
    return status;
}

static int pong(void *arg, eddy_value *out) {
    struct ends *ends = arg;
    (void)out;
    int status = 0;
    for (int64_t i = 0; i < bench.size && status == 0; i++) {
        int64_t value = -1;
        status = numbers_receive(ends->there, &value);
        if (value != i) return EDDY_ESTATE;
        if (status == 0) status = numbers_send(ends->back, value + 1);
    }
    return status;
}

void bench_repetition(void) {
    static int (*const players[2])(void *arg, eddy_value *out) = {ping, pong};
    struct ends ends = {numbers_create(0, NULL), numbers_create(0, NULL), 0};
    if (ends.there.any == NULL || ends.back.any == NULL) bench_fail("numbers_create", EDDY_ENOMEM);
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
    numbers_release(ends.there);
    numbers_release(ends.back);
}
