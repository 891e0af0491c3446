/* Many pieces in one write, and the water marks. */
#include "ends_testing.h"
#include "net/stream_parts.h"

#include "eddy/loop.h"

#include <sys/uio.h>

enum { PIECES_MAX = 200, PIECE_MAX = 3000 };

/* Sends bytes 0..to of the pattern in writes of many pieces, empty ones among them, between single writes. */
struct piecewise {
    eddy_stream *stream;
    uint64_t to;
};

static int send_in_pieces(void *arg, eddy_value *out) {
    (void)out;
    struct piecewise *job = arg;
    unsigned char *bytes = malloc(PIECES_MAX * PIECE_MAX);
    struct iovec parts[PIECES_MAX];
    uint64_t at = 0, draw = test_seed();
    int status = 0;
    while (at < job->to && status == 0) {
        size_t total = 0, count = 0;
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        size_t wanted = draw >> 56;
        while (count < PIECES_MAX && count < wanted) {
            draw = draw * 6364136223846793005u + 1442695040888963407u;
            size_t size = (draw >> 40) % 5 == 0 ? 0 : (draw >> 33) % PIECE_MAX;
            if (size > job->to - at - total) size = (size_t)(job->to - at - total);
            parts[count++] = (struct iovec){size == 0 ? NULL : bytes + total, size};
            total += size;
        }
        pattern_fill(bytes, total, at);
        status = eddy_stream_writev(job->stream, parts, count);
        at += total;
        if (status == 0 && (draw >> 20) % 3 != 0) status = eddy_stream_drain(job->stream);
        if (status == 0 && at < job->to) {
            unsigned char single = pattern(at++);
            status = eddy_stream_write(job->stream, &single, 1);
        }
    }
    free(bytes);
    if (status == 0) status = eddy_stream_drain(job->stream);
    return status < 0 ? status : eddy_stream_shutdown_write(job->stream);
}

/* Both ends in the test; the sender's is where it was accepted, perhaps another worker. */
CORE_TEST(writev, pieces_arrive_as_one_stream) {
    struct guest guest;
    guest_enter(&guest);
    struct piecewise job = {guest.stream, (uint64_t)test_scaled(1000000)};
    eddy_task *sender = spawn(send_in_pieces, &job);
    EXPECT_EQ(job.to, pattern_receive(guest.client, 0));
    EXPECT_OK(end_of(sender));
    guest_leave(&guest);
}

static int send_pieces_back(eddy_stream *stream, void *arg) {
    struct piecewise job = {stream, *(uint64_t *)arg};
    eddy_value none;
    return send_in_pieces(&job, &none);
}

CORE_TEST(writev, pieces_share_records_of_tls) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    uint64_t bytes = (uint64_t)test_scaled(300000);
    eddy_server *server = serve_tls(send_pieces_back, &bytes, trust.server);
    eddy_stream *stream = dial_tls(server, trust.client);
    EXPECT_EQ(bytes, pattern_receive(stream, 0));
    hang_up(stream);
    stop_serving(server);
    trust_drop(&trust);
}

/* ---- how many calls of the system ----------------------------------------------------------------- */

static struct ed_sockets counting;
static int calls_made, parts_seen;
static int (*send_parts)(int fd, const struct iovec *parts, size_t count);
static int (*send_two)(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes);

static int count_parts(int fd, const struct iovec *parts, size_t count) {
    calls_made++;
    parts_seen += (int)count;
    return send_parts(fd, parts, count);
}
static int count_two(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    calls_made++;
    return send_two(fd, first, first_bytes, second, second_bytes);
}

TEST(writev, is_one_call_of_the_system_with_what_waits, TEST_REAL) {
    enum { HEAD = 100, BODY = 9000 };
    int pair[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    eddy_stream *left, *right;
    test_stay();
    EXPECT_OK(eddy_stream_open_fd(&left, pair[0]));
    EXPECT_OK(eddy_stream_open_fd(&right, pair[1]));
    counting = *left->calls;
    send_parts = counting.send_parts;
    send_two = counting.send;
    counting.send_parts = count_parts;
    counting.send = count_two;
    left->calls = &counting;
    unsigned char bytes[HEAD + 2 * BODY], got[sizeof bytes];
    pattern_fill(bytes, sizeof bytes, 0);
    const struct iovec parts[] = {{bytes + 10, HEAD - 10}, {bytes + HEAD, BODY}, {bytes + HEAD + BODY, BODY}};
    EXPECT_OK(eddy_stream_write(left, bytes, 10));
    EXPECT_EQ(0, calls_made);
    EXPECT_OK(eddy_stream_writev(left, parts, 3));
    EXPECT_EQ(1, calls_made);
    EXPECT_EQ(4, parts_seen); /* what waited is the first of them */
    EXPECT_EQ(0, eddy_stream_buffered(left));
    EXPECT_OK(eddy_stream_read_exactly(right, got, sizeof got, NULL));
    pattern_expect(got, sizeof got, 0);
    EXPECT_OK(eddy_stream_writev(left, parts, 1)); /* little: it gathers with what comes */
    EXPECT_EQ(1, calls_made);
    EXPECT_EQ(HEAD - 10, eddy_stream_buffered(left));
    hang_up(left);
    hang_up(right);
}

/* ---- edges ------------------------------------------------------------------------------------------ */

CORE_TEST(writev, refuses_as_write_does_and_then_sends_nothing) {
    struct guest guest;
    test_stay(); /* from elsewhere a shutdown is on its way when the next write is asked */
    guest_enter(&guest);
    const struct iovec huge[] = {{"lost", 4}, {"", SIZE_MAX / 2}}, over[] = {{"lost", 4}, {"", SIZE_MAX - 2}},
                       good[] = {{"he", 2}, {NULL, 0}, {"llo", 3}};
    EXPECT_EQ(EDDY_ENOMEM, eddy_stream_writev(guest.client, huge, 2));
    EXPECT_EQ(EDDY_ENOMEM, eddy_stream_writev(guest.client, over, 2));
    EXPECT_EQ(EDDY_ENOMEM, eddy_stream_writev(guest.stream, huge, 2)); /* perhaps another worker's */
    EXPECT_OK(eddy_stream_set_water_marks(guest.stream, 5, 5));
    EXPECT_OK(eddy_stream_writev(guest.client, NULL, 0));
    EXPECT_OK(eddy_stream_writev(guest.client, &(struct iovec){NULL, 0}, 1));
    EXPECT_OK(eddy_stream_writev(guest.client, good, 3));
    EXPECT_OK(eddy_stream_shutdown_write(guest.client));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_writev(guest.client, good, 3));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_writev(guest.client, NULL, 0));
    expect_text(guest.stream, "hello");
    expect_end(guest.stream);
    guest_leave(&guest);
}

/* ---- water marks -------------------------------------------------------------------------------------- */

static int drain_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_drain(arg);
}

enum { LOW = 150000, ALL = 2 * MUCH };

CORE_TEST(water_marks, decide_when_drain_waits_and_until_when) {
    struct ends ends;
    test_stay();
    ends_open(&ends);
    unsigned char *bytes = malloc(ALL);
    pattern_fill(bytes, ALL, 0);
    EXPECT_OK(eddy_stream_write(ends.left, bytes, ALL));
    free(bytes);
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_set_water_marks(ends.left, 10, 11));
    EXPECT_OK(eddy_stream_set_water_marks(ends.left, ALL, 0));
    EXPECT_OK(eddy_stream_drain(ends.left)); /* below */
    EXPECT_OK(eddy_stream_set_water_marks(ends.left, 0, 0));
    eddy_task *drainer = spawn_parked(drain_it, ends.left);
    EXPECT_OK(eddy_stream_set_water_marks(ends.left, ALL, ALL)); /* who waits already is told */
    EXPECT_OK(end_of(drainer));
    unsigned char buffer[4096];
    uint64_t at = 0;
    EXPECT_OK(eddy_stream_set_water_marks(ends.left, LOW, LOW));
    drainer = spawn_parked(drain_it, ends.left);
    while (eddy_stream_buffered(ends.left) > LOW) {
        int got = eddy_stream_read(ends.right, buffer, sizeof buffer);
        EXPECT(got > 0);
        pattern_expect(buffer, (size_t)got, at);
        at += (uint64_t)got;
        test_until_all_parked();
    }
    EXPECT_OK(end_of(drainer));
    EXPECT_OK(eddy_stream_set_water_marks(ends.left, 0, 0));
    drainer = spawn(drain_it, ends.left);
    while (at < ALL) {
        int got = eddy_stream_read(ends.right, buffer, sizeof buffer);
        EXPECT(got > 0);
        pattern_expect(buffer, (size_t)got, at);
        at += (uint64_t)got;
    }
    EXPECT_OK(end_of(drainer));
    EXPECT_EQ(0, eddy_stream_buffered(ends.left)); /* not before the last byte was with the system */
    ends_close(&ends);
}
