/* service_stats.h: what the service says of itself at GET /stats. */
#ifndef SIGNUP_DEMO_SERVICE_STATS_H
#define SIGNUP_DEMO_SERVICE_STATS_H

#include <eddy/eddy.h>

enum { PIDS_MAX = 16, WORKERS_MAX = 256 };

struct worker_stats {
    uint64_t tasks, stolen, steals;
    double held_ms_max;
};

struct service_stats {
    unsigned workers_count;
    struct worker_stats workers[WORKERS_MAX];
    double held_ms_max;
    uint64_t process_deaths;
    int pids[PIDS_MAX];
    size_t pids_count;
};

/* @return 0, EDDY_EINVAL for an answer that makes no sense, EDDY_ENOMEM, or a failure of the connection.
 * Suspends. Cancellation point: when it suspends. */
int service_stats_read(uint16_t port, struct service_stats *stats_out) EDDY_SUSPENDS;

#endif
