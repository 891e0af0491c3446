/* pitfalls.c: what asyncio's classic mistakes look like here, and what eddy says about them: pitfalls NAME.
 *
 * docs/asyncio.md shows each with its output. The runs are on the simulator, so the output is the same each time. */
#include <eddy/debug.h>
#include <eddy/eddy.h>
#include <eddy/sim.h>

#include <stdio.h>
#include <string.h>

static int fetch(void *arg, eddy_value *out) {
    int status = eddy_sleep(arg != NULL ? EDDY_MS(100) : EDDY_SECONDS(1));
    if (status < 0) return status;
    if (arg != NULL) return eddy_fail(-5, "no route to %s", (const char *)arg);
    *out = EDDY_I64(42);
    return 0;
}

/* A coroutine object is made, and nobody awaits it. */
static int never_awaited(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_coro *coro = eddy_coro_create(fetch, NULL, "fetch");
    eddy_coro_release(coro);
    return 0;
}

/* A task fails, and nobody looks at it. */
static int never_retrieved(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    int status = eddy_spawn(&task, fetch, "db1", EDDY_TASK(.name = "fetcher"));
    if (status < 0) return status;
    status = eddy_sleep(EDDY_SECONDS(2));
    eddy_task_release(task);
    return status;
}

/* gather gives the first failure at once; the others run on. */
static int gather(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[2];
    int status = eddy_spawn(&tasks[0], fetch, "db1", EDDY_TASK(.name = "failing"));
    if (status == 0) status = eddy_spawn(&tasks[1], fetch, NULL, EDDY_TASK(.name = "slow"));
    if (status < 0) return status;
    eddy_future *futures[2] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    eddy_result results[2];
    status = eddy_gather(futures, 2, results);
    printf("gather gives %s; is the other one done? %s\n", eddy_status_name(status),
           eddy_future_done(futures[1]) ? "yes" : "no");
    status = eddy_gather_all(futures, 2, results);
    printf("gather_all gives %d: %s and %lld\n", status, eddy_status_name(results[0].status),
           (long long)results[1].value.i64);
    for (int i = 0; i < 2; i++) eddy_task_release(tasks[i]);
    return status;
}

/* wait tells who is done, and fails for nobody. */
static int wait(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[2];
    int status = eddy_spawn(&tasks[0], fetch, "db1", EDDY_TASK(.name = "failing"));
    if (status == 0) status = eddy_spawn(&tasks[1], fetch, NULL, EDDY_TASK(.name = "slow"));
    if (status < 0) return status;
    eddy_future *futures[2] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    bool done[2];
    status = eddy_wait(futures, 2, EDDY_MS(500), EDDY_ALL_COMPLETED, done);
    printf("after half a second %d are done, and nothing was cancelled\n", status);
    status = eddy_wait(futures, 2, EDDY_FOREVER, EDDY_ALL_COMPLETED, done);
    for (int i = 0; i < 2; i++) {
        printf("%d: %s\n", i, eddy_status_name(eddy_future_result(futures[i], NULL)));
        eddy_task_release(tasks[i]);
    }
    return status < 0 ? status : 0;
}

/* The service answers no more: a picture of its tasks says what each waits on. */
static int back_up(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_lock_acquire(arg);
    if (status < 0) return status;
    status = eddy_sleep(EDDY_SECONDS(3600));
    eddy_lock_unlock(arg);
    return status;
}
static int serve_order(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_lock_acquire(arg);
    if (status == 0) status = eddy_lock_unlock(arg);
    return status;
}
static int unresponsive(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    eddy_picture *picture;
    char text[2000];
    eddy_lock *lock = eddy_lock_create();
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, back_up, lock, EDDY_TASK(.name = "backup"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, serve_order, lock, EDDY_TASK(.name = "order 1"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, serve_order, lock, EDDY_TASK(.name = "order 2"));
    if (status == 0) status = eddy_sleep(EDDY_SECONDS(1));
    if (status == 0 && (status = eddy_picture_take(&picture)) == 0) {
        eddy_picture_print(picture, EDDY_PICTURE_TABLE, text, sizeof text);
        fputs(text, stdout);
        eddy_picture_release(picture);
    }
    eddy_group_cancel(&group);
    status = eddy_group_exit(&group, status);
    eddy_lock_release(lock);
    return status;
}

/* What happens at sleep(1): the trace of the run says it step by step. */
static int sleeper(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(1));
}
static int sleeps(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    int status = eddy_spawn(&task, sleeper, NULL, EDDY_TASK(.name = "sleeper"));
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}
/* The trace, with its nanoseconds as seconds. */
static void print_trace(FILE *trace) {
    long long ns;
    char line[200];
    rewind(trace);
    while (fscanf(trace, "%lld %199[^\n]", &ns, line) == 2) printf("%.1f s  %s\n", (double)ns / 1e9, line);
    fclose(trace);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        eddy_coro_fn fn;
    } all[] = {{"never-awaited", never_awaited},
               {"never-retrieved", never_retrieved},
               {"gather", gather},
               {"wait", wait},
               {"unresponsive", unresponsive},
               {"sleep", sleeps}};
    for (size_t i = 0; argc == 2 && i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(argv[1], all[i].name) != 0) continue;
        FILE *trace = all[i].fn == sleeps ? tmpfile() : NULL;
        int status =
            eddy_sim_run(all[i].fn, NULL, NULL, EDDY_SIM(.seed = 1, .workers = 1, .serial = true, .trace = trace));
        if (trace != NULL) print_trace(trace);
        return status < 0;
    }
    fprintf(stderr, "usage: pitfalls never-awaited|never-retrieved|gather|wait|unresponsive|sleep\n");
    return 2;
}
