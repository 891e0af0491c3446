/* epoll.c: the floor for a wake-up: two pinned threads that sleep in epoll_wait and wake each other through eventfds,
 * with nothing in between. The form "thread": the one that asks sleeps in a plain read. */
#include "harness/bench.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int events[2], polls[2];

static void check(const char *what, long result) {
    if (result < 0) bench_fail(what, -errno);
}

static void tell(int side) {
    uint64_t one = 1;
    check("write", write(events[side], &one, sizeof one));
}

static void listen_to(int side, bool in_read) {
    struct epoll_event event;
    uint64_t got;
    if (!in_read) check("epoll_wait", epoll_wait(polls[side], &event, 1, -1));
    check("read", read(events[side], &got, sizeof got));
}

static void *answer(void *arg) {
    bench_pin(1);
    for (;;) {
        listen_to(1, false);
        tell(0);
    }
    return arg;
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "wake") != 0) return 2;
    bench_open(argc - 1, argv + 1);
    for (int side = 0; side < 2; side++) {
        struct epoll_event event = {.events = EPOLLIN};
        check("eventfd", events[side] = eventfd(0, EFD_CLOEXEC));
        check("epoll_create1", polls[side] = epoll_create1(EPOLL_CLOEXEC));
        check("epoll_ctl", epoll_ctl(polls[side], EPOLL_CTL_ADD, events[side], &event));
    }
    pthread_t thread;
    bench_pin(0);
    if (pthread_create(&thread, NULL, answer, NULL) != 0) bench_fail("pthread_create", -1); /* ends with the program */
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
        int64_t trips = 0;
        bench_start();
        for (int64_t i = 0; i < bench.size; i++, trips++) {
            tell(1);
            listen_to(0, bench_form("thread"));
        }
        bench_stop(NULL, bench.size, trips);
    }
}
