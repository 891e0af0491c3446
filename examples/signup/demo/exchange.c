/* exchange.c: just enough of HTTP for one known server: a status line, headers, a body with a length. */
#include "demo/exchange.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int read_line(eddy_stream *stream, char *line, size_t line_max) {
    const char *text;
    size_t bytes;
    const int status = eddy_stream_read_until(stream, "\r\n", 2, line_max - 1, &text, &bytes);
    if (status < 0) return status;
    memcpy(line, text, bytes - 2);
    line[bytes - 2] = 0;
    return 0;
}

static int read_head(eddy_stream *stream, struct reply *reply) {
    char line[512];
    int status = read_line(stream, line, sizeof line);
    if (status < 0) return status;
    if (sscanf(line, "HTTP/1.1 %d ", &reply->status) != 1) return eddy_fail(EDDY_EINVAL, "no status line: %.60s", line);
    for (;;) {
        status = read_line(stream, line, sizeof line);
        if (status < 0 || line[0] == 0) return status;
        if (strncasecmp(line, "Content-Length:", 15) == 0) sscanf(line + 15, "%zu", &reply->body_bytes);
        if (strcasecmp(line, "Connection: close") == 0) reply->closes = true;
    }
}

int exchange(eddy_stream *stream, const char *request, size_t bytes, struct reply *reply) {
    reply->status = 0;
    reply->closes = false;
    reply->body_bytes = 0;
    int status = eddy_stream_write(stream, request, bytes);
    if (status == 0) status = read_head(stream, reply);
    if (status < 0) return status;
    if (reply->body_bytes >= reply->body_max) return eddy_fail(EDDY_EINVAL, "a body of %zu bytes", reply->body_bytes);
    if (reply->body_bytes > 0) status = eddy_stream_read_exactly(stream, reply->body, reply->body_bytes, NULL);
    reply->body[status == 0 ? reply->body_bytes : 0] = 0;
    return status;
}
