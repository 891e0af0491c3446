/* service_stats.c: see service_stats.h. */
#include "demo/service_stats.h"
#include "demo/exchange.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_BYTES_MAX = 64 * 1024 }; /* 256 workers need 40 KB */

static uint64_t count_of(const json_t *object, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static double number_of(const json_t *object, const char *name) {
    return json_number_value(json_object_get(object, name));
}

static int read_stats(const json_t *object, struct service_stats *stats) {
    memset(stats, 0, sizeof *stats);
    const json_t *workers = json_object_get(object, "per_worker");
    const json_t *processes = json_object_get(object, "process_pool");
    const json_t *pids = json_object_get(processes, "pids");
    const size_t count = json_array_size(workers);
    if (count == 0 || count > WORKERS_MAX || !json_is_array(pids))
        return eddy_fail(EDDY_EINVAL, "the service's statistics are not as they should be");
    stats->workers_count = (unsigned)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *worker = json_array_get(workers, i);
        stats->workers[i] = (struct worker_stats){.tasks = count_of(worker, "tasks"),
                                                  .stolen = count_of(worker, "stolen"),
                                                  .steals = count_of(worker, "steals"),
                                                  .held_ms_max = number_of(worker, "loop_held_ms_max")};
    }
    stats->held_ms_max = number_of(object, "loop_held_ms_max");
    stats->process_deaths = count_of(processes, "deaths");
    for (size_t i = 0; i < json_array_size(pids) && i < PIDS_MAX; i++)
        stats->pids[stats->pids_count++] = (int)json_integer_value(json_array_get(pids, i));
    return 0;
}

static int fetch(uint16_t port, struct reply *reply) {
    static const char request[] = "GET /stats HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
    eddy_stream *stream;
    int status = eddy_connect(&stream, "127.0.0.1", port, NULL);
    if (status < 0) return status;
    status = exchange(stream, request, sizeof request - 1, reply);
    eddy_stream_close(stream);
    eddy_stream_release(stream);
    return status;
}

int service_stats_read(uint16_t port, struct service_stats *stats_out) {
    struct reply reply = {.body = malloc(BODY_BYTES_MAX), .body_max = BODY_BYTES_MAX};
    if (reply.body == NULL) return EDDY_ENOMEM;
    int status = fetch(port, &reply);
    if (status == 0) {
        json_t *object = json_loads(reply.body, 0, NULL);
        status = read_stats(object, stats_out);
        json_decref(object);
    }
    free(reply.body);
    return status;
}
