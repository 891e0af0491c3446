/* A call that is done by a task on another worker: its status, its cancel, and the cancel that comes too late. */
#include "eddy/task.h"
#include "harness/test.h"
#include "loop/loop.h"
#include "sched/sched.h"

struct errand {
    eddy_task *caller;
    struct ed_worker *ran_on;
    bool done;
};

static int do_errand(void *arg, eddy_value *out) {
    struct errand *errand = arg;
    (void)out;
    errand->ran_on = ed_worker_current();
    errand->done = true;
    return 7;
}

TEST(remote, runs_there_and_gives_the_status) {
    struct ed_sched *sched = ed_worker_current()->sched;
    for (unsigned i = 0; i < sched->workers_count; i++) {
        struct errand errand = {0};
        EXPECT_EQ(7, ed_run_on(sched->workers[i], do_errand, &errand, "errand"));
        EXPECT(errand.ran_on == sched->workers[i]);
    }
}

static int wait_forever(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(3600));
}

static int send_far(void *arg, eddy_value *out) {
    struct ed_sched *sched = ed_worker_current()->sched;
    (void)arg, (void)out;
    return ed_run_on(sched->workers[sched->workers_count - 1], wait_forever, NULL, "errand");
}

TEST(remote, cancel_reaches_the_work) {
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, send_far, NULL, NULL));
    test_until_all_parked();
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(task), NULL));
    eddy_task_release(task);
}

static int cancel_the_caller(void *arg, eddy_value *out) {
    struct errand *errand = arg;
    EXPECT(eddy_cancel(EDDY_FUTURE(errand->caller))); /* passed on to this task, whose work is all but done */
    return do_errand(arg, out);
}

/* The work was done, so the caller must be told so; and the cancel must not be lost. */
TEST(remote, cancel_that_comes_too_late_hides_nothing_and_is_kept) {
    struct errand errand = {.caller = eddy_current_task()};
    EXPECT_EQ(7, ed_run_on(ed_worker_current(), cancel_the_caller, &errand, "errand"));
    EXPECT(errand.done);
    EXPECT_EQ(1, eddy_task_cancelling(errand.caller));
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    EXPECT_EQ(0, eddy_task_uncancel(errand.caller));
    EXPECT_OK(eddy_yield());
}
