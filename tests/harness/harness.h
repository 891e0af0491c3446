/* harness.h: what the two halves of the harness share: test.c inside a test's process, runner.c above it. */
#ifndef HARNESS_H
#define HARNESS_H

#include "harness/test.h"

enum {
    TEST_EXIT_SKIPPED = 77,
    TEST_LIMIT_S = 60 /* it ends a hang, and nothing else: a busy machine is twenty times slower than an idle one */
};

/* How one process runs one test. */
struct test_how {
    int workers; /* 0 in a UNIT */
    uint64_t seed;
    bool simulated;
    bool serial;  /* in a serial domain */
    bool migrate; /* each started task that may change workers does, whenever it may */
    bool tick;    /* each look for a tick finds one */
};

/* All tests, in no order. */
struct test_case *test_all(void);

/* Runs `test` in this process and gives its exit code; a failure ends the process before. */
int test_run_here(const struct test_case *test, struct test_how how);

/* Limits are this many times longer under the tools that make everything slower. */
int test_limit_factor(void);

bool test_has_simulator(void);

/* Monotonic, for limits and durations. */
int64_t test_now_ns(void);

/* Removes a folder and all in it. */
void test_remove_folder(const char *path);

#endif
