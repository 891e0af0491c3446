/* chat.c: a chat server whose clients sit on different workers.
 *
 *     chat [PORT]         serves until ^C (default 7778; try nc 127.0.0.1 7778, twice)
 *     chat --self-test    brings its own clients, checks every line they get, and ends
 *
 * Every connection is a task on the worker that accepted it. A line goes to everybody in the room, so most
 * writes are to streams of other workers: eddy_stream_write sends those a message, FIFO per sender, and
 * never suspends. That is why a plain mutex may guard the room: it is held for a few writes and never
 * across a suspension. In asyncio:
 *
 *     async def chat(reader, writer):
 *         room.add(writer)
 *         while line := await reader.readline():
 *             for member in room: member.write(line)
 *         room.remove(writer) */
#include <eddy/eddy.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEATS = 64, BEHIND_BYTES_MAX = 1 << 20, CLIENTS = 8, LINES = 50 };

static pthread_mutex_t room_lock = PTHREAD_MUTEX_INITIALIZER;
static struct seat {
    eddy_stream *stream; /* NULL: free. Valid while its handler runs */
    int worker;
} room[SEATS];
static long writes, writes_across; /* all, and those to a stream of another worker */

static void change_seat(eddy_stream *from, eddy_stream *to) {
    pthread_mutex_lock(&room_lock);
    struct seat *seat = room;
    while (seat->stream != from) seat++; /* there is one: connections_max is SEATS */
    *seat = (struct seat){to, eddy_worker_index()};
    pthread_mutex_unlock(&room_lock);
}

static void say_to_all(const char *line, size_t bytes) {
    pthread_mutex_lock(&room_lock);
    for (struct seat *seat = room; seat < room + SEATS; seat++) {
        if (seat->stream == NULL) continue;
        if (eddy_stream_buffered(seat->stream) > BEHIND_BYTES_MAX) eddy_stream_abort(seat->stream);
        if (eddy_stream_write(seat->stream, line, bytes) < 0) continue; /* its handler sees why */
        writes++;
        writes_across += seat->worker != eddy_worker_index();
    }
    pthread_mutex_unlock(&room_lock);
}

static int chat(eddy_stream *stream, void *arg) {
    const char *line;
    size_t bytes;
    (void)arg;
    change_seat(NULL, stream);
    int status = eddy_stream_write(stream, "welcome\n", 8);
    while (status == 0) {
        status = eddy_stream_read_until(stream, "\n", 1, 0, &line, &bytes);
        if (status == 0) say_to_all(line, bytes);
    }
    change_seat(stream, NULL);
    return status; /* EDDY_EOF: that is how a peer leaves */
}

/* ---- the self-test -------------------------------------------------------------------------------- */

static eddy_stream *clients[CLIENTS];

static int read_line(eddy_stream *stream, char text[32]) {
    const char *line;
    size_t bytes;
    const int status = eddy_stream_read_until(stream, "\n", 1, 31, &line, &bytes);
    if (status == 0) snprintf(text, 32, "%.*s", (int)bytes, line);
    return status;
}

/* A client: says its lines, "SENDER NUMBER" each, and checks that it hears everybody's in order. */
static int talk(void *arg, eddy_value *out) {
    eddy_stream *stream = *(eddy_stream **)arg;
    const int me = (int)((eddy_stream **)arg - clients);
    int heard[CLIENTS] = {0}, sender, number, status = 0;
    char text[32];
    (void)out;
    for (int i = 0; i < LINES && status == 0; i++) {
        const int bytes = snprintf(text, sizeof text, "%d %d\n", me, i);
        status = eddy_stream_write(stream, text, (size_t)bytes);
    }
    for (int i = 0; i < CLIENTS * LINES && status == 0; i++) {
        if ((status = read_line(stream, text)) < 0) break;
        if (sscanf(text, "%d %d", &sender, &number) != 2 || sender < 0 || sender >= CLIENTS ||
            number != heard[sender]++)
            status = eddy_fail(-EPROTO, "client %d, line %d: not in order: %s", me, i, text);
    }
    return status;
}

static int self_test(uint16_t port) {
    char text[32];
    int status = 0;
    for (int i = 0; i < CLIENTS && status == 0; i++) { /* all are in before anybody talks */
        status = eddy_connect(&clients[i], "127.0.0.1", port, NULL);
        if (status == 0) status = read_line(clients[i], text);
    }
    eddy_group group;
    if (status == 0) status = eddy_group_enter(&group);
    if (status == 0) {
        for (int i = 0; i < CLIENTS && status == 0; i++)
            status = eddy_group_spawn(&group, NULL, talk, &clients[i], NULL);
        status = eddy_group_exit(&group, status);
    }
    for (int i = 0; i < CLIENTS; i++) eddy_stream_release(clients[i]); /* closes it */
    return status;
}

static int app(void *arg, eddy_value *out) {
    const bool test = strcmp(arg, "--self-test") == 0;
    eddy_server *server;
    (void)out;
    int status = eddy_server_open(&server, "127.0.0.1", test ? 0 : (uint16_t)atoi(arg), chat, NULL,
                                  EDDY_SERVER(.connections_max = SEATS, .single_listener = true));
    if (status < 0) return status;
    printf("listening on port %u\n", eddy_server_port(server));
    fflush(stdout);
    if (test)
        status = self_test(eddy_server_port(server));
    else
        eddy_server_wait_closed(server); /* until ^C cancels this task */
    const int ended = eddy_server_shutdown(server, EDDY_SECONDS(2));
    eddy_server_release(server);
    if (status < 0 || ended < 0 || !test) return status < 0 ? status : ended;

    printf("%d clients heard %d lines each, in order; %ld of %ld writes went to another worker\n", CLIENTS,
           CLIENTS * LINES, writes_across, writes);
    const bool right = writes == CLIENTS * CLIENTS * LINES && writes_across > 0;
    return right ? 0 : eddy_fail(EDDY_ESTATE, "the clients did not sit on different workers");
}

int main(int argc, char **argv) {
    char *what = argc > 1 ? argv[1] : "7778";
    return eddy_run(app, what, NULL, EDDY_RUN(.workers = 4, .handle_sigint = true)) < 0;
}
