/* watchdog.c: who holds a worker, told while it still does.
 *
 * Problem    A task that blocks or computes without end stops all others of its worker, and afterwards nobody knows which
 *            one it was. What a worker runs is its own: another thread cannot read it.
 * Idea       The tick thread sees that a worker does not come back, and sends its thread a signal. The handler, on that very
 *            thread, writes down name, place and stack of what runs; the tick thread reports them, and again with the
 *            whole time when the worker is back.
 * States     of a worker's record:
 *
 *              IDLE --tick--> ASKED --handler--> TOLD --tick, with a report--> WAITING --tick, worker is back--> IDLE
 *                               |                 \---- tick, worker is back, with a report if it was in time ----^
 *                               \------------------ tick, worker is back -----------------------------------------^
 *
 *            The handler writes the record in ASKED only, the tick thread reads it from TOLD on (release, acquire). A
 *            handler that comes so late that the record is IDLE again writes nothing: the exchange to WRITING decides.
 * In time    A sleep or a poll that held the worker ends by the signal itself, often before the next look: what the
 *            handler wrote tells of it all the same if no visit to the scheduler lay between the question and the writing.
 * Signal     SIGURG: ignored by default, and by whoever does not use it; the process's disposition is put back by the last
 *            watchdog. Where the host handles it itself, reports have no name and no stack. It cuts short sleeps and polls
 *            in the code that holds the worker: debug mode only.
 * Threads    As debug.h says.
 * Tests      tests/debug/watchdog_test.c. */
#include "debug/debug.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { FRAMES_MAX = 32, STACK_BYTES = 4096 };
enum state { IDLE, ASKED, WRITING, TOLD, WAITING };

struct watched {
    _Atomic int state;
    pthread_t thread; /* (c) while `here` */
    bool here;        /* under the watchdog's lock: the thread may be sent a signal */
    int64_t held_ns;  /* tick thread */
    bool came_back;   /* tick thread: while the handler wrote */
    uint64_t slices;  /* tick thread, before ASKED: visits to the scheduler so far */
    /* written in WRITING, read from TOLD on */
    char name[ED_TASK_NAME_BYTES];
    const char *place;
    void *frames[FRAMES_MAX];
    int frames_count;
    bool in_time; /* the worker had not been back when it wrote */
};

struct ed_watchdog {
    struct ed_sched *sched;
    int64_t slow_ns;
    bool signals; /* the signal is ours */
    pthread_mutex_t lock;
    struct watched workers[];
};

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;          /* watchdogs that use the signal: under users_lock */
static struct sigaction before; /* the disposition that was there: under users_lock */

/* ---- on the held thread ------------------------------------------------------------------------- */

static void write_down(struct watched *watched, struct ed_worker *worker) {
    int asked = ASKED;
    if (!ED_CAS(&watched->state, &asked, WRITING)) return;
    watched->in_time = ED_LOAD_RELAXED(&worker->counts.slices) == watched->slices;
    const struct ed_fiber *fiber = worker->running;
    const eddy_task *task = fiber != NULL ? fiber->task : NULL;
    watched->place = task != NULL ? task->place : NULL;
    if (task == NULL)
        memcpy(watched->name, "a callback", sizeof "a callback");
    else if (task->name[0] != '\0')
        memcpy(watched->name, task->name, sizeof watched->name); /* it may be renamed meanwhile: a name all the same */
    else
        snprintf(watched->name, sizeof watched->name, "Task-%llu", (unsigned long long)task->id);
    watched->frames_count = backtrace(watched->frames, FRAMES_MAX);
    ED_STORE_RELEASE(&watched->state, TOLD);
}

static _Thread_local struct watched *mine; /* read in the handler only */

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    struct ed_worker *worker = ed_worker_current();
    if (worker != NULL && mine != NULL) write_down(mine, worker);
    errno = saved;
}

/* ---- the signal --------------------------------------------------------------------------------- */

static bool signal_take(void) {
    pthread_mutex_lock(&users_lock);
    bool ours = users > 0;
    if (!ours) {
        sigaction(SIGURG, NULL, &before);
        ours = !(before.sa_flags & SA_SIGINFO) && (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN);
        if (ours) {
            void *frame;
            (void)backtrace(&frame, 1); /* loads what it needs now, not in a handler */
            struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
            sigemptyset(&action.sa_mask);
            sigaction(SIGURG, &action, NULL);
        }
    }
    users += ours;
    pthread_mutex_unlock(&users_lock);
    return ours;
}

static void signal_give(void) {
    pthread_mutex_lock(&users_lock);
    if (--users == 0) sigaction(SIGURG, &before, NULL);
    pthread_mutex_unlock(&users_lock);
}

__attribute__((noinline)) static void set_mine(struct watched *watched) { mine = watched; }

void ed_watchdog_enter(struct ed_watchdog *watchdog, struct ed_worker *worker) {
    struct watched *watched = &watchdog->workers[worker->index];
    set_mine(watched);
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    if (watchdog->signals) pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
    pthread_mutex_lock(&watchdog->lock);
    watched->thread = pthread_self();
    watched->here = true;
    pthread_mutex_unlock(&watchdog->lock);
}

void ed_watchdog_leave(struct ed_watchdog *watchdog, struct ed_worker *worker) {
    pthread_mutex_lock(&watchdog->lock);
    watchdog->workers[worker->index].here = false;
    pthread_mutex_unlock(&watchdog->lock);
    set_mine(NULL);
}

/* ---- the tick thread ---------------------------------------------------------------------------- */

static void ask(struct ed_watchdog *watchdog, struct watched *watched, uint64_t slices) {
    watched->slices = slices;
    ED_STORE_RELEASE(&watched->state, ASKED);
    pthread_mutex_lock(&watchdog->lock);
    bool sent = watchdog->signals && watched->here && pthread_kill(watched->thread, SIGURG) == 0;
    pthread_mutex_unlock(&watchdog->lock);
    if (sent) return;
    watched->name[0] = '\0';
    watched->place = NULL;
    watched->frames_count = 0;
    watched->in_time = false;
    ED_STORE_RELEASE(&watched->state, TOLD);
}

static void report(struct ed_watchdog *watchdog, struct ed_worker *worker, struct watched *watched, bool back,
                   bool with_stack) {
    char message[128], stack[STACK_BYTES] = "";
    snprintf(message, sizeof message, "worker %u %s held for %.3f s", worker->index, back ? "was" : "has been",
             (double)watched->held_ns / 1e9);
    const int own = 2; /* the handler's calls */
    size_t used = 0;
    if (with_stack && watched->frames_count > own)
        used =
            ed_symbols_print(watched->frames + own, (size_t)(watched->frames_count - own), "  ", stack, sizeof stack);
    ed_report(watchdog->sched, &(eddy_report){.kind = EDDY_REPORT_SLOW,
                                              .message = message,
                                              .task = watched->name,
                                              .place = watched->place,
                                              .stack = used > 0 ? stack : NULL});
}

void ed_watchdog_look(struct ed_watchdog *watchdog, struct ed_worker *worker, int64_t held_ns, uint64_t slices) {
    struct watched *watched = &watchdog->workers[worker->index];
    int state = ED_LOAD_ACQUIRE(&watched->state);
    const bool back = held_ns < watched->held_ns || watched->came_back;
    if (state == WAITING && back) {
        report(watchdog, worker, watched, true, false);
        ED_STORE_RELEASE(&watched->state, IDLE);
    } else if (state == TOLD && back) {
        /* Between two looks: what held it was cut short by the signal, or ended just then. */
        if (watched->came_back) watched->held_ns = watchdog->slow_ns; /* for so long at least */
        if (watched->in_time) report(watchdog, worker, watched, true, true);
        watched->came_back = false;
        ED_STORE_RELEASE(&watched->state, IDLE);
    } else if (state == ASKED && back) {
        /* Lost: it is being written, and is for the next look. */
        watched->came_back = !ED_CAS(&watched->state, &state, IDLE);
    }
    watched->held_ns = held_ns;
    if (state == IDLE && held_ns >= watchdog->slow_ns) ask(watchdog, watched, slices);
    if (ED_LOAD_ACQUIRE(&watched->state) == TOLD && !back) {
        report(watchdog, worker, watched, false, true);
        ED_STORE_RELEASE(&watched->state, WAITING);
    }
}

/* ---- life --------------------------------------------------------------------------------------- */

int ed_watchdog_open(struct ed_watchdog **watchdog_out, struct ed_sched *sched, int64_t slow_ns) {
    struct ed_watchdog *watchdog = ed_calloc(sizeof *watchdog + sched->workers_count * sizeof watchdog->workers[0]);
    if (watchdog == NULL) return EDDY_ENOMEM;
    watchdog->sched = sched;
    watchdog->slow_ns = slow_ns;
    watchdog->signals = signal_take();
    pthread_mutex_init(&watchdog->lock, NULL);
    *watchdog_out = watchdog;
    return 0;
}

void ed_watchdog_close(struct ed_watchdog *watchdog) {
    if (watchdog == NULL) return;
    if (watchdog->signals) signal_give();
    pthread_mutex_destroy(&watchdog->lock);
    ed_free(watchdog);
}
