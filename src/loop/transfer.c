/* transfer.c: bytes from and to a socket: the two system calls that a server makes for each request.
 *
 * Problem    The C library's recv and send are cancellation points of POSIX threads: in a program that has threads, each
 *            changes its thread's state by locked instructions before and after the call: some 60 of its 90 instructions. What
 *            failed comes through errno, a thread-local. Nobody cancels a worker's thread in that way.
 * Idea       The machine's own instruction, which gives the result or the negative error. Under a sanitizer the C library's
 *            functions: it knows what those read and write.
 * Threads    Any.
 * Not here   All other calls on sockets (socket.c).
 * Tests      tests/net/stream_test.c. tests/faults puts functions of its own in the place of these two. */
#include "base/base.h"
#include "coro/coro.h"
#include "loop/uvloop.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* `what` is bytes, or a struct msghdr for those calls that take one. The result or -errno. */
#if defined(ED_CORO_TSAN) || defined(ED_CORO_ASAN)
static inline long transfer(long number, long fd, const void *what, size_t bytes, long flags) {
    void *to = (void *)(uintptr_t)what;
    long result = number == SYS_recvfrom ? recv((int)fd, to, bytes, (int)flags)
                  : number == SYS_sendto ? send((int)fd, what, bytes, (int)flags)
                                         : sendmsg((int)fd, what, (int)flags);
    return result < 0 ? -errno : result;
}
#elif defined(__x86_64__)
static inline long transfer(long number, long fd, const void *what, size_t bytes, long flags) {
    if (number == SYS_sendmsg) bytes = (size_t)flags; /* its third argument */
    register long r10 __asm__("r10") = flags;
    register long r8 __asm__("r8") = 0; /* no address */
    register long r9 __asm__("r9") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(fd), "S"(what), "d"(bytes), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "cc", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long transfer(long number, long fd, const void *what, size_t bytes, long flags) {
    if (number == SYS_sendmsg) bytes = (size_t)flags; /* its third argument */
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = fd;
    register const void *x1 __asm__("x1") = what;
    register size_t x2 __asm__("x2") = bytes;
    register long x3 __asm__("x3") = flags;
    register long x4 __asm__("x4") = 0; /* no address */
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "cc", "memory");
    return x0;
}
#else
#error "loop/transfer.c: no system call for this machine"
#endif

/* More in one call is pointless, and the count must fit an int: two of these just do not reach INT_MAX + 1. */
enum { GIB = (1 << 30) - 1 };

int ed_system_receive(int fd, void *buffer, size_t bytes) {
    if (ED_UNLIKELY(bytes > GIB)) bytes = GIB;
    long got;
    do {
        got = transfer(SYS_recvfrom, fd, buffer, bytes, 0);
    } while (ED_UNLIKELY(got == -EINTR));
    return (int)got;
}

static ED_COLD int send_two(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_bytes}, {(void *)(uintptr_t)second, second_bytes}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    long sent;
    do {
        sent = transfer(SYS_sendmsg, fd, &message, 0, MSG_NOSIGNAL);
    } while (sent == -EINTR);
    return (int)sent;
}

int ed_system_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    if (ED_UNLIKELY(second_bytes > 0)) {
        if (first_bytes > 0 && first_bytes < GIB && second_bytes < GIB)
            return send_two(fd, first, first_bytes, second, second_bytes);
        if (first_bytes == 0) {
            first = second;
            first_bytes = second_bytes;
        }
    }
    if (ED_UNLIKELY(first_bytes > GIB)) first_bytes = GIB;
    long sent;
    do {
        sent = transfer(SYS_sendto, fd, first, first_bytes, MSG_NOSIGNAL);
    } while (ED_UNLIKELY(sent == -EINTR));
    return (int)sent;
}
