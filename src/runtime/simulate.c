/* simulate.c: a program on the single-threaded driver. For tests of the core; see sim/sim.c. */
#include "runtime/simulate.h"

#include "runtime/assemble.h"

int ed_sim_run(int (*fn)(void *arg, eddy_value *out), void *arg, const struct ed_sim_options *options) {
    eddy_run_options filled = eddy_run_options_init();
    unsigned workers = options->workers > 0 ? options->workers : 3;
    struct ed_runtime *runtime;
    filled.no_direct_await = options->no_direct_await;
    filled.serial = options->serial;
    filled.on_exception = options->on_exception;
    filled.on_exception_arg = options->on_exception_arg;
    filled.migrate = options->migrate;
    const struct ed_stack_options stacks = {.cap = options->stacks_max};
    int status = ed_runtime_open(&runtime, &ed_sim_driver, &filled, workers, options->seed, &stacks);
    if (status < 0) return status;
    struct ed_sched *sched = &runtime->sched;
    status = ed_sim_open(sched, options->seed);
    ED_ASSERT(status == 0);
    for (unsigned i = 0; i < workers; i++) {
        ed_context_init_thread(&sched->workers[i]->main);
        status = sched->driver->open(sched->workers[i]);
        ED_ASSERT(status == 0);
    }
    ed_sim_trace_to(sched, options->trace);
    void *overflow;
    status = ed_overflow_thread_enter(&overflow);
    ED_ASSERT(status == 0);
    status = ed_runtime_start(runtime, fn, arg);
    ED_ASSERT(status == 0);
    const struct ed_sim_plan plan = {.seed = options->seed,
                                     .clock_step_ns = options->clock_step_ns,
                                     .disturbances = ED_SIM_ALL & ~options->undisturbed,
                                     .steps_max = options->steps_max};
    ed_sim_turn(sched, &plan, &runtime->ended);
    ed_exec_shutdown(sched, runtime->deadline_ns);
    ED_STORE_SEQCST(&sched->stopping, true);
    sched->max_slices = ED_SLICES_PER_POLL;
    for (int round = 0; round < 2; round++) { /* what the first round sends arrives in the second */
        for (unsigned i = 0; i < workers; i++) {
            ed_worker_set_current(sched->workers[i]);
            ed_idle_awake(sched->workers[i]);
            if (round == 1) ed_worker_close_inbox(sched->workers[i]);
            ed_runtime_drain(sched->workers[i]);
        }
    }
    for (unsigned i = 0; i < workers; i++) {
        ed_worker_set_current(NULL);
        sched->driver->close(sched->workers[i]);
        ed_context_deinit_thread(&sched->workers[i]->main);
    }
    ed_sim_close(sched);
    ed_overflow_thread_leave(overflow);
    status = runtime->status;
    ed_runtime_close(runtime);
    return status;
}
