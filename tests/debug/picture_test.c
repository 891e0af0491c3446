/* Stacks of tasks that wait, wherever they are; who waits for whom; rounds of waiting (T8, D3). */
#include "debug/asking.h"
#include "task/core_testing.h"

#include <time.h>

static _Atomic int kept; /* no call below is the last thing its function does */

__attribute__((noinline)) static int deep_sleep(int depth) {
    int status = depth > 0 ? deep_sleep(depth - 1) : eddy_sleep(EDDY_SECONDS(100000));
    kept++;
    return status;
}
__attribute__((noinline)) static int sleeper(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = deep_sleep(2);
    kept++;
    return status;
}
static void end_cancelled(eddy_task *task) {
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_handled();
}

static int occurrences(const char *text, const char *part) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) count++;
    return count;
}

/* ---- stacks (T8) ----------------------------------------------------------------------------------------- */

CORE_TEST(picture, shows_the_stack_of_a_task_that_waits) {
    char text[4096];
    eddy_task *task = spawn_parked(sleeper, NULL); /* on any worker */
    int bytes = print_stack(task, text, sizeof text);
    EXPECT_EQ(bytes, strlen(text));
    EXPECT_EQ(3, occurrences(text, "deep_sleep+0x"));
    const char *last = strstr(text, "  sleeper+0x");
    EXPECT(last != NULL && strchr(last, '\n') == NULL); /* its body is the outermost */
    EXPECT(strncmp(text, "  eddy_sleep+0x", 15) == 0);  /* what the program called is the innermost */
    void *places[2];
    int count;
    do count = eddy_task_stack(task, places, 2);
    while (count == EDDY_EBUSY);
    EXPECT_EQ(2, count);
    end_cancelled(task);
}

__attribute__((noinline)) static int look_at_itself(char *text, size_t bytes) {
    int status = eddy_task_print_stack(eddy_current_task(), text, bytes);
    kept++;
    return status;
}
CORE_TEST(picture, shows_the_stack_of_the_caller) {
    char text[4096];
    EXPECT(look_at_itself(text, sizeof text) > 0);
    EXPECT(strncmp(text, "  look_at_itself+0x", 19) == 0);
}

CORE_TEST(picture, gives_no_stack_where_there_is_none) {
    void *places[4];
    eddy_task *task = spawn(give_nothing, NULL);
    while (!eddy_future_done(EDDY_FUTURE(task))) EXPECT_OK(eddy_yield());
    EXPECT_EQ(0, eddy_task_stack(task, places, 4));
    EXPECT_OK(end_of(task));
}

/* Each awaits the next; the last one sleeps. All of them may run on one stack. */
static int await_sleeper(void *arg, eddy_value *out) {
    eddy_task *task = spawn(sleeper, NULL);
    *(eddy_task **)arg = task;
    int status = eddy_await(EDDY_FUTURE(task), out);
    eddy_task_release(task);
    return status;
}
CORE_TEST(picture, cuts_a_stack_that_tasks_share_at_the_call) {
    char text[4096];
    eddy_task *inner, *outer = spawn_parked(await_sleeper, &inner);
    EXPECT(print_stack(inner, text, sizeof text) > 0);
    EXPECT_EQ(1, occurrences(text, "sleeper+0x"));
    EXPECT_EQ(0, occurrences(text, "await_sleeper+0x"));
    EXPECT(print_stack(outer, text, sizeof text) > 0);
    EXPECT_EQ(1, occurrences(text, "await_sleeper+0x"));
    EXPECT_EQ(0, occurrences(text, "deep_sleep+0x"));
    /* Optimised, eddy_await may be left by a jump: then where that went, or the line that called it, is the innermost. */
    static const char *const innermost[] = {"  eddy_await+0x", "  await_any+0x", "  await_parked+0x", "  await+0x",
                                            "  await_sleeper+0x"};
    bool is_one = false;
    for (int i = 0; i < 5; i++) is_one = is_one || strncmp(text, innermost[i], strlen(innermost[i])) == 0;
    EXPECT(is_one);
    end_cancelled(outer);
}

__attribute__((noinline)) static int await_gate(void *arg, eddy_value *out) {
    int status = eddy_await(arg, out);
    kept++;
    return status;
}
__attribute__((noinline)) static int gather_gate(void *arg, eddy_value *out) {
    eddy_future *gate = arg;
    (void)out;
    int status = eddy_gather(&gate, 1, NULL);
    kept++;
    return status;
}
static eddy_coro_fn in_coroutine;
static int await_coroutine(void *arg, eddy_value *out) {
    int status = eddy_coro_await(eddy_coro_create(in_coroutine, arg, "coroutine"), out);
    kept++;
    return status;
}
/* Optimised, eddy_await and eddy_gather are left by a jump, and eddy_coro_await, which stands there, is not what it waits in. */
CORE_TEST(picture, hides_no_call_of_the_program) {
    static const struct {
        eddy_coro_fn fn;
        const char *call;
    } inner[] = {{await_gate, "await_gate+0x"}, {gather_gate, "gather_gate+0x"}};
    for (int i = 0; i < 2; i++) {
        char text[4096];
        eddy_future *gate = eddy_future_create();
        in_coroutine = inner[i].fn;
        eddy_task *task = spawn_parked(await_coroutine, gate);
        EXPECT(print_stack(task, text, sizeof text) > 0);
        EXPECT_EQ(1, occurrences(text, inner[i].call));
        EXPECT_EQ(1, occurrences(text, "await_coroutine+0x"));
        EXPECT_EQ(0, occurrences(text, "  ed_"));
        EXPECT_OK(eddy_future_set(gate, EDDY_NONE));
        EXPECT_OK(end_of(task));
        eddy_future_release(gate);
    }
}

/* ---- who waits for whom (D3) ----------------------------------------------------------------------------- */

static const eddy_task_picture *find(const eddy_picture *picture, uint64_t id) {
    for (size_t i = 0; i < eddy_picture_count(picture); i++)
        if (eddy_picture_task(picture, i)->id == id) return eddy_picture_task(picture, i);
    test_fail(__FILE__, __LINE__, "task %d is not in the picture", (int)id);
}

static int gather_two(void *arg, eddy_value *out) {
    (void)out;
    eddy_task **tasks = arg;
    eddy_future *both[] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    return eddy_gather(both, 2, NULL);
}
static int wait_two(void *arg, eddy_value *out) {
    (void)out;
    eddy_task **tasks = arg;
    eddy_future *both[] = {EDDY_FUTURE(tasks[0]), EDDY_FUTURE(tasks[1])};
    return eddy_wait(both, 2, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
}
static int group_of_two(void *arg, eddy_value *out) {
    eddy_group group;
    (void)arg, (void)out;
    EXPECT_OK(eddy_group_enter(&group));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleeper, NULL, EDDY_TASK(.name = "left")));
    EXPECT_OK(eddy_group_spawn(&group, NULL, sleeper, NULL, EDDY_TASK(.name = "right")));
    return eddy_group_exit(&group, 0);
}
CORE_TEST(picture, tells_who_waits_for_whom) {
    eddy_task *two[] = {spawn_parked(sleeper, NULL), spawn_parked(sleeper, NULL)};
    eddy_task *gatherer = spawn_parked(gather_two, two), *waiter = spawn_parked(wait_two, two);
    eddy_task *parent = spawn_parked(group_of_two, NULL);
    eddy_task_set_name(parent, "parent");
    eddy_picture *picture = take_picture();
    EXPECT_EQ(8, eddy_picture_count(picture)); /* these, the group's two, and main */
    const eddy_task_picture *told = find(picture, eddy_task_id(gatherer));
    EXPECT_STR("gather", told->waits_on);
    EXPECT_EQ(2, told->awaits_count);
    EXPECT_EQ(eddy_task_id(two[0]), told->awaits[0]);
    EXPECT_EQ(eddy_task_id(two[1]), told->awaits[1]);
    EXPECT_EQ(EDDY_TASK_WAITING, told->state);
    EXPECT_HAS(told->place, "core_testing.h:");
    told = find(picture, eddy_task_id(waiter));
    EXPECT_STR("wait", told->waits_on);
    EXPECT_EQ(2, told->awaits_count);
    told = find(picture, eddy_task_id(parent));
    EXPECT_STR("task group", told->waits_on);
    EXPECT_EQ(2, told->awaits_count);
    EXPECT_STR("sleep", find(picture, told->awaits[0])->waits_on);
    told = find(picture, eddy_task_id(eddy_current_task()));
    EXPECT_EQ(EDDY_TASK_RUNNING, told->state);

    char text[8192];
    EXPECT(eddy_picture_print(picture, EDDY_PICTURE_TREE, text, sizeof text) < sizeof text);
    EXPECT_HAS(text, "\n├── left (id ");
    EXPECT_HAS(text, "\n└── right (id ");
    EXPECT_EQ(0, occurrences(text, "cycle"));
    EXPECT(eddy_picture_print(picture, EDDY_PICTURE_TABLE, text, sizeof text) < sizeof text);
    EXPECT_HAS(text, "SPAWNED AT");
    EXPECT_EQ(9, occurrences(text, "\n"));
    EXPECT(eddy_picture_print(picture, EDDY_PICTURE_STACKS, text, sizeof text) > 0);
    EXPECT_HAS(text, " waiting on sleep");
    EXPECT_HAS(text, "deep_sleep+0x");
    EXPECT_EQ(0, eddy_picture_cycle(picture, NULL, 0));
    eddy_picture_release(picture);
    eddy_picture_release(NULL);
    end_cancelled(waiter);
    end_cancelled(gatherer);
    end_cancelled(parent);
    for (int i = 0; i < 2; i++) { /* the gatherer's end cancelled them */
        EXPECT_EQ(EDDY_ECANCELED, end_of(two[i]));
        eddy_handled();
    }
}

/* ---- a round --------------------------------------------------------------------------------------------- */

struct round {
    eddy_task *tasks[3];
    eddy_future *begin;
};
static int await_next(struct round *round, int next, eddy_value *out) {
    int status = await_shielded(round->begin, NULL);
    if (status < 0) return status;
    return eddy_await(EDDY_FUTURE(round->tasks[next]), out);
}
static int first_of_three(void *arg, eddy_value *out) { return await_next(arg, 1, out); }
static int second_of_three(void *arg, eddy_value *out) { return await_next(arg, 2, out); }
/* Its cancel leaves the first alone: one that went round would find nobody to wake. */
static int third_of_three(void *arg, eddy_value *out) {
    struct round *round = arg;
    eddy_future *first = EDDY_FUTURE(round->tasks[0]);
    int status = await_shielded(round->begin, out);
    return status < 0 ? status : eddy_wait(&first, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
}

CORE_TEST(picture, finds_a_round_of_tasks_that_wait_for_each_other) {
    struct round round = {.begin = eddy_future_create()};
    eddy_coro_fn bodies[] = {first_of_three, second_of_three, third_of_three};
    for (int i = 0; i < 3; i++) round.tasks[i] = spawn_parked(bodies[i], &round);
    eddy_task *outside =
        spawn_parked(await_future, EDDY_FUTURE(round.tasks[1])); /* waits for one of them, is in no round */
    EXPECT_OK(eddy_future_set(round.begin, EDDY_NONE));
    test_until_all_parked();

    eddy_picture *picture = take_picture();
    uint64_t ids[3];
    char text[8192], want[256];
    EXPECT_EQ(3, eddy_picture_cycle(picture, ids, 3));
    uint64_t least = UINT64_MAX;
    int first = 0;
    for (int i = 0; i < 3; i++) {
        if (eddy_task_id(round.tasks[i]) > least) continue;
        least = eddy_task_id(round.tasks[i]);
        first = i;
    }
    for (int i = 0; i < 3; i++) EXPECT_EQ(eddy_task_id(round.tasks[(first + i) % 3]), ids[i]);
    EXPECT(eddy_picture_print(picture, EDDY_PICTURE_TREE, text, sizeof text) < sizeof text);
    snprintf(want, sizeof want, "cycle of 3: none of them can go on: Task-%d (id %d) waits for ", (int)ids[0],
             (int)ids[0]);
    EXPECT_HAS(text, want);
    eddy_picture_release(picture);

    EXPECT(eddy_cancel(EDDY_FUTURE(round.tasks[2])));
    EXPECT_EQ(EDDY_ECANCELED, end_of(outside));
    for (int i = 0; i < 3; i++) EXPECT_EQ(EDDY_ECANCELED, end_of(round.tasks[i]));
    eddy_handled();
    eddy_future_release(round.begin);
}

/* ---- a worker that does not answer ------------------------------------------------------------------------- */

static _Atomic int held, let_go;
static int hold_worker(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    held = 1;
    while (!let_go) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}
static int tell_worker(void *arg, eddy_value *out) {
    (void)out;
    *(int *)arg = eddy_worker_index();
    return 0;
}
static int look_at_holder(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    void *places[4];
    char text[4096];
    held = let_go = 0;
    eddy_loop *loop; /* of another worker than this task's */
    int index = -1;
    eddy_task *task;
    do {
        EXPECT_OK(eddy_domain_open(&loop));
        EXPECT_OK(eddy_spawn(&task, tell_worker, &index, EDDY_TASK(.loop = loop)));
        EXPECT_OK(end_of(task));
    } while (index == eddy_worker_index());
    EXPECT_OK(eddy_spawn(&task, hold_worker, NULL, EDDY_TASK(.name = "holder", .loop = loop)));
    while (!held) EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_EQ(EDDY_EBUSY, eddy_task_stack(task, places, 4));
    eddy_picture *picture;
    EXPECT_OK(eddy_picture_take(&picture));
    EXPECT_EQ(EDDY_TASK_UNSEEN, find(picture, eddy_task_id(task))->state);
    eddy_picture_print(picture, EDDY_PICTURE_TABLE, text, sizeof text);
    EXPECT_HAS(text, "1 of 2 workers did not answer: something holds them");
    EXPECT_HAS(text, "holder");
    eddy_picture_release(picture);
    let_go = 1;
    return end_of(task);
}
UNIT(picture, says_which_workers_did_not_answer) {
    EXPECT_OK(eddy_run(look_at_holder, NULL, NULL, EDDY_RUN(.workers = 2, .serial = true)));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

/* ---- wrong use, no memory ---------------------------------------------------------------------------------- */

static int take_in_callback(void *arg) {
    eddy_picture *picture;
    *(int *)arg = eddy_picture_take(&picture);
    return 0;
}
CORE_TEST(picture, is_taken_by_tasks_only) {
    int status = 0;
    EXPECT_OK(eddy_call_soon(NULL, take_in_callback, &status, NULL));
    test_until_all_parked();
    EXPECT_EQ(EDDY_EWRONGTHREAD, status);
}
UNIT(picture, is_not_taken_outside_a_run) {
    eddy_picture *picture;
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_picture_take(&picture));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_task_stack(NULL, NULL, 0));
}

static int take_one(void *arg, eddy_value *out) {
    eddy_picture *picture;
    char text[4096];
    (void)arg, (void)out;
    int status = eddy_picture_take(&picture);
    if (status < 0) return status;
    for (int form = EDDY_PICTURE_TABLE; form <= EDDY_PICTURE_STACKS; form++)
        eddy_picture_print(picture, (enum eddy_picture_form)form, text, sizeof text);
    eddy_picture_release(picture);
    return 0;
}
static int run_and_take(void *arg) { return eddy_run(take_one, arg, NULL, EDDY_RUN(.workers = 2)); }
UNIT(picture, does_without_memory) { EXPECT(test_each_allocation_fails(run_and_take, NULL) > 4); }
