/* program.c: making, writing, reading and shrinking programs. See program.h.
 *
 * Making     Each program gets a random half of the operations: a program of few kinds goes deeper with these (swarm
 *            testing: Groce, Zhang, Eide, Chen, Regehr 2012). Tasks form a tree by who spawns whom. */
#include "program.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int arguments;
    bool block;
} operations[] = {
#define X(name, arguments, block) {#name, arguments, block},
    OPERATIONS(X)
#undef X
};

/* ---- making ----------------------------------------------------------------------------------------- */

struct maker {
    struct program *program;
    uint64_t random;
    bool bounded;
    bool with[OPS];        /* the operations of this program */
    int parent[TASKS_MAX]; /* who spawns it */
    int next_child[TASKS_MAX];
    int task;       /* whose body is being made */
    int spawned_to; /* children of it below this are spawned */
};

static uint64_t next(struct maker *maker) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = maker->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static int below(struct maker *maker, int n) { return (int)(next(maker) % (uint64_t)n); }
static bool one_in(struct maker *maker, int n) { return below(maker, n) == 0; }

static int duration(struct maker *maker) {
    switch (below(maker, 8)) {
    case 0: return 0;
    case 1: return 1 + below(maker, 100);
    case 2: return below(maker, 3000000);
    default: return below(maker, 60000);
    }
}

/* How long a wait may last: -1 for ever. Main's all end: it decides when the run does. */
static int limit(struct maker *maker) {
    if (!maker->bounded && maker->task != 0 && !one_in(maker, 4)) return -1;
    return duration(maker);
}

static int greater_task(struct maker *maker) {
    int left = maker->program->tasks - 1 - maker->task;
    return left > 0 ? maker->task + 1 + below(maker, left) : -1;
}

static int next_child(struct maker *maker) {
    for (int k = maker->spawned_to; k < maker->program->tasks; k++)
        if (maker->parent[k] == maker->task) return k;
    return -1;
}

static bool add(struct maker *maker, enum code code, int a, int b, int c, int d) {
    struct body *body = &maker->program->body[maker->task];
    if (body->count >= OPS_MAX - 8) return false;
    body->ops[body->count++] = (struct op){(uint8_t)code, {a, b, c, d}};
    return true;
}

static void make_block(struct maker *maker, int length, int depth, bool in_group);

static void add_end(struct maker *maker) { /* there is room: add() leaves some */
    struct body *body = &maker->program->body[maker->task];
    body->ops[body->count++] = (struct op){OP_end, {0}};
}

static void add_block(struct maker *maker, enum code code, int a, int b, int depth, bool in_group) {
    if (depth >= 3 || !add(maker, code, a, b, 0, 0)) return;
    make_block(maker, 1 + below(maker, 4), depth + 1, in_group);
    add_end(maker);
}

static bool spawn_next(struct maker *maker, bool in_group) {
    int child = next_child(maker);
    if (child < 0 || !add(maker, in_group ? OP_group_spawn : OP_spawn, child, !one_in(maker, 4), 0, 0)) return false;
    maker->spawned_to = child + 1;
    return true;
}

/* One operation of this kind. */
static void make(struct maker *maker, enum code code, int depth, bool in_group) {
    int task = greater_task(maker), go_on = maker->bounded && one_in(maker, 2);
    switch (code) {
    case OP_spawn:
    case OP_group_spawn: spawn_next(maker, in_group); break;
    case OP_await:
    case OP_wait_for:
    case OP_shield:
        if (task > 0) add(maker, code, task, code == OP_wait_for ? duration(maker) : limit(maker), go_on, 0);
        break;
    case OP_gather:
    case OP_gather_all:
        if (task > 0) add(maker, code, task, 1 + below(maker, 4), limit(maker), go_on);
        break;
    case OP_wait:
        if (task > 0) add(maker, code, task, 1 + below(maker, 4), limit(maker), below(maker, 3));
        break;
    case OP_cancel: add(maker, code, 1 + below(maker, maker->program->tasks), 0, 0, 0); break;
    case OP_release:
    case OP_take:
    case OP_callback:
    case OP_uncallback:
        if (task > 0) add(maker, code, task, 0, 0, 0);
        break;
    case OP_lock: add_block(maker, code, below(maker, LOCKS), limit(maker), depth, in_group); break;
    case OP_semaphore: add_block(maker, code, below(maker, SEMAPHORES), limit(maker), depth, in_group); break;
    case OP_try_semaphore: add_block(maker, code, below(maker, SEMAPHORES), 0, depth, in_group); break;
    case OP_timeout: add_block(maker, code, duration(maker), 0, depth, in_group); break;
    case OP_group:
        if (maker->task != 0 || maker->bounded) {
            add_block(maker, code, go_on, 0, depth, true);
        } else if (depth < 2 && add(maker, OP_timeout, duration(maker), 0, 0, 0)) { /* main ends: see `limit` */
            add_block(maker, code, go_on, 0, depth + 1, true);
            add_end(maker);
        }
        break;
    case OP_catch:
        if (maker->bounded) add_block(maker, code, 0, 0, depth, in_group);
        break;
    case OP_cleanup: add_block(maker, code, duration(maker), 0, depth, in_group); break;
    case OP_uncancel:
        if (maker->bounded) add(maker, code, 0, 0, 0, 0);
        break;
    case OP_check_cancel: /* what it delivers ends the task: no cancel is swallowed */
    case OP_cancel_self:
    case OP_yield:
    case OP_group_cancel:
    case OP_call_soon:
    case OP_cancel_handle:
    case OP_share:
    case OP_all_tasks: add(maker, code, 0, 0, 0, 0); break;
    case OP_event_wait: add(maker, code, below(maker, EVENTS), limit(maker), 0, 0); break;
    case OP_event_set:
    case OP_event_clear: add(maker, code, below(maker, EVENTS), 0, 0, 0); break;
    case OP_put:
    case OP_get: add(maker, code, below(maker, QUEUES), limit(maker), 0, 0); break;
    case OP_try_put:
    case OP_try_get: add(maker, code, below(maker, QUEUES), 0, 0, 0); break;
    case OP_close:
        if (one_in(maker, 4)) add(maker, code, below(maker, QUEUES), 0, 0, 0);
        break;
    case OP_future_await: add(maker, code, below(maker, FUTURES), limit(maker), 0, 0); break;
    case OP_future_set:
    case OP_future_fail:
    case OP_future_cancel:
    case OP_future_callback: add(maker, code, below(maker, FUTURES), 0, 0, 0); break;
    case OP_defer:
        add(maker, code, maker->bounded ? duration(maker) : 0, 0, 0, 0);
        break; /* one that sleeps swallows */
    case OP_sleep:
    case OP_reschedule:
    case OP_call_later: add(maker, code, duration(maker), 0, 0, 0); break;
    case OP_spin: add(maker, code, 1 + below(maker, 400), 0, 0, 0); break;
    case OP_fail:
        if (one_in(maker, 3)) add(maker, code, -9000 - below(maker, 100), 0, 0, 0);
        break;
    case OP_call_threadsafe: add(maker, code, below(maker, DOMAINS + 1) - 1, 0, 0, 0); break;
    case OP_end:
    case OPS: break;
    }
}

static void make_block(struct maker *maker, int length, int depth, bool in_group) {
    while (length-- > 0) {
        if (one_in(maker, 3) && spawn_next(maker, in_group)) continue;
        enum code code = (enum code)below(maker, OP_end);
        if (maker->with[code]) make(maker, code, depth, in_group);
    }
}

void program_make(struct program *program, uint64_t seed) {
    struct maker maker = {.program = program, .random = seed};
    memset(program, 0, sizeof *program);
    for (int i = 0; i < 4; i++) (void)next(&maker); /* the schedule begins with the same seed */
    program->seed = seed;
    program->workers = 1 + (unsigned)below(&maker, one_in(&maker, 4) ? 8 : 4);
    program->no_direct = one_in(&maker, 4);
    program->serial = one_in(&maker, 8);
    program->migrate = one_in(&maker, 2) ? 0 : 1 + below(&maker, 2);
    maker.bounded = one_in(&maker, 2);
    if (one_in(&maker, 8)) program->alloc_fails = 1 + below(&maker, 200);
    if (one_in(&maker, 16)) program->stacks = 2 + below(&maker, 6);
    program->tasks = 2 + below(&maker, one_in(&maker, 3) ? TASKS_MAX - 2 : 10);
    for (int code = 0; code < OPS; code++) maker.with[code] = one_in(&maker, 2);
    bool domains = one_in(&maker, 2);
    for (int k = 1; k < program->tasks; k++) maker.parent[k] = one_in(&maker, 3) ? 0 : below(&maker, k);
    for (int k = 0; k < program->tasks; k++) {
        struct body *body = &program->body[k];
        maker.task = k;
        maker.spawned_to = k + 1;
        body->domain = domains && one_in(&maker, 3) ? below(&maker, DOMAINS) : -1;
        body->value = one_in(&maker, 2);
        body->argument = below(&maker, 4);
        body->migration = k == 0 || one_in(&maker, 2) ? 0 : below(&maker, 3);
        make_block(&maker, 2 + below(&maker, 12), 0, false);
        while (spawn_next(&maker, false)) {
            int child = maker.spawned_to - 1;
            if (one_in(&maker, 2)) add(&maker, OP_await, child, limit(&maker), maker.bounded && one_in(&maker, 2), 0);
        }
        /* Bodies that are entered on their awaiter's stack nest: only those that start none may have a small one. */
        body->stack_kb = maker.spawned_to == k + 1 && one_in(&maker, 4) ? 64 : 256;
    }
}

/* ---- writing and reading ----------------------------------------------------------------------------- */

/* Whether a task is ever spawned. */
static bool spawns(const struct program *program, int task) {
    for (int k = 0; k < task; k++)
        for (int i = 0; i < program->body[k].count; i++) {
            const struct op *op = &program->body[k].ops[i];
            if ((op->code == OP_spawn || op->code == OP_group_spawn) && op->a[0] == task) return spawns(program, k);
        }
    return task == 0;
}

void program_print(const struct program *program, FILE *file) {
    fprintf(file,
            "program seed %llu workers %u no_direct %d undisturbed %u alloc_fails %d stacks %d serial %d migrate %d\n",
            (unsigned long long)program->seed, program->workers, program->no_direct, program->undisturbed,
            program->alloc_fails, program->stacks, program->serial, program->migrate);
    for (int k = 0; k < program->tasks; k++) {
        const struct body *body = &program->body[k];
        if (!spawns(program, k)) continue;
        fprintf(file, "task %d domain %d stack %d value %d argument %d migration %d\n", k, body->domain, body->stack_kb,
                body->value, body->argument, body->migration);
        int depth = 1;
        for (int i = 0; i < body->count; i++) {
            const struct op *op = &body->ops[i];
            if (op->code == OP_end) depth--;
            fprintf(file, "%*s%s", depth * 4, "", operations[op->code].name);
            for (int j = 0; j < operations[op->code].arguments; j++) fprintf(file, " %d", op->a[j]);
            fprintf(file, "\n");
            if (operations[op->code].block) depth++;
        }
    }
}

static bool read_op(struct body *body, const char *line) {
    char name[32];
    int used;
    if (sscanf(line, " %31s%n", name, &used) != 1) return true; /* an empty line */
    for (int code = 0; code < OPS; code++) {
        if (strcmp(name, operations[code].name) != 0) continue;
        if (body->count >= OPS_MAX) return false;
        struct op *op = &body->ops[body->count++];
        *op = (struct op){.code = (uint8_t)code};
        for (int j = 0; j < operations[code].arguments; j++) {
            int more;
            if (sscanf(line + used, " %d%n", &op->a[j], &more) != 1) return false;
            used += more;
        }
        return true;
    }
    return false;
}

bool program_read(struct program *program, FILE *file) {
    char line[256];
    struct body *body = NULL;
    memset(program, 0, sizeof *program);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long seed;
        int task, domain, stack, value, argument, no_direct, serial, migration;
        if (line[0] == '#') continue;
        if (sscanf(
                line,
                "program seed %llu workers %u no_direct %d undisturbed %u alloc_fails %d stacks %d serial %d migrate %d",
                &seed, &program->workers, &no_direct, &program->undisturbed, &program->alloc_fails, &program->stacks,
                &serial, &program->migrate) == 8) {
            program->seed = seed;
            program->serial = serial != 0;
            program->no_direct = no_direct != 0;
        } else if (sscanf(line, "task %d domain %d stack %d value %d argument %d migration %d", &task, &domain, &stack,
                          &value, &argument, &migration) == 6 &&
                   task >= 0 && task < TASKS_MAX) {
            body = &program->body[task];
            *body = (struct body){
                .domain = domain, .stack_kb = stack, .value = value != 0, .argument = argument, .migration = migration};
            if (task >= program->tasks) program->tasks = task + 1;
        } else if (body == NULL || !read_op(body, line)) {
            fprintf(stderr, "not an operation: %s", line);
            return false;
        }
    }
    return program->tasks > 0 && program->workers > 0;
}

/* ---- shrinking --------------------------------------------------------------------------------------- */

/* The index of the `end` that closes the block at `first`. */
static int end_of_block(const struct body *body, int first) {
    int depth = 0;
    for (int i = first; i < body->count; i++) {
        if (operations[body->ops[i].code].block) depth++;
        if (body->ops[i].code == OP_end && --depth == 0) return i;
    }
    return first;
}

static void cut(struct body *body, int first, int count) {
    memmove(&body->ops[first], &body->ops[first + count], (size_t)(body->count - first - count) * sizeof body->ops[0]);
    body->count -= count;
}

struct shrinker {
    struct program *best;
    bool (*fails)(struct program *program, void *arg);
    void *arg;
    bool smaller; /* something was found in this round */
};

static bool keep_if_it_fails(struct shrinker *shrinker, struct program *candidate) {
    if (!shrinker->fails(candidate, shrinker->arg)) return false;
    *shrinker->best = *candidate;
    shrinker->smaller = true;
    return true;
}

static void shrink_body(struct shrinker *shrinker, int task) {
    static struct program candidate;
    for (int i = 0; i < shrinker->best->body[task].count;) {
        struct body *body = &candidate.body[task];
        candidate = *shrinker->best;
        enum code code = (enum code)body->ops[i].code;
        if (code == OP_end) {
            i++;
            continue;
        }
        int end = operations[code].block ? end_of_block(body, i) : i;
        cut(body, i, end - i + 1);
        if (keep_if_it_fails(shrinker, &candidate)) continue;
        if (end > i) { /* what it holds, without it */
            candidate = *shrinker->best;
            cut(body, end, 1);
            cut(body, i, 1);
            if (keep_if_it_fails(shrinker, &candidate)) continue;
        }
        i++;
    }
}

static void shrink_settings(struct shrinker *shrinker) {
    static struct program candidate;
    candidate = *shrinker->best;
    candidate.undisturbed = 31;
    if (shrinker->best->undisturbed != 31) keep_if_it_fails(shrinker, &candidate);
    for (unsigned kind = 1; kind < 32; kind *= 2) {
        candidate = *shrinker->best;
        candidate.undisturbed |= kind;
        if (candidate.undisturbed != shrinker->best->undisturbed) keep_if_it_fails(shrinker, &candidate);
    }
    for (unsigned workers = 1; workers < shrinker->best->workers; workers++) {
        candidate = *shrinker->best;
        candidate.workers = workers;
        if (keep_if_it_fails(shrinker, &candidate)) break;
    }
    candidate = *shrinker->best;
    candidate.serial = false;
    if (shrinker->best->serial) keep_if_it_fails(shrinker, &candidate);
    candidate = *shrinker->best;
    candidate.migrate = 0;
    if (shrinker->best->migrate != 0) keep_if_it_fails(shrinker, &candidate);
    candidate = *shrinker->best;
    candidate.alloc_fails = candidate.stacks = 0;
    if (shrinker->best->alloc_fails != 0 || shrinker->best->stacks != 0) keep_if_it_fails(shrinker, &candidate);
    for (int k = 0; k < shrinker->best->tasks; k++) {
        if (!spawns(shrinker->best, k)) continue;
        const struct body *body = &shrinker->best->body[k];
        candidate = *shrinker->best;
        candidate.body[k].domain = -1;
        if (body->domain != -1) keep_if_it_fails(shrinker, &candidate);
        candidate = *shrinker->best;
        candidate.body[k].value = false;
        candidate.body[k].argument = candidate.body[k].migration = 0;
        if (body->value || body->argument != 0 || body->migration != 0) keep_if_it_fails(shrinker, &candidate);
    }
}

void program_shrink(struct program *program, bool (*fails)(struct program *program, void *arg), void *arg) {
    struct shrinker shrinker = {program, fails, arg, true};
    static struct program candidate;
    for (int round = 0; shrinker.smaller && round < 8; round++) {
        shrinker.smaller = false;
        for (int k = 0; k < program->tasks; k++) { /* a whole body, then piece by piece */
            if (program->body[k].count == 0 || !spawns(program, k)) continue;
            candidate = *program;
            candidate.body[k].count = 0;
            if (!keep_if_it_fails(&shrinker, &candidate)) shrink_body(&shrinker, k);
        }
        shrink_settings(&shrinker);
    }
}
