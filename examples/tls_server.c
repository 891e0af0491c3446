/* tls_server.c: a small HTTPS server, until ^C. Make a certificate, start it, ask it:
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
 *         -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
 *     tls_server 7443 cert.pem key.pem
 *     curl --cacert cert.pem https://localhost:7443/
 * The certificate is the server's; from there on a stream is a stream. Three words more, NAME CERTIFICATE.pem KEY.pem: who
 * asks for that name is shown that certificate (SNI). */
#include <eddy/eddy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int answer(eddy_stream *stream, void *arg) { /* a task for each connection, behind its handshake */
    (void)arg;
    eddy_tls_info tls;
    int status = eddy_stream_tls_info(stream, &tls);
    while (status == 0) { /* request after request */
        const char *head;
        size_t bytes;
        status = eddy_stream_read_until(stream, "\r\n\r\n", 4, 0, &head, &bytes);
        if (status < 0) break; /* EDDY_EOF: the client has no more */
        char body[128], text[256];
        int body_bytes = snprintf(body, sizeof body, "hello over %s, %s\n", tls.version,
                                  tls.resumed ? "a session resumed" : "a new session");
        int text_bytes =
            snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", body_bytes, body);
        status = eddy_stream_write(stream, text, (size_t)text_bytes);
        if (status == 0) status = eddy_stream_drain(stream); /* waits if the client does not take its answers */
    }
    return status;
}

struct second {
    const char *name;
    eddy_tls *tls;
};

static eddy_tls *choose(void *arg, const char *server_name) { /* during a handshake */
    const struct second *second = arg;
    return strcmp(server_name, second->name) == 0 ? second->tls : NULL; /* NULL: the first */
}

static int create_tls(char **argv, struct second *second, eddy_tls **tls_out) {
    int status = 0;
    if (argv[3] != NULL && argv[4] != NULL && argv[5] != NULL) { /* the last of argv is NULL */
        second->name = argv[4];
        status = eddy_tls_server_create(&second->tls,
                                        EDDY_TLS(.certificate_file = argv[5], .key_file = argv[6], .alpn = "http/1.1"));
    }
    if (status < 0) return status;
    return eddy_tls_server_create(tls_out,
                                  EDDY_TLS(.certificate_file = argv[2], .key_file = argv[3], .alpn = "http/1.1",
                                           .choose = second->tls != NULL ? choose : NULL, .choose_arg = second));
}

static int app(void *arg, eddy_value *out) {
    char **argv = arg;
    struct second second = {NULL, NULL};
    (void)out;
    eddy_tls *tls = NULL;
    int status = create_tls(argv, &second, &tls);
    eddy_server *server;
    if (status == 0)
        status = eddy_server_open(&server, "localhost", (uint16_t)atoi(argv[1]), answer, NULL, EDDY_SERVER(.tls = tls));
    if (status == 0) {
        fprintf(stderr, "listening on port %u\n", eddy_server_port(server));
        eddy_server_wait_closed(server); /* until ^C cancels this task */
        status = eddy_server_shutdown(server, EDDY_SECONDS(1));
        eddy_server_release(server);
    }
    eddy_tls_release(tls);
    eddy_tls_release(second.tls);
    return status; /* eddy_run prints why */
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: tls_server PORT CERTIFICATE.pem [KEY.pem [NAME CERTIFICATE.pem KEY.pem]]\n");
        return 2;
    }
    return eddy_run(app, argv, NULL, EDDY_RUN(.handle_sigint = true)) < 0;
}
