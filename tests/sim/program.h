/* program.h: a random task program: what its tasks do, as a list of operations that can be written, read and made smaller.
 *
 * Task 0 is main. Task k awaits tasks with greater numbers only, so that no two wait for each other; it may cancel any.
 * A task is spawned by one operation at most. What a task or future that is not there is asked is left out.
 *
 * Two kinds of programs, so that all of them end:
 *   patient    waits have no limit, and no task swallows a cancel: the cancel at the end of the run ends them all.
 *   bounded    tasks swallow cancels and failures as they like, and each wait has a limit.
 * Adding an operation: a line in OPERATIONS, a case in `make` (program.c), a case in `play_one` (play.c). */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { TASKS_MAX = 32, OPS_MAX = 64, DOMAINS = 2, LOCKS = 2, EVENTS = 2, SEMAPHORES = 2, QUEUES = 3, FUTURES = 4 };

/* name, arguments, whether it holds operations until `end` */
#define OPERATIONS(X)                                               \
    X(sleep, 1, false) /* ns */                                     \
    X(yield, 0, false)                                              \
    X(spin, 1, false)     /* so many awaits of what is done */      \
    X(spawn, 2, false)    /* task, keep a handle */                 \
    X(await, 3, false)    /* task, limit, go on after a failure */  \
    X(wait_for, 3, false) /* task, limit, go on */                  \
    X(shield, 3, false)   /* task, limit, go on */                  \
    X(gather, 4, false)   /* first task, count, limit, go on */     \
    X(gather_all, 4, false)                                         \
    X(wait, 4, false)        /* first task, count, limit, which */  \
    X(cancel, 1, false)      /* task */                             \
    X(cancel_self, 0, false) /* and sleeps: that must hear of it */ \
    X(uncancel, 0, false)                                           \
    X(check_cancel, 0, false)                                       \
    X(release, 1, false)      /* task: its handle */                \
    X(take, 1, false)         /* task: its value */                 \
    X(callback, 1, false)     /* task */                            \
    X(uncallback, 1, false)   /* task */                            \
    X(lock, 2, true)          /* lock, limit */                     \
    X(semaphore, 2, true)     /* semaphore, limit */                \
    X(try_semaphore, 1, true) /* semaphore */                       \
    X(event_wait, 2, false)   /* event, limit */                    \
    X(event_set, 1, false)                                          \
    X(event_clear, 1, false)                                        \
    X(put, 2, false) /* queue, limit */                             \
    X(get, 2, false) /* queue, limit */                             \
    X(try_put, 1, false)                                            \
    X(try_get, 1, false)                                            \
    X(close, 1, false)        /* queue */                           \
    X(future_await, 2, false) /* future, limit */                   \
    X(future_set, 1, false)                                         \
    X(future_fail, 1, false)                                        \
    X(future_cancel, 1, false)                                      \
    X(future_callback, 1, false)                                    \
    X(timeout, 1, true)      /* ns */                               \
    X(reschedule, 1, false)  /* ns */                               \
    X(group, 1, true)        /* go on after a failure */            \
    X(group_spawn, 2, false) /* task, keep a handle */              \
    X(group_cancel, 0, false)                                       \
    X(catch, 0, true)   /* whatever ends it */                      \
    X(cleanup, 1, true) /* and sleeps so long, however it ends */   \
    X(fail, 1, false)   /* with this code */                        \
    X(defer, 1, false)  /* a function that sleeps so long */        \
    X(call_soon, 0, false)                                          \
    X(call_later, 1, false)      /* ns */                           \
    X(call_threadsafe, 1, false) /* domain, or -1 */                \
    X(cancel_handle, 0, false)   /* of the last call */             \
    X(share, 0, false)                                              \
    X(all_tasks, 0, false)                                          \
    X(end, 0, false)

enum code {
#define X(name, arguments, block) OP_##name,
    OPERATIONS(X)
#undef X
        OPS
};

struct op {
    uint8_t code;
    int32_t a[4];
};

struct body {
    int domain;    /* -1: none */
    int stack_kb;  /* 64 or 256 */
    bool value;    /* ends with a value that has a drop function */
    int migration; /* enum eddy_migration */
    int argument;  /* 0: borrowed, 1: copied, 2: copied to the heap, 3: given with a drop function */
    int count;
    struct op ops[OPS_MAX];
};

struct program {
    uint64_t seed; /* of the schedule */
    unsigned workers;
    bool no_direct;
    bool serial; /* main is in a domain */
    int migrate; /* started tasks may move: 0 those that say so, 1 all but those that stay, 2 these, each time */
    unsigned undisturbed;
    int alloc_fails; /* this allocation fails; 0: none */
    int stacks;      /* 0: as many as asked for */
    int tasks;
    struct body body[TASKS_MAX];
};

void program_make(struct program *program, uint64_t seed);
void program_print(const struct program *program, FILE *file);
/* False: not a program; the line is on standard error. */
bool program_read(struct program *program, FILE *file);

/* Smaller ones: tries each in turn; `fails` says whether it still does. The smallest that fails is left in *program. */
void program_shrink(struct program *program, bool (*fails)(struct program *program, void *arg), void *arg);

/* Plays it on virtual workers in this process; a claim that does not hold ends the process. */
void program_play(const struct program *program, FILE *trace);

#endif
