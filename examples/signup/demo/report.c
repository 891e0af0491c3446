/* report.c: see report.h. */
#include "demo/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static double held_ms_max(const struct outcome *outcome) {
    const double service = outcome->service.held_ms_max, client = outcome->client_held_ms_max;
    return service > client ? service : client;
}

static void report_json(struct outcome *outcome, bool ok) {
    struct tally *tally = &outcome->tally;
    json_t *statuses = json_object();
    for (int status = 0; status < STATUS_MAX; status++) {
        char name[16];
        if (tally->statuses[status] == 0) continue;
        snprintf(name, sizeof name, "%d", status);
        json_object_set_new(statuses, name, json_integer((json_int_t)tally->statuses[status]));
    }
    json_t *object = json_pack(
        "{s:b, s:I, s:o, s:f, s:f, s:f, s:i, s:I, s:I, s:i, s:f}", "ok", ok, "requests",
        (json_int_t)tally_requests(tally), "statuses", statuses, "seconds", (double)outcome->elapsed_ns / 1e9, "p50_ms",
        tally_latency_ms(tally, 0.5), "p99_ms", tally_latency_ms(tally, 0.99), "workers",
        (int)outcome->service.workers_count, "users_in_database", (json_int_t)outcome->users, "hashes_right",
        (json_int_t)outcome->right_hashes, "kills", (int)outcome->kills, "loop_held_ms_max", held_ms_max(outcome));
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
    printf("%s\n", text != NULL ? text : "{\"ok\":false}");
    free(text);
    json_decref(object);
}

static void report_words(struct outcome *outcome, bool ok) {
    struct tally *tally = &outcome->tally;
    printf("requests   %llu over %lld connections in %.1f s\n", (unsigned long long)tally_requests(tally),
           (long long)outcome->settings->connections, (double)outcome->elapsed_ns / 1e9);
    printf("statuses  ");
    for (int status = 0; status < STATUS_MAX; status++)
        if (tally->statuses[status] > 0) printf(" %d: %llu ", status, (unsigned long long)tally->statuses[status]);
    printf("\nlatency    p50 %.1f ms, p99 %.1f ms\n", tally_latency_ms(tally, 0.5), tally_latency_ms(tally, 0.99));
    for (unsigned i = 0; i < outcome->service.workers_count; i++) {
        const struct worker_stats *worker = &outcome->service.workers[i];
        printf("worker %-3u %llu tasks, %llu of them stolen in %llu steals\n", i, (unsigned long long)worker->tasks,
               (unsigned long long)worker->stolen, (unsigned long long)worker->steals);
    }
    printf("loop held  at most %.1f ms (service), %.1f ms (clients)\n", outcome->service.held_ms_max,
           outcome->client_held_ms_max);
    if (outcome->settings->kill_every_ns > 0)
        printf("killed     %u hash processes; %llu requests failed with them\n", outcome->kills,
               (unsigned long long)tally->statuses[500]);
    printf("database   %llu users for %zu answers 201, %llu hashes right\n", (unsigned long long)outcome->users,
           tally->created.count, (unsigned long long)outcome->right_hashes);
    printf(ok ? "ok\n" : "NOT OK\n");
}

void report(struct outcome *outcome, bool ok) {
    if (outcome->settings->json)
        report_json(outcome, ok);
    else
        report_words(outcome, ok);
    fflush(stdout);
}
