/* interrupt.c: SIGINT as asyncio.run has it (R2), if eddy_run was asked to handle it.
 *
 * The first cancels main. The second stops the supervisor's wait for main: it then cancels all
 * tasks again, main included, and the run ends as always. A body that computes is not interrupted.
 * Threads    Worker 0: a hidden task waits for the signal; it ends when the signal object is
 * closed. Tests      tests/contract/run_test.c. */
#include "runtime/assemble.h"

#include <signal.h>

static int watch(void *arg, eddy_value *out) {
    (void)out;
    struct ed_runtime *runtime = arg;
    while (eddy_signal_wait(runtime->interrupt) > 0) {
        if (++runtime->interrupts == 1) {
            eddy_cancel(EDDY_FUTURE(runtime->main));
        } else {
            (void)eddy_future_set(runtime->given_up, EDDY_NONE);
        }
    }
    return 0;
}

int ed_interrupt_open(struct ed_runtime *runtime) {
    runtime->given_up = eddy_future_create();
    if (runtime->given_up == NULL) return EDDY_ENOMEM;
    if (!runtime->options.handle_sigint) return 0;
    int status = eddy_signal_open(&runtime->interrupt, SIGINT);
    if (status < 0) return status;
    eddy_task_options options = eddy_task_options_init();
    options.name = "SIGINT";
    return ed_spawn_on(runtime->sched.workers[0], NULL, watch, runtime, &options, ED_HIDDEN);
}

void ed_interrupt_close(struct ed_runtime *runtime) {
    eddy_signal_close(runtime->interrupt);
    eddy_future_release(runtime->given_up);
}
