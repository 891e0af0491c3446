/* eddy/debug.h: seeing inside a run: stacks of tasks, who waits for whom, and the same from another process. */
#ifndef EDDY_DEBUG_H
#define EDDY_DEBUG_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/* ---- one task's stack ------------------------------------------------------------------------- */

/** The calls that a task is in, innermost first, as return addresses: of a task that waits, is ready or is the caller.
 *  A task that runs on its awaiter's stack has its own calls only.
 *  @return how many were written, at most `capacity` and 64; 0 for a task that has not started or is done. EDDY_EBUSY: its
 *          worker has not answered in 1 s, because something holds it (debug mode tells what). EDDY_ENOMEM,
 *          EDDY_ECANCELED, EDDY_ESTATE for a task of another runtime, EDDY_EWRONGTHREAD outside a task.
 *  Suspends: unless the task is on the caller's worker. Cancellation point: when it suspends. Threads: any task.
 *  Needs the unwind tables that compilers make by default; code built without them ends the list.
 *  Source: Task.get_stack. */
EDDY_API int eddy_task_stack(eddy_task *task, void **places_out, size_t capacity) EDDY_SUSPENDS;

/** Writes a line for each call, `  query+0x1c (service+0x4a1f)`, as snprintf does: the function, static ones too unless the
 *  program is stripped, and what `addr2line -e service` takes. @return bytes of the whole text, or as eddy_task_stack.
 *  Source: Task.print_stack. */
EDDY_API int eddy_task_print_stack(eddy_task *task, char *buffer, size_t bytes) EDDY_SUSPENDS;

/* ---- all tasks -------------------------------------------------------------------------------- */

/** A picture of all tasks that are not done. Each worker tells of its tasks at an instant of its own. */
typedef struct eddy_picture eddy_picture;

enum eddy_task_state {
    EDDY_TASK_NEW,     /**< not started */
    EDDY_TASK_RUNNING, /**< it is the one that took the picture */
    EDDY_TASK_READY,   /**< it waits for its turn */
    EDDY_TASK_WAITING, /**< suspended, or below a task that runs on its stack */
    EDDY_TASK_UNSEEN   /**< started, on a worker that has not answered: something holds it */
};

/** What a picture tells of a task. Valid until the picture is released. */
typedef struct eddy_task_picture {
    uint64_t id;
    const char *name;
    const char *place; /**< where it was spawned; NULL: not known */
    enum eddy_task_state state;
    int worker;             /**< where it is; -1: not known */
    const char *waits_on;   /**< "await", "sleep", "lock"...; NULL: it does not wait */
    int64_t since_ns;       /**< debug mode: since when, on eddy_time_ns(); 0: not known */
    const uint64_t *awaits; /**< ids of the tasks that it waits for, as far as they are known */
    size_t awaits_count;
    void *const *stack; /**< as eddy_task_stack gives it */
    size_t stack_count;
} eddy_task_picture;

/** Takes a picture of the caller's run.
 *  @param picture_out  Gives it: eddy_picture_release().
 *  @return             0, EDDY_ENOMEM, EDDY_ECANCELED, EDDY_EWRONGTHREAD outside a task.
 *  Suspends: until each worker has answered, at most 1 s. Cancellation point: when it suspends. Threads: any task.
 *  Cost: each worker looks at all tasks at once, some 10 us for each of its own.
 *  Source: asyncio.capture_call_graph (3.14). */
EDDY_API int eddy_picture_take(eddy_picture **picture_out) EDDY_SUSPENDS;
EDDY_API void eddy_picture_release(eddy_picture *picture) EDDY_ANY_THREAD; /**< NULL is nothing */

/** How many tasks it holds; and each, in order of their ids. `index` is below the count. */
EDDY_API size_t eddy_picture_count(const eddy_picture *picture) EDDY_ANY_THREAD;
EDDY_API const eddy_task_picture *eddy_picture_task(const eddy_picture *picture, size_t index) EDDY_ANY_THREAD;

enum eddy_picture_form {
    EDDY_PICTURE_TABLE, /**< a line for each task: `asyncio ps` */
    EDDY_PICTURE_TREE,  /**< each below who waits for it, and cycles: `asyncio pstree`, print_call_graph */
    EDDY_PICTURE_STACKS /**< each with its stack */
};
/** Writes it as snprintf does. @return bytes of the whole text. Source: asyncio.format_call_graph (3.14). */
EDDY_API size_t eddy_picture_print(const eddy_picture *picture, enum eddy_picture_form form, char *buffer,
                                   size_t bytes) EDDY_ANY_THREAD;

/** A round of tasks of which each waits for the next and the last for the first: none of them can go on.
 *  @param ids_out  Their ids, from the one that was made first; the first `capacity` are written.
 *  @return         How many tasks the first round has; 0: there is none. */
EDDY_API size_t eddy_picture_cycle(const eddy_picture *picture, uint64_t *ids_out, size_t capacity) EDDY_ANY_THREAD;

/* ---- what may not be held across a suspension --------------------------------------------------- */

/** Says that the calling task holds something that it must not hold when it suspends, until eddy_hold_end(what): a mutex of
 *  the system, a lock of another library, a thread's own state. Whoever wants it next would block its whole worker, for good
 *  if that is where the holder waits. In debug mode each suspension in between, a direct await too, is reported, once for
 *  each hold, with the stack; and a task that ends with it. Not for eddy's own locks: these may be held.
 *  eddy/mutex.h says it for pthread's mutexes, without a change to the code that locks them.
 *  Without debug mode, and outside a task, it does nothing. Never suspends. */
EDDY_API void eddy_hold_begin_at(const char *place, const volatile void *what) EDDY_ANY_THREAD;
#define eddy_hold_begin(what) eddy_hold_begin_at(EDDY_PLACE(what), what)
EDDY_API void eddy_hold_end(const volatile void *what) EDDY_ANY_THREAD;

/* From outside: a run with EDDY_RUN(.inspect = true), or with EDDY_INSPECT=1 in the environment, answers
 *      eddy-ps PID, eddy-ps --tree PID, eddy-ps --stacks PID
 * of the same user or root, on a socket that has no place in the file system; and writes table, tree and stacks to standard
 * error on SIGUSR1, unless the program handles that signal itself. Both also while workers are held. Nothing is there
 * unless it was asked for. */

EDDY_END_DECLS

#endif
