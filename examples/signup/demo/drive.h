/* drive.h: the load on the service, as an eddy program. */
#ifndef SIGNUP_DEMO_DRIVE_H
#define SIGNUP_DEMO_DRIVE_H

#include "demo/service_stats.h"
#include "demo/settings.h"
#include "demo/tally.h"

#include <sys/types.h>

/* What the demo finds out. */
struct outcome {
    const struct settings *settings; /* given */
    pid_t service_pid;               /* given */
    uint16_t port;                   /* given */

    struct tally tally; /* of all connections */
    int64_t elapsed_ns;
    unsigned kills;
    struct service_stats service;
    double client_held_ms_max;
    uint64_t users, right_hashes; /* found by verify() */
};

/* A coroutine; `arg` is the struct outcome. Fails only if the load could not be made; what the service did wrong
 * is in the tally. */
int drive_main(void *arg, eddy_value *out) EDDY_SUSPENDS;

bool outcome_is_ok(const struct outcome *outcome);

#endif
