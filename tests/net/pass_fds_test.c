/* Descriptors that travel over Unix sockets: they arrive, or nothing of theirs does; none is left open. */
#include "ends_testing.h"

#include "eddy/loop.h"

#include <dirent.h>
#include <sys/resource.h>

#define REAL_TEST(name) TEST(pass_fds, name, TEST_REAL)

static int fds_open(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

/* A pipe whose writing ends are passed on: its reading end tells when the last one is closed. */
struct hose {
    int from, to;
};

static struct hose hose_make(void) {
    int both[2];
    EXPECT_EQ(0, pipe2(both, O_CLOEXEC | O_NONBLOCK));
    return (struct hose){both[0], both[1]};
}

static void hose_close_ours(struct hose *hose) { EXPECT_EQ(0, close(hose->to)); }

static bool hose_is_dry(const struct hose *hose) {
    char c;
    ssize_t got = read(hose->from, &c, 1);
    return got == 0;
}

static void pair_open(struct ends *ends) {
    test_stay();
    ends_open(ends);
    EXPECT_OK(eddy_stream_accept_fds(ends->right, 16));
}

REAL_TEST(descriptors_arrive_beside_their_bytes) {
    struct ends ends;
    struct hose hose = hose_make();
    pair_open(&ends);
    write_text(ends.left, "first\n");
    EXPECT_OK(eddy_stream_send_fds(ends.left, "second\n", 7, &hose.to, 1));
    write_text(ends.left, "third\n");
    hose_close_ours(&hose);
    EXPECT(!hose_is_dry(&hose)); /* it is under way */
    int fd;
    EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
    expect_text(ends.right, "first\nsecond\nthird\n");
    EXPECT_OK(eddy_stream_take_fd(ends.right, &fd));
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    EXPECT_EQ(2, write(fd, "hi", 2));
    char text[3] = "";
    EXPECT_EQ(2, read(hose.from, text, 2));
    EXPECT_STR("hi", text);
    EXPECT_EQ(0, close(fd));
    EXPECT(hose_is_dry(&hose));
    EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
    close(hose.from);
    ends_close(&ends);
}

/* The usual use: an accepted connection goes to another process; here, to another stream. */
REAL_TEST(a_connection_is_handed_on) {
    struct ends ends;
    int pair[2], fd;
    pair_open(&ends);
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    eddy_stream *client, *served;
    EXPECT_OK(eddy_stream_open_fd(&client, pair[0]));
    EXPECT_OK(eddy_stream_send_fds(ends.left, "c", 1, &pair[1], 1));
    close(pair[1]);
    expect_text(ends.right, "c");
    EXPECT_OK(eddy_stream_take_fd(ends.right, &fd));
    EXPECT_OK(eddy_stream_open_fd(&served, fd));
    write_text(client, "who is there?");
    expect_text(served, "who is there?");
    hang_up(client);
    hang_up(served);
    ends_close(&ends);
}

REAL_TEST(as_many_as_the_system_passes_and_not_more) {
    enum { MOST = 253 };
    struct ends ends;
    struct hose hose = hose_make();
    int before, fds[MOST + 1], fd;
    for (int i = 0; i <= MOST; i++) fds[i] = hose.to;
    test_stay();
    ends_open(&ends);
    EXPECT_OK(eddy_stream_accept_fds(ends.right, MOST + 1));
    before = fds_open();
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_send_fds(ends.left, "x", 1, fds, MOST + 1));
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_send_fds(ends.left, "", 0, fds, 1));
    EXPECT_OK(eddy_stream_send_fds(ends.left, "x", 1, fds, MOST));
    EXPECT_OK(eddy_stream_send_fds(ends.left, "y", 1, fds, 1));
    EXPECT_OK(eddy_stream_send_fds(ends.left, "z", 1, NULL, 0));
    expect_text(ends.right, "xyz");
    for (int i = 0; i < MOST + 1; i++) {
        EXPECT_OK(eddy_stream_take_fd(ends.right, &fd));
        close(fd);
    }
    EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
    EXPECT_EQ(before, fds_open());
    int gone[2] = {hose.to, 9999};
    EXPECT_EQ(-EBADF, eddy_stream_send_fds(ends.left, "lost", 4, gone, 2));
    write_text(ends.left, "still there");
    expect_text(ends.right, "still there"); /* nothing of it came */
    EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
    hose_close_ours(&hose);
    EXPECT(hose_is_dry(&hose));
    close(hose.from);
    ends_close(&ends);
}

REAL_TEST(what_finds_no_room_is_closed_and_told_in_its_place) {
    struct ends ends;
    struct hose hose = hose_make();
    int fds[5] = {hose.to, hose.to, hose.to, hose.to, hose.to}, fd;
    test_stay();
    ends_open(&ends);
    EXPECT_EQ(EDDY_EINVAL, eddy_stream_accept_fds(ends.right, 0));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_take_fd(ends.right, &fd));
    EXPECT_OK(eddy_stream_accept_fds(ends.right, 2));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_accept_fds(ends.right, 2));
    int before = fds_open();
    for (int round = 0; round < 3; round++) {
        EXPECT_OK(eddy_stream_send_fds(ends.left, "a", 1, fds, 5));
        EXPECT_OK(eddy_stream_send_fds(ends.left, "b", 1, fds, 1));
        expect_text(ends.right, "ab");
        for (int i = 0; i < 2; i++) {
            EXPECT_OK(eddy_stream_take_fd(ends.right, &fd));
            close(fd);
        }
        EXPECT_EQ(EDDY_ELIMIT, eddy_stream_take_fd(ends.right, &fd));
        EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
        EXPECT_EQ(before, fds_open());
        eddy_handled();
    }
    hose_close_ours(&hose);
    EXPECT(hose_is_dry(&hose));
    close(hose.from);
    ends_close(&ends);
}

TEST(pass_fds, when_this_process_has_no_free_descriptor_it_is_told, TEST_REAL, TEST_WITHOUT("valgrind qemu")) {
    struct ends ends;
    struct hose hose = hose_make();
    struct rlimit limit, low;
    int fd;
    pair_open(&ends);
    EXPECT_OK(eddy_stream_send_fds(ends.left, "x", 1, &hose.to, 1));
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 0; /* those that are open stay so */
    setrlimit(RLIMIT_NOFILE, &low);
    expect_text(ends.right, "x");
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(EDDY_ELIMIT, eddy_stream_take_fd(ends.right, &fd));
    EXPECT_EQ(-EAGAIN, eddy_stream_take_fd(ends.right, &fd));
    eddy_handled();
    hose_close_ours(&hose);
    EXPECT(hose_is_dry(&hose));
    close(hose.from);
    ends_close(&ends);
}

/* In the queue, in the socket, and where nobody asked for them. */
REAL_TEST(those_that_nobody_takes_are_closed) {
    for (int where = 0; where < 3; where++) {
        struct ends ends;
        struct hose hose = hose_make();
        test_stay();
        ends_open(&ends);
        if (where < 2) EXPECT_OK(eddy_stream_accept_fds(ends.right, 16));
        EXPECT_OK(eddy_stream_send_fds(ends.left, "x", 1, &hose.to, 1));
        hose_close_ours(&hose);
        EXPECT(!hose_is_dry(&hose));
        if (where != 1) expect_text(ends.right, "x");
        EXPECT_EQ(where == 2, hose_is_dry(&hose));
        ends_close(&ends);
        while (!hose_is_dry(&hose)) EXPECT_OK(eddy_yield()); /* the kernel may collect it a moment later */
        close(hose.from);
    }
}

struct job {
    eddy_stream *stream;
    int fd;
};

static int send_one(void *arg, eddy_value *out) {
    (void)out;
    struct job *job = arg;
    return eddy_stream_send_fds(job->stream, "with it", 7, &job->fd, 1);
}

/* The socket is full: it waits, in its place, and cancelled has sent nothing. */
REAL_TEST(waits_for_room_in_its_place) {
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct ends ends;
        struct hose hose = hose_make();
        int fd;
        pair_open(&ends);
        unsigned char *bytes = malloc(MUCH);
        pattern_fill(bytes, MUCH, 0);
        EXPECT_OK(eddy_stream_write(ends.left, bytes, MUCH));
        struct job job = {ends.left, hose.to};
        eddy_task *sender = spawn_parked(send_one, &job);
        EXPECT_EQ(EDDY_EBUSY, eddy_stream_send_fds(ends.left, "x", 1, &hose.to, 1));
        EXPECT_OK(eddy_stream_write(ends.left, bytes, MUCH));
        free(bytes);
        if (cancelled) {
            EXPECT(eddy_cancel(EDDY_FUTURE(sender)));
            EXPECT_EQ(EDDY_ECANCELED, end_of(sender));
        }
        if (cancelled) hose_close_ours(&hose);
        if (cancelled) EXPECT(hose_is_dry(&hose));
        expect_pattern(ends.right, MUCH, 0);
        if (!cancelled) expect_text(ends.right, "with it");
        expect_pattern(ends.right, MUCH, 0);
        EXPECT_EQ(cancelled ? -EAGAIN : 0, eddy_stream_take_fd(ends.right, &fd));
        if (!cancelled) {
            EXPECT_OK(end_of(sender));
            hose_close_ours(&hose);
            close(fd);
        }
        EXPECT(hose_is_dry(&hose));
        close(hose.from);
        ends_close(&ends);
    }
}

/* Much data beside them: it all comes, before what was written behind it, in both directions at once. */
REAL_TEST(data_beside_them_is_not_limited) {
    struct ends ends;
    struct hose hose = hose_make();
    pair_open(&ends);
    EXPECT_OK(eddy_stream_accept_fds(ends.left, 1));
    unsigned char *bytes = malloc(MUCH);
    pattern_fill(bytes, MUCH, 3);
    EXPECT_OK(eddy_stream_send_fds(ends.left, bytes, MUCH, &hose.to, 1));
    EXPECT_OK(eddy_stream_send_fds(ends.right, bytes, MUCH, &hose.to, 1));
    free(bytes);
    write_text(ends.left, "behind it");
    write_text(ends.right, "behind it");
    expect_pattern(ends.right, MUCH, 3);
    expect_text(ends.right, "behind it");
    expect_pattern(ends.left, MUCH, 3);
    expect_text(ends.left, "behind it");
    hose_close_ours(&hose);
    ends_close(&ends);
    while (!hose_is_dry(&hose)) EXPECT_OK(eddy_yield());
    close(hose.from);
}

/* What is no Unix socket. */
CORE_TEST(pass_fds, only_unix_sockets_carry_them) {
    struct guest guest;
    int fd = 0;
    guest_enter(&guest);
    EXPECT_EQ(EDDY_ENOTSUP, eddy_stream_send_fds(guest.client, "x", 1, &fd, 1));
    EXPECT_EQ(EDDY_ENOTSUP, eddy_stream_accept_fds(guest.client, 1));
    EXPECT_EQ(EDDY_ENOTSUP, eddy_stream_accept_fds(guest.stream, 1)); /* perhaps on another worker */
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_take_fd(guest.client, &fd));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_take_fd(guest.stream, &fd));
    eddy_handled();
    guest_leave(&guest);
}

REAL_TEST(not_inside_tls_nor_the_other_way_round) {
    struct ends ends;
    struct trust trust;
    int fd = 0;
    trust_make(&trust, NULL, NULL);
    pair_open(&ends);
    eddy_tls_info info;
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_start_tls(ends.right, trust.client, "localhost"));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_tls_info(ends.right, &info));
    ends_close(&ends);
    ends_open(&ends);
    ends_seal(&ends, &trust);
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_send_fds(ends.left, "x", 1, &fd, 1));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_accept_fds(ends.left, 1));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_take_fd(ends.left, &fd));
    eddy_handled();
    ends_close(&ends);
    trust_drop(&trust);
}
