/* inspect.c: eddy-ps and SIGUSR1: a run that was asked to be seen into from outside.
 *
 * Problem    Who looks at a service that hangs has nothing but its process id, and its workers may all be held.
 * Idea       A thread of its own, which runs no task. It listens on a socket of the abstract name space ("eddy/PID", or
 *            "eddy/PID/1"... for further runs of the process): no file to clean up, nothing to find for who does not know
 *            the id. A line of text asks, a text answers, the connection is closed.
 * Safety     Off unless asked for. The kernel tells who is at the other end: only the process's own user, and root, get an
 *            answer. It tells the client as well, so nobody can stand in for the process. Who connects and says nothing is
 *            dropped after QUIET_MS, one at a time; nothing that is sent can do more than ask for a picture.
 * Signal     SIGUSR1 wakes the thread through a pipe; its disposition is put back at the end. Where the program handles it
 *            itself, it is left alone.
 * Threads    open, close: the run's first thread. Pictures are taken as a plain thread does.
 * Tests      tests/debug/inspect_test.c, tests/scripts/eddy_ps.py. */
#include "debug/inspect.h"

#include "debug/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAMES_MAX = 16, QUIET_MS = 2000 };

struct ed_inspector {
    struct ed_sched *sched;
    pthread_t thread;
    int listener;
    int wake[2]; /* a pipe: 'd' asks for a dump; anything makes the thread look at `stop` */
    bool signal; /* it is ours */
    _Atomic bool stop;
};

static _Atomic int signal_wake = -1;     /* where the handler writes */
static _Atomic unsigned signal_handlers; /* that run just now, on whatever thread */
static struct sigaction before;

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    ED_ADD(&signal_handlers, 1); /* before the look at the pipe: forget_signal() */
    int fd = ED_LOAD_SEQCST(&signal_wake);
    if (fd >= 0 && write(fd, "d", 1) < 0) { /* full: it is awake */
    }
    ED_SUB(&signal_handlers, 1);
    errno = saved;
}

/* Afterwards no handler writes to the pipe, whose number may be another descriptor's soon: one that has begun is counted
 * before it looks, so it either finds none or is waited for. */
static void forget_signal(void) {
    ED_STORE_SEQCST(&signal_wake, -1);
    while (ED_LOAD_SEQCST(&signal_handlers) != 0) ed_cpu_relax();
}

/* ---- the thread ------------------------------------------------------------------------------------ */

/* The whole text of a picture; NULL: no memory. ed_free. */
static char *print(const eddy_picture *picture, enum eddy_picture_form form) {
    size_t bytes = eddy_picture_print(picture, form, NULL, 0) + 1;
    char *text = ed_alloc(bytes);
    if (text != NULL) eddy_picture_print(picture, form, text, bytes);
    return text;
}

static ED_SYSCALL void write_all(int fd, const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        ssize_t wrote = write(fd, text, left);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return;
        text += wrote;
        left -= (size_t)wrote;
    }
}

static ED_SYSCALL void send_all(int fd, const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return; /* gone, or it does not read */
        text += sent;
        left -= (size_t)sent;
    }
}

static bool is_allowed(int fd) {
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0) return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void answer(struct ed_inspector *inspector, int fd) {
    char question[16] = "";
    const struct timeval quiet = {.tv_sec = QUIET_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof quiet);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &quiet, sizeof quiet);
    if (!is_allowed(fd)) {
        send_all(fd, "eddy: another user's process\n");
        return;
    }
    for (size_t used = 0; strchr(question, '\n') == NULL;) {
        ssize_t got = used < sizeof question - 1 ? recv(fd, question + used, sizeof question - 1 - used, 0) : 0;
        if (got <= 0) return;
        used += (size_t)got;
    }
    enum eddy_picture_form form = EDDY_PICTURE_TABLE;
    if (strcmp(question, "tree\n") == 0)
        form = EDDY_PICTURE_TREE;
    else if (strcmp(question, "stacks\n") == 0)
        form = EDDY_PICTURE_STACKS;
    else if (strcmp(question, "table\n") != 0)
        return;
    eddy_picture *picture;
    char *text = NULL;
    if (ed_picture_take(&picture, inspector->sched, NULL, form == EDDY_PICTURE_STACKS, NULL) == 0) {
        text = print(picture, form);
        eddy_picture_release(picture);
    }
    send_all(fd, text != NULL ? text : "eddy: no memory for a picture\n");
    ed_free(text);
}

static void dump(struct ed_inspector *inspector) {
    eddy_picture *picture;
    char line[64];
    snprintf(line, sizeof line, "eddy: tasks of process %d\n", (int)getpid());
    write_all(STDERR_FILENO, line);
    if (ed_picture_take(&picture, inspector->sched, NULL, true, NULL) < 0) return;
    for (int form = EDDY_PICTURE_TREE; form <= EDDY_PICTURE_STACKS; form++) {
        char *text = print(picture, (enum eddy_picture_form)form);
        if (text != NULL) write_all(STDERR_FILENO, text);
        ed_free(text);
    }
    eddy_picture_release(picture);
}

static void *inspector_main(void *arg) {
    struct ed_inspector *inspector = arg;
    struct pollfd both[] = {{.fd = inspector->wake[0], .events = POLLIN},
                            {.fd = inspector->listener, .events = POLLIN}};
    for (;;) {
        if (poll(both, 2, -1) < 0) continue;
        if (ED_LOAD_SEQCST(&inspector->stop)) return NULL;
        char what;
        if ((both[0].revents & POLLIN) && read(inspector->wake[0], &what, 1) == 1) dump(inspector);
        if (!(both[1].revents & POLLIN)) continue;
        int fd = accept4(inspector->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        answer(inspector, fd);
        close(fd);
    }
}

/* ---- life ------------------------------------------------------------------------------------------ */

static ED_SYSCALL int listen_as(int number) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path + 1; /* a first byte of 0: no place in the file system */
    int bytes = snprintf(name, sizeof address.sun_path - 1, "eddy/%d", (int)getpid());
    if (number > 0) bytes += snprintf(name + bytes, sizeof address.sun_path - 1 - (size_t)bytes, "/%d", number);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes);
    if (bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 8) == 0) return fd;
    int status = -errno;
    close(fd);
    return status;
}

static void take_signal(struct ed_inspector *inspector) {
    int none = -1;
    if (!ED_CAS(&signal_wake, &none, inspector->wake[1])) return; /* another run of this process has it */
    sigaction(SIGUSR1, NULL, &before);
    inspector->signal = !(before.sa_flags & SA_SIGINFO) && before.sa_handler == SIG_DFL;
    if (!inspector->signal) {
        ED_STORE_RELAXED(&signal_wake, -1);
        return;
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

int ed_inspector_open(struct ed_inspector **inspector_out, struct ed_sched *sched) {
    struct ed_inspector *inspector = ed_calloc(sizeof *inspector);
    if (inspector == NULL) return EDDY_ENOMEM;
    inspector->sched = sched;
    int status = ed_pipe(inspector->wake);
    if (status < 0) goto free_inspector;
    fcntl(inspector->wake[1], F_SETFL, O_NONBLOCK); /* a signal handler writes there */
    status = -EADDRINUSE;
    for (int number = 0; number < NAMES_MAX && status == -EADDRINUSE; number++) status = listen_as(number);
    if (status < 0) goto close_pipe;
    inspector->listener = status;
    status = ed_thread_create(&inspector->thread, inspector_main, inspector);
    if (status < 0) goto close_listener;
    take_signal(inspector);
    *inspector_out = inspector;
    return 0;

close_listener:
    close(inspector->listener);
close_pipe:
    close(inspector->wake[0]);
    close(inspector->wake[1]);
free_inspector:
    ed_free(inspector);
    return status;
}

void ed_inspector_close(struct ed_inspector *inspector) {
    if (inspector == NULL) return;
    if (inspector->signal) {
        sigaction(SIGUSR1, &before, NULL);
        forget_signal();
    }
    ED_STORE_SEQCST(&inspector->stop, true);
    write_all(inspector->wake[1], "s"); /* full: it is awake */
    pthread_join(inspector->thread, NULL);
    close(inspector->listener);
    close(inspector->wake[0]);
    close(inspector->wake[1]);
    ed_free(inspector);
}
