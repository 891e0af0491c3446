/* bias.h: a plain task ends by plain stores, where nobody but its worker has touched its word.
 *
 * Problem    The compare-and-swap that sets DONE was half of what a task costs that is spawned, awaited at once and released,
 *            and nearly always it guards against nobody. But any thread that has got a handle may use it at that moment, and
 *            who walks all tasks takes references from nothing.
 * Idea       As in sync/guard.h, a bias; but one a worker, not one an object. A plain spawn writes the worker's present bias,
 *            1 to 15, into the task's word. Its end looks whether the word is still as the spawn has written it, and the bias
 *            still the worker's, and then stores. Another thread that is about to change a word with a bias first ends this
 *            bias: it gives the worker the next one, has the system run a full fence on every thread of the process, and waits
 *            until the worker is in no such end. From then on all words with the old bias are changed by read-modify-writes,
 *            by everybody. After the last one the worker has none, and its tasks end by compare-and-swap.
 * Invariants (B1) a word is stored to by its worker only while `ending` is not NULL and the word is `alone`. The worker:
 *            ending = task, then looks at `alone`. Another: alone = the next, fence on all threads, then looks at `ending`. The
 *            fence falls, on the worker's thread, before its look at `alone`, which then finds another word than the
 *            task's, or after its store of `ending`, which the other then sees, and waits until that changes.
 *            (B2) others change a word with bias b only when bias_over > b. Whoever ends a bias says so last.
 *            (B3) a bias never comes back, and the last reference needs none: so a word that a walker has read and that still
 *            says the same belongs to a task whose bias is over too, if it was over on every worker.
 *            (B4) the worker that stores is the task's home: a plain task stays where it is started (no bias where started
 *            tasks may move), and who starts it elsewhere takes the bias out of the word, which its home, not running it,
 *            will not store to.
 *            (B5) DONE goes without a bias.
 * Ordering   The worker's store of DONE is a release, and so is that of `ending`, which must not overtake it (the model has no
 *            stores that do). Between `ending` and `alone` only the compiler is held back; the processor is by
 *            membarrier, on demand.
 * Threads    ed_bias_open, ed_bias_try_end: the worker. ed_bias_enter: whoever is about to change a task's word, any thread.
 *            The worker itself changes its words by read-modify-writes as well, at all other times.
 * Cost       Some microseconds for each of the 15 biases. A run that walks all tasks, or passes handles of plain tasks between
 *            workers, all the time, has none soon: 6 ns more a task.
 * Tests      tests/task/bias_test.c; tests/model/task_model.c. */
#ifndef ED_TASK_BIAS_H
#define ED_TASK_BIAS_H

#include "task/future.h"

#define ED_FRESH (2 * ED_REF_ONE | ED_IS_TASK)       /* the runtime's reference and the caller's */
#define ED_ENDED (ED_REF_ONE | ED_IS_TASK | ED_DONE) /* well, and the caller's is left */

/* Before the worker runs anything. */
void ed_bias_open(struct ed_worker *worker);

/* On its host: whether a plain task is alone with its worker; then it is DONE. */
static inline ED_HOT bool ed_bias_try_end(struct ed_worker *worker, eddy_future *future) {
    ED_STORE_RELAXED(&worker->ending, future);
    atomic_signal_fence(memory_order_seq_cst);
    bool alone = ED_LOAD_RELAXED(&future->word) == ED_LOAD_RELAXED(&worker->alone); /* partner: end_bias */
    if (ED_LIKELY(alone)) ED_STORE_RELEASE(&future->word, ED_ENDED);
    ED_STORE_RELEASE(&worker->ending, NULL);
    return alone;
}

#endif
