/* tls_testing.h: certificates for tests, made when they are needed. */
#ifndef TLS_TESTING_H
#define TLS_TESTING_H

#include "eddy/tls.h"
#include "net_testing.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

struct identity {
    char file[256]; /* certificate and key, PEM */
    EVP_PKEY *key;
    X509 *certificate;
};

static inline void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    EXPECT(extension != NULL);
    EXPECT_EQ(1, X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

/* For `names` ("DNS:a,IP:127.0.0.1"; NULL: a certificate authority), by `issuer` (NULL: itself), from..to days from now. */
static inline void identity_make(struct identity *made, const char *name, const char *names,
                                 const struct identity *issuer, int from_days, int to_days) {
    static long serial = 1;
    snprintf(made->file, sizeof made->file, "%s/%s-%ld.pem", test_folder(), name, serial);
    made->key = EVP_EC_gen("P-256");
    made->certificate = X509_new();
    X509 *certificate = made->certificate;
    EXPECT(made->key != NULL && certificate != NULL);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_days * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_days * 86400L);
    X509_set_pubkey(certificate, made->key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *by = issuer != NULL ? issuer->certificate : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(by));
    add_extension(certificate, by, NID_basic_constraints, names == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL) add_extension(certificate, by, NID_subject_alt_name, names);
    EXPECT(X509_sign(certificate, issuer != NULL ? issuer->key : made->key, EVP_sha256()) > 0);
    FILE *file = fopen(made->file, "w");
    EXPECT(file != NULL);
    EXPECT_EQ(1, PEM_write_X509(file, certificate));
    EXPECT_EQ(1, PEM_write_PrivateKey(file, made->key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
}

static inline void identity_drop(struct identity *made) {
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
}

/* An authority, a server by it for localhost and 127.0.0.1, and their configurations. */
struct trust {
    struct identity authority, host;
    eddy_tls *server, *client;
};

static inline void trust_make(struct trust *trust, eddy_tls_options *server_options, eddy_tls_options *client_options) {
    eddy_tls_options server = eddy_tls_options_init(), client = eddy_tls_options_init();
    identity_make(&trust->authority, "authority", NULL, NULL, -1, 10);
    identity_make(&trust->host, "host", "DNS:localhost,IP:127.0.0.1", &trust->authority, -1, 10);
    if (server_options != NULL) server = *server_options;
    if (client_options != NULL) client = *client_options;
    if (server.certificate_file == NULL) server.certificate_file = trust->host.file;
    if (server.verify_clients) server.ca_file = trust->authority.file;
    if (client.ca_file == NULL) client.ca_file = trust->authority.file;
    EXPECT_OK(eddy_tls_server_create(&trust->server, &server));
    EXPECT_OK(eddy_tls_client_create(&trust->client, &client));
}

static inline void trust_drop(struct trust *trust) {
    eddy_tls_release(trust->server);
    eddy_tls_release(trust->client);
    identity_drop(&trust->authority);
    identity_drop(&trust->host);
}

static inline eddy_server *serve_tls(eddy_connection_fn handler, void *arg, eddy_tls *tls) {
    eddy_server *server;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, handler, arg, EDDY_SERVER(.tls = tls)));
    return server;
}

static inline int try_dial_tls(eddy_stream **stream, const eddy_server *server, eddy_tls *tls, const char *name) {
    return eddy_connect(stream, "127.0.0.1", eddy_server_port(server), EDDY_CONNECT(.tls = tls, .server_name = name));
}

static inline eddy_stream *dial_tls(const eddy_server *server, eddy_tls *tls) {
    eddy_stream *stream;
    EXPECT_OK(try_dial_tls(&stream, server, tls, NULL));
    return stream;
}

#endif
