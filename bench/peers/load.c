/* load.c: the client of the server questions: --connections N of them, each with --depth N requests under way, until
 * --size N are answered. Every answer is looked at. It prints how many there were.
 *
 * load echo|http|idle PORT ...: idle only connects, sends --size requests in all, says {"ready": N} and waits for the end
 * of its standard input. */
#include "harness/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_BYTES = 64, DEPTH_MAX = 16, READ_BYTES = 16384 };

struct connection {
    int fd;
    int under_way;
    size_t have; /* bytes of an answer that is not whole yet */
    char partial[READ_BYTES];
};

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\nAccept: */*\r\n"
                              "Accept-Encoding: identity\r\n\r\n";
static char message[DEPTH_MAX * 256];
static size_t message_bytes, answer_bytes; /* of one; an answer's is learnt from the first */
static bool is_http;
static int64_t sent, answered;

static int check(const char *what, int result) {
    if (result < 0) bench_fail(what, -errno);
    return result;
}

static void ask(struct connection *connection, int count) {
    if (count > bench.size - sent) count = (int)(bench.size - sent);
    if (count <= 0) return;
    size_t bytes = (size_t)count * message_bytes;
    if (write(connection->fd, message, bytes) != (ssize_t)bytes) bench_fail("write", -errno);
    connection->under_way += count;
    sent += count;
}

/* The bytes of the answer that `data` begins with, or 0 if it is not whole. */
static size_t answer_size(const char *data, size_t bytes) {
    if (!is_http) return bytes < ECHO_BYTES ? 0 : ECHO_BYTES;
    if (answer_bytes != 0 && bytes >= answer_bytes) return answer_bytes;
    const char *body = memmem(data, bytes, "\r\n\r\n", 4), *length = memmem(data, bytes, "Content-Length: ", 16);
    if (length == NULL) length = memmem(data, bytes, "content-length: ", 16);
    if (body == NULL || length == NULL) return 0;
    size_t whole = (size_t)(body + 4 - data) + strtoul(length + 16, NULL, 10);
    return bytes < whole ? 0 : (answer_bytes = whole);
}

static void look_at(const char *answer, size_t bytes) {
    bool right = is_http ? memcmp(answer, "HTTP/1.1 200", 12) == 0 && memcmp(answer + bytes - 6, "world!", 6) == 0
                         : memcmp(answer, message, ECHO_BYTES) == 0;
    if (!right) bench_fail("an answer", (int)answered);
}

static void receive(struct connection *connection, int depth) {
    ssize_t got = read(connection->fd, connection->partial + connection->have, READ_BYTES - connection->have);
    if (got <= 0) bench_fail("read", got == 0 ? 0 : -errno);
    size_t have = connection->have + (size_t)got, used = 0, bytes;
    while (used < have && (bytes = answer_size(connection->partial + used, have - used)) != 0) {
        look_at(connection->partial + used, bytes);
        used += bytes;
        answered++;
        connection->under_way--;
    }
    memmove(connection->partial, connection->partial + used, have - used);
    connection->have = have - used;
    if (connection->under_way == 0) ask(connection, depth); /* all at once, as a pipeline is */
}

static void usage(void) {
    fprintf(stderr, "load echo|http|idle PORT CONNECTIONS DEPTH --size N\n");
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 5) usage();
    is_http = strcmp(argv[1], "http") == 0;
    bool idle = strcmp(argv[1], "idle") == 0;
    int port = atoi(argv[2]), connections = atoi(argv[3]), depth = atoi(argv[4]);
    if (depth < 1 || depth > DEPTH_MAX || connections < 1) usage();
    bench_open(argc - 4, argv + 4);
    message_bytes = is_http ? sizeof request - 1 : ECHO_BYTES;
    for (int i = 0; i < DEPTH_MAX; i++) {
        if (is_http)
            memcpy(message + (size_t)i * message_bytes, request, message_bytes);
        else
            memset(message + (size_t)i * message_bytes, 'a', message_bytes);
    }
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int poll = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    if (all == NULL) bench_fail("memory", -ENOMEM);
    for (int i = 0; i < connections; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        int on = 1;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        all[i].fd = check("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        check("connect", connect(all[i].fd, (struct sockaddr *)&address, sizeof address));
        check("TCP_NODELAY", setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
        check("epoll_ctl", epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event));
    }
    bench.repetition = 1;
    bench_start();
    for (int i = 0; i < connections; i++) ask(&all[i], depth);
    while (answered < bench.size) {
        struct epoll_event events[256];
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) receive(events[i].data.ptr, depth);
    }
    if (idle) {
        char end;
        printf("{\"ready\": %d}\n", connections);
        fflush(stdout);
        while (read(STDIN_FILENO, &end, 1) > 0) {
        }
    } else
        bench_stop(NULL, answered, answered);
    return 0;
}
