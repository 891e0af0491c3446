/* connection.h: one client's connection. */
#ifndef SIGNUP_CONNECTION_H
#define SIGNUP_CONNECTION_H

#include <eddy/eddy.h>

/* An eddy_connection_fn; `arg` is the struct service. */
int connection_serve(eddy_stream *stream, void *arg) EDDY_SUSPENDS;

#endif
