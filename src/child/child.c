/* child.c: child processes: started, watched, reaped, never forgotten.
 *
 * Problem    A child must be started while threads run and gigabytes are resident; somebody must wait for it, or a zombie
 *            stays; its number may be given to another process as soon as somebody has; a run that ends must leave none
 *            behind.
 * Idea       posix_spawn copies no memory and runs no code of ours in between. A task of the starting worker, the
 *            watcher, waits for the child's pidfd, reaps it, and tells all who wait. Like every task it is cancelled when
 *            the run ends: it then kills the child and reaps it all the same.
 * Invariants (C1) `ended` is set once, by the watcher's end, after the child was reaped or found reaped.
 *            (C2) Signals go out under `lock` while `reaped` is false: the number is the child's then, a zombie's at
 *            least, and so is its group's.
 *            (C3) The watcher's poll has a duplicate of the pidfd.
 * References The users' `handles` as one, and the watcher. The last handle closes the streams and kills; the last
 *            reference frees.
 * Threads    Watching: the starting worker. Signals, release: any.
 * Not here   Processes that run functions of this program (exec/).
 * Tests      tests/child/child_test.c. */
#include "eddy/child.h"
#include "eddy/scope.h"
#include "loop/loop.h"
#include "task/task.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_CLOSED = 3, NAME_BYTES = 32 };

struct eddy_child {
    _Atomic uint32_t handles, references;
    pid_t pid;               /* (c) */
    bool group;              /* (c) */
    eddy_stream *streams[3]; /* (c) ours of the pipes; NULL: none */
    struct ed_poll *poll;    /* the watcher's */
    eddy_future *ended;      /* C1 */
    int status, code;        /* written before `ended` is set */
    char name[NAME_BYTES];

    pthread_mutex_t lock;
    bool reaped; /* under lock: C2 */
};

/* ---- life ------------------------------------------------------------------------------------- */

static void drop_reference(eddy_child *child) {
    if (ED_SUB(&child->references, 1) != 1) return;
    eddy_future_release(child->ended);
    pthread_mutex_destroy(&child->lock);
    ed_free(child);
}

eddy_child *eddy_child_share(eddy_child *child) {
    ED_ADD_RELAXED(&child->handles, 1);
    return child;
}

void eddy_child_release(eddy_child *child) {
    if (child == NULL || ED_SUB(&child->handles, 1) != 1) return;
    for (int i = 0; i < 3; i++) eddy_stream_release(child->streams[i]);
    eddy_child_signal(child, SIGKILL); /* the watcher does the rest */
    drop_reference(child);
}

int eddy_child_signal(eddy_child *child, int signum) {
    pthread_mutex_lock(&child->lock);
    int status = child->reaped ? -ESRCH : 0;
    if (status == 0 && kill(child->group ? -child->pid : child->pid, signum) < 0) status = -errno;
    pthread_mutex_unlock(&child->lock);
    return status;
}

/* ---- the watcher ------------------------------------------------------------------------------- */

/* Takes the end of the child, if it has come or `wait` is true. False: it runs. */
static bool reap(eddy_child *child, bool wait) {
    siginfo_t info;
    int failed;
    pthread_mutex_lock(&child->lock);
    do {
        info.si_pid = 0;
        failed = waitid(P_PID, (id_t)child->pid, &info, WEXITED | (wait ? 0 : WNOHANG)) < 0 ? errno : 0;
    } while (failed == EINTR);
    child->reaped = failed != 0 || info.si_pid != 0;
    bool reaped = child->reaped;
    pthread_mutex_unlock(&child->lock);
    child->status = -failed; /* ECHILD: somebody waits for all children, or SIGCHLD is ignored */
    if (failed == 0 && reaped) child->code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return reaped;
}

static int watch(void *arg, eddy_value *out) {
    eddy_child *child = arg;
    int told = 0;
    (void)out;
    do {
        int status = ed_poll_wait(child->poll, ED_POLL_READ, "child process");
        if (status == EDDY_ECANCELED) { /* the run ends */
            told = status;
            eddy_child_signal(child, SIGKILL);
        }
    } while (!reap(child, false));
    return told;
}

/* The watcher's end, or one that was cancelled before it began. */
static void end_watch(eddy_value value) {
    eddy_child *child = value.ptr;
    if (!child->reaped) {
        eddy_child_signal(child, SIGKILL);
        reap(child, true); /* a moment: it is dead */
    }
    ed_poll_close(child->poll);
    eddy_future_set(child->ended, EDDY_NONE);
    drop_reference(child);
}

/* ---- starting ---------------------------------------------------------------------------------- */

/* The descriptors of a start: the child's, and ours of the pipes. -1: none. */
struct ends {
    int theirs[3], ours[3];
    bool close_theirs[3];
};

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_ends(struct ends *ends) {
    for (int i = 0; i < 3; i++) {
        if (ends->close_theirs[i]) close_end(&ends->theirs[i]);
        close_end(&ends->ours[i]);
    }
}

static ED_SYSCALL int open_null(int how) {
    int fd = open("/dev/null", how | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int make_end(struct ends *ends, int index, int kind, int fd) {
    int pipe_ends[2], status;
    switch (kind) {
    case EDDY_CHILD_INHERIT: return 0;
    case EDDY_CHILD_NULL: status = ends->theirs[index] = open_null(index == 0 ? O_RDONLY : O_WRONLY); break;
    case EDDY_CHILD_FD: status = ends->theirs[index] = ed_fd_copy(fd, FIRST_CLOSED); break;
    case EDDY_CHILD_PIPE:
        status = ed_pipe(pipe_ends);
        if (status < 0) return status;
        ends->theirs[index] = pipe_ends[index == 0 ? 0 : 1];
        ends->ours[index] = pipe_ends[index == 0 ? 1 : 0];
        break;
    case EDDY_CHILD_OUT:
        if (index != 2) return EDDY_EINVAL;
        ends->theirs[2] = ends->theirs[1] >= 0 ? ends->theirs[1] : 1;
        return 0;
    default: return EDDY_EINVAL;
    }
    if (status < 0) return status;
    ends->close_theirs[index] = true;
    return ed_fd_lift(&ends->theirs[index], FIRST_CLOSED); /* out of the way of 0, 1 and 2: no dup2 hits one in use */
}

static int make_ends(struct ends *ends, const eddy_child_options *options) {
    const int kinds[] = {options->in, options->out, options->err};
    const int fds[] = {options->in_fd, options->out_fd, options->err_fd};
    for (int i = 0; i < 3; i++) {
        int status = make_end(ends, i, kinds[i], fds[i]);
        if (status < 0) return status;
    }
    return 0;
}

static int spawn(pid_t *pid_out, const char *const argv[], const struct ends *ends, const eddy_child_options *options) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return -error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) goto destroy_actions;

    if (options->folder != NULL) error = posix_spawn_file_actions_addchdir_np(&actions, options->folder);
    for (int i = 0; i < 3 && error == 0; i++)
        if (ends->theirs[i] >= 0) error = posix_spawn_file_actions_adddup2(&actions, ends->theirs[i], i);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_CLOSED);
    if (error != 0) goto destroy_attributes;

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  (options->group ? POSIX_SPAWN_SETPGROUP : 0)));
    char *const *environment = options->environment != NULL ? (char *const *)(uintptr_t)options->environment : environ;
    error = posix_spawnp(pid_out, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environment);

destroy_attributes:
    posix_spawnattr_destroy(&attributes);
destroy_actions:
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

static eddy_child *create(const char *program) {
    eddy_child *child = ed_calloc(sizeof *child);
    if (child == NULL) return NULL;
    child->ended = eddy_future_create();
    if (child->ended == NULL) {
        ed_free(child);
        return NULL;
    }
    pthread_mutex_init(&child->lock, NULL);
    ED_STORE_RELAXED(&child->handles, 1);
    ED_STORE_RELAXED(&child->references, 1);
    const char *base = strrchr(program, '/') != NULL ? strrchr(program, '/') + 1 : program;
    strncpy(child->name, base, sizeof child->name - 1);
    child->reaped = true; /* nobody to be signalled yet */
    return child;
}

static int open_streams(eddy_child *child, struct ends *ends) {
    for (int i = 0; i < 3; i++) {
        if (ends->ours[i] < 0) continue;
        int status = eddy_stream_open_fd(&child->streams[i], ends->ours[i]);
        if (status < 0) return status;
        ends->ours[i] = -1; /* taken */
    }
    return 0;
}

/* From here on the watcher sees to its end. */
static int start_watch(eddy_child *child) {
    int pidfd = ed_pidfd_open(child->pid);
    int status = pidfd < 0 ? pidfd : ed_poll_open(&child->poll, pidfd);
    if (status < 0) {
        if (pidfd >= 0) close(pidfd);
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        return status;
    }
    child->reaped = false;
    ED_ADD_RELAXED(&child->references, 1);
    eddy_task_options options = eddy_task_options_init();
    options.name = child->name;
    options.drop_arg = end_watch;
    return ed_spawn_on(ed_worker_current(), NULL, watch, child, &options, 0); /* on failure end_watch has run */
}

int eddy_child_start(eddy_child **child_out, const char *const argv[], const eddy_child_options *options) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (argv == NULL || argv[0] == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    if (ed_worker_current()->sched->driver->adopt == NULL)
        return eddy_fail(EDDY_ENOTSUP, "no child processes in a simulation");
    eddy_child_options own = options != NULL ? *options : eddy_child_options_init();
    eddy_child *child = create(argv[0]);
    if (child == NULL) return EDDY_ENOMEM;
    child->group = own.group;
    struct ends ends = {{-1, -1, -1}, {-1, -1, -1}, {false, false, false}};
    int status = make_ends(&ends, &own);
    if (status == 0) status = open_streams(child, &ends);
    if (status == 0) status = spawn(&child->pid, argv, &ends, &own);
    if (status == 0) status = start_watch(child);
    close_ends(&ends);
    if (status < 0) {
        eddy_child_release(child);
        if (status == EDDY_ENOMEM || status == EDDY_EINVAL) return status;
        return eddy_fail(status, "cannot start %s: %s", argv[0], eddy_status_text(status));
    }
    *child_out = child;
    return 0;
}

int eddy_child_shell(eddy_child **child_out, const char *line, const eddy_child_options *options) {
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    return line == NULL ? EDDY_EINVAL : eddy_child_start(child_out, argv, options);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

int eddy_child_wait(eddy_child *child, int *code_out) {
    int status = ed_await_hooked(child->ended, NULL, "child process", NULL, NULL);
    if (status < 0) return status;
    if (child->status < 0) return eddy_fail(child->status, "somebody else waited for process %d", (int)child->pid);
    if (code_out != NULL) *code_out = child->code;
    return 0;
}

int eddy_child_stop(eddy_child *child, int64_t grace_ns, int *code_out) {
    if (ed_fiber_current() == NULL) return ed_outside_task(); /* before it has any effect */
    eddy_child_signal(child, SIGTERM);
    int status = EDDY_TIMEOUT(grace_ns, eddy_child_wait(child, code_out));
    if (status != EDDY_ETIMEDOUT) return status;
    eddy_handled();
    eddy_child_signal(child, SIGKILL);
    return eddy_child_wait(child, code_out);
}

eddy_stream *eddy_child_in(const eddy_child *child) { return child->streams[0]; }
eddy_stream *eddy_child_out(const eddy_child *child) { return child->streams[1]; }
eddy_stream *eddy_child_err(const eddy_child *child) { return child->streams[2]; }
int eddy_child_pid(const eddy_child *child) { return child->pid; }
