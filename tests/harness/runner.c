/* runner.c: main of eddy-tests: chooses the runs, gives each a process and a time limit, counts.
 *
 * Problem    A test may hang, crash, or leave processes behind; none of that may touch another test or
 *            be taken for a pass.
 * Idea       This program starts itself again for each run, in a session of its own; scripts are run the
 *            same way. At the limit a run gets SIGABRT, so that it can say where it stands, and two
 *            seconds later its whole session is killed. What is alive of the session when the run itself
 *            has ended was left behind, and fails the run; as child subreaper the runner reaps it.
 * Invariants (R1) Every chosen run ends in exactly one of passed, failed, skipped.
 *            (R2) When main returns, no process that a run started is alive.
 * Threads    One.
 * Not here   What happens inside a test's process (test.c).
 * Tests      tests/harness/harness_test.c. */
#include "harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SEEDS_DEFAULT = 10,
    SEEDS_SERIAL = 3, /* in a domain the order is fixed: seeds change what runs beside it */
    JOBS_DEFAULT = 3,
    JOBS_MAX = 64,
    DUMP_NS = 2000000000,        /* between SIGABRT and SIGKILL   */
    PF_EXITING = 4,              /* proc(5), stat, field 9        */
    OUTPUT_BYTES_MAX = 1 << 20,  /* of one run; the rest is cut   */
    SHOWN_BYTES_MAX = 16 * 1024, /* of a failed one: its end      */
    LONG_S = 1200                /* scripts of a longer limit begin first: else the last of them runs alone */
};

enum state { WAITING, RUNNING, PASSED, FAILED, SKIPPED };

struct run {
    const struct test_case *test; /* NULL: a script              */
    const char *script;           /* its path, else NULL         */
    char *name;                   /* suite.name, or script.name  */
    struct test_how how;
    int limit_s;
    enum state state;

    pid_t pid; /* of the process, its group and its session */
    bool reaped;
    int wait_status;
    int fd; /* what it says; -1: closed     */
    int64_t start_ns, took_ns;
    int aborted; /* 0, 1: SIGABRT, 2: SIGKILL    */
    char *output;
    size_t output_bytes;
    char folder[256];
};

static struct {
    const char *only[16];
    int onlys;
    int workers;   /* 0: 1, 2 and 8                */
    uint64_t seed; /* 0: the default ones          */
    int limit_s;   /* 0: each run's own            */
    int seeds, repeat, jobs;
    bool planted, units, list, times, simulated_only, serial_only, migrate, tick, verbose;
    const char *scripts, *bin, *variant, *under, *exact, *program;
} options = {.seeds = SEEDS_DEFAULT, .repeat = 1, .jobs = JOBS_DEFAULT, .units = true, .variant = "plain"};

static struct run *runs;
static size_t runs_count;
static size_t counts[SKIPPED + 1];
static char program[4096];
static char temporary[128];
static volatile sig_atomic_t interrupted;
static bool tty;

static _Noreturn void die(const char *what, const char *detail) {
    fprintf(stderr, "eddy-tests: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(2);
}

static void *need(void *memory) {
    if (memory == NULL) die("no memory", NULL);
    return memory;
}

/* ------------------------------------------------------------------ choosing */

static bool chosen(const char *name) {
    if (options.exact != NULL) return strcmp(name, options.exact) == 0;
    if (options.onlys == 0) return true;
    for (int i = 0; i < options.onlys; i++)
        if (strstr(name, options.only[i]) != NULL) return true;
    return false;
}

static void add_run(struct run run) {
    if (options.limit_s != 0) run.limit_s = options.limit_s;
    if ((runs_count & (runs_count - 1)) == 0) /* 0 or a power of two: it is full */
        runs = need(realloc(runs, (runs_count > 0 ? 2 * runs_count : 1) * sizeof *runs));
    run.fd = -1;
    runs[runs_count++] = run;
}

/* Of one test: on the first so many numbers of workers, and on the simulator with so many seeds. */
static void add_runs(const struct run *from, int sizes, int seeds) {
    static const int workers[] = {1, 2, 8};
    if (options.migrate && from->how.serial) return; /* domains stay where they are */
    for (int i = 0; i < sizes && !options.simulated_only; i++) {
        if (options.workers != 0 && i > 0) break;
        if (options.migrate && options.workers == 0 && workers[i] == 1) continue; /* there is nowhere to go */
        struct run run = *from;
        run.how.workers = options.workers ? options.workers : workers[i];
        run.name = need(strdup(from->name));
        add_run(run);
    }
    if (!test_has_simulator() || from->test->real || options.workers != 0) return;
    for (int i = 1; i <= seeds; i++) {
        struct run run = *from;
        run.how.workers = 1;
        run.how.simulated = true;
        if (options.seed == 0) run.how.seed = (uint64_t)i;
        run.name = need(strdup(from->name));
        add_run(run);
        if (options.seed != 0) break;
    }
}

static void add_test(const struct test_case *test) {
    char name[256];
    snprintf(name, sizeof name, "%s.%s", test->suite, test->name);
    if (test->planted != options.planted || !chosen(name)) return;
    struct run run = {.test = test, .name = name, .limit_s = test->limit_s ? test->limit_s : TEST_LIMIT_S};
    run.how.seed = options.seed ? options.seed : 1;
    run.how.migrate = options.migrate;
    run.how.tick = options.tick;
    if (test->kind == TEST_KIND_UNIT) {
        if (options.simulated_only) return;
        run.name = need(strdup(name));
        add_run(run);
        return;
    }
    const bool serial = test->kind == TEST_KIND_SERIAL || test->kind == TEST_KIND_CONTRACT;
    if (test->kind != TEST_KIND_SERIAL && !options.serial_only)
        add_runs(&run, 3, test->kind == TEST_KIND_CORE ? options.seeds : serial ? (options.seeds + 1) / 2 : 0);
    run.how.serial = true;
    if (serial) add_runs(&run, 2, options.seeds < SEEDS_SERIAL ? options.seeds : SEEDS_SERIAL);
}

/* A script says what it needs in comments: "# limit: 60 s", "# without: thread address". */
static void add_script(const char *folder, const char *file, bool long_ones) {
    const char *dot = strrchr(file, '.');
    if (dot == NULL || (strcmp(dot, ".sh") != 0 && strcmp(dot, ".py") != 0)) return;
    char name[256], path[1024], line[256];
    snprintf(name, sizeof name, "script.%.*s", (int)(dot - file), file);
    if (!chosen(name)) return;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    struct run run = {.limit_s = TEST_LIMIT_S, .script = need(strdup(path)), .name = need(strdup(name))};
    FILE *text = fopen(path, "r");
    if (text == NULL) die("cannot read", path);
    for (int i = 0; i < 20 && fgets(line, sizeof line, text) != NULL; i++) {
        sscanf(line, "# limit: %d s", &run.limit_s);
        if (strncmp(line, "# without:", 10) == 0 && strstr(line, options.variant) != NULL) {
            run.state = SKIPPED;
            run.output = need(strdup("not under this tool"));
            run.output_bytes = strlen(run.output);
        }
    }
    fclose(text);
    if (long_ones != (run.limit_s > LONG_S)) {
        free((char *)run.script);
        free(run.name);
        free(run.output);
        return;
    }
    add_run(run);
}

static void add_scripts(const char *folder, bool long_ones) {
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        add_script(folder, entries[i]->d_name, long_ones);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static int by_name(const void *x, const void *y) {
    const struct test_case *a = *(struct test_case *const *)x, *b = *(struct test_case *const *)y;
    const int order = strcmp(a->suite, b->suite);
    return order ? order : strcmp(a->name, b->name);
}

static void choose(void) {
    size_t count = 0;
    for (struct test_case *test = test_all(); test != NULL; test = test->next) count++;
    struct test_case **sorted = need(calloc(count + 1, sizeof *sorted));
    count = 0;
    for (struct test_case *test = test_all(); test != NULL; test = test->next) sorted[count++] = test;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (int round = 0; round < options.repeat; round++) {
        if (options.scripts != NULL) add_scripts(options.scripts, true);
        for (size_t i = 0; i < count && options.units; i++) add_test(sorted[i]);
        if (options.scripts != NULL) add_scripts(options.scripts, false);
    }
    free(sorted);
}

/* ------------------------------------------------------------------ telling */

static void describe(const struct run *run, char *text, size_t bytes) {
    const char *serial = run->how.serial ? "serial, " : "";
    const char *migrating = run->how.migrate ? ", migrating" : "", *ticking = run->how.tick ? ", ticking" : "";
    if (run->how.simulated)
        snprintf(text, bytes, "%s [%ssimulated, seed %llu%s%s]", run->name, serial, (unsigned long long)run->how.seed,
                 migrating, ticking);
    else if (run->how.workers > 0)
        snprintf(text, bytes, "%s [%sworkers %d%s%s]", run->name, serial, run->how.workers, migrating, ticking);
    else
        snprintf(text, bytes, "%s", run->name);
}

static void clear_bar(void) {
    if (tty) fputs("\r\033[K", stdout);
}

static void show_bar(const struct run *last) {
    if (!tty) return;
    enum { WIDTH = 30 };
    const size_t done = counts[PASSED] + counts[FAILED] + counts[SKIPPED];
    const int filled = runs_count ? (int)(done * WIDTH / runs_count) : WIDTH;
    printf("\r\033[K[%.*s%*s] %zu/%zu", filled, "##############################", WIDTH - filled, "", done, runs_count);
    if (counts[FAILED] > 0) printf(", %zu failed", counts[FAILED]);
    printf("  %.40s", last->name);
    fflush(stdout);
}

static void tell_failure(const struct run *run, const char *why) {
    char text[512];
    describe(run, text, sizeof text);
    clear_bar();
    printf("FAIL %s: %s\n", text, why);
    if (run->output_bytes > 0) {
        const size_t cut = run->output_bytes > SHOWN_BYTES_MAX ? run->output_bytes - SHOWN_BYTES_MAX : 0;
        if (cut > 0) printf("(%zu bytes before this are not shown: use --verbose)\n", cut);
        fwrite(run->output + cut, 1, run->output_bytes - cut, stdout);
        if (run->output[run->output_bytes - 1] != '\n') putchar('\n');
    }
    if (options.program != NULL)
        printf("  replay zig build %s -- --only %s", options.variant, run->name);
    else if (strcmp(options.variant, "plain") == 0)
        printf("  replay zig build test -- --only %s", run->name);
    else
        printf("  replay zig-out/bin/%s/eddy-tests --only %s", options.variant, run->name);
    if (options.under != NULL && options.program == NULL) printf(" --under '%s'", options.under);
    if (run->how.workers > 0 && !run->how.simulated) printf(" --workers %d", run->how.workers);
    if (run->how.simulated) printf(" --simulated");
    if (run->how.serial) printf(" --serial");
    if (run->how.migrate) printf(" --migrate");
    if (run->how.tick) printf(" --tick");
    if (run->test != NULL && run->test->kind != TEST_KIND_UNIT)
        printf(" --seed %llu", (unsigned long long)run->how.seed);
    printf("\n\n");
    fflush(stdout);
}

/* ------------------------------------------------------------------ one run */

static void environment(struct run *run) {
    snprintf(run->folder, sizeof run->folder, "%s/%zu", temporary, (size_t)(run - runs));
    setenv("EDDY_TMP", run->folder, 1);
    if (run->script != NULL && mkdir(run->folder, 0700) != 0) die("cannot make", run->folder);
}

static void start(struct run *run) {
    char workers[32], seed[32];
    char *argv[48];
    int argc = 0;
    if (run->script != NULL) {
        const bool python = strcmp(strrchr(run->script, '.'), ".py") == 0;
        argv[argc++] = python ? "python3" : "sh";
        argv[argc++] = (char *)run->script;
    } else {
        static char under[1024];
        if (options.under != NULL) {
            char *rest = NULL;
            snprintf(under, sizeof under, "%s", options.under);
            for (char *word = strtok_r(under, " ", &rest); word != NULL && argc < 32; word = strtok_r(NULL, " ", &rest))
                argv[argc++] = word;
        }
        snprintf(workers, sizeof workers, "%d", run->how.workers);
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)run->how.seed);
        argv[argc++] = program;
        argv[argc++] = "--run";
        argv[argc++] = run->name;
        argv[argc++] = "--workers";
        argv[argc++] = workers;
        argv[argc++] = "--seed";
        argv[argc++] = seed;
        if (run->how.simulated) argv[argc++] = "--simulated";
        if (run->how.serial) argv[argc++] = "--serial";
        if (run->how.migrate) argv[argc++] = "--migrate";
        if (run->how.tick) argv[argc++] = "--tick";
    }
    argv[argc] = NULL;
    environment(run);

    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) die("no pipe", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    sigset_t none, plain;
    sigemptyset(&none);
    sigemptyset(&plain);
    sigaddset(&plain, SIGINT);
    sigaddset(&plain, SIGTERM);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &plain);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failed = posix_spawnp(&run->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(pipe_fds[1]);
    if (failed) die(argv[0], strerror(failed));
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    run->fd = pipe_fds[0];
    run->start_ns = test_now_ns();
    run->state = RUNNING;
}

static void read_output(struct run *run) {
    char chunk[16384];
    while (run->fd >= 0) {
        const ssize_t bytes = read(run->fd, chunk, sizeof chunk);
        if (bytes < 0 && errno == EINTR) continue;
        if (bytes < 0 && errno == EAGAIN) return;
        if (bytes <= 0) {
            close(run->fd);
            run->fd = -1;
            return;
        }
        size_t kept = OUTPUT_BYTES_MAX - run->output_bytes;
        if ((size_t)bytes < kept) kept = (size_t)bytes;
        run->output = need(realloc(run->output, run->output_bytes + kept + 1));
        memcpy(run->output + run->output_bytes, chunk, kept);
        run->output_bytes += kept;
    }
}

/* Kills and reaps what is in a session once, and counts what of it was alive; `seen` counts zombies too. */
static int sweep(pid_t session, int *seen) {
    int alive = 0;
    *seen = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[300], text[512], *name_end;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        const bool number = entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
        FILE *stat = number ? fopen(path, "re") : NULL;
        if (stat == NULL) continue;
        char process_state = 'X';
        int parent, group, process_session = 0;
        unsigned flags = 0;
        if (fgets(text, sizeof text, stat) != NULL && (name_end = strrchr(text, ')')) != NULL)
            sscanf(name_end, ") %c %d %d %d %*d %*d %u", &process_state, &parent, &group, &process_session, &flags);
        fclose(stat);
        if (process_session != session) continue;
        (*seen)++;
        /* One that has begun to end has closed its descriptors, which is what a test can see of it, before it is a zombie. */
        if (process_state != 'Z' && process_state != 'X' && !(flags & PF_EXITING)) alive++;
        const pid_t pid = atoi(entry->d_name);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, WNOHANG);
    }
    if (dir != NULL) closedir(dir);
    return alive;
}

/* How many processes of a run's session were alive when the run itself had ended. None is after this. */
static int kill_left_behind(pid_t session) {
    int seen;
    const int alive = sweep(session, &seen);
    while (seen > 0) {
        poll(NULL, 0, 1); /* the kernel takes a moment to end them */
        sweep(session, &seen);
    }
    return alive;
}

static void finish(struct run *run) {
    char why[256] = "";
    run->took_ns = test_now_ns() - run->start_ns;
    const int left = kill_left_behind(run->pid);
    read_output(run);
    if (run->fd >= 0) close(run->fd);
    run->fd = -1;
    const int status = run->wait_status;
    const int limit_s = run->limit_s * test_limit_factor();
    if (run->aborted)
        snprintf(why, sizeof why, "over its limit of %d s", limit_s);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == TEST_EXIT_SKIPPED)
        run->state = SKIPPED;
    else if (WEXITSTATUS(status) != 0)
        snprintf(why, sizeof why, "exit %d", WEXITSTATUS(status));
    if (why[0] == 0 && left > 0) snprintf(why, sizeof why, "%d processes left behind", left);
    if (why[0] != 0) {
        run->state = FAILED;
        tell_failure(run, why);
    } else if (run->state != SKIPPED) {
        run->state = PASSED;
    }
    test_remove_folder(run->folder);
}

/* The last line that a run said: why it was skipped. */
static const char *last_line(struct run *run) {
    if (run->output_bytes == 0) return "";
    char *end = run->output + run->output_bytes;
    while (end > run->output && end[-1] == '\n') end--;
    *end = 0; /* read_output keeps a byte for it */
    const char *line = end;
    while (line > run->output && line[-1] != '\n') line--;
    return line;
}

static void ended(struct run *run) {
    counts[run->state]++;
    char text[512];
    describe(run, text, sizeof text);
    if (options.verbose && run->output_bytes > 0) {
        clear_bar();
        printf("---- %s\n", text);
        fwrite(run->output, 1, run->output_bytes, stdout);
    }
    if (tty)
        show_bar(run);
    else if (run->state == SKIPPED)
        printf("skip %s: %s\n", text, last_line(run));
    else if (run->state == PASSED)
        printf("ok   %s (%.2f s)\n", text, (double)run->took_ns / 1e9);
    fflush(stdout);
    free(run->output);
    run->output = NULL;
}

/* ------------------------------------------------------------------ all runs */

static void enforce_limit(struct run *run, int64_t now) {
    const int64_t limit_ns = (int64_t)run->limit_s * test_limit_factor() * 1000000000;
    const int64_t over_ns = now - run->start_ns - limit_ns;
    if (over_ns >= 0 && run->aborted == 0) {
        run->aborted = 1;
        kill(run->pid, SIGABRT);
    } else if (over_ns >= DUMP_NS && run->aborted == 1) {
        run->aborted = 2;
        kill(-run->pid, SIGKILL); /* the rest of its session: when it is reaped */
    }
}

static void reap(struct run *running[], int count) {
    for (int i = 0; i < count; i++) {
        struct run *run = running[i];
        if (!run->reaped && waitpid(run->pid, &run->wait_status, WNOHANG) == run->pid) run->reaped = true;
    }
}

static void on_signal(int signal_number) { interrupted = signal_number; }

static void run_all(void) {
    struct run *running[JOBS_MAX];
    int count = 0;
    size_t next = 0;
    while (count > 0 || next < runs_count) {
        while (count < options.jobs && next < runs_count) {
            struct run *run = &runs[next++];
            if (run->state == SKIPPED) {
                ended(run);
                continue;
            }
            start(run);
            running[count++] = run;
        }
        struct pollfd ready[JOBS_MAX];
        for (int i = 0; i < count; i++) ready[i] = (struct pollfd){.fd = running[i]->fd, .events = POLLIN};
        bool closed = false; /* a closed pipe says that the end is near: look at once */
        for (int i = 0; i < count; i++) closed = closed || running[i]->fd < 0;
        poll(ready, (nfds_t)count, closed ? 1 : 50);
        for (int i = 0; i < count; i++) read_output(running[i]);
        reap(running, count);
        const int64_t now = test_now_ns();
        for (int i = 0; i < count;) {
            struct run *run = running[i];
            if (!run->reaped) {
                enforce_limit(run, now);
                i++;
                continue;
            }
            finish(run);
            ended(run);
            running[i] = running[--count];
        }
        if (interrupted) {
            for (int i = 0; i < count; i++) kill_left_behind(running[i]->pid);
            test_remove_folder(temporary);
            clear_bar();
            exit(128 + interrupted);
        }
    }
}

static int slower(const void *x, const void *y) {
    const struct run *a = x, *b = y;
    return (a->took_ns < b->took_ns) - (a->took_ns > b->took_ns);
}

static void tell_slowest(void) {
    qsort(runs, runs_count, sizeof *runs, slower);
    printf("slowest:\n");
    for (size_t i = 0; i < runs_count && i < 15; i++) {
        char text[512];
        describe(&runs[i], text, sizeof text);
        printf("  %7.2f s  %s\n", (double)runs[i].took_ns / 1e9, text);
    }
}

/* ------------------------------------------------------------------ main */

static const char usage[] =
    "usage: eddy-tests [options]\n"
    "  --only TEXT      only tests whose name, suite.name, contains TEXT (may be repeated)\n"
    "  --workers N      on N workers instead of 1, 2 and 8\n"
    "  --seed S         this seed only;  --seeds N: seeds 1 to N on the simulator (10)\n"
    "  --simulated      on the simulator only\n"
    "  --serial         in serial domains only\n"
    "  --migrate        every started task that may change workers does so whenever it may\n"
    "  --tick           each look for a tick finds one: each counted call puts its task off\n"
    "  --repeat K       all of it K times\n"
    "  --jobs N         N at a time (3)\n"
    "  --limit S        S seconds for each instead of its own limit\n"
    "  --times          list the slowest\n"
    "  --verbose        print what passing tests print\n"
    "  --list           list the tests and stop\n"
    "  --run NAME       run one test in this very process (for debuggers; no time limit)\n"
    "  --planted        the planted faults instead of the tests\n"
    "  --no-units       scripts only;  --scripts FOLDER: each .sh and .py file there is a test\n"
    "  --bin FOLDER     where scripts find the programs;  --variant NAME: how those were built\n"
    "  --under COMMAND  run each test under a command, such as valgrind or qemu\n"
    "  --program FILE   the tests as built for another machine: this program only chooses, starts and counts\n";

static int number(const char *text) {
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text == 0 || *end != 0 || value < 0 || value > 1000000) die("not a number", text);
    return (int)value;
}

static void read_arguments(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = argv[i + 1] ? argv[i + 1] : "";
        bool takes_value = true;
        if (strcmp(word, "--only") == 0 && options.onlys < 16)
            options.only[options.onlys++] = value;
        else if (strcmp(word, "--workers") == 0)
            options.workers = number(value);
        else if (strcmp(word, "--seed") == 0)
            options.seed = strtoull(value, NULL, 10);
        else if (strcmp(word, "--seeds") == 0)
            options.seeds = number(value);
        else if (strcmp(word, "--repeat") == 0)
            options.repeat = number(value);
        else if (strcmp(word, "--jobs") == 0)
            options.jobs = number(value);
        else if (strcmp(word, "--limit") == 0)
            options.limit_s = number(value);
        else if (strcmp(word, "--run") == 0)
            options.exact = value;
        else if (strcmp(word, "--scripts") == 0)
            options.scripts = value;
        else if (strcmp(word, "--bin") == 0)
            options.bin = value;
        else if (strcmp(word, "--variant") == 0)
            options.variant = value;
        else if (strcmp(word, "--under") == 0)
            options.under = value;
        else if (strcmp(word, "--program") == 0)
            options.program = value;
        else
            takes_value = false;
        if (takes_value) {
            if (argv[++i] == NULL) die("a value is missing after", word);
            continue;
        }
        if (strcmp(word, "--planted") == 0)
            options.planted = true;
        else if (strcmp(word, "--no-units") == 0)
            options.units = false;
        else if (strcmp(word, "--times") == 0)
            options.times = true;
        else if (strcmp(word, "--list") == 0)
            options.list = true;
        else if (strcmp(word, "--simulated") == 0)
            options.simulated_only = true;
        else if (strcmp(word, "--serial") == 0)
            options.serial_only = true;
        else if (strcmp(word, "--migrate") == 0)
            options.migrate = true;
        else if (strcmp(word, "--tick") == 0)
            options.tick = true;
        else if (strcmp(word, "--verbose") == 0)
            options.verbose = true;
        else if (strcmp(word, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        } else {
            fprintf(stderr, "eddy-tests: unknown option %s\n%s", word, usage);
            exit(2);
        }
    }
    if (options.jobs < 1 || options.jobs > JOBS_MAX) die("--jobs: 1 to 64", NULL);
}

/* The child's side of --run: one test, here. */
static int run_exact(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the runner is gone: so is its run */
    for (const struct test_case *test = test_all(); test != NULL; test = test->next) {
        char name[256];
        snprintf(name, sizeof name, "%s.%s", test->suite, test->name);
        if (strcmp(name, options.exact) != 0) continue;
        struct test_how how = {.workers = options.workers, .seed = options.seed ? options.seed : 1};
        how.simulated = options.simulated_only;
        how.serial = options.serial_only;
        how.migrate = options.migrate;
        how.tick = options.tick;
        if (test->kind == TEST_KIND_UNIT)
            how.workers = 0;
        else if (how.workers == 0)
            how.workers = 1;
        return test_run_here(test, how);
    }
    die("no such test", options.exact);
}

static void set_environment(void) {
    char path[4096];
    setenv("EDDY_ROOT", getcwd(path, sizeof path), 1);
    if (options.bin != NULL) setenv("EDDY_BUILD_DIR", realpath(options.bin, path) ? path : options.bin, 1);
    setenv("EDDY_VARIANT", options.variant, 1);
    if (options.under != NULL) setenv("EDDY_UNDER", options.under, 1);
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    if (options.exact != NULL) return run_exact();

    if (options.program != NULL) {
        if (realpath(options.program, program) == NULL) die("cannot find", options.program);
    } else {
        const ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
        if (bytes < 0) die("cannot read /proc/self/exe", NULL);
        program[bytes] = 0;
    }
    tty = isatty(STDOUT_FILENO);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    set_environment();
    choose();
    if (runs_count == 0 && options.onlys > 0) die("no test matches", options.only[0]);
    if (options.list) {
        for (size_t i = 0; i < runs_count; i++) {
            char text[512];
            describe(&runs[i], text, sizeof text);
            puts(text);
        }
        return 0;
    }
    const char *tmp = getenv("TMPDIR");
    snprintf(temporary, sizeof temporary, "%.80s/eddy-tests-XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(temporary) == NULL) die("cannot make a folder for temporary files", temporary);

    if (!options.units)
        printf("%s:\n", options.scripts ? options.scripts : "nothing");
    else if (strcmp(options.variant, "plain") != 0 || options.migrate || options.tick)
        printf("tests, %s%s%s:\n", options.variant, options.migrate ? ", migrating" : "",
               options.tick ? ", ticking" : "");
    run_all();

    test_remove_folder(temporary);
    clear_bar();
    if (options.times) tell_slowest();
    printf("%zu passed, %zu failed", counts[PASSED], counts[FAILED]);
    if (counts[SKIPPED] > 0) printf(", %zu skipped", counts[SKIPPED]);
    printf("\n");
    for (size_t i = 0; i < runs_count; i++) {
        free(runs[i].name);
        free((char *)runs[i].script);
    }
    free(runs);
    return counts[FAILED] > 0 ? 1 : 0;
}
