/* process_move_test.c: a call that left a process before it began runs once, elsewhere, also where its frame does not fit the
 * socket: what is still sent of it says nothing that is not so.
 *
 * Method: sockets that hold a frame or two, and gates, so that the frames of all calls behind a gate are unsent but for the
 * first, which is sent in part. */
#include "exec/process_helpers.h"

#include "exec/process_pool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    CROWD = 40,
    LARGE_BYTES = 12000, /* less than what may wait behind another; as a result, more than fits a box */
    SOCKET_BYTES = 4096  /* the system makes that a little more                                       */
};

static int echo(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
EDDY_REMOTE(echo);

static int first_byte(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, 1); }
EDDY_REMOTE(first_byte);

/* Tells that it has begun, then is as help_gate. */
static int tell_and_gate(eddy_bytes in, eddy_bytes *out) {
    char begun[600];
    snprintf(begun, sizeof begun, "%s-begun", (const char *)in.data);
    const int fd = open(begun, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return -errno;
    close(fd);
    return help_gate(in, out);
}
EDDY_REMOTE(tell_and_gate);

static int tell_and_gate_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    (void)out;
    return eddy_process_pool_run(gate->pool, tell_and_gate, eddy_bytes_view(gate->path, strlen(gate->path) + 1), NULL);
}

struct member {
    eddy_process_pool *pool;
    eddy_remote_fn fn;
    size_t result_bytes;
    unsigned char number;
    eddy_task *task;
};

static int member_task(void *arg, eddy_value *out) {
    const struct member *member = arg;
    (void)out;
    unsigned char *sent = malloc(LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i++) sent[i] = (unsigned char)(member->number + i % 251);
    eddy_bytes back;
    const int status = eddy_process_pool_run(member->pool, member->fn, eddy_bytes_view(sent, LARGE_BYTES), &back);
    EXPECT(status < 0 || (back.size == member->result_bytes && memcmp(back.data, sent, back.size) == 0));
    eddy_bytes_free(&back);
    free(sent);
    return status;
}

static void crowd_comes(struct member members[CROWD], eddy_process_pool *pool, bool large_results) {
    for (int i = 0; i < CROWD; i++) {
        members[i] =
            (struct member){pool, large_results ? echo : first_byte, large_results ? LARGE_BYTES : 1, i + 1, NULL};
        EXPECT_OK(eddy_spawn(&members[i].task, member_task, &members[i], NULL));
    }
}

/* How many of the crowd were cancelled; no call fails otherwise. */
static int crowd_ends(struct member members[CROWD]) {
    int cancelled = 0;
    for (int i = 0; i < CROWD; i++) {
        const int status = eddy_await(EDDY_FUTURE(members[i].task), NULL);
        if (status != EDDY_ECANCELED) EXPECT_OK(status);
        cancelled += status == EDDY_ECANCELED;
        eddy_task_release(members[i].task);
    }
    return cancelled;
}

/* ---- the pool from within ----------------------------------------------------------------------------------- */

/* Of its processes, which are there. */
static void make_sockets_small(eddy_process_pool *pool) {
    const int bytes = SOCKET_BYTES;
    for (unsigned i = 0; i < pool->processes_max; i++)
        EXPECT_EQ(0, setsockopt(pool->processes[i].os.socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes));
}

/* Yields until the processes have all calls, so many. */
static void until_given(eddy_process_pool *pool, unsigned calls) {
    for (unsigned count = 0, queued = 1; queued > 0 || count != calls;) {
        EXPECT_OK(eddy_yield());
        pthread_mutex_lock(&pool->pool.lock);
        queued = (unsigned)pool->queued;
        count = 0;
        for (unsigned i = 0; i < pool->processes_max; i++) count += pool->processes[i].count;
        pthread_mutex_unlock(&pool->pool.lock);
    }
}

static unsigned kills_wanted(eddy_process_pool *pool) {
    pthread_mutex_lock(&pool->pool.lock);
    const unsigned wanted = pool->kills_wanted;
    pthread_mutex_unlock(&pool->pool.lock);
    return wanted;
}

/* The grace of the only process's first call is over now: gives when the manager took its last kill token. */
static int64_t end_grace(eddy_process_pool *pool) {
    struct ed_process *process = &pool->processes[0];
    pthread_mutex_lock(&pool->pool.lock);
    const int64_t before_ns = pool->kill_tokens_ns;
    EXPECT(process->entries[process->first].call->kill_wanted);
    process->entries[process->first].call->kill_at_ns = 0;
    ed_process_pool_ring(pool);
    pthread_mutex_unlock(&pool->pool.lock);
    return before_ns;
}

static bool has_taken_token(eddy_process_pool *pool, int64_t before_ns) {
    pthread_mutex_lock(&pool->pool.lock);
    const bool has = pool->kill_tokens_ns != before_ns;
    pthread_mutex_unlock(&pool->pool.lock);
    return has;
}

/* ---- tests -------------------------------------------------------------------------------------------------- */

/* A call is to be killed, but has ended: its answer is not read yet, and the next call has begun. The manager looks, and kills
 * nobody. What it queues again of the calls behind runs once, in the same process. Held: the pool's home, by the test itself
 * (without a call of eddy), so nobody reads the answer before the manager has looked. */
static void no_kill_after_an_end(bool large_results) {
    eddy_process_pool *pool;
    test_stay();
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .grace_ns = EDDY_SECONDS(100000))));
    struct help_gate gate, next;
    help_gate_init(&gate, pool);
    help_gate_init(&next, pool);
    strcat(next.path, "-next");
    char begun[600];
    snprintf(begun, sizeof begun, "%s-begun", next.path);
    eddy_task *victim, *next_task;
    struct member members[CROWD];

    EXPECT_OK(eddy_spawn(&victim, help_gate_task, &gate, NULL));
    help_until(pool, 1, 0);
    make_sockets_small(pool);
    EXPECT_OK(eddy_spawn(&next_task, tell_and_gate_task, &next, NULL));
    until_given(pool, 2);
    crowd_comes(members, pool, large_results);
    until_given(pool, 2 + CROWD);
    eddy_cancel(EDDY_FUTURE(victim));
    while (kills_wanted(pool) == 0) EXPECT_OK(eddy_yield());

    help_gate_open(&gate);
    while (access(begun, F_OK) < 0) usleep(500);
    const int64_t before_ns = end_grace(pool);
    while (!has_taken_token(pool, before_ns)) usleep(500);
    help_gate_open(&next);

    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(victim), NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(next_task), NULL));
    EXPECT_EQ(0, crowd_ends(members));
    eddy_task_release(victim);
    eddy_task_release(next_task);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(2 + CROWD, stats.done);
    EXPECT_EQ(0, stats.kills + stats.deaths);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_gate_deinit(&gate);
    help_gate_deinit(&next);
    EXPECT_EQ(0, unlink(begun));
    help_no_children();
}

TEST(process_move, no_kill_after_an_end, NEEDS_PROCESSES) { no_kill_after_an_end(false); }
TEST(process_move, no_kill_after_an_end_with_large_results, NEEDS_PROCESSES) { no_kill_after_an_end(true); }

/* Two processes with small sockets, each with a call at its gate. */
struct pair {
    eddy_process_pool *pool;
    struct help_gate gates[2];
    eddy_task *held[2];
};

static void pair_begins(struct pair *pair, const eddy_process_pool_options *options) {
    EXPECT_OK(eddy_process_pool_create(&pair->pool, options));
    for (int i = 0; i < 2; i++) {
        help_gate_init(&pair->gates[i], pair->pool);
        snprintf(pair->gates[i].path + strlen(pair->gates[i].path), 3, "-%d", i);
        EXPECT_OK(eddy_spawn(&pair->held[i], help_gate_task, &pair->gates[i], NULL));
        help_until(pair->pool, 1 + (size_t)i, 0);
    }
    make_sockets_small(pair->pool);
}

/* How its call at the gate ends. */
static int open_one(struct pair *pair, int i) {
    help_gate_open(&pair->gates[i]);
    const int status = eddy_await(EDDY_FUTURE(pair->held[i]), NULL);
    eddy_handled();
    eddy_task_release(pair->held[i]);
    help_gate_deinit(&pair->gates[i]);
    return status;
}

/* Also what does not fit the socket of a process that is held goes to one that is free, while the other is held. */
TEST(process_move, a_free_process_takes_what_is_unsent_elsewhere, NEEDS_PROCESSES) {
    for (int large_results = 0; large_results < 2; large_results++) {
        struct pair pair;
        struct member members[CROWD];
        pair_begins(&pair, EDDY_PROCESS_POOL(.processes = 2));
        crowd_comes(members, pair.pool, large_results);
        until_given(pair.pool, 2 + CROWD);
        EXPECT_OK(open_one(&pair, 1));
        EXPECT_EQ(0, crowd_ends(members));
        EXPECT(!eddy_future_done(EDDY_FUTURE(pair.held[0])));
        EXPECT_OK(open_one(&pair, 0));
        eddy_process_pool_stats stats;
        eddy_process_pool_stats_read(pair.pool, &stats);
        EXPECT_EQ(2 + CROWD, stats.done);
        EXPECT_OK(eddy_process_pool_close(pair.pool));
        help_no_children();
    }
}

/* The same, and the process that is held dies with frames that it was never sent. */
TEST(process_move, what_left_a_process_does_not_die_with_it, NEEDS_PROCESSES) {
    struct pair pair;
    struct member members[CROWD];
    int pids[2], pid;
    pair_begins(&pair, EDDY_PROCESS_POOL(.processes = 2));
    EXPECT_EQ(2, eddy_process_pool_pids(pair.pool, pids, 2));
    crowd_comes(members, pair.pool, true);
    until_given(pair.pool, 2 + CROWD);
    EXPECT_OK(open_one(&pair, 1));
    EXPECT_EQ(0, crowd_ends(members));
    EXPECT_EQ(0, kill(pids[0], SIGKILL));
    EXPECT_EQ(EDDY_EBROKENPOOL, open_one(&pair, 0));
    EXPECT_EQ(0, help_pid(pair.pool, &pid));
    EXPECT_OK(eddy_process_pool_close(pair.pool));
    help_no_children();
}

/* Of each two of the crowd one is cancelled: queued, unsent, sent, moved, begun, or ended. The others do not notice. */
static void cancel_of_many(const eddy_process_pool_options *options) {
    struct pair pair;
    struct member members[CROWD];
    uint64_t random = test_seed() * 2 + 1; /* xorshift64 */
    pair_begins(&pair, options);
    crowd_comes(members, pair.pool, true);
    until_given(pair.pool, 2 + CROWD);
    EXPECT_OK(open_one(&pair, 1));
    for (int i = 0; i < CROWD; i += 2) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        for (uint64_t step = 0; step < random % 64; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(members[i].task));
    }
    EXPECT(crowd_ends(members) <= CROWD / 2);
    EXPECT(!eddy_future_done(EDDY_FUTURE(pair.held[0])));
    EXPECT_OK(open_one(&pair, 0));
    EXPECT_OK(eddy_process_pool_close(pair.pool));
    help_no_children();
}

TEST(process_move, some_are_cancelled, NEEDS_PROCESSES) {
    cancel_of_many(EDDY_PROCESS_POOL(.processes = 2, .on_cancel = EDDY_ABANDON));
}
TEST(process_move, some_are_killed, NEEDS_PROCESSES) {
    cancel_of_many(EDDY_PROCESS_POOL(.processes = 2, .kills_per_second = 10000));
}

static bool is_closing(eddy_process_pool *pool) {
    pthread_mutex_lock(&pool->pool.lock);
    const bool closing = pool->closing;
    pthread_mutex_unlock(&pool->pool.lock);
    return closing;
}

/* A process that has served its calls is not ended by a close while calls wait behind one that is long: it serves them. */
TEST(process_move, a_close_ends_no_process_while_calls_wait, NEEDS_PROCESSES) {
    struct pair pair;
    int pids[2];
    eddy_task *tasks[CROWD], *closer;
    pair_begins(&pair, EDDY_PROCESS_POOL(.processes = 2));
    EXPECT_EQ(2, eddy_process_pool_pids(pair.pool, pids, 2));
    for (int i = 0; i < CROWD; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_pid_task, pair.pool, NULL));
    until_given(pair.pool, 2 + CROWD); /* some behind either call */
    EXPECT_OK(eddy_spawn(&closer, help_close_task, pair.pool, NULL));
    while (!is_closing(pair.pool)) EXPECT_OK(eddy_yield());
    EXPECT_OK(open_one(&pair, 1));
    for (int i = 0; i < CROWD; i++) { /* while the first is held */
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), &value));
        EXPECT_EQ(pids[1], value.i64); /* by none that was started for it */
        eddy_task_release(tasks[i]);
    }
    EXPECT(!eddy_future_done(EDDY_FUTURE(pair.held[0])));
    EXPECT_OK(open_one(&pair, 0));
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    eddy_task_release(closer);
    help_no_children();
}

/* One of two processes is killed with its only call. What waits behind the other's gets a new one. */
TEST(process_move, a_new_process_takes_what_waits_elsewhere, NEEDS_PROCESSES) {
    struct pair pair;
    pair_begins(&pair, EDDY_PROCESS_POOL(.processes = 2));
    struct member waits = {pair.pool, first_byte, 1, 1, NULL};
    EXPECT_OK(eddy_spawn(&waits.task, member_task, &waits, NULL));
    until_given(pair.pool, 3);
    eddy_cancel(EDDY_FUTURE(pair.held[1]));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(pair.held[1]), NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(waits.task), NULL)); /* it came behind the first process's call */
    eddy_task_release(waits.task);
    EXPECT_EQ(EDDY_ECANCELED, open_one(&pair, 1));
    EXPECT(!eddy_future_done(EDDY_FUTURE(pair.held[0])));
    EXPECT_OK(open_one(&pair, 0));
    EXPECT_OK(eddy_process_pool_close(pair.pool));
    help_no_children();
}
