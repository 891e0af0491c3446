/* process_test.c: calls to worker processes: bytes, texts, cancels, limits, what a worker may see.
 * What happens when somebody dies: process_life_test.c. */
#include "exec/process_helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- bytes ---------------------------------------------------------------------------------------------- */

static int reverse(eddy_bytes in, eddy_bytes *out) {
    EXPECT(out->data == NULL && out->size == 0);
    if (eddy_bytes_alloc(out, in.size) < 0) return EDDY_ENOMEM;
    const char *from = in.data;
    char *to = out->data;
    for (size_t i = 0; i < in.size; i++) to[i] = from[in.size - 1 - i];
    return 17;
}
EDDY_REMOTE(reverse);

TEST(process, bytes_in_and_out, NEEDS_PROCESSES) {
    eddy_bytes out;
    EXPECT_EQ(17, eddy_to_process(reverse, eddy_bytes_view("stream", 6), &out));
    EXPECT_EQ(6, out.size);
    EXPECT(memcmp(out.data, "maerts", 6) == 0);
    eddy_bytes_free(&out);
    EXPECT_EQ(17, eddy_to_process(reverse, eddy_bytes_view(NULL, 0), &out));
    EXPECT_EQ(0, out.size);
    eddy_bytes_free(&out);
    EXPECT_EQ(17, eddy_to_process(reverse, eddy_bytes_view("x", 1), NULL)); /* not wanted: freed */
}

/* Larger than any socket buffer, both ways at once from several tasks: neither side may wait for the other. */
static int megabyte(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const size_t size = (1 << 20) + 13;
    unsigned char *data = malloc(size);
    for (size_t i = 0; i < size; i++) data[i] = (unsigned char)(i * 7 + i / 251);
    eddy_bytes back;
    EXPECT_EQ(17, eddy_to_process(reverse, eddy_bytes_view(data, size), &back));
    EXPECT_EQ(size, back.size);
    for (size_t i = 0; i < size; i++)
        if (((unsigned char *)back.data)[i] != data[size - 1 - i]) test_fail(__FILE__, __LINE__, "byte %zu", i);
    eddy_bytes_free(&back);
    free(data);
    return 0;
}

TEST(process, a_megabyte_both_ways, NEEDS_PROCESSES) {
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 6; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, megabyte, NULL, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
}

/* ---- failures ---------------------------------------------------------------------------------------------- */

static int refuse(eddy_bytes in, eddy_bytes *out) {
    (void)eddy_bytes_copy(out, "half a result", 13); /* a failure has none: must not leak, must not arrive */
    return eddy_fail(-22, "cannot hash %.*s", (int)in.size, (char *)in.data);
}
EDDY_REMOTE(refuse);

static int not_registered(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return 0;
}

TEST(process, failure_travels_with_its_text, NEEDS_PROCESSES) {
    eddy_bytes out;
    EXPECT_EQ(-22, eddy_to_process(refuse, eddy_bytes_view("wine", 4), &out));
    EXPECT(out.data == NULL && out.size == 0);
    EXPECT_STR("cannot hash wine", eddy_error_text(eddy_error_current(-22)));
    eddy_handled();
    EXPECT_EQ(EDDY_EINVAL, eddy_to_process(not_registered, eddy_bytes_view("", 0), &out));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EINVAL)), "not registered with EDDY_REMOTE");
    eddy_handled();
    EXPECT_EQ(EDDY_ELIMIT, eddy_to_process(reverse, eddy_bytes_view("", (size_t)2 << 30), &out));
}

static int call_from_a_thread(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_bytes bytes;
    eddy_process_pool *pool;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_to_process(reverse, eddy_bytes_view("", 0), &bytes));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_process_pool_create(&pool, NULL));
    return 0;
}

TEST(process, wrong_use_gives_a_status, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_to_thread(call_from_a_thread, NULL, NULL));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1000)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.initializer = not_registered)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_run(NULL, reverse, eddy_bytes_view("", 0), NULL));
    EXPECT_OK(eddy_process_pool_close(NULL));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(NULL, &stats); /* the default pool was not used */
    EXPECT_EQ(0, stats.processes);
}

/* ---- what a worker sees -------------------------------------------------------------------------------------- */

struct sights {
    char stdin_path[64];
    int fds, death_signal, nonblocking;
    bool marked, int_ignored, term_ignored, hup_ignored, pipe_default, usr1_open;
    int parent;
};

static int look_around(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    struct sights sights;
    memset(&sights, 0, sizeof sights);
    if (readlink("/proc/self/fd/0", sights.stdin_path, sizeof sights.stdin_path - 1) < 0) return -errno;
    for (int fd = 3; fd < 1000; fd++) sights.fds += fcntl(fd, F_GETFD) >= 0;
    prctl(PR_GET_PDEATHSIG, &sights.death_signal);
    sights.marked = getenv("EDDY_WORKER_PROCESS") != NULL;
    struct sigaction action;
    sigaction(SIGINT, NULL, &action), sights.int_ignored = action.sa_handler == SIG_IGN;
    sigaction(SIGTERM, NULL, &action), sights.term_ignored = action.sa_handler == SIG_IGN;
    sigaction(SIGHUP, NULL, &action), sights.hup_ignored = action.sa_handler == SIG_IGN;
    sigaction(SIGPIPE, NULL, &action), sights.pipe_default = action.sa_handler == SIG_DFL;
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sights.usr1_open = !sigismember(&mask, SIGUSR1);
    sights.parent = getppid();
    return eddy_bytes_copy(out, &sights, sizeof sights);
}
EDDY_REMOTE(look_around);

TEST(process, sees_nothing_of_its_parent, NEEDS_PROCESSES) {
    const int leaking = open("/dev/null", O_RDONLY); /* no CLOEXEC: must not be there all the same */
    void (*const before)(int) = signal(SIGPIPE, SIG_IGN);
    eddy_bytes out;
    EXPECT_OK(eddy_to_process(look_around, eddy_bytes_view("", 0), &out));
    close(leaking);
    signal(SIGPIPE, before);
    const struct sights *sights = out.data;
    EXPECT_EQ(sizeof *sights, out.size);
    EXPECT_STR("/dev/null", sights->stdin_path);
    EXPECT_EQ(1, sights->fds); /* its socket */
    EXPECT_EQ(SIGKILL, sights->death_signal);
    EXPECT(!sights->marked);
    EXPECT(sights->int_ignored && sights->term_ignored && sights->hup_ignored);
    EXPECT(sights->pipe_default);
    EXPECT(sights->usr1_open);
    EXPECT_EQ(getpid(), sights->parent);
    eddy_bytes_free(&out);
}

/* ---- cancels -------------------------------------------------------------------------------------------------- */

TEST(process, timeout_kills_the_work, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_process_pool_stats stats;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    for (uint64_t kills = 0; kills < 3; kills = stats.kills) {
        int pid = 0;
        EXPECT_EQ(0, help_pid(pool, &pid));
        EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(20), help_spin_task(pool, NULL)));
        eddy_process_pool_stats_read(pool, &stats);
        if (stats.kills == kills) continue; /* it was not even sent within 20 ms */
        EXPECT_EQ(-1, kill(pid, 0));        /* dead, and not even a zombie, when the call returns */
        EXPECT_EQ(ESRCH, test_errno());
    }
    EXPECT_EQ(0, stats.deaths);
    EXPECT_OK(eddy_process_pool_close(pool));
}

static int reverse_task(void *arg, eddy_value *out) {
    char text[] = "stream"; /* in a frame that is gone when the task is */
    (void)out;
    eddy_bytes back;
    const int status = eddy_process_pool_run(arg, reverse, eddy_bytes_view(text, 6), &back);
    EXPECT(status == EDDY_ECANCELED || status == 17);
    if (status == 17) EXPECT(back.size == 6 && memcmp(back.data, "maerts", 6) == 0);
    EXPECT(status == 17 || back.data == NULL);
    eddy_bytes_free(&back);
    return status;
}

static void cancel_at_every_step(enum eddy_on_cancel on_cancel) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(
        &pool, EDDY_PROCESS_POOL(.processes = 2, .on_cancel = on_cancel, .kills_per_second = 10000)));
    int ended = 0;
    const int64_t rounds = test_scaled(120);
    for (int64_t k = 0; k < rounds; k++) {
        eddy_task *task;
        int pid;
        EXPECT_EQ(0, help_pid(pool, &pid)); /* a process is ready: the call goes through all its states at once */
        EXPECT_OK(eddy_spawn(&task, reverse_task, pool, NULL));
        for (int64_t step = 0; step < k * k / 4; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == 17 || status == EDDY_ECANCELED);
        ended += status == 17;
        eddy_task_release(task);
    }
    EXPECT(ended < rounds);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.deaths);
    if (on_cancel == EDDY_ABANDON) EXPECT_EQ(0, stats.kills);
    eddy_value value;
    EXPECT_EQ(17, reverse_task(pool, &value)); /* the pool is as good as new */
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, killing_cancel_at_every_step, TEST_LIMIT(60), NEEDS_PROCESSES) { cancel_at_every_step(EDDY_KILL); }

TEST(process, abandoning_cancel_at_every_step, TEST_LIMIT(60), NEEDS_PROCESSES) { cancel_at_every_step(EDDY_ABANDON); }

TEST(process, cancel_takes_a_queued_call_back, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    eddy_task *first, *second;
    EXPECT_OK(eddy_spawn(&first, help_spin_task, pool, NULL));
    help_until(pool, 1, 0);
    EXPECT_OK(eddy_spawn(&second, help_spin_task, pool, NULL));
    help_until(pool, 1, 1);
    EXPECT(eddy_cancel(EDDY_FUTURE(second)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(second), NULL));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.kills);
    EXPECT_EQ(1, stats.running);
    EXPECT(eddy_cancel(EDDY_FUTURE(first)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(first), NULL));
    eddy_task_release(first);
    eddy_task_release(second);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, abandoning_cancel_lets_the_work_end, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = EDDY_ABANDON)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    int pid, pid_after;
    eddy_task *task;
    EXPECT_EQ(0, help_pid(pool, &pid));
    EXPECT_OK(eddy_spawn(&task, help_gate_task, &gate, NULL));
    help_until(pool, 1, 0);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL)); /* while the gate is shut */
    eddy_task_release(task);
    help_gate_open(&gate);
    EXPECT_EQ(0, help_pid(pool, &pid_after)); /* behind it, on the same process */
    EXPECT_EQ(pid, pid_after);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(3, stats.done);
    EXPECT_EQ(0, stats.kills);
    help_gate_deinit(&gate);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* Over the limit of kills a call goes on until its turn comes; the others are not held up. */
TEST(process, kills_are_limited, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .kills_per_second = 5)));
    const int64_t start_ns = eddy_time_ns();
    for (int i = 0; i < 7; i++)
        EXPECT_EQ(EDDY_ETIMEDOUT,
                  EDDY_TIMEOUT(EDDY_MS(1), eddy_process_pool_run(pool, help_spin, eddy_bytes_view("", 0), NULL)));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    const double seconds = (double)(eddy_time_ns() - start_ns) * 1e-9;
    EXPECT(stats.kills <= 5 + 5 * seconds + 1e-6);
    EXPECT_OK(eddy_process_pool_close(pool));
}

/* ---- pools ---------------------------------------------------------------------------------------------------- */

TEST(process, full_queue_is_a_limit, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .name = "hash", .queue_max = 2)));
    eddy_task *tasks[3];
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_spin_task, pool, NULL));
    help_until(pool, 1, 2);
    EXPECT_EQ(EDDY_ELIMIT, eddy_process_pool_run(pool, reverse, eddy_bytes_view("", 0), NULL));
    EXPECT_STR("process pool 'hash': 2 calls wait already", eddy_error_text(eddy_error_current(EDDY_ELIMIT)));
    eddy_handled();
    EXPECT_OK(eddy_process_pool_kill(pool));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)), "process pool 'hash'");
        eddy_task_release(tasks[i]);
    }
}

TEST(process, more_calls_than_processes, NEEDS_PROCESSES) {
    enum { COUNT = 200 };
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 3)));
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < COUNT; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, reverse_task, pool, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(COUNT, stats.done);
    EXPECT(stats.processes >= 1 && stats.processes <= 3);
    EXPECT_EQ(0, stats.deaths);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, close_waits_for_started_and_queued_calls, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *tasks[3], *closer;
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&tasks[i], help_gate_task, &gate, NULL));
    help_until(pool, 1, 2);
    EXPECT_OK(eddy_spawn(&closer, help_close_task, pool, NULL));
    int status;
    do status = EDDY_TIMEOUT(0, eddy_process_pool_run(pool, reverse, eddy_bytes_view("", 0), NULL));
    while (status == EDDY_ETIMEDOUT);
    EXPECT_EQ(EDDY_ECLOSED, status);
    EXPECT_EQ(EDDY_ESTATE, eddy_process_pool_close(pool));
    EXPECT(!eddy_future_done(EDDY_FUTURE(closer)));
    help_gate_open(&gate);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        eddy_task_release(tasks[i]);
    }
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    eddy_task_release(closer);
    help_gate_deinit(&gate);
    help_no_children();
}

static int cancel_pool_task(void *arg, eddy_value *out) {
    (void)out;
    return eddy_process_pool_cancel(arg);
}

/* The call that a process has ends; those that wait never run, and their callers are told. */
TEST(process, cancel_takes_back_what_waits, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    struct help_gate gate;
    help_gate_init(&gate, pool);
    eddy_task *tasks[3], *closer;
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_spawn(&tasks[i], help_gate_task, &gate, NULL));
        help_until(pool, 1, (size_t)i);
    }
    EXPECT_OK(eddy_spawn(&closer, cancel_pool_task, pool, NULL));
    for (int i = 1; i < 3; i++) EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(tasks[i]), NULL)); /* gate shut */
    EXPECT(!eddy_future_done(EDDY_FUTURE(tasks[0])));
    help_gate_open(&gate);
    EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[0]), NULL));
    EXPECT_OK(eddy_await(EDDY_FUTURE(closer), NULL));
    for (int i = 0; i < 3; i++) eddy_task_release(tasks[i]);
    eddy_task_release(closer);
    EXPECT_OK(eddy_process_pool_cancel(NULL));
    help_gate_deinit(&gate);
    help_no_children();
}

static int note_start(eddy_bytes in, eddy_bytes *out) {
    char value[64];
    (void)out;
    snprintf(value, sizeof value, "%.*s", (int)in.size, (char *)in.data);
    return setenv("NOTED", value, 1);
}
EDDY_REMOTE(note_start);

static int what_was_noted(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const char *noted = getenv("NOTED");
    return noted == NULL ? -2 : eddy_bytes_copy(out, noted, strlen(noted));
}
EDDY_REMOTE(what_was_noted);

static int refuse_to_start(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return eddy_fail(-2, "no model file");
}
EDDY_REMOTE(refuse_to_start);

TEST(process, initializer_comes_first_and_its_failure_breaks_the_pool, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_bytes out;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .initializer = note_start,
                                                                .initializer_in = eddy_bytes_view("salt", 4))));
    EXPECT_OK(eddy_process_pool_run(pool, what_was_noted, eddy_bytes_view("", 0), &out));
    EXPECT(out.size == 4 && memcmp(out.data, "salt", 4) == 0);
    eddy_bytes_free(&out);
    EXPECT_OK(eddy_process_pool_close(pool));

    EXPECT_OK(eddy_process_pool_create(
        &pool, EDDY_PROCESS_POOL(.processes = 2, .name = "ml", .initializer = refuse_to_start)));
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(EDDY_EBROKENPOOL, eddy_process_pool_run(pool, reverse, eddy_bytes_view("", 0), &out));
        EXPECT_STR("process pool 'ml': its initializer failed with ENOENT: no model file",
                   eddy_error_text(eddy_error_current(EDDY_EBROKENPOOL)));
        eddy_handled();
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

static int sleep_a_while(eddy_bytes in, eddy_bytes *out) {
    (void)in, (void)out;
    return usleep(60000);
}
EDDY_REMOTE(sleep_a_while);

static int run_sleep(void *pool, eddy_value *out) {
    (void)out;
    return eddy_process_pool_run(pool, sleep_a_while, eddy_bytes_view("", 0), NULL);
}

/* ThreadSanitizer keeps signals from a function that makes no call.
 * The call that uses too much ends, and its process; those behind it, and those that only take long, do not notice. */
TEST(process, cpu_time_is_limited, TEST_LIMIT(60), TEST_WITHOUT("valgrind qemu thread")) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(
        &pool, EDDY_PROCESS_POOL(.processes = 1, .name = "hash", .cpu_ns = EDDY_MS(30), .on_death = EDDY_FAIL_ALL)));
    for (int round = 0; round < 3; round++) {
        eddy_task *victim, *others[3];
        struct help_gate gate;
        help_gate_init(&gate, pool);
        EXPECT_OK(eddy_spawn(&victim, help_begin_task, &gate, NULL));
        EXPECT_EQ(1, help_gate_until_open(&gate)); /* it has begun; it may be over by now */
        help_gate_deinit(&gate);
        for (int i = 0; i < 3; i++) EXPECT_OK(eddy_spawn(&others[i], run_sleep, pool, NULL));
        EXPECT_EQ(EDDY_ELIMIT, eddy_await(EDDY_FUTURE(victim), NULL));
        EXPECT_STR("process pool 'hash': 'help_spin' used more than 30 ms of CPU time",
                   eddy_error_text(eddy_error_current(EDDY_ELIMIT)));
        eddy_handled();
        eddy_task_release(victim);
        for (int i = 0; i < 3; i++) {
            EXPECT_OK(eddy_await(EDDY_FUTURE(others[i]), NULL));
            eddy_task_release(others[i]);
        }
    }
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(3, stats.kills);
    EXPECT_EQ(0, stats.deaths);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

static int take_much(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    return eddy_bytes_alloc(out, (size_t)256 << 20);
}
EDDY_REMOTE(take_much);

static int nice_value(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const int value = getpriority(PRIO_PROCESS, 0);
    return eddy_bytes_copy(out, &value, sizeof value);
}
EDDY_REMOTE(nice_value);

/* Sanitizers map far more than any limit for themselves. */
TEST(process, memory_is_limited, TEST_LIMIT(60), TEST_WITHOUT("valgrind qemu thread address")) {
    eddy_process_pool *pool;
    eddy_bytes out;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .memory_bytes = (size_t)128 << 20)));
    int first, last;
    EXPECT_EQ(0, help_pid(pool, &first));
    EXPECT_EQ(EDDY_ENOMEM, eddy_process_pool_run(pool, take_much, eddy_bytes_view("", 0), &out));
    EXPECT_EQ(0, help_pid(pool, &last)); /* it lives on */
    EXPECT_EQ(first, last);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, processes_are_nice, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    eddy_bytes out;
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.nice = 20)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.nice = -1)));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.cpu_ns = -1)));
    eddy_handled();
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .nice = 3)));
    EXPECT_OK(eddy_process_pool_run(pool, nice_value, eddy_bytes_view("", 0), &out));
    const int own = getpriority(PRIO_PROCESS, 0);
    EXPECT_EQ(own + 3 > 19 ? 19 : own + 3, *(int *)out.data);
    eddy_bytes_free(&out);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, processes_are_replaced_after_max_tasks, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .max_tasks = 3)));
    int pids[9];
    for (int i = 0; i < 9; i++) EXPECT_EQ(0, help_pid(pool, &pids[i]));
    for (int i = 1; i < 9; i++) EXPECT((pids[i] == pids[i - 1]) == (i % 3 != 0));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.deaths);
    EXPECT_EQ(0, stats.kills);
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process, another_program_serves_by_name, NEEDS_PROCESSES) {
    char path[512];
    const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    EXPECT(bytes > 0);
    path[bytes] = 0;
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .worker_path = path)));
    memset(path, 'x', sizeof path);
    eddy_value value;
    EXPECT_EQ(17, reverse_task(pool, &value));
    EXPECT_OK(eddy_process_pool_close(pool));
}

static int use_pool(void *arg) {
    (void)arg;
    eddy_process_pool *pool;
    int status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1));
    if (status < 0) return status;
    eddy_bytes out;
    status = eddy_process_pool_run(pool, reverse, eddy_bytes_view("stream", 6), &out);
    eddy_bytes_free(&out);
    const int closed = eddy_process_pool_close(pool);
    return status < 0 ? status : closed;
}

TEST(process, survives_the_failure_of_each_allocation, TEST_LIMIT(60), NEEDS_PROCESSES) {
    EXPECT(test_each_allocation_fails(use_pool, NULL) >= 5);
}
