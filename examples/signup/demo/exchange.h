/* exchange.h: a request out, its answer in. */
#ifndef SIGNUP_DEMO_EXCHANGE_H
#define SIGNUP_DEMO_EXCHANGE_H

#include <eddy/eddy.h>

struct reply {
    int status;
    bool closes; /* the service will close the connection */
    char *body;  /* the caller's room, body_max bytes; filled with body_bytes and a NUL */
    size_t body_max, body_bytes;
};

/* @return 0; EDDY_EINCOMPLETE, EDDY_EOF and the connection's failures: there is no answer; EDDY_EINVAL: it is none
 * that HTTP knows; EDDY_ECANCELED. Suspends. Cancellation point: when it suspends. */
int exchange(eddy_stream *stream, const char *request, size_t bytes, struct reply *reply) EDDY_SUSPENDS;

#endif
