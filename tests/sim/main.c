/* main.c: eddy-sim: plays random task programs on the simulator, one for each seed.
 *
 * Problem    A program may fail a claim, an assertion of the core, crash or hang; whichever it is, its seed must be known,
 *            and what is shown must be small enough to understand.
 * Idea       Programs are played in child processes, many in each; the child notes the seed before it plays it. What
 *            failed is made smaller as long as it fails in the same way (the first line it said, numbers aside), under
 *            its own schedule or one of a few others, and is printed and kept in a file with the command that replays it.
 * Threads    One. */
#include "program.h"

#include "base/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 500,
    PLAY_SECONDS = 20,
    SHRINK_SECONDS = 30,
    OTHER_SCHEDULES = 20,
    KEPT_SCHEDULES = 20,
    SAID_BYTES = 4096
};

static struct {
    uint64_t seed;
    long runs;
    unsigned workers;
    bool trace, print, shrink, seeded, hash;
    int failures; /* stop after so many */
    const char *program, *kept, *core;
} options = {.seed = 1, .runs = 20000, .shrink = true, .failures = 5};

static long passed, failed;

static volatile struct { uint64_t seed; /* being played */ } * shared;

static _Noreturn void die(const char *what, const char *detail) {
    fprintf(stderr, "eddy-sim: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    exit(2);
}

static int64_t clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* ---- playing in a child ------------------------------------------------------------------------------- */

/* Where programs come from: seeds, or one program under many schedules. */
static const struct program *fixed;

static void program_for(struct program *program, uint64_t seed) {
    if (fixed != NULL) {
        *program = *fixed;
        program->seed = seed;
    } else {
        program_make(program, seed);
    }
    if (options.workers > 0) program->workers = options.workers;
}

/* How a child failed: the seed, and what it said. */
struct failure {
    uint64_t seed;
    char said[SAID_BYTES];
};

static _Noreturn void play_in_child(uint64_t first, long count, int said) {
    static struct program program;
    dup2(said, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (long i = 0; i < count; i++) {
        shared->seed = first + (uint64_t)i;
        program_for(&program, first + (uint64_t)i);
        alarm(PLAY_SECONDS);
        if (ftruncate(said, 0) == 0) lseek(said, 0, SEEK_SET); /* what earlier ones reported */
        program_play(&program, NULL);
    }
    _exit(0);
}

/* Plays `count` seeds. True: all passed; else the first that did not is in *failure_out. */
static bool play_many(uint64_t first, long count, struct failure *failure_out) {
    int said = memfd_create("said", MFD_CLOEXEC);
    if (said < 0) die("no memory for what a child says", NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) die("no child", NULL);
    if (child == 0) play_in_child(first, count, said);
    int status;
    while (waitpid(child, &status, 0) < 0) continue;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good) {
        failure_out->seed = shared->seed;
        ssize_t bytes = pread(said, failure_out->said, SAID_BYTES - 64, 0);
        failure_out->said[bytes > 0 ? bytes : 0] = '\0';
        char *end = failure_out->said + strlen(failure_out->said);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
            snprintf(end, 64, "claim: no end after %d s\n", PLAY_SECONDS);
        } else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT) {
            snprintf(end, 64, "claim: ended by signal %s\n", strsignal(WTERMSIG(status)));
        }
    }
    close(said);
    return good;
}

/* ---- shrinking ---------------------------------------------------------------------------------------- */

/* The first line that names a failure, without its numbers. */
static void kind_of(const char *said, char *kind, size_t bytes) {
    const char *from = strstr(said, "claim: ");
    if (from == NULL) from = strstr(said, "assertion failed");
    if (from == NULL) from = strstr(said, "eddy: simulation");
    if (from == NULL) from = said;
    size_t used = 0;
    for (; *from != '\0' && *from != '\n' && used + 1 < bytes; from++)
        if ((*from < '0' || *from > '9') && *from != '-') kind[used++] = *from;
    kind[used] = '\0';
}

struct hunt {
    char kind[256];
    int64_t until_s;
};

static bool still_fails(struct program *candidate, void *arg) {
    struct hunt *hunt = arg;
    struct failure failure;
    char kind[256];
    if (clock_s() >= hunt->until_s) return false;
    fixed = candidate;
    bool good =
        play_many(candidate->seed, 1, &failure) && play_many(candidate->seed + 1000003, OTHER_SCHEDULES, &failure);
    fixed = NULL;
    if (good) return false;
    kind_of(failure.said, kind, sizeof kind);
    if (strcmp(kind, hunt->kind) != 0) return false;
    candidate->seed = failure.seed;
    return true;
}

/* ---- telling ------------------------------------------------------------------------------------------ */

static void keep(const struct program *program, uint64_t seed, const char *said) {
    char path[512];
    const char *folder = getenv("EDDY_TMP");
    snprintf(path, sizeof path, "%.400s/eddy-sim-%llu.program", folder != NULL ? folder : "/tmp",
             (unsigned long long)seed);
    FILE *file = fopen(path, "w");
    if (file == NULL) return;
    fprintf(file, "# %.*s\n", (int)strcspn(said, "\n"), said);
    program_print(program, file);
    fclose(file);
    printf("  replay zig build sim -- --program %s --trace\n", path);
}

/* One seed failed: says so, looks for a smaller program that does, and says that. */
static void tell_failure(const struct failure *failure, const struct program *from) {
    static struct program program;
    const char *name = options.program != NULL ? options.program : NULL;
    failed++;
    printf("FAIL seed %llu: %s", (unsigned long long)failure->seed, failure->said);
    if (name != NULL) {
        printf("  replay zig build sim -- --program %s --seed %llu --runs 1 --trace\n", name,
               (unsigned long long)failure->seed);
    } else {
        printf("  replay zig build sim -- --seed %llu --runs 1 --trace\n", (unsigned long long)failure->seed);
    }
    fflush(stdout);
    if (!options.shrink) return;
    fixed = from;
    program_for(&program, failure->seed);
    fixed = NULL;
    struct hunt hunt = {.until_s = clock_s() + SHRINK_SECONDS};
    kind_of(failure->said, hunt.kind, sizeof hunt.kind);
    program_shrink(&program, still_fails, &hunt);
    printf("shrunk to\n");
    program_print(&program, stdout);
    keep(&program, failure->seed, failure->said);
    printf("\n");
    fflush(stdout);
}

/* ---- runs --------------------------------------------------------------------------------------------- */

static void run_seeds(uint64_t first, long count, const struct program *from) {
    while (count > 0 && failed < options.failures) {
        struct failure failure;
        long batch = count < BATCH ? count : BATCH;
        fixed = from;
        bool good = play_many(first, batch, &failure);
        fixed = NULL;
        if (!good) {
            batch = (long)(failure.seed - first) + 1;
            passed += batch - 1;
            tell_failure(&failure, from);
        } else {
            passed += batch;
        }
        first += (uint64_t)batch;
        count -= batch;
    }
}

static void read_program(struct program *program, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) die("cannot read", path);
    if (!program_read(program, file)) die("no program in", path);
    fclose(file);
}

/* Programs that once failed, each under the schedule that it failed under and some others. */
static void run_kept(const char *folder) {
    static struct program program;
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%.200s/%.200s", folder, entries[i]->d_name);
        if (strstr(entries[i]->d_name, ".program") != NULL) {
            options.program = path;
            read_program(&program, path);
            run_seeds(program.seed, KEPT_SCHEDULES, &program);
            options.program = NULL;
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

/* In this process, so that a debugger can look at it. */
static void run_here(uint64_t seed, const struct program *from) {
    static struct program program;
    fixed = from;
    program_for(&program, seed);
    if (options.print || options.trace) program_print(&program, stdout);
    if (options.print) return;
    fflush(stdout);
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was written is there when it aborts */
    program_play(&program, options.trace ? stdout : NULL);
    passed++;
}

/* The trace's FNV-1a: equal on every machine, and for every way to compile the same sources. */
static void hash_trace(uint64_t seed) {
    static struct program program;
    char *text;
    size_t bytes;
    FILE *trace = open_memstream(&text, &bytes);
    if (trace == NULL) die("no memory", NULL);
    program_for(&program, seed);
    program_play(&program, trace);
    fclose(trace);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    printf("%llu %zu %016llx\n", (unsigned long long)seed, bytes, (unsigned long long)hash);
    free(text);
}

/* The core's own tests on the simulator, by the test program. */
static void run_core(const char *program) {
    char command[1024], line[4096];
    snprintf(command, sizeof command, "'%s' --simulated --seeds 100", program);
    fflush(stdout);
    FILE *output = popen(command, "r");
    if (output == NULL) die("cannot start", program);
    long ok = 0, bad = 1; /* unless it says otherwise it failed */
    while (fgets(line, sizeof line, output) != NULL) {
        if (strncmp(line, "ok   ", 5) != 0) fputs(line, stdout);
        sscanf(line, "%ld passed, %ld failed", &ok, &bad);
    }
    if (pclose(output) != 0 && bad == 0) bad = 1;
    passed += ok;
    failed += bad;
}

static const char usage[] =
    "usage: zig build sim -- [options]\n"
    "  (nothing)        the core's tests with 100 seeds, the programs kept in tests/sim/kept, and random programs\n"
    "  --seed S         random programs from this seed on;  --runs N: so many (20000)\n"
    "  --workers N      on N virtual workers, whatever the seed says\n"
    "  --trace          prints the program of one seed, and a line for each event\n"
    "  --print          prints it and does not play it\n"
    "  --program FILE   a program from a file, under N schedules (1)\n"
    "  --failures N     stops after so many (5);  --no-shrink: leaves them as they are\n"
    "  --hash           a seed, the bytes of its trace and their hash, for N seeds\n";

static unsigned long long number(const char *text) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') die("not a number", text);
    return value;
}

static void read_arguments(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = argv[i + 1] != NULL ? argv[i + 1] : "";
        bool takes_value = true;
        if (strcmp(word, "--seed") == 0) {
            options.seed = number(value);
            options.seeded = true;
        } else if (strcmp(word, "--runs") == 0) {
            options.runs = (long)number(value);
        } else if (strcmp(word, "--workers") == 0) {
            options.workers = (unsigned)number(value);
        } else if (strcmp(word, "--failures") == 0) {
            options.failures = (int)number(value);
        } else if (strcmp(word, "--program") == 0) {
            options.program = value;
        } else if (strcmp(word, "--kept") == 0) {
            options.kept = value;
        } else if (strcmp(word, "--core") == 0) {
            options.core = value;
        } else {
            takes_value = false;
        }
        if (takes_value) {
            i++;
        } else if (strcmp(word, "--trace") == 0) {
            options.trace = true;
        } else if (strcmp(word, "--print") == 0) {
            options.print = true;
        } else if (strcmp(word, "--hash") == 0) {
            options.hash = true;
        } else if (strcmp(word, "--no-shrink") == 0) {
            options.shrink = false;
        } else if (strcmp(word, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        } else {
            fprintf(stderr, "eddy-sim: unknown option %s\n%s", word, usage);
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    static struct program program;
    read_arguments(argc, argv);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no memory", NULL);
    bool here = options.trace || options.print;
    if (options.hash) {
        for (long i = 0; i < options.runs; i++) hash_trace(options.seed + (uint64_t)i);
        return 0;
    }
    if (options.program != NULL) {
        read_program(&program, options.program);
        uint64_t seed = options.seeded ? options.seed : program.seed;
        if (here) {
            run_here(seed, &program);
        } else {
            run_seeds(seed, options.runs == 20000 ? 1 : options.runs, &program);
        }
    } else if (here) {
        run_here(options.seed, NULL);
    } else {
        if (options.core != NULL && !options.seeded) run_core(options.core);
        if (options.kept != NULL && !options.seeded) run_kept(options.kept);
        run_seeds(options.seed, options.runs, NULL);
    }
    if (options.print) return 0;
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0 ? 1 : 0;
}
