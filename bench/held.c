/* held.c. Question: how long do new connections wait while one of two workers is held by a task that computes?
 * An echo server. A message that begins with "hold" and a number keeps the worker busy for so many milliseconds before it
 * is answered. As echo.c otherwise; load.c opens the connections and takes the times. */
#include "harness/bench.h"

#include <eddy/eddy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hold(int64_t duration_ns) {
    int64_t end_ns = bench_now_ns() + duration_ns;
    while (bench_now_ns() < end_ns) {
    }
}

static int echo(eddy_stream *stream, void *arg) {
    char buffer[1024];
    (void)arg;
    for (;;) {
        int got = EDDY_TIMEOUT(EDDY_SECONDS(30), eddy_stream_read(stream, buffer, sizeof buffer - 1));
        if (got < 0) return got;
        buffer[got] = '\0';
        if (strncmp(buffer, "hold", 4) == 0) hold(EDDY_MS(atoi(buffer + 4)));
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
