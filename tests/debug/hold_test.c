/* A mutex held across a suspension is reported once, with the task, where it was locked and where it suspends; an eddy lock
 * may be held; without debug mode nothing happens. */
#include <pthread.h>

#include "eddy/mutex.h"
#include "task/core_testing.h"

static volatile int kept;
static int count;
static char name[64], message[256], place[128], stack[4096];

static void take(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind != EDDY_REPORT_HELD) return;
    count++;
    snprintf(name, sizeof name, "%s", report->task);
    snprintf(message, sizeof message, "%s", report->message);
    snprintf(place, sizeof place, "%s", report->place != NULL ? report->place : "");
    snprintf(stack, sizeof stack, "%s", report->stack != NULL ? report->stack : "");
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) static int sleep_with_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(0, pthread_mutex_lock(&mutex));
    for (int i = 0; i < 3; i++) EXPECT_OK(eddy_sleep(EDDY_US(10)));
    EXPECT_EQ(0, pthread_mutex_unlock(&mutex));
    EXPECT_OK(eddy_sleep(EDDY_US(10)));
    kept++;
    return 0;
}
static int await_with_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task = spawn(give_nothing, NULL);
    EXPECT_EQ(0, pthread_mutex_trylock(&mutex));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(0, pthread_mutex_unlock(&mutex));
    return 0;
}
static int end_with_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    pthread_spinlock_t spin;
    EXPECT_EQ(0, pthread_spin_init(&spin, 0));
    EXPECT_EQ(0, pthread_spin_lock(&spin));
    eddy_hold_begin(&kept); /* of any kind */
    EXPECT_EQ(0, pthread_spin_unlock(&spin));
    return 0;
}
static int is_right(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(0, pthread_mutex_lock(&mutex)); /* not in the order taken */
    EXPECT_EQ(0, pthread_mutex_lock(&other));
    EXPECT_EQ(0, pthread_mutex_unlock(&mutex));
    EXPECT_EQ(0, pthread_mutex_unlock(&other));
    eddy_hold_end(&kept); /* nobody holds it */
    eddy_lock *lock = eddy_lock_create();
    EXPECT_OK(eddy_lock_acquire(lock));
    EXPECT_OK(eddy_sleep(EDDY_US(10)));
    eddy_lock_unlock(lock);
    eddy_lock_release(lock);
    return 0;
}

static int hold_each(void *arg, eddy_value *out) {
    const bool debug = *(bool *)arg;
    eddy_task *task;
    (void)out;
    count = 0;
    EXPECT_OK(end_of(spawn(is_right, NULL)));
    EXPECT_EQ(0, count);
    EXPECT_OK(eddy_spawn(&task, sleep_with_it, NULL, EDDY_TASK(.name = "sleeper")));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(debug, count); /* once, though it suspends three times */
    if (debug) {
        EXPECT_STR("sleeper", name);
        EXPECT_HAS(message, "a task suspends on sleep while it holds what it took at tests/debug/hold_test.c:");
        EXPECT_HAS(message, "(&mutex)");
        EXPECT_HAS(place, "(sleep_with_it)");
        EXPECT_HAS(stack, "sleep_with_it+0x");
    }
    EXPECT_OK(end_of(spawn(await_with_it, NULL)));
    EXPECT_EQ(2 * debug, count);
    /* A tick may put the task off when it has come to the await and does not wait yet: that suspension comes first. */
    if (debug && strstr(message, "a task suspends on fairness while it holds") == NULL)
        EXPECT_HAS(message, "a task suspends on await while it holds");
    EXPECT_OK(end_of(spawn(end_with_it, NULL)));
    EXPECT_EQ(3 * debug, count);
    if (debug) EXPECT_HAS(message, "a task has ended while it holds");
    return 0;
}

UNIT(hold, a_suspension_with_a_mutex_locked_is_reported_in_debug_mode) {
    EXPECT_EQ(0, pthread_mutex_lock(&mutex)); /* no task: nothing is noted */
    EXPECT_EQ(0, pthread_mutex_unlock(&mutex));
    for (int off = 0; off < 2; off++)
        for (int debug = 0; debug < 2; debug++) {
            bool flag = debug;
            EXPECT_OK(eddy_run(hold_each, &flag, NULL,
                               EDDY_RUN(.workers = 1, .no_direct_await = off, .debug = debug, .on_exception = take)));
            EXPECT_EQ(0, ed_alloc_live_bytes());
        }
}
