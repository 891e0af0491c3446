/* fuzz.c: runs programs of the fuzzer on eddy and writes what happened, in the words of reference.py.
 *
 * Input      Standard input: programs, one after the other, in the text form that generate.py describes. Output: for
 *            each its log, behind a line "program ID" and before a line "end ID".
 * Place      One virtual worker, a clock that moves only while nothing can run, a serial domain: asyncio's loop. A
 *            program's main is a task of that domain; when its time is over, what is left is cancelled again and again in
 *            order of creation, until all has ended. Then the next program starts.
 * Log        "TIME WHO OP RESULT": who is a task (t3) or a callback (c1); the op is its number in the program. Then how
 *            each task and future ended, and which failures nobody looked at.
 * Threads    One. A program that hangs is a panic of the simulator: the last "program" line names it.
 * Tests      tests/fuzz/fuzz.py compares; tests/scripts/fuzz.py runs a slice. */
#include "eddy/eddy.h"
#include "runtime/simulate.h"
#include "task/task.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TASKS = 16,
    CALLS = 16,
    OBJECTS = 8, /* of each kind */
    GROUPS = 16,
    OPS = 1000, /* numbers of ops are below it; it is also a tick of the clock, in nanoseconds */
    ARGS = 12,
    LIFE_TICKS = 200,
    USER_ERROR = -6000 /* failure k of a program is USER_ERROR - k */
};

/* clang-format finds no end with this list. */
/* clang-format off */
#define EACH_OP(OP) \
    OP(sleep) OP(await) OP(wait_for) OP(gather) OP(wait) OP(shield) OP(event_wait) OP(lock) OP(sem) OP(get) OP(put) \
    OP(group) OP(timeout) OP(finally) OP(swallow) OP(catch) OP(spawn) OP(gspawn) OP(cancel) OP(uncancel) \
    OP(cancelling) OP(reschedule) OP(soon) OP(later) OP(unhandle) OP(on_done) OP(off_done) OP(set) OP(failf) \
    OP(event_set) OP(event_clear) OP(try_get) OP(try_put) OP(close) OP(return) OP(fail) OP(look) \
    OP(as_completed) OP(join) OP(cond) OP(cond_wait) OP(cond_wait_for) OP(barrier) OP(eager) OP(close_now) \
    OP(task_done) OP(sem_post) OP(notify) OP(barrier_reset) OP(barrier_abort)
/* clang-format on */

enum op {
#define OP(name) OP_##name,
    EACH_OP(OP)
#undef OP
        OP_COUNT
};
static const char *const op_names[] = {
#define OP(name) #name,
    EACH_OP(OP)
#undef OP
};

struct node {
    enum op op;
    int number, args[ARGS], args_count;
    struct node *block[2];
    struct node *next;
};

struct program {
    char id[32];
    struct node *task[TASKS], *call[CALLS];
    int order[TASKS], spawned;
    eddy_task *tasks[TASKS];
    bool shielded[TASKS];
    int futures_count, events_count, locks_count, conds_count, sems_count, queues_count, barriers_count;
    eddy_future *futures[OBJECTS];
    eddy_event *events[OBJECTS];
    eddy_lock *locks[OBJECTS];
    eddy_semaphore *sems[OBJECTS];
    eddy_queue *queues[OBJECTS];
    eddy_lock *cond_locks[OBJECTS];
    eddy_condition *conds[OBJECTS];
    int levels[OBJECTS]; /* notifications of each condition */
    eddy_barrier *barriers[OBJECTS];
    eddy_group groups[GROUPS];
    eddy_handle *handles[OPS];
    int64_t start_ns;
};

/* A task of a program, or a callback. */
struct who {
    int task, call; /* one of them, the other -1 */
    bool returns;
    int64_t value;
};

static struct program program; /* the one that runs */

/* ---- text --------------------------------------------------------------------------------------- */

static char *text, *at;

static _Noreturn void bad(const char *what) {
    fprintf(stderr, "eddy-fuzz: %s at \"%.40s\"\n", what, at);
    exit(2);
}

static char *word(void) { /* the next word, ended by a 0; NULL at the end */
    at += strspn(at, " \n");
    if (*at == '\0') return NULL;
    char *start = at;
    at += strcspn(at, " \n");
    if (*at != '\0') *at++ = '\0';
    return start;
}

static int number(void) {
    char *token = word(), *end;
    if (token == NULL) bad("a number is missing");
    long value = strtol(token, &end, 10);
    if (*end != '\0') bad("not a number");
    return (int)value;
}

static struct node *block(void); /* behind its "{" */

static struct node *node(const char *name) {
    struct node *made = calloc(1, sizeof *made);
    int op = 0;
    while (op < OP_COUNT && strcmp(op_names[op], name) != 0) op++;
    if (op == OP_COUNT) bad("no such op");
    made->op = (enum op)op;
    made->number = number();
    int blocks = 0;
    for (char *token; (token = word()) != NULL && strcmp(token, ";") != 0;) {
        if (strcmp(token, "{") == 0) {
            if (blocks == 2) bad("too many blocks");
            made->block[blocks++] = block();
        } else {
            if (made->args_count == ARGS) bad("too many arguments");
            made->args[made->args_count++] = atoi(token);
        }
    }
    return made;
}

static struct node *block(void) {
    struct node *first = NULL, **last = &first;
    for (char *token; (token = word()) != NULL && strcmp(token, "}") != 0;) {
        *last = node(token);
        last = &(*last)->next;
    }
    return first;
}

static void block_free(struct node *first) {
    while (first != NULL) {
        struct node *next = first->next;
        block_free(first->block[0]);
        block_free(first->block[1]);
        free(first);
        first = next;
    }
}

static int64_t by_value(eddy_value item) { return item.i64; }

static eddy_queue *queue_of_kind(int capacity, int kind) {
    if (kind == 1) return eddy_queue_create_lifo((size_t)capacity, NULL);
    if (kind == 2) return eddy_queue_create_priority((size_t)capacity, by_value, NULL);
    return eddy_queue_create((size_t)capacity, NULL);
}

/* Reads the next program; false: there is none. */
static bool program_read(void) {
    char *token = word();
    if (token == NULL) return false;
    memset(&program, 0, sizeof program);
    if (strcmp(token, "program") != 0) bad("no program");
    snprintf(program.id, sizeof program.id, "%s", word());
    program.futures_count = number();
    program.events_count = number();
    program.locks_count = number();
    program.conds_count = number();
    program.sems_count = number();
    for (int i = 0; i < program.sems_count; i++) {
        size_t slots = (size_t)number();
        program.sems[i] = number() ? eddy_semaphore_create_bounded(slots) : eddy_semaphore_create(slots);
    }
    program.queues_count = number();
    for (int i = 0; i < program.queues_count; i++) {
        int capacity = number();
        program.queues[i] = queue_of_kind(capacity, number());
    }
    program.barriers_count = number();
    for (int i = 0; i < program.barriers_count; i++) program.barriers[i] = eddy_barrier_create((unsigned)number());
    for (int i = 0; i < program.conds_count; i++) {
        program.cond_locks[i] = eddy_lock_create();
        program.conds[i] = eddy_condition_create(program.cond_locks[i]);
    }
    for (int i = 0; i < program.futures_count; i++) program.futures[i] = eddy_future_create();
    for (int i = 0; i < program.events_count; i++) program.events[i] = eddy_event_create();
    for (int i = 0; i < program.locks_count; i++) program.locks[i] = eddy_lock_create();
    while ((token = word()) != NULL && strcmp(token, "end") != 0) {
        int index = number();
        if (strcmp(word(), "{") != 0) bad("no block");
        *(strcmp(token, "task") == 0 ? &program.task[index] : &program.call[index]) = block();
    }
    return true;
}

/* ---- log ---------------------------------------------------------------------------------------- */

static void write_failure(int status, const eddy_error *error) {
    if (status == EDDY_EGROUP) {
        printf("G(");
        for (size_t i = 0; i < eddy_error_children(error); i++) {
            const eddy_error *child = eddy_error_child(error, i);
            if (i > 0) putchar(',');
            write_failure(eddy_error_status(child), child);
        }
        putchar(')');
    } else if (status <= USER_ERROR) {
        printf("E%d", USER_ERROR - status);
    } else {
        switch (status) {
        case EDDY_ECANCELED: putchar('C'); break;
        case EDDY_ETIMEDOUT: putchar('T'); break;
        case EDDY_ESTATE: putchar('S'); break;
        case EDDY_EINVAL: putchar('V'); break;
        case EDDY_EBUSY: putchar('B'); break;
        case EDDY_ECLOSED: putchar('X'); break;
        case EDDY_EBROKEN: putchar('K'); break;
        default: printf("%s", eddy_status_name(status));
        }
    }
}

static void write_status(int status, int64_t value, const eddy_error *error) {
    if (status < 0) {
        write_failure(status, error);
    } else {
        printf("%" PRId64, value);
    }
}

static void write_head(const struct who *who) {
    printf("%" PRId64 " ", (eddy_time_ns() - program.start_ns) / OPS);
    printf(who->task >= 0 ? "t%d" : "c%d", who->task >= 0 ? who->task : who->call);
}

static void log_begin(const struct who *who, const struct node *node) {
    write_head(who);
    printf(" %d ", node->number);
}

static int log_value(const struct who *who, const struct node *node, int status, int64_t value) {
    log_begin(who, node);
    write_status(status, value, eddy_error_current(status));
    putchar('\n');
    return status;
}

static void on_exception(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind == EDDY_REPORT_CALLBACK_FAILED) {
        printf("%" PRId64 " handler ", (eddy_time_ns() - program.start_ns) / OPS);
        write_failure(report->status, report->error);
        putchar('\n');
    } else if (report->kind == EDDY_REPORT_NEVER_RETRIEVED) {
        if (report->task[0] == '\0') {
            printf("lost future\n");
        } else if (!program.shielded[atoi(report->task + 1)]) { /* from 3.14 on these are reported by the shield */
            printf("lost %s\n", report->task);
        }
    } else if (report->kind != EDDY_REPORT_SHIELD) {
        printf("report %s %s\n", report->message, report->task);
    }
}

/* ---- ops ---------------------------------------------------------------------------------------- */

/* Delays differ in the op's number, so that no two deadlines are ever equal: asyncio leaves their order open. */
static int64_t delay(const struct node *node, int ticks) {
    if (ticks > 0) return (int64_t)ticks * OPS + node->number;
    return ticks == 0 ? -(int64_t)node->number : EDDY_FOREVER;
}

static eddy_future *future_of(int reference) { /* NULL: a task that was not spawned */
    if (reference >= 100) return program.futures[reference - 100];
    return program.tasks[reference] != NULL ? EDDY_FUTURE(program.tasks[reference]) : NULL;
}

static int run_block(struct who *who, struct node *first);
static int run_op(struct who *who, struct node *node);

static int body(void *arg, eddy_value *out) {
    struct who who = {(int)(intptr_t)arg, -1, false, 0};
    write_head(&who);
    printf(" begins\n");
    int status = run_block(&who, program.task[who.task]);
    if (!who.returns) who.value = 0;
    write_head(&who);
    printf(" ends ");
    write_status(status, who.value, eddy_error_current(status));
    putchar('\n');
    *out = EDDY_I64(who.value);
    return status;
}

static int call(void *arg) {
    struct who who = {-1, (int)(intptr_t)arg, false, 0};
    return run_block(&who, program.call[who.call]);
}

static int done_call(eddy_future *future, void *arg) {
    struct who who = {-1, (int)(intptr_t)arg, false, 0};
    write_head(&who);
    printf(" done %d\n", eddy_future_cancelled(future));
    return run_block(&who, program.call[who.call]);
}

static int spawn(int task, eddy_group *group, bool eager) {
    char name[8];
    snprintf(name, sizeof name, "t%d", task);
    eddy_task_options options = eddy_task_options_init();
    options.name = name;
    options.eager = eager;
    void *arg = (void *)(intptr_t)task;
    eddy_task *made; /* one that begins eagerly cannot be named before it has waited */
    int status =
        group != NULL ? eddy_group_spawn(group, &made, body, arg, &options) : eddy_spawn(&made, body, arg, &options);
    if (status < 0) return status;
    program.tasks[task] = made;
    program.order[program.spawned++] = task;
    return 0;
}

/* The futures among the arguments from `first` on that there are. */
static size_t futures_of(const struct node *node, int first, eddy_future **futures) {
    size_t count = 0;
    for (int i = first; i < node->args_count; i++)
        if ((futures[count] = future_of(node->args[i])) != NULL) count++;
    return count;
}

static int op_gather(const struct who *who, const struct node *node) {
    eddy_future *futures[ARGS];
    eddy_result results[ARGS];
    size_t count = futures_of(node, 1, futures);
    int status = node->args[0] ? eddy_gather_all(futures, count, results) : eddy_gather(futures, count, results);
    if (status < 0) return log_value(who, node, status, 0);
    log_begin(who, node);
    for (size_t i = 0; i < count; i++) {
        write_status(results[i].status, results[i].value.i64, futures[i]->error);
        putchar(',');
    }
    putchar('\n');
    return 0;
}

static int op_wait(const struct who *who, const struct node *node) {
    static const enum eddy_wait_when when[] = {EDDY_ALL_COMPLETED, EDDY_FIRST_COMPLETED, EDDY_FIRST_EXCEPTION};
    eddy_future *futures[ARGS];
    bool done[ARGS];
    size_t count = futures_of(node, 2, futures);
    int status = eddy_wait(futures, count, delay(node, node->args[1]), when[node->args[0]], done);
    if (status < 0) return log_value(who, node, status, 0);
    log_begin(who, node);
    for (size_t i = 0; i < count; i++) putchar(done[i] ? '1' : '0');
    putchar('\n');
    return 0;
}

static int op_as_completed(const struct who *who, const struct node *node) {
    eddy_future *futures[ARGS];
    eddy_completions *ends;
    eddy_value value;
    size_t index;
    int status = eddy_as_completed(&ends, futures, futures_of(node, 1, futures), delay(node, node->args[0]));
    if (status < 0) return log_value(who, node, status, 0);
    while ((status = eddy_completions_next(ends, &index)) == 0 || status == EDDY_ETIMEDOUT) {
        if (status < 0) {
            (void)log_value(who, node, status, 0);
            continue;
        }
        log_begin(who, node);
        printf("%zu:", index);
        status = eddy_future_result(futures[index], &value);
        write_status(status, status < 0 ? 0 : value.i64, futures[index]->error);
        putchar('\n');
    }
    eddy_completions_release(ends);
    return log_value(who, node, status == EDDY_EOF ? 0 : status, 0);
}

static int op_shield(const struct who *who, const struct node *node, eddy_future *inner) {
    eddy_future *outer;
    eddy_value value;
    if (node->args[0] < 100) program.shielded[node->args[0]] = true;
    int status = eddy_shield(&outer, inner);
    if (status == 0) status = eddy_await(outer, &value);
    (void)log_value(who, node, status, status < 0 ? 0 : value.i64);
    eddy_future_release(outer);
    return status;
}

static int op_group(struct who *who, struct node *node) {
    eddy_group *group = &program.groups[node->args[0]];
    int status = eddy_group_enter(group);
    if (status == 0) status = run_block(who, node->block[0]);
    status = eddy_group_exit(group, status);
    log_begin(who, node);
    write_status(status, 0, eddy_error_current(status));
    printf(" %u\n", eddy_task_cancelling(eddy_current_task()));
    return status;
}

static int op_timeout(struct who *who, struct node *node) {
    eddy_timeout_push(delay(node, node->args[0]));
    int status = run_block(who, node->block[0]);
    int expired = eddy_timeout_expired();
    status = eddy_timeout_pop(status);
    log_begin(who, node);
    write_status(status, 0, eddy_error_current(status));
    printf(" %d %u\n", expired, eddy_task_cancelling(eddy_current_task()));
    return status;
}

static int op_finally(struct who *who, struct node *node) {
    int status = run_block(who, node->block[0]);
    struct who before = *who;
    eddy_error *error = eddy_error_share(eddy_error_current(status));
    who->returns = false;
    int cleanup = run_block(who, node->block[1]);
    if (cleanup < 0 || who->returns) { /* it takes the place of what was under way */
        eddy_error_release(error);
        return cleanup;
    }
    ed_error_set_current(error); /* which cleaning up may have replaced */
    *who = before;
    return status;
}

static int op_except(struct who *who, struct node *node) {
    int status = run_block(who, node->block[0]);
    if (status >= 0 || (status == EDDY_ECANCELED) != (node->op == OP_swallow)) return status;
    (void)log_value(who, node, status, 0);
    eddy_handled();
    return run_block(who, node->block[1]);
}

static int op_locked(struct who *who, struct node *node) {
    int index = node->args[0];
    eddy_lock *lock = node->op == OP_lock   ? program.locks[index]
                      : node->op == OP_cond ? program.cond_locks[index]
                                            : NULL;
    eddy_semaphore *sem = lock == NULL ? program.sems[index] : NULL;
    int status = log_value(who, node, lock != NULL ? eddy_lock_acquire(lock) : eddy_semaphore_acquire(sem), 0);
    if (status < 0) return status;
    status = run_block(who, node->block[0]);
    if (lock != NULL) {
        (void)eddy_lock_unlock(lock);
    } else {
        eddy_semaphore_post(sem);
    }
    return status;
}

static int op_failure(const struct node *node) {
    static const int special[] = {EDDY_ECANCELED, EDDY_ETIMEDOUT};
    return node->args[0] < 2 ? special[node->args[0]] : USER_ERROR - node->args[0];
}

static int op_look(const struct who *who, const struct node *node, eddy_future *future) {
    eddy_value value;
    log_begin(who, node);
    int status = eddy_future_result(future, &value);
    write_status(status, status < 0 ? 0 : value.i64, eddy_future_done(future) ? future->error : NULL);
    putchar('\n');
    return 0;
}

/* Ops on a task or future: the first argument names it. */
static int op_future(const struct who *who, const struct node *node) {
    eddy_future *future = future_of(node->args[0]);
    const int *args = node->args;
    eddy_value value = EDDY_NONE;
    int status;
    if (future == NULL) return log_value(who, node, 0, -1);
    switch (node->op) {
    case OP_await: status = eddy_await(future, &value); return log_value(who, node, status, value.i64);
    case OP_wait_for:
        status = eddy_wait_for(future, delay(node, args[1]), &value);
        return log_value(who, node, status, value.i64);
    case OP_shield: return op_shield(who, node, future);
    case OP_cancel: return log_value(who, node, 0, eddy_cancel(future)), 0;
    case OP_cancelling:
        return log_value(who, node, 0, args[0] < 100 ? eddy_task_cancelling(program.tasks[args[0]]) : 0);
    case OP_on_done:
        return log_value(who, node, eddy_future_add_callback(future, done_call, (void *)(intptr_t)args[1]), 0);
    case OP_off_done:
        return log_value(who, node, 0, eddy_future_remove_callback(future, done_call, (void *)(intptr_t)args[1]));
    case OP_set: return log_value(who, node, eddy_future_set(future, EDDY_I64(args[1])), 0), 0;
    case OP_failf: return log_value(who, node, eddy_future_fail(future, USER_ERROR - args[1], NULL), 0), 0;
    default: return op_look(who, node, future);
    }
}

/* The predicate of cond_wait_for: its op's arguments are the condition and how many notifications it takes. */
static bool reached(void *arg) {
    const int *args = arg;
    return program.levels[args[0]] >= args[1];
}

static int run_op(struct who *who, struct node *node) {
    const int *args = node->args;
    eddy_value value = EDDY_NONE;
    int status;
    switch (node->op) {
    case OP_sleep: return log_value(who, node, eddy_sleep(args[0] > 0 ? delay(node, args[0]) : 0), 0);
    case OP_gather: return op_gather(who, node);
    case OP_wait: return op_wait(who, node);
    case OP_event_wait: return log_value(who, node, eddy_event_wait(program.events[args[0]]), 0);
    case OP_lock:
    case OP_cond:
    case OP_sem: return op_locked(who, node);
    case OP_as_completed: return op_as_completed(who, node);
    case OP_join: return log_value(who, node, eddy_queue_join(program.queues[args[0]]), 0);
    case OP_cond_wait: return log_value(who, node, eddy_condition_wait(program.conds[args[0]]), 0);
    case OP_cond_wait_for:
        status = eddy_condition_wait_for(program.conds[args[0]], reached, node->args);
        return log_value(who, node, status, 0);
    case OP_barrier:
        status = eddy_barrier_wait(program.barriers[args[0]]);
        return log_value(who, node, status, status) < 0 ? status : 0;
    case OP_notify:
        program.levels[args[0]]++;
        return log_value(who, node, eddy_condition_notify(program.conds[args[0]], (size_t)args[1]), 0), 0;
    case OP_barrier_reset: eddy_barrier_reset(program.barriers[args[0]]); return log_value(who, node, 0, 0);
    case OP_barrier_abort: eddy_barrier_abort(program.barriers[args[0]]); return log_value(who, node, 0, 0);
    case OP_close_now: eddy_queue_close_now(program.queues[args[0]]); return log_value(who, node, 0, 0);
    case OP_task_done: return log_value(who, node, eddy_queue_task_done(program.queues[args[0]]), 0), 0;
    case OP_sem_post: return log_value(who, node, eddy_semaphore_post(program.sems[args[0]]), 0), 0;
    case OP_eager: return log_value(who, node, spawn(args[0], NULL, true), 0), 0;
    case OP_get:
        status = eddy_queue_get(program.queues[args[0]], &value);
        return log_value(who, node, status, value.i64);
    case OP_put: return log_value(who, node, eddy_queue_put(program.queues[args[0]], EDDY_I64(args[1])), 0);
    case OP_group: return op_group(who, node);
    case OP_timeout: return op_timeout(who, node);
    case OP_finally: return op_finally(who, node);
    case OP_swallow:
    case OP_catch: return op_except(who, node);
    case OP_spawn: return log_value(who, node, spawn(args[0], NULL, false), 0), 0;
    case OP_gspawn: return log_value(who, node, spawn(args[1], &program.groups[args[0]], false), 0), 0;
    case OP_uncancel: return log_value(who, node, 0, eddy_task_uncancel(eddy_current_task()));
    case OP_reschedule: return log_value(who, node, eddy_timeout_reschedule(delay(node, args[0])), 0), 0;
    case OP_soon:
        return log_value(who, node,
                         eddy_call_soon(NULL, call, (void *)(intptr_t)args[0], &program.handles[node->number]), 0);
    case OP_later:
        return log_value(who, node,
                         eddy_call_later(NULL, delay(node, args[1]), call, (void *)(intptr_t)args[0],
                                         &program.handles[node->number]),
                         0);
    case OP_unhandle:
        if (program.handles[args[0]] != NULL) eddy_handle_cancel(program.handles[args[0]]);
        return log_value(who, node, 0, program.handles[args[0]] != NULL);
    case OP_event_set: eddy_event_set(program.events[args[0]]); return log_value(who, node, 0, 0);
    case OP_event_clear: eddy_event_clear(program.events[args[0]]); return log_value(who, node, 0, 0);
    case OP_try_get:
        status = eddy_queue_try_get(program.queues[args[0]], &value);
        return log_value(who, node, status, value.i64), 0;
    case OP_try_put: return log_value(who, node, eddy_queue_try_put(program.queues[args[0]], EDDY_I64(args[1])), 0), 0;
    case OP_close: eddy_queue_close(program.queues[args[0]]); return log_value(who, node, 0, 0);
    case OP_return:
        who->returns = true;
        who->value = args[0];
        return log_value(who, node, 0, args[0]);
    case OP_fail: eddy_handled(); return log_value(who, node, op_failure(node), 0);
    default: return op_future(who, node);
    }
}

static int run_block(struct who *who, struct node *first) {
    for (struct node *node = first; node != NULL; node = node->next) {
        int status = run_op(who, node);
        if (status < 0) {
            who->returns = false;
            return status;
        }
        if (who->returns) break;
    }
    return 0;
}

/* ---- a program ---------------------------------------------------------------------------------- */

static bool cancel_all(void) { /* false: nothing was left */
    bool left = false;
    for (int i = 0; i < program.spawned; i++) {
        eddy_future *future = EDDY_FUTURE(program.tasks[program.order[i]]);
        if (!eddy_future_done(future)) left |= eddy_cancel(future); /* of a done one it would count as a look */
    }
    return left;
}

static void program_end(void) {
    for (int i = 0; i < program.spawned; i++) {
        eddy_future *future = EDDY_FUTURE(program.tasks[program.order[i]]);
        printf("end t%d ", program.order[i]);
        write_status(future->status, future->value.i64, future->error);
        printf(" %u\n", eddy_task_cancelling(program.tasks[program.order[i]]));
    }
    for (int i = 0; i < program.spawned; i++) eddy_task_release(program.tasks[program.order[i]]);
    for (int i = 0; i < program.futures_count; i++) eddy_future_release(program.futures[i]);
    for (int i = 0; i < program.events_count; i++) eddy_event_release(program.events[i]);
    for (int i = 0; i < program.locks_count; i++) eddy_lock_release(program.locks[i]);
    for (int i = 0; i < program.sems_count; i++) eddy_semaphore_release(program.sems[i]);
    for (int i = 0; i < program.queues_count; i++) eddy_queue_release(program.queues[i]);
    for (int i = 0; i < program.barriers_count; i++) eddy_barrier_release(program.barriers[i]);
    for (int i = 0; i < program.conds_count; i++) {
        eddy_condition_release(program.conds[i]);
        eddy_lock_release(program.cond_locks[i]);
    }
    for (int i = 0; i < TASKS; i++) block_free(program.task[i]);
    for (int i = 0; i < CALLS; i++) block_free(program.call[i]);
}

static void handles_cancel(void) {
    for (int i = 0; i < OPS; i++) {
        if (program.handles[i] == NULL) continue;
        eddy_handle_cancel(program.handles[i]);
        eddy_handle_release(program.handles[i]);
        program.handles[i] = NULL;
    }
}

static int run_programs(void *arg, eddy_value *out) {
    (void)arg;
    (void)out;
    while (program_read()) {
        printf("program %s\n", program.id);
        fflush(stdout);
        program.start_ns = eddy_time_ns();
        (void)spawn(0, NULL, false);
        (void)eddy_sleep((int64_t)LIFE_TICKS * OPS);
        for (bool left = true; left;) {
            left = cancel_all();
            if (!left) handles_cancel();
            (void)eddy_sleep(OPS);
            for (int i = 0; i < program.spawned; i++)
                left |= !eddy_future_done(EDDY_FUTURE(program.tasks[program.order[i]]));
        }
        program_end();
        printf("end %s\n", program.id);
    }
    return 0;
}

static int in_domain(void *arg, eddy_value *out) {
    (void)out;
    eddy_loop *loop;
    eddy_task *task;
    int status = eddy_domain_open(&loop);
    if (status == 0) status = eddy_spawn(&task, run_programs, arg, EDDY_TASK(.loop = loop, .name = "programs"));
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

static char *read_all(FILE *file) {
    size_t bytes = 0, capacity = 1 << 16;
    char *buffer = malloc(capacity);
    for (size_t got; (got = fread(buffer + bytes, 1, capacity - bytes - 1, file)) > 0;) {
        bytes += got;
        if (bytes + 1 == capacity) buffer = realloc(buffer, capacity *= 2);
    }
    buffer[bytes] = '\0';
    return buffer;
}

int main(void) {
    text = at = read_all(stdin);
    int status = ed_sim_run(
        in_domain, NULL,
        &(struct ed_sim_options){.seed = 1, .workers = 1, .clock_step_ns = OPS, .on_exception = on_exception});
    free(text);
    return status < 0;
}
