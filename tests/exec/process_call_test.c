/* process_call_test.c: what travels with a call to a worker process: deadlines, cancels; how a pool is terminated; and who is
 * not served: another build, other functions, another version. */
#include "exec/process_helpers.h"

#include "eddy/process_call.h"
#include "exec/remote.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

/* ---- deadlines -------------------------------------------------------------------------------------------- */

static int tell_time_left(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const int64_t left_ns = eddy_process_time_left_ns();
    return eddy_bytes_copy(out, &left_ns, sizeof left_ns);
}
EDDY_REMOTE(tell_time_left);

static int ask_time_left(eddy_process_pool *pool, int64_t *left_ns_out) {
    eddy_bytes out;
    const int status = eddy_process_pool_run(pool, tell_time_left, eddy_bytes_view("", 0), &out);
    if (status < 0) return status;
    memcpy(left_ns_out, out.data, sizeof *left_ns_out);
    eddy_bytes_free(&out);
    return status;
}

TEST(process_call, the_first_deadline_travels, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    int64_t left_ns = 0;
    EXPECT_OK(ask_time_left(pool, &left_ns));
    EXPECT_EQ(EDDY_FOREVER, left_ns);
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), ask_time_left(pool, &left_ns)));
    EXPECT(left_ns > 0 && left_ns <= EDDY_SECONDS(1000));
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), EDDY_TIMEOUT(EDDY_SECONDS(5000), ask_time_left(pool, &left_ns))));
    EXPECT(left_ns > 0 && left_ns <= EDDY_SECONDS(1000));
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(5000), EDDY_TIMEOUT(EDDY_SECONDS(1000), ask_time_left(pool, &left_ns))));
    EXPECT(left_ns > 0 && left_ns <= EDDY_SECONDS(1000));
    EXPECT_OK(EDDY_TIMEOUT(EDDY_FOREVER, ask_time_left(pool, &left_ns)));
    EXPECT_EQ(EDDY_FOREVER, left_ns);
    EXPECT_OK(ask_time_left(pool, &left_ns)); /* the next call has terms of its own */
    EXPECT_EQ(EDDY_FOREVER, left_ns);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* ---- cancels ---------------------------------------------------------------------------------------------- */

static void touch(const char *path, const char *suffix) {
    char name[600];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    const int fd = open(name, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(1, write(fd, "x", 1));
    close(fd);
}

/* Says that it has begun, waits for the cancel, says that it has seen it. */
static int until_cancelled(eddy_bytes in, eddy_bytes *out) {
    touch(in.data, "");
    while (!eddy_process_cancelled()) usleep(500);
    touch(in.data, "-seen");
    return eddy_bytes_copy(out, "early", 5);
}
EDDY_REMOTE(until_cancelled);

static int until_cancelled_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    (void)out;
    eddy_bytes bytes;
    const int status =
        eddy_process_pool_run(gate->pool, until_cancelled, eddy_bytes_view(gate->path, strlen(gate->path) + 1), &bytes);
    EXPECT(status < 0 || (bytes.size == 5 && memcmp(bytes.data, "early", 5) == 0));
    EXPECT(status >= 0 || bytes.data == NULL);
    eddy_bytes_free(&bytes);
    return status;
}

static void until_seen(const struct help_gate *gate) {
    struct help_gate seen = *gate;
    strcat(seen.path, "-seen");
    EXPECT_EQ(1, help_gate_until_open(&seen));
    help_gate_deinit(&seen);
}

TEST(process_call, an_abandoned_function_is_told, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    for (int round = 0; round < 3; round++) { /* a flag is one call's, not its slot's */
        struct help_gate gate;
        help_gate_init(&gate, pool);
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, until_cancelled_task, &gate, NULL));
        EXPECT_EQ(1, help_gate_until_open(&gate));
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
        eddy_task_release(task);
        until_seen(&gate);
        help_gate_deinit(&gate);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_call, grace_lets_the_function_end, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .grace_ns = EDDY_SECONDS(1000))));
    int before, after;
    EXPECT_EQ(0, help_pid(pool, &before));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, until_cancelled_task, &gate, NULL));
    EXPECT_EQ(1, help_gate_until_open(&gate));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    until_seen(&gate);
    EXPECT_EQ(0, help_pid(pool, &after));
    EXPECT_EQ(before, after);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.kills);
    EXPECT_EQ(0, stats.deaths);
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_call, after_the_grace_it_is_killed, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .grace_ns = EDDY_MS(20))));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, help_begin_task, &gate, NULL)); /* never asks */
    EXPECT_EQ(1, help_gate_until_open(&gate));
    const int64_t start_ns = eddy_time_ns();
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT(eddy_time_ns() - start_ns >= EDDY_MS(20));
    eddy_task_release(task);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(1, stats.kills);
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_call, outside_a_call_there_is_none) {
    EXPECT(!eddy_process_cancelled());
    EXPECT_EQ(EDDY_FOREVER, eddy_process_time_left_ns());
    eddy_timeout_push(EDDY_SECONDS(5)); /* a scope of this process */
    EXPECT_EQ(EDDY_FOREVER, eddy_process_time_left_ns());
    EXPECT_OK(eddy_timeout_pop(0));
}

/* ---- terminate -------------------------------------------------------------------------------------------- */

struct terminating {
    eddy_process_pool *pool;
    int64_t grace_ns;
};

static int terminate_task(void *arg, eddy_value *out) {
    const struct terminating *terminating = arg;
    (void)out;
    return eddy_process_pool_terminate(terminating->pool, terminating->grace_ns);
}

/* What has begun is told and ends with its own result; what has not fails at once. */
TEST(process_call, terminate_asks_first, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .name = "hash")));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *begun, *behind[3], *closer;
    EXPECT_OK(eddy_spawn(&begun, until_cancelled_task, &gate, NULL));
    EXPECT_EQ(1, help_gate_until_open(&gate));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&behind[i], help_spin_task, pool, NULL));
    help_until(pool, 1, 3);
    struct terminating terminating = {pool, EDDY_FOREVER};
    EXPECT_OK(eddy_spawn(&closer, terminate_task, &terminating, NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(behind[i]), NULL));
        EXPECT_STR("process pool 'hash' was terminated", eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)));
        eddy_handled();
        eddy_task_release(behind[i]);
    }
    EXPECT_OK(eddy_await(EDDY_FUTURE(begun), NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    eddy_task_release(begun);
    eddy_task_release(closer);
    until_seen(&gate);
    help_gate_deinit(&gate);
    help_no_children();
}

static void on_term(int signum) {
    (void)signum;
    _exit(42);
}
static int with_handler(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    signal(SIGTERM, on_term);
    touch(in.data, "");
    for (;;) pause();
}
EDDY_REMOTE(with_handler);

static int with_handler_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    (void)out;
    return eddy_process_pool_run(gate->pool, with_handler, eddy_bytes_view(gate->path, strlen(gate->path) + 1), NULL);
}

TEST(process_call, terminate_sends_the_signal, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, with_handler_task, &gate, NULL));
    EXPECT_EQ(1, help_gate_until_open(&gate));
    EXPECT_OK(eddy_process_pool_terminate(pool, EDDY_FOREVER));
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)),
               "exited with code 42 while it had 'with_handler'");
    eddy_handled();
    eddy_task_release(task);
    help_gate_deinit(&gate);
    help_no_children();
}

TEST(process_call, terminate_kills_what_does_not_end, NEEDS_PROCESSES) {
    static const int64_t graces_ns[] = {EDDY_MS(20), 0, -1};
    for (int i = 0; i < 3; i++) {
        eddy_process_pool *pool;
        EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
        struct help_gate gate;
        help_gate_init(&gate, pool);
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, help_begin_task, &gate, NULL));
        EXPECT_EQ(1, help_gate_until_open(&gate));
        EXPECT_OK(eddy_process_pool_terminate(pool, graces_ns[i]));
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(task), NULL));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "signal 9");
        eddy_handled();
        eddy_task_release(task);
        help_gate_deinit(&gate);
        help_no_children();
    }
    EXPECT_OK(eddy_process_pool_terminate(NULL, 0));
}

/* ---- who is served by whom -------------------------------------------------------------------------------- */

/* A worker that says HELLO with this version and identity, and nothing more. One process says it and stays: what others had
 * said would be read, and the one that was started killed, while they still end. */
static void write_stranger(char path[512], unsigned version, const struct ed_wire_identity *identity) {
    char octal[4 * sizeof *identity + 1], script[2048];
    for (size_t i = 0; i < sizeof *identity; i++)
        snprintf(octal + 4 * i, 5, "\\%03o", ((const unsigned char *)identity)[i]);
    snprintf(path, 512, "%s/stranger-%u", test_folder(), version);
    const int bytes = snprintf(script, sizeof script,
                               "#!/bin/sh\n"
                               "text=$(printf %%16s \"${EDDY_WORKER_PROCESS#*:}\" | tr ' ' 0)\n"
                               "nonce=\n"
                               "for at in 15-16 13-14 11-12 9-10 7-8 5-6 3-4 1-2; do\n"
                               "  nonce=\"$nonce\\\\$(printf %%03o 0x$(printf %%s \"$text\" | cut -c $at))\"\n"
                               "done\n"
                               "printf 'eddy\\001\\000\\%03o\\000\\000\\000\\000\\000\\%03o\\000\\000\\000'\"$nonce\""
                               "'\\000\\000\\000\\000\\000\\000\\000\\000%s' >&3\n"
                               "exec sleep 1000\n",
                               (unsigned)sizeof *identity, version, octal);
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0700);
    EXPECT_EQ(bytes, write(fd, script, (size_t)bytes));
    close(fd);
}

static void expect_refused(unsigned version, const struct ed_wire_identity *identity, bool same_build,
                           const char *part) {
    char path[512];
    write_stranger(path, version, identity);
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(
        &pool, EDDY_PROCESS_POOL(.processes = 1, .name = "ml", .worker_path = path, .same_build = same_build)));
    int pid;
    EXPECT_EQ(EDDY_EBROKENPOOL, help_pid(pool, &pid));
    const char *text = eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL));
    char begin[600];
    snprintf(begin, sizeof begin, "process pool 'ml': '%s' ", path);
    EXPECT(strncmp(begin, text, strlen(begin)) == 0);
    EXPECT_HAS(text, part);
    eddy_handled();
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_call, strangers_are_refused_by_name, TEST_LIMIT(60), NEEDS_PROCESSES) {
    struct ed_wire_identity own, other;
    ed_remote_identity(&own);
    char part[160];
    snprintf(
        part, sizeof part,
        "was built with another version of eddy (its workers speak version 77, this program %d): build both with the "
        "same one",
        ED_WIRE_VERSION);
    expect_refused(77, &own, false, part);
    other = own;
    other.build++;
    expect_refused(ED_WIRE_VERSION, &other, true, "was the file replaced? Start this program again");
    other.registry++;
    other.functions = 3;
    snprintf(part, sizeof part, "has other functions registered with EDDY_REMOTE (3 there, %u here)",
             (unsigned)own.functions);
    expect_refused(ED_WIRE_VERSION, &other, true, part);
}

/* This very program by a name is the same build. */
TEST(process_call, itself_is_the_same_build, NEEDS_PROCESSES) {
    char path[512];
    const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    EXPECT(bytes > 0);
    path[bytes] = 0;
    eddy_process_pool *pool;
    EXPECT_OK(
        eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .worker_path = path, .same_build = true)));
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_process_pool_close(pool));
}
