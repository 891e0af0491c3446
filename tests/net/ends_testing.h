/* ends_testing.h: both ends of one connection whose buffers are small: a pair of Unix sockets, or a simulated connection. */
#ifndef ENDS_TESTING_H
#define ENDS_TESTING_H

#include "tls_testing.h"

#include <fcntl.h>
#include <unistd.h>

/* More than the buffers on the way hold. */
enum { MUCH = 384 * 1024 };

struct ends {
    eddy_stream *left, *right;
    struct guest guest;
};

static inline void ends_open(struct ends *ends) {
    if (test_simulated()) {
        guest_enter(&ends->guest);
        ends->left = ends->guest.client;
        ends->right = ends->guest.stream;
        return;
    }
    int pair[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    EXPECT_OK(eddy_stream_open_fd(&ends->left, pair[0]));
    EXPECT_OK(eddy_stream_open_fd(&ends->right, pair[1]));
}

/* Whatever state they are in. */
static inline void ends_close(struct ends *ends) {
    if (test_simulated()) {
        guest_leave(&ends->guest);
        return;
    }
    eddy_stream *both[] = {ends->left, ends->right};
    for (int i = 0; i < 2; i++) {
        (void)eddy_stream_close(both[i]);
        eddy_stream_release(both[i]);
    }
}

struct sealing {
    eddy_stream *stream;
    eddy_tls *tls;
};

static inline int seal(void *arg, eddy_value *out) {
    (void)out;
    struct sealing *sealing = arg;
    return eddy_stream_start_tls(sealing->stream, sealing->tls, "localhost");
}

static inline void ends_seal(struct ends *ends, struct trust *trust) {
    struct sealing server = {ends->right, trust->server}, client = {ends->left, trust->client};
    eddy_task *task = spawn(seal, &server);
    eddy_value none;
    EXPECT_OK(seal(&client, &none));
    EXPECT_OK(end_of(task));
}

/* An open file with bytes 0..bytes of the pattern. */
static inline int pattern_file(size_t bytes) {
    char path[300];
    snprintf(path, sizeof path, "%s/pattern-XXXXXX", test_folder());
    int fd = mkostemp(path, O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(0, unlink(path));
    unsigned char *data = malloc(bytes + 1);
    pattern_fill(data, bytes, 0);
    EXPECT_EQ(bytes, write(fd, data, bytes));
    free(data);
    return fd;
}

/* The next `bytes` of the stream are the pattern's from `at` on. */
static inline void expect_pattern(eddy_stream *stream, size_t bytes, uint64_t at) {
    unsigned char buffer[8192], wanted[sizeof buffer];
    while (bytes > 0) {
        int got = eddy_stream_read(stream, buffer, bytes < sizeof buffer ? bytes : sizeof buffer);
        EXPECT(got > 0);
        pattern_fill(wanted, (size_t)got, at);
        EXPECT(memcmp(wanted, buffer, (size_t)got) == 0);
        at += (uint64_t)got;
        bytes -= (size_t)got;
    }
}

#endif
