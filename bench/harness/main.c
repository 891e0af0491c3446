/* main.c: eddy's side of every benchmark: a run with the workers asked for and everything else at its default, in which
 * the main task calls bench_repetition(). */
#include "harness/bench.h"

#include <eddy/eddy.h>

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) bench_repetition();
    return 0;
}

int main(int argc, char **argv) {
    bench_open(argc, argv);
    return eddy_run(app, NULL, NULL, EDDY_RUN(.workers = (unsigned)bench.workers)) < 0;
}
