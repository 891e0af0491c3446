/* The loop: passes, callbacks, timers, handles: L1 to L7. In eddy the loop is a serial domain. */
#include "contract/contract_testing.h"

#include "sched/sched.h"

#include <sched.h>

/* ---- L1: a pass runs exactly what was ready -------------------------------------------------------------- */

static int note_and_queue(void *arg) {
    note(arg);
    return eddy_call_soon(NULL, note_call, "B", NULL);
}

RULE_OF_ORDER(L1_what_a_callback_adds_runs_in_the_next_pass) {
    EXPECT_OK(eddy_call_soon(NULL, note_and_queue, "A", NULL));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "C", NULL));
    EXPECT_OK(eddy_yield());
    note("m1");
    EXPECT_OK(eddy_yield());
    note("m2");
    expect_trace("A C m1 B m2");
}

RULE_OF_ORDER(L1_due_timers_are_queued_behind_what_is_ready) {
    EXPECT_OK(eddy_call_later(NULL, 0, note_call, "T", NULL));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "S", NULL));
    EXPECT_OK(eddy_yield());
    note("m1");
    EXPECT_OK(eddy_yield());
    note("m2");
    expect_trace("S m1 T m2");
}

/* A due timer of a sleeper is a callback of its own, which wakes the task in the next pass: a call_at of the same
 * instant, made later, comes first. */
struct sleeper {
    const char *name;
    int64_t until_ns;
};
static int sleeper(void *arg, eddy_value *out) {
    (void)out;
    struct sleeper *self = arg;
    EXPECT_OK(eddy_sleep_until(self->until_ns));
    note(self->name);
    return 0;
}

RULE_OF_ORDER(L1_a_sleepers_timer_wakes_it_in_the_next_pass) {
    struct sleeper self = {"A", eddy_time_ns() + EDDY_MS(2)};
    eddy_task *task = spawn(sleeper, &self);
    EXPECT_OK(eddy_yield());
    EXPECT_OK(eddy_call_at(NULL, self.until_ns, note_call, "B", NULL));
    EXPECT_OK(end_of(task));
    expect_trace("B A");
}

/* Ready callbacks starve neither timers nor what comes from other threads: both are looked at in each pass. */
struct chain {
    _Atomic bool over, ran; /* ran: the one that is not to be starved */
    int links;
};
static int chain_link(void *arg) {
    struct chain *chain = arg;
    if (chain->ran) {
        chain->over = true;
        return 0;
    }
    chain->links++;
    return eddy_call_soon(NULL, chain_link, chain, NULL);
}
static int stop_chain(void *arg) {
    ((struct chain *)arg)->ran = true;
    return 0;
}
static void *call_from_outside(void *arg) {
    void **call = arg;
    EXPECT_OK(eddy_call_soon_threadsafe(call[0], stop_chain, call[1], NULL));
    return NULL;
}

RULE(L1_ready_callbacks_do_not_starve_timers) {
    struct chain chain = {0};
    EXPECT_OK(eddy_call_soon(NULL, chain_link, &chain, NULL));
    EXPECT_OK(eddy_call_later(NULL, EDDY_US(200), stop_chain, &chain, NULL));
    while (!chain.over) EXPECT_OK(eddy_yield());
    EXPECT(chain.links > 0);
}

RULE(L1_ready_callbacks_do_not_starve_other_threads, TEST_REAL) {
    struct chain chain = {0};
    void *call[] = {eddy_loop_current(), &chain};
    pthread_t thread;
    EXPECT_OK(eddy_call_soon(NULL, chain_link, &chain, NULL));
    EXPECT_EQ(0, pthread_create(&thread, NULL, call_from_outside, call));
    while (!chain.over) EXPECT_OK(eddy_yield());
    pthread_join(thread, NULL);
}

/* The whole of it: callbacks, done callbacks, tasks that yield and that await. */
struct steps {
    const char *name;
    eddy_future *future;
};
static void note_step(const char *name, const char *step) {
    char text[32];
    snprintf(text, sizeof text, "%s%s", name, step);
    note(text);
}
static int steps(void *arg, eddy_value *out) {
    (void)out;
    struct steps *self = arg;
    note_step(self->name, "1");
    EXPECT_OK(eddy_sleep(0));
    note_step(self->name, "2");
    EXPECT_OK(eddy_await(self->future, NULL));
    note_step(self->name, "3");
    return 0;
}

RULE_OF_ORDER(L1_callbacks_and_tasks_run_in_one_order) {
    eddy_future *future = eddy_future_create();
    struct steps all[] = {{"a", future}, {"b", future}, {"x", future}, {"y", future}};
    note("m1");
    eddy_task *first = spawn(steps, &all[0]), *second = spawn(steps, &all[1]);
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s1", NULL));
    note("m2");
    EXPECT_OK(eddy_sleep(0));
    note("m3");
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d1"));
    EXPECT_OK(eddy_sleep(0));
    note("m4");
    EXPECT_OK(eddy_future_add_callback(future, note_done, "d2"));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s2", NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "s3", NULL));
    note("m5");
    EXPECT_OK(end_of(first));
    note("m6");
    EXPECT_OK(end_of(second));
    note("m7");
    eddy_task *both[] = {spawn(steps, &all[2]), spawn(steps, &all[3])};
    eddy_future *futures[] = {EDDY_FUTURE(both[0]), EDDY_FUTURE(both[1])};
    EXPECT_OK(eddy_gather(futures, 2, NULL));
    note("m8");
    eddy_task_release(both[0]);
    eddy_task_release(both[1]);
    eddy_future_release(future);
    expect_trace("m1 m2 a1 b1 s1 m3 a2 b2 m4 m5 s2 d1 a3 b3 d2 s3 m6 m7 x1 y1 x2 x3 y2 y3 m8");
}

/* ---- L2: first in, first out ----------------------------------------------------------------------------- */

struct entry {
    int *log, *count, tag;
};
static int log_entry(void *arg) {
    struct entry *entry = arg;
    EXPECT(eddy_current_task() == NULL);
    entry->log[(*entry->count)++] = entry->tag; /* on this worker, between two suspensions of main: no lock */
    return 0;
}

RULE(L2_call_soon_is_first_in_first_out_and_once) {
    enum { COUNT = 200 };
    int log[COUNT], count = 0;
    struct entry entries[COUNT];
    for (int i = 0; i < COUNT; i++) {
        entries[i] = (struct entry){log, &count, i};
        EXPECT_OK(eddy_call_soon(NULL, log_entry, &entries[i], NULL));
    }
    EXPECT_EQ(0, count); /* never inline */
    test_until_all_parked();
    EXPECT_EQ(COUNT, count);
    for (int i = 0; i < COUNT; i++) EXPECT_EQ(i, log[i]);
}

RULE(L2_timers_run_by_deadline_then_by_sequence) {
    static const int64_t delays[] = {EDDY_MS(3), EDDY_MS(1), EDDY_MS(2), EDDY_MS(1), 0, -5, EDDY_MS(1)};
    static const int want[] = {5, 4, 1, 3, 6, 2, 0};
    int log[7], count = 0;
    struct entry entries[7];
    int64_t now_ns = eddy_time_ns();
    for (int i = 0; i < 7; i++) {
        entries[i] = (struct entry){log, &count, i};
        EXPECT_OK(eddy_call_at(NULL, now_ns + delays[i], log_entry, &entries[i], NULL));
    }
    EXPECT_OK(eddy_sleep_until(now_ns + EDDY_MS(4)));
    test_until_all_parked(); /* migrating, it may be on another worker before they have run on theirs */
    EXPECT_EQ(7, count);
    for (int i = 0; i < 7; i++) EXPECT_EQ(want[i], log[i]);
}

RULE(L2_call_later_is_never_early) {
    test_stay(); /* the callback runs when this does not */
    int log[2], count = 0;
    struct entry entry = {log, &count, 0};
    EXPECT_OK(eddy_call_later(NULL, EDDY_MS(1), log_entry, &entry, NULL));
    int64_t until_ns = eddy_time_ns() + EDDY_MS(1);
    while (count == 0) EXPECT_OK(eddy_yield());
    EXPECT(eddy_time_ns() >= until_ns - EDDY_MS(1));
    EXPECT_OK(eddy_call_later(NULL, EDDY_MS(50), log_entry, &entry, NULL));
    EXPECT_OK(eddy_yield());
    if (eddy_time_ns() < until_ns + EDDY_MS(49)) EXPECT_EQ(1, count);
    while (count == 1) EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT(eddy_time_ns() >= until_ns + EDDY_MS(49));
}

/* Sleepers wake in the order of their deadlines; of equal ones in the order they went to sleep. */
RULE_OF_ORDER(L2_sleepers_wake_by_deadline_then_by_sequence) {
    int64_t now_ns = eddy_time_ns();
    struct sleeper all[] = {{"d", now_ns + EDDY_MS(30)}, {"a", now_ns + EDDY_MS(10)}, {"c", now_ns + EDDY_MS(20)},
                            {"e", now_ns + EDDY_MS(30)}, {"b", now_ns + EDDY_MS(15)}, {"f", now_ns + EDDY_MS(30)}};
    eddy_task *tasks[6];
    for (int i = 0; i < 6; i++) tasks[i] = spawn(sleeper, &all[i]);
    for (int i = 0; i < 6; i++) EXPECT_OK(end_of(tasks[i]));
    expect_trace("a b c d e f");
}

static int note_when_asked(void *arg, eddy_value *out) {
    (void)out;
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, status);
    note(arg);
    return status;
}

RULE_OF_ORDER(L2_a_group_aborts_its_children_in_the_order_added) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 6; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, note_when_asked, (void *)names[i], NULL));
    EXPECT_OK(eddy_yield());
    EXPECT_EQ(EDDY_EGROUP, eddy_group_exit(&group, -5));
    expect_trace("a b c d e f");
}

static int leave_sleepers(void *arg, eddy_value *out) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    (void)arg, (void)out;
    for (int i = 0; i < 6; i++) EXPECT_OK(eddy_spawn(NULL, note_when_asked, (void *)names[i], NULL));
    return eddy_yield();
}

UNIT(contract, L2_run_cancels_what_is_left_in_order_of_creation) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        EXPECT_OK(eddy_run(leave_sleepers, NULL, NULL, EDDY_RUN(.workers = workers, .serial = true)));
        expect_trace("a b c d e f");
    }
}

/* ---- L3: cancelled timers -------------------------------------------------------------------------------- */

RULE(L3_cancelled_timers_keep_no_memory) {
    int log[1], count = 0;
    struct entry entry = {log, &count, 1};
    eddy_handle *warm;
    EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000), log_entry, &entry, &warm));
    int64_t before = ed_alloc_live_bytes();
    for (int i = 0; i < 10000; i++) {
        eddy_handle *handle;
        EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000) + i, log_entry, &entry, &handle));
        eddy_handle_cancel(handle);
        eddy_handle_release(handle);
    }
    if (test_workers() == 1) EXPECT_EQ(before, ed_alloc_live_bytes());
    eddy_handle_cancel(warm);
    eddy_handle_release(warm);
    test_until_all_parked();
    EXPECT_EQ(0, count);
}

RULE(L3_cancelled_handles_do_not_run) {
    int log[4], count = 0;
    struct entry entry = {log, &count, 1};
    eddy_handle *soon, *later, *runs;
    EXPECT_OK(eddy_call_soon(NULL, log_entry, &entry, &soon));
    EXPECT_OK(eddy_call_later(NULL, EDDY_US(100), log_entry, &entry, &later));
    EXPECT_OK(eddy_call_soon(NULL, log_entry, &entry, &runs));
    EXPECT(!eddy_handle_cancelled(soon));
    eddy_handle_cancel(soon);
    eddy_handle_cancel(soon); /* twice is nothing */
    eddy_handle_cancel(later);
    EXPECT(eddy_handle_cancelled(soon) && eddy_handle_cancelled(later));
    eddy_handle_release(soon);
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_EQ(1, count);
    eddy_handle_release(later);
    eddy_handle_release(runs);
    eddy_handle_release(NULL);
}

/* One that is due in the same pass is still taken back by a callback before it. */
static int cancel_handle(void *arg) {
    eddy_handle_cancel(*(eddy_handle **)arg);
    return 0;
}

RULE(L3_a_callback_cancels_one_behind_it_in_the_same_pass) {
    int log[4], count = 0;
    struct entry entry = {log, &count, 1};
    eddy_handle *behind;
    EXPECT_OK(eddy_call_soon(NULL, cancel_handle, &behind, NULL));
    EXPECT_OK(eddy_call_soon(NULL, log_entry, &entry, &behind));
    test_until_all_parked();
    EXPECT_EQ(0, count);
    eddy_handle_release(behind);
}

/* ---- L4: failing callbacks ------------------------------------------------------------------------------- */

static int fail_callback(void *arg) { return *(int *)arg; }

RULE(L4_a_failing_callback_is_reported_and_the_loop_goes_on) {
    int log[2], count = 0, statuses[] = {-41, -42};
    struct entry entry = {log, &count, 1};
    EXPECT_OK(eddy_call_soon(NULL, fail_callback, &statuses[0], NULL));
    EXPECT_OK(eddy_call_soon(NULL, log_entry, &entry, NULL));
    EXPECT_OK(eddy_call_later(NULL, 1, fail_callback, &statuses[1], NULL));
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    test_until_all_parked();
    EXPECT_EQ(1, count);
    EXPECT_HAS(TAKE_REPORT(EDDY_REPORT_CALLBACK_FAILED, -41)->message, "callback failed");
    TAKE_REPORT(EDDY_REPORT_CALLBACK_FAILED, -42);
}

static int fail_in_callback(void *arg, eddy_value *out) {
    static int status = EDDY_EINVAL;
    (void)arg, (void)out;
    EXPECT_OK(eddy_call_soon(NULL, fail_callback, &status, NULL));
    return eddy_yield();
}
static void run_without_handler(void *arg) {
    (void)arg;
    EXPECT_OK(eddy_run(fail_in_callback, NULL, NULL, EDDY_RUN(.workers = 1)));
}

UNIT(contract, L4_the_default_handler_writes_to_standard_error) {
    struct test_child child = test_child_run(run_without_handler, NULL);
    EXPECT_EQ(0, child.exit_code);
    EXPECT_HAS(child.stderr_text, "eddy: a callback failed: fail_callback+0x1 ("); /* which one */
    EXPECT_HAS(child.stderr_text, "): EINVAL: ");
}

/* A handler returns nothing, so it cannot fail itself. What it starts may, and is told of in turn. */
struct zealot {
    int reports, at_once, statuses[3];
    eddy_future *told;
};
static int come_after(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    note("task");
    return 0;
}
static void handle_zealously(const eddy_report *report, void *arg) {
    struct zealot *zealot = arg;
    EXPECT_EQ(zealot->statuses[zealot->reports], report->status);
    if (++zealot->reports > 1) return;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_sleep(1)); /* it is no task */
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_yield());
    EXPECT_OK(eddy_call_soon(NULL, fail_callback, &zealot->statuses[2], NULL));
    EXPECT_OK(eddy_spawn(NULL, come_after, NULL, NULL));
    eddy_report_send(
        &(eddy_report){.kind = EDDY_REPORT_CALLBACK_FAILED, .message = "told", .status = zealot->statuses[1]});
    zealot->at_once = zealot->reports;
    EXPECT_OK(eddy_future_set(zealot->told, EDDY_NONE));
}
static int provoke_the_handler(void *arg, eddy_value *out) {
    struct zealot *zealot = arg;
    (void)out;
    zealot->told = eddy_future_create();
    EXPECT_OK(eddy_call_soon(NULL, fail_callback, &zealot->statuses[0], NULL));
    EXPECT_OK(eddy_call_soon(NULL, note_call, "callback", NULL)); /* the loop goes on */
    EXPECT_OK(eddy_await(zealot->told, NULL));
    eddy_future_release(zealot->told);
    return eddy_sleep(EDDY_MS(1));
}

UNIT(contract, L4_a_handler_may_call_what_does_not_suspend_and_is_told_of_its_own_failures) {
    for (int serial = 0; serial < 2; serial++) {
        struct zealot zealot = {.statuses = {-41, -42, -43}};
        EXPECT_OK(eddy_run(
            provoke_the_handler, &zealot, NULL,
            EDDY_RUN(.workers = 1, .serial = serial, .on_exception = handle_zealously, .on_exception_arg = &zealot)));
        EXPECT_EQ(2, zealot.at_once); /* its own report came back to it before it went on */
        EXPECT_EQ(3, zealot.reports);
        expect_trace("callback task");
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* ---- L5: the end ----------------------------------------------------------------------------------------- */

static int end_with_calls_queued(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_call_soon(NULL, note_call, "soon", NULL));
    EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000), note_call, "later", NULL));
    return 0;
}

/* The pass in which main ends is finished; timers that are not due then never run. */
UNIT(contract, L5_the_pass_that_ends_the_run_is_finished) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        EXPECT_OK(eddy_run(end_with_calls_queued, NULL, NULL, EDDY_RUN(.workers = workers, .serial = true)));
        expect_trace("soon");
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* asyncio's stop() and close() are those of a runtime of one's own: what was handed over before is done first. */
UNIT(contract, L5_a_stop_comes_after_what_was_handed_over) {
    for (int guest = 0; guest < 2; guest++) {
        eddy_runtime *runtime;
        eddy_run_options *options = EDDY_RUN(.workers = 1, .serial = true);
        EXPECT_OK(guest ? eddy_runtime_guest(&runtime, options) : eddy_runtime_start(&runtime, options));
        EXPECT_OK(eddy_call_soon_threadsafe(eddy_runtime_loop(runtime), note_call, "one", NULL));
        EXPECT_OK(eddy_call_soon_threadsafe(eddy_runtime_loop(runtime), note_call, "two", NULL));
        EXPECT_OK(eddy_runtime_stop(runtime));
        expect_trace("one two");
        eddy_runtime_release(runtime);
    }
}

static void expect_closed(eddy_runtime *runtime, bool guest) {
    eddy_loop *loop = eddy_runtime_loop(runtime);
    eddy_task *task = NULL;
    EXPECT_EQ(EDDY_ECLOSED, eddy_call_soon_threadsafe(loop, note_call, "late", NULL));
    EXPECT_EQ(EDDY_ECLOSED, eddy_spawn_threadsafe(loop, &task, note_body, "late", NULL));
    EXPECT(task == NULL);
    EXPECT_EQ(guest ? EDDY_ECLOSED : EDDY_ESTATE, eddy_runtime_turn(runtime, 0));
    EXPECT_EQ(EDDY_ESTATE, eddy_runtime_stop(runtime)); /* where asyncio's second close is nothing */
}
UNIT(contract, L5_a_closed_loop_takes_no_more_and_is_closed_once) {
    for (int guest = 0; guest < 2; guest++) {
        eddy_runtime *runtime;
        eddy_run_options *options = EDDY_RUN(.workers = 1);
        EXPECT_OK(guest ? eddy_runtime_guest(&runtime, options) : eddy_runtime_start(&runtime, options));
        EXPECT_OK(eddy_runtime_stop(runtime));
        expect_closed(runtime, guest);
        expect_trace("");
        eddy_runtime_release(runtime);
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

struct insider {
    eddy_runtime *runtime;
    eddy_runner *runner;
};
static int close_from_inside(void *arg, eddy_value *out) {
    struct insider *insider = arg;
    if (insider->runtime != NULL) EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_runtime_stop(insider->runtime));
    if (insider->runner != NULL) EXPECT_EQ(EDDY_ESTATE, eddy_runner_close(insider->runner));
    *out = EDDY_I64(8);
    return eddy_yield(); /* and nothing happened */
}
UNIT(contract, L5_what_runs_cannot_close_itself) {
    struct insider insider = {0};
    eddy_task *task;
    eddy_value value;
    EXPECT_OK(eddy_runtime_start(&insider.runtime, EDDY_RUN(.workers = 1)));
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(insider.runtime), &task, close_from_inside, &insider, NULL));
    EXPECT_OK(eddy_future_wait(EDDY_FUTURE(task), EDDY_FOREVER, &value));
    EXPECT_EQ(8, value.i64);
    eddy_task_release(task);
    EXPECT_OK(eddy_runtime_stop(insider.runtime));
    eddy_runtime_release(insider.runtime);
    insider.runtime = NULL;
    EXPECT_OK(eddy_runner_open(&insider.runner, EDDY_RUN(.workers = 1)));
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_runner_run(insider.runner, close_from_inside, &insider, &value));
    EXPECT_EQ(8, value.i64);
    EXPECT_OK(eddy_runner_close(insider.runner));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static int end_in_time(void *arg, eddy_value *out) {
    int status = sleep_forever(arg, out);
    note("cleanup");
    return status;
}
static int leave_a_task(void *arg, eddy_value *out) {
    (void)out;
    return eddy_spawn(arg, end_in_time, NULL, NULL);
}
UNIT(contract, L5_a_close_cancels_what_is_left_and_waits_for_it) {
    eddy_runner *runner;
    eddy_task *task;
    EXPECT_OK(eddy_runner_open(&runner, EDDY_RUN(.workers = 1)));
    EXPECT_OK(eddy_runner_run(runner, leave_a_task, &task, NULL));
    EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runner_loop(runner), NULL, end_in_time, NULL, NULL)); /* between two runs */
    eddy_task_release(task);
    EXPECT_OK(eddy_runner_run(runner, give_nothing, NULL, NULL));
    EXPECT_OK(eddy_runner_close(runner));
    expect_trace("cleanup cleanup");
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

/* ---- L6: from other threads ------------------------------------------------------------------------------ */

enum { THREADS = 4, CALLS = 5000 };
struct producer {
    eddy_loop *loop;
    int64_t seen; /* the loop's worker only */
    int calls, worker;
    _Atomic bool all_seen;
};
struct numbered {
    struct producer *producer;
    int64_t number;
};
static int see_numbered(void *arg) {
    struct numbered numbered = *(struct numbered *)arg;
    struct producer *producer = numbered.producer;
    free(arg);
    EXPECT_EQ(numbered.number, producer->seen);
    if (producer->seen == 0) producer->worker = eddy_worker_index();
    EXPECT_EQ(producer->worker, eddy_worker_index());
    if (++producer->seen == producer->calls) producer->all_seen = true;
    return 0;
}
static void *produce(void *arg) {
    struct producer *producer = arg;
    for (int i = 0; i < producer->calls; i++) {
        struct numbered *numbered = malloc(sizeof *numbered);
        *numbered = (struct numbered){producer, i};
        EXPECT_OK(eddy_call_soon_threadsafe(producer->loop, see_numbered, numbered, NULL));
    }
    return NULL;
}

RULE(L6_calls_of_each_thread_come_in_order_none_lost_none_merged, TEST_REAL, TEST_LIMIT(60)) {
    struct producer producers[THREADS] = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        producers[i].loop = eddy_loop_current();
        producers[i].calls = (int)test_scaled(CALLS);
        EXPECT_EQ(0, pthread_create(&threads[i], NULL, produce, &producers[i]));
    }
    for (int i = 0; i < THREADS; i++)
        while (!producers[i].all_seen) EXPECT_OK(eddy_sleep(EDDY_US(50)));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT_EQ(producers[i].calls, producers[i].seen);
    }
}

static int set_done(void *arg) { return eddy_future_set(arg, EDDY_NONE); }
struct single {
    eddy_loop *loop;
    eddy_future *futures[100];
};
static void *call_singly(void *arg) {
    struct single *single = arg;
    for (int i = 0; i < 100; i++) {
        EXPECT_OK(eddy_call_soon_threadsafe(single->loop, set_done, single->futures[i], NULL));
        while (!eddy_future_done(single->futures[i])) sched_yield();
    }
    return NULL;
}

RULE(L6_a_call_from_a_thread_wakes_a_sleeping_loop, TEST_REAL) {
    struct single single = {.loop = eddy_loop_current()};
    for (int i = 0; i < 100; i++) single.futures[i] = eddy_future_create();
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, call_singly, &single));
    for (int i = 0; i < 100; i++) EXPECT_OK(eddy_await(single.futures[i], NULL));
    pthread_join(thread, NULL);
    for (int i = 0; i < 100; i++) eddy_future_release(single.futures[i]);
}

static void *call_as_if_the_owner(void *arg) {
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_soon(arg, note_call, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_later(arg, 0, note_call, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_at(arg, 0, note_call, NULL, NULL));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_call_soon(NULL, note_call, NULL, NULL));
    return NULL;
}

RULE(L6_all_other_calls_belong_to_the_owner, TEST_REAL) {
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, call_as_if_the_owner, eddy_loop_current()));
    pthread_join(thread, NULL);
}

/* The other workers are other owners. */
RULE(L6_a_domain_of_another_worker_refuses_too) {
    int wrong = 0;
    for (int i = 0; i < 8; i++) {
        eddy_loop *loop;
        EXPECT_OK(eddy_domain_open(&loop));
        int status = eddy_call_later(loop, EDDY_SECONDS(100), note_call, NULL, NULL);
        EXPECT(status == 0 || status == EDDY_EWRONGTHREAD);
        wrong += status < 0;
    }
    EXPECT_EQ(test_workers() > 1 || test_simulated(), wrong > 0);
}

/* ---- L7: contexts ---------------------------------------------------------------------------------------- */

static const eddy_local number = EDDY_LOCAL("number", NULL);

static int see_number(void *arg) {
    *(int64_t *)arg = eddy_local_get(&number, EDDY_I64(-1)).i64;
    return eddy_local_set(&number, EDDY_I64(99), NULL); /* in its own context */
}
static int see_number_done(eddy_future *future, void *arg) {
    (void)future;
    return see_number(arg);
}

RULE(L7_a_callback_runs_in_the_context_of_its_scheduling) {
    int64_t before = 0, soon = 0, later = 0, done = 0, mine;
    eddy_future *future = eddy_future_create();
    EXPECT_OK(eddy_call_soon(NULL, see_number, &before, NULL));
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(1), NULL));
    EXPECT_OK(eddy_call_soon(NULL, see_number, &soon, NULL));
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(2), NULL));
    EXPECT_OK(eddy_call_later(NULL, 1, see_number, &later, NULL));
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(3), NULL));
    EXPECT_OK(eddy_future_add_callback(future, see_number_done, &done));
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(4), NULL));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(eddy_sleep(EDDY_US(100)));
    test_until_all_parked();
    mine = eddy_local_get(&number, EDDY_I64(-1)).i64;
    EXPECT_EQ(-1, before);
    EXPECT_EQ(1, soon);
    EXPECT_EQ(2, later);
    EXPECT_EQ(3, done);
    EXPECT_EQ(4, mine); /* what they set is theirs */
    eddy_future_release(future);
}

static int see_in_task(void *arg, eddy_value *out) {
    (void)out;
    EXPECT_OK(eddy_yield());
    return see_number(arg);
}

RULE(L7_a_task_starts_with_a_copy_of_its_spawners) {
    int64_t seen = 0;
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(1), NULL));
    eddy_task *task = spawn(see_in_task, &seen);
    EXPECT_OK(eddy_local_set(&number, EDDY_I64(2), NULL));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(1, seen);
    EXPECT_EQ(2, eddy_local_get(&number, EDDY_I64(-1)).i64);
}
