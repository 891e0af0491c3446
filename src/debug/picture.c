/* picture.c: a picture of all tasks, or of one: each worker tells of its own.
 *
 * Problem    What a task waits for, and its stack, are its host's to read; and only while it does not run.
 * Idea       A message to each worker. Where it arrives no task runs, so all stacks of this worker are saved: it walks all
 *            records and copies what is its own. One of them also tells of tasks that are nobody's yet. The taker waits for
 *            all answers, or for 1 s: a worker that something holds does not answer, and the picture says so.
 *            Everything is copied, no reference kept: a task's last one must not go on a thread that looks.
 * Whose      A started task is this worker's if its fiber says so, and it is not done when that was seen: only its host ends
 *            it, and that is who asks.
 * Ordering   All of a picture but `references` is under its mutex until `closed`; then the taker's.
 * Threads    take: tasks and plain threads. A plain thread must not outlive the run.
 * Tests      tests/debug/picture_test.c. */
#include "debug/picture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_NS EDDY_SECONDS(1)

/* ---- on a worker --------------------------------------------------------------------------------- */

struct looking {
    eddy_picture *picture;
    struct ed_worker *worker;
    const struct ed_fiber *running; /* the taker's own, or NULL */
    bool others;                    /* also those of nobody */
    struct ed_seen *list;
    size_t count, lost;
};

static bool note_id(struct ed_awaited *awaited, uint64_t id) {
    if (awaited->count == awaited->capacity) {
        size_t capacity = awaited->capacity * 2 + 4;
        uint64_t *ids = ed_realloc(awaited->ids, capacity * sizeof ids[0]);
        if (ids == NULL) return false;
        awaited->ids = ids;
        awaited->capacity = capacity;
    }
    awaited->ids[awaited->count++] = id;
    return true;
}

struct noting {
    struct ed_awaited *awaited;
    size_t lost;
};

static void note_awaited(void *arg, eddy_future *future) {
    struct noting *noting = arg;
    const eddy_task *task = eddy_future_task(future);
    if (task != NULL && !ed_future_is_done(future) && !note_id(noting->awaited, task->id)) noting->lost++;
}

static bool is_own(eddy_task *task, const struct ed_worker *worker, struct ed_fiber **fiber_out) {
    if (ed_start_state(ED_LOAD_ACQUIRE(&task->start.word)) != ED_START_STARTED) return false;
    struct ed_fiber *fiber = ED_LOAD_ACQUIRE(&task->fiber);
    *fiber_out = fiber;
    return fiber != NULL && ED_LOAD_ACQUIRE(&fiber->worker) == worker && !ed_future_is_done(&task->future);
}

/* A record with the task's name and place, and room for its stack. NULL: no memory. */
static struct ed_seen *seen_create(struct looking *looking, eddy_task *task, void *const *frames, size_t frames_count) {
    struct ed_seen *seen = ed_calloc(sizeof *seen + frames_count * sizeof frames[0]);
    if (seen == NULL) {
        looking->lost++;
        return NULL;
    }
    eddy_task_name(task, seen->name, sizeof seen->name);
    if (frames_count > 0) memcpy(seen->frames, frames, frames_count * sizeof frames[0]);
    seen->told = (eddy_task_picture){.id = task->id,
                                     .name = seen->name,
                                     .place = task->place,
                                     .worker = -1,
                                     .stack = seen->frames,
                                     .stack_count = frames_count};
    seen->next = looking->list;
    looking->list = seen;
    looking->count++;
    return seen;
}

/* The taker's own stack, without the calls that take the picture. */
static size_t own_stack(const struct looking *looking, void **frames) {
    size_t count = ed_unwind_here(frames, ED_STACK_FRAMES), first = 0;
    while (first < count && frames[first] != looking->picture->caller) first++;
    if (first == count) first = 0;
    memmove(frames, frames + first, (count - first) * sizeof frames[0]);
    return count - first;
}

static void look_at_own(struct looking *looking, eddy_task *task, struct ed_fiber *fiber) {
    void *frames[ED_STACK_FRAMES];
    size_t count = 0;
    const bool runs = fiber == looking->running;
    if (looking->picture->stacks)
        count = runs ? own_stack(looking, frames) : ed_unwind_context(&fiber->stack.context, frames, ED_STACK_FRAMES);
    struct ed_seen *seen = seen_create(looking, task, frames, count);
    if (seen == NULL) return;
    const struct ed_strand *strand = ed_strand_of(fiber);
    const bool on_top = fiber->task == task;
    seen->seen = true;
    seen->fiber = fiber;
    seen->told.worker = (int)looking->worker->index;
    seen->told.state = EDDY_TASK_READY;
    if (runs && on_top)
        seen->told.state = EDDY_TASK_RUNNING;
    else if (!on_top || (strand->parked && !fiber->queued))
        seen->told.state = EDDY_TASK_WAITING;
    if (task->group != NULL) seen->group_parent = ed_group_parent_id(task->group);
    struct ed_waits waits;
    if (!ed_task_waits(task, &waits)) return;
    seen->told.waits_on = waits.reason;
    seen->told.since_ns = task->since_ns;
    struct noting noting = {&seen->awaited, 0};
    seen->in_exit = ed_task_awaits(task, note_awaited, &noting);
    looking->lost += noting.lost;
    seen->told.awaits = seen->awaited.ids;
    seen->told.awaits_count = seen->awaited.count;
}

static bool look(eddy_task *task, void *arg) {
    struct looking *looking = arg;
    struct ed_fiber *fiber = NULL;
    if (ED_LOAD_RELAXED(&task->future.word) & ED_HIDDEN) return true;
    eddy_task *only = looking->picture->only;
    if (is_own(task, looking->worker, &fiber)) {
        if (only == NULL || ED_LOAD_ACQUIRE(&only->fiber) == fiber) look_at_own(looking, task, fiber);
    } else if (looking->others && (only == NULL || only == task) && !ed_future_is_done(&task->future)) {
        struct ed_seen *seen = seen_create(looking, task, NULL, 0);
        if (seen != NULL) {
            seen->told.state = fiber != NULL ? EDDY_TASK_UNSEEN : EDDY_TASK_NEW;
            if (fiber != NULL) seen->told.worker = (int)ED_LOAD_ACQUIRE(&fiber->worker)->index;
        }
    }
    return true;
}

static void free_list(struct ed_seen *list) {
    while (list != NULL) {
        struct ed_seen *seen = list;
        list = seen->next;
        ed_free(seen->awaited.ids);
        ed_free(seen);
    }
}

static void picture_release(eddy_picture *picture) {
    if (ED_SUB(&picture->references, 1) != 1) return;
    free_list(picture->list);
    for (size_t i = 0; picture->all != NULL && i < picture->count; i++) {
        picture->all[i]->next = NULL;
        free_list(picture->all[i]);
    }
    ed_free(picture->all);
    eddy_future_release(picture->answered);
    pthread_mutex_destroy(&picture->mutex);
    pthread_cond_destroy(&picture->changed);
    ed_free(picture);
}

/* What was seen goes into the picture, unless its taker waits no more. */
static void answer(eddy_picture *picture, struct looking *looking) {
    pthread_mutex_lock(&picture->mutex);
    const bool wanted = !picture->closed;
    struct ed_seen *last = looking->list;
    while (last != NULL && last->next != NULL) last = last->next;
    if (wanted && last != NULL) {
        last->next = picture->list;
        picture->list = looking->list;
    }
    if (wanted) {
        picture->count += looking->count;
        picture->lost += looking->lost;
    }
    const bool all = --picture->unanswered == 0;
    pthread_cond_broadcast(&picture->changed);
    pthread_mutex_unlock(&picture->mutex);
    if (!wanted) free_list(looking->list);
    if (all && picture->answered != NULL) (void)eddy_future_set(picture->answered, EDDY_NONE);
    picture_release(picture);
}

static void look_around(eddy_picture *picture, struct ed_worker *worker, const struct ed_fiber *running) {
    struct looking looking = {.picture = picture, .worker = worker, .running = running};
    pthread_mutex_lock(&picture->mutex);
    const bool wanted = !picture->closed;
    looking.others = !picture->others_told;
    picture->others_told = true;
    pthread_mutex_unlock(&picture->mutex);
    if (wanted) ed_slab_each(picture->sched, look, &looking);
    answer(picture, &looking);
}

static void visit_arrives(struct ed_message *message, struct ed_worker *worker) {
    look_around(ED_CONTAINER(message, struct visit, message)->picture, worker, NULL);
}

/* ---- who takes it -------------------------------------------------------------------------------- */

static eddy_picture *picture_create(struct ed_sched *sched, eddy_task *only, bool stacks, const void *caller) {
    eddy_picture *picture = ed_calloc(sizeof *picture + sched->workers_count * sizeof picture->visits[0]);
    if (picture == NULL) return NULL;
    ED_STORE_RELAXED(&picture->references, 1 + sched->workers_count);
    picture->sched = sched;
    picture->only = only;
    picture->stacks = stacks;
    picture->caller = caller;
    picture->unanswered = sched->workers_count;
    pthread_mutex_init(&picture->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&picture->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return picture;
}

static void ask_all(eddy_picture *picture, struct ed_worker *here) {
    struct ed_sched *sched = picture->sched;
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct visit *visit = &picture->visits[i];
        if (sched->workers[i] == here) continue;
        visit->picture = picture;
        visit->message.arrive = visit_arrives;
        if (ed_post(sched->workers[i], &visit->message) < 0) {
            struct looking nothing = {.picture = picture};
            answer(picture, &nothing);
        }
    }
    if (here != NULL) look_around(picture, here, here->running);
}

static void wait_as_thread(eddy_picture *picture) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ANSWER_NS / EDDY_SECONDS(1);
    pthread_mutex_lock(&picture->mutex);
    int status = 0;
    while (picture->unanswered > 0 && status == 0)
        status = pthread_cond_timedwait(&picture->changed, &picture->mutex, &until);
    pthread_mutex_unlock(&picture->mutex);
}

static int by_id(const void *a, const void *b) {
    const struct ed_seen *left = *(struct ed_seen *const *)a, *right = *(struct ed_seen *const *)b;
    if (left->told.id != right->told.id) return left->told.id > right->told.id ? 1 : -1;
    return (int)right->seen - (int)left->seen; /* what its own worker tells comes first */
}

/* Puts what was seen in order, one record for each task. */
static int put_in_order(eddy_picture *picture) {
    pthread_mutex_lock(&picture->mutex);
    picture->closed = true;
    picture->missing = picture->unanswered;
    pthread_mutex_unlock(&picture->mutex);
    struct ed_seen **all = ed_calloc((picture->count + 1) * sizeof all[0]);
    if (all == NULL) return EDDY_ENOMEM;
    size_t count = 0, kept = 0;
    for (struct ed_seen *seen = picture->list; seen != NULL; seen = seen->next) all[count++] = seen;
    picture->list = NULL;
    if (count > 1) qsort(all, count, sizeof all[0], by_id);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && all[kept - 1]->told.id == all[i]->told.id) {
            all[i]->next = NULL;
            free_list(all[i]);
        } else {
            all[kept++] = all[i];
        }
    }
    picture->all = all;
    picture->count = kept;
    return 0;
}

/* The place of a task among the records; their count: it is not there. */
static size_t find(const eddy_picture *picture, uint64_t id) {
    size_t low = 0, high = picture->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (picture->all[middle]->told.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < picture->count && picture->all[low]->told.id == id ? low : picture->count;
}

/* Who waits in the exit of a group waits for its children: they know their parent. */
static void link_groups(eddy_picture *picture) {
    for (size_t i = 0; i < picture->count; i++) {
        const struct ed_seen *child = picture->all[i];
        const size_t at = child->group_parent != 0 ? find(picture, child->group_parent) : picture->count;
        if (at == picture->count || !picture->all[at]->in_exit) continue;
        struct ed_seen *parent = picture->all[at];
        if (!note_id(&parent->awaited, child->told.id)) picture->lost++;
        parent->told.awaits = parent->awaited.ids;
        parent->told.awaits_count = parent->awaited.count;
    }
}

/* How many tasks run on top of it, on the same stack. */
static unsigned depth(const eddy_picture *picture, const struct ed_seen *seen) {
    for (unsigned deep = 0; deep < picture->count; deep++) {
        if (seen->told.state != EDDY_TASK_WAITING) return deep;
        const struct ed_seen *above = NULL;
        for (size_t i = 0; i < seen->told.awaits_count && above == NULL; i++) {
            const size_t at = find(picture, seen->told.awaits[i]);
            if (at < picture->count && picture->all[at]->fiber == seen->fiber) above = picture->all[at];
        }
        if (above == NULL || above == seen) return deep;
        seen = above;
    }
    return 0; /* a round: nobody runs on another's stack in one */
}

/* A task's own part of the stack that it shares: tasks are told apart by the calls of their bodies. */
static void cut_stacks(eddy_picture *picture) {
    for (size_t i = 0; i < picture->count; i++) {
        struct ed_seen *seen = picture->all[i];
        unsigned above = depth(picture, seen);
        size_t first = 0, end = seen->told.stack_count;
        for (; above > 0; above--) {
            while (first < end && !ed_task_runs_at(seen->frames[first])) first++;
            if (first < end) first++;
        }
        size_t last = first;
        while (last < end && !ed_task_runs_at(seen->frames[last])) last++;
        seen->told.stack = seen->frames + first;
        seen->told.stack_count = last - first;
    }
}

int ed_picture_take(eddy_picture **picture_out, struct ed_sched *sched, eddy_task *only, bool stacks,
                    const void *caller) {
    struct ed_worker *here = ed_worker_current();
    if (here != NULL && ed_task_current() == NULL) return EDDY_EWRONGTHREAD;
    eddy_picture *picture = picture_create(sched, only, stacks, caller);
    if (picture == NULL) return EDDY_ENOMEM;
    int status = 0;
    if (here != NULL && sched->workers_count > 1) {
        picture->answered = eddy_future_create();
        if (picture->answered == NULL) status = EDDY_ENOMEM;
    }
    if (status < 0) {
        ED_STORE_RELAXED(&picture->references, 1);
        picture_release(picture);
        return status;
    }
    picture->taken_ns = eddy_time_ns();
    ask_all(picture, here);
    if (here == NULL) {
        wait_as_thread(picture);
    } else if (picture->answered != NULL) {
        status = eddy_wait(&picture->answered, 1, ANSWER_NS, EDDY_ALL_COMPLETED, NULL);
    }
    int ordered = put_in_order(picture);
    if (status >= 0) status = ordered;
    if (status < 0) {
        picture_release(picture);
        return status;
    }
    link_groups(picture);
    cut_stacks(picture);
    *picture_out = picture;
    return 0;
}

/* ---- what users see ------------------------------------------------------------------------------ */

__attribute__((noinline)) int eddy_picture_take(eddy_picture **picture_out) {
    const struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    return ed_picture_take(picture_out, here->sched, NULL, true, __builtin_return_address(0));
}

void eddy_picture_release(eddy_picture *picture) {
    if (picture != NULL) picture_release(picture);
}

size_t eddy_picture_count(const eddy_picture *picture) { return picture->count; }

const eddy_task_picture *eddy_picture_task(const eddy_picture *picture, size_t index) {
    ED_ASSERT(index < picture->count);
    return &picture->all[index]->told;
}

/* Depth first: `path` holds the tasks from a start to where the search is, each with the number of its waits that were
 * followed. A wait for a task on the path closes a round. */
struct step {
    size_t task, followed;
};

/* The first round: how long it is, and path[*begin_out] is where it begins. `met` and `path` have room for all. */
static size_t find_round(const eddy_picture *picture, uint8_t *met, struct step *path, size_t *begin_out) {
    enum { UNMET, ON_PATH, LEFT };
    for (size_t start = 0; start < picture->count; start++) {
        if (met[start] != UNMET) continue;
        size_t length = 1;
        path[0] = (struct step){start, 0};
        met[start] = ON_PATH;
        while (length > 0) {
            struct step *step = &path[length - 1];
            const eddy_task_picture *told = &picture->all[step->task]->told;
            if (step->followed == told->awaits_count) {
                met[step->task] = LEFT;
                length--;
                continue;
            }
            size_t next = find(picture, told->awaits[step->followed++]);
            if (next == picture->count || met[next] == LEFT) continue;
            if (met[next] == ON_PATH) {
                for (*begin_out = 0; path[*begin_out].task != next;) ++*begin_out;
                return length - *begin_out;
            }
            met[next] = ON_PATH;
            path[length++] = (struct step){next, 0};
        }
    }
    return 0;
}

size_t eddy_picture_cycle(const eddy_picture *picture, uint64_t *ids_out, size_t capacity) {
    uint8_t *met = ed_calloc(picture->count + 1);
    struct step *path = ed_calloc((picture->count + 1) * sizeof path[0]);
    size_t begin = 0, length = 0, first = 0;
    if (met != NULL && path != NULL) length = find_round(picture, met, path, &begin);
    for (size_t i = 0; i < length; i++)
        if (path[begin + i].task < path[begin + first].task) first = i; /* records are in order of ids */
    for (size_t i = 0; i < length && i < capacity; i++)
        ids_out[i] = picture->all[path[begin + (first + i) % length].task]->told.id;
    ed_free(met);
    ed_free(path);
    return length;
}

static int task_stack(eddy_task *task, const void *caller, void **places_out, size_t capacity) {
    const struct ed_worker *here = ed_worker_current();
    if (here == NULL) return EDDY_EWRONGTHREAD;
    if (task->future.sched != here->sched) return EDDY_ESTATE;
    if (eddy_future_done(EDDY_FUTURE(task))) return 0;
    eddy_picture *picture;
    int status = ed_picture_take(&picture, here->sched, task, true, caller);
    if (status < 0) return status;
    size_t at = find(picture, task->id);
    if (at < picture->count) {
        const eddy_task_picture *told = &picture->all[at]->told;
        status = (int)(told->stack_count < capacity ? told->stack_count : capacity);
        memcpy(places_out, told->stack, (size_t)status * sizeof places_out[0]);
        if (told->state == EDDY_TASK_UNSEEN) status = EDDY_EBUSY;
    }
    picture_release(picture);
    return status;
}

__attribute__((noinline)) int eddy_task_stack(eddy_task *task, void **places_out, size_t capacity) {
    return task_stack(task, __builtin_return_address(0), places_out, capacity);
}

__attribute__((noinline)) int eddy_task_print_stack(eddy_task *task, char *buffer, size_t bytes) {
    void *places[ED_STACK_FRAMES];
    int count = task_stack(task, __builtin_return_address(0), places, ED_STACK_FRAMES);
    return count < 0 ? count : (int)ed_stack_text(places, (size_t)count, "  ", buffer, bytes);
}
