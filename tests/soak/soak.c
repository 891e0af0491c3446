/* soak.c: many connections, held for long, between two processes: no byte is lost, none comes twice, and memory stays what
 * it was. `zig build soak -- [--seconds N] [--connections N] [--period-ms N] [--plant FAULT]`; 60 s and 1,000 connections
 * unless asked otherwise. On the loopback only; ends by itself.
 *
 * Method     This program starts itself again as the server. Each connection carries two streams of bytes, one each way, of
 *            which every byte is known from the connection's number, its direction and its position. A client sends a
 *            message of a random length (now and then a large one) every period or so: a header that says where in the
 *            stream it begins, then the bytes. The server compares each, and answers with as many of its own stream. Both
 *            count whole messages: at the end the books must agree, to the byte.
 *            Most connections are held from the beginning to the end. Of each 64 one is read byte by byte, one is closed
 *            and opened again after some messages, one is reset in the middle of a message and opened again.
 * Memory     What is resident in both processes is noted 40 times. It is stable if the mean of the last quarter is above
 *            that of the second by at most 2 % and 4 MiB (the first quarter warms up).
 * Faults     --plant flip, lose, leak: the server sends a wrong byte, leaves one out, keeps memory. Must be found.
 * Not here   Many connections that come and go at once (bench/echo.c), descriptors that run out (tests/net/server_test.c). */
#include "eddy/eddy.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CHUNK = 512, SMALL_MAX = 1024, LARGE = 96 * 1024, SAMPLES = 40, DIALING = 64, REOPENED_AFTER = 3 };
enum kind { HELD, BYTEWISE, REOPENED, RESET, KINDS = 64 };

static int64_t seconds_asked = 60, connections_asked = 1000, period_ms = 5000;
static const char *planted = "";

/* One process's books. */
static struct { _Atomic int64_t open, messages, bytes_out, bytes_in, wrong, late, ended, cut; } books;

static bool plants(const char *fault) { return strcmp(planted, fault) == 0; }

/* ---- the bytes ----------------------------------------------------------------------------------------- */

struct header {
    uint64_t position, bytes; /* 0 bytes at the beginning: position is the connection's number */
};

static uint64_t word_at(uint64_t stream, uint64_t index) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t x = stream * 0x9E3779B97F4A7C15u + index;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void fill(unsigned char *data, size_t bytes, uint64_t stream, uint64_t position) {
    for (size_t i = 0; i < bytes; i++, position++)
        data[i] = (unsigned char)(word_at(stream, position / 8) >> (position % 8 * 8));
}

static int send_part(eddy_stream *stream, uint64_t number, uint64_t position, uint64_t bytes) {
    unsigned char chunk[CHUNK];
    for (int status = 0; bytes > 0;) {
        const size_t part = bytes < CHUNK ? bytes : CHUNK;
        fill(chunk, part, number, position);
        if (position == 0 && plants("flip")) chunk[0] ^= 1;
        status = eddy_stream_write(stream, chunk, part);
        if (status == 0) status = eddy_stream_drain(stream);
        if (status < 0) return status;
        position += part, bytes -= part;
    }
    return 0;
}

static int send_message(eddy_stream *stream, uint64_t number, uint64_t *position, uint64_t bytes) {
    const struct header header = {*position, bytes};
    int status = eddy_stream_write(stream, &header, sizeof header);
    if (status == 0) status = send_part(stream, number, *position, bytes);
    *position += bytes;
    return status;
}

/* The bytes of a message whose header was read. */
static int receive_part(eddy_stream *stream, uint64_t number, uint64_t *position, uint64_t bytes, size_t at_a_time) {
    unsigned char got[CHUNK], wanted[CHUNK];
    while (bytes > 0) {
        const int status = eddy_stream_read(stream, got, bytes < at_a_time ? bytes : at_a_time);
        if (status < 0) return status == EDDY_EOF ? EDDY_EINCOMPLETE : status;
        fill(wanted, (size_t)status, number, *position);
        if (memcmp(got, wanted, (size_t)status) != 0) books.wrong++;
        *position += (uint64_t)status, bytes -= (uint64_t)status;
    }
    return 0;
}

/* ---- the server ---------------------------------------------------------------------------------------- */

static EDDY_CONNECTION(answer) {
    struct header header;
    uint64_t in = 0, out = 0;
    (void)arg;
    int status = eddy_stream_read_exactly(stream, &header, sizeof header, NULL);
    const uint64_t number = header.position * 2;
    books.open++;
    while (status == 0) {
        status = eddy_stream_read_exactly(stream, &header, sizeof header, NULL);
        if (status < 0) break;
        if (header.position != in) books.wrong++;
        status = receive_part(stream, number, &in, header.bytes, CHUNK);
        if (plants("lose") && in > 100000) out++;
        if (status == 0) status = send_message(stream, number + 1, &out, header.bytes);
        if (status < 0) break;
        books.messages++;
        books.bytes_in += (int64_t)header.bytes;
        books.bytes_out += (int64_t)header.bytes;
    }
    books.open--;
    (*(status == EDDY_EOF ? &books.ended : &books.cut))++;
    return 0;
}

static void *volatile kept; /* or the compiler would leave it out */

static EDDY_CORO(leak) {
    const int64_t began_ns = eddy_time_ns();
    (void)arg, (void)out;
    for (int64_t blocks = 0; eddy_sleep(EDDY_MS(10)) == 0;)
        for (; blocks < (eddy_time_ns() - began_ns) / EDDY_MS(10); blocks++) { /* as many on a slow machine */
            kept = malloc(256 * 1024);
            if (kept != NULL) memset(kept, 1, 256 * 1024);
        }
    return 0;
}

/* Until standard input ends; then its books. */
static EDDY_CORO(serve) {
    eddy_server *server;
    eddy_stream *input;
    char byte;
    (void)arg, (void)out;
    int status = eddy_server_open(&server, "127.0.0.1", 0, answer, NULL, EDDY_SERVER(.backlog = 4096));
    if (status < 0) return status;
    status = eddy_stream_open_fd(&input, STDIN_FILENO);
    if (status == 0) {
        if (plants("leak")) status = eddy_spawn(NULL, leak, NULL, NULL);
        printf("%u\n", eddy_server_port(server));
        fflush(stdout);
        while (status >= 0) status = eddy_stream_read(input, &byte, 1);
        eddy_stream_release(input);
    }
    (void)eddy_server_shutdown(server, EDDY_SECONDS(10));
    printf("%lld %lld %lld %lld %lld %lld\n", (long long)books.messages, (long long)books.bytes_in,
           (long long)books.bytes_out, (long long)books.wrong, (long long)books.ended, (long long)books.cut);
    fflush(stdout);
    eddy_server_release(server);
    return 0;
}

/* ---- the clients --------------------------------------------------------------------------------------- */

static uint16_t server_port;
static eddy_semaphore *dialing;
static eddy_event *over;
static _Atomic int64_t failed, ended_by_us, cut_by_us, begun;

static uint64_t next_random(uint64_t *state) { return word_at(*state, (*state)++); }

/* A whole exchange; one that takes a minute is a lost byte. */
static int exchange(eddy_stream *stream, uint64_t number, uint64_t *out, uint64_t *in, uint64_t bytes,
                    size_t at_a_time) {
    struct header header;
    int status = send_message(stream, number, out, bytes);
    if (status == 0) status = eddy_stream_read_exactly(stream, &header, sizeof header, NULL);
    if (status < 0) return status;
    if (header.position != *in || header.bytes != bytes) books.wrong++;
    status = receive_part(stream, number + 1, in, header.bytes, at_a_time);
    if (status < 0) return status;
    books.messages++;
    books.bytes_out += (int64_t)bytes;
    books.bytes_in += (int64_t)header.bytes;
    return 0;
}

/* Says that it is done, and waits for the server's end. */
static int end_in_order(eddy_stream *stream) {
    char byte;
    int status = eddy_stream_shutdown_write(stream);
    if (status == 0) status = eddy_stream_read(stream, &byte, 1);
    if (status != EDDY_EOF) return status < 0 ? status : EDDY_EINCOMPLETE;
    ended_by_us++;
    return 0;
}

static void cut_off(eddy_stream *stream, uint64_t number, uint64_t position) {
    const struct header header = {position, SMALL_MAX};
    (void)eddy_stream_write(stream, &header, sizeof header);
    (void)send_part(stream, number, position, SMALL_MAX / 3);
    eddy_stream_abort(stream);
    cut_by_us++;
}

static int wait_a_period(uint64_t *random, bool first) {
    const int64_t wait_ns = EDDY_MS(period_ms) / (first ? 1 : 2) * (int64_t)(next_random(random) % 1024) / 1024 +
                            (first ? 0 : EDDY_MS(period_ms) * 3 / 4);
    return EDDY_TIMEOUT(wait_ns, eddy_event_wait(over)); /* 0: it is over */
}

/* One connection, until it is over, or a reopened one's time has come. */
static int talk(eddy_stream *stream, uint64_t id, uint64_t *random, bool first) {
    const enum kind kind = id % KINDS;
    const struct header hello = {id, 0};
    uint64_t out = 0, in = 0;
    int status = eddy_stream_write(stream, &hello, sizeof hello);
    if (status == 0) status = eddy_stream_drain(stream);
    for (int i = 0; status == 0; i++) {
        status = wait_a_period(random, first && i == 0);
        if (status == 0) return end_in_order(stream);
        if (status != EDDY_ETIMEDOUT) return status;
        eddy_handled();
        if (kind == REOPENED && i == REOPENED_AFTER) return end_in_order(stream);
        if (kind == RESET && i == REOPENED_AFTER) return cut_off(stream, id * 2, out), 0;
        const uint64_t dice = next_random(random), small = dice / 64 % SMALL_MAX + 1;
        status = EDDY_TIMEOUT(EDDY_SECONDS(60), exchange(stream, id * 2, &out, &in, dice % 64 == 0 ? LARGE : small,
                                                         kind == BYTEWISE ? 1 : CHUNK));
        if (status == EDDY_ETIMEDOUT) books.late++;
    }
    return status;
}

static EDDY_CORO(hold) {
    const uint64_t id = (uint64_t)(uintptr_t)arg;
    uint64_t random = id + 1;
    int status = 0;
    (void)out;
    for (bool first = true; status == 0 && (first || !eddy_event_is_set(over)); first = false) {
        eddy_stream *stream;
        status = eddy_semaphore_acquire(dialing);
        if (status < 0) break;
        status = eddy_connect(&stream, "127.0.0.1", server_port, NULL);
        (void)eddy_semaphore_post(dialing);
        if (status < 0) break;
        books.open++;
        begun += first;
        status = talk(stream, id, &random, first);
        books.open--;
        (void)eddy_stream_close(stream);
        eddy_stream_release(stream);
    }
    if (status < 0 && failed++ < 5) printf("connection %llu: %s\n", (unsigned long long)id, eddy_status_name(status));
    return 0;
}

/* ---- what is said -------------------------------------------------------------------------------------- */

static double resident_mib(int pid) {
    char path[64], text[128] = "";
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    if (fgets(text, sizeof text, file) != NULL) (void)sscanf(text, "%*s %ld", &pages);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static int passed_count, failed_count;

static void claim(bool holds, const char *format, ...) {
    va_list list;
    va_start(list, format);
    printf("%s ", holds ? "ok  " : "FAIL");
    vprintf(format, list);
    printf("\n");
    va_end(list);
    (*(holds ? &passed_count : &failed_count))++;
}

static double mean(const double *values, int from, int to) {
    double sum = 0;
    for (int i = from; i < to; i++) sum += values[i];
    return sum / (to - from);
}

static void claim_stable(const char *process, const double *resident) {
    const double before = mean(resident, SAMPLES / 4, SAMPLES / 2), after = mean(resident, SAMPLES * 3 / 4, SAMPLES);
    claim(after - before <= before * 0.02 + 4, "%s: %.1f MiB resident in the second quarter, %.1f in the last", process,
          before, after);
}

/* Holds all connections for as long as was asked; the least number that was open at a sample. */
static int64_t watch(int server_pid, double *client_mib, double *server_mib) {
    int64_t open_min = INT64_MAX;
    const int64_t began_ns = eddy_time_ns();
    for (int i = 0; i < SAMPLES; i++) {
        if (eddy_sleep_until(began_ns + EDDY_SECONDS(seconds_asked) * (i + 1) / SAMPLES) < 0) return 0;
        client_mib[i] = resident_mib(getpid());
        server_mib[i] = resident_mib(server_pid);
        const int64_t open = books.open;
        if (open < open_min) open_min = open;
        printf("%7.1f s  open %lld  messages %lld  client %.1f MiB  server %.1f MiB\n",
               (double)(eddy_time_ns() - began_ns) / 1e9, (long long)open, (long long)books.messages, client_mib[i],
               server_mib[i]);
        fflush(stdout);
    }
    return open_min;
}

static EDDY_CORO(soak) {
    const char *const argv[] = {"/proc/self/exe", "--serve", planted, NULL};
    static double client_mib[SAMPLES], server_mib[SAMPLES];
    eddy_child *server;
    eddy_group clients;
    const char *line;
    size_t bytes;
    (void)arg, (void)out;
    int status = eddy_child_start(&server, argv, EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    if (status < 0) return status;
    status = eddy_stream_read_until(eddy_child_out(server), "\n", 1, 0, &line, &bytes);
    if (status == 0) server_port = (uint16_t)atoi(line);
    dialing = eddy_semaphore_create(DIALING);
    over = eddy_event_create();
    if (status == 0) status = eddy_group_enter(&clients);
    if (status < 0 || dialing == NULL || over == NULL) return status < 0 ? status : EDDY_ENOMEM;
    for (int64_t i = 0; i < connections_asked && status == 0; i++)
        status = eddy_group_spawn(&clients, NULL, hold, (void *)(uintptr_t)i, NULL);
    while (status == 0 && begun < connections_asked && failed == 0) status = eddy_sleep(EDDY_MS(20));
    const int64_t open_min = watch(eddy_child_pid(server), client_mib, server_mib);
    eddy_event_set(over);
    status = eddy_group_exit(&clients, status);
    if (status == 0) status = eddy_stream_close(eddy_child_in(server));
    if (status == 0) status = eddy_stream_read_until(eddy_child_out(server), "\n", 1, 0, &line, &bytes);
    long long messages = 0, in = 0, sent = 0, wrong = 0, ended = 0, cut = 0;
    if (status == 0)
        claim(sscanf(line, "%lld %lld %lld %lld %lld %lld", &messages, &in, &sent, &wrong, &ended, &cut) == 6,
              "the server gave its books");
    int code = -1;
    if (status == 0) status = eddy_child_wait(server, &code);
    claim(status == 0 && code == 0, "the server ended well");
    claim(begun == connections_asked && failed == 0, "%lld connections were opened, %lld failed", (long long)begun,
          (long long)failed);
    claim(open_min >= connections_asked - 2 * (connections_asked / KINDS + 1), "at least %lld were open, each time",
          (long long)open_min);
    claim(books.wrong == 0 && wrong == 0, "wrong bytes: %lld to the server, %lld from it", wrong,
          (long long)books.wrong);
    claim(books.late == 0, "exchanges that did not end: %lld", (long long)books.late);
    claim(messages == books.messages && messages > 0, "messages: %lld by the server's books, %lld by the clients'",
          messages, (long long)books.messages);
    claim(in == books.bytes_out, "bytes to the server: %lld received, %lld sent", in, (long long)books.bytes_out);
    claim(sent == books.bytes_in, "bytes from the server: %lld sent, %lld received", sent, (long long)books.bytes_in);
    claim(ended == ended_by_us && cut == cut_by_us, "%lld connections ended, %lld of them reset in a message",
          ended + cut, cut);
    claim_stable("client", client_mib);
    claim_stable("server", server_mib);
    eddy_child_release(server);
    eddy_semaphore_release(dialing);
    eddy_event_release(over);
    return 0;
}

int main(int argc, char **argv) {
    const bool serves = argc == 3 && strcmp(argv[1], "--serve") == 0;
    if (serves) planted = argv[2];
    for (int i = 1; i < argc && !serves; i += 2) {
        int64_t *number = strcmp(argv[i], "--seconds") == 0       ? &seconds_asked
                          : strcmp(argv[i], "--connections") == 0 ? &connections_asked
                          : strcmp(argv[i], "--period-ms") == 0   ? &period_ms
                                                                  : NULL;
        if (i + 1 == argc || (number == NULL && strcmp(argv[i], "--plant") != 0) ||
            (number != NULL && (*number = atoll(argv[i + 1])) <= 0)) {
            fprintf(stderr, "usage: eddy-soak [--seconds N] [--connections N] [--period-ms N] [--plant FAULT]\n");
            return 2;
        }
        if (number == NULL) planted = argv[i + 1];
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    const int status = eddy_run(serves ? serve : soak, NULL, NULL, NULL);
    if (serves) return status < 0;
    if (status < 0) claim(false, "the run: %s", eddy_status_name(status));
    printf("%d passed, %d failed\n", passed_count, failed_count);
    return failed_count > 0;
}
