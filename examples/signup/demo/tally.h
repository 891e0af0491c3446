/* tally.h: what clients asked and were answered. One for each connection, so nothing is shared; merged at the end. */
#ifndef SIGNUP_DEMO_TALLY_H
#define SIGNUP_DEMO_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_BYTES = 48, HASH_START_BYTES = 17, STATUS_MAX = 600 };

/* A user that a 201 promised; or a name that a 409 said was there (hash_start empty). */
struct account {
    char username[NAME_BYTES];
    char hash_start[HASH_START_BYTES];
};

struct accounts {
    struct account *items;
    size_t count, capacity;
};

struct latencies {
    int64_t *items_ns;
    size_t count, capacity;
};

struct tally {
    uint64_t statuses[STATUS_MAX];
    struct latencies latencies;
    struct accounts created, taken;
    uint64_t faults; /* answers, or missing ones, that the rules do not allow */
};

void tally_add_answer(struct tally *tally, int status, int64_t latency_ns);
void tally_add_account(struct accounts *accounts, const char *username, const char *hash_start);

/* Counts a fault, and tells the first few on standard error. */
void tally_fault(struct tally *tally, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Moves everything from `from`, which is empty afterwards. */
void tally_merge(struct tally *tally, struct tally *from);
void tally_deinit(struct tally *tally);

uint64_t tally_requests(const struct tally *tally);
/* The latency that `share` of the requests (0 to 1) did not exceed. Sorts. */
double tally_latency_ms(struct tally *tally, double share);

/* In the order of the names. */
void accounts_sort(struct accounts *accounts);
/* NULL if it is not there. Sorted ones only. */
const struct account *accounts_find(const struct accounts *accounts, const char *username);

#endif
