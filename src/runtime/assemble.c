/* assemble.c: puts a runtime together, and supervises the program in it.
 *
 * Idea       The supervisor is a hidden task on worker 0. It spawns main, waits for it, then does what asyncio.run does:
 *            cancels all other tasks in order of creation, waits for them, reports each failure; tasks spawned meanwhile
 *            get the same. Past the deadline it names who is still alive, again every 30 s. When no task lives,
 *            `ended` is set; executors and workers are then stopped by run.c or simulate.c.
 * Threads    open, close: the thread that calls eddy_run. The supervisor: worker 0.
 * Tests      tests/runtime/run_test.c. */
#include "runtime/assemble.h"

#include "runtime/simulate.h"

#include <stdio.h>
#include <string.h>

enum { SHUTDOWN_SECONDS = 300, REPORT_SECONDS = 30 };

static size_t describe(const struct ed_stack *stack, char *buffer, size_t bytes) { /* in a signal handler */
    const struct ed_fiber *fiber = ED_CONTAINER(stack, struct ed_fiber, stack);
    const eddy_task *task = fiber->task;
    if (task == NULL) return 0;
    size_t used = 0;
    if (task->name[0] != '\0') {
        while (used < bytes && used < sizeof task->name && task->name[used] != '\0') {
            buffer[used] = task->name[used];
            used++;
        }
        return used;
    }
    char digits[24];
    size_t count = 0;
    for (uint64_t id = task->id; count == 0 || id > 0; id /= 10) digits[count++] = (char)('0' + id % 10);
    for (const char *prefix = "Task-"; used < bytes && *prefix != '\0';) buffer[used++] = *prefix++;
    while (used < bytes && count > 0) buffer[used++] = digits[--count];
    return used;
}

static void workers_free(struct ed_runtime *runtime) {
    for (unsigned i = 0; i < runtime->sched.workers_count; i++) {
        struct ed_worker *worker = runtime->sched.workers[i];
        if (worker == NULL) continue;
        ed_tasks_worker_close(worker);
        ed_worker_deinit(worker);
        ed_free_aligned(worker);
    }
    ed_free(runtime->sched.workers);
}

static int workers_create(struct ed_runtime *runtime, unsigned count, uint64_t seed) {
    struct ed_sched *sched = &runtime->sched;
    sched->workers = ed_calloc(count * sizeof sched->workers[0]);
    if (sched->workers == NULL) return EDDY_ENOMEM;
    sched->workers_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct ed_worker *worker = ed_alloc_aligned(_Alignof(struct ed_worker), sizeof *worker);
        if (worker == NULL) return EDDY_ENOMEM;
        int status = ed_worker_init(worker, sched, i, seed * 1000 + i + 1);
        if (status < 0) {
            ed_free_aligned(worker);
            return status;
        }
        sched->workers[i] = worker;
        status = ed_tasks_worker_open(worker);
        if (status < 0) return status;
    }
    return 0;
}

static bool migrate_always, tick_always;

void ed_runtime_migrate_always(bool always) { migrate_always = always; }
void ed_runtime_tick_always(bool always) { tick_always = always; }

int ed_runtime_open(struct ed_runtime **runtime_out, const struct ed_driver *driver, const eddy_run_options *options,
                    unsigned workers, uint64_t seed, const struct ed_stack_options *stacks) {
    struct ed_runtime *runtime = ed_alloc_aligned(_Alignof(struct ed_runtime), sizeof *runtime);
    if (runtime == NULL) return EDDY_ENOMEM;
    memset(runtime, 0, sizeof *runtime);
    runtime->options = *options;
    struct ed_sched *sched = &runtime->sched;
    sched->driver = driver;
    sched->direct_await = !options->no_direct_await;
    sched->debug = options->debug;
    sched->migrate_always = migrate_always;
    sched->tick_always = tick_always;
    sched->migrate = options->migrate || migrate_always;
    sched->max_slices = ED_SLICES_PER_POLL;
    sched->run_start = ed_task_run_start;
    sched->no_stack = ed_task_no_stack;
    sched->runtime = runtime;

    int status = ed_stack_arena_open(&sched->arena, sizeof(struct ed_strand), stacks);
    if (status < 0) goto free_runtime;
    ed_overflow_describe_with(describe);
    status = ed_overflow_install();
    if (status < 0) goto close_arena;
    status = ed_tasks_open(sched, options->on_exception, options->on_exception_arg);
    if (status < 0) goto uninstall;
    status = workers_create(runtime, workers, seed);
    if (status < 0) goto free_workers;
    status = ed_exec_open(sched);
    if (status < 0) goto free_workers;
    *runtime_out = runtime;
    return 0;

free_workers:
    workers_free(runtime);
    ed_tasks_close(sched);
uninstall:
    ed_overflow_uninstall();
close_arena:
    ed_stack_arena_close(sched->arena);
free_runtime:
    ed_free_aligned(runtime);
    return status;
}

void ed_runtime_close(struct ed_runtime *runtime) {
    ed_exec_close(&runtime->sched);
    ed_tasks_report_left(&runtime->sched);
    workers_free(runtime);
    ed_tasks_close(&runtime->sched);
    ed_overflow_uninstall();
    ed_stack_arena_close(runtime->sched.arena);
    ed_free_aligned(runtime);
}

/* ---- the supervisor -------------------------------------------------------------------------------- */

struct living {
    eddy_task **tasks;
    size_t count, capacity;
};

/* References to all tasks that are not done. False: no memory. */
static bool living_collect(struct living *living) {
    for (;;) {
        living->count = eddy_all_tasks(living->tasks, living->capacity);
        if (living->count <= living->capacity) return true;
        for (size_t i = 0; i < living->capacity; i++) eddy_task_release(living->tasks[i]);
        size_t capacity = living->count + 64;
        eddy_task **tasks = ed_realloc(living->tasks, capacity * sizeof tasks[0]);
        if (tasks == NULL) {
            living->count = 0;
            return false;
        }
        living->tasks = tasks;
        living->capacity = capacity;
    }
}

static void report_late(struct ed_runtime *runtime, eddy_task *task) {
    char text[256], message[384], stack[4096];
    int bytes = eddy_task_print_stack(task, stack, sizeof stack);
    if (eddy_future_done(EDDY_FUTURE(task))) return;
    eddy_task_print(task, text, sizeof text);
    snprintf(message, sizeof message, "the run cannot end: still alive after its cancel %.3f s ago%s: %s",
             (double)(eddy_time_ns() - runtime->cancelled_ns) / 1e9,
             bytes == EDDY_EBUSY ? ", and holds its worker" : "", text);
    ed_report_stack(&runtime->sched, EDDY_REPORT_STILL_PENDING, task, message, bytes > 0 ? stack : NULL);
}

/* All that are left, from `first` on; of very many the oldest. */
static void report_all_late(struct ed_runtime *runtime, const struct living *living, size_t first) {
    enum { NAMED_MAX = 64 };
    size_t named = 0, more = 0;
    for (size_t i = first; i < living->count; i++) {
        if (eddy_future_done(EDDY_FUTURE(living->tasks[i]))) continue;
        if (named < NAMED_MAX) {
            report_late(runtime, living->tasks[i]);
            named++;
        } else {
            more++;
        }
    }
    if (more == 0) return;
    char message[96];
    snprintf(message, sizeof message, "the run cannot end: %zu more tasks are still alive", more);
    ed_report(&runtime->sched, &(eddy_report){.kind = EDDY_REPORT_STILL_PENDING, .message = message, .task = ""});
}

/* Waits for a task to end, and names all that are left every REPORT_SECONDS once the deadline has passed. */
static void wait_for_end(struct ed_runtime *runtime, const struct living *living, size_t index) {
    eddy_future *future = EDDY_FUTURE(living->tasks[index]);
    while (!eddy_future_done(future)) {
        int64_t left_ns = runtime->deadline_ns - eddy_time_ns();
        int done = eddy_wait(&future, 1, left_ns > 0 ? left_ns : 1, EDDY_ALL_COMPLETED, NULL);
        if (done == 0) {
            report_all_late(runtime, living, index);
            runtime->deadline_ns = eddy_time_ns() + EDDY_SECONDS(REPORT_SECONDS);
        } else if (done < 0) {
            (void)ed_await_hooked(future, NULL, "shutdown", NULL, NULL); /* no memory to watch the deadline */
        }
    }
}

static void end_all_tasks(struct ed_runtime *runtime) {
    struct living living = {NULL, 0, 0};
    for (;;) {
        bool collected = living_collect(&living);
        if (collected && living.count == 0 && ed_tasks_refuse(&runtime->sched)) break; /* after one more look */
        runtime->cancelled_ns = eddy_time_ns();
        for (size_t i = 0; i < living.count; i++) eddy_cancel(EDDY_FUTURE(living.tasks[i]));
        for (size_t i = 0; i < living.count; i++) {
            eddy_task *task = living.tasks[i];
            wait_for_end(runtime, &living, i);
            int status = task->future.status;
            bool seen = (ED_LOAD_RELAXED(&task->future.word) & ED_RETRIEVED) != 0;
            if (status < 0 && status != EDDY_ECANCELED && !seen)
                ed_report_task(&runtime->sched, EDDY_REPORT_SHUTDOWN, task, "a task failed while the run was ending",
                               status, eddy_future_error(EDDY_FUTURE(task)));
            eddy_task_release(task);
        }
        if (!collected) (void)eddy_yield(); /* no memory for the list: tasks that end make room */
    }
    ed_free(living.tasks);
}

/* Waits for main, and reads how it ended. */
static int main_ends(struct ed_runtime *runtime, const char *name) {
    eddy_future *main = EDDY_FUTURE(runtime->main), *either[] = {main, runtime->given_up};
    int status = either[1] == NULL ? EDDY_ENOMEM : eddy_wait(either, 2, EDDY_FOREVER, EDDY_FIRST_COMPLETED, NULL);
    if (status < 0) (void)ed_await_hooked(main, NULL, "main", NULL, NULL); /* no memory to watch for SIGINT as well */
    if (!eddy_future_done(main)) return EDDY_EINTERRUPTED;
    status = eddy_future_take(main, &runtime->value);
    if (status == EDDY_ECANCELED && runtime->interrupts > 0 && eddy_task_uncancel(runtime->main) == 0)
        return EDDY_EINTERRUPTED;
    const eddy_error *error = eddy_future_error(main);
    if (error != NULL) {
        char text[2048];
        ed_error_print(error, name, text, sizeof text);
        fprintf(stderr, "eddy: task \"%s\" failed: %s\n", name, text);
    }
    return status;
}

static int supervise(void *arg, eddy_value *out) {
    (void)out;
    struct ed_runtime *runtime = arg;
    struct ed_worker *worker = runtime->sched.workers[0];
    eddy_task_options options = eddy_task_options_init();
    options.name = runtime->options.name != NULL ? runtime->options.name : "main";
    options.stack_bytes = 256 * 1024;
    if (runtime->options.serial) options.loop = runtime->loop;
    if (runtime->sched.migrate && !runtime->options.serial) options.migrate = EDDY_MIGRATE;
    int status = ed_spawn_on(worker, &runtime->main, runtime->fn, runtime->arg, &options, 0);
    if (status == 0) {
        status = ed_interrupt_open(runtime);
        if (status < 0) eddy_cancel(EDDY_FUTURE(runtime->main));
        int ended = main_ends(runtime, options.name);
        if (status == 0) status = ended;
    }
    runtime->status = status;
    int64_t grace_ns = runtime->options.shutdown_ns > 0 ? runtime->options.shutdown_ns : EDDY_SECONDS(SHUTDOWN_SECONDS);
    runtime->deadline_ns = eddy_time_ns() + grace_ns;
    end_all_tasks(runtime);
    ed_interrupt_close(runtime);
    eddy_task_release(runtime->main);
    ED_STORE_SEQCST(&runtime->ended, true);
    return 0;
}

int ed_runtime_start(struct ed_runtime *runtime, eddy_coro_fn fn, void *arg) {
    runtime->fn = fn;
    runtime->arg = arg;
    runtime->loop = &ed_tasks_of(&runtime->sched)->loop;
    int status = runtime->options.serial ? ed_domain_open_on(runtime->sched.workers[0], &runtime->loop) : 0;
    if (status < 0) return status;
    struct ed_stack *stack; /* the supervisor's: without one nobody would ever set `ended` */
    status = ed_stack_get(&runtime->sched.workers[0]->stacks, ED_STACK_64K, &stack);
    if (status < 0) return status;
    ed_stack_put(&runtime->sched.workers[0]->stacks, stack);
    eddy_task_options options = eddy_task_options_init();
    options.name = "eddy_run";
    return ed_spawn_on(runtime->sched.workers[0], NULL, supervise, runtime, &options, ED_HIDDEN);
}

void ed_runtime_drain(struct ed_worker *worker) {
    do { /* done callbacks of the last tasks; user callbacks that are queued do not run any more */
        while (ed_worker_turn(worker)) {
        }
        ed_handle_drop_timers(worker);
    } while (ed_anybody_waits(worker));
}
