/* Servers: every connection that was made is served, limits hold, ends are graceful and have a deadline. */
#include "net_testing.h"

#include "eddy/loop.h"
#include "eddy/thread.h"
#include "runtime/simulate.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- plain clients: sockets that no loop watches ---------------------------------------------- */

static struct sockaddr_in address_of(const eddy_server *server) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons(eddy_server_port(server));
    return address;
}

static int plain_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    return fd;
}

static void plain_connect(int fd, const eddy_server *server) {
    struct sockaddr_in address = address_of(server);
    EXPECT_EQ(0, connect(fd, (struct sockaddr *)&address, sizeof address));
}

/* Waits for the answer without a loop of eddy's, and without holding this worker for long. */
static void plain_expect(int fd, const char *wanted) {
    char got[64];
    size_t held = 0;
    for (;;) {
        ssize_t bytes = recv(fd, got + held, sizeof got - held, MSG_DONTWAIT);
        if (bytes == 0) break;
        if (bytes < 0) {
            EXPECT_EQ(EAGAIN, test_errno()); /* not: reset */
            EXPECT_OK(eddy_sleep(EDDY_US(200)));
            continue;
        }
        held += (size_t)bytes;
    }
    EXPECT_EQ(strlen(wanted), held);
    EXPECT(memcmp(wanted, got, held) == 0);
}

/* ---- opening ---------------------------------------------------------------------------------- */

CORE_TEST(server, port_in_use_is_refused_by_name) {
    eddy_server *server = serve_apart(echo, NULL), *second;
    uint16_t port = eddy_server_port(server);
    EXPECT(port > 0);
    EXPECT_EQ(-EADDRINUSE, eddy_server_open(&second, own_address().text, port, echo, NULL, NULL));
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s:%u", own_address().text, port);
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EADDRINUSE)), wanted);
    eddy_handled();
    stop_serving(server);
    EXPECT_OK(eddy_server_open(&server, own_address().text, port, echo, NULL, NULL)); /* free again */
    EXPECT_EQ(port, eddy_server_port(server));
    stop_serving(server);
}

TEST(server, wrong_arguments_are_refused) {
    eddy_server *server;
    eddy_server_options unknown = eddy_server_options_init();
    unknown.size--;
    EXPECT_EQ(EDDY_EINVAL, eddy_server_open(&server, "127.0.0.1", 0, NULL, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, &unknown));
    EXPECT_EQ(-EADDRNOTAVAIL, eddy_server_open(&server, "203.0.113.1", 0, echo, NULL, NULL));
    eddy_handled();
    eddy_server_release(NULL);
}

CORE_TEST(server, all_addresses_of_the_machine) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, NULL, 0, echo, NULL, NULL));
    eddy_stream *stream = dial(server); /* through IPv4 */
    write_text(stream, "hello");
    expect_text(stream, "hello");
    hang_up(stream);
    stop_serving(server);
}

static int open_and_wait(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_server *server;
    int status = eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, NULL);
    if (status < 0) return status;
    eddy_server_close(server);
    while ((status = eddy_server_wait_closed(server)) == EDDY_ECANCELED) continue;
    eddy_server_release(server);
    return status;
}

CORE_TEST(server, cancelled_open_leaves_nothing) {
    for (int turns = 0; turns < 12; turns++) {
        eddy_task *task = spawn(open_and_wait, NULL);
        for (int i = 0; i < turns; i++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        int status = end_of(task);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
    }
}

/* ---- who serves ------------------------------------------------------------------------------- */

static int tell_worker(eddy_stream *stream, void *arg) {
    (void)arg;
    char text[2] = {(char)('A' + eddy_worker_index()), '\n'};
    return eddy_stream_write(stream, text, sizeof text);
}

static char worker_asked(const eddy_server *server) {
    char text[2];
    eddy_stream *stream = dial(server);
    EXPECT_OK(eddy_stream_read_exactly(stream, text, sizeof text, NULL));
    hang_up(stream);
    return text[0];
}

CORE_TEST(server, connections_are_served_on_every_worker) {
    bool seen[64] = {false};
    int left = test_workers();
    eddy_server *server = serve(tell_worker, NULL);
    for (int i = 0; i < 2000 && left > 0; i++) { /* the system chooses by a hash of the client's port */
        int worker = worker_asked(server) - 'A';
        if (!seen[worker]) left--;
        seen[worker] = true;
    }
    EXPECT_EQ(0, left);
    stop_serving(server);
}

TEST(server, single_listener_hands_connections_out_in_turn) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, tell_worker, NULL, EDDY_SERVER(.single_listener = true)));
    char first = worker_asked(server);
    for (int i = 1; i < 3 * test_workers(); i++)
        EXPECT_EQ('A' + (first - 'A' + i) % test_workers(), worker_asked(server));
    stop_serving(server);
}

/* This program's setsockopt stands before the system's, which may be an old one. */
static _Atomic bool ports_are_not_shared;
int setsockopt(int fd, int level, int name, const void *value, socklen_t bytes) {
    if (level == SOL_SOCKET && name == SO_REUSEPORT && atomic_load(&ports_are_not_shared)) {
        errno = ENOPROTOOPT;
        return -1;
    }
    __typeof__(&setsockopt) next = (__typeof__(&setsockopt))(uintptr_t)dlsym(RTLD_NEXT, "setsockopt");
    return next(fd, level, name, value, bytes);
}

TEST(server, where_ports_are_not_shared_connections_are_handed_out, TEST_REAL) {
    atomic_store(&ports_are_not_shared, true);
    eddy_server *server = serve(tell_worker, NULL);
    char first = worker_asked(server);
    for (int i = 1; i < 3 * test_workers(); i++)
        EXPECT_EQ('A' + (first - 'A' + i) % test_workers(), worker_asked(server));
    eddy_server *second;
    EXPECT_EQ(-EADDRINUSE, eddy_server_open(&second, "127.0.0.1", eddy_server_port(server), tell_worker, NULL, NULL));
    eddy_handled();
    stop_serving(server);
}

static int calls; /* no lock: one domain */

static int count_call(eddy_stream *stream, void *arg) {
    (void)arg;
    char c;
    EXPECT_EQ(1, eddy_stream_read(stream, &c, 1));
    int before = calls;
    EXPECT_OK(eddy_stream_write(stream, &c, 1)); /* does not suspend */
    calls = before + 1;
    return 0;
}

static int serve_in_a_domain(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_server *server = serve(count_call, eddy_loop_current());
    for (int i = 0; i < 50; i++) {
        eddy_stream *stream = dial(server);
        write_text(stream, "x");
        expect_text(stream, "x");
        hang_up(stream);
    }
    stop_serving(server);
    return 0;
}

UNIT(server, opened_in_a_domain_serves_in_it) {
    EXPECT_OK(eddy_run(serve_in_a_domain, NULL, NULL, EDDY_RUN(.workers = 4, .serial = true)));
    EXPECT_EQ(50, calls);
}

/* ---- limits ----------------------------------------------------------------------------------- */

struct crowd {
    _Atomic int now, most, served;
};

static int be_in_the_crowd(eddy_stream *stream, void *arg) {
    struct crowd *crowd = arg;
    int now = atomic_fetch_add(&crowd->now, 1) + 1, most = atomic_load(&crowd->most);
    while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) continue;
    char c;
    int status = eddy_stream_read(stream, &c, 1);
    if (status > 0) status = eddy_stream_write(stream, &c, 1);
    atomic_fetch_add(&crowd->served, 1);
    atomic_fetch_sub(&crowd->now, 1);
    return status;
}

static int visit(void *arg, eddy_value *out) {
    (void)out;
    eddy_stream *stream = dial(arg);
    write_text(stream, "x");
    expect_text(stream, "x");
    hang_up(stream);
    return 0;
}

CORE_TEST(server, connections_max_holds_and_the_others_wait) {
    struct crowd crowd = {0};
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, be_in_the_crowd, &crowd, EDDY_SERVER(.connections_max = 3)));
    eddy_stream *holders[3];
    for (int i = 0; i < 3; i++) holders[i] = dial(server);
    while (atomic_load(&crowd.now) < 3) EXPECT_OK(eddy_yield());
    eddy_task *visitors[20];
    for (int i = 0; i < 20; i++) visitors[i] = spawn(visit, server);
    test_until_all_parked();
    EXPECT_EQ(3, eddy_server_connections(server));
    for (int i = 0; i < 3; i++) hang_up(holders[i]);
    for (int i = 0; i < 20; i++) EXPECT_OK(end_of(visitors[i]));
    EXPECT_EQ(3, atomic_load(&crowd.most));
    stop_serving(server);
    EXPECT_EQ(23, atomic_load(&crowd.served));
}

/* Descriptors run out while clients come: the server waits, counts, and serves all of them later. */
TEST(server, running_out_of_descriptors_is_survived, TEST_WITHOUT("valgrind")) {
    enum { CLIENTS = 12 };
    struct crowd crowd = {0};
    eddy_server *server = serve(be_in_the_crowd, &crowd);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) clients[i] = plain_socket();
    struct rlimit before, little;
    EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    little = before;
    little.rlim_cur = 0; /* those that are open stay so */
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &little));
    for (int i = 0; i < CLIENTS; i++) {
        plain_connect(clients[i], server);
        EXPECT_EQ(1, send(clients[i], "x", 1, 0));
    }
    while (eddy_server_refused(server) == 0) EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, atomic_load(&crowd.served));
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    for (int i = 0; i < CLIENTS; i++) {
        plain_expect(clients[i], "x");
        close(clients[i]);
    }
    stop_serving(server);
    EXPECT_EQ(CLIENTS, atomic_load(&crowd.served));
}

/* ---- ends ------------------------------------------------------------------------------------- */

static int greet(eddy_stream *stream, void *arg) {
    (void)arg;
    char text[8];
    int status = eddy_stream_read(stream, text, sizeof text);
    return status < 0 ? status : eddy_stream_write(stream, "served", 6);
}

/* The clients connect while no worker can accept for them all at once; then the server is closed. */
TEST(server, close_serves_what_the_system_has_queued) {
    enum { CLIENTS = 60 };
    eddy_server *server = serve(greet, NULL);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) { /* this worker accepts nothing meanwhile */
        clients[i] = plain_socket();
        plain_connect(clients[i], server);
    }
    eddy_server_close(server);
    for (int i = 0; i < CLIENTS; i++) EXPECT_EQ(3, send(clients[i], "hey", 3, MSG_NOSIGNAL));
    for (int i = 0; i < CLIENTS; i++) {
        plain_expect(clients[i], "served");
        close(clients[i]);
    }
    EXPECT_OK(eddy_server_wait_closed(server));
    int late = plain_socket();
    struct sockaddr_in address = address_of(server);
    EXPECT_EQ(-1, connect(late, (struct sockaddr *)&address, sizeof address));
    EXPECT_EQ(ECONNREFUSED, test_errno());
    close(late);
    eddy_server_release(server);
}

/* Two descriptors of one listening socket: a server's, and that of whoever comes after it. */
static void listen_outside(int fds[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fds[0] = plain_socket();
    EXPECT_EQ(0, bind(fds[0], (struct sockaddr *)&address, sizeof address));
    EXPECT_EQ(0, listen(fds[0], 100));
    fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
}

TEST(server, socket_from_outside_is_served_and_left_to_whoever_has_it_too, TEST_REAL) {
    enum { CLIENTS = 40 };
    int fds[2], clients[CLIENTS];
    eddy_server *first, *second;
    listen_outside(fds);
    EXPECT_OK(eddy_server_open_fd(&first, fds[0], greet, NULL, NULL));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = plain_socket();
        plain_connect(clients[i], first);
    }
    eddy_server_close(first);
    for (int i = 0; i < CLIENTS; i++) EXPECT_EQ(3, send(clients[i], "hey", 3, MSG_NOSIGNAL));
    for (int i = 0; i < CLIENTS; i++) {
        plain_expect(clients[i], "served");
        close(clients[i]);
    }
    EXPECT_OK(eddy_server_wait_closed(first));
    clients[0] = plain_socket();
    plain_connect(clients[0], first); /* nobody accepts now, and nobody is refused */
    EXPECT_EQ(3, send(clients[0], "hey", 3, MSG_NOSIGNAL));
    EXPECT_OK(eddy_server_open_fd(&second, fds[1], greet, NULL, NULL));
    EXPECT_EQ(eddy_server_port(first), eddy_server_port(second));
    plain_expect(clients[0], "served");
    close(clients[0]);
    stop_serving(second);
    eddy_server_release(first);
}

TEST(server, what_cannot_be_listened_on_is_the_callers_still, TEST_REAL) {
    char path[300];
    int pair[2];
    eddy_server *server;
    snprintf(path, sizeof path, "%s/file", test_folder());
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    const int fds[] = {open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600), socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
                       pair[0], plain_socket()};
    const int wanted[] = {-ENOTSOCK, -EOPNOTSUPP, EDDY_EINVAL, EDDY_EINVAL};
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(wanted[i], eddy_server_open_fd(&server, fds[i], i == 3 ? NULL : greet, NULL, NULL));
        EXPECT_EQ(0, close(fds[i]));
    }
    EXPECT_EQ(-EBADF, eddy_server_open_fd(&server, 9999, greet, NULL, NULL));
    EXPECT_EQ(-EBADF, eddy_server_open_fd(&server, -1, greet, NULL, NULL));
    eddy_handled();
    close(pair[1]);
}

struct visitors {
    eddy_server *server;
    uint16_t port;
    _Atomic int served, refused;
};

static int visit_until_refused(void *arg, eddy_value *out) {
    struct visitors *visitors = arg;
    (void)out;
    for (;;) {
        eddy_stream *stream;
        int status = eddy_connect(&stream, own_address().text, visitors->port, NULL);
        if (status < 0) {
            EXPECT_EQ(-ECONNREFUSED, status);
            eddy_handled();
            atomic_fetch_add(&visitors->refused, 1);
            return 0;
        }
        write_text(stream, "hey"); /* connected: then it must be served */
        expect_text(stream, "served");
        expect_end(stream);
        hang_up(stream);
        atomic_fetch_add(&visitors->served, 1);
    }
}

/* Clients connect without a pause while the server closes. A connection that was made is served: none is reset. */
static void close_before_visitors(void) {
    enum { VISITORS = 8 };
    struct visitors visitors = {.server = serve_apart(greet, NULL)};
    visitors.port = eddy_server_port(visitors.server);
    eddy_task *tasks[VISITORS];
    for (int i = 0; i < VISITORS; i++) tasks[i] = spawn(visit_until_refused, &visitors);
    while (atomic_load(&visitors.served) < 100) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    eddy_server_close(visitors.server);
    for (int i = 0; i < VISITORS; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_EQ(VISITORS, atomic_load(&visitors.refused));
    stop_serving(visitors.server);
}
CORE_TEST(server, close_resets_nobody_who_got_through) { close_before_visitors(); }

/* On one worker, with a tick after each connection that is accepted: all clients have come back before the next look, and the
 * queue is never empty. */
static int serve_restless_clients(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    close_before_visitors();
    return 0;
}
UNIT(server, close_does_not_wait_for_an_empty_queue) {
    ed_runtime_tick_always(true);
    EXPECT_OK(eddy_run(serve_restless_clients, NULL, NULL, EDDY_RUN(.workers = 1)));
}

static int wait_closed(void *arg, eddy_value *out) {
    (void)out;
    return eddy_server_wait_closed(arg);
}

CORE_TEST(server, wait_closed_waits_for_handlers_and_cancels_nothing) {
    eddy_server *server = serve(echo, NULL);
    eddy_stream *stream = dial(server);
    write_text(stream, "a");
    expect_text(stream, "a");
    eddy_server_close(server);
    eddy_server_close(server); /* legal twice */
    eddy_task *waiter = spawn(wait_closed, server);
    while (eddy_server_connections(server) != 1) EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_sleep(EDDY_MS(40))); /* the listeners are closed by now */
    EXPECT(!eddy_future_done(EDDY_FUTURE(waiter)));
    EXPECT(eddy_cancel(EDDY_FUTURE(waiter)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(waiter));
    write_text(stream, "b"); /* served as before */
    expect_text(stream, "b");
    hang_up(stream);
    EXPECT_OK(eddy_server_wait_closed(server));
    EXPECT_OK(eddy_server_wait_closed(server));
    eddy_server_release(server);
}

CORE_TEST(server, finished_clients_read_what_came_and_then_the_end) {
    eddy_server *server = serve(echo, NULL);
    eddy_stream *streams[8];
    for (int i = 0; i < 8; i++) {
        streams[i] = dial(server);
        write_text(streams[i], "before");
        expect_text(streams[i], "before");
    }
    eddy_server_close(server);
    eddy_server_finish_clients(server);
    for (int i = 0; i < 8; i++) {
        expect_end(streams[i]);
        hang_up(streams[i]);
    }
    EXPECT_OK(eddy_server_wait_closed(server));
    eddy_server_release(server);
}

CORE_TEST(server, closed_and_aborted_clients_end_their_handlers) {
    for (int abort_them = 0; abort_them < 2; abort_them++) {
        eddy_server *server = serve(echo, NULL);
        eddy_stream *streams[8];
        for (int i = 0; i < 8; i++) {
            streams[i] = dial(server);
            write_text(streams[i], "a");
            expect_text(streams[i], "a");
        }
        (abort_them ? eddy_server_abort_clients : eddy_server_close_clients)(server);
        for (int i = 0; i < 8; i++) {
            char c;
            EXPECT_EQ(abort_them ? -ECONNRESET : EDDY_EOF, eddy_stream_read(streams[i], &c, 1));
            eddy_stream_close(streams[i]);
            eddy_stream_release(streams[i]);
        }
        stop_serving(server);
    }
}

static int be_stubborn(eddy_stream *stream, void *arg) {
    (void)stream;
    int status = eddy_sleep(EDDY_SECONDS(3600));
    if (status == EDDY_ECANCELED) atomic_fetch_add((_Atomic int *)arg, 1);
    return status;
}

CORE_TEST(server, shutdown_is_graceful_and_has_a_deadline) {
    eddy_server *server = serve(echo, NULL);
    eddy_stream *idle = dial(server);
    write_text(idle, "a");
    expect_text(idle, "a");
    EXPECT_OK(eddy_server_shutdown(server, EDDY_SECONDS(10))); /* long before that */
    expect_end(idle);
    hang_up(idle);
    eddy_server_release(server);

    _Atomic int cancelled = 0;
    server = serve(be_stubborn, &cancelled);
    eddy_stream *streams[6];
    for (int i = 0; i < 6; i++) streams[i] = dial(server);
    while (eddy_server_connections(server) < 6) EXPECT_OK(eddy_yield());
    test_until_all_parked();
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_server_shutdown(server, EDDY_MS(30)));
    EXPECT_EQ(6, atomic_load(&cancelled));
    EXPECT_EQ(0, eddy_server_connections(server));
    for (int i = 0; i < 6; i++) {
        char c;
        EXPECT_EQ(-ECONNRESET, eddy_stream_read(streams[i], &c, 1));
        eddy_stream_close(streams[i]);
        eddy_stream_release(streams[i]);
    }
    eddy_server_release(server);
}

/* A client that never reads cannot keep a connection open for longer than is allowed. */
static int write_much(eddy_stream *stream, void *arg) {
    char *data = calloc(1, 8000000);
    (void)arg;
    int status = eddy_stream_write(stream, data, 8000000);
    free(data);
    return status;
}

CORE_TEST(server, client_that_does_not_read_is_let_go) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, write_much, NULL, EDDY_SERVER(.linger_ns = EDDY_MS(50))));
    eddy_stream *stream = dial(server);
    while (eddy_server_connections(server) == 0) EXPECT_OK(eddy_yield());
    stop_serving(server);
    eddy_stream_abort(stream);
    eddy_stream_release(stream);
}

CORE_TEST(server, release_of_the_last_handle_closes) {
    eddy_server *server = serve_apart(echo, NULL);
    uint16_t port = eddy_server_port(server);
    eddy_server_release(eddy_server_share(server));
    eddy_stream *stream;
    EXPECT_OK(eddy_connect(&stream, own_address().text, port, NULL));
    eddy_server_release(server);
    write_text(stream, "a"); /* who is served is served on */
    expect_text(stream, "a");
    hang_up(stream);
    int status;
    do {
        status = eddy_connect(&stream, own_address().text, port, NULL);
        if (status == 0) hang_up(stream);
    } while (status == 0);
    EXPECT_EQ(-ECONNREFUSED, status);
    eddy_handled();
}

/* ---- what is reported ------------------------------------------------------------------------- */

static char reported[1024];

static void keep_report(const eddy_report *report, void *arg) {
    (void)arg;
    char line[256];
    snprintf(line, sizeof line, "%s %s %d\n", report->task, report->message, report->status);
    strncat(reported, line, sizeof reported - strlen(reported) - 1);
}

static int fail_at_once(eddy_stream *stream, void *arg) {
    char c;
    (void)eddy_stream_read(stream, &c, 1);
    return eddy_fail(*(int *)arg, "the handler's own reason");
}

static int serve_one(void *arg, eddy_value *out) {
    (void)out;
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, fail_at_once, arg, EDDY_SERVER(.name = "shaky")));
    eddy_stream *stream = dial(server);
    write_text(stream, "x");
    expect_end(stream);
    hang_up(stream);
    stop_serving(server);
    return 0;
}

UNIT(server, failing_handler_is_reported_but_not_a_connection_that_ended) {
    static const struct {
        int status;
        bool told;
    } cases[] = {{EDDY_ELIMIT, true}, {EDDY_EOF, false}, {-ECONNRESET, false}, {EDDY_ECANCELED, false}, {0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = cases[i].status;
        reported[0] = '\0';
        EXPECT_OK(eddy_run(serve_one, &status, NULL, EDDY_RUN(.workers = 2, .on_exception = keep_report)));
        if (cases[i].told)
            EXPECT_HAS(reported, "shaky");
        else
            EXPECT_STR("", reported);
    }
}

static int leave_open(void *arg, eddy_value *out) {
    (void)out;
    *(eddy_server **)arg = serve(echo, NULL);
    return 0;
}

UNIT(server, left_open_is_closed_and_reported) {
    eddy_server *server;
    reported[0] = '\0';
    EXPECT_OK(eddy_run(leave_open, &server, NULL, EDDY_RUN(.workers = 4, .on_exception = keep_report)));
    EXPECT_HAS(reported, "was never closed");
    EXPECT(strchr(reported, '\n') == strrchr(reported, '\n')); /* once */
    eddy_server_release(server);
}

/* ---- a worker that is held --------------------------------------------------------------------- */

enum { GUESTS = 64 };
static atomic_int guests_served;
static atomic_bool holding;

/* Answers a byte; but the first "h" keeps its worker until all guests have been served by others. */
static int hold_or_answer(eddy_stream *stream, void *arg) {
    (void)arg;
    char byte;
    int got = eddy_stream_read(stream, &byte, 1);
    if (got < 0) return got;
    if (byte == 'h') {
        atomic_store(&holding, true);
        while (atomic_load(&guests_served) < GUESTS) sched_yield(); /* the thread's: no visit to the scheduler */
    }
    return eddy_stream_write(stream, &byte, 1);
}

static int visit_held_server(void *arg, eddy_value *out) { /* on a thread of the pool */
    (void)out;
    char byte;
    int host = plain_socket();
    plain_connect(host, arg);
    EXPECT_EQ(1, write(host, "h", 1));
    while (!atomic_load(&holding)) sched_yield();
    /* The system gives each to one of the listeners: not all can miss the held one. */
    for (int i = 0; i < GUESTS; i++) {
        int guest = plain_socket();
        plain_connect(guest, arg);
        EXPECT_EQ(1, write(guest, "g", 1));
        EXPECT_EQ(1, read(guest, &byte, 1));
        EXPECT_EQ('g', byte);
        close(guest);
        atomic_fetch_add(&guests_served, 1);
    }
    EXPECT_EQ(1, read(host, &byte, 1));
    EXPECT_EQ('h', byte);
    close(host);
    return 0;
}

static int serve_while_held(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_server *server = serve(hold_or_answer, NULL);
    EXPECT_OK(eddy_to_thread(visit_held_server, server, NULL));
    stop_serving(server);
    return 0;
}

/* A worker that computes leaves its listener's queue to the others. Without them this waits for ever. */
UNIT(server, connections_of_a_held_worker_are_accepted_by_another) {
    EXPECT_OK(eddy_run(serve_while_held, NULL, NULL, EDDY_RUN(.workers = 2)));
}

/* ---- a run that ends with a server in each of its waits ---------------------------------------- */

enum wait { ACCEPTING, OUT_OF_SLOTS, CLOSING_DOWN, OUT_OF_DESCRIPTORS, OPENING, WAITS };

static int end_while(void *arg, eddy_value *out) {
    (void)out;
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, EDDY_SERVER(.connections_max = 1)));
    enum wait wait = *(enum wait *)arg;
    eddy_stream *streams[3] = {NULL};
    struct rlimit before = {0}, little;
    if (wait == OUT_OF_SLOTS) {
        for (int i = 0; i < 3; i++) streams[i] = dial(server);
        while (eddy_server_connections(server) == 0) EXPECT_OK(eddy_yield());
    } else if (wait == CLOSING_DOWN) {
        eddy_server_close(server);
        EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    } else if (wait == OUT_OF_DESCRIPTORS) {
        int client = plain_socket();
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
        little = before;
        little.rlim_cur = 0;
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &little));
        plain_connect(client, server);
        while (eddy_server_refused(server) == 0) EXPECT_OK(eddy_yield());
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
        close(client);
    } else if (wait == OPENING) {
        eddy_task_release(spawn(open_and_wait, NULL));
    }
    for (int i = 0; i < 3; i++) {
        if (streams[i] != NULL) eddy_stream_abort(streams[i]);
        eddy_stream_release(streams[i]);
    }
    eddy_server_release(server);
    return 0;
}

UNIT(server, run_may_end_while_a_server_waits_for_anything, TEST_WITHOUT("valgrind")) {
    for (int wait = 0; wait < WAITS; wait++)
        for (unsigned workers = 1; workers <= 4; workers *= 2) {
            enum wait which = (enum wait)wait;
            EXPECT_OK(eddy_run(end_while, &which, NULL, EDDY_RUN(.workers = workers, .on_exception = keep_report)));
        }
}
