/* spawn.c: see spawn.h. posix_spawn shares the parent's memory until exec: no page tables are copied, however much is
 * resident, and no code of ours runs between fork and exec in a process that has threads. */
#include "exec/spawn.h"
#include "exec/remote.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int ed_pidfd_signal(int pidfd, int signum) {
    return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

int ed_spawn_supported(bool of_self, const char **why_out) {
    if (getauxval(AT_SECURE) != 0) {
        *why_out = "a set-user-id program does not start itself";
        return EDDY_ENOTSUP;
    }
    const int pidfd = ed_pidfd_open(getpid());
    if (pidfd < 0) {
        *why_out = "this system has no pidfd_open";
        return EDDY_ENOTSUP;
    }
    close(pidfd);
    if (!of_self) return 0;
    if (access("/proc/self/exe", X_OK) < 0) {
        *why_out = "/proc/self/exe cannot be started: is /proc mounted?";
        return EDDY_ENOTSUP;
    }
    if (!ed_remote_can_start()) {
        *why_out =
            "this program would not serve as a worker: register functions with EDDY_REMOTE in the program itself, "
            "call eddy_process_worker() first in main, or name a .worker_path";
        return EDDY_ENOTSUP;
    }
    return 0;
}

char **ed_environment_copy(void) {
    size_t count = 0, bytes = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        count++;
        bytes += strlen(*entry) + 1;
    }
    char **copy = ed_alloc((count + 2) * sizeof *copy + bytes); /* [0] is the marker's */
    if (copy == NULL) return NULL;
    char *text = (char *)(copy + count + 2);
    copy[0] = NULL;
    for (size_t i = 0; i < count; i++) {
        copy[i + 1] = strcpy(text, environ[i]);
        text += strlen(text) + 1;
    }
    copy[count + 1] = NULL;
    return copy;
}

static int start(const char *path, char **environment, int socket, int page, pid_t *pid_out) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return -error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) goto destroy_actions;

    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (int fd = 1; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, ED_WORKER_SOCKET);
    posix_spawn_file_actions_adddup2(&actions, page, ED_WORKER_PAGE);
    error = posix_spawn_file_actions_addclosefrom_np(&actions, ED_WORKER_FIRST_CLOSED);
    if (error != 0) goto destroy_attributes;

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    char *argv[] = {path != NULL ? (char *)(uintptr_t)path : program_invocation_name, NULL};
    error = posix_spawn(pid_out, path != NULL ? path : "/proc/self/exe", &actions, &attributes, argv, environment);

destroy_attributes:
    posix_spawnattr_destroy(&attributes);
destroy_actions:
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

int ed_spawn(const char *path, char **environment, const struct ed_wire_limits *limits,
             struct ed_spawned *spawned_out) {
    struct ed_spawned made = {.pidfd = -1};
    int sockets[2];
    if (getrandom(&made.nonce, sizeof made.nonce, 0) != sizeof made.nonce) return -EAGAIN;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) return -errno;
    made.socket = sockets[0];

    int status;
    int page = memfd_create("eddy-worker-page", MFD_CLOEXEC);
    if (page < 0) {
        status = -errno;
        goto close_sockets;
    }
    if (ftruncate(page, sizeof *made.page) < 0) {
        status = -errno;
        goto close_page;
    }
    made.page = mmap(NULL, sizeof *made.page, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    if (made.page == MAP_FAILED) {
        status = -errno;
        goto close_page;
    }
    made.page->limits = *limits;
    status = ed_fd_lift(&sockets[1], ED_WORKER_FIRST_CLOSED); /* out of the way of those that a worker gets */
    if (status == 0) status = ed_fd_lift(&page, ED_WORKER_FIRST_CLOSED);
    if (status < 0) goto unmap_page;

    char marker[sizeof ED_WORKER_MARKER + 48];
    snprintf(marker, sizeof marker, "%s=%d:%llx", ED_WORKER_MARKER, (int)getpid(), (unsigned long long)made.nonce);
    environment[0] = marker;
    status = start(path, environment, sockets[1], page, &made.pid);
    environment[0] = NULL;
    if (status < 0) goto unmap_page;

    made.pidfd = ed_pidfd_open(made.pid); /* still our child's pid: nobody but us waits for it */
    if (made.pidfd < 0) {
        status = made.pidfd;
        kill(made.pid, SIGKILL);
        waitpid(made.pid, NULL, 0);
        goto unmap_page;
    }
    close(sockets[1]);
    close(page);
    *spawned_out = made;
    return 0;

unmap_page:
    munmap(made.page, sizeof *made.page);
close_page:
    close(page);
close_sockets:
    close(sockets[0]);
    close(sockets[1]);
    return status;
}
