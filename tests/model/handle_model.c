/* handle_model.c: a callback runs once, or never once it was cancelled, whoever cancels or gives its handle back meanwhile; a
 * cancelled one says so; and its record goes back once, by whoever has it last. The real src/task/handle.c and inbox.h; the
 * worker's queue is a list, its timers are one, and records are really freed, so that a late access is seen.
 * Sources src/task/handle.c */
#include "explorer.h"
#include "messages.h"
#include "no_debug.h"
#include "task/blocks.h"
#include "task/task.h"

static struct ed_sched *sched;
static struct ed_worker *worker;
static eddy_handle *handle;
static struct ed_timer *armed; /* the worker's */
static struct ed_entry *ready; /* the worker's */
static int runs, cancels[MODEL_THREADS];
static unsigned others, others_ended; /* threads beside the worker's */

/* ---- what handle.c stands on ------------------------------------------------------------------------ */

void *ed_block_get(struct ed_block_store *store, struct ed_block_cache *cache) {
    (void)store, (void)cache;
    return ed_calloc(512);
}
void ed_block_put(struct ed_block *block, struct ed_block_cache *cache) {
    (void)cache;
    ed_free(block);
}
int ed_block_store_open(struct ed_block_store **store_out, size_t block_bytes) {
    (void)store_out, (void)block_bytes;
    return EDDY_ENOMEM;
}
void ed_ready_entry(struct ed_worker *to, struct ed_entry *entry, enum ed_entry_kind kind) {
    MODEL_CHECK(to == worker && kind == ED_ENTRY_CALL && ready == NULL);
    ready = entry;
}
void ed_timer_start(struct ed_worker *of, struct ed_timer *timer, int64_t when_ns) {
    timer->worker = of;
    timer->node.when_ns = when_ns;
    armed = timer;
}
void ed_timer_stop(struct ed_timer *timer) {
    MODEL_CHECK(timer == armed);
    timer->worker = NULL;
    armed = NULL;
}
struct ed_timer *ed_timers_any(const struct ed_worker *of) {
    (void)of;
    return armed;
}
int64_t eddy_time_ns(void) { return 0; }
void eddy_context_release(eddy_context *context) { (void)context; }
eddy_context *eddy_context_share(eddy_context *context) { return context; }
eddy_context **ed_context_of_thread(void) {
    static eddy_context *none;
    return &none;
}
void ed_report(struct ed_sched *of, const eddy_report *report) { (void)of, (void)report; }
eddy_loop *ed_domain_current(void) { return NULL; }

/* ---- threads ---------------------------------------------------------------------------------------- */

static int callback(void *arg) {
    (void)arg;
    runs++;
    return 0;
}

static void setup(void) {
    static struct ed_tasks tasks;
    sched = model_alloc(sizeof *sched);
    worker = model_alloc(sizeof *worker);
    sched->tasks = &tasks;
    worker->sched = sched;
    ed_inbox_init(&worker->inbox);
    model_name(&worker->inbox.head, "inbox");
    handle = NULL;
    armed = NULL;
    ready = NULL;
    runs = 0;
    others = 1;
    others_ended = 0;
    for (int i = 0; i < MODEL_THREADS; i++) cancels[i] = -1;
}
static void setup_timer(void) {
    setup();
    model_set_worker(worker);
    MODEL_CHECK(eddy_call_at(NULL, 1, callback, NULL, &handle) == 0);
    model_set_worker(NULL);
}
static void setup_timer_for_two(void) {
    setup_timer();
    others = 2;
}

static bool others_have_ended(void *arg) {
    (void)arg;
    return others_ended == others;
}
static void run_ready(void) {
    struct ed_entry *entry = ready;
    ready = NULL;
    if (entry == NULL) return;
    struct ed_call *call = ED_CONTAINER(entry, struct ed_call, entry);
    call->run(call);
}
/* What the worker does until nothing is left to do. */
static void work(void) {
    receive(worker);
    run_ready();
    model_wait(others_have_ended, NULL);
    receive_list(ed_inbox_close(&worker->inbox), worker); /* all: no look that may be too old */
    run_ready();
}
static void fires(void) {
    model_set_worker(worker);
    receive(worker);
    struct ed_timer *timer = armed;
    if (timer != NULL) {
        ed_timer_stop(timer);
        timer->fire(timer);
    }
    work();
}
static void never_fires(void) {
    model_set_worker(worker);
    work();
}
static void works(void) {
    model_set_worker(worker);
    work();
}
static void note_cancel(void) {
    eddy_handle_cancel(handle);
    cancels[model_self()] = eddy_handle_cancelled(handle);
}
static void cancels_here(void) {
    model_set_worker(worker);
    note_cancel();
    work();
}
static void cancel(void) {
    note_cancel();
    others_ended++;
}
static void cancel_and_release(void) {
    note_cancel();
    eddy_handle_release(handle);
    others_ended++;
}
static void release(void) {
    eddy_handle_release(handle);
    others_ended++;
}
static void send_and_cancel(void) {
    static struct eddy_loop loop;
    loop.sched = sched;
    loop.worker = worker;
    MODEL_CHECK(eddy_call_soon_threadsafe(&loop, callback, NULL, &handle) == 0);
    cancel_and_release();
}

/* ---- claims ----------------------------------------------------------------------------------------- */

static void check(void) {
    bool cancelled = false;
    for (int i = 0; i < MODEL_THREADS; i++) cancelled = cancelled || cancels[i] == 1;
    for (int i = 0; i < MODEL_THREADS; i++) MODEL_CHECK(cancels[i] == -1 || cancels[i] == cancelled);
    MODEL_CHECK(runs == (cancelled || armed != NULL ? 0 : 1));
    MODEL_CHECK(model_live() == 0);
}
static void check_and_release(void) {
    eddy_handle_release(handle);
    check();
}
static void check_stopped(void) {
    MODEL_CHECK(armed == NULL && cancels[2] == 1);
    check();
}

static const struct model_scenario scenarios[] = {
    {.name = "handle_fires", .setup = setup_timer, .threads = {fires, cancel_and_release}, .check = check},
    {.name = "handle_released", .setup = setup_timer, .threads = {fires, release}, .check = check},
    {.name = "handle_stopped",
     .setup = setup_timer,
     .threads = {never_fires, cancel_and_release},
     .check = check_stopped},
    {.name = "handle_two_cancel",
     .setup = setup_timer_for_two,
     .threads = {fires, cancel, cancel},
     .check = check_and_release},
    {.name = "handle_cancelled_here",
     .setup = setup_timer_for_two,
     .threads = {cancels_here, cancel, cancel},
     .check = check_and_release},
    {.name = "handle_sent", .setup = setup, .threads = {works, send_and_cancel}, .check = check},
};
MODEL_MAIN(scenarios)
