/* slab.c: task records, type-stable.
 *
 * Problem    Deque hints and walkers of all tasks read records without a reference; a spawn must not call malloc.
 * Idea       Records come in chunks that live until the run ends; a freed record keeps a valid start word (FREE, next
 *            generation) and a future word with 0 references. Each worker keeps an array of free ones; when it holds two
 *            batches one goes to the common list, so that records which one worker makes and another frees come back.
 * Threads    get and put: any; a worker uses its own list, other threads the common one (under a spin lock).
 * Tests      tests/task/slab_test.c. */
#include "task/bias.h"
#include "task/blocks.h"
#include "task/task.h"

#include <stdio.h>

enum { CHUNK_RECORDS = 64 };
_Static_assert((int)CHUNK_RECORDS <= (int)ED_SLAB_BATCH, "a chunk fits into an empty cache");

struct ed_slab_chunk {
    struct ed_slab_chunk *next;
    eddy_task records[CHUNK_RECORDS];
};

/* What a worker keeps: its slab, first, and its handles. */
struct cache {
    struct ed_slab_cache tasks;
    struct ed_block_cache handles;
};

int ed_tasks_worker_open(struct ed_worker *worker) {
    struct cache *cache = ed_calloc(sizeof *cache);
    if (cache == NULL) return EDDY_ENOMEM;
    ed_block_cache_open(&cache->handles, ed_tasks_of(worker->sched)->handles);
    worker->slab = &cache->tasks;
    worker->handles = &cache->handles;
    ed_bias_open(worker);
    return 0;
}

void ed_tasks_worker_close(struct ed_worker *worker) {
    if (worker->slab == NULL) return;
    struct cache *cache = ED_CONTAINER(worker->slab, struct cache, tasks);
    ed_block_cache_close(&cache->handles);
    worker->slab = worker->handles = NULL;
    ed_free(cache);
}

static void keep(struct ed_slab_cache *cache, struct ed_worker *worker, eddy_task *task) {
    task->future.home = worker;
    cache->free[cache->count++] = task;
}

/* Takes one from the common list; others, or those of a new chunk, go to the worker's own, which is empty. */
static ED_COLD eddy_task *refill(struct ed_sched *sched, struct ed_worker *worker) {
    struct ed_tasks *tasks = ed_tasks_of(sched);
    struct ed_slab_cache *cache = worker != NULL ? worker->slab : NULL;
    ed_spinlock_lock(&tasks->lock);
    eddy_task *task = tasks->free;
    if (task != NULL) tasks->free = task->next_free;
    while (cache != NULL && tasks->free != NULL && cache->count < ED_SLAB_BATCH) {
        eddy_task *more = tasks->free;
        tasks->free = more->next_free;
        keep(cache, worker, more);
    }
    ed_spinlock_unlock(&tasks->lock);
    if (task != NULL) return task;

    struct ed_slab_chunk *chunk = ed_calloc(sizeof *chunk);
    if (chunk == NULL) return NULL;
    for (int i = CHUNK_RECORDS - 1; i >= 0; i--) {
        ed_task_clean(&chunk->records[i], sched);
        if (cache != NULL && i > 0) keep(cache, worker, &chunk->records[i]);
    }
    ed_spinlock_lock(&tasks->lock);
    chunk->next = tasks->chunks;
    tasks->chunks = chunk;
    for (int i = CHUNK_RECORDS - 1; cache == NULL && i > 0; i--) {
        chunk->records[i].next_free = tasks->free;
        tasks->free = &chunk->records[i];
    }
    ed_spinlock_unlock(&tasks->lock);
    return &chunk->records[0];
}

ED_HOT eddy_task *ed_slab_get_from(struct ed_sched *sched, struct ed_worker *worker) {
    struct ed_slab_cache *cache = worker != NULL ? worker->slab : NULL;
    if (ED_UNLIKELY(cache == NULL || cache->count == 0)) return refill(sched, worker);
    return cache->free[--cache->count];
}

/* To the common list: `task`, if this is not its run's worker, else half of what the worker has. */
static ED_COLD void put_apart(struct ed_worker *worker, eddy_task *task) {
    struct ed_tasks *tasks = ed_tasks_of(task->future.sched);
    bool here = worker != NULL && worker->sched == task->future.sched;
    struct ed_slab_cache *cache = here ? worker->slab : NULL;
    ed_spinlock_lock(&tasks->lock);
    if (!here) {
        task->next_free = tasks->free;
        tasks->free = task;
    } else if (cache->count == 2 * ED_SLAB_BATCH) {
        while (cache->count > ED_SLAB_BATCH) {
            eddy_task *spare = cache->free[--cache->count];
            spare->next_free = tasks->free;
            tasks->free = spare;
        }
    }
    ed_spinlock_unlock(&tasks->lock);
    if (here) keep(cache, worker, task);
}

static inline ED_HOT void put_clean(eddy_task *task) {
    struct ed_worker *worker = ed_worker_current();
    ED_STORE_RELAXED(&task->fiber, NULL);
    ed_start_free(&task->start);
    ED_STORE_RELEASE(&task->future.word, 0);
    struct ed_slab_cache *cache = worker == task->future.home ? worker->slab : NULL;
    if (ED_UNLIKELY(cache == NULL || cache->count == 2 * ED_SLAB_BATCH)) {
        put_apart(worker, task);
    } else {
        cache->free[cache->count++] = task;
    }
}

void ed_slab_put(eddy_task *task) {
    if (ED_LOAD_RELAXED(&task->special)) ed_task_wipe(task);
    put_clean(task);
}

ED_HOT void ed_slab_put_plain(eddy_task *task) { put_clean(task); }

void ed_slab_each(struct ed_sched *sched, bool (*visit)(eddy_task *task, void *arg), void *arg) {
    struct ed_tasks *tasks = ed_tasks_of(sched);
    ed_spinlock_lock(&tasks->lock);
    struct ed_slab_chunk *chunk = tasks->chunks;
    ed_spinlock_unlock(&tasks->lock);
    for (; chunk != NULL; chunk = chunk->next) { /* chunks are added in front and never leave */
        for (int i = 0; i < CHUNK_RECORDS; i++) {
            eddy_task *task = &chunk->records[i];
            if (!ed_bias_hold(&task->future)) continue;
            bool more = visit(task, arg);
            ed_future_release(&task->future);
            if (!more) return;
        }
    }
}

int ed_tasks_open(struct ed_sched *sched, eddy_exception_handler handler, void *arg) {
    struct ed_tasks *tasks = ed_calloc(sizeof *tasks);
    if (tasks == NULL) return EDDY_ENOMEM;
    int status = ed_handles_open(&tasks->handles);
    if (status < 0) {
        ed_free(tasks);
        return status;
    }
    ed_spinlock_init(&tasks->lock);
    tasks->loop = (eddy_loop){.sched = sched};
    tasks->on_exception = handler;
    tasks->on_exception_arg = arg;
    sched->tasks = tasks;
    return 0;
}

static _Atomic int64_t left_behind; /* handles that runs of this process ended with */

int64_t ed_tasks_left_behind(void) { return ED_LOAD_RELAXED(&left_behind); }

/* Handles that nobody gave back: they dangle from now on. */
void ed_tasks_report_left(struct ed_sched *sched) {
    eddy_task *first = NULL;
    int64_t count = 0;
    for (struct ed_slab_chunk *chunk = ed_tasks_of(sched)->chunks; chunk != NULL; chunk = chunk->next)
        for (int i = 0; i < CHUNK_RECORDS; i++) {
            eddy_task *task = &chunk->records[i];
            if (ed_refs_of(ED_LOAD_ACQUIRE(&task->future.word)) == 0) continue;
            count++;
            if (first == NULL || task->id < first->id) first = task;
        }
    if (count == 0) return;
    ED_ADD_RELAXED(&left_behind, count);
    char message[128];
    snprintf(message, sizeof message, "the run ended with %lld task%s not released, the first of them",
             (long long)count, count > 1 ? "s" : "");
    ed_report_task(sched, EDDY_REPORT_SHUTDOWN, first, message, 0, NULL);
}

void ed_tasks_close(struct ed_sched *sched) {
    struct ed_tasks *tasks = ed_tasks_of(sched);
    while (tasks->chunks != NULL) {
        struct ed_slab_chunk *chunk = tasks->chunks;
        tasks->chunks = chunk->next;
        ed_free(chunk);
    }
    while (tasks->domains != NULL) {
        eddy_loop *domain = tasks->domains;
        tasks->domains = domain->next;
        ed_free(domain);
    }
    ed_block_store_close(tasks->handles);
    ed_free(tasks);
    sched->tasks = NULL;
}
