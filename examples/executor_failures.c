/* executor_failures.c: what can go wrong in a pool, and what eddy says then. Each line is a call's status and its text; ids of
 * processes are written as PID. */
#include <eddy/eddy.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int plain(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return 0;
}
static int parse(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    return eddy_fail(EDDY_EINVAL, "line 3 of %.*s is no number", (int)in.size, (char *)in.data);
}
EDDY_REMOTE(parse);
static int leave(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    _exit(3);
}
EDDY_REMOTE(leave);
static int spin(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    for (volatile unsigned turns = 0;; turns++) continue;
}
EDDY_REMOTE(spin);
static int load_model(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return eddy_fail(-ENOENT, "no model file");
}
EDDY_REMOTE(load_model);

static void say(const char *what, int status) {
    char text[600];
    const char *from = eddy_error_text(eddy_error_current(status));
    size_t at = 0;
    while (*from != '\0' && at < sizeof text - 4)
        if (strncmp(from, "process ", 8) == 0 && isdigit((unsigned char)from[8])) {
            at += (size_t)snprintf(text + at, sizeof text - at, "process PID");
            for (from += 8; isdigit((unsigned char)*from); from++) continue;
        } else {
            text[at++] = *from++;
        }
    text[at] = '\0';
    printf("%-12s %s: %s\n", what, eddy_status_name(status), text);
    eddy_handled();
}

static int call(eddy_process_pool *pool, eddy_remote_fn fn, const char *in) {
    return eddy_process_pool_run(pool, fn, eddy_bytes_view(in, strlen(in)), NULL);
}
static int spin_task(void *pool, eddy_value *out) {
    (void)out;
    return call(pool, spin, "");
}

static void fail_in_a_pool(const char *what, eddy_remote_fn fn, const char *in,
                           const eddy_process_pool_options *options) {
    eddy_process_pool *pool;
    int status = eddy_process_pool_create(&pool, options);
    if (status < 0) {
        say(what, status);
        return;
    }
    say(what, call(pool, fn, in));
    eddy_process_pool_close(pool);
}

/* One call runs, one waits, and that is all that may. */
static void fill_and_terminate(void) {
    eddy_process_pool *pool;
    eddy_task *tasks[2];
    if (eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .name = "hash", .queue_max = 1)) < 0) return;
    for (int i = 0; i < 2; i++)
        if (eddy_spawn(&tasks[i], spin_task, pool, NULL) < 0) abort();
    eddy_process_pool_stats stats;
    do {
        eddy_yield();
        eddy_process_pool_stats_read(pool, &stats);
    } while (stats.running < 1 || stats.queued < 1);
    say("full", call(pool, parse, ""));
    say("late", EDDY_TIMEOUT(EDDY_MS(10), eddy_process_pool_terminate(pool, EDDY_MS(400)))); /* goes on alone */
    say("waiting", eddy_await(EDDY_FUTURE(tasks[1]), NULL));
    say("running", eddy_await(EDDY_FUTURE(tasks[0]), NULL));
    for (int i = 0; i < 2; i++) eddy_task_release(tasks[i]);
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    say("unknown", eddy_to_process(plain, eddy_bytes_view("", 0), NULL));
    fail_in_a_pool("its own", parse, "prices", EDDY_PROCESS_POOL(.name = "hash"));
    fail_in_a_pool("dies", leave, "", EDDY_PROCESS_POOL(.name = "hash"));
    fail_in_a_pool("too much", spin, "", EDDY_PROCESS_POOL(.name = "hash", .cpu_ns = EDDY_MS(50)));
    fail_in_a_pool("no model", parse, "", EDDY_PROCESS_POOL(.name = "ml", .initializer = load_model));
    fail_in_a_pool("no worker", parse, "", EDDY_PROCESS_POOL(.name = "ml", .worker_path = "/bin/true"));
    fail_in_a_pool("no file", parse, "", EDDY_PROCESS_POOL(.name = "ml", .worker_path = "/no/such/worker"));
    fill_and_terminate();
    return 0;
}

int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.workers = 1)) < 0; }
