/* held_worker.c: who makes the service hang?
 *
 * A task that computes for long without suspending holds its worker: the tasks beside it stand still. Debug mode tells who
 * it is while it still computes, and for how long when it is over. The cure stands at the end: eddy_to_process, or a
 * thread. A program need not be changed to be asked: EDDY_DEBUG=1 in the environment does the same, on standard
 * error and with the stack. In asyncio:
 *
 *     asyncio.run(main(), debug=True)               eddy_run(app, NULL, NULL, EDDY_RUN(.debug = true))
 *     loop.slow_callback_duration = 0.1             .slow_ns = EDDY_MS(100), the default */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

static void say(const eddy_report *report, void *arg) {
    (void)arg;
    const char *place = report->place != NULL ? report->place : "";
    const char *slash = strrchr(place, '/');
    printf("%s: %s, made at %s\n", report->message, report->task, slash != NULL ? slash + 1 : place);
    fflush(stdout);
}

static int resize(void *arg, eddy_value *out) { /* 300 ms of work in one piece */
    (void)arg;
    const int64_t end_ns = eddy_time_ns() + EDDY_MS(300);
    uint64_t pixels = 0;
    while (eddy_time_ns() < end_ns) pixels++;
    *out = EDDY_I64((int64_t)pixels);
    return 0;
}

static int heartbeat(void *arg, eddy_value *out) {
    int *beats = arg;
    (void)out;
    for (;;) {
        int status = eddy_sleep(EDDY_MS(10));
        if (status < 0) return status;
        ++*beats;
    }
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    static int beats;
    eddy_task *image, *heart;
    int status = eddy_spawn(&heart, heartbeat, &beats, EDDY_TASK(.name = "heart"));
    if (status < 0) return status;
    status = eddy_spawn(&image, resize, NULL, EDDY_TASK(.name = "image"));
    if (status == 0) {
        status = eddy_await(EDDY_FUTURE(image), NULL);
        eddy_task_release(image);
        if (status == 0) status = eddy_sleep(EDDY_MS(50)); /* the second report comes when the worker is back */
    }
    eddy_cancel(EDDY_FUTURE(heart));
    (void)eddy_await(EDDY_FUTURE(heart), NULL);
    eddy_task_release(heart);
    eddy_handled();
    printf("the heart has beaten %s\n", beats < 20 ? "too rarely" : "well");
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.workers = 1, .debug = true, .on_exception = say)) < 0; }
