/* process_helpers.h: what both files of process pool tests use. The remote functions are in process_helpers_test.c. */
#ifndef PROCESS_HELPERS_H
#define PROCESS_HELPERS_H

#include "harness/test.h"

#include "base/base.h"
#include "eddy/loop.h"
#include "eddy/process.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/task.h"
#include "eddy/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* qemu cannot start /proc/self/exe; valgrind has no pidfd_open, and its /proc/self/exe is valgrind. */
#define NEEDS_PROCESSES TEST_WITHOUT("valgrind qemu")

int help_spin(eddy_bytes in, eddy_bytes *out);       /* opens the gate `in` if given, never ends */
int help_getpid(eddy_bytes in, eddy_bytes *out);     /* gives an int: its pid                    */
int help_gate(eddy_bytes in, eddy_bytes *out);       /* the same, once the gate `in` is open     */
int help_pid(eddy_process_pool *pool, int *pid_out); /* of whoever takes a call                  */

/* A task's bodies: one call to a pool. */
int help_spin_task(void *pool, eddy_value *out);
int help_pid_task(void *pool, eddy_value *out);   /* gives the pid                                   */
int help_close_task(void *pool, eddy_value *out); /* closes it                                       */
int help_gate_task(void *gate, eddy_value *out);  /* gives the pid                                   */
int help_begin_task(void *gate, eddy_value *out); /* spins; each time it begins the gate's file grows */

/* A file that lets help_gate go on. */
struct help_gate {
    eddy_process_pool *pool;
    char path[512];
};
void help_gate_init(struct help_gate *gate, eddy_process_pool *pool);
void help_gate_open(struct help_gate *gate);
int help_gate_until_open(struct help_gate *gate); /* yields; gives how often it was opened */
void help_gate_deinit(struct help_gate *gate);

/* Yields until the pool's figures are these. */
void help_until(eddy_process_pool *pool, size_t running, size_t queued);

/* This process has no child, not even a zombie. */
void help_no_children(void);

#endif
