/* remote.h: the functions of this program that may run in worker processes, by name. Inside exec/ only. */
#ifndef ED_EXEC_REMOTE_H
#define ED_EXEC_REMOTE_H

#include "base/base.h"
#include "eddy/process.h"
#include "exec/wire.h"

/* NULL: not registered. Any thread. */
const struct eddy_remote *ed_remote_by_fn(eddy_remote_fn fn);
const struct eddy_remote *ed_remote_by_name(const char *name, size_t bytes);

/* A name that two functions have; NULL: none. */
const char *ed_remote_duplicate(void);

/* Whether this program, started again with the marker, would serve: it has the start, or called
 * eddy_process_worker(). */
bool ed_remote_can_start(void);

/* Tells programs apart. */
void ed_remote_identity(struct ed_wire_identity *identity_out);

/* In a process with the marker: takes it away, checks who started us, serves, never returns. worker_process.c. */
_Noreturn void ed_worker_process_serve(const char *marker);

#endif
