/* spawn.h: starting one worker process. Inside exec/ only; Threads: a pool's manager, which lives as long as its
 * processes do (the parent-death signal fires when the thread that started them ends). */
#ifndef ED_EXEC_SPAWN_H
#define ED_EXEC_SPAWN_H

#include "exec/wire.h"

#include <sys/types.h>

struct ed_spawned {
    pid_t pid;
    int pidfd;
    int socket;
    uint64_t nonce;
    struct ed_wire_page *page;
};

/* The environment as it is now, with room for the marker. NULL: no memory. One block: ed_free. */
char **ed_environment_copy(void);

/* Starts `path` (NULL: this program) as a worker with the `environment` of ed_environment_copy. 0 or a status; then
 * nothing is left. */
int ed_spawn(const char *path, char **environment, const struct ed_wire_limits *limits, struct ed_spawned *spawned_out);

/* EDDY_ENOTSUP if this system has no pidfd; *why_out says it. */
int ed_spawn_supported(bool of_self, const char **why_out);

/* SIGKILL, SIGTERM ... 0 or -errno: it has ended. */
int ed_pidfd_signal(int pidfd, int signum);

#endif
