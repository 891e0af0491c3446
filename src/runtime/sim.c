/* sim.c: a user's simulations: one, or many until one fails.
 *
 * Idea      A seed that nobody hears of is lost: while a simulation runs, a fatal signal names it before the process ends,
 *           and so does an exit in the midst of it.
 * Threads   The calling one; one simulation at a time in a process (`running`).
 * Tests     tests/sim/run_test.c. */
#include "eddy/sim.h"
#include "runtime/assemble.h"
#include "runtime/simulate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the seed of a run that does not come back ------------------------------------------------------ */

static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
enum { FATAL = sizeof fatal / sizeof fatal[0] };

static _Atomic bool running;
static uint64_t running_seed; /* written while no handler of ours is installed */

static void say_seed(void) { /* in a signal handler, too */
    static const char before[] = "eddy: the simulation ran under seed ", after[] = "; EDDY_SIM_SEED=";
    static const char end[] = " in the environment runs it again (eddy_sim_explore)\n";
    char digits[24], text[sizeof before + sizeof after + sizeof end + 2 * sizeof digits];
    size_t count = 0, used = 0;
    for (uint64_t rest = running_seed; count == 0 || rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    const char *const parts[] = {before, after, end};
    for (int part = 0; part < 3; part++) {
        for (const char *c = parts[part]; *c != '\0'; c++) text[used++] = *c;
        for (size_t i = count; part < 2 && i > 0; i--) text[used++] = digits[i - 1];
    }
    ssize_t put = write(STDERR_FILENO, text, used);
    (void)put; /* nobody is left to tell */
}

static struct sigaction before_us[FATAL];

static void on_fatal(int signum) {
    say_seed();
    for (int i = 0; i < FATAL; i++)
        if (fatal[i] == signum) sigaction(signum, &before_us[i], NULL);
    raise(signum); /* blocked until we return: then the process ends as it would have */
}

static void on_exit_inside(void) {
    if (ED_LOAD_RELAXED(&running)) say_seed();
}

static void watch_begin(uint64_t seed) {
    static bool registered;
    if (!registered) registered = atexit(on_exit_inside) == 0;
    running_seed = seed;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fatal;
    action.sa_flags = SA_ONSTACK;
    for (int i = 0; i < FATAL; i++) sigaction(fatal[i], &action, &before_us[i]);
}

static void watch_end(void) {
    for (int i = 0; i < FATAL; i++) sigaction(fatal[i], &before_us[i], NULL);
}

/* ---- one run ---------------------------------------------------------------------------------------- */

static bool in_range(const eddy_sim_options *options) {
    return options->size == sizeof *options && options->latency_ns_min >= 0 &&
           options->latency_ns_min <= options->latency_ns_max && options->short_reads <= 1000 &&
           options->resets <= 1000 && options->refused <= 1000 && options->shortages <= 1000 &&
           options->datagrams_lost <= 1000 && options->datagrams_doubled <= 1000 &&
           options->failed_allocations <= 1000 && options->workers <= ED_WORKERS_MAX && options->limit_ns >= 0;
}

int eddy_sim_run(eddy_coro_fn fn, void *arg, eddy_value *value_out, const eddy_sim_options *options) {
    ed_process_check_marker();
    eddy_sim_options filled = options != NULL ? *options : eddy_sim_options_init();
    if (fn == NULL || !in_range(&filled)) return EDDY_EINVAL;
    if (ed_worker_current() != NULL || ED_EXCHANGE(&running, true)) return EDDY_ESTATE;
    watch_begin(filled.seed);
    int status = ed_sim_run(fn, arg,
                            &(struct ed_sim_options){.seed = filled.seed,
                                                     .workers = filled.workers,
                                                     .serial = filled.serial,
                                                     .no_direct_await = filled.no_direct_await,
                                                     .migrate = filled.migrate,
                                                     .trace = filled.trace,
                                                     .on_exception = filled.on_exception,
                                                     .on_exception_arg = filled.on_exception_arg,
                                                     .outside = &filled,
                                                     .value_out = value_out});
    watch_end();
    ED_STORE_RELAXED(&running, false);
    return status;
}

/* ---- many ------------------------------------------------------------------------------------------- */

int eddy_sim_explore(eddy_coro_fn fn, void *arg, uint64_t seeds, uint64_t *failed_seed_out,
                     const eddy_sim_options *options) {
    eddy_sim_options each = options != NULL ? *options : eddy_sim_options_init();
    const char *asked = getenv("EDDY_SIM_SEED");
    if (asked != NULL) {
        char *end;
        each.seed = strtoull(asked, &end, 10);
        if (*asked == '\0' || *end != '\0') return EDDY_EINVAL;
        seeds = 1;
    }
    int64_t begin_ns = ed_clock_ns();
    for (uint64_t i = 0; i < seeds; i++, each.seed++) {
        int status = eddy_sim_run(fn, arg, NULL, &each);
        if (status >= 0) continue;
        if (failed_seed_out != NULL) *failed_seed_out = each.seed;
        fprintf(stderr,
                "eddy: seed %llu failed with %s, run %llu of %llu after %.2f s; EDDY_SIM_SEED=%llu runs it again\n",
                (unsigned long long)each.seed, eddy_status_name(status), (unsigned long long)i + 1,
                (unsigned long long)seeds, (double)(ed_clock_ns() - begin_ns) / 1e9, (unsigned long long)each.seed);
        return status;
    }
    return 0;
}
