/* locals.c: task locals: contexts that are shared when copied, and copied when set.
 *
 * Problem    Each task starts with its spawner's variables, so a copy must cost next to nothing; most programs have none.
 * Idea       A context is a counted array of counted bindings {variable, value}; no variables is NULL. Copying counts one
 *            more. Setting changes the array in place if nobody shares it, else a copy of it. A binding lives as long as
 *            an array or a token holds it: then the value's drop runs.
 * Invariants (L1) An array with more than one reference is never written. (L2) A variable occurs at most once in one.
 * Ordering   The last reference frees: release on the way down, acquire for the last (ED_SUB is both). Who finds one
 *            reference is its only owner, and reads that with acquire: what the others did is then past.
 * Threads    A context belongs to whoever runs in it (task, callback, job): ed_context_slot in task.h. References: any.
 * Tests      tests/task/locals_test.c. */
#include "task/task.h"

#include "eddy/local.h"

#include <string.h>

struct binding {
    _Atomic unsigned references;
    const eddy_local *local; /* compared, never followed */
    eddy_drop_fn drop;
    eddy_value value;
};

struct eddy_context {
    _Atomic unsigned references;
    unsigned count, capacity;
    struct binding *bindings[];
};

enum { ROOM_FIRST = 4 };

/* What eddy_context_copy gives where there is nothing: never counted, never freed. */
static eddy_context empty;

static _Thread_local eddy_context **thread_slot; /* plain threads only: never read in a function that switches */

__attribute__((noinline)) void ed_context_thread_slot(eddy_context **slot) { thread_slot = slot; }
__attribute__((noinline)) eddy_context **ed_context_of_thread(void) { return thread_slot; }

static eddy_context **slot_of_caller(void) { return ed_context_slot(ed_worker_current()); }
/* The same, to set something in it: what the task spawns shares that. */
static eddy_context **slot_to_set(void) {
    eddy_task *task = ed_task_current();
    if (task != NULL) ed_task_set_slow(task);
    return slot_of_caller();
}

/* ---- references --------------------------------------------------------------------------------- */

static void binding_release(struct binding *binding) {
    if (binding == NULL || ED_SUB(&binding->references, 1) != 1) return;
    if (binding->drop != NULL) binding->drop(binding->value);
    ed_free(binding);
}

static struct binding *binding_share(struct binding *binding) {
    ED_ADD_RELAXED(&binding->references, 1);
    return binding;
}

eddy_context *eddy_context_share(eddy_context *context) {
    if (context != NULL && context != &empty) ED_ADD_RELAXED(&context->references, 1);
    return context;
}

void eddy_context_release(eddy_context *context) {
    if (context == NULL || context == &empty || ED_SUB(&context->references, 1) != 1) return;
    for (unsigned i = 0; i < context->count; i++) binding_release(context->bindings[i]);
    ed_free(context);
}

eddy_context *eddy_context_copy(void) {
    eddy_context *context = ed_context_capture(ed_worker_current());
    return context != NULL ? context : &empty;
}

/* ---- looking and setting ------------------------------------------------------------------------ */

static unsigned find(const eddy_context *context, const eddy_local *local) { /* count: not there */
    unsigned i = 0;
    while (i < context->count && context->bindings[i]->local != local) i++;
    return i;
}

eddy_value eddy_context_get(const eddy_context *context, const eddy_local *local, eddy_value otherwise) {
    if (context == NULL) return otherwise;
    unsigned at = find(context, local);
    return at < context->count ? context->bindings[at]->value : otherwise;
}

eddy_value eddy_local_get(const eddy_local *local, eddy_value otherwise) {
    eddy_context **slot = slot_of_caller();
    return slot != NULL ? eddy_context_get(*slot, local, otherwise) : otherwise;
}

/* Makes *slot an array that nobody shares, with room for one more. */
static int own(eddy_context **slot) {
    eddy_context *old = *slot;
    unsigned count = old != NULL ? old->count : 0;
    if (old != NULL && ED_LOAD_ACQUIRE(&old->references) == 1 && count < old->capacity) return 0;
    unsigned capacity = count < ROOM_FIRST ? ROOM_FIRST : count * 2;
    eddy_context *context = ed_alloc(sizeof *context + capacity * sizeof context->bindings[0]);
    if (context == NULL) return EDDY_ENOMEM;
    ED_STORE_RELAXED(&context->references, 1);
    context->count = count;
    context->capacity = capacity;
    for (unsigned i = 0; i < count; i++) context->bindings[i] = binding_share(old->bindings[i]);
    *slot = context;
    eddy_context_release(old);
    return 0;
}

/* Puts `binding` (taken; NULL: none) where the variable's was, which it gives. The array is the caller's own. */
static struct binding *exchange(eddy_context *context, const eddy_local *local, struct binding *binding) {
    unsigned at = find(context, local);
    struct binding *before = at < context->count ? context->bindings[at] : NULL;
    if (binding != NULL) {
        context->bindings[at] = binding;
        if (before == NULL) context->count++;
    } else if (before != NULL) {
        context->bindings[at] = context->bindings[--context->count];
    }
    return before;
}

int eddy_local_set(const eddy_local *local, eddy_value value, eddy_local_token *token_out) {
    eddy_context **slot = slot_to_set();
    if (slot == NULL) return EDDY_EWRONGTHREAD;
    const eddy_drop_fn drop = local->drop;
    struct binding *binding = ed_alloc(sizeof *binding);
    if (binding == NULL) return EDDY_ENOMEM;
    int status = own(slot);
    if (status < 0) {
        ed_free(binding);
        return status;
    }
    ED_STORE_RELAXED(&binding->references, 1);
    binding->local = local;
    binding->drop = drop;
    binding->value = value;
    struct binding *before = exchange(*slot, local, binding);
    if (token_out != NULL)
        *token_out = (eddy_local_token){before, false};
    else
        binding_release(before);
    return 0;
}

int eddy_local_reset(const eddy_local *local, eddy_local_token *token) {
    if (token->used) return EDDY_ESTATE;
    eddy_context **slot = slot_to_set();
    if (slot == NULL) return EDDY_EWRONGTHREAD;
    int status = own(slot);
    if (status < 0) return status;
    struct binding *set = exchange(*slot, local, token->replaced);
    *token = (eddy_local_token){NULL, true};
    binding_release(set);
    return 0;
}

int eddy_context_run(eddy_context *context, eddy_coro_fn fn, void *arg, eddy_value *out) {
    eddy_value ignored = EDDY_NONE;
    eddy_context **slot = slot_to_set();
    if (slot == NULL) return EDDY_EWRONGTHREAD;
    eddy_context *own_context = *slot;
    *slot = eddy_context_share(context);
    int status = fn(arg, out != NULL ? out : &ignored);
    slot = slot_of_caller(); /* the same: a task's is in its record */
    eddy_context_release(*slot);
    *slot = own_context;
    return status;
}
