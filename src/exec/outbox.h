/* outbox.h: answers of one thread to one worker, as few messages as can be, none held back.
 *
 * Idea       A stack like an inbox: the thread pushes an answer, the worker takes all. Only the push that finds it empty sends
 *            the outbox's own message; those that come until it arrives travel with it.
 * Invariants (O1) The outbox holds answers => its message is on the way, or about to be sent. (O2) The message is never sent
 *            twice: `empty` is left by one push and entered by one arrival, in turn.
 * Ordering   The push is a read-modify-write on the word that arrival exchanges. Found not empty: the exchange comes later and
 *            brings this answer too. Found empty: the exchange is past, arrival has let go of the message's node.
 * Threads    send: its thread. Arrival: the worker.
 * Tests      tests/model/pool_model.c. */
#ifndef ED_EXEC_OUTBOX_H
#define ED_EXEC_OUTBOX_H

#include "sched/sched.h"

struct ed_outbox {
    _Alignas(ED_LINE) struct ed_inbox answers;
    struct ed_message message; /* arrive: the owner's, which calls ed_outbox_arrives first */
};

/* True: the caller must post the outbox's message. */
static inline bool ed_outbox_push(struct ed_outbox *box, struct ed_message *answer) {
    bool first = false;
    (void)ed_inbox_push_telling(&box->answers, answer, &first); /* never closed */
    return first;
}

/* On the worker: all answers arrive, in order. */
static inline void ed_outbox_arrives(struct ed_outbox *box, struct ed_worker *worker) {
    for (struct ed_message *answer = ed_inbox_take(&box->answers), *next; answer != NULL; answer = next) {
        next = answer->next;
        answer->arrive(answer, worker);
    }
}

#endif
