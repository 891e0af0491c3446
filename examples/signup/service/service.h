/* service.h: what all requests share. */
#ifndef SIGNUP_SERVICE_H
#define SIGNUP_SERVICE_H

#include "service/database.h"
#include "service/settings.h"

#include <eddy/eddy.h>

#include <stdatomic.h>

/* (c) constant while connections are served   (s) any task, at any time */
struct service {
    const struct settings *settings; /* (c) */
    size_t connections_max;          /* (c) */
    struct database *database;       /* (c) blocks: only through `threads` */
    eddy_thread_pool *threads;       /* (c) */
    eddy_process_pool *hashers;      /* (c) */
    _Atomic(eddy_server *) server;   /* (s) set once: the first clients may be earlier */
    atomic_bool stopping;            /* (s) answers now say "Connection: close"        */
    _Atomic uint64_t answers;        /* (s) */
};

/* The main task: listens, serves until SIGINT or SIGTERM, ends in order. `arg` is the struct service. */
int service_main(void *arg, eddy_value *out) EDDY_SUSPENDS;

#endif
