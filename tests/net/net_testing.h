/* net_testing.h: servers, clients and patterns for the tests of net/. */
#ifndef NET_TESTING_H
#define NET_TESTING_H

#include "eddy/net.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/task.h"
#include "harness/test.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline eddy_server *serve(eddy_connection_fn handler, void *arg) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, handler, arg, NULL));
    return server;
}

/* An address of this process alone. A port that it leaves there is given to no other test that runs beside this one: who then
 * connects is refused, and meets no stranger. */
struct own_address {
    char text[16];
};
static inline struct own_address own_address(void) {
    struct own_address own;
    const unsigned pid = (unsigned)getpid();
    snprintf(own.text, sizeof own.text, "127.%u.%u.%u", 1 + pid / 65536 % 200, pid / 256 % 256, pid % 256);
    return own;
}

static inline eddy_server *serve_apart(eddy_connection_fn handler, void *arg) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, own_address().text, 0, handler, arg, NULL));
    return server;
}

static inline eddy_stream *dial(const eddy_server *server) {
    eddy_stream *stream;
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL));
    return stream;
}

static inline void hang_up(eddy_stream *stream) {
    EXPECT_OK(eddy_stream_close(stream));
    eddy_stream_release(stream);
}

static inline void stop_serving(eddy_server *server) {
    eddy_server_close(server);
    EXPECT_OK(eddy_server_wait_closed(server));
    EXPECT_EQ(0, eddy_server_connections(server));
    eddy_server_release(server);
}

static inline eddy_task *spawn(eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fn, arg, NULL));
    return task;
}

static inline int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

/* Parked when this returns, in whatever it waits for. */
static inline eddy_task *spawn_parked(eddy_coro_fn fn, void *arg) {
    eddy_task *task = spawn(fn, arg);
    test_until_all_parked();
    EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    return task;
}

/* A bare root may have no /etc/hosts. A simulation has names of its own. */
static inline void need_localhost(void) {
    struct addrinfo *found;
    if (test_simulated()) return;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) test_skip("this machine does not know localhost");
    freeaddrinfo(found);
}

/* A write from another worker than the stream's is told how it went by drain. */
static inline int send_text(eddy_stream *stream, const char *text) {
    int status = eddy_stream_write(stream, text, strlen(text));
    return status == 0 ? eddy_stream_drain(stream) : status;
}

static inline void write_text(eddy_stream *stream, const char *text) {
    EXPECT_OK(eddy_stream_write(stream, text, strlen(text)));
}

/* The next `text` of the stream. */
static inline void expect_text(eddy_stream *stream, const char *text) {
    char got[256];
    size_t bytes = strlen(text);
    EXPECT_OK(eddy_stream_read_exactly(stream, got, bytes, NULL));
    EXPECT(memcmp(text, got, bytes) == 0);
}

static inline void expect_end(eddy_stream *stream) {
    char c;
    EXPECT_EQ(EDDY_EOF, eddy_stream_read(stream, &c, 1));
}

/* Byte number `at` of an endless pattern in which every offset looks different. */
static inline unsigned char pattern(uint64_t at) { return (unsigned char)((at * 2654435761u) >> 13); }

static inline void pattern_fill(unsigned char *buffer, size_t bytes, uint64_t at) {
    for (size_t i = 0; i < bytes; i++) buffer[i] = pattern(at + i);
}

static inline void pattern_expect(const unsigned char *buffer, size_t bytes, uint64_t at) {
    for (size_t i = 0; i < bytes; i++) EXPECT_EQ(pattern(at + i), buffer[i]);
}

/* Sends bytes from..to of the pattern, `piece` at a time. */
static inline int pattern_send(eddy_stream *stream, uint64_t from, uint64_t to, size_t piece) {
    unsigned char *buffer = malloc(piece);
    int status = 0;
    for (uint64_t at = from; status == 0 && at < to;) {
        size_t bytes = to - at < piece ? (size_t)(to - at) : piece;
        pattern_fill(buffer, bytes, at);
        status = eddy_stream_write(stream, buffer, bytes);
        if (status == 0) status = eddy_stream_drain(stream);
        at += bytes;
    }
    free(buffer);
    return status;
}

/* Reads the pattern from `at` to the end of the stream; how many bytes it was. */
static inline uint64_t pattern_receive(eddy_stream *stream, uint64_t at) {
    enum { PIECE = 20000 };
    unsigned char *buffer = malloc(PIECE);
    uint64_t begin = at;
    int got;
    while ((got = eddy_stream_read(stream, buffer, PIECE)) > 0) {
        pattern_expect(buffer, (size_t)got, at);
        at += (uint64_t)got;
    }
    EXPECT_EQ(EDDY_EOF, got);
    free(buffer);
    return at - begin;
}

/* Sends back what it gets. */
static inline int echo(eddy_stream *stream, void *arg) {
    (void)arg;
    char buffer[4096];
    int got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) {
        int status = eddy_stream_write(stream, buffer, (size_t)got);
        if (status == 0) status = eddy_stream_drain(stream);
        if (status < 0) return status;
    }
    return got;
}

/* A handler that gives its stream to the test and stays until the test lets it go: both ends in one body. */
struct guest {
    eddy_server *server;
    eddy_stream *client; /* the test's end                             */
    eddy_stream *stream; /* the handler's end: perhaps another worker's */
    eddy_future *came, *may_leave;
};

static inline int host_guest(eddy_stream *stream, void *arg) {
    struct guest *guest = arg;
    if (eddy_future_done(guest->came)) return 0; /* one guest at a time */
    guest->stream = eddy_stream_share(stream);
    EXPECT_OK(eddy_future_set(guest->came, EDDY_NONE));
    return eddy_await(guest->may_leave, NULL);
}

static inline void guest_enter(struct guest *guest) {
    *guest = (struct guest){.came = eddy_future_create(), .may_leave = eddy_future_create()};
    guest->server = serve(host_guest, guest);
    guest->client = dial(guest->server);
    EXPECT_OK(eddy_await(guest->came, NULL));
}

static inline void guest_leave(struct guest *guest) {
    eddy_stream_release(guest->stream);
    EXPECT_OK(eddy_future_set(guest->may_leave, EDDY_NONE));
    eddy_stream_close(guest->client);
    eddy_stream_release(guest->client);
    stop_serving(guest->server);
    eddy_future_release(guest->came);
    eddy_future_release(guest->may_leave);
}

#endif
