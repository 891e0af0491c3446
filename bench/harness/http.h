/* http.h: what a hello server needs besides its sockets: eddy's and the ones written by hand on epoll and libuv share it,
 * so that they differ in nothing else. All headers are parsed; the answer carries the date, made once a second. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <http_parser.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HTTP_READ_BYTES = 4096, HTTP_ANSWER_MAX = 256, HTTP_PIPELINE_MAX = HTTP_READ_BYTES / 16 };

struct http {
    http_parser parser;
    int complete; /* requests that the last piece ended */
    int headers;  /* of the request that is being read  */
};

static inline int http_on_header(http_parser *parser, const char *at, size_t bytes) {
    (void)at, (void)bytes;
    ((struct http *)parser->data)->headers++;
    return 0;
}

static inline int http_on_done(http_parser *parser) {
    struct http *http = (struct http *)parser->data;
    http->complete++;
    http->headers = 0;
    return 0;
}

static inline void http_open(struct http *http) {
    http_parser_init(&http->parser, HTTP_REQUEST);
    http->parser.data = http;
    http->complete = http->headers = 0;
}

/* How many requests end in this piece; -1: it is none. */
static inline int http_parse(struct http *http, const char *piece, size_t bytes) {
    static const http_parser_settings settings = {.on_header_field = http_on_header,
                                                  .on_message_complete = http_on_done};
    http->complete = 0;
    return http_parser_execute(&http->parser, &settings, piece, bytes) == bytes ? http->complete : -1;
}

/* The answer, the same for everybody during a second; valid until the next call. One thread only. */
static inline const char *http_answer(size_t *bytes_out) {
    static char answer[HTTP_ANSWER_MAX];
    static time_t made;
    static int bytes;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made) {
        char date[64];
        struct tm parts;
        gmtime_r(&now.tv_sec, &parts);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        bytes = snprintf(answer, sizeof answer,
                         "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"
                         "Hello, world!",
                         date);
        made = now.tv_sec;
    }
    *bytes_out = (size_t)bytes;
    return answer;
}

#endif
