#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void ed_assert_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "eddy: %s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

void ed_panic(const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "eddy: %s\n", text);
    abort();
}
