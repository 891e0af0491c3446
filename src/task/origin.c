/* origin.c: debug mode: where tasks, futures and handles were made, and which tasks' arguments lie on a stack.
 *
 * Problem    A report that names a line is good, the way there is better. Without debug mode neither may cost anything.
 * Idea       The calls are noted as addresses when the object is made, and get their names in the report. ED_TRACED in the
 *            future's word says that there is a note, so nobody looks elsewhere: a task's lies where the free list's link
 *            lies otherwise, a bare future's behind it.
 *            A spawn whose argument lies on the spawner's own stack is noted on that stack (its strand), by the number of
 *            the task: who ends looks through these notes, not through all tasks. Notes of tasks that have ended go when
 *            there are twice as many as there were, so each costs a constant time.
 * Threads    A note is constant. A strand's notes are its host's; the tasks in them may have ended anywhere: their records
 *            are type-stable.
 * Tests      tests/debug/origin_test.c, watchdog_test.c. */
#include "task/task.h"

#include <stdio.h>
#include <string.h>

enum { SWEEP_MIN = 16, INSIDE_MAX = 8 };

struct ed_origin *ed_origin_take(void) {
    struct ed_origin *origin = ed_alloc(sizeof *origin);
    if (origin != NULL) ed_origin_fill(origin);
    return origin;
}

__attribute__((noinline)) void ed_origin_fill(struct ed_origin *origin) {
    origin->count = ed_unwind_here(origin->places, ED_ORIGIN_PLACES);
}

const struct ed_origin *ed_origin_of(const eddy_future *future) {
    uint64_t word = ED_LOAD_RELAXED((_Atomic uint64_t *)&future->word);
    if (!(word & ED_TRACED)) return NULL;
    return word & ED_IS_TASK ? ((const eddy_task *)future)->origin
                             : &ED_CONTAINER(future, struct ed_traced_future, future)->origin;
}

size_t ed_origin_print(const struct ed_origin *origin, char *buffer, size_t bytes) {
    if (bytes > 0) buffer[0] = '\0';
    if (origin == NULL) return 0;
    size_t first = 0; /* the calls inside eddy that made it are left out: static ones too, up to the last with a name of
                       * eddy's before one without */
    for (size_t i = 0; i < origin->count && i < INSIDE_MAX; i++) {
        char name[128];
        ed_symbol_print(origin->places[i], name, sizeof name);
        if (strncmp(name, "ed_origin_", 10) == 0) continue;
        if (strncmp(name, "eddy_", 5) == 0 || strncmp(name, "ed_", 3) == 0)
            first = i + 1;
        else if (first > 0)
            break;
    }
    return ed_symbols_print(origin->places + first, origin->count - first, "  ", buffer, bytes);
}

/* ---- arguments on stacks ------------------------------------------------------------------------- */

struct ed_lent {
    struct ed_lent *next;
    eddy_task *task;
    uint64_t id; /* the record may be another task's by now */
    uintptr_t at;
};

/* A reference on the task of a note, if it has not ended; else NULL. */
static eddy_task *still_there(const struct ed_lent *lent) {
    eddy_task *task = lent->task;
    if (!ed_bias_hold(&task->future)) return NULL;
    if (task->id == lent->id) return task;
    ed_future_release(&task->future);
    return NULL;
}

static void sweep(struct ed_strand *strand) {
    size_t left = 0;
    for (struct ed_lent **link = &strand->lent; *link != NULL;) {
        struct ed_lent *lent = *link;
        eddy_task *task = still_there(lent);
        if (task != NULL) {
            ed_future_release(&task->future);
            left++;
            link = &lent->next;
        } else {
            *link = lent->next;
            ed_free(lent);
        }
    }
    strand->lent_count = left;
    strand->lent_limit = 2 * left + SWEEP_MIN;
}

void ed_lent_note(eddy_task *task) {
    struct ed_fiber *fiber = ed_fiber_current();
    if (fiber == NULL) return;
    const struct ed_context *stack = &fiber->stack.context;
    const uintptr_t at = (uintptr_t)task->arg, low = (uintptr_t)stack->stack_low;
    if (at < low || at - low >= stack->stack_bytes) return;
    struct ed_strand *strand = ed_strand_of(fiber);
    if (strand->lent_count >= strand->lent_limit) sweep(strand);
    struct ed_lent *lent = ed_alloc(sizeof *lent);
    if (lent == NULL) return;
    *lent = (struct ed_lent){strand->lent, task, task->id, at};
    strand->lent = lent;
    strand->lent_count++;
}

void ed_lent_end(const eddy_task *ended, struct ed_strand *strand, const void *frame) {
    for (struct ed_lent **link = &strand->lent; *link != NULL;) {
        struct ed_lent *lent = *link;
        if (lent->at >= (uintptr_t)frame) {
            link = &lent->next;
            continue;
        }
        eddy_task *task = still_there(lent);
        if (task != NULL) {
            char name[ED_TASK_NAME_BYTES], message[128];
            eddy_task_name(ended, name, sizeof name);
            snprintf(message, sizeof message, "task \"%s\" ended while a running task's argument lies on its stack",
                     name);
            ed_report_task(task->future.sched, EDDY_REPORT_DEAD_ARG, task, message, 0, NULL);
            ed_future_release(&task->future);
        }
        *link = lent->next;
        strand->lent_count--;
        ed_free(lent);
    }
}
