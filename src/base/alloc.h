/* alloc.h: memory, counted, and failing on demand.
 *
 * All of the project's heap memory goes through here: the harness holds the live bytes at 0 after each
 * test and fails the Nth allocation for every N. Each block carries its size in a 16-byte header.
 * Threads: any. */
#ifndef ED_BASE_ALLOC_H
#define ED_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

void *ed_alloc(size_t bytes) __attribute__((malloc, warn_unused_result));  /* NULL: no memory */
void *ed_calloc(size_t bytes) __attribute__((malloc, warn_unused_result)); /* zeroed */
void *ed_realloc(void *block, size_t bytes) __attribute__((warn_unused_result));
void ed_free(void *block); /* NULL is nothing */
void *ed_alloc_aligned(size_t alignment, size_t bytes) __attribute__((malloc, warn_unused_result));
void ed_free_aligned(void *block); /* of ed_alloc_aligned */
char *ed_strdup(const char *text) __attribute__((malloc, warn_unused_result));

int64_t ed_alloc_live_bytes(void); /* bytes given and not yet freed, headers left out */

/* The nth allocation from now on fails (1: the next one), once; 0 switches it off. */
void ed_alloc_fail_at(int64_t nth);
int64_t ed_alloc_fail_remaining(void); /* > 0: the failure did not happen yet */

#endif
