/* tls_context.c: TLS configurations: certificates, whom to trust, protocols, sessions to go on with.
 *
 * Problem    One configuration serves streams on all workers at once. OpenSSL keeps a server's sessions, but a client
 *            must find by itself which one belongs to which server.
 * Idea       An SSL_CTX, counted, constant once made. A client's has a ring of sessions by name and port: a TLS 1.3
 *            ticket is used once (RFC 8446, C.4: a second use would let an observer link the connections), an older
 *            session again and again.
 * Errors     OpenSSL's error queue is the thread's: emptied before a call, read on the line after it.
 * Threads    Making and releasing: any. The sessions: any, under `lock`, which is held for no call that could wait.
 * Not here   Streams (tls.c).
 * Tests      tests/net/tls_test.c. */
#include "net/tls_context.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

static const int64_t default_handshake_ns = 60000000000; /* asyncio's */
enum { ALPN_BYTES_MAX = 255 };

void ed_tls_reasons(char *text, size_t bytes) {
    size_t used = 0;
    unsigned long code;
    const char *data;
    int flags;
    text[0] = '\0';
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason =
            ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
        char number[32];
        snprintf(number, sizeof number, "error %lx", code);
        int length =
            snprintf(text + used, bytes - used, "%s%s%s%s", used > 0 ? "; " : "", reason != NULL ? reason : number,
                     (flags & ERR_TXT_STRING) && *data != '\0' ? ": " : "", flags & ERR_TXT_STRING ? data : "");
        used += (size_t)length;
        if (used >= bytes) break; /* cut */
    }
    ERR_clear_error();
    if (text[0] == '\0') snprintf(text, bytes, "no reason was given");
}

/* ---- sessions ---------------------------------------------------------------------------------- */

static int key_index;
static void make_key_index(void) { key_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL); }

int ed_tls_key_index(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key_index);
    return key_index;
}

static void clear_session(struct ed_tls_session *kept) {
    ed_free(kept->key);
    SSL_SESSION_free(kept->session);
    *kept = (struct ed_tls_session){NULL, NULL};
}

/* OpenSSL's callback: 1 takes the session. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    eddy_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *key = SSL_get_ex_data(ssl, ed_tls_key_index());
    if (key == NULL || tls == NULL) return 0;
    size_t bytes = strlen(key) + 1;
    char *copy = ed_alloc(bytes);
    if (copy == NULL) return 0;
    memcpy(copy, key, bytes);
    pthread_mutex_lock(&tls->lock);
    struct ed_tls_session *place = &tls->sessions[tls->next_session];
    struct ed_tls_session old = *place;
    *place = (struct ed_tls_session){copy, session};
    tls->next_session = (tls->next_session + 1) % ED_TLS_SESSIONS_MAX;
    pthread_mutex_unlock(&tls->lock);
    if (old.key != NULL) clear_session(&old);
    return 1;
}

SSL_SESSION *ed_tls_session_find(eddy_tls *tls, const char *key) {
    SSL_SESSION *found = NULL;
    struct ed_tls_session used = {NULL, NULL};
    pthread_mutex_lock(&tls->lock);
    for (unsigned i = 1; i <= ED_TLS_SESSIONS_MAX && found == NULL; i++) { /* the newest first */
        struct ed_tls_session *kept =
            &tls->sessions[(tls->next_session + ED_TLS_SESSIONS_MAX - i) % ED_TLS_SESSIONS_MAX];
        if (kept->key == NULL || strcmp(kept->key, key) != 0) continue;
        found = kept->session;
        SSL_SESSION_up_ref(found);
        if (SSL_SESSION_get_protocol_version(found) >= TLS1_3_VERSION) {
            used = *kept;
            *kept = (struct ed_tls_session){NULL, NULL};
        }
    }
    pthread_mutex_unlock(&tls->lock);
    if (used.key != NULL) clear_session(&used);
    return found;
}

/* ---- callbacks of a server's ------------------------------------------------------------------- */

static int pick_protocol(SSL *ssl, const unsigned char **picked_out, unsigned char *picked_bytes_out,
                         const unsigned char *offered, unsigned offered_bytes, void *arg) {
    (void)ssl;
    const eddy_tls *tls = arg;
    unsigned char *picked;
    if (SSL_select_next_proto(&picked, picked_bytes_out, tls->alpn, tls->alpn_bytes, offered, offered_bytes) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *picked_out = picked;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_by_name(SSL *ssl, int *alert, void *arg) {
    (void)alert;
    const eddy_tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const eddy_tls *chosen = name != NULL ? tls->choose(tls->choose_arg, name) : NULL;
    if (chosen != NULL) SSL_set_SSL_CTX(ssl, chosen->context);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- making ------------------------------------------------------------------------------------ */

/* "h2,http/1.1" as lengths and names. */
static int parse_alpn(eddy_tls *tls, const char *list) {
    size_t bytes = strlen(list);
    if (bytes == 0 || bytes >= ALPN_BYTES_MAX) return eddy_fail(EDDY_EINVAL, "the list of protocols \"%s\"", list);
    tls->alpn = ed_alloc(bytes + 1);
    if (tls->alpn == NULL) return EDDY_ENOMEM;
    tls->alpn_bytes = (unsigned)bytes + 1;
    for (unsigned char *length = tls->alpn;; list++) {
        size_t name_bytes = strcspn(list, ",");
        if (name_bytes == 0) return eddy_fail(EDDY_EINVAL, "an empty name in the list of protocols");
        *length = (unsigned char)name_bytes;
        memcpy(length + 1, list, name_bytes);
        length += 1 + name_bytes;
        list += name_bytes;
        if (*list == '\0') return 0;
    }
}

static int fail_file(const char *what, const char *file) {
    char reasons[ED_TLS_TEXT_BYTES];
    ed_tls_reasons(reasons, sizeof reasons);
    return eddy_fail(EDDY_ETLS, "%s %s: %s", what, file, reasons);
}

static int load_own(SSL_CTX *context, const eddy_tls_options *options) {
    const char *file = options->certificate_file;
    if (file == NULL) return 0;
    if (SSL_CTX_use_certificate_chain_file(context, file) != 1) return fail_file("cannot load the certificate", file);
    const char *key = options->key_file != NULL ? options->key_file : file;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return fail_file("cannot load the private key", key);
    return 0; /* that they belong together was looked at */
}

static int load_trusted(eddy_tls *tls, const eddy_tls_options *options) {
    SSL_CTX *context = tls->context;
    bool verifies = tls->server ? options->verify_clients : !options->no_verify;
    if (options->ca_file != NULL) {
        if (SSL_CTX_load_verify_file(context, options->ca_file) != 1)
            return fail_file("cannot load the trusted certificates", options->ca_file);
        if (tls->server && verifies) SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->ca_file));
        ERR_clear_error();
    } else if (verifies && SSL_CTX_set_default_verify_paths(context) != 1) {
        return fail_file("cannot load the trusted certificates", "of the system");
    }
    int mode = tls->server ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER;
    SSL_CTX_set_verify(context, verifies ? mode : SSL_VERIFY_NONE, NULL);
    return 0;
}

static void set_sessions(eddy_tls *tls, bool none) {
    SSL_CTX *context = tls->context;
    if (none) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    } else if (tls->server) {
        static const unsigned char id[] = "eddy"; /* sessions are this configuration's only: any name will do */
        SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
    } else {
        tls->keeps_sessions = true;
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_session);
    }
}

static int configure(eddy_tls *tls, const eddy_tls_options *options) {
    SSL_CTX *context = tls->context;
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    set_sessions(tls, options->no_sessions);
    int status = load_own(context, options);
    if (status == 0) status = load_trusted(tls, options);
    if (status == 0 && options->alpn != NULL) {
        status = parse_alpn(tls, options->alpn);
        if (status == 0 && tls->server) SSL_CTX_set_alpn_select_cb(context, pick_protocol, tls);
        if (status == 0 && !tls->server && SSL_CTX_set_alpn_protos(context, tls->alpn, tls->alpn_bytes) != 0)
            status = EDDY_ENOMEM;
    }
    if (options->choose != NULL) {
        tls->choose = options->choose;
        tls->choose_arg = options->choose_arg;
        SSL_CTX_set_tlsext_servername_callback(context, choose_by_name);
        SSL_CTX_set_tlsext_servername_arg(context, tls);
    }
    return status;
}

static int create(eddy_tls **tls_out, const eddy_tls_options *options, bool server) {
    eddy_tls_options none = eddy_tls_options_init();
    if (options == NULL) options = &none;
    if (options->size != sizeof *options) return EDDY_EINVAL;
    if (server && options->certificate_file == NULL) return eddy_fail(EDDY_EINVAL, "a TLS server needs a certificate");
    if (server && options->verify_clients && options->ca_file == NULL)
        return eddy_fail(EDDY_EINVAL, "verify_clients needs a ca_file: whoever the world trusts is too many");
    eddy_tls *tls = ed_calloc(sizeof *tls);
    if (tls == NULL) return EDDY_ENOMEM;
    ERR_clear_error();
    tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (tls->context == NULL) {
        ERR_clear_error();
        ed_free(tls);
        return EDDY_ENOMEM;
    }
    ED_STORE_RELAXED(&tls->references, 1);
    pthread_mutex_init(&tls->lock, NULL);
    tls->door.start = eddy_stream_start_tls;
    tls->server = server;
    tls->no_verify = options->no_verify;
    tls->handshake_ns = options->handshake_ns > 0 ? options->handshake_ns : default_handshake_ns;
    int status = configure(tls, options);
    if (status < 0) {
        eddy_tls_release(tls);
        return status;
    }
    *tls_out = tls;
    return 0;
}

int eddy_tls_client_create(eddy_tls **tls_out, const eddy_tls_options *options) {
    return create(tls_out, options, false);
}

int eddy_tls_server_create(eddy_tls **tls_out, const eddy_tls_options *options) {
    return create(tls_out, options, true);
}

eddy_tls *eddy_tls_share(eddy_tls *tls) {
    ED_ADD_RELAXED(&tls->references, 1);
    return tls;
}

void eddy_tls_release(eddy_tls *tls) {
    if (tls == NULL || ED_SUB(&tls->references, 1) != 1) return;
    for (unsigned i = 0; i < ED_TLS_SESSIONS_MAX; i++) clear_session(&tls->sessions[i]);
    SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->lock);
    ed_free(tls->alpn);
    ed_free(tls);
}

struct ssl_ctx_st *eddy_tls_context(eddy_tls *tls) {
    return tls->context;
}
