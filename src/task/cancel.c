/* cancel.c: requests to end: from any thread to the host, once each.
 *
 * Idea       A request is a count and the CANCEL bit in the task's word, set in one compare-and-swap that fails once
 *            DONE is set. Delivery is the host's business (wait.c); a canceller elsewhere sends the task's one message,
 *            which holds a reference; while it is on its way further requests only count.
 * Ordering   CANCEL set (seq_cst), then the start word read (seq_cst), against: start word claimed by compare-and-swap
 *            (seq_cst), then CANCEL read (seq_cst). So either the starter sees the request and does not enter the body
 *            (T1), or the canceller sees who has started it and sends there. A holder claims with a plain store, hence a
 *            request from elsewhere always sends to the holder. ED_MESSAGE is cleared before CANCEL is read again, so a
 *            request that relied on a message in flight is seen by it.
 * Moving     A started task that may migrate is where its fiber says; that may be out of date, and then the message
 *            comes to a former host, which sends it on. Who finds itself there is the host, and may touch what belongs
 *            to it, of this task also where it has ended meanwhile and another one runs on the stack.
 * Threads    eddy_cancel, eddy_task_cancelling: any. uncancel: any, meaningful in the task.
 * Tests      tests/task/cancel_test.c, tests/contract/task_test.c. */
#include "task/task.h"

static void message_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    eddy_task *task = ED_CONTAINER(message, struct eddy_task, message);
    uint64_t word = ED_AND(&task->future.word, ~ED_MESSAGE);
    if ((word & ED_CANCEL) && !(word & ED_DONE)) ed_cancel_route(task);
    ed_future_release(&task->future);
}

static void send(eddy_task *task, struct ed_worker *to) {
    uint64_t word = ED_LOAD_RELAXED(&task->future.word);
    do {
        if (word & (ED_MESSAGE | ED_DONE)) return;
    } while (!ED_CAS_WEAK(&task->future.word, &word, (word | ED_MESSAGE) + ED_REF_ONE));
    task->message.arrive = message_arrives;
    if (ed_post(to, &task->message) < 0) { /* the worker has ended, and with it every task that it hosted */
        ED_AND(&task->future.word, ~ED_MESSAGE);
        ed_future_release(&task->future);
    }
}

void ed_cancel_route(eddy_task *task) {
    uint64_t word = ED_LOAD_SEQCST(&task->start.word);
    enum ed_start_state state = ed_start_state(word);
    if (state == ED_START_NEW_SHARED || state == ED_START_FREE) return; /* its starter looks at CANCEL */
    struct ed_fiber *fiber = ED_LOAD_ACQUIRE(&task->fiber);
    struct ed_worker *host =
        fiber != NULL ? ED_LOAD_ACQUIRE(&fiber->worker) : task->future.sched->workers[ed_start_worker(word)];
    if (host != ed_worker_current()) {
        send(task, host);
    } else if (state == ED_START_STARTED) {
        ed_cancel_deliver(task);
    }
}

/* Notes that `task` is asked by request `id`. A request that is being passed on asks each task once, so one that goes
 * round a cycle of waiters ends (T12); ids grow, and a task that a later one has asked needs no older one passed on. */
static bool asked_before(eddy_task *task, uint64_t id, bool passed_on) {
    uint64_t last = ED_LOAD_RELAXED(&task->request);
    do {
        if (last >= id) return passed_on;
    } while (!ED_CAS_WEAK(&task->request, &last, id));
    ed_task_set_special(task);
    return false;
}

static uint64_t next_request(eddy_task *task) { return ED_ADD_RELAXED(&task->future.sched->next_request, 1) + 1; }

/* Counts a request and sets CANCEL; false: done. */
static bool count(eddy_task *task) {
    ed_bias_enter(&task->future);
    uint64_t word = ED_LOAD_RELAXED(&task->future.word);
    do {
        if (word & ED_DONE) return false;
    } while (
        !ED_CAS_WEAK(&task->future.word, &word, (word | ED_CANCEL) + (ed_count_of(word) < 0xffff ? ED_COUNT_ONE : 0)));
    struct ed_worker *here = ed_worker_current();
    if (here != NULL) ed_tell(here, ED_EVENT_CANCEL, task, ed_count_of(word) + 1, NULL);
    return true;
}

bool ed_cancel_ask(eddy_task *task) {
    (void)asked_before(task, next_request(task), false);
    return count(task);
}

bool eddy_cancel(eddy_future *future) {
    uint64_t word = ED_LOAD_ACQUIRE(&future->word);
    if (word & ED_DONE) {
        (void)eddy_future_error(future); /* F3: counts as looking at it */
        return false;
    }
    if (!(word & ED_IS_TASK)) return ed_future_complete(future, EDDY_ECANCELED, EDDY_NONE, NULL) == 0;
    eddy_task *task = (eddy_task *)future;
    struct ed_worker *here = ed_worker_current();
    bool passed_on = here != NULL && here->request != 0; /* inside ed_cancel_deliver */
    bool before = asked_before(task, passed_on ? here->request : next_request(task), passed_on);
    /* In a domain it counts once for each way by which it comes, as in CPython, and stops only where it comes round. A
     * longer round leads through a task elsewhere, which stops it by its number. */
    if (passed_on && future->loop != NULL && future->home == here) before = task->passing;
    if (before) return !ed_future_is_done(future);
    if (!count(task)) return false;
    ed_cancel_route(task);
    return true;
}

unsigned eddy_task_cancelling(const eddy_task *task) {
    return ed_count_of(ED_LOAD_ACQUIRE((_Atomic uint64_t *)&task->future.word));
}

unsigned eddy_task_uncancel(eddy_task *task) {
    ed_bias_enter(&task->future);
    uint64_t word = ED_LOAD_RELAXED(&task->future.word), next;
    do {
        unsigned count = ed_count_of(word);
        if (count == 0) return 0;
        next = word - ED_COUNT_ONE;
        if (count == 1) next &= ~ED_CANCEL; /* T3: at 0 also what is not delivered yet */
    } while (!ED_CAS_WEAK(&task->future.word, &word, next));
    return ed_count_of(next);
}

int eddy_check_cancel(void) {
    eddy_task *task = ed_task_current();
    return task != NULL && ed_cancel_pending(task, true) ? EDDY_ECANCELED : 0;
}
