/* Streams: nothing is lost, doubled or reordered, whoever is slow, cancelled, reset or on another worker. */
#include "base/base.h"
#include "net_testing.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- echo ------------------------------------------------------------------------------------- */

enum { CLIENTS = 64, ROUNDS = 30 };

static int ping(void *arg, eddy_value *out) {
    (void)out;
    eddy_stream *stream = dial(arg);
    for (int i = 0; i < ROUNDS; i++) {
        char text[32], got[32];
        int bytes = snprintf(text, sizeof text, "round %d of many", i);
        EXPECT_OK(eddy_stream_write(stream, text, (size_t)bytes));
        EXPECT_OK(eddy_stream_read_exactly(stream, got, (size_t)bytes, NULL));
        EXPECT(memcmp(text, got, (size_t)bytes) == 0);
    }
    hang_up(stream);
    return 0;
}

CORE_TEST(stream, echo_over_many_connections) {
    eddy_server *server = serve(echo, NULL);
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < CLIENTS; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, ping, server, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    stop_serving(server);
}

/* A client between two requests is in no call: what it holds then counts, a hundred times. A worker stores 64 blocks. */
TEST(stream, holds_no_buffer_once_all_is_read) {
    enum { IDLE = 200, BLOCK = 16 * 1024 };
    if (test_workers() > 1) return;
    eddy_server *server = serve(echo, NULL);
    eddy_stream *streams[IDLE];
    for (int i = 0; i < IDLE; i++) streams[i] = dial(server);
    const int64_t before = ed_alloc_live_bytes();
    for (int i = 0; i < IDLE; i++) {
        write_text(streams[i], "question");
        if (i % 2 == 0) {
            expect_text(streams[i], "question");
        } else {
            char rest[16];
            expect_text(streams[i], "quest");
            EXPECT_EQ(3, eddy_stream_read(streams[i], rest, sizeof rest));
        }
    }
    EXPECT(ed_alloc_live_bytes() < before + IDLE / 2 * BLOCK);
    for (int i = 0; i < IDLE; i++) hang_up(streams[i]);
    stop_serving(server);
}

/* ---- pieces ----------------------------------------------------------------------------------- */

static int read_three_lines(eddy_stream *stream, void *arg) {
    static const char *const wanted[] = {"GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n"};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        const char *line;
        size_t bytes;
        EXPECT_OK(eddy_stream_read_until(stream, "\r\n", 2, 0, &line, &bytes));
        EXPECT_EQ(strlen(wanted[i]), bytes);
        EXPECT(memcmp(wanted[i], line, bytes) == 0);
    }
    write_text(stream, "ok");
    expect_end(stream);
    return 0;
}

CORE_TEST(stream, client_that_sends_a_byte_at_a_time_is_understood) {
    eddy_server *server = serve(read_three_lines, NULL);
    eddy_stream *stream = dial(server);
    for (const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"; *text != '\0'; text++) {
        EXPECT_OK(eddy_stream_write(stream, text, 1));
        EXPECT_OK(eddy_stream_drain(stream));
        EXPECT_OK(eddy_yield());
    }
    expect_text(stream, "ok");
    hang_up(stream);
    stop_serving(server);
}

CORE_TEST(stream, read_until_keeps_to_its_limit) {
    struct guest guest;
    guest_enter(&guest);
    const char *line;
    size_t bytes, got;
    char rest[8];
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_read_until(guest.stream, "", 0, 0, &line, &bytes));
    write_text(guest.client, "123456789\n");
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_read_until(guest.stream, "\n", 1, 9, &line, &bytes));
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_read_until(guest.stream, "\n", 1, 4, &line, &bytes));
    EXPECT_OK(eddy_stream_read_until(guest.stream, "\n", 1, 10, &line, &bytes)); /* it was kept, and fits exactly */
    EXPECT_EQ(10, bytes);
    EXPECT(memcmp(line, "123456789\n", 10) == 0);

    write_text(guest.client, "abcdef"); /* no separator at all */
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_read_until(guest.stream, "\n", 1, 6, &line, &bytes));
    EXPECT_EQ(6, eddy_stream_read(guest.stream, rest, sizeof rest));

    write_text(guest.client, "one--two-"); /* a separator of two, one half at the end */
    EXPECT_OK(eddy_stream_read_until(guest.stream, "--", 2, 0, &line, &bytes));
    EXPECT_EQ(5, bytes);
    EXPECT_EQ(EDDY_ETIMEDOUT,
              EDDY_TIMEOUT(EDDY_MS(5), eddy_stream_read_until(guest.stream, "--", 2, 0, &line, &bytes)));
    write_text(guest.client, "-end");
    EXPECT_OK(eddy_stream_read_until(guest.stream, "--", 2, 0, &line, &bytes));
    EXPECT_EQ(5, bytes);
    EXPECT(memcmp(line, "two--", 5) == 0);

    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(EDDY_EINCOMPLETE, eddy_stream_read_until(guest.stream, "--", 2, 0, &line, &bytes));
    EXPECT_EQ(3, bytes);
    EXPECT(memcmp(line, "end", 3) == 0);
    EXPECT_EQ(EDDY_EOF, eddy_stream_read_until(guest.stream, "--", 2, 0, &line, &bytes));
    EXPECT_EQ(0, bytes);
    EXPECT_EQ(EDDY_EOF, eddy_stream_read_exactly(guest.stream, rest, 1, &got));
    EXPECT_EQ(0, got);
    expect_end(guest.stream);
    expect_end(guest.stream); /* again and again */
    guest_leave(&guest);
}

CORE_TEST(stream, lines_of_every_length_cross_the_buffer_unharmed) {
    struct guest guest;
    guest_enter(&guest);
    enum { LONGEST = 40000 };
    char *text = malloc(LONGEST + 1);
    for (size_t length = 1; length < LONGEST; length = length * 3 / 2 + 1) {
        memset(text, 'x', length);
        text[0] = (char)('a' + length % 26);
        text[length] = '\n';
        EXPECT_OK(eddy_stream_write(guest.client, text, length + 1));
        const char *line;
        size_t bytes;
        EXPECT_OK(eddy_stream_read_until(guest.stream, "\n", 1, LONGEST + 1, &line, &bytes));
        EXPECT_EQ(length + 1, bytes);
        EXPECT(memcmp(text, line, bytes) == 0);
    }
    free(text);
    guest_leave(&guest);
}

CORE_TEST(stream, read_exactly_gives_what_there_was_at_the_end) {
    struct guest guest;
    guest_enter(&guest);
    char got[16];
    size_t bytes = 99;
    write_text(guest.client, "12345678");
    EXPECT_OK(eddy_stream_read_exactly(guest.stream, got, 3, &bytes));
    EXPECT_EQ(3, bytes);
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(EDDY_EINCOMPLETE, eddy_stream_read_exactly(guest.stream, got, sizeof got, &bytes));
    EXPECT_EQ(5, bytes);
    EXPECT(memcmp(got, "45678", 5) == 0);
    EXPECT_EQ(0, eddy_stream_read(guest.stream, got, 0));
    guest_leave(&guest);
}

/* ---- much ------------------------------------------------------------------------------------- */

struct transfer {
    eddy_stream *stream;
    uint64_t bytes;
};

static int send_all(void *arg, eddy_value *out) {
    struct transfer *transfer = arg;
    (void)out;
    int status = pattern_send(transfer->stream, 0, transfer->bytes, 50000);
    return status < 0 ? status : eddy_stream_shutdown_write(transfer->stream);
}

static int both_ways(eddy_stream *stream, void *arg) {
    struct transfer transfer = {stream, *(uint64_t *)arg};
    eddy_task *sender = spawn(send_all, &transfer);
    EXPECT_EQ(transfer.bytes, pattern_receive(stream, 0));
    EXPECT_OK(end_of(sender));
    return 0;
}

CORE_TEST(stream, big_transfers_both_ways_at_once, TEST_LIMIT(60)) {
    uint64_t bytes = (uint64_t)test_scaled(8 * 1024 * 1024);
    eddy_server *server = serve(both_ways, &bytes);
    eddy_stream *stream = dial(server);
    EXPECT_OK(both_ways(stream, &bytes));
    hang_up(stream);
    stop_serving(server);
}

static int read_some(void *arg, eddy_value *out) {
    char buffer[64];
    (void)out;
    return eddy_stream_read(arg, buffer, sizeof buffer);
}

static int close_stream(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_close(arg);
}

CORE_TEST(stream, close_sends_all_that_was_written) {
    struct guest guest;
    test_stay(); /* with the client's stream: what it buffers and refuses shows at once there */
    guest_enter(&guest);
    enum { BYTES = 6000000 }; /* loopback takes 4.3 million */
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES)); /* no drain: more than the sockets hold */
    EXPECT(eddy_stream_buffered(guest.client) > 0);
    eddy_task *reader = spawn_parked(read_some, guest.client);
    eddy_task *closer = spawn_parked(close_stream, guest.client);
    EXPECT_EQ(EDDY_ECLOSED, end_of(reader)); /* though there is much to send yet */
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(guest.client, "x", 1));
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    EXPECT_OK(end_of(closer));
    EXPECT_OK(eddy_stream_close(guest.client)); /* twice is legal */
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_drain(guest.client));
    free(data);
    guest_leave(&guest);
}

CORE_TEST(stream, last_release_closes_and_sends_what_was_written) {
    struct guest guest;
    guest_enter(&guest);
    enum { BYTES = 3000000 };
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES));
    eddy_stream_release(guest.client);
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    free(data);
    guest.client = dial(guest.server); /* guest_leave closes one */
    guest_leave(&guest);
}

CORE_TEST(stream, half_closed_peer_can_still_be_answered) {
    struct guest guest;
    test_stay(); /* with the client's stream: what it buffers and refuses shows at once there */
    guest_enter(&guest);
    write_text(guest.client, "question");
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(guest.client, "x", 1));
    expect_text(guest.stream, "question");
    expect_end(guest.stream);
    write_text(guest.stream, "answer");
    EXPECT_OK(eddy_stream_close(guest.stream));
    expect_text(guest.client, "answer");
    expect_end(guest.client);
    guest_leave(&guest);
}

/* A close while the peer is still sending would reset the connection, and the reset would overtake our last bytes. */
static int refuse_upload(eddy_stream *stream, void *arg) {
    char c;
    (void)arg;
    EXPECT_EQ(1, eddy_stream_read(stream, &c, 1));
    write_text(stream, "413 too large");
    return 0;
}

static int send_and_listen(eddy_stream *stream) {
    static const char answer[] = "413 too large";
    unsigned char data[65536];
    char got[sizeof answer], more;
    int status = 0;
    pattern_fill(data, sizeof data, 0);
    for (int piece = 0; piece < 16 && status == 0; piece++) {
        status = eddy_stream_write(stream, data, sizeof data);
        if (status == 0) status = eddy_stream_drain(stream);
    }
    if (status == 0) status = eddy_stream_read_exactly(stream, got, sizeof answer - 1, NULL);
    if (status < 0) return status;
    EXPECT(memcmp(answer, got, sizeof answer - 1) == 0);
    status = eddy_stream_read(stream, &more, 1);
    EXPECT(status < 0);
    return status == EDDY_EOF ? 0 : status;
}

/* The server drops for a second what still comes: who cannot send all within that time, because the machine stands still, is
 * reset after all. */
CORE_TEST(stream, last_words_reach_a_peer_that_is_still_sending) {
    eddy_server *server = serve(refuse_upload, NULL);
    for (int i = 0; i < 20; i++) {
        eddy_stream *stream = dial(server);
        const int64_t begin_ns = eddy_time_ns();
        int status = send_and_listen(stream);
        const int closed = eddy_stream_close(stream);
        if (eddy_time_ns() - begin_ns < EDDY_SECONDS(1)) {
            EXPECT_OK(status);
            EXPECT_OK(closed);
        }
        eddy_stream_release(stream);
    }
    stop_serving(server);
}

/* ---- slow peers ------------------------------------------------------------------------------- */

static int drain_stream(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_drain(arg);
}

CORE_TEST(stream, drain_waits_for_a_slow_peer_and_write_never_does) {
    struct guest guest;
    guest_enter(&guest);
    enum { BYTES = 8000000 };
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    for (size_t at = 0; at < BYTES; at += 100000) EXPECT_OK(eddy_stream_write(guest.client, data + at, 100000));
    eddy_task *first = spawn_parked(drain_stream, guest.client), *second = spawn_parked(drain_stream, guest.client);
    EXPECT(eddy_cancel(EDDY_FUTURE(first)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(first)); /* the data is sent anyway */
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    EXPECT_OK(end_of(second));
    EXPECT_EQ(0, eddy_stream_buffered(guest.client));
    free(data);
    guest_leave(&guest);
}

/* The task that wrote waits for something else altogether: the loop sends the rest by itself. */
CORE_TEST(stream, output_needs_no_task_to_be_sent) {
    struct guest guest;
    guest_enter(&guest);
    enum { BYTES = 3000000 };
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    EXPECT_OK(eddy_stream_write(guest.client, "x", 1));
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES));
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    expect_text(guest.stream, "x");
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    free(data);
    guest_leave(&guest);
}

/* ---- cancels ---------------------------------------------------------------------------------- */

static int read_eight(void *arg, eddy_value *out) {
    char buffer[8];
    (void)out;
    return eddy_stream_read_exactly(arg, buffer, sizeof buffer, NULL);
}

static int read_line(void *arg, eddy_value *out) {
    const char *line;
    size_t bytes;
    (void)out;
    return eddy_stream_read_until(arg, "\n", 1, 0, &line, &bytes);
}

CORE_TEST(stream, cancelled_read_consumed_nothing) {
    struct guest guest;
    guest_enter(&guest);
    static const eddy_coro_fn readers[] = {read_some, read_eight, read_line};
    for (int i = 0; i < 3; i++) {
        for (int with_part = 0; with_part < (i > 0 ? 2 : 1); with_part++) {
            if (with_part) write_text(guest.client, "par");
            eddy_task *reader = spawn_parked(readers[i], guest.stream);
            EXPECT(eddy_cancel(EDDY_FUTURE(reader)));
            EXPECT_EQ(EDDY_ECANCELED, end_of(reader));
            write_text(guest.client, with_part ? "t, rest\n" : "part, rest\n");
            expect_text(guest.stream, "part, rest\n");
        }
    }
    guest_leave(&guest);
}

struct race {
    eddy_stream *stream;
    unsigned char data[64];
    int got;
};

static int read_into_race(void *arg, eddy_value *out) {
    struct race *race = arg;
    (void)out;
    race->got = eddy_stream_read(race->stream, race->data, sizeof race->data);
    return 0; /* a cancel that comes only now still makes the task end cancelled */
}

/* The data and the cancel come together, in either order: what the read did not return, the next one gets. */
CORE_TEST(stream, cancel_against_data_loses_no_byte) {
    struct guest guest;
    guest_enter(&guest);
    uint64_t sent = 0, received = 0;
    for (int i = 0; i < 300; i++) {
        unsigned char byte = pattern(sent++);
        struct race race = {.stream = guest.stream};
        eddy_task *reader = spawn(read_into_race, &race);
        for (int turns = i % 7; turns > 0; turns--) EXPECT_OK(eddy_yield());
        EXPECT_OK(eddy_stream_write(guest.client, &byte, 1));
        EXPECT_OK(eddy_stream_drain(guest.client));
        for (int turns = i % 5; turns > 0; turns--) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(reader));
        (void)end_of(reader);
        EXPECT(race.got == EDDY_ECANCELED || race.got >= 0); /* 0: never begun */
        for (;;) {
            if (race.got > 0) {
                pattern_expect(race.data, (size_t)race.got, received);
                received += (uint64_t)race.got;
            }
            if (received == sent) break;
            race.got = eddy_stream_read(guest.stream, race.data, sizeof race.data);
            EXPECT_OK(race.got);
        }
    }
    EXPECT_EQ(sent, received);
    guest_leave(&guest);
}

CORE_TEST(stream, cancelled_close_goes_on_by_itself) {
    struct guest guest;
    guest_enter(&guest);
    enum { BYTES = 6000000 }; /* loopback takes 4.3 million */
    unsigned char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(5), eddy_stream_close(guest.client)));
    EXPECT_EQ(BYTES, pattern_receive(guest.stream, 0));
    EXPECT_OK(eddy_stream_close(guest.client));
    free(data);
    guest_leave(&guest);
}

/* ---- ends ------------------------------------------------------------------------------------- */

CORE_TEST(stream, close_and_abort_wake_the_reader_with_closed) {
    for (int abort_it = 0; abort_it < 2; abort_it++) {
        struct guest guest;
        guest_enter(&guest);
        eddy_task *reader = spawn_parked(read_some, guest.client);
        char c;
        EXPECT_EQ(EDDY_EBUSY, eddy_stream_read(guest.client, &c, 1));
        if (abort_it)
            eddy_stream_abort(guest.client);
        else
            EXPECT_OK(eddy_stream_close(guest.client));
        EXPECT_EQ(EDDY_ECLOSED, end_of(reader));
        EXPECT_EQ(EDDY_ECLOSED, eddy_stream_read(guest.client, &c, 1));
        EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(guest.client, &c, 1));
        eddy_stream_abort(guest.client);
        guest_leave(&guest);
    }
}

CORE_TEST(stream, reset_is_told_to_readers_and_writers) {
    struct guest guest;
    guest_enter(&guest);
    char c;
    eddy_task *reader = spawn_parked(read_some, guest.stream);
    eddy_stream_abort(guest.client);
    EXPECT_EQ(-ECONNRESET, end_of(reader));
    EXPECT_EQ(-ECONNRESET, eddy_stream_read(guest.stream, &c, 1));
    int status = eddy_stream_write(guest.stream, "x", 1);
    if (status == 0) status = eddy_stream_drain(guest.stream);
    EXPECT(status == -ECONNRESET || status == -EPIPE);
    guest_leave(&guest);
}

CORE_TEST(stream, reset_wakes_a_drain) {
    struct guest guest;
    guest_enter(&guest);
    enum { BYTES = 8000000 };
    unsigned char *data = calloc(1, BYTES);
    EXPECT_OK(eddy_stream_write(guest.client, data, BYTES));
    eddy_task *drainer = spawn_parked(drain_stream, guest.client);
    eddy_stream_abort(guest.stream); /* from another worker, perhaps */
    int status = end_of(drainer);
    EXPECT(status == -ECONNRESET || status == -EPIPE);
    free(data);
    guest_leave(&guest);
}

/* ---- from other workers ----------------------------------------------------------------------- */

struct writer {
    eddy_stream **streams;
    int count, number;
};

static int write_to_all(void *arg, eddy_value *out) {
    struct writer *writer = arg;
    (void)out;
    for (int i = 0; i < 100; i++) {
        char line[32];
        int bytes = snprintf(line, sizeof line, "%d %d\n", writer->number, i);
        for (int s = 0; s < writer->count; s++) {
            EXPECT_OK(eddy_stream_write(writer->streams[s], line, (size_t)bytes));
            if (i % 10 == 9) EXPECT_OK(eddy_stream_drain(writer->streams[s]));
        }
    }
    return 0;
}

/* A chat: tasks on all workers write to streams of all workers. Every stream gets every writer's lines, whole and in
 * that writer's order. */
CORE_TEST(stream, writes_from_other_workers_keep_their_order) {
    enum { STREAMS = 4, WRITERS = 4 };
    struct guest guests[STREAMS];
    eddy_stream *streams[STREAMS];
    for (int s = 0; s < STREAMS; s++) {
        guest_enter(&guests[s]);
        streams[s] = guests[s].stream;
    }
    struct writer writers[WRITERS];
    eddy_task *tasks[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = (struct writer){streams, STREAMS, w};
        tasks[w] = spawn(write_to_all, &writers[w]);
    }
    for (int s = 0; s < STREAMS; s++) {
        int next[WRITERS] = {0};
        for (int i = 0; i < WRITERS * 100; i++) {
            const char *line;
            size_t bytes;
            EXPECT_OK(eddy_stream_read_until(guests[s].client, "\n", 1, 0, &line, &bytes));
            int writer = atoi(line), number = atoi(strchr(line, ' ') + 1);
            EXPECT(writer >= 0 && writer < WRITERS);
            EXPECT_EQ(next[writer], number);
            next[writer]++;
        }
    }
    for (int w = 0; w < WRITERS; w++) EXPECT_OK(end_of(tasks[w]));
    for (int s = 0; s < STREAMS; s++) guest_leave(&guests[s]);
}

/* guest.stream lies on the worker that accepted it; this body uses it from worker 0. */
CORE_TEST(stream, every_call_works_from_another_worker) {
    for (int i = 0; i < 8; i++) { /* the system spreads the connections: some are elsewhere */
        struct guest guest;
        guest_enter(&guest);
        char text[8];
        const char *line;
        size_t bytes;
        write_text(guest.client, "abcdefgh\nijkl");
        for (int at = 0; at < 2; at++) EXPECT_EQ(1, eddy_stream_read(guest.stream, text + at, 1));
        EXPECT(memcmp(text, "ab", 2) == 0);
        EXPECT_OK(eddy_stream_read_exactly(guest.stream, text, 2, &bytes));
        EXPECT(memcmp(text, "cd", 2) == 0);
        EXPECT_OK(eddy_stream_read_until(guest.stream, "\n", 1, 0, &line, &bytes));
        EXPECT(bytes == 5 && memcmp(line, "efgh\n", 5) == 0);
        EXPECT_EQ(EDDY_ETIMEDOUT,
                  EDDY_TIMEOUT(EDDY_MS(2), eddy_stream_read_until(guest.stream, "\n", 1, 0, &line, &bytes)));
        write_text(guest.stream, "answer");
        EXPECT_OK(eddy_stream_drain(guest.stream));
        write_text(guest.stream, ", more");
        EXPECT_OK(eddy_stream_shutdown_write(guest.stream));
        expect_text(guest.client, "answer, more");
        expect_end(guest.client);
        EXPECT_OK(eddy_stream_close(guest.stream));
        EXPECT_EQ(EDDY_ECLOSED, eddy_stream_read(guest.stream, text, 1));
        guest_leave(&guest);
    }
}

/* The stream closes however the wait for it ends, wherever the call came from. */
CORE_TEST(stream, cancelled_close_from_another_worker_closes) {
    for (int i = 0; i < 8; i++) {
        struct guest guest;
        guest_enter(&guest);
        write_text(guest.stream, "last words");
        EXPECT_OK(eddy_stream_drain(guest.stream));
        eddy_cancel(EDDY_FUTURE(eddy_current_task()));
        int status = eddy_stream_close(guest.stream);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        eddy_task_uncancel(eddy_current_task());
        expect_text(guest.client, "last words");
        expect_end(guest.client);
        guest_leave(&guest);
    }
}

CORE_TEST(stream, addresses_are_text) {
    struct guest guest;
    guest_enter(&guest);
    char here[64], there[64], port[16];
    EXPECT_EQ(eddy_stream_local(guest.client, here, sizeof here), strlen(here));
    eddy_stream_peer(guest.stream, there, sizeof there);
    EXPECT_STR(here, there);
    eddy_stream_peer(guest.client, there, sizeof there);
    snprintf(port, sizeof port, "127.0.0.1:%u", eddy_server_port(guest.server));
    EXPECT_STR(port, there);
    guest_leave(&guest);
}

/* ---- the run's end ---------------------------------------------------------------------------- */

static char reported[1024];

static void keep_report(const eddy_report *report, void *arg) {
    (void)arg;
    strncat(reported, report->message, sizeof reported - strlen(reported) - 1);
    strncat(reported, "\n", sizeof reported - strlen(reported) - 1);
}

static int leave_open(void *arg, eddy_value *out) {
    eddy_stream **stream = arg;
    (void)out;
    eddy_server *server = serve(echo, NULL);
    *stream = dial(server);
    write_text(*stream, "hello");
    expect_text(*stream, "hello");
    eddy_server_release(server);
    return 0;
}

UNIT(stream, left_open_is_closed_and_reported) {
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        eddy_stream *stream = NULL;
        char c;
        reported[0] = '\0';
        EXPECT_OK(eddy_run(leave_open, &stream, NULL, EDDY_RUN(.workers = workers, .on_exception = keep_report)));
        EXPECT_HAS(reported, "a stream to 127.0.0.1:");
        EXPECT_HAS(reported, "was never closed");
        EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_stream_read(stream, &c, 1));
        EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_stream_write(stream, &c, 1));
        eddy_stream_abort(stream);
        eddy_stream_release(stream);
    }
}

static int leave_unsent(void *arg, eddy_value *out) {
    (void)out;
    eddy_stream *stream;
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", *(uint16_t *)arg, NULL));
    char *data = calloc(1, 8000000);
    EXPECT_OK(eddy_stream_write(stream, data, 8000000));
    free(data);
    eddy_stream_release(stream); /* closes, and goes on sending */
    return 0;
}

/* The peer is a listener that never accepts: the system takes some bytes for it, and no more. */
UNIT(stream, what_could_not_be_sent_before_the_end_is_reported) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(listener, (struct sockaddr *)&address, bytes));
    EXPECT_EQ(0, listen(listener, 1));
    EXPECT_EQ(0, getsockname(listener, (struct sockaddr *)&address, &bytes));
    uint16_t port = ntohs(address.sin_port);
    reported[0] = '\0';
    EXPECT_OK(eddy_run(leave_unsent, &port, NULL, EDDY_RUN(.workers = 1, .on_exception = keep_report)));
    EXPECT_HAS(reported, "bytes unsent");
    close(listener);
}
