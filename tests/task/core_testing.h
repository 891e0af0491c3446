/* core_testing.h: patterns for the tests of the core: spawning, waiting for parked tasks, runs in every
 * mode, reports. */
#ifndef CORE_TESTING_H
#define CORE_TESTING_H

#include "base/base.h"
#include "eddy/eddy.h"
#include "harness/test.h"
#include "runtime/simulate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline eddy_task *spawn(eddy_coro_fn fn, void *arg) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, fn, arg, NULL));
    return task;
}

static inline int end_of(eddy_task *task) {
    int status = eddy_await(EDDY_FUTURE(task), NULL);
    eddy_task_release(task);
    return status;
}

/* Parked when this returns, in whatever it waits for. */
static inline eddy_task *spawn_parked(eddy_coro_fn fn, void *arg) {
    eddy_task *task = spawn(fn, arg);
    test_until_all_parked();
    EXPECT(!eddy_future_done(EDDY_FUTURE(task)));
    return task;
}

/* A task's body: gives arg's value as its own. */
static inline int await_future(void *arg, eddy_value *out) { return eddy_await(arg, out); }

/* Waits for a future in a way that a cancel of the task leaves the future alone. */
static inline int await_shielded(void *arg, eddy_value *out) {
    eddy_future *outer;
    int status = eddy_shield(&outer, arg);
    if (status < 0) return status;
    status = eddy_await(outer, out);
    eddy_future_release(outer);
    return status;
}

static inline int sleep_forever(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(100000));
}

static inline int give_nothing(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

/* Runs `body` as main in every mode: on 1, 2 and 8 workers and on the simulator with a few seeds, with
 * direct await on and off. For UNITs. */
static inline void run_every_way(eddy_coro_fn body, void *arg) {
    static const unsigned workers[] = {1, 2, 8};
    for (int off = 0; off < 2; off++) {
        for (int i = 0; i < 3; i++)
            EXPECT_OK(eddy_run(body, arg, NULL, EDDY_RUN(.workers = workers[i], .no_direct_await = off)));
        for (uint64_t seed = 1; seed <= 5; seed++)
            EXPECT_OK(ed_sim_run(body, arg, &(struct ed_sim_options){.seed = seed, .no_direct_await = off}));
    }
    EXPECT_EQ(0, ed_alloc_live_bytes());
}

/* ---- reports: what the exception handler got ------------------------------------------------------------- */

struct reports {
    pthread_mutex_t mutex;
    int count;
    struct {
        enum eddy_report_kind kind;
        int status;
        char task[64], message[256], text[256];
    } all[64];
};
#define REPORTS_INIT \
    { .mutex = PTHREAD_MUTEX_INITIALIZER }

static inline void reports_take(const eddy_report *report, void *arg) {
    struct reports *reports = arg;
    pthread_mutex_lock(&reports->mutex);
    EXPECT(reports->count < 64);
    int at = reports->count++;
    reports->all[at].kind = report->kind;
    reports->all[at].status = report->status;
    snprintf(reports->all[at].task, sizeof reports->all[at].task, "%s", report->task);
    snprintf(reports->all[at].message, sizeof reports->all[at].message, "%s", report->message);
    snprintf(reports->all[at].text, sizeof reports->all[at].text, "%s", eddy_error_text(report->error));
    pthread_mutex_unlock(&reports->mutex);
}

#endif
