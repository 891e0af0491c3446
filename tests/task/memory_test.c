/* No memory: every allocation that the core makes, for each thing that a program does, fails once. The
 * program ends with EDDY_ENOMEM or without it, never another way; arguments and values are dropped exactly
 * once; nothing is left.
 *
 * Method: a whole run is repeated, the first allocation failing in the first round, the second in the
 * second... */
#include "task/core_testing.h"

static _Atomic int made, dropped;

static void drop(eddy_value value) {
    free(value.ptr);
    atomic_fetch_add(&dropped, 1);
}
static void *make(void) {
    atomic_fetch_add(&made, 1);
    return malloc(8);
}
static int give(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_PTR(make());
    return 0;
}
static int give_later(void *arg, eddy_value *out) {
    int status = eddy_sleep(1000);
    return status < 0 ? status : give(arg, out);
}
static int fail(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-13, "with a text");
}
static int nothing_to_do(void *arg) {
    (void)arg;
    return 0;
}
static int nothing_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return 0;
}
static void nothing_deferred(void *arg) { (void)arg; }

#define TRY(expression)                                       \
    do {                                                      \
        int try_status = (expression);                        \
        EXPECT(try_status >= 0 || try_status == EDDY_ENOMEM); \
        if (try_status < 0) return try_status;                \
    } while (0)

static int spawns(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char large[500] = "";
    eddy_task *task;
    TRY(eddy_spawn(&task, give, large, EDDY_TASK(.copy_bytes = sizeof large, .drop = drop)));
    TRY(end_of(task));
    TRY(eddy_spawn(&task, give_later, make(), EDDY_TASK(.drop_arg = drop, .drop = drop, .stack_bytes = 16 * 1024)));
    TRY(end_of(task));
    TRY(eddy_spawn(NULL, give, make(), EDDY_TASK(.drop_arg = drop, .drop = drop, .stack_bytes = 256 * 1024)));
    TRY(eddy_defer(nothing_deferred, NULL));
    return 0;
}

static int gathers(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[70] = {NULL}; /* more than one chunk of records */
    eddy_future *futures[70];
    int count = 0, status = 0;
    for (; count < 70 && status == 0; count += status == 0) {
        status = eddy_spawn(&tasks[count], count % 2 ? give : give_later, NULL, EDDY_TASK(.drop = drop));
        futures[count] = EDDY_FUTURE(tasks[count]);
    }
    if (status == 0) status = eddy_gather(futures, (size_t)count, NULL);
    if (status == 0) status = eddy_gather_all(futures, (size_t)count, NULL);
    if (status == 0) {
        status = eddy_wait(futures, (size_t)count, EDDY_SECONDS(1000), EDDY_ALL_COMPLETED, NULL);
        EXPECT(status == count || status == EDDY_ENOMEM);
    }
    for (int i = 0; i < count; i++) {
        int end = eddy_await(futures[i], NULL);
        EXPECT(end == 0 || end == EDDY_ENOMEM);
        eddy_task_release(tasks[i]);
    }
    TRY(status);
    return 0;
}

static int groups(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int failing = 0; failing < 2; failing++) {
        eddy_group group;
        int status = eddy_group_enter(&group);
        EXPECT(status == 0 || status == EDDY_ENOMEM);
        for (int i = 0; i < 3 && status == 0; i++) {
            status = eddy_group_spawn(&group, NULL, i == 1 && failing ? fail : give_later, make(),
                                      EDDY_TASK(.drop_arg = drop, .drop = drop));
            if (status == EDDY_ESTATE) status = 0; /* one has failed already */
        }
        EXPECT(status == 0 || status == EDDY_ENOMEM);
        status = eddy_group_exit(&group, status);
        EXPECT(status == 0 || status == EDDY_ENOMEM || status == EDDY_EGROUP);
        eddy_handled();
        EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    }
    return 0;
}

static int scopes(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (int i = 0; i < 6; i++) eddy_timeout_push(i == 2 ? EDDY_US(20) : EDDY_SECONDS(1000));
    int status = eddy_sleep(EDDY_SECONDS(1000));
    for (int i = 0; i < 6; i++) status = eddy_timeout_pop(status);
    EXPECT(status == EDDY_ETIMEDOUT || status == EDDY_ENOMEM);
    EXPECT_EQ(0, eddy_task_cancelling(eddy_current_task()));
    TRY(eddy_yield());
    return 0;
}

static int futures(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *future = eddy_future_create_on(eddy_loop_current(), drop), *outer;
    if (future == NULL) return EDDY_ENOMEM;
    int status = eddy_future_add_callback(future, nothing_done, NULL);
    if (status == 0) {
        status = eddy_shield(&outer, future);
        if (status == 0) {
            EXPECT_OK(eddy_future_set(future, EDDY_PTR(make())));
            EXPECT_OK(eddy_await(outer, NULL));
            eddy_future_release(outer);
        }
    }
    (void)eddy_cancel(future); /* if nobody has set it: its callback holds it */
    eddy_future_release(future);
    TRY(status);
    future = eddy_future_create();
    if (future == NULL) return EDDY_ENOMEM;
    EXPECT_OK(eddy_future_fail(future, -13, "a detail that may be lost"));
    EXPECT_EQ(-13, eddy_await(future, NULL));
    eddy_future_release(future);
    return 0;
}

static int calls(void *arg, eddy_value *out) {
    (void)arg;
    eddy_handle *handle;
    TRY(eddy_call_soon(NULL, nothing_to_do, NULL, NULL));
    TRY(eddy_call_later(NULL, EDDY_SECONDS(1000), nothing_to_do, NULL, &handle));
    eddy_handle_cancel(handle);
    eddy_handle_release(handle);
    TRY(eddy_call_soon_threadsafe(eddy_loop_current(), nothing_to_do, NULL, NULL));
    eddy_coro *coro = eddy_coro_create(give_nothing, NULL, NULL);
    if (coro == NULL) return EDDY_ENOMEM;
    TRY(eddy_coro_await(coro, out));
    eddy_loop *loop;
    eddy_task *task;
    TRY(eddy_domain_open(&loop));
    TRY(eddy_domain_open(&loop));
    TRY(eddy_spawn(&task, give_later, make(), EDDY_TASK(.loop = loop, .drop_arg = drop, .drop = drop)));
    TRY(end_of(task));
    return 0;
}

struct mode {
    unsigned workers;
    bool no_direct_await;
    eddy_coro_fn fn;
};

static void quiet(const eddy_report *report, void *arg) {
    (void)arg;
    EXPECT(report->status == EDDY_ENOMEM || report->status == 0);
}

static int run_mode(void *arg) {
    struct mode *mode = arg;
    atomic_store(&made, 0);
    atomic_store(&dropped, 0);
    int status =
        eddy_run(mode->fn, NULL, NULL,
                 EDDY_RUN(.workers = mode->workers, .no_direct_await = mode->no_direct_await, .on_exception = quiet));
    EXPECT_EQ(atomic_load(&made), atomic_load(&dropped));
    return status;
}

static void each_allocation_fails(eddy_coro_fn fn) {
    for (int i = 0; i < 4; i++) {
        struct mode mode = {i / 2 + 1, i % 2, fn};
        EXPECT(test_each_allocation_fails(run_mode, &mode) > 5);
    }
}

UNIT(memory, each_allocation_fails_in_spawn, TEST_LIMIT(60)) { each_allocation_fails(spawns); }
UNIT(memory, each_allocation_fails_in_gather, TEST_LIMIT(60)) { each_allocation_fails(gathers); }
UNIT(memory, each_allocation_fails_in_groups, TEST_LIMIT(60)) { each_allocation_fails(groups); }
UNIT(memory, each_allocation_fails_in_scopes, TEST_LIMIT(60)) { each_allocation_fails(scopes); }
UNIT(memory, each_allocation_fails_in_futures, TEST_LIMIT(60)) { each_allocation_fails(futures); }
UNIT(memory, each_allocation_fails_in_calls, TEST_LIMIT(60)) { each_allocation_fails(calls); }
