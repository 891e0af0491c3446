/* start_model.c: who starts a task: its spawner, an awaiter, thieves, all at once, through a deque of hints that may be
 * stale. Exactly one starts it, and sees what its spawner wrote; also where the record lives a second life.
 * Sources src/lockfree/deque.c src/sched/steal.c
 * Smaller src/lockfree/deque.c s/FIRST_CAPACITY = 64/FIRST_CAPACITY = 4/ */
#include "explorer.h"
#include "sched/sched.h"

enum { WORKERS = 3, TASKS = 2 };

struct task {
    struct ed_start start;
    int argument; /* what its spawner wrote */
};

static struct ed_sched *sched;
static struct ed_worker *workers;
static struct task *tasks;
static unsigned starts[TASKS], spawned[TASKS];

void ed_idle_notify(struct ed_worker *worker) { (void)worker; } /* nobody sleeps here: idle_model.c */
uint64_t ed_random(struct ed_worker *worker) { return worker->index; }

static void setup(void) {
    sched = model_alloc(sizeof *sched);
    workers = model_alloc(sizeof *workers * WORKERS);
    tasks = model_alloc(sizeof *tasks * TASKS);
    sched->workers = model_alloc(sizeof *sched->workers * WORKERS);
    sched->workers_count = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        sched->workers[i] = &workers[i];
        workers[i].index = i;
        workers[i].sched = sched;
        MODEL_CHECK(ed_deque_init(&workers[i].deque) == 0);
        model_figures(&workers[i].counts, sizeof workers[i].counts);
        model_figures(&workers[i].attention, sizeof workers[i].attention);
    }
    model_name(&workers[0].deque.head, "head");
    model_name(&workers[0].deque.tail, "tail");
    model_name(&tasks[0].start.word, "start_0");
    model_name(&tasks[1].start.word, "start_1");
    for (unsigned i = 0; i < TASKS; i++) starts[i] = spawned[i] = 0;
}

static void body(struct ed_start *start) {
    struct task *task = ED_CONTAINER(start, struct task, start);
    unsigned i = (unsigned)(task - tasks);
    MODEL_CHECK(task->argument == (int)spawned[i]);
    starts[i]++;
    MODEL_CHECK(starts[i] == spawned[i]);
}

/* As ed_start_push, without its figures. */
static void spawn(unsigned i) {
    tasks[i].argument = (int)++spawned[i];
    MODEL_CHECK(ed_deque_push(&workers[0].deque, &tasks[i].start, workers[0].seq++) == 0);
    ed_start_new(&tasks[i].start, 0, ED_START_NEW_OWN);
}
static void claim(unsigned i, unsigned worker) {
    if (ed_start_claim(&tasks[i].start, worker)) body(&tasks[i].start);
}
static void setup_spawned(void) {
    setup();
    spawn(0);
}
static void setup_published(void) {
    setup();
    spawn(0);
    ed_publish(&workers[0], 0);
}

static void steal(void) {
    struct ed_start *start = ed_steal(&workers[model_self() - 1]);
    if (start != NULL) body(start);
}
static void steal_twice(void) {
    steal();
    steal();
}
static void await_here(void) { claim(0, model_self() - 1); }
static void publish_and_await(void) {
    ed_publish(&workers[0], 0);
    claim(0, 0);
}
static void claim_then_publish(void) {
    claim(0, 0);
    ed_publish(&workers[0], 0);
}
static void spawn_two(void) {
    spawn(0);
    spawn(1);
    ed_publish(&workers[0], 0);
    claim(1, 0);
}

/* The record ends its first life here and is spawned again, while hints to the first are about. */
static void two_lives(void) {
    claim(0, 0);
    if (starts[0] == 0) return; /* a thief has it */
    if (ed_start_worker(ED_LOAD_RELAXED(&tasks[0].start.word)) != 0) return;
    ed_start_free(&tasks[0].start);
    spawn(0);
    ed_publish(&workers[0], 0);
}

static void check(void) {
    ed_publish(&workers[0], 0);
    for (struct ed_start *start; (start = ed_steal(&workers[1])) != NULL;) body(start);
    for (unsigned i = 0; i < TASKS; i++) MODEL_CHECK(starts[i] == spawned[i]);
}

static const struct model_scenario scenarios[] = {
    {.name = "await_against_thieves",
     .setup = setup_spawned,
     .threads = {publish_and_await, steal, steal},
     .check = check},
    {.name = "awaiters", .setup = setup_published, .threads = {await_here, await_here, steal}, .check = check},
    {.name = "stale_hint", .setup = setup_spawned, .threads = {claim_then_publish, steal, await_here}, .check = check},
    {.name = "two_tasks", .setup = setup, .threads = {spawn_two, steal_twice, steal}, .check = check},
    {.name = "two_lives", .setup = setup_published, .threads = {two_lives, steal_twice, steal}, .check = check},
};
MODEL_MAIN(scenarios)
