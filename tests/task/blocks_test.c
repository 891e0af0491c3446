/* Blocks: they come back from whoever had them, a burst is served by what the last one left, and their store goes with the
 * last of them, whoever gives that back. */
#include "harness/test.h"
#include "task/blocks.h"

#include <eddy/eddy.h>

#include <pthread.h>
#include <stdlib.h>

enum { BLOCKS = 1000, THREADS = 3 };

struct record {
    struct ed_block_store *store;
    int64_t number, twice;
    char rest[40];
};

static struct record *get(struct ed_block_store *store, struct ed_block_cache *cache, int64_t number) {
    struct record *record = ed_block_get(store, cache);
    EXPECT(record != NULL);
    EXPECT(record->store == store);
    record->number = number;
    record->twice = 2 * number;
    return record;
}
static void put(struct record *record, struct ed_block_cache *cache) {
    EXPECT_EQ(2 * record->number, record->twice); /* nobody else had it */
    ed_block_put((struct ed_block *)record, cache);
}

UNIT(blocks, a_burst_takes_what_the_last_one_left) {
    static struct record *records[BLOCKS];
    struct ed_block_store *store;
    struct ed_block_cache cache;
    EXPECT_OK(ed_block_store_open(&store, sizeof(struct record)));
    ed_block_cache_open(&cache, store);
    int64_t most = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BLOCKS; i++) records[i] = get(store, &cache, i);
        if (round == 0) most = ed_alloc_live_bytes();
        EXPECT_EQ(most, ed_alloc_live_bytes());
        for (int i = 0; i < BLOCKS; i++) put(records[(i * 7) % BLOCKS], &cache);
    }
    ed_block_cache_close(&cache);
    ed_block_store_close(store);
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static struct record *all[THREADS][BLOCKS];

struct visitor {
    struct ed_block_store *store;
    int index;
};
/* Gives those of the worker back, and keeps its own for others. */
static void *visit(void *arg) {
    struct visitor *visitor = arg;
    for (int i = 0; i < BLOCKS; i++) {
        put(all[visitor->index][i], NULL);
        if (i % 3 == 0) put(get(visitor->store, NULL, i), NULL);
        all[visitor->index][i] = get(visitor->store, NULL, -i);
    }
    return NULL;
}

/* A worker's blocks end on plain threads, and the other way round; the last comes back after the store was closed. */
UNIT(blocks, threads_and_a_cache_exchange_them) {
    struct ed_block_store *store;
    struct ed_block_cache cache;
    EXPECT_OK(ed_block_store_open(&store, sizeof(struct record)));
    ed_block_cache_open(&cache, store);
    int64_t after_first = 0;
    for (int round = 0; round < 6; round++) {
        for (int t = 0; t < THREADS; t++)
            for (int i = 0; i < BLOCKS; i++) all[t][i] = get(store, &cache, i);
        struct visitor visitors[THREADS];
        pthread_t threads[THREADS];
        for (int t = 0; t < THREADS; t++) {
            visitors[t] = (struct visitor){store, t};
            EXPECT_EQ(0, pthread_create(&threads[t], NULL, visit, &visitors[t]));
        }
        struct record *own[100]; /* meanwhile */
        for (int i = 0; i < 100; i++) own[i] = get(store, &cache, i);
        for (int i = 0; i < 100; i++) put(own[i], &cache);
        for (int t = 0; t < THREADS; t++) EXPECT_EQ(0, pthread_join(threads[t], NULL));
        if (round == 5) break;
        for (int t = 0; t < THREADS; t++)
            for (int i = 0; i < BLOCKS; i++) put(all[t][i], &cache);
        if (round == 0) after_first = ed_alloc_live_bytes();
        EXPECT(ed_alloc_live_bytes() <= 2 * after_first);
    }
    ed_block_cache_close(&cache);
    ed_block_store_close(store);
    EXPECT(ed_alloc_live_bytes() > 0);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < BLOCKS; i++) put(all[t][i], NULL);
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

/* ---- handles ---------------------------------------------------------------------------------------- */

static int never(void *arg) {
    (void)arg;
    EXPECT(!"runs");
    return 0;
}

static int keep_handles(void *arg, eddy_value *out) {
    eddy_handle **handles = arg;
    (void)out;
    for (int i = 0; i < 200; i++) EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(3600), never, NULL, &handles[i]));
    return 0;
}

UNIT(blocks, handles_may_outlive_the_run) {
    static eddy_handle *handles[200];
    EXPECT_OK(eddy_run(keep_handles, handles, NULL, EDDY_RUN(.workers = 2)));
    EXPECT(ed_alloc_live_bytes() > 0);
    for (int i = 0; i < 200; i++) {
        EXPECT(eddy_handle_when_ns(handles[i]) > 0);
        eddy_handle_cancel(handles[i]); /* nothing to cancel any more */
        EXPECT(!eddy_handle_cancelled(handles[i]));
        eddy_handle_release(handles[i]);
    }
    EXPECT_EQ(0, ed_alloc_live_bytes());
}
