/* descriptor.h: descriptors as this process gets them: closed at exec, a status of -errno. Threads: any. */
#ifndef ED_BASE_DESCRIPTOR_H
#define ED_BASE_DESCRIPTOR_H

#include <sys/types.h>

/* 0 or -errno: a pipe, [0] to read from. */
int ed_pipe(int ends[2]);
/* Another descriptor for the same, numbered `lowest` or more; or -errno. */
int ed_fd_copy(int fd, int lowest);
/* Gives *fd such a number. 0 or -errno: then it is as it was. */
int ed_fd_lift(int *fd, int lowest);
/* A descriptor that is readable once the process has ended; or -errno. */
int ed_pidfd_open(pid_t pid);

#endif
