/* tls.c: TLS as a layer of a stream: OpenSSL between what tasks read and write and what the socket carries.
 *
 * Problem    OpenSSL wants to read and write by itself, may want to read in order to write, and keeps its errors in a
 *            thread-local queue; a task may be cancelled at any suspension, and other tasks run on the thread then.
 * Idea       OpenSSL never sees the socket. It reads from `raw`, where the layer puts what has come, and writes straight
 *            into the stream's output buffer, which the loop sends whether or not anybody waits: so a TLS read never
 *            waits for writability, and one memory copy is all that is added. Everything that OpenSSL could give is
 *            taken before the socket is asked, and all of that before anybody waits.
 * Invariants (L1) No suspension lies between a call of OpenSSL and the reading of its error queue, nor inside one.
 *            (L2) `raw` has a block only while it holds bytes; a cancelled read leaves them there.
 *            (L3) `failure` is the first one; OpenSSL is not called any more then, except to be freed.
 *            (L4) Room for the whole of a write is made before OpenSSL makes records: all of it goes out, or none.
 * Threads    The stream's home worker; release: any.
 * Not here   Configurations and sessions (tls_context.c); closing (stream.c), flushing (stream_write.c), waiting
 *            (stream_read.c).
 * Tests      tests/net/tls_test.c; tests/scripts/tls_peers.py (openssl, curl, nginx). */
#include "eddy/scope.h"
#include "net/stream_parts.h"
#include "net/tls_context.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* A record adds at most 5 + 16 + 255 + 48 bytes (header, nonce, padding, MAC) to at most 16 KiB, RFC 5246. */
enum { RECORD_BYTES = 16 * 1024, RECORD_OVERHEAD = 384 };

struct tls {
    struct ed_layer layer; /* first */
    eddy_stream *stream;   /* (c) owns this */
    eddy_tls *config;      /* (c) one reference */
    SSL *ssl;
    struct ed_buffer raw; /* L2 */
    bool raw_ended;       /* the socket has come to its end */
    bool established;     /* the handshake is over */
    bool no_memory;       /* the output found none: why OpenSSL failed */
    int failure;          /* L3 */
    char text[ED_TLS_TEXT_BYTES];
    char key[256 + 8]; /* of the session: "name:port"; "" for none */
    eddy_tls_info info;
};

static struct tls *tls_of(struct ed_layer *layer) { return ED_CONTAINER(layer, struct tls, layer); }

/* ---- OpenSSL's side: a BIO --------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *buffer, int bytes) {
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t held = ed_buffer_size(&tls->raw);
    if (held == 0 && !tls->raw_ended) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = held < (size_t)bytes ? held : (size_t)bytes;
    if (taken > 0) memcpy(buffer, ed_buffer_bytes(&tls->raw), taken);
    ed_buffer_consume(&tls->raw, taken);
    return (int)taken;
}

static int bio_write(BIO *bio, const char *data, int bytes) {
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->stream->state == CLOSED) return -1;
    if (ed_stream_reserve_raw(tls->stream, (size_t)bytes) < 0) {
        tls->no_memory = true;
        return -1;
    }
    ed_stream_append_raw(tls->stream, data, (size_t)bytes);
    return bytes;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    const struct tls *tls = BIO_get_data(bio);
    if (command == BIO_CTRL_FLUSH) return 1; /* the stream does it */
    if (command == BIO_CTRL_EOF) return tls->raw_ended && ed_buffer_size(&tls->raw) == 0;
    return 0;
}

static BIO_METHOD *method;

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "eddy stream");
    if (method == NULL) return;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
}

/* ---- failures ---------------------------------------------------------------------------------- */

/* What a failed call of OpenSSL means; called right after it (L1). */
static int note_failure(struct tls *tls) {
    char reasons[ED_TLS_TEXT_BYTES - 64];
    long verified = SSL_get_verify_result(tls->ssl);
    bool truncated = tls->raw_ended && ed_buffer_size(&tls->raw) == 0;
    ed_tls_reasons(reasons, sizeof reasons);
    if (tls->no_memory) {
        tls->failure = EDDY_ENOMEM;
        snprintf(tls->text, sizeof tls->text, "no memory for TLS");
    } else if (!tls->established && verified != X509_V_OK && !truncated) {
        tls->failure = EDDY_ECERTIFICATE;
        snprintf(tls->text, sizeof tls->text, "the peer's certificate: %s", X509_verify_cert_error_string(verified));
    } else if (truncated) {
        tls->failure = EDDY_ETRUNCATED;
        snprintf(tls->text, sizeof tls->text, "the peer ended the connection %s",
                 tls->established ? "without TLS's close_notify" : "during the TLS handshake");
    } else {
        tls->failure = EDDY_ETLS;
        snprintf(tls->text, sizeof tls->text, "TLS: %s", reasons);
    }
    return tls->failure;
}

static int fail_again(const struct tls *tls) { return eddy_fail(tls->failure, "%s", tls->text); }

/* ---- the layer --------------------------------------------------------------------------------- */

/* Asks the socket. 0: there is something new for OpenSSL; -EAGAIN, or a failure. */
static int fill_raw(struct tls *tls) {
    if (tls->layer.exhausted) return -EAGAIN;
    struct ed_buffer_store *store = ed_stream_store(tls->stream);
    int status = ed_buffer_reserve(&tls->raw, store, ED_BUFFER_BYTES);
    if (status < 0) return status;
    size_t room = ed_buffer_room(&tls->raw);
    int got = ed_stream_receive_raw(tls->stream, tls->raw.data + tls->raw.end, room);
    if (got > 0) {
        tls->raw.end += (size_t)got;
        tls->layer.exhausted = (size_t)got < room;
        return 0;
    }
    if (ed_buffer_size(&tls->raw) == 0) ed_buffer_release(&tls->raw, store);
    tls->raw_ended = got == 0;
    return got;
}

static int receive(struct ed_layer *layer, void *buffer, size_t bytes) {
    struct tls *tls = tls_of(layer);
    if (tls->failure < 0) return fail_again(tls);
    for (;;) {
        ERR_clear_error();
        int got = SSL_read(tls->ssl, buffer, bytes < INT_MAX ? (int)bytes : INT_MAX);
        if (got > 0) return got;
        int error = SSL_get_error(tls->ssl, got);
        if (error == SSL_ERROR_ZERO_RETURN) return 0;
        if (error != SSL_ERROR_WANT_READ) {
            note_failure(tls);
            ed_stream_flush(tls->stream); /* the alert that tells the peer why */
            return fail_again(tls);
        }
        int status = fill_raw(tls);
        if (status < 0) return status;
    }
}

static int send_records(struct ed_layer *layer, const void *data, size_t bytes) {
    struct tls *tls = tls_of(layer);
    if (tls->failure < 0) return fail_again(tls);
    if (!tls->established) return EDDY_EBUSY;
    if (bytes > SIZE_MAX / 2) return EDDY_ENOMEM;
    int status = ed_stream_reserve_raw(tls->stream, bytes + (bytes / RECORD_BYTES + 2) * RECORD_OVERHEAD);
    if (status < 0) return status;
    ERR_clear_error();
    size_t sent;
    if (SSL_write_ex(tls->ssl, data, bytes, &sent) != 1) {
        note_failure(tls);
        ed_stream_flush(tls->stream);
        ed_stream_fail(tls->stream, tls->failure);
        return fail_again(tls);
    }
    ED_ASSERT(sent == bytes); /* the output takes all (L4) */
    if (ed_buffer_size(&tls->stream->out) >= ED_BUFFER_BYTES) ed_stream_flush(tls->stream);
    return tls->stream->status;
}

static void end(struct ed_layer *layer) {
    struct tls *tls = tls_of(layer);
    if (tls->failure < 0 || !tls->established) return;
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

static void release(struct ed_layer *layer) {
    struct tls *tls = tls_of(layer);
    SSL_free(tls->ssl);
    ERR_clear_error();
    ed_buffer_release(&tls->raw, NULL);
    eddy_tls_release(tls->config);
    ed_free(tls);
}

/* ---- the handshake ----------------------------------------------------------------------------- */

static int handshake(struct tls *tls) {
    for (;;) {
        ERR_clear_error();
        int done = SSL_do_handshake(tls->ssl);
        if (done == 1) return 0;
        if (SSL_get_error(tls->ssl, done) != SSL_ERROR_WANT_READ) {
            note_failure(tls);
            ed_stream_flush(tls->stream);
            return fail_again(tls);
        }
        int status = fill_raw(tls);
        if (status == -EAGAIN) status = ed_stream_wait_raw(tls->stream);
        if (status < 0) return status;
    }
}

static void note_info(struct tls *tls) {
    eddy_tls_info *info = &tls->info;
    snprintf(info->version, sizeof info->version, "%s", SSL_get_version(tls->ssl));
    snprintf(info->cipher, sizeof info->cipher, "%s", SSL_get_cipher_name(tls->ssl));
    const unsigned char *alpn;
    unsigned alpn_bytes;
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_bytes);
    snprintf(info->alpn, sizeof info->alpn, "%.*s", (int)alpn_bytes, (const char *)alpn);
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(info->server_name, sizeof info->server_name, "%s", name != NULL ? name : "");
    info->resumed = SSL_session_reused(tls->ssl) == 1;
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    BIO *memory = peer != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (memory != NULL) {
        X509_NAME_print_ex(memory, X509_get_subject_name(peer), 0, XN_FLAG_ONELINE);
        int bytes = BIO_read(memory, info->peer, sizeof info->peer - 1);
        info->peer[bytes > 0 ? bytes : 0] = '\0';
        BIO_free(memory);
    }
    ERR_clear_error();
}

static bool is_numeric(const char *name) {
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Whom the client means. False: no memory. */
static bool set_server_name(struct tls *tls, const char *name) {
    if (name == NULL) return true;
    SSL *ssl = tls->ssl;
    bool numeric = is_numeric(name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!numeric && SSL_set_tlsext_host_name(ssl, name) != 1) return false;
    if ((numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) : SSL_set1_host(ssl, name)) != 1)
        return false;
    if (!tls->config->keeps_sessions) return true;
    char peer[64]; /* with the port */
    eddy_stream_peer(tls->stream, peer, sizeof peer);
    snprintf(tls->key, sizeof tls->key, "%s%s", name, strrchr(peer, ':') != NULL ? strrchr(peer, ':') : "");
    if (SSL_set_ex_data(ssl, ed_tls_key_index(), tls->key) != 1) return false;
    SSL_SESSION *session = ed_tls_session_find(tls->config, tls->key);
    if (session != NULL) {
        SSL_set_session(ssl, session); /* one that does not fit is left out */
        SSL_SESSION_free(session);
    }
    return true;
}

static struct tls *create(eddy_stream *stream, eddy_tls *config, const char *server_name) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    struct tls *tls = ed_calloc(sizeof *tls);
    if (tls == NULL) return NULL;
    tls->layer = (struct ed_layer){receive, send_records, end, release, false, true};
    tls->stream = stream;
    ERR_clear_error();
    tls->ssl = SSL_new(config->context);
    BIO *bio = tls->ssl != NULL && method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) goto failed;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* takes it, once for both */
    tls->config = config;
    if (config->server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    if (!config->server && !set_server_name(tls, server_name)) goto failed;
    eddy_tls_share(config);
    return tls;

failed:
    SSL_free(tls->ssl);
    ERR_clear_error();
    ed_free(tls);
    return NULL;
}

struct start {
    eddy_tls *config;
    const char *server_name;
    bool begun;
};

/* At home, as the stream's reader. */
static int start_here(eddy_stream *stream, void *arg) {
    struct start *start = arg;
    start->begun = true;
    if (stream->layer != NULL)
        return eddy_fail(EDDY_ESTATE,
                         ed_stream_is_sealed(stream) ? "it is a TLS stream already" : "it receives descriptors");
    if (stream->status < 0) return stream->status;
    if (stream->state != OPEN || stream->shutting) return EDDY_ECLOSED;
    struct tls *tls = create(stream, start->config, start->server_name);
    if (tls == NULL) return EDDY_ENOMEM;
    ed_stream_set_layer(stream, &tls->layer, &tls->raw);
    int status = handshake(tls);
    if (status == 0) {
        note_info(tls);
        tls->established = true;
    } else if (tls->failure == 0) {
        tls->failure = EDDY_ETLS;
        snprintf(tls->text, sizeof tls->text, "the TLS handshake was given up");
    }
    return status; /* after a failure only the alert goes out: the layer refuses the rest */
}

int eddy_stream_start_tls(eddy_stream *stream, eddy_tls *tls, const char *server_name) {
    if (!tls->server && server_name == NULL && !tls->no_verify)
        return eddy_fail(EDDY_EINVAL, "a TLS client must say whose certificate it expects");
    if (server_name != NULL && strlen(server_name) >= sizeof((struct tls *)NULL)->info.server_name)
        return eddy_fail(EDDY_EINVAL, "a server's name of more than 255 bytes");
    struct start start = {tls, server_name, false};
    int status = EDDY_TIMEOUT(tls->handshake_ns, ed_stream_as_reader(stream, start_here, &start, "start_tls"));
    if (status == EDDY_ETIMEDOUT) /* ours: the caller's own scopes give EDDY_ECANCELED in here */
        eddy_fail(status, "the TLS handshake took longer than %lld ms", (long long)(tls->handshake_ns / 1000000));
    /* On its way to the stream's worker: what the caller wanted in TLS must not go out in the clear. */
    if (!start.begun && (status == EDDY_ETIMEDOUT || status == EDDY_ECANCELED)) ed_stream_begin_close(stream);
    return status;
}

/* ---- what it agreed on ------------------------------------------------------------------------- */

static const struct tls *established(const eddy_stream *stream) {
    return ed_stream_is_sealed(stream) && tls_of(stream->layer)->established ? tls_of(stream->layer) : NULL;
}

int eddy_stream_tls_info(const eddy_stream *stream, eddy_tls_info *info_out) {
    const struct tls *tls = established(stream);
    if (tls == NULL) return EDDY_ESTATE;
    *info_out = tls->info;
    return 0;
}

struct ssl_st *eddy_stream_ssl(const eddy_stream *stream) {
    const struct tls *tls = established(stream);
    return tls != NULL ? tls->ssl : NULL;
}
