/* hex.h: bytes as lower-case hex digits and back. */
#ifndef SIGNUP_HEX_H
#define SIGNUP_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* Writes 2 * count digits and a NUL. */
void hex_encode(char *text, const unsigned char *bytes, size_t count);

/* Reads exactly `count` bytes. False if `text` is anything else than that many digits. */
bool hex_decode(unsigned char *bytes, size_t count, const char *text);

#endif
