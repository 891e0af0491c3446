/* client.h: one connection's load. */
#ifndef SIGNUP_DEMO_CLIENT_H
#define SIGNUP_DEMO_CLIENT_H

#include "demo/plan.h"

#include <eddy/eddy.h>

#include <stdatomic.h>

/* What the connections share. */
struct load {
    uint16_t port;       /* constant */
    int64_t deadline_ns; /* constant: no request begins after it */
    _Atomic uint64_t answered, created;
};

struct client {
    struct load *load;
    uint64_t requests; /* to make, unless time is up before */
    struct plan plan;
    struct tally tally;
};

/* A coroutine; `arg` is the struct client. Whatever goes wrong is in the tally; fails only when cancelled. */
int client_main(void *arg, eddy_value *out) EDDY_SUSPENDS;

#endif
