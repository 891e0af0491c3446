/* core_bench.c. Questions: what do spawn + await, fork + join, a fan-out, a yield and a hand-over between two tasks cost
 * on one worker, through the public API with its defaults?
 * Method: 7 rounds of each in one run, the first left out; median, least and most of the other 6, in nanoseconds for one
 * operation. Each round checks its answer: a wrong answer has no speed. --quick: a hundredth of the work.
 * Not measured: stealing, first touch of stacks (the round left out fills the pool), other runtimes. The figures of one
 * machine say what is large and what is small there; only ratios of one run are worth quoting. */
#include <eddy/eddy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7 };

static int64_t scale = 100; /* percent of the work of a full run */

static int64_t work(int64_t operations) { return operations * scale / 100; }

static int give(void *arg, eddy_value *out) {
    out->i64 = (intptr_t)arg;
    return 0;
}

/* Each runs `*operations_out` operations and gives whether the answer was right. */

static bool spawn_await(int64_t *operations_out) {
    int64_t sum = 0, count = *operations_out = work(1000000);
    for (int64_t i = 0; i < count; i++) {
        eddy_task *task;
        eddy_value value = EDDY_NONE;
        if (eddy_spawn(&task, give, (void *)(intptr_t)i, NULL) < 0) return false;
        if (eddy_await(EDDY_FUTURE(task), &value) < 0) return false;
        eddy_task_release(task);
        sum += value.i64;
    }
    return sum == count * (count - 1) / 2;
}

static int fib(void *arg, eddy_value *out) {
    intptr_t n = (intptr_t)arg;
    out->i64 = n;
    if (n < 2) return 0;
    eddy_task *left, *right;
    eddy_value a = EDDY_NONE, b = EDDY_NONE;
    int status = eddy_spawn(&left, fib, (void *)(n - 1), NULL);
    if (status < 0) return status;
    status = eddy_spawn(&right, fib, (void *)(n - 2), NULL);
    if (status == 0) {
        status = eddy_await(EDDY_FUTURE(right), &b);
        eddy_task_release(right);
    }
    int first = eddy_await(EDDY_FUTURE(left), &a);
    eddy_task_release(left);
    out->i64 = a.i64 + b.i64;
    return status < 0 ? status : first;
}

static bool fork_join(int64_t *operations_out) {
    bool full = scale == 100;
    eddy_value value = EDDY_NONE;
    *operations_out = full ? 2692537 : 21891; /* calls that fib(30) and fib(20) make */
    return fib((void *)(intptr_t)(full ? 30 : 20), &value) == 0 && value.i64 == (full ? 832040 : 6765);
}

static bool fan_out(int64_t *operations_out) {
    int64_t sum = 0, rounds = work(100000);
    for (int64_t round = 0; round < rounds; round++) {
        eddy_task *tasks[10];
        for (intptr_t i = 0; i < 10; i++)
            if (eddy_spawn(&tasks[i], give, (void *)i, NULL) < 0) return false;
        for (int i = 0; i < 10; i++) {
            eddy_value value = EDDY_NONE;
            if (eddy_await(EDDY_FUTURE(tasks[i]), &value) < 0) return false;
            eddy_task_release(tasks[i]);
            sum += value.i64;
        }
    }
    *operations_out = rounds * 10;
    return sum == rounds * 45;
}

static int64_t turns;

static int take_turns(void *arg, eddy_value *out) {
    (void)out;
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        turns++;
        int status = eddy_yield();
        if (status < 0) return status;
    }
    return 0;
}

/* Two tasks, so that each yield switches. */
static bool yield(int64_t *operations_out) {
    intptr_t each = (intptr_t)work(1000000);
    eddy_task *tasks[2];
    turns = 0;
    bool good = true;
    for (int i = 0; i < 2; i++)
        if (eddy_spawn(&tasks[i], take_turns, (void *)each, NULL) < 0) return false;
    for (int i = 0; i < 2; i++) {
        good = eddy_await(EDDY_FUTURE(tasks[i]), NULL) == 0 && good;
        eddy_task_release(tasks[i]);
    }
    *operations_out = 2 * (int64_t)each;
    return good && turns == 2 * each;
}

struct ends {
    eddy_queue *there, *back;
    int64_t count;
};

static int echo(void *arg, eddy_value *out) {
    struct ends *ends = arg;
    (void)out;
    int status = 0;
    for (int64_t i = 0; i < ends->count && status == 0; i++) {
        eddy_value value;
        status = eddy_queue_get(ends->there, &value);
        if (status == 0) status = eddy_queue_put(ends->back, EDDY_I64(value.i64 + 1));
    }
    return status;
}

/* A value there and back through two queues. */
static bool ping_pong(int64_t *operations_out) {
    struct ends ends = {eddy_queue_create(1, NULL), eddy_queue_create(1, NULL), work(200000)};
    eddy_task *task;
    bool good = ends.there != NULL && ends.back != NULL && eddy_spawn(&task, echo, &ends, NULL) == 0;
    for (int64_t i = 0; good && i < ends.count; i++) {
        eddy_value value = EDDY_NONE;
        good = eddy_queue_put(ends.there, EDDY_I64(i)) == 0 && eddy_queue_get(ends.back, &value) == 0;
        good = good && value.i64 == i + 1;
    }
    if (good) {
        good = eddy_await(EDDY_FUTURE(task), NULL) == 0;
        eddy_task_release(task);
    }
    eddy_queue_release(ends.there);
    eddy_queue_release(ends.back);
    *operations_out = ends.count;
    return good;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int app(void *arg, eddy_value *out) {
    static const struct {
        const char *name, *operation;
        bool (*round)(int64_t *operations_out);
    } questions[] = {
        {"spawn_await", "task", spawn_await}, {"fork_join", "call", fork_join},       {"fan_out", "task", fan_out},
        {"yield", "switch", yield},           {"ping_pong", "round trip", ping_pong},
    };
    (void)arg, (void)out;
    printf("%-12s %10s %10s %10s   ns for one\n", "", "median", "least", "most");
    for (size_t q = 0; q < sizeof questions / sizeof questions[0]; q++) {
        double ns[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            int64_t operations = 0, start_ns = eddy_time_ns();
            if (!questions[q].round(&operations)) return eddy_fail(EDDY_ESTATE, "%s: wrong answer", questions[q].name);
            ns[i] = (double)(eddy_time_ns() - start_ns) / (double)operations;
        }
        qsort(ns + 1, ROUNDS - 1, sizeof ns[0], by_size);
        printf("%-12s %10.1f %10.1f %10.1f   %s\n", questions[q].name, (ns[3] + ns[4]) / 2, ns[1], ns[ROUNDS - 1],
               questions[q].operation);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--quick") == 0) scale = 1;
    return eddy_run(app, NULL, NULL, EDDY_RUN(.workers = 1)) < 0;
}
