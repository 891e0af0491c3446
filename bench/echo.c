/* echo.c. Question: what does a request cost a TCP server that sends back what it gets, a task for each connection and a
 * timeout on each read?
 * It prints its port and serves until it is killed; serve.py sends the load and reads the server's CPU time. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdio.h>

static int echo(eddy_stream *stream, void *arg) {
    char buffer[1024];
    (void)arg;
    for (;;) {
        int got = EDDY_TIMEOUT(EDDY_SECONDS(30), eddy_stream_read(stream, buffer, sizeof buffer));
        if (got < 0) return got;
        int status = eddy_stream_write(stream, buffer, (size_t)got);
        if (status < 0) return status;
    }
}

void bench_repetition(void) {
    eddy_server *server;
    int status = eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, NULL);
    if (status < 0) bench_fail("eddy_server_open", status);
    printf("{\"port\": %u}\n", eddy_server_port(server));
    fflush(stdout);
    eddy_server_wait_closed(server);
}
