/* eddy/embed.h: eddy in a program that has a main loop of its own.
 *
 * eddy_run is for programs whose main is a task. A program that existed before keeps its main thread, its threads and its
 * loop, and has two ways to hold a runtime beside them:
 *
 *   eddy_runtime_start   on threads of its own. Any thread of the program hands it work, and blocks for the result or is
 *                        told by a callback.
 *   eddy_runtime_guest   in the calling thread, as a guest of its loop: libuv, epoll, anything that watches a descriptor.
 *                        While that is readable the loop calls eddy_runtime_turn. Tasks run in the loop's own thread (and
 *                        on further workers, if asked for), so they may touch what belongs to it.
 *
 *     eddy_runtime *runtime;                                            eddy_task *task;
 *     eddy_runtime_start(&runtime, NULL);                               eddy_value answer;
 *     eddy_spawn_threadsafe(eddy_runtime_loop(runtime), &task, fetch, &request, NULL);
 *     status = eddy_future_wait(EDDY_FUTURE(task), EDDY_SECONDS(5), &answer);
 *     eddy_task_release(task);
 *     eddy_runtime_stop(runtime);
 *     eddy_runtime_release(runtime);
 *
 * A process may have several runtimes, and start and stop them as often as it likes. What the process shares stays the
 * host's: eddy handles SIGSEGV and SIGBUS while a runtime lives (to name the task whose stack overflowed; the host's handlers
 * are called after that, and put back at the end), no other signal unless asked (handle_sigint, debug mode), and leaves
 * SIGPIPE as it is. Threads of eddy's start with all signals blocked.
 *
 * After fork() a child has none of the runtime's threads: it may exec or _exit, and call nothing of eddy before that. */
#ifndef EDDY_EMBED_H
#define EDDY_EMBED_H

#include "eddy/base.h"
#include "eddy/loop.h"
#include "eddy/runtime.h"
#include "eddy/task.h"

EDDY_BEGIN_DECLS

typedef struct eddy_runtime eddy_runtime;

/** Starts a runtime on threads of its own: as many as it has workers, and one that keeps time.
 *
 *  @param runtime_out  eddy_runtime_stop, then eddy_runtime_release.
 *  @param options      As eddy_run's; may be NULL. The main task's name is of a task that waits for the stop.
 *  @return             0: the workers run. EDDY_ENOMEM or a system code if they cannot start; EDDY_EINVAL; EDDY_ELIMIT;
 *                      EDDY_ESTATE from a worker's thread.
 *  Blocks the calling thread until they run. Source: threads that call loop.run_forever, asyncio.run_coroutine_threadsafe. */
EDDY_API int eddy_runtime_start(eddy_runtime **runtime_out, const eddy_run_options *options) EDDY_BLOCKS;

/** Makes the calling thread worker 0 of a runtime that runs when eddy_runtime_turn is called, and only then. 0 workers in
 *  the options mean 1 here; others get threads of their own. A guest whose host does not come back for long holds its tasks,
 *  not the process.
 *  Otherwise as eddy_runtime_start. */
EDDY_API int eddy_runtime_guest(eddy_runtime **runtime_out, const eddy_run_options *options) EDDY_BLOCKS;

/** A descriptor that is readable while a guest has something to do: data that came, a timer that is due, work from another
 *  thread. For epoll (level-triggered), poll, uv_poll, select. Borrowed: watch it, never read it; -1 for a runtime with
 *  threads of its own. Stop watching before eddy_runtime_stop. */
EDDY_API int eddy_runtime_fd(const eddy_runtime *runtime) EDDY_ANY_THREAD;

/** Runs what is ready, for about `budget_ns` (0: 1 ms) if there is so much: then the descriptor stays readable. A task that
 *  does not suspend makes it longer. Work that the host has handed over since the last turn needs no call: the descriptor
 *  tells.
 *  @return 1 if there is more to do now, 0 if not; EDDY_ECLOSED once main has ended (by SIGINT, if handled) or
 *          the runtime is stopped; EDDY_EWRONGTHREAD from another thread, EDDY_ESTATE on a worker or for a runtime with
 *          threads of its own.
 *  Threads: the one that called eddy_runtime_guest. Does not block. */
EDDY_API int eddy_runtime_turn(eddy_runtime *runtime, int64_t budget_ns) EDDY_BLOCKS;

/** For eddy_spawn_threadsafe, eddy_call_soon_threadsafe, eddy_future_create_on; the main task's domain with `.serial`.
 *  Borrowed: valid until eddy_runtime_release. After eddy_runtime_stop those calls give EDDY_ECLOSED. */
EDDY_API eddy_loop *eddy_runtime_loop(eddy_runtime *runtime) EDDY_ANY_THREAD;

/** Ends it as the end of main ends eddy_run: cancels all tasks, waits for them, closes executors and servers, joins the
 *  threads.
 *  @return 0; EDDY_EINTERRUPTED if SIGINT ended it before; EDDY_ENOMEM if it ended for lack of memory right after its start; EDDY_ESTATE when it was called before; EDDY_EWRONGTHREAD on a
 *          worker, or for a guest from another thread than its own.
 *  Blocks the calling thread: as long as tasks take to end. */
EDDY_API int eddy_runtime_stop(eddy_runtime *runtime) EDDY_BLOCKS;

/** Frees a stopped runtime, and with it every handle that came from it: release those first. NULL is nothing. */
EDDY_API void eddy_runtime_release(eddy_runtime *runtime) EDDY_BLOCKS;

EDDY_END_DECLS

#endif
