// tbb.cc: oneTBB's answers: a task_group for each parent, as its documentation has it.
#include "harness/bench.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include <cstring>

static int64_t calls(int64_t n) { return n < 2 ? 1 : 1 + calls(n - 1) + calls(n - 2); }

static int64_t fib(int64_t n) {
    if (n < 2) return n;
    int64_t left, right;
    tbb::task_group group;
    group.run([&] { left = fib(n - 1); });
    group.run([&] { right = fib(n - 2); });
    group.wait();
    return left + right;
}

static int64_t skynet(int64_t number, int64_t leaves) {
    if (leaves == 1) return number;
    int64_t sums[10], sum = 0;
    tbb::task_group group;
    for (int i = 0; i < 10; i++)
        group.run([=, &sums] { sums[i] = skynet(number + i * (leaves / 10), leaves / 10); });
    group.wait();
    for (int64_t part : sums) sum += part;
    return sum;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    bench_open(argc - 1, argv + 1);
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, bench.workers);
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
        if (std::strcmp(argv[1], "fork_join") == 0) {
            int64_t operations = calls(bench.size);
            bench_start();
            int64_t sum = fib(bench.size);
            bench_stop(nullptr, operations, sum);
        } else if (std::strcmp(argv[1], "skynet") == 0) {
            bench_start();
            int64_t sum = skynet(0, bench.size);
            bench_stop(nullptr, bench.size, sum);
        } else {
            return 2;
        }
    }
}
