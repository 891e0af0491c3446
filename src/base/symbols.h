/* symbols.h: names of places in the code. See symbols.c. */
#ifndef ED_BASE_SYMBOLS_H
#define ED_BASE_SYMBOLS_H

#include <stddef.h>

/* "query+0x1c (service+0x4a1f)" for a return address, as snprintf does; "?" for the function where the file tells none. */
size_t ed_symbol_print(const void *place, char *buffer, size_t bytes);
/* A line for each of several, each after `indent`, without a newline at the end. */
size_t ed_symbols_print(void *const *places, size_t count, const char *indent, char *buffer, size_t bytes);

#endif
