/* fan_out.c: one question to several back ends over TLS at once, with a deadline; what has come by then is the answer.
 *     fan_out 300 TRUSTED.pem 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003
 * Each back end may be slow now and then: one that has not answered after a tenth of the deadline, or has failed, is asked a
 * second time on another connection, and the first answer counts (J. Dean, L. A. Barroso, "The Tail at Scale", 2013). What
 * is not needed any more is cancelled. Connections are kept for the next question.
 * All runs in one serial domain, so nothing is locked: waiting for back ends needs no second core. */
#include <eddy/eddy.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKENDS_MAX = 16, IDLE_MAX = 4, QUESTIONS = 3 };

struct backend {
    char host[128];
    int port;
    eddy_stream *idle[IDLE_MAX];
    int idle_count, opened;
};

/* What is asked of one back end. */
struct question {
    struct backend *backend;
    eddy_group attempts;
    eddy_event *failed; /* the first attempt has */
    int number, status; /* 1: nothing has come yet */
    char answer[128];
};

static int64_t deadline_ns;
static eddy_tls *tls;
static struct backend backends[BACKENDS_MAX];
static int backend_count;

/* ---- one exchange ---- */

struct reply {
    bool complete, keeps;
    unsigned code;
    size_t bytes;
    char text[128];
};

static int on_body(http_parser *parser, const char *data, size_t bytes) {
    struct reply *reply = parser->data;
    if (reply->bytes + bytes >= sizeof reply->text) return 1;
    memcpy(reply->text + reply->bytes, data, bytes);
    reply->bytes += bytes;
    return 0;
}

static int on_complete(http_parser *parser) {
    struct reply *reply = parser->data;
    reply->complete = true;
    reply->keeps = http_should_keep_alive(parser);
    reply->code = parser->status_code;
    return 0;
}

static int exchange(eddy_stream *stream, int number, struct reply *reply) {
    static const http_parser_settings settings = {.on_body = on_body, .on_message_complete = on_complete};
    char buffer[1024];
    http_parser parser;
    http_parser_init(&parser, HTTP_RESPONSE);
    *reply = (struct reply){0};
    parser.data = reply;
    const int bytes = snprintf(buffer, sizeof buffer, "GET /question/%d HTTP/1.1\r\nHost: backend\r\n\r\n", number);
    int got = eddy_stream_write(stream, buffer, (size_t)bytes);
    while (got >= 0 && !reply->complete) {
        got = eddy_stream_read(stream, buffer, sizeof buffer);
        if (got > 0 && http_parser_execute(&parser, &settings, buffer, (size_t)got) != (size_t)got)
            return eddy_fail(EDDY_EINVAL, "no HTTP, or too long");
    }
    return got < 0 ? got : reply->code == 200 ? 0 : eddy_fail(-EPROTO, "HTTP %u", reply->code);
}

/* On an idle connection, or a new one: the back end may have closed an idle one in the meantime. */
static int ask(struct backend *backend, int number, struct reply *reply) {
    for (;;) {
        eddy_stream *stream;
        const bool used = backend->idle_count > 0;
        int status = 0;
        if (used) {
            stream = backend->idle[--backend->idle_count];
        } else {
            status = eddy_connect(&stream, backend->host, (uint16_t)backend->port, EDDY_CONNECT(.tls = tls));
            if (status < 0) return status;
            backend->opened++;
        }
        status = exchange(stream, number, reply);
        if (status == 0 && reply->keeps && backend->idle_count < IDLE_MAX) {
            backend->idle[backend->idle_count++] = stream;
            return 0;
        }
        eddy_stream_abort(stream); /* half an answer may lie in it */
        eddy_stream_release(stream);
        if (!used || status == 0 || status == EDDY_ECANCELED) return status;
    }
}

/* ---- two attempts ---- */

static void note(struct question *question, int status, const struct reply *reply) {
    if (status == 0) {
        memcpy(question->answer, reply->text, sizeof question->answer);
        question->status = 0;
        eddy_group_cancel(&question->attempts); /* the other one, if it is under way */
    } else if (question->status != 0 && status != EDDY_ECANCELED) {
        question->status = status;
        eddy_event_set(question->failed);
    }
}

static int attempt(void *arg, eddy_value *out) {
    struct question *question = arg;
    struct reply reply;
    (void)out;
    const int status = ask(question->backend, question->number, &reply);
    note(question, status, &reply);
    return status == EDDY_ECANCELED ? status : 0; /* the other attempt goes on */
}

static int second_attempt(void *arg, eddy_value *out) {
    struct question *question = arg;
    const int status = EDDY_TIMEOUT(deadline_ns / 10, eddy_event_wait(question->failed));
    if (status == EDDY_ECANCELED) return status;
    return attempt(question, out);
}

static int ask_one(void *arg, eddy_value *out) {
    struct question *question = arg;
    (void)out;
    question->failed = eddy_event_create();
    int status = question->failed != NULL ? eddy_group_enter(&question->attempts) : EDDY_ENOMEM;
    if (status == 0) {
        status = eddy_group_spawn(&question->attempts, NULL, attempt, question, NULL);
        if (status == 0) status = eddy_group_spawn(&question->attempts, NULL, second_attempt, question, NULL);
        status = eddy_group_exit(&question->attempts, status);
    }
    eddy_event_release(question->failed);
    return status;
}

/* ---- all back ends ---- */

static int ask_all(struct question *questions) {
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < backend_count && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, ask_one, &questions[i], NULL);
    return eddy_group_exit(&group, status);
}

static int app(void *arg, eddy_value *out) {
    int status = eddy_tls_client_create(&tls, EDDY_TLS(.ca_file = arg));
    (void)out;
    for (int number = 1; number <= QUESTIONS && status == 0; number++) {
        struct question questions[BACKENDS_MAX];
        int answers = 0;
        for (int i = 0; i < backend_count; i++)
            questions[i] = (struct question){.backend = &backends[i], .number = number, .status = 1};
        const int64_t begin_ns = eddy_time_ns();
        status = EDDY_TIMEOUT(deadline_ns, ask_all(questions));
        if (status == EDDY_ETIMEDOUT) status = 0; /* then some are missing */
        for (int i = 0; i < backend_count; i++) {
            const int end = questions[i].status;
            answers += end == 0;
            printf("%d: %s:%d %s\n", number, backends[i].host, backends[i].port,
                   end == 0   ? questions[i].answer
                   : end == 1 ? "did not answer in time"
                              : eddy_status_name(end));
        }
        printf("%d: %d of %d answers in %.3f s\n", number, answers, backend_count,
               (double)(eddy_time_ns() - begin_ns) / 1e9);
    }
    for (int i = 0; i < backend_count; i++) {
        printf("%s:%d connections opened: %d\n", backends[i].host, backends[i].port, backends[i].opened);
        while (backends[i].idle_count > 0) eddy_stream_release(backends[i].idle[--backends[i].idle_count]);
    }
    eddy_tls_release(tls);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 3 + BACKENDS_MAX) {
        fprintf(stderr, "usage: fan_out DEADLINE_MS TRUSTED.pem HOST:PORT...\n");
        return 2;
    }
    deadline_ns = EDDY_MS(atoi(argv[1]));
    for (int i = 3; i < argc; i++) {
        struct backend *backend = &backends[backend_count++];
        if (sscanf(argv[i], "%127[^:]:%d", backend->host, &backend->port) != 2) return 2;
    }
    return eddy_run(app, argv[2], NULL, EDDY_RUN(.serial = true)) < 0;
}
