/* eddy/base.h: the words every other header uses: linkage, role annotations, status codes, values,
 * error details, option structs.
 *
 * Ownership words in all headers have one meaning each: *borrows* (valid for the call), *takes* (the
 * caller must not touch it again), *gives* (the caller must release it), *shares* (counts one more).
 * Times and durations are int64_t nanoseconds. Sizes are bytes. errno is never part of a contract.
 * NULL is legal where a comment says so. Elsewhere it ends the program, with a line that names the task; or the call fails:
 * EDDY_EINVAL where a function or a path is asked for, the system's EFAULT for a buffer that only the system follows.
 * What is released, closed or taken is gone: a second use is found by AddressSanitizer only.
 * Several runtimes may live in a process. Locks, queues, channels and all else of eddy/sync.h, pools and references work
 * between them. A future, group, stream, socket, watch, signal or task of another one is refused with EDDY_ESTATE by calls
 * that would wait for it or be told of it; eddy_future_wait, on a thread that is no worker, is the way to wait for it.
 * tests/misuse/matrix.def has a line for each function, with what each kind of wrong use gives. */
#ifndef EDDY_BASE_H
#define EDDY_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define EDDY_BEGIN_DECLS extern "C" {
#define EDDY_END_DECLS }
#else
#define EDDY_BEGIN_DECLS
#define EDDY_END_DECLS
#endif

#if defined(__GNUC__)
#define EDDY_API __attribute__((visibility("default")))
#define EDDY_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define EDDY_MUST_USE __attribute__((warn_unused_result))
#else
#define EDDY_API
#define EDDY_PRINTF(format_index, first_index)
#define EDDY_MUST_USE
#endif

/* Roles, checked by `clang -Wthread-safety -DEDDY_CHECK_ROLES` (zig cc too); empty without it.
 *   EDDY_SUSPENDS    may park the calling task: legal inside a task only
 *   EDDY_BLOCKS      stops an OS thread: never inside a task
 *   EDDY_WAITS       suspends a task and blocks a plain thread; not on a worker outside its tasks
 *   EDDY_ANY_THREAD  legal anywhere, never suspends
 *   EDDY_CORO(name)  declares a coroutine function whose body has the in-task role:
 *                        static EDDY_CORO(query) { ... return 0; } */
#if defined(EDDY_CHECK_ROLES) && defined(__clang__)
#define EDDY_ATTR(...) __attribute__((__VA_ARGS__))
#else
#define EDDY_ATTR(...)
#endif
struct EDDY_ATTR(capability("role")) eddy_role {
    char unused;
};
#ifdef __cplusplus
extern "C" struct eddy_role eddy_on_worker, eddy_in_task; /* declared, never defined */
#else
extern struct eddy_role eddy_on_worker, eddy_in_task; /* declared, never defined */
#endif
#define EDDY_SUSPENDS EDDY_ATTR(requires_capability(eddy_on_worker, eddy_in_task))
#define EDDY_BLOCKS EDDY_ATTR(locks_excluded(eddy_on_worker))
#define EDDY_WAITS
#define EDDY_ANY_THREAD
#define EDDY_CORO(name) int EDDY_SUSPENDS name(void *arg, eddy_value *out)

/** Where something was made, as a text: "service.c:42 (query)". Static storage. */
#define EDDY_PLACE(fn) __FILE__ ":" EDDY_TEXT_(__LINE__) " (" #fn ")"
#define EDDY_TEXT_(number) EDDY_TEXT_OF_(number)
#define EDDY_TEXT_OF_(number) #number

EDDY_BEGIN_DECLS

/* ---- status ---------------------------------------------------------------------------------- */

/** A status: 0 or more is good; negatives are the system's codes (-errno, as libuv has them) and
 *  the following. Any negative a body returns is a legal failure of its task. */
enum {
    EDDY_OK = 0,
    EDDY_ECANCELED = -ECANCELED, /**< this task, or what it awaited, was cancelled: nothing else */
    EDDY_ETIMEDOUT = -ETIMEDOUT, /**< a timeout scope or deadline expired */
    EDDY_ENOMEM = -ENOMEM,       /**< no memory; nothing was changed */
    EDDY_EINVAL = -EINVAL,       /**< an argument outside its documented range */
    EDDY_EBUSY = -EBUSY,         /**< in use by another waiter */
    EDDY_ENOTSUP = -ENOTSUP,     /**< not possible here; the detail says why */
    EDDY_EOF = -4095,            /**< end of stream (libuv's UV_EOF) */
    EDDY_ESTATE = -5001,         /**< asyncio's InvalidStateError: done already, not yet done */
    EDDY_EGROUP = -5002,         /**< children of a group failed: see eddy_error_child() */
    EDDY_EBROKENPOOL = -5003,    /**< a pool's worker died with the call, or cannot be started */
    EDDY_EWRONGTHREAD = -5004,   /**< called from a thread, or outside a task, where it cannot be*/
    EDDY_ELIMIT = -5005,         /**< a documented limit is reached */
    EDDY_EINCOMPLETE = -5006,    /**< the stream ended inside what was asked for */
    EDDY_EINTERRUPTED = -5007,   /**< the run was ended by SIGINT */
    EDDY_ECLOSED = -5008,        /**< the object is closed or closing */
    EDDY_EBROKEN = -5009,        /**< a barrier was broken, or reset */
    EDDY_ETLS = -5010,           /**< TLS failed: the detail has OpenSSL's reasons */
    EDDY_ECERTIFICATE = -5011,   /**< the peer's certificate is not to be trusted: the detail says why */
    EDDY_ETRUNCATED = -5012,     /**< the connection ended without TLS's own end: perhaps not all came */
    EDDY_EOVERLOADED = -5013     /**< refused: it would have waited too long (eddy/gate.h) */
};

/** "ECANCELED", "EGROUP", "ECONNRESET"...; "E?" for codes that nobody named. Static storage. */
EDDY_API const char *eddy_status_name(int status) EDDY_ANY_THREAD;
/** One sentence for people. Static storage. */
EDDY_API const char *eddy_status_text(int status) EDDY_ANY_THREAD;

/* ---- values ---------------------------------------------------------------------------------- */

/** What a coroutine gives and a future holds: 16 bytes, copied freely. Who owns what `ptr` points to is
 *  said by whoever documents the value; a future's `.drop` runs on values that nobody took. */
typedef struct eddy_value {
    union {
        void *ptr;
        int64_t i64;
        uint64_t u64;
        double f64;
    };
    size_t size; /**< bytes behind ptr where that is meant, else 0 */
} eddy_value;

static inline eddy_value eddy_value_none(void) {
    eddy_value value = {{NULL}, 0};
    return value;
}
static inline eddy_value eddy_value_ptr(const void *ptr) {
    eddy_value value = eddy_value_none();
    value.ptr = (void *)ptr;
    return value;
}
static inline eddy_value eddy_value_i64(int64_t i64) {
    eddy_value value = eddy_value_none();
    value.i64 = i64;
    return value;
}
static inline eddy_value eddy_value_bytes(const void *ptr, size_t size) {
    eddy_value value = eddy_value_ptr(ptr);
    value.size = size;
    return value;
}
#define EDDY_NONE (eddy_value_none())
#define EDDY_PTR(pointer) (eddy_value_ptr(pointer))
#define EDDY_I64(integer) (eddy_value_i64(integer))
#define EDDY_BYTES(pointer, bytes) (eddy_value_bytes((pointer), (bytes)))

/** Gives back what a value owns. Runs on any worker thread, outside any task; must not suspend. */
typedef void (*eddy_drop_fn)(eddy_value value);

/** A coroutine function: calling it from a task is asyncio's `await coro()`. `out` is never NULL and
 *  holds EDDY_NONE at entry; it is read only if the status is 0 or more. */
typedef int (*eddy_coro_fn)(void *arg, eddy_value *out);

#define EDDY_US(microseconds) ((int64_t)(microseconds)*1000)
#define EDDY_MS(milliseconds) ((int64_t)(milliseconds)*1000000)
#define EDDY_SECONDS(seconds) ((int64_t)((seconds)*1e9))
#define EDDY_FOREVER INT64_MAX /**< a timeout that never expires */

typedef struct eddy_task eddy_task;
typedef struct eddy_future eddy_future;
typedef struct eddy_loop eddy_loop;
typedef struct eddy_handle eddy_handle;
typedef struct eddy_coro eddy_coro;
typedef struct eddy_context eddy_context;
typedef struct eddy_error eddy_error;

/* ---- error details ---------------------------------------------------------------------------- */

/** Makes `code` the failure of the calling task with a text, and returns `code`:
 *      return eddy_fail(EDDY_EINVAL, "port %d out of range", port);
 *  The detail belongs to this task and this code: it is handed up only while the status passed up equals
 *  `code`, replaced by the next eddy_fail, dropped by eddy_handled(). Outside a task, and where there is
 *  no memory, only the code remains. Text is cut at 511 bytes; `format` may be NULL: no text. Never suspends. */
EDDY_API int eddy_fail(int code, const char *format, ...) EDDY_PRINTF(2, 3);

/** Says that the last failure was dealt with: drops the calling task's detail. */
EDDY_API void eddy_handled(void);

/** The calling task's detail for `status`. Borrowed: valid until the task fails or handles again.
 *  NULL if there is none for this status. */
EDDY_API const eddy_error *eddy_error_current(int status);

/** Read access. Every string is valid as long as the error. `error` may be NULL: status 0, text "",
 *  no children. */
EDDY_API int eddy_error_status(const eddy_error *error) EDDY_ANY_THREAD;
EDDY_API const char *eddy_error_text(const eddy_error *error) EDDY_ANY_THREAD;
EDDY_API const char *eddy_error_task(const eddy_error *error) EDDY_ANY_THREAD; /**< name of the task */
EDDY_API size_t eddy_error_children(const eddy_error *error) EDDY_ANY_THREAD;
EDDY_API const eddy_error *eddy_error_child(const eddy_error *error, size_t index) EDDY_ANY_THREAD;

/** Shares: one reference more, for keeping a detail beyond the task's next failure. */
EDDY_API eddy_error *eddy_error_share(const eddy_error *error) EDDY_ANY_THREAD;
EDDY_API void eddy_error_release(eddy_error *error) EDDY_ANY_THREAD;

/** Writes "status name: text" and a line for each child, indented, into `buffer` as snprintf does.
 *  @return bytes the whole text has, without its NUL. */
EDDY_API size_t eddy_error_print(const eddy_error *error, char *buffer, size_t bytes) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
