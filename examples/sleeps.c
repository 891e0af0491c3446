/* sleeps.c: three sleeps of 1 s take 1 s.
 *
 * The children of a group run side by side, and the group ends when the last of them has. Each says on
 * which worker it ran: outside a serial domain that may be any. In asyncio, where there is only one:
 *
 *     async with asyncio.TaskGroup() as group:
 *         for name in ("first", "second", "third"):
 *             group.create_task(nap(name)) */
#include <eddy/eddy.h>

#include <stdio.h>

static int nap(void *arg, eddy_value *out) {
    const char *name = arg;
    (void)out;
    printf("%s falls asleep on worker %d\n", name, eddy_worker_index());
    const int status = eddy_sleep(EDDY_SECONDS(1));
    if (status < 0) return status;
    printf("%s wakes up\n", name);
    return 0;
}

static int app(void *arg, eddy_value *out) {
    static char *const names[] = {"first", "second", "third"};
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();

    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < 3 && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, nap, names[i], EDDY_TASK(.name = names[i]));
    status = eddy_group_exit(&group, status);
    if (status < 0) return status;

    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    printf("three sleeps of 1 s: %.2f s\n", took_s);
    if (took_s < 1.0 || took_s >= 2.0) return eddy_fail(-ERANGE, "1 s was expected");
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
