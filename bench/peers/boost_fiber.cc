// boost_fiber.cc: Boost.Fiber's answers: one thread, pooled stacks of 64 KiB, new fibers entered at once (dispatch),
// which is its fastest way.
#include "harness/bench.h"

#include <boost/fiber/all.hpp>

#include <string>

using namespace boost::fibers;

enum { STACK_BYTES = 64 * 1024 };
static pooled_fixedsize_stack stacks(STACK_BYTES);

static int64_t calls(int64_t n) { return n < 2 ? 1 : 1 + calls(n - 1) + calls(n - 2); }

template <typename Function> static fiber spawn(Function function) {
    return fiber(launch::dispatch, std::allocator_arg, stacks, function);
}

static int64_t fib(int64_t n) {
    if (n < 2) return n;
    int64_t left, right;
    fiber one = spawn([&left, n] { left = fib(n - 1); });
    fiber two = spawn([&right, n] { right = fib(n - 2); });
    two.join();
    one.join();
    return left + right;
}

static void fork_join() {
    int64_t operations = calls(bench.size);
    bench_start();
    int64_t sum = fib(bench.size);
    bench_stop(nullptr, operations, sum);
}

static void spawn_await(bool suspends) {
    int64_t sum = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        int64_t given = 0;
        spawn([&given, i, suspends] {
            int64_t parts[4];
            for (int k = 0; k < 4; k++) parts[k] = i * k;
            if (suspends) boost::this_fiber::yield();
            given = suspends ? parts[1] + parts[2] + parts[3] - 5 * i : i;
        }).join();
        sum += given;
    }
    bench_stop(nullptr, bench.size, sum);
}

static void yield() {
    int64_t last = 0, changes = 0;
    bench_start();
    auto take_turns = [&](int64_t me) {
        for (int64_t i = 0; i < bench.size; i++) {
            changes += last != me;
            last = me;
            boost::this_fiber::yield();
        }
    };
    fiber one = fiber([&] { take_turns(1); }), two = fiber([&] { take_turns(2); });
    one.join();
    two.join();
    bench_stop(nullptr, 2 * bench.size, changes);
}

static void ping_pong() {
    unbuffered_channel<int64_t> there, back;
    int64_t sum = 0;
    bench_start();
    fiber one = fiber([&] {
        for (int64_t i = 0; i < bench.size; i++) {
            there.push(i);
            int64_t value = back.value_pop();
            if (value != i + 1) bench_fail("an answer", (int)i);
            sum += value;
        }
    });
    fiber two = fiber([&] {
        for (int64_t i = 0; i < bench.size; i++) {
            int64_t value = there.value_pop();
            if (value != i) bench_fail("a question", (int)i);
            back.push(value + 1);
        }
    });
    one.join();
    two.join();
    bench_stop(nullptr, bench.size, sum);
}

static void channel(int sides) {
    buffered_channel<int64_t> channel(128);
    int64_t share = bench.size / sides, sums[4] = {0};
    std::vector<fiber> senders, receivers;
    bench_start();
    for (int side = 0; side < sides; side++) {
        senders.emplace_back([&] {
            for (int64_t i = 1; i <= share; i++) channel.push(i);
        });
        receivers.emplace_back([&, side] {
            int64_t value;
            while (channel.pop(value) == channel_op_status::success) sums[side] += value;
        });
    }
    for (fiber &sender : senders) sender.join();
    channel.close();
    for (fiber &receiver : receivers) receiver.join();
    bench_stop(nullptr, share * sides, sums[0] + sums[1] + sums[2] + sums[3]);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    std::string question = argv[1];
    bench_open(argc - 1, argv + 1);
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
        if (question == "fork_join") fork_join();
        else if (question == "spawn_await") spawn_await(bench_form("suspends"));
        else if (question == "yield") yield();
        else if (question == "ping_pong") ping_pong();
        else if (question == "channel") channel(bench_form("4:4") ? 4 : 1);
        else return 2;
    }
}
