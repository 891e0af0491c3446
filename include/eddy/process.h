/* eddy/process.h: functions that run in other processes: to_process, pools of worker processes.
 *
 * For work that computes for long, may crash, or must be stopped for real. A worker process is this program
 * started again; instead of main it serves calls: bytes in, bytes out, by the function's name.
 *
 *      static int hash_password(eddy_bytes in, eddy_bytes *out) { ... }
 *      EDDY_REMOTE(hash_password);
 *      ...
 *      status = EDDY_TIMEOUT(EDDY_SECONDS(5), eddy_to_process(hash_password, in, &out));   // kills it in time
 *
 * A worker that dies fails the one call that it ran; the others do not notice. Workers end with the pool, with
 * the run, and with the program, however it ends. In a worker stdin is /dev/null, SIGINT, SIGTERM and SIGHUP are
 * ignored (the parent decides; what a worker starts itself inherits that), all descriptors but stdout and stderr
 * are closed, and the process ends without atexit handlers, with stdio flushed. Linux only. */
#ifndef EDDY_PROCESS_H
#define EDDY_PROCESS_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/* ---- bytes -------------------------------------------------------------------------------------- */

typedef struct eddy_bytes {
    void *data;
    size_t size;
} eddy_bytes;

/** A view of bytes that somebody else owns. */
static inline eddy_bytes eddy_bytes_view(const void *data, size_t size) {
    eddy_bytes bytes = {(void *)(uintptr_t)data, size};
    return bytes;
}
/** `size` bytes, not initialised: give them back with eddy_bytes_free(). @return 0 or EDDY_ENOMEM (*out is then
 *  empty). Any thread, any process. */
EDDY_API int eddy_bytes_alloc(eddy_bytes *out, size_t size) EDDY_ANY_THREAD;
/** The same, filled from `data`. */
EDDY_API int eddy_bytes_copy(eddy_bytes *out, const void *data, size_t size) EDDY_ANY_THREAD;
/** Frees what eddy_bytes_alloc, eddy_bytes_copy or a call gave, and empties it. NULL and empty are nothing. */
EDDY_API void eddy_bytes_free(eddy_bytes *bytes) EDDY_ANY_THREAD;

/* ---- remote functions --------------------------------------------------------------------------- */

/** Runs in a worker process, on its main thread, one call at a time; may block. `in` is borrowed. `*out` is empty
 *  at entry; what is put there must come from eddy_bytes_alloc or eddy_bytes_copy and is taken.
 *  @return  0 or more: `out` is the result. Negative: a failure, whose eddy_fail() text reaches the awaiter. */
typedef int (*eddy_remote_fn)(eddy_bytes in, eddy_bytes *out);

/** Registers `function` by its name, at file scope, in the program itself; once per function and program:
 *      EDDY_REMOTE(hash_password);
 *  Also puts the worker's start into the program: in a worker process the program's constructors run, then calls
 *  are served, and main is never entered. Functions of one program need different names. */
#define EDDY_REMOTE(function) EDDY_REMOTE_(function, true)

/** The same without the start, for programs where it must come later than the constructors, and for functions in
 *  shared libraries: main calls eddy_process_worker() as its first statement. */
#define EDDY_REMOTE_IN_MAIN(function) EDDY_REMOTE_(function, false)

/** In a worker process: serves its calls and never returns. Else: remembers that this program can be started as
 *  a worker, and returns. */
EDDY_API void eddy_process_worker(void) EDDY_ANY_THREAD;

/* ---- the default pool --------------------------------------------------------------------------- */

/** Runs `fn(in, &out)` in a process of the default pool (one per core, started on demand).
 *
 *  @param fn   Registered with EDDY_REMOTE, else EDDY_EINVAL with a text.
 *  @param in   Borrowed until the call returns; at most 1 GiB, else EDDY_ELIMIT.
 *  @param out  May be NULL. Written if the status is 0 or more, then the caller's: eddy_bytes_free(); else empty.
 *  @return     fn's status, with its text. EDDY_ECANCELED after a cancel: the work is dead when the call returns (a
 *              call that no process has begun is taken back at once). EDDY_EBROKENPOOL, with a text:
 *              the process died during the call, or none can be started. EDDY_ENOTSUP, with a text: set-user-id
 *              programs, no /proc, or a program that cannot be started as a worker. EDDY_EWRONGTHREAD outside
 *              a task.
 *
 *  Suspends: always.  Cancellation point: yes, as said.  Threads: any task.
 *  Cost: two copies of the bytes each way through a socket, two wake-ups; two more from a worker that did not open the
 *  pool (that one must not be held by computing tasks: the pool's calls wait for it).
 *  Source: loop.run_in_executor(ProcessPoolExecutor, fn). */
EDDY_API int eddy_to_process(eddy_remote_fn fn, eddy_bytes in, eddy_bytes *out) EDDY_SUSPENDS;

/* ---- pools -------------------------------------------------------------------------------------- */

typedef struct eddy_process_pool eddy_process_pool;

enum eddy_on_cancel {
    EDDY_KILL,   /**< kill the process that runs the call, wait until it is dead, start another on demand */
    EDDY_ABANDON /**< return at once; the process runs on and its result is dropped (asyncio's rule) */
};
enum eddy_on_death {
    EDDY_RESPAWN, /**< the call that the dead process ran fails; another process is started on demand */
    EDDY_FAIL_ALL /**< all calls of the pool fail and it takes no more (asyncio's BrokenProcessPool) */
};

typedef struct eddy_process_pool_options {
    size_t size;                   /**< sizeof(eddy_process_pool_options): by EDDY_PROCESS_POOL or ..._init */
    unsigned processes;            /**< at most; 0: one per usable core; more than 256 is EDDY_EINVAL */
    const char *name;              /**< in texts; cut at 31 bytes; NULL: "pool" */
    size_t queue_max;              /**< calls that may wait for a process; 0: no limit */
    const char *worker_path;       /**< the program to start; copied; NULL: this one. It must register the names that
                                    *   are called, and be built with the same eddy */
    bool same_build;               /**< worker_path is this program, under another name: one of another build, or with
                                    *   other functions registered, breaks the pool. Always so with NULL */
    enum eddy_on_cancel on_cancel; /**< default EDDY_KILL */
    enum eddy_on_death on_death;   /**< default EDDY_RESPAWN */
    eddy_remote_fn initializer;    /**< registered; the first call in each process. A failure breaks the pool */
    eddy_bytes initializer_in;     /**< its argument: copied */
    unsigned max_tasks;            /**< a process is replaced after so many calls; 0: never */
    unsigned kills_per_second;     /**< kills by cancels beyond this many wait their turn, or for the work's own
                                    *   end; 0: 32 */
    int64_t grace_ns;              /**< EDDY_KILL: from the cancel, which the function is told of
                                    *   (eddy_process_cancelled), to the kill; 0: it is killed at once */
    int64_t hello_ns;              /**< a process that is not ready for its first call by then breaks the pool
                                    *   (its initializer not counted); 0: 60 s */
    int64_t cpu_ns;                /**< CPU time that a call may use, all threads of its process counted; more ends the
                                    *   process, and the call fails with EDDY_ELIMIT and a text; 0: any. Uses
                                    *   SIGXCPU there */
    size_t memory_bytes;           /**< data of a process, as RLIMIT_DATA: beyond it malloc gives NULL; 0: any */
    int nice;                      /**< 0 to 19: added to the processes' nice value */
} eddy_process_pool_options;

static inline eddy_process_pool_options eddy_process_pool_options_init(void) {
    eddy_process_pool_options options = {sizeof(eddy_process_pool_options),
                                         0,
                                         NULL,
                                         0,
                                         NULL,
                                         false,
                                         EDDY_KILL,
                                         EDDY_RESPAWN,
                                         NULL,
                                         {NULL, 0},
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0};
    return options;
}
#ifndef __cplusplus
#define EDDY_PROCESS_POOL(...) (&(eddy_process_pool_options){.size = sizeof(eddy_process_pool_options), __VA_ARGS__})
#endif

/** Opens a pool: processes start when there is work for them. While the system has no memory, descriptors or room for one more
 *  process, calls wait for those that there are. While there is none, 10 s of that break the pool, and so does a start that
 *  fails for another reason, or dies three times in a row: all calls fail with EDDY_EBROKENPOOL then.
 *  @param pool_out  Gives the pool: eddy_process_pool_close() or _kill(). One that is still open when the run ends
 *                   is closed by it.
 *  @param options   May be NULL. Borrowed.
 *  @return          0, EDDY_ENOMEM, EDDY_EINVAL, EDDY_ENOTSUP with a text (see eddy_to_process), EDDY_ECLOSED while the
 *                   run shuts down, EDDY_EWRONGTHREAD outside a task or callback, or a system code.
 *  Never suspends. */
EDDY_API int eddy_process_pool_create(eddy_process_pool **pool_out, const eddy_process_pool_options *options);

/** As eddy_to_process, on this pool, with its rules. @return also EDDY_ELIMIT, with a text, when `queue_max` calls
 *  wait already; EDDY_ECLOSED once the pool is closing. With EDDY_ABANDON a cancel returns at once. */
EDDY_API int eddy_process_pool_run(eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in,
                                   eddy_bytes *out) EDDY_SUSPENDS;

/** Refuses new calls, waits for queued and started ones, ends the processes, then the pool is gone. A process that
 *  does not end within 5 s of its last call is killed.
 *  @param pool  Taken, whatever the status: no call on it may begin once this one has returned. Calls by other
 *               tasks meanwhile get EDDY_ECLOSED. NULL is nothing.
 *  @return      0; EDDY_ECANCELED: it goes on closing alone, and the end of the run waits for it;
 *               EDDY_EWRONGTHREAD outside a task (the pool stays the caller's).
 *  Suspends. Cancellation point: yes. Source: executor.shutdown(). */
EDDY_API int eddy_process_pool_close(eddy_process_pool *pool) EDDY_SUSPENDS;
/** The same, but calls that no process has yet never run: they return EDDY_ECANCELED.
 *  Source: executor.shutdown(cancel_futures=True). */
EDDY_API int eddy_process_pool_cancel(eddy_process_pool *pool) EDDY_SUSPENDS;
/** The same as eddy_process_pool_close, but kills the processes at once: queued and started calls fail with EDDY_EBROKENPOOL.
 *  Source: executor.kill_workers(). */
EDDY_API int eddy_process_pool_kill(eddy_process_pool *pool) EDDY_SUSPENDS;
/** The same, but functions that run are asked to end first: eddy_process_cancelled() is true in them, and SIGTERM is sent to
 *  their processes, which ignore it unless the function or the initializer has set a handler. Those that have not ended after
 *  `grace_ns` are killed. A call that ends in time has its own result; all others fail with EDDY_EBROKENPOOL, queued ones
 *  at once.
 *  @param grace_ns  0 or less: killed at once. EDDY_FOREVER: never.
 *  Source: executor.terminate_workers(). */
EDDY_API int eddy_process_pool_terminate(eddy_process_pool *pool, int64_t grace_ns) EDDY_SUSPENDS;

typedef struct eddy_process_pool_stats {
    size_t queued;      /**< calls that no process has begun */
    size_t running;     /**< calls that a process has begun */
    unsigned processes; /**< alive: starting, ready or busy */
    uint64_t done;      /**< calls that ended with their function's own result */
    uint64_t kills;     /**< processes ended because their call was cancelled, or used up its CPU time */
    uint64_t deaths;    /**< processes that died by themselves or by somebody else's hand */
    uint64_t respawns;  /**< processes started in place of one that died or was killed */
} eddy_process_pool_stats;

/** One consistent picture. NULL as `pool`: the default pool (all 0 if it was not used yet; inside the runtime
 *  only). Any thread, never suspends. */
EDDY_API void eddy_process_pool_stats_read(eddy_process_pool *pool, eddy_process_pool_stats *stats_out) EDDY_ANY_THREAD;
/** The process ids of the first `capacity` processes alive. @return how many there are. NULL as above. */
EDDY_API size_t eddy_process_pool_pids(eddy_process_pool *pool, int *pids_out, size_t capacity) EDDY_ANY_THREAD;

/* ---- what EDDY_REMOTE is made of ---------------------------------------------------------------- */

/** One registered function. Lies in the program, is linked into the list by a constructor, and stays. */
struct eddy_remote {
    const char *name;
    eddy_remote_fn fn;
    void (*constructor)(void); /**< the one that registers it */
    bool starts;               /**< a worker process starts with the first one of this kind */
    struct eddy_remote *next;
};
/** A remote that is registered already is left as it is.
 *  @param constructors_end  The end of the program's table of constructors: in a worker those behind this one are
 *                           run before calls are served. NULL in shared libraries. */
EDDY_API void eddy_remote_register(struct eddy_remote *remote, void (*const *constructors_start)(void),
                                   void (*const *constructors_end)(void)) EDDY_ANY_THREAD;

EDDY_END_DECLS

#ifdef __cplusplus
extern "C" {
#endif
/* The linker's names for the table of constructors of a program; absent in some shared libraries. */
extern void (*const __init_array_start[])(void) __attribute__((weak, visibility("hidden")));
extern void (*const __init_array_end[])(void) __attribute__((weak, visibility("hidden")));
#ifdef __cplusplus
}
#endif

#define EDDY_REMOTE_(function, starts)                                                                           \
    static void eddy_remote_add_##function(void) __attribute__((constructor));                                   \
    static struct eddy_remote eddy_remote_##function = {#function, function, eddy_remote_add_##function, starts, \
                                                        NULL};                                                   \
    static void eddy_remote_add_##function(void) {                                                               \
        eddy_remote_register(&eddy_remote_##function, __init_array_start, __init_array_end);                     \
    }                                                                                                            \
    struct eddy_remote_semicolon

#endif
