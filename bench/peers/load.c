/* load.c: the client of the server questions. Every answer is looked at.
 *
 * load echo|http PORT CONNECTIONS DEPTH --size N   so many connections with DEPTH requests under way on each, until N are
 *                  answered. Prints the line of a measurement.
 * load steps PORT CONNECTIONS 1   connects, says {"left": CONNECTIONS}, and obeys the lines of its standard input until
 *                  that ends: "ask N": N echo requests in all, one under way on each; says {"answered": N}. "close": ends
 *                  every second connection that is left; says {"left": N}.
 * load held PORT 1 1 --size N   has the server hold one of its workers (bench/held.c), and meanwhile opens N connections, one
 *                  each 2 ms, none of which waits for another. Prints how long the first answers took. */
#include "harness/bench.h"
#include "harness/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
static int64_t sent, answered, goal;
static int epoll_fd;

static void open_one(struct connection *connection, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = connection->fd = sockets_check("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockets_check("connect", connect(fd, (struct sockaddr *)&address, sizeof address));
    sockets_send_at_once(fd);
    sockets_watch(epoll_fd, fd, connection);
}

static void ask(struct connection *connection, int count) {
    if (count > goal - sent) count = (int)(goal - sent);
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

static struct connection *open_all(int port, int count) {
    struct connection *all = calloc((size_t)count, sizeof *all);
    if (all == NULL) bench_fail("memory", -ENOMEM);
    for (int i = 0; i < count; i++) open_one(&all[i], port);
    return all;
}

/* Asks for `count` answers more and takes them. */
static void serve_until(struct connection *all, int connections, int depth, int64_t count) {
    goal = answered + count;
    for (int i = 0; i < connections; i++)
        if (all[i].fd >= 0) ask(&all[i], depth);
    while (answered < goal) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) receive(events[i].data.ptr, depth);
    }
}

static void say(const char *what, long long count) {
    printf("{\"%s\": %lld}\n", what, count);
    fflush(stdout);
}

static void obey(struct connection *all, int connections) {
    char line[64];
    int left = connections, skip = 0;
    say("left", left);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, "ask ", 4) == 0) {
            int64_t count = atoll(line + 4);
            serve_until(all, connections, 1, count);
            say("answered", count);
        } else if (strcmp(line, "close\n") == 0) {
            for (int i = 0; i < connections; i++) {
                if (all[i].fd < 0 || skip++ % 2 == 0) continue;
                close(all[i].fd);
                all[i].fd = -1;
                left--;
            }
            say("left", left);
        }
    }
}

static int later(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

enum {
    HELD_EACH_NS = 2000000,
    HELD_BEFORE_NS = 50000000,
    HELD_AFTER_NS = 1500000000 /* a late client's time */
};

/* How long it takes from connect to the first answer while a worker is held. */
static void held(int port) {
    int count = (int)bench.size, begun = 0, ended = 0;
    struct connection hold = {0}, *all = calloc((size_t)count, sizeof *all);
    int64_t *since = calloc((size_t)count, sizeof *since), *took = calloc((size_t)count, sizeof *took);
    if (all == NULL || since == NULL || took == NULL) bench_fail("memory", -ENOMEM);
    open_one(&hold, port);
    char order[ECHO_BYTES] = "hold";
    snprintf(order + 4, sizeof order - 4, "%d",
             (count * (HELD_EACH_NS / 1000) + (HELD_BEFORE_NS + HELD_AFTER_NS) / 1000) / 1000);
    if (write(hold.fd, order, sizeof order) != sizeof order) bench_fail("write", -errno);
    int64_t next_ns = bench_now_ns() + HELD_BEFORE_NS; /* it is held by then */
    bool is_held = true;                               /* until its answer: the next run holds one worker, not two */
    while (ended < count || is_held) {
        int64_t now_ns = bench_now_ns();
        if (begun < count && now_ns >= next_ns) {
            since[begun] = now_ns;
            open_one(&all[begun], port);
            goal++; /* one on each */
            ask(&all[begun++], 1);
            next_ns += HELD_EACH_NS;
            continue;
        }
        struct epoll_event events[256];
        const struct timespec wait = {.tv_nsec = next_ns - now_ns};
        int ready = epoll_pwait2(epoll_fd, events, 256, begun < count ? &wait : NULL, NULL);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &hold) {
                if (begun < count) bench_fail("the worker was not held for long enough", 0);
                sockets_check("read", (int)read(hold.fd, order, sizeof order));
                is_held = false;
                continue;
            }
            receive(connection, 1);
            took[ended++] = bench_now_ns() - since[connection - all];
            close(connection->fd);
        }
    }
    qsort(took, (size_t)count, sizeof *took, later);
    bench.repetition = 1;
    bench_amount("", "ms", (double)took[(count - 1) * 99 / 100] / 1e6, answered);
    bench_amount("median", "ms", (double)took[count / 2] / 1e6, answered);
    bench_amount("longest", "ms", (double)took[count - 1] / 1e6, answered);
}

static void usage(void) {
    fprintf(stderr, "load echo|http|steps|held PORT CONNECTIONS DEPTH --size N\n");
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 5) usage();
    const char *kind = argv[1];
    int port = atoi(argv[2]), connections = atoi(argv[3]), depth = atoi(argv[4]);
    if (depth < 1 || depth > DEPTH_MAX || connections < 1) usage();
    bench_open(argc - 4, argv + 4);
    is_http = strcmp(kind, "http") == 0;
    message_bytes = is_http ? sizeof request - 1 : ECHO_BYTES;
    for (int i = 0; i < DEPTH_MAX; i++) {
        if (is_http)
            memcpy(message + (size_t)i * message_bytes, request, message_bytes);
        else
            memset(message + (size_t)i * message_bytes, 'a', message_bytes);
    }
    epoll_fd = sockets_check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    if (strcmp(kind, "held") == 0) {
        held(port);
        return 0;
    }
    struct connection *all = open_all(port, connections);
    if (strcmp(kind, "steps") == 0) {
        obey(all, connections);
        return 0;
    }
    bench.repetition = 1;
    bench_start();
    serve_until(all, connections, depth, bench.size);
    bench_stop(NULL, answered, answered);
    return 0;
}
