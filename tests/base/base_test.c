/* Small parts of base/: counted allocation, status names, the intrusive list. */
#include "base/base.h"
#include "eddy/base.h"
#include "harness/test.h"

#include <string.h>

UNIT(base, allocation_is_counted_and_fails_on_demand) {
    int64_t before = ed_alloc_live_bytes();
    char *block = ed_alloc(100);
    EXPECT_EQ(before + 100, ed_alloc_live_bytes());
    block = ed_realloc(block, 300);
    EXPECT_EQ(before + 300, ed_alloc_live_bytes());
    EXPECT_EQ(0, (uintptr_t)block % 16);
    char *copy = ed_strdup("four");
    EXPECT_STR("four", copy);
    void *aligned = ed_alloc_aligned(256, 10);
    EXPECT_EQ(0, (uintptr_t)aligned % 256);
    char *zeros = ed_calloc(64);
    for (int i = 0; i < 64; i++) EXPECT_EQ(0, zeros[i]);

    ed_alloc_fail_at(2);
    void *first = ed_alloc(8);
    EXPECT(first != NULL);
    EXPECT_EQ(1, ed_alloc_fail_remaining());
    EXPECT(ed_realloc(block, 400) == NULL); /* the block is as it was */
    EXPECT_EQ(0, ed_alloc_fail_remaining());
    void *third = ed_alloc(8);
    EXPECT(third != NULL); /* once */
    ed_free(first);
    ed_free(third);
    ed_free(block);
    ed_free(copy);
    ed_free(zeros);
    ed_free_aligned(aligned);
    ed_free(NULL);
    ed_free_aligned(NULL);
    EXPECT_EQ(before, ed_alloc_live_bytes());
}

UNIT(base, status_codes_have_names_and_texts) {
    EXPECT_STR("OK", eddy_status_name(0));
    EXPECT_STR("OK", eddy_status_name(17));
    EXPECT_STR("ECANCELED", eddy_status_name(EDDY_ECANCELED));
    EXPECT_STR("EGROUP", eddy_status_name(EDDY_EGROUP));
    EXPECT_STR("ECONNRESET", eddy_status_name(-ECONNRESET));
    EXPECT_STR("E?", eddy_status_name(-99999));
    EXPECT_HAS(eddy_status_text(EDDY_ETIMEDOUT), "timed out");
    EXPECT(strlen(eddy_status_text(-99999)) > 0);
    for (int status = EDDY_ECLOSED; status <= EDDY_ESTATE; status++) {
        EXPECT(eddy_status_name(status)[0] == 'E' && eddy_status_name(status)[1] != '?');
        EXPECT(strlen(eddy_status_text(status)) > 3);
    }
}

UNIT(base, errors_may_be_null) {
    char text[8] = "x";
    EXPECT_EQ(0, eddy_error_status(NULL));
    EXPECT_STR("", eddy_error_text(NULL));
    EXPECT_STR("", eddy_error_task(NULL));
    EXPECT_EQ(0, eddy_error_children(NULL));
    EXPECT(eddy_error_child(NULL, 0) == NULL);
    EXPECT(eddy_error_share(NULL) == NULL);
    eddy_error_release(NULL);
    EXPECT_EQ(0, eddy_error_print(NULL, text, sizeof text));
    EXPECT_STR("", text);
}

struct item {
    int number;
    struct ed_list link;
};

UNIT(base, list_keeps_order_and_forgets_nodes) {
    struct ed_list list;
    struct item items[4];
    ed_list_init(&list);
    EXPECT(ed_list_empty(&list));
    EXPECT(ed_list_pop(&list) == NULL);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        ed_list_push(&list, &items[i].link);
    }
    ed_list_remove(&items[2].link);
    ed_list_remove(&items[2].link); /* in no list: nothing */
    static const int want[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) EXPECT_EQ(want[i], ED_CONTAINER(ed_list_pop(&list), struct item, link)->number);
    EXPECT(ed_list_empty(&list));
}
