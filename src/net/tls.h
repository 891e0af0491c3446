/* tls.h: a TLS configuration inside, for tls.c and tls_context.c; and what the rest of net/ knows of it, without linking
 * OpenSSL: its first member. */
#ifndef ED_NET_TLS_H
#define ED_NET_TLS_H

#include "eddy/net.h"

/* The beginning of an eddy_tls. `start` is eddy_stream_start_tls: a pointer, so that programs without TLS need none. */
struct ed_tls_door {
    int (*start)(eddy_stream *stream, eddy_tls *tls, const char *server_name);
};

static inline int ed_tls_start(eddy_stream *stream, eddy_tls *tls, const char *server_name) {
    return ((struct ed_tls_door *)tls)->start(stream, tls, server_name);
}

#endif
