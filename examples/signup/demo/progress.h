/* progress.h: a bar on a terminal, now and then a line elsewhere. On standard error. */
#ifndef SIGNUP_DEMO_PROGRESS_H
#define SIGNUP_DEMO_PROGRESS_H

#include "demo/client.h"
#include "demo/settings.h"

struct progress {
    const struct settings *settings;
    struct load *load;
};

/* A coroutine; `arg` is the struct progress. Runs until it is cancelled. */
int progress_main(void *arg, eddy_value *out) EDDY_SUSPENDS;

#endif
