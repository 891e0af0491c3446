/* hex.c: see hex.h. */
#include "common/hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(char *text, const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * count] = 0;
}

bool hex_decode(unsigned char *bytes, size_t count, const char *text) {
    if (strlen(text) != 2 * count || strspn(text, digits) != 2 * count) return false;
    for (size_t i = 0; i < count; i++) {
        const size_t high = (size_t)(strchr(digits, text[2 * i]) - digits);
        const size_t low = (size_t)(strchr(digits, text[2 * i + 1]) - digits);
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
