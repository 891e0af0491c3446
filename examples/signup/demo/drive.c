/* drive.c: a group of connections, and beside it a helper that shows the progress and one that kills.
 *
 * The helpers' group is the outer one: it ends, by cancel, when the connections have read all their answers. */
#include "demo/drive.h"
#include "demo/client.h"
#include "demo/killer.h"
#include "demo/progress.h"

#include <stdlib.h>

static uint64_t share_of(uint64_t requests, unsigned clients, unsigned index) {
    return requests / clients + (index < requests % clients);
}

static int run_clients(struct outcome *outcome, struct load *load, struct client *clients) {
    const struct settings *settings = outcome->settings;
    const unsigned count = (unsigned)settings->connections;
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (unsigned i = 0; i < count && status == 0; i++) {
        clients[i].load = load;
        clients[i].requests = share_of((uint64_t)settings->requests, count, i);
        plan_init(&clients[i].plan, settings->seed, i);
        status = eddy_group_spawn(&group, NULL, client_main, &clients[i], EDDY_TASK(.name = "client"));
    }
    status = eddy_group_exit(&group, status);
    for (unsigned i = 0; i < count; i++) tally_merge(&outcome->tally, &clients[i].tally);
    return status;
}

static int run_with_helpers(struct outcome *outcome, struct load *load, struct client *clients) {
    const struct settings *settings = outcome->settings;
    struct progress progress = {.settings = settings, .load = load};
    struct killer killer = {.outcome = outcome};
    eddy_group helpers;
    int status = eddy_group_enter(&helpers);
    if (status == 0 && !settings->json)
        status = eddy_group_spawn(&helpers, NULL, progress_main, &progress, EDDY_TASK(.name = "progress"));
    if (status == 0 && settings->kill_every_ns > 0)
        status = eddy_group_spawn(&helpers, NULL, killer_main, &killer, EDDY_TASK(.name = "killer"));
    if (status == 0) status = run_clients(outcome, load, clients);
    if (status == 0) eddy_group_cancel(&helpers);
    return eddy_group_exit(&helpers, status);
}

int drive_main(void *arg, eddy_value *out) {
    (void)out;
    struct outcome *outcome = arg;
    const struct settings *settings = outcome->settings;
    struct client *clients = calloc((size_t)settings->connections, sizeof *clients);
    if (clients == NULL) return EDDY_ENOMEM;

    const int64_t start_ns = eddy_time_ns();
    struct load load = {.port = outcome->port, .deadline_ns = INT64_MAX};
    if (settings->duration_ns < INT64_MAX) load.deadline_ns = start_ns + settings->duration_ns;
    int status = run_with_helpers(outcome, &load, clients);
    outcome->elapsed_ns = eddy_time_ns() - start_ns;
    free(clients);
    if (status < 0) return status;

    status = service_stats_read(outcome->port, &outcome->service);
    eddy_stats own;
    if (status == 0) status = eddy_stats_read(&own);
    if (status == 0) outcome->client_held_ms_max = (double)own.held_ns_max / 1e6;
    return status;
}

bool outcome_is_ok(const struct outcome *outcome) {
    const struct tally *tally = &outcome->tally;
    return tally->faults == 0 && tally->statuses[500] <= outcome->kills && outcome->users == tally->created.count &&
           outcome->right_hashes == outcome->users;
}
