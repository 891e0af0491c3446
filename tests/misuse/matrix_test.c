/* matrix_test.c: every public function, used wrongly in each way that there is: the rows of matrix.def.
 *
 * Claim      Wrong use gives the status that the header says, or ends the program with a line that names the task; and what
 *            looks wrong and is not (a lock of another runtime, a handle on another thread) works.
 * Method     Two runtimes, `here` and `there`. Each use has objects of its own: they are made, the call is made in the place
 *            that its column says, what it gives is compared, they are taken back. A test for each column, of all rows,
 *            which leaves no byte; a process for each use that ends the program.
 * Places     The objects' is a task of `here`; in column `other` of `there`; of fixtures that say PLAIN, whose functions
 *            block, the test's own thread. A call that should not wait has 20 s.
 * Not here   Ranges, options, states: arguments_test.c. */
#include "../net/tls_testing.h"
#include "eddy/debug.h"
#include "eddy/eddy.h"
#include "eddy/process_call.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- what arguments are made of ------------------------------------------------------------------------------ */

static int null_at;  /* the pointer that is NULL, from 1 on; 0: none */
static int nth;      /* of the calls of one use                      */
static long gave[2]; /* what they gave; negative before              */

static struct {
    eddy_addresses *addresses;
    eddy_barrier *barrier;
    eddy_channel *channel;
    eddy_child *child;
    eddy_completions *completions;
    eddy_condition *condition;
    eddy_context *context;
    eddy_coro *coro;
    eddy_error *error;
    eddy_event *event;
    eddy_file *file;
    eddy_gate *gate;
    eddy_future *future;
    eddy_handle *handle;
    eddy_lock *lock;
    eddy_loop *loop;
    eddy_once *once;
    eddy_picture *picture;
    eddy_process_buffer *process_buffer;
    eddy_process_pool *process_pool;
    eddy_queue *queue;
    eddy_runner *runner;
    eddy_runtime *runtime;
    eddy_rwlock *rwlock;
    eddy_semaphore *semaphore;
    eddy_server *server;
    eddy_signal *signal;
    eddy_stream *stream;
    eddy_task *task;
    eddy_thread_pool *thread_pool;
    eddy_tls *tls;
    eddy_udp *udp;
    eddy_watch *watch;
    eddy_group group;
    eddy_interval interval;
    eddy_local_token token;
    eddy_value value;
    eddy_bytes nothing;
    eddy_stats stats;
    eddy_worker_stats worker_stats;
    eddy_gate_stats gate_stats;
    eddy_process_pool_stats process_stats;
    eddy_thread_pool_stats thread_stats;
    eddy_tls_info tls_info;
    eddy_report report;
    eddy_address address;
    eddy_select_case choice;
    struct iovec part;
    eddy_result results[1];
    bool flags[1];
    void *places[4];
    uint64_t ids[4], seed;
    int64_t big;
    size_t bytes;
    int number, pids[4], fd, pairs[2][2];
    const char *line, *argv[3];
    char text[64], path[100];
    uint16_t port;
} the;

static const eddy_local local = EDDY_LOCAL("local", NULL);
static struct trust trust;

/* What calls give: a place for each, taken back after the use. */
static struct out {
    void *object;
    eddy_bytes bytes;
    eddy_group group;
    eddy_local_token token;
    void (*drop)(struct out *out);
} outs[16];
static int outs_used;

static struct out *out_make(void (*drop)(struct out *out)) {
    EXPECT(outs_used < 16);
    outs[outs_used] = (struct out){.drop = drop};
    return &outs[outs_used++];
}
static void drop_outs(void) {
    while (outs_used > 0) {
        struct out *out = &outs[--outs_used];
        out->drop(out);
    }
}
#define DROPS(type_, ...)                                                     \
    static void drop_##type_(struct out *out) {                               \
        eddy_##type_ *object = out->object;                                   \
        if (object != NULL) __VA_ARGS__;                                      \
    }                                                                         \
    static __attribute__((unused)) long gives_##type_(eddy_##type_ *object) { \
        out_make(drop_##type_)->object = object;                              \
        return object != NULL;                                                \
    }
static void hang_up_quietly(eddy_stream *stream) {
    (void)eddy_stream_close(stream);
    eddy_stream_release(stream);
}
static void stop_quietly(eddy_runtime *runtime) {
    (void)eddy_runtime_stop(runtime);
    eddy_runtime_release(runtime);
}
DROPS(addresses, eddy_addresses_release(object))
DROPS(barrier, eddy_barrier_release(object))
DROPS(channel, eddy_channel_release(object))
DROPS(child, eddy_child_release(object))
DROPS(completions, eddy_completions_release(object))
DROPS(condition, eddy_condition_release(object))
DROPS(context, eddy_context_release(object))
DROPS(coro, EXPECT_OK(eddy_coro_await(object, NULL)))
DROPS(error, eddy_error_release(object))
DROPS(event, eddy_event_release(object))
DROPS(file, EXPECT_OK(eddy_file_close(object)))
DROPS(future, eddy_future_release(object))
DROPS(gate, eddy_gate_release(object))
DROPS(handle, eddy_handle_release(object))
DROPS(lock, eddy_lock_release(object))
DROPS(once, eddy_once_release(object))
DROPS(picture, eddy_picture_release(object))
DROPS(process_buffer, eddy_process_buffer_release(object))
DROPS(process_pool, EXPECT_OK(eddy_process_pool_close(object)))
DROPS(queue, eddy_queue_release(object))
DROPS(runner, EXPECT_OK(eddy_runner_close(object)))
DROPS(runtime, stop_quietly(object))
DROPS(rwlock, eddy_rwlock_release(object))
DROPS(semaphore, eddy_semaphore_release(object))
DROPS(server, stop_serving(object))
DROPS(signal, eddy_signal_close(object))
DROPS(stream, hang_up_quietly(object))
DROPS(task, eddy_task_release(object))
DROPS(thread_pool, EXPECT_OK(eddy_thread_pool_close(object)))
DROPS(tls, eddy_tls_release(object))
DROPS(udp, eddy_udp_close(object))
DROPS(watch, eddy_watch_close(object))
static void drop_bytes(struct out *out) { eddy_bytes_free(&out->bytes); }
static void drop_group(struct out *out) {
    if (out->group.record != NULL) EXPECT_OK(eddy_group_exit(&out->group, 0));
}
static void drop_token(struct out *out) {
    if (gave[0] >= 0) EXPECT_OK(eddy_local_reset(&local, &out->token));
}
#define OUT(type_) ((eddy_##type_ **)&out_make(drop_##type_)->object)
#define OUT_BYTES (&out_make(drop_bytes)->bytes)
#define OUT_GROUP (&out_make(drop_group)->group)
#define OUT_TOKEN (&out_make(drop_token)->token)

static void *taken_from, *taken;
static void *take(void *place) {
    taken_from = place;
    memcpy(&taken, place, sizeof taken);
    memset(place, 0, sizeof taken);
    return taken;
}
/* A call that is refused leaves the object its owner's. */
static void give_back(void) { memcpy(taken_from, &taken, sizeof taken); }
#define TAKE(type_) ((eddy_##type_ *)take(&the.type_))

#define N1(pointer_) (null_at == 1 ? NULL : (pointer_))
#define N2(pointer_) (null_at == 2 ? NULL : (pointer_))
#define N3(pointer_) (null_at == 3 ? NULL : (pointer_))
#define N4(pointer_) (null_at == 4 ? NULL : (pointer_))
#define N5(pointer_) (null_at == 5 ? NULL : (pointer_))

/* ---- functions as arguments ------------------------------------------------------------------------------------ */

static int give(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_NONE;
    return 0;
}
static int call(void *arg) {
    (void)arg;
    return 0;
}
static void clean_up(void *arg) { (void)arg; }
static void drop(eddy_value value) { (void)value; }
static int64_t by_number(eddy_value value) { return value.i64; }
static bool always(void *arg) { return arg == NULL; }
static int on_done(eddy_future *future, void *arg) {
    (void)future, (void)arg;
    return 0;
}
static int no_input(void *arg, void **item_out) {
    (void)arg, (void)item_out;
    return 0;
}
static int never_told(void *arg, size_t index, void *item, int status, eddy_value value) {
    (void)arg, (void)index, (void)item, (void)value;
    return status;
}
static int no_bytes(void *arg, eddy_bytes *in_out) {
    (void)arg, (void)in_out;
    return 0;
}
static int no_result(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) {
    (void)arg, (void)index, (void)in, (void)out;
    return status;
}
static int misused_remotely(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
EDDY_REMOTE(misused_remotely);
static int talk(eddy_stream *stream, void *arg) {
    char c;
    (void)arg;
    write_text(stream, "a\nb\nc\n");
    while (eddy_stream_read(stream, &c, 1) > 0) continue;
    return 0;
}
static int talk_in_secret(eddy_stream *stream, void *arg) {
    int status = eddy_stream_start_tls(stream, trust.server, NULL);
    eddy_handled();
    return status < 0 ? 0 : talk(stream, arg);
}
static int wait_for_ever(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(1000));
}
static const char *another_path(void) {
    static int count;
    snprintf(the.path, sizeof the.path, "@eddy-misuse-%d-%d", (int)getpid(), count++);
    return the.path;
}

/* ---- fixtures --------------------------------------------------------------------------------------------------- */

/* The two runtimes. */
static eddy_runtime *here, *there;

struct fixture {
    void (*make)(void); /* all run in the objects' place; each may be NULL */
    void (*close)(void);
    void (*undo)(void);
    bool plain; /* its functions block: the place is the test's own thread */
    bool bare;  /* no timeout scope may be open */
};
#define FIXTURE(name_, make_, close_, undo_, ...) \
    static const struct fixture objects_##name_ = {.make = make_, .close = close_, .undo = undo_, __VA_ARGS__}

FIXTURE(none, NULL, NULL, NULL);
FIXTURE(plain, NULL, NULL, NULL, .plain = true);

static void failed_make(void) {
    (void)eddy_fail(EDDY_EINVAL, "why");
    the.error = eddy_error_share(eddy_error_current(EDDY_EINVAL));
}
static void failed_undo(void) { eddy_error_release(the.error); }
FIXTURE(failed, failed_make, NULL, failed_undo);

static void channel_make(void) {
    the.channel = eddy_channel_create(sizeof(int), 4, NULL);
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_channel_send(the.channel, &i));
    the.choice = eddy_case_receive(the.channel, &the.number);
}
static void channel_close(void) {
    eddy_channel_close(the.channel);
    while (eddy_channel_try_receive(the.channel, &the.number) == 0) continue;
}
static void channel_undo(void) { eddy_channel_release(the.channel); }
FIXTURE(channel, channel_make, channel_close, channel_undo);

static void child_make(void) {
    EXPECT_OK(eddy_child_shell(&the.child, "read line",
                               EDDY_CHILD(.in = EDDY_CHILD_PIPE, .out = EDDY_CHILD_PIPE, .err = EDDY_CHILD_PIPE)));
}
static void child_close(void) { EXPECT_OK(eddy_child_stop(the.child, 0, NULL)); }
static void child_undo(void) { eddy_child_release(the.child); }
static void ended_make(void) {
    child_make();
    child_close();
}
FIXTURE(child, child_make, child_close, child_undo);
FIXTURE(ended, ended_make, child_close, child_undo);

static void task_make(void) {
    EXPECT_OK(eddy_spawn(&the.task, wait_for_ever, NULL, NULL));
    EXPECT_OK(eddy_sleep(EDDY_US(1))); /* it has started: there is one worker */
}
static void task_close(void) {
    EXPECT(eddy_cancel(EDDY_FUTURE(the.task)));
    EXPECT_EQ(EDDY_ECANCELED, eddy_await(EDDY_FUTURE(the.task), NULL));
}
static void task_undo(void) {
    if (the.task == NULL) return; /* it is cancelled when its runtime ends */
    if (!eddy_future_done(EDDY_FUTURE(the.task))) task_close();
    eddy_task_release(the.task);
}
FIXTURE(task, task_make, task_close, task_undo);
static void answered_make(void) {
    EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(here), &the.task, give, NULL, NULL));
}
static void answered_undo(void) { eddy_task_release(the.task); }
FIXTURE(answered, answered_make, NULL, answered_undo, .plain = true);

static void picture_make(void) { EXPECT_OK(eddy_picture_take(&the.picture)); }
static void picture_undo(void) { eddy_picture_release(the.picture); }
FIXTURE(picture, picture_make, NULL, picture_undo);

static void runtime_make(void) { EXPECT_OK(eddy_runtime_start(&the.runtime, EDDY_RUN(.workers = 1))); }
static void guest_make(void) { EXPECT_OK(eddy_runtime_guest(&the.runtime, EDDY_RUN(.workers = 1))); }
static void runtime_close(void) { EXPECT_OK(eddy_runtime_stop(the.runtime)); }
static void runtime_undo(void) {
    if (the.runtime != NULL) stop_quietly(the.runtime);
}
static void stopped_make(void) {
    runtime_make();
    runtime_close();
}
FIXTURE(runtime, runtime_make, runtime_close, runtime_undo, .plain = true);
FIXTURE(guest, guest_make, runtime_close, runtime_undo, .plain = true);
static void stopped_close(void) { EXPECT_EQ(EDDY_ESTATE, eddy_runtime_stop(the.runtime)); }
FIXTURE(stopped, stopped_make, stopped_close, runtime_undo, .plain = true);

static void runner_make(void) { EXPECT_OK(eddy_runner_open(&the.runner, EDDY_RUN(.workers = 1))); }
static void runner_undo(void) { EXPECT_OK(eddy_runner_close(the.runner)); }
FIXTURE(runner, runner_make, NULL, runner_undo, .plain = true);

static void file_make(void) {
    char path[300];
    snprintf(path, sizeof path, "%s/file", test_folder());
    EXPECT_OK(eddy_file_open(&the.file, path, O_RDWR | O_CREAT, 0600));
    EXPECT_OK(eddy_file_write(the.file, "text", 4, 0));
}
static void file_undo(void) { EXPECT_OK(eddy_file_close(the.file)); }
FIXTURE(file, file_make, NULL, file_undo);

static void local_make(void) { EXPECT_OK(eddy_local_set(&local, EDDY_NONE, &the.token)); }
static void local_undo(void) { (void)eddy_local_reset(&local, &the.token); }
FIXTURE(local, local_make, NULL, local_undo);
static void context_make(void) { the.context = eddy_context_copy(); }
static void context_undo(void) { eddy_context_release(the.context); }
FIXTURE(context, context_make, NULL, context_undo);

static void loop_make(void) { the.loop = eddy_loop_current(); }
static int stop_another(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    stopped_make();
    return 0;
}
static void loop_close(void) {
    EXPECT_OK(eddy_to_thread(stop_another, NULL, NULL));
    the.loop = eddy_runtime_loop(the.runtime);
}
static int release_another(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    runtime_undo();
    return 0;
}
static void loop_undo(void) { EXPECT_OK(eddy_to_thread(release_another, NULL, NULL)); }
FIXTURE(loop, loop_make, loop_close, loop_undo);

static void handle_make(void) { EXPECT_OK(eddy_call_later(NULL, EDDY_SECONDS(1000), call, NULL, &the.handle)); }
static void handle_undo(void) {
    if (the.handle != NULL) eddy_handle_cancel(the.handle);
    eddy_handle_release(the.handle);
}
FIXTURE(handle, handle_make, NULL, handle_undo);

static void addresses_make(void) { EXPECT_OK(eddy_resolve("127.0.0.1", "1", 0, &the.addresses)); }
static void addresses_undo(void) { eddy_addresses_release(the.addresses); }
FIXTURE(addresses, addresses_make, NULL, addresses_undo);

static void server_make(void) {
    the.server = serve(talk, NULL);
    the.port = eddy_server_port(the.server);
}
static void server_close(void) {
    eddy_server_close(the.server);
    EXPECT_OK(eddy_server_wait_closed(the.server));
}
static void server_undo(void) {
    if (the.server != NULL) stop_serving(the.server);
}
static void closing_make(void) {
    server_make();
    eddy_server_close(the.server);
}
static void unix_server_make(void) { EXPECT_OK(eddy_server_open_unix(&the.server, another_path(), talk, NULL, NULL)); }
FIXTURE(server, server_make, server_close, server_undo);
FIXTURE(closing, closing_make, server_close, server_undo);
FIXTURE(unix_server, unix_server_make, NULL, server_undo);

static void stream_make(void) {
    server_make();
    the.stream = dial(the.server);
}
static void stream_close(void) { EXPECT_OK(eddy_stream_close(the.stream)); }
static void stream_undo(void) {
    if (the.stream != NULL) hang_up_quietly(the.stream);
    server_undo();
}
FIXTURE(stream, stream_make, stream_close, stream_undo);
static void handing_make(void) { /* a Unix socket, and a descriptor to send through it */
    the.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, the.pairs[0]));
    EXPECT_OK(eddy_stream_open_fd(&the.stream, the.pairs[0][0]));
}
static void taking_make(void) {
    handing_make();
    EXPECT_OK(eddy_stream_accept_fds(the.stream, 1));
}
static void handing_undo(void) {
    hang_up_quietly(the.stream);
    close(the.pairs[0][1]);
    close(the.fd);
}
FIXTURE(handing, handing_make, stream_close, handing_undo);
FIXTURE(taking, taking_make, stream_close, handing_undo);
static void sending_make(void) {
    char path[300];
    snprintf(path, sizeof path, "%s/sent", test_folder());
    the.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(4, write(the.fd, "text", 4));
    stream_make();
}
static void sending_undo(void) {
    stream_undo();
    close(the.fd);
}
FIXTURE(sending, sending_make, stream_close, sending_undo);

static void trusted_make(void) { trust_make(&trust, NULL, NULL); }
static void trusted_undo(void) { trust_drop(&trust); }
static void greeting_make(void) {
    trusted_make();
    the.server = serve(talk_in_secret, NULL);
    the.stream = dial(the.server);
}
static void greeting_undo(void) {
    stream_undo();
    trusted_undo();
}
static void secret_make(void) {
    greeting_make();
    EXPECT_OK(eddy_stream_start_tls(the.stream, trust.client, "localhost"));
}
FIXTURE(trusted, trusted_make, NULL, trusted_undo);
FIXTURE(greeting, greeting_make, stream_close, greeting_undo);
FIXTURE(secret, secret_make, stream_close, greeting_undo);
static void tls_make(void) { EXPECT_OK(eddy_tls_client_create(&the.tls, EDDY_TLS(.no_verify = true))); }
static void tls_undo(void) { eddy_tls_release(the.tls); }
FIXTURE(tls, tls_make, NULL, tls_undo);

static void sockets_make(void) {
    for (int i = 0; i < 2; i++) EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, the.pairs[i]));
}
static void sockets_undo(void) {
    for (int i = 0; i < 2; i++) {
        close(the.pairs[i][1]);
        if (gave[i] < 0) close(the.pairs[i][0]); /* it was not taken */
    }
}
FIXTURE(sockets, sockets_make, NULL, sockets_undo);
static void listening_make(void) {
    sockets_make();
    for (int i = 0; i < 2; i++) {
        close(the.pairs[i][0]);
        the.pairs[i][0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(0, listen(the.pairs[i][0], 1)); /* on a port that is free */
    }
}
FIXTURE(listening, listening_make, NULL, sockets_undo);

static void counter_make(void) { the.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); }
static void counter_undo(void) { close(the.fd); }
static void watch_make(void) {
    counter_make();
    EXPECT_OK(eddy_watch_open(&the.watch, the.fd));
}
static void watch_undo(void) {
    eddy_watch_close(the.watch);
    counter_undo();
}
FIXTURE(counter, counter_make, NULL, counter_undo);
FIXTURE(watch, watch_make, NULL, watch_undo);

static void udp_make(void) {
    eddy_addresses *own;
    char port[8];
    EXPECT_OK(eddy_udp_open(&the.udp, "127.0.0.1", 0, NULL));
    snprintf(port, sizeof port, "%d", eddy_udp_port(the.udp));
    EXPECT_OK(eddy_resolve("127.0.0.1", port, 0, &own));
    the.address = *eddy_addresses_get(own, 0);
    eddy_addresses_release(own);
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_udp_send(the.udp, "x", 1, &the.address));
}
static void udp_undo(void) { eddy_udp_close(the.udp); }
FIXTURE(udp, udp_make, NULL, udp_undo);

static void signal_make(void) { EXPECT_OK(eddy_signal_open(&the.signal, SIGUSR2)); }
static void signal_undo(void) { eddy_signal_close(the.signal); }
/* It has come when the other one has heard it: after the last close it would kill. Sent to this thread: the kernel would give
 * one for the process to the main thread, which waits in a futex, and ThreadSanitizer keeps a signal that comes there until
 * the wait is over, for ever here. */
static void raised_make(void) {
    eddy_signal *other;
    EXPECT_OK(eddy_signal_open(&other, SIGUSR2));
    signal_make();
    EXPECT_EQ(0, raise(SIGUSR2));
    EXPECT_OK(eddy_signal_wait(other));
    eddy_signal_close(other);
}
FIXTURE(signal, signal_make, NULL, signal_undo);
FIXTURE(raised, raised_make, NULL, signal_undo);

static void process_pool_make(void) {
    EXPECT_OK(eddy_process_pool_create(&the.process_pool, EDDY_PROCESS_POOL(.processes = 1)));
}
static void process_pool_undo(void) { EXPECT_OK(eddy_process_pool_close(the.process_pool)); }
FIXTURE(process_pool, process_pool_make, NULL, process_pool_undo);
static void buffer_make(void) { EXPECT_OK(eddy_process_buffer_create(&the.process_buffer, 9)); }
static void buffer_undo(void) { eddy_process_buffer_release(the.process_buffer); }
FIXTURE(buffer, buffer_make, NULL, buffer_undo);
static void thread_pool_make(void) {
    EXPECT_OK(eddy_thread_pool_create(&the.thread_pool, EDDY_THREAD_POOL(.threads = 1)));
}
static void thread_pool_undo(void) { EXPECT_OK(eddy_thread_pool_close(the.thread_pool)); }
FIXTURE(thread_pool, thread_pool_make, NULL, thread_pool_undo);

static void queue_make(void) {
    the.queue = eddy_queue_create(4, NULL);
    for (int i = 0; i < 2; i++) EXPECT_OK(eddy_queue_put(the.queue, EDDY_NONE));
}
static void queue_close(void) {
    eddy_queue_close(the.queue);
    while (eddy_queue_try_get(the.queue, &the.value) == 0) continue;
}
static void queue_undo(void) { eddy_queue_release(the.queue); }
static void finished_make(void) { the.queue = eddy_queue_create(4, NULL); }
FIXTURE(queue, queue_make, queue_close, queue_undo);
FIXTURE(finished, finished_make, queue_close, queue_undo);

static void scope_make(void) { eddy_timeout_push(EDDY_FOREVER); }
static void scope_undo(void) {
    for (; eddy_timeout_reschedule(EDDY_FOREVER) == 0;) EXPECT_OK(eddy_timeout_pop(0));
}
FIXTURE(scope, scope_make, NULL, scope_undo, .bare = true);

static void group_make(void) { EXPECT_OK(eddy_group_enter(&the.group)); }
static void group_close(void) { EXPECT_OK(eddy_group_exit(&the.group, 0)); }
FIXTURE(group, group_make, group_close, group_close);

static void gate_make(void) { the.gate = eddy_gate_create(3, NULL); }
static void entered_make(void) {
    gate_make();
    EXPECT(eddy_gate_try_enter(the.gate));
}
static void gate_undo(void) { eddy_gate_release(the.gate); }
FIXTURE(gate, gate_make, NULL, gate_undo);
FIXTURE(entered, entered_make, NULL, gate_undo);

static void lock_make(void) { the.lock = eddy_lock_create(); }
static void held_make(void) {
    lock_make();
    EXPECT_OK(eddy_lock_acquire(the.lock));
}
static void lock_undo(void) { eddy_lock_release(the.lock); }
FIXTURE(lock, lock_make, NULL, lock_undo);
FIXTURE(held, held_make, NULL, lock_undo);
static void not_held_make(void) {
    lock_make();
    the.condition = eddy_condition_create(the.lock);
}
static void condition_make(void) {
    not_held_make();
    EXPECT_OK(eddy_lock_acquire(the.lock));
}
static void condition_undo(void) {
    eddy_condition_release(the.condition);
    lock_undo();
}
FIXTURE(condition, condition_make, NULL, condition_undo);
FIXTURE(not_held, not_held_make, NULL, condition_undo);
static void event_make(void) {
    the.event = eddy_event_create();
    eddy_event_set(the.event);
}
static void event_undo(void) { eddy_event_release(the.event); }
FIXTURE(event, event_make, NULL, event_undo);
static void semaphore_make(void) { the.semaphore = eddy_semaphore_create_bounded(1); }
static void taken_slot_make(void) {
    semaphore_make();
    EXPECT_OK(eddy_semaphore_acquire(the.semaphore));
}
static void semaphore_undo(void) { eddy_semaphore_release(the.semaphore); }
FIXTURE(semaphore, semaphore_make, NULL, semaphore_undo);
FIXTURE(taken_slot, taken_slot_make, NULL, semaphore_undo);
static void barrier_make(void) { the.barrier = eddy_barrier_create(1); }
static void barrier_undo(void) { eddy_barrier_release(the.barrier); }
FIXTURE(barrier, barrier_make, NULL, barrier_undo);
static void rwlock_make(void) { the.rwlock = eddy_rwlock_create(); }
static void written_make(void) {
    rwlock_make();
    EXPECT_OK(eddy_rwlock_write(the.rwlock));
}
static void rwlock_undo(void) { eddy_rwlock_release(the.rwlock); }
FIXTURE(rwlock, rwlock_make, NULL, rwlock_undo);
FIXTURE(written, written_make, NULL, rwlock_undo);
static void once_make(void) { the.once = eddy_once_create(); }
static void once_undo(void) { eddy_once_release(the.once); }
FIXTURE(once, once_make, NULL, once_undo);

static void future_make(void) { the.future = eddy_future_create(); }
static void done_make(void) {
    future_make();
    EXPECT_OK(eddy_future_set(the.future, EDDY_I64(7)));
}
static void future_undo(void) {
    if (the.future != NULL) (void)eddy_future_error(the.future); /* looked at: no report */
    eddy_future_release(the.future);
}
FIXTURE(future, future_make, NULL, future_undo);
FIXTURE(done, done_make, NULL, future_undo);
static void completions_make(void) {
    done_make();
    EXPECT_OK(eddy_as_completed(&the.completions, &the.future, 1, EDDY_FOREVER));
}
static void completions_undo(void) {
    eddy_completions_release(the.completions);
    future_undo();
}
FIXTURE(completions, completions_make, NULL, completions_undo);
static void interval_make(void) { the.interval = eddy_interval_start(1, EDDY_TICKS_SKIP); }
FIXTURE(interval, interval_make, NULL, NULL);
static void coro_make(void) { the.coro = eddy_coro_create(give, NULL, "coro"); }
static void coro_undo(void) {
    if (the.coro != NULL) EXPECT_OK(eddy_coro_await(the.coro, NULL));
}
FIXTURE(coro, coro_make, NULL, coro_undo);

/* ---- the table ---------------------------------------------------------------------------------------------------- */

enum result { A_NUMBER, A_POINTER, ANYTHING };
enum column { IS_NULL, TWICE, OTHER, THREAD, OUTSIDE, CLOSED };

struct row {
    const char *function;
    const struct fixture *fixture;
    enum result result;
    long (*call)(void);
    const char *want[6]; /* by column */
};

#define INT(call_) ((long)(call_))
#define ANY(call_) ((long)(call_))
#define PTR(call_) ((long)((call_) != NULL))
#define VOID(call_) ((void)(call_), 0L)
#define GIVES(type_) gives_##type_
#define ROW(fixture_, result_, function_, arguments_, ...) \
    static long call_##function_(void) { return result_((function_)arguments_); }
#include "matrix.def"
#undef ROW

#define IS_INT A_NUMBER
#define IS_ANY ANYTHING
#define IS_PTR A_POINTER
#define IS_VOID ANYTHING
#define IS_GIVES(type_) A_POINTER
#define ROW(fixture_, result_, function_, arguments_, null_, twice_, other_, thread_, outside_, closed_) \
    {#function_,                                                                                         \
     &objects_##fixture_,                                                                                \
     IS_##result_,                                                                                       \
     call_##function_,                                                                                   \
     {#null_, #twice_, #other_, #thread_, #outside_, #closed_}},
static const struct row rows[] = {
#include "matrix.def"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---- one use -------------------------------------------------------------------------------------------------------- */

enum place { HERE, THERE, PLAIN, A_THREAD, A_CALLBACK };
static enum place at; /* where the caller runs */

static const struct row *row;
static enum column column;
static char want[32];
static int wrong, uses;

/* Runs `fn` in a place, and waits for it. */
struct going {
    void (*fn)(void);
    enum place place;
    eddy_semaphore *arrived;
};
static void arrive(struct going *going) {
    enum place from = at;
    at = going->place;
    going->fn();
    at = from;
    eddy_semaphore_post(going->arrived);
}
static int as_task(void *arg, eddy_value *out) {
    (void)out;
    arrive(arg);
    return 0;
}
static int as_callback(void *arg) {
    arrive(arg);
    return 0;
}
static void *as_thread(void *arg) {
    arrive(arg);
    return NULL;
}
static void go(enum place place, void (*fn)(void)) {
    if (place == at) {
        fn();
        return;
    }
    struct going going = {fn, place, eddy_semaphore_create(0)};
    pthread_t thread;
    if (place == A_THREAD) {
        EXPECT_EQ(0, pthread_create(&thread, NULL, as_thread, &going));
        pthread_join(thread, NULL);
    } else if (place == A_CALLBACK) {
        EXPECT_OK(eddy_call_soon_threadsafe(eddy_runtime_loop(here), as_callback, &going, NULL));
    } else {
        EXPECT_OK(eddy_spawn_threadsafe(eddy_runtime_loop(place == HERE ? here : there), NULL, as_task, &going,
                                        EDDY_TASK(.name = row->function)));
    }
    while (eddy_semaphore_acquire(going.arrived) == EDDY_ECANCELED) continue; /* eddy_group_cancel */
    eddy_semaphore_release(going.arrived);
}

static bool gave_word(const char *word, long result) {
    if (strcmp(word, "ok") == 0)
        return row->result == ANYTHING || (row->result == A_POINTER ? result == 1 : result >= 0);
    if (strcmp(word, "NULL") == 0) return row->result == A_POINTER && result == 0;
    if (strcmp(word, "waits") == 0) return result == EDDY_ETIMEDOUT;
    return result < 0 && strcmp(word, eddy_status_name((int)result)) == 0;
}

static void call_now(void) {
    const bool scoped = !row->fixture->bare && (at == HERE || at == THERE);
    if (scoped)
        eddy_timeout_push(strcmp(want, "waits") == 0 && nth == (column == TWICE) ? EDDY_MS(1) : EDDY_SECONDS(20));
    taken_from = NULL;
    gave[nth] = row->call();
    if (scoped) {
        int status = eddy_timeout_pop(gave[nth] < 0 ? (int)gave[nth] : 0);
        if (status < 0) gave[nth] = status;
    }
    if (taken_from != NULL && row->result == A_NUMBER && gave[nth] < 0) give_back();
}
static void call_and_drop(void) {
    call_now();
    drop_outs();
}
static void expect_word(const char *word) {
    uses++;
    if (gave_word(word, gave[nth])) return;
    static const char *const names[] = {"NULL", "twice", "other", "thread", "outside", "closed"};
    wrong++;
    fprintf(stderr, "%s, %s %d: want %s, got %ld (%s)\n", row->function, names[column], null_at, word, gave[nth],
            eddy_status_name((int)gave[nth]));
}

static enum place place_of_objects(void) { return row->fixture->plain ? PLAIN : column == OTHER ? THERE : HERE; }
static enum place place_of_call(void) {
    switch (column) {
    case OTHER: return HERE;
    case THREAD: return A_THREAD;
    case OUTSIDE: return A_CALLBACK;
    default: return place_of_objects();
    }
}

static void use(void) {
    const enum place objects = at, calls = place_of_call();
    memset(&the, 0, sizeof the);
    the.argv[0] = "true";
    the.report = (eddy_report){.kind = EDDY_REPORT_USER, .message = "misuse", .task = ""};
    the.address.storage.ss_family = AF_INET;
    the.address.bytes = sizeof(struct sockaddr_in);
    the.part = (struct iovec){the.text, 4};
    gave[0] = gave[1] = -1;
    nth = 0;
    if (row->fixture->make != NULL) row->fixture->make();
    if (column == CLOSED) row->fixture->close();
    if (column == TWICE) {
        go(calls, call_now);
        if (row->result != ANYTHING) expect_word("ok");
        nth = 1;
    }
    go(calls, row->fixture->plain ? call_and_drop : call_now); /* a runtime's guest is its thread's */
    expect_word(want);
    go(calls == A_THREAD || calls == A_CALLBACK ? objects : calls, drop_outs);
    eddy_handled();
    if (row->fixture->undo != NULL) row->fixture->undo();
}

/* What a cell says: false if this is nothing to be done here. */
static bool next_word(const struct row *of, enum column what, int nth_word) {
    const char *words = of->want[what];
    for (int i = 1; i < nth_word && words != NULL; i++)
        words = strchr(words, ' ') != NULL ? strchr(words, ' ') + 1 : NULL;
    if (words == NULL) return false;
    snprintf(want, sizeof want, "%.*s", (int)strcspn(words, " "), words);
    row = of;
    column = what;
    null_at = what == IS_NULL ? nth_word : 0;
    return true;
}
static bool is_reason(void) {
    static const char *const reasons[] = {"none", "no_object", "no_close", "taken"};
    for (int i = 0; i < 4; i++)
        if (strcmp(want, reasons[i]) == 0) return true;
    return false;
}

/* ---- all uses --------------------------------------------------------------------------------------------------------- */

static void hear_nothing(const eddy_report *report, void *arg) {
    (void)arg;
    EXPECT(report->message != NULL);
}

static void open_both(void) {
    at = PLAIN;
    EXPECT_OK(eddy_runtime_start(&here, EDDY_RUN(.workers = 1, .on_exception = hear_nothing)));
    EXPECT_OK(eddy_runtime_start(&there, EDDY_RUN(.workers = 1, .on_exception = hear_nothing)));
}
static void close_both(void) {
    stop_quietly(here);
    stop_quietly(there);
}

static void try_column(enum column what) {
    open_both();
    for (size_t i = 0; i < ROWS; i++)
        for (int word = 1; next_word(&rows[i], what, word); word++)
            if (!is_reason() && strcmp(want, "dies") != 0) go(place_of_objects(), use);
    close_both();
    EXPECT_EQ(0, wrong);
    EXPECT(uses > 60);
}
#define COLUMN(name_, column_) \
    UNIT(misuse, name_, TEST_LIMIT(60), TEST_WITHOUT("valgrind qemu")) { try_column(column_); }
COLUMN(null_gives_its_status, IS_NULL)
COLUMN(twice_gives_its_status, TWICE)
COLUMN(objects_of_another_runtime_give_their_status, OTHER)
COLUMN(another_thread_gives_its_status, THREAD)
COLUMN(outside_of_tasks_gives_its_status, OUTSIDE)
COLUMN(after_close_gives_its_status, CLOSED)

static void die(void *arg) {
    (void)arg;
    open_both();
    go(place_of_objects(), use);
    close_both();
}
/* Debug builds have UBSan, which finds a NULL first and says "null pointer". On the host's own thread there is no task, and
 * perhaps no eddy yet that could say anything. */
static bool died_by_name(const struct test_child *child) {
    char by[64];
    if (child->exit_code == 0 || child->timed_out) return false;
    snprintf(by, sizeof by, "a NULL pointer was used in task \"%.31s\"", row->function);
    if (strstr(child->stderr_text, by) != NULL || strstr(child->stderr_text, "null pointer") != NULL) return true;
    if (column != IS_NULL) return strstr(child->stderr_text, row->function) != NULL;
    return row->fixture->plain;
}
/* Not under ThreadSanitizer: more than a hundred processes, a third of a second each there, of which no thread goes on. */
UNIT(misuse, what_ends_the_program_says_by_what, TEST_LIMIT(600), TEST_WITHOUT("valgrind qemu thread")) {
    int deaths = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (enum column what = IS_NULL; what <= CLOSED; what++)
            for (int word = 1; next_word(&rows[i], what, word); word++) {
                if (strcmp(want, "dies") != 0) continue;
                const struct test_child child = test_child_run(die, NULL);
                deaths++;
                if (died_by_name(&child)) continue;
                wrong++;
                fprintf(stderr, "%s, column %d, NULL %d: exit %d, signal %d: %s\n", row->function, (int)what, null_at,
                        child.exit_code, child.signal, child.stderr_text);
            }
    EXPECT_EQ(0, wrong);
    EXPECT(deaths > 100);
}
