/* overflow.c: a fault in a stack's guard, or at a NULL pointer, becomes one line that names the task.
 *
 * Problem    A task that runs off its stack gets a SIGSEGV that says nothing, on a stack with no
 *            room for a handler; and the host may have a handler of its own, which must get what is
 *            its. A NULL where a function of eddy's wants an object faults as silently.
 * Idea       The handler runs on the thread's alternate stack, looks the address up in the table of
 *            chunks, writes a line, and then does what would have been done without it. Asking for NULL in
 *            each function would cost each call; the fault costs nothing until it happens, and the user's own
 *            NULLs get the same line.
 * Invariants (O1) Whatever the fault, the previous disposition gets it, report or not.
 *            (O2) The handler calls write, sigaction, raise, and reads: nothing that locks or
 *            allocates.
 * Ordering   `previous` is written before our handler is set, so the handler always finds it.
 *            `describe` is an atomic pointer.
 * Threads    install, uninstall: any, one lock. enter, leave: each thread for itself.
 * Not here   Guards (stack.c); names (task/).
 * Tests      tests/coro/overflow_test.c. */
#include "coro/chunk.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    NULL_BYTES = 4096, /* a NULL, and a field behind it; nothing is ever mapped there */
    LINE_BYTES = 512,
    NAME_BYTES = 128,
    ALTERNATE_BYTES = 64 << 10, /* the host's handler runs there too, and may print a backtrace */
    SIGNALS = 2,
};

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS};
static struct sigaction previous[SIGNALS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int installed;          /* under lock: installs less uninstalls             */
static bool in_place[SIGNALS]; /* under lock: our handler is, or is chained to     */

typedef size_t describe_fn(const struct ed_stack *stack, char *buffer, size_t bytes);
static _Atomic(describe_fn *) describe;

/* ---- The line ------------------------------------------------------------------------------- */

struct line {
    char text[LINE_BYTES];
    size_t bytes;
};

static void append_bytes(struct line *line, const char *text, size_t bytes) {
    size_t room = sizeof line->text - line->bytes;
    if (bytes > room) bytes = room;
    memcpy(line->text + line->bytes, text, bytes);
    line->bytes += bytes;
}

static void append(struct line *line, const char *text) { append_bytes(line, text, strlen(text)); }

static void append_number(struct line *line, uintptr_t number, unsigned base) {
    char digits[32];
    size_t at = sizeof digits;
    do digits[--at] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    append_bytes(line, digits + at, sizeof digits - at);
}

/* `task "orders"`, or what there is to say without a name. */
static void append_task(struct line *line, const struct ed_stack *stack) {
    char name[NAME_BYTES];
    describe_fn *name_of = ED_LOAD_ACQUIRE(&describe);
    size_t name_bytes = name_of != NULL ? name_of(stack, name, sizeof name) : 0;
    if (name_bytes == 0) {
        append(line, "a task");
        return;
    }
    append(line, "task \"");
    append_bytes(line, name, name_bytes < sizeof name ? name_bytes : sizeof name);
    append(line, "\"");
}

static void write_line(const struct line *line) {
    for (size_t done = 0; done < line->bytes;) {
        ssize_t wrote = write(STDERR_FILENO, line->text + done, line->bytes - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
}

static void report_overflow(const struct ed_stack *stack, size_t stack_bytes, uintptr_t address) {
    struct line line = {.bytes = 0};
    append(&line, "eddy: stack overflow in ");
    append_task(&line, stack);
    append(&line, " (");
    append_number(&line, stack_bytes / 1024, 10);
    append(&line, " KiB stack, fault at 0x");
    append_number(&line, address, 16);
    if (stack->class_ + 1 < ED_STACK_CLASSES) {
        append(&line, "): give it a larger one: EDDY_TASK(.stack_bytes = ");
        append_number(&line, stack_bytes * 4, 10);
        append(&line, ")\n");
    } else {
        append(&line, "): there is no larger one: put large arrays on the heap\n");
    }
    write_line(&line);
}

static void report_null(const struct ed_stack *stack, uintptr_t address) {
    struct line line = {.bytes = 0};
    append(&line, "eddy: a NULL pointer was used");
    if (stack != NULL) {
        append(&line, " in ");
        append_task(&line, stack);
    }
    append(&line, " (fault at 0x");
    append_number(&line, address, 16);
    append(&line, ")\n");
    write_line(&line);
}

/* ---- The handler ---------------------------------------------------------------------------- */

/* What would have happened without us. The mask is already the previous handler's: see install. */
static void chain(int signal, siginfo_t *info, void *machine) {
    struct sigaction *before = &previous[signal == SIGSEGV ? 0 : 1];
    bool sent = info->si_code <= 0; /* by kill and the like, not by a fault */
    if (before->sa_handler == SIG_IGN && sent) return;
    if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN) {
        /* Back to the faulting instruction, which faults again and dumps the state as it was. */
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(signal, &standard, NULL);
        if (sent) raise(signal);
        return;
    }
    struct sigaction call = *before;
    if (call.sa_flags & SA_RESETHAND) before->sa_handler = SIG_DFL;
    if (call.sa_flags & SA_SIGINFO)
        call.sa_sigaction(signal, info, machine);
    else
        call.sa_handler(signal);
}

/* Where the faulting code had its stack. */
static uintptr_t stack_pointer(const void *machine) {
    const ucontext_t *context = machine;
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#endif
}

static void on_fault(int signal, siginfo_t *info, void *machine) {
    int host_errno = errno;
    size_t stack_bytes;
    bool guard = false;
    uintptr_t address = (uintptr_t)info->si_addr;
    const struct ed_stack *stack = NULL;
    if (info->si_code > 0) stack = ed_chunk_find(address, &stack_bytes, &guard);
    if (stack != NULL && guard)
        report_overflow(stack, stack_bytes, address);
    else if (signal == SIGSEGV && info->si_code == SEGV_MAPERR && address < NULL_BYTES)
        report_null(ed_chunk_find(stack_pointer(machine), &stack_bytes, &guard), address);
    errno = host_errno;
    chain(signal, info, machine);
}

static bool is_ours(const struct sigaction *action) {
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == on_fault;
}

static void restore(int count) {
    for (int i = 0; i < count; i++) {
        struct sigaction current;
        if (!in_place[i] || sigaction(signals[i], NULL, &current) != 0) continue;
        /* Somebody came after us and may call us: stay where we are, for good. */
        if (!is_ours(&current)) continue;
        sigaction(signals[i], &previous[i], NULL);
        in_place[i] = false;
    }
}

int ed_overflow_install(void) {
    int status = 0;
    pthread_mutex_lock(&lock);
    if (installed++ == 0) {
        for (int i = 0; i < SIGNALS && status == 0; i++) {
            if (in_place[i]) continue;
            if (sigaction(signals[i], NULL, &previous[i]) != 0) status = -errno;
            struct sigaction ours = {.sa_sigaction = on_fault, .sa_mask = previous[i].sa_mask};
            ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous[i].sa_flags & (SA_NODEFER | SA_RESTART));
            if (status == 0 && sigaction(signals[i], &ours, NULL) != 0) status = -errno;
            in_place[i] = status == 0;
            if (status != 0) restore(i);
        }
        if (status != 0) installed--;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void ed_overflow_uninstall(void) {
    pthread_mutex_lock(&lock);
    ED_ASSERT(installed > 0);
    if (--installed == 0) restore(SIGNALS);
    pthread_mutex_unlock(&lock);
}

void ed_overflow_describe_with(describe_fn *names) { ED_STORE_RELEASE(&describe, names); }

/* ---- Alternate stacks ----------------------------------------------------------------------- */

int ed_overflow_thread_enter(void **state_out) {
    *state_out = NULL;
    stack_t host;
    int failed = sigaltstack(NULL, &host);
    ED_ASSERT(failed == 0);
    if (!(host.ss_flags & SS_DISABLE)) return 0; /* the host's, or a sanitizer's: it serves */

    void *memory = ed_alloc(ALTERNATE_BYTES);
    if (memory == NULL) return EDDY_ENOMEM;
    stack_t alternate = {.ss_sp = memory, .ss_size = ALTERNATE_BYTES};
    if (sigaltstack(&alternate, NULL) != 0) { /* ENOMEM: this machine's signal frames are larger */
        ed_free(memory);
        return EDDY_ENOMEM;
    }
    *state_out = memory;
    return 0;
}

void ed_overflow_thread_leave(void *state) {
    if (state == NULL) return;
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == state) {
        stack_t none = {.ss_flags = SS_DISABLE};
        sigaltstack(&none, NULL);
    }
    ed_free(state);
}
