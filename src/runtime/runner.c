/* runner.c: several mains one after the other in one runtime: asyncio.Runner.
 *
 * Problem    A host that calls into eddy now and then, from a thread of its own, wants its workers, pools and tasks kept
 *            in between; eddy_run starts and ends everything.
 * Idea       A thread of the runner's own is in eddy_run, whose main, the keeper, waits until the runner is closed. A run
 *            is handed in by a message: a hidden task, the server, spawns its main, waits for it as the supervisor of a run
 *            does (assemble.c), and tells the thread that waits in eddy_runner_run.
 * SIGINT     A server catches it for as long as its main runs: the first cancels that main, the second stops waiting for
 *            it. What then still runs ends when the runner is closed.
 * Threads    open, run, close: one plain thread at a time. The server and the keeper: worker 0.
 * Tests      tests/runtime/runner_test.c. */
#include "runtime/assemble.h"

#include <signal.h>
#include <stdio.h>

enum state { STARTING, OPEN, OVER };

struct eddy_runner {
    eddy_run_options options; /* (c) */
    pthread_t thread;
    pthread_mutex_t mutex; /* state, status, job done */
    pthread_cond_t changed;
    enum state state;
    int status;          /* of eddy_run */
    eddy_loop *loop;     /* (c) while OPEN: what mains run on */
    eddy_future *closed; /* (c) while OPEN: the keeper waits for it */
};

struct job {
    eddy_runner *runner;
    eddy_coro_fn fn;
    void *arg;
    eddy_task *main;
    eddy_signal *interrupt;
    eddy_future *given_up; /* set by the second SIGINT */
    unsigned interrupts;
    int status;
    eddy_value value;
    bool done; /* under the runner's mutex */
};

/* ---- one run ------------------------------------------------------------------------------------- */

static int watch(void *arg, eddy_value *out) {
    (void)out;
    struct job *job = arg;
    while (eddy_signal_wait(job->interrupt) > 0) {
        if (++job->interrupts == 1)
            eddy_cancel(EDDY_FUTURE(job->main));
        else
            (void)eddy_future_set(job->given_up, EDDY_NONE);
    }
    return 0;
}

/* Waits for `future`, or either of two, whoever is cancelled meanwhile. */
static void wait_for(eddy_future *const *futures, size_t count) {
    while (eddy_wait(futures, count, EDDY_FOREVER, EDDY_FIRST_COMPLETED, NULL) == EDDY_ENOMEM) (void)eddy_yield();
}

static int result_of(struct job *job, const char *name) {
    eddy_future *main = EDDY_FUTURE(job->main);
    if (!eddy_future_done(main)) {
        eddy_cancel(main);
        return EDDY_EINTERRUPTED;
    }
    int status = eddy_future_take(main, &job->value);
    if (status == EDDY_ECANCELED && job->interrupts > 0 && eddy_task_uncancel(job->main) == 0) return EDDY_EINTERRUPTED;
    const eddy_error *error = eddy_future_error(main);
    if (error != NULL) {
        char text[2048];
        ed_error_print(error, name, text, sizeof text);
        fprintf(stderr, "eddy: task \"%s\" failed: %s\n", name, text);
    }
    return status;
}

static void run_main(struct job *job) {
    const eddy_run_options *run = &job->runner->options;
    struct ed_sched *sched = job->runner->loop->sched;
    eddy_task *watcher = NULL;
    eddy_task_options options = eddy_task_options_init();
    options.name = run->name != NULL ? run->name : "main";
    options.stack_bytes = 256 * 1024;
    if (sched->migrate && !run->serial) options.migrate = EDDY_MIGRATE;
    job->given_up = eddy_future_create();
    job->status = job->given_up == NULL ? EDDY_ENOMEM : 0;
    if (job->status == 0 && run->handle_sigint) job->status = eddy_signal_open(&job->interrupt, SIGINT);
    if (job->status == 0) job->status = eddy_spawn_at(NULL, &job->main, job->fn, job->arg, &options);
    if (job->status == 0 && job->interrupt != NULL) {
        eddy_task_options hidden = eddy_task_options_init();
        hidden.name = "SIGINT";
        hidden.loop = job->runner->loop;
        job->status = ed_spawn_on(sched->workers[0], &watcher, watch, job, &hidden, ED_HIDDEN);
        if (job->status < 0) eddy_cancel(EDDY_FUTURE(job->main));
    }
    if (job->main != NULL) {
        eddy_future *either[] = {EDDY_FUTURE(job->main), job->given_up};
        wait_for(either, 2);
        int status = result_of(job, options.name);
        if (job->status == 0) job->status = status;
        eddy_task_release(job->main);
    }
    if (job->interrupt != NULL) eddy_signal_close(job->interrupt);
    if (watcher != NULL) {
        eddy_future *future = EDDY_FUTURE(watcher);
        wait_for(&future, 1);
        eddy_task_release(watcher);
    }
    eddy_future_release(job->given_up);
}

static int serve(void *arg, eddy_value *out) {
    (void)out;
    struct job *job = arg;
    eddy_runner *runner = job->runner;
    run_main(job);
    eddy_handled();
    pthread_mutex_lock(&runner->mutex);
    job->done = true; /* from here on it is the waiting thread's */
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->mutex);
    return 0;
}

/* ---- the runner ------------------------------------------------------------------------------------ */

static int keep(void *arg, eddy_value *out) {
    (void)out;
    eddy_runner *runner = arg;
    ED_OR(&eddy_current_task()->future.word, ED_HIDDEN); /* no task of the program's */
    eddy_future *closed = eddy_future_create();
    if (closed == NULL) return EDDY_ENOMEM;
    pthread_mutex_lock(&runner->mutex);
    runner->loop = eddy_loop_current();
    runner->closed = closed;
    runner->state = OPEN;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->mutex);
    while (!eddy_future_done(closed)) wait_for(&closed, 1);
    eddy_future_release(closed);
    return 0;
}

static void *runner_main(void *arg) {
    eddy_runner *runner = arg;
    eddy_run_options options = runner->options;
    options.handle_sigint = false;
    options.name = "eddy_runner";
    int status = eddy_run(keep, runner, NULL, &options);
    pthread_mutex_lock(&runner->mutex);
    runner->state = OVER;
    runner->status = status;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->mutex);
    return NULL;
}

static int runner_free(eddy_runner *runner) {
    int status = runner->status;
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->mutex);
    ed_free(runner);
    return status;
}

int eddy_runner_open(eddy_runner **runner_out, const eddy_run_options *options) {
    if (ed_worker_current() != NULL) return EDDY_ESTATE;
    if (options != NULL && options->size != sizeof *options) return EDDY_EINVAL;
    eddy_runner *runner = ed_calloc(sizeof *runner);
    if (runner == NULL) return EDDY_ENOMEM;
    runner->options = options != NULL ? *options : eddy_run_options_init();
    pthread_mutex_init(&runner->mutex, NULL);
    pthread_cond_init(&runner->changed, NULL);
    int status = ed_thread_create(&runner->thread, runner_main, runner);
    if (status < 0) {
        runner->status = status;
        return runner_free(runner);
    }
    pthread_mutex_lock(&runner->mutex);
    while (runner->state == STARTING) pthread_cond_wait(&runner->changed, &runner->mutex);
    const bool open = runner->state == OPEN;
    pthread_mutex_unlock(&runner->mutex);
    if (!open) {
        pthread_join(runner->thread, NULL);
        return runner_free(runner);
    }
    *runner_out = runner;
    return 0;
}

eddy_loop *eddy_runner_loop(const eddy_runner *runner) { return runner->loop; }

int eddy_runner_run(eddy_runner *runner, eddy_coro_fn fn, void *arg, eddy_value *value_out) {
    if (ed_worker_current() != NULL) return EDDY_ESTATE;
    if (fn == NULL) return EDDY_EINVAL;
    struct job job = {.runner = runner, .fn = fn, .arg = arg};
    eddy_task_options options = eddy_task_options_init();
    options.name = "eddy_runner_run";
    options.loop = runner->loop;
    int status = ed_spawn_on(runner->loop->sched->workers[0], NULL, serve, &job, &options, ED_HIDDEN);
    if (status < 0) return status;
    pthread_mutex_lock(&runner->mutex);
    while (!job.done) pthread_cond_wait(&runner->changed, &runner->mutex);
    pthread_mutex_unlock(&runner->mutex);
    if (job.status >= 0 && value_out != NULL) *value_out = job.value;
    return job.status;
}

int eddy_runner_close(eddy_runner *runner) {
    if (runner == NULL) return 0;
    if (ed_worker_current() != NULL) return EDDY_ESTATE;
    (void)eddy_future_set(runner->closed, EDDY_NONE);
    pthread_join(runner->thread, NULL);
    return runner_free(runner);
}
