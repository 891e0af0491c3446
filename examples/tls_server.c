/* tls_server.c: a small HTTPS server, until ^C. Make a certificate, start it, ask it:
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
 *         -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
 *     tls_server 7443 cert.pem key.pem
 *     curl --cacert cert.pem https://localhost:7443/
 * The certificate is the server's; from there on a stream is a stream. */
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

struct files {
    int port;
    const char *certificate, *key;
};

static int app(void *arg, eddy_value *out) {
    const struct files *files = arg;
    (void)out;
    eddy_tls *tls;
    int status = eddy_tls_server_create(
        &tls, EDDY_TLS(.certificate_file = files->certificate, .key_file = files->key, .alpn = "http/1.1"));
    if (status < 0) return status; /* eddy_run prints why */
    eddy_server *server;
    status = eddy_server_open(&server, "localhost", (uint16_t)files->port, answer, NULL, EDDY_SERVER(.tls = tls));
    if (status == 0) {
        fprintf(stderr, "listening on port %u\n", eddy_server_port(server));
        eddy_server_wait_closed(server); /* until ^C cancels this task */
        status = eddy_server_shutdown(server, EDDY_SECONDS(1));
        eddy_server_release(server);
    }
    eddy_tls_release(tls);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: tls_server PORT CERTIFICATE.pem [KEY.pem]\n");
        return 2;
    }
    struct files files = {atoi(argv[1]), argv[2], argc > 3 ? argv[3] : NULL};
    return eddy_run(app, &files, NULL, EDDY_RUN(.handle_sigint = true)) < 0;
}
