/* Plain threads wait as tasks do, beside tasks and without any; callbacks may not. */
#include "crowd.h"
#include "eddy/loop.h"
#include "eddy/thread.h"
#include "sync/sync.h"

#include <pthread.h>

EDDY_CHANNEL(numbers, int64_t);

/* One of each, used by threads and tasks alike. */
struct place {
    eddy_lock *lock;
    eddy_condition *condition;
    eddy_semaphore *semaphore;
    eddy_event *event;
    eddy_rwlock *rwlock;
    eddy_once *once;
    eddy_queue *queue, *answers;
    numbers there, back;
    int64_t rounds, count, tokens; /* under lock */
    int64_t written;               /* under rwlock */
    _Atomic int in_semaphore, begun;
};

static void place_open(struct place *place, int64_t rounds) {
    *place = (struct place){.lock = eddy_lock_create(),
                            .semaphore = eddy_semaphore_create(2),
                            .event = eddy_event_create(),
                            .rwlock = eddy_rwlock_create(),
                            .once = eddy_once_create(),
                            .queue = eddy_queue_create(2, NULL),
                            .answers = eddy_queue_create(1, NULL),
                            .there = numbers_create(0, NULL),
                            .back = numbers_create(2, NULL),
                            .rounds = rounds};
    place->condition = eddy_condition_create(place->lock);
}

static void place_close(struct place *place) {
    eddy_condition_release(place->condition);
    eddy_lock_release(place->lock);
    eddy_semaphore_release(place->semaphore);
    eddy_event_release(place->event);
    eddy_rwlock_release(place->rwlock);
    eddy_once_release(place->once);
    eddy_queue_release(place->queue);
    eddy_queue_release(place->answers);
    numbers_release(place->there);
    numbers_release(place->back);
}

static int begin(void *arg) {
    ED_ADD(&((struct place *)arg)->begun, 1);
    return 0;
}

static bool has_token(void *arg) { return ((struct place *)arg)->tokens > 0; }

static int work(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    EXPECT_OK(eddy_event_wait(place->event));
    EXPECT_OK(eddy_once_run(place->once, begin, place));
    EXPECT_EQ(1, place->begun);
    for (int64_t i = 0; i < place->rounds; i++) {
        EXPECT_OK(eddy_lock_acquire(place->lock));
        place->count++;
        EXPECT_OK(eddy_lock_unlock(place->lock));

        EXPECT_OK(eddy_semaphore_acquire(place->semaphore));
        EXPECT(ED_ADD(&place->in_semaphore, 1) < 2);
        ED_SUB(&place->in_semaphore, 1);
        EXPECT_OK(eddy_semaphore_post(place->semaphore));

        EXPECT_OK(i % 4 ? eddy_rwlock_read(place->rwlock) : eddy_rwlock_write(place->rwlock));
        if (i % 4 == 0) place->written++;
        EXPECT_OK(eddy_rwlock_unlock(place->rwlock));

        EXPECT_OK(eddy_lock_acquire(place->lock)); /* a token for each, passed round */
        EXPECT_OK(eddy_condition_wait_for(place->condition, has_token, place));
        place->tokens--;
        place->tokens++;
        EXPECT_OK(eddy_condition_notify(place->condition, 1));
        EXPECT_OK(eddy_lock_unlock(place->lock));
    }
    return 0;
}

static void *work_in_thread(void *arg) {
    EXPECT_OK(work(arg, NULL));
    return NULL;
}

TEST(thread_wait, threads_and_tasks_share_locks) {
    struct place place;
    place_open(&place, test_scaled(2000));
    struct crowd crowd = {.count = 0};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, work_in_thread, &place));
    for (int i = 0; i < 3; i++) crowd_add(&crowd, work, &place);
    test_until_all_parked();
    eddy_event_set(place.event);
    EXPECT_OK(eddy_lock_acquire(place.lock));
    place.tokens = 1;
    EXPECT_OK(eddy_condition_notify(place.condition, 1));
    EXPECT_OK(eddy_lock_unlock(place.lock));
    crowd_join(&crowd);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    EXPECT_EQ(6 * place.rounds, place.count);
    EXPECT_EQ(6 * ((place.rounds + 3) / 4), place.written);
    place_close(&place);
}

/* Answers each number with the next one: a queue there and back, a rendezvous there and a select back. */
static int answer(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    for (;;) {
        eddy_value item;
        int64_t number;
        int status = eddy_queue_get(place->queue, &item);
        if (status == EDDY_ECLOSED) break;
        EXPECT_OK(status);
        EXPECT_OK(eddy_queue_put(place->answers, EDDY_I64(item.i64 + 1)));
        EXPECT_OK(numbers_receive(place->there, &number));
        number++;
        eddy_select_case one = numbers_case_send(place->back, &number);
        EXPECT_EQ(0, eddy_select(&one, 1));
        EXPECT_OK(eddy_queue_task_done(place->queue));
    }
    return 0;
}

static int ask(void *arg, eddy_value *out) {
    struct place *place = arg;
    (void)out;
    for (int64_t i = 0; i < place->rounds; i++) {
        eddy_value item;
        int64_t a = -1, b = -1;
        EXPECT_OK(eddy_queue_put(place->queue, EDDY_I64(i)));
        EXPECT_OK(eddy_queue_get(place->answers, &item));
        EXPECT_EQ(i + 1, item.i64);
        EXPECT_OK(numbers_send(place->there, i));
        eddy_select_case cases[] = {numbers_case_receive(place->there, &a), numbers_case_receive(place->back, &b)};
        EXPECT_EQ(1, eddy_select(cases, 2));
        EXPECT_EQ(i + 1, b);
        EXPECT_OK(eddy_queue_join(place->queue));
    }
    eddy_queue_close(place->queue);
    return 0;
}

static void *answer_in_thread(void *arg) {
    EXPECT_OK(answer(arg, NULL));
    return NULL;
}

static void *ask_in_thread(void *arg) {
    EXPECT_OK(ask(arg, NULL));
    return NULL;
}

TEST(thread_wait, thread_answers_a_task_and_a_task_a_thread) {
    for (int thread_asks = 0; thread_asks < 2; thread_asks++) {
        struct place place;
        place_open(&place, test_scaled(1000));
        pthread_t thread;
        struct crowd crowd = {.count = 0};
        EXPECT_EQ(0, pthread_create(&thread, NULL, thread_asks ? ask_in_thread : answer_in_thread, &place));
        crowd_add(&crowd, thread_asks ? answer : ask, &place);
        crowd_join(&crowd);
        pthread_join(thread, NULL);
        place_close(&place);
    }
}

UNIT(thread_wait, threads_alone_need_no_run) {
    struct place place;
    place_open(&place, test_scaled(1000));
    pthread_t threads[3];
    EXPECT_EQ(0, pthread_create(&threads[0], NULL, answer_in_thread, &place));
    EXPECT_OK(ask(&place, NULL));
    pthread_join(threads[0], NULL);
    place.tokens = 1;
    for (int i = 0; i < 3; i++) EXPECT_EQ(0, pthread_create(&threads[i], NULL, work_in_thread, &place));
    eddy_event_set(place.event);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    EXPECT_EQ(3 * place.rounds, place.count);
    place_close(&place);
}

static int take_from_pool(void *arg, eddy_value *out) { return eddy_queue_get(arg, out); }

/* A blocking function in the thread pool may wait for its own caller's tasks. */
TEST(thread_wait, function_of_the_pool_waits_for_a_task) {
    eddy_queue *queue = eddy_queue_create(0, NULL);
    struct crowd crowd = {.count = 0};
    eddy_value value;
    EXPECT_OK(eddy_queue_put(queue, EDDY_I64(1)));
    EXPECT_OK(eddy_to_thread(take_from_pool, queue, &value));
    EXPECT_EQ(1, value.i64);
    eddy_queue_release(queue);
    crowd_join(&crowd);
}

static int lock_without_memory(void *arg) {
    struct place *place = arg;
    return eddy_event_wait(place->event);
}

static void *set_in_thread(void *arg) {
    eddy_event_set(arg);
    return NULL;
}

static int wait_for_thread(void *arg) {
    struct place place = {.event = arg};
    pthread_t thread;
    eddy_event_clear(arg);
    ed_alloc_fail_at(1);
    EXPECT_EQ(EDDY_ENOMEM, lock_without_memory(&place));
    EXPECT_EQ(0, pthread_create(&thread, NULL, set_in_thread, arg));
    int status = lock_without_memory(&place);
    pthread_join(thread, NULL);
    return status;
}

UNIT(thread_wait, without_memory_for_its_place_a_thread_does_not_wait) {
    eddy_event *event = eddy_event_create();
    for (int i = 0; i < 20; i++) EXPECT_OK(wait_for_thread(event));
    eddy_event_release(event);
}

struct call {
    struct place place;
    eddy_future *done;
};

static int called_on_a_worker(void *arg) {
    struct call *call = arg;
    struct place *place = &call->place;
    int64_t number = 0;
    eddy_value value;
    eddy_select_case one = numbers_case_receive(place->back, &number);
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_lock_acquire(place->lock));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_event_wait(place->event));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_condition_wait(place->condition));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_semaphore_acquire(place->semaphore));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_rwlock_read(place->rwlock));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_rwlock_write(place->rwlock));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_once_run(place->once, begin, place));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_queue_put(place->queue, EDDY_NONE));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_queue_get(place->queue, &value));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_queue_join(place->queue));
    EXPECT_EQ(EDDY_EWRONGTHREAD, numbers_send(place->back, 1));
    EXPECT_EQ(EDDY_EWRONGTHREAD, numbers_receive(place->back, &number));
    EXPECT_EQ(EDDY_EWRONGTHREAD, eddy_select(&one, 1));
    EXPECT_OK(eddy_queue_try_put(place->queue, EDDY_I64(1)));
    EXPECT_OK(numbers_try_send(place->back, 1));
    EXPECT_EQ(0, eddy_try_select(&one, 1));
    return eddy_future_set(call->done, EDDY_NONE);
}

TEST(thread_wait, callback_on_a_worker_may_try_but_not_wait) {
    struct call call = {.done = eddy_future_create()};
    place_open(&call.place, 1);
    EXPECT_OK(eddy_call_soon(NULL, called_on_a_worker, &call, NULL));
    EXPECT_OK(eddy_await(call.done, NULL));
    eddy_future_release(call.done);
    place_close(&call.place);
}
