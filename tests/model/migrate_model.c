/* migrate_model.c: a started task goes from worker to worker while it is cancelled and completed: it runs on one of them
 * at a time, from a saved stack, ends once, and no request is lost. Real workers (worker.c's pass, migrate.c) switch real
 * stacks, and the real files of task/ run on them; who is asleep is left to idle_model.c.
 * Sources src/sched/worker.c src/sched/migrate.c src/sched/timers.c src/base/heap.c src/lockfree/deque.c
 * Sources src/task/bias.c src/task/future.c src/task/waiter.c
 * Sources src/task/cancel.c src/task/wait.c src/task/task.c src/task/spawn.c src/task/names.c src/task/group.c
 * Sources src/task/error.c src/base/status.c
 * Smaller src/lockfree/deque.c s/FIRST_CAPACITY = 64/FIRST_CAPACITY = 4/ */
#include "explorer.h"
#include "messages.h"
#include "no_debug.h"
#include "task/task.h"

enum { WORKERS = 2, STACKS = 4, STACK_BYTES = 64 * 1024 };

static struct ed_sched *sched;
static struct ed_worker *workers;
static struct ed_strand *strands;
static _Alignas(16) char stacks[STACKS][STACK_BYTES];
static struct ed_stack *pools[WORKERS]; /* as a worker's own: what ended there starts there again */
static unsigned stacks_made;
static eddy_future *future;
static eddy_task *task, *other;
static unsigned entered, ended;

/* ---- a stack runs on one worker at a time ------------------------------------------------------------- */

/* Contexts are known to the hook of the switch by what `tsan_fiber` points to. */
struct place {
    bool running;
    bool over; /* given back to a pool */
};
static struct place places[STACKS + WORKERS];
static struct place *on[MODEL_THREADS];

void __tsan_switch_to_fiber(void *to, unsigned flags) {
    struct place *place = to;
    (void)flags;
    on[model_self()]->running = false;
    MODEL_CHECK(!place->running && !place->over);
    place->running = true;
    on[model_self()] = place;
}

int ed_stack_get(struct ed_stack_pool *pool, enum ed_stack_class class_, struct ed_stack **stack_out) {
    struct ed_stack **mine = &pools[ED_CONTAINER(pool, struct ed_worker, stacks) - workers];
    struct ed_stack *stack = *mine;
    if (stack != NULL) {
        *mine = stack->next;
    } else {
        MODEL_CHECK(stacks_made < STACKS);
        stack = &strands[stacks_made].fiber.stack;
        stack->context.stack_low = stacks[stacks_made];
        stack->context.stack_bytes = STACK_BYTES;
        stack->context.tsan_fiber = &places[stacks_made++];
    }
    ((struct place *)stack->context.tsan_fiber)->over = false;
    stack->class_ = (uint8_t)class_;
    *stack_out = stack;
    return 0;
}
void ed_stack_put(struct ed_stack_pool *pool, struct ed_stack *stack) {
    struct ed_stack **mine = &pools[ED_CONTAINER(pool, struct ed_worker, stacks) - workers];
    ((struct place *)stack->context.tsan_fiber)->over = true;
    stack->next = *mine;
    *mine = stack;
}
void ed_stack_pool_init(struct ed_stack_pool *pool, struct ed_stack_arena *arena) { (void)pool, (void)arena; }
void ed_stack_pool_deinit(struct ed_stack_pool *pool) { (void)pool; }

/* ---- what the files need of others --------------------------------------------------------------------- */

void ed_scope_check(struct ed_strand *strand) { (void)strand; }
void ed_scope_leave(struct ed_strand *strand) { (void)strand; }
void ed_scope_alarm(struct ed_timer *alarm) { (void)alarm; }
void ed_idle_wake(struct ed_worker *worker) { (void)worker; } /* who sleeps looks at its inbox all the time */
void ed_idle_notify(struct ed_worker *worker) { (void)worker; }
bool ed_idle_search_begin(struct ed_worker *worker) { return worker == NULL; }
bool ed_idle_search_end(struct ed_worker *worker) { return worker == NULL; }
void ed_want_work(struct ed_worker *worker) { (void)worker; }
void ed_publish(struct ed_worker *worker, uint64_t keep) { (void)worker, (void)keep; }
struct ed_start *ed_steal(struct ed_worker *worker) {
    (void)worker;
    return NULL;
}
struct ed_sched *ed_sched_visited(void) {
    return NULL;
}
void ed_report(struct ed_sched *of, const eddy_report *report) { (void)of, (void)report; }
void ed_report_task(struct ed_sched *of, enum eddy_report_kind kind, eddy_task *whose, const char *message, int status,
                    const eddy_error *error) {
    (void)of, (void)kind, (void)whose, (void)message, (void)status, (void)error;
}
eddy_task *ed_slab_get_from(struct ed_sched *of, struct ed_worker *worker) {
    (void)worker;
    eddy_task *fresh = ed_calloc(sizeof *fresh);
    if (fresh != NULL) ed_task_clean(fresh, of);
    return fresh;
}
void ed_slab_put(eddy_task *freed) { ed_free(freed); }
void ed_slab_put_plain(eddy_task *freed) { ed_free(freed); }
void ed_slab_each(struct ed_sched *of, bool (*visit)(eddy_task *, void *), void *arg) {
    (void)of, (void)visit, (void)arg;
}
void eddy_context_release(eddy_context *context) { (void)context; }
eddy_context *eddy_context_share(eddy_context *context) { return context; }
eddy_context **ed_context_of_thread(void) {
    static eddy_context *none;
    return &none;
}
static bool holds_io(struct ed_worker *worker) { return worker == NULL; }
enum { NOW_NS = 100 }; /* it stands still */
static int64_t now_ns(struct ed_worker *worker) { return worker != NULL ? NOW_NS : 0; }
static const struct ed_driver driver = {.holds_io = holds_io, .now = now_ns};

/* ---- setting up ---------------------------------------------------------------------------------------- */

static void setup(void) {
    sched = model_alloc(sizeof *sched);
    workers = model_alloc(sizeof *workers * WORKERS);
    strands = model_alloc(sizeof *strands * STACKS);
    sched->workers = model_alloc(sizeof *sched->workers * WORKERS);
    sched->workers_count = WORKERS;
    sched->driver = &driver;
    sched->run_start = ed_task_run_start;
    sched->no_stack = ed_task_no_stack;
    sched->max_slices = 2;
    sched->direct_await = true;
    sched->migrate = sched->migrate_always = true;
    static const char *const inboxes[] = {"inbox_0", "inbox_1"};
    for (unsigned i = 0; i < WORKERS; i++) {
        struct ed_worker *worker = sched->workers[i] = &workers[i];
        MODEL_CHECK(ed_worker_init(worker, sched, i, i) == 0);
        worker->slab = model_alloc(sizeof(struct ed_slab_cache)); /* empty: each record is made anew */
        worker->main.tsan_fiber = &places[STACKS + i];
        model_figures(&worker->counts, sizeof worker->counts);
        model_figures(&worker->attention, sizeof worker->attention);
        model_name(&worker->inbox.head, inboxes[i]);
        pools[i] = NULL;
    }
    static const char *const hosts[] = {"host_0", "host_1", "host_2", "host_3"};
    for (unsigned i = 0; i < STACKS; i++) model_name(&strands[i].fiber.worker, hosts[i]);
    for (unsigned i = 0; i < STACKS + WORKERS; i++) places[i] = (struct place){false, false};
    model_stacks_elsewhere();
    stacks_made = entered = ended = 0;
    task = other = NULL;
    model_set_worker(&workers[0]);
    future = eddy_future_create();
    model_name(future, "future");
}

/* A task that starts on worker 0, with `references` beside the runtime's. */
static eddy_task *spawn_on_0(eddy_coro_fn body, unsigned references) {
    eddy_task *made;
    MODEL_CHECK(ed_spawn_on(&workers[0], &made, body, NULL, EDDY_TASK(.migrate = EDDY_MIGRATE), 0) == 0);
    model_name(&made->future, "task");
    while (references-- > 1) eddy_task_share(made);
    return made;
}

/* As the runtime's loop. */
static void serve(unsigned index) {
    struct ed_worker *worker = &workers[index];
    model_set_worker(worker);
    on[model_self()] = worker->main.tsan_fiber;
    on[model_self()]->running = true;
    for (;;) {
        while (ed_worker_turn(worker)) continue;
        model_wait(has_messages, worker);
    }
}
static void serve_0(void) { serve(0); }
static void serve_1(void) { serve(1); }

/* ---- bodies ------------------------------------------------------------------------------------------- */

static int suspend(int status) { /* after each suspension */
    struct ed_fiber *fiber = ed_fiber_current();
    MODEL_CHECK(fiber != NULL && ed_fiber_worker(fiber) == ed_worker_current());
    MODEL_CHECK(!fiber->queued);
    return status;
}

static int yield_body(void *arg, eddy_value *out) { /* each yield takes it to the other worker */
    (void)arg, (void)out;
    entered++;
    for (unsigned i = 1; i <= 2; i++) {
        int status = suspend(eddy_yield());
        MODEL_CHECK(status == 0);
        MODEL_CHECK(ed_worker_current() == &workers[i % WORKERS]);
    }
    ended++;
    return 0;
}
static void setup_yields(void) {
    setup();
    task = spawn_on_0(yield_body, 1);
}
static void check_ended_all(unsigned tasks) {
    MODEL_CHECK(ended == tasks);
    for (unsigned i = 0; i < WORKERS; i++) MODEL_CHECK(!ed_anybody_waits(&workers[i]));
}
static void check_yields(void) {
    eddy_task_release(task);
    eddy_future_release(future);
    check_ended_all(1);
}

static int run_away(void *arg, eddy_value *out) { /* only a request ends it */
    (void)arg, (void)out;
    entered++;
    int status = suspend(eddy_yield());
    if (status == 0) status = suspend(eddy_yield());
    if (status == 0) status = suspend(eddy_await(future, NULL));
    MODEL_CHECK(status == EDDY_ECANCELED);
    ended++;
    return status;
}
static void setup_run_away(void) {
    setup();
    task = spawn_on_0(run_away, 2);
}
static void cancel_it(void) {
    MODEL_CHECK(eddy_cancel(EDDY_FUTURE(task)));
    eddy_task_release(task);
}
static void check_run_away(void) {
    MODEL_CHECK(eddy_future_cancelled(EDDY_FUTURE(task)));
    eddy_task_release(task);
    eddy_future_release(future);
    check_ended_all(entered);
}

static int await_body(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    entered++;
    int status = suspend(eddy_yield());
    if (status == 0) status = suspend(eddy_await(future, NULL));
    MODEL_CHECK(status == 0 || status == EDDY_ECANCELED);
    if (status == 0) status = suspend(eddy_yield());
    ended++;
    return status;
}
static void setup_await(void) {
    setup();
    task = spawn_on_0(await_body, 2);
    ed_future_share(future);
}
static void set_it(void) {
    (void)eddy_future_set(future, EDDY_I64(7)); /* or the awaiting task's cancel was first */
    eddy_future_release(future);
}
static void cancel_and_serve_1(void) {
    model_set_worker(&workers[1]);
    (void)eddy_cancel(EDDY_FUTURE(task)); /* ended already, perhaps */
    eddy_task_release(task);
    serve(1);
}
static void check_await(void) {
    MODEL_CHECK(eddy_future_done(EDDY_FUTURE(task)));
    eddy_task_release(task);
    eddy_future_release(future);
    check_ended_all(entered);
}

/* Waits for the future as src/sync/ waits for its objects: a cancel wakes it, whatever is on its way then. */
static void waiter_arrives(struct ed_waiter *node) { ed_wake(&ED_CONTAINER(node, struct ed_strand, waiter)->fiber, 0); }
static int wait_body(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    entered++;
    int status = suspend(eddy_yield());
    struct ed_fiber *fiber = ed_fiber_current();
    struct ed_waiter *node = &ed_strand_of(fiber)->waiter;
    const struct ed_park park = {.reason = "test", .deadline_ns = INT64_MAX, .move = true};
    node->worker = ed_fiber_worker(fiber);
    node->arrive = waiter_arrives;
    if (status == 0 && ed_future_link(future, node)) {
        status = suspend(ed_park(&park));
        while (status < 0 && !ed_park_woken() && !ed_future_unlink(future, node)) (void)suspend(ed_park(&park));
    }
    MODEL_CHECK(status == 0 || status == EDDY_ECANCELED);
    ended++;
    return status;
}
static void setup_wait(void) {
    setup();
    task = spawn_on_0(wait_body, 2);
    ed_future_share(future);
}

/* Worker 0 asks it to end as soon as it has left: perhaps when what it waits for is on its way to it. */
static void serve_0_and_cancel(void) {
    struct ed_worker *worker = &workers[0];
    model_set_worker(worker);
    on[model_self()] = worker->main.tsan_fiber;
    on[model_self()]->running = true;
    while (ed_worker_turn(worker)) continue;
    (void)eddy_cancel(EDDY_FUTURE(task));
    eddy_task_release(task);
    serve(0);
}

static int sleep_body(void *arg, eddy_value *out) { /* ready by its timer, which nothing else may queue again */
    (void)arg, (void)out;
    entered++;
    int status = suspend(eddy_sleep_until(NOW_NS));
    MODEL_CHECK(status == 0 || status == EDDY_ECANCELED);
    ended++;
    return status;
}
static void setup_sleep(void) {
    setup();
    task = spawn_on_0(sleep_body, 2);
}
static void cancel_any_time(void) {
    (void)eddy_cancel(EDDY_FUTURE(task));
    eddy_task_release(task);
}

static int outer_body(void *arg, eddy_value *out) { /* the innermost task on the stack is told */
    (void)arg, (void)out;
    eddy_task *inner;
    MODEL_CHECK(eddy_spawn(&inner, run_away, NULL, NULL) == 0);
    int status = suspend(eddy_await(EDDY_FUTURE(inner), NULL));
    MODEL_CHECK(status == EDDY_ECANCELED);
    eddy_task_release(inner);
    return status;
}
static void setup_outer(void) {
    setup();
    task = spawn_on_0(outer_body, 2);
}

static int short_body(void *arg, eddy_value *out) { /* ends on worker 1; its stack is used there again */
    (void)arg, (void)out;
    entered++;
    int status = suspend(eddy_yield());
    MODEL_CHECK(status == 0 || status == EDDY_ECANCELED);
    ended++;
    return status;
}
static void setup_recycled(void) {
    setup();
    task = spawn_on_0(short_body, 2);
    other = spawn_on_0(short_body, 1);
}
static void check_recycled(void) {
    MODEL_CHECK(eddy_future_done(EDDY_FUTURE(task)) && eddy_future_done(EDDY_FUTURE(other)));
    MODEL_CHECK(!eddy_future_cancelled(EDDY_FUTURE(other)));
    eddy_task_release(task);
    eddy_task_release(other);
    eddy_future_release(future);
    check_ended_all(entered);
}

static const struct model_scenario scenarios[] = {
    {.name = "yields", .setup = setup_yields, .threads = {serve_0, serve_1}, .check = check_yields, .may_wait = true},
    {.name = "cancel_goes_after_it",
     .setup = setup_run_away,
     .threads = {serve_0, serve_1, cancel_it},
     .check = check_run_away,
     .may_wait = true},
    {.name = "woken_and_cancelled",
     .setup = setup_await,
     .threads = {serve_0, cancel_and_serve_1, set_it},
     .check = check_await,
     .may_wait = true},
    {.name = "cancelled_before_its_wake_arrives",
     .setup = setup_wait,
     .threads = {serve_0_and_cancel, serve_1, set_it},
     .check = check_await,
     .may_wait = true},
    {.name = "sleeper_is_cancelled",
     .setup = setup_sleep,
     .threads = {serve_0, serve_1, cancel_any_time},
     .check = check_await,
     .may_wait = true},
    {.name = "awaiter_is_cancelled",
     .setup = setup_outer,
     .threads = {serve_0, serve_1, cancel_it},
     .check = check_run_away,
     .may_wait = true},
    {.name = "stack_is_used_again",
     .setup = setup_recycled,
     .threads = {serve_0, serve_1, cancel_any_time},
     .check = check_recycled,
     .may_wait = true},
};
MODEL_MAIN(scenarios)
