/* eddy/tls.h: TLS for streams, by OpenSSL. Programs that call it link with what `pkg-config --libs eddy-tls` says;
 * others need no OpenSSL.
 *
 * An eddy_tls is a configuration: whom to trust, who one is. A program has one for its clients and one for each server,
 * made once and used by any number of streams at the same time. A stream becomes a TLS stream by eddy_stream_start_tls,
 * or from its beginning by EDDY_CONNECT(.tls = ...) and EDDY_SERVER(.tls = ...); from then on the calls of eddy/net.h do
 * what they did, on what is inside.
 *
 * What differs on a TLS stream: each eddy_stream_write makes a record of its own, so many small ones cost more than
 * one. eddy_stream_shutdown_write and eddy_stream_close tell the peer that no more will come (close_notify), and do not
 * wait for its answer. A connection that ends without that gives EDDY_ETRUNCATED to reads: an attacker, or a careless
 * peer, may have cut it off. Reads and writes never wait for each other.
 *
 * Defaults: TLS 1.2 or later, the system's trusted certificates, the server's certificate verified for its name;
 * renegotiation is refused. */
#ifndef EDDY_TLS_H
#define EDDY_TLS_H

#include "eddy/net.h"

EDDY_BEGIN_DECLS

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and SSL */
struct ssl_st;

typedef struct eddy_tls_options {
    size_t size;                  /**< sizeof(eddy_tls_options): by EDDY_TLS or eddy_tls_options_init */
    const char *certificate_file; /**< PEM: the own certificate, then those between it and a trusted one. Servers  *
                                   *   must have one; clients only where the server asks for it */
    const char *key_file;         /**< PEM: its private key; NULL: it is in certificate_file */
    const char *ca_file;          /**< PEM: certificates to trust instead of the system's; NULL: those */
    const char *alpn;             /**< application protocols, "h2,http/1.1", the most wanted first; NULL: none. A     *
                                   *   server refuses a client that offers others only */
    bool no_verify;               /**< clients: believe any certificate. For tests: it makes TLS worthless */
    bool verify_clients;          /**< servers: a client must show a certificate that ca_file vouches for */
    bool no_sessions;             /**< each handshake is a full one */
    int64_t handshake_ns;         /**< a handshake may take so long; 0: 60 s */
    /** Servers: which configuration answers to a name (SNI); gives a borrowed one that lives as long as this, or NULL
     *  for this one. Runs during handshakes, on any worker, and must not suspend. NULL: this one for all names. */
    eddy_tls *(*choose)(void *arg, const char *server_name);
    void *choose_arg; /**< borrowed */
} eddy_tls_options;

static inline eddy_tls_options eddy_tls_options_init(void) {
    eddy_tls_options options = {sizeof(eddy_tls_options), NULL, NULL, NULL, NULL, false, false, false, 0, NULL, NULL};
    return options;
}
#ifndef __cplusplus
#define EDDY_TLS(...) (&(eddy_tls_options){.size = sizeof(eddy_tls_options), __VA_ARGS__})
#endif

/** Makes a configuration for clients or for servers.
 *
 *  @param tls_out  Gives one reference: eddy_tls_release().
 *  @param options  Borrowed. May be NULL for a client.
 *  @return         0; EDDY_EINVAL (a server without a certificate, a bad list of protocols); EDDY_ETLS with
 *                  OpenSSL's reasons and the file's name (not there, no PEM, a key that does not belong to the
 *                  certificate); EDDY_ENOMEM.
 *
 *  Never suspends, but reads files: at the program's start rather than in a request. Any thread; only a task gets the
 *  text.  Source: ssl.create_default_context. */
EDDY_API int eddy_tls_client_create(eddy_tls **tls_out, const eddy_tls_options *options) EDDY_ANY_THREAD;
EDDY_API int eddy_tls_server_create(eddy_tls **tls_out, const eddy_tls_options *options) EDDY_ANY_THREAD;

EDDY_API eddy_tls *eddy_tls_share(eddy_tls *tls) EDDY_ANY_THREAD;
EDDY_API void eddy_tls_release(eddy_tls *tls) EDDY_ANY_THREAD; /**< NULL is nothing. Streams keep what they need. */

/** The configuration as OpenSSL's SSL_CTX, for what has no option here. Borrowed. Change it before its first use only. */
EDDY_API struct ssl_ctx_st *eddy_tls_context(eddy_tls *tls) EDDY_ANY_THREAD;

/** Makes a stream a TLS stream: as client if `tls` is a client's, else as server. What was written before still goes
 *  out in the clear, first; what came and was not read yet is taken for the peer's handshake.
 *
 *  @param server_name  Client: the name (or numeric address) that the server's certificate must be for; also sent,
 *                      so that the server can choose (SNI). NULL: eddy_connect's host is not known here, so this is
 *                      EDDY_EINVAL, unless `tls` has no_verify. Server: ignored.
 *  @return             0; EDDY_ECERTIFICATE (unknown, expired, for another name: the detail says); EDDY_ETLS (OpenSSL's
 *                      reasons, the peer's alert among them); EDDY_ETRUNCATED (the peer hung up); EDDY_ETIMEDOUT after
 *                      options.handshake_ns; EDDY_ESTATE: it is a TLS stream already; EDDY_EBUSY: another task reads;
 *                      the connection's failure; EDDY_ECLOSED; EDDY_ECANCELED; EDDY_ENOMEM; EDDY_EWRONGTHREAD outside
 *                      a task. After ESTATE, EBUSY, EINVAL and ENOMEM at the beginning the stream is what it was;
 *                      after the others it can only be closed.
 *
 *  Suspends: for the handshake. Cancellation point: when it suspends. Threads: any task. While it runs no other task
 *  may write to the stream: it would get EDDY_EBUSY.
 *  A client that has been at this server before, with the same `tls`, resumes its session.
 *  Source: StreamWriter.start_tls, RFC 8446, RFC 6066 (SNI), RFC 7301 (ALPN), RFC 6125 (names). */
EDDY_API int eddy_stream_start_tls(eddy_stream *stream, eddy_tls *tls, const char *server_name) EDDY_SUSPENDS;

/** What a handshake agreed on. */
typedef struct eddy_tls_info {
    char version[16];      /**< "TLSv1.3" */
    char cipher[48];       /**< "TLS_AES_256_GCM_SHA384" */
    char alpn[32];         /**< the protocol that was picked; "" for none */
    char server_name[256]; /**< what the client asked for (SNI); "" for none */
    char peer[256];        /**< subject of the peer's certificate, "CN = localhost"; "" for none. Cut */
    bool resumed;          /**< no certificates were sent: an earlier session went on */
} eddy_tls_info;

/** Writes what the stream's handshake agreed on. @return 0, or EDDY_ESTATE: it is no TLS stream, or not yet.
 *  Any thread that knows that eddy_stream_start_tls has returned. */
EDDY_API int eddy_stream_tls_info(const eddy_stream *stream, eddy_tls_info *info_out) EDDY_ANY_THREAD;

/** The stream's OpenSSL SSL, for asking what has no function here (certificates, keying material); NULL if it is no TLS
 *  stream. Borrowed; on the stream's home worker only, where its handler runs; never read, write or change it. */
EDDY_API struct ssl_st *eddy_stream_ssl(const eddy_stream *stream) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
