/* embed.c: a runtime beside a main loop that somebody else has.
 *
 * Idea       Main is a task that waits for a future, which eddy_runtime_stop sets: from there on the end is eddy_run's.
 *            Either a thread of our own is worker 0 for all that time, or the host's is, in pieces:
 * Guest      A turn runs worker 0 until nothing is ready, then goes to sleep as every worker does (ed_idle_prepare), but
 *            in the host's loop: libuv's descriptor, in which the worker's own set lies, becomes readable.
 *
 *              RESTS (asleep) --turn--> runs --nothing ready--> RESTS
 *                                        \-----budget spent--> PUT OFF (awake; its eventfd is written) --turn--> runs
 *
 *            Between turns the thread is no worker: what the host calls then comes from outside, by the inbox, and wakes
 *            the sleeper like any other message. What came between ed_idle_prepare and the last look of a turn is found
 *            by that look or by the descriptor.
 * Threads    As embed.h says. started, status: written by our thread before `started`, or before it is joined.
 * Tests      tests/runtime/embed_test.c. */
#include "eddy/embed.h"
#include "runtime/run.h"

#include <string.h>

struct eddy_runtime {
    struct ed_runtime *core;
    eddy_future *stop; /* (c) what main waits for */
    bool guest;        /* (c) */
    _Atomic bool stopped;
    int status; /* of the start, then of the run */

    pthread_t thread; /* of our own, or the guest's host */
    _Atomic uint32_t started;
    bool resting; /* guest: asleep between turns */
};

static int stand_by(void *arg, eddy_value *out) {
    eddy_runtime *runtime = arg;
    return eddy_await(runtime->stop, out);
}

static int open_runtime(eddy_runtime **runtime_out, const eddy_run_options *options) {
    eddy_runtime *runtime = ed_calloc(sizeof *runtime);
    if (runtime == NULL) return EDDY_ENOMEM;
    int status = ed_run_open(&runtime->core, options);
    if (status < 0) goto free_runtime;
    runtime->stop = ed_future_create_at(runtime->core->sched.workers[0], NULL, NULL);
    status = EDDY_ENOMEM;
    if (runtime->stop == NULL) goto close_core;
    *runtime_out = runtime;
    return 0;

close_core:
    ed_run_close(runtime->core);
free_runtime:
    ed_free(runtime);
    return status;
}

static void free_runtime(eddy_runtime *runtime) {
    eddy_future_release(runtime->stop);
    ed_run_close(runtime->core);
    ed_free(runtime);
}

/* ---- on a thread of its own ----------------------------------------------------------------------------- */

static void *thread_main(void *arg) {
    eddy_runtime *runtime = arg;
    pthread_setname_np(pthread_self(), "eddy-0");
    runtime->status = ed_run_begin(runtime->core, stand_by, runtime);
    bool runs = runtime->status == 0;
    ed_thread_wake(&runtime->started);
    if (runs) ed_run_end(runtime->core);
    return NULL;
}

int eddy_runtime_start(eddy_runtime **runtime_out, const eddy_run_options *options) {
    eddy_runtime *runtime;
    int status = open_runtime(&runtime, options);
    if (status < 0) return status;
    status = ed_thread_create(&runtime->thread, thread_main, runtime);
    if (status == 0) {
        ed_thread_wait(&runtime->started);
        status = runtime->status;
        if (status < 0) pthread_join(runtime->thread, NULL);
    }
    if (status < 0) {
        free_runtime(runtime);
        return status;
    }
    *runtime_out = runtime;
    return 0;
}

/* ---- as a guest ----------------------------------------------------------------------------------------- */

static void come_back(eddy_runtime *runtime) {
    struct ed_worker *worker = runtime->core->sched.workers[0];
    ed_worker_set_current(worker);
    if (!runtime->resting) return;
    runtime->resting = false;
    ed_idle_awake(worker);
    ed_run_unpark_tick(runtime->core);
}

/* Asleep from here on, unless something came meanwhile. */
static bool rest(eddy_runtime *runtime) {
    struct ed_worker *worker = runtime->core->sched.workers[0];
    if (!ed_idle_prepare(worker)) return false;
    ed_guest_poll(worker);
    bool woken = ED_LOAD_SEQCST(&worker->sleep) != ED_SLEEPING;
    if (!woken && !ed_anything_ready(worker) && ed_timers_next(worker) > worker->sched->driver->now(worker)) {
        runtime->resting = true;
        return true;
    }
    ed_idle_awake(worker);
    return false;
}

int eddy_runtime_guest(eddy_runtime **runtime_out, const eddy_run_options *options) {
    eddy_run_options filled = options != NULL ? *options : eddy_run_options_init();
    if (filled.workers == 0) filled.workers = 1;
    eddy_runtime *runtime;
    int status = open_runtime(&runtime, &filled);
    if (status < 0) return status;
    runtime->guest = true;
    runtime->thread = pthread_self();
    status = ed_run_begin(runtime->core, stand_by, runtime);
    if (status < 0) {
        free_runtime(runtime);
        return status;
    }
    struct ed_worker *worker = runtime->core->sched.workers[0];
    ed_guest_poll(worker);               /* from now on the descriptor tells */
    worker->sched->driver->wake(worker); /* that main is to run, first */
    ed_worker_set_current(NULL);
    *runtime_out = runtime;
    return 0;
}

int eddy_runtime_fd(const eddy_runtime *runtime) {
    return runtime->guest && !ED_LOAD_ACQUIRE((_Atomic bool *)&runtime->stopped)
               ? ed_guest_fd(runtime->core->sched.workers[0])
               : -1;
}

static int turn(eddy_runtime *runtime, int64_t budget_ns) {
    struct ed_worker *worker = runtime->core->sched.workers[0];
    const struct ed_driver *driver = worker->sched->driver;
    int64_t until_ns = driver->now(worker) + (budget_ns > 0 ? budget_ns : EDDY_MS(1));
    ed_guest_poll(worker); /* what made the descriptor readable */
    while (!ED_LOAD_SEQCST(&runtime->core->ended)) {
        if (!ed_worker_turn(worker)) {
            if (rest(runtime)) return 0;
        } else if (driver->now(worker) >= until_ns) {
            driver->wake(worker);
            return 1;
        }
    }
    return EDDY_ECLOSED;
}

int eddy_runtime_turn(eddy_runtime *runtime, int64_t budget_ns) {
    if (!runtime->guest || ed_worker_current() != NULL) return EDDY_ESTATE;
    if (!pthread_equal(pthread_self(), runtime->thread)) return EDDY_EWRONGTHREAD;
    if (ED_LOAD_ACQUIRE(&runtime->stopped)) return EDDY_ECLOSED;
    come_back(runtime);
    int status = turn(runtime, budget_ns);
    ed_worker_set_current(NULL);
    return status;
}

/* ---- both ----------------------------------------------------------------------------------------------- */

eddy_loop *eddy_runtime_loop(eddy_runtime *runtime) { return runtime->core->loop; }

int eddy_runtime_stop(eddy_runtime *runtime) {
    if (ed_worker_current() != NULL) return EDDY_EWRONGTHREAD;
    if (runtime->guest && !pthread_equal(pthread_self(), runtime->thread)) return EDDY_EWRONGTHREAD;
    if (ED_EXCHANGE(&runtime->stopped, true)) return EDDY_ESTATE;
    (void)eddy_future_set(runtime->stop, EDDY_NONE); /* ESTATE: SIGINT has cancelled main, and with it this */
    if (runtime->guest) {
        come_back(runtime);
        ed_run_end(runtime->core);
    } else {
        pthread_join(runtime->thread, NULL);
    }
    return runtime->core->status < 0 ? runtime->core->status : 0;
}

void eddy_runtime_release(eddy_runtime *runtime) {
    if (runtime == NULL) return;
    if (!ED_LOAD_ACQUIRE(&runtime->stopped)) ED_PANIC("eddy_runtime_release: the runtime was not stopped");
    free_runtime(runtime);
}
