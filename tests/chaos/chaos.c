/* chaos.c: small programs that hand work and wake-ups from thread to thread, under delays at every place where that can
 * go wrong (base/chaos.h), seed after seed on real threads. `zig build chaos -- --seeds N [--seed S] [--workers 2,8]`.
 *
 * Problem    A lost wake-up hangs a program, in one schedule of millions.
 * Idea       Each seed is one run of the runtime in which all programs run one after the other, in an order that the seed
 *            decides: while one runs nothing else does, so nobody wakes a sleeper by chance. Each checks its result. One
 *            that makes no progress within the limit has lost a wake-up: workers, queues and tasks are printed, with the
 *            command that repeats the seed. (Real threads: a seed repeats the delays, not every schedule.)
 * Planted    tests/checks/chaos.sh builds it with wake-ups that are lost by design, and requires that they are found.
 * Not here   Schedules one by one (tests/model), virtual threads (zig build sim). */
#include "base/base.h"
#include "eddy/eddy.h"
#include "sched/sched.h"
#include "task/task.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    uint64_t seed, seeds;
    unsigned workers[8], workers_count;
    int limit_s;
} options = {.seed = 1, .seeds = 1000, .workers = {2, 8}, .workers_count = 2, .limit_s = 20};

/* What runs, for who has to tell of it. */
static struct {
    uint64_t seed, runs;
    unsigned workers;
    const char *program;
    struct ed_sched *sched;
} now; /* written by the runs, read by the watchdog when nothing moves */
static _Atomic uint64_t progress;

static _Noreturn void fail(const char *what) {
    fflush(stdout);
    fprintf(stderr,
            "FAIL seed %llu, %u workers, %s: %s\n  replay zig build chaos -- --seed %llu --seeds 1 --workers %u\n",
            (unsigned long long)now.seed, now.workers, now.program, what, (unsigned long long)now.seed, now.workers);
    printf("%llu passed, 1 failed\n", (unsigned long long)now.runs);
    fflush(stdout);
    _exit(1);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define MUST(claim) ((claim) ? (void)0 : fail("line " TEXT(__LINE__) ": expected: " #claim))
#define OK(call) ok((call), "line " TEXT(__LINE__) ": " #call)
static void ok(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "status %d (%s)\n", status, eddy_status_name(status));
    fail(what);
}

static uint64_t random_state;
static uint64_t draw(void) { /* xorshift64 (Marsaglia 2003); the main task's */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static struct ed_worker *worker_at(unsigned index) {
    struct ed_sched *sched = ed_worker_current()->sched;
    return sched->workers[index % sched->workers_count];
}

static eddy_task *spawn_at(unsigned index, eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    OK(ed_spawn_on(worker_at(index), &task, fn, arg, NULL, 0));
    return task;
}
static int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}
static void expect_end(eddy_task *task) {
    int status = end_of(task);
    MUST(status == 0 || status == EDDY_ECANCELED);
}

/* ---- the programs ---------------------------------------------------------------------------------------- */

/* Two tasks on two workers hand one item to and fro: each message must wake a worker that has just gone to sleep. */
struct pair {
    eddy_queue *there, *back;
};
static int echo(void *arg, eddy_value *out) {
    (void)out;
    struct pair *pair = arg;
    eddy_value item;
    int status;
    while ((status = eddy_queue_get(pair->there, &item)) == 0) OK(eddy_queue_put(pair->back, EDDY_I64(item.i64 + 1)));
    return status == EDDY_ECLOSED ? 0 : status;
}
static void ping_pong(void) {
    struct pair pair = {eddy_queue_create(1, NULL), eddy_queue_create(1, NULL)};
    eddy_task *other = spawn_at(1, echo, &pair);
    for (int i = 0; i < 10; i++) {
        eddy_value item;
        OK(eddy_queue_put(pair.there, EDDY_I64(i)));
        OK(eddy_queue_get(pair.back, &item));
        MUST(item.i64 == i + 1);
    }
    eddy_queue_close(pair.there);
    MUST(end_of(other) == 0);
    eddy_queue_release(pair.there);
    eddy_queue_release(pair.back);
}

/* A plain thread completes futures, one at a time, while all workers fall asleep. */
struct outside {
    eddy_future *futures[5];
    eddy_future *seen[5];
};
static int await_it(void *arg, eddy_value *out) { return eddy_await(arg, out); }
static void *complete(void *arg) {
    struct outside *outside = arg;
    for (int i = 0; i < 5; i++) {
        OK(eddy_future_set(outside->futures[i], EDDY_I64(i)));
        while (!eddy_future_done(outside->seen[i])) sched_yield();
    }
    return NULL;
}
static void from_outside(void) {
    struct outside outside;
    eddy_task *tasks[5];
    pthread_t thread;
    for (int i = 0; i < 5; i++) {
        outside.futures[i] = eddy_future_create();
        tasks[i] = spawn_at((unsigned)i, await_it, outside.futures[i]);
        outside.seen[i] = EDDY_FUTURE(tasks[i]);
    }
    MUST(pthread_create(&thread, NULL, complete, &outside) == 0);
    for (int i = 0; i < 5; i++) {
        eddy_value value;
        OK(eddy_await(outside.seen[i], &value));
        MUST(value.i64 == i);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < 5; i++) {
        eddy_task_release(tasks[i]);
        eddy_future_release(outside.futures[i]);
    }
}

/* A task that computes offers another one and goes on only when a thief has run it: somebody must be woken. */
static int set_flag(void *arg, eddy_value *out) {
    (void)out;
    ED_STORE_SEQCST((_Atomic bool *)arg, true);
    return 0;
}
static void offer(void) {
    for (int i = 0; i < 5; i++) {
        static _Atomic bool ran;
        eddy_task *task;
        ED_STORE_SEQCST(&ran, false);
        OK(eddy_spawn(&task, set_flag, (void *)&ran, NULL));
        eddy_share();
        while (!ED_LOAD_SEQCST(&ran)) sched_yield(); /* holds this worker */
        MUST(end_of(task) == 0);
    }
}

/* Children that yield, sleep and end at once, in a group. */
static int wander(void *arg, eddy_value *out) {
    (void)out;
    uint64_t how = (uintptr_t)arg;
    for (; how % 4 != 0; how >>= 2)
        if (how % 4 == 1)
            OK(eddy_yield());
        else
            OK(eddy_sleep((int64_t)(how >> 2 & 31) * 1000));
    return 0;
}
static void group(void) {
    eddy_group group;
    OK(eddy_group_enter(&group));
    for (int i = 0; i < 20; i++) OK(eddy_group_spawn(&group, NULL, wander, (void *)(uintptr_t)(draw() & 0x3ff), NULL));
    MUST(eddy_group_exit(&group, 0) == 0);
}

/* Awaits deep in each other, stolen at all levels. */
static int fib(void *arg, eddy_value *out) {
    int64_t n = (intptr_t)arg;
    eddy_value a = EDDY_I64(n), b = EDDY_I64(0);
    if (n >= 2) {
        eddy_task *left, *right;
        OK(eddy_spawn(&left, fib, (void *)(intptr_t)(n - 1), NULL));
        OK(eddy_spawn(&right, fib, (void *)(intptr_t)(n - 2), NULL));
        OK(eddy_await(EDDY_FUTURE(left), &a));
        OK(eddy_await(EDDY_FUTURE(right), &b));
        eddy_task_release(left);
        eddy_task_release(right);
    }
    *out = EDDY_I64(a.i64 + b.i64);
    return 0;
}
static void fork_join(void) {
    eddy_value value = EDDY_NONE;
    OK(fib((void *)(intptr_t)9, &value));
    MUST(value.i64 == 34);
}

/* Tasks on all workers take a lock, a slot, wait for an event, and are cancelled on the way: what they were handed goes
 * on to the next, and everyone ends. */
struct contest {
    eddy_lock *lock;
    eddy_semaphore *slots;
    eddy_event *event;
    _Atomic int inside, entered;
};
static int contend(void *arg, eddy_value *out) {
    (void)out;
    struct contest *contest = arg;
    int status = eddy_event_wait(contest->event);
    for (int i = 0; i < 4 && status == 0; i++) {
        status = eddy_lock_acquire(contest->lock);
        if (status < 0) break;
        MUST(ED_ADD(&contest->inside, 1) == 0);
        ED_ADD(&contest->entered, 1);
        if (i % 2 == 0) status = eddy_yield();
        MUST(ED_SUB(&contest->inside, 1) == 1);
        OK(eddy_lock_unlock(contest->lock));
        if (status == 0) status = eddy_semaphore_acquire(contest->slots);
        if (status == 0) eddy_semaphore_post(contest->slots);
    }
    return status;
}
static void contest(void) {
    struct contest all = {eddy_lock_create(), eddy_semaphore_create(2), eddy_event_create(), 0, 0};
    enum { TASKS = 6 };
    eddy_task *tasks[TASKS];
    for (unsigned i = 0; i < TASKS; i++) tasks[i] = spawn_at(i, contend, &all);
    if (draw() % 2) OK(eddy_yield());
    eddy_event_set(all.event);
    for (int i = 0; i < 3; i++) eddy_cancel(EDDY_FUTURE(tasks[draw() % TASKS]));
    for (unsigned i = 0; i < TASKS; i++) expect_end(tasks[i]);
    eddy_lock_release(all.lock);
    eddy_semaphore_release(all.slots);
    eddy_event_release(all.event);
}

/* Cancels against completion: parked tasks are cancelled from another worker while what they wait for comes. */
struct victims {
    eddy_future *futures[8];
    eddy_task *tasks[8];
};
static int cancel_all(void *arg, eddy_value *out) {
    (void)out;
    struct victims *victims = arg;
    for (int i = 0; i < 8; i++) eddy_cancel(EDDY_FUTURE(victims->tasks[i]));
    return 0;
}
static void cancel(void) {
    struct victims victims;
    for (unsigned i = 0; i < 8; i++) {
        victims.futures[i] = eddy_future_create();
        if (i % 4 == 3)
            OK(eddy_spawn(&victims.tasks[i], await_it, victims.futures[i], NULL));
        else
            victims.tasks[i] = spawn_at(i, await_it, victims.futures[i]);
    }
    if (draw() % 2) OK(eddy_yield());
    eddy_task *canceller = spawn_at(1, cancel_all, &victims);
    for (int i = 0; i < 4; i++) (void)eddy_future_set(victims.futures[i], EDDY_I64(i)); /* ESTATE: it was first */
    MUST(end_of(canceller) == 0); /* before the handles that it uses are released */
    for (int i = 0; i < 8; i++) expect_end(victims.tasks[i]);
    for (int i = 0; i < 8; i++) eddy_future_release(victims.futures[i]);
}

/* Producers and consumers on all workers, through a queue that is nearly always full or empty. */
struct market {
    eddy_queue *queue;
    _Atomic int64_t sum, got;
};
enum { ITEMS = 15 };
static int produce(void *arg, eddy_value *out) {
    (void)out;
    struct market *market = arg;
    for (int i = 1; i <= ITEMS; i++) OK(eddy_queue_put(market->queue, EDDY_I64(i)));
    return 0;
}
static int consume(void *arg, eddy_value *out) {
    (void)out;
    struct market *market = arg;
    eddy_value item;
    int status;
    while ((status = eddy_queue_get(market->queue, &item)) == 0) {
        ED_ADD(&market->sum, item.i64);
        ED_ADD(&market->got, 1);
    }
    return status == EDDY_ECLOSED ? 0 : status;
}
static void market(void) {
    struct market market = {eddy_queue_create(2, NULL), 0, 0};
    eddy_task *producers[3], *consumers[3];
    for (unsigned i = 0; i < 3; i++) {
        consumers[i] = spawn_at(i + 1, consume, &market);
        producers[i] = spawn_at(i, produce, &market);
    }
    for (int i = 0; i < 3; i++) MUST(end_of(producers[i]) == 0);
    eddy_queue_close(market.queue);
    for (int i = 0; i < 3; i++) MUST(end_of(consumers[i]) == 0);
    MUST(market.got == 3 * ITEMS);
    MUST(market.sum == 3 * ITEMS * (ITEMS + 1) / 2);
    eddy_queue_release(market.queue);
}

/* Deadlines: a timer that the poll of a sleeping worker must not sleep through, against the wake that it waits for. */
static int give(void *arg, eddy_value *out) {
    (void)out;
    eddy_event_set(arg);
    return 0;
}
static void deadlines(void) {
    eddy_event *event = eddy_event_create();
    MUST(EDDY_TIMEOUT(EDDY_US(30), eddy_event_wait(event)) == EDDY_ETIMEDOUT);
    eddy_handled();
    eddy_task *giver = spawn_at(1, give, event);
    int status = EDDY_TIMEOUT(EDDY_US(50), eddy_event_wait(event));
    MUST(status == 0 || status == EDDY_ETIMEDOUT);
    eddy_handled();
    OK(eddy_event_wait(event));
    MUST(end_of(giver) == 0);
    eddy_event_release(event);
}

static const struct {
    const char *name;
    void (*run)(void);
} programs[] = {
    {"ping_pong", ping_pong}, {"from_outside", from_outside}, {"offer", offer},   {"group", group},
    {"fork_join", fork_join}, {"contest", contest},           {"cancel", cancel}, {"market", market},
    {"deadlines", deadlines},
};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

static int run_all(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    unsigned order[PROGRAMS];
    for (unsigned i = 0; i < PROGRAMS; i++) order[i] = i;
    for (unsigned i = PROGRAMS - 1; i > 0; i--) {
        unsigned other = (unsigned)(draw() % (i + 1)), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    now.sched = ed_worker_current()->sched;
    for (unsigned i = 0; i < PROGRAMS; i++) {
        now.program = programs[order[i]].name;
        programs[order[i]].run();
        ED_ADD(&progress, 1);
    }
    now.program = "the end of the run";
    return 0;
}

/* ---- the watchdog ---------------------------------------------------------------------------------------- */

static bool print_task(eddy_task *task, void *arg) {
    (void)arg;
    char text[256];
    eddy_task_print(task, text, sizeof text);
    fprintf(stderr, "    %s\n", text);
    return true;
}

/* Nothing moves any more, so what is read here stands still; if it does not, the figures are of different moments. */
static void dump(void) {
    struct ed_sched *sched = now.sched;
    if (sched == NULL) return;
    uint64_t idle = ED_LOAD_SEQCST(&sched->idle);
    fprintf(stderr, "  searching %u, sleeping %u\n", (unsigned)(idle >> 32), (unsigned)idle);
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct ed_worker *worker = sched->workers[i];
        fprintf(stderr, "  worker %u: %s%s, inbox %s, ready %llu, private %llu, shared %llu, attention %u\n", i,
                ED_LOAD_SEQCST(&worker->sleep) == ED_SLEEPING ? "asleep" : "awake",
                worker->running != NULL ? " in a task" : "", ed_inbox_empty(&worker->inbox) ? "empty" : "NOT EMPTY",
                (unsigned long long)worker->ready.count, (unsigned long long)ed_deque_private_count(&worker->deque),
                (unsigned long long)ed_deque_shared_count(&worker->deque), ED_LOAD_RELAXED(&worker->attention));
    }
    fprintf(stderr, "  tasks that wait:\n");
    ed_slab_each(sched, print_task, NULL);
}

static void *watch(void *arg) {
    (void)arg;
    uint64_t seen = UINT64_MAX;
    for (int still_ms = 0;; still_ms += 50) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        uint64_t at = ED_LOAD_SEQCST(&progress);
        if (at != seen) {
            seen = at;
            still_ms = 0;
        } else if (still_ms > options.limit_s * 1000) {
            ed_chaos_seed(0);
            fprintf(stderr, "no progress in %d s: a wake-up was lost\n", options.limit_s);
            dump();
            fail("lost wake-up");
        }
    }
    return NULL;
}

/* ---- main ------------------------------------------------------------------------------------------------ */

static void one_run(uint64_t seed, unsigned workers) {
    now.seed = seed;
    now.workers = workers;
    now.program = "the start of the run";
    random_state = seed * 2654435761u + 1;
    bool plain = draw() % 4 == 0; /* a quarter without direct await: more stacks, more switches */
    ed_chaos_seed(seed);
    int status = eddy_run(run_all, NULL, NULL, EDDY_RUN(.workers = workers, .no_direct_await = plain));
    now.sched = NULL;
    MUST(status == 0);
    MUST(ed_alloc_live_bytes() == 0);
    MUST(ed_tasks_left_behind() == 0);
    now.runs++;
    ED_ADD(&progress, 1);
}

static uint64_t number(const char *text) {
    char *end;
    uint64_t value = text != NULL ? strtoull(text, &end, 10) : 0;
    if (text == NULL || *text == 0 || *end != 0) {
        fprintf(stderr, "usage: chaos [--seeds N] [--seed S] [--workers N,N...] [--limit-s N]\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) {
            options.seeds = number(argv[i + 1]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = number(argv[i + 1]);
        } else if (strcmp(argv[i], "--limit-s") == 0) {
            options.limit_s = (int)number(argv[i + 1]);
        } else if (strcmp(argv[i], "--workers") == 0 && argv[i + 1] != NULL) {
            options.workers_count = 0;
            for (char *word = strtok(argv[i + 1], ","); word != NULL && options.workers_count < 8;
                 word = strtok(NULL, ","))
                options.workers[options.workers_count++] = (unsigned)number(word);
        } else {
            number(NULL);
        }
    }
    pthread_t watchdog;
    if (pthread_create(&watchdog, NULL, watch, NULL) != 0) return 2;
    uint64_t tenth = options.seeds / 10 + 1;
    for (uint64_t i = 0; i < options.seeds; i++) {
        for (unsigned w = 0; w < options.workers_count; w++) one_run(options.seed + i, options.workers[w]);
        if ((i + 1) % tenth == 0) {
            printf("%llu of %llu seeds\n", (unsigned long long)(i + 1), (unsigned long long)options.seeds);
            fflush(stdout);
        }
    }
    static const char *const names[] = {"atomic", "lock", "steal", "start", "park", "wake", "push", "done"};
    printf("delays:");
    for (unsigned i = 0; i < ED_CHAOS_POINTS; i++)
        printf(" %s %llu", names[i], (unsigned long long)ed_chaos_count((enum ed_chaos_point)i));
    printf("\n%llu passed, 0 failed\n", (unsigned long long)now.runs);
    return 0;
}
