/* Intervals: ticks come on time, and what is missed is treated as asked. */
#include "task/core_testing.h"

static void be_late(int64_t duration_ns) { EXPECT_OK(eddy_sleep(duration_ns)); }

CORE_TEST(interval, ticks_keep_to_the_schedule) {
    const int64_t period_ns = EDDY_MS(1), start_ns = eddy_time_ns();
    eddy_interval interval = eddy_interval_start(period_ns, EDDY_TICKS_BURST);
    for (int64_t i = 1; i <= 10; i++) {
        EXPECT_EQ(0, eddy_interval_wait(&interval));
        EXPECT(eddy_time_ns() >= start_ns + i * period_ns);
    }
    EXPECT(interval.next_ns >= start_ns + 11 * period_ns);
}

CORE_TEST(interval, burst_catches_up) {
    eddy_interval interval = eddy_interval_start(EDDY_MS(2), EDDY_TICKS_BURST);
    const int64_t first_ns = interval.next_ns;
    be_late(EDDY_MS(9));
    for (int i = 0; i < 4; i++) EXPECT_EQ(0, eddy_interval_wait(&interval));
    EXPECT_EQ(first_ns + EDDY_MS(8), interval.next_ns); /* four ticks were given, none was left out */
}

CORE_TEST(interval, skip_leaves_out_and_tells) {
    eddy_interval interval = eddy_interval_start(EDDY_MS(2), EDDY_TICKS_SKIP);
    const int64_t first_ns = interval.next_ns;
    be_late(EDDY_MS(9));
    int64_t skipped = eddy_interval_wait(&interval);
    EXPECT(skipped >= 3);
    EXPECT_EQ(first_ns + (skipped + 1) * EDDY_MS(2), interval.next_ns);
    EXPECT_EQ(0, (interval.next_ns - first_ns) % EDDY_MS(2));
}

CORE_TEST(interval, delay_counts_from_the_late_tick) {
    eddy_interval interval = eddy_interval_start(EDDY_MS(2), EDDY_TICKS_DELAY);
    be_late(EDDY_MS(9));
    EXPECT_EQ(0, eddy_interval_wait(&interval));
    EXPECT(interval.next_ns >= eddy_time_ns() + EDDY_MS(1) || !test_simulated());
    int64_t before_ns = interval.next_ns;
    EXPECT_EQ(0, eddy_interval_wait(&interval));
    EXPECT(eddy_time_ns() >= before_ns);
}

static int tick_once(void *arg, eddy_value *out) {
    (void)out;
    return (int)eddy_interval_wait(arg);
}

CORE_TEST(interval, a_cancelled_wait_leaves_the_tick) {
    eddy_interval interval = eddy_interval_start(EDDY_SECONDS(1000), EDDY_TICKS_BURST);
    const int64_t next_ns = interval.next_ns;
    eddy_task *task = spawn_parked(tick_once, &interval);
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(next_ns, interval.next_ns);
}

UNIT(interval, outside_a_task_is_refused) {
    eddy_interval interval = eddy_interval_start(EDDY_MS(1), EDDY_TICKS_BURST);
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_interval_wait(&interval));
}
