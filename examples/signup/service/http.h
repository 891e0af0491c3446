/* http.h: HTTP/1.0 and 1.1 as the service speaks it: whole requests in, whole answers out. */
#ifndef SIGNUP_HTTP_H
#define SIGNUP_HTTP_H

#include <eddy/eddy.h>

/* A registration needs 700 bytes at most; escapes in its JSON may make six of one. */
enum { HTTP_TARGET_BYTES_MAX = 255, HTTP_HEAD_BYTES_MAX = 8192, HTTP_BODY_BYTES_MAX = 8192 };

struct http_request {
    const char *method; /* "GET", "POST"...; static                                */
    char path[HTTP_TARGET_BYTES_MAX + 1];
    bool is_head;    /* answer with the head alone                              */
    bool keep_alive; /* the client may send another one                         */
    bool begun;      /* at least a line has come                                */
    char *body;      /* body_bytes and a NUL; NULL: none. http_request_deinit   */
    size_t body_bytes;
    int refusal;        /* not 0: the status to answer with, then close            */
    const char *reason; /* why; static                                             */
};

struct http_answer {
    int status;
    char *body;         /* JSON, from malloc; NULL: none. http_answer_deinit       */
    const char *header; /* one more header line with its CRLF, static; NULL: none  */
};

/* Reads the next request from `stream`, no byte more. Buffers nothing while the client is silent.
 *
 * @param request  Initialised by the call. http_request_deinit() in any case.
 * @return         0: it is complete, or to be refused (request->refusal). EDDY_EOF: the client is done.
 *                 Otherwise a failure of the stream, or EDDY_ECANCELED.
 * Suspends. Cancellation point: when it suspends. */
int http_read(eddy_stream *stream, struct http_request *request) EDDY_SUSPENDS;
void http_request_deinit(struct http_request *request);

/* Sends an answer. Suspends while the client is slow to take it. @return 0, the connection's failure, or
 * EDDY_ECANCELED. */
int http_write(eddy_stream *stream, const struct http_request *request, const struct http_answer *answer,
               bool keep_alive) EDDY_SUSPENDS;
void http_answer_deinit(struct http_answer *answer);

#endif
