/* Clients that do everything at once: whole conversations, bytes one by one, resets in the middle, timeouts at any
 * point, streams that another task closes, aborts or reads meanwhile. What is answered is answered right, whoever must
 * end ends, and the harness finds nothing left. */
#include "net_testing.h"

static uint64_t next(uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 33;
}

struct visitor {
    eddy_server *server;
    uint64_t random;
    int visits;
};

/* Sends `bytes` of the pattern in pieces of at most `piece`, and reads the echo of each. 0 or the first failure. */
static int converse(eddy_stream *stream, uint64_t bytes, size_t piece) {
    unsigned char buffer[3000];
    for (uint64_t at = 0; at < bytes;) {
        size_t now = bytes - at < piece ? (size_t)(bytes - at) : piece;
        pattern_fill(buffer, now, at);
        int status = eddy_stream_write(stream, buffer, now);
        memset(buffer, 0, now);
        if (status == 0) status = eddy_stream_read_exactly(stream, buffer, now, NULL);
        if (status < 0) return status;
        pattern_expect(buffer, now, at);
        at += now;
    }
    return 0;
}

static int meddle(void *arg, eddy_value *out) {
    eddy_stream *stream = arg;
    char c;
    (void)out;
    switch (eddy_task_id(eddy_current_task()) % 4) {
    case 0: eddy_stream_abort(stream); break;
    case 1: (void)eddy_stream_close(stream); break;
    case 2: (void)EDDY_TIMEOUT(EDDY_US(300), eddy_stream_read(stream, &c, 1)); break;
    default: (void)eddy_stream_drain(stream); (void)eddy_stream_shutdown_write(stream);
    }
    eddy_stream_release(stream);
    return 0;
}

static void visit(struct visitor *visitor) {
    uint64_t *random = &visitor->random;
    eddy_stream *stream = dial(visitor->server);
    uint64_t bytes = next(random) % 30000 + 1;
    int status = 0;
    switch (next(random) % 6) {
    case 0: EXPECT_OK(converse(stream, bytes, next(random) % 3000 + 1)); break;
    case 1: EXPECT_OK(converse(stream, bytes % 50, 1)); break;
    case 2: /* a reset with bytes under way in both directions */
        for (int i = 0; i < 5; i++) EXPECT_OK(eddy_stream_write(stream, "some bytes", 10));
        (void)EDDY_TIMEOUT((int64_t)(next(random) % 100000), eddy_stream_drain(stream));
        if (next(random) % 2) EXPECT_OK(eddy_yield());
        eddy_stream_abort(stream);
        break;
    case 3: /* given up at some point */
        status = EDDY_TIMEOUT((int64_t)(next(random) % 500000), converse(stream, bytes, 700));
        EXPECT(status == 0 || status == EDDY_ETIMEDOUT);
        break;
    case 4: { /* somebody else, perhaps on another worker, has the stream too */
        eddy_task *other;
        EXPECT_OK(eddy_spawn(&other, meddle, eddy_stream_share(stream), NULL));
        status = EDDY_TIMEOUT(EDDY_MS(20), converse(stream, bytes, 500));
        EXPECT(status == 0 || status == EDDY_ETIMEDOUT || status == EDDY_ECLOSED || status == EDDY_EBUSY ||
               status == EDDY_EINCOMPLETE || status == EDDY_EOF || status == -ECONNRESET || status == -EPIPE);
        EXPECT_OK(end_of(other));
        break;
    }
    default: EXPECT_OK(eddy_stream_write(stream, "bye", 3)); break; /* released with bytes unsent */
    }
    if (next(random) % 2) (void)eddy_stream_close(stream);
    eddy_stream_release(stream);
}

static int visit_often(void *arg, eddy_value *out) {
    struct visitor *visitor = arg;
    (void)out;
    for (int i = 0; i < visitor->visits; i++) visit(visitor);
    return 0;
}

CORE_TEST(chaos, clients_of_every_kind_at_once, TEST_LIMIT(60)) {
    enum { VISITORS = 24 };
    struct visitor visitors[VISITORS];
    eddy_task *tasks[VISITORS];
    eddy_server *server = serve(echo, NULL);
    for (int i = 0; i < VISITORS; i++) {
        visitors[i] = (struct visitor){server, test_seed() * 1000 + (uint64_t)i, (int)test_scaled(50)};
        EXPECT_OK(eddy_spawn(&tasks[i], visit_often, &visitors[i], NULL));
    }
    for (int i = 0; i < VISITORS; i++) EXPECT_OK(end_of(tasks[i]));
    stop_serving(server);
}
