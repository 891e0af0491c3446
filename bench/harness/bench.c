/* bench.c: arguments, clocks and the line of JSON. See bench.h. */
#include "harness/bench.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct bench bench = {1, 1, 2, 0, ""};

static int64_t start_wall_ns, start_cpu_ns;
static cpu_set_t cores; /* those that the program was given */

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t bench_now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

void bench_fail(const char *what, int status) {
    fprintf(stderr, "%s failed: %d\n", what, status);
    exit(1);
}

static int64_t number(const char *text) {
    char *end;
    int64_t value = text == NULL ? 0 : strtoll(text, &end, 10);
    if (value < 1 || *end != '\0') {
        fprintf(stderr, "a number above 0 was expected\n");
        exit(2);
    }
    return value;
}

void bench_open(int argc, char **argv) {
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) bench_fail("sched_getaffinity", -1);
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[++i] : NULL;
        if (strcmp(name, "--workers") == 0)
            bench.workers = (int)number(value);
        else if (strcmp(name, "--size") == 0)
            bench.size = number(value);
        else if (strcmp(name, "--repetitions") == 0)
            bench.repetitions = (int)number(value);
        else if (strcmp(name, "--form") == 0 && value != NULL)
            bench.form = value;
        else {
            fprintf(stderr, "%s: --workers N, --size N, --repetitions N, --form TEXT\n", argv[0]);
            exit(2);
        }
    }
}

bool bench_form(const char *form) { return strcmp(bench.form, form) == 0; }

int64_t bench_resident_bytes(void) {
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %lld", &pages) != 1) bench_fail("/proc/self/statm", -1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

void bench_pin(int core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    core %= CPU_COUNT(&cores);
    int found = 0;
    while (!CPU_ISSET(found, &cores) || core-- > 0) found++;
    CPU_SET(found, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) bench_fail("sched_setaffinity", -1);
}

void bench_start(void) {
    start_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    start_wall_ns = bench_now_ns();
}

static void begin_line(const char *cell, int64_t checksum) {
    printf("{\"repetition\": %d, \"cell\": \"%s\", \"checksum\": %" PRId64 ", \"resident_bytes\": %" PRId64 ", ",
           bench.repetition, cell == NULL ? "" : cell, checksum, bench_resident_bytes());
}

void bench_stop(const char *cell, int64_t operations, int64_t checksum) {
    int64_t wall_ns = bench_now_ns() - start_wall_ns;
    int64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_ns;
    begin_line(cell, checksum);
    printf("\"operations\": %" PRId64 ", \"wall_ns\": %" PRId64 ", \"cpu_ns\": %" PRId64 "}\n", operations, wall_ns,
           cpu_ns);
    fflush(stdout);
}

void bench_amount(const char *cell, const char *unit, double amount, int64_t checksum) {
    begin_line(cell, checksum);
    printf("\"unit\": \"%s\", \"amount\": %.6g}\n", unit, amount);
    fflush(stdout);
}
