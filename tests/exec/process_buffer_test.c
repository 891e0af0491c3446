/* process_buffer_test.c: shared buffers and descriptors that go with a call: there, back, and when somebody dies or leaves. */
#include "exec/process_helpers.h"

#include "eddy/process_call.h"
#include "exec/process_buffer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { MEGABYTES = 64 };

static int open_fds(void) {
    int count = 0;
    for (int fd = 0; fd < 1000; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- buffers ---------------------------------------------------------------------------------------------- */

/* Adds 1 to the first and the last byte; and what it finds of descriptors. */
static int add_one(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const eddy_bytes lent = eddy_process_lent_buffer();
    if (lent.size == 0) return eddy_fail(-2, "no buffer");
    unsigned char *data = lent.data;
    data[0]++;
    data[lent.size - 1]++;
    const int count = open_fds();
    return eddy_bytes_copy(out, &count, sizeof count);
}
EDDY_REMOTE(add_one);

TEST(process_buffer, goes_there_and_comes_back, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_process_buffer *buffer;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    EXPECT_OK(eddy_process_buffer_create(&buffer, (size_t)MEGABYTES << 20)); /* untouched pages cost nothing */
    const eddy_bytes bytes = eddy_process_buffer_bytes(buffer);
    EXPECT_EQ((size_t)MEGABYTES << 20, bytes.size);
    unsigned char *data = bytes.data;
    EXPECT(data[0] == 0 && data[bytes.size - 1] == 0);
    data[0] = 40;
    int first_fds = 0;
    for (int i = 0; i < 5; i++) {
        eddy_bytes out;
        eddy_process_buffer *const before = buffer;
        EXPECT_OK(
            eddy_process_pool_call(pool, add_one, eddy_bytes_view("", 0), &out, EDDY_PROCESS_CALL(.buffer = &buffer)));
        EXPECT(buffer == before && eddy_process_buffer_bytes(buffer).data == bytes.data); /* the same memory */
        EXPECT_EQ(40 + i + 1, data[0]);
        EXPECT_EQ(i + 1, data[bytes.size - 1]);
        if (i == 0) first_fds = *(int *)out.data;
        EXPECT_EQ(first_fds, *(int *)out.data); /* nothing piles up there */
        eddy_bytes_free(&out);
    }
    EXPECT_EQ(-2, eddy_process_pool_call(pool, add_one, eddy_bytes_view("", 0), NULL, NULL)); /* gone with its call */
    EXPECT_STR("no buffer", eddy_error_text(eddy_error_current(-2)));
    eddy_handled();
    eddy_process_buffer_release(buffer);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* Writes, says so, and then what `in` says: 'd' dies, 's' spins, 'w' waits for the cancel. */
static int write_half(eddy_bytes in, eddy_bytes *out) {
    const char *how = in.data;
    (void)out;
    memcpy(eddy_process_lent_buffer().data, "half", 4);
    const int fd = open(how + 1, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    EXPECT_EQ(1, write(fd, "x", 1));
    close(fd);
    if (*how == 'd') _exit(5);
    while (*how == 's' || !eddy_process_cancelled()) usleep(500);
    memcpy(eddy_process_lent_buffer().data, "done", 4);
    return 0;
}
EDDY_REMOTE(write_half);

struct half {
    struct help_gate gate;
    eddy_process_buffer *buffer;
    char how;
};

static int half_task(void *arg, eddy_value *out) {
    struct half *half = arg;
    char in[600];
    (void)out;
    snprintf(in, sizeof in, "%c%s", half->how, half->gate.path);
    return eddy_process_pool_call(half->gate.pool, write_half, eddy_bytes_view(in, strlen(in) + 1), NULL,
                                  EDDY_PROCESS_CALL(.buffer = &half->buffer));
}

static eddy_task *begin_half(struct half *half, eddy_process_pool *pool, char how) {
    eddy_task *task;
    half->how = how;
    help_gate_init(&half->gate, pool);
    EXPECT_OK(eddy_process_buffer_create(&half->buffer, 10000));
    EXPECT_OK(eddy_spawn(&task, half_task, half, NULL));
    EXPECT_EQ(1, help_gate_until_open(&half->gate));
    help_gate_deinit(&half->gate);
    return task;
}

TEST(process_buffer, comes_back_from_the_dead, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct half half;
    eddy_task *task = begin_half(&half, pool, 'd');
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_handled();
    eddy_task_release(task);
    EXPECT(memcmp(eddy_process_buffer_bytes(half.buffer).data, "half", 4) == 0);
    eddy_process_buffer_release(half.buffer);

    task = begin_half(&half, pool, 's'); /* killed by a cancel: nobody writes any more when the call is back */
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT(memcmp(eddy_process_buffer_bytes(half.buffer).data, "half", 4) == 0);
    eddy_process_buffer_release(half.buffer);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* What is left behind has no owner but the pool, which releases it: the harness counts bytes and descriptors. */
TEST(process_buffer, stays_away_with_what_is_abandoned, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    struct half half;
    eddy_task *task = begin_half(&half, pool, 'w');
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT(half.buffer == NULL);
    EXPECT_EQ(EDDY_EINVAL, half_task(&half, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EINVAL)), "was abandoned");
    eddy_handled();
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_buffer, a_call_that_has_not_begun_gives_it_back_at_once, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    struct half first, second = {.how = 'w'};
    eddy_task *running = begin_half(&first, pool, 'w'), *waiting;
    second.gate = first.gate;
    EXPECT_OK(eddy_process_buffer_create(&second.buffer, 10));
    EXPECT_OK(eddy_spawn(&waiting, half_task, &second, NULL));
    help_until(pool, 1, 1);
    EXPECT(eddy_cancel(EDDY_FUTURE(waiting)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(waiting), NULL));
    EXPECT(second.buffer != NULL);
    EXPECT_EQ(0, *(char *)eddy_process_buffer_bytes(second.buffer).data);
    eddy_process_buffer_release(second.buffer);
    eddy_task_release(waiting);
    EXPECT(eddy_cancel(EDDY_FUTURE(running)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(running), NULL));
    eddy_task_release(running);
    EXPECT_OK(eddy_process_pool_close(pool));
}

UNIT(process_buffer, has_a_size_that_nobody_changes) {
    eddy_process_buffer *buffer;
    eddy_bytes bytes;
    EXPECT_EQ(EDDY_EINVAL, eddy_process_buffer_create(&buffer, 0));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_buffer_create(NULL, 5));
    EXPECT(eddy_process_buffer_create(&buffer, (size_t)INT64_MAX) < 0);
    EXPECT_OK(eddy_process_buffer_create(&buffer, 5000));
    EXPECT_EQ(-1, ftruncate(buffer->memfd, 10));
    EXPECT_EQ(-1, ftruncate(buffer->memfd, 10000));
    EXPECT_EQ(EDDY_EINVAL, ed_buffer_map(buffer->memfd, 5001, &bytes));
    EXPECT_EQ(-EBADF, ed_buffer_map(-1, 5000, &bytes));
    eddy_process_buffer_release(buffer);
    eddy_process_buffer_release(NULL);
    const int loose = memfd_create("loose", MFD_CLOEXEC); /* its size may change under the mapping */
    EXPECT_EQ(0, ftruncate(loose, 5000));
    EXPECT_EQ(EDDY_EINVAL, ed_buffer_map(loose, 5000, &bytes));
    close(loose);
}

/* ---- descriptors ------------------------------------------------------------------------------------------ */

/* Writes its descriptors' count and whether they are close-on-exec into the first; takes no other. */
static int write_to_first(eddy_bytes in, eddy_bytes *out) {
    const int before = open_fds(), fd = eddy_process_fd_take(0);
    if (fd < 0) return fd;
    EXPECT_EQ(EDDY_ESTATE, eddy_process_fd_take(0));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_fd_take(eddy_process_fd_count()));
    char text[64];
    const int bytes = snprintf(text, sizeof text, "%.*s %zu %d", (int)in.size, (char *)in.data, eddy_process_fd_count(),
                               fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(bytes, write(fd, text, (size_t)bytes));
    close(fd);
    return eddy_bytes_copy(out, &before, sizeof before);
}
EDDY_REMOTE(write_to_first);

static void read_to_end(int fd, const char *want) {
    char text[64] = "";
    size_t got = 0;
    for (ssize_t part; (part = read(fd, text + got, sizeof text - 1 - got)) > 0;) got += (size_t)part;
    EXPECT_STR(want, text);
}

TEST(process_fds, are_open_there_and_closed_if_nobody_takes_them, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    int first = 0;
    for (int i = 0; i < 4; i++) {
        int ends[2];
        eddy_bytes out;
        EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
        const int fds[] = {ends[1], 0, ends[1]};
        EXPECT_OK(eddy_process_pool_call(pool, write_to_first, eddy_bytes_view("hello", 5), &out,
                                         EDDY_PROCESS_CALL(.fds = fds, .fds_count = 3)));
        close(ends[1]);
        read_to_end(ends[0], "hello 3 1"); /* and there is an end: no copy is left anywhere */
        close(ends[0]);
        if (i == 0) first = *(int *)out.data;
        EXPECT_EQ(first, *(int *)out.data);
        eddy_bytes_free(&out);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

static int kept = -1;
static int keep_first(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    if (kept < 0) return kept = eddy_process_fd_take(0);
    return (int)write(kept, in.data, in.size);
}
EDDY_REMOTE(keep_first);

TEST(process_fds, may_outlive_their_call, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    int ends[2];
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
    EXPECT_OK(eddy_process_pool_call(pool, keep_first, eddy_bytes_view("", 0), NULL,
                                     EDDY_PROCESS_CALL(.fds = &ends[1], .fds_count = 1)));
    close(ends[1]);
    EXPECT_EQ(5, eddy_process_pool_run(pool, keep_first, eddy_bytes_view("later", 5), NULL));
    EXPECT_OK(eddy_process_pool_close(pool));
    read_to_end(ends[0], "later");
    close(ends[0]);
}

/* Buffer, most descriptors and bytes in one call, over and over, with many small calls between; a process may die idle. */
TEST(process_fds, everything_at_once, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    for (int64_t i = 0; i < test_scaled(30); i++) {
        int ends[2], fds[EDDY_PROCESS_FDS_MAX], pid;
        eddy_process_buffer *buffer;
        EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
        for (int k = 0; k < EDDY_PROCESS_FDS_MAX; k++) fds[k] = ends[1];
        EXPECT_OK(eddy_process_buffer_create(&buffer, 100));
        EXPECT_EQ(0, help_pid(pool, &pid));
        if (i % 10 == 9) kill(pid, SIGKILL); /* perhaps seen by the next line, perhaps not: it moves */
        EXPECT_OK(eddy_process_pool_call(
            pool, write_to_first, eddy_bytes_view("all", 3), NULL,
            EDDY_PROCESS_CALL(.fds = fds, .fds_count = EDDY_PROCESS_FDS_MAX, .buffer = &buffer)));
        close(ends[1]);
        read_to_end(ends[0], "all 16 1");
        close(ends[0]);
        EXPECT(buffer != NULL);
        eddy_process_buffer_release(buffer);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_fds, wrong_ones_are_told, NEEDS_PROCESSES) {
    int fds[EDDY_PROCESS_FDS_MAX + 1] = {0};
    eddy_process_buffer *buffer = NULL;
    EXPECT_EQ(EDDY_EINVAL,
              eddy_process_pool_call(NULL, add_one, eddy_bytes_view("", 0), NULL,
                                     EDDY_PROCESS_CALL(.fds = fds, .fds_count = EDDY_PROCESS_FDS_MAX + 1)));
    EXPECT_STR("a call takes 16 descriptors, not 17", eddy_error_text(eddy_error_current(EDDY_EINVAL)));
    EXPECT_EQ(EDDY_EINVAL,
              eddy_process_pool_call(NULL, add_one, eddy_bytes_view("", 0), NULL, EDDY_PROCESS_CALL(.fds_count = 1)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_call(NULL, add_one, eddy_bytes_view("", 0), NULL,
                                                  EDDY_PROCESS_CALL(.buffer = &buffer)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_call(NULL, add_one, eddy_bytes_view("", 0), NULL,
                                                  &(eddy_process_call_options){.size = 3}));
    fds[1] = 987;
    EXPECT_OK(eddy_process_buffer_create(&buffer, 10));
    EXPECT_EQ(-EBADF, eddy_process_pool_call(NULL, add_one, eddy_bytes_view("", 0), NULL,
                                             EDDY_PROCESS_CALL(.fds = fds, .fds_count = 2, .buffer = &buffer)));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EBADF)), "descriptor 987 cannot be passed to a worker process");
    EXPECT(buffer != NULL); /* a call that fails at once has not taken it */
    eddy_process_buffer_release(buffer);
    eddy_handled();
    EXPECT_EQ(EDDY_EINVAL, eddy_process_fd_take(0)); /* outside a call */
    EXPECT_EQ(0, eddy_process_fd_count());
    EXPECT_EQ(0, eddy_process_lent_buffer().size);
}

static int few_descriptors(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){8, 8});
}
EDDY_REMOTE(few_descriptors);

/* More come than the process may open: the call fails, the process lives and has none of them. */
TEST(process_fds, that_do_not_fit_fail_the_call_alone, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .initializer = few_descriptors)));
    int before, after, ends[2], fds[10];
    EXPECT_EQ(0, help_pid(pool, &before));
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
    for (int i = 0; i < 10; i++) fds[i] = ends[1];
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_ELIMIT, eddy_process_pool_call(pool, write_to_first, eddy_bytes_view("", 0), NULL,
                                                      EDDY_PROCESS_CALL(.fds = fds, .fds_count = 10)));
        EXPECT_STR("the worker process cannot open the 10 descriptors of the call: see RLIMIT_NOFILE",
                   eddy_error_text(eddy_error_current(EDDY_ELIMIT)));
        eddy_handled();
    }
    EXPECT_OK(eddy_process_pool_call(pool, write_to_first, eddy_bytes_view("", 0), NULL,
                                     EDDY_PROCESS_CALL(.fds = fds, .fds_count = 2)));
    close(ends[1]);
    read_to_end(ends[0], " 2 1");
    close(ends[0]);
    EXPECT_EQ(0, help_pid(pool, &after));
    EXPECT_EQ(before, after);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* ---- too many on their way -------------------------------------------------------------------------------- */

/* Without what lets an administrator go over the limit. */
static void drop_capabilities(void) {
    struct {
        uint32_t version;
        int pid;
    } head = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } data[2] = {{0}};
    if (syscall(SYS_capget, &head, data) < 0) return;
    data[0].effective &= ~(UINT32_C(1) << 21 | UINT32_C(1) << 24); /* CAP_SYS_ADMIN, CAP_SYS_RESOURCE */
    EXPECT_EQ(0, syscall(SYS_capset, &head, data));
}

/* Sends descriptors to itself, so many if the system takes them. Gives how many that was. */
static int fill(int sockets[2], int count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    memcpy(CMSG_DATA(&control.head), &sockets[0], sizeof(int));
    struct iovec part = {"x", 1};
    const struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int sent = 0;
    while (sent < count && sendmsg(sockets[1], &message, MSG_DONTWAIT) == 1) sent++;
    return sent;
}

static int too_many(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    int before, after, sockets[2];
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .name = "io")));
    EXPECT_EQ(0, help_pid(pool, &before));
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    /* Over the limit to come by themselves: what the user's other processes have on their way comes and goes. */
    (void)fill(sockets, 128);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, limit.rlim_max});
    const bool is_full = fill(sockets, 1) == 0 && errno == ETOOMANYREFS;
    eddy_process_buffer *buffer;
    EXPECT_OK(eddy_process_buffer_create(&buffer, 100));
    if (is_full) {
        EXPECT_EQ(EDDY_ELIMIT, eddy_process_pool_call(pool, add_one, eddy_bytes_view("", 0), NULL,
                                                      EDDY_PROCESS_CALL(.buffer = &buffer)));
        EXPECT_STR("process pool 'io': too many descriptors are on their way to other processes (ETOOMANYREFS, see "
                   "RLIMIT_NOFILE)",
                   eddy_error_text(eddy_error_current(EDDY_ELIMIT)));
        eddy_handled();
    }
    close(sockets[0]);
    close(sockets[1]);
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(0, *(char *)eddy_process_buffer_bytes(buffer).data); /* and it has not run */
    EXPECT_EQ(0, help_pid(pool, &after));
    EXPECT_EQ(before, after);
    eddy_process_buffer_release(buffer);
    EXPECT_OK(eddy_process_pool_close(pool));
    return is_full;
}

UNIT(process_fds, too_many_on_their_way_fail_the_call_alone, NEEDS_PROCESSES) {
    drop_capabilities();
    eddy_value value;
    const int found = eddy_run(too_many, NULL, &value, EDDY_RUN(.workers = 1));
    EXPECT_OK(found);
    if (found == 0) test_skip("this system sets no limit to descriptors on their way");
}

/* ---- at any moment ---------------------------------------------------------------------------------------- */

struct loaded {
    eddy_process_pool *pool;
    eddy_process_buffer *buffer;
};

static int loaded_task(void *arg, eddy_value *out) {
    struct loaded *loaded = arg;
    eddy_bytes bytes;
    (void)out;
    const int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    EXPECT(sink >= 0);
    const int status =
        eddy_process_pool_call(loaded->pool, write_to_first, eddy_bytes_view("a", 1), &bytes,
                               EDDY_PROCESS_CALL(.fds = &sink, .fds_count = 1, .buffer = &loaded->buffer));
    EXPECT(status == EDDY_ECANCELED || (status == 0 && bytes.size == sizeof(int)));
    EXPECT(loaded->buffer != NULL || (status == EDDY_ECANCELED));
    eddy_bytes_free(&bytes);
    close(sink);
    return status;
}

static void cancel_at_every_step(enum eddy_on_cancel on_cancel) {
    struct loaded loaded;
    EXPECT_OK(eddy_process_pool_create(
        &loaded.pool, EDDY_PROCESS_POOL(.processes = 2, .on_cancel = on_cancel, .kills_per_second = 10000)));
    for (int64_t k = 0; k < test_scaled(60); k++) {
        eddy_task *task;
        int pid;
        EXPECT_EQ(0, help_pid(loaded.pool, &pid));
        EXPECT_OK(eddy_process_buffer_create(&loaded.buffer, 100));
        EXPECT_OK(eddy_spawn(&task, loaded_task, &loaded, NULL));
        for (int64_t step = 0; step < k * k; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        (void)eddy_await(EDDY_FUTURE(task), NULL);
        eddy_task_release(task);
        EXPECT(loaded.buffer != NULL || on_cancel == EDDY_ABANDON);
        eddy_process_buffer_release(loaded.buffer);
    }
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(loaded.pool, &stats);
    EXPECT_EQ(0, stats.deaths);
    EXPECT_OK(eddy_process_pool_close(loaded.pool));
}

TEST(process_fds, killing_cancel_at_every_step, TEST_LIMIT(60), NEEDS_PROCESSES) { cancel_at_every_step(EDDY_KILL); }
TEST(process_fds, abandoning_cancel_at_every_step, TEST_LIMIT(60), NEEDS_PROCESSES) {
    cancel_at_every_step(EDDY_ABANDON);
}

static int use_all(void *arg) {
    struct loaded loaded;
    (void)arg;
    int status = eddy_process_buffer_create(&loaded.buffer, 100);
    if (status < 0) return status;
    status = eddy_process_pool_create(&loaded.pool, EDDY_PROCESS_POOL(.processes = 1));
    if (status == 0) {
        int ends[2];
        EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
        status = eddy_process_pool_call(loaded.pool, write_to_first, eddy_bytes_view("a", 1), NULL,
                                        EDDY_PROCESS_CALL(.fds = &ends[1], .fds_count = 1, .buffer = &loaded.buffer));
        close(ends[0]);
        close(ends[1]);
        const int closed = eddy_process_pool_close(loaded.pool);
        if (status == 0) status = closed;
    }
    EXPECT(loaded.buffer != NULL);
    eddy_process_buffer_release(loaded.buffer);
    return status;
}

TEST(process_fds, survive_the_failure_of_each_allocation, TEST_LIMIT(60), NEEDS_PROCESSES) {
    EXPECT(test_each_allocation_fails(use_all, NULL) >= 6);
}
