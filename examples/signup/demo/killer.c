/* killer.c: see killer.h. SIGKILL goes to children of the service only: a number that has become another process
 * meanwhile is left alone. */
#include "demo/killer.h"

#include <signal.h>
#include <stdio.h>

static int parent_of(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r"); /* of the kernel's making: does not block */
    if (file == NULL) return -1;
    int parent = -1;
    if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1) parent = -1;
    fclose(file);
    return parent;
}

int killer_main(void *arg, eddy_value *out) {
    (void)out;
    struct killer *killer = arg;
    struct outcome *outcome = killer->outcome;
    for (;;) {
        int status = eddy_sleep(outcome->settings->kill_every_ns);
        if (status < 0) return status;
        struct service_stats stats;
        status = service_stats_read(outcome->port, &stats);
        if (status < 0) return status;
        if (stats.pids_count == 0) continue;
        const int pid = stats.pids[outcome->kills % stats.pids_count];
        if (parent_of(pid) == outcome->service_pid && kill(pid, SIGKILL) == 0) outcome->kills++;
    }
}
