/* null_test.c: a NULL where an object belongs ends the program with a report that names the task; a line for each function
 * that misuse_test.c and contract_test.c do not call wrongly. tests/scripts/misuse_entries.py wants one for each. */
#include "eddy/debug.h"
#include "eddy/eddy.h"
#include "eddy/tls.h"
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

struct careless {
    const char *name;
    int (*call)(void);
    struct careless *next;
};
static struct careless *all;

#define GIVEN_NULL(name_, expression_)                             \
    static int name_##_null(void) { return (int)(expression_); }   \
    __attribute__((constructor)) static void name_##_add(void) {   \
        static struct careless one = {#name_, name_##_null, NULL}; \
        one.next = all;                                            \
        all = &one;                                                \
    }                                                              \
    struct careless

static char buffer[64];
static eddy_addresses *no_addresses;
static int no_element;

static int keep(void *arg) {
    (void)arg;
    return 0;
}
static int leave(eddy_stream *stream, void *arg) {
    (void)stream, (void)arg;
    return 0;
}
static bool never(void *arg) {
    (void)arg;
    return false;
}

GIVEN_NULL(eddy_address_text, eddy_address_text(NULL, buffer, 9));
GIVEN_NULL(eddy_addresses_count, eddy_addresses_count(no_addresses));
GIVEN_NULL(eddy_addresses_get, eddy_addresses_get(no_addresses, 0) != NULL);
GIVEN_NULL(eddy_barrier_is_broken, eddy_barrier_is_broken(NULL));
GIVEN_NULL(eddy_barrier_reset, (eddy_barrier_reset(NULL), 0));
GIVEN_NULL(eddy_barrier_waiting, eddy_barrier_waiting(NULL));
GIVEN_NULL(eddy_channel_close, (eddy_channel_close(NULL), 0));
GIVEN_NULL(eddy_channel_receive, eddy_channel_receive(NULL, &no_element));
GIVEN_NULL(eddy_channel_send, eddy_channel_send(NULL, &no_element));
GIVEN_NULL(eddy_channel_size, eddy_channel_size(NULL));
GIVEN_NULL(eddy_channel_try_receive, eddy_channel_try_receive(NULL, &no_element));
GIVEN_NULL(eddy_channel_try_send, eddy_channel_try_send(NULL, &no_element));
GIVEN_NULL(eddy_child_communicate, eddy_child_communicate(NULL, NULL, 0, 1, NULL, NULL, NULL));
GIVEN_NULL(eddy_child_err, eddy_child_err(NULL) != NULL);
GIVEN_NULL(eddy_child_in, eddy_child_in(NULL) != NULL);
GIVEN_NULL(eddy_child_out, eddy_child_out(NULL) != NULL);
GIVEN_NULL(eddy_child_pid, eddy_child_pid(NULL));
GIVEN_NULL(eddy_child_share, eddy_child_share(NULL) != NULL);
GIVEN_NULL(eddy_child_signal, eddy_child_signal(NULL, 0));
GIVEN_NULL(eddy_child_stop, eddy_child_stop(NULL, 0, NULL));
GIVEN_NULL(eddy_child_wait, eddy_child_wait(NULL, NULL));
GIVEN_NULL(eddy_condition_wait_for, eddy_condition_wait_for(NULL, never, NULL));
GIVEN_NULL(eddy_coro_print, eddy_coro_print(NULL, buffer, 9));
GIVEN_NULL(eddy_event_clear, (eddy_event_clear(NULL), 0));
GIVEN_NULL(eddy_event_is_set, eddy_event_is_set(NULL));
GIVEN_NULL(eddy_file_fd, eddy_file_fd(NULL));
GIVEN_NULL(eddy_file_read, eddy_file_read(NULL, buffer, 9, 0));
GIVEN_NULL(eddy_file_size, eddy_file_size(NULL, NULL));
GIVEN_NULL(eddy_file_sync, eddy_file_sync(NULL, false));
GIVEN_NULL(eddy_file_truncate, eddy_file_truncate(NULL, 0));
GIVEN_NULL(eddy_file_write, eddy_file_write(NULL, buffer, 9, 0));
GIVEN_NULL(eddy_future_cancelled, eddy_future_cancelled(NULL));
GIVEN_NULL(eddy_future_error, eddy_future_error(NULL) != NULL);
GIVEN_NULL(eddy_future_task, eddy_future_task(NULL) != NULL);
GIVEN_NULL(eddy_future_loop, eddy_future_loop(NULL) != NULL);
GIVEN_NULL(eddy_gate_enter, eddy_gate_enter(NULL, EDDY_FOREVER));
GIVEN_NULL(eddy_gate_exit, eddy_gate_exit(NULL));
GIVEN_NULL(eddy_gate_stats_read, (eddy_gate_stats_read(NULL, NULL), 0));
GIVEN_NULL(eddy_gate_try_enter, eddy_gate_try_enter(NULL));
GIVEN_NULL(eddy_group_cancel, (eddy_group_cancel(NULL), 0));
GIVEN_NULL(eddy_handle_cancelled, eddy_handle_cancelled(NULL));
GIVEN_NULL(eddy_handle_when_ns, eddy_handle_when_ns(NULL));
GIVEN_NULL(eddy_lock_is_held, eddy_lock_is_held(NULL));
GIVEN_NULL(eddy_once_is_done, eddy_once_is_done(NULL));
GIVEN_NULL(eddy_once_run, eddy_once_run(NULL, keep, NULL));
GIVEN_NULL(eddy_picture_count, eddy_picture_count(NULL));
GIVEN_NULL(eddy_picture_cycle, eddy_picture_cycle(NULL, NULL, 0));
GIVEN_NULL(eddy_picture_print, eddy_picture_print(NULL, EDDY_PICTURE_TABLE, buffer, 9));
GIVEN_NULL(eddy_picture_take, eddy_picture_take(NULL));
GIVEN_NULL(eddy_picture_task, eddy_picture_task(NULL, 0) != NULL);
GIVEN_NULL(eddy_process_buffer_bytes, eddy_process_buffer_bytes(NULL).size);
GIVEN_NULL(eddy_process_pool_stats_read, (eddy_process_pool_stats_read(NULL, NULL), 0));
GIVEN_NULL(eddy_queue_close_now, (eddy_queue_close_now(NULL), 0));
GIVEN_NULL(eddy_queue_size, eddy_queue_size(NULL));
GIVEN_NULL(eddy_report_send, (eddy_report_send(NULL), 0));
GIVEN_NULL(eddy_rwlock_read, eddy_rwlock_read(NULL));
GIVEN_NULL(eddy_rwlock_try_read, eddy_rwlock_try_read(NULL));
GIVEN_NULL(eddy_rwlock_try_write, eddy_rwlock_try_write(NULL));
GIVEN_NULL(eddy_rwlock_write, eddy_rwlock_write(NULL));
GIVEN_NULL(eddy_runner_loop, eddy_runner_loop(NULL) != NULL);
GIVEN_NULL(eddy_runtime_fd, eddy_runtime_fd(NULL));
GIVEN_NULL(eddy_runtime_loop, eddy_runtime_loop(NULL) != NULL);
GIVEN_NULL(eddy_runtime_turn, eddy_runtime_turn(NULL, 0));
GIVEN_NULL(eddy_semaphore_try_acquire, eddy_semaphore_try_acquire(NULL));
GIVEN_NULL(eddy_server_abort_clients, (eddy_server_abort_clients(NULL), 0));
GIVEN_NULL(eddy_server_close_clients, (eddy_server_close_clients(NULL), 0));
GIVEN_NULL(eddy_server_connections, eddy_server_connections(NULL));
GIVEN_NULL(eddy_server_finish_clients, (eddy_server_finish_clients(NULL), 0));
GIVEN_NULL(eddy_server_handshakes_failed, eddy_server_handshakes_failed(NULL));
GIVEN_NULL(eddy_server_refused, eddy_server_refused(NULL));
GIVEN_NULL(eddy_server_share, eddy_server_share(NULL) != NULL);
GIVEN_NULL(eddy_server_shutdown, eddy_server_shutdown(NULL, 0));
GIVEN_NULL(eddy_stream_buffered, eddy_stream_buffered(NULL));
GIVEN_NULL(eddy_stream_local, eddy_stream_local(NULL, buffer, 9));
GIVEN_NULL(eddy_stream_peer, eddy_stream_peer(NULL, buffer, 9));
GIVEN_NULL(eddy_stream_share, eddy_stream_share(NULL) != NULL);
GIVEN_NULL(eddy_stream_ssl, eddy_stream_ssl(NULL) != NULL);
GIVEN_NULL(eddy_stream_start_tls, eddy_stream_start_tls(NULL, NULL, "localhost"));
GIVEN_NULL(eddy_stream_tls_info, eddy_stream_tls_info(NULL, NULL));
GIVEN_NULL(eddy_task_print_stack, eddy_task_print_stack(NULL, buffer, 9));
GIVEN_NULL(eddy_task_set_name, (eddy_task_set_name(NULL, "x"), 0));
GIVEN_NULL(eddy_task_stack, eddy_task_stack(NULL, NULL, 0));
GIVEN_NULL(eddy_thread_pool_stats_read, (eddy_thread_pool_stats_read(NULL, NULL), 0));
GIVEN_NULL(eddy_tls_context, eddy_tls_context(NULL) != NULL);
GIVEN_NULL(eddy_tls_share, eddy_tls_share(NULL) != NULL);
GIVEN_NULL(eddy_udp_local, eddy_udp_local(NULL, buffer, 9));
GIVEN_NULL(eddy_udp_port, eddy_udp_port(NULL));
GIVEN_NULL(eddy_udp_receive, eddy_udp_receive(NULL, buffer, 9, NULL));
GIVEN_NULL(eddy_udp_send, eddy_udp_send(NULL, buffer, 9, NULL));
GIVEN_NULL(eddy_watch_readable, eddy_watch_readable(NULL));
GIVEN_NULL(eddy_watch_writable, eddy_watch_writable(NULL));

static int call_one(void *arg, eddy_value *out) {
    (void)out;
    return ((const struct careless *)arg)->call();
}
static void run_one(void *arg) {
    int status = eddy_run(call_one, arg, NULL, EDDY_RUN(.workers = 1, .name = "careless"));
    fprintf(stderr, "returned %s\n", eddy_status_name(status));
}

/* Debug builds have UBSan, which finds it first and says "null pointer". */
UNIT(misuse, null_ends_the_program_with_a_name, TEST_LIMIT(60), TEST_WITHOUT("valgrind qemu thread")) {
    int wrong = 0;
    for (struct careless *one = all; one != NULL; one = one->next) {
        const struct test_child child = test_child_run(run_one, one);
        bool named = strstr(child.stderr_text, "a NULL pointer was used in task \"careless\"") != NULL ||
                     strstr(child.stderr_text, "null pointer") != NULL;
        if (named && child.exit_code != 0) continue;
        wrong++;
        fprintf(stderr, "%s: exit %d, signal %d: %s\n", one->name, child.exit_code, child.signal, child.stderr_text);
    }
    EXPECT_EQ(0, wrong);
}

UNIT(misuse, what_opens_or_waits_needs_a_run) {
    eddy_child *child;
    eddy_stream *stream;
    eddy_server *server;
    eddy_udp *udp;
    eddy_watch *watch;
    eddy_file *file;
    eddy_bytes bytes;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_child_start(&child, (const char *const[]){"true", NULL}, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_child_shell(&child, "true", NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_connect_unix(&stream, "/nowhere", NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_server_open_unix(&server, "/nowhere/at/all", leave, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_stream_open_fd(&stream, 0));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_udp_open(&udp, "127.0.0.1", 0, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_udp_connect(&udp, "127.0.0.1", 1, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_watch_open(&watch, 0));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_file_open(&file, "/dev/null", 0, 0));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_file_read_all("/dev/null", 9, &bytes));
    EXPECT_EQ(EDDY_EINVAL, eddy_select(NULL, 0));
    EXPECT_EQ(EDDY_EINVAL, eddy_try_select(NULL, 0));
    EXPECT_EQ(0, eddy_timeout_expired());
    EXPECT_EQ(EDDY_FOREVER, eddy_timeout_deadline_ns());
    EXPECT_EQ(0, eddy_job_cancelled());
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(NULL, NULL, NULL, NULL));
}

UNIT(misuse, release_of_null_is_nothing) {
    eddy_channel_release(NULL);
    eddy_child_release(NULL);
    eddy_picture_release(NULL);
    eddy_tls_release(NULL);
    eddy_udp_close(NULL);
    eddy_watch_close(NULL);
    eddy_runtime_release(NULL);
    eddy_bytes_free(&(eddy_bytes){0});
}

TEST(misuse, what_blocks_is_refused_on_a_worker) {
    eddy_future *future = eddy_future_create();
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_future_wait(future, 0, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_runtime_stop(NULL));
    eddy_future_release(future);
}
