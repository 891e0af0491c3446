/* connection.c: one client's requests, one after the other, in one task.
 *
 * Timeouts   A client has request_ns for a whole request, the silence before it included: who sends a byte at a
 *            time gets 408, who is silent is left without a word. It has answer_ns to take an answer.
 * Pipelining Requests that come early wait in the stream until those before them are answered.
 * Ends       after a refused request, when the client says so, and when the service stops. eddy closes the
 *            stream then, and sees to it that the last answer arrives although the client may still be sending. */
#include "service/connection.h"
#include "service/answer.h"
#include "service/http.h"
#include "service/route.h"

#include <stdio.h>

static const int64_t request_ns = EDDY_SECONDS(15), answer_ns = EDDY_SECONDS(15);

/* A request's time is over. Had the client begun one? */
static bool has_begun(eddy_stream *stream, const struct http_request *request) {
    char byte; /* of a first line that has no end yet */
    return request->begun || EDDY_TIMEOUT(0, eddy_stream_read(stream, &byte, 1)) > 0;
}

static void log_answer(const struct http_request *request, int status, int64_t start_ns) {
    fprintf(stderr, "%s %s %d %.3f ms%s%s\n", request->method != NULL ? request->method : "-",
            request->path[0] != 0 ? request->path : "-", status, (double)(eddy_time_ns() - start_ns) / 1e6,
            request->refusal != 0 ? ": " : "", request->refusal != 0 ? request->reason : "");
}

/* Answers a request that was read. *keep: another one may follow. */
static int answer_request(struct service *service, eddy_stream *stream, const struct http_request *request,
                          bool *keep) {
    const int64_t start_ns = eddy_time_ns();
    struct http_answer answer = {.status = 0};
    int status = request->refusal != 0 ? answer_error(&answer, request->refusal, request->reason)
                                       : route(service, request, &answer);
    if (status == 0) {
        *keep = request->keep_alive && !atomic_load(&service->stopping);
        atomic_fetch_add_explicit(&service->answers, 1, memory_order_relaxed);
        status = EDDY_TIMEOUT(answer_ns, http_write(stream, request, &answer, *keep));
        if (service->settings->verbose) log_answer(request, answer.status, start_ns);
    }
    http_answer_deinit(&answer);
    return status;
}

static int serve_request(struct service *service, eddy_stream *stream, bool *keep) {
    struct http_request request;
    int status = EDDY_TIMEOUT(request_ns, http_read(stream, &request));
    if (status == EDDY_ETIMEDOUT && has_begun(stream, &request)) {
        request.refusal = 408;
        request.reason = "the request came too slowly";
        status = 0;
    }
    if (status == 0) status = answer_request(service, stream, &request, keep);
    http_request_deinit(&request);
    return status;
}

int connection_serve(eddy_stream *stream, void *arg) {
    bool keep = true;
    int status = 0;
    while (status == 0 && keep) status = serve_request(arg, stream, &keep);
    return status == EDDY_ETIMEDOUT ? 0 : status; /* the client's fault: nothing to report */
}
