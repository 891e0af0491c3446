/* wake.c. Question: how long does a wake-up of a sleeping worker take, there and back?
 * Two workers, each pinned to a core of its own, each with a domain. A callback on the one calls back on the other
 * through eddy_call_soon_threadsafe, and so on; both sleep in between. The form "thread" has a plain thread, pinned to
 * the first core, call the second worker, which answers through an eventfd that the thread reads.
 * One operation is a round trip. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static eddy_loop *sides[2];
static eddy_future *finished;
static int64_t trips;
static int answer_fd;

static int pin(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    bench_pin(eddy_worker_index());
    return 0;
}

static int back(void *arg);

static int there(void *arg) { return eddy_call_soon_threadsafe(sides[0], back, arg, NULL); }

static int back(void *arg) {
    if (++trips == bench.size) return eddy_future_set(finished, EDDY_NONE);
    return eddy_call_soon_threadsafe(sides[1], there, arg, NULL);
}

static int answer(void *arg) {
    uint64_t one = 1;
    (void)arg;
    return write(answer_fd, &one, sizeof one) == sizeof one ? 0 : -errno;
}

static void *caller(void *arg) {
    bench_pin(0);
    for (int64_t i = 0; i < bench.size; i++) {
        uint64_t got;
        int status = eddy_call_soon_threadsafe(sides[1], answer, NULL, NULL);
        if (status < 0) bench_fail("eddy_call_soon_threadsafe", status);
        if (read(answer_fd, &got, sizeof got) != sizeof got || got != 1) bench_fail("read", -errno);
        trips++;
    }
    int status = eddy_future_set(finished, EDDY_NONE);
    if (status < 0) bench_fail("eddy_future_set", status);
    return arg;
}

void bench_repetition(void) {
    if (bench.repetition == 1) {
        for (int i = 0; i < 2; i++) {
            eddy_task *task = NULL;
            int status = eddy_domain_open(&sides[i]);
            if (status == 0) status = eddy_spawn(&task, pin, NULL, EDDY_TASK(.loop = sides[i]));
            if (status == 0) status = eddy_await(EDDY_FUTURE(task), NULL);
            if (status < 0) bench_fail("a domain on each worker", status);
            eddy_task_release(task);
        }
    }
    finished = eddy_future_create();
    if (finished == NULL) bench_fail("eddy_future_create", EDDY_ENOMEM);
    trips = 0;
    int status;
    bench_start();
    if (bench_form("thread")) {
        pthread_t thread;
        answer_fd = eventfd(0, EFD_CLOEXEC);
        if (answer_fd < 0) bench_fail("eventfd", -errno);
        int failed = pthread_create(&thread, NULL, caller, NULL);
        if (failed) bench_fail("pthread_create", -failed);
        status = eddy_await(finished, NULL);
        pthread_join(thread, NULL);
        close(answer_fd);
    } else {
        status = eddy_call_soon_threadsafe(sides[1], there, NULL, NULL);
        if (status == 0) status = eddy_await(finished, NULL);
    }
    if (status < 0) bench_fail("the round trips", status);
    bench_stop(NULL, bench.size, trips);
    eddy_future_release(finished);
}
