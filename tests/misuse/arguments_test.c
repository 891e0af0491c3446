/* arguments_test.c: numbers out of range, options that are none, calls at the wrong moment, one line a case: each gives its
 * documented status, or ends the program with a message that names what was done. What each function can be given wrongly
 * (NULL, other runtimes, threads) is matrix.def's. */
#include "eddy/eddy.h"
#include "harness/test.h"

#include <signal.h>

static int give_nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}
static void drop_nothing(eddy_value value) { (void)value; }
static int ignore_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return 0;
}
static int nobody_remote(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
static int hang_up(eddy_stream *stream, void *arg) {
    (void)stream, (void)arg;
    return 0;
}

/* Counts: the last line of a table says how many lines it has. */
static int cases;
#define CASE(want, call)       \
    do {                       \
        cases++;               \
        EXPECT_EQ(want, call); \
    } while (0)

/* ---- in a task --------------------------------------------------------------------------------------------- */

static int await_myself(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_await(EDDY_FUTURE(eddy_current_task()), NULL);
}
static int read_a_byte(void *arg, eddy_value *out) {
    (void)out;
    char byte;
    return eddy_stream_read(arg, &byte, 1);
}
static int hold_open(eddy_stream *stream, void *arg) {
    (void)arg;
    char byte;
    return eddy_stream_read(stream, &byte, 1);
}

static int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

TEST(misuse, tasks_and_futures) {
    cases = 0;
    eddy_task *task;
    eddy_value value;
    int small = 0;
    CASE(EDDY_EINVAL, eddy_spawn(&task, NULL, NULL, NULL));
    CASE(EDDY_EINVAL, eddy_spawn(&task, give_nothing, NULL, EDDY_TASK(.stack_bytes = 1 << 20)));
    CASE(EDDY_EINVAL, eddy_spawn(&task, give_nothing, NULL, &(eddy_task_options){.size = 8}));
    CASE(EDDY_EINVAL,
         eddy_spawn(&task, give_nothing, &small, EDDY_TASK(.copy_bytes = sizeof small, .drop_arg = drop_nothing)));
    EXPECT_OK(eddy_spawn(&task, await_myself, NULL, NULL));
    CASE(EDDY_ESTATE, end_of(task));

    EXPECT_OK(eddy_spawn(&task, give_nothing, NULL, NULL));
    CASE(EDDY_ESTATE, eddy_future_set(EDDY_FUTURE(task), EDDY_NONE));
    CASE(EDDY_ESTATE, eddy_future_fail(EDDY_FUTURE(task), -5, "not yours"));
    EXPECT_EQ(0, end_of(task));

    eddy_future *future = eddy_future_create();
    CASE(EDDY_ESTATE, eddy_future_result(future, &value));
    CASE(EDDY_ESTATE, eddy_future_take(future, &value));
    CASE(EDDY_EINVAL, eddy_future_fail(future, 0, "no failure"));
    CASE(EDDY_EINVAL, eddy_future_fail(future, 7, "no failure"));
    CASE(EDDY_EINVAL, eddy_future_fail(future, EDDY_ECANCELED, "use eddy_cancel"));
    CASE(0, eddy_future_done(future));
    CASE(0, eddy_future_remove_callback(future, ignore_done, NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_I64(7)));
    CASE(EDDY_ESTATE, eddy_future_set(future, EDDY_I64(8)));
    CASE(EDDY_ESTATE, eddy_future_fail(future, -5, "too late"));
    CASE(0, eddy_cancel(future));
    EXPECT_OK(eddy_future_take(future, &value));
    EXPECT_EQ(7, value.i64);
    CASE(EDDY_ESTATE, eddy_future_take(future, &value));
    eddy_future_release(future);
    eddy_future_release(NULL);

    CASE(EDDY_EINVAL, eddy_wait(NULL, 0, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL));
    CASE(EDDY_ESTATE, eddy_run(give_nothing, NULL, NULL, NULL));
    CASE(EDDY_ESTATE, eddy_timeout_reschedule(1));
    CASE(EDDY_EINVAL, eddy_worker_stats_read(1 << 20, &(eddy_worker_stats){0}));

    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_EQ(0, eddy_group_exit(&group, 0));
    CASE(EDDY_ESTATE, eddy_group_spawn(&group, NULL, give_nothing, NULL, NULL));
    EXPECT_EQ(23, cases);
    eddy_handled();
}

TEST(misuse, objects) {
    cases = 0;
    eddy_value item;
    eddy_lock *lock = eddy_lock_create();
    CASE(EDDY_ESTATE, eddy_lock_unlock(lock));
    EXPECT_OK(eddy_lock_acquire(lock));
    CASE(0, eddy_lock_try_acquire(lock));
    EXPECT_OK(eddy_lock_unlock(lock));
    eddy_condition *condition = eddy_condition_create(lock);
    CASE(EDDY_ESTATE, eddy_condition_wait(condition));
    CASE(EDDY_ESTATE, eddy_condition_notify(condition, 1));
    CASE(EDDY_ESTATE, eddy_condition_notify_all(condition));
    eddy_condition_release(condition);
    eddy_lock_release(lock);
    eddy_rwlock *rwlock = eddy_rwlock_create();
    CASE(EDDY_ESTATE, eddy_rwlock_unlock(rwlock));
    eddy_rwlock_release(rwlock);
    eddy_semaphore *bounded = eddy_semaphore_create_bounded(1);
    CASE(EDDY_ESTATE, eddy_semaphore_post(bounded));
    eddy_semaphore_release(bounded);
    eddy_barrier *barrier = eddy_barrier_create(2);
    eddy_barrier_abort(barrier);
    CASE(EDDY_EBROKEN, eddy_barrier_wait(barrier));
    eddy_barrier_release(barrier);
    CASE(1, eddy_gate_create(0, NULL) == NULL);
    eddy_gate *gate = eddy_gate_create(1, NULL);
    CASE(EDDY_ESTATE, eddy_gate_exit(gate));
    CASE(EDDY_EOVERLOADED, eddy_gate_enter(gate, 0));
    eddy_gate_release(gate);

    eddy_queue *queue = eddy_queue_create(1, NULL);
    CASE(EDDY_ESTATE, eddy_queue_task_done(queue));
    EXPECT_OK(eddy_queue_put(queue, EDDY_I64(1)));
    eddy_queue_close(queue);
    CASE(EDDY_ECLOSED, eddy_queue_put(queue, EDDY_I64(2)));
    CASE(EDDY_ECLOSED, eddy_queue_try_put(queue, EDDY_I64(2)));
    EXPECT_OK(eddy_queue_get(queue, &item)); /* what was in it is still given */
    CASE(EDDY_ECLOSED, eddy_queue_get(queue, &item));
    CASE(EDDY_ECLOSED, eddy_queue_try_get(queue, &item));
    eddy_queue_release(queue);
    EXPECT_EQ(16, cases);
}

TEST(misuse, pools) {
    cases = 0;
    eddy_value value;
    eddy_bytes out;
    eddy_thread_pool *threads;
    eddy_process_pool *processes;
    CASE(EDDY_EINVAL, eddy_thread_pool_create(&threads, EDDY_THREAD_POOL(.threads = 1025)));
    CASE(EDDY_EINVAL, eddy_thread_pool_create(&threads, &(eddy_thread_pool_options){.size = 1}));
    CASE(EDDY_EINVAL, eddy_to_thread(NULL, NULL, &value));
    CASE(0, eddy_thread_pool_close(NULL));
    CASE(EDDY_EINVAL, eddy_process_pool_create(&processes, EDDY_PROCESS_POOL(.processes = 257)));
    CASE(EDDY_EINVAL, eddy_process_pool_create(&processes, &(eddy_process_pool_options){.size = 1}));
    CASE(EDDY_EINVAL, eddy_to_process(nobody_remote, eddy_bytes_view("", 0), &out));
    CASE(EDDY_EINVAL, eddy_process_pool_create(&processes, EDDY_PROCESS_POOL(.grace_ns = -1)));
    CASE(0, eddy_process_pool_close(NULL));
    CASE(0, eddy_process_pool_terminate(NULL, 0));
    eddy_process_buffer *buffer = NULL;
    CASE(EDDY_EINVAL, eddy_process_buffer_create(&buffer, 0));
    CASE(EDDY_EINVAL, eddy_process_pool_call(NULL, nobody_remote, eddy_bytes_view("", 0), &out,
                                             EDDY_PROCESS_CALL(.buffer = &buffer)));
    CASE(EDDY_EINVAL, eddy_process_pool_call(NULL, nobody_remote, eddy_bytes_view("", 0), &out, NULL));
    CASE(EDDY_EINVAL, eddy_process_pool_call(NULL, nobody_remote, eddy_bytes_view("", 0), &out,
                                             &(eddy_process_call_options){.size = 1}));
    CASE(EDDY_EINVAL, eddy_process_fd_take(0));
    CASE(EDDY_EINVAL, eddy_thread_pool_map(NULL, give_nothing, NULL));
    CASE(EDDY_EINVAL, eddy_process_pool_map(NULL, nobody_remote, NULL));
    CASE(EDDY_EWRONGTHREAD, eddy_process_report("x", 1));
    EXPECT_EQ(18, cases);
    eddy_handled();
}

TEST(misuse, signals) {
    cases = 0;
    eddy_signal *signal;
    CASE(EDDY_EINVAL, eddy_signal_open(&signal, SIGKILL));
    CASE(EDDY_EINVAL, eddy_signal_open(&signal, SIGSEGV));
    CASE(EDDY_EINVAL, eddy_signal_open(&signal, -1));
    EXPECT_EQ(3, cases);
}

UNIT(misuse, runs) {
    cases = 0;
    CASE(EDDY_EINVAL, eddy_run(give_nothing, NULL, NULL, &(eddy_run_options){.size = 3}));
    CASE(EDDY_ELIMIT, eddy_run(give_nothing, NULL, NULL, EDDY_RUN(.workers = 100000)));
    EXPECT_EQ(2, cases);
}

TEST(misuse, network) {
    cases = 0;
    char buffer[8];
    const char *line;
    size_t bytes;
    eddy_server *server;
    eddy_stream *stream;
    CASE(EDDY_EINVAL, eddy_server_open(&server, "127.0.0.1", 0, hang_up, NULL, &(eddy_server_options){.size = 1}));
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, hold_open, NULL, NULL));
    CASE(1, eddy_server_open(&(eddy_server *){NULL}, "127.0.0.1", eddy_server_port(server), hang_up, NULL, NULL) < 0);
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL));
    CASE(EDDY_EINVAL, eddy_stream_read_until(stream, "", 0, 0, &line, &bytes));
    eddy_task *reader;
    EXPECT_OK(eddy_spawn(&reader, read_a_byte, stream, EDDY_TASK(.name = "reader")));
    test_until_all_parked();
    CASE(EDDY_EBUSY, eddy_stream_read(stream, buffer, sizeof buffer));
    CASE(EDDY_EINVAL, eddy_stream_set_water_marks(stream, 1, 2));
    CASE(EDDY_EINVAL, eddy_stream_send_file(stream, 0, -1, 1, NULL));
    CASE(EDDY_EINVAL, eddy_stream_send_fds(stream, "", 0, NULL, 0));
    CASE(EDDY_EINVAL, eddy_stream_accept_fds(stream, 0));
    CASE(EDDY_ESTATE, eddy_stream_take_fd(stream, &(int){0}));
    CASE(EDDY_EINVAL, eddy_address_name(&(eddy_address){.bytes = 0}, 0, NULL, 0, NULL, 0));
    EXPECT_OK(eddy_stream_shutdown_write(stream));
    CASE(EDDY_ECLOSED, eddy_stream_write(stream, "late", 4));
    CASE(EDDY_EOF, end_of(reader)); /* the server's handler saw the end, and ended */
    EXPECT_OK(eddy_stream_close(stream));
    CASE(EDDY_ECLOSED, eddy_stream_read(stream, buffer, sizeof buffer));
    CASE(EDDY_ECLOSED, eddy_stream_write(stream, "late", 4));
    CASE(0, eddy_stream_close(stream));
    eddy_stream_release(stream);
    eddy_server_close(server);
    eddy_server_close(server); /* twice is legal */
    EXPECT_OK(eddy_server_wait_closed(server));
    eddy_server_release(server);
    EXPECT_EQ(15, cases);
    eddy_handled();
}

/* ---- what ends the program --------------------------------------------------------------------------------- */

static int end_inside_a_scope(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_timeout_push(EDDY_SECONDS(1));
    return 0;
}
static int pop_without_push(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_timeout_pop(0);
}
static int exit_group_of(void *arg, eddy_value *out) {
    (void)out;
    return eddy_group_exit(arg, 0);
}
static int exit_elsewhere(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    eddy_task *task;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_spawn(&task, exit_group_of, &group, NULL));
    return end_of(task);
}
static int wait_for_event(void *arg, eddy_value *out) {
    (void)out;
    return eddy_event_wait(arg);
}
static int release_while_awaited(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_event *event = eddy_event_create();
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, wait_for_event, event, NULL));
    test_until_all_parked();
    eddy_event_release(event);
    return end_of(task);
}
static int acquire_lock(void *arg, eddy_value *out) {
    (void)out;
    return eddy_lock_acquire(arg);
}
static int release_while_acquired(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_lock *lock = eddy_lock_create();
    eddy_task *task;
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_OK(eddy_spawn(&task, acquire_lock, lock, NULL));
    test_until_all_parked();
    eddy_lock_release(lock);
    return end_of(task);
}
static int join_queue(void *arg, eddy_value *out) {
    (void)out;
    return eddy_queue_join(arg);
}
static int release_while_joined(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_queue *queue = eddy_queue_create(2, NULL);
    eddy_task *task;
    EXPECT_OK(eddy_queue_put(queue, EDDY_I64(1)));
    EXPECT_OK(eddy_spawn(&task, join_queue, queue, NULL));
    test_until_all_parked();
    eddy_queue_release(queue);
    return end_of(task);
}

static void run_it(void *fn) { (void)eddy_run((eddy_coro_fn)(uintptr_t)fn, NULL, NULL, EDDY_RUN(.workers = 1)); }

UNIT(misuse, what_cannot_go_on_ends_with_its_name, TEST_WITHOUT("qemu")) {
    static const struct {
        eddy_coro_fn fn;
        const char *said;
    } deaths[] = {
        {end_inside_a_scope, "ended inside a timeout scope"},
        {pop_without_push, "eddy_timeout_pop without a matching eddy_timeout_push"},
        {exit_elsewhere, "eddy_group_exit outside the task that entered the group"},
        {release_while_awaited, "while somebody waits"},
        {release_while_acquired, "eddy_lock_release while somebody waits"},
        {release_while_joined, "eddy_queue_release while somebody waits in eddy_queue_join"},
    };
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        const struct test_child child = test_child_run(run_it, (void *)(uintptr_t)deaths[i].fn);
        EXPECT_HAS(child.stderr_text, deaths[i].said);
        EXPECT_EQ(SIGABRT, child.signal);
    }
}
