/* custom_future.c: a future that a timer sets.
 *
 * A future is a result that somebody will bring: a callback, another task, any thread. Who awaits it is
 * suspended until then. It is set once; whoever comes second is told so. In asyncio:
 *
 *     alarm = loop.create_future()
 *     loop.call_later(0.5, alarm.set_result, "ring")
 *     print(await alarm) */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

static int ring(void *arg) { return eddy_future_set(arg, EDDY_PTR("ring")); }

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();
    eddy_value value;

    eddy_future *alarm = eddy_future_create();
    if (alarm == NULL) return EDDY_ENOMEM;
    eddy_handle *timer;
    int status = eddy_call_later(NULL, EDDY_MS(500), ring, alarm, &timer);
    if (status < 0) goto release_alarm;

    printf("done before: %s\n", eddy_future_done(alarm) ? "yes" : "no");
    status = eddy_await(alarm, &value);
    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    if (status < 0) goto release_timer;

    printf("it says %s after %.2f s\n", (const char *)value.ptr, took_s);
    const int second = eddy_future_set(alarm, EDDY_PTR("again"));
    printf("setting it again: %s\n", eddy_status_name(second));
    if (strcmp(value.ptr, "ring") != 0 || second != EDDY_ESTATE)
        status = eddy_fail(EDDY_ESTATE, "a future is set once");
    if (took_s < 0.5) status = eddy_fail(-ERANGE, "the alarm rang early");

release_timer:
    eddy_handle_cancel(timer); /* where the await was cancelled: `alarm` goes, so it must not ring */
    eddy_handle_release(timer);
release_alarm:
    eddy_future_release(alarm);
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
