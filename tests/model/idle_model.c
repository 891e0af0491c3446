/* idle_model.c: no wake-up is lost and no searcher's token: real workers (worker.c's pass, idle.c, steal.c) fall asleep
 * while messages are posted and tasks published. A task's body "runs for ever", so its worker can take nothing else.
 * Sources src/sched/worker.c src/sched/migrate.c src/sched/idle.c src/sched/steal.c src/lockfree/deque.c
 * Smaller src/lockfree/deque.c s/FIRST_CAPACITY = 64/FIRST_CAPACITY = 4/ */
#include "explorer.h"
#include "sched/sched.h"

enum { WORKERS = 3, TASKS = 2, TOKEN = 2 /* idle.c's */ };

static struct ed_sched *sched;
static struct ed_worker *workers;
static struct ed_start *tasks;
static struct ed_message *messages;
static unsigned started, published, arrived, wanted; /* wanted: messages, after which the receiver ends */
static bool woken[WORKERS];

/* ---- what worker.c needs of others ------------------------------------------------------------------ */

/* No stack is to be had: so each task ends in no_stack(), which is where bodies run here. */
int ed_stack_get(struct ed_stack_pool *pool, enum ed_stack_class class_, struct ed_stack **stack_out) {
    (void)pool, (void)class_, (void)stack_out;
    return EDDY_ENOMEM;
}
void ed_stack_put(struct ed_stack_pool *pool, struct ed_stack *stack) { (void)pool, (void)stack; }
void ed_stack_pool_init(struct ed_stack_pool *pool, struct ed_stack_arena *arena) { (void)pool, (void)arena; }
void ed_stack_pool_deinit(struct ed_stack_pool *pool) { (void)pool; }
void __tsan_switch_to_fiber(void *fiber, unsigned flags) { (void)fiber, (void)flags; }
int64_t ed_timers_next(const struct ed_worker *worker) { return worker != NULL ? INT64_MAX : 0; }
void ed_timers_expire(struct ed_worker *worker, int64_t now_ns) { (void)worker, (void)now_ns; }

static void wake(struct ed_worker *worker) { woken[worker->index] = true; }
static bool holds_io(struct ed_worker *worker) { return worker == NULL; }
static const struct ed_driver driver = {.wake = wake, .holds_io = holds_io};

static void body(struct ed_start *start, int status) {
    (void)start, (void)status;
    started++;
    MODEL_CHECK(started <= published);
    model_exit(); /* for ever */
}
static void message_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)message;
    MODEL_CHECK(worker == ed_worker_current());
    if (++arrived == wanted) model_exit();
}

/* ---- scenarios --------------------------------------------------------------------------------------- */

static void setup_of(unsigned count) {
    sched = model_alloc(sizeof *sched);
    workers = model_alloc(sizeof *workers * WORKERS);
    tasks = model_alloc(sizeof *tasks * TASKS);
    messages = model_alloc(sizeof *messages * 2);
    sched->workers = model_alloc(sizeof *sched->workers * WORKERS);
    sched->workers_count = count;
    sched->driver = &driver;
    sched->no_stack = body;
    sched->max_slices = 4;
    model_name(&sched->idle, "idle");
    model_name(&sched->stopping, "stopping");
    static const char *const heads[] = {"head_0", "head_1", "head_2"}, *const tails[] = {"tail_0", "tail_1", "tail_2"};
    static const char *const inboxes[] = {"inbox_0", "inbox_1", "inbox_2"};
    static const char *const sleeps[] = {"sleep_0", "sleep_1", "sleep_2"};
    for (unsigned i = 0; i < count; i++) {
        sched->workers[i] = &workers[i];
        MODEL_CHECK(ed_worker_init(&workers[i], sched, i, i) == 0);
        model_figures(&workers[i].counts, sizeof workers[i].counts);
        model_figures(&workers[i].attention, sizeof workers[i].attention); /* advice: no wake-up depends on it */
        model_name(&workers[i].deque.head, heads[i]);
        model_name(&workers[i].deque.tail, tails[i]);
        model_name(&workers[i].inbox.head, inboxes[i]);
        model_name(&workers[i].sleep, sleeps[i]);
        woken[i] = false;
    }
    started = published = arrived = wanted = 0;
}
static void setup_two(void) { setup_of(2); }
static void setup_three(void) { setup_of(3); }

static bool is_woken(void *worker) { return woken[((struct ed_worker *)worker)->index]; }

/* As the runtime's loop. */
static void serve(unsigned index) {
    struct ed_worker *worker = &workers[index];
    model_set_worker(worker);
    for (unsigned vain = 0; !ED_LOAD_SEQCST(&sched->stopping);) {
        if (ed_worker_turn(worker)) continue;
        if (!ed_idle_prepare(worker)) {
            if (++vain > 1) model_yield(); /* work is there, and so are enough searchers: one is about to be named */
            continue;
        }
        model_wait(is_woken, worker);
        woken[index] = false;
        ed_idle_awake(worker);
    }
}
static void serve_0(void) { serve(0); }
static void serve_1(void) { serve(1); }
static void serve_2(void) { serve(2); }
static void serve_0_one(void) {
    wanted = 1;
    serve(0);
}
static void serve_0_two(void) {
    wanted = 2;
    serve(0);
}

static void post(unsigned message, unsigned to) {
    messages[message].arrive = message_arrives;
    MODEL_CHECK(ed_post(&workers[to], &messages[message]) == 0);
}
static void post_0(void) { post(0, 0); }
static void post_1(void) { post(1, 0); }
static void post_both(void) {
    post(0, 0);
    post(1, 0);
}

static void spawn(unsigned count) {
    for (unsigned i = 0; i < count; i++) MODEL_CHECK(ed_start_push(&workers[0], &tasks[published++], false) == 0);
    ed_publish(&workers[0], 0);
}
static void publish_one(void) {
    model_set_worker(&workers[0]);
    spawn(1);
}
static void publish_two_at_once(void) {
    model_set_worker(&workers[0]);
    spawn(2);
}
static void publish_two(void) {
    model_set_worker(&workers[0]);
    spawn(1);
    spawn(1);
}
/* Worker 2 has found work elsewhere, gave its token back and names the next searcher; then it is busy for ever. */
static void notify_from_2(void) {
    model_set_worker(&workers[2]);
    ed_idle_notify(&workers[2]);
}
static void post_and_publish(void) { /* the message makes worker 1 wake once more before there is work */
    model_set_worker(&workers[0]);
    post(0, 1);
    spawn(1);
}
static void post_to_1(void) { post(0, 1); }
static void stop(void) {
    ED_STORE_SEQCST(&sched->stopping, true);
    for (unsigned i = 0; i < sched->workers_count; i++) ed_idle_wake(&workers[i]);
}

/* All that was given was taken; sleepers and tokens are as many as `idle` says. */
static void check(void) {
    uint64_t idle = 0;
    MODEL_CHECK(started == published);
    for (unsigned i = 0; i < sched->workers_count; i++) {
        uint32_t sleep = ED_LOAD_RELAXED(&workers[i].sleep);
        if (sleep == ED_SLEEPING) idle += ED_IDLE_SLEEPER;
        if (workers[i].searching || (sleep & TOKEN)) idle += ED_IDLE_SEARCHER;
        MODEL_CHECK(ed_inbox_empty(&workers[i].inbox));
        MODEL_CHECK(ed_deque_shared_count(&workers[i].deque) == 0);
    }
    MODEL_CHECK(ED_LOAD_RELAXED(&sched->idle) == idle);
    ed_idle_check(sched);
}
static void check_message(void) {
    MODEL_CHECK(arrived == 1);
    check();
}
/* A worker that runs a body for ever need not see its message; awake or woken it must be. */
static void check_task(void) {
    MODEL_CHECK(started == published);
    MODEL_CHECK(arrived == 1 || (ED_LOAD_RELAXED(&workers[1].sleep) & ED_SLEEPING) == 0);
}

static const struct model_scenario scenarios[] = {
    {.name = "post", .setup = setup_two, .threads = {serve_0_one, post_0}, .check = check_message},
    {.name = "post_twice", .setup = setup_two, .threads = {serve_0_two, post_both}, .check = check},
    {.name = "two_posters", .setup = setup_two, .threads = {serve_0_two, post_0, post_1}, .check = check},
    {.name = "publish_one", .setup = setup_two, .threads = {publish_one, serve_1}, .check = check},
    {.name = "publish_one_to_two",
     .setup = setup_three,
     .threads = {publish_one, serve_1, serve_2},
     .check = check,
     .may_wait = true},
    {.name = "publish_two_at_once",
     .setup = setup_three,
     .threads = {publish_two_at_once, serve_1, serve_2},
     .check = check},
    {.name = "publish_against_notify",
     .setup = setup_three,
     .threads = {post_and_publish, serve_1, notify_from_2},
     .check = check_task},
    {.name = "publish_two", .setup = setup_three, .threads = {publish_two, serve_1, serve_2}, .check = check},
    {.name = "publish_and_post", .setup = setup_two, .threads = {publish_one, serve_1, post_to_1}, .check = check_task},
    {.name = "stop", .setup = setup_two, .threads = {stop, serve_0, serve_1}, .check = check},
};
MODEL_MAIN(scenarios)
