/* Places in the code have names, static functions too, and what has none is told as a number. */
#include "base/base.h"
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

static int of_this_file(void) { return 3; }

UNIT(symbols, names_static_functions_and_those_of_libraries) {
    char text[256], other[8];
    const char *place = (const char *)(uintptr_t)of_this_file + 1;
    size_t bytes = ed_symbol_print(place, text, sizeof text);
    EXPECT_HAS(text, "of_this_file+0x1 (");
    EXPECT_EQ(strlen(text), bytes);
    EXPECT_EQ(bytes, ed_symbol_print(place, other, sizeof other)); /* cut, as snprintf does */
    EXPECT_STR("of_this", other);
    ed_symbol_print((const char *)(uintptr_t)getenv + 1, text, sizeof text);
    EXPECT_HAS(text, "(libc");
    EXPECT_EQ(3, of_this_file());
}

UNIT(symbols, gives_a_number_where_there_is_no_code) {
    char text[256];
    ed_symbol_print((const void *)(uintptr_t)16, text, sizeof text);
    EXPECT_STR("0x10", text);
    ed_symbols_print(NULL, 0, "", text, sizeof text);
    EXPECT_STR("", text);
}
