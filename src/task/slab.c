/* slab.c: task records, type-stable.
 *
 * Problem    Deque hints and walkers of all tasks read records without a reference; a spawn must not call malloc.
 * Idea       Records come in chunks that live until the run ends; a freed record keeps a valid start word (FREE, next
 *            generation) and a future word with 0 references. Each worker keeps a free list; when it holds two batches
 *            one goes to the common list, so that records which one worker makes and another frees come back.
 * Threads    get and put: any; a worker uses its own list, other threads the common one (under a spin lock).
 * Tests      tests/task/slab_test.c. */
#include "task/blocks.h"
#include "task/task.h"

#include <stdio.h>

enum { CHUNK_RECORDS = 64, BATCH = 64 };

struct ed_slab_chunk {
    struct ed_slab_chunk *next;
    eddy_task records[CHUNK_RECORDS];
};

struct cache {
    eddy_task *free;
    unsigned count;
    struct ed_block_cache handles;
};

int ed_tasks_worker_open(struct ed_worker *worker) {
    struct cache *cache = ed_calloc(sizeof *cache);
    if (cache == NULL) return EDDY_ENOMEM;
    ed_block_cache_open(&cache->handles, ed_tasks_of(worker->sched)->handles);
    worker->slab = cache;
    worker->handles = &cache->handles;
    return 0;
}

void ed_tasks_worker_close(struct ed_worker *worker) {
    struct cache *cache = worker->slab;
    if (cache == NULL) return;
    ed_block_cache_close(&cache->handles);
    worker->slab = worker->handles = NULL;
    ed_free(cache);
}

/* Fills an empty cache with a batch from the common list, or from a new chunk. */
static ED_COLD void refill(struct ed_sched *sched, struct cache *cache) {
    struct ed_tasks *tasks = ed_tasks_of(sched);
    ed_spinlock_lock(&tasks->lock);
    while (tasks->free != NULL && cache->count < BATCH) {
        eddy_task *task = tasks->free;
        tasks->free = task->next_free;
        task->next_free = cache->free;
        cache->free = task;
        cache->count++;
    }
    ed_spinlock_unlock(&tasks->lock);
    if (cache->count > 0) return;

    struct ed_slab_chunk *chunk = ed_calloc(sizeof *chunk);
    if (chunk == NULL) return;
    for (int i = CHUNK_RECORDS - 1; i >= 0; i--) {
        ed_task_clean(&chunk->records[i], sched);
        chunk->records[i].next_free = cache->free;
        cache->free = &chunk->records[i];
    }
    cache->count = CHUNK_RECORDS;
    ed_spinlock_lock(&tasks->lock);
    chunk->next = tasks->chunks;
    tasks->chunks = chunk;
    ed_spinlock_unlock(&tasks->lock);
}

static ED_COLD void to_common(struct ed_tasks *tasks, struct cache *cache, unsigned count) {
    ed_spinlock_lock(&tasks->lock);
    for (; count > 0 && cache->free != NULL; count--) {
        eddy_task *task = cache->free;
        cache->free = task->next_free;
        cache->count--;
        task->next_free = tasks->free;
        tasks->free = task;
    }
    ed_spinlock_unlock(&tasks->lock);
}

static eddy_task *take(struct ed_sched *sched, struct cache *cache) {
    if (ED_UNLIKELY(cache->free == NULL)) refill(sched, cache);
    eddy_task *task = cache->free;
    if (task == NULL) return NULL;
    cache->free = task->next_free;
    cache->count--;
    return task;
}

ED_HOT eddy_task *ed_slab_get_from(struct ed_sched *sched, struct ed_worker *worker) {
    if (ED_LIKELY(worker != NULL)) return take(sched, worker->slab);
    struct cache cache = {0};
    eddy_task *task = take(sched, &cache);
    to_common(ed_tasks_of(sched), &cache, cache.count);
    return task;
}

ED_HOT void ed_slab_put(eddy_task *task) {
    struct ed_worker *worker = ed_worker_current();
    if (ED_UNLIKELY(ED_LOAD_RELAXED(&task->special))) ed_task_wipe(task);
    ED_STORE_RELAXED(&task->fiber, NULL);
    ed_start_free(&task->start);
    ED_STORE_RELEASE(&task->future.word, 0);
    if (ED_UNLIKELY(worker == NULL || worker->sched != task->future.sched)) {
        struct cache cache = {.free = task, .count = 1};
        task->next_free = NULL;
        to_common(ed_tasks_of(task->future.sched), &cache, 1);
        return;
    }
    struct cache *cache = worker->slab;
    task->next_free = cache->free;
    cache->free = task;
    if (ED_UNLIKELY(++cache->count >= 2 * BATCH)) to_common(ed_tasks_of(worker->sched), cache, BATCH);
}

void ed_slab_each(struct ed_sched *sched, bool (*visit)(eddy_task *task, void *arg), void *arg) {
    struct ed_tasks *tasks = ed_tasks_of(sched);
    ed_spinlock_lock(&tasks->lock);
    struct ed_slab_chunk *chunk = tasks->chunks;
    ed_spinlock_unlock(&tasks->lock);
    for (; chunk != NULL; chunk = chunk->next) { /* chunks are added in front and never leave */
        for (int i = 0; i < CHUNK_RECORDS; i++) {
            eddy_task *task = &chunk->records[i];
            uint64_t word = ED_LOAD_SEQCST(&task->future.word); /* partner: a spawn from outside */
            while (ed_refs_of(word) > 0 && !(word & ED_DONE)) {
                if (!ED_CAS_WEAK(&task->future.word, &word, word + ED_REF_ONE)) continue;
                bool more = visit(task, arg);
                ed_future_release(&task->future);
                if (!more) return;
                break;
            }
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
