/* to_process.c. Question: what does a call in another process cost, 64 bytes there and back?
 * One call in flight at a time; the form "queued" has two processes and all calls queued at once. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdlib.h>
#include <string.h>

enum { BYTES = 64 };

static int increment(eddy_bytes in, eddy_bytes *out) {
    int status = eddy_bytes_copy(out, in.data, in.size);
    if (status == 0) ++*(unsigned char *)out->data;
    return status;
}
EDDY_REMOTE(increment);

static eddy_process_pool *pool;

/* 1 if the answer is right. */
static int call(void *arg, eddy_value *out) {
    unsigned char message[BYTES];
    memset(message, (int)(intptr_t)arg, sizeof message);
    eddy_bytes answer;
    int status = eddy_process_pool_run(pool, increment, eddy_bytes_view(message, sizeof message), &answer);
    if (status < 0) return status;
    unsigned char first = (unsigned char)(message[0] + 1);
    out->i64 = answer.size == BYTES && memcmp(answer.data, &first, 1) == 0 &&
               memcmp((unsigned char *)answer.data + 1, message + 1, BYTES - 1) == 0;
    eddy_bytes_free(&answer);
    return 0;
}

static int64_t one_by_one(void) {
    int64_t right = 0;
    for (intptr_t i = 0; i < bench.size; i++) {
        eddy_value value = EDDY_NONE;
        int status = call((void *)i, &value);
        if (status < 0) bench_fail("a call", status);
        right += value.i64;
    }
    return right;
}

static int64_t all_at_once(void) {
    eddy_task **tasks = malloc((size_t)bench.size * sizeof *tasks);
    int64_t right = 0;
    if (tasks == NULL) bench_fail("memory", EDDY_ENOMEM);
    for (intptr_t i = 0; i < bench.size; i++) {
        int status = eddy_spawn(&tasks[i], call, (void *)i, NULL);
        if (status < 0) bench_fail("eddy_spawn", status);
    }
    for (intptr_t i = 0; i < bench.size; i++) {
        eddy_value value = EDDY_NONE;
        int status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
        if (status < 0) bench_fail("a call", status);
        eddy_task_release(tasks[i]);
        right += value.i64;
    }
    free(tasks);
    return right;
}

void bench_repetition(void) {
    bool queued = bench_form("queued");
    eddy_value ready = EDDY_NONE;
    int status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = queued ? 2 : 1));
    if (status < 0) bench_fail("eddy_process_pool_create", status);
    status = call(NULL, &ready); /* a process is there before the clock starts */
    if (status < 0) bench_fail("the first call", status);
    bench_start();
    int64_t right = queued ? all_at_once() : one_by_one();
    bench_stop(NULL, bench.size, right);
    status = eddy_process_pool_close(pool);
    if (status < 0) bench_fail("eddy_process_pool_close", status);
}
