/* descriptors.h: how many connections this process can afford. */
#ifndef SIGNUP_DESCRIPTORS_H
#define SIGNUP_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

/* Raises the limit as far as it may be raised, and says how many connections that leaves. `workers` 0: one
 * per core. False if they are too few to begin with: told on standard error. */
bool descriptors_prepare(unsigned workers, size_t *connections_max_out);

#endif
