/* tally.c: see tally.h. */
#include "demo/tally.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULTS_TOLD = 10 };

/* Room for `more` items. A demo without memory has nothing to say. */
static void *grow(void *items, size_t count, size_t more, size_t *capacity, size_t item_bytes) {
    if (count + more <= *capacity) return items;
    while (*capacity < count + more) *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    items = realloc(items, *capacity * item_bytes);
    if (items == NULL) {
        fprintf(stderr, "signup-demo: no memory\n");
        abort();
    }
    return items;
}

void tally_add_answer(struct tally *tally, int status, int64_t latency_ns) {
    struct latencies *latencies = &tally->latencies;
    tally->statuses[status > 0 && status < STATUS_MAX ? status : 0]++;
    latencies->items_ns =
        grow(latencies->items_ns, latencies->count, 1, &latencies->capacity, sizeof latencies->items_ns[0]);
    latencies->items_ns[latencies->count++] = latency_ns;
}

void tally_add_account(struct accounts *accounts, const char *username, const char *hash_start) {
    accounts->items = grow(accounts->items, accounts->count, 1, &accounts->capacity, sizeof accounts->items[0]);
    struct account *account = &accounts->items[accounts->count++];
    snprintf(account->username, sizeof account->username, "%s", username);
    snprintf(account->hash_start, sizeof account->hash_start, "%s", hash_start);
}

void tally_fault(struct tally *tally, const char *format, ...) {
    static atomic_uint told;
    tally->faults++;
    if (atomic_fetch_add(&told, 1) >= FAULTS_TOLD) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "signup-demo: wrong: %s\n", text);
}

static void merge_accounts(struct accounts *accounts, struct accounts *from) {
    accounts->items =
        grow(accounts->items, accounts->count, from->count, &accounts->capacity, sizeof accounts->items[0]);
    for (size_t i = 0; i < from->count; i++) accounts->items[accounts->count++] = from->items[i];
}

void tally_merge(struct tally *tally, struct tally *from) {
    struct latencies *latencies = &tally->latencies;
    latencies->items_ns = grow(latencies->items_ns, latencies->count, from->latencies.count, &latencies->capacity,
                               sizeof latencies->items_ns[0]);
    for (size_t i = 0; i < from->latencies.count; i++)
        latencies->items_ns[latencies->count++] = from->latencies.items_ns[i];
    for (int status = 0; status < STATUS_MAX; status++) tally->statuses[status] += from->statuses[status];
    merge_accounts(&tally->created, &from->created);
    merge_accounts(&tally->taken, &from->taken);
    tally->faults += from->faults;
    tally_deinit(from);
}

void tally_deinit(struct tally *tally) {
    free(tally->latencies.items_ns);
    free(tally->created.items);
    free(tally->taken.items);
    memset(tally, 0, sizeof *tally);
}

uint64_t tally_requests(const struct tally *tally) { return tally->latencies.count; }

static int compare_ns(const void *x, const void *y) {
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

double tally_latency_ms(struct tally *tally, double share) {
    struct latencies *latencies = &tally->latencies;
    if (latencies->count == 0) return 0;
    qsort(latencies->items_ns, latencies->count, sizeof latencies->items_ns[0], compare_ns);
    size_t index = (size_t)(share * (double)latencies->count);
    if (index >= latencies->count) index = latencies->count - 1;
    return (double)latencies->items_ns[index] / 1e6;
}

static int compare_accounts(const void *x, const void *y) {
    return strcmp(((const struct account *)x)->username, ((const struct account *)y)->username);
}

void accounts_sort(struct accounts *accounts) {
    if (accounts->count > 0) qsort(accounts->items, accounts->count, sizeof accounts->items[0], compare_accounts);
}

const struct account *accounts_find(const struct accounts *accounts, const char *username) {
    if (accounts->count == 0) return NULL;
    struct account key;
    snprintf(key.username, sizeof key.username, "%s", username);
    return bsearch(&key, accounts->items, accounts->count, sizeof accounts->items[0], compare_accounts);
}
