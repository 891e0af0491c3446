/* waiter.c: who was taken out of a list travels to its worker; a plain thread's node arrives where it is sent.
 *
 * Invariants (T1) a TAKEN node arrives exactly once. (T2) after ed_post its sender touches it no more: whoever it wakes
 *            may end, and free it, at once. (T3) a plain thread's node stays TAKEN: nobody but its worker may write the state
 *            of one that is TAKEN, and the thread may be looking at it, under LOCK, to take it back.
 * Threads    Any, plain threads too (they always post to workers). The list is the caller's own.
 * Tests      tests/task/future_test.c, tests/sync/; tests/model/task_model.c. */
#include "task/future.h"

static void arrive(struct ed_waiter *waiter) {
    ED_ASSERT(waiter->state == ED_WAITER_TAKEN);
    waiter->state = ED_WAITER_ARRIVED;
    waiter->arrive(waiter);
}

static void message_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    arrive(ED_CONTAINER(message, struct ed_waiter, message));
}

void ed_waiters_send(struct ed_list *taken) {
    struct ed_worker *here = ed_worker_current();
    struct ed_list *link = taken->next;
    while (link != taken) {
        struct ed_waiter *waiter = ED_CONTAINER(link, struct ed_waiter, link);
        link = link->next;
        if (waiter->worker == NULL) {
            waiter->arrive(waiter); /* (T3) */
        } else if (waiter->worker == here) {
            arrive(waiter);
        } else {
            waiter->message.arrive = message_arrives;
            (void)ed_post(waiter->worker, &waiter->message); /* ECLOSED: the run has ended, nobody waits any more */
        }
    }
}
