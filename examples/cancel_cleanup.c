/* cancel_cleanup.c: a cancelled task cleans up on its way out.
 *
 * A cancel is a status that the suspended call returns. Cleanup is the ordinary code that follows, and may
 * suspend itself; what must happen however the task ends is registered with eddy_defer, last in, first
 * out. The awaiter goes on only when all of that is done. In asyncio:
 *
 *     async def transfer():
 *         async with AsyncExitStack() as stack:
 *             stack.callback(disconnect); stack.callback(unlock)
 *             try:
 *                 await asyncio.sleep(30)
 *             except asyncio.CancelledError:
 *                 await roll_back()
 *                 raise */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

static char steps[128]; /* of the task, then of main, which has awaited it: never both at once */

static void step(const char *name) {
    printf("%s\n", name);
    snprintf(steps + strlen(steps), sizeof steps - strlen(steps), "%s, ", name);
}

static void cleanup(void *arg) { step(arg); }

static int transfer(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    step("connect");
    int status = eddy_defer(cleanup, "disconnect");
    if (status < 0) return status;
    step("lock");
    status = eddy_defer(cleanup, "unlock");
    if (status < 0) return status;

    status = eddy_sleep(EDDY_SECONDS(30)); /* the cancel arrives here */
    if (status == EDDY_ECANCELED) {
        const int rolled_back = eddy_sleep(EDDY_MS(100)); /* a round trip: cleanup may suspend */
        step(rolled_back == 0 ? "roll back" : "roll back failed");
    }
    return status;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();
    eddy_task *task;
    int status = eddy_spawn(&task, transfer, NULL, EDDY_TASK(.name = "transfer"));
    if (status < 0) return status;

    status = eddy_sleep(EDDY_MS(200));
    eddy_cancel(EDDY_FUTURE(task));
    if (status == 0) status = eddy_await(EDDY_FUTURE(task), NULL);
    const bool cancelled = eddy_future_cancelled(EDDY_FUTURE(task));
    eddy_task_release(task);
    if (status != EDDY_ECANCELED) return eddy_fail(EDDY_ESTATE, "the transfer was not cancelled");
    eddy_handled();

    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    printf("the task is %s after %.2f s\n", cancelled ? "cancelled" : "not cancelled", took_s);
    if (!cancelled || strcmp(steps, "connect, lock, roll back, unlock, disconnect, ") != 0)
        return eddy_fail(EDDY_ESTATE, "cleanup was not complete: %s", steps);
    if (took_s < 0.3 || took_s >= 10) return eddy_fail(-ERANGE, "0.3 s were expected");
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
