/* Tasks: spawn, await, results, failures with their details, arguments and values with owners, names, all_tasks. */
#include "task/core_testing.h"

/* ---- spawn, await, release ------------------------------------------------------------------------------- */

static int twice(void *arg, eddy_value *out) {
    *out = EDDY_I64(2 * *(int64_t *)arg);
    return 0;
}

CORE_TEST(task, gives_its_value_to_whoever_awaits) {
    int64_t n = 21;
    eddy_task *task = spawn(twice, &n);
    eddy_value value = EDDY_NONE;
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(42, value.i64);
    EXPECT(eddy_future_done(EDDY_FUTURE(task)));
    EXPECT(!eddy_future_cancelled(EDDY_FUTURE(task)));
    value = EDDY_NONE;
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value)); /* again: a done future */
    EXPECT_EQ(42, value.i64);
    eddy_task_release(task);
}

static _Atomic int64_t visits;

static int visit(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    atomic_fetch_add(&visits, 1);
    return 0;
}

/* Tasks without a handle run to their end too; main waits for them by count. */
CORE_TEST(task, without_a_handle_runs_all_the_same) {
    for (int i = 0; i < 1000; i++) EXPECT_OK(eddy_spawn(NULL, visit, NULL, NULL));
    while (atomic_load(&visits) < 1000) EXPECT_OK(eddy_yield());
    test_until_all_parked();
    EXPECT_EQ(1000, atomic_load(&visits));
}

enum { FAN = 100000 };

static int add_one(void *arg, eddy_value *out) {
    *out = EDDY_I64(*(int64_t *)arg + 1);
    return 0;
}

static int fan_out(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int count = (int)test_scaled(FAN);
    eddy_task **tasks = malloc((size_t)count * sizeof *tasks);
    int64_t *numbers = malloc((size_t)count * sizeof *numbers), sum = 0;
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        tasks[i] = spawn(add_one, &numbers[i]);
    }
    for (int i = 0; i < count; i++) {
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), &value));
        EXPECT_EQ(i + 1, value.i64);
        sum += value.i64;
        eddy_task_release(tasks[i]);
    }
    EXPECT_EQ((int64_t)count * (count + 1) / 2, sum);
    free(tasks);
    free(numbers);
    return 0;
}

/* Each of 100,000 tasks runs once and gives its own value, however it was started. */
UNIT(task, fan_out_of_100000, TEST_LIMIT(120)) { run_every_way(fan_out, NULL); }

static int fib(void *arg, eddy_value *out) {
    int64_t n = *(int64_t *)arg;
    if (n < 2) {
        *out = EDDY_I64(n);
        return 0;
    }
    int64_t left = n - 1, right = n - 2;
    eddy_task *task = spawn(fib, &left);
    eddy_value a, b;
    int status = fib(&right, &b);
    if (status == 0) status = eddy_await(EDDY_FUTURE(task), &a);
    eddy_task_release(task);
    *out = EDDY_I64(a.i64 + b.i64);
    return status;
}

static int fib_main(void *arg, eddy_value *out) {
    (void)arg;
    int64_t n = test_scaled(100) == 100 ? 20 : 14;
    EXPECT_OK(fib(&n, out));
    EXPECT_EQ(n == 20 ? 6765 : 377, out->i64);
    return 0;
}

UNIT(task, deep_fork_join, TEST_LIMIT(120)) { run_every_way(fib_main, NULL); }

/* Eight tasks that sit anywhere await one; each gets the same value. */
CORE_TEST(task, is_awaited_by_eight) {
    eddy_future *future = eddy_future_create();
    eddy_task *one = spawn(await_future, future), *eight[8];
    for (int i = 0; i < 8; i++) eight[i] = spawn(await_future, EDDY_FUTURE(one));
    test_until_all_parked();
    EXPECT_OK(eddy_future_set(future, EDDY_I64(5)));
    for (int i = 0; i < 8; i++) {
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(eight[i]), &value));
        EXPECT_EQ(5, value.i64);
        eddy_task_release(eight[i]);
    }
    eddy_task_release(one);
    eddy_future_release(future);
}

/* ---- failures -------------------------------------------------------------------------------------------- */

static int fail_deep(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-71, "disk %d is full", 3);
}
static int pass_on(void *arg, eddy_value *out) {
    (void)arg;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fail_deep, NULL, EDDY_TASK(.name = "writer")));
    int status = eddy_await(EDDY_FUTURE(task), out);
    eddy_task_release(task);
    return status;
}
static int pass_another(void *arg, eddy_value *out) {
    (void)pass_on(arg, out);
    return -72; /* the detail was of another code: it does not travel */
}

CORE_TEST(task, failure_travels_with_its_detail) {
    eddy_task *task = spawn(pass_on, NULL);
    EXPECT_EQ(-71, eddy_await(EDDY_FUTURE(task), NULL));
    const eddy_error *error = eddy_error_current(-71);
    EXPECT_STR("disk 3 is full", eddy_error_text(error));
    EXPECT_STR("writer", eddy_error_task(error));
    EXPECT_EQ(-71, eddy_error_status(error));
    EXPECT(eddy_error_current(-72) == NULL);
    EXPECT_STR("disk 3 is full", eddy_error_text(eddy_future_error(EDDY_FUTURE(task))));
    eddy_handled();
    EXPECT(eddy_error_current(-71) == NULL);
    EXPECT_EQ(-71, eddy_await(EDDY_FUTURE(task), NULL)); /* looking again */
    EXPECT_STR("disk 3 is full", eddy_error_text(eddy_error_current(-71)));
    eddy_task_release(task);

    EXPECT_EQ(-72, end_of(spawn(pass_another, NULL)));
    EXPECT(eddy_error_current(-72) == NULL);
}

static int fail_in_parts(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    (void)eddy_fail(-5, "first");
    return eddy_fail(-6, "%s", "second");
}

CORE_TEST(task, next_failure_replaces_the_detail) {
    EXPECT_EQ(-6, end_of(spawn(fail_in_parts, NULL)));
    EXPECT_STR("second", eddy_error_text(eddy_error_current(-6)));
    EXPECT(eddy_error_current(-5) == NULL);
    eddy_error *kept = eddy_error_share(eddy_error_current(-6));
    (void)eddy_fail(-7, "third");
    EXPECT_STR("second", eddy_error_text(kept));
    eddy_error_release(kept);
}

/* ---- arguments and values with owners -------------------------------------------------------------------- */

static _Atomic int dropped_values, dropped_args;

static void drop_value(eddy_value value) {
    atomic_fetch_add(&dropped_values, 1);
    free(value.ptr);
}
static void drop_arg(eddy_value value) {
    atomic_fetch_add(&dropped_args, 1);
    free(value.ptr);
}

static int give_memory(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_PTR(malloc(8));
    return 0;
}

CORE_TEST(task, value_is_dropped_once_or_taken_once) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, give_memory, NULL, EDDY_TASK(.drop = drop_value)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_EQ(0, atomic_load(&dropped_values));
    eddy_task_release(task); /* the last reference may still be the runtime's */
    while (atomic_load(&dropped_values) == 0) EXPECT_OK(eddy_yield());

    eddy_value value;
    EXPECT_OK(eddy_spawn(&task, give_memory, NULL, EDDY_TASK(.drop = drop_value)));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(EDDY_FUTURE(task), &value));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    EXPECT_OK(eddy_future_take(EDDY_FUTURE(task), &value));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(EDDY_FUTURE(task), &value));
    eddy_task_release(task);
    free(value.ptr);
    test_until_all_parked();
    EXPECT_EQ(1, atomic_load(&dropped_values));

    EXPECT_OK(eddy_spawn(NULL, give_memory, NULL, EDDY_TASK(.drop = drop_value))); /* nobody looks */
    while (atomic_load(&dropped_values) < 2) EXPECT_OK(eddy_yield());
}

struct small {
    int64_t a, b;
};
struct large {
    int64_t numbers[100];
};
static int add_small(void *arg, eddy_value *out) {
    struct small *small = arg;
    EXPECT_OK(eddy_yield());
    *out = EDDY_I64(small->a + small->b);
    return 0;
}
static int add_large(void *arg, eddy_value *out) {
    struct large *large = arg;
    EXPECT_OK(eddy_yield());
    int64_t sum = 0;
    for (int i = 0; i < 100; i++) sum += large->numbers[i];
    *out = EDDY_I64(sum);
    return 0;
}

/* The caller's argument is overwritten as soon as it was copied. */
CORE_TEST(task, copies_its_argument) {
    struct small small = {1, 2};
    struct large large;
    for (int i = 0; i < 100; i++) large.numbers[i] = i;
    eddy_task *first, *second;
    EXPECT_OK(eddy_spawn(&first, add_small, &small, EDDY_TASK(.copy_bytes = sizeof small)));
    EXPECT_OK(eddy_spawn(&second, add_large, &large, EDDY_TASK(.copy_bytes = sizeof large)));
    memset(&small, 0xff, sizeof small);
    memset(&large, 0xff, sizeof large);
    eddy_value value;
    EXPECT_OK(eddy_await(EDDY_FUTURE(first), &value));
    EXPECT_EQ(3, value.i64);
    EXPECT_OK(eddy_await(EDDY_FUTURE(second), &value));
    EXPECT_EQ(4950, value.i64);
    eddy_task_release(first);
    eddy_task_release(second);
}

static int end_with(void *arg, eddy_value *out) {
    (void)out;
    return *(int *)arg;
}
static int *number(int n) {
    int *memory = malloc(sizeof *memory);
    *memory = n;
    return memory;
}

CORE_TEST(task, argument_is_dropped_once_however_it_ends) {
    eddy_task *task;
    static const int ends[] = {0, -9, EDDY_ECANCELED};
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_spawn(&task, end_with, number(ends[i]), EDDY_TASK(.drop_arg = drop_arg)));
        EXPECT_EQ(ends[i], end_of(task));
        EXPECT_EQ(i + 1, atomic_load(&dropped_args)); /* before the task is done */
    }
    EXPECT_OK(eddy_spawn(&task, end_with, number(0), EDDY_TASK(.drop_arg = drop_arg)));
    if (eddy_cancel(EDDY_FUTURE(task))) EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT_EQ(4, atomic_load(&dropped_args));

    /* A spawn that failed took it too. */
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(&task, NULL, number(0), EDDY_TASK(.drop_arg = drop_arg)));
    EXPECT_EQ(EDDY_EINVAL,
              eddy_spawn(&task, end_with, number(0), EDDY_TASK(.drop_arg = drop_arg, .stack_bytes = 1 << 20)));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(&task, end_with, number(0), EDDY_TASK(.drop_arg = drop_arg, .copy_bytes = 4)));
    EXPECT_EQ(EDDY_EINVAL,
              eddy_spawn(&task, end_with, number(0), EDDY_TASK(.drop_arg = drop_arg, .stack_bytes = 1 << 30)));
    EXPECT_EQ(8, atomic_load(&dropped_args));
}

static void drop_spawns(eddy_value value) {
    (void)value;
    EXPECT(eddy_current_task() == NULL || !eddy_future_done(EDDY_FUTURE(eddy_current_task())));
    EXPECT(eddy_loop_current() != NULL);
    EXPECT_OK(eddy_spawn(NULL, visit, NULL, NULL));
}

/* Drop functions are callbacks of the runtime: they may spawn. */
CORE_TEST(task, drop_functions_may_spawn) {
    EXPECT_OK(eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.drop = drop_spawns)));
    EXPECT_OK(eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.drop_arg = drop_spawns)));
    while (atomic_load(&visits) < 2) EXPECT_OK(eddy_yield());
}

/* ---- eddy_defer ------------------------------------------------------------------------------------------ */

struct trace {
    char text[64];
    int used;
};
static struct trace trace;

static void note(const char *what) {
    EXPECT(trace.used + 2 < (int)sizeof trace.text);
    trace.text[trace.used++] = what[0];
    trace.text[trace.used] = '\0';
}
static void note_deferred(void *arg) { note(arg); }
static void note_slowly(void *arg) {
    (void)eddy_yield();
    note(arg);
}

static int deferring(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_defer(note_deferred, "a"));
    EXPECT_OK(eddy_defer(note_slowly, "b"));
    EXPECT_OK(eddy_defer(note_deferred, "c"));
    note("B");
    int status = *(int *)arg == 1 ? eddy_sleep(EDDY_SECONDS(1000)) : *(int *)arg;
    note("E");
    return status;
}

CORE_TEST(task, defers_run_last_first_however_it_ends) {
    EXPECT_EQ(0, end_of(spawn(deferring, &(int){0})));
    EXPECT_STR("BEcba", trace.text);
    trace.used = 0;
    EXPECT_EQ(-8, end_of(spawn(deferring, &(int){-8})));
    EXPECT_STR("BEcba", trace.text);
    trace.used = 0;
    eddy_task *task = spawn_parked(deferring, &(int){1});
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_STR("BEcba", trace.text);
}

/* ---- names and prints ------------------------------------------------------------------------------------ */

CORE_TEST(task, names_and_prints) {
    char text[256];
    eddy_future *future = eddy_future_create();
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, await_future, future, EDDY_TASK(.name = "a name that is longer than 31 bytes")));
    EXPECT_EQ(31, eddy_task_name(task, text, sizeof text));
    EXPECT_STR("a name that is longer than 31 b", text);
    eddy_task_set_name(task, "short");
    EXPECT_EQ(5, eddy_task_name(task, text, 4));
    EXPECT_STR("sho", text);
    test_until_all_parked();
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "name='short'");
    EXPECT_HAS(text, "state=pending");
    EXPECT_HAS(text, "waiting on await");
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_print(task, text, sizeof text);
    EXPECT_HAS(text, "state=finished");
    eddy_task_release(task);
    eddy_future_release(future);

    task = spawn(give_nothing, NULL);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "Task-%llu", (unsigned long long)eddy_task_id(task));
    eddy_task_name(task, text, sizeof text);
    EXPECT_STR(wanted, text);
    EXPECT_OK(end_of(task));
    eddy_task_name(eddy_current_task(), text, sizeof text);
    EXPECT_STR("main", text);
}

/* ---- outside --------------------------------------------------------------------------------------------- */

UNIT(task, calls_outside_a_run_get_ewrongthread) {
    eddy_task *task;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_spawn(&task, give_nothing, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_sleep(1));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_yield());
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_defer(note_deferred, NULL));
    EXPECT(eddy_future_create() == NULL);
    EXPECT(eddy_current_task() == NULL);
    EXPECT(eddy_loop_current() == NULL);
    EXPECT_EQ(-1, eddy_worker_index());
    EXPECT_EQ(0, eddy_all_tasks(NULL, 0));
    EXPECT_EQ(-3, eddy_fail(-3, "nobody keeps this"));
    EXPECT_EQ(0, eddy_check_cancel());
    eddy_group group;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_group_enter(&group));
    EXPECT_EQ(-5, EDDY_TIMEOUT(1, -5));
}
