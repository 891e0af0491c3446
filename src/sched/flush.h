/* flush.h: something to do once, on the scheduler's stack, before the worker next asks the system for events: output that
 * gathers goes out together. Threads: the worker's own. */
#ifndef ED_SCHED_FLUSH_H
#define ED_SCHED_FLUSH_H

#include "sched/worker.h"

struct ed_flush {
    struct ed_list node; /* initialised with ed_list_init */
    void (*run)(struct ed_flush *flush);
};

static inline void ed_flush_later(struct ed_worker *worker, struct ed_flush *flush) { /* queued already: nothing */
    if (ed_list_empty(&flush->node)) ed_list_push(&worker->flushes, &flush->node);
}

static inline void ed_flush_forget(struct ed_flush *flush) { ed_list_remove(&flush->node); }

/* The driver's: in poll, and before it closes. */
static inline void ed_flush_run(struct ed_worker *worker) {
    struct ed_list *node;
    while ((node = ed_list_pop(&worker->flushes)) != NULL) {
        struct ed_flush *flush = ED_CONTAINER(node, struct ed_flush, node);
        flush->run(flush);
    }
}

#endif
