/* eddy/local.h: task locals: values that belong to a task and are handed down to what it starts.
 *
 * asyncio's contextvars. A variable is a static object; what it holds is looked up in the context of whoever asks. A task
 * starts with a copy of its spawner's context, a callback runs in a copy of the one it was queued from, a function on a
 * pool's thread in a copy of its caller's. What one of them sets, the others do not see.
 *
 *     static const eddy_local request_id = EDDY_LOCAL("request_id", NULL);
 *
 *     eddy_local_set(&request_id, EDDY_I64(42), NULL);     in the handler of a connection
 *     eddy_value id = eddy_local_get(&request_id, EDDY_I64(0));        in whatever it calls, awaits or spawns
 *
 * Contexts do not travel to other processes. Copying one costs a counter, setting a variable copies a few pointers if
 * the context is shared, and a lookup walks the variables that are set: meant for some ten of them. */
#ifndef EDDY_LOCAL_H
#define EDDY_LOCAL_H

#include "eddy/base.h"

EDDY_BEGIN_DECLS

/** A variable: one static object each, told apart by its address. Must outlive every run that uses it. */
typedef struct eddy_local {
    const char *name;  /**< for people */
    eddy_drop_fn drop; /**< NULL, or runs once on each value when no context holds it any more. Any thread; must not
                        *   suspend */
} eddy_local;
#define EDDY_LOCAL(name, drop) \
    { (name), (drop) }

/** What a set has replaced; filled by eddy_local_set, emptied by eddy_local_reset. */
typedef struct eddy_local_token {
    void *replaced; /**< private */
    bool used;      /**< private */
} eddy_local_token;

/** The value that the variable has for the caller, or `otherwise`. Borrowed: valid until the caller sets or resets this
 *  variable, or ends. Never suspends. Source: ContextVar.get. */
EDDY_API eddy_value eddy_local_get(const eddy_local *local, eddy_value otherwise) EDDY_ANY_THREAD;

/** Sets the variable for the caller and for what it starts from now on.
 *
 *  @param value      Taken if 0 is returned: the variable's drop runs on it once.
 *  @param token_out  May be NULL. For eddy_local_reset, which must then follow: it holds what was replaced.
 *  @return           0, EDDY_ENOMEM, EDDY_EWRONGTHREAD on a thread that runs neither a task, a callback nor a
 *                    function of a thread pool.
 *  Suspends: never.  Source: ContextVar.set. */
EDDY_API int eddy_local_set(const eddy_local *local, eddy_value value, eddy_local_token *token_out);

/** Gives the variable the value, or the absence of one, that it had before that set. In the context where it was set.
 *  @return 0; EDDY_ESTATE for a token that was used before; EDDY_ENOMEM and EDDY_EWRONGTHREAD: nothing was
 *  changed and the token is still good. Never suspends. Source: ContextVar.reset. */
EDDY_API int eddy_local_reset(const eddy_local *local, eddy_local_token *token);

/* ---- contexts as objects ------------------------------------------------------------------------ */

/** All variables as they are for the caller. Gives one reference; what is set later is not seen in it. Never NULL,
 *  never suspends. Source: contextvars.copy_context. */
EDDY_API eddy_context *eddy_context_copy(void) EDDY_ANY_THREAD;
EDDY_API eddy_context *eddy_context_share(eddy_context *context) EDDY_ANY_THREAD;
EDDY_API void eddy_context_release(eddy_context *context) EDDY_ANY_THREAD; /**< NULL is nothing */
/** As eddy_local_get, in `context`; borrowed from it. Source: Context.get. */
EDDY_API eddy_value eddy_context_get(const eddy_context *context, const eddy_local *local,
                                     eddy_value otherwise) EDDY_ANY_THREAD;
/** Runs fn(arg, out) as a plain call in a copy of `context`; the caller's own is back when it returns. `context` may be NULL
 *  (the empty one), `out` too (the value is lost).
 *  @return fn's status; EDDY_EWRONGTHREAD on a thread that runs neither a task, a callback nor a function of a thread pool.
 *  Suspends: if fn does. Source: Context.run. */
EDDY_API int eddy_context_run(eddy_context *context, eddy_coro_fn fn, void *arg, eddy_value *out) EDDY_SUSPENDS;

EDDY_END_DECLS

#endif
