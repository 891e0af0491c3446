/* Debug mode: D1. (D2: run_test.c.) */
#include "contract/contract_testing.h"

static struct reports reports = REPORTS_INIT;

static int reports_count(void) {
    pthread_mutex_lock(&reports.mutex);
    int count = reports.count;
    pthread_mutex_unlock(&reports.mutex);
    return count;
}

/* Until the report that it is held has come: the thread that watches may be late. Unwatched: 60 ms. */
static int hold_the_loop(void *arg) {
    const int64_t until_ns = eddy_time_ns() + EDDY_MS(60);
    while (eddy_time_ns() < until_ns || (*(const bool *)arg && reports_count() == 0)) continue;
    return 0;
}

/* How many reports say that the loop was held, and for how long. (Others say that it is held still.) */
static int times_held(void) {
    int held = 0;
    pthread_mutex_lock(&reports.mutex);
    for (int i = 0; i < reports.count; i++) {
        EXPECT_EQ(EDDY_REPORT_SLOW, reports.all[i].kind);
        held += strstr(reports.all[i].message, "was held for ") != NULL;
    }
    pthread_mutex_unlock(&reports.mutex);
    return held;
}

static int run_a_callback(void *arg, eddy_value *out) {
    const bool *reported = arg;
    (void)out;
    EXPECT_OK(eddy_call_soon(NULL, hold_the_loop, arg, NULL));
    do EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    while (*reported && times_held() == 0);
    return 0;
}

static void hold_once(bool debug, bool reported, bool serial) {
    reports.count = 0;
    EXPECT_OK(eddy_run(run_a_callback, &reported, NULL,
                       EDDY_RUN(.workers = 1, .serial = serial, .debug = debug, .slow_ns = EDDY_MS(20),
                                .on_exception = reports_take, .on_exception_arg = &reports)));
    EXPECT_EQ(reported, times_held() > 0);
}

UNIT(contract, D1_a_callback_that_holds_its_loop_is_reported_with_its_duration) {
    for (int serial = 0; serial < 2; serial++) {
        hold_once(true, true, serial);
        hold_once(false, false, serial); /* debug mode only */
    }
}

UNIT(contract, D1_the_environment_switches_it_on) {
    EXPECT_EQ(0, setenv("EDDY_DEBUG", "1", 1));
    hold_once(false, true, true);
}

/* asyncio tells it in debug mode only. */
RULE(D1_a_report_tells_where_the_task_was_made) {
    int status = -31;
    eddy_task *task = spawn(fail_with, &status);
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    eddy_task_release(task);
    test_until_all_parked();
    EXPECT_HAS(TAKE_REPORT(EDDY_REPORT_NEVER_RETRIEVED, -31)->place, "core_testing.h:");
}
