/* The harness finds what it is there to find: each planted fault below fails its run, and for the reason
 * planted. Without this a harness that finds nothing would look like a suite without faults.
 * Method: this program is started again with --planted, and its verdict is read. */
#include "harness/test.h"

#include "base/base.h"
#include "eddy/eddy.h"
#ifdef HARNESS_HAS_runtime
#include "task/task.h"
#endif

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PLANTED(planted, passes) { EXPECT(true); }
PLANTED(planted, fails) { EXPECT_EQ(4, 2 + 3); }
PLANTED(planted, crashes) { abort(); }
PLANTED(planted, skips) { test_skip("no reason"); }
PLANTED(planted, leaks_bytes) { EXPECT(ed_alloc(40) != NULL); }
PLANTED(planted, leaks_descriptor) { EXPECT(open("/dev/null", O_RDONLY) >= 0); }

PLANTED(planted, hangs, TEST_LIMIT(1)) {
    for (;;) pause();
}

/* As one over its limit is, by the runner. */
PLANTED_TASK(planted, is_sent_an_abort) {
    eddy_future *never = eddy_future_create();
    EXPECT_EQ(0, kill(getpid(), SIGABRT));
    (void)eddy_await(never, NULL);
}

/* Deaf to SIGABRT: the kill has to come. */
PLANTED(planted, deaf_hangs, TEST_LIMIT(1)) {
    signal(SIGABRT, SIG_IGN);
    for (;;) pause();
}

PLANTED(planted, leaves_process_alone) {
    pid_t pid;
    char *argv[] = {"sleep", "100", NULL};
    EXPECT_EQ(0, posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ));
}

PLANTED(planted, leaves_process_in_a_group) {
    pid_t pid;
    char *argv[] = {"sleep", "100", NULL};
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    EXPECT_EQ(0, posix_spawnp(&pid, argv[0], NULL, &attributes, argv, environ));
    posix_spawnattr_destroy(&attributes);
}

static int racing; /* two threads, no order: what TSan is for */

static void *race(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) racing++;
    return NULL;
}

PLANTED(planted, races) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, race, NULL));
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

/* What ASan is for. */
PLANTED(planted, uses_after_free) {
    char *volatile block = malloc(16);
    free(block);
    fprintf(stderr, "%d\n", block[3]);
}

/* What LeakSanitizer is for: ed_alloc does not see it. */
PLANTED(planted, leaks_malloc) {
    char *volatile block = malloc(100);
    block[0] = 0;
    block = NULL;
}

/* What valgrind is for: a jump on bytes that nobody wrote. */
PLANTED(planted, reads_unwritten) {
    int *volatile block = malloc(16 * sizeof *block);
    if (block[3] == 17) fprintf(stderr, "17\n");
    free(block);
}

/* What UBSan is for: a sum beyond int. */
PLANTED(planted, overflows) {
    volatile int most = 0x7fffffff;
    most = most + 1;
}

#ifdef HARNESS_HAS_runtime
static int forget(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

/* A rule's test that does not look at what it made the exception handler get. */
TEST_DEFINE_(planted, leaves_a_report, .kind = TEST_KIND_SERIAL, .planted = true) {
    eddy_coro_release(eddy_coro_create(forget, NULL, "forgotten"));
}

UNIT(harness, finds_a_report_that_nobody_took) {
    const struct test_child child =
        test_program_run((const char *[]){"--planted", "--only", "planted.leaves_a_report", "--workers", "2", NULL});
    EXPECT_HAS(child.stderr_text, "a report that the test did not take: coroutine 'forgotten' was never awaited");
    EXPECT_HAS(child.stderr_text, "FAIL planted.leaves_a_report [serial, workers 2]");
    EXPECT_HAS(child.stderr_text, "--workers 2 --serial");
    EXPECT_EQ(1, child.exit_code);
}

/* The same in tasks: on stacks that the sanitizers must have been told of, also after a switch. */
static int race_in_task(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 1000; i++) {
        racing++;
        if (i % 100 == 0) EXPECT(eddy_yield() == 0);
    }
    ED_ADD_RELAXED((_Atomic int *)arg, 1); /* relaxed: orders nothing */
    return 0;
}

PLANTED_TASK(planted, tasks_race) {
    _Atomic int ended = 0;
    for (unsigned i = 0; i < 2; i++)
        EXPECT(ed_spawn_on(ed_worker_current()->sched->workers[i], NULL, race_in_task, (void *)&ended, NULL, 0) == 0);
    while (ED_LOAD_RELAXED(&ended) < 2) EXPECT(eddy_yield() == 0);
}

PLANTED_TASK(planted, task_uses_what_it_freed) {
    char *volatile block = malloc(16);
    EXPECT(eddy_yield() == 0);
    free(block);
    fprintf(stderr, "%d\n", block[3]);
}

__attribute__((noinline)) static char *frame_of_its_own(void) {
    char bytes[64];
    char *volatile out = bytes;
    memset(bytes, 1, sizeof bytes);
    return out;
}

PLANTED_TASK(planted, task_uses_a_frame_that_is_gone) {
    char *volatile frame = frame_of_its_own();
    EXPECT(eddy_yield() == 0);
    fprintf(stderr, "%d\n", frame[3]);
}

PLANTED_TASK(planted, task_writes_beyond_its_frame) {
    char bytes[8];
    volatile size_t at = sizeof bytes;
    EXPECT(eddy_yield() == 0);
    memset(bytes, 0, sizeof bytes);
    ((char *volatile)bytes)[at] = 1;
}
#endif

static struct test_child planted(const char *name) {
    return test_program_run((const char *[]){"--planted", "--workers", "2", "--only", name, NULL});
}

static void expect_found(const char *name, const char *verdict) {
    const struct test_child child = planted(name);
    EXPECT(!child.timed_out);
    EXPECT_HAS(child.stderr_text, verdict);
    EXPECT_HAS(child.stderr_text, "replay zig build");
    EXPECT_HAS(child.stderr_text, "\n0 passed, 1 failed\n");
    EXPECT_EQ(1, child.exit_code);
}

UNIT(harness, passes_what_is_right) {
    const struct test_child child = planted("planted.passes");
    EXPECT_EQ(0, child.exit_code);
    EXPECT_HAS(child.stderr_text, "\n1 passed, 0 failed\n");
}

UNIT(harness, counts_what_is_skipped) {
    const struct test_child child = planted("planted.skips");
    EXPECT_EQ(0, child.exit_code);
    EXPECT_HAS(child.stderr_text, "\n0 passed, 0 failed, 1 skipped\n");
}

UNIT(harness, finds_a_failed_claim) { expect_found("planted.fails", "2 + 3: want 4, got 5"); }
UNIT(harness, finds_a_crash) { expect_found("planted.crashes", "ended by signal 6"); }
UNIT(harness, finds_a_hang) { expect_found("planted.hangs", "over its limit of"); }
UNIT(harness, tells_where_the_tasks_of_a_hang_wait, TEST_WITHOUT("thread")) {
    expect_found("planted.is_sent_an_abort", "its tasks:\nmain (id ");
}
UNIT(harness, finds_a_hang_that_is_deaf) { expect_found("planted.deaf_hangs", "over its limit of"); }
UNIT(harness, finds_leaked_bytes) { expect_found("planted.leaks_bytes", "40 bytes left"); }
UNIT(harness, finds_a_leaked_descriptor) { expect_found("planted.leaks_descriptor", "/dev/null"); }
UNIT(harness, finds_a_process_left_behind) {
    expect_found("planted.leaves_process_alone", "1 processes left behind");
    expect_found("planted.leaves_process_in_a_group", "1 processes left behind");
}

UNIT(harness, finds_a_race_under_tsan) {
    if (!test_under("thread")) test_skip("needs TSan");
    expect_found("planted.races", "data race");
}

#ifdef HARNESS_HAS_runtime
UNIT(harness, finds_a_race_of_tasks_under_tsan) {
    if (!test_under("thread")) test_skip("needs TSan");
    expect_found("planted.tasks_race", "data race");
}

UNIT(harness, finds_memory_errors_on_the_stacks_of_tasks_under_asan) {
    if (!test_under("address")) test_skip("needs ASan");
    expect_found("planted.task_uses_what_it_freed", "heap-use-after-free");
    expect_found("planted.task_uses_a_frame_that_is_gone", "stack-use-after-return");
    expect_found("planted.task_writes_beyond_its_frame", "stack-buffer-overflow");
}
#endif

UNIT(harness, finds_a_use_after_free_under_asan) {
    if (!test_under("address")) test_skip("needs ASan");
    expect_found("planted.uses_after_free", "heap-use-after-free");
}

UNIT(harness, finds_a_leak_under_asan) {
    if (!test_under("address")) test_skip("needs ASan");
    expect_found("planted.leaks_malloc", "LeakSanitizer: detected memory leaks");
}

UNIT(harness, finds_an_overflow_in_debug_builds) {
#ifdef __OPTIMIZE__
    test_skip("needs a debug build");
#else
    expect_found("planted.overflows", "overflow");
#endif
}

static int allocate_three(void *arg) {
    int *calls = arg;
    (*calls)++;
    void *blocks[3] = {NULL};
    int status = 0;
    for (int i = 0; i < 3 && status == 0; i++) {
        blocks[i] = ed_alloc(10);
        if (blocks[i] == NULL) status = EDDY_ENOMEM;
    }
    for (int i = 0; i < 3; i++) ed_free(blocks[i]);
    return status;
}

UNIT(harness, fails_every_allocation_once) {
    int calls = 0;
    EXPECT_EQ(3, test_each_allocation_fails(allocate_three, &calls));
    EXPECT_EQ(4, calls);
}

static void say_and_abort(void *arg) {
    fprintf(stderr, "%s", (const char *)arg);
    abort();
}

UNIT(harness, reads_what_a_child_says, TEST_WITHOUT("qemu")) { /* which adds words of its own */
    const struct test_child child = test_child_run(say_and_abort, "last words");
    EXPECT_EQ(SIGABRT, child.signal);
    EXPECT_STR("last words", child.stderr_text);
}

UNIT(harness, gives_each_test_a_folder) { EXPECT_EQ(0, access(test_folder(), W_OK)); }
