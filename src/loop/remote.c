/* remote.c: a task's call on another worker: a task there does it, the caller waits for that task.
 *
 * Idea       What belongs to a worker is touched there only. A helper task needs no record of its own, is
 *            cancelled like any other, and has ended when the caller goes on: the argument may lie on the
 *            caller's stack.
 * Cancel     A request that reaches the helper after its work is done must not hide that it is done, nor be
 *            lost: the caller gets the work's status, and the request is pending again.
 * Runtimes   One of another runtime is refused: who waits could not be cancelled when either ends.
 * Order      Messages that the caller sent to the worker before arrive before the helper starts. */
#include "loop/loop.h"
#include "task/task.h"

struct remote {
    eddy_coro_fn fn;
    void *arg;
    int status;
    bool returned;
};

static int remote_main(void *arg, eddy_value *out) {
    struct remote *remote = arg;
    remote->status = remote->fn(remote->arg, out);
    remote->returned = true;
    return remote->status;
}

int ed_run_on(struct ed_worker *worker, eddy_coro_fn fn, void *arg, const char *name) {
    if (worker->sched != ed_worker_current()->sched) return eddy_fail(EDDY_ESTATE, "it belongs to another runtime");
    struct remote remote = {fn, arg, 0, false};
    eddy_task *task;
    eddy_task_options options = eddy_task_options_init();
    options.name = name;
    int status = ed_spawn_on(worker, &task, remote_main, &remote, &options, ED_HIDDEN);
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(task), NULL);
    if (status == EDDY_ECANCELED && remote.returned && remote.status != EDDY_ECANCELED) {
        status = remote.status;
        eddy_cancel(EDDY_FUTURE(ed_task_current()));
        eddy_task_uncancel(ed_task_current()); /* pending again, but asked for once */
    }
    eddy_task_release(task);
    return status;
}
