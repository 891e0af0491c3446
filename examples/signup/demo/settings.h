/* settings.h: what the command line says. Constant once the demo runs. */
#ifndef SIGNUP_DEMO_SETTINGS_H
#define SIGNUP_DEMO_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct settings {
    const char *service; /* the program          */
    int64_t connections;
    int64_t requests;      /* INT64_MAX: no limit  */
    int64_t duration_ns;   /* INT64_MAX: no limit  */
    int64_t kill_every_ns; /* 0: never             */
    int64_t workers;       /* of the service; 0: one per core */
    int64_t seed;
    bool serve, json;
};

#endif
