/* channel.c. Question: what does a message cost through a channel of 128, from one sender to one receiver, and from four
 * to four (form "4:4")?
 * Senders send 1, 2, ... up to their share; receivers add up. One operation is a message. */
#include "harness/bench.h"

#include <eddy/eddy.h>

enum { CAPACITY = 128, SIDES_MAX = 4 };

EDDY_CHANNEL(numbers, int64_t);

static numbers channel;
static int64_t share;

static int sender(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = 0;
    for (int64_t i = 1; i <= share && status == 0; i++) status = numbers_send(channel, i);
    return status;
}

static int receiver(void *arg, eddy_value *out) {
    (void)arg;
    int64_t sum = 0;
    for (;;) {
        int64_t value;
        int status = numbers_receive(channel, &value);
        if (status == EDDY_ECLOSED) break;
        if (status < 0) return status;
        sum += value;
    }
    out->i64 = sum;
    return 0;
}

static int64_t join(eddy_task **tasks, int count) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        eddy_value value = EDDY_NONE;
        int status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
        if (status < 0) bench_fail("a task", status);
        eddy_task_release(tasks[i]);
        sum += value.i64;
    }
    return sum;
}

void bench_repetition(void) {
    int sides = bench_form("4:4") ? SIDES_MAX : 1;
    eddy_task *senders[SIDES_MAX], *receivers[SIDES_MAX];
    channel = numbers_create(CAPACITY, NULL);
    if (channel.any == NULL) bench_fail("numbers_create", EDDY_ENOMEM);
    share = bench.size / sides;
    bench_start();
    for (int i = 0; i < sides; i++) {
        int status = eddy_spawn(&senders[i], sender, NULL, NULL);
        if (status == 0) status = eddy_spawn(&receivers[i], receiver, NULL, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    join(senders, sides);
    numbers_close(channel);
    int64_t sum = join(receivers, sides);
    bench_stop(NULL, share * sides, sum);
    numbers_release(channel);
}
