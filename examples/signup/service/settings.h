/* settings.h: what the command line says. Constant once the service runs. */
#ifndef SIGNUP_SETTINGS_H
#define SIGNUP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Fixed by what the service is: lookups that block, and hashing that computes. */
enum { DATABASE_THREADS = 4, HASH_PROCESSES = 2 };

struct settings {
    const char *host;
    int64_t port; /* 0: a free one */
    const char *database;
    int64_t workers;     /* 0: one per core */
    int64_t queue;       /* registrations that may wait for a hash process */
    int64_t patience_ns; /* for a registration */
    int64_t grace_ns;
    bool verbose;
};

#endif
