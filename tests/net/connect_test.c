/* Connecting: failures by name, cancels without a trace. */
#include "net_testing.h"

#include "eddy/loop.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listener whose queue is full: loopback answers no more handshakes, so a connect stays under way. */
struct deaf {
    int listener, fillers[8];
    uint16_t port;
};

static void deaf_open(struct deaf *deaf) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    deaf->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(deaf->listener, (struct sockaddr *)&address, bytes));
    EXPECT_EQ(0, listen(deaf->listener, 0));
    EXPECT_EQ(0, getsockname(deaf->listener, (struct sockaddr *)&address, &bytes));
    deaf->port = ntohs(address.sin_port);
    for (int i = 0; i < 8; i++) {
        deaf->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(deaf->fillers[i], (struct sockaddr *)&address, sizeof address);
    }
}

static void deaf_close(struct deaf *deaf) {
    for (int i = 0; i < 8; i++) close(deaf->fillers[i]);
    close(deaf->listener);
}

static int connect_to_deaf(void *arg, eddy_value *out) {
    eddy_stream *stream;
    (void)out;
    int status = eddy_connect(&stream, "127.0.0.1", ((struct deaf *)arg)->port, NULL);
    if (status == 0) eddy_stream_release(stream);
    return status;
}

TEST(connect, cancelled_attempt_leaves_nothing) {
    struct deaf deaf;
    deaf_open(&deaf);
    eddy_task *task = spawn_parked(connect_to_deaf, &deaf);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(10), connect_to_deaf(&deaf, NULL)));
    deaf_close(&deaf);
}

CORE_TEST(connect, refusal_names_host_and_port) {
    eddy_server *server = serve_apart(echo, NULL);
    uint16_t port = eddy_server_port(server);
    stop_serving(server);
    eddy_stream *stream;
    EXPECT_EQ(-ECONNREFUSED, eddy_connect(&stream, own_address().text, port, NULL));
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s port %u", own_address().text, port);
    EXPECT_HAS(eddy_error_text(eddy_error_current(-ECONNREFUSED)), wanted);
    eddy_handled();
    EXPECT_EQ(EDDY_EINVAL, eddy_connect(&stream, NULL, port, NULL));
}

CORE_TEST(connect, by_name_tries_the_addresses_in_turn) {
    need_localhost();
    eddy_server *server = serve(echo, NULL); /* IPv4 only: localhost may mean ::1 first */
    eddy_stream *stream;
    EXPECT_OK(eddy_connect(&stream, "localhost", eddy_server_port(server), NULL));
    EXPECT(eddy_error_current(-ECONNREFUSED) == NULL);
    write_text(stream, "hello");
    expect_text(stream, "hello");
    hang_up(stream);
    stop_serving(server);
}

/* A host with an address that does not answer: a full queue on ::1, a server on 127.0.0.1. */
struct half_deaf {
    eddy_server *deaf, *hears;
    eddy_stream *fillers[3]; /* one is served, two fill the queue */
    eddy_future *may_end;
    uint16_t port;
};

static int stay(eddy_stream *stream, void *arg) {
    (void)stream;
    return eddy_await(((struct half_deaf *)arg)->may_end, NULL);
}

static void half_deaf_open(struct half_deaf *host) {
    host->may_end = eddy_future_create();
    for (;;) {
        int status = eddy_server_open(&host->deaf, "::1", 0, stay, host,
                                      EDDY_SERVER(.backlog = 1, .connections_max = 1, .single_listener = true));
        if (status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT) test_skip("no IPv6 here");
        EXPECT_OK(status);
        host->port = eddy_server_port(host->deaf);
        status = eddy_server_open(&host->hears, "127.0.0.1", host->port, echo, NULL, NULL);
        if (status == 0) break;
        EXPECT_EQ(-EADDRINUSE, status); /* somebody else on this machine has the port there: it must be free at both */
        eddy_handled();
        stop_serving(host->deaf);
    }
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_connect(&host->fillers[i], "::1", host->port, NULL));
}

static void half_deaf_close(struct half_deaf *host) {
    EXPECT_OK(eddy_future_set(host->may_end, EDDY_NONE));
    for (int i = 0; i < 3; i++) {
        eddy_stream_close(host->fillers[i]);
        eddy_stream_release(host->fillers[i]);
    }
    stop_serving(host->deaf);
    stop_serving(host->hears);
    eddy_future_release(host->may_end);
}

CORE_TEST(connect, an_address_that_does_not_answer_is_joined_by_the_next) {
    need_localhost();
    struct half_deaf host;
    half_deaf_open(&host);
    eddy_stream *stream;
    char peer[64], wanted[64];
    int64_t begin_ns = eddy_time_ns();
    EXPECT_OK(eddy_connect(&stream, "localhost", host.port, EDDY_CONNECT(.stagger_ns = EDDY_MS(30))));
    int64_t took_ns = eddy_time_ns() - begin_ns;
    if (test_simulated())
        EXPECT(took_ns >= EDDY_MS(30) && took_ns < EDDY_MS(900)); /* at 1 s ::1 would be asked again */
    eddy_stream_peer(stream, peer, sizeof peer);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%u", host.port);
    EXPECT_STR(wanted, peer);
    write_text(stream, "hello");
    expect_text(stream, "hello");
    hang_up(stream);
    if (test_simulated()) /* the resolver gives ::1 first */
        EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(500), eddy_connect(&stream, "localhost", host.port,
                                                                          EDDY_CONNECT(.stagger_ns = EDDY_FOREVER))));
    half_deaf_close(&host);
}

/* Cancelled before the second attempt, between the two, and when both are under way. */
CORE_TEST(connect, cancelled_race_leaves_nothing) {
    need_localhost();
    struct half_deaf host;
    half_deaf_open(&host);
    for (int64_t after_ns = EDDY_US(100); after_ns < EDDY_MS(40); after_ns = after_ns * 3 / 2) {
        eddy_stream *stream;
        int status = EDDY_TIMEOUT(
            after_ns, eddy_connect(&stream, "localhost", host.port, EDDY_CONNECT(.stagger_ns = EDDY_MS(10))));
        if (status == EDDY_ETIMEDOUT) continue;
        EXPECT_OK(status);
        eddy_stream_abort(stream);
        eddy_stream_release(stream);
    }
    half_deaf_close(&host);
}

/* Out of memory at any point: a status, or a connection that the server has let go, and nothing leaks (the harness
 * looks at the end). */
static int talk(eddy_server *server) {
    eddy_stream *stream;
    char text[5];
    int status = eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL);
    if (status < 0) return status;
    status = eddy_stream_write(stream, "hello", 5);
    if (status == 0) status = eddy_stream_read_exactly(stream, text, sizeof text, NULL);
    if (status == 0) status = eddy_stream_drain(stream);
    (void)eddy_stream_close(stream);
    eddy_stream_release(stream);
    return status;
}

void ed_alloc_fail_at(int64_t nth);
int64_t ed_alloc_fail_remaining(void);

CORE_TEST(connect, every_allocation_may_fail) {
    int failed = 0;
    for (int64_t nth = 1; nth < 200; nth++) {
        eddy_server *server = NULL;
        ed_alloc_fail_at(nth);
        int status = eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, NULL);
        if (status == 0) status = talk(server);
        bool done = ed_alloc_fail_remaining() > 0;
        ed_alloc_fail_at(0);
        if (status < 0) {
            failed++;
            EXPECT(status == EDDY_ENOMEM || status == EDDY_EINCOMPLETE || status == EDDY_EOF || status == -ECONNRESET ||
                   status == -EPIPE || status == -ENOBUFS); /* the last: the simulated system's own memory */
        }
        if (server != NULL) stop_serving(server);
        if (done) break;
    }
    EXPECT(failed > 3);
}
