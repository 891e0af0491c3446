/* opened.c: descriptors that are no streams: opened at a home, called from anywhere, closed by their owner.
 *
 * Invariants (W1) poll != NULL <=> it is in its worker's list.
 *            (W2) A call that is inside holds a reference: a close wakes it with EDDY_ECLOSED, and leaves it its memory.
 * Threads    init, end_run: home. close, call: any.
 * Tests      tests/net/local_test.c, tests/net/udp_test.c. */
#include "net/opened.h"
#include "net/stream.h"
#include "task/task.h"

#include <stdio.h>

static void drop(struct ed_opened *opened) {
    if (ED_SUB(&opened->references, 1) == 1) opened->free(opened);
}

int ed_opened_init(struct ed_opened *opened, int fd, const char *what, void (*free)(struct ed_opened *)) {
    struct ed_worker *worker = ed_worker_current();
    struct ed_net_worker *net = ed_net_of(worker);
    if (net == NULL) return EDDY_ENOMEM;
    int status = ed_poll_open(&opened->poll, fd);
    if (status < 0) return status;
    ED_STORE_RELAXED(&opened->references, 1);
    opened->worker = worker;
    opened->what = what;
    opened->free = free;
    ed_list_push(&net->opened, &opened->node);
    return 0;
}

static void shut(struct ed_opened *opened) {
    struct ed_poll *poll = opened->poll;
    ed_list_remove(&opened->node);
    opened->poll = NULL;
    ed_poll_close(poll);
    ED_STORE_RELEASE(&opened->gone, true);
}

static void arrive_close(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct ed_opened *opened = ED_CONTAINER(message, struct ed_opened, close);
    if (opened->poll != NULL) shut(opened);
    drop(opened);
}

void ed_opened_close(struct ed_opened *opened) {
    opened->close.arrive = arrive_close;
    if (ED_LOAD_ACQUIRE(&opened->gone))
        drop(opened);
    else if (ed_worker_current() == opened->worker)
        arrive_close(&opened->close, opened->worker);
    else if (ed_post(opened->worker, &opened->close) < 0)
        drop(opened); /* the run has ended there, and has closed it */
}

int ed_opened_call(struct ed_opened *opened, eddy_coro_fn fn, void *arg, const char *name) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    eddy_value none = EDDY_NONE;
    int status;
    ed_count_io();
    ED_ADD_RELAXED(&opened->references, 1);
    if (ed_worker_current() == opened->worker) {
        struct ed_fiber *fiber = ed_fiber_current();
        const bool migrates = ed_stay_begin(fiber); /* it may wait for more than the descriptor */
        status = fn(arg, &none);
        ed_stay_end(fiber, migrates);
    } else {
        status = ed_run_on(opened->worker, fn, arg, name);
    }
    drop(opened);
    return status;
}

void ed_opened_end_run(struct ed_list *node) {
    struct ed_opened *opened = ED_CONTAINER(node, struct ed_opened, node);
    char text[64];
    snprintf(text, sizeof text, "%s was never closed", opened->what);
    eddy_report report = {.kind = EDDY_REPORT_SHUTDOWN, .message = text, .task = ""};
    ed_report(opened->worker->sched, &report);
    shut(opened);
}
