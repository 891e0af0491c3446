/* messages.h: what a model's worker does with its inbox where there is no scheduler that would. */
#ifndef MODEL_MESSAGES_H
#define MODEL_MESSAGES_H

#include "explorer.h"
#include "sched/sched.h"

/* Nobody sleeps, so nobody is woken. Weak: where worker.c is linked its own is taken. */
__attribute__((weak)) int ed_post(struct ed_worker *to, struct ed_message *message) {
    return ed_inbox_push(&to->inbox, message);
}

static bool has_messages(void *worker) { return !ed_inbox_empty(&((struct ed_worker *)worker)->inbox); }

/* A whole list, oldest first. */
static void receive_list(struct ed_message *message, struct ed_worker *worker) {
    while (message != NULL) {
        struct ed_message *next = message->next; /* who arrives may go at once */
        message->arrive(message, worker);
        message = next;
    }
}
static void receive(struct ed_worker *worker) { receive_list(ed_inbox_take(&worker->inbox), worker); }
static void await_messages(struct ed_worker *worker) {
    model_wait(has_messages, worker);
    receive(worker);
}

#endif
