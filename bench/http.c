/* http.c. Question: what does an HTTP/1.1 request cost a server that parses its headers and sends the date, a task for
 * each connection and a timeout on each read?
 * As echo.c; how many requests come at once is the load's business. */
#include "harness/http.h"
#include "harness/bench.h"

#include <eddy/eddy.h>

static int hello(eddy_stream *stream, void *arg) {
    char buffer[HTTP_READ_BYTES / 2];
    struct http http;
    (void)arg;
    http_open(&http);
    for (;;) {
        int got = EDDY_TIMEOUT(EDDY_SECONDS(30), eddy_stream_read(stream, buffer, sizeof buffer));
        if (got < 0) return got;
        int requests = http_parse(&http, buffer, (size_t)got);
        if (requests < 0) return EDDY_EINVAL;
        while (requests-- > 0) {
            size_t bytes;
            const char *answer = http_answer(&bytes);
            int status = eddy_stream_write(stream, answer, bytes);
            if (status < 0) return status;
        }
    }
}

void bench_repetition(void) {
    eddy_server *server;
    int status = eddy_server_open(&server, "127.0.0.1", 0, hello, NULL, NULL);
    if (status < 0) bench_fail("eddy_server_open", status);
    printf("{\"port\": %u}\n", eddy_server_port(server));
    fflush(stdout);
    eddy_server_wait_closed(server);
}
