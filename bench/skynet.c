/* skynet.c. Question: what does a tree of tasks cost, each the parent of ten, down to `size` leaves?
 * Each leaf gives its number, each parent the sum. The figure is for one leaf. */
#include "harness/bench.h"

#include <eddy/eddy.h>

enum { WIDTH = 10 };

struct node {
    int64_t number, leaves;
};

static int skynet(void *arg, eddy_value *out) {
    const struct node *node = arg;
    if (node->leaves == 1) {
        out->i64 = node->number;
        return 0;
    }
    struct node nodes[WIDTH];
    eddy_task *tasks[WIDTH];
    int count = 0, status = 0;
    for (int64_t leaves = node->leaves / WIDTH; count < WIDTH && status == 0; count += status == 0) {
        nodes[count] = (struct node){node->number + count * leaves, leaves};
        status = eddy_spawn(&tasks[count], skynet, &nodes[count], NULL);
    }
    int64_t sum = 0;
    while (count-- > 0) {
        eddy_value value = EDDY_NONE;
        int ended = eddy_await(EDDY_FUTURE(tasks[count]), &value);
        if (ended < 0) status = ended;
        eddy_task_release(tasks[count]);
        sum += value.i64;
    }
    out->i64 = sum;
    return status;
}

void bench_repetition(void) {
    struct node root = {0, bench.size};
    eddy_value value = EDDY_NONE;
    bench_start();
    int status = skynet(&root, &value);
    if (status < 0) bench_fail("skynet", status);
    bench_stop(NULL, bench.size, value.i64);
}
