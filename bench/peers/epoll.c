/* epoll.c: floors, with nothing in between.
 * wake: two pinned threads that sleep in epoll_wait and wake each other through eventfds; the form "thread": the one that
 * asks sleeps in a plain read. to_process: 64 bytes through a socketpair to another process and back; both sleep in
 * epoll_wait. */
#include "harness/bench.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64 };

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

static void watch(int side, int fd) {
    struct epoll_event event = {.events = EPOLLIN};
    check("epoll_create1", polls[side] = epoll_create1(EPOLL_CLOEXEC));
    check("epoll_ctl", epoll_ctl(polls[side], EPOLL_CTL_ADD, fd, &event));
}

/* False at the end. */
static bool receive(int side, int fd, unsigned char *message) {
    struct epoll_event event;
    check("epoll_wait", epoll_wait(polls[side], &event, 1, -1));
    ssize_t got = read(fd, message, MESSAGE_BYTES);
    check("read", got);
    return got == MESSAGE_BYTES;
}

static void to_process(void) {
    int ends[2];
    unsigned char message[MESSAGE_BYTES];
    check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    pid_t child = fork();
    check("fork", child);
    int side = child == 0, fd = ends[side];
    close(ends[!side]);
    watch(side, fd);
    if (child == 0) {
        while (receive(side, fd, message)) {
            message[0]++;
            check("write", write(fd, message, sizeof message));
        }
        _exit(0);
    }
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
        int64_t right = 0;
        bench_start();
        for (int64_t i = 0; i < bench.size; i++) {
            memset(message, (int)i, sizeof message);
            check("write", write(fd, message, sizeof message));
            if (!receive(side, fd, message)) bench_fail("the other process", -1);
            right += message[0] == (unsigned char)(i + 1) && message[1] == (unsigned char)i;
        }
        bench_stop(NULL, bench.size, right);
    }
    close(fd);
    check("waitpid", waitpid(child, NULL, 0));
}

static void wake(void) {
    for (int side = 0; side < 2; side++) {
        check("eventfd", events[side] = eventfd(0, EFD_CLOEXEC));
        watch(side, events[side]);
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

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    bench_open(argc - 1, argv + 1);
    if (strcmp(argv[1], "wake") == 0)
        wake();
    else if (strcmp(argv[1], "to_process") == 0)
        to_process();
    else
        return 2;
    return 0;
}
