/* eddy/map.h: one function over many inputs, in a pool, with a bound on how many are under way.
 *
 *      static int next_file(void *arg, eddy_bytes *in_out) { ... return 1; }      // 0: there are no more
 *      static int add_up(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) { ... return status; }
 *      ...
 *      status = eddy_process_pool_map(pool, count_words, EDDY_PROCESS_MAP(.next = next_file, .each = add_up, .arg = &sum));
 *
 * Inputs are asked for when there is room, so a million of them need the memory of `buffer`. Both functions run in the task that
 * calls, and may suspend. Each input that `next` gave is told to `each` exactly once, whatever happens: what it holds can be
 * freed there. Source: Executor.map(..., buffersize=) of Python 3.14, and as_completed. */
#ifndef EDDY_MAP_H
#define EDDY_MAP_H

#include "eddy/process.h"
#include "eddy/thread.h"

EDDY_BEGIN_DECLS

typedef struct eddy_thread_map {
    size_t size; /**< sizeof(eddy_thread_map): by EDDY_THREAD_MAP or eddy_thread_map_init */
    /** Gives the next input, fn's argument. @return 1; 0: there are no more; negative: the map stops with this. */
    int (*next)(void *arg, void **item_out);
    /** What became of input number `index`, from 0. `status` and `value`: as of the call that ran it; EDDY_ECANCELED: it
     *  was stopped, or never ran. eddy_error_current(status) has its text. @return Negative: the map stops with this. */
    int (*each)(void *arg, size_t index, void *item, int status, eddy_value value);
    void *arg;         /**< borrowed */
    size_t buffer;     /**< inputs asked for and not told yet, at most; 0: twice what the pool runs at once */
    bool as_they_come; /**< told as they end; else in the order of the inputs */
} eddy_thread_map;

static inline eddy_thread_map eddy_thread_map_init(void) {
    eddy_thread_map map = {sizeof(eddy_thread_map), NULL, NULL, NULL, 0, false};
    return map;
}

typedef struct eddy_process_map {
    size_t size; /**< sizeof(eddy_process_map): by EDDY_PROCESS_MAP or eddy_process_map_init */
    /** As above; the bytes are borrowed until `each` was told of them. */
    int (*next)(void *arg, eddy_bytes *in_out);
    /** As above. `*out` is the result if the status is 0 or more: taken by who empties it, else freed after the return. */
    int (*each)(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out);
    void *arg;         /**< borrowed */
    size_t buffer;     /**< as above */
    bool as_they_come; /**< as above */
} eddy_process_map;

static inline eddy_process_map eddy_process_map_init(void) {
    eddy_process_map map = {sizeof(eddy_process_map), NULL, NULL, NULL, 0, false};
    return map;
}
#ifndef __cplusplus
#define EDDY_THREAD_MAP(...) (&(eddy_thread_map){.size = sizeof(eddy_thread_map), __VA_ARGS__})
#define EDDY_PROCESS_MAP(...) (&(eddy_process_map){.size = sizeof(eddy_process_map), __VA_ARGS__})
#endif

/** Runs fn(item, &value) on the pool's threads for each input, at most `buffer` of them at once.
 *
 *  @param pool  NULL: the default pool.
 *  @param map   Borrowed.
 *  @return      0 when all inputs were told. A failed input is no failure of the map unless `each` says so. What `next` or
 *               `each` returned below 0, with its text: the others are cancelled, their end is awaited (as
 *               eddy_thread_pool_run does), each is told; what `each` returns then is not looked at. EDDY_ECANCELED after
 *               a cancel: the same. EDDY_ENOMEM, EDDY_EINVAL; EDDY_EWRONGTHREAD outside a task; nothing was asked for then,
 *               but for EDDY_ENOMEM in the middle.
 *
 *  Suspends: while an input is under way. Cancellation point: when it suspends, and what `next` and `each` are.
 *  Threads: any task.  Cost: a task for each input, and `buffer` records of some 120 bytes. */
EDDY_API int eddy_thread_pool_map(eddy_thread_pool *pool, eddy_thread_fn fn, const eddy_thread_map *map) EDDY_SUSPENDS;

/** The same with the pool's processes, and fn registered with EDDY_REMOTE. Those that a stop finds at work are killed, or left
 *  behind, as the pool's .on_cancel says. */
EDDY_API int eddy_process_pool_map(eddy_process_pool *pool, eddy_remote_fn fn,
                                   const eddy_process_map *map) EDDY_SUSPENDS;

EDDY_END_DECLS

#endif
