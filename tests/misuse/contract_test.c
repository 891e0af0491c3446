/* Wrong use: each gives its documented status, or ends the program with a name. */
#include "contract/contract_testing.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What the calls below work on. */
static struct things {
    eddy_future *pending;
    eddy_loop *loop;
    eddy_lock *held;
    eddy_event *event;
    eddy_semaphore *semaphore;
    eddy_gate *gate;
    eddy_queue *full, *empty;
    eddy_completions *completions;
    eddy_coro *coro;
    eddy_thread_pool *pool;
} things;

static int nothing_in_thread(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}
static int never_called(void *arg) {
    (void)arg;
    EXPECT(!"called");
    return 0;
}
static int never_done(eddy_future *future, void *arg) {
    (void)future;
    return never_called(arg);
}
static void never_deferred(void *arg) { (void)never_called(arg); }
static int serve_nobody(eddy_stream *stream, void *arg) {
    (void)stream;
    return never_called(arg);
}

static void things_make(void) {
    eddy_future *futures[] = {things.pending = eddy_future_create()};
    things.loop = eddy_loop_current();
    things.held = eddy_lock_create();
    EXPECT_OK(eddy_lock_acquire(things.held));
    things.event = eddy_event_create();
    things.semaphore = eddy_semaphore_create(0);
    things.gate = eddy_gate_create(1, NULL);
    things.full = eddy_queue_create(1, NULL);
    EXPECT_OK(eddy_queue_put(things.full, EDDY_NONE));
    things.empty = eddy_queue_create(1, NULL);
    EXPECT_OK(eddy_as_completed(&things.completions, futures, 1, EDDY_FOREVER));
    things.coro = eddy_coro_create(give_nothing, NULL, "unused");
    EXPECT_OK(eddy_thread_pool_create(&things.pool, NULL));
}
static void things_free(void) {
    EXPECT_OK(eddy_thread_pool_close(things.pool));
    EXPECT_OK(eddy_coro_await(things.coro, NULL));
    eddy_completions_release(things.completions);
    eddy_queue_release(things.empty);
    eddy_queue_release(things.full);
    eddy_gate_release(things.gate);
    eddy_semaphore_release(things.semaphore);
    eddy_event_release(things.event);
    eddy_lock_release(things.held);
    eddy_future_release(things.pending);
}

/* ---- where a function may be called ---------------------------------------------------------------------- */

struct call {
    const char *name;
    int (*call)(void);
};
#define CALL(name_, expression_) \
    static int call_##name_(void) { return (int)(expression_); }
#define ROW(name_) \
    { #name_, call_##name_ }

static eddy_stream *no_stream;
static eddy_server *no_server;
static eddy_signal *no_signal;
static eddy_addresses *no_addresses;
static eddy_thread_pool *no_pool;
static eddy_process_pool *no_processes;
static eddy_completions *no_completions;
static eddy_future *no_future;
static eddy_loop *no_loop;
static eddy_group no_group;
static size_t no_index;
static eddy_value value;
static eddy_interval interval;
static eddy_stats stats;
static const eddy_local local = EDDY_LOCAL("local", NULL);

/* Suspend, or belong to a task. */
CALL(await, eddy_await(things.pending, NULL))
CALL(wait_for, eddy_wait_for(things.pending, EDDY_MS(1), NULL))
CALL(sleep, eddy_sleep(1))
CALL(sleep_0, eddy_sleep(0))
CALL(sleep_until, eddy_sleep_until(0))
CALL(yield, eddy_yield())
CALL(interval_wait, eddy_interval_wait(&interval))
CALL(gather, eddy_gather(&things.pending, 1, NULL))
CALL(gather_all, eddy_gather_all(&things.pending, 1, NULL))
CALL(wait, eddy_wait(&things.pending, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL))
CALL(completions_next, eddy_completions_next(things.completions, &no_index))
CALL(group_enter, eddy_group_enter(&no_group))
CALL(defer, eddy_defer(never_deferred, NULL))
CALL(coro_await, eddy_coro_await(things.coro, NULL))
CALL(to_thread, eddy_to_thread(nothing_in_thread, NULL, NULL))
CALL(to_thread_abandon, eddy_to_thread_abandon(nothing_in_thread, NULL, NULL, NULL))
CALL(thread_pool_run, eddy_thread_pool_run(things.pool, nothing_in_thread, NULL, NULL))
CALL(thread_pool_close, eddy_thread_pool_close(things.pool))
CALL(resolve, eddy_resolve("localhost", "http", 0, &no_addresses))
CALL(connect, eddy_connect(&no_stream, "127.0.0.1", 1, NULL))
CALL(server_open, eddy_server_open(&no_server, "127.0.0.1", 0, serve_nobody, NULL, NULL))
CALL(signal_open, eddy_signal_open(&no_signal, SIGUSR1))
CALL(gate_enter, eddy_gate_enter(things.gate, EDDY_FOREVER))
static const struct call of_tasks[] = {
    ROW(await),       ROW(wait_for),        ROW(sleep),         ROW(sleep_0),
    ROW(yield),       ROW(sleep_until),     ROW(interval_wait), ROW(gather),
    ROW(wait),        ROW(gather_all),      ROW(group_enter),   ROW(completions_next),
    ROW(defer),       ROW(coro_await),      ROW(to_thread),     ROW(to_thread_abandon),
    ROW(connect),     ROW(thread_pool_run), ROW(resolve),       ROW(thread_pool_close),
    ROW(server_open), ROW(signal_open),     ROW(gate_enter),
};

/* Suspend in tasks, block plain threads, and are refused in callbacks. */
CALL(lock_acquire, eddy_lock_acquire(things.held))
CALL(event_wait, eddy_event_wait(things.event))
CALL(semaphore_acquire, eddy_semaphore_acquire(things.semaphore))
CALL(queue_put, eddy_queue_put(things.full, EDDY_NONE))
CALL(queue_get, eddy_queue_get(things.empty, &value))
static const struct call not_of_callbacks[] = {ROW(lock_acquire), ROW(event_wait), ROW(semaphore_acquire),
                                               ROW(queue_put), ROW(queue_get)};

/* Belong to a task or callback of the runtime. */
CALL(spawn, eddy_spawn(NULL, give_nothing, NULL, NULL))
CALL(call_soon, eddy_call_soon(things.loop, never_called, NULL, NULL))
CALL(call_later, eddy_call_later(things.loop, 0, never_called, NULL, NULL))
CALL(call_at, eddy_call_at(things.loop, 0, never_called, NULL, NULL))
CALL(domain_open, eddy_domain_open(&no_loop))
CALL(add_callback, eddy_future_add_callback(things.pending, never_done, NULL))
CALL(shield, eddy_shield(&no_future, things.pending))
CALL(as_completed, eddy_as_completed(&no_completions, &things.pending, 1, 0))
CALL(thread_pool_create, eddy_thread_pool_create(&no_pool, NULL))
CALL(process_pool_create, eddy_process_pool_create(&no_processes, NULL))
CALL(stats_read, eddy_stats_read(&stats))
CALL(future_create, eddy_future_create() == NULL ? EDDY_EWRONGTHREAD : 0)
CALL(local_set, eddy_local_set(&local, EDDY_NONE, NULL))
CALL(outside, eddy_current_task() == NULL && eddy_loop_current() == NULL && eddy_worker_index() == -1 &&
                      eddy_all_tasks(NULL, 0) == 0 && eddy_check_cancel() == 0 && eddy_loop_uv() == NULL
                  ? EDDY_EWRONGTHREAD
                  : 0)
static const struct call of_the_runtime[] = {
    ROW(spawn),
    ROW(call_soon),
    ROW(call_later),
    ROW(call_at),
    ROW(domain_open),
    ROW(add_callback),
    ROW(shield),
    ROW(outside),
    ROW(local_set),
    ROW(stats_read),
    ROW(thread_pool_create),
    ROW(process_pool_create),
    ROW(as_completed),
    ROW(future_create),
};

static void expect_refused(const struct call *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int status = calls[i].call();
        if (status != EDDY_EWRONGTHREAD)
            test_fail(__FILE__, __LINE__, "eddy_%s: want EWRONGTHREAD, got %s", calls[i].name,
                      eddy_status_name(status));
    }
}
#define EXPECT_REFUSED(calls) expect_refused((calls), sizeof(calls) / sizeof(calls)[0])

static int call_all_in_callback(void *arg) {
    (void)arg;
    EXPECT_REFUSED(of_tasks);
    EXPECT_REFUSED(not_of_callbacks);
    return 0;
}

RULE(wrong_use_in_a_callback_gets_ewrongthread) {
    things_make();
    EXPECT_OK(eddy_call_soon(NULL, call_all_in_callback, NULL, NULL));
    test_until_all_parked();
    things_free();
}

static void *call_all_in_thread(void *arg) {
    (void)arg;
    EXPECT_REFUSED(of_tasks);
    EXPECT_REFUSED(of_the_runtime);
    return NULL;
}

RULE(wrong_use_on_a_plain_thread_gets_ewrongthread, TEST_REAL) {
    things_make();
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, call_all_in_thread, NULL));
    pthread_join(thread, NULL);
    things_free();
}

/* ---- NULL ------------------------------------------------------------------------------------------------ */

RULE(wrong_use_release_of_null_is_nothing) {
    eddy_task_release(NULL);
    eddy_future_release(NULL);
    eddy_handle_release(NULL);
    eddy_coro_release(NULL);
    eddy_context_release(NULL);
    eddy_error_release(NULL);
    eddy_completions_release(NULL);
    eddy_lock_release(NULL);
    eddy_event_release(NULL);
    eddy_condition_release(NULL);
    eddy_semaphore_release(NULL);
    eddy_barrier_release(NULL);
    eddy_rwlock_release(NULL);
    eddy_once_release(NULL);
    eddy_gate_release(NULL);
    eddy_queue_release(NULL);
    eddy_stream_release(NULL);
    eddy_server_release(NULL);
    eddy_addresses_release(NULL);
    eddy_signal_close(NULL);
    EXPECT_OK(eddy_thread_pool_close(NULL));
    EXPECT_OK(eddy_process_pool_close(NULL));
    eddy_process_buffer_release(NULL);
    EXPECT_EQ(0, eddy_error_status(NULL));
    EXPECT_STR("", eddy_error_text(NULL));
    EXPECT_EQ(0, eddy_error_children(NULL));
}

CALL(null_await, eddy_await(NULL, NULL))
CALL(null_wait_for, eddy_wait_for(NULL, 1, NULL))
CALL(null_cancel, eddy_cancel(NULL))
CALL(null_future_set, eddy_future_set(NULL, EDDY_NONE))
CALL(null_future_fail, eddy_future_fail(NULL, -5, NULL))
CALL(null_future_done, eddy_future_done(NULL))
CALL(null_future_result, eddy_future_result(NULL, NULL))
CALL(null_future_take, eddy_future_take(NULL, NULL))
CALL(null_future_share, eddy_future_share(NULL) != NULL)
CALL(null_add_callback, eddy_future_add_callback(NULL, never_done, NULL))
CALL(null_remove_callback, eddy_future_remove_callback(NULL, never_done, NULL))
CALL(null_gather, eddy_gather(&no_future, 1, NULL))
CALL(null_wait, eddy_wait(&no_future, 1, 0, EDDY_ALL_COMPLETED, NULL))
CALL(null_shield, eddy_shield(&no_future, NULL))
CALL(null_task_share, eddy_task_share(NULL) != NULL)
CALL(null_task_id, eddy_task_id(NULL))
CALL(null_task_name, eddy_task_name(NULL, NULL, 0))
CALL(null_task_print, eddy_task_print(NULL, NULL, 0))
CALL(null_cancelling, eddy_task_cancelling(NULL))
CALL(null_uncancel, eddy_task_uncancel(NULL))
CALL(null_handle_cancel, (eddy_handle_cancel(NULL), 0))
CALL(null_group_enter, eddy_group_enter(NULL))
CALL(null_group_exit, eddy_group_exit(NULL, 0))
CALL(null_coro_await, eddy_coro_await(NULL, NULL))
CALL(null_coro_spawn, eddy_coro_spawn(NULL, NULL, NULL))
CALL(null_lock_acquire, eddy_lock_acquire(NULL))
CALL(null_lock_unlock, eddy_lock_unlock(NULL))
CALL(null_event_wait, eddy_event_wait(NULL))
CALL(null_event_set, (eddy_event_set(NULL), 0))
CALL(null_semaphore_acquire, eddy_semaphore_acquire(NULL))
CALL(null_semaphore_post, eddy_semaphore_post(NULL))
CALL(null_queue_put, eddy_queue_put(NULL, EDDY_NONE))
CALL(null_queue_get, eddy_queue_get(NULL, &value))
CALL(null_queue_close, (eddy_queue_close(NULL), 0))
CALL(null_stream_read, eddy_stream_read(NULL, &value, 1))
CALL(null_stream_write, eddy_stream_write(NULL, "x", 1))
CALL(null_stream_drain, eddy_stream_drain(NULL))
CALL(null_stream_close, eddy_stream_close(NULL))
CALL(null_server_close, (eddy_server_close(NULL), 0))
CALL(null_wait_closed, eddy_server_wait_closed(NULL))
CALL(null_signal_wait, eddy_signal_wait(NULL))
static const struct call with_null[] = {
    ROW(null_await),        ROW(null_wait_for),      ROW(null_cancel),        ROW(null_future_set),
    ROW(null_future_fail),  ROW(null_future_done),   ROW(null_future_result), ROW(null_future_take),
    ROW(null_future_share), ROW(null_add_callback),  ROW(null_gather),        ROW(null_remove_callback),
    ROW(null_wait),         ROW(null_shield),        ROW(null_task_share),    ROW(null_task_id),
    ROW(null_task_name),    ROW(null_task_print),    ROW(null_cancelling),    ROW(null_uncancel),
    ROW(null_group_enter),  ROW(null_handle_cancel), ROW(null_group_exit),    ROW(null_coro_await),
    ROW(null_coro_spawn),   ROW(null_lock_acquire),  ROW(null_lock_unlock),   ROW(null_event_wait),
    ROW(null_event_set),    ROW(null_queue_put),     ROW(null_queue_get),     ROW(null_semaphore_acquire),
    ROW(null_queue_close),  ROW(null_stream_read),   ROW(null_stream_write),  ROW(null_semaphore_post),
    ROW(null_stream_drain), ROW(null_stream_close),  ROW(null_server_close),  ROW(null_wait_closed),
    ROW(null_signal_wait),
};

static int call_one(void *arg, eddy_value *out) {
    const struct call *call = arg;
    (void)out;
    return call->call();
}
static void run_one(void *arg) {
    int status = eddy_run(call_one, arg, NULL, EDDY_RUN(.workers = 1, .name = "careless"));
    fprintf(stderr, "returned %s\n", eddy_status_name(status));
}

/* Debug builds have UBSan, which finds it first and says "null pointer". */
UNIT(contract, wrong_use_of_null_ends_the_program_with_a_name, TEST_LIMIT(60), TEST_WITHOUT("valgrind qemu thread")) {
    for (size_t i = 0; i < sizeof with_null / sizeof with_null[0]; i++) {
        const struct test_child child = test_child_run(run_one, (void *)&with_null[i]);
        bool named = strstr(child.stderr_text, "a NULL pointer was used in task \"careless\"") != NULL ||
                     strstr(child.stderr_text, "null pointer") != NULL;
        if (!named || (child.exit_code == 0))
            test_fail(__FILE__, __LINE__, "%s: exit %d, signal %d: %s", with_null[i].name, child.exit_code,
                      child.signal, child.stderr_text);
    }
}

/* ---- arguments out of range ------------------------------------------------------------------------------ */

static void ignore_drop(eddy_value dropped) { (void)dropped; }

RULE(wrong_use_of_arguments_gets_einval) {
    eddy_task_options options = eddy_task_options_init();
    eddy_future *future = eddy_future_create();
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, NULL, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.stack_bytes = 1 << 20)));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, give_nothing, future, EDDY_TASK(.copy_bytes = 8, .drop_arg = ignore_drop)));
    options.size = 3;
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, give_nothing, NULL, &options));
    EXPECT_EQ(EDDY_EINVAL, eddy_future_fail(future, 0, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_future_fail(future, 7, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_future_fail(future, EDDY_ECANCELED, NULL));
    EXPECT(!eddy_future_done(future));
    EXPECT_EQ(EDDY_EINVAL, eddy_wait(&future, 0, 0, EDDY_ALL_COMPLETED, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_call_soon_threadsafe(NULL, never_called, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn_threadsafe(NULL, NULL, give_nothing, NULL, NULL));
    EXPECT(eddy_future_create_on(NULL, NULL) == NULL);
    eddy_future_release(future);
}

RULE(wrong_use_of_pools_servers_and_signals_gets_einval, TEST_REAL) {
    eddy_server_options options = eddy_server_options_init();
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_create(&no_pool, EDDY_THREAD_POOL(.threads = 100000)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&no_processes, EDDY_PROCESS_POOL(.processes = 100000)));
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_run(NULL, nothing_in_thread, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&no_signal, SIGKILL));
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&no_signal, SIGSEGV));
    EXPECT_EQ(EDDY_EINVAL, eddy_signal_open(&no_signal, -1));
    EXPECT_EQ(EDDY_EINVAL, eddy_server_open(&no_server, "127.0.0.1", 0, NULL, NULL, NULL));
    options.size = 1;
    EXPECT_EQ(EDDY_EINVAL, eddy_server_open(&no_server, "127.0.0.1", 0, serve_nobody, NULL, &options));
}

UNIT(contract, wrong_use_of_run_gets_einval) {
    eddy_run_options options = eddy_run_options_init();
    EXPECT_EQ(EDDY_EINVAL, eddy_run(NULL, NULL, NULL, NULL));
    options.size = 3;
    EXPECT_EQ(EDDY_EINVAL, eddy_run(give_nothing, NULL, NULL, &options));
    EXPECT_EQ(EDDY_ELIMIT, eddy_run(give_nothing, NULL, NULL, EDDY_RUN(.workers = 100000)));
}

/* ---- done twice, not done yet, done by another ----------------------------------------------------------- */

RULE(wrong_use_done_twice_gets_estate) {
    eddy_local_token token;
    EXPECT_OK(eddy_local_set(&local, EDDY_I64(1), &token));
    EXPECT_OK(eddy_local_reset(&local, &token));
    EXPECT_EQ(EDDY_ESTATE, eddy_local_reset(&local, &token));

    eddy_future *future = eddy_future_create();
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(future, &value));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_future_take(future, &value));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_take(future, &value));
    eddy_future_release(future);

    eddy_lock *lock = eddy_lock_create();
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_OK(eddy_lock_unlock(lock));
    EXPECT_EQ(EDDY_ESTATE, eddy_lock_unlock(lock));
    eddy_lock_release(lock);
}

RULE(wrong_use_of_a_task_as_a_bare_future_gets_estate) {
    eddy_task *task = spawn_parked(sleep_forever, NULL);
    EXPECT_EQ(EDDY_ESTATE, eddy_future_set(EDDY_FUTURE(task), EDDY_NONE));
    EXPECT_EQ(EDDY_ESTATE, eddy_future_fail(EDDY_FUTURE(task), -5, "no"));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
}

RULE(wrong_use_after_close_gets_eclosed) {
    eddy_queue *queue = eddy_queue_create(1, NULL);
    eddy_queue_close(queue);
    eddy_queue_close(queue);
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_put(queue, EDDY_NONE));
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_put(queue, EDDY_NONE));
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_get(queue, &value));
    EXPECT_EQ(EDDY_ECLOSED, eddy_queue_try_get(queue, &value));
    eddy_queue_release(queue);
}

static int read_nothing(eddy_stream *stream, void *arg) {
    char c;
    (void)arg;
    return eddy_stream_read(stream, &c, 1);
}

RULE(wrong_use_of_a_closed_stream_gets_eclosed, TEST_REAL) {
    char c;
    const char *line;
    size_t bytes;
    eddy_server *server;
    eddy_stream *stream;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, read_nothing, NULL, NULL));
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL));
    EXPECT_OK(eddy_stream_close(stream));
    EXPECT_OK(eddy_stream_close(stream)); /* twice is legal */
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_read(stream, &c, 1));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_read_exactly(stream, &c, 1, NULL));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_read_until(stream, "\n", 1, 0, &line, &bytes));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(stream, "x", 1));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_writev(stream, &(struct iovec){&c, 1}, 1));
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_set_water_marks(stream, 1, 2));
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_send_file(stream, 0, -1, 1, NULL));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_send_file(stream, 0, 0, 1, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_send_fds(stream, "", 0, NULL, 0));
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_accept_fds(stream, 0));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_take_fd(stream, &(int){0}));
    EXPECT_EQ(EDDY_EINVAL, eddy_address_name(&(eddy_address){.bytes = 0}, 0, NULL, 0, NULL, 0));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_drain(stream));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_shutdown_write(stream));
    eddy_stream_abort(stream); /* legal */
    eddy_stream_release(stream);
    eddy_server_close(server);
    eddy_server_close(server);
    EXPECT_OK(eddy_server_wait_closed(server));
    EXPECT_OK(eddy_server_wait_closed(server));
    eddy_server_release(server);
}

/* ---- another runtime ------------------------------------------------------------------------------------- */

static int use_foreign(void *arg, eddy_value *out) {
    struct things *foreign = arg;
    (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_await(foreign->pending, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_wait_for(foreign->pending, 1, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn(NULL, give_nothing, NULL, EDDY_TASK(.loop = foreign->loop)));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_soon(foreign->loop, never_called, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_later(foreign->loop, 0, never_called, NULL, NULL));
    return 0;
}
static void *run_another(void *arg) {
    EXPECT_OK(eddy_run(use_foreign, arg, NULL, EDDY_RUN(.workers = 1)));
    return NULL;
}

RULE(wrong_use_of_another_runtimes_objects_is_refused, TEST_REAL) {
    pthread_t thread;
    things.pending = eddy_future_create();
    EXPECT_OK(eddy_domain_open(&things.loop));
    EXPECT_EQ(0, pthread_create(&thread, NULL, run_another, &things));
    pthread_join(thread, NULL);
    EXPECT(!eddy_future_done(things.pending));
    eddy_future_release(things.pending);
}

/* ---- named aborts ---------------------------------------------------------------------------------------- */

static int pop_without_push(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_timeout_pop(0);
}
static int push_without_pop(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_timeout_push(1);
    return 0;
}
static int exit_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_group_exit(arg, 0);
}
static int exit_in_another_task(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    return end_of(spawn(exit_it, &group));
}
static int acquire_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_lock_acquire(arg);
}
static int release_with_waiters(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_lock *lock = eddy_lock_create();
    EXPECT_OK(eddy_lock_acquire(lock));
    (void)spawn_parked(acquire_it, lock);
    eddy_lock_release(lock);
    return 0;
}
static void run_wrong(void *arg) { (void)eddy_run((eddy_coro_fn)arg, NULL, NULL, EDDY_RUN(.workers = 1)); }

UNIT(contract, wrong_use_that_cannot_go_on_ends_the_program_with_a_name) {
    static const struct {
        eddy_coro_fn fn;
        const char *says;
    } all[] = {
        {pop_without_push, "eddy_timeout_pop without"},
        {push_without_pop, "\"main\" ended inside a timeout scope"},
        {exit_in_another_task, "eddy_group_exit outside the task that entered the group"},
        {release_with_waiters, "eddy_lock_release"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct test_child child = test_child_run(run_wrong, (void *)all[i].fn);
        EXPECT_EQ(SIGABRT, child.signal);
        EXPECT_HAS(child.stderr_text, all[i].says);
    }
}
