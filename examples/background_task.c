/* background_task.c: a task is started, other work is done, and its result is collected later.
 *
 * The report takes 0.5 s and the three pages 0.1 s each, all in 0.5 s. When the report is awaited it is
 * nearly done: the await takes only the rest. In asyncio:
 *
 *     report = asyncio.create_task(make_report())
 *     for page in range(3):
 *         await print_page(page)
 *     print(await report) */
#include <eddy/eddy.h>

#include <stdio.h>

static int make_report(void *arg, eddy_value *out) {
    (void)arg;
    const int status = eddy_sleep(EDDY_MS(500));
    if (status < 0) return status;
    *out = EDDY_I64(1234);
    return 0;
}

static int print_page(int page) {
    const int status = eddy_sleep(EDDY_MS(100));
    if (status < 0) return status;
    printf("page %d\n", page);
    return 0;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();
    eddy_value total = EDDY_NONE;

    eddy_task *report;
    int status = eddy_spawn(&report, make_report, NULL, EDDY_TASK(.name = "report"));
    if (status < 0) return status;

    for (int page = 1; page <= 3 && status == 0; page++) status = print_page(page);
    const bool early = eddy_future_done(EDDY_FUTURE(report));
    printf("the report is %s\n", early ? "done" : "still being made");

    if (status == 0) status = eddy_await(EDDY_FUTURE(report), &total);
    eddy_task_release(report);
    if (status < 0) return status;

    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    printf("the report says %lld after %.2f s\n", (long long)total.i64, took_s);
    if (total.i64 != 1234) return eddy_fail(EDDY_ESTATE, "that is not the report's result");
    if (took_s < 0.5 || took_s >= 0.8) return eddy_fail(-ERANGE, "0.5 s were expected");
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
