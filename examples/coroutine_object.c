/* coroutine_object.c: a coroutine object does nothing until it is driven.
 *
 * In Python `coro = answer()` runs no line of answer: it makes an object, which an await or a task drives.
 * One that is dropped without that was surely a mistake, and Python says so. In C calling a function runs
 * it, so the object has a function of its own:
 *
 *     coro = answer()                    eddy_coro_create(answer, arg, "answer")
 *     print(coro)                        eddy_coro_print(coro, buffer, bytes)
 *     await coro                         eddy_coro_await(coro, &value)
 *     asyncio.create_task(coro)          eddy_coro_spawn(coro, &task, NULL)
 *     del coro                           eddy_coro_release(coro): "was never awaited" */
#include <eddy/eddy.h>

#include <stdio.h>

static int runs;          /* how often the body ran                          */
static int never_awaited; /* reports of that kind; one task, so no lock      */

static int answer(void *arg, eddy_value *out) {
    (void)arg;
    runs++;
    *out = EDDY_I64(42);
    return 0;
}

static void on_report(const eddy_report *report, void *arg) {
    (void)arg;
    printf("report: %s\n", report->message);
    if (report->kind == EDDY_REPORT_NEVER_AWAITED) never_awaited++;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char text[128];
    eddy_value value = EDDY_NONE;

    eddy_coro *coro = eddy_coro_create(answer, NULL, "answer");
    if (coro == NULL) return EDDY_ENOMEM;
    eddy_coro_print(coro, text, sizeof text);
    printf("made: %s\n", text);
    int status = eddy_sleep(EDDY_MS(50)); /* time in which it could run, if anybody drove it */
    printf("the body has run %d times\n", runs);
    if (status == 0 && runs != 0) status = eddy_fail(EDDY_ESTATE, "it ran by itself");
    if (status < 0) {
        eddy_coro_release(coro);
        return status;
    }
    status = eddy_coro_await(coro, &value); /* takes the object */
    if (status < 0) return status;
    printf("awaited: %lld, the body has run %d time\n", (long long)value.i64, runs);

    eddy_task *task;
    coro = eddy_coro_create(answer, NULL, "answer");
    if (coro == NULL) return EDDY_ENOMEM;
    status = eddy_coro_spawn(coro, &task, NULL);
    if (status < 0) { /* then it is still ours */
        eddy_coro_release(coro);
        return status;
    }
    status = eddy_await(EDDY_FUTURE(task), &value);
    eddy_task_release(task);
    if (status < 0) return status;
    printf("as a task: %lld, the body has run %d times\n", (long long)value.i64, runs);

    coro = eddy_coro_create(answer, NULL, "forgotten");
    if (coro == NULL) return EDDY_ENOMEM;
    eddy_coro_release(coro);
    if (runs != 2) return eddy_fail(EDDY_ESTATE, "the body ran %d times, not 2", runs);
    if (never_awaited != 1) return eddy_fail(EDDY_ESTATE, "%d reports, not 1", never_awaited);
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.on_exception = on_report, .serial = true)) < 0; }
