/* http.c: libhttp-parser, and the checks that it leaves out.
 *
 * Problem    Two parsers that understand a request differently make two requests of one: smuggling. The
 *            library takes bare LFs for ends of lines, folded headers, chunk extensions, trailers and, as
 *            Debian builds it, names with spaces in them.
 * Idea       A request is read piece by piece, as a task reads: a line, a line, ..., so many bytes. Each line
 *            passes our own strict rules before the parser sees it; the parser then says what it means and how
 *            many bytes are to follow. Who disagrees with the other refuses the request, and the connection
 *            ends: where the next one would begin is not known.
 * Refused    400 bare LF or CR, control characters, folded headers, names that are no tokens, two lengths,
 *                length with chunked, two hosts or none, chunk extensions, trailers, an end inside a request
 *            413 body too long   414 target too long   431 head too long   417 other expectations
 *            501 unknown methods and encodings         505 other versions
 * Threads    The connection's task. The parser lives on its stack, for one request.
 * Not here   What is answered (route.c); timeouts (connection.c). */
#include "service/http.h"

#include <ctype.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    REFUSED = 1,        /* beside 0 and failures: request->refusal is set */
    CHUNK_LINE_MAX = 10 /* 8 digits and CRLF */
};

enum header { OTHER, HOST, LENGTH, ENCODING, EXPECT };

struct reader {
    eddy_stream *stream;
    struct http_request *request;
    http_parser parser;
    char target[HTTP_TARGET_BYTES_MAX + 1];
    enum header header; /* whose value comes next */
    unsigned hosts, lengths, encodings;
    bool expects; /* the client waits for "100 Continue" */
    bool head_done, done;
};

static int refuse(struct reader *reader, int status, const char *reason) {
    if (reader->request->refusal == 0) {
        reader->request->refusal = status;
        reader->request->reason = reason;
    }
    return REFUSED;
}

/* ---- what the parser tells ---------------------------------------------------------------------- */

static int on_target(http_parser *parser, const char *at, size_t bytes) {
    struct reader *reader = parser->data;
    const size_t before = strlen(reader->target);
    if (before + bytes > HTTP_TARGET_BYTES_MAX) return refuse(reader, 414, "the target is too long");
    for (size_t i = 0; i < bytes; i++)
        if (at[i] <= ' ' || at[i] > '~') return refuse(reader, 400, "the target has a character that it may not have");
    memcpy(reader->target + before, at, bytes);
    reader->target[before + bytes] = 0;
    return 0;
}

static bool is_token(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && (text[i] == 0 || strchr("!#$%&'*+-.^_`|~", text[i]) == NULL))
            return false;
    return bytes > 0;
}

static bool is_word(const char *text, size_t bytes, const char *word) {
    return bytes == strlen(word) && strncasecmp(text, word, bytes) == 0;
}

static int on_header_name(http_parser *parser, const char *at, size_t bytes) {
    struct reader *reader = parser->data;
    if (!is_token(at, bytes)) return refuse(reader, 400, "a header's name is not a token");
    reader->header = OTHER;
    if (is_word(at, bytes, "Host")) {
        reader->header = HOST;
        if (++reader->hosts > 1) return refuse(reader, 400, "two Host headers");
    } else if (is_word(at, bytes, "Content-Length")) {
        reader->header = LENGTH;
        if (++reader->lengths > 1) return refuse(reader, 400, "two Content-Length headers");
    } else if (is_word(at, bytes, "Transfer-Encoding")) {
        reader->header = ENCODING;
        if (++reader->encodings > 1) return refuse(reader, 400, "two Transfer-Encoding headers");
    } else if (is_word(at, bytes, "Expect")) {
        reader->header = EXPECT;
    }
    if (reader->lengths > 0 && reader->encodings > 0)
        return refuse(reader, 400, "Content-Length with Transfer-Encoding");
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t bytes) {
    struct reader *reader = parser->data;
    switch (reader->header) {
    case LENGTH:
        for (size_t i = 0; i < bytes; i++)
            if (!isdigit((unsigned char)at[i])) return refuse(reader, 400, "Content-Length is not a number");
        break;
    case ENCODING:
        if (!is_word(at, bytes, "chunked"))
            return refuse(reader, 501, "of the transfer encodings only chunked is known");
        break;
    case EXPECT:
        if (!is_word(at, bytes, "100-continue")) return refuse(reader, 417, "no such expectation is met");
        reader->expects = true;
        break;
    case HOST:
    case OTHER: break;
    }
    return 0;
}

static int on_head_done(http_parser *parser) {
    struct reader *reader = parser->data;
    reader->head_done = true;
    parser->upgrade = 0; /* offers to change the protocol are not taken */
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t bytes) {
    struct reader *reader = parser->data; /* the bytes were read to where they belong */
    if (at != reader->request->body + reader->request->body_bytes)
        return refuse(reader, 400, "the body is not where its length says");
    reader->request->body_bytes += bytes;
    return 0;
}

static int on_done(http_parser *parser) {
    struct reader *reader = parser->data;
    reader->done = true;
    return 0;
}

static const http_parser_settings callbacks = {.on_url = on_target,
                                               .on_header_field = on_header_name,
                                               .on_header_value = on_header_value,
                                               .on_headers_complete = on_head_done,
                                               .on_body = on_body,
                                               .on_message_complete = on_done};

static int parse(struct reader *reader, const char *piece, size_t bytes) {
    const size_t taken = http_parser_execute(&reader->parser, &callbacks, piece, bytes);
    if (reader->request->refusal != 0) return REFUSED;
    const enum http_errno code = HTTP_PARSER_ERRNO(&reader->parser);
    if (code == HPE_INVALID_METHOD) return refuse(reader, 501, "no such method is known");
    if (code == HPE_INVALID_VERSION) return refuse(reader, 505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    if (code != HPE_OK) return refuse(reader, 400, http_errno_description(code));
    if (taken != bytes) return refuse(reader, 400, "the request goes on behind its end");
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* NULL if a line is as strict as it must be. */
static const char *line_fault(const char *line, size_t bytes) {
    if (bytes < 2 || line[bytes - 2] != '\r') return "a line does not end in CRLF";
    if (line[0] == ' ' || line[0] == '\t') return "a folded header";
    for (size_t i = 0; i < bytes - 2; i++)
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
            return "a control character in the head";
    return NULL;
}

/* The next line, checked: valid until the next read. `limit` 0 is exceeded by anything. */
static int read_line(struct reader *reader, size_t limit, const char **line_out, size_t *bytes_out) {
    if (limit == 0) return EDDY_ELIMIT;
    const int status = eddy_stream_read_until(reader->stream, "\n", 1, limit, line_out, bytes_out);
    if (status == EDDY_EINCOMPLETE || (status == EDDY_EOF && reader->request->begun))
        return refuse(reader, 400, "the connection ended inside a request");
    if (status < 0) return status;
    reader->request->begun = true;
    const char *fault = line_fault(*line_out, *bytes_out);
    return fault == NULL ? 0 : refuse(reader, 400, fault);
}

static bool has_three_words(const char *line, size_t bytes) {
    unsigned spaces = 0;
    for (size_t i = 0; i < bytes; i++) spaces += line[i] == ' ';
    return spaces == 2;
}

static int read_head(struct reader *reader) {
    size_t left = HTTP_HEAD_BYTES_MAX;
    while (!reader->head_done) {
        const char *line;
        size_t bytes;
        int status = read_line(reader, left, &line, &bytes);
        if (status == EDDY_ELIMIT) return refuse(reader, 431, "the head is too long");
        if (status != 0) return status;
        if (left == HTTP_HEAD_BYTES_MAX && !has_three_words(line, bytes))
            return refuse(reader, 400, "the first line is not METHOD TARGET VERSION");
        status = parse(reader, line, bytes);
        if (status != 0) return status;
        left -= bytes;
    }
    return 0;
}

/* What can only be told when the whole head is there. */
static int check_head(struct reader *reader) {
    struct http_request *request = reader->request;
    const http_parser *parser = &reader->parser;
    if (parser->http_major != 1 || parser->http_minor > 1)
        return refuse(reader, 505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    if (parser->http_minor == 1 && reader->hosts == 0) return refuse(reader, 400, "no Host header");
    if (parser->http_minor == 0 && reader->encodings > 0)
        return refuse(reader, 400, "HTTP/1.0 has no transfer encodings");

    request->method = http_method_str((enum http_method)parser->method);
    request->is_head = parser->method == HTTP_HEAD;
    const char *path = reader->target;
    if (strncasecmp(path, "http://", 7) == 0) path += 7 + strcspn(path + 7, "/?"); /* as proxies are asked */
    snprintf(request->path, sizeof request->path, "%.*s", (int)strcspn(path, "?"), path);
    return 0;
}

/* Reads `bytes` more of the body to where they belong. */
static int read_body_part(struct reader *reader, uint64_t bytes) {
    struct http_request *request = reader->request;
    if (bytes > HTTP_BODY_BYTES_MAX - request->body_bytes) return refuse(reader, 413, "the body is too long");
    if (request->body == NULL) request->body = malloc(HTTP_BODY_BYTES_MAX + 1);
    if (request->body == NULL) return EDDY_ENOMEM;
    char *part = request->body + request->body_bytes;
    const int status = eddy_stream_read_exactly(reader->stream, part, (size_t)bytes, NULL);
    if (status == EDDY_EINCOMPLETE || status == EDDY_EOF)
        return refuse(reader, 400, "the connection ended inside a request");
    return status < 0 ? status : parse(reader, part, (size_t)bytes);
}

static bool is_chunk_size(const char *line, size_t bytes) {
    for (size_t i = 0; i < bytes - 2; i++)
        if (!isxdigit((unsigned char)line[i])) return false;
    return bytes > 2;
}

/* Size, bytes, CRLF; at last size 0, CRLF. No extensions, no trailers. */
static int read_chunk_line(struct reader *reader, bool size) {
    const char *line;
    size_t bytes;
    const int status = read_line(reader, size ? CHUNK_LINE_MAX : 2, &line, &bytes);
    if (status < 0 && status != EDDY_ELIMIT) return status;
    if (status == EDDY_ELIMIT || (status == 0 && !(size ? is_chunk_size(line, bytes) : bytes == 2)))
        return refuse(reader, 400, "a chunk is not size, data and nothing else");
    return status == 0 ? parse(reader, line, bytes) : status;
}

static int read_chunks(struct reader *reader) {
    while (!reader->done) {
        int status = read_chunk_line(reader, true);
        if (status != 0) return status;
        const uint64_t bytes = reader->parser.content_length; /* of this chunk */
        if (bytes > 0) status = read_body_part(reader, bytes);
        if (status == 0) status = read_chunk_line(reader, false);
        if (status != 0) return status;
    }
    return 0;
}

static int read_body(struct reader *reader) {
    if (reader->done) return 0;
    const bool chunked = reader->encodings > 0;
    const uint64_t length = reader->parser.content_length;
    if (!chunked && length > HTTP_BODY_BYTES_MAX) return refuse(reader, 413, "the body is too long");
    if (reader->expects && reader->parser.http_minor == 1) {
        const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        const int status = eddy_stream_write(reader->stream, go_on, sizeof go_on - 1);
        if (status < 0) return status;
    }
    const int status = chunked ? read_chunks(reader) : read_body_part(reader, length);
    if (status == 0 && !reader->done) return refuse(reader, 400, "the body is not as long as it says");
    return status;
}

int http_read(eddy_stream *stream, struct http_request *request) {
    memset(request, 0, sizeof *request);
    struct reader reader;
    memset(&reader, 0, sizeof reader);
    reader.stream = stream;
    reader.request = request;
    http_parser_init(&reader.parser, HTTP_REQUEST);
    reader.parser.data = &reader;

    int status = read_head(&reader);
    if (status == 0) status = check_head(&reader);
    if (status == 0) status = read_body(&reader);
    if (request->body != NULL) request->body[request->body_bytes] = 0;
    request->keep_alive = status == 0 && http_should_keep_alive(&reader.parser);
    return status < 0 ? status : 0;
}

void http_request_deinit(struct http_request *request) {
    free(request->body);
    request->body = NULL;
}

/* ---- answering ---------------------------------------------------------------------------------- */

static void print_date(char *text, size_t bytes) {
    const time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, bytes, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

int http_write(eddy_stream *stream, const struct http_request *request, const struct http_answer *answer,
               bool keep_alive) {
    char head[512], date[64];
    const size_t text_bytes = answer->body != NULL ? strlen(answer->body) : 0;
    const size_t body_bytes = text_bytes > 0 ? text_bytes + 1 : 0; /* a newline, for people at a terminal */
    print_date(date, sizeof date);
    const int head_bytes = snprintf(head, sizeof head,
                                    "HTTP/1.1 %d %s\r\n"
                                    "Date: %s\r\n"
                                    "Content-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n"
                                    "Connection: %s\r\n"
                                    "%s\r\n",
                                    answer->status, http_status_str((enum http_status)answer->status), date, body_bytes,
                                    keep_alive ? "keep-alive" : "close", answer->header != NULL ? answer->header : "");
    int status = eddy_stream_write(stream, head, (size_t)head_bytes);
    if (status == 0 && body_bytes > 0 && !request->is_head) {
        status = eddy_stream_write(stream, answer->body, text_bytes);
        if (status == 0) status = eddy_stream_write(stream, "\n", 1);
    }
    return status < 0 ? status : eddy_stream_drain(stream);
}

void http_answer_deinit(struct http_answer *answer) {
    free(answer->body);
    answer->body = NULL;
}
