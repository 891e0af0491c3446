/* test.h: how a test states its claim.
 *
 * Problem    A concurrent library fails by hanging, leaking or crashing as often as by a wrong value, and
 *            only on some number of workers.
 * Idea       Each test runs in a process of its own, under a time limit, on 1, 2 and 8 workers. What it
 *            leaves behind (bytes, descriptors, processes) fails it. A failure ends the process at once
 *            and prints the command that repeats it.
 * Kinds      TEST       the body is the main task of a runtime                  runs on 1, 2, 8 workers
 *            CORE_TEST  as TEST, and on the single-threaded driver as well      plus 10 seeds
 *            SERIAL_TEST   the body is the main task of a serial domain         runs on 1 and 2 workers, 3 seeds
 *            CONTRACT_TEST as SERIAL_TEST, and outside domains                  plus 1, 2, 8 workers, 5 seeds
 *                       Both note what the exception handler gets; what the body has not taken by its end fails it
 *            UNIT       a plain function, no runtime                            runs once
 *            PLANTED    a fault that the harness or a sanitizer must find       runs only when asked for
 *            Options follow the name: TEST(future, wakes, TEST_LIMIT(60)) { ... }
 * Threads    EXPECT works on any thread. Everything else: the thread that runs the body.
 * Not here   How tests are chosen, run and counted (runner.c); scripts as tests (tests/scripts). */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum test_kind { TEST_KIND_TASK, TEST_KIND_CORE, TEST_KIND_SERIAL, TEST_KIND_CONTRACT, TEST_KIND_UNIT };

struct test_case {
    const char *suite, *name;
    void (*body)(void);
    enum test_kind kind;
    bool planted;           /* left out unless asked for by --planted                */
    bool real;              /* never on the single-threaded driver: threads, I/O         */
    int limit_s;            /* 0: 60 s                                               */
    const char *without;    /* sanitizers and tools it cannot run under; "" for none */
    struct test_case *next; /* the list of all tests; written before main            */
};

#define TEST(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_TASK, __VA_ARGS__)
#define CORE_TEST(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_CORE, __VA_ARGS__)
#define SERIAL_TEST(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_SERIAL, __VA_ARGS__)
#define CONTRACT_TEST(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_CONTRACT, __VA_ARGS__)
#define UNIT(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_UNIT, __VA_ARGS__)
#define PLANTED(suite_, name_, ...) TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_UNIT, .planted = true, __VA_ARGS__)
#define PLANTED_TASK(suite_, name_, ...) \
    TEST_DEFINE_(suite_, name_, .kind = TEST_KIND_TASK, .planted = true, __VA_ARGS__)

#define TEST_LIMIT(seconds) .limit_s = (seconds)
#define TEST_REAL .real = true
#define TEST_WITHOUT(words) .without = (words) /* of: thread address valgrind qemu tick migrate delays: skipped */

#define TEST_DEFINE_(suite_, name_, ...)                                                     \
    static void test_##suite_##_##name_(void);                                               \
    __attribute__((constructor)) static void test_add_##suite_##_##name_(void) {             \
        static struct test_case test = {                                                     \
            .suite = #suite_, .name = #name_, .body = test_##suite_##_##name_, __VA_ARGS__}; \
        test_add(&test);                                                                     \
    }                                                                                        \
    static void test_##suite_##_##name_(void)

void test_add(struct test_case *test);

/* ------------------------------------------------------------------ claims */

#define EXPECT(claim)                                                        \
    do {                                                                     \
        if (!(claim)) test_fail(__FILE__, __LINE__, "expected: %s", #claim); \
    } while (0)

/* Integers of any type, the wanted one first. */
#define EXPECT_EQ(want, got) test_expect_eq(__FILE__, __LINE__, #want, #got, (long long)(want), (long long)(got))

#define EXPECT_OK(status)                                                                                             \
    do {                                                                                                              \
        const int status_ = (status);                                                                                 \
        if (status_ < 0) test_fail(__FILE__, __LINE__, "%s: status %d (%s)", #status, status_, test_status(status_)); \
    } while (0)

#define EXPECT_STR(want, got) test_expect_str(__FILE__, __LINE__, #got, (want), (got))
/* `part` occurs in `text`. */
#define EXPECT_HAS(text, part) test_expect_has(__FILE__, __LINE__, #text, (text), (part))

_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void test_expect_eq(const char *file, int line, const char *want_text, const char *got_text, long long want,
                    long long got);
void test_expect_str(const char *file, int line, const char *what, const char *want, const char *got);
void test_expect_has(const char *file, int line, const char *what, const char *text, const char *part);
const char *test_status(int status);

/* Ends the test as skipped; the reason is printed and the run is counted as skipped. */
_Noreturn void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------------ what runs */

int test_workers(void);    /* workers of the runtime; 1 on the single-threaded driver, 0 in a UNIT */
uint64_t test_seed(void);  /* same seed, same random choices; 1 unless asked otherwise             */
bool test_simulated(void); /* on the single-threaded driver                                        */
bool test_serial(void);    /* in a serial domain                                                   */
bool test_migrates(void);  /* with --migrate: tasks, the body's too, change workers when they may   */
bool test_ticks(void);     /* with --tick: each counted call puts its task off, each pass ends with what ran first */
/* Built with or run under: "thread", "address", "valgrind", "qemu", "tick", "migrate". */
bool test_under(const char *tool);
/* `n` for plain runs; a tenth of it, at least 1, where a tool or ticks make everything ten times slower. */
int64_t test_scaled(int64_t n);

/* How many ticks a worker may have had since then, on eddy_time_ns(). */
uint64_t test_ticks_since(int64_t start_ns);

/* errno of the thread that runs this. A test that suspends may change threads, and the compiler keep errno's address. */
int test_errno(void);

/* Suspends until nothing but the caller can run: every other task is parked, every inbox is empty. The
 * runtime knows; nobody sleeps. */
void test_until_all_parked(void);

/* SERIAL_TEST and CONTRACT_TEST: takes the oldest report that the exception handler got; it must be of this kind and
 * status. Its texts are valid to the end of the test. */
struct test_report {
    int kind, status; /* enum eddy_report_kind */
    char task[64], message[256], text[256], place[256];
};
#define TAKE_REPORT(kind, status) test_report_take(__FILE__, __LINE__, (kind), (status))
const struct test_report *test_report_take(const char *file, int line, int kind, int status);
int test_reports_left(void); /* not taken yet */

/* With --migrate: the calling task stays on its worker from now on, the body's on worker 0 if it has not waited yet. For
 * claims about one certain worker. */
void test_stay(void);

/* ------------------------------------------------------------------ helpers */

/* Runs `fn` again and again, the first allocation failing in the first round, the second in the second,
 * until a round needs no more. Each round must give 0 or more, or EDDY_ENOMEM, and leave no byte more
 * than it found. Returns the number of rounds in which an allocation failed. */
int test_each_allocation_fails(int (*fn)(void *arg), void *arg);

/* What a process that ran `fn` did. */
struct test_child {
    int exit_code;           /* -1: ended by a signal                    */
    int signal;              /* 0: ended by itself                       */
    bool timed_out;          /* killed shortly before the test's limit   */
    size_t stderr_bytes;     /* what it said, cut at the buffer's end    */
    char stderr_text[16384]; /* ends in a 0                              */
};

/* Runs fn(arg) in a forked child, with stderr captured, for faults that end a process by design. In UNIT
 * tests only: the caller must have no other thread. A child that returns from `fn` exits with 0. */
struct test_child test_child_run(void (*fn)(void *arg), void *arg);

/* Runs this program again with `arguments` (NULL ends them), stderr and stdout captured as above. Any thread. */
struct test_child test_program_run(const char *const arguments[]);

/* A folder of this test's own, removed after it. */
const char *test_folder(void);

#endif
