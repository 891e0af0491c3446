/* Child processes: what they say arrives whole, what they end with is told to all who ask, and none is left, whoever
 * dies first. The harness looks for processes and descriptors that are left after each test. */
#include "eddy/child.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/task.h"
#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL_TEST(name, ...) TEST(child, name, TEST_REAL, TEST_WITHOUT("valgrind qemu"), __VA_ARGS__)

static eddy_child *shell(const char *line, const eddy_child_options *options) {
    eddy_child *child;
    EXPECT_OK(eddy_child_shell(&child, line, options));
    return child;
}

static int code_of(eddy_child *child) {
    int code = 1000;
    EXPECT_OK(eddy_child_wait(child, &code));
    return code;
}

/* Suspends until the child has said a line of its own. */
static void expect_line(eddy_child *child, const char *text) {
    const char *line;
    size_t bytes;
    EXPECT_OK(eddy_stream_read_until(eddy_child_out(child), "\n", 1, 0, &line, &bytes));
    EXPECT_EQ(strlen(text) + 1, bytes);
    EXPECT(memcmp(text, line, bytes - 1) == 0);
}

REAL_TEST(ends_with_a_code_or_a_signal) {
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"exit 0", 0}, {"exit 7", 7}, {"exit 255", 255}, {"kill -TERM $$", -SIGTERM}, {"kill -KILL $$", -SIGKILL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        eddy_child *child = shell(cases[i].line, NULL);
        EXPECT(eddy_child_pid(child) > 0);
        EXPECT_EQ(cases[i].code, code_of(child));
        EXPECT_EQ(cases[i].code, code_of(child)); /* again and again */
        EXPECT_EQ(-ESRCH, eddy_child_signal(child, SIGTERM));
        eddy_child_release(child);
    }
}

REAL_TEST(communicates_more_than_the_pipes_hold) {
    enum { BYTES = 1000000 };
    char *input = malloc(BYTES);
    for (int i = 0; i < BYTES; i++) input[i] = (char)('a' + i * 7 % 26);
    eddy_child *child =
        shell("tee /dev/stderr", EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE, .err = EDDY_CHILD_PIPE));
    eddy_bytes out, err;
    int code;
    EXPECT_OK(eddy_child_communicate(child, input, BYTES, 0, &out, &err, &code));
    EXPECT_EQ(0, code);
    EXPECT_EQ(BYTES, out.size);
    EXPECT_EQ(BYTES, err.size);
    EXPECT(memcmp(input, out.data, BYTES) == 0 && memcmp(input, err.data, BYTES) == 0);
    eddy_bytes_free(&out);
    eddy_bytes_free(&err);
    eddy_child_release(child);
    free(input);
}

REAL_TEST(communicate_has_a_limit_and_forgives_a_child_that_does_not_read) {
    enum { BYTES = 300000 };
    char *input = calloc(1, BYTES);
    eddy_bytes out;
    int code;
    eddy_child *child = shell("exec cat", EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    EXPECT_EQ(EDDY_ELIMIT, eddy_child_communicate(child, input, BYTES, 1000, &out, NULL, &code));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ELIMIT)), "more than 1000 bytes");
    eddy_handled();
    eddy_child_release(child); /* it is killed */
    child = shell("echo enough", EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    EXPECT_OK(eddy_child_communicate(child, input, BYTES, 0, &out, NULL, &code));
    EXPECT_EQ(0, code);
    EXPECT_STR("enough\n", out.data);
    eddy_bytes_free(&out);
    eddy_child_release(child);
    free(input);
}

REAL_TEST(speaks_line_by_line) {
    const char *const argv[] = {"cat", NULL}; /* from PATH */
    eddy_child *child;
    EXPECT_OK(eddy_child_start(&child, argv, EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE)));
    EXPECT(eddy_child_err(child) == NULL);
    for (int i = 0; i < 20; i++) {
        EXPECT_OK(eddy_stream_write(eddy_child_in(child), "to and fro\n", 11));
        expect_line(child, "to and fro");
    }
    EXPECT_OK(eddy_stream_close(eddy_child_in(child)));
    char c;
    EXPECT_EQ(EDDY_EOF, eddy_stream_read(eddy_child_out(child), &c, 1));
    EXPECT_EQ(0, code_of(child));
    eddy_child_release(child);
}

REAL_TEST(standard_streams_go_where_they_should) {
    char path[256], text[64] = "";
    snprintf(path, sizeof path, "%s/said", test_folder());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
    EXPECT(file >= 0);
    eddy_child *child =
        shell("echo out; echo err >&2", EDDY_CHILD(.out = EDDY_CHILD_FD, .out_fd = file, .err = EDDY_CHILD_OUT));
    EXPECT_EQ(0, code_of(child));
    eddy_child_release(child);
    EXPECT_EQ(8, pread(file, text, sizeof text, 0));
    EXPECT_STR("out\nerr\n", text);
    close(file);
    child = shell("read line && exit 1; ls -l /proc/self/fd | wc -l; pwd; echo $KEY; exit 3",
                  EDDY_CHILD(.in = EDDY_CHILD_NULL, .out = EDDY_CHILD_PIPE, .folder = "/",
                             .environment = (const char *const[]){"PATH=/usr/bin:/bin", "KEY=value", NULL}));
    expect_line(child, "5"); /* "total", 0, 1, 2, and the one that ls reads: no other descriptor is inherited */
    expect_line(child, "/");
    expect_line(child, "value");
    EXPECT_EQ(3, code_of(child));
    eddy_child_release(child);
}

REAL_TEST(what_cannot_start_says_why) {
    const char *const nowhere[] = {"/nowhere/at/all", NULL}, *const folder[] = {"/", NULL};
    const char *const yes[] = {"true", NULL}, *const none[] = {NULL};
    eddy_child *child;
    EXPECT_EQ(-ENOENT, eddy_child_start(&child, nowhere, EDDY_CHILD(.out = EDDY_CHILD_PIPE, .in = EDDY_CHILD_PIPE)));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-ENOENT)), "/nowhere/at/all");
    EXPECT_EQ(-EACCES, eddy_child_start(&child, folder, NULL));
    EXPECT_EQ(-ENOENT, eddy_child_start(&child, yes, EDDY_CHILD(.folder = "/nowhere")));
    EXPECT_EQ(-EBADF, eddy_child_start(&child, yes, EDDY_CHILD(.in = EDDY_CHILD_FD, .in_fd = 9999)));
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, yes, EDDY_CHILD(.in = EDDY_CHILD_OUT)));
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, yes, EDDY_CHILD(.in = 77)));
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, none, NULL));
    eddy_handled();
}

static int wait_for_it(void *arg, eddy_value *out) {
    int code = 1000;
    int status = eddy_child_wait(arg, &code);
    *out = EDDY_I64(code);
    return status;
}

REAL_TEST(many_wait_and_a_cancelled_wait_leaves_it_running) {
    eddy_child *child = shell("read line; exit 4", EDDY_CHILD(.in = EDDY_CHILD_PIPE));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(5), eddy_child_wait(child, NULL)));
    eddy_handled();
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) EXPECT_OK(eddy_spawn(&tasks[i], wait_for_it, child, NULL));
    EXPECT_OK(eddy_stream_write(eddy_child_in(child), "go\n", 3));
    EXPECT_OK(eddy_stream_drain(eddy_child_in(child)));
    for (int i = 0; i < 4; i++) {
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), &value));
        EXPECT_EQ(4, value.i64);
        eddy_task_release(tasks[i]);
    }
    eddy_child_release(child);
}

/* The polite one comes back to its trap again and again: one whose last look at it is before a `read` stays in that if the
 * signal comes between the two. */
REAL_TEST(stop_asks_first_and_insists_then) {
    int code;
    eddy_child *polite =
        shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", EDDY_CHILD(.out = EDDY_CHILD_PIPE));
    expect_line(polite, "ready");
    EXPECT_OK(eddy_child_stop(polite, EDDY_SECONDS(50), &code));
    EXPECT_EQ(5, code);
    eddy_child_release(polite);
    eddy_child *deaf =
        shell("trap '' TERM; echo ready; read line", EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    expect_line(deaf, "ready");
    EXPECT_OK(eddy_child_stop(deaf, EDDY_MS(20), &code));
    EXPECT_EQ(-SIGKILL, code);
    eddy_child_release(deaf);
}

/* Whether a process with this number is there. */
static bool alive(int pid) { return kill(pid, 0) == 0; }

REAL_TEST(a_group_is_killed_whole) {
    eddy_child *child = shell("sleep 1000 & echo $!; wait", EDDY_CHILD(.out = EDDY_CHILD_PIPE, .group = true));
    const char *line;
    size_t bytes;
    EXPECT_OK(eddy_stream_read_until(eddy_child_out(child), "\n", 1, 0, &line, &bytes));
    int grandchild = atoi(line);
    EXPECT(alive(grandchild));
    EXPECT_OK(eddy_child_signal(child, SIGKILL));
    EXPECT_EQ(-SIGKILL, code_of(child));
    char c;
    EXPECT_EQ(EDDY_EOF, eddy_stream_read(eddy_child_out(child), &c, 1)); /* nobody has the pipe any more */
    eddy_child_release(child);
}

REAL_TEST(released_child_is_killed_and_reaped) {
    eddy_child *child = shell("echo ready; exec sleep 1000", EDDY_CHILD(.out = EDDY_CHILD_PIPE));
    expect_line(child, "ready");
    int pid = eddy_child_pid(child);
    eddy_child_release(child);
    while (alive(pid)) EXPECT_OK(eddy_sleep(EDDY_MS(1))); /* the test's limit bounds it */
    EXPECT_EQ(-1, waitpid(pid, NULL, WNOHANG));           /* no zombie either */
}

static int start_and_leave(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_child_shell(arg, "exec sleep 1000", NULL));
    return 0;
}

/* A run that ends kills what still runs. */
UNIT(child, none_outlives_the_run, TEST_WITHOUT("valgrind qemu")) {
    eddy_child *child = NULL;
    EXPECT_EQ(0, eddy_run(start_and_leave, &child, NULL, NULL));
    EXPECT(!alive(eddy_child_pid(child)));
    eddy_child_release(child);
}

REAL_TEST(somebody_else_who_waits_is_noticed) {
    if (test_workers() != 1) return; /* the test's own wait would take other tests' children: there are none */
    eddy_child *child = shell("exit 9", NULL);
    int state;
    if (waitpid(eddy_child_pid(child), &state, 0) != eddy_child_pid(child)) test_skip("the watcher was first");
    EXPECT_EQ(-ECHILD, eddy_child_wait(child, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-ECHILD)), "somebody else");
    eddy_handled();
    eddy_child_release(child);
}

static int start_with_failing_memory(void *arg) {
    (void)arg;
    eddy_child *child;
    int status = eddy_child_shell(&child, "exit 0", EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    if (status < 0) return status;
    status = eddy_child_wait(child, NULL);
    eddy_child_release(child);
    eddy_yield();
    return status;
}

REAL_TEST(many_at_once) {
    eddy_child *children[20];
    for (int i = 0; i < 20; i++) {
        char line[32];
        snprintf(line, sizeof line, "exit %d", i);
        children[i] = shell(line, NULL);
    }
    for (int i = 19; i >= 0; i--) {
        EXPECT_EQ(i, code_of(children[i]));
        eddy_child_release(children[i]);
    }
    EXPECT_OK(start_with_failing_memory(NULL));
}

enum { PAGES = 4096, PAGE_BYTES = 4096 };

/* Faults that a write to each page makes. */
static long faults_of_writing(volatile char *memory) {
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    for (size_t i = 0; i < PAGES; i++) memory[i * PAGE_BYTES]++;
    getrusage(RUSAGE_THREAD, &after);
    return after.ru_minflt - before.ru_minflt;
}

/* A start that copied this program's page tables, as fork does, would hold its loop for the longer the more memory there is
 * (100 ms for 2 GB), and would leave each page to be copied when it is next written: a fault for each. */
TEST(child, a_start_copies_none_of_this_programs_memory, TEST_REAL, TEST_WITHOUT("valgrind qemu thread address")) {
    test_stay();
    char *memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    madvise(memory, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
    (void)faults_of_writing(memory);                                          /* they are there now */
    eddy_child *child = shell("exec cat", EDDY_CHILD(.in = EDDY_CHILD_PIPE)); /* alive until its input ends */
    EXPECT(faults_of_writing(memory) < PAGES / 8);
    EXPECT_OK(eddy_stream_close(eddy_child_in(child)));
    EXPECT_EQ(0, code_of(child));
    eddy_child_release(child);

    pid_t copy = fork(); /* so that it is known that this would be seen */
    if (copy == 0) {
        pause();
        _exit(0);
    }
    EXPECT(copy > 0);
    EXPECT(faults_of_writing(memory) > PAGES - PAGES / 8);
    kill(copy, SIGKILL);
    EXPECT_EQ(copy, waitpid(copy, NULL, 0));
    munmap(memory, PAGES * PAGE_BYTES);
}
