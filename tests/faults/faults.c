/* faults.c: what a program on eddy does when the system refuses: the Nth allocation, thread, mapping, descriptor, watch of
 * one, read or write fails, for every N that the program comes to. `zig build faults -- [--only PROGRAM] [--kind KIND]`.
 *
 * Method     This program stands before the C library (a definition of its own of each function, the real one by dlsym), and
 *            before libuv's calls of it too. Each point is a process: it runs a whole runtime in which one call fails once.
 * Expected   The run ends within a minute, by itself, with 0 or a status; what it opened is closed, once: no byte, task handle,
 *            descriptor or process is left, and nothing is closed that is not open: a second close would sooner or later
 *            hit somebody else's descriptor. A crash, an assertion, a hang or a leak is a failure, with its replay.
 * Planted    --planted: a program that forgets what it allocated when a write fails, and one that closes what was taken;
 *            they must be found (tests/checks).
 * Not here   Calls on whose failure libuv 1.44 itself aborts (its own epoll_ctl of a descriptor that is good, epoll_wait), what
 *            it opens for itself (uv_loop_init keeps its epoll descriptor when a later one is refused), and the clock. Failures that last: tests/net (descriptors run out), tests/coro (mappings run out). */
#include "base/base.h"
#include "eddy/eddy.h"
#include "loop/uvloop.h"
#include "task/task.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* ---- calls that fail ------------------------------------------------------------------------------------- */

enum kind {
    ALLOC,
    THREAD,
    MAP,
    PROTECT,
    ADVISE,
    OPEN,
    POLL,
    SOCKET,
    BIND,
    LISTEN,
    ACCEPT,
    CONNECT,
    READ,
    WRITE,
    SPAWN,
    KINDS
};
static const char *const kind_names[KINDS] = {"alloc",  "thread",  "mmap",   "mprotect", "madvise",
                                              "open",   "poll",    "socket", "bind",     "listen",
                                              "accept", "connect", "read",   "write",    "spawn"};
static const int errors[KINDS] = {ENOMEM,       EAGAIN,       ENOMEM,     ENOMEM,     ENOMEM,
                                  EMFILE,       ENOSPC,       EMFILE,     EADDRINUSE, EOPNOTSUPP,
                                  ECONNABORTED, ECONNREFUSED, ECONNRESET, EPIPE,      EAGAIN};

static enum kind armed = KINDS;
static _Atomic int64_t left; /* calls of the armed kind until one fails */

static bool fails(enum kind kind) {
    if (kind != armed || ED_SUB(&left, 1) != 1) return false;
    errno = errors[kind];
    return true;
}

/* Whether the caller is this program or the library in it, not a shared library. */
static bool ours(const void *caller) {
    Dl_info here, there;
    return dladdr((const void *)(uintptr_t)fails, &here) && dladdr(caller, &there) && here.dli_fbase == there.dli_fbase;
}
/* A connection that broke is broken in both directions, for both ends. */
static bool breaks(enum kind kind, int fd) {
    if (!fails(kind)) return false;
    shutdown(fd, SHUT_RDWR);
    errno = errors[kind];
    return true;
}
#define OUR_OPEN_FAILS (ours(__builtin_return_address(0)) && fails(OPEN))

/* The real function of this name. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *arg) {
    return fails(THREAD) ? EAGAIN : REAL(pthread_create)(thread, attributes, body, arg);
}
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    return fails(MAP) ? MAP_FAILED : REAL(mmap)(at, bytes, protection, flags, fd, offset);
}
int mprotect(void *at, size_t bytes, int protection) {
    return fails(PROTECT) ? -1 : REAL(mprotect)(at, bytes, protection);
}
int madvise(void *at, size_t bytes, int advice) { return fails(ADVISE) ? -1 : REAL(madvise)(at, bytes, advice); }
int eventfd(unsigned value, int flags) { return OUR_OPEN_FAILS ? -1 : REAL(eventfd)(value, flags); }
int timerfd_create(int clock, int flags) { return OUR_OPEN_FAILS ? -1 : REAL(timerfd_create)(clock, flags); }
int epoll_create1(int flags) { return OUR_OPEN_FAILS ? -1 : REAL(epoll_create1)(flags); }
int signalfd(int fd, const sigset_t *mask, int flags) { return OUR_OPEN_FAILS ? -1 : REAL(signalfd)(fd, mask, flags); }
int pipe2(int fds[2], int flags) { return OUR_OPEN_FAILS ? -1 : REAL(pipe2)(fds, flags); }
int socketpair(int domain, int type, int protocol, int fds[2]) {
    return OUR_OPEN_FAILS ? -1 : REAL(socketpair)(domain, type, protocol, fds);
}
int socket(int domain, int type, int protocol) { return fails(SOCKET) ? -1 : REAL(socket)(domain, type, protocol); }
int bind(int fd, const struct sockaddr *address, socklen_t bytes) {
    return fails(BIND) ? -1 : REAL(bind)(fd, address, bytes);
}
int listen(int fd, int backlog) { return fails(LISTEN) ? -1 : REAL(listen)(fd, backlog); }
int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags) {
    return fails(ACCEPT) ? -1 : REAL(accept4)(fd, address, bytes, flags);
}
int connect(int fd, const struct sockaddr *address, socklen_t bytes) {
    return fails(CONNECT) ? -1 : REAL(connect)(fd, address, bytes);
}
ssize_t recv(int fd, void *buffer, size_t bytes, int flags) {
    return breaks(READ, fd) ? -1 : REAL(recv)(fd, buffer, bytes, flags);
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    return breaks(READ, fd) ? -1 : REAL(recvmsg)(fd, message, flags);
}
ssize_t send(int fd, const void *data, size_t bytes, int flags) {
    return breaks(WRITE, fd) ? -1 : REAL(send)(fd, data, bytes, flags);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    return breaks(WRITE, fd) ? -1 : REAL(sendmsg)(fd, message, flags);
}
/* The library makes these two without the C library (src/loop/transfer.c); here by it, so that they fail too. */
int ed_system_receive(int fd, void *buffer, size_t bytes) {
    ssize_t got = recv(fd, buffer, bytes, 0);
    return got < 0 ? -errno : (int)got;
}
int ed_system_send(int fd, const void *first, size_t first_bytes, const void *second, size_t second_bytes) {
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_bytes}, {(void *)(uintptr_t)second, second_bytes}};
    ssize_t sent = sendmsg(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2}, MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}
ssize_t recvfrom(int fd, void *buffer, size_t bytes, int flags, struct sockaddr *from, socklen_t *from_bytes) {
    return fails(READ) ? -1 : REAL(recvfrom)(fd, buffer, bytes, flags, from, from_bytes);
}
ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to, socklen_t to_bytes) {
    return fails(WRITE) ? -1 : REAL(sendto)(fd, data, bytes, flags, to, to_bytes);
}
ssize_t sendfile(int fd, int file, off_t *offset, size_t bytes) {
    return breaks(WRITE, fd) ? -1 : REAL(sendfile)(fd, file, offset, bytes);
}
ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset) {
    return fails(READ) ? -1 : REAL(pread)(fd, buffer, bytes, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    return fails(WRITE) ? -1 : REAL(pwrite)(fd, data, bytes, offset);
}
int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0;
    va_end(more);
    return OUR_OPEN_FAILS ? -1 : REAL(open)(path, flags, mode);
}
int fcntl(int fd, int command, ...) {
    va_list more;
    va_start(more, command);
    long argument = va_arg(more, long);
    va_end(more);
    return command == F_DUPFD_CLOEXEC && OUR_OPEN_FAILS ? -1 : REAL(fcntl)(fd, command, argument);
}
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const environment[]) {
    return fails(SPAWN) ? EAGAIN : REAL(posix_spawn)(pid, path, actions, attributes, argv, environment);
}

/* A place in the kernel's table of watches; libuv asks for its own here, where it can still be refused. */
int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
    const bool refused = operation == EPOLL_CTL_ADD && ours(__builtin_return_address(0)) && fails(POLL);
    return refused ? -1 : REAL(epoll_ctl)(set, operation, fd, event);
}
int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd) {
    return fails(POLL) ? UV_ENOSPC : REAL(uv_poll_init)(loop, handle, fd);
}
int close(int fd) {
    const int result = REAL(close)(fd), failure = errno;
    if (result < 0 && failure == EBADF) {
        fprintf(stderr, "descriptor %d is closed and was not open\n", fd);
        abort();
    }
    errno = failure;
    return result;
}

/* ---- programs: each takes a failure as its own end, and gives back what it has ----------------------------------------- */

static int work(void *arg, eddy_value *out) {
    (void)out;
    int64_t how = (intptr_t)arg;
    if (how % 3 == 0) return eddy_yield();
    if (how % 3 == 1) return eddy_sleep(EDDY_US(10));
    return 0;
}

/* Tasks, names, groups, timeouts, callbacks. */
static int called(void *arg) {
    (void)arg;
    return 0;
}
static int tasks(void) {
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (intptr_t i = 0; i < 70 && status == 0; i++) status = eddy_group_spawn(&group, NULL, work, (void *)i, NULL);
    status = eddy_group_exit(&group, status);
    if (status < 0) return status;
    status = eddy_call_soon(NULL, called, NULL, NULL);
    if (status == 0) status = eddy_call_later(NULL, EDDY_US(20), called, NULL, NULL);
    if (status < 0) return status;

    for (int i = 0; i < 6; i++) eddy_timeout_push(EDDY_SECONDS(10 + i)); /* beyond those without an allocation */
    eddy_task *task = NULL;
    char large[200] = "";
    status = eddy_spawn(&task, work, large,
                        EDDY_TASK(.copy_bytes = sizeof large, .name = "with a copy", .stack_bytes = 16384));
    if (status == 0) {
        status = eddy_await(EDDY_FUTURE(task), NULL);
        eddy_task_release(task);
    }
    for (int i = 0; i < 6; i++) status = eddy_timeout_pop(status);
    return status;
}

/* A lock, an event, a semaphore, a queue, gather, a shield. */
static int put_three(void *arg, eddy_value *out) {
    (void)out;
    int status = 0;
    for (int i = 0; i < 3 && status == 0; i++) status = eddy_queue_put(arg, EDDY_I64(i));
    return status;
}
static int objects(void) {
    eddy_lock *lock = eddy_lock_create();
    eddy_queue *queue = eddy_queue_create(2, NULL);
    eddy_event *event = eddy_event_create();
    eddy_semaphore *slots = eddy_semaphore_create(1);
    eddy_task *putters[2] = {NULL};
    int status = lock != NULL && queue != NULL && event != NULL && slots != NULL ? 0 : EDDY_ENOMEM;
    for (int i = 0; i < 2 && status == 0; i++) status = eddy_spawn(&putters[i], put_three, queue, NULL);
    for (int i = 0; i < 6 && status == 0; i++) {
        eddy_value item;
        status = EDDY_TIMEOUT(EDDY_SECONDS(4), eddy_queue_get(queue, &item)); /* a putter may have found no stack */
        if (status == 0) status = eddy_lock_acquire(lock);
        if (status == 0) status = eddy_lock_unlock(lock);
    }
    if (queue != NULL) eddy_queue_close(queue); /* whoever still puts ends */
    eddy_future *futures[2];
    eddy_result results[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++)
        if (putters[i] != NULL) futures[count++] = EDDY_FUTURE(putters[i]);
    if (count == 2) {
        int gathered = eddy_gather_all(futures, count, results);
        if (status == 0) status = gathered;
    }
    for (int i = 0; i < 2; i++) {
        if (putters[i] == NULL) continue;
        (void)eddy_await(EDDY_FUTURE(putters[i]), NULL);
        eddy_task_release(putters[i]);
    }
    if (lock != NULL) eddy_lock_release(lock);
    if (queue != NULL) eddy_queue_release(queue);
    if (event != NULL) eddy_event_release(event);
    if (slots != NULL) eddy_semaphore_release(slots);
    return status;
}

/* A server, three clients that talk to it, by name and by number. */
static int echo(eddy_stream *stream, void *arg) {
    (void)arg;
    char buffer[4096];
    int got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) {
        int status = eddy_stream_write(stream, buffer, (size_t)got);
        if (status == 0) status = eddy_stream_drain(stream);
        if (status < 0) return status;
    }
    return got;
}
static int talk(void *arg, eddy_value *out) {
    (void)out;
    eddy_stream *stream;
    char answer[5];
    int status = eddy_connect(&stream, "127.0.0.1", eddy_server_port(arg), NULL);
    if (status < 0) return status;
    status = eddy_stream_write(stream, "hello", 5);
    if (status == 0) status = eddy_stream_read_exactly(stream, answer, sizeof answer, NULL);
    int closed = eddy_stream_close(stream);
    eddy_stream_release(stream);
    return status < 0 ? status : closed;
}
static int network(void) {
    eddy_server *server;
    int status = eddy_server_open(&server, "127.0.0.1", 0, echo, NULL, NULL);
    if (status < 0) return status;
    for (int i = 0; i < 3 && status >= 0; i++) status = talk(server, NULL);
    int closed = eddy_server_shutdown(server, EDDY_SECONDS(20));
    eddy_server_release(server);
    eddy_addresses *addresses;
    int resolved = eddy_resolve("localhost", "80", 0, &addresses);
    if (resolved == 0) eddy_addresses_release(addresses);
    return status < 0 ? status : closed < 0 ? closed : resolved;
}

/* A pair of Unix sockets: pieces, a file and a descriptor one way; a task takes each end to its worker. */
static int take_over(void *arg, eddy_value *out) {
    (void)out;
    return eddy_stream_adopt(arg);
}
static int send_all_kinds(void *arg, eddy_value *out) {
    (void)out;
    const struct iovec parts[] = {{"many ", 5}, {"pieces", 6}};
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int status = folder < 0 || file < 0 ? -EMFILE : eddy_stream_writev(arg, parts, 2);
    if (status == 0) status = eddy_stream_send_file(arg, file, 0, 300000, NULL);
    if (status == 0) status = eddy_stream_send_fds(arg, "!", 1, &folder, 1);
    if (folder >= 0) close(folder);
    if (file >= 0) close(file);
    int closed = eddy_stream_close(arg);
    return status < 0 ? status : closed;
}
static int receive_all_kinds(eddy_stream *stream) {
    char buffer[4096];
    int fd, got = eddy_stream_accept_fds(stream, 4);
    if (got < 0) return got;
    while ((got = eddy_stream_read(stream, buffer, sizeof buffer)) > 0) continue;
    int taken = eddy_stream_take_fd(stream, &fd);
    if (taken == 0) close(fd);
    return got != EDDY_EOF ? got : taken;
}
/* What is refused is the caller's still. */
static int open_streams(eddy_stream *streams[2], const int fds[2]) {
    int status = 0;
    for (int i = 0; i < 2; i++) {
        int opened = eddy_stream_open_fd(&streams[i], fds[i]);
        if (opened < 0) close(fds[i]);
        if (opened < 0) status = opened;
    }
    return status;
}
static int local(void) {
    int pair[2];
    eddy_stream *ends[2] = {NULL};
    eddy_task *tasks_of[2] = {NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
    int status = open_streams(ends, pair);
    if (status == 0) status = eddy_spawn(&tasks_of[0], take_over, ends[1], NULL);
    if (status == 0) status = eddy_await(EDDY_FUTURE(tasks_of[0]), NULL);
    if (status == 0) status = eddy_spawn(&tasks_of[1], send_all_kinds, ends[0], NULL);
    if (status == 0) {
        status = receive_all_kinds(ends[1]);
        eddy_stream_abort(ends[1]); /* whatever it still sends */
        int sent = eddy_await(EDDY_FUTURE(tasks_of[1]), NULL);
        if (status == 0) status = sent;
    }
    for (int i = 0; i < 2; i++) {
        if (tasks_of[i] != NULL) eddy_task_release(tasks_of[i]);
        if (ends[i] != NULL) eddy_stream_abort(ends[i]);
        eddy_stream_release(ends[i]);
    }
    return status;
}

/* A pipe's ends as streams, a terminal where there are any, a socket that listens, a descriptor that is watched. */
static int pass_on(const int from, const int to) {
    eddy_stream *streams[2] = {NULL};
    char c;
    int status = open_streams(streams, (const int[]){from, to});
    if (status == 0) status = eddy_stream_write(streams[1], "\n", 1);
    if (status == 0) status = eddy_stream_drain(streams[1]);
    if (status == 0) status = eddy_stream_read(streams[0], &c, 1);
    for (int i = 0; i < 2; i++) eddy_stream_release(streams[i]);
    return status < 0 ? status : 0;
}
static int hang_up(eddy_stream *stream, void *arg) {
    (void)stream, (void)arg;
    return 0;
}
static int serve_outside(void) {
    eddy_server *server;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    const int status = eddy_server_open_fd(&server, fd, hang_up, NULL, NULL); /* on any port */
    if (status < 0)
        close(fd);
    else
        eddy_server_release(server);
    return status;
}
static int outside(void) {
    int ends[2], master, terminal, event;
    eddy_watch *watch;
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    int status = pass_on(ends[0], ends[1]);
    if (status == 0 && openpty(&master, &terminal, NULL, NULL, NULL) == 0) status = pass_on(master, terminal);
    if (status == 0) status = serve_outside();
    if (status < 0) return status;
    if ((event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) return -errno;
    status = eddy_watch_open(&watch, event);
    if (status == 0) {
        status = eddy_watch_readable(watch);
        eddy_watch_close(watch);
    }
    close(event);
    return status;
}

/* A signal that two wait for. */
static int signals(void) {
    eddy_signal *first, *second;
    int status = eddy_signal_open(&first, SIGUSR1);
    if (status < 0) return status;
    status = eddy_signal_open(&second, SIGUSR1);
    if (status == 0) {
        kill(getpid(), SIGUSR1);
        status = eddy_signal_wait(second);
        eddy_signal_close(second);
        if (status == 1) status = eddy_signal_wait(first);
    }
    eddy_signal_close(first);
    return status < 0 ? status : status == 1 ? 0 : EDDY_EINVAL;
}

/* A question and its answer in datagrams; one that is lost is asked for once. */
static int datagrams(void) {
    eddy_udp *host = NULL, *guest = NULL;
    eddy_address from;
    char text[8];
    int status = eddy_udp_open(&host, "127.0.0.1", 0, NULL);
    if (status == 0) status = eddy_udp_connect(&guest, "127.0.0.1", eddy_udp_port(host), NULL);
    if (status == 0) status = eddy_udp_send(guest, "ask", 3, NULL);
    if (status == 0) status = EDDY_TIMEOUT(EDDY_SECONDS(20), eddy_udp_receive(host, text, sizeof text, &from));
    if (status >= 0) status = eddy_udp_send(host, "answer", 6, &from);
    if (status == 0) status = EDDY_TIMEOUT(EDDY_SECONDS(20), eddy_udp_receive(guest, text, sizeof text, NULL));
    eddy_udp_close(guest);
    eddy_udp_close(host);
    return status < 0 ? status : 0;
}

static int files(void) {
    char path[64], text[8] = "";
    snprintf(path, sizeof path, "/tmp/eddy-faults-%d", (int)getpid());
    eddy_file *file;
    int64_t bytes;
    int status = eddy_file_open(&file, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (status < 0) return status;
    status = eddy_file_write(file, "written", 7, 0);
    if (status == 0) status = eddy_file_sync(file, true);
    if (status == 0) status = eddy_file_size(file, &bytes);
    if (status == 0) status = eddy_file_read(file, text, 7, 0);
    if (status == 7 && memcmp(text, "written", 7) != 0) abort();
    int closed = eddy_file_close(file);
    unlink(path);
    return status < 0 ? status : closed;
}

/* A child that says what it is told. */
static int children(void) {
    const char *const arguments[] = {"cat", NULL};
    eddy_child *child;
    eddy_bytes said = {NULL, 0};
    int code = 0;
    int status = eddy_child_start(&child, arguments, EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE));
    if (status < 0) return status;
    status = eddy_child_communicate(child, "hello", 5, 100, &said, NULL, &code);
    eddy_bytes_free(&said);
    eddy_child_release(child);
    return status;
}

/* Blocking functions in threads, waited for and left behind. */
static int double_it(void *arg, eddy_value *out) {
    *out = EDDY_I64(2 * *(int *)arg);
    return 0;
}
static int threads(void) {
    eddy_thread_pool *pool;
    int number = 21;
    eddy_value value;
    int status = eddy_to_thread(double_it, &number, &value);
    if (status == 0 && value.i64 != 42) abort();
    if (status < 0) return status;
    status = eddy_thread_pool_create(&pool, EDDY_THREAD_POOL(.threads = 2));
    if (status < 0) return status;
    for (int i = 0; i < 4 && status == 0; i++) status = eddy_thread_pool_run(pool, double_it, &number, &value);
    int closed = eddy_thread_pool_close(pool);
    return status < 0 ? status : closed;
}

/* A call in a process. */
static int copy_bytes(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
EDDY_REMOTE(copy_bytes);
static int processes(void) {
    eddy_process_pool *pool;
    eddy_bytes out;
    int status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1));
    if (status < 0) return status;
    for (int i = 0; i < 2 && status == 0; i++) {
        status = eddy_process_pool_run(pool, copy_bytes, eddy_bytes_view("some bytes", 10), &out);
        eddy_bytes_free(&out);
    }
    int closed = eddy_process_pool_close(pool);
    return status < 0 ? status : closed;
}

/* A buffer and a descriptor that go with a call. */
static int say_ok(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const int fd = eddy_process_fd_take(0);
    if (fd < 0) return fd;
    *(char *)eddy_process_lent_buffer().data = write(fd, "ok", 2) == 2 ? 'y' : 'n';
    close(fd);
    return eddy_bytes_copy(out, "", 0);
}
EDDY_REMOTE(say_ok);
static int lent(void) {
    eddy_process_pool *pool;
    eddy_process_buffer *buffer;
    eddy_bytes out = {NULL, 0};
    int ends[2], status = eddy_process_buffer_create(&buffer, 4096);
    if (status < 0) return status;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        status = -errno;
        goto release;
    }
    status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1));
    if (status == 0) {
        status = eddy_process_pool_call(pool, say_ok, eddy_bytes_view("", 0), &out,
                                        EDDY_PROCESS_CALL(.buffer = &buffer, .fds = &ends[1], .fds_count = 1));
        eddy_bytes_free(&out);
        if (status >= 0 && *(char *)eddy_process_buffer_bytes(buffer).data != 'y') abort();
        const int closed = eddy_process_pool_close(pool);
        if (status >= 0) status = closed;
    }
    close(ends[0]);
    close(ends[1]);
release:
    eddy_process_buffer_release(buffer);
    return status;
}

/* Planted: what it allocated is lost when a call fails. */
static int forgets(void) {
    char *text = ed_strdup("lost");
    int status = text != NULL ? network() : EDDY_ENOMEM;
    if (status == 0) ed_free(text);
    return status;
}

/* Planted: what was taken is closed. */
static int meddles(void) {
    int ends[2];
    eddy_stream *stream;
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    int status = eddy_stream_open_fd(&stream, ends[0]);
    if (status == 0) eddy_stream_release(stream);
    close(ends[0]);
    close(ends[1]);
    return status;
}

static const struct program {
    const char *name;
    int (*run)(void);
    bool planted;
} programs[] = {{"tasks", tasks, false},         {"objects", objects, false},   {"network", network, false},
                {"local", local, false},         {"outside", outside, false},   {"datagrams", datagrams, false},
                {"files", files, false},         {"children", children, false}, {"threads", threads, false},
                {"processes", processes, false}, {"lent", lent, false},         {"signals", signals, false},
                {"forgets", forgets, true},      {"meddles", meddles, true}};

/* ---- one point ------------------------------------------------------------------------------------------- */

enum { NOT_REACHED = 50, SURVIVED = 51, STATUS_GIVEN = 52 }; /* exit codes */

static int count_descriptors(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) count++;
    if (dir != NULL) closedir(dir);
    return count;
}

static void silent(const eddy_report *report, void *arg) { (void)report, (void)arg; }

static int main_task(void *arg, eddy_value *out) {
    (void)out;
    return ((const struct program *)arg)->run();
}

static _Noreturn void run_point(const struct program *program, unsigned workers, enum kind kind, int64_t nth) {
    uv_loop_t loop; /* libuv opens a pipe with its first loop and keeps it */
    if (uv_loop_init(&loop) != 0 || uv_loop_close(&loop) != 0) _exit(1);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60); /* a hang, also on a busy machine */
    int descriptors = count_descriptors();
    armed = kind;
    ED_STORE_SEQCST(&left, nth);
    if (kind == ALLOC) ed_alloc_fail_at(nth);
    int status = eddy_run(main_task, (void *)program, NULL, EDDY_RUN(.workers = workers, .on_exception = silent));
    armed = KINDS;
    bool reached = kind == ALLOC ? ed_alloc_fail_remaining() <= 0 : ED_LOAD_SEQCST(&left) <= 0;
    ed_alloc_fail_at(0);
    const char *wrong = NULL;
    if (ed_alloc_live_bytes() != 0) wrong = "bytes are left";
    if (ed_tasks_left_behind() != 0) wrong = "task handles are left";
    if (count_descriptors() != descriptors) wrong = "descriptors are left";
    if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD) wrong = "a process is left";
    if (status < 0 && !reached) wrong = "a status, and nothing failed";
    if (wrong != NULL) {
        fprintf(stderr, "%s (status %d)\n", wrong, status);
        _exit(1);
    }
    _exit(!reached ? NOT_REACHED : status >= 0 ? SURVIVED : STATUS_GIVEN);
}

static int passed, failed, survived;

/* The process that runs a point: its exit code, or minus its signal. What it says is shown if it fails. */
static int point(const struct program *program, unsigned workers, enum kind kind, int64_t nth) {
    FILE *said = tmpfile();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0 || said == NULL) exit(2);
    if (pid == 0) {
        dup2(fileno(said), STDERR_FILENO);
        fclose(said);
        run_point(program, workers, kind, nth);
    }
    int state = 0;
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
    if (code != NOT_REACHED && code != SURVIVED && code != STATUS_GIVEN) {
        char text[4096];
        rewind(said);
        size_t bytes = fread(text, 1, sizeof text - 1, said);
        text[bytes] = 0;
        printf(
            "FAIL %s, %u workers, %s %lld fails: %s %d\n%s  replay zig build faults -- --only %s --kind %s --nth %lld\n",
            program->name, workers, kind_names[kind], (long long)nth,
            code == -SIGALRM ? "hangs, signal"
            : code < 0       ? "signal"
                             : "exit",
            code < 0 ? -code : code, text, program->name, kind_names[kind], (long long)nth);
        fflush(stdout);
    }
    fclose(said);
    return code;
}

int main(int argc, char **argv) {
    const char *only = "", *kind_only = "";
    bool planted = false;
    int64_t nth_only = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--planted") == 0) {
            planted = true;
            continue;
        }
        const char *value = argv[i + 1];
        if (value == NULL) goto usage;
        if (strcmp(argv[i], "--only") == 0)
            only = value;
        else if (strcmp(argv[i], "--kind") == 0)
            kind_only = value;
        else if (strcmp(argv[i], "--nth") == 0)
            nth_only = atoll(value);
        else
            goto usage;
        i++;
    }
    for (size_t p = 0; p < sizeof programs / sizeof programs[0]; p++) {
        if (strstr(programs[p].name, only) == NULL || programs[p].planted != planted) continue;
        for (unsigned workers = 1; workers <= 2; workers++) {
            for (int kind = 0; kind < KINDS; kind++) {
                if (strstr(kind_names[kind], kind_only) == NULL) continue;
                int64_t nth = nth_only > 0 ? nth_only : 1;
                for (int missed = 0; missed < 3; nth++) { /* threads: not every run comes as far */
                    int code = point(&programs[p], workers, (enum kind)kind, nth);
                    if (code == NOT_REACHED) {
                        missed++;
                    } else if (code == SURVIVED || code == STATUS_GIVEN) {
                        passed++;
                        survived += code == SURVIVED;
                    } else if (++failed >= 10) {
                        goto done;
                    }
                    if (nth_only > 0) break;
                }
            }
        }
    }
done:
    printf("%d points: the program went on in %d, ended with a status in %d\n%d passed, %d failed\n", passed + failed,
           survived, passed - survived, passed, failed);
    return failed > 0 || passed == 0;
usage:
    fprintf(stderr, "usage: faults [--only PROGRAM] [--kind KIND] [--nth N] [--planted]\n");
    return 2;
}
