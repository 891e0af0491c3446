/* failure_log.c: nobody awaits a background task; a done callback logs its failure, with its name.
 *
 * The callback runs on the loop once the task is done, never inside it. Looking at the failure counts as
 * retrieving it, so the run does not report it as "never retrieved". In asyncio:
 *
 *     def log_failure(task):
 *         if not task.cancelled() and task.exception():
 *             print(task.get_name(), "failed:", task.exception())
 *     task = asyncio.create_task(refresh(), name="refresh-cache")
 *     task.add_done_callback(log_failure) */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

static int refresh(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const int status = eddy_sleep(EDDY_MS(100));
    if (status < 0) return status;
    return eddy_fail(-ECONNREFUSED, "cache-%d does not answer", 7);
}

static int log_failure(eddy_future *future, void *arg) {
    static char line[160];
    eddy_future *logged = arg;                           /* the callback's own reference  */
    const eddy_error *error = eddy_future_error(future); /* NULL unless it failed by text */
    snprintf(line, sizeof line, "%s failed: %s: %s", eddy_error_task(error),
             eddy_status_name(eddy_future_result(future, NULL)), eddy_error_text(error));
    const int status = eddy_future_set(logged, EDDY_PTR(line));
    eddy_future_release(logged);
    return status;
}

static void on_report(const eddy_report *report, void *arg) {
    fprintf(stderr, "report: %s\n", report->message);
    *(bool *)arg = true;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_value line = EDDY_NONE;
    eddy_future *logged = eddy_future_create(); /* so that this program knows when to end */
    if (logged == NULL) return EDDY_ENOMEM;

    eddy_task *task;
    int status = eddy_spawn(&task, refresh, NULL, EDDY_TASK(.name = "refresh-cache"));
    if (status < 0) goto release_logged;
    status = eddy_future_add_callback(EDDY_FUTURE(task), log_failure, eddy_future_share(logged));
    if (status < 0) eddy_future_release(logged); /* the callback's reference */
    eddy_task_release(task);                     /* from here on it is the runtime's alone */

    for (int request = 1; request <= 3 && status == 0; request++) {
        printf("request %d served\n", request);
        status = eddy_sleep(EDDY_MS(20));
    }
    if (status == 0) status = eddy_await(logged, &line);
    if (status < 0) goto release_logged;
    printf("log: %s\n", (const char *)line.ptr);
    if (strcmp(line.ptr, "refresh-cache failed: ECONNREFUSED: cache-7 does not answer") != 0)
        status = eddy_fail(EDDY_ESTATE, "that is not the failure");

release_logged:
    eddy_future_release(logged);
    return status;
}

int main(void) {
    bool reported = false;
    const int status = eddy_run(app, NULL, NULL, EDDY_RUN(.on_exception = on_report, .on_exception_arg = &reported));
    return status < 0 || reported;
}
