/* serving.h: in a worker process, the call that is being served: what its function may ask (include/eddy/process_call.h).
 *
 * Threads    begin and end: the process's main thread. The public questions: any thread of the process, while the function
 *            runs. Tests: tests/exec/process_call_test.c. */
#ifndef ED_EXEC_SERVING_H
#define ED_EXEC_SERVING_H

#include "exec/wire.h"

/* Descriptors that came with a call. */
struct ed_came {
    unsigned count; /* the buffer's, which is the last, included */
    int fds[ED_WIRE_FDS_MAX];
};

/* The function of the call `number` is about to be entered. NULL as terms: the initializer's. Takes what is in *came: 0, or a
 * status with a text, and it must not be entered. */
int ed_serving_begin(uint64_t number, struct ed_wire_terms *terms, struct ed_came *came, char text[ED_WIRE_TEXT_MAX]);
/* It has returned, or was not entered: what it has not taken is closed. */
void ed_serving_end(void);

void ed_came_close(struct ed_came *came);

/* worker_process.c: sends a frame that is a head alone. */
void ed_worker_send(const struct ed_wire_head *head);

#endif
