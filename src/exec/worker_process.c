/* worker_process.c: the other side of a process pool: a process that serves calls until its pool's end of the socket
 * closes. One thread, blocking calls, no runtime.
 *
 * Life       started with the marker -> checks that its parent holds the other end of the socket -> HELLO ->
 *            reads a call, claims it in the shared page, runs it, answers -> ... -> end of stream -> exit 0.
 * Invariants (W1) Never outlives its parent: the parent-death signal, asked for before the parent is looked at once more,
 *            and the end of the stream. (W2) A function is entered only for a call whose slot this
 *            process has moved to BEGUN.
 * Tests      tests/exec/process_life_test.c. */
#include "exec/process_call.h"
#include "exec/remote.h"
#include "exec/serving.h"
#include "exec/wire.h"
#include "task/task.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { INITIALIZER = 0 }; /* the number of a call that is never taken back */

/* The pool is gone, or speaks nonsense. */
static _Noreturn void leave(int code) {
    fflush(NULL);
    _exit(code);
}

/* What was read ahead: calls that wait behind the one that runs. */
static struct {
    size_t at, end;
    char data[16384];
} ahead;

/* The descriptors of the one call that has some and is not served yet. */
static struct ed_came came;

static void take_fds(struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (came.count > 0 || count > ED_WIRE_FDS_MAX) leave(1);
        memcpy(came.fds, CMSG_DATA(part), count * sizeof(int));
        came.count = (unsigned)count; /* fewer than were sent if this process may open no more */
    }
}

static size_t receive(void *to, size_t bytes) {
    for (;;) {
        union ed_fds_control control;
        struct iovec part = {to, bytes};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        const ssize_t got = recvmsg(ED_WORKER_SOCKET, &message, MSG_CMSG_CLOEXEC);
        if (got > 0) {
            if (message.msg_controllen > 0) take_fds(&message);
            return (size_t)got;
        }
        if (got == 0 || errno != EINTR) leave(0);
    }
}

static void read_all(void *data, uint64_t bytes) {
    for (char *at = data; bytes > 0;) {
        if (ahead.at == ahead.end && bytes >= sizeof ahead.data) {
            const size_t got = receive(at, bytes);
            at += got;
            bytes -= got;
            continue;
        }
        if (ahead.at == ahead.end) {
            ahead.end = receive(ahead.data, sizeof ahead.data);
            ahead.at = 0;
        }
        const size_t there = ahead.end - ahead.at, part = bytes < there ? bytes : there;
        memcpy(at, ahead.data + ahead.at, part);
        ahead.at += part;
        at += part;
        bytes -= part;
    }
}

static void write_all(struct iovec *parts, size_t count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    while (message.msg_iovlen > 0) {
        ssize_t put = sendmsg(ED_WORKER_SOCKET, &message, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) leave(0);
        while (message.msg_iovlen > 0 && (size_t)put >= message.msg_iov->iov_len) {
            put -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen == 0) break;
        message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + put;
        message.msg_iov->iov_len -= (size_t)put;
    }
}

void ed_worker_send(const struct ed_wire_head *head) {
    write_all(&(struct iovec){(void *)(uintptr_t)head, sizeof *head}, 1);
}

static void skip(uint64_t bytes) {
    char scratch[4096];
    while (bytes > 0) {
        const uint64_t part = bytes < sizeof scratch ? bytes : sizeof scratch;
        read_all(scratch, part);
        bytes -= part;
    }
}

/* ---- limits ------------------------------------------------------------------------------------- */

static timer_t cpu_timer; /* if there is a limit */

static void cpu_used_up(int signal) {
    (void)signal;
    _exit(ED_WORKER_CPU_USED_UP);
}

/* Before the first call. A limit that cannot be set ends the process: it must not run without. */
static void set_limits(const struct ed_wire_limits *limits) {
    if (limits->nice > 0) {
        errno = 0;
        const int before = getpriority(PRIO_PROCESS, 0);
        if (errno != 0 || setpriority(PRIO_PROCESS, 0, before + limits->nice) < 0) leave(1);
    }
    if (limits->memory_bytes > 0) {
        const struct rlimit memory = {limits->memory_bytes, limits->memory_bytes};
        if (setrlimit(RLIMIT_DATA, &memory) < 0) leave(1);
    }
    if (limits->cpu_ns > 0) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};
        if (signal(SIGXCPU, cpu_used_up) == SIG_ERR) leave(1);
        if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &cpu_timer) < 0) leave(1);
    }
}

/* From now on the process may use as much CPU time; 0: any. */
static void allow_cpu(int64_t cpu_ns) {
    const struct itimerspec limit = {.it_value = {cpu_ns / 1000000000, cpu_ns % 1000000000}};
    timer_settime(cpu_timer, 0, &limit, NULL);
}

/* ---- serving ------------------------------------------------------------------------------------ */

/* Who calls has it registered, so this is another program than the caller thinks. */
static void say_not_registered(char *text, const char *name, int name_bytes) {
    struct ed_wire_identity own;
    ed_remote_identity(&own);
    char path[256];
    const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    path[bytes > 0 ? bytes : 0] = 0;
    snprintf(text, ED_WIRE_TEXT_MAX,
             "'%.*s' is not registered in the worker program %s (build %016llx, %llu functions are): register it there "
             "with EDDY_REMOTE, and build it again",
             name_bytes, name, path, (unsigned long long)own.build, (unsigned long long)own.functions);
}

/* Runs the function of a call that has begun: the status, and its text or result. */
static int run(const struct eddy_remote *remote, eddy_bytes in, struct ed_wire_page *page, char *text,
               eddy_bytes *out) {
    eddy_error *error = NULL;
    ed_error_thread_slot(&error);
    if (page->limits.cpu_ns > 0) allow_cpu(page->limits.cpu_ns);
    int status = remote->fn(in, out);
    if (page->limits.cpu_ns > 0) allow_cpu(0);
    ed_error_thread_slot(NULL);
    if (status < 0 && eddy_error_status(error) == status)
        snprintf(text, ED_WIRE_TEXT_MAX, "%s", eddy_error_text(error));
    eddy_error_release(error);
    if (status >= 0 && out->size > ED_WIRE_BYTES_MAX) {
        snprintf(text, ED_WIRE_TEXT_MAX, "the result of '%s' has %zu bytes, more than 1 GiB", remote->name, out->size);
        status = EDDY_ELIMIT;
    }
    return status;
}

/* What becomes of one call: the status, and its text or result; 0 without one if it was taken back. */
static int answer_of(const struct ed_wire_head *head, const char *name, struct ed_wire_page *page, char *text,
                     eddy_bytes *out) {
    const struct eddy_remote *remote = ed_remote_by_name(name, head->text_bytes);
    eddy_bytes in = {NULL, 0};
    const int got = remote != NULL ? eddy_bytes_alloc(&in, head->bytes) : EDDY_EINVAL;
    if (got == 0)
        read_all(in.data, in.size);
    else
        skip(head->bytes);
    const bool has_terms = head->number != INITIALIZER;
    const bool begins =
        !has_terms || ed_wire_slot_claim(&page->slots[head->slot], head->number, ED_WIRE_BEGUN); /* (W2) */
    int status = begins ? got : 0;
    if (begins && remote == NULL) say_not_registered(text, name, head->text_bytes);
    if (begins && got == 0) {
        status = ed_serving_begin(head->number, has_terms ? &page->terms[head->slot] : NULL, &came, text);
        if (status == 0) status = run(remote, in, page, text, out);
        ed_serving_end();
    }
    ed_came_close(&came);
    eddy_bytes_free(&in);
    return status;
}

static void serve_one(struct ed_wire_page *page) {
    struct ed_wire_head head;
    read_all(&head, sizeof head);
    if (head.magic != ED_WIRE_MAGIC || head.kind != ED_WIRE_CALL || head.text_bytes > ED_WIRE_TEXT_MAX ||
        head.slot >= ED_WIRE_IN_FLIGHT)
        leave(1);
    char name[ED_WIRE_TEXT_MAX], text[ED_WIRE_TEXT_MAX] = "";
    read_all(name, head.text_bytes);

    eddy_bytes out = {NULL, 0};
    const int status = answer_of(&head, name, page, text, &out);
    fflush(NULL); /* what the call printed is out before its result is, and survives a kill */
    struct ed_wire_head answer = {.magic = ED_WIRE_MAGIC,
                                  .kind = ED_WIRE_RESULT,
                                  .text_bytes = status < 0 ? (uint16_t)strlen(text) : 0,
                                  .status = status,
                                  .number = head.number,
                                  .bytes = status < 0 ? 0 : out.size};
    struct ed_wire_box *box = &page->boxes[head.slot];
    if (head.number != INITIALIZER && answer.bytes <= sizeof box->rest) {
        box->head = answer;
        if (answer.text_bytes > 0) memcpy(box->rest, text, answer.text_bytes);
        if (answer.bytes > 0) memcpy(box->rest, out.data, answer.bytes);
        if (ed_wire_answer(page, head.slot, head.number))
            ed_worker_send(&(struct ed_wire_head){.magic = ED_WIRE_MAGIC, .kind = ED_WIRE_ANSWERED});
    } else {
        write_all((struct iovec[]){{&answer, sizeof answer}, {text, answer.text_bytes}, {out.data, answer.bytes}}, 3);
    }
    eddy_bytes_free(&out);
}

/* The parent's pid and the nonce, if the marker is what a pool writes and the socket leads to our parent. */
static bool check(const char *marker, pid_t *parent_out, uint64_t *nonce_out) {
    unsigned long long nonce;
    int parent, end = 0;
    if (sscanf(marker, "%d:%llx%n", &parent, &nonce, &end) != 2 || marker[end] != 0) return false;
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(ED_WORKER_SOCKET, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0) return false;
    *parent_out = parent;
    *nonce_out = nonce;
    return peer.pid == parent && peer.uid == geteuid();
}

void ed_worker_process_serve(const char *marker) {
    pid_t parent;
    uint64_t nonce;
    if (!check(marker, &parent, &nonce)) {
        fprintf(stderr, "eddy: process %d has %s=%s in its environment, but no process pool started it\n",
                (int)getpid(), ED_WORKER_MARKER, marker);
        _exit(ED_WORKER_NOT_SERVING);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0); /* (W1) it died before it could be asked for */
    prctl(PR_SET_NAME, "eddy-worker");

    /* A terminal or a service manager sends these to all processes; the parent decides. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    fcntl(ED_WORKER_SOCKET, F_SETFD, FD_CLOEXEC);
    struct ed_wire_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, ED_WORKER_PAGE, 0);
    close(ED_WORKER_PAGE);
    if (page == MAP_FAILED) leave(1);
    set_limits(&page->limits);

    struct ed_wire_identity own;
    ed_remote_identity(&own);
    struct ed_wire_head hello = {.magic = ED_WIRE_MAGIC,
                                 .kind = ED_WIRE_HELLO,
                                 .text_bytes = sizeof own,
                                 .slot = ED_WIRE_VERSION,
                                 .number = nonce};
    ED_STORE_RELEASE(&page->serves, 1);
    write_all((struct iovec[]){{&hello, sizeof hello}, {&own, sizeof own}}, 2);
    for (;;) serve_one(page);
}
