/* process_life_test.c: whoever dies, and however: one call fails at most, and no process, zombie or descriptor is left. */
#include "exec/process_helpers.h"

#include "exec/exec.h"
#include "exec/process_pool.h"
#include "exec/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- the worker dies ------------------------------------------------------------------------------------- */

TEST(process_life, a_killed_worker_fails_its_call_and_no_other, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .name = "hash")));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    const int64_t rounds = test_scaled(100);
    for (int64_t i = 0; i < rounds; i++) {
        eddy_task *task;
        int pid;
        EXPECT_OK(eddy_spawn(&task, help_begin_task, &gate, NULL));
        EXPECT_EQ(1, help_gate_until_open(&gate)); /* it has begun */
        EXPECT_EQ(1, eddy_process_pool_pids(pool, &pid, 1));
        EXPECT_EQ(0, kill(pid, SIGKILL));
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(task), NULL));
        char text[128];
        snprintf(text, sizeof text,
                 "process pool 'hash': process %d was ended by signal 9 (Killed) while it had 'help_spin'", pid);
        EXPECT_STR(text, eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)));
        eddy_handled();
        eddy_task_release(task);
        EXPECT_EQ(1, help_gate_until_open(&gate)); /* and was not begun once more */
        help_gate_deinit(&gate);
        EXPECT_EQ(0, help_pid(pool, &pid)); /* the next call works */
    }
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(rounds, stats.deaths);
    EXPECT_EQ(rounds, stats.respawns);
    EXPECT_EQ(rounds, stats.done);
    EXPECT_EQ(0, stats.kills);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_life, a_worker_killed_while_idle_fails_no_call, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    int pid, pid_after;
    EXPECT_EQ(0, help_pid(pool, &pid));
    for (int64_t i = 0; i < test_scaled(50); i++) {
        kill(pid, SIGKILL); /* the pool may or may not know by the next line: the call moves if it has to */
        EXPECT_EQ(0, help_pid(pool, &pid_after));
        EXPECT(pid != pid_after);
        pid = pid_after;
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

struct ringing {
    eddy_process_pool *pool;
    _Atomic bool over;
};

static void *ring_on(void *arg) {
    struct ringing *ringing = arg;
    while (!ED_LOAD_ACQUIRE(&ringing->over)) {
        pthread_mutex_lock(&ringing->pool->pool.lock);
        ed_process_pool_ring(ringing->pool);
        pthread_mutex_unlock(&ringing->pool->pool.lock);
        usleep(20);
    }
    return NULL;
}

/* Whenever the manager looks, also between a process's HELLO and the call that it is for. */
TEST(process_life, one_call_starts_one_process, NEEDS_PROCESSES) {
    for (int64_t i = 0; i < test_scaled(20); i++) {
        struct ringing ringing = {NULL, false};
        pthread_t thread;
        int pid, pids[4];
        EXPECT_OK(eddy_process_pool_create(&ringing.pool, EDDY_PROCESS_POOL(.processes = 4)));
        EXPECT_EQ(0, pthread_create(&thread, NULL, ring_on, &ringing));
        EXPECT_EQ(0, help_pid(ringing.pool, &pid));
        ED_STORE_RELEASE(&ringing.over, true);
        pthread_join(thread, NULL);
        EXPECT_EQ(1, eddy_process_pool_pids(ringing.pool, pids, 4));
        EXPECT_OK(eddy_process_pool_close(ringing.pool));
    }
}

/* With two processes the death of one does not touch the other's call. */
TEST(process_life, the_neighbour_does_not_notice, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    struct help_gate gate, begun;
    help_gate_init(&gate, pool);
    help_gate_init(&begun, pool);
    strcat(begun.path, "-begun");
    eddy_task *neighbour, *victim;
    EXPECT_OK(eddy_spawn(&neighbour, help_gate_task, &gate, NULL));
    help_until(pool, 1, 0);
    int pid, pids[2];
    EXPECT_EQ(1, eddy_process_pool_pids(pool, &pid, 1));
    EXPECT_OK(eddy_spawn(&victim, help_begin_task, &begun, NULL));
    EXPECT_EQ(1, help_gate_until_open(&begun));
    EXPECT_EQ(2, eddy_process_pool_pids(pool, pids, 2));
    EXPECT_EQ(0, kill(pids[0] == pid ? pids[1] : pids[0], SIGKILL));
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(victim), NULL));
    eddy_handled();
    eddy_value value;
    help_gate_open(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(neighbour), &value));
    EXPECT_EQ(pid, value.i64);
    eddy_task_release(neighbour);
    eddy_task_release(victim);
    help_gate_deinit(&gate);
    help_gate_deinit(&begun);
    EXPECT_OK(eddy_process_pool_close(pool));
}

enum { CROWD = 40 };

/* Small calls wait in a process behind one that never ends. It is cancelled, and its process killed: they do not notice. */
TEST(process_life, a_cancel_spares_the_calls_behind, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (int64_t round = 0; round < test_scaled(20); round++) {
        int first;
        EXPECT_EQ(0, help_pid(pool, &first));
        eddy_task *victim, *tasks[CROWD];
        EXPECT_OK(eddy_spawn(&victim, help_spin_task, pool, NULL));
        help_until(pool, 1, 0);
        for (int i = 0; i < CROWD; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_pid_task, pool, NULL));
        help_until(pool, 1, CROWD);
        EXPECT(eddy_cancel(EDDY_FUTURE(victim)));
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(victim), NULL));
        eddy_task_release(victim);
        for (int i = 0; i < CROWD; i++) {
            eddy_value value;
            EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), &value));
            EXPECT(value.i64 != first);
            eddy_task_release(tasks[i]);
        }
    }
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* The same, each cancelled while it waits there: nobody is killed, and none of them runs. */
TEST(process_life, a_call_behind_another_is_taken_back, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    int first, last;
    EXPECT_EQ(0, help_pid(pool, &first));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *holder, *tasks[CROWD];
    EXPECT_OK(eddy_spawn(&holder, help_gate_task, &gate, NULL));
    help_until(pool, 1, 0);
    for (int i = 0; i < CROWD; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_pid_task, pool, NULL));
    help_until(pool, 1, CROWD);
    for (int i = 0; i < CROWD; i++) {
        EXPECT(eddy_cancel(EDDY_FUTURE(tasks[i])));
        EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(tasks[i]), NULL)); /* while the gate is shut */
        eddy_task_release(tasks[i]);
    }
    help_until(pool, 1, 0);
    help_gate_open(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(holder), NULL));
    eddy_task_release(holder);
    help_gate_deinit(&gate);
    EXPECT_EQ(0, help_pid(pool, &last));
    EXPECT_EQ(first, last);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(3, stats.done);
    EXPECT_EQ(0, stats.kills);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* No call waits behind a long one while another process is free. */
TEST(process_life, a_free_process_takes_what_waits_elsewhere, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    struct help_gate one, other;
    help_gate_init(&one, pool);
    help_gate_init(&other, pool);
    strcat(other.path, "-other");
    eddy_task *held, *short_one, *tasks[CROWD];
    EXPECT_OK(eddy_spawn(&held, help_gate_task, &one, NULL));
    EXPECT_OK(eddy_spawn(&short_one, help_gate_task, &other, NULL));
    help_until(pool, 2, 0);
    for (int i = 0; i < CROWD; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_pid_task, pool, NULL));
    help_until(pool, 2, CROWD); /* some lie in either process */
    help_gate_open(&other);
    EXPECT_OK(eddy_await(EDDY_FUTURE(short_one), NULL));
    for (int i = 0; i < CROWD; i++) { /* while the first is held */
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    EXPECT(!eddy_future_done(EDDY_FUTURE(held)));
    help_gate_open(&one);
    EXPECT_OK(eddy_await(EDDY_FUTURE(held), NULL));
    eddy_task_release(held);
    eddy_task_release(short_one);
    help_gate_deinit(&one);
    help_gate_deinit(&other);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* Killed at any moment of many small calls, a process fails the one that it had begun, at most. */
TEST(process_life, a_death_among_many_fails_one_at_most, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (int64_t round = 0; round < test_scaled(50); round++) {
        int pid, failed = 0;
        eddy_task *tasks[CROWD];
        EXPECT_EQ(0, help_pid(pool, &pid));
        for (int i = 0; i < CROWD; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_pid_task, pool, NULL));
        for (int64_t i = 0; i < round; i++) EXPECT_OK(eddy_yield());
        EXPECT_EQ(0, kill(pid, SIGKILL));
        for (int i = 0; i < CROWD; i++) {
            const int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
            EXPECT(status == 0 || status == EDDY_EBROKENPOOL);
            failed += status < 0;
            eddy_handled();
            eddy_task_release(tasks[i]);
        }
        EXPECT(failed <= 1);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

static int die(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    switch (*(char *)in.data) {
    case 'e': exit(3);
    case 'a':
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        abort();
    case 's':
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
    case 'c': /* closes what is the pool's */
        close(ED_WORKER_SOCKET);
        for (;;) pause();
    case 'w': /* says what is no answer */
        if (write(ED_WORKER_SOCKET, "this is no frame, and longer than a head", 40) < 0) return -errno;
        for (;;) pause();
    default: return -1;
    }
}
EDDY_REMOTE(die);

TEST(process_life, every_kind_of_death_is_told, NEEDS_PROCESSES) {
    static const struct {
        char how;
        const char *text;
    } deaths[] = {{'e', "exited with code 3"},
                  {'a', "ended by signal 6"},
                  {'s', "ended by signal 11"},
                  {'c', "ended by signal 9"},
                  {'w', "ended by signal 9"}};
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        eddy_bytes out;
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_process_pool_run(pool, die, eddy_bytes_view(&deaths[i].how, 1), &out));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), deaths[i].text);
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "while it had 'die'");
        eddy_handled();
        EXPECT(out.data == NULL);
    }
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* Writes `in` as it is where an answer belongs, then ends. */
static int answer_with(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    if (send(ED_WORKER_SOCKET, in.data, in.size, MSG_NOSIGNAL) < 0) return -errno;
    _exit(0);
}
EDDY_REMOTE(answer_with);

static void expect_refused(eddy_process_pool *pool, const void *data, size_t size) {
    eddy_bytes out;
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_process_pool_run(pool, answer_with, eddy_bytes_view(data, size), &out));
    EXPECT(out.data == NULL);
    eddy_handled();
}

/* What a worker sends is checked before it is believed, and never waited for beyond its death. */
TEST(process_life, a_false_answer_is_a_death, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    const struct ed_wire_head good = {.magic = ED_WIRE_MAGIC, .kind = ED_WIRE_RESULT};
    struct ed_wire_head heads[10];
    for (uint64_t i = 0; i < 10; i++) {
        heads[i] = good;
        heads[i].number = i + 1; /* of its call */
    }
    heads[0].magic++;
    heads[1].kind = ED_WIRE_CALL;
    heads[2].kind = ED_WIRE_HELLO;
    heads[3].number++;
    heads[4].number = 0;
    heads[5].bytes = ED_WIRE_BYTES_MAX + 1;
    heads[6].status = -1, heads[6].text_bytes = ED_WIRE_TEXT_MAX + 1;
    heads[7].text_bytes = 1;                  /* a success has no text     */
    heads[8].status = -1, heads[8].bytes = 1; /* a failure has no result   */
    heads[9].bytes = 1000;                    /* more than what will come  */
    for (int i = 0; i < 10; i++) expect_refused(pool, &heads[i], sizeof heads[i]);
    expect_refused(pool, &good, sizeof good - 1); /* not even a head */

    uint64_t random = test_seed() * 2 + 1; /* xorshift64 */
    for (int64_t i = 0; i < test_scaled(100); i++) {
        unsigned char noise[96];
        for (size_t at = 0; at < sizeof noise; at++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            noise[at] = (unsigned char)(random >> 32);
        }
        const size_t true_bytes = random % 8; /* half of them begin well */
        if (random & 64) memcpy(noise, &good, true_bytes);
        expect_refused(pool, noise, 1 + random % sizeof noise);
    }
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* ---- answers in shared memory ------------------------------------------------------------------------------- */

/* In a worker: the page that it shares with its pool. */
static struct ed_wire_page *own_page(void) {
    char line[512];
    struct ed_wire_page *page = NULL;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && page == NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "memfd:eddy-worker-page") != NULL) page = (void *)(uintptr_t)strtoull(line, NULL, 16);
    if (maps != NULL) fclose(maps);
    return page;
}

/* What answer_in_box writes into its own call's box; then it tells of that or not, and ends. */
struct false_box {
    struct ed_wire_head head; /* its number is added to the call's */
    bool tells;
};

static int answer_in_box(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    struct false_box asked;
    memcpy(&asked, in.data, sizeof asked);
    struct ed_wire_page *page = own_page();
    if (page == NULL) return EDDY_EINVAL;
    for (unsigned slot = 0; slot < ED_WIRE_IN_FLIGHT; slot++) {
        const uint64_t word = ED_LOAD_ACQUIRE(&page->slots[slot]), number = word >> 2;
        if ((word & 3) != ED_WIRE_BEGUN) continue;
        page->boxes[slot].head = asked.head;
        page->boxes[slot].head.number += number;
        memcpy(page->boxes[slot].rest, "answer", 6);
        (void)ed_wire_answer(page, slot, number);
    }
    const struct ed_wire_head frame = {.magic = ED_WIRE_MAGIC, .kind = ED_WIRE_ANSWERED};
    if (asked.tells && send(ED_WORKER_SOCKET, &frame, sizeof frame, MSG_NOSIGNAL) < 0) return -errno;
    _exit(0);
}
EDDY_REMOTE(answer_in_box);

/* An answer in its box is an answer, though the process died before it could tell of it. */
TEST(process_life, an_answer_outlives_who_gave_it, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (int tells = 0; tells < 2; tells++) {
        const struct false_box box = {{.magic = ED_WIRE_MAGIC, .kind = ED_WIRE_RESULT, .bytes = 6}, tells};
        eddy_bytes out;
        EXPECT_EQ(0, eddy_process_pool_run(pool, answer_in_box, eddy_bytes_view(&box, sizeof box), &out));
        EXPECT(out.size == 6 && memcmp(out.data, "answer", 6) == 0);
        eddy_bytes_free(&out);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_life, a_false_box_is_a_death, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    enum { COUNT = 7 };
    struct ed_wire_head heads[COUNT];
    for (int i = 0; i < COUNT; i++) heads[i] = (struct ed_wire_head){.magic = ED_WIRE_MAGIC, .kind = ED_WIRE_RESULT};
    heads[0].magic++;
    heads[1].kind = ED_WIRE_CALL;
    heads[2].number = 1;
    heads[3].bytes = sizeof((struct ed_wire_box *)0)->rest + 1;
    heads[4].status = -1, heads[4].text_bytes = ED_WIRE_TEXT_MAX + 1;
    heads[5].text_bytes = 1;
    heads[6].status = -1, heads[6].bytes = 1;
    for (int i = 0; i < 2 * COUNT; i++) {
        const struct false_box box = {heads[i / 2], i % 2};
        eddy_bytes out;
        EXPECT_EQ(EDDY_EBROKENPOOL,
                  eddy_process_pool_run(pool, answer_in_box, eddy_bytes_view(&box, sizeof box), &out));
        EXPECT(out.data == NULL);
        eddy_handled();
    }
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* Gives as many bytes as asked for, each the number of the call; or as long a text. */
struct sized {
    int32_t bytes;
    bool fails;
    unsigned char number;
};

static int give_sized(eddy_bytes in, eddy_bytes *out) {
    struct sized asked;
    memcpy(&asked, in.data, sizeof asked);
    if (asked.fails) return eddy_fail(EDDY_EINVAL, "%0*d", (int)asked.bytes, (int)asked.number);
    const int status = eddy_bytes_alloc(out, (size_t)asked.bytes);
    if (status == 0) memset(out->data, asked.number, out->size);
    return status;
}
EDDY_REMOTE(give_sized);

struct sized_call {
    eddy_process_pool *pool;
    struct sized asked;
};

static int sized_task(void *arg, eddy_value *out) {
    const struct sized_call *call = arg;
    (void)out;
    eddy_bytes answer;
    const int status =
        eddy_process_pool_run(call->pool, give_sized, eddy_bytes_view(&call->asked, sizeof call->asked), &answer);
    if (call->asked.fails) {
        char text[ED_WIRE_TEXT_MAX];
        snprintf(text, sizeof text, "%0*d", (int)call->asked.bytes, (int)call->asked.number);
        EXPECT_EQ(EDDY_EINVAL, status);
        EXPECT_STR(text, eddy_error_text(eddy_error_current(EDDY_EINVAL)));
        eddy_handled();
        return 0;
    }
    EXPECT_EQ(0, status);
    EXPECT_EQ(call->asked.bytes, answer.size);
    for (size_t i = 0; i < answer.size; i++) EXPECT_EQ(call->asked.number, ((unsigned char *)answer.data)[i]);
    eddy_bytes_free(&answer);
    return 0;
}

/* Answers that fit a box, and others that go through the socket, arrive whole, each at its own call, in any mixture. */
TEST(process_life, answers_of_all_sizes_arrive, TEST_LIMIT(60), NEEDS_PROCESSES) {
    const int32_t room = sizeof((struct ed_wire_box *)0)->rest;
    const int32_t sizes[] = {0, 1, 64, room - 1, room, room + 1, 4000, 100000};
    enum { CALLS = 64 };
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    struct sized_call calls[CALLS];
    eddy_task *tasks[CALLS];
    uint64_t random = test_seed() * 2 + 1; /* xorshift64 */
    for (unsigned i = 0; i < CALLS; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        calls[i] = (struct sized_call){pool, {sizes[random / 16 % 8], random % 4 == 0, (unsigned char)(i + 1)}};
        if (calls[i].asked.fails) calls[i].asked.bytes = calls[i].asked.bytes % 400 + 3;
        EXPECT_OK(eddy_spawn(&tasks[i], sized_task, &calls[i], NULL));
    }
    for (unsigned i = 0; i < CALLS; i++) {
        EXPECT_EQ(0, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_life, fail_all_breaks_the_pool, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2, .on_death = EDDY_FAIL_ALL)));
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_spin_task, pool, NULL));
    help_until(pool, 2, 1);
    int pids[2];
    EXPECT_EQ(2, eddy_process_pool_pids(pool, pids, 2));
    kill(pids[1], SIGKILL);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_handled();
        eddy_task_release(tasks[i]);
    }
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_process_pool_run(pool, help_getpid, eddy_bytes_view("", 0), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "signal 9");
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* Signals that a terminal sends to all: the parent decides. */
TEST(process_life, interrupts_do_not_end_workers, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task;
    int pid = 0;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_spawn(&task, help_gate_task, &gate, NULL));
    help_until(pool, 1, 0);
    kill(pid, SIGINT), kill(pid, SIGTERM), kill(pid, SIGHUP);
    help_gate_open(&gate);
    eddy_value value;
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), &value));
    EXPECT_EQ(pid, value.i64);
    eddy_task_release(task);
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* ---- the worker does not come to life --------------------------------------------------------------------------- */

static int exit_at_once(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    _exit(9);
}
EDDY_REMOTE(exit_at_once);

static int run_getpid(void *arg, eddy_value *out) {
    (void)out;
    return eddy_process_pool_run(arg, help_getpid, eddy_bytes_view("", 0), NULL);
}

static void expect_broken(eddy_process_pool *pool, const char *text) {
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&tasks[i], run_getpid, pool, NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), text);
        eddy_handled();
        eddy_task_release(tasks[i]);
    }
    EXPECT_EQ(EDDY_EBROKENPOOL, run_getpid(pool, NULL)); /* at once, and for good */
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), text);
    eddy_handled();
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

TEST(process_life, three_dead_starts_break_the_pool, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2, .initializer = exit_at_once)));
    expect_broken(pool, "3 processes in a row died before their first call, the last: process");
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.worker_path = "/bin/true", .name = "t")));
    expect_broken(pool, "exited with code 0");
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.worker_path = "/nowhere/to/be/found")));
    expect_broken(pool, "cannot start '/nowhere/to/be/found': ENOENT");
}

static void write_script(char *path, size_t bytes, const char *name, const char *text) {
    snprintf(path, bytes, "%s/%s-%d", test_folder(), name, test_workers());
    const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0700);
    EXPECT(fd >= 0);
    EXPECT_EQ(strlen(text), write(fd, text, strlen(text)));
    close(fd);
}

TEST(process_life, no_hello_breaks_the_pool, NEEDS_PROCESSES) {
    char path[512];
    write_script(path, sizeof path, "silent", "#!/bin/sh\nexec sleep 1000\n");
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.worker_path = path, .hello_ns = EDDY_MS(100))));
    expect_broken(pool, "was not ready after 100 ms");
}

/* A process says HELLO in time, and the pool's home, held by the test without a call of eddy, reads that after the limit. (If it
 * reads it before it is held, the manager has nothing to look at.) */
TEST(process_life, a_hello_that_is_read_late_breaks_nothing, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_task *task;
    test_stay();
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    EXPECT_OK(eddy_spawn(&task, run_getpid, pool, NULL));
    int pid;
    while (eddy_process_pool_pids(pool, &pid, 1) == 0) EXPECT_OK(eddy_yield());

    struct ed_process *process = &pool->processes[0];
    bool looked = false, serves = false;
    while (!looked) {
        pthread_mutex_lock(&pool->pool.lock);
        if (!serves && process->state == ED_PROCESS_STARTING && ED_LOAD_ACQUIRE(&process->os.page->serves)) {
            serves = true;
            process->deadline_ns = 0; /* the limit is over now */
            ed_process_pool_ring(pool);
        }
        looked = process->state != ED_PROCESS_STARTING || pool->is_broken || (serves && process->deadline_ns != 0);
        EXPECT(!pool->is_broken);
        pthread_mutex_unlock(&pool->pool.lock);
        usleep(500);
    }
    EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

/* This program in place of the one that the marker was meant for: it must not be taken for the worker it pretends to be. */
TEST(process_life, a_liar_breaks_the_pool, NEEDS_PROCESSES) {
    char path[512];
    write_script(path, sizeof path, "liar",
                 "#!/bin/sh\nprintf 'eddy\\001\\000\\000\\000................................' >&3\nexec sleep 1000\n");
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.worker_path = path)));
    expect_broken(pool, "died before their first call");
}

static int nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

/* A program that bears the marker and does not serve must not get as far as opening a pool of its own. */
static void run_with_marker(void *arg) {
    (void)arg;
    setenv(ED_WORKER_MARKER, "1:2", 1);
    eddy_run(nothing, NULL, NULL, NULL);
}

static void serve_with_marker(void *arg) {
    setenv(ED_WORKER_MARKER, arg, 1);
    eddy_process_worker();
}

UNIT(process_life, a_marker_without_a_pool_ends_the_process_by_name, NEEDS_PROCESSES) {
    struct test_child child = test_child_run(run_with_marker, NULL);
    EXPECT_EQ(ED_WORKER_NOT_SERVING, child.exit_code);
    EXPECT_HAS(child.stderr_text, "came to eddy_run() instead of serving");
    const char *markers[] = {"1:2", "", "abc", "99999999999:1", "1:2:3"};
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
        child = test_child_run(serve_with_marker, (void *)(uintptr_t)markers[i]);
        EXPECT_EQ(ED_WORKER_NOT_SERVING, child.exit_code);
        EXPECT_HAS(child.stderr_text, "no process pool started it");
    }
    eddy_process_worker(); /* without the marker: nothing */
}

/* A socket at the right place that leads to somebody who is not our parent. */
static void serve_a_stranger(void *arg) {
    (void)arg;
    int sockets[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)); /* its peer is this very process */
    dup2(sockets[0], ED_WORKER_SOCKET);
    char marker[64];
    snprintf(marker, sizeof marker, "%d:1", (int)getppid());
    setenv(ED_WORKER_MARKER, marker, 1);
    eddy_process_worker();
}

UNIT(process_life, a_worker_serves_its_parent_only, NEEDS_PROCESSES) {
    const struct test_child child = test_child_run(serve_a_stranger, NULL);
    EXPECT_EQ(ED_WORKER_NOT_SERVING, child.exit_code);
    EXPECT_HAS(child.stderr_text, "no process pool started it");
}

/* ---- the parent dies, or ends --------------------------------------------------------------------------------------- */

struct parent {
    int pipe; /* pids are written here */
};

static int spin_forever(void *arg, eddy_value *out) {
    struct parent *parent = arg;
    (void)out;
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 3)));
    eddy_task *tasks[2];
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_spin_task, pool, NULL));
    help_until(pool, 2, 0);
    int pids[3] = {0};
    while (eddy_process_pool_pids(pool, pids, 3) < 3) { /* two that compute and one that waits */
        int pid;
        EXPECT_EQ(0, help_pid(pool, &pid));
    }
    EXPECT_EQ(sizeof pids, write(parent->pipe, pids, sizeof pids));
    return eddy_sleep(EDDY_FOREVER);
}

/* Every process of the list is gone, waited for by whoever adopted them. */
static bool all_gone(const int *pids, int count) {
    for (int i = 0; i < count; i++) {
        char path[64], state = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
        fclose(file);
        if (state != 'Z' && state != 'X' && state != 0) return false;
    }
    return true;
}

/* Within a second: the best of four says what is eddy's doing, the others what is the machine's. */
UNIT(process_life, a_killed_parent_leaves_no_worker, TEST_LIMIT(60), NEEDS_PROCESSES) {
    int64_t best_ns = INT64_MAX;
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        int pipes[2];
        EXPECT_EQ(0, pipe2(pipes, O_CLOEXEC));
        const pid_t child = fork();
        if (child == 0) {
            struct parent parent = {pipes[1]};
            eddy_run(spin_forever, &parent, NULL, EDDY_RUN(.workers = workers));
            _exit(1);
        }
        close(pipes[1]);
        int pids[3];
        EXPECT_EQ(sizeof pids, read(pipes[0], pids, sizeof pids));
        close(pipes[0]);
        EXPECT(!all_gone(pids, 1));
        kill(child, SIGKILL);
        EXPECT_EQ(child, waitpid(child, NULL, 0));
        const int64_t start_ns = eddy_time_ns();
        while (!all_gone(pids, 3)) usleep(1000);
        const int64_t took_ns = eddy_time_ns() - start_ns;
        if (took_ns < best_ns) best_ns = took_ns;
    }
    EXPECT(best_ns < EDDY_SECONDS(1) * (test_under("thread") || test_under("address") ? 4 : 1));
}

static int forget_the_pool(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    int pid;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_process_pool_create(&pool, NULL)); /* never used */
    EXPECT_OK(eddy_to_process(help_getpid, eddy_bytes_view("", 0), NULL));
    return 0;
}

static int leave_one_spinning(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(5), help_spin_task(pool, NULL)));
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(0, eddy_process_pool_close(pool)));
    return 0;
}

static void ignore_report(const eddy_report *report, void *arg) { (void)report, (void)arg; }

UNIT(process_life, the_end_of_the_run_ends_all_workers, NEEDS_PROCESSES) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        EXPECT_OK(eddy_run(forget_the_pool, NULL, NULL, EDDY_RUN(.workers = workers)));
        help_no_children();
        EXPECT_OK(eddy_run(leave_one_spinning, NULL, NULL,
                           EDDY_RUN(.workers = workers, .shutdown_ns = EDDY_MS(50), .on_exception = ignore_report)));
        help_no_children();
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

static int gate_then_fail(eddy_bytes in, eddy_bytes *out) {
    const int status = help_gate(in, out);
    return status < 0 ? status : eddy_fail(-74, "the page is torn");
}
EDDY_REMOTE(gate_then_fail);

static int gate_then_fail_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    (void)out;
    return eddy_process_pool_run(gate->pool, gate_then_fail, eddy_bytes_view(gate->path, strlen(gate->path) + 1), NULL);
}

struct lost {
    int count, status;
    char task[32], text[64];
};

static void note_lost(const eddy_report *report, void *arg) {
    struct lost *lost = arg;
    lost->count++;
    lost->status = report->status;
    snprintf(lost->task, sizeof lost->task, "%s", report->task);
    snprintf(lost->text, sizeof lost->text, "%s", eddy_error_text(report->error));
}

static int abandon_a_failure(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, gate_then_fail_task, &gate, NULL));
    help_until(pool, 1, 0);
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    help_gate_open(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_gate_deinit(&gate);
    return 0;
}

UNIT(process_life, an_abandoned_failure_is_reported, NEEDS_PROCESSES) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct lost lost = {.count = 0};
        EXPECT_OK(eddy_run(abandon_a_failure, NULL, NULL,
                           EDDY_RUN(.workers = workers, .on_exception = note_lost, .on_exception_arg = &lost)));
        EXPECT_EQ(1, lost.count);
        EXPECT_EQ(-74, lost.status);
        EXPECT_STR("gate_then_fail", lost.task);
        EXPECT_STR("the page is torn", lost.text);
    }
}

/* A host that takes the exit status of every child: the pool does not hang, and says what it does not know. */
static int die_unseen(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    EXPECT_EQ(EDDY_EBROKENPOOL, eddy_process_pool_run(pool, die, eddy_bytes_view("e", 1), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "somebody else took its exit status");
    int pid;
    EXPECT_EQ(0, help_pid(pool, &pid));
    return eddy_process_pool_close(pool);
}

UNIT(process_life, a_host_that_reaps_all_children_is_no_hang, NEEDS_PROCESSES) {
    signal(SIGCHLD, SIG_IGN);
    EXPECT_OK(eddy_run(die_unseen, NULL, NULL, EDDY_RUN(.workers = 2)));
    signal(SIGCHLD, SIG_DFL);
}

/* How many starts in a row were refused so far. The next one is tried at once. */
static unsigned refused_starts(eddy_process_pool *pool) {
    pthread_mutex_lock(&pool->pool.lock);
    const unsigned refused = pool->refused_starts;
    pool->spawn_pause_until_ns = 0;
    ed_process_pool_ring(pool);
    pthread_mutex_unlock(&pool->pool.lock);
    EXPECT_OK(eddy_yield());
    return refused;
}

/* No descriptors left to start a process with: the call waits for them, and when there are none for long it fails with a text. */
static int without_descriptors(void *lasts, eddy_value *out) {
    (void)out;
    eddy_process_pool *pool;
    eddy_task *task;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){3, before.rlim_max});
    EXPECT_OK(eddy_spawn(&task, run_getpid, pool, NULL));
    while (!eddy_future_done(EDDY_FUTURE(task)))
        if (refused_starts(pool) >= 5 && lasts == NULL) break;
    EXPECT_EQ(lasts != NULL, eddy_future_done(EDDY_FUTURE(task)));
    setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(lasts != NULL ? EDDY_EBROKENPOOL : 0, eddy_await(EDDY_FUTURE(task), NULL));
    if (lasts != NULL) EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "EMFILE");
    eddy_handled();
    eddy_task_release(task);
    return eddy_process_pool_close(pool);
}

UNIT(process_life, too_few_descriptors_for_long_are_an_error, NEEDS_PROCESSES) {
    EXPECT_OK(eddy_run(without_descriptors, "long", NULL, EDDY_RUN(.workers = 2)));
}

UNIT(process_life, too_few_descriptors_for_a_while_are_waited_out, NEEDS_PROCESSES) {
    EXPECT_OK(eddy_run(without_descriptors, NULL, NULL, EDDY_RUN(.workers = 2)));
}
