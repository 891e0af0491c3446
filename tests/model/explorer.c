/* explorer.c: see explorer.h. Compiled without the sanitizer; defines what the sanitizer's runtime would.
 *
 * Problem    With 3 preemptions a scenario has 10^5 to 10^9 schedules. Most differ in the order of steps that have nothing to
 *            do with each other.
 * Idea       Three reductions, all exact under the bound on preemptions; depth first uses them, random schedules need none.
 *            (R1) A preemption is offered only before an access to a place that two threads use and one changes (`masks`). Any
 *            other access commutes with all of the others' steps, so that a preemption before it does what one before the next
 *            such place, or a thread's end, does, at no higher count. Which places those are is learned: when one more comes to
 *            light the pass begins anew.
 *            (R2) A state that was explored is not explored again. `history[t]` is a hash of all that thread t has done: its
 *            own steps in order and, at each of them, what it depends on, by the history of the step that made it. Equal
 *            histories of all threads thus are one partial order of steps, and runs of one partial order end in one state:
 *            the same values, views, clocks, and each thread at the same instruction.
 *            (R3) Nor is a state that holds the same values, however it came about: who has read an old value, failed in its
 *            compare-and-swap and tried again stands where one stands who had read the new one at once. Looked for where R2
 *            finds nothing, and by all that the future depends on (key_of_values): what is on each thread's stack, where it
 *            stands and what it waits for; the bytes of the watched memory, which blocks of it are free; the globals that
 *            were written; all values that somebody may still read; what each thread and each such value's writer knew,
 *            beyond what all threads know; and by whom and when each byte was last read and written, for races to come.
 * Invariants (H1) What a thread learns from others enters its history: the value that an atomic access reads (by its writer's
 *            history), the order of stores to one place, of allocations and of accesses outside of the watched memory (the
 *            scenario's globals, other stacks), where reads count as well; a membarrier depends on everybody, and everybody on
 *            it. Plain accesses of watched memory need not: they are ordered by what is there already, or are a violation.
 *            (H2) Equal keys have equal futures. A key is all histories, what each thread waits for, who runs, and whether it
 *            may stay. Beginning, yielding, coming back from that, and waiting enter the history, so that it also tells
 *            behind which point a thread stands.
 *            (H3) A state is left out only if it was met with no more preemptions and no more old reads used: then the first
 *            visit had all choices that this one has. It is explored wholly: depth first finishes it first, and it cannot lie
 *            above itself, as each step changes a history. The bound is so not touched, and each outcome, violations
 *            included, that some schedule within the bound has, is still met in one.
 *            (V1) What is not in R3's key has no future: frames that were left (a thread that has ended has none), values
 *            older than all threads know, what all of them know. Bytes that do not matter but differ, such as a variable that is
 *            not read again, make two states of one, which costs time and nothing else. So the explorer leaves little of
 *            itself on a thread's stack: who runs next is decided on the main one, and wipe() clears what calls left behind.
 *            (V2) By values a state may lie above itself: a loop that changes nothing. Such a state is gone on with, or a
 *            thread that never ends would not be found (comes_round).
 *            (V3) A clock moves only where its thread hands something on: what comes between two such steps is ordered with
 *            another thread's as a whole or not at all.
 *            What rests on luck: 64-bit hashes. With 10^7 states the odds of one false match are 3 in 10^6.
 * Not here   R3 where threads run on stacks of the scenario's own (model_stacks_elsewhere).
 * Tests      --compare explores without R2 and R3, with R2, and with both, and requires the same set of outcomes (memory and
 *            what each thread knew of it, how each ended, the violation), and of R2 the same partial orders. Planted: parts
 *            of H1 to H3 and of R3's key left out, and V2 (mutants.txt). */
#include "explorer.h"

#include "coro/context.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ARENA_BYTES = 256 * 1024,
    LOCATIONS_MAX = 700,
    MESSAGES_MAX = 8192,
    VIEWS_MAX = 1 << 21, /* words of all views of one schedule */
    OPERATIONS_MAX = 3000,
    CHOICES_MAX = 8192,
    BLOCKS_MAX = 256,
    STACK_BYTES = 256 * 1024,
    CHANGES = 3,    /* of priority, in one random schedule */
    SPIN_QUIET = 4, /* so many equal loads in a row look like spinning: no more choices */
    SPIN_WAIT = 8,  /* and so many wait for another value */
    RED_ZONE = 128, /* bytes below the stack pointer that a function may use */
};

enum order { RELAXED, CONSUME, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST }; /* as the compiler passes them */

static bool acquires(int order) { return order == ACQUIRE || order == CONSUME || order == ACQ_REL || order == SEQ_CST; }
static bool releases(int order) { return order == RELEASE || order == ACQ_REL || order == SEQ_CST; }

/* ---- what one schedule holds ---------------------------------------------------------------------- */

struct view {
    uint16_t clock[MODEL_THREADS];
    uint16_t oldest[LOCATIONS_MAX]; /* per location: the first value that may still be read */
};

struct message {             /* one value of a location */
    uint64_t value, history; /* its writer's, once it was written */
    int older;
    uint16_t at;    /* its place in the order of the location */
    uint16_t known; /* locations in the view; 0: it releases nothing */
    uint32_t view;  /* in views[]: clocks, then oldest */
    uint8_t thread;
};

struct location {
    uintptr_t address;
    uint64_t factor; /* of its place in a view's digest */
    int newest;
    uint16_t bytes, seqcst;
    bool figure;
};

struct cell { /* a byte of the arena */
    uint32_t stamp;
    bool freed;
    uint16_t writer, written, read[MODEL_THREADS], touched[MODEL_THREADS],
        stored[MODEL_THREADS]; /* clocks; the last two: atomic */
    const void *written_pc;
};

enum status { READY, WAITS, SPINS, ENDED };

struct thread {
    struct view view;
    struct ed_stack *stack;
    enum status status;
    bool (*ready)(void *arg);
    void *arg;
    int spin_location, spin_count;
    uint16_t spin_at;
    struct ed_worker *worker;
    unsigned priority;
    uint64_t history; /* of all that it did and what that depends on */
    uintptr_t top;    /* of its stack's part that the scenario uses */
};

static struct {
    const struct model_scenario *scenario;
    unsigned threads_count, current;
    bool concurrent, failed, quiet, known, freed, elsewhere;
    bool stays; /* the running thread, which asks who is next, may go on itself */
    size_t arena_used;
    uint64_t allocations; /* the history of the last one */
    uint64_t cells;       /* a digest of all of them */
    uint64_t last;        /* what memory and views were when nobody could go on; --compare asks */
    unsigned locations_count, messages_count, views_used, operations, preemptions, old_reads, written_count;
    struct {
        char *start;
        size_t bytes;
        bool counted, freed;
    } blocks[BLOCKS_MAX];
    unsigned blocks_count;
    struct {
        uintptr_t start, end;
    } figures[16];
    unsigned figures_count;
    struct {
        uintptr_t address;
        const char *name;
    } names[64];
    unsigned names_count;
    char text[400];
} now;

static char *arena;
static struct cell *cells;
static uint32_t *location_stamps;
static uint16_t *location_of;
static struct location locations[LOCATIONS_MAX];
static struct message messages[MESSAGES_MAX];
static uint16_t *views;
static struct thread threads[MODEL_THREADS];
static struct ed_context main_context;
static jmp_buf out;
static uint32_t stamp; /* of the schedule: what bears another is empty */
static struct cell untouched;

/* ---- choices ------------------------------------------------------------------------------------- */

/* Who touched each atomic, and whether it was stored to, in all schedules of this scenario so far. What one thread alone
 * touches, or nobody changes, needs no switch point. Depth first works with what was known when its pass began; when more
 * comes to light the pass begins anew. */
enum { STORED = 0x80 };
static uint8_t *masks, *masks_used; /* gathered; what this pass goes by */

static bool contended(uint8_t mask) { return (mask & STORED) && (mask & ~STORED & ((mask & ~STORED) - 1)); }

static struct {
    uint64_t schedules, seeds, first_seed;
    unsigned level;
    const char *only;
    bool quiet, compare;
} options = {.schedules = 200000, .seeds = 20000, .first_seed = 1, .level = 3};

static struct {
    bool random, trace, learned, reduced, by_value;
    unsigned level, old_max;
    struct {
        uint8_t taken, count;
    } choices[CHOICES_MAX];
    unsigned depth, position;
    uint64_t state;            /* random */
    unsigned changes[CHANGES]; /* operations at which the priority drops */
    unsigned length;           /* in which they lie */
    unsigned lowest;
} search;

static uint64_t mixed(uint64_t z) { /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static uint64_t draw(void) { return mixed(search.state += UINT64_C(0x9e3779b97f4a7c15)); }
/* Of two words, in this order. */
static uint64_t chained(uint64_t first, uint64_t second) {
    return mixed(first * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x632be59bd9b4e019) ^ mixed(second));
}

static void broken(const char *what) {
    fprintf(stderr, "explorer: %s (%s)\n", what, now.scenario->name);
    exit(2);
}

/* Depth first: the choice of this schedule among count. */
static unsigned choose(unsigned count) {
    if (count == 1) return 0;
    if (search.position == search.depth) {
        if (search.depth == CHOICES_MAX) broken("too many choices");
        search.choices[search.depth].taken = 0;
        search.choices[search.depth++].count = (uint8_t)count;
    }
    if (search.choices[search.position].count != count) broken("a schedule does not repeat");
    return search.choices[search.position++].taken;
}

/* The next schedule, depth first. False: that was the last. */
static bool next_schedule(void) {
    while (search.depth > 0 && search.choices[search.depth - 1].taken + 1 == search.choices[search.depth - 1].count)
        search.depth--;
    if (search.depth == 0) return false;
    search.choices[search.depth - 1].taken++;
    return true;
}

/* ---- states that were explored (R2, R3) ---------------------------------------------------------------- */

/* A set of keys, each with the budgets that it was met with: bit `preemptions * OLD + old reads`. */
enum { OLD = 3, SLOTS_FIRST = 1 << 12, SLOTS_MAX = 1 << 26, PREEMPTIONS_MAX = 4 };
struct set {
    uint64_t *keys; /* 0: free */
    uint16_t *budgets;
    size_t slots, used;
};
static struct set seen, seen_values;

static void set_empty(struct set *set) {
    free(set->keys);
    free(set->budgets);
    *set = (struct set){.slots = SLOTS_FIRST};
    set->keys = calloc(set->slots, sizeof *set->keys);
    set->budgets = calloc(set->slots, sizeof *set->budgets);
}

/* The budgets of `key`, which is added; NULL: there is no room. */
static uint16_t *set_at(struct set *set, uint64_t key) {
    if (key == 0) key = 1;
    if (set->used * 4 > set->slots * 3) {
        if (set->slots == SLOTS_MAX) return NULL;
        struct set larger = {.slots = set->slots * 2};
        larger.keys = calloc(larger.slots, sizeof *larger.keys);
        larger.budgets = calloc(larger.slots, sizeof *larger.budgets);
        for (size_t i = 0; i < set->slots; i++)
            if (set->keys[i] != 0) *set_at(&larger, set->keys[i]) = set->budgets[i];
        free(set->keys);
        free(set->budgets);
        *set = larger;
    }
    size_t i = key & (set->slots - 1);
    while (set->keys[i] != 0 && set->keys[i] != key) i = (i + 1) & (set->slots - 1);
    if (set->keys[i] == 0) set->used++;
    set->keys[i] = key;
    return &set->budgets[i];
}

/* The running thread did something that depends on `what`. */
static void happened(uint64_t what) { threads[now.current].history = chained(threads[now.current].history, what); }
enum { BEGINS = 1, YIELDS, COMES_BACK, STARTS_TO_WAIT }; /* what depends on nothing */

/* Whether `key` was met with no more preemptions and old reads; if not, it is now. */
static bool met(struct set *set, uint64_t key) {
    uint16_t *budgets = set_at(set, key);
    if (budgets == NULL) return false;
    for (unsigned p = 0; p <= now.preemptions; p++)
        for (unsigned o = 0; o <= now.old_reads; o++)
            if (*budgets >> (p * OLD + o) & 1) return true;
    *budgets |= (uint16_t)(1u << (now.preemptions * OLD + now.old_reads));
    return false;
}

static uint64_t key_of_histories(void) {
    uint64_t key = chained(now.current, now.stays);
    for (unsigned i = 1; i <= now.threads_count; i++)
        key = chained(key, chained(threads[i].history, threads[i].status));
    return key;
}

/* Eight bytes outside of the watched memory: whose accesses came in which order. */
static struct outside {
    uintptr_t granule;
    uint32_t stamp;
    uint64_t history;
    bool written;
} outsides[1 << 12], nowhere;
static struct outside *written[1 << 12];

/* ---- traces -------------------------------------------------------------------------------------- */

static const char *place_name(uintptr_t address) {
    static char text[80];
    const char *best = NULL;
    uintptr_t from = 0;
    for (unsigned i = 0; i < now.names_count; i++)
        if (now.names[i].address <= address && now.names[i].address >= from && address - now.names[i].address < 512) {
            best = now.names[i].name;
            from = now.names[i].address;
        }
    if (best == NULL) {
        snprintf(text, sizeof text, "+%zu", (size_t)(address - (uintptr_t)arena));
    } else {
        snprintf(text, sizeof text, address == from ? "%s" : "%s+%zu", best, (size_t)(address - from));
    }
    return text;
}

static void *pcs[OPERATIONS_MAX * 2];
static char *lines[OPERATIONS_MAX * 2];
static unsigned lines_count;

/* A line of the trace; its arguments are made only where there is one. */
#define note(...) (search.trace ? add_line(__VA_ARGS__) : (void)0)
static void add_line(void *pc, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_line(void *pc, const char *format, ...) {
    if (!now.concurrent || lines_count == OPERATIONS_MAX * 2) return;
    char text[200];
    int used = snprintf(text, sizeof text, "%*s%u: ", (int)(now.current * 2), "", now.current);
    va_list list;
    va_start(list, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, list);
    va_end(list);
    pcs[lines_count] = pc;
    lines[lines_count++] = strdup(text);
}

/* Prints the lines with function, file and line of the source, if addr2line is here. */
static void print_trace(void) {
    static char command[64 + OPERATIONS_MAX * 2 * 20];
    size_t used = (size_t)snprintf(command, sizeof command, "addr2line -s -f -e '%s'", program_invocation_name);
    for (unsigned i = 0; i < lines_count; i++)
        used += (size_t)snprintf(command + used, sizeof command - used, " %#zx",
                                 pcs[i] != NULL ? (size_t)pcs[i] - 1 : 0) /* linked without PIE */;
    snprintf(command + used, sizeof command - used, " 2>/dev/null");
    FILE *pipe = popen(command, "r");
    for (unsigned i = 0; i < lines_count; i++) {
        char function[100] = "", where[200] = "";
        if (pipe == NULL || fgets(function, sizeof function, pipe) == NULL || fgets(where, sizeof where, pipe) == NULL)
            function[0] = where[0] = '\0';
        function[strcspn(function, "\n")] = where[strcspn(where, " \n")] = '\0';
        printf("    %-64s %s %s\n", lines[i], pcs[i] != NULL ? function : "", pcs[i] != NULL ? where : "");
        free(lines[i]);
    }
    if (pipe != NULL) pclose(pipe);
    lines_count = 0;
}

_Noreturn void model_violation(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(now.text, sizeof now.text, format, list);
    va_end(list);
    note(NULL, "VIOLATION %s", now.text);
    now.failed = true;
    if (now.current == 0) longjmp(out, 1);
    ed_context_exit(&threads[now.current].stack->context, &main_context);
}

_Noreturn void ed_assert_failed(const char *file, int line, const char *condition) {
    const char *base = strrchr(file, '/');
    model_violation("assertion %s:%d: %s", base != NULL ? base + 1 : file, line, condition);
}

_Noreturn void ed_panic(const char *format, ...) {
    char text[200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    model_violation("panic: %s", text);
}

/* ---- threads ------------------------------------------------------------------------------------- */

static bool runnable(unsigned i) {
    struct thread *thread = &threads[i];
    if (thread->status == READY) return true;
    if (thread->status == SPINS) return messages[locations[thread->spin_location].newest].at > thread->spin_at;
    if (thread->status != WAITS) return false;
    now.quiet = true;
    bool ready = thread->ready(thread->arg);
    now.quiet = false;
    return ready;
}

static unsigned by_priority(unsigned count, const unsigned *which) {
    unsigned best = which[0];
    for (unsigned i = 1; i < count; i++)
        if (threads[which[i]].priority > threads[best].priority) best = which[i];
    return best;
}

static unsigned others(unsigned *which) {
    unsigned count = 0;
    for (unsigned i = 1; i <= now.threads_count; i++)
        if (i != now.current && runnable(i)) which[count++] = i;
    return count;
}

static bool is_known(void);

/* On the main stack: the thread that runs next; 0: none can, or all that may follow was explored. */
static unsigned next_thread(void) {
    if (is_known()) {
        now.known = true;
        return 0;
    }
    unsigned which[MODEL_THREADS];
    if (search.random && now.stays)
        for (unsigned i = 0; i < CHANGES; i++)
            if (search.changes[i] == now.operations) threads[now.current].priority = --search.lowest;
    unsigned count = others(which);
    if (search.random) {
        if (now.stays) which[count++] = now.current;
        return count == 0 ? 0 : by_priority(count, which);
    }
    if (!now.stays) return count == 0 ? 0 : which[choose(count)];
    if (now.preemptions == search.level) return now.current;
    unsigned taken = choose(count + 1);
    if (taken == 0) return now.current;
    now.preemptions++;
    return which[taken - 1];
}

static void run_threads(void) {
    unsigned next;
    while (!now.failed && (next = next_thread()) != 0) {
        now.current = next;
        ed_context_switch(&main_context, &threads[next].stack->context);
    }
}

/* Asks who is next. The answer leaves no trace on the thread's stack. */
static __attribute__((noinline)) void ask(bool stays) {
    now.stays = stays;
    ed_context_switch(&threads[now.current].stack->context, &main_context);
}

/* The running thread cannot go on: another does. */
static void leave(void) { ask(false); }

/* Before each atomic operation on `address`: another may run first. */
static void point(bool choice) {
    if (!now.concurrent || now.current == 0) return;
    if (++now.operations > OPERATIONS_MAX) model_violation("no end: %d operations", OPERATIONS_MAX);
    if (search.random || choice) ask(true);
}

static void point_at(uintptr_t address, bool choice) {
    point(choice && contended(masks_used[address - (uintptr_t)arena]));
}

void model_wait(bool (*ready)(void *arg), void *arg) {
    struct thread *thread = &threads[now.current];
    if (now.current == 0) broken("model_wait outside a thread");
    point(true);
    happened(STARTS_TO_WAIT);
    thread->ready = ready;
    thread->arg = arg;
    thread->status = WAITS;
    note(__builtin_return_address(0), "waits");
    if (!runnable(now.current)) leave();
    thread->status = READY;
}

static __attribute__((noinline)) bool others_can(void) {
    unsigned which[MODEL_THREADS];
    return others(which) > 0;
}

void model_yield(void) {
    if (++now.operations > OPERATIONS_MAX) model_violation("no end: %d operations", OPERATIONS_MAX);
    if (!others_can()) return;
    if (search.random) threads[now.current].priority = --search.lowest;
    happened(YIELDS);
    leave();
    happened(COMES_BACK);
}

_Noreturn void model_exit(void) {
    note(NULL, "ends");
    threads[now.current].status = ENDED;
    leave();
    broken("an ended thread was resumed");
    abort();
}

unsigned model_self(void) { return now.current; }
bool model_waits(unsigned thread) {
    bool waits = threads[thread].status == WAITS;
    happened(waits);
    return waits;
}

static __attribute__((noinline)) void begin(struct thread *self) {
    self->top = (uintptr_t)__builtin_frame_address(0);
    happened(BEGINS);
    now.scenario->threads[self - threads - 1]();
    model_exit();
}

static void thread_main(void *arg) {
    /* Of the stack that the thread was started from nothing is left, for the scenario's functions to save. */
#if defined(__x86_64__)
    __asm__ volatile("xorl %%ebx, %%ebx\n xorl %%r12d, %%r12d\n xorl %%r13d, %%r13d\n xorl %%r14d, %%r14d\n"
                     "xorl %%r15d, %%r15d" ::
                         : "rbx", "r12", "r13", "r14", "r15", "cc");
#endif
    begin(&threads[(uintptr_t)arg]);
}

void model_set_worker(struct ed_worker *worker) { threads[now.current].worker = worker; }
struct ed_worker *ed_worker_current(void);
struct ed_worker *ed_worker_current(void) {
    return threads[now.current].worker;
}

/* ---- memory -------------------------------------------------------------------------------------- */

static bool in_arena(uintptr_t address) { return address - (uintptr_t)arena < ARENA_BYTES; }

static struct cell *cell_at(uintptr_t address) {
    struct cell *cell = &cells[address - (uintptr_t)arena];
    if (cell->stamp != stamp) *cell = untouched;
    return cell;
}

/* What a cell remembers becomes another, and with it the digest of all cells. */
static void remember(uint16_t *field, uint16_t value) {
    now.cells += ((uint64_t)value - *field) * (mixed((uintptr_t)field) | 1);
    *field = value;
}

static void *allocate(size_t bytes, bool counted) {
    size_t at = (now.arena_used + 63) & ~(size_t)63;
    if (at + bytes > ARENA_BYTES || now.blocks_count == BLOCKS_MAX) broken("the arena is full");
    now.arena_used = at + bytes;
    now.blocks[now.blocks_count].start = arena + at;
    now.blocks[now.blocks_count].bytes = bytes;
    now.blocks[now.blocks_count].counted = counted;
    now.blocks[now.blocks_count++].freed = false;
    happened(now.allocations); /* addresses depend on the order */
    now.allocations = threads[now.current].history;
    memset(arena + at, 0, bytes);
    return arena + at;
}

static void race(uintptr_t address, const char *what, unsigned with, const char *how, void *pc) {
    note(pc, "%s of %s", what, place_name(address));
    model_violation("data race: %s of %s by thread %u, unordered with %s by thread %u", what, place_name(address),
                    now.current, how, with);
}

static struct outside *outside_at(uintptr_t granule) {
    const size_t last = sizeof outsides / sizeof outsides[0] - 1;
    size_t i = mixed(granule) & last;
    for (size_t tries = 0; outsides[i].stamp == stamp && outsides[i].granule != granule; i = (i + 1) & last)
        if (++tries > last) broken("too many places outside of the arena");
    struct outside *place = &outsides[i];
    if (place->stamp != stamp) {
        *place = nowhere;
        place->granule = granule;
    }
    return place;
}

/* Nothing orders these: whoever comes later depends on who wrote before, and a write on the reads before it as well, because
 * a reader's history holds what it has read. */
static void outside(uintptr_t address, size_t bytes, bool write) {
    if (!now.concurrent || now.current == 0) return;
    for (uintptr_t granule = address >> 3; granule <= (address + bytes - 1) >> 3; granule++) {
        struct outside *place = outside_at(granule);
        happened(place->history);
        if (!write) continue;
        place->history = threads[now.current].history;
        if (!place->written) written[now.written_count++] = place;
        place->written = true;
    }
}

static void plain(uintptr_t address, size_t bytes, bool write, void *pc) {
    if (now.quiet || bytes == 0) return;
    if (!in_arena(address)) {
        outside(address, bytes, write);
        return;
    }
    if (!now.concurrent && !now.freed) return; /* all that others do comes later, or came before */
    const uint16_t *clock = threads[now.current].view.clock;
    const char *what = write ? "write" : "read";
    for (size_t i = 0; i < bytes; i++) {
        struct cell *cell = cell_at(address + i);
        if (cell->freed) {
            note(pc, "%s of freed %s", what, place_name(address + i));
            model_violation("use after free: %s of %s by thread %u", what, place_name(address + i), now.current);
        }
        if (!now.concurrent) continue;
        if (cell->written > clock[cell->writer]) race(address + i, what, cell->writer, "a write", pc);
        for (unsigned t = 0; t <= now.threads_count; t++) {
            if (write && cell->read[t] > clock[t]) race(address + i, what, t, "a read", pc);
            if ((write ? cell->touched : cell->stored)[t] > clock[t])
                race(address + i, what, t, "an atomic access", pc);
        }
        if (write) {
            remember(&cell->writer, (uint16_t)now.current);
            remember(&cell->written, clock[now.current]);
        } else {
            remember(&cell->read[now.current], clock[now.current]);
        }
    }
}

static void release_block(void *block, void *pc) {
    for (unsigned i = 0; i < now.blocks_count; i++) {
        if (now.blocks[i].start != block) continue;
        if (now.blocks[i].freed) {
            note(pc, "free again of %s", place_name((uintptr_t)block));
            model_violation("freed twice: %s", place_name((uintptr_t)block));
        }
        note(pc, "free of %s", place_name((uintptr_t)block));
        plain((uintptr_t)block, now.blocks[i].bytes, true, pc);
        for (size_t b = 0; b < now.blocks[i].bytes; b++) cell_at((uintptr_t)block + b)->freed = true;
        now.blocks[i].freed = now.freed = true;
        return;
    }
    model_violation("free of what was not allocated");
}

void *model_alloc(size_t bytes) { return allocate(bytes, false); }
void model_free(void *block) { release_block(block, __builtin_return_address(0)); }

size_t model_live(void) {
    size_t live = 0;
    for (unsigned i = 0; i < now.blocks_count; i++) live += now.blocks[i].counted && !now.blocks[i].freed;
    happened(live);
    return live;
}

void *ed_alloc(size_t bytes) { return allocate(bytes, true); }
void *ed_calloc(size_t bytes) { return allocate(bytes, true); }
void ed_free(void *block) {
    if (block != NULL) release_block(block, __builtin_return_address(0));
}
void *ed_realloc(void *block, size_t bytes) {
    void *moved = allocate(bytes, true);
    for (unsigned i = 0; i < now.blocks_count && block != NULL; i++)
        if (now.blocks[i].start == block)
            memcpy(moved, block, now.blocks[i].bytes < bytes ? now.blocks[i].bytes : bytes);
    ed_free(block);
    return moved;
}

void model_name(const volatile void *place, const char *name) {
    if (now.names_count == sizeof now.names / sizeof now.names[0]) broken("too many names");
    now.names[now.names_count].address = (uintptr_t)place;
    now.names[now.names_count++].name = name;
}

void model_stacks_elsewhere(void) { now.elsewhere = true; }

void model_figures(const volatile void *place, size_t bytes) {
    if (now.figures_count == sizeof now.figures / sizeof now.figures[0]) broken("too many figures");
    now.figures[now.figures_count].start = (uintptr_t)place;
    now.figures[now.figures_count++].end = (uintptr_t)place + bytes;
}

/* ---- atomics ------------------------------------------------------------------------------------- */

static uint64_t raw_load(uintptr_t address, unsigned bytes) {
    uint64_t value = 0;
    memcpy(&value, (const void *)address, bytes); /* little-endian machines */
    return value;
}

static void append(struct location *location, uint64_t value, unsigned thread) {
    if (now.messages_count == MESSAGES_MAX) broken("too many values");
    int index = (int)now.messages_count++;
    uint16_t at = location->newest < 0 ? 0 : (uint16_t)(messages[location->newest].at + 1);
    messages[index] = (struct message){.value = value, .older = location->newest, .at = at, .thread = (uint8_t)thread};
    messages[index].history = thread == 0 ? chained(location->address, at) : threads[thread].history;
    location->newest = index;
}

static struct location *locate(uintptr_t address, unsigned bytes) {
    if (!in_arena(address)) broken("an atomic outside the arena");
    size_t index = address - (uintptr_t)arena;
    if (location_stamps[index] != stamp) {
        if (now.locations_count == LOCATIONS_MAX) broken("too many locations");
        location_stamps[index] = stamp;
        location_of[index] = (uint16_t)now.locations_count;
        struct location *location = &locations[now.locations_count++];
        *location =
            (struct location){.address = address, .factor = mixed(address) | 1, .newest = -1, .bytes = (uint16_t)bytes};
        for (unsigned i = 0; i < now.figures_count; i++)
            if (address - now.figures[i].start < now.figures[i].end - now.figures[i].start) location->figure = true;
        append(location, raw_load(address, bytes), 0);
        for (unsigned t = 0; t < MODEL_THREADS; t++) threads[t].view.oldest[location - locations] = 0;
    }
    return &locations[location_of[index]];
}

/* The access itself must be legal: alive, and ordered with plain ones. */
static void touch(uintptr_t address, bool store, void *pc) {
    struct thread *thread = &threads[now.current];
    const uint16_t *clock = thread->view.clock;
    if (now.concurrent && now.current != 0) {
        uint8_t *mask = &masks[address - (uintptr_t)arena], before = *mask;
        *mask |= (uint8_t)(1u << now.current | (store ? STORED : 0));
        if (contended(*mask) != contended(before)) search.learned = true;
    }
    struct cell *cell = cell_at(address);
    if (cell->freed) {
        note(pc, "atomic access of freed %s", place_name(address));
        model_violation("use after free: atomic access of %s by thread %u", place_name(address), now.current);
    }
    if (cell->written > clock[cell->writer]) race(address, "atomic access", cell->writer, "a write", pc);
    for (unsigned t = 0; store && t <= now.threads_count; t++)
        if (cell->read[t] > clock[t]) race(address, "atomic store", t, "a read", pc);
    remember(&cell->touched[now.current], clock[now.current]);
    if (store) remember(&cell->stored[now.current], clock[now.current]);
}

/* Nothing that is over stays below on this stack: it would tell states apart that are the same. */
static __attribute__((noinline)) void wipe(void) {
    char below[1024];
    memset(below, 0, sizeof below);
    __asm__ volatile("" ::"r"(below) : "memory");
}

static void join(struct view *view, const struct message *message) {
    if (message->known == 0) return;
    const uint16_t *clock = views + message->view, *oldest = clock + MODEL_THREADS;
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (clock[t] > view->clock[t]) view->clock[t] = clock[t];
    for (unsigned i = 0; i < message->known; i++)
        if (oldest[i] > view->oldest[i]) view->oldest[i] = oldest[i];
}

/* What a writer that releases hands on with `message`. */
static void attach(struct message *message, const struct view *view) {
    unsigned known = now.locations_count, words = MODEL_THREADS + known;
    if (now.views_used + words > VIEWS_MAX) broken("too many views");
    message->view = now.views_used;
    message->known = (uint16_t)known;
    memcpy(views + now.views_used, view->clock, sizeof view->clock);
    memcpy(views + now.views_used + MODEL_THREADS, view->oldest, known * sizeof view->oldest[0]);
    now.views_used += words;
}

static bool spins_on(struct thread *thread, int index, const struct location *location) {
    return thread->spin_location == index && thread->spin_at == messages[location->newest].at;
}

/* Which value a load reads: the newest, or an old one that thread and order still allow. Of a compare-and-swap that
 * must fail: only values other than `expected`. */
static int pick(struct location *location, int order, const uint64_t *expected) {
    struct thread *thread = &threads[now.current];
    int index = (int)(location - locations), candidates[6];
    uint16_t oldest = thread->view.oldest[index];
    if (order == SEQ_CST && location->seqcst > oldest) oldest = location->seqcst;
    /* Who has spun on an old value sees the new one in the end. */
    if (thread->spin_location == index && thread->spin_count >= SPIN_QUIET && thread->spin_at >= oldest)
        oldest = (uint16_t)(thread->spin_at + (messages[location->newest].at > thread->spin_at));
    unsigned count = 0;
    candidates[count++] = location->newest;
    if (now.concurrent && now.current != 0 && !location->figure) {
        for (int i = messages[location->newest].older; i >= 0 && messages[i].at >= oldest && count < 6;
             i = messages[i].older)
            if (expected == NULL || messages[i].value != *expected) candidates[count++] = i;
    }
    unsigned taken = 0;
    if (count > 1) {
        if (search.random) {
            if (draw() % 4 == 0) taken = (unsigned)(draw() % count);
        } else if (now.old_reads < search.old_max) {
            taken = choose(count);
        }
        if (taken > 0) now.old_reads++;
    }
    return candidates[taken];
}

static void saw(struct location *location, const struct message *message, int order) {
    struct thread *thread = &threads[now.current];
    int index = (int)(location - locations);
    happened(message->history);
    if (message->at > thread->view.oldest[index]) thread->view.oldest[index] = message->at;
    if (acquires(order)) join(&thread->view, message);
}

static const char *const order_names[] = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"};

static __attribute__((noinline)) bool is_figure(uintptr_t address, unsigned bytes) {
    return locate(address, bytes)->figure;
}
static __attribute__((noinline)) bool has_spun(uintptr_t address, unsigned bytes) {
    struct location *location = locate(address, bytes);
    struct thread *thread = &threads[now.current];
    return spins_on(thread, (int)(location - locations), location) && thread->spin_count >= SPIN_QUIET;
}

/* Before an access: others may run. What was found of the place before that means nothing now. */
static __attribute__((noinline)) struct location *come_to(uintptr_t address, unsigned bytes, bool is_load) {
    if (!is_figure(address, bytes)) {
        bool choice = !is_load || !has_spun(address, bytes);
        wipe();
        point_at(address, choice);
    }
    return locate(address, bytes);
}

static uint64_t load(uintptr_t address, unsigned bytes, int order, void *pc) {
    if (now.quiet) return raw_load(address, bytes);
    struct location *location = come_to(address, bytes, true);
    struct thread *thread = &threads[now.current];
    int index = (int)(location - locations);
    touch(address, false, pc);
    const struct message *message = &messages[pick(location, order, NULL)];
    const uint64_t value = message->value;
    saw(location, message, order);
    if (!location->figure)
        note(pc, "load %s %s = %#llx%s", order_names[order], place_name(address), (unsigned long long)message->value,
             message->at != messages[location->newest].at ? "  (old)" : "");
    if (location->figure || !now.concurrent || now.current == 0) return value;
    if (thread->spin_location == index && thread->spin_at == message->at) {
        if (++thread->spin_count >= SPIN_WAIT && messages[location->newest].at == message->at) {
            thread->status = SPINS;
            leave();
            thread->status = READY;
        }
    } else {
        thread->spin_location = index;
        thread->spin_at = message->at;
        thread->spin_count = 1;
    }
    return value;
}

static void no_spin(void) { threads[now.current].spin_location = -1; }

static void store(uintptr_t address, unsigned bytes, uint64_t value, int order, void *pc) {
    struct location *location = come_to(address, bytes, false);
    struct thread *thread = &threads[now.current];
    no_spin();
    touch(address, true, pc);
    happened(messages[location->newest].history);
    append(location, value, now.current);
    struct message *message = &messages[location->newest];
    thread->view.oldest[location - locations] = message->at;
    if (releases(order)) attach(message, &thread->view);
    thread->view.clock[now.current]++; /* what follows is not part of it */
    if (order == SEQ_CST) location->seqcst = message->at;
    memcpy((void *)address, &value, bytes);
    if (!location->figure)
        note(pc, "store %s %s = %#llx", order_names[order], place_name(address), (unsigned long long)value);
}

enum change { EXCHANGE, ADD, SUB, AND, OR, XOR };

static uint64_t changed(uint64_t old, uint64_t value, enum change change) {
    switch (change) {
    case EXCHANGE: return value;
    case ADD: return old + value;
    case SUB: return old - value;
    case AND: return old & value;
    case OR: return old | value;
    default: return old ^ value;
    }
}

/* The second half of a read-modify-write: the newest value becomes another. */
static void replace(struct location *location, uint64_t value, int order) {
    struct thread *thread = &threads[now.current];
    const int old = location->newest;
    saw(location, &messages[old], order);
    append(location, value, now.current);
    struct message *message = &messages[location->newest];
    thread->view.oldest[location - locations] = message->at;
    if (releases(order)) {
        static struct view both;
        both = thread->view;
        join(&both, &messages[old]);
        attach(message, &both);
    } else {
        message->known = messages[old].known;
        message->view = messages[old].view;
    }
    thread->view.clock[now.current]++;
    if (order == SEQ_CST) location->seqcst = message->at;
    memcpy((void *)location->address, &value, location->bytes);
}

static uint64_t modify(uintptr_t address, unsigned bytes, uint64_t value, enum change change, int order, void *pc) {
    static const char *const names[] = {"exchange", "add", "sub", "and", "or", "xor"};
    struct location *location = come_to(address, bytes, false);
    no_spin();
    touch(address, true, pc);
    uint64_t old = messages[location->newest].value;
    uint64_t mask = bytes == 8 ? UINT64_MAX : (UINT64_C(1) << bytes * 8) - 1;
    uint64_t next = changed(old, value, change) & mask;
    replace(location, next, order);
    if (!location->figure)
        note(pc, "%s %s %s %#llx -> %#llx", names[change], order_names[order], place_name(address),
             (unsigned long long)old, (unsigned long long)next);
    return old;
}

static uint64_t compare_and_swap(uintptr_t address, unsigned bytes, uint64_t expected, uint64_t value, int order,
                                 int failure, void *pc) {
    struct location *location = come_to(address, bytes, false);
    no_spin();
    int picked = pick(location, failure, &expected);
    const struct message *message = &messages[picked];
    bool succeeds = picked == location->newest && message->value == expected;
    touch(address, succeeds, pc);
    uint64_t old = message->value;
    if (succeeds) {
        replace(location, value, order);
    } else {
        saw(location, message, failure);
    }
    note(pc, "cas %s %s %#llx -> %#llx%s", order_names[order], place_name(address), (unsigned long long)old,
         (unsigned long long)(succeeds ? value : old), succeeds ? "" : "  (fails)");
    return old;
}

/* Real workers of a model own no guards: their objects are everybody's. */
bool ed_barrier_open(void) { return false; }

/* The system's membarrier: a full fence on each other thread, paired with one of the caller. Of two others neither learns
 * what the other knows. It orders atomics; what plain accesses it may order goes by them. */
void ed_barrier(void) {
    static struct view before;
    struct thread *caller = &threads[now.current];
    point(true);
    no_spin();
    note(__builtin_return_address(0), "membarrier");
    before = caller->view;
    for (unsigned t = 0; t < MODEL_THREADS; t++) happened(threads[t].history);
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (t != now.current) threads[t].history = chained(threads[t].history, caller->history);
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        for (unsigned i = 0; i < now.locations_count; i++) {
            uint16_t *other = &threads[t].view.oldest[i], own = before.oldest[i];
            if (*other > caller->view.oldest[i]) caller->view.oldest[i] = *other;
            if (own > *other) *other = own;
        }
    }
}

/* ---- states by value (R3) ------------------------------------------------------------------------------ */

/* Of whole words, by multiplying to twice the width, as in wyhash (Wang Yi 2019). */
static uint64_t folded(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
static uint64_t digest_of_words(const uint64_t *words, size_t count) {
    static const uint64_t odd[4] = {UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db),
                                    UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0x589965cc75374cc3)};
    uint64_t lanes[4] = {odd[3], odd[2], odd[1], odd[0]};
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t l = 0; l < 4; l++) lanes[l] = folded(words[i + 2 * l] ^ odd[l], words[i + 2 * l + 1] ^ lanes[l]);
    uint64_t digest = count;
    for (size_t l = 0; l < 4; l++) digest = chained(digest, lanes[l]);
    for (; i < count; i++) digest = chained(digest, words[i]);
    return digest;
}

/* A thread: what is on its stack, where it stands, what it waits for. */
static uint64_t digest_of_thread(const struct thread *thread) {
    const struct ed_context *context = &thread->stack->context;
    uint64_t digest = chained(thread->status, (uintptr_t)thread->worker);
    if (thread->status != ENDED) {
        uintptr_t sp = (uintptr_t)context->sp, low = sp - RED_ZONE;
        if (sp < (uintptr_t)context->stack_low || sp > thread->top) broken("model_stacks_elsewhere() was not called");
        const uint64_t words[] = {sp, (uintptr_t)context->pc, (uintptr_t)context->frame, (uintptr_t)context->base};
        digest = chained(digest, digest_of_words(words, sizeof words / sizeof words[0]));
        digest = chained(digest, digest_of_words((const uint64_t *)low, (thread->top - low) / 8));
    }
    if (thread->status == WAITS) digest = chained(chained(digest, (uintptr_t)thread->ready), (uintptr_t)thread->arg);
    if (thread->spin_location >= 0) {
        digest = chained(digest, locations[thread->spin_location].address);
        digest = chained(chained(digest, (uint64_t)thread->spin_count), thread->spin_at);
    }
    return digest;
}

/* What all threads know that have not ended: what goes beyond is what tells views apart. */
static struct view common;

static void find_common(void) {
    memset(common.clock, 0xff, sizeof common.clock);
    memset(common.oldest, 0xff, now.locations_count * sizeof common.oldest[0]);
    for (unsigned t = 1; t <= now.threads_count; t++) {
        const struct view *view = &threads[t].view;
        if (threads[t].status == ENDED) continue;
        for (unsigned u = 0; u < MODEL_THREADS; u++)
            if (view->clock[u] < common.clock[u]) common.clock[u] = view->clock[u];
        for (unsigned i = 0; i < now.locations_count; i++)
            if (view->oldest[i] < common.oldest[i]) common.oldest[i] = view->oldest[i];
    }
}

static uint64_t digest_of_view(const uint16_t *clock, const uint16_t *oldest, unsigned known) {
    uint64_t digest = 0;
    for (unsigned u = 0; u < MODEL_THREADS; u++)
        if (clock[u] > common.clock[u]) digest += clock[u] * (mixed(u + 1) | 1);
    for (unsigned i = 0; i < known; i++)
        if (oldest[i] > common.oldest[i]) digest += oldest[i] * locations[i].factor;
    return digest;
}

/* A place: all its values that somebody may still read. */
static uint64_t digest_of_location(unsigned index) {
    const struct location *location = &locations[index];
    const uint16_t least = common.oldest[index];
    uint64_t digest = chained(location->address, location->seqcst > least ? location->seqcst : least);
    for (int i = location->newest; i >= 0 && (i == location->newest || messages[i].at >= least);
         i = messages[i].older) {
        const uint16_t *clock = views + messages[i].view;
        digest = chained(chained(digest, messages[i].value), messages[i].at);
        if (messages[i].known > 0)
            digest = chained(digest, digest_of_view(clock, clock + MODEL_THREADS, messages[i].known));
    }
    return digest;
}

/* A global that was written; what is on stacks belongs to these. */
static uint64_t digest_of_written(const struct outside *place) {
    uintptr_t address = place->granule << 3;
    for (unsigned t = 1; t <= now.threads_count; t++) {
        const struct ed_context *context = &threads[t].stack->context;
        if (address - (uintptr_t)context->stack_low < context->stack_bytes) return 0;
    }
    return chained(address, *(const uint64_t *)address);
}

/* All but what is on stacks. */
static uint64_t key_of_memory(void) {
    uint64_t key = now.cells, sum = 0;
    find_common();
    for (unsigned t = 0; t <= now.threads_count; t++)
        key = chained(key, digest_of_view(threads[t].view.clock, threads[t].view.oldest, now.locations_count));
    for (unsigned i = 0; i < now.locations_count; i++) sum += digest_of_location(i);
    for (unsigned i = 0; i < now.written_count; i++) sum += digest_of_written(written[i]);
    key = chained(key, sum);
    for (unsigned i = 0; i < now.blocks_count; i++) {
        key = chained(chained(key, (uintptr_t)now.blocks[i].start), now.blocks[i].bytes);
        key = chained(chained(key, now.blocks[i].counted), now.blocks[i].freed);
    }
    return chained(key, digest_of_words((const uint64_t *)(const void *)arena, (now.arena_used + 7) / 8));
}

static uint64_t key_of_values(void) {
    uint64_t key = chained(chained(now.current, now.stays), key_of_memory());
    for (unsigned t = 1; t <= now.threads_count; t++) key = chained(key, digest_of_thread(&threads[t]));
    return key;
}

/* The states on the way to this one, as far as they were looked at: with the choices that had been made there. */
static struct {
    uint64_t key;
    unsigned choices, preemptions, old_reads;
} path[OPERATIONS_MAX * 2];
static unsigned path_length;

/* Whether this state is one of its own way: a thread goes round. */
static bool comes_round(uint64_t key) {
    for (unsigned i = 0; i < path_length; i++)
        if (path[i].key == key && path[i].preemptions == now.preemptions && path[i].old_reads == now.old_reads)
            return true;
    return false;
}

/* Whether all that may follow was explored. */
static bool is_known(void) {
    if (!search.reduced || search.random || now.current == 0 || search.position < search.depth)
        return false; /* or repeats */
    if (met(&seen, key_of_histories())) return true;
    if (!search.by_value || now.elsewhere) return false;
    uint64_t key = key_of_values();
    if (comes_round(key)) return false;
    if (met(&seen_values, key)) return true;
    if (path_length == sizeof path / sizeof path[0]) broken("too many states on one way");
    path[path_length].key = key;
    path[path_length].choices = search.position;
    path[path_length].preemptions = now.preemptions;
    path[path_length++].old_reads = now.old_reads;
    return false;
}

/* ---- what the compiler calls ----------------------------------------------------------------------- */

#define PC __builtin_return_address(0)

#define ACCESS(function, bytes, writes)         \
    void function(void *p);                     \
    void function(void *p) {                    \
        plain((uintptr_t)p, bytes, writes, PC); \
        wipe();                                 \
    }
#define PLAIN(bytes)                                   \
    ACCESS(__tsan_read##bytes, bytes, false)           \
    ACCESS(__tsan_write##bytes, bytes, true)           \
    ACCESS(__tsan_unaligned_read##bytes, bytes, false) \
    ACCESS(__tsan_unaligned_write##bytes, bytes, true)
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void *__tsan_memset(void *to, int byte, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memmove(void *to, const void *from, size_t bytes);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);
void __tsan_init(void) {}
void __tsan_func_entry(void *pc) { (void)pc; }
void __tsan_func_exit(void) {}
void *__tsan_memset(void *to, int byte, size_t bytes) {
    plain((uintptr_t)to, bytes, true, PC);
    return memset(to, byte, bytes);
}
void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    plain((uintptr_t)from, bytes, false, PC);
    plain((uintptr_t)to, bytes, true, PC);
    return memcpy(to, from, bytes);
}
void *__tsan_memmove(void *to, const void *from, size_t bytes) {
    plain((uintptr_t)from, bytes, false, PC);
    plain((uintptr_t)to, bytes, true, PC);
    return memmove(to, from, bytes);
}
void __tsan_atomic_thread_fence(int order) { (void)order; }
void __tsan_atomic_signal_fence(int order) { (void)order; }

#define MODIFY(bits, type, name, change)                                                     \
    type __tsan_atomic##bits##_##name(volatile type *p, type value, int order);              \
    type __tsan_atomic##bits##_##name(volatile type *p, type value, int order) {             \
        wipe();                                                                              \
        type old = (type)modify((uintptr_t)p, bits / 8, (uint64_t)value, change, order, PC); \
        wipe();                                                                              \
        return old;                                                                          \
    }
#define ATOMIC(bits, type)                                                                                  \
    type __tsan_atomic##bits##_load(const volatile type *p, int order);                                     \
    void __tsan_atomic##bits##_store(volatile type *p, type value, int order);                              \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected, type value, int order, \
                                                    int failure);                                           \
    type __tsan_atomic##bits##_load(const volatile type *p, int order) {                                    \
        wipe();                                                                                             \
        type value = (type)load((uintptr_t)p, bits / 8, order, PC);                                         \
        wipe();                                                                                             \
        return value;                                                                                       \
    }                                                                                                       \
    void __tsan_atomic##bits##_store(volatile type *p, type value, int order) {                             \
        wipe();                                                                                             \
        store((uintptr_t)p, bits / 8, value, order, PC);                                                    \
        wipe();                                                                                             \
    }                                                                                                       \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected, type value, int order, \
                                                    int failure) {                                          \
        wipe();                                                                                             \
        type old = (type)compare_and_swap((uintptr_t)p, bits / 8, expected, value, order, failure, PC);     \
        wipe();                                                                                             \
        return old;                                                                                         \
    }                                                                                                       \
    MODIFY(bits, type, exchange, EXCHANGE)                                                                  \
    MODIFY(bits, type, fetch_add, ADD)                                                                      \
    MODIFY(bits, type, fetch_sub, SUB)                                                                      \
    MODIFY(bits, type, fetch_and, AND)                                                                      \
    MODIFY(bits, type, fetch_or, OR)                                                                        \
    MODIFY(bits, type, fetch_xor, XOR)
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

/* ---- one schedule -------------------------------------------------------------------------------- */

static bool execute(const struct model_scenario *scenario) {
    memset(&now, 0, offsetof(__typeof__(now), blocks));
    now.blocks_count = now.figures_count = now.names_count = 0;
    now.scenario = scenario;
    untouched.stamp = nowhere.stamp = ++stamp;
    search.position = 0;
    while (path_length > 0 && path[path_length - 1].choices >= search.depth) path_length--;
    memset(&threads[0].view, 0, sizeof threads[0].view);
    threads[0].worker = NULL;
    for (unsigned i = 0; i < MODEL_THREADS; i++) threads[i].history = i;
    threads[0].view.clock[0] = 1;
    while (now.threads_count < MODEL_THREADS - 1 && scenario->threads[now.threads_count] != NULL) now.threads_count++;
    for (unsigned i = 1; i <= now.threads_count; i++) threads[i].worker = NULL;
    if (setjmp(out) != 0) return false;
    scenario->setup();

    for (unsigned i = 1; i <= now.threads_count; i++) {
        struct thread *thread = &threads[i];
        memcpy(thread->view.clock, threads[0].view.clock, sizeof thread->view.clock);
        memcpy(thread->view.oldest, threads[0].view.oldest, now.locations_count * sizeof thread->view.oldest[0]);
        thread->view.clock[i] = 1;
        thread->status = READY;
        thread->spin_location = -1;
        ed_context_make(thread->stack, thread_main, (void *)(uintptr_t)i);
        memset((char *)thread->stack->context.sp - RED_ZONE, 0, RED_ZONE);
        thread->stack->context.base = NULL;
        thread->top = (uintptr_t)thread->stack->context.sp;
    }
    now.concurrent = true;
    if (search.random) {
        search.lowest = 1000;
        for (unsigned i = 1; i <= now.threads_count; i++) threads[i].priority = 2000 + (unsigned)(draw() % 1000);
        for (unsigned i = 0; i < CHANGES; i++) search.changes[i] = 1 + (unsigned)(draw() % (search.length + 1));
    }
    run_threads();
    if (options.compare && !now.elsewhere) now.last = key_of_memory();
    now.concurrent = false;
    if (now.failed || now.known) {
        now.current = 0;
        return !now.failed;
    }

    for (unsigned i = 1; i <= now.threads_count; i++) {
        for (unsigned t = 0; t < MODEL_THREADS; t++)
            if (threads[i].view.clock[t] > threads[0].view.clock[t])
                threads[0].view.clock[t] = threads[i].view.clock[t];
        if (threads[i].status == ENDED || (threads[i].status == WAITS && scenario->may_wait)) continue;
        model_violation("thread %u %s for ever", i, threads[i].status == WAITS ? "waits" : "spins");
    }
    scenario->check();
    return true;
}

/* ---- all schedules -------------------------------------------------------------------------------- */

static void begin_random(uint64_t seed) {
    search.random = true;
    search.state = seed * UINT64_C(0x2545f4914f6cdd1d);
    search.length = 20u << draw() % 4; /* changes of priority lie in so many operations */
}

/* Prints the schedule of the last execution once more, with every operation. */
static void show(const struct model_scenario *scenario, uint64_t seed) {
    printf("  violation: %s.%s: %s\n", program_invocation_short_name, scenario->name, now.text);
    if (options.quiet) return;
    search.trace = true;
    if (search.random) begin_random(seed);
    (void)execute(scenario);
    search.trace = false;
    print_trace();
}

/* What a schedule came to, by other means than histories: memory and what each thread knows of it, how each ended, the bytes
 * of the watched memory after the scenario's check, the violation. */
static uint64_t outcome(bool ok) {
    uint64_t key = ok ? now.last : 1;
    if (!ok)
        for (const char *c = now.text; *c != '\0'; c++) key = chained(key, (uint8_t)*c);
    for (unsigned i = 1; i <= now.threads_count; i++) key = chained(key, threads[i].status);
    for (size_t i = 0; ok && i < now.arena_used; i += 8) key = chained(key, *(uint64_t *)(void *)(arena + i));
    return key;
}

static void begin_schedules(void) {
    search.depth = path_length = 0;
    set_empty(&seen);
    set_empty(&seen_values);
}

static void begin_level(unsigned level) {
    search.level = level;
    search.old_max = level < 2 ? level : 2;
    begin_schedules();
}

/* After a schedule. What it has learned begins the level anew. False: all of the level have been. */
static bool go_on(void) {
    if (!search.learned) return next_schedule();
    search.learned = false;
    memcpy(masks_used, masks, ARENA_BYTES);
    begin_schedules();
    return true;
}

/* Explores one level, past violations; false: there is more than options.schedules. Gathers outcomes, and, where `orders` is
 * not NULL, partial orders. */
static bool collect(const struct model_scenario *scenario, unsigned level, struct set *outcomes, struct set *orders,
                    uint64_t *schedules) {
    search.random = search.learned = false;
    begin_level(level);
    for (*schedules = 0; *schedules < options.schedules;) {
        ++*schedules;
        bool ok = execute(scenario);
        if (!now.known) {
            uint64_t order = ok;
            for (unsigned i = 1; i <= now.threads_count; i++) order = chained(order, threads[i].history);
            (void)set_at(outcomes, outcome(ok));
            if (orders != NULL) (void)set_at(orders, order);
        }
        if (!go_on()) return true;
    }
    return false;
}

/* Whether `fewer`, of which nothing else is wanted, has all of `all`, and nothing more. */
static bool equal(const struct set *all, struct set *fewer) {
    bool same = fewer->used == all->used;
    for (size_t i = 0; i < all->slots; i++) {
        size_t before = fewer->used;
        if (all->keys[i] != 0) (void)set_at(fewer, all->keys[i]);
        same = same && fewer->used == before;
    }
    return same;
}

/* Without R2 and R3, with R2, and with both, level by level while that is whole: the same outcomes, and of R2 orders? */
static bool compare(const struct model_scenario *scenario) {
    enum { NEITHER, HISTORIES, BOTH, WAYS };
    static struct set outcomes[WAYS], orders[BOTH];
    uint64_t schedules[WAYS] = {0}, counts[WAYS] = {0};
    size_t found = 0;
    bool same = true, whole = true;
    unsigned level = 0;
    memset(masks, 0, ARENA_BYTES);
    memset(masks_used, 0, ARENA_BYTES);
    for (; level <= options.level && same; level++) {
        for (unsigned way = NEITHER; way < WAYS && whole; way++) {
            search.reduced = way != NEITHER;
            search.by_value = way == BOTH;
            set_empty(&outcomes[way]);
            if (way < BOTH) set_empty(&orders[way]);
            whole = collect(scenario, level, &outcomes[way], way < BOTH ? &orders[way] : NULL, &counts[way]);
        }
        if (!whole) break;
        same = equal(&outcomes[NEITHER], &outcomes[HISTORIES]) && equal(&orders[NEITHER], &orders[HISTORIES]) &&
               equal(&outcomes[NEITHER], &outcomes[BOTH]);
        found = outcomes[NEITHER].used;
        memcpy(schedules, counts, sizeof schedules);
    }
    const bool good = same && level > 0;
    if (!options.quiet || !good)
        printf(
            "%s %s.%s: %zu outcomes in %llu schedules, %llu without histories met before, %llu nor values, %s, up to "
            "%d preemptions\n",
            good ? "ok    " : "FAILED", program_invocation_short_name, scenario->name, found,
            (unsigned long long)schedules[NEITHER], (unsigned long long)schedules[HISTORIES],
            (unsigned long long)schedules[BOTH], same ? "the same" : "NOT THE SAME", (int)level - 1);
    fflush(stdout);
    return good;
}

/* True: as it must be. */
static bool explore(const struct model_scenario *scenario) {
    uint64_t schedules = 0, operations = 0;
    const uint64_t seeds = options.seeds;
    bool all = true, ok = true;
    unsigned level = 0;
    uint64_t seed = 0;
    search.random = search.learned = false;
    search.reduced = search.by_value = true;
    memset(masks, 0, ARENA_BYTES);
    memset(masks_used, 0, ARENA_BYTES);
    for (level = 0; level <= options.level && ok && all; level++) {
        begin_level(level);
        for (;;) {
            if (schedules == options.schedules) {
                all = false;
                break;
            }
            schedules++;
            ok = execute(scenario);
            operations += now.operations;
            if (!ok) break;
            if (!go_on()) break;
        }
    }
    if (!all) level--; /* the one that was cut */
    uint64_t random = 0;
    for (; ok && random < seeds; random++) {
        seed = options.first_seed + random;
        begin_random(seed);
        ok = execute(scenario);
        operations += now.operations;
    }
    bool wanted = scenario->must_find != NULL;
    char reach[80];
    if (all) {
        snprintf(reach, sizeof reach, "all up to %u preemptions", level - 1);
    } else {
        snprintf(reach, sizeof reach, "all up to %d preemptions, cut in %u", (int)level - 1, level);
    }
    bool good = wanted ? !ok && strncmp(now.text, scenario->must_find, strlen(scenario->must_find)) == 0 : ok;
    if (!options.quiet || !good) {
        printf("%s %s.%s: %u threads, %llu schedules (%s), %llu seeds, %llu operations%s\n", good ? "ok    " : "FAILED",
               program_invocation_short_name, scenario->name, now.threads_count, (unsigned long long)schedules, reach,
               (unsigned long long)random, (unsigned long long)operations, wanted && good ? ", found as it must" : "");
    }
    if (!ok && !wanted) {
        if (search.random) printf("  again: --schedules 0 --first-seed %llu --seeds 1\n", (unsigned long long)seed);
        show(scenario, seed);
    } else if (!good) {
        printf("  not found: %s\n", scenario->must_find);
    }
    fflush(stdout);
    return good;
}

static int usage(const char *program) {
    fprintf(
        stderr,
        "usage: %s [--schedules N] [--seeds N] [--first-seed N] [--preemptions N] [--only TEXT] [--quiet] [--compare]\n"
        "N preemptions: %d at most\n",
        program, PREEMPTIONS_MAX);
    return 2;
}

int model_main(int argc, char **argv, const struct model_scenario *scenarios, size_t count) {
    for (int i = 1; i < argc; i++) {
        uint64_t number = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--quiet") == 0) {
            options.quiet = true;
            continue;
        }
        if (strcmp(argv[i], "--compare") == 0) {
            options.compare = true;
            continue;
        }
        if (strcmp(argv[i], "--schedules") == 0)
            options.schedules = number;
        else if (strcmp(argv[i], "--seeds") == 0)
            options.seeds = number;
        else if (strcmp(argv[i], "--first-seed") == 0)
            options.first_seed = number;
        else if (strcmp(argv[i], "--preemptions") == 0)
            options.level = (unsigned)number;
        else if (strcmp(argv[i], "--only") == 0)
            options.only = argv[i + 1];
        else
            return usage(argv[0]);
        i++;
    }
    if (options.level > PREEMPTIONS_MAX) return usage(argv[0]);
    arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cells = calloc(ARENA_BYTES, sizeof *cells);
    location_stamps = calloc(ARENA_BYTES, sizeof *location_stamps);
    masks = calloc(2, ARENA_BYTES);
    masks_used = masks + ARENA_BYTES;
    location_of = calloc(ARENA_BYTES, sizeof *location_of);
    views = calloc(VIEWS_MAX, sizeof *views);
    for (unsigned i = 1; i < MODEL_THREADS; i++) {
        char *low = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        threads[i].stack = (struct ed_stack *)(low + STACK_BYTES - 4096);
        threads[i].stack->context.stack_low = low;
        threads[i].stack->context.stack_bytes = STACK_BYTES - 4096;
    }
    ed_context_init_thread(&main_context);
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (options.only != NULL && strstr(scenarios[i].name, options.only) == NULL) continue;
        if (options.compare ? compare(&scenarios[i]) : explore(&scenarios[i]))
            passed++;
        else
            failed++;
    }
    if (!options.quiet || failed > 0) printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
