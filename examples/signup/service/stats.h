/* stats.h: the figures behind GET /stats. */
#ifndef SIGNUP_STATS_H
#define SIGNUP_STATS_H

#include "service/service.h"

struct stats {
    eddy_stats all;
    unsigned workers_count;
    uint64_t steals; /* of all workers */
    size_t connections;
    uint64_t connections_refused, answers;
    eddy_thread_pool_stats threads;
    eddy_process_pool_stats processes;
    int pids[HASH_PROCESSES];
    size_t pids_count;
    eddy_worker_stats workers[]; /* workers_count */
};

/* From malloc: free(). NULL: no memory. Threads: any task. */
struct stats *stats_collect(struct service *service);

#endif
