/* child.h: the service as a child process. Blocks: outside any run. */
#ifndef SIGNUP_DEMO_CHILD_H
#define SIGNUP_DEMO_CHILD_H

#include "demo/settings.h"

#include <sys/types.h>

struct child {
    pid_t pid;
    int output;    /* the end of its standard output, or -1 */
    uint16_t port; /* 0 if that is not read                 */
};

/* Starts the service on a free loopback port. It ends with the calling thread at the latest. `read_port`: its
 * standard output comes here, and the call returns when it listens. False: told on standard error. */
bool child_start(struct child *child, const struct settings *settings, const char *database, bool read_port);

/* SIGTERM, then waits for its end, kills it if that takes too long. True if it ended in time with exit code 0. */
bool child_stop(struct child *child, int64_t patience_ns);

#endif
