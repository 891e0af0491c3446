/* A buffer is a queue of bytes: what goes in comes out, in order, however it grows, moves and is given back. */
#include "harness/test.h"
#include "net/buffer.h"

#include <string.h>

UNIT(buffer, keeps_bytes_in_order_through_growth_and_moves) {
    struct ed_buffer_store store = {NULL, 0};
    struct ed_buffer buffer = {NULL, 0, 0};
    uint64_t in = 0, out = 0, random = test_seed() * 2 + 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t bytes = (random >> 33) % 3000 + 1;
        if (random >> 63) {
            EXPECT_EQ(0, ed_buffer_reserve(&buffer, &store, bytes));
            EXPECT(ed_buffer_room(&buffer) >= bytes);
            for (size_t k = 0; k < bytes; k++) buffer.data[buffer.end++] = (char)(in++ * 31 % 251);
        } else {
            if (bytes > ed_buffer_size(&buffer)) bytes = ed_buffer_size(&buffer);
            for (size_t k = 0; k < bytes; k++) EXPECT_EQ((char)(out++ * 31 % 251), ed_buffer_bytes(&buffer)[k]);
            ed_buffer_consume(&buffer, bytes);
            if (ed_buffer_size(&buffer) == 0) ed_buffer_release(&buffer, &store);
        }
        EXPECT_EQ(in - out, ed_buffer_size(&buffer));
    }
    ed_buffer_release(&buffer, NULL);
    ed_buffer_store_deinit(&store);
}

UNIT(buffer, that_finds_no_memory_is_unchanged) {
    struct ed_buffer_store store = {NULL, 0};
    struct ed_buffer buffer = {NULL, 0, 0};
    EXPECT_EQ(EDDY_ENOMEM, ed_buffer_reserve(&buffer, &store, SIZE_MAX));
    EXPECT_EQ(0, ed_buffer_reserve(&buffer, &store, 5));
    memcpy(buffer.data, "hello", 5);
    buffer.end = 5;
    ed_alloc_fail_at(1);
    EXPECT_EQ(EDDY_ENOMEM, ed_buffer_reserve(&buffer, &store, 100000));
    ed_alloc_fail_at(0);
    EXPECT_EQ(5, ed_buffer_size(&buffer));
    EXPECT(memcmp(ed_buffer_bytes(&buffer), "hello", 5) == 0);
    ed_buffer_release(&buffer, &store);
    EXPECT_EQ(1, store.count);
    EXPECT_EQ(0, ed_buffer_reserve(&buffer, &store, 5)); /* from the store: no allocation */
    EXPECT_EQ(0, store.count);
    ed_buffer_release(&buffer, &store);
    ed_buffer_store_deinit(&store);
}
