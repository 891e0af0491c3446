/* pthreads.c: the floor without any scheduler but the kernel's: a thread for each task, its mutexes and conditions. */
#include "harness/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void start(pthread_t *thread, void *(*fn)(void *), void *arg) {
    int failed = pthread_create(thread, NULL, fn, arg);
    if (failed != 0) bench_fail("pthread_create", -failed);
}

static void *same(void *arg) { return arg; }

static void spawn_await(void) {
    int64_t sum = 0;
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) {
        pthread_t thread;
        void *value;
        start(&thread, same, (void *)i);
        pthread_join(thread, &value);
        sum += (int64_t)value;
    }
    bench_stop(NULL, bench.size, sum);
}

/* A slot of one value that two threads hand each other. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int64_t ball;
static int turn;

static int64_t hand_over(int from, int64_t value) { /* what comes back */
    pthread_mutex_lock(&mutex);
    ball = value;
    turn = 1 - from;
    pthread_cond_signal(&changed);
    while (turn != from) pthread_cond_wait(&changed, &mutex);
    int64_t back = ball;
    pthread_mutex_unlock(&mutex);
    return back;
}

static void *pong(void *arg) {
    pthread_mutex_lock(&mutex);
    while (turn != 1) pthread_cond_wait(&changed, &mutex);
    int64_t value = ball;
    pthread_mutex_unlock(&mutex);
    for (int64_t i = 1; i < bench.size; i++) value = hand_over(1, value + 1);
    pthread_mutex_lock(&mutex);
    ball = value + 1;
    turn = 0;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    return arg;
}

static void ping_pong(void) {
    pthread_t other;
    int64_t sum = 0;
    start(&other, pong, NULL);
    bench_start();
    for (int64_t i = 0; i < bench.size; i++) sum += hand_over(0, i);
    bench_stop(NULL, bench.size, sum);
    pthread_join(other, NULL);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    bench_open(argc - 1, argv + 1);
    void (*ask)(void) = strcmp(argv[1], "spawn_await") == 0 ? spawn_await
                        : strcmp(argv[1], "ping_pong") == 0 ? ping_pong
                                                            : NULL;
    if (ask == NULL) return 2;
    bench_pin(0); /* both on one core, as tasks of one worker are */
    for (bench.repetition = 1; bench.repetition <= bench.repetitions; bench.repetition++) ask();
    return 0;
}
