/* stats.c: collects what the runtime, the pools and the server counted. Nobody is stopped for it, so figures of
 * different places may be some microseconds apart. */
#include "service/stats.h"

#include <stdlib.h>

struct stats *stats_collect(struct service *service) {
    eddy_stats all;
    if (eddy_stats_read(&all) < 0) return NULL;
    struct stats *stats = calloc(1, sizeof *stats + all.workers * sizeof stats->workers[0]);
    if (stats == NULL) return NULL;
    stats->all = all;
    stats->workers_count = all.workers;
    for (unsigned i = 0; i < all.workers; i++) {
        eddy_worker_stats_read(i, &stats->workers[i]);
        stats->steals += stats->workers[i].steals;
    }
    eddy_server *server = atomic_load(&service->server);
    if (server != NULL) {
        stats->connections = eddy_server_connections(server);
        stats->connections_refused = eddy_server_refused(server);
    }
    stats->answers = atomic_load(&service->answers);
    eddy_thread_pool_stats_read(service->threads, &stats->threads);
    eddy_process_pool_stats_read(service->hashers, &stats->processes);
    const size_t alive = eddy_process_pool_pids(service->hashers, stats->pids, HASH_PROCESSES);
    stats->pids_count = alive < HASH_PROCESSES ? alive : HASH_PROCESSES;
    return stats;
}
