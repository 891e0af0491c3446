/* communicate.c: a child's input and outputs all at once, so that none of the three can hold up another.
 * Threads    The calling task and two children of it. Tests: tests/child/child_test.c. */
#include "base/base.h"
#include "eddy/child.h"
#include "eddy/scope.h"
#include "eddy/task.h"

#include <stdint.h>
#include <string.h>

enum { PIECE_BYTES = 64 * 1024, LIMIT_BYTES = 64 * 1024 * 1024 };

struct feed {
    eddy_stream *stream;
    const char *data;
    size_t bytes;
};

static int feed(void *arg, eddy_value *out) {
    struct feed *input = arg;
    int status = 0;
    (void)out;
    while (status == 0 && input->bytes > 0) {
        size_t bytes = input->bytes < PIECE_BYTES ? input->bytes : PIECE_BYTES;
        status = eddy_stream_write(input->stream, input->data, bytes);
        if (status == 0) status = eddy_stream_drain(input->stream);
        input->data += bytes;
        input->bytes -= bytes;
    }
    if (status == 0)
        status = eddy_stream_close(input->stream);
    else
        eddy_stream_abort(input->stream); /* a child that does not read would hold up a close, cancelled once already */
    return status == -EPIPE ? 0 : status; /* it reads no more: its business */
}

struct collect {
    eddy_stream *stream;
    size_t limit_bytes, capacity;
    eddy_bytes bytes; /* always room for a 0 behind them */
};

static int make_room(struct collect *output) {
    size_t capacity = output->capacity == 0 ? 4096 : 2 * output->capacity;
    if (output->capacity > output->bytes.size + 1) return 0;
    eddy_bytes more;
    int status = eddy_bytes_alloc(&more, capacity);
    if (status < 0) return status;
    if (output->bytes.size > 0) memcpy(more.data, output->bytes.data, output->bytes.size);
    more.size = output->bytes.size;
    eddy_bytes_free(&output->bytes);
    output->bytes = more;
    output->capacity = capacity;
    return 0;
}

static int collect(void *arg, eddy_value *out) {
    struct collect *output = arg;
    (void)out;
    for (;;) {
        int got = make_room(output);
        if (got == 0)
            got = eddy_stream_read(output->stream, (char *)output->bytes.data + output->bytes.size,
                                   output->capacity - output->bytes.size - 1);
        if (got == EDDY_EOF) break;
        if (got < 0) return got;
        output->bytes.size += (size_t)got;
        if (output->bytes.size > output->limit_bytes)
            return eddy_fail(EDDY_ELIMIT, "a child wrote more than %zu bytes", output->limit_bytes);
    }
    ((char *)output->bytes.data)[output->bytes.size] = '\0';
    return 0;
}

int eddy_child_communicate(eddy_child *child, const void *input, size_t input_bytes, size_t limit_bytes,
                           eddy_bytes *out, eddy_bytes *err, int *code_out) {
    if (eddy_child_in(child) == NULL && input_bytes > 0) return EDDY_EINVAL;
    if (limit_bytes == 0) limit_bytes = LIMIT_BYTES;
    struct feed in = {eddy_child_in(child), input, input_bytes};
    struct collect outs[2] = {{eddy_child_out(child), limit_bytes, 0, {NULL, 0}},
                              {eddy_child_err(child), limit_bytes, 0, {NULL, 0}}};
    eddy_group group;
    int status = eddy_group_enter(&group);
    if (status == 0 && in.stream != NULL) status = eddy_group_spawn(&group, NULL, feed, &in, NULL);
    for (int i = 0; i < 2 && status == 0; i++)
        if (outs[i].stream != NULL) status = eddy_group_spawn(&group, NULL, collect, &outs[i], NULL);
    status = eddy_group_exit(&group, status);
    if (status == EDDY_EGROUP) { /* one of three plain readers and writers: its own status says it */
        const eddy_error *first = eddy_error_child(eddy_error_current(status), 0);
        if (first != NULL) status = eddy_fail(eddy_error_status(first), "%s", eddy_error_text(first));
    }
    if (status == 0) status = eddy_child_wait(child, code_out);
    eddy_bytes *const wanted[2] = {out, err};
    for (int i = 0; i < 2; i++) {
        if (status == 0 && wanted[i] != NULL)
            *wanted[i] = outs[i].bytes;
        else
            eddy_bytes_free(&outs[i].bytes);
    }
    return status;
}
