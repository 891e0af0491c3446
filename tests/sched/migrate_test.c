/* Started tasks that change workers: only those that may, at the places that say so, and nothing is sent after them in
 * vain. Most run with sched->migrate_always: each movable task goes to another worker whenever it is ready. */
#include "eddy/sync.h"
#include "sched/sched.h"
#include "task/core_testing.h"
#include "task/task.h"

#include <errno.h>

static uint64_t migrations(void) {
    eddy_stats stats;
    EXPECT_OK(eddy_stats_read(&stats));
    return stats.migrations;
}

/* On 4 threads, and on the simulator with 20 seeds: moved at each chance, or (not always) as the option says. */
static void run_migrating(eddy_coro_fn body, void *arg, bool always) {
    ed_runtime_migrate_always(always);
    EXPECT_OK(eddy_run(body, arg, NULL, EDDY_RUN(.workers = 4, .migrate = true)));
    for (uint64_t seed = 1; seed <= 20; seed++) {
        EXPECT_OK(ed_sim_run(body, arg, &(struct ed_sim_options){.seed = seed, .workers = 3, .migrate = true}));
        EXPECT_OK(
            ed_sim_run(body, arg, &(struct ed_sim_options){.seed = seed, .migrate = true, .no_direct_await = true}));
    }
    ed_runtime_migrate_always(false);
}

/* ---- who may ------------------------------------------------------------------------------------------------- */

struct walker {
    int yields;
    bool moved;
};

static int walk(void *arg, eddy_value *out) {
    struct walker *walker = arg;
    (void)out;
    int first = eddy_worker_index();
    for (int i = 0; i < walker->yields; i++) {
        EXPECT_OK(eddy_yield());
        EXPECT_EQ(eddy_worker_index(), (int)ed_fiber_worker(ed_fiber_current())->index);
        if (eddy_worker_index() != first) walker->moved = true;
    }
    return 0;
}

enum { WALKERS = 16 };

/* All start on worker 0; the other workers have nothing to do. */
static void walk_from_worker_0(enum eddy_migration migrate, struct walker *walkers, int yields) {
    eddy_task *tasks[WALKERS];
    struct ed_worker *worker = ed_worker_current()->sched->workers[0];
    for (int i = 0; i < WALKERS; i++) {
        walkers[i] = (struct walker){.yields = yields};
        EXPECT_OK(ed_spawn_on(worker, &tasks[i], walk, &walkers[i], EDDY_TASK(.migrate = migrate), 0));
    }
    for (int i = 0; i < WALKERS; i++) EXPECT_OK(end_of(tasks[i]));
}

CORE_TEST(migrate, not_unless_asked) {
    struct walker walkers[WALKERS];
    uint64_t before = migrations();
    test_stay();
    walk_from_worker_0(EDDY_STAY, walkers, 200);
    for (int i = 0; i < WALKERS; i++) EXPECT(!walkers[i].moved);
    if (test_migrates()) return;
    walk_from_worker_0(EDDY_MIGRATION_DEFAULT, walkers, 200);
    for (int i = 0; i < WALKERS; i++) EXPECT(!walkers[i].moved);
    EXPECT_EQ(before, migrations());
}

/* A task that asks is enough; an idle worker gets some of the work. On threads it takes until one has woken; the simulator
 * needs no second try. */
CORE_TEST(migrate, an_idle_worker_gets_started_tasks) {
    struct walker walkers[WALKERS];
    bool moved = false;
    do {
        walk_from_worker_0(EDDY_MIGRATE, walkers, 500);
        for (int i = 0; i < WALKERS; i++) moved = moved || walkers[i].moved;
    } while (!moved && test_workers() > 1);
    EXPECT_EQ(moved, test_workers() > 1 || test_simulated());
    EXPECT_EQ(moved, migrations() > 0);
}

static int stays_in_domain(void *arg, eddy_value *out) {
    (void)out;
    int first = eddy_worker_index();
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(i % 2 ? eddy_yield() : eddy_sleep(1));
        EXPECT_EQ(first, eddy_worker_index());
        EXPECT(eddy_loop_current() == arg);
    }
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.migrate = EDDY_MIGRATE)));
    struct walker child = {.yields = 20};
    EXPECT_OK(end_of(spawn(walk, &child)));
    EXPECT(!child.moved);
    return 0;
}

static int domains_stay(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 4; i++) {
        eddy_loop *domain;
        eddy_task *task;
        EXPECT_OK(eddy_domain_open(&domain));
        EXPECT_EQ(EDDY_EINVAL,
                  eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.loop = domain, .migrate = EDDY_MIGRATE)));
        EXPECT_OK(eddy_spawn(&task, stays_in_domain, domain, EDDY_TASK(.loop = domain)));
        EXPECT_OK(end_of(task));
    }
    return 0;
}
UNIT(migrate, never_in_a_domain) { run_migrating(domains_stay, NULL, true); }

/* ---- where ----------------------------------------------------------------------------------------------------- */

static int here(void) { return eddy_worker_index(); }

/* Completes a future, posts, sets... from wherever it runs. */
struct partner {
    eddy_future *future;
    eddy_lock *lock;
    eddy_event *event;
    eddy_semaphore *semaphore;
    eddy_queue *queue;
};
static int help(void *arg, eddy_value *out) {
    struct partner *partner = arg;
    (void)out;
    EXPECT_OK(eddy_sleep(EDDY_US(50)));
    if (partner->future != NULL) EXPECT_OK(eddy_future_set(partner->future, EDDY_I64(3)));
    if (partner->lock != NULL) EXPECT_OK(eddy_lock_unlock(partner->lock));
    if (partner->event != NULL) eddy_event_set(partner->event);
    if (partner->semaphore != NULL) eddy_semaphore_post(partner->semaphore);
    if (partner->queue != NULL) EXPECT_OK(eddy_queue_try_put(partner->queue, EDDY_I64(4)));
    return 0;
}

/* Each way to wait, and whether the task is on another worker afterwards. */
static bool by_yield(void) {
    int was = here();
    EXPECT_OK(eddy_yield());
    return was != here();
}
static bool by_sleep(void) {
    int was = here();
    EXPECT_OK(eddy_sleep(EDDY_US(10)));
    return was != here();
}
static bool by_future(void) {
    eddy_value value;
    struct partner partner = {.future = eddy_future_create()};
    eddy_task *task = spawn(help, &partner);
    int was = here();
    EXPECT_OK(eddy_await(partner.future, &value));
    bool moved = was != here();
    EXPECT_EQ(3, value.i64);
    EXPECT_OK(end_of(task));
    eddy_future_release(partner.future);
    return moved;
}
static bool by_lock(void) {
    struct partner partner = {.lock = eddy_lock_create()};
    EXPECT_OK(eddy_lock_acquire(partner.lock));
    eddy_task *task = spawn(help, &partner);
    int was = here();
    EXPECT_OK(eddy_lock_acquire(partner.lock));
    bool moved = was != here();
    EXPECT_OK(end_of(task));
    EXPECT_OK(eddy_lock_unlock(partner.lock)); /* an eddy_lock may be held across a move */
    eddy_lock_release(partner.lock);
    return moved;
}
static bool by_event(void) {
    struct partner partner = {.event = eddy_event_create()};
    eddy_task *task = spawn(help, &partner);
    int was = here();
    EXPECT_OK(eddy_event_wait(partner.event));
    bool moved = was != here();
    EXPECT_OK(end_of(task));
    eddy_event_release(partner.event);
    return moved;
}
static bool by_semaphore(void) {
    struct partner partner = {.semaphore = eddy_semaphore_create(0)};
    eddy_task *task = spawn(help, &partner);
    int was = here();
    EXPECT_OK(eddy_semaphore_acquire(partner.semaphore));
    bool moved = was != here();
    EXPECT_OK(end_of(task));
    eddy_semaphore_release(partner.semaphore);
    return moved;
}
static bool by_queue(void) {
    eddy_value value;
    struct partner partner = {.queue = eddy_queue_create(1, NULL)};
    eddy_task *task = spawn(help, &partner);
    int was = here();
    EXPECT_OK(eddy_queue_get(partner.queue, &value));
    bool moved = was != here();
    EXPECT_EQ(4, value.i64);
    EXPECT_OK(end_of(task));
    eddy_queue_release(partner.queue);
    return moved;
}
static bool by_group(void) {
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    struct walker walker = {.yields = 3};
    EXPECT_OK(eddy_group_spawn(&group, NULL, walk, &walker, EDDY_TASK(.stack_bytes = 256 * 1024))); /* not direct */
    EXPECT_OK(eddy_group_exit(&group, 0));
    return walker.moved;
}

/* On real workers a tick may move it once more, back to where it was, or the partner may have been there first: so it is
 * tried again. The simulator has neither: a place that never moves fails there. */
static int every_place(void *arg, eddy_value *out) {
    bool (*const places[])(void) = {by_yield, by_sleep, by_future, by_lock, by_event, by_semaphore, by_queue, by_group};
    (void)arg, (void)out;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bool moved = false;
        for (int tries = 0; !moved && tries < 100; tries++) moved = places[i]();
        if (!moved) fprintf(stderr, "place %zu\n", i);
        EXPECT(moved);
    }
    return 0;
}
UNIT(migrate, moves_at_each_place_that_says_so) { run_migrating(every_place, NULL, true); }

/* What keeps a task where it is: a scope with a deadline, gather and wait, a cancel, EDDY_STAY below it. */
static int stay_and_yield(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int was = here();
    for (int i = 0; i < 5; i++) EXPECT_OK(eddy_yield());
    EXPECT_EQ(was, here());
    return 0;
}
static int scoped(void) {
    int was = here();
    for (int i = 0; i < 5; i++) EXPECT_OK(eddy_yield());
    EXPECT_EQ(was, here());
    int status = EDDY_TIMEOUT(EDDY_FOREVER, eddy_yield()); /* the outer one is armed */
    EXPECT_EQ(was, here());
    return status;
}
static int slow(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    int was = here();
    EXPECT_OK(eddy_yield());
    EXPECT(was != here()); /* the request was delivered: it goes about again */
    return EDDY_ECANCELED;
}
static int keeps(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(1000), scoped()));
    int was = here();
    EXPECT_OK(EDDY_TIMEOUT(EDDY_FOREVER, eddy_yield()));
    EXPECT(was != here());

    eddy_future *futures[3];
    struct partner partners[3] = {{0}};
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        futures[i] = partners[i].future = eddy_future_create();
        tasks[i] = spawn(help, &partners[i]);
    }
    was = here();
    EXPECT_EQ(3, eddy_wait(futures, 3, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL));
    EXPECT_EQ(was, here());
    EXPECT_OK(eddy_gather(futures, 3, NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(end_of(tasks[i]));
        eddy_future_release(futures[i]);
    }

    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, stay_and_yield, NULL, EDDY_TASK(.migrate = EDDY_STAY)));
    EXPECT_OK(end_of(task)); /* as a plain call, mostly: the whole stack stays until it has ended */
    was = here();
    EXPECT_OK(eddy_yield());
    EXPECT(was != here());

    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), eddy_sleep(EDDY_SECONDS(1000))));
    task = spawn(slow, NULL);
    for (int i = 0; i < 10; i++) EXPECT_OK(eddy_yield());
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    return 0;
}
UNIT(migrate, stays_where_something_of_it_is_registered) { run_migrating(keeps, NULL, true); }

/* A child that asks to migrate is not run on the stack of one that stays; one that only may is. */
static int counts_direct(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    ed_fiber_current()->migrates = false;
    eddy_worker_stats before, after;
    EXPECT_OK(eddy_worker_stats_read((unsigned)here(), &before));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, give_nothing, NULL, EDDY_TASK(.migrate = EDDY_MIGRATE)));
    EXPECT_OK(end_of(task));
    EXPECT_OK(eddy_worker_stats_read((unsigned)here(), &after));
    EXPECT_EQ(before.tasks_direct, after.tasks_direct);
    for (int i = 0; i < 100 && after.tasks_direct == before.tasks_direct; i++) { /* a tick may start one before */
        EXPECT_OK(end_of(spawn(give_nothing, NULL)));
        EXPECT_OK(eddy_worker_stats_read((unsigned)here(), &after));
    }
    EXPECT_EQ(before.tasks_direct + !test_ticks(), after.tasks_direct);
    return 0;
}
UNIT(migrate, who_asks_does_not_run_on_a_stack_that_stays) {
    EXPECT_OK(eddy_run(counts_direct, NULL, NULL, EDDY_RUN(.workers = 1, .migrate = true)));
}

/* ---- what is sent after it --------------------------------------------------------------------------------------- */

struct chased {
    eddy_task *task;
    int hits; /* requests that it was given */
};
static int run_away(void *arg, eddy_value *out) {
    struct chased *chased = arg;
    (void)out;
    while (chased->hits < 20) {
        int status = chased->hits % 2 ? eddy_yield() : eddy_sleep(EDDY_US(20));
        if (status == EDDY_ECANCELED) chased->hits++;
    }
    return 0;
}

/* Cancels reach a task that goes from worker to worker, each one: the next is sent when the last has been delivered. */
static int chase(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct chased chased[8] = {{0}};
    for (int i = 0; i < 8; i++) chased[i].task = spawn(run_away, &chased[i]);
    EXPECT_OK(eddy_yield());
    bool left = true;
    while (left) {
        left = false;
        for (int i = 0; i < 8; i++)
            if (eddy_cancel(EDDY_FUTURE(chased[i].task))) left = true;
        EXPECT_OK(eddy_yield());
    }
    for (int i = 0; i < 8; i++) {
        int status = end_of(chased[i].task);
        EXPECT(status == 0 || status == EDDY_ECANCELED); /* not begun yet, or a request that came at the end */
    }
    return 0;
}
UNIT(migrate, a_cancel_finds_it) { run_migrating(chase, NULL, true); }

/* The cancel of an awaiter reaches what runs on its stack, wherever that is. */
static int inner(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (;;) {
        int status = eddy_yield();
        if (status == EDDY_ECANCELED) return status;
        EXPECT_OK(status);
    }
}
static int outer(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return end_of(spawn(inner, NULL));
}
static int cancel_awaiters(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 20; i++) {
        eddy_task *task = spawn(outer, NULL);
        for (int k = 0; k < i % 7; k++) EXPECT_OK(eddy_yield());
        EXPECT(eddy_cancel(EDDY_FUTURE(task)));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    }
    return 0;
}
UNIT(migrate, a_cancel_of_the_awaiter_finds_the_innermost) { run_migrating(cancel_awaiters, NULL, true); }

/* A timer is left behind; its handle is cancelled from wherever the task is. */
static int never_called(void *arg) {
    (void)arg;
    test_fail(__FILE__, __LINE__, "a cancelled callback ran");
}
static int leaves_timers_behind(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_handle *handles[50];
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000 + i), never_called, NULL, &handles[i]));
        EXPECT_OK(eddy_yield());
    }
    for (int i = 0; i < 50; i++) {
        eddy_handle_cancel(handles[i]);
        eddy_handle_cancel(handles[i]);
        EXPECT(eddy_handle_cancelled(handles[i]));
        eddy_handle_release(handles[i]);
        if (i % 3 == 0) EXPECT_OK(eddy_yield());
    }
    return 0;
}
UNIT(migrate, handles_are_cancelled_from_elsewhere) { run_migrating(leaves_timers_behind, NULL, true); }

/* ---- thread-locals -------------------------------------------------------------------------------------------- */

static _Thread_local int mark;
__attribute__((noinline)) static int *mark_now(void) {
    __asm__ volatile("" ::: "memory");
    return &mark;
}
__attribute__((noinline)) static int *errno_now(void) {
    __asm__ volatile("" ::: "memory");
    return &errno;
}

/* What a body that keeps the address of a thread-local across a suspension sees: the count of times it was stale. */
struct stale {
    int marks, errnos, suspensions;
};
static int keeps_addresses(void *arg, eddy_value *out) {
    struct stale *stale = arg;
    (void)out;
    for (int i = 0; i < 100; i++) {
        int *kept = mark_now(), *kept_errno = errno_now();
        EXPECT_OK(eddy_yield());
        stale->suspensions++;
        if (kept != mark_now()) stale->marks++;
        if (kept_errno != errno_now()) stale->errnos++;
    }
    return 0;
}

/* The planted one: with a migration at each yield it is stale each time; where nothing may migrate it never is. */
UNIT(migrate, a_kept_thread_local_is_seen_as_stale) {
    struct stale stale = {0};
    ed_runtime_migrate_always(false);
    EXPECT_OK(eddy_run(keeps_addresses, &stale, NULL, EDDY_RUN(.workers = 4)));
    EXPECT_EQ(0, stale.marks + stale.errnos);
    stale = (struct stale){0};
    ed_runtime_migrate_always(true);
    EXPECT_OK(eddy_run(keeps_addresses, &stale, NULL, EDDY_RUN(.workers = 4)));
    EXPECT_EQ(100, stale.suspensions);
    EXPECT_EQ(100, stale.marks);
    EXPECT_EQ(100, stale.errnos);
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

struct many {
    int64_t count;
    _Atomic int64_t next;
    _Atomic uint8_t *begun, *ended; /* one for each task */
    _Atomic int64_t cancelled;
    eddy_lock *lock;
    int64_t guarded; /* under lock */
};
struct one {
    struct many *many;
    int64_t index;
};

static uint64_t hash(uint64_t x) { /* of splitmix64 (Steele, Lea, Flood 2014) */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void one_ended(eddy_value value) {
    struct one *one = value.ptr;
    EXPECT_EQ(0, atomic_fetch_add(&one->many->ended[one->index], 1));
    free(one);
}

static int one_runs(void *arg, eddy_value *out) {
    struct one *one = arg;
    struct many *many = one->many;
    EXPECT_EQ(0, atomic_fetch_add(&many->begun[one->index], 1));
    uint64_t dice = hash((uint64_t)one->index * 2 + test_seed());
    int status = 0;
    if (dice % 4 == 0) status = eddy_yield();
    if (status == 0 && dice % 64 == 1) {
        status = eddy_lock_acquire(many->lock);
        if (status == 0) {
            many->guarded++;
            status = dice % 128 == 1 ? eddy_yield() : 0;
            many->guarded--;
            EXPECT_OK(eddy_lock_unlock(many->lock));
        }
    }
    if (status == 0 && dice % 256 == 2) status = eddy_sleep(EDDY_US(1));
    *out = EDDY_I64(one->index);
    return status;
}

static int spawns_many(void *arg, eddy_value *out) {
    struct many *many = arg;
    (void)out;
    enum { BATCH = 20 };
    for (;;) {
        eddy_task *tasks[BATCH];
        int64_t first = atomic_fetch_add(&many->next, BATCH);
        int count = 0;
        for (; count < BATCH && first + count < many->count; count++) {
            struct one *one = malloc(sizeof *one);
            *one = (struct one){many, first + count};
            EXPECT_OK(eddy_spawn(&tasks[count], one_runs, one, EDDY_TASK(.drop_arg = one_ended)));
        }
        if (count == 0) return 0;
        if (hash((uint64_t)first) % 8 == 0) EXPECT_OK(eddy_yield());
        for (int i = 0; i < count; i++) {
            if (hash((uint64_t)(first + i)) % 32 == 3) eddy_cancel(EDDY_FUTURE(tasks[i]));
            eddy_value value;
            int status = eddy_await(EDDY_FUTURE(tasks[i]), &value);
            if (status == 0) {
                EXPECT_EQ(first + i, value.i64);
                EXPECT_EQ(1, atomic_load(&many->begun[first + i]));
            } else {
                EXPECT_EQ(EDDY_ECANCELED, status);
                atomic_fetch_add(&many->cancelled, 1);
            }
            eddy_task_release(tasks[i]);
        }
    }
}

static int many_in_all(void *arg, eddy_value *out) {
    struct many *many = arg;
    (void)out;
    eddy_task *roots[8];
    many->lock = eddy_lock_create();
    for (int i = 0; i < 8; i++) roots[i] = spawn(spawns_many, many);
    for (int i = 0; i < 8; i++) EXPECT_OK(end_of(roots[i]));
    EXPECT_EQ(0, many->guarded);
    eddy_lock_release(many->lock);
    out->u64 = migrations();
    return 0;
}

/* At least a tenth of the tasks migrate. The real thing, in 20 s:
 * EDDY_STRESS_TASKS=10000000 zig-out/bin/eddy-tests --run migrate.each_of_many_ends_once */
UNIT(migrate, each_of_many_ends_once, TEST_LIMIT(300)) {
    const char *size = getenv("EDDY_STRESS_TASKS");
    int64_t count = size != NULL ? strtoll(size, NULL, 10) : test_scaled(100000);
    struct many many = {.count = count, .begun = calloc((size_t)count, 1), .ended = calloc((size_t)count, 1)};
    ed_runtime_migrate_always(true);
    eddy_value value;
    EXPECT_OK(eddy_run(many_in_all, &many, &value, EDDY_RUN(.workers = 4)));
    for (int64_t i = 0; i < count; i++) EXPECT_EQ(1, atomic_load(&many.ended[i]));
    int64_t cancelled = atomic_load(&many.cancelled);
    printf("%lld tasks, %llu migrations, %lld cancelled: each ended once\n", (long long)count,
           (unsigned long long)value.u64, (long long)cancelled);
    EXPECT(value.u64 >= (uint64_t)count / 10);
    EXPECT(cancelled > 0 && cancelled < count / 16);
    free((void *)many.begun);
    free((void *)many.ended);
}

/* The same seed gives the same schedule, moves included. */
static int trace(void *arg, eddy_value *out) {
    (void)arg;
    uint64_t sum = 0;
    struct walker walkers[WALKERS];
    walk_from_worker_0(EDDY_MIGRATE, walkers, 30);
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(eddy_yield());
        sum = hash(sum + (uint64_t)here());
    }
    out->u64 = hash(sum + migrations());
    return 0;
}
static int trace_to(void *arg, eddy_value *out) {
    int status = trace(NULL, out);
    *(uint64_t *)arg = out->u64;
    return status;
}
UNIT(migrate, same_seed_same_moves) {
    int different = 0;
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t first, second;
        const struct ed_sim_options options = {.seed = seed, .migrate = true};
        EXPECT_OK(ed_sim_run(trace_to, &first, &options));
        EXPECT_OK(ed_sim_run(trace_to, &second, &options));
        EXPECT(first == second);
        different += first != last;
        last = first;
    }
    EXPECT(different > 5);
}
