/* pool_model.c: jobs of a thread pool: each runs once and is answered once, none is forgotten while threads fall asleep, and a
 * cancelled one is taken back or answered, never both. The real pool_thread.c and job.c; threads, their lock and parking are
 * stand-ins of the same contract. An outbox's message is on its way exactly while it holds answers.
 * Sources src/exec/pool_thread.c src/exec/job.c src/exec/caller.c
 * Smaller src/exec/pool_thread.c s/SPINS = 200/SPINS = 1/ */
#include "exec/exec.h"
#include "exec/thread_pool.h"
#include "explorer.h"
#include "messages.h"
#include "task/task.h"

#include <stdio.h>

enum { JOBS = 2 };

/* One worker of a scenario, with the one stack that parks on it. */
struct actor {
    struct ed_worker worker;
    struct ed_strand strand;
    struct ed_message cancel;
    bool pending;
};
static struct actor *actors;
static struct ed_sched *sched;
static struct ed_exec *exec;
static struct eddy_thread_pool *pool;
static struct ed_job *jobs;
static unsigned ran[JOBS], arrived[JOBS], created, taken;
static int status_of_call;
static unsigned ran_in_call;
static bool call_ended, worker_ended[MODEL_THREADS];

/* ---- threads and locks ---------------------------------------------------------------------------------- */

static _Atomic uint32_t *word_of(void *object) { return object; }
static bool is_free(void *lock) { return ED_LOAD_RELAXED(word_of(lock)) == 0; }

int pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attributes) {
    (void)attributes;
    ED_STORE_RELAXED(word_of(lock), 0);
    return 0;
}
int pthread_mutex_lock(pthread_mutex_t *lock) {
    uint32_t is = 0;
    while (!ED_CAS(word_of(lock), &is, 1)) {
        model_wait(is_free, lock);
        is = 0;
    }
    return 0;
}
int pthread_mutex_unlock(pthread_mutex_t *lock) {
    ED_STORE_RELEASE(word_of(lock), 0);
    return 0;
}
int pthread_cond_signal(pthread_cond_t *cond) {
    ED_ADD(word_of(cond), 1); /* wakes all: some for no reason */
    return 0;
}
int pthread_cond_broadcast(pthread_cond_t *cond) { return pthread_cond_signal(cond); }

struct sleep {
    pthread_cond_t *cond;
    uint32_t since;
};
static bool is_signalled(void *arg) {
    const struct sleep *sleep = arg;
    return ED_LOAD_RELAXED(word_of(sleep->cond)) != sleep->since;
}
bool ed_exec_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns) {
    struct sleep sleep = {cond, ED_LOAD_RELAXED(word_of(cond))};
    pthread_mutex_unlock(lock);
    if (deadline_ns == INT64_MAX) model_wait(is_signalled, &sleep); /* else it passes at once */
    pthread_mutex_lock(lock);
    return deadline_ns == INT64_MAX;
}

static void *(*thread_body)(void *);
static void *thread_args[2];

int ed_thread_create(pthread_t *thread_out, void *(*body)(void *), void *arg) {
    (void)thread_out;
    MODEL_CHECK(created < 2);
    thread_body = body;
    thread_args[created++] = arg;
    return 0;
}
static bool is_created(void *arg) {
    (void)arg;
    return created > taken;
}
static void pool_thread(void) {
    model_wait(is_created, NULL);
    void *arg = thread_args[taken++];
    pthread_mutex_lock(&pool->pool.lock); /* what creating a thread orders */
    pthread_mutex_unlock(&pool->pool.lock);
    thread_body(arg);
}

/* ---- what is not looked at here -------------------------------------------------------------------------- */

int64_t eddy_time_ns(void) { return 0; }
void ed_exec_name_thread(const char *name) { (void)name; }
void ed_exec_bury_self(struct ed_exec *record) { (void)record; }
void ed_pool_delist(struct ed_pool *base) { (void)base; }
void ed_pool_release(struct ed_pool *base) { ED_SUB(&base->references, 1); }
void *ed_alloc_aligned(size_t alignment, size_t bytes) {
    (void)alignment;
    return model_alloc(bytes);
}
int ed_thread_pool_default(struct eddy_thread_pool **pool_out) { return *pool_out = pool, 0; }
void ed_error_thread_slot(eddy_error **slot) { (void)slot; }
void ed_error_set_current(eddy_error *error) { (void)error; }
eddy_error *ed_error_create(int status, const char *task, const char *text) {
    (void)status, (void)task, (void)text;
    return NULL;
}
eddy_error *eddy_error_share(const eddy_error *error) { return (eddy_error *)(uintptr_t)error; }
void eddy_error_release(eddy_error *error) { (void)error; }
int eddy_error_status(const eddy_error *error) { return error != NULL; }
const char *eddy_error_text(const eddy_error *error) { return error != NULL ? "an error" : ""; }
const char *eddy_status_name(int status) { return status != 0 ? "a failure" : ""; }
int eddy_fail(int code, const char *format, ...) { return format != NULL ? code : 0; }
void ed_context_thread_slot(eddy_context **slot) { (void)slot; }
eddy_context *eddy_context_share(eddy_context *context) { return context; }
void eddy_context_release(eddy_context *context) { (void)context; }
eddy_context **ed_context_of_thread(void) { return NULL; }
void ed_report(struct ed_sched *of, const eddy_report *report) { (void)of, (void)report; }
int ed_outside_task(void) { return EDDY_EWRONGTHREAD; }

/* ---- parking -------------------------------------------------------------------------------------------- */

static struct actor *self(void) { return &actors[model_self() - 1]; }

struct ed_fiber *ed_fiber_current(void) {
    return ed_worker_current()->running;
}

void ed_wake(struct ed_fiber *fiber, int status) {
    struct ed_strand *strand = ed_strand_of(fiber);
    MODEL_CHECK(strand->parked && !strand->woken);
    strand->woken = true;
    strand->status = status;
}

int ed_park(const struct ed_park *park) {
    struct actor *actor = self();
    struct ed_strand *strand = &actor->strand;
    (void)park;
    strand->woken = false;
    strand->parked = true;
    strand->cancelled = actor->pending;
    actor->pending = false;
    while (!strand->woken && !strand->cancelled) await_messages(&actor->worker);
    receive(&actor->worker); /* perhaps more, before its turn comes */
    strand->parked = false;
    return strand->cancelled || actor->pending ? (actor->pending = false, EDDY_ECANCELED) : strand->status;
}

static void cancel_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct actor *actor = ED_CONTAINER(message, struct actor, cancel);
    (void)worker;
    if (actor->strand.parked && !actor->strand.woken)
        actor->strand.cancelled = true;
    else
        actor->pending = true;
}
static void canceller(void) {
    actors[0].cancel.arrive = cancel_arrives;
    (void)ed_post(&actors[0].worker, &actors[0].cancel);
}

/* ---- scenarios ------------------------------------------------------------------------------------------ */

static void setup_of(unsigned workers, unsigned threads) {
    sched = model_alloc(sizeof *sched);
    static const struct ed_driver driver;
    sched->driver = &driver;
    sched->workers_count = workers;
    sched->workers = model_alloc(2 * sizeof *sched->workers);
    exec = model_alloc(sizeof *exec);
    exec->sched = sched;
    actors = model_alloc(3 * sizeof *actors);
    for (unsigned i = 0; i < 3; i++) {
        actors[i].worker.index = i < workers ? i : 0;
        actors[i].worker.sched = sched;
        actors[i].worker.running = &actors[i].strand.fiber;
        ed_inbox_init(&actors[i].worker.inbox);
        if (i < workers) sched->workers[i] = &actors[i].worker;
        worker_ended[i] = false;
    }
    model_name(&actors[0].worker.inbox.head, "inbox");
    jobs = model_alloc(JOBS * sizeof *jobs);
    pool = model_alloc(sizeof *pool);
    pool->pool.exec = exec;
    pool->pool.references = 1;
    pool->threads_max = threads;
    pool->idle_ns = INT64_MAX;
    pool->is_hungry = true;
    ED_STORE_RELAXED(&pool->hungry, true);
    model_name(&pool->inlet.head, "inlet");
    model_name(&pool->hungry, "hungry");
    model_name(&pool->pool.lock, "lock");
    created = taken = 0;
    call_ended = false;
    for (int i = 0; i < JOBS; i++) ran[i] = arrived[i] = 0;
}
static void setup_one_thread(void) { setup_of(1, 1); }
static void setup_two_threads(void) { setup_of(1, 2); }
static void setup_two_workers(void) { setup_of(2, 1); }
static void setup_idle(void) {
    setup_of(1, 1);
    pool->idle_ns = 0; /* each sleep is too long */
}

static int body(void *arg, eddy_value *out) {
    ran[(intptr_t)arg]++;
    out->i64 = (intptr_t)arg + 7;
    return 0;
}

static void job_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_job *job = ED_CONTAINER(message, struct ed_job, caller.message);
    MODEL_CHECK(worker == job->caller.worker);
    MODEL_CHECK(ED_LOAD_RELAXED(&job->state) == ED_JOB_DONE && job->value.i64 == job - jobs + 7);
    arrived[job - jobs]++;
}

static void push(struct ed_worker *worker, int i) {
    struct ed_job *job = &jobs[i];
    job->caller.message.arrive = job_arrives;
    job->caller.worker = worker;
    job->fn = body;
    job->arg = (void *)(intptr_t)i;
    ED_STORE_RELAXED(&job->state, ED_JOB_QUEUED);
    MODEL_CHECK(ed_pool_push(pool, job) == 0);
}

static void await_job(struct ed_worker *worker, int i) {
    while (arrived[i] == 0) await_messages(worker);
}

static void pushes_both(void) {
    struct ed_worker *worker = &self()->worker;
    push(worker, 0);
    push(worker, 1);
    await_job(worker, 0);
    await_job(worker, 1);
    worker_ended[0] = true;
}
static void pushes_in_turn(void) {
    struct ed_worker *worker = &self()->worker;
    for (int i = 0; i < JOBS; i++) {
        push(worker, i);
        await_job(worker, i);
    }
    worker_ended[0] = true;
}
static void pushes_first(void) {
    push(&actors[0].worker, 0);
    await_job(&actors[0].worker, 0);
    worker_ended[0] = true;
}
static void pushes_second(void) {
    push(&actors[1].worker, 1);
    await_job(&actors[1].worker, 1);
    worker_ended[1] = true;
}

static void check_jobs(void) {
    for (int i = 0; i < JOBS; i++) MODEL_CHECK(ran[i] == 1 && arrived[i] == 1);
    MODEL_CHECK(pool->first == NULL && pool->queued == 0 && ed_inbox_empty(&pool->inlet));
    MODEL_CHECK(pool->searching == 0 && ed_pool_busy(pool) == 0);
    MODEL_CHECK(ED_LOAD_RELAXED(&pool->pool.references) == 1);
}
static void check_worker(void) {
    MODEL_CHECK(worker_ended[0]);
    check_jobs();
}
static void check_workers(void) {
    MODEL_CHECK(worker_ended[0] && worker_ended[1]);
    check_jobs();
}

/* A borrowed job whose task is cancelled at any moment. */
static void calls(void) {
    struct actor *actor = self();
    model_set_worker(&actor->worker);
    eddy_value value;
    status_of_call = eddy_thread_pool_run(pool, body, NULL, &value);
    MODEL_CHECK(status_of_call == 0 || status_of_call == EDDY_ECANCELED);
    MODEL_CHECK(value.i64 == (ran[0] == 1 ? 7 : 0));
    MODEL_CHECK(status_of_call < 0 || ran[0] == 1);
    ran_in_call = ran[0];
    call_ended = true;
}
static void check_call(void) {
    MODEL_CHECK(call_ended && ran[0] <= 1 && ran[0] == ran_in_call); /* never after the call */
    MODEL_CHECK(pool->first == NULL && pool->queued == 0);
}

/* ---- the outbox alone ----------------------------------------------------------------------------------- */

static struct ed_outbox *box;
static struct ed_message *answers;
static unsigned messages_sent, messages_came, answers_came;

static void box_arrives(struct ed_message *message, struct ed_worker *worker) {
    messages_came++;
    ed_outbox_arrives(ED_CONTAINER(message, struct ed_outbox, message), worker);
}
static void answer_arrives(struct ed_message *message, struct ed_worker *worker) {
    (void)worker;
    MODEL_CHECK(message == &answers[answers_came]); /* in order, hence once */
    answers_came++;
}
static void setup_outbox(void) {
    setup_of(1, 1);
    box = model_alloc(sizeof *box);
    answers = model_alloc(3 * sizeof *answers);
    box->message.arrive = box_arrives;
    for (int i = 0; i < 3; i++) answers[i].arrive = answer_arrives;
    model_name(&box->answers.head, "answers");
    messages_sent = messages_came = answers_came = 0;
}
static void answers_three(void) {
    for (int i = 0; i < 3; i++) {
        if (!ed_outbox_push(box, &answers[i])) continue;
        messages_sent++;
        (void)ed_post(&actors[0].worker, &box->message);
    }
}
static void takes_three(void) {
    while (answers_came < 3) await_messages(&actors[0].worker);
}
static void check_outbox(void) {
    MODEL_CHECK(answers_came == 3);
    MODEL_CHECK(messages_sent == messages_came);
    MODEL_CHECK(ed_inbox_empty(&box->answers) && ed_inbox_empty(&actors[0].worker.inbox));
}

static const struct model_scenario scenarios[] = {
    {.name = "outbox", .setup = setup_outbox, .threads = {takes_three, answers_three}, .check = check_outbox},
    {.name = "one_thread",
     .setup = setup_one_thread,
     .threads = {pushes_both, pool_thread},
     .check = check_worker,
     .may_wait = true},
    {.name = "in_turn",
     .setup = setup_two_threads,
     .threads = {pushes_in_turn, pool_thread, pool_thread},
     .check = check_worker,
     .may_wait = true},
    {.name = "two_threads",
     .setup = setup_two_threads,
     .threads = {pushes_both, pool_thread, pool_thread},
     .check = check_worker,
     .may_wait = true},
    {.name = "two_workers",
     .setup = setup_two_workers,
     .threads = {pushes_first, pushes_second, pool_thread},
     .check = check_workers,
     .may_wait = true},
    {.name = "idle",
     .setup = setup_idle,
     .threads = {pushes_in_turn, pool_thread, pool_thread},
     .check = check_worker,
     .may_wait = true},
    {.name = "cancelled",
     .setup = setup_one_thread,
     .threads = {calls, canceller, pool_thread},
     .check = check_call,
     .may_wait = true},
};
MODEL_MAIN(scenarios)
