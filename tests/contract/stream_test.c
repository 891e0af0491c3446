/* Streams and servers: ST1 to ST3. On real sockets, in a domain and on any workers. */
#include "contract/rule.h"
#include "net/net_testing.h"

#include "eddy/loop.h"

static int drain(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_drain(arg);
}
static int read_one(void *arg, eddy_value *out) {
    char c;
    (void)out;
    return eddy_stream_read(arg, &c, 1);
}

/* ---- ST1: reading ---------------------------------------------------------------------------------------- */

/* asyncio pauses the transport above twice the limit. Here nothing is read that nobody asked for: a peer that nobody
 * listens to comes to a stop, and goes on when somebody reads. */
RULE(ST1_a_stream_that_nobody_reads_stops_its_sender, TEST_REAL) {
    enum { BYTES = 8000000 };
    struct guest guest;
    guest_enter(&guest);
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES));
    free(data); /* what was not sent was copied */
    eddy_task *drainer = spawn_parked(drain, guest.client);
    EXPECT(!eddy_future_done(EDDY_FUTURE(drainer)));
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    EXPECT_OK(end_of(drainer));
    guest_leave(&guest);
}

RULE(ST1_one_reader_waits_at_a_time, TEST_REAL) {
    char c;
    struct guest guest;
    guest_enter(&guest);
    eddy_task *reader = spawn_parked(read_one, guest.stream);
    EXPECT_EQ(EDDY_EBUSY, eddy_stream_read(guest.stream, &c, 1));
    write_text(guest.client, "x");
    EXPECT_EQ(1, end_of(reader));
    guest_leave(&guest);
}

RULE(ST1_readuntil_over_the_limit_keeps_the_data, TEST_REAL) {
    const char *line;
    size_t bytes;
    struct guest guest;
    guest_enter(&guest);
    write_text(guest.client, "123456789\n");
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_read_until(guest.stream, "\n", 1, 9, &line, &bytes));
    EXPECT_OK(eddy_stream_read_until(guest.stream, "\n", 1, 10, &line, &bytes));
    EXPECT_EQ(10, bytes);
    EXPECT(memcmp(line, "123456789\n", 10) == 0);
    guest_leave(&guest);
}

RULE(ST1_the_limit_is_64_kib, TEST_REAL) {
    enum { LIMIT = 64 * 1024 };
    const char *line;
    size_t bytes;
    struct guest guest;
    guest_enter(&guest);
    char *data = malloc(LIMIT);
    memset(data, 'x', LIMIT);
    data[LIMIT - 1] = '\n';
    EXPECT_OK(eddy_stream_write(guest.client, data, LIMIT));
    EXPECT_OK(eddy_stream_read_until(guest.stream, "\n", 1, 0, &line, &bytes)); /* fits exactly */
    EXPECT_EQ(LIMIT, bytes);
    data[LIMIT - 1] = 'x';
    EXPECT_OK(eddy_stream_write(guest.client, data, LIMIT));
    write_text(guest.client, "\n");
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_read_until(guest.stream, "\n", 1, 0, &line, &bytes));
    free(data);
    guest_leave(&guest);
}

RULE(ST1_at_the_end_the_partial_data_comes_with_the_error, TEST_REAL) {
    for (int way = 0; way < 2; way++) {
        const char *line;
        char buffer[10];
        size_t bytes = 0;
        struct guest guest;
        guest_enter(&guest);
        write_text(guest.client, "abc");
        EXPECT_OK(eddy_stream_shutdown_write(guest.client));
        if (way == 0) {
            EXPECT_EQ(EDDY_EINCOMPLETE, eddy_stream_read_until(guest.stream, "\n", 1, 0, &line, &bytes));
        } else {
            EXPECT_EQ(EDDY_EINCOMPLETE, eddy_stream_read_exactly(guest.stream, buffer, sizeof buffer, &bytes));
            line = buffer;
        }
        EXPECT_EQ(3, bytes);
        EXPECT(memcmp(line, "abc", 3) == 0);
        expect_end(guest.stream);
        guest_leave(&guest);
    }
}

/* ---- ST2: writing ---------------------------------------------------------------------------------------- */

RULE(ST2_write_never_waits_and_drain_waits_above_the_mark, TEST_REAL) {
    enum { PIECE = 16 * 1024, MARK = 64 * 1024 };
    struct guest guest;
    guest_enter(&guest);
    unsigned char *data = malloc(PIECE);
    uint64_t written = 0;
    while (eddy_stream_buffered(guest.client) <= MARK) { /* the system's buffers fill first */
        pattern_fill(data, PIECE, written);
        if (eddy_stream_buffered(guest.client) <= MARK - PIECE) EXPECT_OK(eddy_stream_drain(guest.client));
        EXPECT_OK(eddy_stream_write(guest.client, data, PIECE));
        written += PIECE;
    }
    eddy_task *drainer = spawn_parked(drain, guest.client);
    EXPECT(!eddy_future_done(EDDY_FUTURE(drainer)));
    uint64_t got = 0;
    while (!eddy_future_done(EDDY_FUTURE(drainer)) && got < written) { /* on another worker it may be told late */
        int bytes = eddy_stream_read(guest.stream, data, PIECE);
        EXPECT(bytes > 0);
        pattern_expect(data, (size_t)bytes, got);
        got += (uint64_t)bytes;
    }
    EXPECT_OK(end_of(drainer));
    if (test_serial()) EXPECT(eddy_stream_buffered(guest.client) <= MARK / 4);
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(written - got, pattern_receive(guest.stream, got));
    free(data);
    guest_leave(&guest);
}

RULE(ST2_drain_gives_the_readers_error, TEST_REAL) {
    struct guest guest;
    guest_enter(&guest);
    eddy_task *reader = spawn_parked(read_one, guest.stream);
    eddy_stream_abort(guest.client);
    EXPECT_EQ(-ECONNRESET, end_of(reader));
    EXPECT_EQ(-ECONNRESET, eddy_stream_drain(guest.stream));
    guest_leave(&guest);
}

/* ---- ST3: servers ---------------------------------------------------------------------------------------- */

/* On an address of its own: another test's server may have the port by now, and would be given strangers without end. */
RULE(ST3_close_stops_listening_only, TEST_REAL) {
    eddy_stream *stream, *refused;
    eddy_server *server = serve_apart(echo, NULL);
    uint16_t port = eddy_server_port(server);
    EXPECT_OK(eddy_connect(&stream, own_address().text, port, NULL));
    write_text(stream, "here");
    expect_text(stream, "here");
    eddy_server_close(server);
    eddy_server_close(server); /* twice is nothing */
    write_text(stream, "still here");
    expect_text(stream, "still here");
    int status;
    while ((status = eddy_connect(&refused, own_address().text, port, NULL)) == 0) hang_up(refused);
    EXPECT(status == -ECONNREFUSED || status == -ECONNRESET || status == -ETIMEDOUT);
    hang_up(stream);
    stop_serving(server);
}

static int wait_closed(void *arg, eddy_value *out) {
    (void)out;
    return eddy_server_wait_closed(arg);
}

RULE(ST3_wait_closed_waits_for_the_connections_too, TEST_REAL) {
    struct guest guest;
    guest_enter(&guest);
    eddy_server_close(guest.server);
    eddy_task *waiter = spawn(wait_closed, guest.server);
    EXPECT_OK(eddy_sleep(EDDY_MS(40))); /* the end of the listener itself takes 20 ms */
    EXPECT(!eddy_future_done(EDDY_FUTURE(waiter)));
    EXPECT_EQ(1, eddy_server_connections(guest.server));
    EXPECT_OK(eddy_future_set(guest.may_leave, EDDY_NONE));
    EXPECT_OK(end_of(waiter));
    EXPECT_EQ(0, eddy_server_connections(guest.server));
    eddy_stream_release(guest.stream);
    hang_up(guest.client);
    eddy_server_release(guest.server);
    eddy_future_release(guest.came);
    eddy_future_release(guest.may_leave);
}

RULE(ST3_clients_are_closed_or_aborted, TEST_REAL) {
    for (int aborts = 0; aborts < 2; aborts++) {
        char c;
        eddy_server *server = serve(echo, NULL);
        eddy_stream *stream = dial(server);
        write_text(stream, "x");
        expect_text(stream, "x");
        eddy_server_close(server);
        if (aborts)
            eddy_server_abort_clients(server);
        else
            eddy_server_close_clients(server);
        EXPECT_EQ(aborts ? -ECONNRESET : EDDY_EOF, eddy_stream_read(stream, &c, 1));
        EXPECT_OK(eddy_server_wait_closed(server)); /* the handler has ended by itself */
        (void)eddy_stream_close(stream);
        eddy_stream_release(stream);
        eddy_server_release(server);
    }
}

static int fail_at_once(eddy_stream *stream, void *arg) {
    char c;
    (void)arg;
    (void)eddy_stream_read(stream, &c, 1);
    return eddy_fail(EDDY_ELIMIT, "the handler's own reason");
}

RULE(ST3_a_failing_handler_is_reported_and_its_connection_closed, TEST_REAL) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, fail_at_once, NULL, EDDY_SERVER(.name = "shaky")));
    eddy_stream *stream = dial(server);
    write_text(stream, "x");
    expect_end(stream);
    hang_up(stream);
    stop_serving(server);
    while (test_reports_left() == 0) EXPECT_OK(eddy_yield());
    const struct test_report *report = TAKE_REPORT(EDDY_REPORT_NEVER_RETRIEVED, EDDY_ELIMIT);
    EXPECT_STR("the handler's own reason", report->text);
    EXPECT_STR("shaky", report->task);
}
