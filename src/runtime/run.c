/* run.c: a run: worker threads, the tick thread, the order of the end.
 *
 * Start     the caller is worker 0; others start as threads; all have their driver open before main starts.
 * End       the supervisor sets `ended` -> worker 0 leaves its loop and shuts the executors down -> `stopping`: all leave
 *           their loops, net/ closes what is open, each runs what is left, refuses messages, closes its driver -> joined.
 * Tick      While any worker is awake a thread wakes every ED_TICK_NS, sets ED_TICK in the awake ones' attention and notes
 *           how long each has not visited its scheduler. When all sleep it parks: store tick_parked, look at every
 *           worker; a worker that wakes stores AWAKE, then looks at tick_parked (both seq_cst: one sees the other).
 *           A second later it gives the memory of free stacks back.
 * Held      A worker that has not visited its scheduler for ED_HELD_NS cannot accept: the tick sends another one to do it.
 * Threads   As run.h says; eddy_run: any that is no worker.
 * Tests     tests/runtime/run_test.c. */

#include "runtime/run.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the tick -------------------------------------------------------------------------------------- */

static void forget_the_past(struct ed_runtime *runtime) {
    int64_t now_ns = ed_clock_ns();
    for (unsigned i = 0; i < runtime->sched.workers_count; i++) runtime->watches[i].since_ns = now_ns;
}

static void arrive_visit(struct ed_message *message, struct ed_worker *worker) {
    struct ed_watch *watch = ED_CONTAINER(message, struct ed_watch, visit);
    ED_STORE_RELEASE(&watch->visit_sent, false); /* it may be sent again from here on */
    ed_net_visit(worker, watch->worker);
}

/* A worker that is not held accepts for one that is. */
static void send_visitor(struct ed_runtime *runtime, struct ed_watch *watch) {
    if (ED_LOAD_RELAXED(&runtime->sched.listeners) == 0) return;
    unsigned count = runtime->sched.workers_count;
    for (unsigned i = 1; i < count; i++) {
        const struct ed_watch *other = &runtime->watches[(watch->worker->index + i) % count];
        if (other->held) continue;
        if (ED_EXCHANGE(&watch->visit_sent, true)) return;
        watch->visit.arrive = arrive_visit;
        if (ed_post(other->worker, &watch->visit) < 0) ED_STORE_RELEASE(&watch->visit_sent, false); /* the run ends */
        return;
    }
}

/* True if any worker is awake. */
static bool tick_workers(struct ed_runtime *runtime) {
    bool awake = false;
    int64_t now_ns = ed_clock_ns();
    for (unsigned i = 0; i < runtime->sched.workers_count; i++) {
        struct ed_worker *worker = runtime->sched.workers[i];
        struct ed_watch *watch = &runtime->watches[i];
        uint64_t slices = ED_LOAD_RELAXED(&worker->counts.slices);
        bool asleep = ED_LOAD_SEQCST(&worker->sleep) == ED_SLEEPING;
        if (asleep || slices != watch->slices) {
            watch->slices = slices;
            watch->since_ns = now_ns;
        }
        int64_t held_ns = now_ns - watch->since_ns;
        watch->held = held_ns >= ED_HELD_NS;
        if (watch->held) send_visitor(runtime, watch);
        if (runtime->watchdog != NULL) ed_watchdog_look(runtime->watchdog, worker, held_ns, slices);
        if (asleep) continue;
        awake = true;
        if (held_ns > ED_LOAD_RELAXED(&worker->counts.held_ns_max))
            ED_STORE_RELAXED(&worker->counts.held_ns_max, held_ns);
        if (!(ED_LOAD_RELAXED(&worker->attention) & ED_TICK)) ED_OR(&worker->attention, ED_TICK);
    }
    if (awake) ed_stack_arena_trim_old(runtime->sched.arena, now_ns);
    return awake;
}

/* All sleep. If they still do after TRIM_AFTER_S, some free stacks give their memory back; a worker that wakes is not kept
 * waiting for it. Under the mutex, which is released meanwhile. True: there is nothing left to trim. */
static bool trim_when_idle(struct ed_runtime *runtime) {
    enum { TRIM_AFTER_S = 1 };
    if (!runtime->trimming) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until); /* the condition's clock */
        until.tv_sec += TRIM_AFTER_S;
        runtime->trimming = pthread_cond_timedwait(&runtime->changed, &runtime->mutex, &until) != 0;
        return false;
    }
    pthread_mutex_unlock(&runtime->mutex);
    bool more = ed_stack_arena_trim(runtime->sched.arena);
    pthread_mutex_lock(&runtime->mutex);
    runtime->trimming = more;
    return !more;
}

static void *tick_main(void *arg) {
    struct ed_runtime *runtime = arg;
    forget_the_past(runtime);
    pthread_mutex_lock(&runtime->mutex);
    while (!runtime->tick_stop) {
        pthread_mutex_unlock(&runtime->mutex);
        nanosleep(&(struct timespec){.tv_nsec = ED_TICK_NS}, NULL);
        bool awake = tick_workers(runtime);
        pthread_mutex_lock(&runtime->mutex);
        if (awake) continue;
        ED_STORE_SEQCST(&runtime->tick_parked, true);
        bool trimmed = false;
        while (!runtime->tick_stop && !tick_workers(runtime) && ED_LOAD_SEQCST(&runtime->tick_parked)) {
            if (trimmed)
                pthread_cond_wait(&runtime->changed, &runtime->mutex);
            else
                trimmed = trim_when_idle(runtime);
        }
        ED_STORE_SEQCST(&runtime->tick_parked, false);
        runtime->trimming = false;
        forget_the_past(runtime); /* nobody was held while nobody watched */
    }
    pthread_mutex_unlock(&runtime->mutex);
    return NULL;
}

static void tick_unpark(struct ed_runtime *runtime) {
    if (ED_LIKELY(!ED_LOAD_SEQCST(&runtime->tick_parked))) return;
    pthread_mutex_lock(&runtime->mutex);
    ED_STORE_SEQCST(&runtime->tick_parked, false);
    pthread_cond_broadcast(&runtime->changed);
    pthread_mutex_unlock(&runtime->mutex);
}

/* ---- workers --------------------------------------------------------------------------------------- */

static void worker_loop(struct ed_worker *worker, _Atomic bool *until) {
    struct ed_runtime *runtime = worker->sched->runtime;
    while (!ED_LOAD_SEQCST(until)) {
        if (ed_worker_turn(worker)) continue;
        if (!ed_idle_prepare(worker)) continue;
        if (!ED_LOAD_SEQCST(until)) worker->sched->driver->poll(worker, ed_timers_next(worker));
        ed_worker_polled(worker);
        ed_idle_awake(worker);
        tick_unpark(runtime);
    }
}

/* Waits until every worker has come here. */
static void barrier(struct ed_runtime *runtime, unsigned *count) {
    pthread_mutex_lock(&runtime->mutex);
    unsigned all = runtime->sched.workers_count;
    unsigned round = *count / all;
    if (++*count % all == 0) pthread_cond_broadcast(&runtime->changed);
    while (*count / all == round) pthread_cond_wait(&runtime->changed, &runtime->mutex);
    pthread_mutex_unlock(&runtime->mutex);
}

static int worker_enter(struct ed_worker *worker, void **overflow_out) {
    struct ed_runtime *runtime = worker->sched->runtime;
    ed_worker_set_current(worker);
    ed_context_init_thread(&worker->main);
    int status = ed_overflow_thread_enter(overflow_out);
    if (status < 0) goto leave;
    status = worker->sched->driver->open(worker);
    if (status < 0) goto leave_overflow;
    if (runtime->watchdog != NULL) ed_watchdog_enter(runtime->watchdog, worker);
    return 0;

leave_overflow:
    ed_overflow_thread_leave(*overflow_out);
leave:
    ed_context_deinit_thread(&worker->main);
    ed_worker_set_current(NULL);
    return status;
}

/* The driver is closed: the thread is no worker any more. */
static void thread_leave(struct ed_worker *worker, void *overflow) {
    struct ed_runtime *runtime = worker->sched->runtime;
    if (runtime->watchdog != NULL) ed_watchdog_leave(runtime->watchdog, worker);
    ed_overflow_thread_leave(overflow);
    ed_context_deinit_thread(&worker->main);
    ed_worker_set_current(NULL);
}

static void worker_leave(struct ed_worker *worker, void *overflow) {
    struct ed_runtime *runtime = worker->sched->runtime;
    ed_net_worker_close(worker);
    ed_runtime_drain(worker);
    barrier(runtime, &runtime->stopped); /* what others sent has been sent */
    ed_worker_close_inbox(worker);
    ed_runtime_drain(worker);
    worker->sched->driver->close(worker);
    barrier(runtime, &runtime->stopped); /* nobody wakes a closed driver */
    thread_leave(worker, overflow);
}

/* All workers learn whether all could start. */
static int start_barrier(struct ed_runtime *runtime, int status) {
    pthread_mutex_lock(&runtime->mutex);
    if (status < 0 && runtime->start_status == 0) runtime->start_status = status;
    pthread_mutex_unlock(&runtime->mutex);
    barrier(runtime, &runtime->started);
    return runtime->start_status;
}

static void *worker_main(void *arg) {
    struct ed_worker *worker = arg;
    struct ed_runtime *runtime = worker->sched->runtime;
    char name[16];
    snprintf(name, sizeof name, "eddy-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    void *overflow = NULL;
    int status = worker_enter(worker, &overflow);
    bool entered = status == 0;
    if (start_barrier(runtime, status) == 0) {
        worker_loop(worker, &runtime->sched.stopping);
        worker_leave(worker, overflow);
    } else if (entered) {
        worker->sched->driver->close(worker);
        thread_leave(worker, overflow);
    }
    return NULL;
}

/* A thread for each worker but 0, and for the tick. */
static int threads_start(struct ed_runtime *runtime, pthread_t *tick_out) {
    unsigned started = 1;
    int status = ed_thread_create(tick_out, tick_main, runtime);
    bool ticks = status == 0;
    while (status == 0 && started < runtime->sched.workers_count) {
        status = ed_thread_create(&runtime->threads[started], worker_main, runtime->sched.workers[started]);
        if (status == 0) started++;
    }
    if (status == 0) return 0;

    pthread_mutex_lock(&runtime->mutex); /* those that did start wait in the barrier: count the missing ones in */
    runtime->start_status = status;
    runtime->started += runtime->sched.workers_count - started + 1;
    pthread_cond_broadcast(&runtime->changed);
    runtime->tick_stop = true;
    pthread_mutex_unlock(&runtime->mutex);
    for (unsigned i = 1; i < started; i++) pthread_join(runtime->threads[i], NULL);
    if (ticks) pthread_join(*tick_out, NULL);
    return status;
}

static void stop_all(struct ed_runtime *runtime) {
    ED_STORE_SEQCST(&runtime->sched.stopping, true); /* partner: ed_idle_prepare's last look */
    for (unsigned i = 0; i < runtime->sched.workers_count; i++) ed_idle_wake(runtime->sched.workers[i]);
}

static void threads_join(struct ed_runtime *runtime) {
    for (unsigned i = 1; i < runtime->sched.workers_count; i++) pthread_join(runtime->threads[i], NULL);
    pthread_mutex_lock(&runtime->mutex);
    runtime->tick_stop = true;
    pthread_cond_broadcast(&runtime->changed);
    pthread_mutex_unlock(&runtime->mutex);
    pthread_join(runtime->tick, NULL);
    ed_net_close(&runtime->sched);
}

int ed_run_begin(struct ed_runtime *runtime, eddy_coro_fn fn, void *arg) {
    struct ed_worker *worker = runtime->sched.workers[0];
    int status = threads_start(runtime, &runtime->tick);
    if (status < 0) return status;
    status = worker_enter(worker, &runtime->overflow);
    bool entered = status == 0;
    status = start_barrier(runtime, status);
    if (status == 0) {
        status = ed_runtime_start(runtime, fn, arg); /* only now: nothing of the program runs unless all could start */
        if (status == 0) return 0;
        stop_all(runtime);
        worker_leave(worker, runtime->overflow);
    } else if (entered) {
        worker->sched->driver->close(worker);
        thread_leave(worker, runtime->overflow);
    }
    threads_join(runtime);
    return status;
}

void ed_run_end(struct ed_runtime *runtime) {
    struct ed_worker *worker = runtime->sched.workers[0];
    worker_loop(worker, &runtime->ended);
    ed_exec_shutdown(&runtime->sched, runtime->deadline_ns);
    stop_all(runtime);
    worker_leave(worker, runtime->overflow);
    threads_join(runtime);
}

void ed_run_unpark_tick(struct ed_runtime *runtime) { tick_unpark(runtime); }

static unsigned usable_cores(void) {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
    return (unsigned)CPU_COUNT(&cores);
}

/* libuv aborts when its own descriptors get the numbers 0 to 2: a program that was started without them gets /dev/null. */
static ED_SYSCALL int fill_standard_descriptors(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0) return -errno;
    } while (fd <= 2);
    close(fd);
    return 0;
}

static bool asked_for(const char *variable) {
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' && strcmp(text, "0") != 0;
}

int ed_run_open(struct ed_runtime **runtime_out, const eddy_run_options *options) {
    ed_process_check_marker();
    if (ed_worker_current() != NULL) return EDDY_ESTATE; /* R1 */
    if (options != NULL && options->size != sizeof *options) return EDDY_EINVAL;
    eddy_run_options filled = options != NULL ? *options : eddy_run_options_init();
    if (filled.workers == 0) filled.workers = usable_cores();
    if (filled.workers > ED_WORKERS_MAX) return EDDY_ELIMIT;
    if (asked_for("EDDY_DEBUG")) filled.debug = true;
    if (asked_for("EDDY_INSPECT")) filled.inspect = true;
    int status = fill_standard_descriptors();
    if (status < 0) return status;
    struct ed_runtime *runtime;
    status = ed_runtime_open(&runtime, &ed_uv_driver, &filled, filled.workers, (uint64_t)ed_clock_ns(), NULL);
    if (status < 0) return status;
    pthread_mutex_init(&runtime->mutex, NULL);
    pthread_cond_init(&runtime->changed, NULL);
    runtime->threads = ed_calloc(filled.workers * sizeof runtime->threads[0]);
    runtime->watches = ed_calloc(filled.workers * sizeof runtime->watches[0]);
    status = runtime->threads != NULL && runtime->watches != NULL ? 0 : EDDY_ENOMEM;
    for (unsigned i = 0; status == 0 && i < filled.workers; i++) runtime->watches[i].worker = runtime->sched.workers[i];
    if (status == 0 && filled.debug)
        status =
            ed_watchdog_open(&runtime->watchdog, &runtime->sched, filled.slow_ns > 0 ? filled.slow_ns : EDDY_MS(100));
    if (filled.debug) runtime->sched.listener = &ed_debug_listener;
    if (status == 0 && filled.inspect) status = ed_inspector_open(&runtime->inspector, &runtime->sched);
    if (status < 0) {
        ed_run_close(runtime);
        return status;
    }
    *runtime_out = runtime;
    return 0;
}

void ed_run_close(struct ed_runtime *runtime) {
    ed_inspector_close(runtime->inspector);
    ed_watchdog_close(runtime->watchdog);
    ed_free(runtime->watches);
    ed_free(runtime->threads);
    pthread_cond_destroy(&runtime->changed);
    pthread_mutex_destroy(&runtime->mutex);
    ed_runtime_close(runtime);
}

int eddy_run(eddy_coro_fn fn, void *arg, eddy_value *value_out, const eddy_run_options *options) {
    if (fn == NULL) return EDDY_EINVAL;
    struct ed_runtime *runtime;
    int status = ed_run_open(&runtime, options);
    if (status < 0) return status;
    status = ed_run_begin(runtime, fn, arg);
    if (status == 0) {
        ed_run_end(runtime);
        status = runtime->status;
        if (status >= 0 && value_out != NULL) *value_out = runtime->value;
    }
    ed_run_close(runtime);
    return status;
}
