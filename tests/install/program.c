/* program.c: a program outside the tree, which has what `pkg-config --cflags --libs eddy` gives and no more.
 * tests/checks/install.sh compiles it as C11 and as C++17, both with -pedantic-errors, links it and runs it.
 * It uses each public macro at least once; the script compares it with the headers. */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>

static int checks_failed;

#define CHECK(claim)                                        \
    do {                                                    \
        if (!(claim)) {                                     \
            printf("program.c:%d: %s\n", __LINE__, #claim); \
            checks_failed++;                                \
        }                                                   \
    } while (0)

EDDY_BEGIN_DECLS
/* Annotations as a user's own header may have them. */
EDDY_API int program_add(int a, int b) EDDY_ANY_THREAD;
EDDY_MUST_USE int program_wait(int64_t duration_ns) EDDY_SUSPENDS EDDY_ATTR(annotate("program"));
void program_block(void) EDDY_BLOCKS;
void program_say(const char *format, ...) EDDY_PRINTF(1, 2);
EDDY_END_DECLS

int program_add(int a, int b) { return a + b; }
int program_wait(int64_t duration_ns) { return eddy_sleep(duration_ns); }
void program_block(void) {}
void program_say(const char *format, ...) { (void)format; }

static int doubled(eddy_bytes in, eddy_bytes *out) {
    int number = 0;
    if (in.size != sizeof number) return EDDY_EINVAL;
    memcpy(&number, in.data, sizeof number);
    number *= 2;
    return eddy_bytes_copy(out, &number, sizeof number);
}
EDDY_REMOTE(doubled);
static int hears(void *arg, eddy_bytes report, uint64_t number) {
    (void)arg, (void)report, (void)number;
    return 0;
}
static int two = 2;
/* Each map: two inputs; [0] counts those that were given, [1] those that were told. */
static int next_item(void *arg, void **item_out) {
    int *mapped = (int *)arg;
    if (mapped[0] == 4) return 0;
    mapped[0]++;
    *item_out = &two;
    return 1;
}
static int next_bytes(void *arg, eddy_bytes *in_out) {
    int *mapped = (int *)arg;
    if (mapped[0] == 2) return 0;
    mapped[0]++;
    *in_out = eddy_bytes_view(&two, sizeof two);
    return 1;
}
static int tell_item(void *arg, size_t index, void *item, int status, eddy_value value) {
    (void)index, (void)item, (void)value;
    ((int *)arg)[1]++;
    return status;
}
static int tell_bytes(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) {
    (void)in, (void)out;
    return tell_item(arg, index, NULL, status, EDDY_NONE);
}

static int tripled(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    (void)out;
    return EDDY_ENOTSUP;
}
EDDY_REMOTE_IN_MAIN(tripled);

static int blocking(void *arg, eddy_value *out) {
    *out = EDDY_I64(*(int *)arg + 1);
    return 0;
}

static EDDY_CONNECTION(connected) {
    (void)arg;
    return eddy_stream_write(stream, "hello", 5);
}

EDDY_CHANNEL(numbers, int);
EDDY_API int program_take(numbers channel) EDDY_WAITS;
int program_take(numbers channel) {
    int number = 0;
    eddy_select_case cases[] = {numbers_case_receive(channel, &number)};
    return eddy_select(cases, 1) == 0 && cases[0].status == 0 ? number : -1;
}

static EDDY_CORO(child) {
    int status = program_wait(EDDY_US(10));
    *out = EDDY_PTR(arg);
    return status;
}

static const eddy_local request = EDDY_LOCAL("request", NULL);

static EDDY_CORO(slow) {
    (void)arg;
    *out = EDDY_NONE;
    return eddy_sleep(EDDY_SECONDS(60));
}

static EDDY_CORO(app) {
    eddy_value value = EDDY_NONE;
    eddy_task *task = NULL;
    eddy_server *server = NULL;
    eddy_stream *stream = NULL;
    eddy_thread_pool *threads = NULL;
    eddy_process_pool *processes = NULL;
    eddy_bytes answer = {NULL, 0};
    int number = 21;
    char text[8] = "";

    CHECK(eddy_local_set(&request, EDDY_I64(7), NULL) == 0);
    CHECK(eddy_local_get(&request, EDDY_NONE).i64 == 7);
#ifdef __cplusplus
    eddy_task_options task_options = eddy_task_options_init();
    task_options.name = "child";
    task_options.loop = EDDY_ANYWHERE;
    CHECK(eddy_spawn_at(EDDY_PLACE(child), NULL, child, arg, NULL) == 0);
    CHECK(eddy_spawn(&task, child, arg, &task_options) == 0);
#else
    CHECK(eddy_spawn(&task, child, arg, EDDY_TASK(.name = "child", .loop = EDDY_ANYWHERE)) == 0);
#endif
    CHECK(eddy_await(EDDY_FUTURE(task), &value) == 0);
    CHECK(value.ptr == arg);
    eddy_task_release(task);

    CHECK(EDDY_TIMEOUT(EDDY_MS(5), slow(NULL, &value)) == EDDY_ETIMEDOUT);
    CHECK(EDDY_TIMEOUT(EDDY_FOREVER, child(NULL, &value)) == 0);

    numbers channel = numbers_create(1, NULL);
    CHECK(numbers_send(channel, 7) == 0 && program_take(channel) == 7);
    CHECK(numbers_try_receive(channel, &number) == EDDY_EBUSY);
    numbers_release(channel);

    CHECK(eddy_to_thread(blocking, &number, &value) == 0);
    CHECK(value.i64 == 22);
#ifdef __cplusplus
    eddy_thread_pool_options thread_options = eddy_thread_pool_options_init();
    thread_options.name = "own";
    CHECK(eddy_thread_pool_create(&threads, &thread_options) == 0);
    eddy_abandon_options abandon_options = eddy_abandon_options_init();
    abandon_options.name = "job";
    CHECK(eddy_thread_pool_abandon(threads, blocking, &number, &abandon_options, &value) == 0);
#else
    CHECK(eddy_thread_pool_create(&threads, EDDY_THREAD_POOL(.name = "own")) == 0);
    CHECK(eddy_thread_pool_abandon(threads, blocking, &number, EDDY_ABANDON_JOB(.name = "job"), &value) == 0);
#endif
    CHECK(value.i64 == 22);
    CHECK(eddy_thread_pool_close(threads) == 0);

#ifdef __cplusplus
    eddy_process_pool_options process_options = eddy_process_pool_options_init();
    process_options.processes = 1;
    CHECK(eddy_process_pool_create(&processes, &process_options) == 0);
#else
    CHECK(eddy_process_pool_create(&processes, EDDY_PROCESS_POOL(.processes = 1)) == 0);
#endif
    CHECK(eddy_process_pool_run(processes, doubled, eddy_bytes_view(&number, sizeof number), &answer) == 0);
    CHECK(answer.size == sizeof number && memcmp(answer.data, "\x2a\0\0\0", 4) == 0);
    eddy_bytes_free(&answer);
    int mapped[2] = {0, 0};
#ifdef __cplusplus
    eddy_process_call_options call_options = eddy_process_call_options_init();
    call_options.progress = hears;
    CHECK(eddy_process_pool_call(processes, doubled, eddy_bytes_view(&number, sizeof number), NULL, &call_options) ==
          0);
    eddy_process_map process_map = eddy_process_map_init();
    process_map.next = next_bytes, process_map.each = tell_bytes, process_map.arg = mapped;
    CHECK(eddy_process_pool_map(processes, doubled, &process_map) == 0);
    eddy_thread_map thread_map = eddy_thread_map_init();
    thread_map.next = next_item, thread_map.each = tell_item, thread_map.arg = mapped;
    CHECK(eddy_thread_pool_map(NULL, blocking, &thread_map) == 0);
#else
    CHECK(eddy_process_pool_call(processes, doubled, eddy_bytes_view(&number, sizeof number), NULL,
                                 EDDY_PROCESS_CALL(.progress = hears)) == 0);
    CHECK(eddy_process_pool_map(processes, doubled,
                                EDDY_PROCESS_MAP(.next = next_bytes, .each = tell_bytes, .arg = mapped)) == 0);
    CHECK(eddy_thread_pool_map(NULL, blocking, EDDY_THREAD_MAP(.next = next_item, .each = tell_item, .arg = mapped)) ==
          0);
#endif
    CHECK(mapped[0] == 4 && mapped[1] == 4);
    CHECK(eddy_process_pool_close(processes) == 0);

    eddy_child *child;
    eddy_udp *udp;
    eddy_gate *gate;
    int code = -1;
#ifdef PROGRAM_TLS /* linked with what pkg-config says for eddy-tls */
    eddy_tls *tls;
#endif
#ifdef __cplusplus
    eddy_server_options server_options = eddy_server_options_init();
    CHECK(eddy_server_open(&server, "127.0.0.1", 0, connected, NULL, &server_options) == 0);
    eddy_connect_options connect_options = eddy_connect_options_init();
    CHECK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), &connect_options) == 0);
#ifdef PROGRAM_TLS
    CHECK(eddy_tls_server_create(&tls, NULL) == EDDY_EINVAL);
#endif
    eddy_tls_options tls_options = eddy_tls_options_init();
    CHECK(!tls_options.no_verify);
    eddy_child_options child_options = eddy_child_options_init();
    CHECK(eddy_child_shell(&child, "exit 3", &child_options) == 0);
    eddy_udp_options udp_options = eddy_udp_options_init();
    CHECK(eddy_udp_open(&udp, "127.0.0.1", 0, &udp_options) == 0);
    eddy_gate_options gate_options = eddy_gate_options_init();
    gate = eddy_gate_create(1, &gate_options);
#else
    gate = eddy_gate_create(1, EDDY_GATE(.waiting_max = 1));
    CHECK(eddy_child_shell(&child, "exit 3", EDDY_CHILD(.in = EDDY_CHILD_NULL)) == 0);
    CHECK(eddy_udp_open(&udp, "127.0.0.1", 0, EDDY_UDP(.broadcast = true)) == 0);
#ifdef PROGRAM_TLS
    CHECK(eddy_tls_server_create(&tls, EDDY_TLS(.alpn = "h2")) == EDDY_EINVAL);
#endif
    CHECK(eddy_server_open(&server, "127.0.0.1", 0, connected, NULL, EDDY_SERVER(.backlog = 8)) == 0);
    CHECK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), EDDY_CONNECT(.family = 0)) == 0);
#endif
    CHECK(eddy_stream_read_exactly(stream, text, 5, NULL) >= 0);
    CHECK(strcmp(text, "hello") == 0);
    eddy_stream_close(stream);
    eddy_stream_release(stream);
    CHECK(eddy_server_shutdown(server, EDDY_SECONDS(60)) == 0);
    eddy_server_release(server);
    CHECK(eddy_child_wait(child, &code) == 0 && code == 3);
    eddy_child_release(child);
    eddy_udp_close(udp);
    CHECK(eddy_gate_enter(gate, EDDY_FOREVER) == 0 && !eddy_gate_try_enter(gate) && eddy_gate_exit(gate) == 0);
    eddy_gate_release(gate);

    *out = EDDY_BYTES(arg, 1);
    return 0;
}

static EDDY_CORO(simulated) {
    int status = eddy_sleep(EDDY_SECONDS(3600));
    *out = EDDY_PTR(arg);
    return status < 0 ? status : eddy_sim_until_idle();
}

int main(void) {
    char here = 'x';
    eddy_value value = EDDY_NONE;
    eddy_process_worker();
#ifdef __cplusplus
    eddy_run_options options = eddy_run_options_init();
    options.workers = 2;
    CHECK(eddy_run(app, &here, &value, &options) == 0);
#else
    CHECK(eddy_run(app, &here, &value, EDDY_RUN(.workers = 2)) == 0);
#endif
    CHECK(value.ptr == &here && value.size == 1);
#ifdef __cplusplus
    eddy_sim_options sim_options = eddy_sim_options_init();
    sim_options.seed = 7;
    CHECK(eddy_sim_run(simulated, &here, &value, &sim_options) == 0);
#else
    CHECK(eddy_sim_run(simulated, &here, &value, EDDY_SIM(.seed = 7)) == 0);
#endif
    CHECK(value.ptr == &here);
    CHECK(eddy_sim_explore(simulated, &here, 2, NULL, NULL) == 0);
    program_block();
    program_say("%d", program_add(1, 2));
    if (checks_failed == 0) puts("all is well");
    return checks_failed != 0;
}
