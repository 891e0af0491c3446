/* pitfalls.c: what asyncio's classic mistakes look like here, and what eddy says about them: pitfalls NAME.
 *
 * docs/asyncio.md shows each with its output. The runs are on the simulator, so the output is the same each time; what only
 * debug mode tells is run with that, in real time. */
#include <eddy/debug.h>
#include <eddy/eddy.h>
#include <eddy/mutex.h>
#include <eddy/sim.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int fetch(void *arg, eddy_value *out) {
    int status = eddy_sleep(arg != NULL ? EDDY_MS(100) : EDDY_SECONDS(1));
    if (status < 0) return status;
    if (arg != NULL) return eddy_fail(-5, "no route to %s", (const char *)arg);
    *out = EDDY_I64(42);
    return 0;
}

/* A coroutine object is made, and nobody awaits it. */
static int never_awaited(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_coro *coro = eddy_coro_create(fetch, NULL, "fetch");
    eddy_coro_release(coro);
    return 0;
}

/* A task fails, and nobody looks at it. */
static int never_retrieved(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    int status = eddy_spawn(&task, fetch, "db1", EDDY_TASK(.name = "fetcher"));
    if (status < 0) return status;
    status = eddy_sleep(EDDY_SECONDS(2));
    eddy_task_release(task);
    return status;
}

/* gather gives the first failure at once; the others run on. */
static int gather(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[2];
    int status = eddy_spawn(&tasks[0], fetch, "db1", EDDY_TASK(.name = "failing"));
    if (status == 0) status = eddy_spawn(&tasks[1], fetch, NULL, EDDY_TASK(.name = "slow"));
    if (status < 0) return status;
    eddy_future *futures[2] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    eddy_result results[2];
    status = eddy_gather(futures, 2, results);
    printf("gather gives %s; is the other one done? %s\n", eddy_status_name(status),
           eddy_future_done(futures[1]) ? "yes" : "no");
    status = eddy_gather_all(futures, 2, results);
    printf("gather_all gives %d: %s and %lld\n", status, eddy_status_name(results[0].status),
           (long long)results[1].value.i64);
    for (int i = 0; i < 2; i++) eddy_task_release(tasks[i]);
    return status;
}

/* One after the other what could run at once. */
static int sequential(void *arg, eddy_value *out) {
    (void)arg;
    eddy_group group;
    int64_t start_ns = eddy_time_ns();
    int status = eddy_group_enter(&group);
    for (int i = 0; i < 3 && status == 0; i++) status = fetch(NULL, out);
    printf("one after the other: %lld s\n", (long long)((eddy_time_ns() - start_ns) / EDDY_SECONDS(1)));
    start_ns = eddy_time_ns();
    for (int i = 0; i < 3 && status == 0; i++) status = eddy_group_spawn(&group, NULL, fetch, NULL, NULL);
    status = eddy_group_exit(&group, status);
    printf("as tasks: %lld s\n", (long long)((eddy_time_ns() - start_ns) / EDDY_SECONDS(1)));
    return status;
}

/* wait tells who is done, and fails for nobody. */
static int wait(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *tasks[2];
    int status = eddy_spawn(&tasks[0], fetch, "db1", EDDY_TASK(.name = "failing"));
    if (status == 0) status = eddy_spawn(&tasks[1], fetch, NULL, EDDY_TASK(.name = "slow"));
    if (status < 0) return status;
    eddy_future *futures[2] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    bool done[2];
    status = eddy_wait(futures, 2, EDDY_MS(500), EDDY_ALL_COMPLETED, done);
    printf("after half a second %d are done, and nothing was cancelled\n", status);
    status = eddy_wait(futures, 2, EDDY_FOREVER, EDDY_ALL_COMPLETED, done);
    for (int i = 0; i < 2; i++) {
        printf("%d: %s\n", i, eddy_status_name(eddy_future_result(futures[i], NULL)));
        eddy_task_release(tasks[i]);
    }
    return status < 0 ? status : 0;
}

/* The service answers no more: a picture of its tasks says what each waits on. */
static int back_up(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_lock_acquire(arg);
    if (status < 0) return status;
    status = eddy_sleep(EDDY_SECONDS(3600));
    eddy_lock_unlock(arg);
    return status;
}
static int serve_order(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_lock_acquire(arg);
    if (status == 0) status = eddy_lock_unlock(arg);
    return status;
}
static int unresponsive(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    eddy_picture *picture;
    char text[2000];
    eddy_lock *lock = eddy_lock_create();
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, back_up, lock, EDDY_TASK(.name = "backup"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, serve_order, lock, EDDY_TASK(.name = "order 1"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, serve_order, lock, EDDY_TASK(.name = "order 2"));
    if (status == 0) status = eddy_sleep(EDDY_SECONDS(1));
    if (status == 0 && (status = eddy_picture_take(&picture)) == 0) {
        eddy_picture_print(picture, EDDY_PICTURE_TABLE, text, sizeof text);
        fputs(text, stdout);
        eddy_picture_release(picture);
    }
    eddy_group_cancel(&group);
    status = eddy_group_exit(&group, status);
    eddy_lock_release(lock);
    return status;
}

/* Nobody holds the task: it runs all the same, and its failure is told. */
static int lost_reference(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_spawn(NULL, fetch, "db2", EDDY_TASK(.name = "background"));
    return status < 0 ? status : eddy_sleep(EDDY_SECONDS(1));
}

/* The same with a group: the others are cancelled, and waited for. */
static int group(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    eddy_task *slow = NULL;
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, fetch, "db1", EDDY_TASK(.name = "failing"));
    if (status == 0) status = eddy_group_spawn(&group, &slow, fetch, NULL, EDDY_TASK(.name = "slow"));
    status = eddy_group_exit(&group, status);
    printf("the group gives %s: %s\n", eddy_status_name(status),
           eddy_error_text(eddy_error_child(eddy_error_current(status), 0)));
    if (slow == NULL) return status;
    printf("the other one: %s\n", eddy_status_name(eddy_future_result(EDDY_FUTURE(slow), NULL)));
    eddy_task_release(slow);
    return 0;
}

/* Something is read, others run, and it is written back. */
struct account {
    int balance;
    eddy_lock *lock;
};
static int deposit(void *arg, eddy_value *out) {
    struct account *account = arg;
    (void)out;
    int status = account->lock != NULL ? eddy_lock_acquire(account->lock) : 0;
    if (status < 0) return status;
    int seen = account->balance;
    status = eddy_sleep(EDDY_MS(1)); /* the others deposit here */
    account->balance = seen + 1;
    if (account->lock != NULL) eddy_lock_unlock(account->lock);
    return status;
}
static int deposit_ten(struct account *account) {
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < 10 && status == 0; i++) status = eddy_group_spawn(&group, NULL, deposit, account, NULL);
    return eddy_group_exit(&group, status);
}
static int lost_update(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct account account = {0, NULL}, locked = {0, eddy_lock_create()};
    int status = deposit_ten(&account);
    if (status == 0) status = deposit_ten(&locked);
    printf("10 deposits: %d; with a lock: %d\n", account.balance, locked.balance);
    eddy_lock_release(locked.lock);
    return status;
}

/* A task for each of a thousand, all at once; and with a semaphore. */
struct crowd {
    int inside, most;
    eddy_semaphore *slots;
};
static int visit(void *arg, eddy_value *out) {
    struct crowd *crowd = arg;
    (void)out;
    int status = crowd->slots != NULL ? eddy_semaphore_acquire(crowd->slots) : 0;
    if (status < 0) return status;
    if (++crowd->inside > crowd->most) crowd->most = crowd->inside;
    status = eddy_sleep(EDDY_MS(1));
    crowd->inside--;
    if (crowd->slots != NULL) eddy_semaphore_post(crowd->slots);
    return status;
}
static int visit_all(struct crowd *crowd) {
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < 1000 && status == 0; i++) status = eddy_group_spawn(&group, NULL, visit, crowd, NULL);
    return eddy_group_exit(&group, status);
}
static int unbounded(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct crowd crowd = {0, 0, NULL}, bounded = {0, 0, eddy_semaphore_create(20)};
    int status = visit_all(&crowd);
    if (status == 0) status = visit_all(&bounded);
    printf("1000 tasks: %d at once; with a semaphore of 20: %d\n", crowd.most, bounded.most);
    eddy_semaphore_release(bounded.slots);
    return status;
}

/* Two tasks take two locks in different orders. */
struct pair {
    eddy_lock *first, *second;
};
static int take_both(void *arg, eddy_value *out) {
    struct pair *pair = arg;
    (void)out;
    int status = eddy_lock_acquire(pair->first);
    if (status < 0) return status;
    status = eddy_sleep(EDDY_MS(1));
    if (status == 0) status = eddy_lock_acquire(pair->second);
    if (status == 0) eddy_lock_unlock(pair->second);
    eddy_lock_unlock(pair->first);
    return status;
}
static int deadlock(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_lock *a = eddy_lock_create(), *b = eddy_lock_create();
    struct pair one = {a, b}, other = {b, a};
    eddy_group group;
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, take_both, &one, EDDY_TASK(.name = "one"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, take_both, &other, EDDY_TASK(.name = "other"));
    status = eddy_group_exit(&group, status);
    eddy_lock_release(a);
    eddy_lock_release(b);
    return status;
}

/* ---- what debug mode tells ------------------------------------------------------------------------------- */

static _Atomic int times_told; /* of a held worker */

/* A call that blocks its thread holds the worker, and with it all its tasks. This one ends when that was told. */
__attribute__((noinline)) static void query_and_block(void) {
    for (int i = 0; i < 3 || (times_told == 0 && i < 100); i++) {
        struct timespec left = {0, 100000000};
        while (nanosleep(&left, &left) != 0) continue;
    }
}
static int blocking(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    query_and_block();
    int status = 0;
    for (int i = 0; status == 0 && times_told < 2 && i < 1000; i++) status = eddy_sleep(EDDY_MS(10));
    return status;
}

/* A cancel is taken for a failure like others, and the task ends as if nothing had been. */
static int retry(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(100)) < 0 ? 0 : 1;
}
static int swallowed(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    int status = eddy_spawn(&task, retry, NULL, EDDY_TASK(.name = "retry"));
    if (status < 0) return status;
    status = eddy_sleep(EDDY_MS(1));
    eddy_cancel(EDDY_FUTURE(task));
    if (status == 0) status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

/* A mutex of the system is held where others of the same worker may want it. */
static int mutex(void *arg, eddy_value *out) {
    static pthread_mutex_t cache = PTHREAD_MUTEX_INITIALIZER;
    (void)arg, (void)out;
    pthread_mutex_lock(&cache);
    int status = eddy_sleep(EDDY_MS(1));
    pthread_mutex_unlock(&cache);
    return status;
}

/* A task's argument lies on the stack of one that ends first. */
static int use_late(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_MS(1)); /* and *arg would be anything */
}
static int start_and_leave(void *arg, eddy_value *out) {
    (void)out;
    int request = 7;
    return eddy_spawn(arg, use_late, &request, EDDY_TASK(.name = "handler"));
}
static int dead_stack(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *starter, *handler;
    int status = eddy_spawn(&starter, start_and_leave, &handler, EDDY_TASK(.name = "starter"));
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(starter), NULL);
    eddy_task_release(starter);
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(handler), NULL);
    eddy_task_release(handler);
    return status;
}

/* A thread that is no worker hands work to a loop by the function for its own tasks. */
static int refresh(void *arg) {
    (void)arg;
    return 0;
}
static void *notify(void *loop) {
    int status = eddy_call_soon(loop, refresh, NULL, NULL);
    printf("eddy_call_soon gives %s\n", eddy_status_name(status));
    return NULL;
}
static int wrong_thread(void *arg, eddy_value *out) {
    pthread_t thread;
    (void)arg, (void)out;
    int status = pthread_create(&thread, NULL, notify, eddy_loop_current());
    if (status != 0) return -status;
    pthread_join(thread, NULL);
    return 0;
}

/* A report as a line; of its stack the call in this file. */
static void say(const eddy_report *report, void *arg) {
    (void)arg;
    if (report->kind == EDDY_REPORT_SLOW && ++times_told > 2) return;
    printf("eddy: %s", report->message);
    if (report->task != NULL && report->task[0] != '\0') printf(" (\"%s\")", report->task);
    if (report->place != NULL) printf(", made at %s", report->place);
    printf("\n");
    if (report->stack != NULL && strstr(report->stack, "query_and_block") != NULL) printf("  query_and_block\n");
}

/* What happens at sleep(1): the trace of the run says it step by step. */
static int sleeper(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(1));
}
static int sleeps(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    int status = eddy_spawn(&task, sleeper, NULL, EDDY_TASK(.name = "sleeper"));
    if (status < 0) return status;
    status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}
/* The trace, with its nanoseconds as seconds. */
static void print_trace(FILE *trace) {
    long long ns;
    char line[200];
    rewind(trace);
    while (fscanf(trace, "%lld %199[^\n]", &ns, line) == 2) printf("%.1f s  %s\n", (double)ns / 1e9, line);
    fclose(trace);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        eddy_coro_fn fn;
        bool debug;
    } all[] = {{"never-awaited", never_awaited, false},
               {"never-retrieved", never_retrieved, false},
               {"lost-reference", lost_reference, false},
               {"sequential", sequential, false},
               {"gather", gather, false},
               {"group", group, false},
               {"wait", wait, false},
               {"lost-update", lost_update, false},
               {"unbounded", unbounded, false},
               {"deadlock", deadlock, false},
               {"unresponsive", unresponsive, false},
               {"sleep", sleeps, false},
               {"blocking", blocking, true},
               {"swallowed", swallowed, true},
               {"mutex", mutex, true},
               {"dead-stack", dead_stack, true},
               {"wrong-thread", wrong_thread, true}};
    const size_t count = sizeof all / sizeof all[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; argc == 2 && i < count; i++) {
        if (strcmp(argv[1], all[i].name) != 0) continue;
        if (all[i].debug)
            return eddy_run(all[i].fn, NULL, NULL,
                            EDDY_RUN(.workers = 1, .debug = true, .on_exception = say,
                                     .slow_ns = all[i].fn == blocking ? 0 : EDDY_SECONDS(60))) < 0;
        FILE *trace = all[i].fn == sleeps ? tmpfile() : NULL;
        int status =
            eddy_sim_run(all[i].fn, NULL, NULL, EDDY_SIM(.seed = 1, .workers = 1, .serial = true, .trace = trace));
        if (trace != NULL) print_trace(trace);
        return status < 0 && status != -EDEADLK;
    }
    fprintf(stderr, "usage: pitfalls NAME, which is one of\n");
    for (size_t i = 0; i < count; i++) fprintf(stderr, "    %s\n", all[i].name);
    return 2;
}
