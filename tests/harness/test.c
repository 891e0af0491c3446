/* test.c: inside a test's process: runs the one test it is for, and ends the process when a claim fails.
 *
 * Problem    A failed claim may be found on any worker, inside any task; unwinding from there is what the
 *            tests are about, so it cannot be relied on.
 * Idea       Print, then _exit(1): the process belongs to this test alone. What is left after a test
 *            that passed (bytes, descriptors) is read when the runtime has returned.
 * Threads    test_fail and test_skip: any. The rest: the thread of main.
 * Not here   Time limits, processes left behind: the runner sees those from outside.
 * Tests      tests/harness/harness_test.c plants each fault and expects it to be found. */
#include "harness/harness.h"

#include "base/base.h"
#include "eddy/debug.h"
#include "eddy/embed.h"
#include "eddy/loop.h"
#include "eddy/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#if defined(HARNESS_HAS_sim) && __has_include("runtime/simulate.h")
#include "runtime/simulate.h"
#define HAS_SIMULATOR 1
#endif

#ifdef HARNESS_HAS_runtime /* else a build of some rooms only: zig build test -Drooms=base,coro */
#define HAS_RUNTIME 1
int64_t ed_tasks_left_behind(void);
/* The runtime's answer to "can anything but the caller still run?" */
void ed_test_until_quiet(void);
/* The calling task migrates no more. */
void ed_test_stay(void);
#endif

static struct test_case *all;           /* written before main                  */
static const struct test_case *current; /* what follows: constant while it runs */
static struct test_how how_now;

struct test_case *test_all(void) {
    return all;
}

void test_add(struct test_case *test) {
    test->next = all;
    all = test;
}

int test_workers(void) { return how_now.workers; }
uint64_t test_seed(void) { return how_now.seed; }
bool test_simulated(void) { return how_now.simulated; }
bool test_serial(void) { return how_now.serial; }
bool test_migrates(void) { return how_now.migrate; }
bool test_ticks(void) { return how_now.tick; }
const char *test_status(int status) { return eddy_status_name(status); }

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
static const char sanitizer[] = "thread";
#elif defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
static const char sanitizer[] = "address";
#else
static const char sanitizer[] = "";
#endif

#ifdef ED_CHAOS_ON
enum { DELAYED = true };
/* Each run of each test has delays of its own, the same for the same seed. */
static void begin_delays(const struct test_case *test, struct test_how how) {
    uint64_t seed = how.seed * 31 + (uint64_t)how.workers;
    for (const char *letter = test->name; *letter != 0; letter++) seed = seed * 31 + (unsigned char)*letter;
    if (!how.simulated) ed_chaos_seed_rough(seed);
}
#else
enum { DELAYED = false };
static void begin_delays(const struct test_case *test, struct test_how how) { (void)test, (void)how; }
#endif

/* The first report ends the process, in whichever process it is made: a worker process's exit code may be
 * nobody's to look at. Read by the sanitizers' runtimes before main. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "halt_on_error=1:exitcode=66"; }
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_stack_use_after_return=1:exitcode=66"; }
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return "print_stacktrace=1"; }

bool test_under(const char *tool) {
    if (strcmp(tool, sanitizer) == 0) return true;
    if (strcmp(tool, "tick") == 0) return how_now.tick;
    if (strcmp(tool, "migrate") == 0) return how_now.migrate;
    if (strcmp(tool, "delays") == 0) return DELAYED;
    const char *command = getenv("EDDY_UNDER"); /* the runner's --under */
    return command != NULL && strstr(command, tool) != NULL;
}

int test_limit_factor(void) {
    if (test_under("valgrind") || test_under("qemu")) return 10;
    return sanitizer[0] != 0 || DELAYED ? 4 : 1;
}

int64_t test_scaled(int64_t n) {
    if (test_limit_factor() == 1 && !how_now.tick) return n;
    return n < 10 ? 1 : n / 10;
}

int64_t test_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ------------------------------------------------------------------ claims */

static void print_where(void) {
    if (current == NULL) return;
    fprintf(stderr, "  test   %s.%s", current->suite, current->name);
    if (how_now.serial) fprintf(stderr, ", serial");
    if (how_now.simulated)
        fprintf(stderr, ", simulated, seed %llu", (unsigned long long)how_now.seed);
    else if (how_now.workers > 0)
        fprintf(stderr, ", workers %d, seed %llu", how_now.workers, (unsigned long long)how_now.seed);
    fprintf(stderr, "%s%s\n", how_now.migrate ? ", migrating" : "", how_now.tick ? ", ticking" : "");
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    print_where();
    _exit(1);
}

void test_expect_eq(const char *file, int line, const char *want_text, const char *got_text, long long want,
                    long long got) {
    if (want == got) return;
    char *end;
    strtoll(want_text, &end, 0);
    if (*end == 0) /* the text is the number */
        test_fail(file, line, "%s: want %lld, got %lld", got_text, want, got);
    test_fail(file, line, "%s: want %s = %lld, got %lld", got_text, want_text, want, got);
}

void test_expect_str(const char *file, int line, const char *what, const char *want, const char *got) {
    if (want == got || (want != NULL && got != NULL && strcmp(want, got) == 0)) return;
    test_fail(file, line, "%s: want \"%s\", got \"%s\"", what, want ? want : "(null)", got ? got : "(null)");
}

void test_expect_has(const char *file, int line, const char *what, const char *text, const char *part) {
    if (text != NULL && strstr(text, part) != NULL) return;
    test_fail(file, line, "%s: want \"%s\" in it, got \"%s\"", what, part, text ? text : "(null)");
}

_Noreturn void test_skip(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(TEST_EXIT_SKIPPED);
}

uint64_t test_ticks_since(int64_t start_ns) { return (uint64_t)((eddy_time_ns() - start_ns) / EDDY_MS(1)); }

int test_errno(void) { return errno; }

void test_until_all_parked(void) {
#ifdef HAS_RUNTIME
    ed_test_until_quiet();
#else
    test_skip("this build has no runtime");
#endif
}

/* ------------------------------------------------------------------ reports */

static struct {
    pthread_mutex_t mutex;
    int count, taken;
    struct test_report all[64];
} reports = {.mutex = PTHREAD_MUTEX_INITIALIZER};

#ifdef HAS_RUNTIME
static void note_report(const eddy_report *from, void *arg) {
    (void)arg;
    pthread_mutex_lock(&reports.mutex);
    EXPECT(reports.count < (int)(sizeof reports.all / sizeof reports.all[0]));
    struct test_report *report = &reports.all[reports.count++];
    report->kind = from->kind;
    report->status = from->status;
    snprintf(report->task, sizeof report->task, "%s", from->task);
    snprintf(report->message, sizeof report->message, "%s", from->message);
    snprintf(report->text, sizeof report->text, "%s", eddy_error_text(from->error));
    snprintf(report->place, sizeof report->place, "%s", from->place != NULL ? from->place : "");
    pthread_mutex_unlock(&reports.mutex);
}
#endif

int test_reports_left(void) {
    pthread_mutex_lock(&reports.mutex);
    const int left = reports.count - reports.taken;
    pthread_mutex_unlock(&reports.mutex);
    return left;
}

const struct test_report *test_report_take(const char *file, int line, int kind, int status) {
    if (test_reports_left() == 0) test_fail(file, line, "no report came, want kind %d, status %d", kind, status);
    const struct test_report *report = &reports.all[reports.taken++];
    if (report->kind != kind || report->status != status)
        test_fail(file, line, "report: want kind %d, status %d, got kind %d, status %d: %s", kind, status, report->kind,
                  report->status, report->message);
    return report;
}

void test_stay(void) {
#ifdef HAS_RUNTIME
    ed_test_stay();
#endif
}

/* ------------------------------------------------------------------ what is left */

enum { FDS_MAX = 4096 };
struct fds {
    int count;
    int fd[FDS_MAX];
};

static void fds_read(struct fds *fds) {
    fds->count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) test_fail(__FILE__, __LINE__, "cannot read /proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir)) continue;
        if (fds->count < FDS_MAX) fds->fd[fds->count++] = fd;
    }
    closedir(dir);
}

static bool fds_has(const struct fds *fds, int fd) {
    for (int i = 0; i < fds->count; i++)
        if (fds->fd[i] == fd) return true;
    return false;
}

static void expect_same_fds(const struct fds *before) {
    static struct fds after;
    fds_read(&after);
    int left = 0;
    for (int i = 0; i < after.count; i++) {
        if (fds_has(before, after.fd[i])) continue;
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", after.fd[i]);
        const ssize_t bytes = readlink(link, target, sizeof target - 1);
        target[bytes < 0 ? 0 : bytes] = 0;
        fprintf(stderr, "descriptor %d is left open: %s\n", after.fd[i], target);
        left++;
    }
    if (left > 0) test_fail(current->suite, 0, "%d descriptors left", left);
    for (int i = 0; i < before->count; i++)
        if (!fds_has(&after, before->fd[i]))
            test_fail(current->suite, 0, "descriptor %d was closed, and not by its owner", before->fd[i]);
}

/* libuv opens a pipe for signals with its first loop and keeps it: not a test's leak. */
static void prime_libuv(void) {
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) test_fail(__FILE__, __LINE__, "cannot make a libuv loop");
    uv_loop_close(&loop);
}

/* ------------------------------------------------------------------ running */

/* A run over its limit is sent SIGABRT by the runner. What its tasks wait for is told first, by a task of its own; where none
 * runs any more nothing is, and the runner ends the process. TSan ends a handler that begins a thread: it has none. */
#if defined(HARNESS_HAS_debug) && defined(HAS_RUNTIME)
static eddy_loop *loop_now;
static pid_t tested;

static int tell_tasks(void *arg, eddy_value *out) {
    static char text[65536];
    eddy_picture *picture;
    (void)arg, (void)out;
    if (eddy_picture_take(&picture) >= 0) {
        (void)eddy_picture_print(picture, EDDY_PICTURE_STACKS, text, sizeof text);
        fprintf(stderr, "over its limit; its tasks:\n%s\n", text);
    }
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void *ask_for_tasks(void *arg) {
    (void)eddy_spawn_threadsafe(arg, NULL, tell_tasks, NULL, NULL);
    return NULL;
}

/* From a thread of its own: the one that was interrupted may sleep, and go on sleeping, as the loop's. */
static void on_abort(int number, siginfo_t *info, void *context) {
    (void)context;
    const bool is_sent = info->si_code == SI_USER && getpid() == tested; /* abort() itself is none of it */
    pthread_t thread;
    if (is_sent && pthread_create(&thread, NULL, ask_for_tasks, loop_now) == 0) return;
    signal(SIGABRT, SIG_DFL);
    raise(number);
}

static void listen_to_abort(void) {
    if (test_under("thread")) return;
    loop_now = eddy_loop_current();
    tested = getpid();
    sigaction(SIGABRT, &(struct sigaction){.sa_sigaction = on_abort, .sa_flags = SA_SIGINFO | SA_RESTART}, NULL);
}
#else
static void listen_to_abort(void) {}
#endif

#if defined(HAS_RUNTIME) || defined(HAS_SIMULATOR)
static int run_body(void *arg, eddy_value *out) {
    const struct test_case *test = arg;
    (void)out;
    if (!how_now.simulated) listen_to_abort();
    test->body();
    return 0;
}
#endif

#if defined(HAS_RUNTIME) || defined(HAS_SIMULATOR)
static bool notes_reports(const struct test_case *test) {
    return test->kind == TEST_KIND_SERIAL || test->kind == TEST_KIND_CONTRACT;
}
#endif

bool test_has_simulator(void) {
#ifdef HAS_SIMULATOR
    return true;
#else
    return false;
#endif
}

static int run_simulated(const struct test_case *test) {
#ifdef HAS_SIMULATOR
    struct ed_sim_options options = {.seed = how_now.seed, .serial = how_now.serial};
    if (notes_reports(test)) options.on_exception = note_report;
    return ed_sim_run(run_body, (void *)test, &options);
#else
    (void)test;
    test_skip("this build has no simulator");
#endif
}

static int run_parallel(const struct test_case *test) {
#ifdef HAS_RUNTIME
    const unsigned workers = (unsigned)how_now.workers;
    eddy_run_options *options = EDDY_RUN(.workers = workers, .serial = how_now.serial);
    if (notes_reports(test)) options->on_exception = note_report;
    return eddy_run(run_body, (void *)test, NULL, options);
#else
    (void)test;
    test_skip("this build has no runtime");
#endif
}

int test_run_here(const struct test_case *test, struct test_how how) {
    static struct fds before;
    current = test;
    how_now = how;
    if (test->without != NULL) {
        char words[256], *rest = NULL;
        snprintf(words, sizeof words, "%s", test->without);
        for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
            if (test_under(word)) test_skip("not under %s", word);
    }
#ifdef HAS_SIMULATOR
    ed_runtime_migrate_always(how.migrate);
    ed_runtime_tick_always(how.tick);
#endif
    prime_libuv();
    fds_read(&before);
    begin_delays(test, how);

    int status = 0;
    if (how.simulated)
        status = run_simulated(test);
    else if (test->kind == TEST_KIND_UNIT)
        test->body();
    else
        status = run_parallel(test);
    if (status < 0) test_fail(test->suite, 0, "the run ended with %d (%s)", status, test_status(status));

    if (test_reports_left() > 0)
        test_fail(test->suite, 0, "a report that the test did not take: %s", reports.all[reports.taken].message);
    const int64_t bytes = ed_alloc_live_bytes();
    if (bytes != 0) test_fail(test->suite, 0, "%lld bytes left", (long long)bytes);
#ifdef HAS_RUNTIME
    if (ed_tasks_left_behind() != 0)
        test_fail(test->suite, 0, "%lld tasks not released", (long long)ed_tasks_left_behind());
#endif
    expect_same_fds(&before);
    return 0;
}

/* ------------------------------------------------------------------ helpers */

int test_each_allocation_fails(int (*fn)(void *arg), void *arg) {
    const int64_t before = ed_alloc_live_bytes();
    for (int nth = 1;; nth++) {
        ed_alloc_fail_at(nth);
        const int status = fn(arg);
        const bool failed = ed_alloc_fail_remaining() == 0;
        ed_alloc_fail_at(0);
        if (status < 0 && !(failed && status == EDDY_ENOMEM))
            test_fail(__FILE__, __LINE__, "allocation %d failed: status %d (%s), not EDDY_ENOMEM", nth, status,
                      test_status(status));
        const int64_t after = ed_alloc_live_bytes();
        if (after > before)
            test_fail(__FILE__, __LINE__, "allocation %d failed: %lld bytes left", nth, (long long)(after - before));
        if (!failed) return nth - 1;
    }
}

/* Reads what a child says until it ends or its time is up: before the test's own is, which would not say what it said. */
static struct test_child child_wait(pid_t pid, int fd) {
    struct test_child child = {.exit_code = -1};
    const int limit_s = current != NULL && current->limit_s > 0 ? current->limit_s : TEST_LIMIT_S;
    const int64_t deadline = test_now_ns() + limit_s * test_limit_factor() * INT64_C(1000000000) * 9 / 10;
    for (;;) {
        const int64_t left_ms = (deadline - test_now_ns()) / 1000000;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        const int polled = left_ms > 0 ? poll(&ready, 1, (int)left_ms) : 0;
        if (polled < 0 && errno == EINTR) continue;
        if (polled <= 0) {
            child.timed_out = true;
            kill(pid, SIGKILL);
            break;
        }
        char chunk[4096];
        const ssize_t bytes = read(fd, chunk, sizeof chunk);
        if (bytes <= 0) break;
        const size_t room = sizeof child.stderr_text - 1 - child.stderr_bytes;
        const size_t kept = (size_t)bytes < room ? (size_t)bytes : room;
        memcpy(child.stderr_text + child.stderr_bytes, chunk, kept);
        child.stderr_bytes += kept;
    }
    close(fd);
    int state = 0;
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(state)) child.exit_code = WEXITSTATUS(state);
    if (WIFSIGNALED(state)) child.signal = WTERMSIG(state);
    return child;
}

struct test_child test_child_run(void (*fn)(void *arg), void *arg) {
    if (current != NULL && current->kind != TEST_KIND_UNIT)
        test_fail(__FILE__, __LINE__, "test_child_run forks: in UNIT tests only");
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) test_fail(__FILE__, __LINE__, "no pipe");
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) test_fail(__FILE__, __LINE__, "no child");
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(pipe_fds[1], STDERR_FILENO);
        fn(arg);
        fflush(NULL);
        _exit(0);
    }
    close(pipe_fds[1]);
    return child_wait(pid, pipe_fds[0]);
}

struct test_child test_program_run(const char *const arguments[]) {
    if (test_under("qemu")) test_skip("this program cannot start itself under qemu");
    static char program[4096];
    const ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    if (bytes < 0) test_fail(__FILE__, __LINE__, "cannot read /proc/self/exe");
    program[bytes] = 0;
    char *argv[64] = {program};
    for (int i = 0; arguments[i] != NULL; i++) {
        if (i + 2 >= 64) test_fail(__FILE__, __LINE__, "too many arguments");
        argv[i + 1] = (char *)arguments[i];
    }
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) test_fail(__FILE__, __LINE__, "no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    pid_t pid;
    const int failed = posix_spawn(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (failed) test_fail(__FILE__, __LINE__, "cannot start %s: %s", program, strerror(failed));
    return child_wait(pid, pipe_fds[0]);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

void test_remove_folder(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static char folder[512];

static void remove_own_folder(void) { test_remove_folder(folder); }

const char *test_folder(void) {
    if (folder[0] != 0) return folder;
    const char *given = getenv("EDDY_TMP"); /* the runner's: it removes it */
    if (given != NULL) {
        snprintf(folder, sizeof folder, "%s", given);
        if (mkdir(folder, 0700) != 0 && errno != EEXIST) test_fail(__FILE__, __LINE__, "cannot make %s", folder);
        return folder;
    }
    snprintf(folder, sizeof folder, "/tmp/eddy-test-XXXXXX");
    if (mkdtemp(folder) == NULL) test_fail(__FILE__, __LINE__, "cannot make a folder in /tmp");
    atexit(remove_own_folder);
    return folder;
}
