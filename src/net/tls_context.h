/* tls_context.h: what a TLS stream asks its configuration. See tls_context.c. */
#ifndef ED_NET_TLS_CONTEXT_H
#define ED_NET_TLS_CONTEXT_H

#include "base/base.h"
#include "eddy/tls.h"
#include "net/tls.h"

#include <openssl/ssl.h>
#include <pthread.h>

enum { ED_TLS_SESSIONS_MAX = 64, ED_TLS_TEXT_BYTES = 400 };

/* A session to go on with, of a client's. */
struct ed_tls_session {
    char *key; /* "name:port"; NULL: the place is free */
    SSL_SESSION *session;
};

struct eddy_tls {
    struct ed_tls_door door; /* first */
    _Atomic uint32_t references;
    SSL_CTX *context;                                        /* (c) */
    bool server;                                             /* (c) */
    bool no_verify;                                          /* (c) */
    bool keeps_sessions;                                     /* (c) a client that resumes */
    int64_t handshake_ns;                                    /* (c) */
    eddy_tls *(*choose)(void *arg, const char *server_name); /* (c) */
    void *choose_arg;                                        /* (c) */
    unsigned char *alpn;                                     /* (c) lengths and names, as on the wire */
    unsigned alpn_bytes;                                     /* (c) */

    pthread_mutex_t lock; /* of the sessions */
    struct ed_tls_session sessions[ED_TLS_SESSIONS_MAX];
    unsigned next_session; /* the place to use, or to use again */
};

/* A session for `key` to try, for SSL_SESSION_free; NULL: none. */
SSL_SESSION *ed_tls_session_find(eddy_tls *tls, const char *key);

/* Where an SSL's key is: its ex data with this index. */
int ed_tls_key_index(void);

/* Writes the calling thread's queue of OpenSSL's errors as one line, and empties it. */
void ed_tls_reasons(char *text, size_t bytes);

#endif
