/* callback.h: done callbacks, for gather.c's own use too. See callback.c. */
#ifndef ED_TASK_CALLBACK_H
#define ED_TASK_CALLBACK_H

#include "task/task.h"

struct ed_callback {
    struct ed_waiter waiter;
    struct ed_call call;
    eddy_future *future; /* one reference */
    bool users;          /* (c) a user's: it goes, unrun, with a pending future that nobody else holds */
    eddy_done_fn fn;
    void *arg;
    eddy_loop *loop;       /* the domain it runs in; NULL: none, or the caller's own bookkeeping */
    eddy_context *context; /* it runs in it */
};

/* Shares the future. NULL: no memory. Nothing happens before ed_callback_start. */
struct ed_callback *ed_callback_create(eddy_future *future, eddy_done_fn fn, void *arg, struct ed_worker *worker);
/* Links it, or queues it if the future is done. It frees itself after it ran. */
void ed_callback_start(struct ed_callback *callback);
/* Under LOCK of a pending future: how many of its users' callbacks are linked; unlinks and frees them, with their
 * references, where nobody else has one. */
size_t ed_callbacks_count(const eddy_future *future);
void ed_callbacks_drop(eddy_future *future);
/* One that was not started, or cannot arrive any more. */
void ed_callback_discard(struct ed_callback *callback);

#endif
