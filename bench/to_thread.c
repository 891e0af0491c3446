/* to_thread.c. Question: what does a job on a pool of two threads cost, with 1,024 of them in flight?
 * 1,024 tasks each run jobs one after the other; a job gives its argument plus one. */
#include "harness/bench.h"

#include <eddy/eddy.h>

enum { WINDOW = 1024, THREADS = 2 };

static eddy_thread_pool *pool;
static int64_t given;

static int job(void *arg, eddy_value *out) {
    out->i64 = *(int64_t *)arg + 1;
    return 0;
}

static int user(void *arg, eddy_value *out) {
    (void)arg;
    int64_t sum = 0;
    for (;;) {
        int64_t number = __atomic_fetch_add(&given, 1, __ATOMIC_RELAXED);
        if (number >= bench.size) break;
        eddy_value value = EDDY_NONE;
        int status = eddy_thread_pool_run(pool, job, &number, &value);
        if (status < 0) return status;
        sum += value.i64;
    }
    out->i64 = sum;
    return 0;
}

void bench_repetition(void) {
    eddy_task *tasks[WINDOW];
    int64_t sum = 0;
    given = 0;
    int status = eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = THREADS));
    if (status < 0) bench_fail("eddy_thread_pool_create", status);
    bench_start();
    for (int i = 0; i < WINDOW; i++) {
        status = eddy_spawn(&tasks[i], user, NULL, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    for (int i = 0; i < WINDOW; i++) {
        eddy_value value = EDDY_NONE;
        status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
        if (status < 0) bench_fail("a user", status);
        eddy_task_release(tasks[i]);
        sum += value.i64;
    }
    bench_stop(NULL, bench.size, sum);
    status = eddy_thread_pool_close(pool);
    if (status < 0) bench_fail("eddy_thread_pool_close", status);
}
