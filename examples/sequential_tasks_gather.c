/* sequential_tasks_gather.c: three waits of 0.3, 0.4 and 0.2 s, in three ways.
 *
 *     one after the other    0.9 s    orders = await query(0.3); users = await query(0.4); ...
 *     as tasks               0.4 s    tasks = [asyncio.create_task(query(s)) for s in (0.3, 0.4, 0.2)]
 *                                     results = [await task for task in tasks]
 *     gathered               0.4 s    results = await asyncio.gather(query(0.3), query(0.4), query(0.2))
 *
 * The results come in the order of the arguments, whoever was ready first. */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

enum { COUNT = 3 };

static struct query {
    const char *name;
    int64_t latency_ns;
} queries[COUNT] = {{"orders", EDDY_MS(300)}, {"users", EDDY_MS(400)}, {"prefs", EDDY_MS(200)}};

static int query(void *arg, eddy_value *out) {
    const struct query *me = arg;
    const int status = eddy_sleep(me->latency_ns);
    if (status < 0) return status;
    *out = EDDY_PTR(me->name);
    return 0;
}

/* Calling a coroutine function awaits it, in the caller's own task. */
static int one_after_the_other(eddy_value *values) {
    int status = 0;
    for (int i = 0; i < COUNT && status == 0; i++) status = query(&queries[i], &values[i]);
    return status;
}

/* A task runs on its own from now on; it is a future, too. */
static int spawn_all(eddy_future **futures) {
    int status = 0;
    for (int i = 0; i < COUNT && status == 0; i++) {
        eddy_task *task = NULL;
        status = eddy_spawn(&task, query, &queries[i], EDDY_TASK(.name = queries[i].name));
        futures[i] = EDDY_FUTURE(task);
    }
    return status;
}

static void release_all(eddy_future **futures) {
    for (int i = 0; i < COUNT; i++) eddy_future_release(futures[i]); /* NULL is nothing */
}

static int as_tasks(eddy_value *values) {
    eddy_future *futures[COUNT] = {NULL};
    int status = spawn_all(futures);
    for (int i = 0; i < COUNT && status == 0; i++) status = eddy_await(futures[i], &values[i]);
    release_all(futures); /* the values are names in static storage: they stay */
    return status;
}

static int gathered(eddy_value *values) {
    eddy_future *futures[COUNT] = {NULL};
    eddy_result results[COUNT];
    int status = spawn_all(futures);
    if (status == 0) status = eddy_gather(futures, COUNT, results);
    for (int i = 0; i < COUNT && status == 0; i++) values[i] = results[i].value;
    release_all(futures);
    return status;
}

/* Runs one way and holds it to its promise: never early, and before the next worse way would be done. */
static int measure(const char *way, int (*run)(eddy_value *), double least_s, double below_s) {
    eddy_value values[COUNT];
    const int64_t start_ns = eddy_time_ns();
    const int status = run(values);
    const double took_s = (double)(eddy_time_ns() - start_ns) / 1e9;
    if (status < 0) return status;

    printf("%-20s %.2f s ", way, took_s);
    for (int i = 0; i < COUNT; i++) printf(" %s", (const char *)values[i].ptr);
    printf("\n");
    for (int i = 0; i < COUNT; i++)
        if (strcmp(values[i].ptr, queries[i].name) != 0)
            return eddy_fail(EDDY_ESTATE, "%s: result %d is another's", way, i);
    if (took_s < least_s || took_s >= below_s) return eddy_fail(-ERANGE, "%s: %.1f s were expected", way, least_s);
    return 0;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = measure("one after the other", one_after_the_other, 0.9, 1.8);
    if (status == 0) status = measure("as tasks", as_tasks, 0.4, 0.9);
    if (status == 0) status = measure("gathered", gathered, 0.4, 0.9);
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
