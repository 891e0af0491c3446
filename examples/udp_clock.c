/* udp_clock.c: asks for the time over UDP, where a datagram may be lost: ask again, with a number, and believe only the answer
 * that bears it. The server here loses every other question on purpose. */
#include <eddy/eddy.h>
#include <inttypes.h>
#include <stdio.h>

enum { QUESTIONS = 3, TRIES = 10 };

static int serve(void *arg, eddy_value *out) {
    eddy_udp *udp = arg;
    eddy_address from;
    char question[32], answer[64];
    int bytes = 0;
    (void)out;
    for (int count = 1; bytes >= 0; count++) {
        bytes = eddy_udp_receive(udp, question, sizeof question, &from);
        if (bytes < 0 || bytes > (int)sizeof question || count % 2 == 1) continue; /* cut, or "lost" */
        const int length =
            snprintf(answer, sizeof answer, "%.*s %" PRId64, bytes, question, eddy_time_ns() / EDDY_MS(1));
        const int status = eddy_udp_send(udp, answer, (size_t)length, &from);
        if (status < 0) bytes = status;
    }
    return bytes; /* EDDY_ECANCELED when main is done */
}

/* One try. EDDY_ETIMEDOUT: the question or its answer is lost. */
static int try_once(eddy_udp *udp, int number, int64_t *milliseconds) {
    char text[64];
    const int length = snprintf(text, sizeof text, "%d", number);
    int status = eddy_udp_send(udp, text, (size_t)length, NULL);
    while (status == 0) {
        const int bytes = eddy_udp_receive(udp, text, sizeof text - 1, NULL);
        if (bytes < 0) return bytes;
        text[bytes < (int)sizeof text ? bytes : 0] = 0;
        int answered;
        if (sscanf(text, "%d %" SCNd64, &answered, milliseconds) == 2 && answered == number) return 0;
    } /* a late answer to an earlier question: wait on */
    return status;
}

static int app(void *arg, eddy_value *out) {
    eddy_udp *server, *client;
    eddy_task *serving;
    (void)arg, (void)out;
    int status = eddy_udp_open(&server, "127.0.0.1", 0, NULL);
    if (status < 0) return status;
    status = eddy_spawn(&serving, serve, server, EDDY_TASK(.name = "server"));
    if (status == 0) status = eddy_udp_connect(&client, "127.0.0.1", eddy_udp_port(server), NULL);
    if (status < 0) return status;
    int64_t before = 0;
    for (int number = 1; number <= QUESTIONS && status == 0; number++) {
        int64_t now = 0;
        int tries = 0;
        do {
            tries++;
            status = EDDY_TIMEOUT(EDDY_MS(200), try_once(client, number, &now));
        } while (status == EDDY_ETIMEDOUT && tries < TRIES);
        if (status == 0)
            printf("question %d: answered at try %d, %s\n", number, tries,
                   now >= before ? "later than before" : "too early");
        before = now;
    }
    eddy_udp_close(client);
    eddy_cancel(EDDY_FUTURE(serving));
    (void)eddy_await(EDDY_FUTURE(serving), NULL);
    eddy_task_release(serving);
    eddy_udp_close(server); /* nobody uses it any more */
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
