/* hello_server.c: a TCP server that greets, until ^C. Try it with: nc 127.0.0.1 7777
 * and type a name. asyncio's start_server, with its StreamReader and StreamWriter in one; here it listens
 * on every core. */
#include <eddy/eddy.h>
#include <stdio.h>
#include <stdlib.h>

static int greet(eddy_stream *stream, void *arg) { /* a task for each connection */
    const char *name;
    size_t bytes;
    (void)arg;
    int status = eddy_stream_read_until(stream, "\n", 1, 0, &name, &bytes);
    if (status == 0) status = eddy_stream_write(stream, "Hello, ", 7);
    if (status == 0) status = eddy_stream_write(stream, name, bytes);
    return status; /* who left without a name (EDDY_EOF) is no failure */
}

static int app(void *port, eddy_value *out) {
    eddy_server *server;
    (void)out;
    int status = eddy_server_open(&server, "127.0.0.1", (uint16_t)atoi(port), greet, NULL, NULL);
    if (status < 0) return status; /* the port is in use, for example: eddy_run prints it */
    fprintf(stderr, "listening on port %u\n", eddy_server_port(server));
    eddy_server_wait_closed(server); /* until ^C cancels this task */
    status = eddy_server_shutdown(server, EDDY_SECONDS(1));
    eddy_server_release(server);
    return status;
}

int main(int argc, char **argv) {
    return eddy_run(app, argc > 1 ? argv[1] : "7777", NULL, EDDY_RUN(.handle_sigint = true)) < 0;
}
