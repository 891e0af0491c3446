/* entry.h: what waits in a worker's `ready` queue: an intrusive FIFO of entries with ages. */
#ifndef ED_SCHED_ENTRY_H
#define ED_SCHED_ENTRY_H

#include "base/base.h"

enum ed_entry_kind {
    ED_ENTRY_RESUME, /* a parked stack to go on with: struct ed_fiber */
    ED_ENTRY_START,  /* a new task that may start only here: struct ed_start */
    ED_ENTRY_CALL    /* a function to run on the scheduler's stack: struct ed_call */
};

struct ed_entry {
    struct ed_entry *next;
    uint64_t seq;
    uint8_t kind;
};

struct ed_ready {
    struct ed_entry *head, **tail;
    uint64_t count;
};

/* A function for the scheduler's stack. It may free the call. It runs user callbacks, and never suspends. */
struct ed_call {
    struct ed_entry entry;
    void (*run)(struct ed_call *call);
};

static inline void ed_ready_init(struct ed_ready *ready) { *ready = (struct ed_ready){NULL, &ready->head, 0}; }
static inline void ed_ready_push(struct ed_ready *ready, struct ed_entry *entry) {
    entry->next = NULL;
    *ready->tail = entry;
    ready->tail = &entry->next;
    ready->count++;
}
/* Ahead of everything: age 0. */
static inline void ed_ready_push_first(struct ed_ready *ready, struct ed_entry *entry) {
    entry->seq = 0;
    entry->next = ready->head;
    if (ready->head == NULL) ready->tail = &entry->next;
    ready->head = entry;
    ready->count++;
}
static inline struct ed_entry *ed_ready_pop(struct ed_ready *ready) {
    struct ed_entry *entry = ready->head;
    ready->head = entry->next;
    if (ready->head == NULL) ready->tail = &ready->head;
    ready->count--;
    return entry;
}

#endif
