/* Plain tasks that end by plain stores, while other threads use the only handle: tests/model/task_model.c has every schedule
 * of it, this the real fence. */
#include "task/core_testing.h"

#include <sched.h>

enum { RUNS = 40, TASKS = 32, ROUNDS = 20 }; /* a worker has 15 biases a run: 20 rounds use them up */

struct given {
    eddy_task *_Atomic tasks[TASKS]; /* by the run to the thread, which takes them out */
    _Atomic int given_back;          /* of this round's: a task's handle is good until its run ends */
    _Atomic bool over;
};

static _Atomic int cancelled, finished;

static int seven(void *arg, eddy_value *out) {
    (void)arg;
    out->i64 = 7;
    return 0;
}

static void *use_them(void *arg) {
    struct given *given = arg;
    for (int i = 0; !atomic_load(&given->over); i = (i + 1) % TASKS) {
        eddy_task *task = atomic_exchange(&given->tasks[i], NULL);
        if (task == NULL) {
            sched_yield();
            continue;
        }
        eddy_value value = EDDY_NONE;
        eddy_task *shared = eddy_task_share(task);
        eddy_task_release(task);
        const bool granted = eddy_cancel(EDDY_FUTURE(shared));
        const int status = eddy_future_wait(EDDY_FUTURE(shared), EDDY_FOREVER, &value);
        EXPECT_EQ(granted ? EDDY_ECANCELED : 0, status);
        EXPECT_EQ(granted ? 0 : 7, value.i64);
        atomic_fetch_add(granted ? &cancelled : &finished, 1);
        eddy_task_release(shared);
        atomic_fetch_add(&given->given_back, 1);
    }
    return NULL;
}

static int give_them(void *arg, eddy_value *out) {
    (void)out;
    struct given *given = arg;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&given->given_back, 0);
        for (int i = 0; i < TASKS; i++) atomic_store(&given->tasks[i], spawn(seven, NULL));
        while (atomic_load(&given->given_back) < TASKS) EXPECT_OK(eddy_yield());
    }
    return 0;
}

UNIT(bias, handles_used_by_another_thread_while_their_tasks_end) {
    struct given given = {0};
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, use_them, &given));
    for (int run = 0; run < RUNS; run++) EXPECT_OK(eddy_run(give_them, &given, NULL, EDDY_RUN(.workers = 1)));
    atomic_store(&given.over, true);
    pthread_join(thread, NULL);
    EXPECT_EQ(RUNS * ROUNDS * TASKS, atomic_load(&cancelled) + atomic_load(&finished));
}
