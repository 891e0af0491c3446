/* The simulated network: nothing is lost, doubled or reordered; what may break does break, and is told as the system tells
 * it; the same seed gives the same run. */
#include "../net/net_testing.h"
#include "eddy/sim.h"
#include "eddy/sync.h"
#include "eddy/thread.h"

#include <stdio.h>
#include <unistd.h>

/* Runs `fn` under each of `count` seeds. */
static void under_seeds(eddy_coro_fn fn, void *arg, int count, eddy_sim_options options) {
    for (int i = 0; i < count; i++, options.seed++) {
        int status = eddy_sim_run(fn, arg, NULL, &options);
        if (status < 0)
            test_fail(__FILE__, __LINE__, "seed %llu: %s", (unsigned long long)options.seed, test_status(status));
    }
}

static const eddy_sim_options *plain(void) {
    static eddy_sim_options options;
    options = eddy_sim_options_init();
    return &options;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

struct transfer {
    uint64_t bytes;
    uint64_t received; /* by the server */
};

/* Takes the pattern to its end, and sends it back in reverse roles: the pattern, from 7 on. */
static int take_and_give(eddy_stream *stream, void *arg) {
    struct transfer *transfer = arg;
    unsigned char piece[8];
    size_t at;
    (void)eddy_stream_read_exactly(stream, piece, sizeof piece, &at); /* leaves what came behind it in the stream */
    pattern_expect(piece, at, 0);
    for (int got, i = 0; i < 5 && (got = eddy_stream_read(stream, piece, 3)) > 0; i++, at += (size_t)got)
        pattern_expect(piece, (size_t)got, at);
    transfer->received = at + pattern_receive(stream, at);
    return pattern_send(stream, 7, 7 + transfer->bytes, 3000);
}

static int transfer_both_ways(void *arg, eddy_value *out) {
    struct transfer *transfer = arg;
    (void)out;
    eddy_server *server = serve(take_and_give, transfer);
    eddy_stream *stream = dial(server);
    transfer->bytes = eddy_sim_random() % 60000;
    EXPECT_OK(pattern_send(stream, 0, transfer->bytes, 1 + eddy_sim_random() % 5000));
    EXPECT_OK(eddy_stream_shutdown_write(stream)); /* half a close: the other direction goes on */
    EXPECT_EQ(transfer->bytes, pattern_receive(stream, 7));
    EXPECT_EQ(transfer->bytes, transfer->received);
    hang_up(stream);
    stop_serving(server);
    return 0;
}

UNIT(sim_net, no_byte_is_lost_doubled_or_reordered, TEST_LIMIT(60)) {
    struct transfer transfer;
    eddy_sim_options options = *plain();
    options.short_reads = 400;
    under_seeds(transfer_both_ways, &transfer, (int)test_scaled(1000), options);
}

/* ---- the same seed, the same run ---------------------------------------------------------------------- */

struct log {
    char text[16384];
    size_t used;
};

static void note(struct log *log, const char *what, int number) {
    log->used += (size_t)snprintf(log->text + log->used, sizeof log->text - log->used, "%lld %s %d\n",
                                  (long long)eddy_time_ns(), what, number);
    EXPECT(log->used < sizeof log->text - 64);
}

static int log_pieces(eddy_stream *stream, void *arg) {
    char buffer[512];
    int got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) note(arg, "read", got);
    note(arg, "end", got);
    return 0;
}

struct visit {
    struct log *log;
    eddy_server *server;
    int number;
};

static int visit_logged(void *arg, eddy_value *out) {
    struct visit *visit = arg;
    (void)out;
    eddy_stream *stream;
    int status = eddy_connect(&stream, "localhost", eddy_server_port(visit->server), NULL);
    note(visit->log, "connect", status);
    if (status < 0) {
        eddy_handled();
        return 0;
    }
    for (int i = 0; status == 0 && i < 5; i++) {
        char text[200] = "";
        status = eddy_stream_write(stream, text, 1 + eddy_sim_random() % sizeof text);
        if (status == 0) status = eddy_stream_drain(stream);
        EXPECT_OK(eddy_sleep((int64_t)(eddy_sim_random() % 1000000)));
    }
    note(visit->log, "close", eddy_stream_close(stream));
    eddy_stream_release(stream);
    return 0;
}

static int log_a_run(void *arg, eddy_value *out) {
    enum { VISITS = 12 };
    struct log *log = arg;
    (void)out;
    log->used = 0;
    eddy_server *server = serve(log_pieces, log);
    struct visit visits[VISITS];
    eddy_task *tasks[VISITS];
    for (int i = 0; i < VISITS; i++) {
        visits[i] = (struct visit){log, server, i};
        EXPECT_OK(eddy_spawn(&tasks[i], visit_logged, &visits[i], NULL));
    }
    for (int i = 0; i < VISITS; i++) EXPECT_OK(end_of(tasks[i]));
    stop_serving(server);
    return 0;
}

static struct log logs[3];

UNIT(sim_net, same_seed_same_run) {
    int different = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        eddy_sim_options options = *plain();
        options.resets = 20;
        options.refused = 50;
        options.shortages = 100;
        for (int i = 0; i < 3; i++) {
            options.seed = i < 2 ? seed : seed + 1000;
            EXPECT_OK(eddy_sim_run(log_a_run, &logs[i], NULL, &options));
        }
        EXPECT_STR(logs[0].text, logs[1].text);
        different += strcmp(logs[0].text, logs[2].text) != 0;
    }
    EXPECT_EQ(20, different);
}

/* ---- what breaks ---------------------------------------------------------------------------------- */

/* How often each thing was seen. */
struct seen {
    int refused, reset, cut, shortage, no_memory, whole;
};

static int answer_hello(eddy_stream *stream, void *arg) {
    struct seen *seen = arg;
    char text[10];
    int got = eddy_stream_read(stream, text, sizeof text);
    if (got > 0 && got < 10) seen->cut++;
    size_t rest = 0;
    if (got > 0) got = eddy_stream_read_exactly(stream, text + got, sizeof text - (size_t)got, &rest);
    return got < 0 ? got : eddy_stream_write(stream, "welcome", 7);
}

static int say_hello(void *arg, eddy_value *out) {
    struct seen *seen = arg;
    (void)out;
    eddy_server *server;
    int status = eddy_server_open(&server, "127.0.0.1", 80, answer_hello, seen, NULL);
    if (status < 0) goto told;
    eddy_stream *stream;
    status = eddy_connect(&stream, "127.0.0.1", 80, NULL);
    if (status == 0) {
        char text[7];
        status = eddy_stream_write(stream, "0123456789", 10);
        if (status == 0) status = eddy_stream_read_exactly(stream, text, sizeof text, NULL);
        if (status == 0) EXPECT(memcmp(text, "welcome", 7) == 0);
        (void)eddy_stream_close(stream);
        eddy_stream_release(stream);
    }
    if (eddy_server_refused(server) > 0) seen->shortage++;
    eddy_server_close(server);
    if (eddy_server_wait_closed(server) < 0) seen->no_memory++;
    eddy_server_release(server);
told:
    eddy_handled();
    switch (status) {
    case 0: seen->whole++; break;
    case -ECONNREFUSED: seen->refused++; break;
    case EDDY_EOF:
    case EDDY_EINCOMPLETE:
    case -EPIPE:
    case -ECONNRESET: seen->reset++; break;
    case EDDY_ECANCELED: /* the run found no memory at its start */
    case EDDY_ENOMEM:
    case -ENOBUFS: seen->no_memory++; break;
    default: test_fail(__FILE__, __LINE__, "%s", test_status(status));
    }
    return 0;
}

static void ignore(const eddy_report *report, void *arg) { (void)report, (void)arg; }

UNIT(sim_net, faults_come_as_often_as_asked, TEST_LIMIT(60)) {
    struct seen seen = {0};
    eddy_sim_options options = *plain();
    int count = 400;
    under_seeds(say_hello, &seen, count, options); /* none asked for: only cuts */
    EXPECT_EQ(count, seen.whole);
    EXPECT(seen.cut > count / 20 && seen.cut < count / 2);

    seen = (struct seen){0};
    options.short_reads = -1;
    under_seeds(say_hello, &seen, count, options);
    EXPECT_EQ(count, seen.whole);
    EXPECT_EQ(0, seen.cut);

    seen = (struct seen){0};
    options.refused = 100;
    under_seeds(say_hello, &seen, count, options);
    EXPECT(seen.refused > count / 20 && seen.refused < count / 6);
    EXPECT_EQ(count, seen.whole + seen.refused);

    seen = (struct seen){0};
    options.refused = 0;
    options.resets = 100;
    under_seeds(say_hello, &seen, count, options);
    EXPECT(seen.reset > count / 12 && seen.reset < count / 3);
    EXPECT_EQ(count, seen.whole + seen.reset);

    seen = (struct seen){0};
    options.resets = 0;
    options.shortages = 100;
    under_seeds(say_hello, &seen, count, options);
    EXPECT(seen.shortage > count / 20 && seen.shortage < count / 6);
    EXPECT_EQ(count, seen.whole);

    seen = (struct seen){0};
    options.shortages = 0;
    options.failed_allocations = 20;
    options.on_exception = ignore;
    for (options.seed = 0; options.seed < (uint64_t)count; options.seed++) {
        int status = eddy_sim_run(say_hello, &seen, NULL, &options);
        if (status != 0 && status != EDDY_ENOMEM)
            test_fail(__FILE__, __LINE__, "seed %llu: %s", (unsigned long long)options.seed, test_status(status));
        if (status == EDDY_ENOMEM) seen.no_memory++;
    }
    EXPECT(seen.no_memory > count / 10 && seen.whole > count / 10);
}

void ed_alloc_fail_at(int64_t nth);

/* The system finds no memory to send what a read flushes: the socket is well, and would let the reader wait for ever. */
static int ask_with_little_memory(void *arg, eddy_value *out) {
    (void)out;
    eddy_server *server = serve(echo, NULL);
    eddy_stream *stream = dial(server);
    char text[5] = "";
    write_text(stream, "hello");
    ed_alloc_fail_at(*(int *)arg);
    int status = eddy_stream_read_exactly(stream, text, sizeof text, NULL);
    ed_alloc_fail_at(0);
    EXPECT(status == 0 || status == EDDY_ENOMEM || status == -ENOBUFS || status == EDDY_EOF);
    (void)eddy_stream_close(stream);
    eddy_stream_release(stream);
    stop_serving(server);
    return status == -ENOBUFS;
}

UNIT(sim_net, failed_send_ends_the_wait_for_an_answer) {
    int failed = 0;
    for (int nth = 1; nth <= 10; nth++) {
        eddy_sim_options options = *plain();
        options.on_exception = ignore;
        int status = eddy_sim_run(ask_with_little_memory, &nth, NULL, &options);
        EXPECT_OK(status);
        failed += status == 1;
    }
    EXPECT(failed > 0);
}

/* ---- names and addresses ---------------------------------------------------------------------------- */

static int ask_names(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("localhost", "80", 0, &addresses));
    EXPECT_EQ(2, eddy_addresses_count(addresses));
    eddy_addresses_release(addresses);
    int status = eddy_resolve("example.org", "80", 0, &addresses);
    EXPECT_STR("EAI_NONAME", test_status(status));
    EXPECT_HAS(eddy_error_text(eddy_error_current(status)), "example.org");
    eddy_server *server, *other; /* another machine's address: all are this one's */
    EXPECT_OK(eddy_server_open(&server, "192.0.2.7", 443, echo, NULL, NULL));
    EXPECT_EQ(-EADDRINUSE, eddy_server_open(&other, "192.0.2.7", 443, echo, NULL, NULL));
    eddy_stream *stream;
    EXPECT_EQ(-ECONNREFUSED, eddy_connect(&stream, "192.0.2.8", 443, NULL));
    EXPECT_OK(eddy_connect(&stream, "192.0.2.7", 443, NULL));
    eddy_handled();
    char text[64];
    eddy_stream_peer(stream, text, sizeof text);
    EXPECT_STR("192.0.2.7:443", text);
    hang_up(stream);
    stop_serving(server);
    return 0;
}

UNIT(sim_net, names_and_addresses) { under_seeds(ask_names, NULL, 20, *plain()); }

/* A client that never reads: the other side's writes come to a stop, and nothing is dropped. */
static int write_without_end(eddy_stream *stream, void *arg) {
    (void)arg;
    return EDDY_TIMEOUT(EDDY_MS(100), pattern_send(stream, 0, 4 << 20, 4096)) == EDDY_ETIMEDOUT ? 0 : EDDY_ESTATE;
}

static int never_read(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_server *server = serve(write_without_end, NULL);
    eddy_stream *stream = dial(server);
    EXPECT_OK(eddy_sleep(EDDY_MS(200)));
    EXPECT(pattern_receive(stream, 0) > 4096);
    hang_up(stream);
    stop_serving(server);
    return 0;
}

UNIT(sim_net, slow_reader_stops_the_writer) { under_seeds(never_read, NULL, 20, *plain()); }
