/* Unix sockets, pipes, terminals, watches: streams like any other, and what the system has else. */
#include "net_testing.h"

#include "eddy/loop.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define REAL_TEST(name) TEST(local, name, TEST_REAL)

static const char *socket_path(void) {
    static char path[256];
    snprintf(path, sizeof path, "%s/socket", test_folder());
    return path;
}

static eddy_server *serve_path(const char *path, eddy_connection_fn handler, void *arg) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open_unix(&server, path, handler, arg, NULL));
    return server;
}

static eddy_stream *dial_path(const char *path) {
    eddy_stream *stream;
    EXPECT_OK(eddy_connect_unix(&stream, path, NULL));
    return stream;
}

/* ---- Unix sockets ------------------------------------------------------------------------------ */

struct sending {
    eddy_stream *stream;
    uint64_t bytes;
};

static int send_all(void *arg, eddy_value *out) {
    (void)out;
    struct sending *sending = arg;
    int status = pattern_send(sending->stream, 0, sending->bytes, 30000);
    return status < 0 ? status : eddy_stream_shutdown_write(sending->stream);
}

REAL_TEST(unix_socket_carries_what_tcp_does) {
    static const char *const paths[] = {NULL, "@eddy-local-test"};
    for (int i = 0; i < 2; i++) {
        char abstract[64], text[300], wanted[300];
        snprintf(abstract, sizeof abstract, "@eddy-local-test-%d", (int)getpid());
        const char *path = paths[i] == NULL ? socket_path() : abstract;
        eddy_server *server = serve_path(path, echo, NULL);
        EXPECT_EQ(0, eddy_server_port(server));
        struct sending sending = {dial_path(path), (uint64_t)test_scaled(2000000)};
        snprintf(wanted, sizeof wanted, "%s", path);
        eddy_stream_peer(sending.stream, text, sizeof text);
        EXPECT_STR(wanted, text);
        eddy_task *sender = spawn(send_all, &sending);
        EXPECT_EQ(sending.bytes, pattern_receive(sending.stream, 0));
        EXPECT_OK(end_of(sender));
        hang_up(sending.stream);
        stop_serving(server);
        EXPECT_EQ(-1, access(path, F_OK)); /* the file went with the server */
    }
}

static int dial_and_ask(void *arg, eddy_value *out) {
    (void)out;
    eddy_stream *stream = dial_path(arg);
    write_text(stream, "me too");
    expect_text(stream, "me too");
    hang_up(stream);
    return 0;
}

/* More than the queue holds, and the server closes while they come: whoever got in is served, nobody is reset. */
REAL_TEST(unix_connections_in_the_queue_are_served) {
    eddy_server *server;
    const char *path = socket_path();
    EXPECT_OK(eddy_server_open_unix(&server, path, echo, NULL, EDDY_SERVER(.backlog = 2)));
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 50; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, dial_and_ask, (void *)(uintptr_t)path, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    eddy_stream *streams[2];
    for (int i = 0; i < 2; i++) streams[i] = dial_path(socket_path());
    eddy_server_close(server);
    for (int i = 0; i < 2; i++) {
        write_text(streams[i], "still there");
        expect_text(streams[i], "still there");
        hang_up(streams[i]);
    }
    stop_serving(server);
    eddy_stream *late;
    EXPECT_EQ(-ENOENT, eddy_connect_unix(&late, socket_path(), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-ENOENT)), "/socket");
    eddy_handled();
}

REAL_TEST(unix_path_of_a_dead_server_is_taken_over_that_of_a_live_one_is_not) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path());
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(dead, (struct sockaddr *)&address, sizeof address));
    close(dead); /* the file stays */
    eddy_stream *stream;
    EXPECT_EQ(-ECONNREFUSED, eddy_connect_unix(&stream, socket_path(), NULL));
    eddy_server *server = serve_path(socket_path(), echo, NULL), *second;
    EXPECT_EQ(-EADDRINUSE, eddy_server_open_unix(&second, socket_path(), echo, NULL, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EADDRINUSE)), "/socket");
    stream = dial_path(socket_path());
    write_text(stream, "alive");
    expect_text(stream, "alive");
    hang_up(stream);
    stop_serving(server);
    char file[300], long_path[200];
    snprintf(file, sizeof file, "%s/file", test_folder());
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_EQ(-EADDRINUSE, eddy_server_open_unix(&second, file, echo, NULL, NULL)); /* never somebody's file */
    EXPECT_EQ(0, access(file, F_OK));
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    EXPECT_EQ(EDDY_EINVAL, eddy_connect_unix(&stream, long_path, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_connect_unix(&stream, "", NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_server_open_unix(&second, long_path, echo, NULL, NULL));
    eddy_handled();
}

/* ---- pipes, terminals -------------------------------------------------------------------------- */

static void pipe_streams(eddy_stream **from, eddy_stream **to) {
    int ends[2];
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
    EXPECT_OK(eddy_stream_open_fd(from, ends[0]));
    EXPECT_OK(eddy_stream_open_fd(to, ends[1]));
}

static int send_and_close(void *arg, eddy_value *out) {
    (void)out;
    struct sending *sending = arg;
    EXPECT_OK(pattern_send(sending->stream, 0, sending->bytes, 7777));
    return eddy_stream_close(sending->stream);
}

REAL_TEST(pipe_carries_all_and_ends) {
    eddy_stream *from, *to;
    pipe_streams(&from, &to);
    struct sending sending = {to, (uint64_t)test_scaled(1000000)};
    eddy_task *sender = spawn(send_and_close, &sending);
    EXPECT_EQ(sending.bytes, pattern_receive(from, 0));
    EXPECT_OK(end_of(sender));
    eddy_stream_release(to);
    hang_up(from);
}

REAL_TEST(pipe_that_nobody_reads_is_epipe_and_no_signal) {
    struct sigaction before, now;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
    eddy_stream *from, *to;
    pipe_streams(&from, &to);
    hang_up(from);
    write_text(to, "is anybody there?");
    EXPECT_EQ(-EPIPE, eddy_stream_drain(to));
    EXPECT_EQ(-EPIPE, eddy_stream_write(to, "x", 1));
    EXPECT_EQ(-EPIPE, eddy_stream_close(to));
    eddy_stream_release(to);
    sigaction(SIGPIPE, NULL, &now);
    EXPECT(now.sa_handler == SIG_DFL); /* the host's disposition is as it was, and no signal waits */
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(0, sigismember(&pending, SIGPIPE));
    sigaction(SIGPIPE, &before, NULL);
}

REAL_TEST(pipes_have_no_half_close_and_one_direction) {
    eddy_stream *from, *to;
    pipe_streams(&from, &to);
    char c;
    EXPECT_EQ(EDDY_ENOTSUP, eddy_stream_shutdown_write(to));
    EXPECT_EQ(-EBADF, eddy_stream_read(to, &c, 1));
    eddy_stream_close(to);
    eddy_stream_release(to);
    expect_end(from);
    hang_up(from);
}

REAL_TEST(terminal_is_a_stream_and_stays_blocking_for_others) {
    int master, terminal;
    if (openpty(&master, &terminal, NULL, NULL, NULL) != 0) test_skip("this machine has no pseudo terminals");
    struct termios raw;
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    int kept = fcntl(terminal, F_DUPFD_CLOEXEC, 0); /* somebody else's, of the same description */
    eddy_stream *screen, *program;
    EXPECT_OK(eddy_stream_open_fd(&screen, master));
    EXPECT_OK(eddy_stream_open_fd(&program, terminal));
    EXPECT_EQ(0, fcntl(kept, F_GETFL) & O_NONBLOCK);
    write_text(screen, "typed\n");
    expect_text(program, "typed\n");
    write_text(program, "shown\n");
    expect_text(screen, "shown\n");
    close(kept);
    hang_up(program);
    expect_end(screen);
    hang_up(screen);
}

REAL_TEST(sockets_from_outside_are_adopted_others_refused) {
    int pair[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    eddy_stream *left, *right;
    EXPECT_OK(eddy_stream_open_fd(&left, pair[0]));
    EXPECT_OK(eddy_stream_open_fd(&right, pair[1]));
    EXPECT(fcntl(pair[0], F_GETFD) & FD_CLOEXEC);
    write_text(left, "hello");
    EXPECT_OK(eddy_stream_shutdown_write(left));
    expect_text(right, "hello");
    expect_end(right);
    write_text(right, "bye");
    expect_text(left, "bye");
    hang_up(left);
    hang_up(right);
}

/* ---- whose a descriptor is --------------------------------------------------------------------- */

/* What it is, and how, to everybody who has it. */
struct look {
    struct stat what;
    int how, here;
};

static struct look look_at(int fd) {
    struct look look = {.how = fcntl(fd, F_GETFL), .here = fcntl(fd, F_GETFD)};
    EXPECT_EQ(0, fstat(fd, &look.what));
    return look;
}

/* A stream of `fd`, gone again; or a status, and then `fd` is the caller's, as it was, and is closed here. */
static int open_once(int fd) {
    const struct look before = look_at(fd);
    eddy_stream *stream;
    const int status = eddy_stream_open_fd(&stream, fd);
    if (status == 0) {
        eddy_stream_release(stream);
    } else {
        const struct look after = look_at(fd);
        EXPECT_EQ(before.what.st_dev, after.what.st_dev);
        EXPECT_EQ(before.what.st_ino, after.what.st_ino);
        EXPECT_EQ(before.how, after.how);
        EXPECT_EQ(before.here, after.here);
        EXPECT_EQ(0, close(fd));
        eddy_handled();
    }
    return status;
}

/* The last one is refused by the system itself, when all else has been done. */
REAL_TEST(what_is_no_stream_is_the_callers_still) {
    char path[300];
    eddy_stream *stream;
    snprintf(path, sizeof path, "%s/file", test_folder());
    EXPECT_EQ(EDDY_EINVAL, open_once(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600)));
    EXPECT_EQ(EDDY_EINVAL, open_once(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    EXPECT_EQ(-ENOTCONN, open_once(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT_EQ(-EPERM, open_once(open("/dev/null", O_RDWR)));
    EXPECT_EQ(-EBADF, eddy_stream_open_fd(&stream, 9999));
}

enum outside { PIPE, SOCKET, TERMINAL, OUTSIDES };

static int open_outside(void *arg) {
    int ends[2] = {-1, -1};
    const enum outside kind = *(enum outside *)arg;
    if (kind == PIPE) EXPECT_EQ(0, pipe(ends));
    if (kind == SOCKET) EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    if (kind == TERMINAL && openpty(&ends[1], &ends[0], NULL, NULL, NULL) != 0) return 0; /* there are none */
    const int status = open_once(ends[0]);
    close(ends[1]);
    eddy_sleep(EDDY_MS(1)); /* the loop turns: libuv lets go of the handle */
    return status;
}

static int open_each_outside(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (enum outside kind = PIPE; kind < OUTSIDES; kind++) {
        EXPECT_OK(open_outside(&kind)); /* the worker's own memory is there now */
        EXPECT(test_each_allocation_fails(open_outside, &kind) >= 2 || kind == TERMINAL);
    }
    return 0;
}

UNIT(local, refused_memory_leaves_a_descriptor_to_the_caller) {
    EXPECT_OK(eddy_run(open_each_outside, NULL, NULL, EDDY_RUN(.workers = 1)));
}

/* The file of a Unix socket that was not bound by the server belongs to whoever bound it. */
REAL_TEST(path_of_a_socket_from_outside_stays) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, sizeof address));
    eddy_server *server;
    EXPECT_OK(eddy_server_open_fd(&server, fd, echo, NULL, NULL));
    eddy_stream *stream = dial_path(socket_path());
    write_text(stream, "hello");
    expect_text(stream, "hello");
    hang_up(stream);
    stop_serving(server);
    EXPECT_EQ(0, unlink(socket_path()));
}

/* ---- watches ----------------------------------------------------------------------------------- */

struct watched {
    eddy_watch *watch;
    int fd;
};

static int wait_readable(void *arg, eddy_value *out) {
    (void)out;
    return eddy_watch_readable(((struct watched *)arg)->watch);
}

REAL_TEST(watch_tells_when_a_descriptor_is_ready) {
    struct watched watched = {NULL, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    uint64_t one = 1;
    EXPECT_OK(eddy_watch_open(&watched.watch, watched.fd));
    EXPECT_OK(eddy_watch_writable(watched.watch));
    eddy_task *task = spawn_parked(wait_readable, &watched);
    EXPECT_EQ(EDDY_EBUSY, eddy_watch_readable(watched.watch));
    EXPECT_EQ(sizeof one, write(watched.fd, &one, sizeof one));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(sizeof one, read(watched.fd, &one, sizeof one));
    int status = EDDY_TIMEOUT(EDDY_MS(2), eddy_watch_readable(watched.watch));
    if (status == 0) /* a hint: it was readable once more before it was read */
        status = EDDY_TIMEOUT(EDDY_MS(2), eddy_watch_readable(watched.watch));
    EXPECT_EQ(EDDY_ETIMEDOUT, status);
    eddy_handled();
    task = spawn_parked(wait_readable, &watched);
    eddy_watch_close(watched.watch);
    EXPECT_EQ(EDDY_ECLOSED, end_of(task));
    EXPECT_EQ(0, close(watched.fd)); /* it is the caller's still */
    EXPECT_EQ(-EBADF, eddy_watch_open(&watched.watch, 9999));
}

CORE_TEST(local, descriptors_are_not_simulated) {
    if (!test_simulated()) return;
    eddy_stream *stream;
    eddy_watch *watch;
    eddy_server *server;
    EXPECT_EQ(EDDY_ENOTSUP, eddy_stream_open_fd(&stream, 0));
    EXPECT_EQ(EDDY_ENOTSUP, eddy_watch_open(&watch, 0));
    EXPECT_EQ(EDDY_ENOTSUP, eddy_server_open_fd(&server, 0, echo, NULL, NULL));
    EXPECT_EQ(-EAFNOSUPPORT, eddy_connect_unix(&stream, "/somewhere", NULL));
    eddy_handled();
}
