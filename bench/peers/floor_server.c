/* floor_server.c: what the duties of a server's request cost by themselves. An echo server on epoll by hand, with one thread, to
 * which each form adds one duty of eddy's streams, in the fewest instructions that we know of:
 *
 *   bare      an event, a read, a write
 *   queue     what is ready waits its turn, oldest first, however many events came at once
 *   switch    a connection is a function on a stack of its own; one that waits switches straight to the next
 *   deadline  each read has one: the clock is read, and who is past its deadline is closed, within a second
 *   gather    what is written goes into a block of a store, and out at the next wait for input, or before the next epoll_wait
 *
 * None of it can be cancelled, awaited, named, traced, moved or used by others, and there is no other scheduler that it gets on
 * with. Form by form each is compiled for itself. Peers: none; eddy's figure is bench/echo.c. */
#include "harness/bench.h"
#include "harness/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INLINE static inline __attribute__((always_inline))

enum { BARE, QUEUE, SWITCH, DEADLINE, GATHER, FORMS };
static const char *const forms[FORMS] = {"bare", "queue", "switch", "deadline", "gather"};

enum { STACK_BYTES = 65536, BLOCK_BYTES = 16384, READ_BYTES = 1024, EVENTS = 256 };
static const int64_t timeout_ns = 30000000000;

/* Boost.Context's switch: what the other side gets of who switched to it. */
struct transfer {
    void *context, *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t bytes, void (*body)(struct transfer));

struct block {
    struct block *next;
    char bytes[BLOCK_BYTES];
};

struct connection {
    int fd;
    bool ended;
    struct connection *next;       /* in the queue */
    void *context;                 /* of its stack, while it does not run */
    int64_t deadline_ns;           /* INT64_MAX: none */
    struct block *out;             /* NULL: nothing to send */
    size_t out_bytes;              /* of them */
    struct connection *out_next;   /* in the ring of those with something to send */
    struct connection *out_before; /* itself: in none */
    struct connection *all;
};

static struct connection *head, **tail = &head; /* the queue */
static struct connection to_send = {.out_next = &to_send, .out_before = &to_send};
static struct connection *everybody, loop_itself;
static struct block *store;

INLINE void push(struct connection *connection) {
    connection->next = NULL;
    *tail = connection;
    tail = &connection->next;
}

INLINE struct connection *pop(void) {
    struct connection *connection = head;
    head = connection->next;
    if (head == NULL) tail = &head;
    return connection;
}

INLINE void send_out(struct connection *connection) {
    connection->out_before->out_next = connection->out_next;
    connection->out_next->out_before = connection->out_before;
    connection->out_next = connection->out_before = connection;
    connection->ended |=
        write(connection->fd, connection->out->bytes, connection->out_bytes) != (ssize_t)connection->out_bytes;
    connection->out->next = store;
    store = connection->out;
    connection->out = NULL;
}

INLINE bool put(struct connection *connection, const char *bytes, size_t count) {
    struct block *block = store != NULL ? store : malloc(sizeof *block);
    if (block == NULL) return false;
    if (block == store) store = block->next;
    memcpy(block->bytes, bytes, count);
    connection->out = block;
    connection->out_bytes = count;
    connection->out_before = to_send.out_before;
    connection->out_next = &to_send;
    to_send.out_before->out_next = connection;
    to_send.out_before = connection;
    return true;
}

/* To whoever is next, and back when it is this one's turn. */
INLINE void wait_for_input(struct connection *connection) {
    struct connection *next = head != NULL ? pop() : &loop_itself;
    if (next == connection) return;
    struct transfer from = jump_fcontext(next->context, connection);
    ((struct connection *)from.data)->context = from.context;
}

/* One request; false: the connection has ended. */
INLINE bool serve(struct connection *connection, int form) {
    char buffer[READ_BYTES];
    if (form >= DEADLINE) connection->deadline_ns = bench_now_ns() + timeout_ns;
    if (form >= GATHER && connection->out != NULL) send_out(connection);
    if (form >= SWITCH) wait_for_input(connection);
    if (connection->ended) return false;
    ssize_t got = read(connection->fd, buffer, sizeof buffer);
    if (form >= DEADLINE) connection->deadline_ns = INT64_MAX;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    if (form >= GATHER) return put(connection, buffer, (size_t)got);
    return write(connection->fd, buffer, (size_t)got) == got;
}

INLINE void body(struct transfer from, int form) {
    loop_itself.context = from.context;
    struct connection *connection = from.data;
    while (serve(connection, form)) {
    }
    connection->ended = true;
    connection->deadline_ns = INT64_MAX;
    close(connection->fd); /* its memory stays: nothing here measures it */
    for (;;) wait_for_input(connection);
}
static void switch_body(struct transfer from) { body(from, SWITCH); }
static void deadline_body(struct transfer from) { body(from, DEADLINE); }
static void gather_body(struct transfer from) { body(from, GATHER); }

static void accept_all(int poll, int listener, int form) {
    static void (*const bodies[FORMS])(struct transfer) = {NULL, NULL, switch_body, deadline_body, gather_body};
    for (;;) {
        int fd = sockets_accept(listener);
        if (fd < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) bench_fail("memory", -ENOMEM);
        connection->fd = fd;
        connection->deadline_ns = INT64_MAX;
        connection->out_next = connection->out_before = connection;
        connection->all = everybody;
        everybody = connection;
        if (form >= SWITCH) {
            char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (stack == MAP_FAILED) bench_fail("mmap", -errno);
            void *context = make_fcontext(stack + STACK_BYTES, STACK_BYTES, bodies[form]);
            struct transfer back = jump_fcontext(context, connection); /* until somebody finds nobody to go on with */
            ((struct connection *)back.data)->context = back.context;
        }
        sockets_watch(poll, fd, connection);
    }
}

/* On stacks of their own. */
INLINE void run_queue(void) {
    if (head == NULL) return;
    struct transfer from = jump_fcontext(pop()->context, &loop_itself);
    ((struct connection *)from.data)->context = from.context;
}

/* While nobody is queued. */
static __attribute__((noinline)) void close_late(int64_t now_ns) {
    for (struct connection *connection = everybody; connection != NULL; connection = connection->all) {
        if (connection->deadline_ns > now_ns) continue;
        connection->ended = true;
        push(connection);
    }
    run_queue();
}

INLINE void run(int poll, int listener, int form) {
    int64_t looked_ns = bench_now_ns();
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll, events, EVENTS, form >= DEADLINE ? 1000 : -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) {
                accept_all(poll, listener, form);
            } else if (form >= QUEUE) {
                push(connection);
            } else if (!serve(connection, form)) {
                close(connection->fd);
            }
        }
        while (form == QUEUE && head != NULL) {
            struct connection *connection = pop();
            if (!serve(connection, form)) close(connection->fd);
        }
        if (form >= SWITCH) run_queue();
        if (form >= DEADLINE && bench_now_ns() - looked_ns > 1000000000) {
            looked_ns = bench_now_ns();
            close_late(looked_ns);
        }
        while (form >= GATHER && to_send.out_next != &to_send) send_out(to_send.out_next);
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "echo") != 0) return 2;
    bench_open(argc - 1, argv + 1);
    int poll = sockets_check("epoll_create1", epoll_create1(EPOLL_CLOEXEC)), listener = sockets_listen();
    sockets_watch(poll, listener, NULL);
    if (bench_form(forms[BARE])) run(poll, listener, BARE);
    if (bench_form(forms[QUEUE])) run(poll, listener, QUEUE);
    if (bench_form(forms[SWITCH])) run(poll, listener, SWITCH);
    if (bench_form(forms[DEADLINE])) run(poll, listener, DEADLINE);
    if (bench_form(forms[GATHER])) run(poll, listener, GATHER);
    return 2;
}
