/* One worker shared by a task that forks and joins, a task that reads a socket that is always full, and a ticker:
 * none holds the others up, and the stacks that fairness puts off stay few.
 *
 * The ticker's delay is counted in the worker's own CPU time, so a machine busy with something else does not count; three of four
 * have to be short, since what a host takes from a virtual machine is counted as the worker's. */
#include "eddy/eddy.h"
#include "harness/test.h"

#include <stdlib.h>
#include <time.h>

enum { TICKS_MAX = 100000 };

/* A debug build's calls are ten times slower, and so are the slices of 256 of them. */
#ifdef __OPTIMIZE__
enum { N = 32, FIB_N = 2178309, DELAY_MS = 5 };
#else
enum { N = 28, FIB_N = 317811, DELAY_MS = 50 };
#endif

struct scene {
    int64_t delays_ns[TICKS_MAX];
    int ticks;
    int64_t bytes_read;
};

static int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int fib(void *arg, eddy_value *out) {
    intptr_t n = (intptr_t)arg;
    out->i64 = n;
    if (n < 2) return 0;
    eddy_task *left, *right;
    eddy_value a = EDDY_NONE, b = EDDY_NONE;
    EXPECT_OK(eddy_spawn(&left, fib, (void *)(n - 1), NULL));
    EXPECT_OK(eddy_spawn(&right, fib, (void *)(n - 2), NULL));
    int status = eddy_await(EDDY_FUTURE(right), &b);
    if (status == 0) status = eddy_await(EDDY_FUTURE(left), &a);
    eddy_task_release(left);
    eddy_task_release(right);
    out->i64 = a.i64 + b.i64;
    return status;
}

static int tick(void *arg, eddy_value *out) {
    (void)out;
    struct scene *scene = arg;
    for (;;) {
        int64_t before_ns = cpu_ns();
        int status = eddy_sleep(EDDY_MS(1));
        if (status < 0) return status;
        int64_t delay_ns = cpu_ns() - before_ns - EDDY_MS(1);
        if (scene->ticks < TICKS_MAX) scene->delays_ns[scene->ticks++] = delay_ns > 0 ? delay_ns : 0;
    }
}

static int read_all(eddy_stream *stream, void *arg) {
    struct scene *scene = arg;
    char buffer[4096];
    int got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) scene->bytes_read += got;
    return 0;
}

static int write_on(void *arg, eddy_value *out) {
    (void)out;
    static const char data[65536];
    int status = 0;
    while (status == 0) {
        status = eddy_stream_write(arg, data, sizeof data);
        if (status == 0) status = eddy_stream_drain(arg);
    }
    return status;
}

static int by_size(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int show(void *arg, eddy_value *out) {
    (void)out;
    struct scene *scene = arg;
    eddy_server *server;
    eddy_stream *stream;
    eddy_task *writer, *ticker, *forker;
    eddy_value value = EDDY_NONE;
    const int64_t start_ns = eddy_time_ns();
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, read_all, scene, NULL));
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL));
    EXPECT_OK(eddy_spawn(&writer, write_on, stream, NULL));
    EXPECT_OK(eddy_spawn(&ticker, tick, scene, NULL));
    EXPECT_OK(eddy_spawn(&forker, fib, (void *)(intptr_t)N, NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(forker), &value));
    EXPECT_EQ(FIB_N, value.i64);
    eddy_task_release(forker);

    eddy_stats stats;
    EXPECT_OK(eddy_stats_read(&stats));
    EXPECT(stats.stacks_alive_max <= 512 + test_ticks_since(start_ns)); /* each may put one more off */
    EXPECT(scene->bytes_read > 0);
    EXPECT(scene->ticks > 10);
    qsort(scene->delays_ns, (size_t)scene->ticks, sizeof scene->delays_ns[0], by_size);
    EXPECT(scene->delays_ns[scene->ticks * 3 / 4] < EDDY_MS(DELAY_MS));
    eddy_cancel(EDDY_FUTURE(writer));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(writer), NULL));
    eddy_cancel(EDDY_FUTURE(ticker));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(ticker), NULL));
    eddy_task_release(writer);
    eddy_task_release(ticker);
    eddy_stream_abort(stream);
    eddy_stream_release(stream);
    EXPECT_OK(eddy_server_shutdown(server, EDDY_FOREVER));
    eddy_server_release(server);
    return 0;
}

/* With a tick at every look one more task begins each time, and who must move is put off at each call: then stacks are many.
 * Injected delays take CPU time. */
UNIT(fairness, reader_forker_and_ticker_share_one_worker, TEST_LIMIT(60),
     TEST_WITHOUT("thread address valgrind qemu tick migrate delays")) {
    static struct scene scene;
    EXPECT_EQ(0, eddy_run(show, &scene, NULL, EDDY_RUN(.workers = 1)));
}

/* Fan-out: children awaited in the order spawned run as plain calls, most of them. */
static int leaf(void *arg, eddy_value *out) {
    out->i64 = (intptr_t)arg;
    return 0;
}

static int fan_out(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();
    for (int round = 0; round < 1000; round++) {
        eddy_task *tasks[10];
        eddy_value value = EDDY_NONE;
        for (intptr_t i = 0; i < 10; i++) EXPECT_OK(eddy_spawn(&tasks[i], leaf, (void *)i, NULL));
        for (intptr_t i = 0; i < 10; i++) {
            EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), &value));
            EXPECT_EQ(i, value.i64);
            eddy_task_release(tasks[i]);
        }
    }
    eddy_worker_stats stats;
    EXPECT_OK(eddy_worker_stats_read(0, &stats));
    EXPECT(stats.tasks_direct + 10 * test_ticks_since(start_ns) >
           9000); /* at a tick those that wait run first, on stacks */
    return 0;
}

UNIT(fairness, fan_out_is_direct_for_most, TEST_WITHOUT("tick")) {
    EXPECT_EQ(0, eddy_run(fan_out, NULL, NULL, EDDY_RUN(.workers = 1)));
}
