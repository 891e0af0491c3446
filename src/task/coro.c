/* coro.c: coroutine objects: inert until awaited, spawned or dropped. Threads: one owner at a time. */
#include "task/task.h"

#include <stdio.h>

struct eddy_coro {
    eddy_coro_fn fn;
    void *arg;
    const char *place;        /* NULL: not known */
    struct ed_origin *origin; /* debug mode; or NULL */
    char name[ED_TASK_NAME_BYTES];
};

static void coro_free(eddy_coro *coro) {
    ed_free(coro->origin);
    ed_free(coro);
}

eddy_coro *(eddy_coro_create)(eddy_coro_fn fn, void *arg, const char *name) {
    return eddy_coro_create_at(NULL, fn, arg, name);
}

eddy_coro *eddy_coro_create_at(const char *place, eddy_coro_fn fn, void *arg, const char *name) {
    eddy_coro *coro = fn != NULL ? ed_alloc(sizeof *coro) : NULL;
    if (coro == NULL) return NULL;
    coro->fn = fn;
    coro->arg = arg;
    coro->place = place;
    const struct ed_worker *worker = ed_worker_current();
    coro->origin = worker != NULL && worker->sched->debug ? ed_origin_take() : NULL;
    snprintf(coro->name, sizeof coro->name, "%s", name != NULL ? name : "coroutine");
    return coro;
}

size_t eddy_coro_print(const eddy_coro *coro, char *buffer, size_t bytes) {
    return (size_t)snprintf(buffer, bytes, "<coroutine %s fn=%p created>", coro->name, (void *)(uintptr_t)coro->fn);
}

int eddy_coro_await(eddy_coro *coro, eddy_value *value_out) {
    if (ed_task_current() == NULL) return ed_outside_task();
    eddy_coro_fn fn = coro->fn;
    void *arg = coro->arg;
    coro_free(coro);
    eddy_value value = EDDY_NONE;
    int status = fn(arg, &value);
    if (status >= 0 && value_out != NULL) *value_out = value;
    return status;
}

int eddy_coro_spawn(eddy_coro *coro, eddy_task **task_out, const eddy_task_options *options) {
    eddy_task_options named = options != NULL ? *options : eddy_task_options_init();
    if (named.name == NULL) named.name = coro->name;
    int status = eddy_spawn_at(coro->place, task_out, coro->fn, coro->arg, &named);
    if (status == 0) coro_free(coro);
    return status;
}

void eddy_coro_release(eddy_coro *coro) {
    if (coro == NULL) return;
    struct ed_worker *worker = ed_worker_current();
    char message[128], origin[ED_ORIGIN_BYTES];
    const bool known = ed_origin_print(coro->origin, origin, sizeof origin) > 0;
    snprintf(message, sizeof message, "coroutine '%s' was never awaited", coro->name);
    ed_report(worker != NULL ? worker->sched : NULL, &(eddy_report){.kind = EDDY_REPORT_NEVER_AWAITED,
                                                                    .message = message,
                                                                    .task = coro->name,
                                                                    .place = coro->place,
                                                                    .origin = known ? origin : NULL});
    coro_free(coro);
}
