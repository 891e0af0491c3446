/* remote.c: registered functions, and where a process that was started as a worker leaves the way to main.
 *
 * Problem    A worker process is this program started again. It must know all registered functions, have its
 *            constructors behind it (they may be what the functions rely on), and never reach main: a main that
 *            opens a pool would start workers without end.
 * Idea       EDDY_REMOTE registers in a constructor that lies in the user's own object, so it is linked whatever kind
 *            the library is. In a worker the first such constructor runs the rest of the program's constructors itself
 *            (the linker tells where their table ends), then serves. Shared libraries have theirs behind them by then;
 *            functions registered in one do not start the worker, for the program's own would still be missing.
 * Invariants (R1) A program that cannot start as a worker cannot open a pool of itself. (R2) The marker is gone before any
 *            constructor behind the first runs, so nothing that those or the functions start is taken for a worker.
 *            (R3) Who bears the marker at eddy_run ends there.
 * Threads    Registration: any (dlopen); the list only grows. The rest: any.
 * Tests      tests/exec/process_test.c, process_life_test.c. */
#include "exec/remote.h"
#include "exec/exec.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct eddy_remote *_Atomic remotes;
static _Atomic bool can_start;

/* ---- the program as the loader sees it -------------------------------------------------------------- */

struct program {
    const void *address; /* in:  asked for                      */
    bool holds_address;  /* out: lies in the program            */
    uint64_t build_id;   /* out: hash of its build id, or of "" */
    uintptr_t base;      /* out: where it was loaded            */
};

#define HASH_START UINT64_C(0xcbf29ce484222325) /* FNV-1a */

static uint64_t hash(const void *data, size_t bytes) {
    const unsigned char *at = data;
    uint64_t sum = HASH_START;
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t build_id(const char *notes, size_t bytes) {
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= bytes;) {
        const ElfW(Nhdr) *note = (const void *)(notes + at);
        const size_t name_at = at + sizeof *note, data_at = name_at + ((note->n_namesz + 3) & ~3u);
        if (data_at > bytes || note->n_descsz > bytes - data_at) break;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(notes + name_at, "GNU", 4) == 0)
            return hash(notes + data_at, note->n_descsz);
        at = data_at + ((note->n_descsz + 3) & ~3u);
    }
    return 0;
}

static int look_at_program(struct dl_phdr_info *info, size_t size, void *arg) {
    struct program *program = arg;
    (void)size;
    program->build_id = HASH_START;
    program->base = info->dlpi_addr;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const char *start = (const char *)(info->dlpi_addr + header->p_vaddr);
        const char *address = program->address;
        if (header->p_type == PT_LOAD && address >= start && address < start + header->p_memsz)
            program->holds_address = true;
        if (header->p_type == PT_NOTE) {
            const uint64_t id = build_id(start, header->p_memsz);
            if (id != 0) program->build_id = id;
        }
    }
    return 1; /* the first one is the program: enough */
}

static struct program program_with(const void *address) {
    struct program program = {.address = address};
    dl_iterate_phdr(look_at_program, &program);
    return program;
}

/* ---- the list --------------------------------------------------------------------------------------- */

static void run_constructors_behind(void (*own)(void), void (*const *start)(void), void (*const *end)(void)) {
    typedef void (*constructor)(int argc, char **argv, char **envp); /* what the loader passes them */
    char *argv[] = {program_invocation_name, NULL};                  /* what a worker is started with */
    while (start != end && *start != own) start++;
    for (; start != end && start + 1 != end; start++) {
        constructor next = (constructor)start[1];
        if (next != NULL) next(1, argv, environ);
    }
}

void eddy_remote_register(struct eddy_remote *remote, void (*const *constructors_start)(void),
                          void (*const *constructors_end)(void)) {
    struct eddy_remote *head = ED_LOAD_ACQUIRE(&remotes);
    for (const struct eddy_remote *known = head; known != NULL; known = known->next)
        if (known == remote) return; /* again: it would follow itself */
    do remote->next = head;
    while (!ED_CAS_WEAK(&remotes, &head, remote));

    if (!remote->starts || constructors_start == NULL || !program_with(remote).holds_address) return;
    ED_STORE_RELAXED(&can_start, true);
    const char *found = getenv(ED_WORKER_MARKER);
    if (found == NULL) return;
    char marker[64];
    snprintf(marker, sizeof marker, "%s", found);
    unsetenv(ED_WORKER_MARKER); /* (R2); also: the next registration does not come here */
    run_constructors_behind(remote->constructor, constructors_start, constructors_end);
    ed_worker_process_serve(marker);
}

void eddy_process_worker(void) {
    ED_STORE_RELAXED(&can_start, true);
    const char *found = getenv(ED_WORKER_MARKER);
    if (found == NULL) return;
    char marker[64];
    snprintf(marker, sizeof marker, "%s", found);
    unsetenv(ED_WORKER_MARKER);
    ed_worker_process_serve(marker);
}

void ed_process_check_marker(void) {
    if (getenv(ED_WORKER_MARKER) == NULL) return;
    fprintf(stderr,
            "eddy: process %d was started as a worker of a process pool, but came to eddy_run() instead of serving: "
            "register functions with EDDY_REMOTE in the program itself, or call eddy_process_worker() first in main\n",
            (int)getpid());
    _exit(ED_WORKER_NOT_SERVING);
}

bool ed_remote_can_start(void) { return ED_LOAD_RELAXED(&can_start); }

const struct eddy_remote *ed_remote_by_fn(eddy_remote_fn fn) {
    const struct eddy_remote *remote = ED_LOAD_ACQUIRE(&remotes);
    while (remote != NULL && remote->fn != fn) remote = remote->next;
    return remote;
}

const struct eddy_remote *ed_remote_by_name(const char *name, size_t bytes) {
    const struct eddy_remote *remote = ED_LOAD_ACQUIRE(&remotes);
    while (remote != NULL && (strlen(remote->name) != bytes || memcmp(remote->name, name, bytes) != 0))
        remote = remote->next;
    return remote;
}

const char *ed_remote_duplicate(void) {
    for (const struct eddy_remote *one = ED_LOAD_ACQUIRE(&remotes); one != NULL; one = one->next)
        for (const struct eddy_remote *other = one->next; other != NULL; other = other->next)
            if (strcmp(one->name, other->name) == 0) return one->name;
    return NULL;
}

void ed_remote_identity(struct ed_wire_identity *identity_out) {
    struct ed_wire_identity sum = {.build = program_with(NULL).build_id};
    for (const struct eddy_remote *remote = ED_LOAD_ACQUIRE(&remotes); remote != NULL; remote = remote->next) {
        const struct program program = program_with(remote);
        if (!program.holds_address) continue;
        const struct {
            uint64_t name, place;
        } one = {hash(remote->name, strlen(remote->name)), (uintptr_t)remote->fn - program.base};
        sum.registry += one.name;
        sum.build += hash(&one, sizeof one); /* tells builds apart where a linker gives no build id */
        sum.functions++;
    }
    *identity_out = sum;
}
