/* group.c: task groups: children end before the group does (asyncio's TaskGroup).
 *
 * Problem    Children end on any worker while the parent runs its body, runs a child on its own stack, or is parked in
 *            the exit; the first failure must cancel the others and the parent, once; the parent must wake once.
 * Idea       A record behind the handle, counted: the handle, each child. A spin lock for its few fields; nothing is
 *            called under it. Cancelling walks the children one at a time, each held by a reference.
 *            The parent is asked under the lock (its word only) and told after it: a parent that leaves its body
 *            meanwhile finds the request counted and takes it back.
 * States     BODY -> EXITING -> ENDED, by the parent alone; `aborting` once, by whoever is first.
 *            `parked`: the parent sleeps in the exit; who takes it to false (under the lock) wakes it: a child that was
 *            the last, or the parent itself after a cancel. False already: the wake-up is on its way, wait for it.
 * Children   fresh: not looked at; rest: looked at by the exit (it cannot run them itself); asked: were cancelled. In
 *            rest, then fresh, they stand in the order added.
 * Threads    add, done, cancel: any worker. enter, exit: the parent.
 * Tests      tests/task/group_test.c, tests/contract/group_test.c. */
#include "task/task.h"

enum state { BODY, EXITING, ENDED };

struct ed_group {
    _Atomic unsigned references;
    struct ed_spinlock lock;
    enum state state;                  /* under lock */
    bool aborting;                     /* under lock */
    bool parked;                       /* under lock */
    bool parent_requested;             /* under lock: a failure made the group cancel the parent */
    bool parent_cancelled;             /* under lock: eddy_group_cancel did */
    bool outside;                      /* the parent's: a cancel came while it was in the exit */
    size_t count;                      /* under lock: children not ended */
    unsigned errors_lost;              /* under lock: details that found no memory */
    struct ed_list fresh, rest, asked; /* under lock */
    eddy_error *error;                 /* children's failures; created at enter, under lock */
    eddy_task *parent;                 /* (c) one reference */
    struct ed_message wake;            /* of who took `parked` to false, if it is elsewhere */
};

static void group_free(struct ed_group *group) {
    eddy_error_release(group->error);
    eddy_task_release(group->parent);
    ed_free(group);
}

static void group_release(struct ed_group *group) {
    if (ED_SUB(&group->references, 1) == 1) group_free(group);
}

int eddy_group_enter(eddy_group *handle) {
    handle->record = NULL;
    eddy_task *parent = ed_task_current();
    if (parent == NULL) return ed_outside_task();
    struct ed_group *group = ed_calloc(sizeof *group);
    if (group == NULL) return EDDY_ENOMEM;
    group->error = ed_error_create(EDDY_EGROUP, "", "tasks of a group failed");
    if (group->error == NULL) {
        ed_free(group);
        return EDDY_ENOMEM;
    }
    eddy_task_name(parent, group->error->task, sizeof group->error->task);
    ED_STORE_RELAXED(&group->references, 1);
    ed_spinlock_init(&group->lock);
    ed_list_init(&group->fresh);
    ed_list_init(&group->rest);
    ed_list_init(&group->asked);
    /* Children elsewhere ask it, and release it: bias.h. */
    if (ED_LOAD_RELAXED(&parent->future.word) & ED_BIAS) ED_AND(&parent->future.word, ~ED_BIAS);
    group->parent = eddy_task_share(parent);
    handle->record = group;
    return 0;
}

int ed_group_add(struct ed_group *group, eddy_task *task) {
    ed_spinlock_lock(&group->lock);
    bool open = group->state != ENDED && !group->aborting && !(group->state == EXITING && group->count == 0);
    if (open) {
        group->count++;
        ed_list_push(&group->fresh, &task->group_link);
        ED_ADD_RELAXED(&group->references, 1);
    }
    ed_spinlock_unlock(&group->lock);
    return open ? 0 : EDDY_ESTATE;
}

void ed_group_forget(struct ed_group *group, eddy_task *task) {
    ed_spinlock_lock(&group->lock);
    ed_list_remove(&task->group_link);
    group->count--;
    ed_spinlock_unlock(&group->lock);
    group_release(group);
}

int eddy_group_spawn_at(const char *place, eddy_group *handle, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                        const eddy_task_options *options) {
    const struct ed_worker *here = ed_worker_current();
    if (handle->record == NULL || (here != NULL && handle->record->parent->future.sched != here->sched)) {
        if (options != NULL && options->drop_arg != NULL) options->drop_arg(eddy_value_ptr(arg));
        return EDDY_ESTATE;
    }
    return ed_task_spawn(place, task_out, fn, arg, options, handle->record);
}

int(eddy_group_spawn)(eddy_group *group, eddy_task **task_out, eddy_coro_fn fn, void *arg,
                      const eddy_task_options *options) {
    return eddy_group_spawn_at(NULL, group, task_out, fn, arg, options);
}

/* The next child to ask, with a reference; NULL when all were asked. */
static eddy_task *next_to_ask(struct ed_group *group) {
    ed_spinlock_lock(&group->lock);
    struct ed_list *link = ed_list_pop(&group->rest);
    if (link == NULL) link = ed_list_pop(&group->fresh);
    eddy_task *task = NULL;
    if (link != NULL) {
        ed_list_push(&group->asked, link);
        task = eddy_task_share(ED_CONTAINER(link, struct eddy_task, group_link));
    }
    ed_spinlock_unlock(&group->lock);
    return task;
}

/* Cancels every child, in the order added. The caller set `aborting`. */
static void cancel_children(struct ed_group *group) {
    eddy_task *task;
    while ((task = next_to_ask(group)) != NULL) {
        eddy_cancel(&task->future);
        eddy_task_release(task);
    }
}

/* True for the first who aborts; it must call cancel_children without the lock. */
static bool abort_begin(struct ed_group *group) {
    ed_spinlock_lock(&group->lock);
    bool first = !group->aborting;
    group->aborting = true;
    ed_spinlock_unlock(&group->lock);
    return first;
}

void eddy_group_cancel(eddy_group *handle) {
    struct ed_group *group = handle->record;
    if (group == NULL) return;
    ed_spinlock_lock(&group->lock);
    bool first = !group->aborting && group->state != ENDED;
    if (first) group->aborting = true;
    bool parent = first && group->state == BODY;
    if (parent) group->parent_cancelled = ed_cancel_ask(group->parent);
    ed_spinlock_unlock(&group->lock);
    if (first) cancel_children(group);
    if (parent) ed_cancel_route(group->parent);
}

static void wake_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    struct ed_group *group = ED_CONTAINER(message, struct ed_group, wake);
    ed_wake(ed_task_fiber(group->parent), 0);
    group_release(group);
}

void ed_group_child_done(struct ed_group *group, eddy_task *task) {
    eddy_future *future = &task->future;
    bool failed = future->status < 0 && !eddy_future_cancelled(future);
    eddy_error *error = NULL;
    if (failed) {
        error = eddy_error_share(eddy_future_error(future)); /* also counts as retrieved */
        if (error == NULL) {
            char name[ED_TASK_NAME_BYTES];
            eddy_task_name(task, name, sizeof name);
            error = ed_error_create(future->status, name, "");
        }
    }

    ed_spinlock_lock(&group->lock);
    ed_list_remove(&task->group_link);
    group->count--;
    if (failed && (error == NULL || !ed_error_add_child(group->error, error))) group->errors_lost++;
    bool first = failed && !group->aborting;
    if (first) group->aborting = true;
    /* In the exit a domain's parent is asked as well, and looks around in a step of its own, as CPython has it. */
    bool parent = first && (group->state == BODY || group->parent->future.loop != NULL);
    if (parent) group->parent_requested = ed_cancel_ask(group->parent);
    bool wake = group->count == 0 && group->parked;
    if (wake) group->parked = false;
    ed_spinlock_unlock(&group->lock);

    if (first) cancel_children(group);
    if (parent) ed_cancel_route(group->parent);
    if (wake) {
        struct ed_fiber *fiber = ed_task_fiber(group->parent);
        struct ed_worker *host = ed_fiber_worker(fiber); /* parked: it stays where it is until it is woken */
        if (host == ed_worker_current()) {
            ed_wake(fiber, 0);
        } else {
            ED_ADD_RELAXED(&group->references, 1);
            group->wake.arrive = wake_arrives;
            (void)ed_post(host, &group->wake);
        }
    }
    group_release(group);
}

/* Outside domains, a cancel that meets the parent in the exit: aborts there and then. */
static bool exit_cancelled(void *arg) {
    struct ed_group *group = arg;
    ed_spinlock_lock(&group->lock);
    bool waits = group->count > 0;
    ed_spinlock_unlock(&group->lock);
    if (!waits) return false; /* the last child has ended: the parent sees the request as it goes on */
    group->outside = true;
    if (abort_begin(group)) cancel_children(group);
    return true;
}

/* A child that may run on the parent's stack, with a reference; NULL: none, and *done_out tells whether all have ended,
 * else the group is marked parked. */
static eddy_task *next_in_exit(struct ed_group *group, bool direct, bool *done_out) {
    eddy_task *task = NULL;
    ed_spinlock_lock(&group->lock);
    *done_out = group->count == 0;
    if (*done_out) {
        group->state = ENDED;
    } else {
        struct ed_list *link = direct ? ed_list_pop(&group->fresh) : NULL;
        if (link != NULL) {
            ed_list_push(&group->rest, link);
            task = eddy_task_share(ED_CONTAINER(link, struct eddy_task, group_link));
        } else {
            group->parked = true;
        }
    }
    ed_spinlock_unlock(&group->lock);
    return task;
}

static void exit_wait(struct ed_group *group) {
    eddy_task *parent = group->parent;
    bool in_domain = parent->future.loop != NULL, done;
    for (;;) {
        eddy_task *child = next_in_exit(group, !in_domain, &done);
        if (done) return;
        if (child != NULL) {
            ed_count_await(ed_task_fiber(parent));
            ed_task_run_direct(ed_task_fiber(parent), child, "task group", exit_cancelled, group);
            eddy_task_release(child);
            if (ed_cancel_pending(parent, true)) {
                group->outside = true;
                if (abort_begin(group)) cancel_children(group);
            }
            continue;
        }
        struct ed_park park = {.reason = "task group", .deadline_ns = INT64_MAX, .move = true};
        if (!in_domain) park.on_cancel = exit_cancelled;
        park.arg = group;
        int status = ed_park(&park);
        if (status < 0 && !ed_park_woken()) {
            ed_spinlock_lock(&group->lock);
            bool on_its_way = !group->parked;
            group->parked = false;
            ed_spinlock_unlock(&group->lock);
            while (on_its_way && !ed_park_woken())
                (void)ed_park(&(struct ed_park){.reason = "task group", .deadline_ns = INT64_MAX});
        }
        if (status == EDDY_ECANCELED) {
            group->outside = true;
            if (abort_begin(group)) cancel_children(group);
        }
    }
}

uint64_t ed_group_parent_id(const struct ed_group *group) { return group->parent->id; }

int eddy_group_exit(eddy_group *handle, int status) {
    struct ed_group *group = handle->record;
    if (group == NULL) return status;
    eddy_task *parent = group->parent;
    if (ed_task_current() != parent) ED_PANIC("eddy_group_exit outside the task that entered the group");
    eddy_error *body_error = NULL;
    if (status < 0 && status != EDDY_ECANCELED) {
        body_error = eddy_error_share(eddy_error_current(status));
        if (body_error == NULL) {
            char name[ED_TASK_NAME_BYTES];
            eddy_task_name(parent, name, sizeof name);
            body_error = ed_error_create(status, name, "");
        }
    }

    ed_spinlock_lock(&group->lock);
    if (group->state != BODY) {
        ed_spinlock_unlock(&group->lock);
        ED_PANIC("eddy_group_exit called twice");
    }
    group->state = EXITING;
    bool cancelled = group->parent_cancelled;
    ed_spinlock_unlock(&group->lock);

    bool propagate = status == EDDY_ECANCELED;
    if (cancelled && eddy_task_uncancel(parent) == 0) propagate = false; /* TG8 */
    if (status < 0 && abort_begin(group)) cancel_children(group);
    exit_wait(group);
    if (group->outside) propagate = true;
    if (group->parent_requested) (void)eddy_task_uncancel(parent); /* TG4: there is a failure, which wins */

    handle->record = NULL;
    eddy_error *error = group->error;
    bool body_failed = status < 0 && status != EDDY_ECANCELED;
    bool failed = error->children_count > 0 || group->errors_lost > 0 || body_failed; /* wins over a cancel (TG6) */
    int result;
    if (propagate && !failed) {
        result = EDDY_ECANCELED;
    } else if (failed) {
        if (body_error != NULL) (void)ed_error_add_child(error, body_error);
        if (eddy_task_cancelling(parent) > 0) ED_OR(&parent->future.word, ED_CANCEL); /* TG6 */
        ed_error_set_current(eddy_error_share(error));
        result = EDDY_EGROUP;
    } else {
        result = status < 0 ? 0 : status; /* the group's own cancel ends here (TG8) */
    }
    group_release(group);
    return result;
}
