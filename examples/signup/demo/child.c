/* child.c: see child.h. By fork and exec: there is no other thread yet, and only a fork lets the child ask to be
 * ended with its parent, so that a killed demo leaves no service behind. */
#include "demo/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void become_service(const struct settings *settings, const char *database, pid_t parent) {
    char workers[32];
    snprintf(workers, sizeof workers, "%lld", (long long)settings->workers);
    const char *argv[] = {settings->service, "--port", "0", "--database", database, "--workers", workers, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent) execv(settings->service, (char *const *)argv);
    fprintf(stderr, "signup-demo: cannot start %s: %s\n", settings->service, strerror(errno));
    _exit(1);
}

/* Reads up to the end of the first line, which names the port. */
static bool read_port(struct child *child) {
    char line[256];
    size_t held = 0;
    while (held < sizeof line - 1) {
        const ssize_t got = read(child->output, line + held, sizeof line - 1 - held);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        held += (size_t)got;
        line[held] = 0;
        const char *end = strchr(line, '\n');
        if (end == NULL) continue;
        unsigned port;
        if (sscanf(line, "listening on http://127.0.0.1:%u", &port) != 1) break;
        child->port = (uint16_t)port;
        return true;
    }
    fprintf(stderr, "signup-demo: the service does not say where it listens\n");
    return false;
}

bool child_start(struct child *child, const struct settings *settings, const char *database, bool port) {
    int ends[2] = {-1, -1};
    const pid_t parent = getpid();
    if (port && pipe2(ends, O_CLOEXEC) != 0) {
        perror("signup-demo: pipe");
        return false;
    }
    fflush(NULL);
    *child = (struct child){.pid = fork(), .output = ends[0]};
    if (child->pid == 0) {
        if (port) dup2(ends[1], STDOUT_FILENO);
        become_service(settings, database, parent);
    }
    if (port) close(ends[1]);
    if (child->pid > 0 && (!port || read_port(child))) return true;
    if (child->pid < 0) perror("signup-demo: fork");
    if (child->pid > 0) child_stop(child, 0);
    return false;
}

bool child_stop(struct child *child, int64_t patience_ns) {
    kill(child->pid, SIGTERM);
    const int pidfd = pidfd_open(child->pid, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    const bool in_time = pidfd >= 0 && poll(&ended, 1, (int)(patience_ns / 1000000)) == 1;
    if (!in_time) kill(child->pid, SIGKILL);
    int status = -1;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pidfd >= 0) close(pidfd);
    if (child->output >= 0) close(child->output);
    return in_time && status == 0;
}
