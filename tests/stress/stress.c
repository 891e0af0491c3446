/* stress.c: many items through each queue of the core, on real threads: none is lost, none comes twice.
 * `zig build stress -- [--items N] [--threads 2,8] [--only NAME]`; 10^8 items unless asked otherwise.
 *
 * Method     Items are numbers. Each taker marks what it got in a bitmap of its own; at the end no two bitmaps share a
 *            bit and together they are full. Where a queue promises an order it is checked at each item.
 * What       deque      an owner that pushes, pops at its end and publishes in bursts; thieves            items
 *            inbox      one owner, producers: each one's messages in their order                          items
 *            queue      eddy_queue of 128 slots between tasks, one on each worker                         items / 10
 *            semaphore  hand-over of one slot between tasks on all workers, around a plain counter        items / 50
 *            tasks      tasks spawned in batches and spread by stealing: each ends once                   items / 10
 *            moves      the same, but each eighth yields, and whoever may change workers then does        items / 10
 *            The last four are slower by these factors: a hand-over between workers costs a wake-up.
 * Not here   Delays (tests/chaos), schedules one by one (tests/model). */
#include "base/base.h"
#include "eddy/eddy.h"
#include "lockfree/lockfree.h"
#include "runtime/simulate.h"
#include "sched/sched.h"
#include "task/task.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

static uint64_t items_asked = 100000000;
static const char *running;

static _Noreturn void fail(const char *what) {
    fflush(stdout);
    fprintf(stderr, "FAIL %s: %s\n", running, what);
    printf("0 passed, 1 failed\n");
    fflush(stdout);
    _exit(1);
}
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define MUST(claim) (ED_LIKELY(claim) ? (void)0 : fail("line " TEXT(__LINE__) ": expected: " #claim))
#define OK(call) MUST((call) >= 0)

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- who got what ---------------------------------------------------------------------------------------- */

struct seen {
    uint64_t *bits;
    uint64_t items, count;
};

static struct seen seen_of(uint64_t items) {
    struct seen seen = {calloc(items / 64 + 1, sizeof(uint64_t)), items, 0};
    MUST(seen.bits != NULL);
    return seen;
}

static inline void mark(struct seen *seen, uint64_t item) {
    MUST(item < seen->items);
    uint64_t bit = UINT64_C(1) << item % 64, *word = &seen->bits[item / 64];
    MUST(!(*word & bit));
    *word |= bit;
    seen->count++;
}

/* Every item once, in all of them together; frees them. */
static void expect_all_once(struct seen *seen, unsigned count) {
    uint64_t items = seen[0].items, total = 0;
    for (uint64_t i = 0; i < items; i += 64) {
        uint64_t all = 0;
        for (unsigned taker = 0; taker < count; taker++) {
            MUST(!(all & seen[taker].bits[i / 64]));
            all |= seen[taker].bits[i / 64];
        }
        MUST(all == (items - i >= 64 ? UINT64_MAX : (UINT64_C(1) << (items - i)) - 1));
    }
    printf("    taken by each:");
    for (unsigned taker = 0; taker < count; taker++) {
        total += seen[taker].count;
        printf(" %llu", (unsigned long long)seen[taker].count);
        free(seen[taker].bits);
    }
    printf("\n");
    MUST(total == items);
}

/* ---- the deque ------------------------------------------------------------------------------------------- */

struct deque_stress {
    struct ed_deque deque;
    _Atomic bool done;
    struct seen seen[THREADS_MAX];
};
struct thief {
    struct deque_stress *stress;
    unsigned index;
};

static void *hint_of(uint64_t item) { return (void *)(uintptr_t)(item + 1); }
static uint64_t item_of(const void *hint) { return (uintptr_t)hint - 1; }

static void *thief_main(void *arg) {
    struct thief *self = arg;
    struct seen *seen = &self->stress->seen[self->index];
    uint64_t last = 0;
    for (;;) {
        bool done = ED_LOAD_SEQCST(&self->stress->done), lost;
        void *hint = ed_deque_take(&self->stress->deque, &lost);
        if (hint != NULL) {
            MUST(seen->count == 0 || item_of(hint) > last); /* oldest first */
            last = item_of(hint);
            mark(seen, last);
        } else if (done && !lost) {
            return NULL;
        } else if (!lost) {
            sched_yield();
        }
    }
}

static void share(struct ed_deque *deque, uint64_t keep) {
    uint64_t count = ed_deque_private_count(deque);
    if (count <= keep) return;
    OK(ed_deque_reserve_shared(deque, count - keep));
    for (; count > keep; count--) {
        struct ed_deque_entry *entry = ed_deque_oldest(deque);
        ed_deque_append_shared(deque, entry->hint, entry->seq);
        ed_deque_drop_oldest(deque);
    }
    ed_deque_publish(deque);
}

static void stress_deque(unsigned threads) {
    static struct deque_stress stress;
    struct thief thieves[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    OK(ed_deque_init(&stress.deque));
    ED_STORE_SEQCST(&stress.done, false);
    for (unsigned i = 0; i < threads; i++) stress.seen[i] = seen_of(items_asked);
    for (unsigned i = 1; i < threads; i++) {
        thieves[i] = (struct thief){&stress, i};
        MUST(pthread_create(&ids[i], NULL, thief_main, &thieves[i]) == 0);
    }
    struct seen *own = &stress.seen[0];
    uint64_t random = 88172645463325252u;
    for (uint64_t next = 0; next < items_asked;) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t burst = random % 64 == 0 ? 1000 : random % 32;
        for (; burst > 0 && next < items_asked; burst--, next++) OK(ed_deque_push(&stress.deque, hint_of(next), next));
        struct ed_deque_entry *newest = random >> 8 & 1 ? ed_deque_newest(&stress.deque) : NULL;
        if (newest != NULL) {
            mark(own, item_of(newest->hint));
            ed_deque_drop_newest(&stress.deque);
        }
        share(&stress.deque, random >> 9 & 3);
        if (ed_deque_shared_count(&stress.deque) < 2000) continue;
        sched_yield(); /* the thieves' turn, and a little help */
        for (int i = 0; i < 200; i++) {
            bool lost;
            void *hint = ed_deque_take(&stress.deque, &lost);
            if (hint != NULL) mark(own, item_of(hint));
        }
    }
    share(&stress.deque, 0);
    ED_STORE_SEQCST(&stress.done, true);
    for (unsigned i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    expect_all_once(stress.seen, threads);
    ed_deque_deinit(&stress.deque);
}

/* ---- the inbox ------------------------------------------------------------------------------------------- */

enum { WINDOW = 256 }; /* letters of a producer that may be on their way */

struct letter {
    struct ed_message message; /* first */
    _Atomic bool sent;         /* the owner has not read it yet */
    unsigned producer;
    uint64_t number;
};
struct inbox_producer {
    struct ed_inbox *inbox;
    uint64_t letters_count;
    struct letter letters[WINDOW];
};

static void *producer_main(void *arg) {
    struct inbox_producer *self = arg;
    for (uint64_t i = 0; i < self->letters_count; i++) {
        struct letter *letter = &self->letters[i % WINDOW];
        while (ED_LOAD_ACQUIRE(&letter->sent)) sched_yield();
        letter->number = i;
        ED_STORE_RELAXED(&letter->sent, true);
        OK(ed_inbox_push(self->inbox, &letter->message));
    }
    return NULL;
}

static void stress_inbox(unsigned threads) {
    static struct inbox_producer producers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    uint64_t next[THREADS_MAX] = {0}, count = 0;
    struct ed_inbox inbox;
    ed_inbox_init(&inbox);
    for (unsigned i = 1; i < threads; i++) {
        producers[i].inbox = &inbox;
        producers[i].letters_count = items_asked / (threads - 1) + (i <= items_asked % (threads - 1));
        for (unsigned l = 0; l < WINDOW; l++) producers[i].letters[l].producer = i;
        MUST(pthread_create(&ids[i], NULL, producer_main, &producers[i]) == 0);
    }
    while (count < items_asked) {
        struct ed_message *message = ed_inbox_take(&inbox);
        if (message == NULL) sched_yield();
        while (message != NULL) {
            struct letter *letter = (struct letter *)message;
            message = message->next;
            MUST(letter->number == next[letter->producer]); /* none lost, none twice, in order */
            next[letter->producer]++;
            count++;
            ED_STORE_RELEASE(&letter->sent, false);
        }
    }
    for (unsigned i = 1; i < threads; i++) {
        pthread_join(ids[i], NULL);
        MUST(next[i] == producers[i].letters_count);
    }
    MUST(ed_inbox_close(&inbox) == NULL);
}

/* ---- between tasks --------------------------------------------------------------------------------------- */

static eddy_task *spawn_at(unsigned index, eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    struct ed_sched *sched = ed_worker_current()->sched;
    OK(ed_spawn_on(sched->workers[index % sched->workers_count], &task, fn, arg, NULL, 0));
    return task;
}
static void expect_end(eddy_task *task) {
    OK(eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
}

struct channel {
    eddy_queue *queue;
    unsigned sides; /* producers, and as many consumers */
    uint64_t items;
    struct seen seen[THREADS_MAX];
};
struct side {
    struct channel *channel;
    unsigned index;
};

static int produce(void *arg, eddy_value *out) {
    (void)out;
    struct side *side = arg;
    for (uint64_t i = side->index; i < side->channel->items; i += side->channel->sides)
        OK(eddy_queue_put(side->channel->queue, EDDY_I64((int64_t)i)));
    return 0;
}
static int consume(void *arg, eddy_value *out) {
    (void)out;
    struct side *side = arg;
    eddy_value item;
    int status;
    while ((status = eddy_queue_get(side->channel->queue, &item)) == 0)
        mark(&side->channel->seen[side->index], (uint64_t)item.i64);
    return status == EDDY_ECLOSED ? 0 : status;
}

static int run_queue(void *arg, eddy_value *out) {
    (void)out;
    struct channel *channel = arg;
    struct side sides[THREADS_MAX];
    eddy_task *producers[THREADS_MAX], *consumers[THREADS_MAX];
    channel->queue = eddy_queue_create(128, NULL);
    MUST(channel->queue != NULL);
    for (unsigned i = 0; i < channel->sides; i++) {
        sides[i] = (struct side){channel, i};
        consumers[i] = spawn_at(2 * i + 1, consume, &sides[i]);
        producers[i] = spawn_at(2 * i, produce, &sides[i]);
    }
    for (unsigned i = 0; i < channel->sides; i++) expect_end(producers[i]);
    eddy_queue_close(channel->queue);
    for (unsigned i = 0; i < channel->sides; i++) expect_end(consumers[i]);
    eddy_queue_release(channel->queue);
    return 0;
}

static void stress_queue(unsigned threads) {
    static struct channel channel;
    channel.sides = threads / 2;
    channel.items = items_asked / 10;
    for (unsigned i = 0; i < channel.sides; i++) channel.seen[i] = seen_of(channel.items);
    OK(eddy_run(run_queue, &channel, NULL, EDDY_RUN(.workers = threads)));
    expect_all_once(channel.seen, channel.sides);
}

struct slot {
    eddy_semaphore *semaphore;
    uint64_t each, counter; /* counter: of whoever has the slot */
};
static int take_turns(void *arg, eddy_value *out) {
    (void)out;
    struct slot *slot = arg;
    for (uint64_t i = 0; i < slot->each; i++) {
        OK(eddy_semaphore_acquire(slot->semaphore));
        uint64_t before = slot->counter;
        if (i % 4 == 0) OK(eddy_yield()); /* so that the others come to wait */
        slot->counter = before + 1;
        eddy_semaphore_post(slot->semaphore);
    }
    return 0;
}
static int run_semaphore(void *arg, eddy_value *out) {
    (void)out;
    struct slot *slot = arg;
    unsigned workers = ed_worker_current()->sched->workers_count;
    eddy_task *tasks[THREADS_MAX];
    slot->semaphore = eddy_semaphore_create(1);
    for (unsigned i = 0; i < workers; i++) tasks[i] = spawn_at(i, take_turns, slot);
    for (unsigned i = 0; i < workers; i++) expect_end(tasks[i]);
    eddy_semaphore_release(slot->semaphore);
    return 0;
}
static void stress_semaphore(unsigned threads) {
    struct slot slot = {.each = items_asked / 50 / threads};
    OK(eddy_run(run_semaphore, &slot, NULL, EDDY_RUN(.workers = threads)));
    MUST(slot.counter == slot.each * threads);
}

/* ---- tasks ----------------------------------------------------------------------------------------------- */

enum { BATCH = 1000 };

static struct {
    uint64_t count;
    _Atomic unsigned char *ended;
    eddy_coro_fn fn;
    uint64_t stolen, direct, migrations;
} tasks;

static int end_once(void *arg, eddy_value *out) {
    uint64_t number = (uintptr_t)arg, x = number | 1;
    for (int i = 0; i < 30; i++) x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    *out = EDDY_I64((int64_t)x);
    ED_ADD_RELAXED(&tasks.ended[number], 1);
    return 0;
}

static int end_elsewhere(void *arg, eddy_value *out) {
    if ((uintptr_t)arg % 8 == 0) OK(eddy_yield());
    return end_once(arg, out);
}

static int run_tasks(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    for (uint64_t next = 0; next < tasks.count;) {
        eddy_group group;
        OK(eddy_group_enter(&group));
        for (int i = 0; i < BATCH && next < tasks.count; i++, next++)
            OK(eddy_group_spawn(&group, NULL, tasks.fn, (void *)(uintptr_t)next, NULL));
        eddy_share();
        OK(eddy_group_exit(&group, 0));
    }
    eddy_stats stats;
    eddy_worker_stats worker;
    OK(eddy_stats_read(&stats));
    for (unsigned i = 0; i < stats.workers; i++) {
        OK(eddy_worker_stats_read(i, &worker));
        tasks.stolen += worker.tasks_stolen;
        tasks.direct += worker.tasks_direct;
    }
    tasks.migrations = stats.migrations;
    return 0;
}

static void each_ends_once(unsigned threads, eddy_coro_fn fn) {
    tasks.count = items_asked / 10;
    tasks.stolen = tasks.direct = 0;
    tasks.fn = fn;
    tasks.ended = calloc(tasks.count, 1);
    MUST(tasks.ended != NULL);
    OK(eddy_run(run_tasks, NULL, NULL, EDDY_RUN(.workers = threads)));
    for (uint64_t i = 0; i < tasks.count; i++) MUST(ED_LOAD_RELAXED(&tasks.ended[i]) == 1);
    printf("    stolen %llu, awaited in place %llu, migrations %llu\n", (unsigned long long)tasks.stolen,
           (unsigned long long)tasks.direct, (unsigned long long)tasks.migrations);
    free((void *)tasks.ended);
}
static void stress_tasks(unsigned threads) { each_ends_once(threads, end_once); }
static void stress_moves(unsigned threads) {
    ed_runtime_migrate_always(true);
    each_ends_once(threads, end_elsewhere);
    ed_runtime_migrate_always(false);
    MUST(tasks.migrations >= tasks.count / 10);
}

/* ---- main ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(unsigned threads);
    unsigned part; /* of the items */
} all[] = {
    {"deque", stress_deque, 1},          {"inbox", stress_inbox, 1},  {"queue", stress_queue, 10},
    {"semaphore", stress_semaphore, 50}, {"tasks", stress_tasks, 10}, {"moves", stress_moves, 10},
};

static uint64_t number(const char *text) {
    char *end;
    uint64_t value = text != NULL ? strtoull(text, &end, 10) : 0;
    if (value == 0 || *end != 0) {
        fprintf(stderr, "usage: stress [--items N] [--threads N,N...] [--only NAME]\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    unsigned threads[8] = {2, 8}, threads_count = 2, passed = 0;
    const char *only = "";
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--items") == 0) {
            items_asked = number(argv[i + 1]);
        } else if (strcmp(argv[i], "--threads") == 0 && argv[i + 1] != NULL) {
            threads_count = 0;
            for (char *word = strtok(argv[i + 1], ","); word != NULL && threads_count < 8; word = strtok(NULL, ","))
                threads[threads_count++] = (unsigned)number(word);
        } else if (strcmp(argv[i], "--only") == 0 && argv[i + 1] != NULL) {
            only = argv[i + 1];
        } else {
            number(NULL);
        }
    }
    for (unsigned t = 0; t < threads_count; t++)
        if (threads[t] < 2 || threads[t] > THREADS_MAX) fail("threads: 2 to 64");
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strstr(all[i].name, only) == NULL) continue;
        for (unsigned t = 0; t < threads_count; t++) {
            running = all[i].name;
            uint64_t items = items_asked / all[i].part;
            double start = seconds();
            all[i].run(threads[t]);
            double took = seconds() - start;
            printf("ok   %s, %llu items, %u threads: %.1f s, %.1f million/s\n", running, (unsigned long long)items,
                   threads[t], took, (double)items / took / 1e6);
            fflush(stdout);
            passed++;
        }
    }
    printf("%u passed, 0 failed\n", passed);
    return passed > 0 ? 0 : 1;
}
