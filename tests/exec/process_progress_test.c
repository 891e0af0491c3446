/* process_progress_test.c: what a function says while it runs: the newest arrives, the last one always, none after the call. */
#include "exec/process_helpers.h"

#include "eddy/process_call.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Says 1 to in->count; after each it waits, if it is to, until the file `path` has as many bytes. */
struct count {
    int64_t count;
    bool waits, dies;
    char path[512];
};

static int say_numbers(eddy_bytes in, eddy_bytes *out) {
    const struct count *count = in.data;
    for (int64_t i = 1; i <= count->count; i++) {
        char said[200];
        memset(said, (int)i, sizeof said);
        memcpy(said, &i, sizeof i);
        const int status = eddy_process_report(said, sizeof said);
        if (status < 0) return status;
        struct help_gate gate;
        if (!count->waits) continue;
        memcpy(gate.path, count->path, sizeof gate.path);
        for (;;) {
            const int fd = open(gate.path, O_RDONLY | O_CLOEXEC);
            const off_t bytes = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
            if (fd >= 0) close(fd);
            if (bytes >= i) break;
            usleep(200);
        }
    }
    if (count->dies) _exit(3);
    return eddy_bytes_copy(out, "all", 3);
}
EDDY_REMOTE(say_numbers);

struct listener {
    struct help_gate gate;
    eddy_process_pool *pool;
    struct count count;
    int64_t heard, last;
    int (*then)(struct listener *listener);
    bool in_call;
};

static int hear(void *arg, eddy_bytes report, uint64_t number) {
    struct listener *listener = arg;
    int64_t said;
    EXPECT(listener->in_call); /* never after the call's return */
    EXPECT_EQ(200, report.size);
    memcpy(&said, report.data, sizeof said);
    EXPECT_EQ(number, said);
    EXPECT(said > listener->last && said <= listener->count.count);
    for (size_t i = sizeof said; i < report.size; i++) EXPECT_EQ((char)said, ((char *)report.data)[i]); /* not torn */
    listener->heard++;
    listener->last = said;
    return listener->then != NULL ? listener->then(listener) : 0;
}

static int listen_to(struct listener *listener) {
    eddy_bytes out;
    listener->in_call = true;
    listener->heard = listener->last = 0;
    memcpy(listener->count.path, listener->gate.path, sizeof listener->gate.path);
    const int status =
        eddy_process_pool_call(listener->pool, say_numbers, eddy_bytes_view(&listener->count, sizeof listener->count),
                               &out, EDDY_PROCESS_CALL(.progress = hear, .progress_arg = listener));
    listener->in_call = false;
    EXPECT(status < 0 || (out.size == 3 && memcmp(out.data, "all", 3) == 0));
    eddy_bytes_free(&out);
    return status;
}

static void begin(struct listener *listener, const eddy_process_pool_options *options) {
    memset(listener, 0, sizeof *listener);
    EXPECT_OK(eddy_process_pool_create(&listener->pool, options));
    help_gate_init(&listener->gate, listener->pool);
}

TEST(process_progress, what_was_said_last_is_heard, TEST_LIMIT(60), NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 1));
    for (int64_t i = 0; i < test_scaled(30); i++) {
        listener.count.count = 1 + i * i;
        EXPECT_OK(listen_to(&listener));
        EXPECT_EQ(listener.count.count, listener.last);
        EXPECT(listener.heard >= 1 && listener.heard <= listener.count.count);
    }
    listener.count.count = 0;
    EXPECT_OK(listen_to(&listener));
    EXPECT_EQ(0, listener.heard);
    EXPECT_OK(eddy_process_pool_close(listener.pool));
}

static int answer(struct listener *listener) {
    help_gate_open(&listener->gate);
    return 0;
}

/* While the caller has time, nothing is overtaken, and nothing waits for the end of the function. */
TEST(process_progress, each_is_heard_by_who_listens, NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 1));
    listener.count = (struct count){.count = 20, .waits = true};
    listener.then = answer;
    EXPECT_OK(listen_to(&listener));
    EXPECT_EQ(20, listener.heard);
    help_gate_deinit(&listener.gate);
    EXPECT_OK(eddy_process_pool_close(listener.pool));
}

static int yield_and_answer(struct listener *listener) {
    for (int i = 0; i < 20; i++) {
        const int status = eddy_yield();
        if (status < 0) return status;
    }
    help_gate_open(&listener->gate);
    return 0;
}

static int listen_task(void *listener, eddy_value *out) {
    (void)out;
    return listen_to(listener);
}

/* From any worker, several at once, each with its own numbers. */
TEST(process_progress, listeners_may_suspend, NEEDS_PROCESSES) {
    enum { COUNT = 4 };
    static struct listener listeners[COUNT];
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    eddy_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        listeners[i] = (struct listener){.pool = pool, .then = yield_and_answer};
        listeners[i].count = (struct count){.count = 5 + i, .waits = true};
        help_gate_init(&listeners[i].gate, pool);
        snprintf(listeners[i].gate.path + strlen(listeners[i].gate.path), 10, "-%d", i);
        EXPECT_OK(eddy_spawn(&tasks[i], listen_task, &listeners[i], NULL));
    }
    for (int i = 0; i < COUNT; i++) {
        EXPECT_OK(eddy_await(EDDY_FUTURE(tasks[i]), NULL));
        EXPECT_EQ(5 + i, listeners[i].heard);
        eddy_task_release(tasks[i]);
        help_gate_deinit(&listeners[i].gate);
    }
    EXPECT_OK(eddy_process_pool_close(pool));
}

TEST(process_progress, the_dead_are_heard_once_more, NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 1));
    listener.count = (struct count){.count = 7, .dies = true};
    EXPECT_EQ(EDDY_EBROKENPOOL, listen_to(&listener));
    eddy_handled();
    EXPECT_EQ(7, listener.last);
    EXPECT_OK(eddy_process_pool_close(listener.pool));
}

static int enough(struct listener *listener) {
    return listener->last >= 3 ? eddy_fail(-71, "enough") : answer(listener);
}

/* A listener that has heard enough: the work is killed, or left. */
TEST(process_progress, a_listener_may_end_the_call, NEEDS_PROCESSES) {
    for (int abandons = 0; abandons < 2; abandons++) {
        struct listener listener;
        begin(&listener, EDDY_PROCESS_POOL(.processes = 1, .on_cancel = abandons ? EDDY_ABANDON : EDDY_KILL));
        listener.count = (struct count){.count = 5, .waits = true};
        listener.then = enough;
        EXPECT_EQ(-71, listen_to(&listener));
        EXPECT_STR("enough", eddy_error_text(eddy_error_current(-71)));
        eddy_handled();
        EXPECT_EQ(3, listener.last);
        eddy_process_pool_stats stats;
        eddy_process_pool_stats_read(listener.pool, &stats);
        EXPECT_EQ(abandons ? 0 : 1, stats.kills);
        for (int i = 0; i < 5; i++) help_gate_open(&listener.gate); /* what was left may end */
        EXPECT_OK(eddy_process_pool_close(listener.pool));
        help_gate_deinit(&listener.gate);
    }
}

static int last_word(struct listener *listener) { return listener->last == listener->count.count ? -72 : 0; }

TEST(process_progress, also_at_the_last_word, NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 1));
    listener.count.count = 2;
    listener.then = last_word;
    EXPECT_EQ(-72, listen_to(&listener)); /* the result is dropped */
    EXPECT_OK(eddy_process_pool_close(listener.pool));
}

static int sleep_for_ever(struct listener *listener) {
    help_gate_open(&listener->gate);
    return eddy_sleep(EDDY_FOREVER);
}

TEST(process_progress, a_listener_that_is_cancelled_ends_the_call, NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 1));
    listener.count = (struct count){.count = 5, .waits = true};
    listener.then = sleep_for_ever;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, listen_task, &listener, NULL));
    EXPECT_EQ(1, help_gate_until_open(&listener.gate));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
    help_gate_deinit(&listener.gate);
    EXPECT_OK(eddy_process_pool_close(listener.pool));
    help_no_children();
}

static void *report_from_thread(void *arg) {
    *(int *)arg = eddy_process_report("x", 1);
    return NULL;
}

static int report_wrongly(eddy_bytes in, eddy_bytes *out) {
    char much[EDDY_PROCESS_REPORT_MAX + 1] = "";
    pthread_t thread;
    int status = 0;
    (void)in;
    EXPECT_EQ(EDDY_ELIMIT, eddy_process_report(much, sizeof much));
    EXPECT_EQ(EDDY_EINVAL, eddy_process_report(NULL, 1));
    EXPECT_EQ(0, pthread_create(&thread, NULL, report_from_thread, &status));
    pthread_join(thread, NULL);
    EXPECT_EQ(EDDY_EWRONGTHREAD, status);
    EXPECT_EQ(0, eddy_process_report(NULL, 0));
    EXPECT_EQ(0, eddy_process_report(much, EDDY_PROCESS_REPORT_MAX));
    return eddy_bytes_copy(out, "fine", 4);
}
EDDY_REMOTE(report_wrongly);

static int count_bytes(void *arg, eddy_bytes report, uint64_t number) {
    (void)number;
    *(size_t *)arg = report.size;
    return 0;
}

TEST(process_progress, wrong_use_is_told, NEEDS_PROCESSES) {
    size_t bytes = 0;
    EXPECT_OK(eddy_process_pool_call(NULL, report_wrongly, eddy_bytes_view("", 0), NULL,
                                     EDDY_PROCESS_CALL(.progress = count_bytes, .progress_arg = &bytes)));
    EXPECT_EQ(EDDY_PROCESS_REPORT_MAX, bytes);
    EXPECT_OK(eddy_to_process(report_wrongly, eddy_bytes_view("", 0), NULL)); /* nobody listens */
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_process_report("x", 1));
}

static int cancelled_task(void *arg, eddy_value *out) {
    struct listener *listener = arg;
    (void)out;
    const int status = listen_to(listener);
    EXPECT(status == 0 || status == EDDY_ECANCELED);
    return status;
}

TEST(process_progress, cancel_at_every_step, TEST_LIMIT(60), NEEDS_PROCESSES) {
    struct listener listener;
    begin(&listener, EDDY_PROCESS_POOL(.processes = 2, .kills_per_second = 10000));
    for (int64_t k = 0; k < test_scaled(60); k++) {
        eddy_task *task;
        int pid;
        EXPECT_EQ(0, help_pid(listener.pool, &pid));
        listener.count.count = 20;
        EXPECT_OK(eddy_spawn(&task, cancelled_task, &listener, NULL));
        for (int64_t step = 0; step < k * k / 2; step++) EXPECT_OK(eddy_yield());
        eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == EDDY_ECANCELED || listener.last == 20);
        eddy_task_release(task);
    }
    EXPECT_OK(eddy_process_pool_close(listener.pool));
    help_no_children();
}
