/* late_test.c: wrong use of what a program opens: datagram sockets, watches, files, children, TLS, runtimes, runners. Each is
 * called twice at once, with arguments that are none, and after its end. Where it may not be called: matrix.def. */
#include "eddy/eddy.h"
#include "eddy/tls.h"
#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define REAL_TEST(name) TEST(misuse, name, TEST_REAL, TEST_WITHOUT("valgrind qemu"))

static int give_nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}
static int leave(eddy_stream *stream, void *arg) {
    (void)arg;
    char c;
    return eddy_stream_read(stream, &c, 1);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static struct {
    eddy_udp *udp;
    eddy_watch *watch;
    eddy_file *file;
    eddy_child *child;
    eddy_stream *stream;
    eddy_server *server;
    eddy_tls *tls;
    eddy_future *pending;
    int ends[2];
} opened;

static void open_all(void) {
    EXPECT_EQ(0, pipe2(opened.ends, O_CLOEXEC | O_NONBLOCK));
    EXPECT_OK(eddy_udp_open(&opened.udp, "127.0.0.1", 0, NULL));
    EXPECT_OK(eddy_watch_open(&opened.watch, opened.ends[0]));
    EXPECT_OK(eddy_file_open(&opened.file, "/dev/null", O_RDWR, 0));
    EXPECT_OK(eddy_child_shell(&opened.child, "read line", EDDY_CHILD(.in = EDDY_CHILD_PIPE)));
    EXPECT_OK(eddy_server_open(&opened.server, "127.0.0.1", 0, leave, NULL, NULL));
    EXPECT_OK(eddy_connect(&opened.stream, "127.0.0.1", eddy_server_port(opened.server), NULL));
    EXPECT_OK(eddy_tls_client_create(&opened.tls, NULL));
    opened.pending = eddy_future_create();
}
static void close_all(void) {
    eddy_udp_close(opened.udp);
    eddy_watch_close(opened.watch);
    EXPECT_OK(eddy_file_close(opened.file));
    eddy_child_release(opened.child);
    EXPECT_OK(eddy_stream_close(opened.stream));
    eddy_stream_release(opened.stream);
    eddy_server_close(opened.server);
    EXPECT_OK(eddy_server_wait_closed(opened.server));
    eddy_server_release(opened.server);
    eddy_tls_release(opened.tls);
    eddy_future_release(opened.pending);
    for (int i = 0; i < 2; i++) close(opened.ends[i]);
}

/* ---- twice at once, and at the end --------------------------------------------------------------------------- */

static int receive(void *arg, eddy_value *out) {
    char c;
    (void)out;
    return eddy_udp_receive(arg, &c, 1, NULL);
}
static int watch_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_watch_readable(arg);
}
static eddy_task *spawn_parked(eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fn, arg, NULL));
    test_until_all_parked();
    return task;
}
static int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

REAL_TEST(one_task_at_a_time_waits_and_a_close_ends_that) {
    char c;
    open_all();
    eddy_task *receiver = spawn_parked(receive, opened.udp), *watcher = spawn_parked(watch_it, opened.watch);
    EXPECT_EQ(EDDY_EBUSY, eddy_udp_receive(opened.udp, &c, 1, NULL));
    EXPECT_EQ(EDDY_EBUSY, eddy_watch_readable(opened.watch));
    eddy_udp_close(opened.udp);
    eddy_watch_close(opened.watch);
    EXPECT_EQ(EDDY_ECLOSED, end_of(receiver));
    EXPECT_EQ(EDDY_ECLOSED, end_of(watcher));
    opened.udp = NULL;
    opened.watch = NULL;
    close_all();
}

REAL_TEST(a_child_that_has_ended_is_asked_again) {
    int code = -1;
    eddy_child *child;
    EXPECT_OK(eddy_child_shell(&child, "exit 3", NULL));
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(eddy_child_wait(child, &code));
        EXPECT_EQ(3, code);
        EXPECT_OK(eddy_child_stop(child, 0, &code));
        EXPECT_EQ(3, code);
        EXPECT_EQ(-ESRCH, eddy_child_signal(child, SIGTERM));
        EXPECT_OK(eddy_child_communicate(child, NULL, 0, 0, NULL, NULL, &code));
        EXPECT_EQ(3, code);
    }
    EXPECT_EQ(EDDY_EINVAL, eddy_child_communicate(child, "x", 1, 0, NULL, NULL, NULL)); /* it has no pipe */
    eddy_child_release(child);
    eddy_handled();
}

/* ---- arguments that are none ----------------------------------------------------------------------------------- */

REAL_TEST(arguments_of_what_is_opened_get_einval) {
    eddy_udp *udp;
    eddy_watch *watch;
    eddy_child *child;
    eddy_tls *tls;
    eddy_file *file;
    eddy_tls_info info;
    char c;
    const char *const nothing[] = {NULL}, *const argv[] = {"true", NULL};
    EXPECT_EQ(EDDY_EINVAL, eddy_udp_open(&udp, "127.0.0.1", 0, &(eddy_udp_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_udp_connect(&udp, "127.0.0.1", 1, &(eddy_udp_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_udp_connect(&udp, NULL, 1, NULL));
    EXPECT(eddy_watch_open(&watch, -1) < 0);
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, nothing, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, argv, &(eddy_child_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_child_start(&child, argv, EDDY_CHILD(.in = 77)));
    EXPECT_EQ(EDDY_EINVAL, eddy_tls_client_create(&tls, &(eddy_tls_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_tls_server_create(&tls, EDDY_TLS(.alpn = "")));
    EXPECT_OK(eddy_file_open(&file, "/dev/null", O_WRONLY, 0));
    EXPECT_EQ(EDDY_EINVAL, eddy_file_read(file, &c, (size_t)INT_MAX + 1, 0));
    EXPECT_EQ(-EBADF, eddy_file_read(file, &c, 1, 0)); /* opened for writing */
    EXPECT_OK(eddy_file_close(file));
    open_all();
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_start_tls(opened.stream, opened.tls, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_tls_info(opened.stream, &info));
    EXPECT(eddy_stream_ssl(opened.stream) == NULL);
    EXPECT_EQ(EDDY_EINVAL, eddy_child_signal(opened.child, 1000));
    close_all();
    eddy_handled();
}

/* ---- runtimes and runners --------------------------------------------------------------------------------------- */

UNIT(misuse, runtimes_and_runners_say_what_is_wrong) {
    eddy_runtime *runtime;
    eddy_runner *runner;
    eddy_task *task;
    EXPECT_EQ(EDDY_EINVAL, eddy_runtime_start(&runtime, &(eddy_run_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_runtime_guest(&runtime, &(eddy_run_options){.size = 3}));
    EXPECT_EQ(EDDY_EINVAL, eddy_runner_open(&runner, &(eddy_run_options){.size = 3}));
    EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 1)));
    EXPECT_EQ(-1, eddy_runtime_fd(runtime));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_turn(runtime, 0));
    EXPECT_OK(eddy_runtime_stop(runtime));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_stop(runtime));
    EXPECT_EQ(EDDY_ECLOSED, eddy_spawn_threadsafe(eddy_runtime_loop(runtime), &task, give_nothing, NULL, NULL));
    eddy_runtime_release(runtime);
    EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = 1)));
    EXPECT_EQ(EDDY_EINVAL, eddy_runner_run(runner, NULL, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn_threadsafe(eddy_runner_loop(runner), &task, NULL, NULL, NULL));
    EXPECT_OK(eddy_runner_close(runner));
    EXPECT_OK(eddy_runner_close(NULL));
    eddy_runtime_release(NULL);
}
