/* libuv_server.c: a server by hand on libuv: one uv_poll for each connection, armed once and kept so, system calls of its
 * own. Echo, or HTTP with harness/http.h. */
#include "harness/bench.h"
#include "harness/http.h"
#include "harness/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct connection {
    uv_poll_t poll;
    int fd;
    struct http http;
};

static bool is_http;

static void check(const char *what, int result) {
    if (result < 0) bench_fail(what, result);
}

static bool serve(struct connection *connection) {
    char buffer[HTTP_READ_BYTES], answers[HTTP_PIPELINE_MAX * HTTP_ANSWER_MAX];
    ssize_t got = read(connection->fd, buffer, sizeof buffer);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    if (!is_http) return write(connection->fd, buffer, (size_t)got) == got;
    int requests = http_parse(&connection->http, buffer, (size_t)got);
    if (requests < 0) return false;
    size_t bytes, all = 0;
    const char *answer = http_answer(&bytes);
    for (; requests > 0; requests--, all += bytes) memcpy(answers + all, answer, bytes);
    return write(connection->fd, answers, all) == (ssize_t)all;
}

static void on_closed(uv_handle_t *handle) {
    struct connection *connection = (struct connection *)handle;
    close(connection->fd);
    free(connection);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)events;
    if (status < 0 || !serve((struct connection *)poll)) uv_close((uv_handle_t *)poll, on_closed);
}

static void on_connection(uv_poll_t *listener, int status, int events) {
    (void)events;
    check("the listener", status);
    for (;;) {
        int fd = sockets_accept(*(int *)listener->data);
        if (fd < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) bench_fail("memory", UV_ENOMEM);
        connection->fd = fd;
        http_open(&connection->http);
        check("uv_poll_init", uv_poll_init(listener->loop, &connection->poll, fd));
        check("uv_poll_start", uv_poll_start(&connection->poll, UV_READABLE, on_readable));
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "http") != 0)) return 2;
    is_http = argv[1][0] == 'h';
    bench_open(argc - 1, argv + 1);
    int listener = sockets_listen();
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t poll = {.data = &listener};
    check("uv_poll_init", uv_poll_init(loop, &poll, listener));
    check("uv_poll_start", uv_poll_start(&poll, UV_READABLE, on_connection));
    return uv_run(loop, UV_RUN_DEFAULT);
}
