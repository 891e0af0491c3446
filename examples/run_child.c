/* run_child.c: runs programs and uses what they say: asyncio's subprocess. One is asked and answers all at once; one is
 * spoken to line by line; one takes too long and is stopped, with all that it has started. */
#include <eddy/eddy.h>
#include <stdio.h>
#include <string.h>

/* communicate(): input in, output out, and how it ended. */
static int sort_words(void) {
    static const char words[] = "stream\nbrook\neddy\n";
    const char *const argv[] = {"sort", NULL}; /* no shell in between: nothing to quote */
    eddy_child *child;
    int status = eddy_child_start(&child, argv, EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    if (status < 0) return status;
    eddy_bytes sorted;
    int code;
    status = eddy_child_communicate(child, words, strlen(words), 0, &sorted, NULL, &code);
    if (status == 0) {
        printf("sort ended with %d and said:\n%s", code, (const char *)sorted.data);
        eddy_bytes_free(&sorted);
    }
    eddy_child_release(child);
    return status;
}

/* Its standard streams are streams like any other. */
static int talk(void) {
    eddy_child *child;
    int status = eddy_child_shell(&child, "while read n; do echo $((n * n)); done",
                                  EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    if (status < 0) return status;
    for (int n = 2; status == 0 && n < 5; n++) {
        char question[16];
        const char *answer;
        size_t bytes;
        int length = snprintf(question, sizeof question, "%d\n", n);
        status = eddy_stream_write(eddy_child_in(child), question, (size_t)length);
        if (status == 0) status = eddy_stream_read_until(eddy_child_out(child), "\n", 1, 0, &answer, &bytes);
        if (status == 0) printf("the square of %d is %.*s\n", n, (int)bytes - 1, answer);
    }
    eddy_stream_close(eddy_child_in(child)); /* the end of its input: it leaves */
    if (status == 0) status = eddy_child_wait(child, NULL);
    eddy_child_release(child); /* had it not left, it would be killed now */
    return status;
}

static int stop_in_time(void) {
    eddy_child *child;
    int code, status = eddy_child_shell(&child, "sleep 1000 | sleep 1000", EDDY_CHILD(.group = true));
    if (status < 0) return status;
    status = EDDY_TIMEOUT(EDDY_MS(50), eddy_child_wait(child, &code));
    if (status == EDDY_ETIMEDOUT) {
        eddy_handled();
        status = eddy_child_stop(child, EDDY_SECONDS(1), &code); /* SIGTERM, and SIGKILL if need be: both sleeps */
    }
    if (status == 0) printf("stopped by signal %d\n", -code);
    eddy_child_release(child);
    return status;
}

static int app(void *arg, eddy_value *out) {
    (void)arg;
    (void)out;
    int status = sort_words();
    if (status == 0) status = talk();
    if (status == 0) status = stop_in_time();
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
