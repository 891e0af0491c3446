/* Task locals: what is handed down, what stays apart, who drops values and when (L7, E1). */
#include "task/core_testing.h"

static _Atomic int drops;
static void count_drop(eddy_value value) {
    (void)value;
    atomic_fetch_add(&drops, 1);
}

static const eddy_local number = EDDY_LOCAL("number", NULL);
static const eddy_local other = EDDY_LOCAL("other", NULL);
static const eddy_local owned = EDDY_LOCAL("owned", count_drop);

static int64_t get(const eddy_local *local) { return eddy_local_get(local, EDDY_I64(-1)).i64; }
static void set(const eddy_local *local, int64_t value) { EXPECT_OK(eddy_local_set(local, EDDY_I64(value), NULL)); }

static int give_number(void *arg, eddy_value *out) {
    (void)arg;
    EXPECT_OK(eddy_yield());
    *out = EDDY_I64(get(&number));
    return 0;
}

/* Sees what its spawner had, and what it sets itself stays its own. */
static int change(void *arg, eddy_value *out) {
    int64_t want = *(int64_t *)arg;
    (void)out;
    EXPECT_EQ(want, get(&number));
    set(&number, 100 + want);
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(100 + want, get(&number));
    return 0;
}

CORE_TEST(locals, tasks_start_with_a_copy_of_their_spawners) {
    eddy_task *tasks[8];
    int64_t seen[8];
    EXPECT_EQ(-1, get(&number));
    for (int64_t i = 0; i < 8; i++) {
        set(&number, i);
        seen[i] = i;
        tasks[i] = spawn(change, &seen[i]);
    }
    for (int i = 0; i < 8; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_EQ(7, get(&number));
}

CORE_TEST(locals, a_plain_call_shares_them) {
    int64_t want = 5;
    set(&number, want);
    EXPECT_OK(change(&want, NULL));
    EXPECT_EQ(105, get(&number));
}

CORE_TEST(locals, a_token_takes_a_set_back_once) {
    eddy_local_token first, second;
    set(&other, 9);
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(1), &first));
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(2), &second));
    EXPECT_EQ(2, get(&number));
    EXPECT_OK(eddy_local_reset(&number, &second));
    EXPECT_EQ(1, get(&number));
    EXPECT_EQ(EDDY_ESTATE, eddy_local_reset(&number, &second));
    EXPECT_OK(eddy_local_reset(&number, &first));
    EXPECT_EQ(-1, get(&number));
    EXPECT_EQ(9, get(&other));
}

CORE_TEST(locals, many_variables) {
    static eddy_local many[40]; /* they must outlive the run */
    for (int i = 0; i < 40; i++) {
        many[i] = (eddy_local)EDDY_LOCAL("many", NULL);
        set(&many[i], i);
    }
    eddy_context *before = eddy_context_copy();
    for (int i = 0; i < 40; i++) set(&many[i], 1000 + i);
    for (int i = 0; i < 40; i++) {
        EXPECT_EQ(1000 + i, get(&many[i]));
        EXPECT_EQ(i, eddy_context_get(before, &many[i], EDDY_NONE).i64);
    }
    eddy_context_release(before);
}

static int drop_twice(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    set(&owned, 1);
    set(&owned, 2); /* drops 1 */
    return eddy_yield();
}

/* A value goes when nobody holds it: the task that set it, those that it spawned, a token, a context. */
CORE_TEST(locals, each_value_is_dropped_once) {
    atomic_store(&drops, 0);
    EXPECT_OK(end_of(spawn(drop_twice, NULL)));
    EXPECT_EQ(2, atomic_load(&drops));

    eddy_local_token token;
    set(&owned, 3);
    EXPECT_OK(eddy_local_set(&owned, EDDY_I64(4), &token));
    eddy_context *context = eddy_context_copy();
    EXPECT_OK(eddy_local_reset(&owned, &token));
    EXPECT_EQ(3, get(&owned));
    EXPECT_EQ(2, atomic_load(&drops)); /* 4 lives in `context` */
    eddy_context_release(context);
    EXPECT_EQ(3, atomic_load(&drops));
    eddy_task *child = spawn(give_number, NULL);
    EXPECT_OK(eddy_local_set(&owned, EDDY_I64(5), NULL));
    EXPECT_EQ(3, atomic_load(&drops)); /* the child holds 3 */
    EXPECT_OK(end_of(child));
    EXPECT_EQ(4, atomic_load(&drops));
}

static int64_t seen_in_callback;
static int look(void *arg) {
    (void)arg;
    seen_in_callback = get(&number);
    set(&number, 77); /* its own copy */
    return 0;
}
static int look_done(eddy_future *future, void *arg) {
    (void)future;
    return look(arg);
}

/* L7: callbacks run in the context that they were queued from. */
CORE_TEST(locals, callbacks_run_in_a_copy) {
    set(&number, 1);
    EXPECT_OK(eddy_call_soon(NULL, look, NULL, NULL));
    set(&number, 2);
    test_until_all_parked();
    EXPECT_EQ(1, seen_in_callback);
    EXPECT_OK(eddy_call_later(NULL, EDDY_US(10), look, NULL, NULL));
    set(&number, 3);
    EXPECT_OK(eddy_sleep(EDDY_US(200)));
    EXPECT_EQ(2, seen_in_callback);
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_future_add_callback(future, look_done, NULL));
    set(&number, 4);
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    test_until_all_parked();
    EXPECT_EQ(3, seen_in_callback);
    EXPECT_EQ(4, get(&number));
    eddy_future_release(future);
    eddy_handle *handle; /* one that never runs gives its context back */
    EXPECT_OK(eddy_call_soon(NULL, look, NULL, &handle));
    eddy_handle_cancel(handle);
    eddy_handle_release(handle);
}

CORE_TEST(locals, a_task_may_be_given_a_context) {
    eddy_value value;
    set(&number, 1);
    eddy_context *context = eddy_context_copy();
    set(&number, 2);
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, give_number, NULL, EDDY_TASK(.context = context)));
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(1, value.i64);
    eddy_task_release(task);
    EXPECT_OK(eddy_context_run(context, give_number, NULL, &value));
    EXPECT_EQ(1, value.i64);
    EXPECT_EQ(2, get(&number));
    eddy_context_release(context);
}

static int set_on_thread(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(get(&number));
    set(&number, 50);
    EXPECT_EQ(50, get(&number));
    return 0;
}

/* E1: to_thread copies the caller's context. */
TEST(locals, a_threads_function_has_a_copy) {
    eddy_value value;
    set(&number, 6);
    EXPECT_OK(eddy_to_thread(set_on_thread, NULL, &value));
    EXPECT_EQ(6, value.i64);
    EXPECT_EQ(6, get(&number));
}

UNIT(locals, outside_there_are_none) {
    EXPECT_EQ(-1, get(&number));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_local_set(&number, EDDY_NONE, NULL));
    eddy_context *context = eddy_context_copy();
    EXPECT(context != NULL);
    eddy_context_release(context);
}

static int use_all(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int64_t i = 0; i < 3; i++) {
        eddy_local_token token;
        int status = eddy_local_set(&owned, EDDY_I64(i), &token);
        if (status < 0) return status;
        while (eddy_local_reset(&owned, &token) == EDDY_ENOMEM) continue; /* only one allocation fails */
    }
    return eddy_local_set(&number, EDDY_I64(1), NULL);
}

static int use_all_in_a_run(void *arg) { return eddy_run(use_all, arg, NULL, EDDY_RUN(.workers = 1)); }

UNIT(locals, each_allocation_fails) { EXPECT(test_each_allocation_fails(use_all_in_a_run, NULL) > 0); }
