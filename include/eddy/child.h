/* eddy/child.h: child processes with streams.
 *
 * A child is started from a task, and is over when it has been waited for by the runtime, which happens by itself: there
 * are no zombies, whoever asks or does not ask for the result. Its standard streams are what the options say: inherited,
 * nothing, a descriptor, or a pipe whose other end is an eddy_stream.
 *
 * A child never outlives the run: when the run ends, or the last reference goes, one that still runs is killed. Descriptors
 * other than 0, 1 and 2 are closed in it, signals have their default action and none is blocked. It is started through
 * posix_spawn: nothing of this program's memory is copied, however much that is.
 *
 * Not in a simulation: EDDY_ENOTSUP. */
#ifndef EDDY_CHILD_H
#define EDDY_CHILD_H

#include "eddy/net.h"
#include "eddy/process.h"

EDDY_BEGIN_DECLS

typedef struct eddy_child eddy_child;

/** What a standard stream of a child is. */
enum eddy_child_stdio {
    EDDY_CHILD_INHERIT = 0, /**< this program's own */
    EDDY_CHILD_NULL,        /**< /dev/null */
    EDDY_CHILD_PIPE,        /**< a pipe: eddy_child_in(), eddy_child_out(), eddy_child_err() */
    EDDY_CHILD_FD,          /**< the descriptor in the field beside it: borrowed for the call */
    EDDY_CHILD_OUT          /**< err only: where out goes */
};

typedef struct eddy_child_options {
    size_t size;      /**< sizeof(eddy_child_options): by EDDY_CHILD or eddy_child_options_init */
    int in, out, err; /**< enum eddy_child_stdio */
    int in_fd, out_fd, err_fd;
    const char *folder;             /**< its working directory; NULL: this program's */
    const char *const *environment; /**< "NAME=value", ended by NULL; NULL: this program's */
    bool group; /**< a process group of its own: eddy_child_signal and the kill at the end then go to *
                                     *   all of it, those that the child has started among them */
} eddy_child_options;

static inline eddy_child_options eddy_child_options_init(void) {
    eddy_child_options options = {sizeof(eddy_child_options), 0, 0, 0, 0, 0, 0, NULL, NULL, false};
    return options;
}
#ifndef __cplusplus
#define EDDY_CHILD(...) (&(eddy_child_options){.size = sizeof(eddy_child_options), __VA_ARGS__})
#endif

/** Starts a program.
 *
 *  @param child_out  Gives one reference: eddy_child_release().
 *  @param argv       The program (looked for in PATH if it has no slash) and its arguments, ended by NULL. Borrowed.
 *  @param options    May be NULL. Borrowed.
 *  @return           0: it runs. ENOENT, EACCES, ENOEXEC, E2BIG, EMFILE, EAGAIN... with a text that names the program;
 *                    EDDY_EINVAL; EDDY_ENOMEM; EDDY_ENOTSUP; EDDY_EWRONGTHREAD outside a task.
 *
 *  Never suspends; holds its worker for the time of an exec, about a millisecond.  Threads: any task; the child's streams
 *  have their home on its worker.  Source: asyncio.create_subprocess_exec. */
EDDY_API int eddy_child_start(eddy_child **child_out, const char *const argv[], const eddy_child_options *options);

/** The same for a line of /bin/sh. Quoting what comes from outside is the caller's job.
 *  Source: asyncio.create_subprocess_shell. */
EDDY_API int eddy_child_shell(eddy_child **child_out, const char *line, const eddy_child_options *options);

/** The stream to its standard input, from its output; NULL where there is no pipe. Borrowed: closed with the child's last
 *  reference. A child that reads to the end of its input needs eddy_stream_close(eddy_child_in(child)). */
EDDY_API eddy_stream *eddy_child_in(const eddy_child *child) EDDY_ANY_THREAD;
EDDY_API eddy_stream *eddy_child_out(const eddy_child *child) EDDY_ANY_THREAD;
EDDY_API eddy_stream *eddy_child_err(const eddy_child *child) EDDY_ANY_THREAD;

EDDY_API int eddy_child_pid(const eddy_child *child) EDDY_ANY_THREAD;

/** Waits until it has ended.
 *  @param code_out  May be NULL. What it gave to exit(): 0 to 255; the negated signal that ended it. Written when 0 is
 *                   returned.
 *  @return          0; ECHILD: somebody else in this program waited for it, so its end is all that is known;
 *                   EDDY_ECANCELED (it runs on); EDDY_EWRONGTHREAD outside a task.
 *  Suspends: unless it has ended. Cancellation point: when it suspends. Threads: any task, any number.
 *  Filled pipes hold a child up: read them first or meanwhile, or use eddy_child_communicate.
 *  Source: Process.wait, returncode. */
EDDY_API int eddy_child_wait(eddy_child *child, int *code_out) EDDY_SUSPENDS;

/** Writes `input` to its standard input and closes that, reads out and err to their ends, all at once, and waits for it.
 *
 *  @param input        Borrowed; without a pipe to its input `input_bytes` must be 0. A child that stops reading is fine.
 *  @param limit_bytes  Of out and err each; 0: 64 MiB.
 *  @param out, err     May be NULL. Gives what came (eddy_bytes_free), ended by a 0 that is not counted; empty where there
 *                      is no pipe. Written when 0 is returned.
 *  @param code_out     As for eddy_child_wait.
 *  @return             0; EDDY_ELIMIT; EDDY_ENOMEM; a stream's failure; otherwise as eddy_child_wait. After a failure
 *                      the child runs on; its streams have lost what was read.
 *
 *  Suspends. Cancellation point. Threads: any task; nobody else may use its streams.  Source: Process.communicate. */
EDDY_API int eddy_child_communicate(eddy_child *child, const void *input, size_t input_bytes, size_t limit_bytes,
                                    eddy_bytes *out, eddy_bytes *err, int *code_out) EDDY_SUSPENDS;

/** Sends it a signal; with options.group, to its group, until the child itself has ended.
 *  @return 0; ESRCH: it has ended; EDDY_EINVAL; EPERM. Never the wrong process: its number is not given again before that.
 *  Never suspends; any thread.  Source: Process.send_signal, terminate, kill, os.killpg. */
EDDY_API int eddy_child_signal(eddy_child *child, int signum) EDDY_ANY_THREAD;

/** SIGTERM, then, if it has not ended after `grace_ns`, SIGKILL; waits for the end.
 *  @return as eddy_child_wait. Suspends. Cancellation point: when it suspends; it has its signal. */
EDDY_API int eddy_child_stop(eddy_child *child, int64_t grace_ns, int *code_out) EDDY_SUSPENDS;

EDDY_API eddy_child *eddy_child_share(eddy_child *child) EDDY_ANY_THREAD;
/** Gives a reference back; NULL is nothing. The last one closes its streams and kills it, if it still runs. Never suspends;
 *  any thread. */
EDDY_API void eddy_child_release(eddy_child *child) EDDY_ANY_THREAD;

EDDY_END_DECLS

#endif
