/* map_test.c: maps over pools: each input once, in order or as they come, no more of them under way than asked for, and all
 * told of when something stops. */
#include "exec/process_helpers.h"

#include "eddy/map.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- inputs and what became of them ----------------------------------------------------------------------- */

struct counted {
    size_t wanted, given, told, ended_well, buffer;
    size_t stop_at; /* each stops at this index */
    size_t fail_at; /* next fails at this one   */
    bool in_order;
    unsigned char *seen; /* times told, by index */
    _Atomic size_t under_way, under_way_max;
    _Atomic bool held; /* the functions wait */
    _Atomic bool begun;
};
struct input {
    struct counted *counted;
    int64_t number;
};

static void count_init(struct counted *counted, size_t wanted, size_t buffer) {
    memset(counted, 0, sizeof *counted);
    counted->wanted = wanted;
    counted->buffer = buffer;
    counted->stop_at = counted->fail_at = SIZE_MAX;
    counted->in_order = true;
    counted->seen = calloc(wanted + 1, 1);
}

static void count_check(struct counted *counted) {
    EXPECT_EQ(counted->given, counted->told);
    for (size_t i = 0; i < counted->given; i++) EXPECT_EQ(1, counted->seen[i]);
    free(counted->seen);
}

static int next_input(void *arg, void **item_out) {
    struct counted *counted = arg;
    EXPECT(counted->given - counted->told < counted->buffer); /* the bound */
    if (counted->given == counted->fail_at) return eddy_fail(-71, "no more paper");
    if (counted->given == counted->wanted) return 0;
    struct input *input = malloc(sizeof *input);
    *input = (struct input){counted, (int64_t)counted->given++};
    *item_out = input;
    return 1;
}

static int square(void *arg, eddy_value *out) {
    struct input *input = arg;
    struct counted *counted = input->counted;
    const size_t now = ++counted->under_way;
    for (size_t max = counted->under_way_max;
         now > max && !atomic_compare_exchange_weak(&counted->under_way_max, &max, now);)
        continue;
    counted->begun = true;
    while (counted->held && !eddy_job_cancelled()) usleep(200);
    counted->under_way--;
    *out = EDDY_I64(input->number * input->number);
    return input->number % 7 == 6 ? eddy_fail(-73, "number %d", (int)input->number) : 0;
}

static int told(void *arg, size_t index, void *item, int status, eddy_value value) {
    struct counted *counted = arg;
    struct input *input = item;
    EXPECT_EQ(index, input->number);
    if (counted->in_order) EXPECT_EQ(counted->told, index);
    counted->told++;
    counted->seen[index]++;
    if (status == 0) {
        EXPECT_EQ(input->number * input->number, value.i64);
        counted->ended_well++;
    } else if (status == -73) {
        char text[32];
        snprintf(text, sizeof text, "number %zu", index);
        EXPECT_STR(text, eddy_error_text(eddy_error_current(-73)));
        eddy_handled();
    } else {
        EXPECT(status == EDDY_ECANCELED || status == EDDY_ENOMEM);
    }
    free(input);
    if (status == EDDY_ENOMEM) return status;
    return index == counted->stop_at ? eddy_fail(-72, "enough of %zu", index) : 0;
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

static void map_all(eddy_thread_pool *pool, size_t wanted, size_t buffer, bool as_they_come) {
    struct counted counted;
    count_init(&counted, wanted, buffer);
    counted.in_order = !as_they_come;
    EXPECT_OK(eddy_thread_pool_map(pool, square,
                                   EDDY_THREAD_MAP(.next = next_input, .each = told, .arg = &counted, .buffer = buffer,
                                                   .as_they_come = as_they_come)));
    EXPECT_EQ(wanted, counted.given);
    EXPECT_EQ(wanted - wanted / 7, counted.ended_well);
    EXPECT(counted.under_way_max <= buffer);
    count_check(&counted);
}

TEST(map, each_input_once_and_in_order) {
    eddy_thread_pool *pool;
    EXPECT_OK(eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 3)));
    for (size_t buffer = 1; buffer <= 100; buffer = buffer * 3 + 1)
        for (size_t wanted = 0; wanted <= 300; wanted = wanted * 5 + 1)
            for (int as_they_come = 0; as_they_come < 2; as_they_come++) map_all(pool, wanted, buffer, as_they_come);
    EXPECT_OK(eddy_thread_pool_close(pool));
    map_all(NULL, 50, 8, false); /* the default pool */
}

/* The first input is held: told as they come the others are, in order none is, and no more are asked for than there is room. */
static int until(struct counted *counted, size_t told_count, size_t given) {
    while (counted->told < told_count || counted->given < given) EXPECT_OK(eddy_yield());
    return 0;
}

struct held {
    struct counted counted;
    eddy_thread_pool *pool;
    bool as_they_come;
};
static int hold_first(void *arg, eddy_value *out) {
    struct input *input = arg;
    if (input->number > 0) return *out = EDDY_I64(input->number * input->number), 0;
    return square(arg, out);
}
static int held_map(void *arg, eddy_value *out) {
    struct held *held = arg;
    (void)out;
    return eddy_thread_pool_map(held->pool, hold_first,
                                EDDY_THREAD_MAP(.next = next_input, .each = told, .arg = &held->counted,
                                                .buffer = held->counted.buffer, .as_they_come = held->as_they_come));
}

SERIAL_TEST(map, a_slow_first_input_holds_up_the_order_only, TEST_REAL) {
    struct held held;
    for (int as_they_come = 0; as_they_come < 2; as_they_come++) {
        EXPECT_OK(eddy_thread_pool_create(&held.pool, EDDY_THREAD_POOL(.threads = 2)));
        held.as_they_come = as_they_come;
        count_init(&held.counted, 30, 4);
        held.counted.in_order = !as_they_come;
        held.counted.held = true;
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, held_map, &held, NULL));
        if (as_they_come) {
            until(&held.counted, 29, 30);
        } else {
            eddy_thread_pool_stats stats;
            do {
                EXPECT_OK(eddy_yield());
                eddy_thread_pool_stats_read(held.pool, &stats);
            } while (stats.done < 3);
            for (int i = 0; i < 50; i++) EXPECT_OK(eddy_yield());
            EXPECT_EQ(0, held.counted.told);
            EXPECT_EQ(4, held.counted.given);
        }
        held.counted.held = false;
        EXPECT_OK(eddy_await(EDDY_FUTURE(task), NULL));
        eddy_task_release(task);
        EXPECT_EQ(30, held.counted.ended_well);
        count_check(&held.counted);
        EXPECT_OK(eddy_thread_pool_close(held.pool));
    }
}

TEST(map, who_listens_or_gives_may_stop_it) {
    for (size_t at = 0; at < 20; at += 3)
        for (int as_they_come = 0; as_they_come < 2; as_they_come++) {
            struct counted counted;
            const eddy_thread_map map = {sizeof map, next_input, told, &counted, 5, as_they_come};
            count_init(&counted, 100, 5);
            counted.in_order = !as_they_come;
            counted.stop_at = at;
            EXPECT_EQ(-72, eddy_thread_pool_map(NULL, square, &map));
            EXPECT_HAS(eddy_error_text(eddy_error_current(-72)), "enough of");
            eddy_handled();
            EXPECT(counted.given > at && counted.given <= 100);
            count_check(&counted);

            count_init(&counted, 100, 5);
            counted.in_order = !as_they_come;
            counted.fail_at = at;
            EXPECT_EQ(-71, eddy_thread_pool_map(NULL, square, &map));
            EXPECT_STR("no more paper", eddy_error_text(eddy_error_current(-71)));
            eddy_handled();
            EXPECT_EQ(at, counted.given);
            count_check(&counted);
        }
}

/* A cancel at any moment: all that was given is told, in order, and no function runs any more. */
TEST(map, cancel_at_every_step, TEST_LIMIT(60)) {
    struct held held;
    EXPECT_OK(eddy_thread_pool_create(&held.pool, EDDY_THREAD_POOL(.threads = 2)));
    for (int64_t k = 0; k < test_scaled(60); k++) {
        held.as_they_come = k % 2 != 0;
        count_init(&held.counted, 20, 3);
        held.counted.in_order = !held.as_they_come;
        eddy_task *task;
        EXPECT_OK(eddy_spawn(&task, held_map, &held, NULL));
        for (int64_t step = 0; step < k * k / 4; step++) EXPECT_OK(eddy_yield());
        const bool was_done = !eddy_cancel(EDDY_FUTURE(task));
        const int status = eddy_await(EDDY_FUTURE(task), NULL);
        EXPECT(status == EDDY_ECANCELED || (status == 0 && held.counted.told == 20) || was_done);
        eddy_task_release(task);
        EXPECT_EQ(0, held.counted.under_way);
        count_check(&held.counted);
    }
    EXPECT_OK(eddy_thread_pool_close(held.pool));
}

TEST(map, a_timeout_stops_what_is_held) {
    struct held held = {.as_they_come = true};
    EXPECT_OK(eddy_thread_pool_create(&held.pool, EDDY_THREAD_POOL(.threads = 2)));
    count_init(&held.counted, 20, 3);
    held.counted.in_order = false;
    held.counted.held = true;
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(20), held_map(&held, NULL)));
    eddy_handled();
    EXPECT_EQ(0, held.counted.under_way);
    count_check(&held.counted);
    EXPECT_OK(eddy_thread_pool_close(held.pool));
}

TEST(map, wrong_use_is_told) {
    struct counted counted;
    count_init(&counted, 1, 1);
    const eddy_thread_map good = {sizeof good, next_input, told, &counted, 1, false};
    eddy_thread_map map = good;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, NULL, &good));
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, square, NULL));
    map.size = 1;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, square, &map));
    map = good, map.next = NULL;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, square, &map));
    map = good, map.each = NULL;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, square, &map));
    map = good, map.buffer = SIZE_MAX;
    EXPECT_EQ(EDDY_EINVAL, eddy_thread_pool_map(NULL, square, &map));
    EXPECT_EQ(0, counted.given);
    count_check(&counted);
}

static int map_some(void *arg) {
    struct counted counted;
    eddy_thread_pool *pool;
    (void)arg;
    int status = eddy_thread_pool_create(&pool, NULL);
    if (status < 0) return status;
    count_init(&counted, 5, 2);
    status = eddy_thread_pool_map(pool, square,
                                  EDDY_THREAD_MAP(.next = next_input, .each = told, .arg = &counted, .buffer = 2));
    if (status == 0) EXPECT_EQ(5, counted.ended_well);
    count_check(&counted);
    eddy_handled();
    const int closed = eddy_thread_pool_close(pool);
    return status < 0 ? status : closed;
}

/* Moved, its tasks come from another worker's records, which stay until the run ends. */
TEST(map, survives_the_failure_of_each_allocation, TEST_WITHOUT("migrate")) {
    EXPECT(test_each_allocation_fails(map_some, NULL) >= 2);
}

/* ---- processes -------------------------------------------------------------------------------------------- */

static int next_bytes(void *arg, eddy_bytes *in_out) {
    void *item = NULL;
    const int got = next_input(arg, &item);
    if (got == 1) *in_out = eddy_bytes_view(item, sizeof(struct input));
    return got;
}

static int square_there(eddy_bytes in, eddy_bytes *out) {
    const struct input *input = in.data;
    const int64_t number = input->number * input->number;
    return input->number % 7 == 6 ? eddy_fail(-73, "number %d", (int)input->number)
                                  : eddy_bytes_copy(out, &number, sizeof number);
}
EDDY_REMOTE(square_there);

static int told_bytes(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) {
    if (status == 0) EXPECT_EQ(sizeof(int64_t), out->size);
    if (status == 0 && index % 2 == 0) { /* takes every other result */
        eddy_bytes taken = *out;
        *out = (eddy_bytes){NULL, 0};
        const int64_t value = *(int64_t *)taken.data;
        eddy_bytes_free(&taken);
        return told(arg, index, in.data, status, EDDY_I64(value));
    }
    return told(arg, index, in.data, status, status == 0 ? EDDY_I64(*(int64_t *)out->data) : EDDY_NONE);
}

TEST(map, over_processes, TEST_LIMIT(60), NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    for (int as_they_come = 0; as_they_come < 2; as_they_come++) {
        struct counted counted;
        count_init(&counted, 200, 4); /* as 0 is for two processes */
        counted.in_order = !as_they_come;
        EXPECT_OK(eddy_process_pool_map(
            pool, square_there,
            EDDY_PROCESS_MAP(.next = next_bytes, .each = told_bytes, .arg = &counted, .as_they_come = as_they_come)));
        EXPECT_EQ(200 - 200 / 7, counted.ended_well);
        count_check(&counted);
    }
    struct counted counted;
    count_init(&counted, 100, 4);
    counted.stop_at = 10;
    EXPECT_EQ(-72, eddy_process_pool_map(pool, square_there,
                                         EDDY_PROCESS_MAP(.next = next_bytes, .each = told_bytes, .arg = &counted)));
    eddy_handled();
    count_check(&counted);
    EXPECT_OK(eddy_process_pool_close(pool));
    help_no_children();
}

static int spin_there(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) {
    (void)index, (void)out;
    EXPECT_EQ(EDDY_ECANCELED, status);
    free(in.data);
    ((struct counted *)arg)->told++;
    return 0;
}

static int spin_for_bytes(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    return help_spin(eddy_bytes_view("", 0), out);
}
EDDY_REMOTE(spin_for_bytes);

TEST(map, a_cancel_kills_what_runs, NEEDS_PROCESSES) {
    eddy_process_pool *pool;
    EXPECT_OK(eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2)));
    struct counted counted;
    count_init(&counted, 10, 3);
    EXPECT_EQ(EDDY_ETIMEDOUT,
              EDDY_TIMEOUT(EDDY_MS(50), eddy_process_pool_map(pool, spin_for_bytes,
                                                              EDDY_PROCESS_MAP(.next = next_bytes, .each = spin_there,
                                                                               .arg = &counted, .buffer = 3))));
    eddy_handled();
    EXPECT_EQ(3, counted.told);
    free(counted.seen);
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    EXPECT_EQ(0, stats.running + stats.queued);
    EXPECT_OK(eddy_process_pool_close(pool));
}
