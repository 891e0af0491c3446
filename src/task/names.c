/* names.c: what a task tells of itself to who has a handle, and all tasks of a run.
 *
 * Names     Under the lock bit of the task's word: who prints one may be another thread than who sets it. A task without one
 *           is "Task-" and its id.
 * All tasks A walk over the slabs (slab.c) takes a reference on each that is alive and not done.
 * Threads   Any; eddy_all_tasks: tasks and callbacks.
 * Tests     tests/task/task_test.c, tests/contract/task_test.c. */
#include "task/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

eddy_task *eddy_future_task(eddy_future *future) {
    return ED_LOAD_RELAXED(&future->word) & ED_IS_TASK ? (eddy_task *)future : NULL;
}

eddy_task *eddy_current_task(void) { return ed_task_current(); }

uint64_t eddy_task_id(const eddy_task *task) { return task->id; }

size_t eddy_task_name(const eddy_task *task, char *buffer, size_t bytes) {
    eddy_future *future = (eddy_future *)&task->future;
    char name[ED_TASK_NAME_BYTES];
    ed_future_lock(future);
    memcpy(name, task->name, sizeof name);
    ed_future_unlock(future, 0, 0);
    if (name[0] == '\0') return (size_t)snprintf(buffer, bytes, "Task-%" PRIu64, task->id);
    return (size_t)snprintf(buffer, bytes, "%s", name);
}

void eddy_task_set_name(eddy_task *task, const char *name) {
    char copy[ED_TASK_NAME_BYTES] = "";
    snprintf(copy, sizeof copy, "%s", name != NULL ? name : "");
    ed_task_set_special(task);
    ed_future_lock(&task->future);
    memcpy(task->name, copy, sizeof copy);
    ed_future_unlock(&task->future, 0, 0);
}

size_t eddy_task_print(const eddy_task *task, char *buffer, size_t bytes) {
    char name[ED_TASK_NAME_BYTES];
    eddy_task_name(task, name, sizeof name);
    uint64_t word = ED_LOAD_ACQUIRE((_Atomic uint64_t *)&task->future.word);
    const char *state = "pending";
    if (word & ED_DONE) state = word & ED_CANCELLED ? "cancelled" : task->future.status < 0 ? "failed" : "finished";
    const char *reason = ED_LOAD_RELAXED(&((eddy_task *)task)->reason);
    if (ED_LOAD_RELAXED(&((eddy_task *)task)->above) != NULL) reason = "await";
    bool waits = !(word & ED_DONE) && reason != NULL;
    char place[256];
    if (task->place != NULL)
        snprintf(place, sizeof place, "spawned at %s", task->place);
    else
        snprintf(place, sizeof place, "fn=%p", (void *)(uintptr_t)task->fn);
    return (size_t)snprintf(buffer, bytes, "<Task name='%s' id=%" PRIu64 " state=%s %s%s%s>", name, task->id, state,
                            place, waits ? " waiting on " : "", waits ? reason : "");
}

/* ---- all tasks ----------------------------------------------------------------------------------- */

struct collect {
    eddy_task **tasks;
    size_t count, capacity;
};

static bool collect(eddy_task *task, void *arg) {
    struct collect *all = arg;
    if (ED_LOAD_RELAXED(&task->future.word) & ED_HIDDEN) return true;
    if (all->count < all->capacity) all->tasks[all->count] = eddy_task_share(task);
    all->count++;
    return true;
}

static int by_id(const void *a, const void *b) {
    uint64_t left = (*(eddy_task *const *)a)->id, right = (*(eddy_task *const *)b)->id;
    return (left > right) - (left < right);
}

size_t eddy_all_tasks(eddy_task **tasks_out, size_t capacity) {
    struct ed_worker *worker = ed_worker_current();
    if (worker == NULL) return 0;
    struct collect all = {tasks_out, 0, capacity};
    ed_slab_each(worker->sched, collect, &all);
    size_t given = all.count < capacity ? all.count : capacity;
    if (given > 1) qsort(tasks_out, given, sizeof *tasks_out, by_id);
    return all.count;
}
