/* task_model.c: futures, cancelling, groups, queues: each waiter arrives once, each task ends once, no request is lost,
 * and memory is freed once, after every access. The real files of task/ and sync/ run; each worker is a thread with one
 * stack that takes its messages while it is parked, and goes on taking them when its task has ended.
 * Sources src/task/bias.c src/task/future.c src/task/waiter.c src/task/cancel.c src/task/wait.c src/task/task.c src/task/spawn.c
 * Sources src/task/names.c src/task/group.c src/task/error.c src/base/status.c src/sync/guard.c src/sync/waitlist.c src/sync/store.c src/sync/queue.c
 * Sources src/base/heap.c */
#include "eddy/queue.h"
#include "explorer.h"
#include "messages.h"
#include "no_debug.h"
#include "task/bias.h"
#include "task/task.h"

enum { WORKERS = 3 };

static struct ed_sched *sched;
static struct ed_worker *workers;
static struct ed_strand *strands;
static _Atomic(struct ed_start *) *offers; /* spawned tasks that others may start */
static unsigned offers_count;
static eddy_future *future;
static eddy_task *task;
static struct ed_waiter *waiter;
static unsigned entered, ended, won, asked, arrivals, children_entered, children_ended;
static int status_of[MODEL_THREADS];

/* ---- what task/ needs of others: the scheduler --------------------------------------------------------- */

void ed_fiber_ready(struct ed_worker *host, struct ed_fiber *fiber) {
    (void)host;
    ED_ASSERT(!fiber->queued);
    fiber->queued = true;
}
struct ed_sched *ed_sched_visited(void) {
    return NULL;
}
void ed_fiber_ready_movable(struct ed_fiber *fiber) { ed_fiber_ready(NULL, fiber); } /* nobody moves: migrate_model.c */
void __tsan_switch_to_fiber(void *fiber, unsigned flags) {
    (void)fiber, (void)flags;
    model_violation("there is one stack a worker: it is next itself");
}
struct ed_context *ed_fiber_next(struct ed_worker *worker, struct ed_fiber *fiber) {
    worker->running = NULL;
    while (!fiber->queued) await_messages(worker);
    receive(worker); /* perhaps more, before its turn comes */
    fiber->queued = false;
    worker->running = fiber;
    return &fiber->stack.context;
}
int ed_start_push(struct ed_worker *worker, struct ed_start *start, bool pinned) {
    ed_start_new(start, worker->index, pinned ? ED_START_NEW_PINNED : ED_START_NEW_SHARED);
    ED_STORE_RELEASE(&offers[offers_count++], start);
    return 0;
}
int ed_start_now(struct ed_worker *worker, struct ed_start *start) {
    (void)worker, (void)start;
    model_violation("nothing starts eagerly here");
    return EDDY_ENOTSUP;
}
void ed_attend(struct ed_worker *worker, struct ed_fiber *fiber, bool may_move) {
    (void)worker, (void)fiber, (void)may_move;
}
void ed_publish(struct ed_worker *worker, uint64_t keep) { (void)worker, (void)keep; }
void ed_ready_entry(struct ed_worker *worker, struct ed_entry *entry, enum ed_entry_kind kind) {
    (void)worker, (void)entry, (void)kind;
    model_violation("nothing is queued here");
}
void ed_timer_start(struct ed_worker *worker, struct ed_timer *timer, int64_t when_ns) {
    (void)worker, (void)timer, (void)when_ns;
}
void ed_timer_stop(struct ed_timer *timer) { (void)timer; }
void ed_scope_check(struct ed_strand *strand) { (void)strand; }
void ed_scope_leave(struct ed_strand *strand) { (void)strand; }
void ed_scope_alarm(struct ed_timer *alarm) { (void)alarm; }
void ed_report(struct ed_sched *of, const eddy_report *report) { (void)of, (void)report; }
void ed_report_task(struct ed_sched *of, enum eddy_report_kind kind, eddy_task *whose, const char *message, int status,
                    const eddy_error *error) {
    (void)of, (void)kind, (void)whose, (void)message, (void)status, (void)error;
}
/* No locals are set here. */
void eddy_context_release(eddy_context *context) { (void)context; }
eddy_context *eddy_context_share(eddy_context *context) { return context; }
eddy_context **ed_context_of_thread(void) {
    static eddy_context *none;
    return &none;
}
void ed_thread_wait(_Atomic uint32_t *flag) {
    (void)flag;
    model_violation("no plain thread waits here");
}
void ed_thread_wake(_Atomic uint32_t *flag) {
    (void)flag;
    model_violation("no plain thread waits here");
}
/* Records are really freed, so that a late access is seen. */
eddy_task *ed_slab_get_from(struct ed_sched *of, struct ed_worker *worker) {
    (void)worker;
    eddy_task *fresh = ed_calloc(sizeof *fresh);
    if (fresh != NULL) ed_task_clean(fresh, of);
    return fresh;
}
static eddy_task *kept; /* not this one: walkers of all tasks read its word when it is nobody's */
static unsigned puts;
void ed_slab_put(eddy_task *freed) {
    if (freed == kept) {
        ED_STORE_RELEASE(&freed->future.word, 0);
        puts++;
    } else {
        ed_free(freed);
    }
}
void ed_slab_put_plain(eddy_task *freed) { ed_slab_put(freed); }
void ed_slab_each(struct ed_sched *of, bool (*visit)(eddy_task *, void *), void *arg) {
    (void)of, (void)visit, (void)arg;
}

/* ---- setting up ---------------------------------------------------------------------------------------- */

static void setup(void) {
    sched = model_alloc(sizeof *sched);
    workers = model_alloc(sizeof *workers * WORKERS);
    strands = model_alloc(sizeof *strands * WORKERS);
    offers = model_alloc(sizeof *offers * 4);
    sched->workers = model_alloc(sizeof *sched->workers * WORKERS);
    sched->workers_count = WORKERS;
    static const char *const inboxes[] = {"inbox_0", "inbox_1", "inbox_2"};
    for (unsigned i = 0; i < WORKERS; i++) {
        struct ed_worker *worker = sched->workers[i] = &workers[i];
        worker->index = i;
        worker->sched = sched;
        worker->budget = 1000;
        worker->slab = model_alloc(sizeof(struct ed_slab_cache)); /* empty: each record is made anew */
        ed_inbox_init(&worker->inbox);
        ed_bias_open(worker);
        ED_STORE_RELAXED(&strands[i].fiber.worker, worker);
        model_figures(&strands[i].fiber.worker,
                      sizeof strands[i].fiber.worker); /* nobody moves here: migrate_model.c */
        strands[i].fiber.stack.class_ = ED_STACK_64K;
        model_name(&worker->inbox.head, inboxes[i]);
        model_figures(&worker->counts, sizeof worker->counts);
        model_figures(&worker->attention, sizeof worker->attention);
    }
    model_name(offers, "offers");
    offers_count = entered = ended = won = asked = arrivals = children_entered = children_ended = 0;
    for (int i = 0; i < MODEL_THREADS; i++) status_of[i] = 1;
    future = NULL;
    task = kept = NULL;
    puts = 0;
    model_set_worker(&workers[0]);
}

static void setup_future(uint64_t references) {
    setup();
    future = eddy_future_create();
    model_name(future, "future");
    while (references-- > 1) ed_future_share(future);
}

/* A task that anybody may start, or worker 0 alone; `references` beside the runtime's. */
static void setup_task(eddy_coro_fn body, bool shared, uint64_t references) {
    if (task == NULL) MODEL_CHECK(eddy_spawn(&task, body, NULL, NULL) == 0);
    model_name(&task->future, "task");
    model_name(&task->start.word, "start");
    if (!shared) ed_start_new(&task->start, 0, ED_START_NEW_OWN);
    while (references-- > 1) eddy_task_share(task);
}

static void run_on(struct ed_worker *worker, struct ed_start *start) {
    struct ed_fiber *fiber = &strands[worker->index].fiber;
    worker->running = fiber;
    ed_task_run_start(start, fiber);
    worker->running = NULL;
}
static void start_on(struct ed_worker *worker, struct ed_start *start) {
    if (ed_start_claim(start, worker->index)) run_on(worker, start);
}
static struct ed_worker *become_worker(void) {
    struct ed_worker *worker = &workers[model_self() - 1];
    model_set_worker(worker);
    return worker;
}
static void serve(struct ed_worker *worker) {
    for (;;) await_messages(worker);
}
static void start_task(void) {
    struct ed_worker *worker = become_worker();
    start_on(worker, &task->start);
    eddy_task_release(task);
    serve(worker);
}

/* ---- a future: waiters against completers ---------------------------------------------------------------- */

static void arrive(struct ed_waiter *node) {
    MODEL_CHECK(node->state == (node->worker != NULL ? ED_WAITER_ARRIVED : ED_WAITER_TAKEN));
    arrivals++;
    MODEL_CHECK(arrivals == 1);
}
static void setup_two_holders(void) {
    setup_future(2);
    waiter = model_alloc(sizeof *waiter);
    model_name(waiter, "waiter");
}
static void setup_three_holders(void) {
    setup_future(3);
    waiter = model_alloc(sizeof *waiter);
    model_name(waiter, "waiter");
}
static void set(void) {
    if (eddy_future_set(future, EDDY_I64(7)) == 0) won++;
    eddy_future_release(future);
}
static void cancel_future(void) {
    if (eddy_cancel(future)) won++;
    eddy_future_release(future);
}
static void read_future(void) {
    eddy_value value;
    int status = eddy_future_result(future, &value);
    MODEL_CHECK(status == EDDY_ECANCELED || (status == 0 && value.i64 == 7));
}
static bool link_waiter(struct ed_worker *worker) {
    waiter->worker = worker;
    waiter->arrive = arrive;
    return ed_future_link(future, waiter);
}
static void wait_for_it(void) {
    struct ed_worker *worker = become_worker();
    if (link_waiter(worker)) {
        while (arrivals == 0) await_messages(worker);
        model_free(waiter); /* who sent it must be through with it */
    }
    read_future();
    eddy_future_release(future);
    serve(worker);
}
static void wait_and_give_up(void) {
    struct ed_worker *worker = become_worker();
    if (link_waiter(worker) && !ed_future_unlink(future, waiter)) {
        while (arrivals == 0) await_messages(worker);
        read_future();
    } else {
        MODEL_CHECK(arrivals == 0);
        model_free(waiter); /* nobody knows it any more */
    }
    eddy_future_release(future);
    serve(worker);
}
/* A plain thread, as block.c has it: its node arrives in whoever completes. */
static bool has_arrived(void *arg) {
    (void)arg;
    return arrivals > 0;
}
static void thread_gives_up(void) {
    if (link_waiter(NULL) && !ed_future_unlink(future, waiter)) {
        model_wait(has_arrived, NULL);
        read_future();
    } else {
        MODEL_CHECK(arrivals == 0);
    }
    eddy_future_release(future);
}
static void peek_at(eddy_future *at) {
    eddy_value value;
    int status = eddy_future_result(at, &value);
    MODEL_CHECK(status == EDDY_ESTATE || status == EDDY_ECANCELED || (status == 0 && value.i64 == 7));
}
static void peek(void) {
    peek_at(future);
    eddy_future_release(future);
}
static void check_future(void) {
    MODEL_CHECK(model_live() == 0); /* freed, once */
    MODEL_CHECK(won == 1);
    for (unsigned i = 0; i < WORKERS; i++) MODEL_CHECK(ed_inbox_empty(&workers[i].inbox));
}

/* ---- a task awaits it ------------------------------------------------------------------------------------ */

static int await_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    eddy_value value = EDDY_NONE;
    int status = eddy_await(future, &value);
    MODEL_CHECK(status == EDDY_ECANCELED || (status == 0 && value.i64 == 7));
    eddy_future_release(future);
    ended++;
    return status;
}
static void setup_await(void) {
    setup_future(2);
    setup_task(await_body, false, 2);
}
/* A request leaves the future alone, and ends the wait itself: the node may be on its way by then. */
static int await_alone_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    eddy_value value = EDDY_NONE;
    int status = ed_await_hooked(future, &value, "test", NULL, NULL);
    MODEL_CHECK(status == EDDY_ECANCELED || (status == 0 && value.i64 == 7));
    eddy_future_release(future);
    ended++;
    return status;
}
static void setup_await_alone(void) {
    setup_future(2);
    setup_task(await_alone_body, false, 2);
}
static void cancel_task(void) {
    if (eddy_cancel(&task->future)) asked++;
    eddy_task_release(task);
}
static void set_and_cancel(void) {
    set();
    cancel_task();
}
static void check_await(void) {
    MODEL_CHECK(entered == ended);
    MODEL_CHECK(entered == 1 ? model_live() == 0 : asked == 1); /* not entered: its reference to the future is left */
    MODEL_CHECK(won <= 1);
}
static void check_await_alone(void) {
    check_await();
    MODEL_CHECK(won == 1);
}

/* ---- a task is cancelled ----------------------------------------------------------------------------------- */

/* As when fairness puts the task off: messages arrive while it does not wait. */
static void put_off(void) {
    struct ed_worker *worker = ed_worker_current();
    struct ed_fiber *fiber = worker->running;
    worker->running = NULL;
    receive(worker);
    worker->running = fiber;
}
static int park_body(void *arg, eddy_value *result) { /* only a request ends it */
    (void)arg, (void)result;
    entered++;
    put_off();
    int status = ed_park(&(struct ed_park){.reason = "test", .deadline_ns = INT64_MAX});
    MODEL_CHECK(status == EDDY_ECANCELED);
    ended++;
    return status;
}
static int quick_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    ended++;
    return 0;
}
static eddy_task *held;
static void setup_parks(void) {
    setup();
    setup_task(park_body, false, 3);
    held = task;
}
static void setup_parks_two(void) {
    setup();
    setup_task(park_body, false, 4);
    held = task;
}
static void setup_parks_shared(void) {
    setup();
    setup_task(park_body, true, 4);
    held = task;
}
static void setup_quick_shared(void) {
    setup();
    setup_task(quick_body, true, 4);
    held = task;
}
static void setup_quick(void) {
    setup();
    setup_task(quick_body, false, 3);
    held = task;
}
static void cancel_from_worker(void) { /* worker 2: a request may also be passed on from there */
    struct ed_worker *worker = become_worker();
    cancel_task();
    serve(worker);
}
/* Spawned on worker 1 from elsewhere: its own message is on the way. */
static void setup_pinned(void) {
    setup();
    MODEL_CHECK(ed_spawn_on(&workers[1], &task, park_body, NULL, NULL, 0) == 0);
    setup_task(park_body, true, 2);
    held = task;
}
static void serve_pinned(void) { /* thread 2, worker 1 */
    struct ed_worker *worker = become_worker();
    while (ED_LOAD_RELAXED(&offers[0]) == NULL) await_messages(worker);
    ed_start_claim_pinned(&task->start, worker->index);
    run_on(worker, &task->start);
    serve(worker);
}
/* The setting-up thread still holds a reference. */
static void check_held(void) {
    MODEL_CHECK(eddy_future_done(&held->future));
    MODEL_CHECK(eddy_future_cancelled(&held->future) == (asked > 0)); /* granted <=> it ended cancelled */
    model_set_worker(NULL);
    eddy_task_release(held);
    if (entered > 0) MODEL_CHECK(model_live() == 0); /* else what its body would have released is left */
}
static void check_cancelled(void) {
    MODEL_CHECK(entered <= 1 && entered == ended);
    check_held();
}

/* ---- a plain task is awaited in its awaiter's place ---------------------------------------------------------- */

static eddy_task *awaited;

static int quick_child(void *arg, eddy_value *result) {
    (void)arg;
    children_entered++;
    result->i64 = 7;
    children_ended++;
    return 0;
}
static int parking_child(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    children_entered++;
    int status = ed_park(&(struct ed_park){.reason = "test", .deadline_ns = INT64_MAX});
    MODEL_CHECK(status == EDDY_ECANCELED);
    children_ended++;
    return status;
}
static int awaiting_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    eddy_value value = EDDY_NONE;
    int status = eddy_await(&awaited->future, &value);
    MODEL_CHECK(status == EDDY_ECANCELED || (status == 0 && value.i64 == 7));
    MODEL_CHECK(eddy_future_done(&awaited->future));
    eddy_task_release(awaited);
    ended++;
    return status;
}
/* Its spawner, worker 0, holds it; `others` have handles as well. */
static void setup_plain(eddy_coro_fn body, uint64_t others) {
    setup();
    sched->direct_await = true;
    MODEL_CHECK(eddy_spawn(&awaited, body, NULL, NULL) == 0);
    model_name(&awaited->future, "awaited");
    while (others-- > 0) eddy_task_share(awaited);
    ed_start_new(&awaited->start, 0, ED_START_NEW_OWN);
    struct ed_deque *deque = &workers[0].deque;
    deque->own = deque->oldest = model_alloc(sizeof *deque->own);
    *deque->own = (struct ed_deque_entry){&awaited->start, 0};
    deque->top = deque->end = deque->own + 1;
    strands[0].fiber.direct_bytes = strands[0].fiber.stack.context.stack_bytes = SIZE_MAX; /* room for anything */
}
static void setup_plain_quick(void) {
    setup_plain(quick_child, 3);
    setup_task(awaiting_body, false, 1);
    held = awaited;
}
static void setup_plain_parent(eddy_coro_fn body) {
    setup_plain(body, 0);
    setup_task(awaiting_body, false, 3);
    held = task;
}
static void setup_plain_parent_quick(void) { setup_plain_parent(quick_child); }
static void setup_plain_parent_parks(void) { setup_plain_parent(parking_child); }
static void cancel_child(void) {
    if (eddy_cancel(&awaited->future)) asked++;
    eddy_task_release(awaited);
}
/* The only handle but the runtime's has been given away: the word is what its end expects. */
static void setup_plain_given(void) {
    setup_plain(quick_child, 0);
    held = task = awaited;
}
static void start_given(void) {
    struct ed_worker *worker = become_worker();
    start_on(worker, &awaited->start);
    serve(worker);
}
static void cancel_given(void) {
    if (eddy_cancel(&awaited->future)) asked++;
}
static void share_given(void) {
    eddy_task *mine = eddy_task_share(awaited);
    eddy_task_release(awaited);
    peek_at(&mine->future);
    eddy_task_release(mine);
}
static void check_given(void) {
    MODEL_CHECK(children_entered <= 1 && children_entered == children_ended);
    MODEL_CHECK(model_live() == 0);
}
static void check_given_cancelled(void) {
    check_held();
    check_given();
}
static void check_child(void) {
    MODEL_CHECK(entered == 1 && ended == 1 && children_entered == children_ended);
    MODEL_CHECK(workers[0].deque.top == workers[0].deque.own);
    check_held();
}

/* The same with a bias: nobody but worker 0 has touched its word yet. */
static void bias_awaited(void) {
    workers[0].identity = 1;
    ed_bias_open(&workers[0]);
    MODEL_CHECK(ED_LOAD_RELAXED(&awaited->future.word) == ED_FRESH);
    ED_STORE_RELAXED(&awaited->future.word, ED_LOAD_RELAXED(&workers[0].fresh));
    model_name(&workers[0].alone, "alone");
    model_name(&workers[0].ending, "ending");
    model_name(&workers[0].bias_over, "bias_over");
}
static void setup_bias_given(void) {
    setup_plain_given();
    bias_awaited();
}
static void setup_bias_stolen(void) {
    setup_bias_given();
    ed_start_new(&awaited->start, 0, ED_START_NEW_SHARED);
    workers[1].identity = 2; /* who may start it has a bias of the same number */
    ed_bias_open(&workers[1]);
}
static void setup_bias_walked(void) {
    setup_plain(quick_child, 0);
    setup_task(awaiting_body, false, 1);
    bias_awaited();
    held = kept = awaited;
}
static void walk(void) {
    if (!ed_bias_hold(&awaited->future)) return;
    asked++;
    MODEL_CHECK(puts == 0);
    peek_at(&awaited->future);
    MODEL_CHECK(puts == 0);
    eddy_task_release(awaited);
}
static void walk_and_cancel(void) {
    if (!ed_bias_hold(&awaited->future)) return;
    MODEL_CHECK(puts == 0);
    if (eddy_cancel(&awaited->future)) asked++;
    eddy_task_release(awaited);
}
static void share_more(void) { /* borrowed: the setting-up thread's stays */
    eddy_task *mine = eddy_task_share(awaited);
    peek_at(&mine->future);
    eddy_task_release(mine);
}
static void check_walked(void) {
    MODEL_CHECK(entered == 1 && ended == 1);
    MODEL_CHECK(ED_LOAD_RELAXED(&awaited->future.word) == 0);
    kept = NULL;
    ed_slab_put(awaited);
    MODEL_CHECK(model_live() == 0);
}

/* ---- a group ------------------------------------------------------------------------------------------------- */

static int child_quick(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    children_entered++;
    children_ended++;
    return 0;
}
static int child_parks(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    children_entered++;
    int status = ed_park(&(struct ed_park){.reason = "test", .deadline_ns = INT64_MAX});
    MODEL_CHECK(status == EDDY_ECANCELED);
    children_ended++;
    return status;
}
static int child_fails(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    children_entered++;
    children_ended++;
    return EDDY_EINVAL;
}
static eddy_coro_fn child_bodies[2];
static bool child_anywhere;

static int parent_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    eddy_group group;
    MODEL_CHECK(eddy_group_enter(&group) == 0);
    for (int i = 0; i < 2 && child_bodies[i] != NULL; i++) {
        const eddy_task_options *options = child_anywhere ? EDDY_TASK(.loop = EDDY_ANYWHERE) : NULL;
        int status = eddy_group_spawn(&group, NULL, child_bodies[i], NULL, options);
        MODEL_CHECK(status == 0 || status == EDDY_ESTATE);
    }
    int status = eddy_group_exit(&group, 0);
    MODEL_CHECK(children_entered == children_ended);
    status_of[0] = status;
    ended++;
    return status;
}
static void setup_group(eddy_coro_fn first, eddy_coro_fn second, uint64_t references) {
    setup();
    child_bodies[0] = first;
    child_bodies[1] = second;
    child_anywhere = false;
    setup_task(parent_body, false, references);
    held = task;
}
static void setup_group_quick(void) { setup_group(child_quick, NULL, 3); }
static void setup_group_quick_alone(void) { setup_group(child_quick, NULL, 2); }
static void setup_group_parks(void) { setup_group(child_parks, NULL, 3); }
static void setup_group_fails(void) { setup_group(child_fails, NULL, 3); }
static void setup_group_two(void) { setup_group(child_quick, child_quick, 2); }
static void setup_group_fail_and_park(void) { setup_group(child_fails, child_parks, 2); }

/* The parent belongs to a domain of worker 0, its child to none: a request wakes the parent in the exit, while the
 * child's wake may be on its way. */
static void setup_group_domain(eddy_coro_fn child) {
    setup();
    child_bodies[0] = child;
    child_bodies[1] = NULL;
    child_anywhere = true;
    eddy_loop *loop = model_alloc(sizeof *loop);
    loop->sched = sched;
    loop->worker = &workers[0];
    MODEL_CHECK(eddy_spawn(&task, parent_body, NULL, EDDY_TASK(.loop = loop)) == 0);
    setup_task(parent_body, false, 3);
    held = task;
}
static void setup_group_domain_quick(void) { setup_group_domain(child_quick); }
static void setup_group_domain_fails(void) { setup_group_domain(child_fails); }

static bool has_offer(void *offer) { return ED_LOAD_RELAXED((_Atomic(struct ed_start *) *)offer) != NULL; }
static void start_offer(unsigned i) { /* offers[0] is the parent */
    struct ed_worker *worker = become_worker();
    model_wait(has_offer, &offers[i]);
    struct ed_start *start;
    while ((start = ED_LOAD_ACQUIRE(&offers[i])) == NULL) continue;
    start_on(worker, start);
    serve(worker);
}
static void start_first_child(void) { start_offer(1); }
static void start_second_child(void) { start_offer(2); }
static void cancel_and_start_child(void) {
    cancel_task();
    start_first_child();
}

static void check_group(void) {
    MODEL_CHECK(entered == ended && children_entered == children_ended);
    MODEL_CHECK(eddy_future_done(&held->future));
    MODEL_CHECK(eddy_task_cancelling(held) == asked); /* the group took back its own requests, and no other */
    if (entered == 1) {
        MODEL_CHECK(status_of[0] == 0 || status_of[0] == EDDY_ECANCELED || status_of[0] == EDDY_EGROUP);
        MODEL_CHECK(status_of[0] != EDDY_ECANCELED || asked > 0);
        if (children_ended > 0 && child_bodies[0] == child_fails && asked == 0)
            MODEL_CHECK(status_of[0] == EDDY_EGROUP);
        if (child_bodies[0] == child_parks) MODEL_CHECK(status_of[0] == EDDY_ECANCELED);
    }
    model_set_worker(NULL);
    eddy_task_release(held);
    MODEL_CHECK(model_live() == 0);
}

/* ---- a queue: what is handed to a getter that is cancelled goes to another ------------------------------------ */

static eddy_queue *queue;
static unsigned got, put;

static int get_body(void *arg, eddy_value *result) {
    (void)arg, (void)result;
    entered++;
    eddy_value value;
    int status = eddy_queue_get(queue, &value);
    MODEL_CHECK(status == 0 || status == EDDY_ECANCELED || status == EDDY_ECLOSED);
    if (status == 0) {
        MODEL_CHECK(value.i64 == 7);
        got++;
    }
    ended++;
    return status;
}
static void setup_getter(void) {
    setup();
    got = put = 0;
    queue = eddy_queue_create(0, NULL);
    model_name(queue, "queue");
    setup_task(get_body, true, 3);
    held = task;
}
static void setup_two_getters(void) {
    setup_getter();
    MODEL_CHECK(eddy_spawn(NULL, get_body, NULL, NULL) == 0);
}
static void start_second_getter(void) { start_offer(1); }
static void put_one(void) {
    if (eddy_queue_try_put(queue, EDDY_I64(7)) == 0) put++;
}
static void put_and_cancel(void) {
    put_one();
    cancel_task();
}
static void put_and_close(void) {
    put_one();
    eddy_queue_close(queue);
    eddy_task_release(task);
}
static void check_queue(void) {
    size_t left = eddy_queue_size(queue);
    MODEL_CHECK(got + left == put);
    MODEL_CHECK(left == 0 || entered == ended); /* nobody waits beside an item */
    MODEL_CHECK(eddy_future_done(&held->future));
}
static void check_closed(void) {
    MODEL_CHECK(entered == 2 && ended == 2);
    check_queue();
    eddy_queue_release(queue);
    model_set_worker(NULL);
    eddy_task_release(held);
    MODEL_CHECK(model_live() == 0);
}

#define SCENARIO(name_, setup_, check_, ...) \
    { .name = name_, .setup = setup_, .threads = {__VA_ARGS__}, .check = check_, .may_wait = true }
static const struct model_scenario scenarios[] = {
    SCENARIO("future_set_wait", setup_two_holders, check_future, wait_for_it, set),
    SCENARIO("future_set_unlink", setup_two_holders, check_future, wait_and_give_up, set),
    SCENARIO("future_set_cancel", setup_three_holders, check_future, wait_for_it, set, cancel_future),
    SCENARIO("future_two_setters", setup_three_holders, check_future, wait_and_give_up, set, set),
    SCENARIO("future_thread_unlink", setup_two_holders, check_future, thread_gives_up, set),
    SCENARIO("future_peek", setup_two_holders, check_future, peek, set),
    SCENARIO("await_one", setup_await, check_await, start_task, set_and_cancel),
    SCENARIO("await_alone_one", setup_await_alone, check_await_alone, start_task, set_and_cancel),
    SCENARIO("await_set", setup_await, check_await, start_task, set, cancel_task),
    SCENARIO("await_alone_set", setup_await_alone, check_await_alone, start_task, set, cancel_task),
    SCENARIO("cancel_own_parked", setup_parks, check_cancelled, start_task, cancel_task),
    SCENARIO("cancel_twice", setup_parks_two, check_cancelled, start_task, cancel_task, cancel_task),
    SCENARIO("cancel_shared_parked", setup_parks_shared, check_cancelled, start_task, start_task, cancel_task),
    SCENARIO("cancel_shared_quick", setup_quick_shared, check_cancelled, start_task, cancel_from_worker, cancel_task),
    SCENARIO("cancel_own_quick", setup_quick, check_cancelled, start_task, cancel_task),
    SCENARIO("cancel_pinned", setup_pinned, check_cancelled, cancel_task, serve_pinned),
    SCENARIO("plain_cancel_share", setup_plain_quick, check_child, start_task, cancel_child, share_given),
    SCENARIO("plain_given_cancel", setup_plain_given, check_given_cancelled, start_given, cancel_given),
    SCENARIO("plain_given_share", setup_plain_given, check_given, start_given, share_given),
    SCENARIO("plain_parent_quick", setup_plain_parent_quick, check_cancelled, start_task, cancel_task),
    SCENARIO("plain_parent_parks", setup_plain_parent_parks, check_cancelled, start_task, cancel_task),
    SCENARIO("bias_given_cancel", setup_bias_given, check_given_cancelled, start_given, cancel_given),
    SCENARIO("bias_given_share", setup_bias_given, check_given, start_given, share_given),
    SCENARIO("bias_two_others", setup_bias_given, check_given_cancelled, start_given, cancel_given, share_more),
    SCENARIO("bias_stolen", setup_bias_stolen, check_given_cancelled, start_given, start_given, cancel_given),
    SCENARIO("bias_walked", setup_bias_walked, check_walked, start_task, walk, walk_and_cancel),
    SCENARIO("group_last_child", setup_group_quick_alone, check_group, start_task, start_first_child),
    SCENARIO("group_one_cancelled", setup_group_parks, check_group, start_task, cancel_and_start_child),
    SCENARIO("group_one_fails", setup_group_fails, check_group, start_task, cancel_and_start_child),
    SCENARIO("group_two_children", setup_group_two, check_group, start_task, start_first_child, start_second_child),
    SCENARIO("group_cancel_quick", setup_group_quick, check_group, start_task, start_first_child, cancel_task),
    SCENARIO("group_cancel_parked", setup_group_parks, check_group, start_task, start_first_child, cancel_task),
    SCENARIO("group_cancel_fails", setup_group_fails, check_group, start_task, start_first_child, cancel_task),
    SCENARIO("group_fail_and_park", setup_group_fail_and_park, check_group, start_task, start_first_child,
             start_second_child),
    SCENARIO("group_domain_quick", setup_group_domain_quick, check_group, start_task, start_first_child, cancel_task),
    SCENARIO("group_domain_fails", setup_group_domain_fails, check_group, start_task, start_first_child, cancel_task),
    SCENARIO("queue_one_getter", setup_getter, check_queue, start_task, put_and_cancel),
    SCENARIO("queue_put_cancel", setup_getter, check_queue, start_task, put_one, cancel_task),
    SCENARIO("queue_hand_on", setup_two_getters, check_queue, start_task, start_second_getter, put_and_cancel),
    SCENARIO("queue_close", setup_two_getters, check_closed, start_task, start_second_getter, put_and_close),
};
MODEL_MAIN(scenarios)
