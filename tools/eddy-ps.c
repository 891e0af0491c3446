/* eddy-ps: the tasks of a process that runs eddy, asked from outside.
 *
 *     eddy-ps [--tree | --stacks] PID
 *
 * The process must have been started with EDDY_INSPECT=1, or its run with EDDY_RUN(.inspect = true), by the same user.
 * Exit status: 0; 1 where nobody answers; 2 for wrong words. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAMES_MAX = 16 };

/* A connection to the process's run of this number, or -1. */
static int reach(int pid, int number) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path + 1;
    size_t room = sizeof address.sun_path - 1;
    int bytes = number == 0 ? snprintf(name, room, "eddy/%d", pid) : snprintf(name, room, "eddy/%d/%d", pid, number);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes);
    struct ucred peer;
    socklen_t peer_bytes = sizeof peer;
    if (connect(fd, (struct sockaddr *)&address, length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) < 0 ||
        peer.pid != pid) { /* somebody stands in for it */
        close(fd);
        return -1;
    }
    return fd;
}

static int ask(int fd, const char *question) {
    char part[4096];
    ssize_t got;
    if (send(fd, question, strlen(question), MSG_NOSIGNAL) < 0) return -1;
    while ((got = recv(fd, part, sizeof part, 0)) > 0) fwrite(part, 1, (size_t)got, stdout);
    return got < 0 ? -1 : 0;
}

int main(int argc, char **argv) {
    const char *question = "table\n", *words = argc > 1 ? argv[1] : "";
    if (strcmp(words, "--tree") == 0) question = "tree\n";
    if (strcmp(words, "--stacks") == 0) question = "stacks\n";
    const int at = words[0] == '-' ? 2 : 1;
    char *end = NULL;
    const long pid = at < argc ? strtol(argv[at], &end, 10) : 0;
    if (at + 1 != argc || pid <= 0 || pid > 0x7fffffff || *end != '\0' ||
        (at == 2 && strcmp(question, "table\n") == 0)) {
        fprintf(stderr, "usage: eddy-ps [--tree | --stacks] PID\n");
        return 2;
    }
    int answered = 0;
    for (int number = 0; number < NAMES_MAX;
         number++) { /* a process may have several runs; one that ended leaves a gap */
        int fd = reach((int)pid, number);
        if (fd < 0) continue;
        if (answered > 0) printf("\n");
        if (ask(fd, question) == 0) answered++;
        close(fd);
    }
    if (answered > 0) return 0;
    fprintf(
        stderr,
        "eddy-ps: process %ld does not answer: it was not started with EDDY_INSPECT=1, is another user's, or does not "
        "run eddy now\n",
        pid);
    return 1;
}
