/* Task records: they come back, from whichever worker frees them; all_tasks walks them while they come and go. */
#include "task/core_testing.h"

/* Spawned here, ended and freed elsewhere, again and again: memory stays what a burst needs. */
CORE_TEST(slab, records_come_back_from_other_workers, TEST_LIMIT(60)) {
    int64_t after_first = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 300; i++) EXPECT_OK(eddy_spawn(NULL, give_nothing, NULL, NULL));
        test_until_all_parked();
        if (round == 9) after_first = ed_alloc_live_bytes();
    }
    EXPECT(ed_alloc_live_bytes() <= after_first * 2); /* each worker may hold a batch or two */
}

static _Atomic bool stop;

static int churn(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    while (!atomic_load(&stop)) {
        eddy_task *tasks[8];
        for (int i = 0; i < 8; i++) tasks[i] = spawn(give_nothing, NULL);
        eddy_share();
        for (int i = 0; i < 8; i++) EXPECT_OK(end_of(tasks[i]));
        EXPECT_OK(eddy_yield());
    }
    return 0;
}

/* Each walk finds those that live all the while, once, in order of their numbers, and every reference it
 * gives is good. */
CORE_TEST(slab, all_tasks_while_they_come_and_go, TEST_LIMIT(60)) {
    eddy_task *churners[4], *found[256];
    eddy_future *future = eddy_future_create();
    eddy_task *lasting = spawn_parked(await_shielded, future);
    for (int i = 0; i < 4; i++) churners[i] = spawn(churn, NULL);
    for (int round = 0; round < test_scaled(500); round++) {
        size_t count = eddy_all_tasks(found, 256);
        EXPECT(count >= 2 && count < 256);
        int lasting_seen = 0, main_seen = 0;
        uint64_t last_id = 0;
        for (size_t i = 0; i < count; i++) {
            char text[128];
            EXPECT(eddy_task_print(found[i], text, sizeof text) > 0);
            EXPECT(eddy_task_id(found[i]) > last_id);
            last_id = eddy_task_id(found[i]);
            lasting_seen += found[i] == lasting;
            main_seen += found[i] == eddy_current_task();
            eddy_task_release(found[i]);
        }
        EXPECT_EQ(1, lasting_seen);
        EXPECT_EQ(1, main_seen);
        EXPECT_OK(eddy_yield());
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) EXPECT_OK(end_of(churners[i]));
    EXPECT_OK(eddy_future_set(future, EDDY_NONE));
    EXPECT_OK(end_of(lasting));
    eddy_future_release(future);
}
