/* Running off a stack is reported by the task's name, whatever the way, and so is a NULL pointer; any other fault is
 * the host's. */
#include "base/base.h"
#include "coro/coro.h"
#include "harness/test.h"

#include <alloca.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define NOT_HERE TEST_WITHOUT("thread address valgrind qemu") /* they handle SIGSEGV themselves */

struct record {
    struct ed_stack stack;
    char name[32];
};

/* A neighbour is written full and looked at from the handler of the host, after the overflow. */
static struct ed_stack_arena *arena;
static struct ed_stack_pool pool;
static struct ed_context here;
static struct ed_stack *neighbours[4];

static size_t name_of(const struct ed_stack *stack, char *buffer, size_t bytes) {
    const struct record *record = (const struct record *)stack;
    size_t length = strnlen(record->name, sizeof record->name);
    if (length > bytes) length = bytes;
    memcpy(buffer, record->name, length);
    return length;
}

/* ---- Ways to overflow ------------------------------------------------------------------------ */

__attribute__((noinline)) static int recurse(volatile int *depth) {
    volatile char frame[200];
    frame[0] = (char)++*depth;
    return *depth > 0 ? recurse(depth) + frame[0] : 0;
}

static void by_recursion(void *arg) {
    (void)arg;
    volatile int depth = 0;
    recurse(&depth);
}

__attribute__((noinline)) static int large_frame(void) {
    volatile char frame[200000];
    __asm__ volatile("" ::"r"(frame) : "memory"); /* or the compiler keeps one byte of it */
    frame[0] = 1;                                 /* the far end only: without probes this lands in another stack */
    return frame[0];
}

static void by_large_frame(void *arg) {
    (void)arg;
    large_frame();
}

static volatile size_t alloca_bytes = 300000;

__attribute__((noinline)) static void by_alloca(void *arg) {
    (void)arg;
    volatile char *memory = alloca(alloca_bytes);
    memory[0] = 1;
}

static volatile uintptr_t nowhere = 8;

static void by_null(void *arg) {
    (void)arg;
    *(volatile int *)nowhere = 1;
}

static void by_wild_pointer(void *arg) {
    (void)arg;
    *(volatile int *)(nowhere + (1 << 20)) = 1; /* below what the system maps, and no NULL */
}

/* ---- Running one ----------------------------------------------------------------------------- */

struct way {
    void (*overflow)(void *arg);
    enum ed_stack_guard guard;
    enum ed_stack_class class_;
    bool named, host;
};

static void host_handler(int signal, siginfo_t *info, void *machine) {
    (void)machine;
    bool intact = true;
    for (int i = 0; i < 4; i++) {
        if (i == 2) continue; /* the one that overflowed */
        const char *low = neighbours[i]->context.stack_low;
        for (size_t k = 0; k < neighbours[i]->context.stack_bytes; k++) intact &= low[k] == 0x5a;
        intact &= strcmp(((struct record *)neighbours[i])->name, "neighbour") == 0;
    }
    const char *text = signal == SIGSEGV && info->si_addr != NULL ? "host was told\n" : "host was told wrong\n";
    ssize_t wrote = write(STDERR_FILENO, text, strlen(text));
    text = intact ? "neighbours intact\n" : "neighbours damaged\n";
    wrote += write(STDERR_FILENO, text, strlen(text));
    _exit(wrote > 0 ? 42 : 1);
}

static void run(void *arg) {
    const struct way *way = arg;
    if (way->host) {
        struct sigaction action = {.sa_sigaction = host_handler, .sa_flags = SA_SIGINFO};
        EXPECT_EQ(0, sigaction(SIGSEGV, &action, NULL));
    }
    void *state;
    EXPECT_OK(ed_overflow_install());
    EXPECT_OK(ed_overflow_thread_enter(&state));
    if (way->named) ed_overflow_describe_with(name_of);

    struct ed_stack_options options = {.guard = way->guard};
    EXPECT_OK(ed_stack_arena_open(&arena, sizeof(struct record), &options));
    ed_stack_pool_init(&pool, arena);
    ed_context_init_thread(&here);
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(ed_stack_get(&pool, way->class_, &neighbours[i]));
        memset((char *)neighbours[i]->context.stack_low, 0x5a, neighbours[i]->context.stack_bytes);
        strcpy(((struct record *)neighbours[i])->name, "neighbour");
    }
    strcpy(((struct record *)neighbours[2])->name, "orders");
    ed_context_make(neighbours[2], way->overflow, NULL);
    ed_context_switch(&here, &neighbours[2]->context);
}

static struct test_child child_of(struct way way) { return test_child_run(run, &way); }

static bool advice_works(void) {
    struct ed_stack_options options = {.guard = ED_GUARD_ADVISE};
    int status = ed_stack_arena_open(&arena, sizeof(struct record), &options);
    if (status == 0) ed_stack_arena_close(arena);
    return status == 0;
}

static void check_named(void (*overflow)(void *)) {
    for (int guard = ED_GUARD_ADVISE; guard <= ED_GUARD_MPROTECT; guard++) {
        if (guard == ED_GUARD_ADVISE && !advice_works()) continue;
        struct test_child child = child_of((struct way){overflow, guard, ED_STACK_64K, .named = true, .host = true});
        EXPECT_HAS(child.stderr_text, "eddy: stack overflow in task \"orders\" (64 KiB stack, fault at 0x");
        EXPECT_HAS(child.stderr_text, "give it a larger one: EDDY_TASK(.stack_bytes = 262144)\n");
        EXPECT_HAS(child.stderr_text, "host was told\n");
        EXPECT_HAS(child.stderr_text, "neighbours intact\n");
        EXPECT_EQ(42, child.exit_code);
    }
}

UNIT(coro_overflow, recursion_is_named, NOT_HERE) { check_named(by_recursion); }

UNIT(coro_overflow, large_frame_is_named, NOT_HERE) { check_named(by_large_frame); }

UNIT(coro_overflow, alloca_is_named, NOT_HERE) { check_named(by_alloca); }

UNIT(coro_overflow, without_a_host_the_default_follows, NOT_HERE) {
    struct test_child child = child_of((struct way){by_recursion, ED_GUARD_AUTO, ED_STACK_16K, false, false});
    EXPECT_EQ(SIGSEGV, child.signal);
    EXPECT_HAS(child.stderr_text, "stack overflow in a task (16 KiB stack");
    EXPECT_HAS(child.stderr_text, ".stack_bytes = 65536)");
}

UNIT(coro_overflow, largest_class_gets_other_advice, NOT_HERE) {
    struct test_child child = child_of((struct way){by_recursion, ED_GUARD_AUTO, ED_STACK_256K, .named = true});
    EXPECT_EQ(SIGSEGV, child.signal);
    EXPECT_HAS(child.stderr_text, "task \"orders\" (256 KiB stack");
    EXPECT_HAS(child.stderr_text, "there is no larger one");
}

UNIT(coro_overflow, other_faults_are_the_hosts_alone, NOT_HERE) {
    struct test_child child = child_of((struct way){by_wild_pointer, ED_GUARD_AUTO, ED_STACK_64K, true, true});
    EXPECT_EQ(42, child.exit_code);
    EXPECT_HAS(child.stderr_text, "host was told\n");
    EXPECT(strstr(child.stderr_text, "eddy:") == NULL);

    child = child_of((struct way){by_wild_pointer, ED_GUARD_AUTO, ED_STACK_64K, .named = true});
    EXPECT_EQ(SIGSEGV, child.signal);
    EXPECT_EQ(0, child.stderr_bytes);
}

UNIT(coro_overflow, a_null_pointer_is_named, NOT_HERE) {
    struct test_child child = child_of((struct way){by_null, ED_GUARD_AUTO, ED_STACK_64K, true, true});
    EXPECT_HAS(child.stderr_text, "eddy: a NULL pointer was used in task \"orders\" (fault at 0x8)\n");
    EXPECT_HAS(child.stderr_text, "host was told\n");
    EXPECT_HAS(child.stderr_text, "neighbours intact\n");
    EXPECT_EQ(42, child.exit_code);

    child = child_of((struct way){by_null, ED_GUARD_AUTO, ED_STACK_64K, .named = false});
    EXPECT_EQ(SIGSEGV, child.signal);
    EXPECT_STR("eddy: a NULL pointer was used in a task (fault at 0x8)\n", child.stderr_text);
}

static void send_to_self(void *arg) {
    (void)arg;
    EXPECT_OK(ed_overflow_install());
    raise(SIGSEGV);
}

UNIT(coro_overflow, a_sent_signal_still_kills, NOT_HERE) {
    struct test_child child = test_child_run(send_to_self, NULL);
    EXPECT_EQ(SIGSEGV, child.signal);
    EXPECT_EQ(0, child.stderr_bytes);
}

/* ---- Installing ------------------------------------------------------------------------------ */

static void hosts(int signal) { (void)signal; }

static void hosts_later(int signal) { (void)signal; }

UNIT(coro_overflow, install_is_counted_and_gives_back_the_hosts, NOT_HERE) {
    struct sigaction host = {.sa_handler = hosts}, found;
    sigaddset(&host.sa_mask, SIGUSR1);
    EXPECT_EQ(0, sigaction(SIGSEGV, &host, NULL));
    EXPECT_OK(ed_overflow_install());
    EXPECT_OK(ed_overflow_install());
    ed_overflow_uninstall();
    EXPECT_EQ(0, sigaction(SIGSEGV, NULL, &found));
    EXPECT(found.sa_handler != hosts);
    EXPECT(found.sa_flags & SA_ONSTACK);
    EXPECT(sigismember(&found.sa_mask, SIGUSR1));
    ed_overflow_uninstall();
    EXPECT_EQ(0, sigaction(SIGSEGV, NULL, &found));
    EXPECT(found.sa_handler == hosts);

    /* One who came after us keeps his place, and a second install does not chain us to
     * ourselves. */
    EXPECT_OK(ed_overflow_install());
    struct sigaction later = {.sa_handler = hosts_later};
    EXPECT_EQ(0, sigaction(SIGSEGV, &later, &found));
    ed_overflow_uninstall();
    EXPECT_OK(ed_overflow_install());
    EXPECT_EQ(0, sigaction(SIGSEGV, NULL, &found));
    EXPECT(found.sa_handler == hosts_later);
    ed_overflow_uninstall();
}

UNIT(coro_overflow, alternate_stack_comes_and_goes, NOT_HERE) {
    stack_t found;
    void *state, *second;
    EXPECT_OK(ed_overflow_thread_enter(&state));
    EXPECT_EQ(0, sigaltstack(NULL, &found));
    EXPECT(found.ss_sp == state);
    EXPECT_OK(ed_overflow_thread_enter(&second)); /* there is one: it is kept */
    EXPECT(second == NULL);
    ed_overflow_thread_leave(second);
    ed_overflow_thread_leave(state);
    EXPECT_EQ(0, sigaltstack(NULL, &found));
    EXPECT(found.ss_flags & SS_DISABLE);
    EXPECT_EQ(0, ed_alloc_live_bytes());
}
