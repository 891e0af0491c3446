/* Files sent through streams: in their place among what is written, to the byte, however it ends. */
#include "ends_testing.h"

#include "eddy/loop.h"

#include <signal.h>

struct job {
    eddy_stream *stream;
    int file;
    int64_t offset, bytes, sent;
    int status;
};

static int send_it(void *arg, eddy_value *out) {
    (void)out;
    struct job *job = arg;
    return job->status = eddy_stream_send_file(job->stream, job->file, job->offset, job->bytes, &job->sent);
}

static int send_between_writes(void *arg, eddy_value *out) {
    struct job *job = arg;
    EXPECT_OK(eddy_stream_write(job->stream, "before", 6));
    EXPECT_OK(send_it(job, out));
    EXPECT_EQ(job->bytes, job->sent);
    EXPECT_OK(eddy_stream_write(job->stream, "after", 5));
    return eddy_stream_shutdown_write(job->stream);
}

/* The sending end is where it was accepted, perhaps another worker's. */
CORE_TEST(send_file, comes_in_its_place) {
    enum { FROM = 1000, BYTES = 300000 };
    struct guest guest;
    guest_enter(&guest);
    struct job job = {
        .stream = guest.stream, .file = pattern_file(FROM + BYTES + 5000), .offset = FROM, .bytes = BYTES};
    EXPECT_EQ(7, lseek(job.file, 7, SEEK_SET));
    eddy_task *task = spawn(send_between_writes, &job);
    expect_text(guest.client, "before");
    expect_pattern(guest.client, BYTES, FROM);
    expect_text(guest.client, "after");
    expect_end(guest.client);
    EXPECT_OK(end_of(task));
    EXPECT_EQ(7, lseek(job.file, 0, SEEK_CUR)); /* not moved */
    close(job.file);
    guest_leave(&guest);
}

CORE_TEST(send_file, ends_where_the_file_does) {
    struct ends ends;
    ends_open(&ends);
    struct job job = {.stream = ends.left, .file = pattern_file(3100), .offset = 100, .bytes = INT64_MAX - 100};
    eddy_value none;
    EXPECT_OK(send_it(&job, &none));
    EXPECT_EQ(3000, job.sent);
    expect_pattern(ends.right, 3000, 100);
    job.offset = 5000;
    job.bytes = 10;
    EXPECT_OK(send_it(&job, &none));
    EXPECT_EQ(0, job.sent);
    job.bytes = 0;
    EXPECT_OK(send_it(&job, &none));
    job.bytes = -1;
    EXPECT_EQ(EDDY_EINVAL, send_it(&job, &none));
    job.bytes = INT64_MAX;
    EXPECT_EQ(EDDY_EINVAL, send_it(&job, &none)); /* offset and bytes together are no position */
    job.offset = -1;
    EXPECT_EQ(EDDY_EINVAL, send_it(&job, &none));
    close(job.file);
    ends_close(&ends);
}

/* ---- what others do meanwhile ------------------------------------------------------------------------ */

static int close_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_close(arg);
}

static int drain_it(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_drain(arg);
}

/* `behind`: another task writes while the file is on its way; then the stream is half closed, or closed. */
static void write_behind_a_file(struct ends *ends, bool behind, bool closes) {
    struct job job = {.stream = ends->left, .file = pattern_file(2 * MUCH), .bytes = 2 * MUCH};
    write_text(ends->left, "before");
    eddy_task *sender = spawn_parked(send_it, &job), *closer = NULL;
    int64_t sent;
    EXPECT_EQ(EDDY_EBUSY, eddy_stream_send_file(ends->left, job.file, 0, 1, &sent));
    eddy_task *drainer = NULL;
    if (behind) {
        unsigned char *bytes = malloc(MUCH);
        pattern_fill(bytes, MUCH, 5);
        EXPECT_OK(eddy_stream_write(ends->left, bytes, MUCH));
        free(bytes);
        drainer = spawn_parked(drain_it, ends->left); /* what gathers behind is not forgotten */
    }
    if (closes)
        closer = spawn_parked(close_it, ends->left);
    else
        EXPECT_OK(eddy_stream_shutdown_write(ends->left));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(ends->left, "late", 4));
    expect_text(ends->right, "before");
    expect_pattern(ends->right, 2 * MUCH, 0);
    if (behind) expect_pattern(ends->right, MUCH, 5);
    expect_end(ends->right);
    EXPECT_OK(end_of(sender));
    EXPECT_EQ(2 * MUCH, job.sent);
    if (behind) EXPECT_OK(end_of(drainer));
    if (closes) EXPECT_OK(end_of(closer));
    close(job.file);
}

static void with_ends(bool tls, bool closes) {
    for (int behind = 0; behind < 2; behind++) {
        struct ends ends;
        struct trust trust;
        test_stay();
        ends_open(&ends);
        if (tls) {
            trust_make(&trust, NULL, NULL);
            ends_seal(&ends, &trust);
        }
        write_behind_a_file(&ends, behind, closes);
        ends_close(&ends);
        if (tls) trust_drop(&trust);
    }
}

CORE_TEST(send_file, others_writes_and_the_end_come_behind) { with_ends(false, false); }
CORE_TEST(send_file, a_close_waits_for_it) { with_ends(false, true); }
CORE_TEST(send_file, over_tls_others_writes_and_the_end_come_behind) { with_ends(true, false); }
CORE_TEST(send_file, over_tls_a_close_waits_for_it) { with_ends(true, true); }

/* ---- cancelled, broken -------------------------------------------------------------------------------- */

static int send_bit_by_bit(void *arg, eddy_value *out) {
    (void)out;
    struct job *job = arg;
    int64_t limit_ns = EDDY_US(50), total = 0;
    int status = EDDY_ETIMEDOUT;
    while (status == EDDY_ETIMEDOUT) {
        status = EDDY_TIMEOUT(limit_ns,
                              eddy_stream_send_file(job->stream, job->file, total, job->bytes - total, &job->sent));
        total += job->sent;
        limit_ns += limit_ns / 4;
        eddy_handled();
    }
    EXPECT_OK(status);
    EXPECT_EQ(job->bytes, total);
    return eddy_stream_shutdown_write(job->stream);
}

static void go_on_after_each_cancel(bool tls) {
    struct ends ends;
    struct trust trust;
    ends_open(&ends);
    if (tls) {
        trust_make(&trust, NULL, NULL);
        ends_seal(&ends, &trust);
    }
    struct job job = {.stream = ends.left, .file = pattern_file(2 * MUCH), .bytes = 2 * MUCH};
    eddy_task *sender = spawn(send_bit_by_bit, &job);
    EXPECT_EQ(2 * MUCH, pattern_receive(ends.right, 0));
    EXPECT_OK(end_of(sender));
    close(job.file);
    ends_close(&ends);
    if (tls) trust_drop(&trust);
}

CORE_TEST(send_file, cancelled_it_is_gone_on_with_to_the_byte) { go_on_after_each_cancel(false); }
CORE_TEST(send_file, over_tls_cancelled_it_is_gone_on_with_to_the_byte) { go_on_after_each_cancel(true); }

CORE_TEST(send_file, aborted_it_tells_how_far_it_came) {
    struct ends ends;
    test_stay();
    ends_open(&ends);
    struct job job = {.stream = ends.left, .file = pattern_file(2 * MUCH), .bytes = 2 * MUCH};
    eddy_task *sender = spawn_parked(send_it, &job);
    eddy_stream_abort(ends.left);
    EXPECT_EQ(EDDY_ECLOSED, end_of(sender));
    EXPECT(job.sent > 0 && job.sent < 2 * MUCH);
    eddy_value none;
    EXPECT_EQ(EDDY_ECLOSED, send_it(&job, &none));
    EXPECT_EQ(0, job.sent);
    close(job.file);
    ends_close(&ends);
}

TEST(send_file, to_a_peer_that_left_is_its_failure_and_no_signal, TEST_REAL) {
    struct sigaction before;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
    struct ends ends;
    test_stay();
    ends_open(&ends);
    struct job job = {.stream = ends.left, .file = pattern_file(2 * MUCH), .bytes = 2 * MUCH};
    eddy_task *sender = spawn_parked(send_it, &job);
    eddy_stream_abort(ends.right);
    int status = end_of(sender);
    EXPECT(status == -EPIPE || status == -ECONNRESET);
    EXPECT_EQ(status, eddy_stream_write(ends.left, "x", 1));
    close(job.file);
    ends_close(&ends);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(0, sigismember(&pending, SIGPIPE));
    sigaction(SIGPIPE, &before, NULL);
}

/* ---- files that are none --------------------------------------------------------------------------------- */

static int try_file(struct job *job, int file) {
    eddy_value none;
    job->file = file;
    int status = send_it(job, &none);
    EXPECT_EQ(0, job->sent);
    return status;
}

CORE_TEST(send_file, what_cannot_be_read_is_told_and_the_stream_goes_on) {
    struct ends ends;
    ends_open(&ends);
    struct job job = {.stream = ends.left, .bytes = 10};
    int pipe_ends[2], file = pattern_file(10);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int write_only = open(path, O_WRONLY | O_CLOEXEC);
    EXPECT(write_only >= 0);
    close(file);
    EXPECT_EQ(-EBADF, try_file(&job, write_only));
    close(write_only);
    int folder = open(test_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(-EISDIR, try_file(&job, folder));
    close(folder);
    EXPECT_EQ(0, pipe2(pipe_ends, O_CLOEXEC));
    EXPECT_EQ(-ESPIPE, try_file(&job, pipe_ends[0]));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    EXPECT_EQ(-EBADF, try_file(&job, 9999));
    eddy_handled();
    write_text(ends.left, "still there");
    expect_text(ends.right, "still there");
    ends_close(&ends);
}
