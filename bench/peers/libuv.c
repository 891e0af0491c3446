/* libuv.c: libuv's answers, by hand: callbacks on one loop, requests and timers allocated once. */
#include "harness/bench.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

static uv_loop_t *loop;
static int64_t sum;

static void check(const char *what, int status) {
    if (status < 0) bench_fail(what, status);
}

/* ---- timers -------------------------------------------------------------------------------------- */

static void never(uv_timer_t *timer) {
    (void)timer;
    bench_fail("a timer that was stopped", 0);
}

static uint64_t far_ms(int64_t i) { return 3600000 + (uint64_t)(i * 7919 % 1000000); }

static void close_all(uv_timer_t *timers, int64_t count) {
    for (int64_t i = 0; i < count; i++) uv_close((uv_handle_t *)&timers[i], NULL);
    check("uv_run", uv_run(loop, UV_RUN_DEFAULT));
    free(timers);
}

static void timers(void) {
    uv_timer_t *all = malloc((size_t)bench.size * sizeof *all), *one = malloc(sizeof *one);
    if (all == NULL || one == NULL) bench_fail("memory", UV_ENOMEM);
    int64_t count = 0;
    check("uv_timer_init", uv_timer_init(loop, one));
    bench_start();
    for (int64_t i = 0; i < bench.size; i++, count++) {
        check("uv_timer_start", uv_timer_start(one, never, far_ms(i), 0));
        check("uv_timer_stop", uv_timer_stop(one));
    }
    bench_stop("restart", bench.size, count);
    close_all(one, 1);

    count = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++, count++) {
        check("uv_timer_init", uv_timer_init(loop, &all[i]));
        check("uv_timer_start", uv_timer_start(&all[i], never, far_ms(i), 0));
    }
    bench_stop("create", bench.size, count);

    count = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++, count++) check("uv_timer_stop", uv_timer_stop(&all[i]));
    bench_stop("cancel", bench.size, count);
    close_all(all, bench.size);
}

/* ---- sleepers ------------------------------------------------------------------------------------ */

static void awake(uv_timer_t *timer) {
    (void)timer;
    sum++;
}

static void sleepers(void) {
    uv_timer_t *all = malloc((size_t)bench.size * sizeof *all);
    if (all == NULL) bench_fail("memory", UV_ENOMEM);
    int64_t begun_ns = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        check("uv_timer_init", uv_timer_init(loop, &all[i]));
        uv_update_time(loop); /* or it would wake early */
        begun_ns = bench_now_ns();
        check("uv_timer_start", uv_timer_start(&all[i], awake, 1000, 0));
    }
    check("uv_run", uv_run(loop, UV_RUN_DEFAULT));
    int64_t end_ns = bench_now_ns();
    bench_stop(NULL, bench.size, sum);
    bench_amount("late", "ms", (double)(end_ns - begun_ns) / 1e6 - 1000, sum);
    close_all(all, bench.size);
}

/* ---- thread pool --------------------------------------------------------------------------------- */

enum { WINDOW = 1024 };

struct job {
    uv_work_t work;
    int64_t number, given;
};

static int64_t next;

static void run_job(uv_work_t *work) {
    struct job *job = (struct job *)work;
    job->given = job->number + 1;
}

static void after_job(uv_work_t *work, int status) {
    struct job *job = (struct job *)work;
    check("a job", status);
    sum += job->given;
    if (next == bench.size) return;
    job->number = next++;
    check("uv_queue_work", uv_queue_work(loop, work, run_job, after_job));
}

static void to_thread(void) {
    static struct job jobs[WINDOW];
    next = 0;
    bench_start();
    for (int i = 0; i < WINDOW && next < bench.size; i++) {
        jobs[i].number = next++;
        check("uv_queue_work", uv_queue_work(loop, &jobs[i].work, run_job, after_job));
    }
    check("uv_run", uv_run(loop, UV_RUN_DEFAULT));
    bench_stop(NULL, bench.size, sum);
}

/* ---- wake: two loops on two pinned threads ------------------------------------------------------- */

static uv_async_t ends[2];

static void answer(uv_async_t *async) {
    (void)async;
    check("uv_async_send", uv_async_send(&ends[0]));
}

static void ask(uv_async_t *async) {
    (void)async;
    if (++sum == bench.size)
        uv_stop(loop);
    else
        check("uv_async_send", uv_async_send(&ends[1]));
}

static void run_other(void *arg) {
    bench_pin(1);
    uv_run(arg, UV_RUN_DEFAULT);
}

static void wake(void) {
    static uv_loop_t other;
    if (bench.repetition == 1) {
        uv_thread_t thread;
        bench_pin(0);
        check("uv_loop_init", uv_loop_init(&other));
        check("uv_async_init", uv_async_init(loop, &ends[0], ask));
        check("uv_async_init", uv_async_init(&other, &ends[1], answer));
        check("uv_thread_create", uv_thread_create(&thread, run_other, &other)); /* ends with the program */
    }
    bench_start();
    check("uv_async_send", uv_async_send(&ends[1]));
    uv_run(loop, UV_RUN_DEFAULT);
    bench_stop(NULL, bench.size, sum);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*repetition)(void);
    } questions[] = {{"timers", timers}, {"sleepers", sleepers}, {"to_thread", to_thread}, {"wake", wake}};
    if (argc < 2) return 2;
    bench_open(argc - 1, argv + 1);
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    loop = uv_default_loop();
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        if (strcmp(argv[1], questions[i].name) != 0) continue;
        for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) {
            sum = 0;
            questions[i].repetition();
        }
        return 0;
    }
    return 2;
}
