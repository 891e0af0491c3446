/* A runtime beside somebody else's main loop: on threads of its own, and as a guest of epoll and of libuv. */
#include "task/core_testing.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static int add_one(void *arg, eddy_value *out) {
    int status = eddy_sleep(EDDY_US(50));
    out->i64 = *(int *)arg + 1;
    return status;
}
static int nap(void *arg, eddy_value *out) {
    (void)out;
    return eddy_sleep(*(int64_t *)arg);
}
static int fail_with_text(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_fail(-EPROTO, "no such thing");
}

/* ---- on threads of its own ------------------------------------------------------------------------------------ */

static void call(eddy_runtime *runtime, int n) {
    eddy_task *task;
    eddy_value value;
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(runtime), &task, add_one, &n, NULL));
    EXPECT_OK(eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, &value));
    EXPECT_EQ(n + 1, value.i64);
    EXPECT_OK(eddy_future_wait(EDDY_FUTURE(task), 0, NULL)); /* it is done: at once */
    eddy_task_release(task);
}

enum { HOSTS = 4, CALLS = 200 };

static void *host(void *arg) {
    for (int i = 0; i < (int)test_scaled(CALLS); i++) call(arg, i);
    return NULL;
}

UNIT(embed, threads_of_the_host_hand_it_work) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        for (int serial = 0; serial < 2; serial++) {
            eddy_runtime *runtime;
            EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = workers, .serial = serial == 1)));
            EXPECT_EQ(-1, eddy_runtime_fd(runtime));
            pthread_t threads[HOSTS];
            for (int i = 0; i < HOSTS; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, host, runtime));
            for (int i = 0; i < HOSTS; i++) pthread_join(threads[i], NULL);
            EXPECT_OK(eddy_runtime_stop(runtime));
            eddy_runtime_release(runtime);
        }
    }
}

UNIT(embed, a_wait_ends_with_the_failure_or_with_its_time) {
    eddy_runtime *runtime;
    eddy_task *task;
    int64_t long_ns = EDDY_SECONDS(1000);
    EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 1)));
    eddy_loop *loop = eddy_runtime_loop(runtime);
    EXPECT_OK(eddy_spawn_threadsafe(loop, &task, fail_with_text, NULL, NULL));
    EXPECT_EQ(-EPROTO, eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, NULL));
    EXPECT_STR("no such thing", eddy_error_text(eddy_future_error(EDDY_FUTURE(task))));
    eddy_task_release(task);

    EXPECT_OK(eddy_spawn_threadsafe(loop, &task, nap, &long_ns, NULL));
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_future_wait(EDDY_FUTURE(task), 0, NULL));
    int64_t began_ns = eddy_time_ns();
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_future_wait(EDDY_FUTURE(task), EDDY_MS(20), NULL));
    EXPECT(eddy_time_ns() - began_ns >= EDDY_MS(20));
    EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, NULL));
    eddy_task_release(task);
    EXPECT_OK(eddy_runtime_stop(runtime));
    eddy_runtime_release(runtime);
}

/* Waits that end by their time just as the future is set: each gives one or the other, and the node is never left. */
static void *set_soon(void *arg) {
    EXPECT_OK(eddy_future_set(arg, EDDY_I64(7)));
    return NULL;
}
UNIT(embed, a_wait_may_end_while_it_is_answered) {
    eddy_runtime *runtime;
    EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 1)));
    for (int i = 0; i < (int)test_scaled(1000); i++) {
        eddy_future *future = eddy_future_create_on(eddy_runtime_loop(runtime), NULL);
        pthread_t thread;
        eddy_value value;
        EXPECT_EQ(0, pthread_create(&thread, NULL, set_soon, future));
        int status = eddy_future_wait(future, EDDY_US(1 << i % 12), &value);
        if (status == 0) EXPECT_EQ(7, value.i64);
        EXPECT(status == 0 || status == EDDY_ETIMEDOUT);
        pthread_join(thread, NULL);
        EXPECT_OK(eddy_future_wait(future, 0, NULL));
        eddy_future_release(future);
    }
    EXPECT_OK(eddy_runtime_stop(runtime));
    eddy_runtime_release(runtime);
}

/* Spawns as long as the runtime takes any: each that it took has ended. */
struct flood {
    eddy_runtime *runtime;
    int taken;
};
static void *flood(void *arg) {
    struct flood *flood = arg;
    int64_t short_ns = EDDY_US(10);
    for (;;) {
        eddy_task *task;
        int status = eddy_spawn_threadsafe(eddy_runtime_loop(flood->runtime), &task, nap, &short_ns, NULL);
        if (status == EDDY_ECLOSED) return NULL;
        EXPECT_OK(status);
        status = eddy_future_wait(EDDY_FUTURE(task), EDDY_SECONDS(30), NULL);
        EXPECT(status == 0 || status == EDDY_ECANCELED);
        eddy_task_release(task);
        flood->taken++;
    }
}
UNIT(embed, a_stop_ends_what_was_taken_and_refuses_the_rest, TEST_LIMIT(60)) {
    int taken = 0;
    for (int round = 0; round < (int)test_scaled(50); round++) {
        eddy_runtime *runtime;
        EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 1 + (unsigned)round % 2)));
        struct flood floods[2];
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            floods[i] = (struct flood){.runtime = runtime};
            EXPECT_EQ(0, pthread_create(&threads[i], NULL, flood, &floods[i]));
        }
        const struct timespec soon = {.tv_nsec = 1000000};
        nanosleep(&soon, NULL);
        EXPECT_OK(eddy_runtime_stop(runtime));
        EXPECT_EQ(EDDY_ESTATE, eddy_runtime_stop(runtime));
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            taken += floods[i].taken;
        }
        eddy_runtime_release(runtime);
    }
    EXPECT(taken > 0);
}

UNIT(embed, starts_and_stops_as_often_as_one_likes, TEST_LIMIT(120)) {
    for (int i = 0; i < (int)test_scaled(1000); i++) {
        eddy_runtime *one, *other;
        EXPECT_OK(eddy_runtime_start(&one, EDDY_RUN(.workers = 2)));
        EXPECT_OK(eddy_runtime_guest(&other, NULL));
        call(one, i);
        EXPECT_OK(eddy_runtime_stop(i % 2 ? one : other));
        EXPECT_OK(eddy_runtime_stop(i % 2 ? other : one));
        eddy_runtime_release(one);
        eddy_runtime_release(other);
    }
}

/* ---- as a guest ------------------------------------------------------------------------------------------------ */

struct hosted {
    eddy_runtime *runtime;
    pthread_t thread; /* the host's */
    int ended, ticks;
    bool elsewhere; /* a task ran on another thread */
};

static int hosted_task(void *arg, eddy_value *out) {
    struct hosted *hosted = arg;
    (void)out;
    for (int i = 0; i < 20; i++) {
        if (!pthread_equal(pthread_self(), hosted->thread)) hosted->elsewhere = true;
        EXPECT_OK(i % 2 ? eddy_yield() : eddy_sleep(EDDY_MS(1)));
    }
    hosted->ended++;
    return 0;
}

static void *spawn_from_outside(void *arg) {
    struct hosted *hosted = arg;
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(hosted->runtime), NULL, hosted_task, hosted, NULL));
    return NULL;
}

/* Two tasks: one of the host's own thread, one of another. */
static pthread_t begin_guest(struct hosted *hosted, unsigned workers) {
    pthread_t other;
    *hosted = (struct hosted){.thread = pthread_self()};
    EXPECT_OK(eddy_runtime_guest(&hosted->runtime, EDDY_RUN(.workers = workers)));
    (void)spawn_from_outside(hosted);
    EXPECT_EQ(0, pthread_create(&other, NULL, spawn_from_outside, hosted));
    return other;
}

UNIT(embed, guest_of_an_epoll_loop, TEST_LIMIT(60)) {
    struct hosted hosted;
    pthread_t other = begin_guest(&hosted, 1);
    int set = epoll_create1(EPOLL_CLOEXEC), idle = 0;
    struct epoll_event event = {.events = EPOLLIN};
    EXPECT_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, eddy_runtime_fd(hosted.runtime), &event));
    while (hosted.ended < 2) {
        EXPECT_EQ(1, epoll_wait(set, &event, 1, 10000)); /* what is to be done is always told */
        EXPECT(eddy_runtime_turn(hosted.runtime, 0) >= 0);
    }
    pthread_join(other, NULL);
    EXPECT(!hosted.elsewhere);
    while (epoll_wait(set, &event, 1, 20) != 0) { /* nothing to do: the host is left in peace */
        EXPECT_OK(eddy_runtime_turn(hosted.runtime, 0));
        EXPECT(++idle < 10);
    }
    close(set);
    EXPECT_OK(eddy_runtime_stop(hosted.runtime));
    EXPECT_EQ(EDDY_ECLOSED, eddy_runtime_turn(hosted.runtime, 0));
    EXPECT_EQ(-1, eddy_runtime_fd(hosted.runtime));
    eddy_runtime_release(hosted.runtime);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
    struct hosted *hosted = handle->data;
    EXPECT(status == 0 && (events & UV_READABLE));
    EXPECT(eddy_runtime_turn(hosted->runtime, EDDY_US(200)) >= 0);
}
static void on_tick(uv_timer_t *timer) {
    struct hosted *hosted = timer->data;
    hosted->ticks++;
    if (hosted->ended == 2) uv_stop(timer->loop);
}

UNIT(embed, guest_of_a_libuv_loop, TEST_LIMIT(60)) {
    for (unsigned workers = 1; workers <= 3; workers += 2) {
        struct hosted hosted;
        uv_loop_t loop;
        uv_poll_t poll;
        uv_timer_t timer;
        pthread_t other = begin_guest(&hosted, workers);
        EXPECT_EQ(0, uv_loop_init(&loop));
        EXPECT_EQ(0, uv_poll_init(&loop, &poll, eddy_runtime_fd(hosted.runtime)));
        EXPECT_EQ(0, uv_timer_init(&loop, &timer));
        poll.data = timer.data = &hosted;
        EXPECT_EQ(0, uv_poll_start(&poll, UV_READABLE, on_readable));
        EXPECT_EQ(0, uv_timer_start(&timer, on_tick, 1, 1));
        uv_run(&loop, UV_RUN_DEFAULT);
        pthread_join(other, NULL);
        EXPECT(hosted.ticks > 0); /* the host had its turns as well */
        uv_close((uv_handle_t *)&poll, NULL);
        uv_close((uv_handle_t *)&timer, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        EXPECT_EQ(0, uv_loop_close(&loop));
        EXPECT_OK(eddy_runtime_stop(hosted.runtime));
        eddy_runtime_release(hosted.runtime);
    }
}

/* A guest whose tasks never rest gives the thread back, and asks to be called again. */
static int yields_on(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = 0;
    while (status == 0) status = eddy_yield();
    return status;
}
UNIT(embed, guest_keeps_its_budget) {
    eddy_runtime *runtime;
    EXPECT_OK(eddy_runtime_guest(&runtime, NULL));
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(runtime), NULL, yields_on, NULL, NULL));
    struct pollfd watched = {.fd = eddy_runtime_fd(runtime), .events = POLLIN};
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(1, eddy_runtime_turn(runtime, EDDY_US(100)));
        EXPECT_EQ(1, poll(&watched, 1, 0));
    }
    EXPECT_OK(eddy_runtime_stop(runtime));
    eddy_runtime_release(runtime);
}

/* What a callback of libuv's in the guest's loop puts on, a call or a task, is told to the host, also when it comes in the
 * last look before the host has its thread back. */
struct own {
    uv_prepare_t prepare;
    uv_timer_t keeps_turning;
    int looks_left;
    bool calls, done;
};
static int note_done(void *done) {
    *(bool *)done = true;
    return 0;
}
static int note_in_task(void *done, eddy_value *out) {
    (void)out;
    return note_done(done);
}
static void on_own_timer(uv_timer_t *timer) { (void)timer; }
static void on_own_prepare(uv_prepare_t *prepare) {
    struct own *own = prepare->data;
    if (--own->looks_left > 0) return;
    EXPECT_EQ(0, uv_prepare_stop(prepare));
    EXPECT_EQ(0, uv_timer_stop(&own->keeps_turning));
    if (own->calls)
        EXPECT_OK(eddy_call_later(eddy_loop_current(), EDDY_MS(1), note_done, &own->done, NULL));
    else
        EXPECT_OK(eddy_spawn(NULL, note_in_task, &own->done, NULL));
}
static int start_own(void *arg, eddy_value *out) {
    struct own *own = arg;
    (void)out;
    own->prepare.data = own;
    EXPECT_EQ(0, uv_prepare_init(eddy_loop_uv(), &own->prepare));
    EXPECT_EQ(0, uv_timer_init(eddy_loop_uv(), &own->keeps_turning));
    EXPECT_EQ(0, uv_prepare_start(&own->prepare, on_own_prepare));
    return uv_timer_start(&own->keeps_turning, on_own_timer, 1, 1);
}
UNIT(embed, guest_tells_of_what_libuvs_callbacks_put_on, TEST_LIMIT(60)) {
    struct own own[8];
    eddy_runtime *runtime;
    EXPECT_OK(eddy_runtime_guest(&runtime, NULL));
    struct pollfd watched = {.fd = eddy_runtime_fd(runtime), .events = POLLIN};
    for (int i = 0; i < 8; i++) {
        own[i] = (struct own){.looks_left = 1 + i / 2, .calls = i % 2 == 0};
        EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(runtime), NULL, start_own, &own[i], NULL));
        while (!own[i].done) {
            EXPECT_EQ(1, poll(&watched, 1, 10000));
            EXPECT(eddy_runtime_turn(runtime, 0) >= 0);
        }
    }
    EXPECT_OK(eddy_runtime_stop(runtime));
    eddy_runtime_release(runtime);
}

/* ---- what belongs to the host ---------------------------------------------------------------------------------- */

UNIT(embed, signals_stay_the_hosts) {
    struct sigaction before[65], now;
    sigset_t mask_before, mask;
    signal(SIGPIPE, SIG_DFL);
    for (int number = 1; number < 65; number++) (void)sigaction(number, NULL, &before[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    eddy_runtime *runtime;
    EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 2)));
    call(runtime, 1);
    for (int round = 0; round < 2; round++) {
        for (int number = 1; number < 65; number++) {
            if (round == 0 && (number == SIGSEGV || number == SIGBUS)) continue; /* as long as it lives */
            if (sigaction(number, NULL, &now) != 0) continue;                    /* the C library's own */
            EXPECT(now.sa_handler == before[number].sa_handler);
        }
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        for (int number = 1; number < 65; number++)
            EXPECT_EQ(sigismember(&mask_before, number), sigismember(&mask, number));
        if (round == 0) {
            EXPECT_OK(eddy_runtime_stop(runtime));
            eddy_runtime_release(runtime);
        }
    }
}

/* Threads are not forked: the child executes something else, and nobody here minds. */
UNIT(embed, a_forked_child_may_execute) {
    eddy_runtime *runtime;
    EXPECT_OK(eddy_runtime_start(&runtime, EDDY_RUN(.workers = 2)));
    for (int i = 0; i < 10; i++) {
        int status;
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(3);
        }
        call(runtime, i);
        EXPECT_EQ(child, waitpid(child, &status, 0));
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    EXPECT_OK(eddy_runtime_stop(runtime));
    eddy_runtime_release(runtime);
}

/* ---- wrong use ------------------------------------------------------------------------------------------------- */

struct calls {
    eddy_runtime *own, *guest;
};
static int from_a_task(void *arg, eddy_value *out) {
    struct calls *calls = arg;
    (void)out;
    eddy_runtime *runtime;
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_start(&runtime, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_guest(&runtime, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_turn(calls->guest, 0));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_runtime_stop(calls->own));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_future_wait(EDDY_FUTURE(eddy_current_task()), 0, NULL));
    return 0;
}
static void *from_another_thread(void *arg) {
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_runtime_turn(arg, 0));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_runtime_stop(arg));
    return NULL;
}
static void release_running(void *arg) {
    (void)arg;
    eddy_runtime *runtime;
    if (eddy_runtime_start(&runtime, EDDY_RUN(.workers = 1)) == 0) eddy_runtime_release(runtime);
}
UNIT(embed, wrong_use_gives_a_status_or_a_name) {
    struct calls calls;
    eddy_runtime *never;
    eddy_run_options foreign = eddy_run_options_init();
    foreign.size = 3;
    EXPECT_EQ(EDDY_EINVAL, eddy_runtime_start(&never, &foreign));
    EXPECT_EQ(EDDY_EINVAL, eddy_runtime_guest(&never, &foreign));
    EXPECT_EQ(EDDY_ELIMIT, eddy_runtime_start(&never, EDDY_RUN(.workers = 1000000)));
    struct test_child child = test_child_run(release_running, NULL);
    EXPECT_EQ(6, child.signal);
    EXPECT_HAS(child.stderr_text, "eddy_runtime_release: the runtime was not stopped");
    EXPECT_OK(eddy_runtime_start(&calls.own, EDDY_RUN(.workers = 1)));
    EXPECT_OK(eddy_runtime_guest(&calls.guest, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_turn(calls.own, 0));
    eddy_task *task;
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(calls.own), &task, from_a_task, &calls, NULL));
    EXPECT_OK(eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, NULL));
    eddy_task_release(task);
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, from_another_thread, calls.guest));
    pthread_join(thread, NULL);
    EXPECT_OK(eddy_runtime_stop(calls.guest));
    EXPECT_OK(eddy_runtime_stop(calls.own));
    eddy_runtime_release(calls.guest);
    eddy_runtime_release(calls.own);
    eddy_runtime_release(NULL);
}

static int start_once(void *arg) {
    eddy_runtime *runtime;
    int status =
        *(bool *)arg ? eddy_runtime_guest(&runtime, NULL) : eddy_runtime_start(&runtime, EDDY_RUN(.workers = 2));
    if (status < 0) return status;
    status = eddy_runtime_stop(runtime);
    eddy_runtime_release(runtime);
    return status;
}
UNIT(embed, each_allocation_of_a_start_may_fail) {
    for (int guest = 0; guest < 2; guest++) EXPECT(test_each_allocation_fails(start_once, &(bool){guest == 1}) > 5);
}
