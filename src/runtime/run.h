/* run.h: a run on threads, step by step: for eddy_run, and for programs that have a main loop of their own (embed.c).
 *
 *     open -> begin -> worker 0's turns, by whoever drives it -> end -> close
 *
 * Threads    begin to end: one, which is worker 0 meanwhile. open, close: any that is no worker. */
#ifndef ED_RUNTIME_RUN_H
#define ED_RUNTIME_RUN_H

#include "runtime/assemble.h"

/* Checks and fills the options, puts the runtime together. 0 or a status. */
int ed_run_open(struct ed_runtime **runtime_out, const eddy_run_options *options);

/* Starts the threads, makes the calling one worker 0, spawns `fn` as main. 0; a status: then no thread is left, and
 * ed_run_close follows. */
int ed_run_begin(struct ed_runtime *runtime, eddy_coro_fn fn, void *arg);

/* Turns worker 0 until main and all other tasks have ended, then joins the threads. The calling thread is no worker any
 * more. runtime->status and ->value are main's. */
void ed_run_end(struct ed_runtime *runtime);

/* Worker 0 has slept elsewhere than in ed_run_end, and is awake. */
void ed_run_unpark_tick(struct ed_runtime *runtime);

/* Frees all; task handles that are left are void. */
void ed_run_close(struct ed_runtime *runtime);

#endif
