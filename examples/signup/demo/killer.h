/* killer.h: kills the service's hash processes, to see that nothing else fails. */
#ifndef SIGNUP_DEMO_KILLER_H
#define SIGNUP_DEMO_KILLER_H

#include "demo/drive.h"

struct killer {
    struct outcome *outcome; /* .kills is counted here */
};

/* A coroutine; `arg` is the struct killer. Runs until it is cancelled. */
int killer_main(void *arg, eddy_value *out) EDDY_SUSPENDS;

#endif
