/* overload.c: an HTTP server that is offered more than it can do, and says so at once instead of answering all too late.
 *     overload 7777
 *     curl -i http://127.0.0.1:7777/work
 *     wrk -t 2 -c 200 -d 5 --latency http://127.0.0.1:7777/work     (ab -c 200 -n 9000 does as well)
 *     overload 7777 --patient                                       the same without refusals, for comparison
 * Each class of requests has a gate: /work uses a database with 8 connections and takes 10 ms, so there may be 8 at a time
 * and others wait a little; /health must be answered whatever else goes on. See docs/overload.md. */
#include <eddy/eddy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct class {
    const char *path;
    size_t slots;
    int64_t takes_ns;
    eddy_gate *gate;
};
static struct class classes[] = {{"/work", 8, EDDY_MS(10), NULL}, {"/health", 100, 0, NULL}};

static int say(eddy_stream *stream, const char *status, const char *more, const char *body) {
    char text[256];
    const int bytes =
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, more, strlen(body), body);
    return eddy_stream_write(stream, text, (size_t)bytes);
}

static int serve(eddy_stream *stream, const struct class *class) {
    int status =
        eddy_gate_enter(class->gate, eddy_time_ns() + EDDY_SECONDS(1)); /* who asks waits no longer than that */
    if (status == EDDY_EOVERLOADED) return say(stream, "503 Service Unavailable", "Retry-After: 1\r\n", "try later\n");
    if (status < 0) return status;
    status = eddy_sleep(class->takes_ns); /* the database */
    eddy_gate_exit(class->gate);          /* before the answer is sent: a slow client holds no connection of it */
    return status < 0 ? status : say(stream, "200 OK", "", "done\n");
}

static int answer(eddy_stream *stream, void *arg) { /* a task for each connection */
    (void)arg;
    int status = 0;
    while (status == 0) { /* request after request */
        const char *head;
        size_t bytes;
        status = EDDY_TIMEOUT(EDDY_SECONDS(30), eddy_stream_read_until(stream, "\r\n\r\n", 4, 0, &head, &bytes));
        if (status < 0) break;
        const struct class *class = NULL;
        for (size_t i = 0; i < 2; i++) {
            const size_t length = strlen(classes[i].path);
            if (bytes > length + 5 && strncmp(head, "GET ", 4) == 0 &&
                strncmp(head + 4, classes[i].path, length) == 0 && head[4 + length] == ' ')
                class = &classes[i];
        }
        status = class != NULL ? serve(stream, class) : say(stream, "404 Not Found", "", "not here\n");
        if (status == 0) status = eddy_stream_drain(stream);
    }
    return status == EDDY_ETIMEDOUT ? 0 : status; /* a client that was silent for long */
}

struct options {
    int port;
    bool patient;
};

static int app(void *arg, eddy_value *out) {
    const struct options *options = arg;
    (void)out;
    const int64_t wait_ns = options->patient ? EDDY_SECONDS(3600) : 0; /* 0: the defaults, 100 ms and 5 ms */
    for (size_t i = 0; i < 2; i++) {
        classes[i].gate = eddy_gate_create(classes[i].slots, EDDY_GATE(.wait_ns_max = wait_ns, .target_ns = wait_ns));
        if (classes[i].gate == NULL) return EDDY_ENOMEM;
    }
    eddy_server *server;
    int status =
        eddy_server_open(&server, "127.0.0.1", (uint16_t)options->port, answer, NULL,
                         EDDY_SERVER(.connections_max = 1000, .backlog = 1000)); /* more wait with the system */
    if (status < 0) return status;
    fprintf(stderr, "listening on port %u\n", eddy_server_port(server));
    eddy_server_wait_closed(server); /* until ^C cancels this task */
    status = eddy_server_shutdown(server, EDDY_SECONDS(1));
    eddy_server_release(server);
    for (size_t i = 0; i < 2; i++) {
        eddy_gate_stats stats;
        eddy_gate_stats_read(classes[i].gate, &stats);
        printf("%-8s %llu served, %llu refused\n", classes[i].path, (unsigned long long)stats.admitted,
               (unsigned long long)stats.refused);
        eddy_gate_release(classes[i].gate);
    }
    return status == EDDY_ETIMEDOUT ? 0 : status;
}

int main(int argc, char **argv) {
    struct options options = {argc > 1 ? atoi(argv[1]) : 7777, argc > 2 && strcmp(argv[2], "--patient") == 0};
    return eddy_run(app, &options, NULL, EDDY_RUN(.handle_sigint = true)) < 0;
}
