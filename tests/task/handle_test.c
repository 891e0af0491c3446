/* Callbacks that queue and spawn; calls and tasks from plain threads. The rules, L1 to L7: tests/contract/loop_test.c. */
#include "task/core_testing.h"

#include <sched.h>

struct log {
    int count;
    int64_t seen[64];
};
struct entry {
    struct log *log;
    int64_t tag;
};
static int note(void *arg) {
    struct entry *entry = arg;
    EXPECT(eddy_current_task() == NULL);
    entry->log->seen[entry->log->count++] = entry->tag;
    return 0;
}

static int note_and_queue(void *arg) {
    struct entry *entry = arg;
    entry->log->seen[entry->log->count++] = entry->tag;
    if (entry->tag-- > 0) EXPECT_OK(eddy_call_soon(NULL, note_and_queue, entry, NULL));
    if (entry->tag == 2) EXPECT_OK(eddy_spawn(NULL, give_nothing, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_sleep(1)); /* callbacks do not suspend */
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_await(NULL, NULL));
    return 0;
}

CORE_TEST(handle, callbacks_may_queue_and_spawn_but_not_suspend) {
    struct log log = {0};
    struct entry entry = {&log, 5};
    EXPECT_OK(eddy_call_soon(NULL, note_and_queue, &entry, NULL));
    test_until_all_parked();
    EXPECT_EQ(6, log.count);
}

/* ---- from plain threads ---------------------------------------------------------------------------------- */

enum { THREADS = 4, CALLS = 25000 };

struct producer {
    eddy_loop *loop;
    int64_t seen; /* the loop's worker only */
    int calls;
    int worker;
    _Atomic bool all_seen;
};
static int see_next(void *arg) {
    struct producer *producer = arg;
    if (producer->seen == 0) producer->worker = eddy_worker_index();
    EXPECT_EQ(producer->worker, eddy_worker_index());
    EXPECT(eddy_current_task() == NULL);
    if (++producer->seen == producer->calls) atomic_store(&producer->all_seen, true);
    return 0;
}
struct numbered {
    struct producer *producer;
    int64_t number;
};
static int see_numbered(void *arg) {
    struct numbered numbered = *(struct numbered *)arg;
    free(arg);
    EXPECT_EQ(numbered.number, numbered.producer->seen);
    return see_next(numbered.producer);
}
static void *produce(void *arg) {
    struct producer *producer = arg;
    for (int i = 0; i < producer->calls; i++) {
        struct numbered *numbered = malloc(sizeof *numbered);
        *numbered = (struct numbered){producer, i};
        EXPECT_OK(eddy_call_soon_threadsafe(producer->loop, see_numbered, numbered, NULL));
    }
    return NULL;
}

/* Four threads make 10^5 calls: each thread's come in order, each once; the worker sleeps and wakes between. */
static void hundred_thousand_calls(eddy_loop *loop) {
    struct producer producers[THREADS] = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        producers[i].loop = loop;
        producers[i].calls = (int)test_scaled(CALLS);
        EXPECT_EQ(0, pthread_create(&threads[i], NULL, produce, &producers[i]));
    }
    for (int i = 0; i < THREADS; i++)
        while (!atomic_load(&producers[i].all_seen)) EXPECT_OK(eddy_sleep(EDDY_US(50)));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT_EQ(producers[i].calls, producers[i].seen);
    }
}

TEST(handle, calls_from_threads_into_a_domain) {
    eddy_loop *loop;
    EXPECT_OK(eddy_domain_open(&loop));
    EXPECT_OK(eddy_domain_open(&loop)); /* the second: on worker 1, if there is one */
    hundred_thousand_calls(loop);
}

CORE_TEST(handle, tells_when_it_runs) {
    struct log log = {0};
    struct entry entry = {&log, 1};
    eddy_handle *soon, *later;
    const int64_t when_ns = eddy_time_ns() + EDDY_US(50);
    EXPECT_OK(eddy_call_soon(NULL, note, &entry, &soon));
    EXPECT_OK(eddy_call_at(NULL, when_ns, note, &entry, &later));
    EXPECT_EQ(0, eddy_handle_when_ns(soon));
    EXPECT_EQ(when_ns, eddy_handle_when_ns(later));
    EXPECT_OK(eddy_sleep(EDDY_US(200)));
    EXPECT_EQ(2, log.count);
    eddy_handle_release(soon);
    eddy_handle_release(later);
}

/* ---- tasks from plain threads -------------------------------------------------------------------------- */

struct sender {
    eddy_loop *loop;
    eddy_future *all_sent;
    eddy_task *tasks[50];
    _Atomic int ran;
};
static int count_run(void *arg, eddy_value *out) {
    struct sender *sender = arg;
    EXPECT(eddy_loop_current() == sender->loop);
    *out = EDDY_I64(atomic_fetch_add(&sender->ran, 1));
    return eddy_yield();
}
static void *send_tasks(void *arg) {
    struct sender *sender = arg;
    for (int i = 0; i < 50; i++)
        EXPECT_OK(eddy_spawn_threadsafe(sender->loop, &sender->tasks[i], count_run, sender, NULL));
    EXPECT_OK(eddy_future_set(sender->all_sent, EDDY_NONE));
    return NULL;
}

static void spawn_from_a_thread(eddy_loop *loop, bool in_order) {
    struct sender sender = {.loop = loop, .all_sent = eddy_future_create()};
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, send_tasks, &sender));
    EXPECT_OK(eddy_await(sender.all_sent, NULL));
    EXPECT_EQ(0, pthread_join(thread, NULL));
    for (int i = 0; i < 50; i++) {
        eddy_value value;
        EXPECT_OK(eddy_await(EDDY_FUTURE(sender.tasks[i]), &value));
        if (in_order) EXPECT_EQ(i, value.i64);
        eddy_task_release(sender.tasks[i]);
    }
    EXPECT_EQ(50, atomic_load(&sender.ran));
    eddy_future_release(sender.all_sent);
}

TEST(handle, a_plain_thread_may_spawn) {
    eddy_loop *domain;
    EXPECT_OK(eddy_domain_open(&domain));
    spawn_from_a_thread(domain, true);
    spawn_from_a_thread(eddy_loop_current(), false);
    EXPECT_EQ(EDDY_EINVAL, eddy_spawn_threadsafe(NULL, NULL, count_run, NULL, NULL));
}
