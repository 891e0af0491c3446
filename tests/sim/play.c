/* play.c: plays a program on eddy's virtual workers, and keeps books of its own that every result must agree with.
 *
 * Claims     Each body is entered once at most and returns once. An await gives what its task ended with, or a cancel
 *            that was asked for, or the end of a limit that has passed. Each value and argument with a drop function is
 *            dropped or handed over, once. Nobody is inside a lock with another, nor in a semaphore with too many. Each
 *            item of a queue comes out once, or is dropped, or came back, and those of one producer come in order. A
 *            group's children have ended before it, and it fails exactly if one of them or its body did. Deferred
 *            functions run once, last first. Callbacks run once, never early, never cancelled ones. Tasks stay on their
 *            worker and in their domain; a domain starts its tasks in the order they were spawned. The run ends, with no
 *            byte, handle or record left. Where an allocation fails or there are few stacks, EDDY_ENOMEM and EDDY_ELIMIT
 *            may come from anything, and what did not begin has no end.
 * Threads    One: the books need no locks. */
#include "program.h"

#include "base/base.h"
#include "eddy/eddy.h"
#include "runtime/simulate.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t ed_tasks_left_behind(void);

enum { TOKENS_MAX = 4096, CALLS_MAX = 2048, STEPS_MAX = 400000, DEFERS_MAX = 64 };

/* A value that somebody owns. */
enum token_state { UNUSED, OURS, GIVEN, GONE };
struct token {
    enum token_state state;
    int task, queue, order; /* who made it; of a queue's item: which, and which of its maker's */
};

struct call {
    int64_t not_before_ns;
    bool ran, cancelled, removed, failed;
    int worker;          /* where it was asked for */
    eddy_future *future; /* of a done callback */
};

struct state {
    const struct body *body;
    bool spawned, entered, returned, in_group;
    int status;       /* that the body returned */
    bool ended_known; /* final is what somebody saw it end with */
    int final;
    int argument;      /* token, or -1 */
    int value;         /* token of its result, or -1 */
    eddy_task *handle; /* in the table */
    eddy_loop *loop;
    int spawner, spawn_order;
    int defers, defers_run;
    int worker; /* index */
    bool in_domain;
    int got[QUEUES]; /* the last item of this producer that came out */
    int puts;
    bool cancel_taken_back; /* somebody called uncancel on it */
    bool cancelled_new;     /* it was asked to end before it began */
};

static const struct program *program;
static struct state states[TASKS_MAX];
static struct token tokens[TOKENS_MAX];
static int tokens_count;
static struct call calls[CALLS_MAX];
static int calls_count;
static eddy_loop *domains[DOMAINS];
static eddy_lock *locks[LOCKS];
static int lock_owner[LOCKS];
static eddy_event *events[EVENTS];
static int event_sets[EVENTS];
static eddy_semaphore *semaphores[SEMAPHORES];
static int semaphore_free[SEMAPHORES];
static eddy_queue *queues[QUEUES];
static eddy_future *futures[FUTURES];
static eddy_future *done_future;
static int domain_order[DOMAINS][TASKS_MAX];
static int spawn_orders;
static bool closed; /* main's end: handles are not kept any more */

_Noreturn static void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn static void broken(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "claim: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    fflush(NULL);
    _exit(1);
}

#define CLAIM(condition, ...) ((condition) ? (void)0 : broken(__VA_ARGS__))

/* Whether things that need memory or a stack may fail in this program. */
static bool short_of_something(void) { return program->alloc_fails > 0 || program->stacks > 0; }
static bool shortage(int status) { return short_of_something() && (status == EDDY_ENOMEM || status == EDDY_ELIMIT); }

/* ---- tokens ------------------------------------------------------------------------------------------ */

static int token_make(int task, enum token_state state) {
    CLAIM(tokens_count < TOKENS_MAX, "the program makes more values than this test has room for");
    tokens[tokens_count] = (struct token){state, task, -1, 0};
    return tokens_count++;
}
static eddy_value token_value(int token) { return EDDY_I64(token); }
static void token_drop(eddy_value value) {
    CLAIM(value.i64 >= 0 && value.i64 < tokens_count, "a drop function got value %lld", (long long)value.i64);
    struct token *token = &tokens[value.i64];
    CLAIM(token->state == GIVEN, "value %d of task %d was dropped, and it was %s", (int)value.i64, token->task,
          token->state == GONE ? "gone already" : "not given away");
    token->state = GONE;
}
/* What was given away is ours again. */
static void token_back(int token) {
    CLAIM(tokens[token].state == GIVEN, "value %d of task %d came out twice", token, tokens[token].task);
    tokens[token].state = GONE;
}

/* ---- the end of a task ------------------------------------------------------------------------------- */

/* Somebody has seen how task k ended. */
static void saw_end(int k, int status, const eddy_value *value) {
    struct state *state = &states[k];
    CLAIM(!state->ended_known || state->final == status, "task %d ended with %s and then with %s", k,
          eddy_status_name(state->final), eddy_status_name(status));
    state->ended_known = true;
    state->final = status;
    CLAIM(!state->entered || state->returned, "task %d is done and its body runs still", k);
    if (!state->entered) {
        CLAIM(status == EDDY_ECANCELED || shortage(status), "task %d ended with %s and its body was never entered", k,
              eddy_status_name(status));
    } else if (state->status < 0) {
        CLAIM(status == state->status, "task %d returned %s and ended with %s", k, eddy_status_name(state->status),
              eddy_status_name(status));
    } else if (status < 0) {
        CLAIM(status == EDDY_ECANCELED, "task %d returned 0 and ended with %s", k, eddy_status_name(status));
        CLAIM(state->value < 0 || tokens[state->value].state == GONE, "task %d ended cancelled and kept its value", k);
    } else {
        CLAIM(status == state->status, "task %d returned %d and ended with %d", k, state->status, status);
        if (value != NULL && state->value >= 0)
            CLAIM(value->i64 == state->value, "task %d gave value %d and %lld came out", k, state->value,
                  (long long)value->i64);
    }
    CLAIM(state->argument < 0 || tokens[state->argument].state == GONE,
          "task %d is done and its argument is not dropped", k);
    CLAIM(state->defers == state->defers_run, "task %d is done, %d functions were deferred, %d have run", k,
          state->defers, state->defers_run);
}

static bool is_done(int k) { return states[k].handle != NULL && eddy_future_done(EDDY_FUTURE(states[k].handle)); }

/* ---- playing ----------------------------------------------------------------------------------------- */

struct frame {
    int task;
    struct state *state;
    const struct op *ops;
    struct group *group; /* innermost */
    eddy_handle *handle;
    struct call *last_call;
    int failed_group;
};

struct group {
    eddy_group group;
    uint64_t children;
    bool lacks_memory;
};

static int play_ops(struct frame *frame, int first, int end);

static int64_t now(void) { return eddy_time_ns(); }

/* A call that waits, with a limit. */
#define LIMITED(limit, expression) ((limit) < 0 ? (expression) : EDDY_TIMEOUT((limit), (expression)))

/* The status of a wait that nothing but a cancel or its limit can end badly. True: it did what it was asked. */
static bool waited(struct frame *frame, const char *what, int64_t limit, int64_t since_ns, int status, int also,
                   int *status_out) {
    *status_out = 0;
    if (status >= 0) return true;
    if (status == EDDY_ETIMEDOUT) {
        CLAIM(limit >= 0 && now() - since_ns >= limit, "task %d: %s ended after %lld of %lld ns", frame->task, what,
              (long long)(now() - since_ns), (long long)limit);
    } else if (status == EDDY_ECANCELED) {
        CLAIM(eddy_task_cancelling(eddy_current_task()) > 0 || frame->state->cancel_taken_back,
              "task %d: %s ended cancelled and nobody asked for it", frame->task, what);
        *status_out = status;
    } else if (shortage(status)) {
        return false;
    } else {
        CLAIM(also != 0 && status == also, "task %d: %s gave %s", frame->task, what, eddy_status_name(status));
    }
    return false;
}

/* The handle of task k, shared; NULL: there is none. */
static eddy_task *share_handle(int k) {
    if (k < 0 || k >= program->tasks || states[k].handle == NULL) return NULL;
    return eddy_task_share(states[k].handle);
}

static int body_of(void *arg, eddy_value *out);
static int body_of_copy(void *arg, eddy_value *out) { return body_of((void *)(intptr_t) * (int *)arg, out); }
static int body_of_token(void *arg, eddy_value *out) {
    return body_of((void *)(intptr_t)tokens[(intptr_t)arg].task, out);
}

/* A task that runs on a stack with others may move with them only. */
static bool may_move(int k) {
    int migration = program->body[k].migration;
    return !states[k].in_domain && (migration == EDDY_MIGRATE || (migration != EDDY_STAY && program->migrate > 0));
}

static void check_place(struct frame *frame) {
    eddy_task *self = eddy_current_task();
    CLAIM(self != NULL, "task %d: there is no current task in it", frame->task);
    CLAIM(frame->state->handle == NULL || frame->task == 0 || frame->state->handle == self,
          "task %d: the current task is another one", frame->task);
    CLAIM(eddy_worker_index() == frame->state->worker || may_move(frame->task), "task %d went from worker %d to %d",
          frame->task, frame->state->worker, eddy_worker_index());
}

static __attribute__((noinline)) void play_spawn(struct frame *frame, const struct op *op, struct group *group) {
    int k = op->a[0];
    if (k <= 0 || k >= program->tasks || states[k].spawned) return;
    struct state *state = &states[k];
    const struct body *body = state->body;
    struct {
        int task;
        char rest[124];
    } large = {.task = k};
    eddy_task_options options = eddy_task_options_init();
    char name[16];
    snprintf(name, sizeof name, "task %d", k);
    options.name = name;
    options.stack_bytes = (size_t)body->stack_kb * 1024;
    options.drop = body->value ? token_drop : NULL;
    options.loop = body->domain >= 0 ? domains[body->domain] : NULL;
    state->in_domain = options.loop != NULL || frame->state->in_domain; /* where nobody may move */
    options.migrate = state->in_domain ? EDDY_MIGRATION_DEFAULT : (enum eddy_migration)body->migration;
    void *arg = (void *)(intptr_t)k;
    eddy_coro_fn fn = body_of;
    if (body->argument == 1 || body->argument == 2) {
        arg = &large;
        fn = body_of_copy;
        options.copy_bytes = body->argument == 1 ? sizeof(int) : sizeof large;
    } else if (body->argument == 3) {
        state->argument = token_make(k, GIVEN);
        arg = (void *)(intptr_t)state->argument;
        fn = body_of_token;
        options.drop_arg = token_drop;
    }
    state->spawned = true;
    state->spawner = frame->task;
    state->spawn_order = ++spawn_orders;
    state->in_group = group != NULL;
    eddy_task *handle = NULL, **handle_out = op->a[1] && !closed ? &handle : NULL;
    int status = group == NULL ? eddy_spawn(handle_out, fn, arg, &options)
                               : eddy_group_spawn(&group->group, handle_out, fn, arg, &options);
    if (status == 0) {
        state->handle = handle;
        if (group != NULL) group->children |= UINT64_C(1) << k;
        return;
    }
    CLAIM(shortage(status) || (group != NULL && status == EDDY_ESTATE), "task %d: a spawn gave %s", frame->task,
          eddy_status_name(status));
    state->spawned = false;
    CLAIM(state->argument < 0 || tokens[state->argument].state == GONE, "a spawn that failed kept its argument");
}

/* What an await of task k gave. */
static int awaited(struct frame *frame, const char *what, int k, eddy_task *task, int64_t limit, int64_t since_ns,
                   bool go_on, int status, eddy_value value) {
    check_place(frame);
    bool done = eddy_future_done(EDDY_FUTURE(task));
    if (done) saw_end(k, eddy_future_result(EDDY_FUTURE(task), NULL), NULL);
    int final = done ? states[k].final : 0;
    if (status >= 0) {
        CLAIM(done, "task %d: %s of task %d gave %d before that was done", frame->task, what, k, status);
        saw_end(k, status, &value);
    } else if (!(done && final == status)) {
        int passed;
        (void)waited(frame, what, limit, since_ns, status, 0, &passed);
    }
    return status >= 0 || shortage(status) || (go_on && status != EDDY_ECANCELED) ? 0 : status;
}

static __attribute__((noinline)) int play_await(struct frame *frame, const struct op *op) {
    int k = op->a[0];
    int64_t limit = op->a[1], since_ns = now();
    eddy_task *task = share_handle(k);
    if (task == NULL || k <= frame->task) {
        eddy_task_release(task);
        return 0;
    }
    const char *what = "await";
    eddy_value value = EDDY_NONE;
    int status;
    if (op->code == OP_wait_for) {
        what = "wait_for";
        status = eddy_wait_for(EDDY_FUTURE(task), limit, &value);
    } else if (op->code == OP_shield) {
        what = "await of a shield";
        eddy_future *outer;
        status = eddy_shield(&outer, EDDY_FUTURE(task));
        if (status == 0) {
            status = LIMITED(limit, eddy_await(outer, &value));
            eddy_future_release(outer);
        }
    } else {
        status = LIMITED(limit, eddy_await(EDDY_FUTURE(task), &value));
    }
    bool shielded = op->code == OP_shield && status < 0;
    if (!shielded && status != EDDY_ETIMEDOUT && status != EDDY_ENOMEM)
        CLAIM(eddy_future_done(EDDY_FUTURE(task)) || status == EDDY_ECANCELED,
              "task %d: %s of task %d gave %s before its end", frame->task, what, k, eddy_status_name(status));
    status = awaited(frame, what, k, task, limit, since_ns, op->a[2], status, value);
    eddy_task_release(task);
    return status;
}

static __attribute__((noinline)) int play_many(struct frame *frame, const struct op *op) {
    enum { MANY = 8 };
    eddy_task *tasks[MANY];
    eddy_future *set[MANY];
    int who[MANY];
    eddy_result results[MANY];
    bool done[MANY] = {false};
    int count = 0;
    for (int k = op->a[0]; k < op->a[0] + op->a[1] && count < MANY; k++) {
        if (k <= frame->task || (tasks[count] = share_handle(k)) == NULL) continue;
        who[count] = k;
        set[count] = EDDY_FUTURE(tasks[count]);
        count++;
    }
    if (count == 0) return 0;
    int64_t limit = op->a[2], since_ns = now();
    int status, passed = 0;
    bool go_on = op->a[3] != 0;
    if (op->code == OP_wait) {
        enum eddy_wait_when when = (enum eddy_wait_when)op->a[3];
        status = eddy_wait(set, (size_t)count, limit < 0 ? EDDY_FOREVER : limit, when, done);
        if (waited(frame, "wait", -1, since_ns, status, 0, &passed)) {
            int are_done = 0, failed = 0;
            for (int i = 0; i < count; i++) {
                CLAIM(!done[i] || eddy_future_done(set[i]), "task %d: wait says that task %d is done", frame->task,
                      who[i]);
                are_done += done[i];
                if (!done[i]) continue;
                saw_end(who[i], eddy_future_result(set[i], NULL), NULL);
                failed += states[who[i]].final < 0 && states[who[i]].final != EDDY_ECANCELED;
            }
            CLAIM(status == are_done, "task %d: wait gave %d and %d are done", frame->task, status, are_done);
            bool enough = are_done == count || (when == EDDY_FIRST_COMPLETED && are_done > 0) ||
                          (when == EDDY_FIRST_EXCEPTION && failed > 0);
            CLAIM(enough || (limit >= 0 && now() - since_ns >= limit), "task %d: wait ended before its time",
                  frame->task);
        }
    } else {
        bool all = op->code == OP_gather_all;
        status = LIMITED(limit,
                         all ? eddy_gather_all(set, (size_t)count, results) : eddy_gather(set, (size_t)count, results));
        bool given = false;
        for (int i = 0; i < count; i++) {
            bool is = eddy_future_done(set[i]);
            if (is) saw_end(who[i], eddy_future_result(set[i], NULL), NULL);
            if (status == 0) {
                CLAIM(is, "task %d: gather gave 0 before task %d was done", frame->task, who[i]);
                saw_end(who[i], results[i].status, results[i].status < 0 ? NULL : &results[i].value);
                CLAIM(all || results[i].status >= 0, "task %d: gather gave 0 and task %d failed", frame->task, who[i]);
            }
            given = given || (is && states[who[i]].final == status);
        }
        if (status < 0 && !given) (void)waited(frame, "gather", limit, since_ns, status, 0, &passed);
        passed = status >= 0 || shortage(status) || (go_on && status != EDDY_ECANCELED) ? 0 : status;
    }
    for (int i = 0; i < count; i++) eddy_task_release(tasks[i]);
    check_place(frame);
    return passed;
}

static __attribute__((noinline)) int play_group(struct frame *frame, const struct op *op, int first, int end) {
    struct group group = {.children = 0}, *outer = frame->group;
    group.lacks_memory = eddy_group_enter(&group.group) < 0;
    CLAIM(!group.lacks_memory || short_of_something(), "task %d: no group", frame->task);
    frame->group = &group;
    int body = play_ops(frame, first, end);
    frame->group = outer;
    int status = eddy_group_exit(&group.group, body);
    check_place(frame);
    bool failed = body < 0 && body != EDDY_ECANCELED, unknown = short_of_something();
    for (int k = 0; k < program->tasks; k++) {
        if (!(group.children >> k & 1)) continue;
        const struct state *state = &states[k];
        CLAIM(!state->entered || state->returned, "task %d left its group and its child %d runs still", frame->task, k);
        CLAIM(state->handle == NULL || is_done(k), "task %d left its group and its child %d is not done", frame->task,
              k);
        if (is_done(k)) saw_end(k, eddy_future_result(EDDY_FUTURE(state->handle), NULL), NULL);
        failed = failed || (state->entered && state->status < 0 && state->status != EDDY_ECANCELED);
    }
    if (group.lacks_memory) {
        CLAIM(status == body, "task %d: a group without memory changed a status", frame->task);
    } else if (!unknown) {
        CLAIM((status == EDDY_EGROUP) == failed, "task %d: its group gave %s, and %s", frame->task,
              eddy_status_name(status), failed ? "something failed" : "nothing failed");
        if (status == EDDY_EGROUP) {
            const eddy_error *error = eddy_error_current(status);
            CLAIM(error != NULL && eddy_error_children(error) > 0, "task %d: its group failed without a detail",
                  frame->task);
        }
    }
    return op->a[0] && status != EDDY_ECANCELED ? 0 : status;
}

static __attribute__((noinline)) int play_lock(struct frame *frame, const struct op *op, int first, int end) {
    int64_t limit = op->a[1], since_ns = now();
    int i = op->a[0], passed;
    int status = LIMITED(limit, eddy_lock_acquire(locks[i]));
    check_place(frame);
    if (!waited(frame, "lock", limit, since_ns, status, 0, &passed)) return passed;
    CLAIM(lock_owner[i] == -1, "task %d got lock %d, which task %d holds", frame->task, i, lock_owner[i]);
    lock_owner[i] = frame->task;
    status = play_ops(frame, first, end);
    CLAIM(lock_owner[i] == frame->task, "task %d held lock %d, and task %d has it", frame->task, i, lock_owner[i]);
    lock_owner[i] = -1;
    CLAIM(eddy_lock_unlock(locks[i]) == 0, "task %d could not unlock lock %d", frame->task, i);
    return status;
}

static __attribute__((noinline)) int play_semaphore(struct frame *frame, const struct op *op, int first, int end) {
    int64_t limit = op->a[1], since_ns = now();
    int i = op->a[0], passed = 0, status = 0;
    if (op->code == OP_try_semaphore) {
        if (!eddy_semaphore_try_acquire(semaphores[i])) return 0;
    } else {
        status = LIMITED(limit, eddy_semaphore_acquire(semaphores[i]));
        check_place(frame);
        if (!waited(frame, "semaphore", limit, since_ns, status, 0, &passed)) return passed;
    }
    CLAIM(semaphore_free[i]-- > 0, "task %d got a slot of semaphore %d, which has none", frame->task, i);
    status = play_ops(frame, first, end);
    semaphore_free[i]++;
    eddy_semaphore_post(semaphores[i]);
    return status;
}

static __attribute__((noinline)) int play_queue(struct frame *frame, const struct op *op) {
    int64_t limit = op->a[1], since_ns = now();
    int q = op->a[0], status, passed = 0;
    if (op->code == OP_put || op->code == OP_try_put) {
        int token = token_make(frame->task, GIVEN);
        tokens[token].queue = q;
        tokens[token].order = ++frame->state->puts;
        bool try = op->code == OP_try_put;
        status = try ? eddy_queue_try_put(queues[q], token_value(token))
                     : LIMITED(limit, eddy_queue_put(queues[q], token_value(token)));
        if (status < 0) token_back(token);
        if (try && status == EDDY_EBUSY) return 0;
        (void)waited(frame, "put", limit, since_ns, status, EDDY_ECLOSED, &passed);
    } else {
        bool try = op->code == OP_try_get;
        eddy_value item = EDDY_NONE;
        status = try ? eddy_queue_try_get(queues[q], &item) : LIMITED(limit, eddy_queue_get(queues[q], &item));
        if (status >= 0) {
            CLAIM(item.i64 >= 0 && item.i64 < tokens_count && tokens[item.i64].queue == q,
                  "task %d got %lld from queue %d", frame->task, (long long)item.i64, q);
            token_back((int)item.i64);
            struct token *token = &tokens[item.i64];
            int *last = &states[token->task].got[q];
            CLAIM(token->order > *last, "queue %d: item %d of task %d came after its item %d", q, token->order,
                  token->task, *last);
            *last = token->order;
        }
        if (try && status == EDDY_EBUSY) return 0;
        (void)waited(frame, "get", limit, since_ns, status, EDDY_ECLOSED, &passed);
    }
    check_place(frame);
    return passed;
}

/* ---- callbacks --------------------------------------------------------------------------------------- */

static struct call *call_make(int64_t not_before_ns) {
    CLAIM(calls_count < CALLS_MAX, "the program makes more calls than this test has room for");
    calls[calls_count] = (struct call){.not_before_ns = not_before_ns, .worker = eddy_worker_index()};
    return &calls[calls_count++];
}

static int call_runs(void *arg) {
    struct call *call = arg;
    CLAIM(!call->ran, "a callback ran twice");
    CLAIM(!call->cancelled, "a callback ran after it was cancelled");
    CLAIM(!call->removed, "a done callback ran after it was removed");
    CLAIM(now() >= call->not_before_ns, "a callback ran %lld ns early", (long long)(call->not_before_ns - now()));
    CLAIM(eddy_current_task() == NULL, "a callback ran inside a task");
    call->ran = true;
    return 0;
}

static int done_runs(eddy_future *future, void *arg) {
    struct call *call = arg;
    CLAIM(future == call->future, "a done callback got another future");
    CLAIM(eddy_future_done(future), "a done callback ran before the end");
    call->future = NULL;
    return call_runs(arg);
}

static void add_callback(eddy_future *future) {
    struct call *call = call_make(0);
    call->future = future;
    int status = eddy_future_add_callback(future, done_runs, call);
    CLAIM(status == 0 || shortage(status), "add_callback gave %s", eddy_status_name(status));
    if (status < 0) call->removed = call->failed = true;
}

static __attribute__((noinline)) void remove_callbacks(eddy_future *future) {
    for (int i = 0; i < calls_count; i++) {
        struct call *call = &calls[i];
        if (call->future != future || call->ran || call->removed) continue;
        int removed = eddy_future_remove_callback(future, done_runs, call);
        CLAIM(removed == 0 || removed == 1, "one done callback was removed %d times", removed);
        call->removed = removed == 1;
    }
}

static __attribute__((noinline)) void play_call(struct frame *frame, const struct op *op) {
    int64_t delay = op->code == OP_call_later ? op->a[0] : 0;
    struct call *call = call_make(now() + delay);
    eddy_handle *handle = NULL;
    int status;
    if (op->code == OP_call_soon) {
        status = eddy_call_soon(NULL, call_runs, call, &handle);
    } else if (op->code == OP_call_later) {
        status = eddy_call_later(NULL, delay, call_runs, call, &handle);
    } else {
        bool domain = op->a[0] >= 0 && op->a[0] < DOMAINS && domains[op->a[0]] != NULL;
        status = eddy_call_soon_threadsafe(domain ? domains[op->a[0]] : eddy_loop_current(), call_runs, call, NULL);
    }
    CLAIM(status == 0 || shortage(status), "task %d: a call gave %s", frame->task, eddy_status_name(status));
    if (status < 0) call->removed = call->failed = true;
    if (handle == NULL) return;
    eddy_handle_release(frame->handle);
    frame->handle = handle;
    frame->last_call = call;
}

struct deferred {
    int task, number;
    int64_t sleeps_ns;
};

static void deferred_runs(void *arg) {
    struct deferred *deferred = arg;
    struct state *state = &states[deferred->task];
    CLAIM(deferred->number == state->defers - state->defers_run, "task %d: deferred function %d ran out of order",
          deferred->task, deferred->number);
    CLAIM(state->returned, "task %d: a deferred function ran before its body had returned", deferred->task);
    if (deferred->sleeps_ns > 0) (void)eddy_sleep(deferred->sleeps_ns);
    state->defers_run++;
    free(deferred);
}

static __attribute__((noinline)) void play_defer(struct frame *frame, const struct op *op) {
    struct deferred *deferred = malloc(sizeof *deferred);
    *deferred = (struct deferred){frame->task, frame->state->defers + 1, op->a[0]};
    int status = eddy_defer(deferred_runs, deferred);
    CLAIM(status == 0 || shortage(status), "task %d: defer gave %s", frame->task, eddy_status_name(status));
    if (status < 0) free(deferred);
    if (status == 0) frame->state->defers++;
}

static __attribute__((noinline)) void play_all_tasks(void) {
    eddy_task *all[TASKS_MAX + 1];
    size_t count = eddy_all_tasks(all, TASKS_MAX + 1);
    CLAIM(count >= 1 && count <= (size_t)program->tasks, "all_tasks found %zu of %d", count, program->tasks);
    for (size_t i = 0; i < count; i++) eddy_task_release(all[i]);
}

/* ---- one operation ------------------------------------------------------------------------------------ */

static __attribute__((noinline)) int play_future(struct frame *frame, const struct op *op) {
    int i = op->a[0], status, passed = 0;
    if (futures[i] == NULL) return 0;
    eddy_future *future = eddy_future_share(futures[i]);
    int64_t limit = op->a[1], since_ns = now();
    if (op->code == OP_future_set) {
        bool was_done = eddy_future_done(future);
        int token = token_make(frame->task, GIVEN);
        status = eddy_future_set(future, token_value(token));
        CLAIM(status == (was_done ? EDDY_ESTATE : 0), "task %d: set of a future that was%s done gave %s", frame->task,
              was_done ? "" : " not", eddy_status_name(status));
        if (status < 0) token_back(token);
    } else if (op->code == OP_future_fail) {
        status = eddy_future_fail(future, -9500, "as asked");
        CLAIM(status == 0 || status == EDDY_ESTATE, "task %d: fail gave %s", frame->task, eddy_status_name(status));
    } else if (op->code == OP_future_cancel) {
        (void)eddy_cancel(future);
        CLAIM(eddy_future_done(future), "task %d: a future was cancelled and is not done", frame->task);
    } else if (op->code == OP_future_callback) {
        add_callback(future);
    } else {
        eddy_value value = EDDY_NONE;
        status = LIMITED(limit, eddy_await(future, &value));
        check_place(frame);
        bool done = eddy_future_done(future);
        if (status >= 0) {
            CLAIM(done && tokens[value.i64].state != UNUSED, "task %d: a future gave nothing", frame->task);
        } else if (!(done && eddy_future_result(future, NULL) == status)) {
            (void)waited(frame, "await of a future", limit, since_ns, status, 0, &passed);
        } else if (status == EDDY_ECANCELED) {
            passed = status;
        }
    }
    eddy_future_release(future);
    return passed;
}

static __attribute__((noinline)) void play_handle(struct frame *frame, const struct op *op) {
    int k = op->a[0];
    eddy_task *task = share_handle(k);
    if (task == NULL) return;
    eddy_future *future = EDDY_FUTURE(task);
    if (op->code == OP_cancel) {
        bool was_done = eddy_future_done(future);
        if (!states[k].entered) states[k].cancelled_new = true;
        CLAIM(eddy_cancel(future) == !was_done, "task %d: cancel of task %d did not say whether that was done",
              frame->task, k);
    } else if (op->code == OP_release) {
        if (k > 0) {
            eddy_task_release(states[k].handle);
            states[k].handle = NULL;
        }
    } else if (op->code == OP_callback) {
        add_callback(future);
    } else if (op->code == OP_uncallback) {
        remove_callbacks(future);
    } else if (eddy_future_done(future)) { /* take */
        eddy_value value = EDDY_NONE;
        int status = eddy_future_take(future, &value);
        struct state *state = &states[k];
        if (status >= 0) {
            saw_end(k, status, &value);
            if (state->value >= 0) token_back(state->value);
            state->value = -2; /* somebody's: not to be looked for again */
        } else if (status != EDDY_ESTATE || state->value != -2) {
            saw_end(k, status, NULL);
        }
    }
    eddy_task_release(task);
}

static __attribute__((noinline)) int play_sleep(struct frame *frame, int64_t duration_ns) {
    int64_t since_ns = now();
    int status = eddy_sleep(duration_ns), passed;
    check_place(frame);
    CLAIM(status != 0 || now() - since_ns >= duration_ns, "task %d: slept %lld of %lld ns", frame->task,
          (long long)(now() - since_ns), (long long)duration_ns);
    (void)waited(frame, "sleep", -1, since_ns, status, 0, &passed);
    return passed;
}

static __attribute__((noinline)) int play_event(struct frame *frame, const struct op *op) {
    int64_t limit = op->a[1], since_ns = now();
    int i = op->a[0], passed, sets = event_sets[i];
    bool is_set = eddy_event_is_set(events[i]);
    int status = LIMITED(limit, eddy_event_wait(events[i]));
    check_place(frame);
    CLAIM(status != 0 || is_set || event_sets[i] > sets, "task %d: event %d woke it and was not set", frame->task, i);
    (void)waited(frame, "event", limit, since_ns, status, 0, &passed);
    return passed;
}

static __attribute__((noinline)) int play_cancel_self(struct frame *frame) {
    CLAIM(eddy_cancel(EDDY_FUTURE(eddy_current_task())), "task %d: could not cancel itself", frame->task);
    int status = eddy_sleep(1000);
    CLAIM(status == EDDY_ECANCELED || shortage(status), "task %d: cancelled itself, then slept and heard nothing of it",
          frame->task);
    return EDDY_ECANCELED;
}

static __attribute__((noinline)) int play_timeout(struct frame *frame, const struct op *op, int first, int end) {
    eddy_timeout_push(op->a[0]);
    int inside = play_ops(frame, first, end);
    unsigned requests = eddy_task_cancelling(eddy_current_task()), own = eddy_timeout_expired() && requests > 0;
    int status = eddy_timeout_pop(inside);
    CLAIM(eddy_task_cancelling(eddy_current_task()) == requests - own || program->alloc_fails > 0,
          "task %d: a timeout did not take its own request back, and no other", frame->task);
    if (status == EDDY_ETIMEDOUT && inside != status) {
        CLAIM(inside == EDDY_ECANCELED, "task %d: a timeout made ETIMEDOUT of %s", frame->task,
              eddy_status_name(inside));
        return 0;
    }
    CLAIM(status == inside, "task %d: a timeout made %s of %s", frame->task, eddy_status_name(status),
          eddy_status_name(inside));
    return status;
}

static int play_one(struct frame *frame, int at, int end) {
    const struct op *op = &frame->ops[at];
    switch ((enum code)op->code) {
    case OP_sleep: return play_sleep(frame, op->a[0]);
    case OP_yield: return play_sleep(frame, 0);
    case OP_spin:
        for (int i = 0; i < op->a[0]; i++) (void)eddy_await(done_future, NULL);
        check_place(frame);
        return 0;
    case OP_spawn: play_spawn(frame, op, NULL); return 0;
    case OP_group_spawn: play_spawn(frame, op, frame->group); return 0;
    case OP_await:
    case OP_wait_for:
    case OP_shield: return play_await(frame, op);
    case OP_gather:
    case OP_gather_all:
    case OP_wait: return play_many(frame, op);
    case OP_cancel:
    case OP_release:
    case OP_take:
    case OP_callback:
    case OP_uncallback: play_handle(frame, op); return 0;
    case OP_cancel_self: return play_cancel_self(frame);
    case OP_uncancel:
        frame->state->cancel_taken_back = true;
        (void)eddy_task_uncancel(eddy_current_task());
        return 0;
    case OP_check_cancel: return eddy_check_cancel();
    case OP_lock: return play_lock(frame, op, at + 1, end);
    case OP_semaphore:
    case OP_try_semaphore: return play_semaphore(frame, op, at + 1, end);
    case OP_event_wait: return play_event(frame, op);
    case OP_event_set:
        event_sets[op->a[0]]++;
        eddy_event_set(events[op->a[0]]);
        return 0;
    case OP_event_clear: eddy_event_clear(events[op->a[0]]); return 0;
    case OP_put:
    case OP_get:
    case OP_try_put:
    case OP_try_get: return play_queue(frame, op);
    case OP_close: eddy_queue_close(queues[op->a[0]]); return 0;
    case OP_future_await:
    case OP_future_set:
    case OP_future_fail:
    case OP_future_cancel:
    case OP_future_callback: return play_future(frame, op);
    case OP_timeout: return play_timeout(frame, op, at + 1, end);
    case OP_reschedule: (void)eddy_timeout_reschedule(op->a[0]); return 0;
    case OP_group: return play_group(frame, op, at + 1, end);
    case OP_group_cancel:
        if (frame->group != NULL) eddy_group_cancel(&frame->group->group);
        return 0;
    case OP_catch: (void)play_ops(frame, at + 1, end); return 0;
    case OP_cleanup: {
        int status = play_ops(frame, at + 1, end);
        int after = play_sleep(frame, op->a[0]);
        return status < 0 ? status : after;
    }
    case OP_fail: return eddy_fail(op->a[0], "as asked");
    case OP_defer: play_defer(frame, op); return 0;
    case OP_call_soon:
    case OP_call_later:
    case OP_call_threadsafe: play_call(frame, op); return 0;
    case OP_cancel_handle:
        if (frame->handle == NULL || frame->last_call->ran || frame->last_call->worker != eddy_worker_index()) return 0;
        eddy_handle_cancel(frame->handle);
        frame->last_call->cancelled = true;
        return 0;
    case OP_share: eddy_share(); return 0;
    case OP_all_tasks: play_all_tasks(); return 0;
    case OP_end:
    case OPS: break;
    }
    return 0;
}

static bool opens(const struct op *op) {
    static const bool blocks[] = {
#define X(name, arguments, block) block,
        OPERATIONS(X)
#undef X
    };
    return blocks[op->code];
}

/* Operations [first, end), until one fails. */
static int play_ops(struct frame *frame, int first, int end) {
    for (int at = first; at < end; at++) {
        int close = at, depth = 0;
        if (opens(&frame->ops[at]))
            for (; close < end; close++) {
                if (opens(&frame->ops[close])) depth++;
                if (frame->ops[close].code == OP_end && --depth == 0) break;
            }
        int status = play_one(frame, at, close);
        if (status < 0) return status;
        at = close;
    }
    return 0;
}

static int body_of(void *arg, eddy_value *out) {
    int k = (int)(intptr_t)arg;
    struct state *state = &states[k];
    CLAIM(!state->entered, "task %d was entered twice", k);
    CLAIM(state->spawned, "task %d was entered and was not spawned", k);
    CLAIM(!state->cancelled_new, "task %d was entered and had been cancelled before", k);
    state->entered = true;
    state->worker = eddy_worker_index();
    if (state->body->domain >= 0 && domains[state->body->domain] != NULL) {
        int *last = &domain_order[state->body->domain][state->spawner];
        CLAIM(eddy_loop_current() == domains[state->body->domain], "task %d is not in its domain", k);
        CLAIM(state->spawn_order > *last, "task %d started before one that was spawned earlier", k);
        *last = state->spawn_order;
    }
    struct frame frame = {.task = k, .state = state, .ops = state->body->ops};
    int status = play_ops(&frame, 0, state->body->count);
    eddy_handle_release(frame.handle);
    state->status = status;
    state->returned = true;
    if (status >= 0 && state->body->value) {
        state->value = token_make(k, GIVEN);
        *out = token_value(state->value);
    }
    return status;
}

/* ---- a run -------------------------------------------------------------------------------------------- */

/* main: opens what the tasks share, plays body 0, gives the handles back. */
static int main_of(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct state *state = &states[0];
    for (int i = 0; i < DOMAINS; i++) CLAIM(eddy_domain_open(&domains[i]) == 0, "no domain");
    for (int i = 0; i < FUTURES; i++)
        CLAIM((futures[i] = eddy_future_create_on(eddy_loop_current(), token_drop)) != NULL, "no future");
    CLAIM((done_future = eddy_future_create()) != NULL && eddy_future_set(done_future, EDDY_NONE) == 0, "no future");
    if (program->alloc_fails > 0) ed_alloc_fail_at(program->alloc_fails);
    state->spawned = state->entered = true;
    state->in_domain = program->serial;
    state->worker = eddy_worker_index();
    struct frame frame = {.task = 0, .state = state, .ops = state->body->ops};
    int status = play_ops(&frame, 0, state->body->count);
    eddy_handle_release(frame.handle);
    closed = true;
    for (int i = 0; i < FUTURES; i++) {
        (void)eddy_cancel(futures[i]); /* nothing is left that waits for one */
        (void)eddy_future_error(futures[i]);
        eddy_future_release(futures[i]);
        futures[i] = NULL;
    }
    for (int k = 1; k < program->tasks; k++) {
        eddy_task_release(states[k].handle);
        states[k].handle = NULL;
    }
    state->status = status;
    state->returned = true;
    return 0;
}

static void reported(const eddy_report *report, void *arg) {
    (void)arg;
    CLAIM(report->kind != EDDY_REPORT_STILL_PENDING, "the run cannot end: %s", report->message);
    CLAIM(report->kind != EDDY_REPORT_CALLBACK_FAILED, "%s", report->message);
    int k;
    if (sscanf(report->task, "task %d", &k) == 1 && k > 0 && k < program->tasks && report->status < 0)
        CLAIM(states[k].returned ? states[k].status == report->status : shortage(report->status),
              "task %d is said to have ended with %s", k, eddy_status_name(report->status));
}

static void open_world(void) {
    memset(states, 0, sizeof states);
    memset(domain_order, 0, sizeof domain_order);
    tokens_count = calls_count = spawn_orders = 0;
    closed = false;
    done_future = NULL;
    for (int k = 0; k < program->tasks; k++)
        states[k] = (struct state){.body = &program->body[k], .argument = -1, .value = -1};
    for (int i = 0; i < DOMAINS; i++) domains[i] = NULL;
    for (int i = 0; i < LOCKS; i++) locks[i] = eddy_lock_create(), lock_owner[i] = -1;
    for (int i = 0; i < EVENTS; i++) events[i] = eddy_event_create(), event_sets[i] = 0;
    for (int i = 0; i < SEMAPHORES; i++)
        semaphores[i] = eddy_semaphore_create((size_t)i + 1), semaphore_free[i] = i + 1;
    for (int i = 0; i < QUEUES; i++) queues[i] = eddy_queue_create((size_t)(2 - i), token_drop);
}

/* Nobody is inside any more: what is left can be had. */
static void check_objects(void) {
    for (int i = 0; i < LOCKS; i++)
        CLAIM(eddy_lock_unlock(locks[i]) == EDDY_ESTATE, "the run has ended and lock %d is held", i);
    for (int i = 0; i < SEMAPHORES; i++) {
        int slots = 0;
        while (eddy_semaphore_try_acquire(semaphores[i])) slots++;
        CLAIM(slots == i + 1, "the run has ended and semaphore %d has %d slots", i, slots);
    }
    for (int i = 0; i < QUEUES; i += 2) { /* the others drop what is left */
        eddy_value item;
        for (size_t left = eddy_queue_size(queues[i]); left > 0; left--) {
            CLAIM(eddy_queue_try_get(queues[i], &item) == 0, "the run has ended and queue %d keeps %zu items", i, left);
            token_back((int)item.i64);
        }
    }
}

static void close_world(void) {
    check_objects();
    eddy_future_release(done_future);
    for (int i = 0; i < LOCKS; i++) eddy_lock_release(locks[i]);
    for (int i = 0; i < EVENTS; i++) eddy_event_release(events[i]);
    for (int i = 0; i < SEMAPHORES; i++) eddy_semaphore_release(semaphores[i]);
    for (int i = 0; i < QUEUES; i++) eddy_queue_release(queues[i]);
    for (int k = 0; k < program->tasks; k++) {
        const struct state *state = &states[k];
        CLAIM(state->entered == state->returned, "the run has ended and task %d has not", k);
        CLAIM(state->defers == state->defers_run, "task %d: %d functions were deferred and %d ran", k, state->defers,
              state->defers_run);
    }
    for (int i = 0; i < tokens_count; i++)
        CLAIM(tokens[i].state == GONE, "value %d of task %d was neither dropped nor taken", i, tokens[i].task);
    for (int i = 0; i < calls_count; i++)
        CLAIM(calls[i].future == NULL || calls[i].removed || calls[i].ran, "a done callback never ran");
}

void program_play(const struct program *played, FILE *trace) {
    program = played;
    int64_t bytes = ed_alloc_live_bytes(), handles = ed_tasks_left_behind();
    open_world();
    eddy_sim_options outside = eddy_sim_options_init();
    outside.steps_max = STEPS_MAX;
    const struct ed_sim_options options = {
        .seed = program->seed,
        .workers = program->workers,
        .no_direct_await = program->no_direct,
        .serial = program->serial,
        .migrate = program->migrate > 0,
        .undisturbed = program->undisturbed,
        .outside = &outside,
        .stacks_max = program->stacks > 0 ? (size_t)program->stacks : 0,
        .trace = trace,
        .on_exception = reported,
    };
    ed_runtime_migrate_always(program->migrate == 2);
    int status = ed_sim_run(main_of, NULL, &options);
    ed_alloc_fail_at(0);
    bool asked = status == EDDY_ECANCELED; /* main asked itself, and left with the request pending */
    CLAIM(status == 0 || asked || shortage(status), "the run ended with %s", eddy_status_name(status));
    close_world();
    CLAIM(ed_alloc_live_bytes() == bytes, "%lld bytes are left", (long long)(ed_alloc_live_bytes() - bytes));
    CLAIM(ed_tasks_left_behind() == handles, "%lld tasks are not released",
          (long long)(ed_tasks_left_behind() - handles));
}
