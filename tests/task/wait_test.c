/* Suspending: yielding tasks take turns, tasks of a domain stay on its worker. The order in domains: tests/contract/. */
#include "task/core_testing.h"

/* ---- yield ----------------------------------------------------------------------------------------------- */

/* Outside domains too nobody is passed over: with one worker every yielder makes progress in turn. */
static _Atomic bool stop;
static _Atomic int64_t rounds[4];
static int spin(void *arg, eddy_value *out) {
    (void)out;
    while (!atomic_load(&stop)) {
        atomic_fetch_add((_Atomic int64_t *)arg, 1);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

CORE_TEST(wait, yielding_tasks_take_turns_with_new_ones) {
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) tasks[i] = spawn(spin, &rounds[i]);
    for (int i = 0; i < 200; i++) EXPECT_OK(end_of(spawn(give_nothing, NULL)));
    for (int i = 0; i < 4; i++)
        while (atomic_load(&rounds[i]) < 50) EXPECT_OK(eddy_yield());
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) EXPECT_OK(end_of(tasks[i]));
}

/* ---- domains --------------------------------------------------------------------------------------------- */

struct home {
    int worker;
    eddy_loop *loop;
    int unlocked; /* the domain's data needs no lock */
};
static int grandchild(void *arg, eddy_value *out) {
    (void)out;
    struct home *home = arg;
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(home->worker, eddy_worker_index());
        EXPECT(eddy_loop_current() == home->loop);
        int before = home->unlocked++;
        EXPECT_EQ(before + 1, home->unlocked);
        EXPECT_OK(eddy_yield());
    }
    return 0;
}
static int outsider(void *arg, eddy_value *out) {
    (void)out;
    EXPECT(eddy_loop_current() != ((struct home *)arg)->loop);
    return 0;
}
static int check_callback(void *arg) {
    struct home *home = arg;
    EXPECT_EQ(home->worker, eddy_worker_index());
    EXPECT(eddy_loop_current() == home->loop);
    home->unlocked++;
    return 0;
}
static int check_done(eddy_future *future, void *arg) {
    (void)future;
    return check_callback(arg);
}
static int resident(void *arg, eddy_value *out) {
    (void)out;
    struct home *home = arg;
    home->worker = eddy_worker_index();
    eddy_task *tasks[10], *stranger;
    for (int i = 0; i < 10; i++) tasks[i] = spawn(grandchild, home);
    EXPECT_OK(eddy_spawn(&stranger, outsider, home, EDDY_TASK(.loop = EDDY_ANYWHERE)));
    EXPECT_OK(eddy_call_soon(NULL, check_callback, home, NULL));
    EXPECT_OK(eddy_call_later(NULL, EDDY_US(50), check_callback, home, NULL));
    EXPECT_OK(eddy_future_add_callback(EDDY_FUTURE(stranger), check_done, home));
    for (int i = 0; i < 10; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_OK(end_of(stranger));
    while (home->unlocked < 203) EXPECT_OK(eddy_yield()); /* the callbacks: the stranger's may still be on its way */
    return 0;
}

CORE_TEST(wait, tasks_of_a_domain_run_on_its_worker_only) {
    struct home homes[4] = {0};
    eddy_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(eddy_domain_open(&homes[i].loop));
        EXPECT_OK(eddy_spawn(&tasks[i], resident, &homes[i], EDDY_TASK(.loop = homes[i].loop)));
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(end_of(tasks[i]));
        EXPECT_EQ(203, homes[i].unlocked);
    }
}
