/* sync_model.c: waiting for objects of sync/, by tasks and plain threads: each waiter wakes once, nothing handed over
 * is lost or had twice, nobody waits beside what it waits for, and memory is freed once, after every access. The real
 * files of sync/ run on the real inbox. Parking is a stand-in of the same contract (task/wait.h): a worker is a thread
 * with one stack that takes its messages while it is parked; a request to cancel is such a message.
 * Sources src/task/waiter.c src/sync/guard.c src/sync/waitlist.c src/sync/lock.c src/sync/event.c src/sync/semaphore.c src/sync/store.c
 * Sources src/sync/queue.c src/sync/channel.c src/sync/select.c src/sync/condition.c src/sync/rwlock.c src/sync/once.c
 * Sources src/sync/gate.c src/base/heap.c
 * Smaller src/sync/channel.c s/static _Atomic uint64_t ids/extern uint64_t ids/; s/ED_ADD_RELAXED(&ids, 1)/ids++/
 * Smaller src/sync/guard.c s/static _Atomic uint64_t taken/extern uint64_t taken/; s/ED_LOAD_RELAXED(&taken)/taken/; s/ED_ADD_RELAXED(&taken, 1)/taken++/ */
#include "explorer.h"
#include "messages.h"
#include "sync/channel.h"
#include "sync/sync.h"
#include "task/task.h"

enum { THREADS = MODEL_THREADS - 1 };

/* One thread of a scenario, in memory under watch. */
struct actor {
    struct ed_worker worker;
    struct ed_strand strand;
    struct ed_message cancel, call;
    bool pending; /* a request for the next park; strand.cancelled: delivered to this one */
};
static struct actor *actors;
static eddy_loop domain;
static eddy_task in_a_domain = {.future.loop = &domain}; /* of each: calls are not counted */
static int64_t *shared;                                  /* plain: what an object guards or hands over */
static int status_of[MODEL_THREADS];
static int64_t got[MODEL_THREADS];
static unsigned began, ended;
uint64_t ids, taken; /* channel.c and guard.c count in these */

static eddy_lock *lock;
static eddy_event *event;
static eddy_semaphore *semaphore;
static eddy_gate *gate;
static eddy_queue *queue;
static eddy_channel *a, *b;
static eddy_condition *condition;
static eddy_rwlock *rwlock;
static eddy_once *once;

/* ---- parking ------------------------------------------------------------------------------------------- */

static struct actor *self(void) { return &actors[model_self() - 1]; }

struct ed_fiber *ed_fiber_current(void) {
    struct ed_worker *worker = ed_worker_current();
    return worker != NULL ? worker->running : NULL;
}

void ed_attend_await(struct ed_fiber *fiber) { MODEL_CHECK(fiber == NULL); } /* calls are not counted */
int ed_outside_task(void) { return EDDY_EWRONGTHREAD; }

void ed_wake(struct ed_fiber *fiber, int status) {
    struct ed_strand *strand = ed_strand_of(fiber);
    MODEL_CHECK(strand->parked && !strand->woken);
    strand->woken = true;
    strand->status = status;
}

void ed_wake_on(struct ed_worker *host, struct ed_fiber *fiber, int status) {
    (void)host;
    ed_wake(fiber, status);
}

int ed_park(const struct ed_park *park) {
    struct actor *actor = self();
    struct ed_strand *strand = &actor->strand;
    (void)park;
    strand->woken = false;
    strand->parked = true;
    actor->strand.cancelled = actor->pending;
    actor->pending = false;
    while (!strand->woken && !actor->strand.cancelled) await_messages(&actor->worker);
    receive(&actor->worker); /* perhaps more, before its turn comes */
    strand->parked = false;
    return actor->strand.cancelled || actor->pending ? (actor->pending = false, EDDY_ECANCELED) : strand->status;
}

int ed_park_for(struct ed_fiber *fiber, const char *reason, bool move) {
    (void)fiber;
    return ed_park(&(struct ed_park){.reason = reason, .deadline_ns = INT64_MAX, .move = move});
}

bool ed_park_woken(void) { return self()->strand.woken; }

void ed_park_put_off(int status) {
    MODEL_CHECK(status == EDDY_ECANCELED);
    self()->pending = true;
}

static void cancel_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct actor *actor = ED_CONTAINER(message, struct actor, cancel);
    if (actor->strand.parked && !actor->strand.woken) {
        actor->strand.cancelled = true;
    } else {
        actor->pending = true;
    }
}

static void cancel(unsigned thread) {
    struct actor *actor = &actors[thread - 1];
    actor->cancel.arrive = cancel_arrives;
    (void)ed_post(&actor->worker, &actor->cancel);
}

static bool is_set(void *flag) { return ED_LOAD_RELAXED((_Atomic uint32_t *)flag) != 0; }

void ed_thread_wait(_Atomic uint32_t *flag) {
    model_wait(is_set, flag);
    while (ED_LOAD_ACQUIRE(flag) == 0) continue;
}

void ed_thread_wake(_Atomic uint32_t *flag) { ED_STORE_RELEASE(flag, 1); }

/* ---- setting up ---------------------------------------------------------------------------------------- */

static void setup(void) {
    actors = model_alloc(sizeof *actors * THREADS);
    shared = model_alloc(sizeof *shared * 4);
    static const char *const names[] = {"actor_1", "actor_2", "actor_3"};
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i].worker.index = i;
        ed_inbox_init(&actors[i].worker.inbox);
        actors[i].strand.fiber.worker = &actors[i].worker;
        actors[i].strand.fiber.task = &in_a_domain;
        model_name(&actors[i], names[i]);
    }
    model_name(shared, "shared");
    began = ended = 0;
    ids = taken = 0; /* each schedule begins alike */
    for (int i = 0; i < MODEL_THREADS; i++) {
        status_of[i] = 1;
        got[i] = 0;
    }
    model_set_worker(NULL);
}

/* The thread is a task; else it stays a plain thread. */
static void be_task(void) {
    struct actor *actor = self();
    model_set_worker(&actor->worker);
    actor->worker.running = &actor->strand.fiber;
}
static void note(int status) {
    status_of[model_self()] = status;
    ended++;
}
static void expect_all_ended(unsigned count) { MODEL_CHECK(began == count && ended == count); }
static unsigned count_of(int status) {
    unsigned count = 0;
    for (int i = 1; i < MODEL_THREADS; i++) count += status_of[i] == status;
    return count;
}

/* ---- a lock ---------------------------------------------------------------------------------------------- */

static void setup_lock(void) {
    setup();
    lock = eddy_lock_create();
    model_name(lock, "lock");
}
static void setup_lock_held(void) {
    setup_lock();
    MODEL_CHECK(eddy_lock_acquire(lock) == 0);
}
static void use_lock(void) {
    began++;
    int status = eddy_lock_acquire(lock);
    if (status == 0) {
        shared[0]++;
        MODEL_CHECK(eddy_lock_unlock(lock) == 0);
    }
    note(status);
}
static void use_lock_task(void) {
    be_task();
    use_lock();
}
static void unlock_and_cancel(void) {
    shared[0]++;
    MODEL_CHECK(eddy_lock_unlock(lock) == 0);
    cancel(1);
}
/* The lock is given back on the worker of a waiter that has been cancelled and has not run since. */
static void use_lock_and_serve(void) {
    use_lock_task();
    for (;;) await_messages(&self()->worker);
}
static void unlock_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)message, (void)worker;
    MODEL_CHECK(eddy_lock_unlock(lock) == 0);
}
static void cancel_and_unlock_there(void) {
    cancel(1);
    actors[0].call.arrive = unlock_arrives;
    (void)ed_post(&actors[0].worker, &actors[0].call);
}
static void check_lock(void) {
    MODEL_CHECK(began == ended);
    MODEL_CHECK(count_of(0) + count_of(EDDY_ECANCELED) == ended);
    MODEL_CHECK(!eddy_lock_is_held(lock) && eddy_lock_try_acquire(lock)); /* it is nobody's, and on nobody's way */
    eddy_lock_release(lock);
    MODEL_CHECK(model_live() == 0);
}

/* ---- an event: who sees it set may release it -------------------------------------------------------------- */

static void setup_event(void) {
    setup();
    event = eddy_event_create();
    model_name(event, "event");
}
static void wait_and_release(void) {
    began++;
    int status = eddy_event_wait(event);
    if (status == 0) MODEL_CHECK(shared[0] == 7);
    if (status == 0) eddy_event_release(event);
    note(status);
}
static void wait_and_release_task(void) {
    be_task();
    wait_and_release();
}
static void wait_event(void) {
    began++;
    int status = eddy_event_wait(event);
    if (status == 0) MODEL_CHECK(shared[0] == 7);
    note(status);
}
static void wait_event_task(void) {
    be_task();
    wait_event();
}
static void set_event(void) {
    shared[0] = 7;
    eddy_event_set(event);
}
static void set_clear_and_cancel(void) {
    set_event();
    eddy_event_clear(event);
    cancel(1);
}
/* Served, and the event given back, while the waiter is cancelled and may still look. */
static bool first_has_stood(void *arg) {
    (void)arg;
    return actors[0].strand.waiter.state != ED_WAITER_IDLE || ended > 0;
}
static void set_and_release(void) {
    model_wait(first_has_stood, NULL);
    set_event();
    eddy_event_release(event);
}
static void cancel_waiting(void) {
    model_wait(first_has_stood, NULL);
    cancel(1);
}
static void check_event_life(void) {
    expect_all_ended(1);
    MODEL_CHECK(model_live() == 0);
}
static void check_event_cleared(void) { /* who came in time has woken; who did not waits for ever */
    MODEL_CHECK(count_of(0) + count_of(EDDY_ECANCELED) == ended);
    if (ended < began) MODEL_CHECK(!eddy_event_is_set(event));
}
static void check_event(void) {
    expect_all_ended(2);
    eddy_event_release(event);
    MODEL_CHECK(model_live() == 0);
}

/* ---- a semaphore ------------------------------------------------------------------------------------------- */

static void setup_semaphore(void) {
    setup();
    semaphore = eddy_semaphore_create(0);
    model_name(semaphore, "semaphore");
}
static void take_slot(void) {
    began++;
    note(eddy_semaphore_acquire(semaphore));
}
static void take_slot_task(void) {
    be_task();
    take_slot();
}
static void post_and_cancel(void) {
    eddy_semaphore_post(semaphore);
    cancel(1);
}
static void post_twice_and_cancel(void) {
    eddy_semaphore_post(semaphore);
    eddy_semaphore_post(semaphore);
    cancel(1);
}
static void check_slots(unsigned posted) {
    unsigned left = 0;
    while (eddy_semaphore_try_acquire(semaphore)) left++;
    MODEL_CHECK(count_of(0) + left == posted);
    MODEL_CHECK(left == 0 || began == ended); /* nobody waits beside a slot */
    MODEL_CHECK(status_of[1] == 0 || status_of[1] == EDDY_ECANCELED);
    if (began > ended) return;
    eddy_semaphore_release(semaphore);
    MODEL_CHECK(model_live() == 0);
}
static void check_one_slot(void) { check_slots(1); }
static void check_two_slots(void) { check_slots(2); }

/* ---- a gate: the clock stands, and a request to cancel is the end of a wait's time ------------------------- */

int64_t eddy_time_ns(void) { return 1; }
void eddy_timeout_push(int64_t timeout_ns) { (void)timeout_ns; }
int eddy_timeout_pop(int status) { return status == EDDY_ECANCELED ? EDDY_ETIMEDOUT : status; }
void eddy_handled(void) {}

static void setup_gate(void) {
    setup();
    gate = eddy_gate_create(1, NULL);
    model_name(gate, "gate");
    MODEL_CHECK(eddy_gate_try_enter(gate));
}
static void enter_gate_task(void) {
    be_task();
    began++;
    note(eddy_gate_enter(gate, EDDY_FOREVER));
}
static void leave_and_refuse(void) {
    MODEL_CHECK(eddy_gate_exit(gate) == 0);
    cancel(1);
}
static void check_gate(void) {
    unsigned free = eddy_gate_try_enter(gate);
    MODEL_CHECK(count_of(0) + free == 1);
    MODEL_CHECK(free == 0 || began == ended); /* nobody waits beside a slot */
    MODEL_CHECK(status_of[1] == 0 || status_of[1] == EDDY_EOVERLOADED);
    if (began > ended) return;
    eddy_gate_stats stats;
    eddy_gate_stats_read(gate, &stats);
    MODEL_CHECK(stats.inside == 1 && stats.waiting == 0);
    MODEL_CHECK(stats.admitted == 1u + count_of(0) + free); /* setup's, theirs, this function's */
    eddy_gate_release(gate);
    MODEL_CHECK(model_live() == 0);
}

/* ---- a queue ----------------------------------------------------------------------------------------------- */

static void setup_queue(void) {
    setup();
    queue = eddy_queue_create(0, NULL);
    model_name(queue, "queue");
}
static void setup_queue_full(void) {
    setup();
    queue = eddy_queue_create(1, NULL);
    model_name(queue, "queue");
    MODEL_CHECK(eddy_queue_try_put(queue, EDDY_I64(1)) == 0);
}
static void get_item(void) {
    began++;
    eddy_value item = EDDY_NONE;
    int status = eddy_queue_get(queue, &item);
    got[model_self()] = status == 0 ? item.i64 : 0;
    note(status);
}
static void get_item_task(void) {
    be_task();
    get_item();
}
static void put_item(void) {
    began++;
    note(eddy_queue_put(queue, EDDY_I64(INT64_C(10) << model_self())));
}
static void put_item_task(void) {
    be_task();
    put_item();
}
static void put_two_and_cancel(void) {
    MODEL_CHECK(eddy_queue_try_put(queue, EDDY_I64(1)) == 0);
    MODEL_CHECK(eddy_queue_try_put(queue, EDDY_I64(2)) == 0);
    cancel(1);
}
static void put_and_cancel(void) {
    MODEL_CHECK(eddy_queue_try_put(queue, EDDY_I64(1)) == 0);
    cancel(1);
}
static void put_cancel_and_close(void) {
    MODEL_CHECK(eddy_queue_try_put(queue, EDDY_I64(1)) == 0);
    cancel(1);
    eddy_queue_close(queue);
}
static void get_two_and_cancel(void) {
    eddy_value item;
    int64_t sum = 0;
    for (int i = 0; i < 2; i++)
        if (eddy_queue_try_get(queue, &item) == 0) sum += item.i64;
    cancel(1);
    shared[1] = sum;
}
static int64_t drain_queue(void) {
    eddy_value item;
    int64_t sum = 0;
    while (eddy_queue_try_get(queue, &item) == 0) sum += item.i64;
    return sum;
}
static void check_getters(int64_t put) {
    size_t left = eddy_queue_size(queue);
    MODEL_CHECK(left == 0 || began == ended);
    int64_t sum = drain_queue();
    for (int i = 1; i < MODEL_THREADS; i++)
        if (status_of[i] == 0) sum += got[i];
    MODEL_CHECK(sum == put);
    if (began > ended) return;
    eddy_queue_release(queue);
    MODEL_CHECK(model_live() == 0);
}
static void check_two_items(void) { check_getters(3); }
static void check_item_of_two(void) { check_getters(INT64_C(10) << 2); }
static void check_one_item(void) { check_getters(1); }
static void check_closed(void) {
    expect_all_ended(2);
    check_getters(1);
}
static void check_putters(void) {
    bool full = eddy_queue_size(queue) == 1;
    MODEL_CHECK(full || began == ended); /* nobody waits beside a free place */
    int64_t sum = shared[1], put = 1;
    for (int i = 1; i < MODEL_THREADS; i++)
        if (status_of[i] == 0) put += INT64_C(10) << i;
    MODEL_CHECK(sum + drain_queue() == put);
    if (began > ended) return;
    eddy_queue_release(queue);
    MODEL_CHECK(model_live() == 0);
}

/* ---- channels ---------------------------------------------------------------------------------------------- */

/* Elements are taken from and put into memory under watch: shared[thread]. */
static void create_channels(size_t capacity) {
    a = eddy_channel_create(sizeof(int64_t), capacity, NULL);
    b = eddy_channel_create(sizeof(int64_t), capacity, NULL);
    model_name(a, "a");
    model_name(b, "b");
}
static void setup_channels(size_t capacity) {
    setup();
    create_channels(capacity);
}
static void setup_rendezvous(void) { setup_channels(0); }
static void setup_rings(void) { setup_channels(1); }
/* They belong to the first thread's worker, until another one comes along. */
static void setup_own(size_t capacity) {
    setup();
    actors[0].worker.identity = 1;
    model_set_worker(&actors[0].worker);
    create_channels(capacity);
    model_set_worker(NULL);
}
static void setup_own_rendezvous(void) { setup_own(0); }
static void setup_own_rings(void) { setup_own(1); }

static void send_a(void) {
    began++;
    shared[model_self()] = (int64_t)model_self() * 11;
    note(eddy_channel_send(a, &shared[model_self()]));
}
static void send_a_task(void) {
    be_task();
    send_a();
}
static void send_b_task(void) {
    be_task();
    began++;
    shared[model_self()] = (int64_t)model_self() * 11;
    note(eddy_channel_send(b, &shared[model_self()]));
}
static void receive_a(void) {
    began++;
    int64_t *place = &shared[model_self()];
    int status = eddy_channel_receive(a, place);
    if (status == 0) got[model_self()] = *place;
    note(status);
}
static void receive_a_task(void) {
    be_task();
    receive_a();
}
static void receive_two_task(void) {
    receive_a_task();
    began++;
    int64_t *place = &shared[model_self()];
    int status = eddy_channel_receive(a, place);
    if (status == 0) got[model_self()] += *place;
    note(status_of[model_self()] < 0 ? status_of[model_self()] : status);
}
/* A request that came with the exchange is delivered by the next park. */
static void receive_a_then_park_task(void) {
    receive_a_task();
    if (status_of[1] < 0) return;
    began++;
    int status = ed_park(&(struct ed_park){.reason = "test", .deadline_ns = INT64_MAX});
    MODEL_CHECK(status == EDDY_ECANCELED);
    ended++;
}
static void cancel_only(void) { cancel(1); }
static void send_and_cancel(void) {
    began++;
    shared[3] = 33;
    status_of[3] = eddy_channel_try_send(a, &shared[3]);
    ended++;
    cancel(1);
}
static void cancel_and_close(void) {
    cancel(1);
    eddy_channel_close(a);
}
/* Every element that was sent was received, once, or lies in a ring. */
static void expect_conserved(void) {
    int64_t sum = 0;
    for (int i = 1; i < MODEL_THREADS; i++) sum += got[i];
    for (int64_t left; eddy_channel_try_receive(a, &left) == 0;) sum += left;
    for (int64_t left; eddy_channel_try_receive(b, &left) == 0;) sum += left;
    shared[0] = sum;
}
static void check_channel(void) { /* senders: all whose slot of got is 0 and that ended well */
    bool waits = began > ended;
    MODEL_CHECK(ed_list_empty(&a->receivers) || eddy_channel_size(a) == 0); /* nobody waits beside what it waits for */
    MODEL_CHECK(ed_list_empty(&a->senders) || eddy_channel_size(a) == a->capacity);
    MODEL_CHECK(!waits || ed_channel_receive_status(a) == EDDY_EBUSY || ed_channel_send_status(a) == EDDY_EBUSY);
    int64_t sent = 0, received = 0;
    for (int i = 1; i < MODEL_THREADS; i++) {
        received += got[i];
        if (status_of[i] == 0 && got[i] == 0) sent += i * 11;
    }
    if (waits) { /* no partner for it was left */
        MODEL_CHECK(eddy_channel_size(a) == 0 || ed_channel_send_status(a) == EDDY_EBUSY);
        MODEL_CHECK(received <= sent);
        return;
    }
    expect_conserved();
    MODEL_CHECK(sent == shared[0]);
    eddy_channel_release(a);
    eddy_channel_release(b);
    MODEL_CHECK(model_live() == 0);
}

static void check_channel_cancelled(void) {
    MODEL_CHECK(status_of[1] == 0 ? got[1] == 22 && began == ended : began == ended + (status_of[2] == 1));
    MODEL_CHECK(status_of[1] <= 0);
}

/* ---- select ------------------------------------------------------------------------------------------------ */

static void select_from(eddy_select_case first, eddy_select_case second) {
    eddy_select_case cases[] = {first, second};
    began++;
    int done = eddy_select(cases, 2);
    if (done >= 0) {
        MODEL_CHECK(cases[done].status == 0 || cases[done].status == EDDY_ECLOSED);
        if (cases[done].receive != NULL && cases[done].status == 0) got[model_self()] = shared[model_self()];
        done = cases[done].status;
    }
    note(done);
}
static void receive_either(void) {
    int64_t *place = &shared[model_self()];
    select_from(eddy_case_receive(a, place), eddy_case_receive(b, place));
}
static void receive_either_task(void) {
    be_task();
    receive_either();
}
static int64_t *offer(void) {
    shared[0] = 99;
    return &shared[0];
}
static void send_a_or_receive_b_task(void) {
    be_task();
    select_from(eddy_case_send(a, offer()), eddy_case_receive(b, &shared[model_self()]));
}
static void receive_a_or_send_b(void) { /* in the other order: locks have their own */
    shared[3] = 55;
    select_from(eddy_case_send(b, &shared[3]), eddy_case_receive(a, &shared[model_self()]));
}
static void receive_a_or_send_b_task(void) {
    be_task();
    receive_a_or_send_b();
}
static void check_select_senders(void) { /* 1 selects; 2 and 3 send to one each, without a ring */
    MODEL_CHECK(status_of[1] == 0);
    MODEL_CHECK(count_of(0) == 2); /* it, and exactly one of them */
    MODEL_CHECK(got[1] == (status_of[2] == 0 ? 22 : 33));
    MODEL_CHECK(began == 3 && ended == 2);
}
static void check_select_pair(void) {
    expect_all_ended(2);
    MODEL_CHECK(count_of(0) == 2);
    MODEL_CHECK((got[1] == 55 && got[2] == 0) || (got[1] == 0 && got[2] == 99));
    eddy_channel_release(a);
    eddy_channel_release(b);
    MODEL_CHECK(model_live() == 0);
}
static void check_select_pair_cancelled(void) {
    MODEL_CHECK(status_of[1] == 0 || status_of[1] == EDDY_ECANCELED);
    MODEL_CHECK((status_of[1] == 0) == (status_of[2] == 0));
    if (status_of[1] == 0) MODEL_CHECK((got[1] == 55 && got[2] == 0) || (got[1] == 0 && got[2] == 99));
}
static void try_send_a(void) {
    began++;
    shared[2] = 22;
    note(eddy_channel_try_send(a, &shared[2]));
}
static void try_send_b(void) {
    began++;
    shared[3] = 33;
    note(eddy_channel_try_send(b, &shared[3]));
    cancel(1);
}
static void check_select_tries(void) {
    MODEL_CHECK(status_of[1] == 0 || status_of[1] == EDDY_ECANCELED);
    int64_t sent = (status_of[2] == 0 ? 22 : 0) + (status_of[3] == 0 ? 33 : 0);
    MODEL_CHECK(got[1] == sent && sent != 55);
    MODEL_CHECK((status_of[1] == 0) == (sent != 0));
    eddy_channel_release(a);
    eddy_channel_release(b);
    MODEL_CHECK(model_live() == 0);
}

/* Who has served the select may release both channels, also the one in which its place is dead. */
static void serve_and_release(void) {
    began++;
    shared[2] = 22;
    note(eddy_channel_try_send(b, &shared[2]));
    if (status_of[2] < 0) return;
    eddy_channel_release(a);
    eddy_channel_release(b);
}
static void check_select_release(void) {
    if (status_of[2] < 0) return;
    expect_all_ended(2);
    MODEL_CHECK(got[1] == 22);
    MODEL_CHECK(model_live() == 0);
}

/* ---- condition, read-write lock, once ------------------------------------------------------------------------ */

static void setup_condition(void) {
    setup_lock();
    condition = eddy_condition_create(lock);
    model_name(condition, "condition");
}
static bool has_one(void *unused) {
    (void)unused;
    return shared[0] > 0;
}
static void take_one(void) {
    began++;
    int status = eddy_lock_acquire(lock);
    if (status == 0) {
        status = eddy_condition_wait_for(condition, has_one, NULL);
        if (status == 0) shared[0]--;
        MODEL_CHECK(eddy_lock_unlock(lock) == 0);
    }
    note(status);
}
static void take_one_task(void) {
    be_task();
    take_one();
}
static void add_one_and_cancel(void) {
    MODEL_CHECK(eddy_lock_acquire(lock) == 0);
    shared[0]++;
    MODEL_CHECK(eddy_condition_notify(condition, 1) == 0);
    MODEL_CHECK(eddy_lock_unlock(lock) == 0);
    cancel(1);
}
static void check_condition(void) {
    MODEL_CHECK(shared[0] == 0 || began == ended); /* nobody waits beside it */
    MODEL_CHECK(count_of(0) + (unsigned)shared[0] == 1);
    MODEL_CHECK(!eddy_lock_is_held(lock));
}

static void setup_rwlock(void) {
    setup();
    rwlock = eddy_rwlock_create();
    model_name(rwlock, "rwlock");
    MODEL_CHECK(eddy_rwlock_read(rwlock) == 0);
}
static void write_it_task(void) {
    be_task();
    began++;
    int status = eddy_rwlock_write(rwlock);
    if (status == 0) {
        shared[0]++;
        shared[1]++;
        MODEL_CHECK(eddy_rwlock_unlock(rwlock) == 0);
    }
    note(status);
}
static void read_it(void) {
    began++;
    int status = eddy_rwlock_read(rwlock);
    if (status == 0) {
        MODEL_CHECK(shared[0] == shared[1]);
        MODEL_CHECK(eddy_rwlock_unlock(rwlock) == 0);
    }
    note(status);
}
static void unlock_read_and_cancel(void) {
    MODEL_CHECK(shared[0] == shared[1]);
    MODEL_CHECK(eddy_rwlock_unlock(rwlock) == 0);
    cancel(1);
}
static void check_rwlock(void) {
    expect_all_ended(2);
    MODEL_CHECK(status_of[2] == 0);
    MODEL_CHECK(eddy_rwlock_try_write(rwlock));
    eddy_rwlock_release(rwlock);
    MODEL_CHECK(model_live() == 0);
}
static void check_rwlock_one(void) {
    expect_all_ended(1);
    MODEL_CHECK(status_of[1] == 0 || status_of[1] == EDDY_ECANCELED);
    MODEL_CHECK(eddy_rwlock_try_write(rwlock));
    eddy_rwlock_release(rwlock);
    MODEL_CHECK(model_live() == 0);
}
static void check_rwlock_read_held(void) { /* the first reader still has it */
    MODEL_CHECK(status_of[2] == 0 && status_of[1] == EDDY_ECANCELED);
}

static void setup_once(void) {
    setup();
    once = eddy_once_create();
    model_name(once, "once");
}
static int fail_first(void *unused) {
    (void)unused;
    if (shared[0]++ == 0) return EDDY_EINVAL;
    shared[1] = 42;
    return 0;
}
static void run_once(void) {
    began++;
    int status = eddy_once_run(once, fail_first, NULL);
    if (status == 0) MODEL_CHECK(shared[1] == 42);
    note(status);
}
static void run_once_task(void) {
    be_task();
    run_once();
}
static void check_once(void) {
    MODEL_CHECK(began == ended);
    MODEL_CHECK(count_of(EDDY_EINVAL) == 1);
    MODEL_CHECK(shared[0] == 1 + (count_of(0) > 0)); /* well, once */
    eddy_once_release(once);
    MODEL_CHECK(model_live() == 0);
}

#define SCENARIO(name_, setup_, check_, ...) \
    { .name = name_, .setup = setup_, .threads = {__VA_ARGS__}, .check = check_, .may_wait = true }
static const struct model_scenario scenarios[] = {
    /* One waiter, and who serves it and cancels it: small enough for every schedule with 3 preemptions. */
    SCENARIO("one_lock", setup_lock_held, check_lock, use_lock_task, unlock_and_cancel),
    SCENARIO("one_event", setup_event, check_event_cleared, wait_event_task, set_clear_and_cancel),
    SCENARIO("one_semaphore", setup_semaphore, check_one_slot, take_slot_task, post_and_cancel),
    SCENARIO("one_gate", setup_gate, check_gate, enter_gate_task, leave_and_refuse),
    SCENARIO("one_getter", setup_queue, check_one_item, get_item_task, put_and_cancel),
    SCENARIO("one_putter", setup_queue_full, check_putters, put_item_task, get_two_and_cancel),
    SCENARIO("one_sender", setup_rendezvous, check_channel, send_a_task, cancel_and_close),
    SCENARIO("one_condition", setup_condition, check_condition, take_one_task, add_one_and_cancel),
    SCENARIO("one_writer", setup_rwlock, check_rwlock_one, write_it_task, unlock_read_and_cancel),
    SCENARIO("once_two", setup_once, check_once, run_once_task, run_once),
    /* More of them. */
    SCENARIO("lock_shared", setup_lock, check_lock, use_lock_task, use_lock_task, use_lock),
    SCENARIO("lock_cancel", setup_lock_held, check_lock, use_lock_task, use_lock, unlock_and_cancel),
    SCENARIO("lock_leaving", setup_lock_held, check_lock, use_lock_and_serve, use_lock, cancel_and_unlock_there),
    SCENARIO("event_life_task", setup_event, check_event_life, wait_and_release_task, set_event),
    SCENARIO("event_life_cancelled", setup_event, check_event_life, wait_event_task, set_and_release, cancel_waiting),
    SCENARIO("event_life_thread", setup_event, check_event_life, wait_and_release, set_event),
    SCENARIO("event_two", setup_event, check_event, wait_event_task, wait_event, set_event),
    SCENARIO("event_cleared", setup_event, check_event_cleared, wait_event_task, wait_event, set_clear_and_cancel),
    SCENARIO("semaphore_cancel", setup_semaphore, check_one_slot, take_slot_task, take_slot, post_and_cancel),
    SCENARIO("semaphore_two", setup_semaphore, check_two_slots, take_slot_task, take_slot_task, post_twice_and_cancel),
    SCENARIO("gate_refused", setup_gate, check_gate, enter_gate_task, enter_gate_task, leave_and_refuse),
    SCENARIO("queue_pair", setup_queue, check_item_of_two, get_item_task, put_item),
    SCENARIO("queue_getters", setup_queue, check_two_items, get_item_task, get_item, put_two_and_cancel),
    SCENARIO("queue_hands_on", setup_queue, check_one_item, get_item_task, get_item, put_and_cancel),
    SCENARIO("queue_putters", setup_queue_full, check_putters, put_item_task, put_item, get_two_and_cancel),
    SCENARIO("queue_closed", setup_queue, check_closed, get_item_task, get_item_task, put_cancel_and_close),
    SCENARIO("channel_rendezvous", setup_rendezvous, check_channel, send_a_task, receive_a, cancel_only),
    SCENARIO("channel_receiver", setup_rendezvous, check_channel, receive_a_task, send_a, cancel_only),
    SCENARIO("channel_then_park", setup_rendezvous, check_channel_cancelled, receive_a_then_park_task, send_a,
             cancel_only),
    SCENARIO("channel_ring", setup_rings, check_channel, receive_two_task, send_a_task, send_and_cancel),
    SCENARIO("channel_ring_pair", setup_rings, check_channel, receive_a_task, send_a_task),
    SCENARIO("channel_close", setup_rendezvous, check_channel, send_a_task, receive_a_task, cancel_and_close),
    SCENARIO("channel_own_ring", setup_own_rings, check_channel, send_a_task, receive_a_task),
    SCENARIO("channel_own_rings", setup_own_rings, check_channel, send_a_task, receive_a_task, send_a_task),
    SCENARIO("channel_own_receiver", setup_own_rendezvous, check_channel, receive_a_task, send_a_task, cancel_only),
    SCENARIO("channel_own_sender", setup_own_rendezvous, check_channel, send_a_task, receive_a, cancel_only),
    SCENARIO("select_senders", setup_rendezvous, check_select_senders, receive_either_task, send_a_task, send_b_task),
    SCENARIO("select_tries", setup_rendezvous, check_select_tries, receive_either_task, try_send_a, try_send_b),
    SCENARIO("select_pair", setup_rendezvous, check_select_pair, send_a_or_receive_b_task, receive_a_or_send_b),
    SCENARIO("select_pair_cancel", setup_rendezvous, check_select_pair_cancelled, send_a_or_receive_b_task,
             receive_a_or_send_b_task, cancel_only),
    SCENARIO("select_release", setup_rendezvous, check_select_release, receive_either_task, serve_and_release),
    SCENARIO("condition_cancel", setup_condition, check_condition, take_one_task, take_one, add_one_and_cancel),
    SCENARIO("rwlock_writer", setup_rwlock, check_rwlock, write_it_task, read_it, unlock_read_and_cancel),
    SCENARIO("rwlock_gives_up", setup_rwlock, check_rwlock_read_held, write_it_task, read_it, cancel_only),
    SCENARIO("once_cancel", setup_once, check_once, run_once_task, run_once, cancel_only),
    SCENARIO("once_three", setup_once, check_once, run_once_task, run_once, run_once),
};
MODEL_MAIN(scenarios)
