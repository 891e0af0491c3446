/* Debug mode: who holds a worker, who swallows a cancel, whose argument lies on a stack that is gone (D1, D2). */
#include "task/core_testing.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

/* On a slow machine other tasks hold a worker for long as well: only reports of the one that holds it on purpose count. */
struct seen {
    pthread_mutex_t mutex;
    const char *holder; /* its name as the report has it; NULL: no report of a held worker counts */
    int slow, back, swallowed, dead;
    char name[64], message[128], place[128];
    bool stack;
};
static struct seen seen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void take(const eddy_report *report, void *arg) {
    (void)arg;
    bool held = report->kind == EDDY_REPORT_SLOW;
    if (held && (seen.holder == NULL || strcmp(seen.holder, report->task) != 0)) return;
    pthread_mutex_lock(&seen.mutex);
    seen.swallowed += report->kind == EDDY_REPORT_SWALLOWED;
    seen.dead += report->kind == EDDY_REPORT_DEAD_ARG;
    if (held && strstr(report->message, "has been held") != NULL) seen.slow++;
    if (held && report->stack != NULL && strchr(report->stack, '\n') != NULL) seen.stack = true;
    seen.back += held && strstr(report->message, "was held") != NULL;
    snprintf(seen.name, sizeof seen.name, "%s", report->task);
    snprintf(seen.message, sizeof seen.message, "%s", report->message);
    snprintf(seen.place, sizeof seen.place, "%s", report->place != NULL ? report->place : "");
    pthread_mutex_unlock(&seen.mutex);
}

static int slow_seen(void) {
    pthread_mutex_lock(&seen.mutex);
    int slow = seen.slow;
    pthread_mutex_unlock(&seen.mutex);
    return slow;
}

static void block_for_1_ms(void) {
    struct timespec nap = {.tv_nsec = 1000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

/* Holds its worker until the report has come: it comes while the worker is still held. */
static void hold(void) {
    while (slow_seen() == 0) block_for_1_ms();
}

static _Atomic bool holds;

static int hold_worker(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    atomic_store(&holds, true);
    hold();
    return 0;
}

static int backs_seen(void) {
    pthread_mutex_lock(&seen.mutex);
    int back = seen.back;
    pthread_mutex_unlock(&seen.mutex);
    return back;
}

static int wait_for_back(void) {
    while (backs_seen() == 0) EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return backs_seen();
}

static int spawn_holder(void *arg, eddy_value *out) {
    eddy_task *task;
    (void)out;
    atomic_store(&holds, false);
    EXPECT_OK(eddy_spawn(&task, hold_worker, NULL, EDDY_TASK(.name = "holder")));
    /* Awaited before it runs it would run in this slice, which may have been reported already. One yield may come back before:
     * another worker may be about to take it. */
    while (!atomic_load(&holds)) EXPECT_OK(eddy_yield());
    EXPECT_OK(end_of(task));
    EXPECT(wait_for_back() >= 1);
    pthread_mutex_lock(&seen.mutex);
    EXPECT_EQ(arg == NULL, seen.stack);
    if (arg == NULL) {
        EXPECT_EQ(1, seen.slow);
        EXPECT_EQ(1, seen.back);
        EXPECT_HAS(seen.place, "(hold_worker)");
    }
    EXPECT_HAS(seen.message, "was held for ");
    pthread_mutex_unlock(&seen.mutex);
    return 0;
}

static int run_debug(eddy_coro_fn fn, void *arg, const char *holder) {
    seen = (struct seen){.mutex = PTHREAD_MUTEX_INITIALIZER, .holder = holder};
    return eddy_run(fn, arg, NULL, EDDY_RUN(.workers = 2, .debug = true, .slow_ns = EDDY_MS(20), .on_exception = take));
}

UNIT(watchdog, names_who_holds_a_worker_while_it_does) {
    struct sigaction action;
    EXPECT_OK(run_debug(spawn_holder, NULL, "holder"));
    EXPECT_EQ(0, sigaction(SIGURG, NULL, &action));
    EXPECT(action.sa_handler == SIG_DFL); /* put back */
}

/* Two that a worker takes from another one, right after each other: each is a slice of its own, and told of. */
static _Atomic bool second_is_there;
static int hold_until_two(void *arg, eddy_value *out) {
    (void)out;
    const intptr_t number = (intptr_t)arg;
    atomic_store(&holds, true);
    while (slow_seen() < number || !atomic_load(&second_is_there)) block_for_1_ms();
    return 0;
}
static int spawn_two_holders(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *first, *second;
    EXPECT_OK(eddy_spawn(&first, hold_until_two, (void *)1, EDDY_TASK(.name = "holder")));
    eddy_share();
    while (!atomic_load(&holds)) sched_yield(); /* holds this worker, so that the other takes both */
    EXPECT_OK(eddy_spawn(&second, hold_until_two, (void *)2, EDDY_TASK(.name = "holder")));
    eddy_share();
    atomic_store(&second_is_there, true);
    while (slow_seen() < 2) sched_yield();
    EXPECT_OK(end_of(first));
    EXPECT_OK(end_of(second));
    return 0;
}
UNIT(watchdog, names_each_of_two_that_were_stolen) {
    atomic_store(&holds, false);
    EXPECT_OK(run_debug(spawn_two_holders, NULL, "holder"));
}

static void own_handler(int number) { (void)number; }

/* The host's handler stays: the report has neither name nor stack. */
UNIT(watchdog, leaves_the_hosts_signal_alone) {
    struct sigaction own = {.sa_handler = own_handler}, after;
    EXPECT_EQ(0, sigaction(SIGURG, &own, NULL));
    EXPECT_OK(run_debug(spawn_holder, &own, ""));
    EXPECT_EQ(0, sigaction(SIGURG, NULL, &after));
    EXPECT(after.sa_handler == own_handler);
}

/* One call that blocks, and is cut short by the question: told of all the same, by its name and stack. A question that was
 * asked of who ran before and comes late cuts it short as well, and is not told, as it held nobody up: then it blocks again. */
static int block_once(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct timespec long_nap = {.tv_sec = 5};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &long_nap, NULL);
    return 0;
}
static int spawn_blocker(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    while (backs_seen() == 0) {
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, block_once, NULL, EDDY_TASK(.name = "blocker")));
        EXPECT_OK(eddy_yield());
        EXPECT_OK(end_of(task));
        for (int i = 0; i < 20 && backs_seen() == 0; i++) EXPECT_OK(eddy_sleep(EDDY_MS(1))); /* the tick looks */
    }
    pthread_mutex_lock(&seen.mutex);
    EXPECT(seen.stack);
    EXPECT_HAS(seen.place, "(block_once)");
    pthread_mutex_unlock(&seen.mutex);
    return 0;
}
UNIT(watchdog, names_a_call_that_its_question_cuts_short) {
    for (int i = 0; i < 5; i++) EXPECT_OK(run_debug(spawn_blocker, NULL, "blocker"));
}

static int hold_in_callback(void *arg) {
    (void)arg;
    hold();
    return 0;
}
static int call_holder(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_call_soon(NULL, hold_in_callback, NULL, NULL));
    EXPECT_OK(eddy_yield());
    EXPECT(wait_for_back() >= 1);
    EXPECT(seen.slow >= 1);
    return 0;
}
UNIT(watchdog, names_a_callback) { EXPECT_OK(run_debug(call_holder, NULL, "a callback")); }

static int swallow(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, sleep_forever(arg, out));
    return 0;
}
static int take_back(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, sleep_forever(arg, out));
    EXPECT_EQ(0, eddy_task_uncancel(eddy_current_task()));
    return 0;
}
static int cancel_two(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *bad = spawn_parked(swallow, NULL), *good = spawn_parked(take_back, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(good)));
    EXPECT_OK(end_of(good));
    EXPECT_EQ(0, seen.swallowed);
    EXPECT(eddy_cancel(EDDY_FUTURE(bad)));
    EXPECT_OK(end_of(bad));
    EXPECT_EQ(1, seen.swallowed);
    EXPECT_HAS(seen.place, "core_testing.h:");
    return 0;
}
UNIT(watchdog, reports_a_swallowed_cancel) {
    EXPECT_OK(eddy_run(cancel_two, NULL, NULL, EDDY_RUN(.workers = 1, .debug = true, .on_exception = take)));
}

static eddy_task *orphan;
static int leave_argument(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    volatile int on_stack = 3;
    EXPECT_OK(eddy_spawn(&orphan, sleep_forever, (void *)(uintptr_t)&on_stack, EDDY_TASK(.name = "orphan")));
    return eddy_yield();
}
static int copy_argument(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int on_stack = 3;
    EXPECT_OK(eddy_spawn(&orphan, sleep_forever, &on_stack, EDDY_TASK(.copy_bytes = sizeof on_stack)));
    return eddy_yield();
}
static void end_orphan(void) {
    EXPECT(eddy_cancel(EDDY_FUTURE(orphan)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(orphan));
    eddy_handled();
}
static int leave_two(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(end_of(spawn(copy_argument, NULL)));
    EXPECT_EQ(0, seen.dead);
    end_orphan();
    EXPECT_OK(end_of(spawn(leave_argument, NULL)));
    EXPECT_EQ(1, seen.dead);
    EXPECT_STR("orphan", seen.name);
    EXPECT_HAS(seen.place, "(sleep_forever)");
    end_orphan();
    int mine = 3; /* of a task that lives: no report, also when the task ran on this stack */
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, give_nothing, &mine, NULL));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(1, seen.dead);
    return 0;
}
/* AddressSanitizer keeps locals elsewhere. */
UNIT(watchdog, reports_an_argument_on_a_dead_stack, TEST_WITHOUT("address")) {
    for (int off = 0; off < 2; off++) {
        seen.dead = 0;
        EXPECT_OK(eddy_run(leave_two, NULL, NULL,
                           EDDY_RUN(.workers = 1, .debug = true, .no_direct_await = off, .on_exception = take)));
    }
}

UNIT(watchdog, the_environment_asks_for_it) {
    EXPECT_EQ(0, setenv("EDDY_DEBUG", "1", 1));
    seen.swallowed = 0;
    EXPECT_OK(eddy_run(cancel_two, NULL, NULL, EDDY_RUN(.workers = 1, .on_exception = take)));
    EXPECT_EQ(1, seen.swallowed);
}
