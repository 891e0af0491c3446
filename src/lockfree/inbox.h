/* inbox.h: messages to one owner, from any thread.
 *
 * Idea       A stack pushed by compare-and-swap and taken whole by exchange (Treiber 1986), then reversed:
 *            FIFO per producer. The node lies in what is sent, so a push never allocates and fails only when
 *            the inbox is closed: the head is then a mark that no push replaces.
 * States     open: NULL or the newest message. closed: CLOSED, for good.
 * Ordering   A push releases what was written before it; taking acquires it. Both are seq_cst because the
 *            sleep protocol (sched/idle.c) needs push-then-look-at-`sleep` against sleep-then-look-here.
 *            No ABA: nothing is ever popped singly.
 * Threads    push: any. take, close: the owner. empty: any, advice for all but the owner.
 * Tests      tests/lockfree/inbox_test.c (8 producers, order per producer, close against push). */
#ifndef ED_LOCKFREE_INBOX_H
#define ED_LOCKFREE_INBOX_H

#include "base/base.h"

struct ed_worker;

struct ed_message {
    struct ed_message *next;
    void (*arrive)(struct ed_message *message, struct ed_worker *worker); /* on the owner; must not suspend */
};

struct ed_inbox {
    _Atomic(struct ed_message *) head;
};

#define ED_INBOX_CLOSED ((struct ed_message *)(uintptr_t)1)

static inline void ed_inbox_init(struct ed_inbox *inbox) { ED_STORE_RELAXED(&inbox->head, NULL); }

/* 0 or EDDY_ECLOSED. *first_out: there was no message in it. Then the owner has taken all earlier ones, or never saw any;
 * else it has not taken this one's predecessor yet, and will take both together. */
static inline int ed_inbox_push_telling(struct ed_inbox *inbox, struct ed_message *message, bool *first_out) {
    struct ed_message *head = ED_LOAD_RELAXED(&inbox->head);
    do {
        if (head == ED_INBOX_CLOSED) return EDDY_ECLOSED;
        message->next = head;
        ED_CHAOS(PUSH);
    } while (!ED_CAS_WEAK(&inbox->head, &head, message));
    *first_out = head == NULL;
    return 0;
}

static inline int ed_inbox_push(struct ed_inbox *inbox, struct ed_message *message) {
    bool first;
    return ed_inbox_push_telling(inbox, message, &first);
}

static inline struct ed_message *ed_inbox_reverse(struct ed_message *newest) {
    struct ed_message *oldest = NULL;
    while (newest != NULL) {
        struct ed_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* All messages so far, oldest first. */
static inline struct ed_message *ed_inbox_take(struct ed_inbox *inbox) {
    struct ed_message *head = ED_LOAD_RELAXED(&inbox->head);
    if (head == NULL || head == ED_INBOX_CLOSED) return NULL; /* only the owner closes: it stays open below */
    return ed_inbox_reverse(ED_EXCHANGE(&inbox->head, NULL));
}

/* Refuses pushes from now on; gives what was still in it. Once. */
static inline struct ed_message *ed_inbox_close(struct ed_inbox *inbox) {
    return ed_inbox_reverse(ED_EXCHANGE(&inbox->head, ED_INBOX_CLOSED));
}

static inline bool ed_inbox_empty(struct ed_inbox *inbox) { return ED_LOAD_SEQCST(&inbox->head) == NULL; }

#endif
