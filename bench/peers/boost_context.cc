// boost_context.cc: the floor for a yield: Boost.Context's bare switch between two stacks, with no scheduler at all.
#include "harness/bench.h"

#include <boost/context/fiber.hpp>

#include <cstring>

using boost::context::fiber;

int main(int argc, char **argv) {
    if (argc < 2 || std::strcmp(argv[1], "yield") != 0) return 2;
    bench_open(argc - 1, argv + 1);
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
        int64_t last = 0, changes = 0;
        bench_start();
        auto take_turns = [&](int64_t me, fiber &other) {
            for (int64_t i = 0; i < bench.size; i++) {
                changes += last != me;
                last = me;
                other = std::move(other).resume();
            }
        };
        fiber two([&](fiber &&one) {
            take_turns(2, one);
            return std::move(one);
        });
        take_turns(1, two);
        bench_stop(nullptr, 2 * bench.size, changes);
        if (two) two = std::move(two).resume(); // lets it end
    }
}
