/* descriptors.c: a descriptor for each connection, and some that must never be missing.
 *
 * Problem    A service that has given its last descriptor to a client cannot start a hash process in the
 *            place of one that died, and fails for everybody.
 * Idea       Set aside what the service itself needs, and accept as many connections as the rest allows.
 *            Further clients wait in the system's queue. */
#include "service/descriptors.h"
#include "service/settings.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    STANDARD = 3,
    PER_WORKER = 8,     /* epoll, wake-up, timer, listener and libuv's own  */
    PER_CONNECTION = 3, /* of SQLite: database, write-ahead log, its index  */
    PER_PROCESS = 6,    /* both ends of a socket, pidfd, shared page        */
    OTHERS = 16,        /* signals, entropy, what libraries open for a while */
    CONNECTIONS_MIN = 16,
    CONNECTIONS_MAX = 100000
};

bool descriptors_prepare(unsigned workers, size_t *connections_max_out) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers == 0) workers = cores > 0 ? (unsigned)cores : 1;
    const size_t own = STANDARD + PER_WORKER * (size_t)workers + PER_CONNECTION * DATABASE_THREADS +
                       PER_PROCESS * HASH_PROCESSES + OTHERS;

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        perror("signup-service: getrlimit");
        return false;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* refused: what there is must do */
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < own + CONNECTIONS_MIN) {
        fprintf(stderr,
                "signup-service: too few file descriptors: %llu, and %u workers need at least %zu"
                " (see ulimit -n)\n",
                (unsigned long long)limit.rlim_cur, workers, own + CONNECTIONS_MIN);
        return false;
    }
    const size_t left = (size_t)limit.rlim_cur - own;
    *connections_max_out = left < CONNECTIONS_MAX ? left : CONNECTIONS_MAX;
    return true;
}
