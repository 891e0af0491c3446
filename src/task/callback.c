/* callback.c: done callbacks: a waiter that, once arrived on its loop's worker, is a call in `ready`.
 *
 * Life      allocated by add (one reference on the future) -> LINKED -> TAKEN -> ARRIVED: queued -> run, freed.
 *           remove unlinks and frees those still LINKED.
 * Threads   arrive and run on the worker of the loop; add and remove on any worker, under the future's LOCK. */
#include "task/callback.h"

static void callback_free(struct ed_callback *callback) {
    eddy_context_release(callback->context);
    ed_free(callback);
}

static __attribute__((noinline)) void report_failure(const struct ed_callback *callback, int status) {
    char message[ED_FUNCTION_MESSAGE_BYTES];
    ed_function_message("a done callback failed: ", (uintptr_t)callback->fn, message);
    ed_report(callback->future->sched, &(eddy_report){.kind = EDDY_REPORT_CALLBACK_FAILED,
                                                      .message = message,
                                                      .task = "",
                                                      .status = status,
                                                      .future = callback->future});
}

static void callback_run(struct ed_call *call) {
    struct ed_callback *callback = ED_CONTAINER(call, struct ed_callback, call);
    eddy_future *future = callback->future;
    struct ed_worker *worker = callback->waiter.worker;
    worker->call_loop = callback->loop;
    worker->call_context = &callback->context;
    int status = callback->fn(future, callback->arg);
    worker->call_loop = worker->call_context = NULL;
    if (status < 0) report_failure(callback, status);
    callback_free(callback);
    ed_future_release(future);
}

static void callback_arrive(struct ed_waiter *waiter) {
    struct ed_callback *callback = ED_CONTAINER(waiter, struct ed_callback, waiter);
    ed_call_soon(waiter->worker, &callback->call);
}

struct ed_callback *ed_callback_create(eddy_future *future, eddy_done_fn fn, void *arg, struct ed_worker *worker) {
    struct ed_callback *callback = ed_alloc(sizeof *callback);
    if (callback == NULL) return NULL;
    *callback = (struct ed_callback){
        .future = future,
        .fn = fn,
        .arg = arg,
        .call.run = callback_run,
        .waiter = {.worker = worker, .arrive = callback_arrive},
    };
    ed_future_share(future);
    return callback;
}

void ed_callback_discard(struct ed_callback *callback) {
    ed_future_release(callback->future);
    callback_free(callback);
}

static void callback_message(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    callback_arrive(ED_CONTAINER(message, struct ed_waiter, message));
}

static void callback_send(struct ed_callback *callback) {
    callback->waiter.message.arrive = callback_message;
    if (ed_post(callback->waiter.worker, &callback->waiter.message) < 0) ed_callback_discard(callback); /* run ended */
}

void ed_callback_start(struct ed_callback *callback) {
    if (ed_future_link(callback->future, &callback->waiter)) return;
    struct ed_waiter *waiter = &callback->waiter; /* done already: through its loop all the same (F2) */
    if (waiter->worker == ed_worker_current()) {
        callback_arrive(waiter);
    } else {
        callback_send(callback);
    }
}

int eddy_future_add_callback(eddy_future *future, eddy_done_fn fn, void *arg) {
    if (ed_worker_current() == NULL) return EDDY_EWRONGTHREAD;
    if (fn == NULL) return EDDY_EINVAL;
    if (future->sched != ed_worker_current()->sched)
        return eddy_fail(EDDY_ESTATE, "the future belongs to another runtime");
    eddy_loop *domain = ed_domain_current();
    struct ed_callback *callback = ed_callback_create(future, fn, arg, domain != NULL ? domain->worker : future->home);
    if (callback == NULL) return EDDY_ENOMEM;
    callback->loop = domain != NULL ? domain : future->loop;
    callback->users = true;
    callback->context = ed_context_capture(ed_worker_current());
    ed_callback_start(callback);
    return 0;
}

size_t ed_callbacks_count(const eddy_future *future) {
    size_t count = 0;
    for (struct ed_list *link = future->waiters.next; link != &future->waiters; link = link->next) {
        const struct ed_waiter *waiter = ED_CONTAINER(link, struct ed_waiter, link);
        if (waiter->arrive == callback_arrive && ED_CONTAINER(waiter, struct ed_callback, waiter)->users) count++;
    }
    return count;
}

void ed_callbacks_drop(eddy_future *future) {
    struct ed_list *link;
    while ((link = ed_list_pop(&future->waiters)) != NULL)
        callback_free(ED_CONTAINER(link, struct ed_callback, waiter.link));
}

int eddy_future_remove_callback(eddy_future *future, eddy_done_fn fn, void *arg) {
    struct ed_list removed;
    ed_list_init(&removed);
    int count = 0;
    ed_future_lock(future);
    struct ed_list *link = future->waiters.next;
    while (link != &future->waiters) {
        struct ed_waiter *waiter = ED_CONTAINER(link, struct ed_waiter, link);
        link = link->next;
        if (waiter->arrive != callback_arrive) continue;
        struct ed_callback *callback = ED_CONTAINER(waiter, struct ed_callback, waiter);
        if (callback->fn != fn || callback->arg != arg) continue;
        ed_list_remove(&waiter->link);
        ed_list_push(&removed, &waiter->link);
        count++;
    }
    ed_future_unlock(future, 0, ed_list_empty(&future->waiters) ? ED_WAITED : 0);
    while ((link = ed_list_pop(&removed)) != NULL) {
        callback_free(ED_CONTAINER(link, struct ed_callback, waiter.link));
        ed_future_release(future);
    }
    return count;
}
