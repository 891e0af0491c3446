/* simulate.c: a program on the single-threaded driver: sim/.
 *
 * Order     As in run.c, without threads: drivers open, the supervisor runs the program until no task lives, blocking work
 *           that was abandoned ends, net/ closes what is open, what is under way arrives, drivers close.
 * Stuck     When nothing can ever happen again, or the run comes to its limit of time or of steps, the supervisor gives main
 *           up (as for a second SIGINT): all tasks are reported, then cancelled. Tasks that do not end then would hang a
 *           real run: past the shutdown's deadline, or after more steps, the process ends, by name.
 * Threads   The calling one.
 * Tests     tests/sim/run_test.c, and every CORE_TEST. */
#include "runtime/simulate.h"

#include "runtime/assemble.h"

#include <stdio.h>

enum { WORKERS = 3, NAMED_MAX = 64 };
#define LIMIT_NS EDDY_SECONDS(24 * 3600)
#define STEPS_MAX UINT64_C(100000000)

/* ---- nobody can run --------------------------------------------------------------------------------- */

static void report_waiting(struct ed_runtime *runtime, const char *why) {
    eddy_task *tasks[NAMED_MAX];
    size_t count = eddy_all_tasks(tasks, NAMED_MAX);
    for (size_t i = 0; i < count && i < NAMED_MAX; i++) {
        char text[256], message[320];
        eddy_task_print(tasks[i], text, sizeof text);
        snprintf(message, sizeof message, "%s: %s", why, text);
        ed_report_task(&runtime->sched, EDDY_REPORT_STILL_PENDING, tasks[i], message, 0, NULL);
        eddy_task_release(tasks[i]);
    }
    if (count > NAMED_MAX) fprintf(stderr, "eddy: and %zu tasks more\n", count - NAMED_MAX);
}

static void give_up(struct ed_runtime *runtime, int status, const char *why) {
    struct ed_worker *worker = runtime->sched.workers[0];
    ED_ASSERT(runtime->stuck == 0);
    if (runtime->given_up == NULL) ED_PANIC("simulation: it cannot end: no memory at the start");
    runtime->stuck = status;
    ed_worker_set_current(worker);
    report_waiting(runtime, why);
    int set = eddy_future_set(runtime->given_up, EDDY_NONE);
    ED_ASSERT(set == 0);
    ed_worker_set_current(NULL);
    ed_idle_wake(worker);
}

_Noreturn static void hangs(struct ed_runtime *runtime) {
    ed_worker_set_current(runtime->sched.workers[0]);
    report_waiting(runtime, "does not end after its cancel");
    ED_PANIC("simulation: tasks do not end after their cancel: a real run would hang");
}

static bool may_jump(struct ed_sched *sched, int64_t to_ns) {
    struct ed_runtime *runtime = sched->runtime;
    if (runtime->deadline_ns == 0) { /* main runs */
        if (to_ns <= runtime->limit_ns) return true;
        if (to_ns == INT64_MAX)
            give_up(runtime, -EDEADLK, "deadlock: nothing can ever run again");
        else
            give_up(runtime, EDDY_ETIMEDOUT, "the simulation has come to its limit of time");
        return false;
    }
    if (runtime->late_ns == 0) runtime->late_ns = runtime->deadline_ns;
    if (to_ns > runtime->late_ns + EDDY_SECONDS(1)) hangs(runtime); /* it has been reported */
    return true;
}

static void too_long(struct ed_sched *sched, bool again) {
    struct ed_runtime *runtime = sched->runtime;
    if (again) hangs(runtime);
    if (runtime->deadline_ns == 0 && runtime->stuck == 0)
        give_up(runtime, EDDY_ELIMIT, "the simulation has come to its limit of steps");
}

/* ---- from start to end ------------------------------------------------------------------------------ */

static void close_drivers(struct ed_runtime *runtime, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct ed_worker *worker = runtime->sched.workers[i];
        worker->sched->driver->close(worker);
        ed_context_deinit_thread(&worker->main);
    }
}

static int open_drivers(struct ed_runtime *runtime) {
    for (unsigned i = 0; i < runtime->sched.workers_count; i++) {
        struct ed_worker *worker = runtime->sched.workers[i];
        ed_context_init_thread(&worker->main);
        int status = worker->sched->driver->open(worker);
        if (status == 0) continue;
        ed_context_deinit_thread(&worker->main);
        close_drivers(runtime, i);
        return status;
    }
    return 0;
}

/* No task lives any more. */
static void end(struct ed_runtime *runtime) {
    struct ed_sched *sched = &runtime->sched;
    ed_sim_drain(sched);
    ed_exec_shutdown(sched, runtime->deadline_ns);
    ED_STORE_SEQCST(&sched->stopping, true);
    sched->max_slices = ED_SLICES_PER_POLL;
    for (int round = 0; round < 2; round++) { /* what the first round sends arrives in the second */
        for (unsigned i = 0; i < sched->workers_count; i++) {
            ed_worker_set_current(sched->workers[i]);
            ed_idle_awake(sched->workers[i]);
            if (round == 0)
                ed_net_worker_close(sched->workers[i]);
            else
                ed_worker_close_inbox(sched->workers[i]);
            ed_runtime_drain(sched->workers[i]);
        }
    }
    ed_worker_set_current(NULL);
    ed_sim_drain(sched);
}

static int run(struct ed_runtime *runtime, eddy_coro_fn fn, void *arg, const struct ed_sim_options *options) {
    struct ed_sched *sched = &runtime->sched;
    void *overflow;
    int status = ed_overflow_thread_enter(&overflow);
    if (status < 0) return status;
    status = open_drivers(runtime);
    if (status < 0) goto leave;
    ed_sim_trace_to(sched, options->trace);
    int64_t begin_ns = sched->driver->now(sched->workers[0]), limit_ns = runtime->limit_ns;
    runtime->limit_ns = limit_ns < INT64_MAX - 1 - begin_ns ? begin_ns + limit_ns : INT64_MAX - 1;
    status = ed_runtime_start(runtime, fn, arg);
    if (status == 0) {
        const struct ed_sim_plan plan = {.seed = options->seed,
                                         .clock_step_ns = options->clock_step_ns,
                                         .disturbances = ED_SIM_ALL & ~options->undisturbed,
                                         .steps_max = options->outside != NULL && options->outside->steps_max > 0
                                                          ? options->outside->steps_max
                                                          : STEPS_MAX};
        ed_sim_turn(sched, &plan, &runtime->ended);
        status = runtime->stuck < 0 ? runtime->stuck : runtime->status;
    }
    end(runtime);
    close_drivers(runtime, sched->workers_count);
leave:
    ed_overflow_thread_leave(overflow);
    return status;
}

int ed_sim_run(eddy_coro_fn fn, void *arg, const struct ed_sim_options *options) {
    eddy_run_options filled = eddy_run_options_init();
    eddy_sim_options outside = options->outside != NULL ? *options->outside : eddy_sim_options_init();
    outside.seed = options->seed;
    filled.serial = options->serial;
    filled.shutdown_ns = outside.shutdown_ns;
    filled.no_direct_await = options->no_direct_await;
    filled.on_exception = options->on_exception;
    filled.on_exception_arg = options->on_exception_arg;
    filled.migrate = options->migrate;
    unsigned workers = options->workers > 0 ? options->workers : WORKERS;
    struct ed_runtime *runtime;
    const struct ed_stack_options stacks = {.cap = options->stacks_max};
    int status = ed_runtime_open(&runtime, &ed_sim_driver, &filled, workers, options->seed, &stacks);
    if (status < 0) return status;
    runtime->limit_ns = outside.limit_ns > 0 ? outside.limit_ns : LIMIT_NS;
    status = ed_sim_open(&runtime->sched, &outside, may_jump, too_long);
    if (status == 0) {
        status = run(runtime, fn, arg, options);
        if (options->value_out != NULL && status >= 0) *options->value_out = runtime->value;
        ed_sim_close(&runtime->sched);
    }
    ed_net_close(&runtime->sched);
    ed_runtime_close(runtime);
    return status;
}
