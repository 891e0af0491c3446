/* Waiting for descriptors: who is woken, who is refused, what a cancel leaves, and that readiness nobody waits for does
 * not keep the loop busy. */
#include "eddy/loop.h"
#include "eddy/runtime.h"
#include "eddy/task.h"
#include "harness/test.h"
#include "loop/loop.h"
#include "sched/sched.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    struct ed_poll *poll; /* one end, on the test's worker */
    int other;            /* the other one, plain          */
};

/* The caller stays where the handle is. */
static struct pair pair_open(void) {
    test_stay();
    int fds[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    struct pair pair = {.other = fds[1]};
    EXPECT_OK(ed_poll_open(&pair.poll, fds[0]));
    return pair;
}

static void pair_close(struct pair *pair) {
    if (pair->poll != NULL) ed_poll_close(pair->poll);
    close(pair->other);
}

static void put(int fd, char c) { EXPECT_EQ(1, write(fd, &c, 1)); }

static char get(struct ed_poll *poll) {
    char c;
    EXPECT_EQ(1, read(ed_poll_fd(poll), &c, 1));
    return c;
}

static int wait_read(void *arg, eddy_value *out) {
    (void)out;
    return ed_poll_wait(arg, ED_POLL_READ, "test read");
}

static int wait_write(void *arg, eddy_value *out) {
    (void)out;
    return ed_poll_wait(arg, ED_POLL_WRITE, "test write");
}

/* A task on this worker that is parked in fn when this returns. */
static eddy_task *parked(eddy_coro_fn fn, struct ed_poll *poll) {
    eddy_task *task;
    eddy_task_options options = eddy_task_options_init();
    EXPECT_OK(ed_spawn_on(ed_worker_current(), &task, fn, poll, &options, 0));
    test_until_all_parked();
    return task;
}

static int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

TEST(poll, wakes_a_reader_and_a_writer) {
    struct pair pair = pair_open();
    eddy_task *reader = parked(wait_read, pair.poll);
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_WRITE, "test")); /* room: at once */
    put(pair.other, 'a');
    EXPECT_EQ(0, end_of(reader));
    EXPECT_EQ('a', get(pair.poll));
    pair_close(&pair);
}

TEST(poll, second_waiter_of_a_direction_is_refused) {
    struct pair pair = pair_open();
    eddy_task *reader = parked(wait_read, pair.poll);
    EXPECT_EQ(EDDY_EBUSY, ed_poll_wait(pair.poll, ED_POLL_READ, "test"));
    put(pair.other, 'a');
    EXPECT_EQ(0, end_of(reader));
    pair_close(&pair);
}

TEST(poll, close_wakes_both_directions_with_closed) {
    struct pair pair = pair_open();
    char block[4096] = {0};
    while (write(ed_poll_fd(pair.poll), block, sizeof block) > 0) continue; /* until it is full */
    eddy_task *reader = parked(wait_read, pair.poll), *writer = parked(wait_write, pair.poll);
    ed_poll_close(pair.poll);
    pair.poll = NULL;
    EXPECT_EQ(EDDY_ECLOSED, end_of(reader));
    EXPECT_EQ(EDDY_ECLOSED, end_of(writer));
    pair_close(&pair);
}

TEST(poll, cancelled_wait_leaves_the_slot_free_and_the_data_there) {
    struct pair pair = pair_open();
    eddy_task *reader = parked(wait_read, pair.poll);
    EXPECT(eddy_cancel(EDDY_FUTURE(reader)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(reader));
    put(pair.other, 'b');
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_READ, "test"));
    EXPECT_EQ('b', get(pair.poll));
    pair_close(&pair);
}

/* The event and the cancel meet: the task is already woken when it is cancelled. What it was woken for is the next
 * waiter's, at once. */
TEST(poll, readiness_that_a_cancelled_task_was_woken_for_is_passed_on) {
    struct pair pair = pair_open();
    eddy_task *reader = parked(wait_read, pair.poll);
    put(pair.other, 'c');
    ed_poll_interrupt(pair.poll, ED_POLL_READ, 0); /* what the event does: queued, not yet run */
    EXPECT(eddy_cancel(EDDY_FUTURE(reader)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(reader));
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_READ, "test"));
    EXPECT_EQ('c', get(pair.poll));
    pair_close(&pair);
}

TEST(poll, interrupt_gives_its_status) {
    struct pair pair = pair_open();
    eddy_task *reader = parked(wait_read, pair.poll);
    ed_poll_interrupt(pair.poll, ED_POLL_READ, EDDY_ELIMIT);
    EXPECT_EQ(EDDY_ELIMIT, end_of(reader));
    pair_close(&pair);
}

static uint64_t polls_here(void) {
    eddy_worker_stats stats;
    EXPECT_OK(eddy_worker_stats_read((unsigned)eddy_worker_index(), &stats));
    return stats.polls + stats.parks;
}

/* Readable interest stays armed after a wait. When bytes then lie there that nobody waits for, the loop hears of them
 * twice, not in every turn. */
TEST(poll, readiness_without_a_waiter_does_not_spin) {
    struct pair pair = pair_open();
    put(pair.other, 'd');
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_READ, "test")); /* armed from now on */
    uint64_t before = polls_here();
    for (int i = 0; i < 5; i++) EXPECT_OK(eddy_sleep(EDDY_MS(2))); /* the byte is still unread */
    EXPECT(polls_here() - before < 50);
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_READ, "test")); /* remembered */
    EXPECT_EQ('d', get(pair.poll));
    eddy_task *reader = parked(wait_read, pair.poll); /* and armed again */
    put(pair.other, 'e');
    EXPECT_EQ(0, end_of(reader));
    pair_close(&pair);
}

static void count_ready(void *arg) { ++*(int *)arg; }

TEST(poll, notify_runs_once) {
    struct pair pair = pair_open();
    int ready = 0;
    ed_poll_notify(pair.poll, ED_POLL_WRITE, count_ready, &ready);
    EXPECT_EQ(EDDY_EBUSY, ed_poll_wait(pair.poll, ED_POLL_WRITE, "test"));
    while (ready == 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_EQ(1, ready);
    ed_poll_notify(pair.poll, ED_POLL_READ, count_ready, &ready);
    ed_poll_close(pair.poll); /* forgets it */
    pair.poll = NULL;
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(1, ready);
    pair_close(&pair);
}

/* A pipe whose writers have gone is not readable for the system, only hung up; the read knows that it is the end. */
TEST(poll, hang_up_alone_wakes_a_reader) {
    test_stay();
    int fds[2];
    struct pair pair;
    EXPECT_EQ(0, pipe(fds));
    pair.other = fds[1];
    EXPECT_OK(ed_poll_open(&pair.poll, fds[0]));
    eddy_task *reader = parked(wait_read, pair.poll);
    close(pair.other);
    EXPECT_EQ(0, end_of(reader));
    char c;
    EXPECT_EQ(0, read(ed_poll_fd(pair.poll), &c, 1));
    ed_poll_close(pair.poll);
}

/* What cannot be watched is refused, and stays the caller's. */
TEST(poll, no_descriptor_to_wait_for_is_refused) {
    test_stay();
    struct ed_poll *poll;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(-EPERM, ed_poll_open(&poll, fd));
    EXPECT_EQ(0, close(fd));
    EXPECT_EQ(-EBADF, ed_poll_open(&poll, fd));
}

struct closer {
    struct pair *other;
    struct pair *fresh; /* its poll is opened when the other one's is closed */
    int *closed, *misled;
};

static void close_other(void *arg) {
    struct closer *closer = arg;
    ++*closer->closed;
    ed_poll_close(closer->other->poll);
    closer->other->poll = NULL;
    int fds[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    closer->fresh->other = fds[1];
    EXPECT_OK(ed_poll_open(&closer->fresh->poll, fds[0]));
    ed_poll_notify(closer->fresh->poll, ED_POLL_READ, count_ready, closer->misled);
}

/* Two are ready at once, and who is told first closes the other and opens another: which has the number of the one
 * that is gone, and most likely its memory. What was ready there is not told to it. */
TEST(poll, event_of_a_closed_descriptor_reaches_nobody) {
    struct pair pairs[2] = {pair_open(), pair_open()}, fresh = {NULL, -1};
    int closed = 0, misled = 0;
    struct closer closers[2] = {{&pairs[1], &fresh, &closed, &misled}, {&pairs[0], &fresh, &closed, &misled}};
    for (int i = 0; i < 2; i++) ed_poll_notify(pairs[i].poll, ED_POLL_READ, close_other, &closers[i]);
    for (int i = 0; i < 2; i++) put(pairs[i].other, 'f');
    while (closed == 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    EXPECT_EQ(1, closed);
    EXPECT_EQ(0, misled);
    put(fresh.other, 'g');
    while (misled == 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    EXPECT_EQ('g', get(fresh.poll));
    for (int i = 0; i < 2; i++) pair_close(&pairs[i]);
    pair_close(&fresh);
}

/* The system says error and hang-up of a reset connection; the system call knows which. */
TEST(poll, error_condition_wakes_and_the_socket_tells) {
    test_stay();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    EXPECT_EQ(0, bind(listener, (struct sockaddr *)&address, bytes));
    EXPECT_EQ(0, listen(listener, 1));
    EXPECT_EQ(0, getsockname(listener, (struct sockaddr *)&address, &bytes));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, connect(client, (struct sockaddr *)&address, bytes));
    struct pair pair = {.other = accept(listener, NULL, NULL)};
    EXPECT_OK(ed_poll_open(&pair.poll, client));
    eddy_task *reader = parked(wait_read, pair.poll);
    struct linger reset = {1, 0};
    EXPECT_EQ(0, setsockopt(pair.other, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    close(pair.other);
    EXPECT_EQ(0, end_of(reader));
    char c;
    EXPECT_EQ(-1, read(client, &c, 1));
    EXPECT_EQ(ECONNRESET, test_errno());
    EXPECT_EQ(0, read(client, &c, 1));
    EXPECT_EQ(0, ed_poll_wait(pair.poll, ED_POLL_READ, "test")); /* armed again, level-triggered: at once */
    ed_poll_close(pair.poll);
    close(listener);
}

static void run_flush(struct ed_flush *flush);
struct counted {
    struct ed_flush flush;
    int runs;
};
static void run_flush(struct ed_flush *flush) { ED_CONTAINER(flush, struct counted, flush)->runs++; }

TEST(poll, flush_runs_once_before_the_worker_sleeps) {
    struct counted counted = {.flush.run = run_flush};
    ed_list_init(&counted.flush.node);
    ed_flush_later(ed_worker_current(), &counted.flush);
    ed_flush_later(ed_worker_current(), &counted.flush);
    EXPECT_EQ(0, counted.runs);
    while (counted.runs == 0) EXPECT_OK(eddy_sleep(EDDY_US(50))); /* a sleep that is over at once is none */
    EXPECT_OK(eddy_sleep(EDDY_US(50)));
    EXPECT_EQ(1, counted.runs);
    ed_flush_later(ed_worker_current(), &counted.flush);
    ed_flush_forget(&counted.flush);
    EXPECT_OK(eddy_sleep(EDDY_US(50)));
    EXPECT_EQ(1, counted.runs);
}

static void set_future(struct ed_flush *flush);
struct waking {
    struct ed_flush flush;
    eddy_future *future;
};
static void set_future(struct ed_flush *flush) {
    EXPECT_OK(eddy_future_set(ED_CONTAINER(flush, struct waking, flush)->future, EDDY_NONE));
}

/* The worker is on its way to sleep when the flush makes a task ready: it must not sleep. */
TEST(poll, flush_may_wake_a_task) {
    struct waking waking = {.flush.run = set_future, .future = eddy_future_create()};
    ed_list_init(&waking.flush.node);
    ed_flush_later(ed_worker_current(), &waking.flush);
    EXPECT_OK(eddy_await(waking.future, NULL));
    eddy_future_release(waking.future);
}
