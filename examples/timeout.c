/* timeout.c: a call that takes too long is ended.
 *
 * A timeout is a scope, not an argument: when its time is up the task is cancelled, what it waits for
 * returns EDDY_ECANCELED, and at the scope's end that becomes EDDY_ETIMEDOUT. A task of its own is limited
 * by wait_for, which cancels it and waits for its end. In asyncio:
 *
 *     async with asyncio.timeout(0.2):              EDDY_TIMEOUT(EDDY_MS(200), query(...))
 *         await query()
 *     await asyncio.wait_for(task, 0.2)             eddy_wait_for(EDDY_FUTURE(task), EDDY_MS(200), ...) */
#include <eddy/eddy.h>

#include <stdio.h>

static struct query {
    int64_t latency_ns;
    int ended; /* what the wait inside ended with */
} slow = {EDDY_SECONDS(30), 0}, quick = {EDDY_MS(10), 0}, background = {EDDY_SECONDS(30), 0};

static int query(void *arg, eddy_value *out) {
    struct query *me = arg;
    me->ended = eddy_sleep(me->latency_ns);
    if (me->ended < 0) return me->ended; /* a cancel just flows up */
    *out = EDDY_I64(7);
    return 0;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_value value = EDDY_NONE;

    int64_t start_ns = eddy_time_ns();
    int status = EDDY_TIMEOUT(EDDY_MS(200), query(&slow, &value));
    double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    printf("slow call: %s after %.2f s; inside: %s\n", eddy_status_name(status), took_s, eddy_status_name(slow.ended));
    if (status != EDDY_ETIMEDOUT || slow.ended != EDDY_ECANCELED || took_s < 0.2 || took_s >= 5)
        return eddy_fail(EDDY_ESTATE, "ETIMEDOUT after 0.2 s was expected");
    eddy_handled();

    status = EDDY_TIMEOUT(EDDY_SECONDS(10), query(&quick, &value));
    if (status < 0) return status;
    printf("quick call: %lld\n", (long long)value.i64);

    eddy_task *task;
    status = eddy_spawn(&task, query, &background, EDDY_TASK(.name = "background"));
    if (status < 0) return status;
    start_ns = eddy_time_ns();
    status = eddy_wait_for(EDDY_FUTURE(task), EDDY_MS(200), &value);
    took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    const bool cancelled = eddy_future_cancelled(EDDY_FUTURE(task));
    eddy_task_release(task);
    printf("slow task: %s after %.2f s; cancelled: %s\n", eddy_status_name(status), took_s, cancelled ? "yes" : "no");
    if (status != EDDY_ETIMEDOUT || !cancelled || took_s < 0.2 || took_s >= 5)
        return eddy_fail(EDDY_ESTATE, "a cancelled task after 0.2 s was expected");
    eddy_handled();
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
