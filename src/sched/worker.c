/* worker.c: a worker's pass: what runs next, on which stack.
 *
 * Idea       choose() gives the oldest of `ready`, `movable`, private and shared entries. A fiber that parks calls it on its own
 *            stack and switches straight to the fiber chosen; a fiber whose task ended runs the next new task on the
 *            same stack. Callbacks, and the end of a pass, go through the worker's own stack (ed_worker_turn).
 * Invariants (W1) worker->running is the fiber whose stack runs, NULL on the worker's own stack.
 *            (W2) a fiber is in `ready` or `movable` at most once (fiber->queued), and never while it runs.
 *            (W3) what choose() gave is run before choose() is called again.
 * Threads    The owner. Only ed_post is for any thread.
 * Not here   Start words (start.h), offering work (steal.c), giving started tasks away (migrate.c), sleeping (idle.c). */
#include "sched/sched.h"

enum { NONE = 255 };       /* beside enum ed_entry_kind */
enum { FETCH_AHEAD = 64 }; /* so many stacks that are ready, 10 lines each, stay in the first cache by themselves */

int ed_worker_init(struct ed_worker *worker, struct ed_sched *sched, unsigned index, uint64_t seed) {
    *worker = (struct ed_worker){.index = index, .sched = sched, .random = seed * 2 + 1, .budget = ED_BUDGET_CALLS};
    if (sched->tick_always) ED_OR(&worker->attention, ED_TICK);
    static _Atomic uint64_t identities;
    if (ed_barrier_open()) worker->identity = ED_ADD_RELAXED(&identities, 1) + 1;
    ed_ready_init(&worker->ready);
    ed_ready_init(&worker->movable);
    ed_list_init(&worker->flushes);
    ed_inbox_init(&worker->inbox);
    int status = ed_deque_init(&worker->deque);
    if (status < 0) return status;
    ed_stack_pool_init(&worker->stacks, sched->arena);
    return 0;
}

void ed_worker_deinit(struct ed_worker *worker) {
    ED_ASSERT(!ed_anybody_waits(worker));
    ed_stack_pool_deinit(&worker->stacks);
    ed_deque_deinit(&worker->deque);
}

uint64_t ed_random(struct ed_worker *worker) { /* xorshift64 (Marsaglia 2003) */
    uint64_t x = worker->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return worker->random = x;
}

int ed_post(struct ed_worker *to, struct ed_message *message) {
    struct ed_worker *here = ed_worker_current();
    bool visits = here == NULL || here->sched != to->sched; /* the run does not wait for such a thread otherwise */
    if (visits) ED_ADD(&to->visitors, 1);
    int status = ed_inbox_push(&to->inbox, message);
    if (!visits) ed_tell(here, ED_EVENT_POST, NULL, to->index, NULL);
    ED_CHAOS(WAKE);
    if (status == 0) ed_idle_wake(to);
    if (visits) ED_SUB(&to->visitors, 1); /* the last touch */
    return status;
}

static void messages_arrive(struct ed_message *message, struct ed_worker *worker) {
    while (message != NULL) {
        struct ed_message *next = message->next; /* arrive() may free it, or send it on */
        message->arrive(message, worker);
        message = next;
    }
}

void ed_worker_close_inbox(struct ed_worker *worker) {
    messages_arrive(ed_inbox_close(&worker->inbox), worker);
    /* What a plain thread sent may have ended the run before that thread has left ed_post: driver and worker stay until
     * then. */
    while (ED_LOAD_SEQCST(&worker->visitors) != 0) ed_cpu_relax();
}

void ed_ready_entry(struct ed_worker *worker, struct ed_entry *entry, enum ed_entry_kind kind) {
    entry->kind = (uint8_t)kind;
    entry->seq = worker->seq++;
    ed_ready_push(&worker->ready, entry);
}

ED_HOT void ed_fiber_ready(struct ed_worker *host, struct ed_fiber *fiber) {
    ED_ASSERT(!fiber->queued);
    fiber->queued = true;
    ed_ready_entry(host, &fiber->entry, ED_ENTRY_RESUME);
}

static bool is_own(void *hint, void *worker) { return ed_start_is_own(hint, ((struct ed_worker *)worker)->index); }

/* Tasks that are started from the middle of the private part leave their entries there: those go when it is full. */
static ED_COLD int make_room(struct ed_worker *worker) {
    ed_deque_sweep(&worker->deque, is_own, worker);
    return ed_deque_grow(&worker->deque);
}

int ed_start_push(struct ed_worker *worker, struct ed_start *start, bool pinned) {
    if (pinned) {
        ed_start_new(start, worker->index, ED_START_NEW_PINNED);
        ed_ready_entry(worker, &start->entry, ED_ENTRY_START);
    } else {
        int status = ED_UNLIKELY(ed_deque_is_full(&worker->deque)) ? make_room(worker) : 0;
        if (status < 0) return status;
        ed_deque_push_into(&worker->deque, start, worker->seq++);
        ed_start_new(start, worker->index, ED_START_NEW_OWN);
        if (ED_UNLIKELY(ED_LOAD_RELAXED(&worker->attention) & ED_WANT)) ed_publish(worker, 1);
    }
    ed_count_add(&worker->counts.spawned, 1);
    return 0;
}

/* The oldest private entry that is still good; stale ones before it go. */
static struct ed_deque_entry *oldest_own(struct ed_worker *worker) {
    struct ed_deque_entry *entry;
    while ((entry = ed_deque_oldest(&worker->deque)) != NULL && !ed_start_is_own(entry->hint, worker->index))
        ed_deque_drop_oldest(&worker->deque);
    return entry;
}

/* A visit to the scheduler sees why somebody wants attention. */
static void look_up(struct ed_worker *worker) {
    uint32_t attention = ED_LOAD_RELAXED(&worker->attention);
    if (attention & ED_TICK) {
        if (ED_LIKELY(!worker->sched->tick_always)) ED_AND(&worker->attention, ~(uint32_t)ED_TICK);
        worker->may_start = true;
        /* Timers and the poll have waited for a tick: on to the next pass. But not from one that has only begun: where
         * the poll itself takes longer than a tick nothing would ever run. */
        if (worker->slices < (unsigned)worker->sched->max_slices) worker->slices = 0;
    }
    if (attention & ED_WANT) ed_publish(worker, ed_anybody_waits(worker) ? 0 : 1);
}

static struct ed_fiber *pop_fiber(struct ed_worker *worker, struct ed_ready *ready) {
    struct ed_fiber *fiber = ED_CONTAINER(ed_ready_pop(ready), struct ed_fiber, entry);
    /* Of the next one's entry only the address is looked at: where it is no fiber, this fetches for nothing. */
    if (ED_UNLIKELY(ready->count > FETCH_AHEAD))
        ed_stack_fetch(&ED_CONTAINER(ready->head, struct ed_fiber, entry)->stack);
    fiber->queued = false;
    if (ED_UNLIKELY(fiber->preempted)) {
        fiber->preempted = false;
        worker->preempted--;
    }
    return fiber;
}

/* Something was chosen. */
static void visit(struct ed_worker *worker) {
    worker->slices--;
    worker->budget = ED_BUDGET_CALLS;
    ed_count_add(&worker->counts.slices, 1);
}

/* What runs next: its kind, and the fiber, claimed start or call in *what_out. NONE: the pass is over. */
static uint8_t choose(struct ed_worker *worker, void **what_out) {
    if (ED_UNLIKELY(ED_LOAD_RELAXED(&worker->attention) != 0)) look_up(worker);
    while (worker->slices > 0) {
        struct ed_ready *ready = &worker->ready;
        uint64_t ready_seq = ready->head != NULL ? ready->head->seq : UINT64_MAX;
        if (ED_UNLIKELY(worker->movable.head != NULL) && worker->movable.head->seq < ready_seq &&
            !worker->sched->migrate_always) {
            ready = &worker->movable;
            ready_seq = ready->head->seq;
        }
        uint64_t own_seq = UINT64_MAX, shared_seq = UINT64_MAX;
        if (worker->preempted <= ED_PREEMPTED_MAX || worker->may_start) {
            struct ed_deque_entry *own = oldest_own(worker);
            if (own != NULL) own_seq = own->seq;
            if (!ed_deque_shared_oldest(&worker->deque, &shared_seq)) shared_seq = UINT64_MAX;
        }
        uint64_t least = ready_seq < own_seq ? ready_seq : own_seq;
        if (shared_seq < least) least = shared_seq;
        if (least == UINT64_MAX || (worker->domains > 0 && least >= worker->mark)) return NONE;

        struct ed_start *start = NULL;
        if (least == ready_seq) {
            uint8_t kind = ready->head->kind;
            if (kind == ED_ENTRY_RESUME) {
                *what_out = pop_fiber(worker, ready);
            } else if (kind == ED_ENTRY_START) {
                start = ED_CONTAINER(ed_ready_pop(ready), struct ed_start, entry);
                ed_start_claim_pinned(start, worker->index);
                *what_out = start;
            } else {
                *what_out = ED_CONTAINER(ed_ready_pop(ready), struct ed_call, entry);
            }
            visit(worker);
            return kind;
        }
        if (least == own_seq) {
            start = ed_deque_oldest(&worker->deque)->hint;
            ed_deque_drop_oldest(&worker->deque);
        } else {
            bool lost;
            start = ed_deque_take(&worker->deque, &lost);
        }
        if (start == NULL || !ed_start_claim(start, worker->index)) continue; /* a thief or an awaiter was first */
        if (worker->preempted > ED_PREEMPTED_MAX) worker->may_start = false;
        visit(worker);
        *what_out = start;
        return ED_ENTRY_START;
    }
    return NONE;
}

static void fiber_main(void *arg);

static int fiber_create(struct ed_worker *worker, struct ed_start *start, struct ed_fiber **fiber_out) {
    struct ed_stack *stack;
    int status = ed_stack_get(&worker->stacks, start->stack_class, &stack);
    if (status < 0) return status;
    struct ed_fiber *fiber = ED_CONTAINER(stack, struct ed_fiber, stack);
    ED_STORE_RELEASE(&fiber->worker, worker);
    fiber->start = start;
    fiber->task = NULL;
    fiber->queued = fiber->preempted = false;
    ed_context_make(stack, fiber_main, fiber);
    const struct ed_context *context = &stack->context;
    fiber->direct_low = (uintptr_t)context->stack_low + ED_DIRECT_STACK_BYTES;
    fiber->direct_bytes =
        context->stack_bytes > ED_DIRECT_STACK_BYTES ? context->stack_bytes - ED_DIRECT_STACK_BYTES : 0;
    int64_t alive = ED_LOAD_RELAXED(&worker->counts.stacks_alive) + 1;
    ED_STORE_RELAXED(&worker->counts.stacks_alive, alive);
    if (alive > ED_LOAD_RELAXED(&worker->counts.stacks_alive_max))
        ED_STORE_RELAXED(&worker->counts.stacks_alive_max, alive);
    *fiber_out = fiber;
    return 0;
}

/* A stack for a claimed start; NULL: there is none, and the task has been ended with that. */
static struct ed_fiber *fiber_for(struct ed_worker *worker, struct ed_start *start) {
    struct ed_fiber *fiber;
    int status = fiber_create(worker, start, &fiber);
    if (status == 0) return fiber;
    worker->sched->no_stack(start, status);
    return NULL;
}

/* From a fiber, what it chose: the context to go on in. */
static struct ed_context *context_of(struct ed_worker *worker, uint8_t kind, void *what) {
    if (kind == ED_ENTRY_RESUME) {
        worker->running = what;
        ed_count_add(&worker->counts.switches, 1);
        return &worker->running->stack.context;
    }
    worker->handed_kind = kind; /* the worker's own stack runs it */
    worker->handed = what;
    worker->running = NULL;
    return &worker->main;
}

/* Another kind of thing than a parked task is next, or nobody knows yet. */
static __attribute__((noinline)) struct ed_context *next_of_all(struct ed_worker *worker, struct ed_fiber *fiber) {
    void *what = NULL;
    uint8_t kind = choose(worker, &what);
    if (kind == ED_ENTRY_RESUME && what == fiber) return &fiber->stack.context;
    if (kind == ED_ENTRY_START) {
        struct ed_fiber *started = fiber_for(worker, what);
        kind = started != NULL ? ED_ENTRY_RESUME : NONE;
        what = started;
    }
    return context_of(worker, kind, what);
}

ED_HOT struct ed_context *ed_fiber_next(struct ed_worker *worker, struct ed_fiber *fiber) {
    ED_ASSERT(worker->running == fiber);
    struct ed_entry *entry = worker->ready.head;
    /* Nearly always a parked task is next, and there is nothing that could be older: what choose() would find. */
    if (ED_UNLIKELY(entry == NULL || entry->kind != ED_ENTRY_RESUME || worker->slices == 0 ||
                    ED_LOAD_RELAXED(&worker->attention) != 0 || worker->movable.head != NULL ||
                    !ed_deque_is_empty(&worker->deque) || (worker->domains > 0 && entry->seq >= worker->mark)))
        return next_of_all(worker, fiber);
    struct ed_fiber *next = pop_fiber(worker, &worker->ready);
    visit(worker);
    if (next == fiber) return &fiber->stack.context;
    worker->running = next;
    ed_count_add(&worker->counts.switches, 1);
    return &next->stack.context;
}

void ed_fiber_preempt(struct ed_fiber *fiber, bool may_move) {
    struct ed_worker *worker = ed_fiber_worker(fiber);
    ed_tell(worker, ED_EVENT_PREEMPT, fiber->task, 0, NULL);
    fiber->preempted = true;
    worker->preempted++;
    if (may_move) {
        ed_fiber_ready_movable(fiber);
    } else {
        ed_fiber_ready(worker, fiber);
    }
    ed_fiber_suspend(worker, fiber);
}

static void fiber_main(void *arg) {
    struct ed_fiber *fiber = arg;
    struct ed_worker *worker = ed_fiber_worker(fiber);
    void *what;
    uint8_t kind;
    for (;;) {
        worker->sched->run_start(fiber->start, fiber);
        worker = ed_fiber_worker(fiber); /* where the task ended */
        what = NULL;
        kind = choose(worker, &what);
        if (kind != ED_ENTRY_START || ((struct ed_start *)what)->stack_class != fiber->stack.class_) break;
        fiber->start = what;
    }
    ED_STORE_RELAXED(&worker->counts.stacks_alive, ED_LOAD_RELAXED(&worker->counts.stacks_alive) - 1);
    struct ed_context *next = context_of(worker, kind, what);
    ed_stack_put(&worker->stacks, &fiber->stack);
    ed_context_exit(&fiber->stack.context, next);
}

/* On the worker's own stack. */
static void run(struct ed_worker *worker, uint8_t kind, void *what) {
    while (kind != NONE) {
        if (kind == ED_ENTRY_CALL) {
            struct ed_call *call = what;
            call->run(call);
            return;
        }
        struct ed_fiber *fiber = kind == ED_ENTRY_START ? fiber_for(worker, what) : what;
        if (fiber == NULL) return;
        worker->running = fiber;
        worker->handed_kind = NONE;
        ed_count_add(&worker->counts.switches, 1);
        ed_context_switch(&worker->main, &fiber->stack.context);
        kind = worker->handed_kind;
        what = worker->handed;
    }
}

int ed_start_now(struct ed_worker *worker, struct ed_start *start) {
    struct ed_fiber *fiber, *caller = worker->running;
    int status = fiber_create(worker, start, &fiber);
    if (status < 0) return status;
    ed_start_new(start, worker->index, ED_START_STARTED);
    ed_count_add(&worker->counts.spawned, 1);
    if (caller != NULL) { /* a task: it is the first that its child, or who runs on that stack next, can choose */
        caller->queued = true;
        caller->entry.kind = ED_ENTRY_RESUME;
        ed_ready_push_first(&worker->ready, &caller->entry);
        worker->running = fiber;
        ed_count_add(&worker->counts.switches, 1);
        ed_context_switch(&caller->stack.context, &fiber->stack.context);
    } else { /* a callback, on the worker's own stack: with no slice left the child can only come back here */
        unsigned slices = worker->slices;
        worker->slices = 0;
        run(worker, ED_ENTRY_RESUME, fiber);
        worker->slices = slices;
    }
    return 0;
}

bool ed_anything_ready(struct ed_worker *worker) {
    return ed_anybody_waits(worker) || oldest_own(worker) != NULL || ed_deque_shared_count(&worker->deque) > 0;
}

/* Whether to ask the system again: what it woke the last time has run, or has been served for ED_POLL_DELAY_NS and for four
 * times as long as the asking took. Who is woken now runs after those anyway, and each poll of thousands of descriptors that
 * are ready is long and tells nothing new. */
static bool may_poll(const struct ed_worker *worker, int64_t now_ns) {
    if (worker->domains > 0) return now_ns - worker->polled_ns >= ED_DOMAIN_POLL_NS;
    const struct ed_entry *ready = worker->ready.head, *movable = worker->movable.head;
    if ((ready == NULL || ready->seq >= worker->polled_seq) && (movable == NULL || movable->seq >= worker->polled_seq))
        return true;
    return now_ns - worker->polled_ns >= ED_POLL_DELAY_NS + 4 * worker->poll_cost_ns;
}

/* The start of a pass: what is due is queued behind what is ready. */
static void begin_pass(struct ed_worker *worker, bool ready) {
    const struct ed_driver *driver = worker->sched->driver;
    bool io = ready && driver->holds_io(worker); /* nothing ready: the sleeping poll comes right after */
    if (io || ed_timers_next(worker) != INT64_MAX) {
        int64_t now_ns = driver->now(worker);
        if (worker->polled_ns == INT64_MAX) worker->polled_ns = now_ns;
        if (io && may_poll(worker, now_ns)) {
            ed_count_add(&worker->counts.polls, 1);
            driver->poll(worker, ED_POLL_NOW);
            worker->polled_ns = driver->now(worker);
            worker->poll_cost_ns = worker->polled_ns - now_ns;
            worker->polled_seq = worker->seq;
        }
        ed_timers_expire(worker, now_ns);
    }
    worker->mark = worker->seq;
}

bool ed_worker_turn(struct ed_worker *worker) {
    uint64_t ran = ED_LOAD_RELAXED(&worker->counts.slices);
    messages_arrive(ed_inbox_take(&worker->inbox), worker);
    if (ED_UNLIKELY(worker->movable.head != NULL)) ed_migrate(worker);
    bool ready = ed_anything_ready(worker);
    bool pass_open = worker->domains > 0 && worker->ready.head != NULL && worker->ready.head->seq < worker->mark;
    if (!pass_open) begin_pass(worker, ready);
    /* Woken with a searcher's token, and there is work here: it may last, and nobody searches who sees a token taken. */
    if (worker->searching && ed_anything_ready(worker) && ed_idle_search_end(worker)) ed_idle_notify(worker);
    worker->slices = (unsigned)worker->sched->max_slices;
    void *what;
    uint8_t kind;
    while ((kind = choose(worker, &what)) != NONE) run(worker, kind, what);
    if (ED_LOAD_RELAXED(&worker->counts.slices) != ran || ed_anything_ready(worker)) return true;

    if (worker->sched->workers_count == 1) return false;
    ed_want_work(worker);
    if (!ed_idle_search_begin(worker)) return false;
    struct ed_start *start = ed_steal(worker);
    if (start == NULL) return false; /* ed_idle_prepare gives the token back */
    if (ed_idle_search_end(worker)) ed_idle_notify(worker);
    worker->slices = (unsigned)worker->sched->max_slices;
    visit(worker);
    run(worker, ED_ENTRY_START, start);
    return true;
}

void ed_attend(struct ed_worker *worker, struct ed_fiber *fiber, bool may_move) {
    if (ED_LOAD_RELAXED(&worker->attention) & ED_TICK) {
        if (ED_LOAD_RELAXED(&worker->attention) & ED_WANT) ed_publish(worker, 0);
    } else if (!ed_anybody_waits(worker)) {
        /* Nobody waits for a turn but new tasks, and what is spawned here is mostly about to be awaited here: they
         * start at the next tick at the latest. */
        worker->budget = ED_BUDGET_CALLS;
        return;
    }
    ed_fiber_preempt(fiber, may_move);
}
