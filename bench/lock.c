/* lock.c. Question: what does a lock cost, nobody else wanting it, and handed from task to task?
 * Cells: free (one task takes and gives it back), handed (four tasks, each of which yields while it holds it, so that the
 * others wait and get it in turn). */
#include "harness/bench.h"

#include <eddy/eddy.h>

enum { TASKS = 4 };

static eddy_lock *lock;
static int64_t count;

static void check(const char *what, int status) {
    if (status < 0) bench_fail(what, status);
}

static int user(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int64_t i = 0; i < bench.size / TASKS; i++) {
        check("eddy_lock_acquire", eddy_lock_acquire(lock));
        int64_t before = count;
        check("eddy_yield", eddy_yield());
        count = before + 1; /* wrong, were it not for the lock */
        check("eddy_lock_unlock", eddy_lock_unlock(lock));
    }
    return 0;
}

void bench_repetition(void) {
    lock = eddy_lock_create();
    if (lock == NULL) bench_fail("eddy_lock_create", EDDY_ENOMEM);
    count = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        check("eddy_lock_acquire", eddy_lock_acquire(lock));
        count++;
        check("eddy_lock_unlock", eddy_lock_unlock(lock));
    }
    bench_stop("free", bench.size, count);

    eddy_task *tasks[TASKS];
    count = 0;
    bench_start();
    for (int i = 0; i < TASKS; i++) check("eddy_spawn", eddy_spawn(&tasks[i], user, NULL, NULL));
    for (int i = 0; i < TASKS; i++) {
        check("eddy_await", eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    bench_stop("handed", bench.size, count);
    eddy_lock_release(lock);
}
