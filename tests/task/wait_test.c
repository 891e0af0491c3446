/* Suspending: sleep and its order, never early; yield; serial domains run in asyncio's exact order. The
 * traces were made by the same programs on CPython 3.11. */
#include "task/core_testing.h"

/* ---- sleep ----------------------------------------------------------------------------------------------- */

CORE_TEST(wait, sleep_is_never_early) {
    for (int i = 0; i < 50; i++) {
        int64_t duration_ns = EDDY_US(10) + i * 7919, before_ns = eddy_time_ns();
        EXPECT_OK(eddy_sleep(duration_ns));
        EXPECT(eddy_time_ns() - before_ns >= duration_ns);
        int64_t deadline_ns = eddy_time_ns() + EDDY_US(20);
        EXPECT_OK(eddy_sleep_until(deadline_ns));
        EXPECT(eddy_time_ns() >= deadline_ns);
    }
    EXPECT_OK(eddy_sleep_until(eddy_time_ns() - 1)); /* in the past */
}

static pthread_mutex_t trace_mutex = PTHREAD_MUTEX_INITIALIZER;
static char trace[1024];
static size_t trace_used;

static void note(const char *what) {
    pthread_mutex_lock(&trace_mutex);
    trace_used +=
        (size_t)snprintf(trace + trace_used, sizeof trace - trace_used, "%s%s", trace_used > 0 ? " " : "", what);
    EXPECT(trace_used < sizeof trace);
    pthread_mutex_unlock(&trace_mutex);
}
static void note_step(const char *name, const char *step) {
    char text[32];
    snprintf(text, sizeof text, "%s%s", name, step);
    note(text);
}
static int note_call(void *arg) {
    note(arg);
    return 0;
}
static int note_done(eddy_future *future, void *arg) {
    (void)future;
    note(arg);
    return 0;
}

struct sleeper {
    const char *name;
    int64_t until_ns;
};
static int sleeper(void *arg, eddy_value *out) {
    (void)out;
    struct sleeper *self = arg;
    EXPECT_OK(eddy_sleep_until(self->until_ns));
    note(self->name);
    return 0;
}

/* In the order of their deadlines, not of their spawns; equal deadlines in the order they went to sleep. */
static int sleepers(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int64_t now_ns = eddy_time_ns();
    struct sleeper all[] = {{"d", now_ns + EDDY_MS(30)}, {"a", now_ns + EDDY_MS(10)}, {"c", now_ns + EDDY_MS(20)},
                            {"e", now_ns + EDDY_MS(30)}, {"b", now_ns + EDDY_MS(15)}, {"f", now_ns + EDDY_MS(30)}};
    eddy_task *tasks[6];
    for (int i = 0; i < 6; i++) tasks[i] = spawn(sleeper, &all[i]);
    for (int i = 0; i < 6; i++) EXPECT_OK(end_of(tasks[i]));
    return 0;
}

static int in_domain(eddy_coro_fn fn, void *arg) {
    eddy_loop *loop;
    EXPECT_OK(eddy_domain_open(&loop));
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fn, arg, EDDY_TASK(.loop = loop)));
    return end_of(task);
}

CORE_TEST(wait, sleepers_wake_in_order_of_their_deadlines) {
    EXPECT_OK(in_domain(sleepers, NULL));
    EXPECT_STR("a b c d e f", trace);
}

CORE_TEST(wait, cancelled_sleep_leaves_no_timer) {
    eddy_task *task = spawn_parked(sleep_forever, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(EDDY_ECANCELED, (eddy_cancel(EDDY_FUTURE(eddy_current_task())), eddy_sleep(0)));
    EXPECT_OK(eddy_sleep(0));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
}

/* ---- the order in a serial domain ------------------------------------------------------------------------ */

struct steps {
    const char *name;
    eddy_future *future;
};
static int steps(void *arg, eddy_value *out) {
    (void)out;
    struct steps *self = arg;
    note_step(self->name, "1");
    EXPECT_OK(eddy_sleep(0));
    note_step(self->name, "2");
    EXPECT_OK(eddy_await(self->future, NULL));
    note_step(self->name, "3");
    return 0;
}

static int two_coroutines(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *future = eddy_future_create();
    struct steps all[] = {{"a", future}, {"b", future}, {"x", future}, {"y", future}};
    note("m1");
    eddy_task *first = spawn(steps, &all[0]), *second = spawn(steps, &all[1]);
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    note("m2");
    EXPECT_OK(eddy_sleep(0));
    note("m3");
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d1"));
    EXPECT_OK(eddy_sleep(0));
    note("m4");
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d2"));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s2", NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s3", NULL));
    note("m5");
    EXPECT_OK(end_of(first));
    note("m6");
    EXPECT_OK(end_of(second));
    note("m7");
    eddy_task *both[] = {spawn(steps, &all[2]), spawn(steps, &all[3])};
    eddy_future *futures[] = {EDDY_FUTURE(both[0]), EDDY_FUTURE(both[1])};
    EXPECT_OK(eddy_gather(futures, 2, NULL));
    note("m8");
    eddy_task_release(both[0]);
    eddy_task_release(both[1]);
    eddy_future_release(future);
    return 0;
}

CORE_TEST(wait, domain_runs_in_the_exact_order_of_asyncio) {
    EXPECT_OK(in_domain(two_coroutines, NULL));
    EXPECT_STR("m1 m2 a1 b1 s1 m3 a2 b2 m4 m5 s2 d1 a3 b3 d2 s3 m6 m7 x1 y1 x2 x3 y2 y3 m8", trace);
}

struct child {
    const char *name;
    int steps;
    bool fails;
};
static int child(void *arg, eddy_value *out) {
    (void)out;
    struct child *self = arg;
    for (int i = 0; i < self->steps; i++) {
        note_step(self->name, (char[]){(char)('0' + i), 0});
        int status = eddy_sleep(0);
        if (status == EDDY_ECANCELED) note_step(self->name, "c");
        if (status < 0) return status;
    }
    if (!self->fails) return 0;
    note_step(self->name, "!");
    return -22;
}

static int group_of_three(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct child all[] = {{"a", 4, false}, {"b", 1, true}, {"c", 4, false}};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, child, &all[i], NULL));
    note("m1");
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, 0));
    note("mE");
    return 0;
}

CORE_TEST(wait, group_in_a_domain_runs_in_the_exact_order_of_asyncio) {
    EXPECT_OK(in_domain(group_of_three, NULL));
    EXPECT_STR("m1 a0 b0 c0 a1 b! c1 a2 cc ac mE", trace);
}

static int cleans_up(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    note("p1");
    int status = eddy_sleep(EDDY_SECONDS(100));
    note("pc");
    EXPECT_OK(eddy_sleep(0));
    note("pd");
    return status;
}

static int cancel_twice(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task = spawn(cleans_up, NULL);
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(task), note_done, "D"));
    EXPECT_OK(eddy_sleep(0));
    note("m1");
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    note("m2");
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    note("m3");
    EXPECT_EQ(2, eddy_task_cancelling(task));
    eddy_task_release(task);
    return 0;
}

CORE_TEST(wait, cancel_in_a_domain_runs_in_the_exact_order_of_asyncio) {
    EXPECT_OK(in_domain(cancel_twice, NULL));
    EXPECT_STR("p1 m1 m2 pc s1 pd D m3", trace);
}

/* A due timer of a sleeper is a callback of its own, which wakes the task in the next pass: a call_at of the
 * same instant, made later, comes first. */
static int sleeper_and_call(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct sleeper self = {"A", eddy_time_ns() + EDDY_MS(2)};
    eddy_task *task = spawn(sleeper, &self);
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_call_at(NULL, self.until_ns, note_call, "B", NULL));
    EXPECT_OK(end_of(task));
    return 0;
}

CORE_TEST(wait, timers_in_a_domain_run_in_the_exact_order_of_asyncio) {
    EXPECT_OK(in_domain(sleeper_and_call, NULL));
    EXPECT_STR("B A", trace);
}

/* ---- yield ----------------------------------------------------------------------------------------------- */

static int yielder(void *arg, eddy_value *out) {
    (void)out;
    for (int i = 0; i < 3; i++) {
        note(arg);
        EXPECT_OK(i % 2 ? eddy_yield() : eddy_sleep(-5));
    }
    return 0;
}

static int yielders(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *a = spawn(yielder, "a"), *b = spawn(yielder, "b"), *c = spawn(yielder, "c");
    EXPECT_OK(end_of(a));
    EXPECT_OK(end_of(b));
    EXPECT_OK(end_of(c));
    return 0;
}

CORE_TEST(wait, yield_lets_all_others_run_once) {
    EXPECT_OK(in_domain(yielders, NULL));
    EXPECT_STR("a b c a b c a b c", trace);
}

/* Outside domains too nobody is passed over: with one worker every yielder makes progress in turn. */
static _Atomic bool stop;
static _Atomic int64_t rounds[4];
static int spin(void *arg, eddy_value *out) {
    (void)out;
    while (!atomic_load(&stop)) {
        atomic_fetch_add((_Atomic int64_t *)arg, 1);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

CORE_TEST(wait, yielding_tasks_take_turns_with_new_ones) {
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) tasks[i] = spawn(spin, &rounds[i]);
    for (int i = 0; i < 200; i++) EXPECT_OK(end_of(spawn(give_nothing, NULL)));
    for (int i = 0; i < 4; i++)
        while (atomic_load(&rounds[i]) < 50) EXPECT_OK(eddy_yield());
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) EXPECT_OK(end_of(tasks[i]));
}

/* ---- domains --------------------------------------------------------------------------------------------- */

struct home {
    int worker;
    eddy_loop *loop;
    int unlocked; /* the domain's data needs no lock */
};
static int grandchild(void *arg, eddy_value *out) {
    (void)out;
    struct home *home = arg;
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(home->worker, eddy_worker_index());
        EXPECT(eddy_loop_current() == home->loop);
        int before = home->unlocked++;
        EXPECT_EQ(before + 1, home->unlocked);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}
static int outsider(void *arg, eddy_value *out) {
    (void)out;
    EXPECT(eddy_loop_current() != ((struct home *)arg)->loop);
    return 0;
}
static int check_callback(void *arg) {
    struct home *home = arg;
    EXPECT_EQ(home->worker, eddy_worker_index());
    EXPECT(eddy_loop_current() == home->loop);
    home->unlocked++;
    return 0;
}
static int check_done(eddy_future *future, void *arg) {
    (void)future;
    return check_callback(arg);
}
static int resident(void *arg, eddy_value *out) {
    (void)out;
    struct home *home = arg;
    home->worker = eddy_worker_index();
    eddy_task *tasks[10], *stranger;
    for (int i = 0; i < 10; i++) tasks[i] = spawn(grandchild, home);
    EXPECT_OK(eddy_spawn(&stranger, outsider, home, EDDY_TASK(.loop = EDDY_ANYWHERE)));
    EXPECT_OK(eddy_call_soon(NULL, check_callback, home, NULL));
    EXPECT_OK(eddy_call_later(NULL, EDDY_US(50), check_callback, home, NULL));
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(stranger), check_done, home));
    for (int i = 0; i < 10; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_OK(end_of(stranger));
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    return 0;
}

CORE_TEST(wait, tasks_of_a_domain_run_on_its_worker_only) {
    struct home homes[4] = {0};
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(eddy_domain_open(&homes[i].loop));
        EXPECT_OK(eddy_spawn(&tasks[i], resident, &homes[i], EDDY_TASK(.loop = homes[i].loop)));
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(end_of(tasks[i]));
        EXPECT_EQ(203, homes[i].unlocked);
    }
}
