/* interleave.c: two coroutines take turns on one loop.
 *
 * A wait suspends its task, not the loop: while one waits the other goes on, and a wait of 1.0 s beside
 * one of 0.5 s ends in 1.0 s. `.serial` puts main, and with it its children, into one serial domain:
 * asyncio's loop, one thing at a time in FIFO order, so `order` below needs no lock. In asyncio:
 *
 *     async def visit(name, seconds):
 *         print(name, "begins"); await asyncio.sleep(seconds); print(name, "ends")
 *     async def main():
 *         async with asyncio.TaskGroup() as group:
 *             group.create_task(visit("slow", 1.0)); group.create_task(visit("quick", 0.5)) */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

struct visit {
    const char *name;
    int64_t wait_ns;
    char begins, ends;
};

static char order[8]; /* what happened: S slow begins, s slow ends, Q and q as well */
static int steps;

static int visit(void *arg, eddy_value *out) {
    const struct visit *me = arg;
    (void)out;
    printf("%s begins\n", me->name);
    order[steps++] = me->begins;

    const int status = eddy_sleep(me->wait_ns); /* suspends here; the other one runs */
    if (status < 0) return status;

    printf("%s ends\n", me->name);
    order[steps++] = me->ends;
    return 0;
}

static int app(void *arg, eddy_value *out) {
    struct visit slow = {"slow", EDDY_MS(1000), 'S', 's'};
    struct visit quick = {"quick", EDDY_MS(500), 'Q', 'q'};
    (void)arg, (void)out;
    const int64_t start_ns = eddy_time_ns();

    eddy_group group;
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, visit, &slow, NULL);
    if (status == 0) status = eddy_group_spawn(&group, NULL, visit, &quick, NULL);
    status = eddy_group_exit(&group, status); /* waits for both */
    if (status < 0) return status;

    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    printf("both: %.2f s\n", took_s);
    if (strcmp(order, "SQqs") != 0) return eddy_fail(EDDY_ESTATE, "ran in the order %s", order);
    if (took_s < 1.0 || took_s >= 1.5) return eddy_fail(-ERANGE, "1.0 s were expected");
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.serial = true)) < 0; }
