/* epoll_server.c: the floor for a server: one thread, level-triggered epoll, a read and a write for each request, and
 * nothing else. Echo, or HTTP with harness/http.h. */
#include "harness/bench.h"
#include "harness/http.h"
#include "harness/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct connection {
    int fd;
    struct http http;
};

static void accept_all(int poll, int listener) {
    for (;;) {
        int fd = sockets_accept(listener);
        if (fd < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) bench_fail("memory", -ENOMEM);
        connection->fd = fd;
        http_open(&connection->http);
        sockets_watch(poll, fd, connection);
    }
}

/* False: the connection has ended. A load that reads its answers never fills the socket. */
static bool serve(struct connection *connection, bool is_http) {
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

int main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "http") != 0)) return 2;
    bench_open(argc - 1, argv + 1);
    int poll = sockets_check("epoll_create1", epoll_create1(EPOLL_CLOEXEC)), listener = sockets_listen();
    sockets_watch(poll, listener, NULL);
    for (bool is_http = argv[1][0] == 'h';;) {
        struct epoll_event events[256];
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL)
                accept_all(poll, listener);
            else if (!serve(connection, is_http))
                close(connection->fd), free(connection);
        }
    }
}
