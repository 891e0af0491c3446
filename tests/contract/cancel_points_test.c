/* cancel_points_test.c: cancelled means not done, wherever the cancel lands.
 *
 * Claim      A call that ends EDDY_ECANCELED has consumed nothing, sent nothing twice, kept no lock or slot; one that ends
 *            well is done. Every value that nobody took reaches its drop function once.
 * Method     Each operation is one call in a task of its own, on the simulator. It runs once undisturbed, and its
 *            suspensions are counted. Then it runs again with the same seed once for each of them, and the task is cancelled
 *            in that suspension; the trace's events say that the request arrived there and nowhere else. A scenario then
 *            does what is left to do and closes the books. In a serial domain, and on three workers.
 *            What the simulator has not (children, files, threads, processes) runs on a real worker: the
 *            request is the next thing that this does, before it looks at what came.
 * All        tests/scripts/cancel_points.py requires an operation here for each function that suspends by its header, or a
 *            line in cancel_points.txt that says why not.
 * Not here   A yield: who yields is ready again at once (T10 in task_test.c). */
#include "../net/ends_testing.h"
#include "base/base.h"
#include "eddy/eddy.h"
#include "runtime/simulate.h"
#include "sched/sched.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- one operation under one cancel ----------------------------------------------------------------------- */

static struct {
    eddy_task *task;  /* whose body is the operation */
    int cancel_at;    /* the suspension to cancel it in, from 1 on; 0: none */
    int parks;        /* of the task */
    int delivered_at; /* parks when a request reached it; 0: none did */
    int status;       /* what the operation ended with */
    int dropped;      /* values that reached a drop function */
    void *objects[3]; /* the scenario's */
    eddy_future *futures[3];
    eddy_server *server;
    eddy_stream *stream;
    char got[64];
    size_t got_bytes;
} w;

static _Atomic bool begun, gate_open; /* of a function on a thread */
static _Atomic int ended, args_dropped;
static bool until_begun; /* the request waits for that, and nothing else happens on the worker */

static int cancel_it(void *arg) {
    (void)arg;
    while (until_begun && !begun) usleep(100);
    EXPECT(eddy_cancel(EDDY_FUTURE(w.task)));
    return 0;
}

/* A callback cancels it before anything else happens: it is queued as the task goes to sleep. */
static void hear(struct ed_listener *listener, struct ed_worker *worker, enum ed_event event, const void *what,
                 int64_t number, const char *text) {
    (void)listener, (void)worker, (void)number, (void)text;
    if (w.task == NULL || what != w.task) return;
    if (event == ED_EVENT_PARK && ++w.parks == w.cancel_at) EXPECT_OK(eddy_call_soon(NULL, cancel_it, NULL, NULL));
    if (event == ED_EVENT_DELIVER && w.delivered_at == 0) w.delivered_at = w.parks;
}
static struct ed_listener listener = {hear};

/* Runs `body` as the operation's task, beside `partner`, which may be NULL; both have ended when it returns. */
static void operate(eddy_coro_fn body, eddy_coro_fn partner) {
    eddy_task *other = NULL;
    w.task = NULL;
    EXPECT_OK(eddy_spawn(&w.task, body, NULL, NULL));
    if (partner != NULL) EXPECT_OK(eddy_spawn(&other, partner, NULL, NULL));
    w.status = eddy_await(EDDY_FUTURE(w.task), NULL);
    if (other != NULL) EXPECT_OK(end_of(other));
    EXPECT(w.status >= 0 || w.status == EDDY_ECANCELED);
}

static int in_a_run(void *arg, eddy_value *out) {
    (void)out;
    ed_worker_current()->sched->listener = &listener;
    (*(void (**)(void))arg)();
    ed_worker_current()->sched->listener = NULL;
    if (w.task != NULL) eddy_task_release(w.task);
    return 0;
}

static void run_once(void (*scenario)(void), uint64_t seed, bool serial, int cancel_at) {
    memset(&w, 0, sizeof w);
    w.cancel_at = cancel_at;
    eddy_sim_options network = eddy_sim_options_init();
    network.short_reads = -1;
    EXPECT_OK(ed_sim_run(in_a_run, &scenario,
                         &(struct ed_sim_options){.seed = seed,
                                                  .workers = serial ? 1 : 3,
                                                  .serial = serial,
                                                  .no_direct_await = true,
                                                  .clock_step_ns = 100,
                                                  .outside = &network}));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

static void at_every_point(void (*scenario)(void), int points_min) {
    for (uint64_t seed = 1; seed <= 6; seed++) {
        bool serial = seed <= 2;
        run_once(scenario, seed, serial, 0);
        EXPECT_EQ(0, w.status < 0);
        int points = w.parks;
        if (serial || !test_ticks()) EXPECT(points >= points_min); /* ticks: on another worker than what it waits for */
        for (int at = 1; at <= points; at++) {
            run_once(scenario, seed, serial, at);
            EXPECT_EQ(at, w.delivered_at);
            EXPECT_EQ(EDDY_ECANCELED, w.status);
        }
    }
}

/* On one real worker. What comes from outside decides how often an operation suspends: it may end well before the
 * suspension that was meant. */
static void run_really(void (*scenario)(void), bool serial, int cancel_at) {
    memset(&w, 0, sizeof w);
    w.cancel_at = cancel_at;
    begun = gate_open = false;
    ended = args_dropped = 0;
    EXPECT_OK(eddy_run(in_a_run, &scenario, NULL, EDDY_RUN(.workers = 1, .serial = serial, .no_direct_await = true)));
    EXPECT_EQ(0, ed_alloc_live_bytes());
}
/* `told`: a request that comes too late is told to the next suspension, and the operation ends well.
 * What an operation waits for may have come before it waits: it runs again until it has suspended `points_min` times. */
static void at_every_real_point(void (*scenario)(void), int points_min, bool told) {
    for (int serial = 0; serial < 2; serial++) {
        do {
            run_really(scenario, serial, 0);
            EXPECT_EQ(0, w.status < 0);
        } while (w.parks < points_min);
        int points = w.parks;
        for (int at = 1; at <= points; at++) {
            do run_really(scenario, serial, at);
            while (w.parks < at && at <= points_min);
            if (told || w.parks < at) continue;
            EXPECT_EQ(at, w.delivered_at);
            EXPECT_EQ(EDDY_ECANCELED, w.status);
        }
    }
}
#define AT_EVERY_REAL_POINT(name_, points_, ...)                                                                  \
    static void name_(void);                                                                                      \
    UNIT(contract, not_done_##name_, TEST_LIMIT(60), __VA_ARGS__) { at_every_real_point(name_, points_, false); } \
    static void name_(void)

/* The test is called contract.not_done_SCENARIO. `points`: suspensions that it has at least. */
#define AT_EVERY_POINT(name_, points_)                                                   \
    static void name_(void);                                                             \
    UNIT(contract, not_done_##name_, TEST_LIMIT(60)) { at_every_point(name_, points_); } \
    static void name_(void)

static void count_drop(eddy_value value) {
    (void)value;
    w.dropped++;
}

/* ---- sleeping and awaiting --------------------------------------------------------------------------------- */

static int sleep_a_while(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_MS(1));
}
static int do_sleep(void *arg, eddy_value *out) {
    int status = sleep_a_while(arg, out);
    return status == 0 ? eddy_sleep_until(eddy_time_ns() + EDDY_MS(1)) : status;
}
AT_EVERY_POINT(sleep_leaves_no_timer, 2) { operate(do_sleep, NULL); }

static int do_tick(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int64_t status = eddy_interval_wait(w.objects[0]);
    return status < 0 ? (int)status : 0;
}
AT_EVERY_POINT(interval_keeps_its_tick, 1) {
    eddy_interval interval = eddy_interval_start(EDDY_MS(1), EDDY_TICKS_BURST);
    int64_t first_ns = interval.next_ns;
    w.objects[0] = &interval;
    operate(do_tick, NULL);
    EXPECT_EQ(w.status < 0 ? first_ns : first_ns + EDDY_MS(1), interval.next_ns);
}

/* Children: they give a value that is to be dropped once. */
static int give_late(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(1);
    return eddy_sleep(EDDY_MS(1));
}
static void spawn_children(void) {
    for (int i = 0; i < 3; i++) {
        eddy_task *child;
        EXPECT_OK(eddy_spawn(&child, give_late, NULL, EDDY_TASK(.drop = count_drop)));
        w.futures[i] = EDDY_FUTURE(child);
    }
}
/* `cancelled`: they went with the operation. Else they go on, and each value is dropped once. */
static void children_end(bool cancelled) {
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(cancelled ? EDDY_ECANCELED : 0, eddy_await(w.futures[i], NULL));
        eddy_future_release(w.futures[i]);
    }
    EXPECT_OK(eddy_sleep(EDDY_MS(1))); /* the last references are given back */
    EXPECT_EQ(cancelled ? 0 : 3, w.dropped);
}

static int do_await(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_await(w.futures[0], out);
}
static int do_wait_for(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_wait_for(w.futures[0], EDDY_SECONDS(1), out);
}
static int do_gather(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_gather(w.futures, 3, NULL);
}
static int do_gather_all(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_gather_all(w.futures, 3, NULL);
}
static int do_wait(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_wait(w.futures, 3, EDDY_SECONDS(1), EDDY_ALL_COMPLETED, NULL);
}
static int do_shield(void *arg, eddy_value *out) {
    (void)arg;
    eddy_future *outer;
    EXPECT_OK(eddy_shield(&outer, w.futures[0]));
    int status = eddy_await(outer, out);
    eddy_future_release(outer);
    return status;
}
static void with_one_child(eddy_coro_fn body) {
    spawn_children();
    operate(body, NULL);
    EXPECT_EQ(w.status, eddy_await(w.futures[0], NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(i == 0 ? w.status : 0, eddy_await(w.futures[i], NULL));
        eddy_future_release(w.futures[i]);
    }
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_EQ(w.status < 0 ? 2 : 3, w.dropped);
}
AT_EVERY_POINT(await_takes_what_it_awaits_along, 1) { with_one_child(do_await); }
AT_EVERY_POINT(wait_for_takes_what_it_awaits_along, 1) { with_one_child(do_wait_for); }
static void with_children(eddy_coro_fn body, bool takes_them_along) {
    spawn_children();
    operate(body, NULL);
    children_end(takes_them_along && w.status < 0);
}
AT_EVERY_POINT(gather_takes_its_children_along, 1) { with_children(do_gather, true); }
AT_EVERY_POINT(gather_all_takes_its_children_along, 1) { with_children(do_gather_all, true); }
AT_EVERY_POINT(wait_leaves_its_set_alone, 1) { with_children(do_wait, false); }
AT_EVERY_POINT(shield_leaves_its_work_alone, 1) { with_children(do_shield, false); }

static int do_next(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    size_t index;
    for (; w.got_bytes < 3; w.got_bytes++) {
        int status = eddy_completions_next(w.objects[0], &index);
        if (status < 0) return status;
    }
    return 0;
}
AT_EVERY_POINT(completions_next_takes_nothing, 1) {
    size_t index;
    eddy_completions *completions;
    spawn_children();
    EXPECT_OK(eddy_as_completed(&completions, w.futures, 3, EDDY_SECONDS(1)));
    w.objects[0] = completions;
    operate(do_next, NULL);
    for (; w.got_bytes < 3; w.got_bytes++) EXPECT_OK(eddy_completions_next(completions, &index)); /* none is lost */
    EXPECT_EQ(EDDY_EOF, eddy_completions_next(completions, &index));
    eddy_completions_release(completions);
    children_end(false);
}

static int do_group(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(eddy_group_spawn(&group, NULL, give_late, NULL, EDDY_TASK(.drop = count_drop)));
    return eddy_group_exit(&group, eddy_sleep(EDDY_US(10)));
}
AT_EVERY_POINT(group_exit_waits_for_its_children_all_the_same, 2) {
    operate(do_group, NULL);
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    EXPECT_EQ(w.status < 0 ? 0 : 3, w.dropped);
    EXPECT_EQ(1, eddy_all_tasks(NULL, 0)); /* this one */
}

static int do_timeout(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = EDDY_TIMEOUT(EDDY_SECONDS(1), sleep_a_while(NULL, NULL));
    return status == 0 ? EDDY_TIMEOUT(EDDY_US(100), sleep_a_while(NULL, NULL)) == EDDY_ETIMEDOUT ? 0 : EDDY_ECANCELED
                       : status;
}
AT_EVERY_POINT(timeout_is_no_timeout_when_it_is_cancelled, 2) { operate(do_timeout, NULL); }

static int do_until_idle(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sim_until_idle();
}
AT_EVERY_POINT(sim_until_idle_is_forgotten, 1) {
    operate(do_until_idle, NULL);
    EXPECT_OK(eddy_sim_until_idle());
}

/* ---- looking around ------------------------------------------------------------------------------------------- */

/* A worker alone needs no answers: these suspend on several only. */
static void look_around(eddy_coro_fn body) {
    spawn_children();
    EXPECT_OK(eddy_yield());
    operate(body, NULL);
    EXPECT(w.parks > 0 || ed_worker_current()->sched->workers_count == 1);
    children_end(false);
}
static int do_picture(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_picture *picture;
    int status = eddy_picture_take(&picture);
    if (status == 0) eddy_picture_release(picture);
    return status;
}
static int do_stack(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    void *places[8];
    return eddy_task_stack(eddy_future_task(w.futures[0]), places, 8);
}
static int do_print_stack(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_task_print_stack(eddy_future_task(w.futures[0]), w.got, sizeof w.got);
}
AT_EVERY_POINT(picture_take_leaves_no_picture, 0) { look_around(do_picture); }
AT_EVERY_POINT(task_stack_leaves_the_task_alone, 0) { look_around(do_stack); }
AT_EVERY_POINT(task_print_stack_leaves_the_task_alone, 0) { look_around(do_print_stack); }

/* ---- locks --------------------------------------------------------------------------------------------------- */

static int do_lock(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_lock_acquire(w.objects[0]);
    if (status == 0) EXPECT_OK(eddy_lock_unlock(w.objects[0]));
    return status;
}
static int unlock_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_lock_unlock(w.objects[0]);
}
AT_EVERY_POINT(lock_is_not_held, 1) {
    w.objects[0] = eddy_lock_create();
    EXPECT_OK(eddy_lock_acquire(w.objects[0]));
    operate(do_lock, unlock_later);
    EXPECT(!eddy_lock_is_held(w.objects[0]));
    eddy_lock_release(w.objects[0]);
}

static int do_semaphore(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_semaphore_acquire(w.objects[0]);
}
static int post_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_semaphore_post(w.objects[0]);
}
AT_EVERY_POINT(semaphore_keeps_its_slot, 1) {
    w.objects[0] = eddy_semaphore_create(0);
    operate(do_semaphore, post_later);
    EXPECT_EQ(w.status < 0, eddy_semaphore_try_acquire(w.objects[0]));
    EXPECT(!eddy_semaphore_try_acquire(w.objects[0]));
    eddy_semaphore_release(w.objects[0]);
}

static int do_gate(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_gate_enter(w.objects[0], EDDY_FOREVER);
}
static int leave_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_gate_exit(w.objects[0]);
}
AT_EVERY_POINT(gate_keeps_its_slot, 1) {
    w.objects[0] = eddy_gate_create(1, EDDY_GATE(.wait_ns_max = EDDY_SECONDS(1000)));
    EXPECT(eddy_gate_try_enter(w.objects[0]));
    operate(do_gate, leave_later);
    EXPECT_EQ(w.status < 0, eddy_gate_try_enter(w.objects[0]));
    EXPECT(!eddy_gate_try_enter(w.objects[0]));
    eddy_gate_release(w.objects[0]);
}

static int do_event(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_event_wait(w.objects[0]);
}
static int set_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    eddy_event_set(w.objects[0]);
    return 0;
}
AT_EVERY_POINT(event_forgets_who_left, 1) {
    w.objects[0] = eddy_event_create();
    operate(do_event, set_later);
    eddy_event_release(w.objects[0]); /* a panic if somebody still waited */
}

static int do_condition(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_lock_acquire(w.objects[0]));
    int status = eddy_condition_wait(w.objects[1]);
    EXPECT(eddy_lock_is_held(w.objects[0])); /* whatever it ended with */
    EXPECT_OK(eddy_lock_unlock(w.objects[0]));
    return status;
}
static bool is_notified(void *arg) {
    (void)arg;
    return w.got_bytes > 0;
}
static int do_condition_for(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_lock_acquire(w.objects[0]));
    int status = eddy_condition_wait_for(w.objects[1], is_notified, NULL);
    EXPECT(eddy_lock_is_held(w.objects[0]));
    EXPECT_OK(eddy_lock_unlock(w.objects[0]));
    return status;
}
static int notify_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_OK(eddy_lock_acquire(w.objects[0]));
    w.got_bytes = 1;
    EXPECT_OK(eddy_condition_notify(w.objects[1], 1));
    EXPECT_OK(eddy_sleep(EDDY_MS(1))); /* so that it has to wait for the lock as well */
    return eddy_lock_unlock(w.objects[0]);
}
static void with_condition(eddy_coro_fn body) {
    w.objects[0] = eddy_lock_create();
    w.objects[1] = eddy_condition_create(w.objects[0]);
    operate(body, notify_later);
    EXPECT(!eddy_lock_is_held(w.objects[0]));
    eddy_condition_release(w.objects[1]);
    eddy_lock_release(w.objects[0]);
}
AT_EVERY_POINT(condition_takes_its_lock_back, 2) { with_condition(do_condition); }
AT_EVERY_POINT(condition_wait_for_takes_its_lock_back, 2) { with_condition(do_condition_for); }

static int do_barrier(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_barrier_wait(w.objects[0]);
}
static int come_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    if (w.delivered_at != 0) return 0; /* nobody will come */
    int status = eddy_barrier_wait(w.objects[0]);
    return status < 0 ? status : 0;
}
AT_EVERY_POINT(barrier_does_not_count_who_left, 1) {
    w.objects[0] = eddy_barrier_create(2);
    operate(do_barrier, come_later);
    EXPECT_EQ(0, eddy_barrier_waiting(w.objects[0]));
    EXPECT(!eddy_barrier_is_broken(w.objects[0]));
    eddy_barrier_release(w.objects[0]);
}

static int do_read_lock(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_rwlock_read(w.objects[0]);
    if (status == 0) EXPECT_OK(eddy_rwlock_unlock(w.objects[0]));
    return status;
}
static int do_write_lock(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_rwlock_write(w.objects[0]);
    if (status == 0) EXPECT_OK(eddy_rwlock_unlock(w.objects[0]));
    return status;
}
static int unlock_rw_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_rwlock_unlock(w.objects[0]);
}
static void with_rwlock(eddy_coro_fn body) {
    w.objects[0] = eddy_rwlock_create();
    EXPECT_OK(eddy_rwlock_write(w.objects[0]));
    operate(body, unlock_rw_later);
    EXPECT(eddy_rwlock_try_write(w.objects[0])); /* nobody else holds it */
    EXPECT_OK(eddy_rwlock_unlock(w.objects[0]));
    eddy_rwlock_release(w.objects[0]);
}
AT_EVERY_POINT(rwlock_is_not_held_by_a_reader, 1) { with_rwlock(do_read_lock); }
AT_EVERY_POINT(rwlock_is_not_held_by_a_writer, 1) { with_rwlock(do_write_lock); }

static int run_slowly(void *arg) {
    (void)arg;
    w.got_bytes++;
    return eddy_sleep(EDDY_MS(1));
}
static int do_once(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_once_run(w.objects[0], run_slowly, NULL);
}
AT_EVERY_POINT(once_lets_the_next_one_try, 1) {
    w.objects[0] = eddy_once_create();
    operate(do_once, NULL);
    EXPECT_EQ(w.status == 0, eddy_once_is_done(w.objects[0]));
    EXPECT_OK(eddy_once_run(w.objects[0], run_slowly, NULL));
    EXPECT_EQ(w.status == 0 ? 1 : 2, w.got_bytes);
    eddy_once_release(w.objects[0]);
}

/* ---- queues and channels --------------------------------------------------------------------------------------- */

static int do_get(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_queue_get(w.objects[0], out);
}
static int put_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_queue_put(w.objects[0], EDDY_I64(5));
}
AT_EVERY_POINT(queue_get_takes_no_item, 1) {
    w.objects[0] = eddy_queue_create(0, count_drop);
    operate(do_get, put_later);
    EXPECT_EQ(w.status < 0 ? 1 : 0, eddy_queue_size(w.objects[0]));
    eddy_queue_release(w.objects[0]);
    EXPECT_EQ(w.status < 0 ? 1 : 0, w.dropped); /* what nobody took */
}

static int do_put(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_queue_put(w.objects[0], EDDY_I64(6));
}
static int get_later(void *arg, eddy_value *out) {
    (void)arg;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return eddy_queue_get(w.objects[0], out);
}
AT_EVERY_POINT(queue_put_puts_no_item, 1) {
    w.objects[0] = eddy_queue_create(1, count_drop);
    EXPECT_OK(eddy_queue_put(w.objects[0], EDDY_I64(5)));
    operate(do_put, get_later);
    EXPECT_EQ(w.status < 0 ? 0 : 1, eddy_queue_size(w.objects[0]));
    eddy_queue_release(w.objects[0]);
    EXPECT_EQ(w.status < 0 ? 0 : 1, w.dropped); /* a cancelled put's item is still its caller's */
}

static int do_join(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_queue_join(w.objects[0]);
}
static int done_later(void *arg, eddy_value *out) {
    int status = get_later(arg, out);
    return status == 0 ? eddy_queue_task_done(w.objects[0]) : status;
}
AT_EVERY_POINT(queue_join_changes_no_count, 1) {
    w.objects[0] = eddy_queue_create(0, count_drop);
    EXPECT_OK(eddy_queue_put(w.objects[0], EDDY_I64(5)));
    operate(do_join, done_later);
    EXPECT_EQ(EDDY_ESTATE, eddy_queue_task_done(w.objects[0]));
    eddy_queue_release(w.objects[0]);
    EXPECT_EQ(0, w.dropped);
}

static int do_receive(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int element = 0;
    int status = eddy_channel_receive(w.objects[0], &element);
    if (status == 0) EXPECT_EQ(7, element);
    return status;
}
static int do_send(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int element = 7;
    return eddy_channel_send(w.objects[0], &element);
}
static int send_later(void *arg, eddy_value *out) {
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    return do_send(arg, out);
}
static int receive_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    int element;
    for (w.got_bytes = 0; eddy_channel_try_receive(w.objects[0], &element) == 0; w.got_bytes++) continue;
    return 0;
}
AT_EVERY_POINT(channel_receive_takes_no_element, 1) {
    w.objects[0] = eddy_channel_create(sizeof(int), 1, NULL);
    operate(do_receive, send_later);
    EXPECT_EQ(w.status < 0 ? 1 : 0, eddy_channel_size(w.objects[0]));
    eddy_channel_release(w.objects[0]);
}
static void with_receiver(size_t capacity) {
    int element = 7;
    w.objects[0] = eddy_channel_create(sizeof(int), capacity, NULL);
    for (size_t i = 0; i < capacity; i++) EXPECT_OK(eddy_channel_send(w.objects[0], &element));
    operate(do_send, receive_later);
    EXPECT_EQ(capacity + (w.status < 0 ? 0 : 1), w.got_bytes + eddy_channel_size(w.objects[0]));
    eddy_channel_release(w.objects[0]);
}
AT_EVERY_POINT(channel_send_sends_no_element, 1) { with_receiver(1); }
AT_EVERY_POINT(rendezvous_send_sends_no_element, 1) { with_receiver(0); }

static int do_select(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int sent = 8, received;
    eddy_select_case cases[2] = {eddy_case_receive(w.objects[0], &received), eddy_case_send(w.objects[1], &sent)};
    int which = eddy_select(cases, 2);
    return which < 0 ? which : 0;
}
AT_EVERY_POINT(select_does_none_of_its_cases, 1) {
    int element = 7;
    w.objects[0] = eddy_channel_create(sizeof(int), 1, NULL);
    w.objects[1] = eddy_channel_create(sizeof(int), 1, NULL);
    EXPECT_OK(eddy_channel_send(w.objects[1], &element)); /* full */
    operate(do_select, send_later);
    EXPECT_EQ(w.status < 0 ? 1 : 0, eddy_channel_size(w.objects[0]));
    EXPECT_EQ(1, eddy_channel_size(w.objects[1]));
    for (int i = 0; i < 2; i++) eddy_channel_release(w.objects[i]);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

enum { BIG = 400000 };

static int write_slowly(eddy_stream *stream, void *arg) {
    (void)arg;
    static const char *const pieces[] = {"one", " line\n", "rest"};
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(eddy_sleep(EDDY_MS(20)));
        int status = eddy_stream_write(stream, pieces[i], strlen(pieces[i]));
        if (status == 0) status = eddy_stream_drain(stream);
        if (status < 0) return status;
    }
    return 0;
}
static void gather_bytes(const void *bytes, size_t count) {
    memcpy(w.got + w.got_bytes, bytes, count);
    w.got_bytes += count;
}
static int do_read(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char buffer[16];
    int got = eddy_stream_read(w.stream, buffer, sizeof buffer);
    if (got > 0) gather_bytes(buffer, (size_t)got);
    return got < 0 ? got : 0;
}
static int do_read_exactly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char buffer[10];
    int status = eddy_stream_read_exactly(w.stream, buffer, sizeof buffer, NULL);
    if (status == 0) gather_bytes(buffer, sizeof buffer);
    return status;
}
static int do_read_until(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const char *line;
    size_t bytes;
    int status = eddy_stream_read_until(w.stream, "\n", 1, 0, &line, &bytes);
    if (status == 0) gather_bytes(line, bytes);
    return status;
}
/* What the operation did not take is still there, in order, to the last byte. */
static void with_writer(eddy_coro_fn body) {
    char buffer[64];
    int got;
    w.server = serve(write_slowly, NULL);
    w.stream = dial(w.server);
    operate(body, NULL);
    if (w.status < 0) EXPECT_EQ(0, w.got_bytes);
    while ((got = eddy_stream_read(w.stream, buffer, sizeof buffer)) > 0) gather_bytes(buffer, (size_t)got);
    EXPECT_EQ(EDDY_EOF, got);
    EXPECT_STR("one line\nrest", w.got);
    hang_up(w.stream);
    stop_serving(w.server);
}
AT_EVERY_POINT(stream_read_consumes_nothing, 1) { with_writer(do_read); }
AT_EVERY_POINT(stream_read_exactly_consumes_nothing, 3) { with_writer(do_read_exactly); }
AT_EVERY_POINT(stream_read_until_consumes_nothing, 2) { with_writer(do_read_until); }

static int read_the_pattern(eddy_stream *stream, void *arg) {
    (void)arg;
    EXPECT_OK(eddy_sleep(EDDY_MS(20)));
    EXPECT_EQ(BIG, pattern_receive(stream, 0));
    w.got_bytes = 1;
    return 0;
}
static int do_drain(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_stream_drain(w.stream);
}
AT_EVERY_POINT(stream_drain_sends_every_byte_once, 1) {
    unsigned char *bytes = malloc(BIG);
    pattern_fill(bytes, BIG, 0);
    w.server = serve(read_the_pattern, NULL);
    w.stream = dial(w.server);
    EXPECT_OK(eddy_stream_write(w.stream, bytes, BIG));
    free(bytes);
    operate(do_drain, NULL);
    hang_up(w.stream);
    stop_serving(w.server);
    EXPECT_EQ(1, w.got_bytes);
}

static int file_to_send;
static int64_t file_bytes_sent;
static int do_send_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_stream_send_file(w.stream, file_to_send, 0, BIG, &file_bytes_sent);
}
/* It is gone on with where the operation has stopped, to the byte. */
static void send_the_pattern(void) {
    file_to_send = pattern_file(BIG);
    operate(do_send_file, NULL);
    if (w.status == 0) EXPECT_EQ(BIG, file_bytes_sent);
    EXPECT_OK(eddy_stream_send_file(w.stream, file_to_send, file_bytes_sent, BIG - file_bytes_sent, NULL));
    close(file_to_send);
    hang_up(w.stream);
    stop_serving(w.server);
    EXPECT_EQ(1, w.got_bytes);
}
AT_EVERY_POINT(stream_send_file_sends_every_byte_once, 1) {
    w.server = serve(read_the_pattern, NULL);
    w.stream = dial(w.server);
    send_the_pattern();
}

static int do_close(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_stream_close(w.stream);
}
AT_EVERY_POINT(stream_close_sends_every_byte_all_the_same, 1) {
    unsigned char *bytes = malloc(BIG);
    pattern_fill(bytes, BIG, 0);
    w.server = serve(read_the_pattern, NULL);
    w.stream = dial(w.server);
    EXPECT_OK(eddy_stream_write(w.stream, bytes, BIG));
    free(bytes);
    operate(do_close, NULL);
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(w.stream, "x", 1));
    hang_up(w.stream); /* the second one waits too */
    stop_serving(w.server);
    EXPECT_EQ(1, w.got_bytes);
}

static int do_connect(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_connect(&w.stream, "127.0.0.1", eddy_server_port(w.server), NULL);
}
AT_EVERY_POINT(connect_leaves_no_connection, 1) {
    w.server = serve(echo, NULL);
    operate(do_connect, NULL);
    if (w.status == 0) hang_up(w.stream);
    stop_serving(w.server); /* which waits for each that has come */
}

static int do_wait_closed(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_server_wait_closed(w.server);
}
static int hang_up_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(50)));
    hang_up(w.stream);
    return 0;
}
AT_EVERY_POINT(wait_closed_leaves_the_connections_alone, 1) {
    w.server = serve(echo, NULL);
    w.stream = dial(w.server);
    write_text(w.stream, "x");
    expect_text(w.stream, "x");
    eddy_server_close(w.server);
    operate(do_wait_closed, hang_up_later);
    EXPECT_OK(eddy_server_wait_closed(w.server));
    eddy_server_release(w.server);
}

/* ---- what has a server's end ---------------------------------------------------------------------------------- */

static int read_as_operation(eddy_stream *stream, void *arg) {
    (void)arg;
    char c;
    w.task = eddy_task_share(eddy_current_task());
    w.status = eddy_stream_read(stream, &c, 1);
    return w.status < 0 ? w.status : 0;
}
AT_EVERY_POINT(accepted_connection_ends_with_its_handler, 1) {
    w.server = serve(read_as_operation, NULL);
    w.stream = dial(w.server);
    EXPECT_OK(eddy_sleep(EDDY_MS(50)));
    if (w.delivered_at == 0) write_text(w.stream, "x");
    expect_end(w.stream); /* the handler's end was closed */
    eddy_stream_close(w.stream);
    eddy_stream_release(w.stream);
    stop_serving(w.server);
}

static int do_open_server(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_server_open(&w.server, "127.0.0.1", 0, echo, NULL, NULL);
    if (status < 0) w.server = NULL;
    return status;
}
/* It listens or does not, as the call said: a request that comes when all listen is told to what the task does next. */
AT_EVERY_POINT(server_open_says_whether_it_listens, 0) {
    operate(do_open_server, NULL);
    if (w.server != NULL) stop_serving(w.server); /* one that is left is reported */
}

static int do_shut_down(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_server_shutdown(w.server, EDDY_SECONDS(10));
}
AT_EVERY_POINT(shutdown_can_be_asked_for_again, 1) {
    w.server = serve(echo, NULL);
    w.stream = dial(w.server);
    write_text(w.stream, "x");
    expect_text(w.stream, "x");
    operate(do_shut_down, hang_up_later);
    EXPECT_OK(eddy_server_wait_closed(w.server));
    EXPECT_EQ(0, eddy_server_connections(w.server));
    eddy_server_release(w.server);
}

static int do_adopt(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_stream_adopt(w.stream);
}
AT_EVERY_POINT(stream_adopt_moves_it_or_leaves_it, 0) {
    w.server = serve(echo, NULL);
    w.stream = dial(w.server);
    operate(do_adopt, NULL);
    write_text(w.stream, "here or there");
    expect_text(w.stream, "here or there");
    hang_up(w.stream);
    stop_serving(w.server);
}

/* Names: who is cancelled is given nothing, and the look-up touches nothing of its. */
static int do_resolve(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_addresses *addresses;
    int status = eddy_resolve("localhost", "80", 0, &addresses);
    if (status < 0) return status;
    w.got_bytes = eddy_addresses_count(addresses);
    eddy_addresses_release(addresses);
    return 0;
}
AT_EVERY_POINT(resolve_gives_addresses_or_nothing, 1) {
    operate(do_resolve, NULL);
    EXPECT_EQ(w.status < 0 ? 0 : 2, w.got_bytes);
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
}
static int do_name_an_address(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("127.0.0.1", "80", 0, &addresses));
    int status = eddy_address_name(eddy_addresses_get(addresses, 0), 0, w.got, sizeof w.got, NULL, 0);
    eddy_addresses_release(addresses);
    return status;
}
AT_EVERY_POINT(address_name_gives_a_name_or_nothing, 1) {
    operate(do_name_an_address, NULL);
    EXPECT_STR(w.status < 0 ? "" : "localhost", w.got);
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
}

static struct trust trust;
static int answer_in_tls(eddy_stream *stream, void *arg) {
    (void)arg;
    if (eddy_stream_start_tls(stream, trust.server, NULL) == 0) (void)echo(stream, NULL);
    eddy_handled();
    return 0;
}
static int do_start_tls(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_stream_start_tls(w.stream, trust.client, "localhost");
}
AT_EVERY_POINT(start_tls_leaves_a_stream_to_close, 1) {
    trust_make(&trust, NULL, NULL);
    w.server = serve(answer_in_tls, NULL);
    w.stream = dial(w.server);
    operate(do_start_tls, NULL);
    if (w.status < 0) {
        EXPECT(send_text(w.stream, "x") < 0); /* nothing goes out in the clear */
        eddy_handled();
    } else {
        write_text(w.stream, "secret");
        expect_text(w.stream, "secret");
    }
    (void)eddy_stream_close(w.stream);
    eddy_stream_release(w.stream);
    stop_serving(w.server);
    trust_drop(&trust);
}
/* Also one that has not begun: another worker's task, that was put off. */
UNIT(contract, not_done_start_tls_elsewhere_leaves_a_stream_to_close) {
    ed_runtime_tick_always(true);
    at_every_point(start_tls_leaves_a_stream_to_close, 1);
}
AT_EVERY_POINT(stream_send_file_over_tls_sends_every_byte_once, 1) {
    trust_make(&trust, NULL, NULL);
    w.server = serve_tls(read_the_pattern, NULL, trust.server);
    w.stream = dial_tls(w.server, trust.client);
    send_the_pattern();
    trust_drop(&trust);
}

/* ---- datagrams and descriptors ----------------------------------------------------------------------------------- */

/* A socket that is full: the descriptor goes with its byte, or neither does. */
static int do_send_fds(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int fd = STDERR_FILENO;
    return eddy_stream_send_fds(w.stream, "!", 1, &fd, 1);
}
static int read_all_of_it(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    unsigned char *bytes = malloc(BIG);
    EXPECT_OK(eddy_sleep(EDDY_MS(1)));
    EXPECT_OK(eddy_stream_read_exactly(w.objects[0], bytes, BIG, NULL));
    pattern_expect(bytes, BIG, 0);
    free(bytes);
    return 0;
}
AT_EVERY_REAL_POINT(stream_send_fds_sends_both_or_neither, 1) {
    int pair[2], fd;
    eddy_stream *other;
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    EXPECT_OK(eddy_stream_open_fd(&w.stream, pair[0]));
    EXPECT_OK(eddy_stream_open_fd(&other, pair[1]));
    EXPECT_OK(eddy_stream_accept_fds(other, 1));
    w.objects[0] = other;
    unsigned char *bytes = malloc(BIG);
    pattern_fill(bytes, BIG, 0);
    EXPECT_OK(eddy_stream_write(w.stream, bytes, BIG));
    free(bytes);
    operate(do_send_fds, read_all_of_it);
    write_text(w.stream, ".");
    expect_text(other, w.status < 0 ? "." : "!.");
    EXPECT_EQ(w.status < 0 ? -EAGAIN : 0, eddy_stream_take_fd(other, &fd));
    if (w.status == 0) EXPECT_EQ(0, close(fd));
    hang_up(w.stream);
    hang_up(other);
}

static int do_receive_datagram(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char buffer[16];
    int got = eddy_udp_receive(w.objects[0], buffer, sizeof buffer, NULL);
    if (got >= 0) w.got_bytes = (size_t)got;
    return got < 0 ? got : 0;
}
static int send_datagram_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    return eddy_udp_send(w.objects[1], "hello", 5, NULL);
}
static void open_datagrams(void) {
    eddy_udp *host, *guest;
    EXPECT_OK(eddy_udp_open(&host, "127.0.0.1", 0, NULL));
    EXPECT_OK(eddy_udp_connect(&guest, "127.0.0.1", eddy_udp_port(host), NULL));
    w.objects[0] = host;
    w.objects[1] = guest;
}
static void close_datagrams(void) {
    for (int i = 0; i < 2; i++) eddy_udp_close(w.objects[i]);
}
AT_EVERY_POINT(datagram_receive_takes_none, 1) {
    char buffer[16];
    open_datagrams();
    operate(do_receive_datagram, send_datagram_later);
    if (w.status < 0) { /* it is still there */
        EXPECT_EQ(0, w.got_bytes);
        w.got_bytes =
            (size_t)EDDY_TIMEOUT(EDDY_SECONDS(10), eddy_udp_receive(w.objects[0], buffer, sizeof buffer, NULL));
    }
    EXPECT_EQ(5, w.got_bytes);
    close_datagrams();
}

/* A socket without room, at first: loopback would always take a datagram. */
static int refusals;
static int send_if_room(int fd, const void *data, size_t bytes, const struct eddy_address *to) {
    return refusals-- > 0 ? -EAGAIN : ed_worker_current()->sched->driver->sockets->send_to(fd, data, bytes, to);
}
static int do_send_datagram(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_udp_send(w.objects[1], "hello", 5, NULL);
}
AT_EVERY_REAL_POINT(datagram_send_sends_none, 1) {
    char buffer[16];
    struct ed_sched *sched = ed_worker_current()->sched;
    const struct ed_driver *const driver = sched->driver;
    static struct ed_driver narrow;
    static struct ed_sockets sockets;
    sockets = *driver->sockets;
    sockets.send_to = send_if_room;
    narrow = *driver;
    narrow.sockets = &sockets;
    sched->driver = &narrow; /* the sockets keep the table that they were opened with */
    open_datagrams();
    sched->driver = driver;
    refusals = 2; /* before it stands in line, and when it is its turn */
    operate(do_send_datagram, NULL);
    refusals = 0;
    if (w.status < 0) EXPECT_OK(eddy_udp_send(w.objects[1], "later", 5, NULL));
    EXPECT_EQ(5, EDDY_TIMEOUT(EDDY_SECONDS(10), eddy_udp_receive(w.objects[0], buffer, sizeof buffer, NULL)));
    EXPECT(memcmp(w.status < 0 ? "later" : "hello", buffer, 5) == 0); /* the one that was sent */
    close_datagrams();
}

static int do_watch(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_watch_readable(w.objects[0]);
}
static int pipe_ends[2];
static int write_pipe_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    EXPECT_EQ(1, write(pipe_ends[1], "x", 1));
    return 0;
}
AT_EVERY_REAL_POINT(watch_stays_usable, 1) {
    eddy_watch *watch;
    EXPECT_EQ(0, pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK));
    EXPECT_OK(eddy_watch_open(&watch, pipe_ends[0]));
    w.objects[0] = watch;
    operate(do_watch, write_pipe_later);
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(10), eddy_watch_readable(watch)));
    eddy_watch_close(watch);
    for (int i = 0; i < 2; i++) close(pipe_ends[i]);
}

static int do_watch_writable(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_watch_writable(w.objects[0]);
}
static int empty_pipe_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char bytes[4096];
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    while (read(pipe_ends[0], bytes, sizeof bytes) > 0) continue;
    return 0;
}
AT_EVERY_REAL_POINT(watch_of_a_full_pipe_stays_usable, 1) {
    static const char bytes[4096];
    eddy_watch *watch;
    EXPECT_EQ(0, pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK));
    while (write(pipe_ends[1], bytes, sizeof bytes) > 0) continue;
    EXPECT_OK(eddy_watch_open(&watch, pipe_ends[1]));
    w.objects[0] = watch;
    operate(do_watch_writable, empty_pipe_later);
    EXPECT_OK(EDDY_TIMEOUT(EDDY_SECONDS(10), eddy_watch_writable(watch)));
    eddy_watch_close(watch);
    for (int i = 0; i < 2; i++) close(pipe_ends[i]);
}

static int do_wait_signal(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int64_t count = eddy_signal_wait(w.objects[0]);
    return count < 0 ? (int)count : 0;
}
static int raise_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    EXPECT_EQ(0, kill(getpid(), SIGUSR2));
    return 0;
}
AT_EVERY_REAL_POINT(signal_wait_takes_no_signal, 1) {
    eddy_signal *caught;
    EXPECT_OK(eddy_signal_open(&caught, SIGUSR2));
    w.objects[0] = caught;
    operate(do_wait_signal, raise_later);
    if (w.status < 0) EXPECT_EQ(0, EDDY_TIMEOUT(EDDY_SECONDS(10), do_wait_signal(NULL, NULL)));
    eddy_signal_close(caught);
}

/* ---- children ------------------------------------------------------------------------------------------------------ */

#define WITH_CHILDREN TEST_WITHOUT("valgrind qemu")

static int do_wait_child(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_child_wait(w.objects[0], NULL);
}
static int let_child_go_later(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_sleep(EDDY_MS(2)));
    eddy_stream *in = eddy_child_in(w.objects[0]);
    EXPECT_OK(eddy_child_signal(w.objects[0], 0)); /* it runs, whatever became of the wait */
    EXPECT_OK(eddy_stream_write(in, "go\n", 3));
    return eddy_stream_drain(in);
}
AT_EVERY_REAL_POINT(child_wait_leaves_it_running, 1, WITH_CHILDREN) {
    eddy_child *child;
    int code = 0;
    EXPECT_OK(eddy_child_shell(&child, "read line; exit 4", EDDY_CHILD(.in = EDDY_CHILD_PIPE)));
    w.objects[0] = child;
    operate(do_wait_child, let_child_go_later);
    EXPECT_OK(eddy_child_wait(child, &code));
    EXPECT_EQ(4, code);
    eddy_child_release(child);
}

static int do_stop_child(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_child_stop(w.objects[0], EDDY_SECONDS(1000), NULL);
}
AT_EVERY_REAL_POINT(child_stop_has_sent_its_signal, 1, WITH_CHILDREN) {
    eddy_child *child;
    int code = 0;
    EXPECT_OK(eddy_child_shell(&child, "read line", EDDY_CHILD(.in = EDDY_CHILD_PIPE)));
    w.objects[0] = child;
    operate(do_stop_child, NULL);
    EXPECT_OK(eddy_child_wait(child, &code));
    EXPECT_EQ(-SIGTERM, code);
    eddy_child_release(child);
}

static int do_communicate(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_bytes said;
    int status = eddy_child_communicate(w.objects[0], "to and fro", 10, 0, &said, NULL, NULL);
    if (status < 0) return status;
    EXPECT_STR("to and fro", said.data);
    eddy_bytes_free(&said);
    return 0;
}
AT_EVERY_REAL_POINT(communicate_leaves_a_child_that_can_be_stopped, 1, WITH_CHILDREN) {
    eddy_child *child;
    const char *const cat[] = {"cat", NULL};
    EXPECT_OK(eddy_child_start(&child, cat, EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE)));
    w.objects[0] = child;
    operate(do_communicate, NULL);
    EXPECT_OK(eddy_child_stop(child, EDDY_SECONDS(10), NULL));
    eddy_child_release(child);
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

/* What the next suspension of the task is told. */
static int told_next(void) { return eddy_sleep(EDDY_US(1)); }

static int do_write_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_file_write(w.objects[0], "new", 3, 0);
    if (status < 0) return status;
    EXPECT_EQ(w.cancel_at > 0 ? EDDY_ECANCELED : 0, told_next());
    eddy_handled();
    return 0;
}
static int do_read_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int got = eddy_file_read(w.objects[0], w.got, 3, 0);
    if (got < 0) return got;
    EXPECT_EQ(3, got);
    EXPECT_EQ(w.cancel_at > 0 ? EDDY_ECANCELED : 0, told_next());
    eddy_handled();
    return 0;
}
static int do_sync_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_file_sync(w.objects[0], false);
}
static int do_size_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int64_t bytes;
    return eddy_file_size(w.objects[0], &bytes);
}
static int do_truncate_file(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_file_truncate(w.objects[0], 0);
}
static int do_read_all(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_bytes bytes;
    return eddy_file_read_all("/dev/null", 0, &bytes);
}
static eddy_file *open_file(void) {
    char path[300];
    eddy_file *file;
    snprintf(path, sizeof path, "%s/file", test_folder());
    EXPECT_OK(eddy_file_open(&file, path, O_RDWR | O_CREAT | O_TRUNC, 0600));
    EXPECT_OK(eddy_file_write(file, "old", 3, 0));
    w.objects[0] = file;
    return file;
}
static void write_a_file(void) {
    char text[4] = "";
    eddy_file *file = open_file();
    operate(do_write_file, NULL);
    EXPECT_EQ(3, eddy_file_read(file, text, 3, 0));
    EXPECT_STR(w.status < 0 ? "old" : "new", text);
    EXPECT_OK(eddy_file_close(file));
}
static void read_a_file(void) {
    eddy_file *file = open_file();
    operate(do_read_file, NULL);
    EXPECT_STR(w.status < 0 ? "" : "old", w.got);
    EXPECT_OK(eddy_file_close(file));
}
/* Begun or not, as the threads have it. */
UNIT(contract, not_done_file_write_has_happened_or_has_not, TEST_LIMIT(60)) {
    for (int i = 0; i < 20; i++) at_every_real_point(write_a_file, 1, true);
}
UNIT(contract, not_done_file_read_has_happened_or_has_not, TEST_LIMIT(60)) {
    for (int i = 0; i < 20; i++) at_every_real_point(read_a_file, 1, true);
}

/* Opening a FIFO takes a thread until somebody opens its other end. */
enum { FILE_THREADS = 8 };
static char fifo[300];
static int open_fifo(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_file *file;
    int status = eddy_file_open(&file, fifo, O_RDONLY, 0);
    if (status < 0) return status;
    w.got_bytes = told_next() == EDDY_ECANCELED;
    eddy_handled();
    return eddy_file_close(file);
}
static void make_fifo(void) {
    snprintf(fifo, sizeof fifo, "%s/fifo", test_folder());
    unlink(fifo);
    EXPECT_EQ(0, mkfifo(fifo, 0600));
}
static int let_in(void) { /* waits for one who has begun to open it, in this thread */
    int fd;
    while ((fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) usleep(100);
    return fd;
}
static int with_all_threads_taken(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *openers[FILE_THREADS];
    make_fifo();
    eddy_file *file = open_file();
    for (int i = 0; i < FILE_THREADS; i++) openers[i] = spawn_parked(open_fifo, NULL);
    static const eddy_coro_fn calls[] = {do_write_file, do_read_file,     do_sync_file,
                                         do_size_file,  do_truncate_file, do_read_all};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        eddy_task *caller = spawn_parked(calls[i], NULL);
        EXPECT(eddy_cancel(EDDY_FUTURE(caller)));
        EXPECT_EQ(EDDY_ECANCELED, end_of(caller)); /* at once: no thread has come free */
    }
    EXPECT_STR("", w.got);
    int fd = let_in();
    for (int i = 0; i < FILE_THREADS; i++) EXPECT_OK(end_of(openers[i]));
    close(fd);
    EXPECT_EQ(3, eddy_file_read(file, w.got, 3, 0));
    EXPECT_STR("old", w.got);
    return eddy_file_close(file);
}
UNIT(contract, not_done_file_calls_that_have_not_begun_do_not_begin) {
    memset(&w, 0, sizeof w);
    EXPECT_OK(eddy_run(with_all_threads_taken, NULL, NULL, EDDY_RUN(.workers = 1)));
}

static int cancel_what_has_begun(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    make_fifo();
    eddy_task *task = spawn_parked(open_fifo, NULL);
    int fd = let_in(); /* its end is not known to this worker, which has done nothing else */
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_OK(end_of(task));
    EXPECT_EQ(1, w.got_bytes); /* the request came with what it did next */
    close(fd);
    return 0;
}
UNIT(contract, not_done_file_calls_that_have_begun_are_finished_and_told_as_done) {
    memset(&w, 0, sizeof w);
    EXPECT_OK(eddy_run(cancel_what_has_begun, NULL, NULL, EDDY_RUN(.workers = 1)));
}

/* ---- threads and processes ------------------------------------------------------------------------------------------- */

static int work(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    begun = true;
    while (w.cancel_at > 0 && !gate_open && !eddy_job_cancelled()) usleep(100);
    usleep(1000);
    ended++;
    return 0;
}
static int work_deaf(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    begun = true;
    while (w.cancel_at > 0 && !gate_open) usleep(100);
    ended++;
    return 0;
}
static void count_arg(eddy_value value) {
    (void)value;
    args_dropped++;
}
static int do_to_thread(void *arg, eddy_value *out) { return eddy_to_thread(work, arg, out); }
static int do_to_thread_abandon(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_to_thread_abandon(work_deaf, &w, EDDY_ABANDON_JOB(.drop_arg = count_arg), out);
}
static void borrow_a_thread(void) {
    operate(do_to_thread, NULL);
    EXPECT_EQ(begun ? 1 : 0, ended); /* never began, or has ended */
    if (w.status == 0 || until_begun) EXPECT_EQ(1, ended);
}
static void abandon_a_thread(void) {
    operate(do_to_thread_abandon, NULL);
    if (until_begun && w.status < 0) EXPECT_EQ(0, ended); /* it runs on alone */
    gate_open = true;
    while (args_dropped == 0) EXPECT_OK(eddy_yield());
    EXPECT_EQ(begun ? 1 : 0, ended);
}
static void begun_or_not(void (*scenario)(void)) {
    for (int i = 0; i < 2; i++) {
        until_begun = i == 1;
        at_every_real_point(scenario, 1, true);
        EXPECT_EQ(EDDY_ECANCELED, w.status);
    }
}
UNIT(contract, not_done_to_thread_ends_after_its_function) { begun_or_not(borrow_a_thread); }
UNIT(contract, not_done_to_thread_abandon_ends_at_once) { begun_or_not(abandon_a_thread); }

static int work_a_little(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    usleep(2000);
    ended++;
    return 0;
}
static int use_pool(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_thread_pool_run(w.objects[0], work_a_little, NULL, out);
}
static int do_close_pool(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_thread_pool_close(w.objects[0]);
}
AT_EVERY_REAL_POINT(thread_pool_close_goes_on_alone, 1) {
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 1)));
    w.objects[0] = pool;
    eddy_task *users[3];
    for (int i = 0; i < 3; i++) users[i] = spawn(use_pool, NULL);
    test_until_all_parked(); /* or ended: 2 ms may be over by now */
    operate(do_close_pool, NULL);
    for (int i = 0; i < 3; i++) EXPECT_OK(end_of(users[i])); /* what was queued is done */
    EXPECT_EQ(3, ended);
}

static int work_elsewhere(eddy_bytes in, eddy_bytes *out) {
    while (in.size > 0) usleep(1000); /* until it is killed */
    return eddy_bytes_copy(out, "done", 4);
}
EDDY_REMOTE(work_elsewhere);
static int do_to_process(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_bytes said;
    int status = eddy_to_process(work_elsewhere, eddy_bytes_view("x", w.cancel_at > 0 ? 1 : 0), &said);
    if (status >= 0) eddy_bytes_free(&said);
    return status;
}
AT_EVERY_REAL_POINT(to_process_leaves_no_work, 1, WITH_CHILDREN) {
    eddy_process_pool_stats stats;
    operate(do_to_process, NULL);
    eddy_process_pool_stats_read(NULL, &stats);
    EXPECT_EQ(0, stats.running + stats.queued);
}
static int do_call_process(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_buffer *buffer;
    int status = eddy_process_buffer_create(&buffer, 10);
    if (status < 0) return status;
    eddy_bytes said;
    status = eddy_process_pool_call(NULL, work_elsewhere, eddy_bytes_view("x", w.cancel_at > 0 ? 1 : 0), &said,
                                    EDDY_PROCESS_CALL(.buffer = &buffer));
    eddy_bytes_free(&said);
    EXPECT(buffer != NULL); /* the work is dead, or never began */
    eddy_process_buffer_release(buffer);
    return status;
}
AT_EVERY_REAL_POINT(process_pool_call_leaves_no_work_and_its_buffer, 1, WITH_CHILDREN) {
    eddy_process_pool_stats stats;
    operate(do_call_process, NULL);
    eddy_process_pool_stats_read(NULL, &stats);
    EXPECT_EQ(0, stats.running + stats.queued);
}
static int do_close_processes(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_process_pool_close(w.objects[0]);
}
AT_EVERY_REAL_POINT(process_pool_close_goes_on_alone, 1, WITH_CHILDREN) {
    eddy_process_pool *pool;
    eddy_bytes said;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1)));
    EXPECT_OK(eddy_process_pool_run(pool, work_elsewhere, eddy_bytes_view("", 0), &said));
    eddy_bytes_free(&said);
    w.objects[0] = pool;
    operate(do_close_processes, NULL); /* what is left is the end of the run's: no process outlives it */
}
static int cancel_at_work(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool_stats stats;
    w.cancel_at = 1;
    eddy_task *task = spawn(do_to_process, NULL);
    do {
        EXPECT_OK(eddy_yield());
        eddy_process_pool_stats_read(NULL, &stats);
    } while (stats.running == 0);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_process_pool_stats_read(NULL, &stats);
    EXPECT_EQ(0, stats.running);
    EXPECT_EQ(1, stats.kills);
    return 0;
}
UNIT(contract, not_done_to_process_kills_what_has_begun, WITH_CHILDREN) {
    EXPECT_OK(eddy_run(cancel_at_work, NULL, NULL, EDDY_RUN(.workers = 1)));
}

/* ---- cleaning up ------------------------------------------------------------------------------------------------- */

/* Cleanup under a shield, with a deadline of its own: as far as the next one of it, whatever comes. */
static int clean_up(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = EDDY_TIMEOUT(EDDY_MS(3), eddy_sleep(w.got_bytes > 0 ? EDDY_SECONDS(100) : EDDY_MS(1)));
    w.dropped++;
    return status;
}
static int do_work_and_clean_up(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_sleep(EDDY_MS(1));
    eddy_task *cleaner;
    eddy_future *outer;
    EXPECT_OK(eddy_spawn(&cleaner, clean_up, NULL, NULL));
    EXPECT_OK(eddy_shield(&outer, EDDY_FUTURE(cleaner)));
    int cleaned = eddy_await(outer, NULL);
    eddy_future_release(outer);
    if (cleaned == EDDY_ECANCELED) { /* cancelled in its cleanup: that goes on; once more for its end */
        cleaned = eddy_await(EDDY_FUTURE(cleaner), NULL);
        status = EDDY_ECANCELED;
    }
    EXPECT_EQ(w.got_bytes > 0 ? EDDY_ETIMEDOUT : 0, cleaned);
    eddy_task_release(cleaner);
    return status;
}
AT_EVERY_POINT(cleanup_under_a_shield_is_done, 2) {
    operate(do_work_and_clean_up, NULL);
    EXPECT_EQ(1, w.dropped);
}
AT_EVERY_POINT(cleanup_under_a_shield_ends_at_its_own_deadline, 2) {
    w.got_bytes = 1;
    int64_t start_ns = eddy_time_ns();
    operate(do_work_and_clean_up, NULL);
    EXPECT_EQ(1, w.dropped);
    EXPECT(eddy_time_ns() - start_ns < EDDY_MS(6));
}
