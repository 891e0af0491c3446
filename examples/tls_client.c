/* tls_client.c: fetches a page by HTTPS and prints it, head and all:
 *     tls_client localhost 7443 cert.pem
 *     tls_client example.org
 * The server's certificate must be for the name, and by somebody trusted: the system's list, or the file given. A wrong
 * one ends the program with the reason. */
#include <eddy/eddy.h>
#include <stdio.h>
#include <stdlib.h>

struct page {
    const char *host;
    int port;
    const char *ca_file;
};

static int fetch(const struct page *page, eddy_stream *stream) {
    char buffer[4096];
    int bytes = snprintf(buffer, sizeof buffer, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", page->host);
    int got = eddy_stream_write(stream, buffer, (size_t)bytes);
    if (got < 0) return got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)got, stdout);
    return got == EDDY_EOF ? 0 : got; /* EDDY_ETRUNCATED: cut off, perhaps by somebody in between */
}

static int app(void *arg, eddy_value *out) {
    const struct page *page = arg;
    (void)out;
    eddy_tls *tls;
    int status = eddy_tls_client_create(&tls, EDDY_TLS(.ca_file = page->ca_file, .alpn = "http/1.1"));
    if (status < 0) return status;
    eddy_stream *stream;
    status = EDDY_TIMEOUT(EDDY_SECONDS(10),
                          eddy_connect(&stream, page->host, (uint16_t)page->port, EDDY_CONNECT(.tls = tls)));
    if (status == 0) {
        status = fetch(page, stream);
        eddy_stream_release(stream); /* closes it */
    }
    eddy_tls_release(tls);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: tls_client HOST [PORT [TRUSTED.pem]]\n");
        return 2;
    }
    struct page page = {argv[1], argc > 2 ? atoi(argv[2]) : 443, argc > 3 ? argv[3] : NULL};
    return eddy_run(app, &page, NULL, NULL) < 0;
}
