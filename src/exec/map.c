/* map.c: one function over many inputs, with a bound; see eddy/map.h.
 *
 * Idea       A task for each input that is under way, in one group; each hands its record back when it ends, through an inbox
 *            and a semaphore that counts what is in there. The calling task asks for inputs while there are free records,
 *            takes ended ones, and tells of them: at once, or when it is their turn.
 * Invariants (M1) A record is free, under way, or ended and not told: `buffer` of them, so whoever asks in order has a place for
 *            what comes. (M2) Whoever leaves has told of all inputs that it was given, and no task of the group lives.
 * Threads    The calling task; body and put: each input's task.
 * Tests      tests/exec/map_test.c. */
#include "exec/process_pool.h"
#include "exec/thread_pool.h"

#include "eddy/map.h"
#include "eddy/scope.h"
#include "eddy/sync.h"

struct map;

struct item {
    struct ed_message ended; /* node in map->ended, then in map->came */
    struct map *map;         /* (c) */
    struct item *next_free;
    size_t index;
    bool live, has_ended; /* the calling task's: given and not told; taken from `ended` */
    int status;
    eddy_error *error; /* as status */
    union {
        void *item;
        eddy_bytes in;
    };
    union {
        eddy_value value;
        eddy_bytes out;
    };
};

struct map {
    const eddy_thread_map *threads; /* one of them, the other is NULL */
    const eddy_process_map *processes;
    struct eddy_thread_pool *thread_pool;
    struct eddy_process_pool *process_pool;
    eddy_thread_fn thread_fn;
    eddy_remote_fn process_fn;
    bool as_they_come;

    eddy_group group;
    struct ed_inbox ended;   /* items, from their tasks */
    eddy_semaphore *ready;   /* items that were put there and not taken out */
    struct ed_message *came; /* taken out all at once, not looked at yet */
    struct item *free;       /* list */
    struct item **order;     /* by index modulo buffer */
    size_t given, told;      /* inputs; told: in order, all below it */
    size_t live;             /* given and not told */
    bool has_all;            /* `next` has no more */
    size_t buffer;           /* (c) */
    struct item items[];
};

/* ---- an input's task ---------------------------------------------------------------------------- */

/* Its end, also if it never ran. */
static void put(eddy_value value) {
    struct item *item = value.ptr;
    struct map *map = item->map;
    (void)ed_inbox_push(&map->ended, &item->ended); /* never closed */
    (void)eddy_semaphore_post(map->ready);          /* has no bound */
}

static int body(void *arg, eddy_value *out) {
    struct item *item = arg;
    struct map *map = item->map;
    (void)out;
    item->status = map->threads != NULL
                       ? eddy_thread_pool_run(map->thread_pool, map->thread_fn, item->item, &item->value)
                       : eddy_process_pool_run(map->process_pool, map->process_fn, item->in, &item->out);
    const eddy_error *error = eddy_error_current(item->status);
    if (item->status < 0 && error != NULL) item->error = eddy_error_share(error);
    eddy_handled();
    return item->status == EDDY_ECANCELED ? EDDY_ECANCELED : 0;
}

/* ---- the calling task --------------------------------------------------------------------------- */

/* 1: an input has a task; else what `next` gave. */
static int ask(struct map *map) {
    struct item *item = map->free;
    const int got = map->threads != NULL ? map->threads->next(map->threads->arg, &item->item)
                                         : map->processes->next(map->processes->arg, &item->in);
    if (got <= 0) return got;
    map->free = item->next_free;
    item->index = map->given++;
    item->live = true;
    item->has_ended = false;
    item->status = EDDY_ECANCELED; /* of one that never runs */
    item->error = NULL;
    if (map->threads != NULL)
        item->value = EDDY_NONE;
    else
        item->out = (eddy_bytes){NULL, 0};
    map->order[item->index % map->buffer] = item;
    map->live++;
    const int status = eddy_group_spawn(&map->group, NULL, body, item, EDDY_TASK(.name = "map", .drop_arg = put));
    if (status < 0) item->status = status;
    return status < 0 ? status : 1;
}

static int ask_for_all(struct map *map) {
    while (!map->has_all && map->free != NULL) {
        const int got = ask(map);
        if (got < 0) return got;
        map->has_all = got == 0;
    }
    return 0;
}

static int tell(struct map *map, struct item *item) {
    if (item->error != NULL) ed_error_set_current(item->error);
    int status;
    if (map->threads != NULL) {
        status = map->threads->each(map->threads->arg, item->index, item->item, item->status, item->value);
    } else {
        status = map->processes->each(map->processes->arg, item->index, item->in, item->status, &item->out);
        eddy_bytes_free(&item->out);
    }
    item->live = false;
    item->next_free = map->free;
    map->free = item;
    map->live--;
    return status < 0 ? status : 0;
}

/* All whose turn it is. */
static int tell_in_order(struct map *map) {
    while (map->told < map->given && map->order[map->told % map->buffer]->has_ended) {
        const int status = tell(map, map->order[map->told++ % map->buffer]);
        if (status < 0) return status;
    }
    return 0;
}

static int take_one(struct map *map, struct item **item_out) {
    const int status = eddy_semaphore_acquire(map->ready);
    if (status < 0) return status;
    if (map->came == NULL) map->came = ed_inbox_take(&map->ended);
    ED_ASSERT(map->came != NULL); /* a push comes before its post */
    *item_out = ED_CONTAINER(map->came, struct item, ended);
    map->came = map->came->next;
    return 0;
}

static int work(struct map *map) {
    for (;;) {
        int status = ask_for_all(map);
        if (status < 0 || map->live == 0) return status;
        struct item *item;
        status = take_one(map, &item);
        if (status < 0) return status;
        item->has_ended = true;
        status = map->as_they_come ? tell(map, item) : tell_in_order(map);
        if (status < 0) return status;
    }
}

/* (M2) The map stops with `status`; 0: it is through. */
static int stop(struct map *map, int status) {
    const eddy_error *current = status < 0 ? eddy_error_current(status) : NULL;
    eddy_error *error = current != NULL ? eddy_error_share(current) : NULL;
    if (status < 0 && status != EDDY_ECANCELED) eddy_group_cancel(&map->group);
    const int left = eddy_group_exit(&map->group, status == EDDY_ECANCELED ? status : 0);
    if (left < 0) status = left; /* a cancel from outside, which may have come while it waited */
    if (map->as_they_come) {
        for (size_t i = 0; i < map->buffer; i++)
            if (map->items[i].live) (void)tell(map, &map->items[i]);
    } else {
        while (map->told < map->given) (void)tell(map, map->order[map->told++ % map->buffer]);
    }
    ED_ASSERT(map->live == 0);
    eddy_handled();
    if (error != NULL && eddy_error_status(error) == status)
        ed_error_set_current(error);
    else
        eddy_error_release(error);
    return status;
}

static int create(struct map **map_out, size_t buffer) {
    struct map *map = ed_calloc(sizeof *map + buffer * (sizeof map->items[0] + sizeof map->order[0]));
    if (map == NULL) return EDDY_ENOMEM;
    map->ready = eddy_semaphore_create(0);
    if (map->ready == NULL) {
        ed_free(map);
        return EDDY_ENOMEM;
    }
    ed_inbox_init(&map->ended);
    map->order = (struct item **)&map->items[buffer];
    map->buffer = buffer;
    for (size_t i = buffer; i-- > 0;) {
        map->items[i].map = map;
        map->items[i].next_free = map->free;
        map->free = &map->items[i];
    }
    *map_out = map;
    return 0;
}

static int run(struct map *map) {
    int status = eddy_group_enter(&map->group);
    if (status == 0) status = stop(map, work(map));
    eddy_semaphore_release(map->ready);
    ed_free(map);
    return status;
}

/* A bound that no program reaches, and whose records fit into memory. */
static bool is_right(size_t buffer) { return buffer <= SIZE_MAX / 2 / (sizeof(struct item) + sizeof(struct item *)); }

int eddy_thread_pool_map(eddy_thread_pool *pool, eddy_thread_fn fn, const eddy_thread_map *given) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (fn == NULL || given == NULL || given->size != sizeof *given || given->next == NULL || given->each == NULL ||
        !is_right(given->buffer))
        return EDDY_EINVAL;
    int status = pool != NULL ? 0 : ed_thread_pool_default(&pool);
    if (status < 0) return status;
    struct map *map;
    status = create(&map, given->buffer > 0 ? given->buffer : 2 * (size_t)pool->threads_max);
    if (status < 0) return status;
    map->threads = given;
    map->thread_pool = pool;
    map->thread_fn = fn;
    map->as_they_come = given->as_they_come;
    return run(map);
}

int eddy_process_pool_map(eddy_process_pool *pool, eddy_remote_fn fn, const eddy_process_map *given) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (fn == NULL || given == NULL || given->size != sizeof *given || given->next == NULL || given->each == NULL ||
        !is_right(given->buffer))
        return EDDY_EINVAL;
    int status = pool != NULL ? 0 : ed_process_pool_default(&pool);
    if (status < 0) return status;
    struct map *map;
    status = create(&map, given->buffer > 0 ? given->buffer : 2 * (size_t)pool->processes_max);
    if (status < 0) return status;
    map->processes = given;
    map->process_pool = pool;
    map->process_fn = fn;
    map->as_they_come = given->as_they_come;
    return run(map);
}
