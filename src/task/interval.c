/* interval.c: ticks at a fixed period. The caller's own record, the caller's own task: nothing is shared.
 * Tests: tests/task/interval_test.c. */
#include "task/task.h"

eddy_interval eddy_interval_start(int64_t period_ns, enum eddy_missed_ticks missed) {
    ED_ASSERT(period_ns > 0);
    return (eddy_interval){period_ns, eddy_time_ns() + period_ns, missed};
}

int64_t eddy_interval_wait(eddy_interval *interval) {
    int64_t late_ns = eddy_time_ns() - interval->next_ns;
    int64_t skipped = interval->missed == EDDY_TICKS_SKIP && late_ns > 0 ? late_ns / interval->period_ns : 0;
    int status = late_ns >= 0 ? eddy_yield() : eddy_sleep_until(interval->next_ns);
    if (status < 0) return status;
    if (interval->missed == EDDY_TICKS_DELAY)
        interval->next_ns = eddy_time_ns() + interval->period_ns;
    else
        interval->next_ns += (skipped + 1) * interval->period_ns;
    return skipped;
}
