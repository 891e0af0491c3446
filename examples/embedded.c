/* embedded.c: eddy in a threaded server that was there before.
 *
 * The server is the oldest kind: it accepts, starts a thread for each connection, and the thread answers line by line. Its
 * answers need three back ends, and used to ask one after the other. Now each thread hands that to a runtime that runs
 * beside it: the three are asked at once, with a deadline, and the thread blocks for the answer as it always did. Nothing
 * else of the server has changed.
 *
 *     ./embedded PORT          then: echo alice | nc localhost PORT */
#include <arpa/inet.h>
#include <eddy/eddy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is new ------------------------------------------------------------------------------------------ */

static eddy_runtime *runtime;

struct question {
    char name[64];
    char answer[256];
};

/* A back end, as a coroutine. A real one would eddy_connect and read; this one only takes its time. */
static int ask_backend(void *arg, eddy_value *out) {
    const char *backend = arg;
    out->i64 = (int64_t)strlen(backend);
    return eddy_sleep(EDDY_MS(20 * (int64_t)strlen(backend))); /* orders: 120 ms, mail: 80 ms, news: 80 ms */
}

static int ask_all(eddy_future **futures, eddy_result *results) { return eddy_gather(futures, 3, results); }

static int answer(void *arg, eddy_value *out) {
    struct question *question = arg;
    static char *const backends[] = {"orders", "mail", "news"};
    eddy_task *tasks[3];
    eddy_future *futures[3];
    eddy_result results[3];
    int asked = 0, status = 0;
    (void)out;
    for (; status == 0 && asked < 3; asked++) {
        status = eddy_spawn(&tasks[asked], ask_backend, backends[asked], EDDY_TASK(.name = backends[asked]));
        if (status < 0) break;
        futures[asked] = EDDY_FUTURE(tasks[asked]);
    }
    if (status == 0) status = EDDY_TIMEOUT(EDDY_SECONDS(10), ask_all(futures, results));
    if (status == 0)
        snprintf(question->answer, sizeof question->answer, "%s has %lld orders, %lld mails, %lld news\n",
                 question->name, (long long)results[0].value.i64, (long long)results[1].value.i64,
                 (long long)results[2].value.i64);
    while (asked > 0) eddy_task_release(tasks[--asked]);
    return status;
}

/* On a thread of the server: blocks it until the tasks have the answer. `question` outlives the wait, which is without end. */
static int answer_blocking(struct question *question) {
    eddy_task *task;
    int status =
        eddy_spawn_threadsafe(eddy_runtime_loop(runtime), &task, answer, question, EDDY_TASK(.name = "answer"));
    if (status < 0) return status;
    status = eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, NULL);
    eddy_task_release(task);
    return status;
}

/* ---- what was there before -------------------------------------------------------------------------------- */

static void *serve(void *arg) {
    int peer = (int)(intptr_t)arg;
    FILE *in = fdopen(peer, "r"), *out = fdopen(dup(peer), "w");
    struct question question;
    while (in != NULL && out != NULL && fgets(question.name, sizeof question.name, in) != NULL) {
        question.name[strcspn(question.name, "\r\n")] = '\0';
        int status = answer_blocking(&question);
        if (status == 0)
            fputs(question.answer, out);
        else
            fprintf(out, "sorry: %s\n", eddy_status_text(status));
        fflush(out);
    }
    if (out != NULL) fclose(out);
    if (in != NULL) fclose(in);
    return NULL;
}

static int listener = -1;

static void on_sigint(int number) {
    (void)number;
    shutdown(listener, SHUT_RDWR); /* accept() returns */
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 7778))};
    socklen_t bytes = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &bytes) != 0) {
        perror("embedded");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_sigint);
    int status = eddy_runtime_start(&runtime, EDDY_RUN(.workers = 2)); /* new */
    if (status < 0) {
        fprintf(stderr, "embedded: %s\n", eddy_status_text(status));
        return 1;
    }
    fprintf(stderr, "listening on port %d\n", ntohs(at.sin_port));
    for (int peer; (peer = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)peer) == 0)
            pthread_detach(thread);
        else
            close(peer);
    }
    status = eddy_runtime_stop(runtime); /* new: threads that still wait for an answer get ECANCELED */
    fprintf(stderr, "stopped: %s\n", status < 0 ? eddy_status_text(status) : "ok");
    return status < 0; /* the runtime itself is left to exit: a detached thread may still be in a call of it */
}
