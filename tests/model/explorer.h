/* explorer.h: runs two or three virtual threads of the real sources under every schedule that matters.
 *
 * Problem    A missing order or a missing second look shows in one schedule of a million, on another machine.
 * Idea       The real files are compiled with -fsanitize=thread and linked with explorer.c in place of the sanitizer's
 *            runtime: every atomic access and every plain access of them calls us, unpatched. A virtual thread is a
 *            coroutine; each atomic operation is a switch point, and each load a choice of what it may still see.
 *            First depth first with at most `level` preemptions and min(level, 2) old reads, level 0, 1, 2, 3, so
 *            that the first violation is a shortest one; then seeds of random priorities (PCT, Burckhardt and others
 *            2010: 3 priority changes) with old reads at random.
 * Memory     Views, as in C11's release and acquire: a location has all its values in the order written; each thread
 *            has, per location, the oldest value that it may still read. A relaxed load may read any value from there
 *            on; acquire joins what the releasing writer knew; a read-modify-write reads the newest and carries a
 *            release on. A seq_cst load reads nothing older than the last seq_cst write of that location; loads pass
 *            nothing on (RC11; real machines hand a thread its own store early, so that the standard's text is too
 *            strong there). So store buffering, message passing, independent readers and coherence behave as the standard
 *            allows, and plain accesses are checked by vector clocks: a data race, or a touch of freed memory, is a
 *            violation whether or not its effect shows.
 * Not here   Loads that take effect after later stores (load buffering); stores to one location that take effect in
 *            another order than they were executed (2+2W); weak compare-and-swaps that fail for no reason; fences
 *            (taken for nothing, which is weaker); races on stacks and on the scenario's own globals.
 * Tests      litmus_model.c: what must be seen is seen, and what must not is not. mutants: run.sh. */
#ifndef MODEL_EXPLORER_H
#define MODEL_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 4 }; /* 0 sets up and checks; 1, 2, 3 are the scenario's */

struct model_scenario {
    const char *name;
    void (*setup)(void);
    void (*threads[MODEL_THREADS - 1])(void);
    void (*check)(void);   /* all threads have ended, or wait for ever */
    bool may_wait;         /* some may wait for ever: check() judges */
    const char *must_find; /* litmus tests: a violation whose text begins so must be found */
};

/* A program's main: all its scenarios. */
int model_main(int argc, char **argv, const struct model_scenario *scenarios, size_t count);
#define MODEL_MAIN(scenarios)                                                                 \
    int main(int argc, char **argv) {                                                         \
        return model_main(argc, argv, (scenarios), sizeof(scenarios) / sizeof(scenarios)[0]); \
    }

/* Memory under watch, zeroed; gone after the schedule. All atomics must lie in it, or in ed_alloc's. */
void *model_alloc(size_t bytes);
void model_free(void *block);
size_t model_live(void); /* blocks of ed_alloc not freed */

/* Names a place for traces. */
void model_name(const volatile void *place, const char *name);
/* Atomics of this range are figures: no switch points. */
void model_figures(const volatile void *place, size_t bytes);
/* In setup(): the threads run on other stacks than their own as well, which the explorer does not know. */
void model_stacks_elsewhere(void);

/* Waits until ready(arg), which is asked at any time and sees the newest values. Orders nothing. */
void model_wait(bool (*ready)(void *arg), void *arg);
/* A loop that got nowhere lets others run: schedules are fair. */
void model_yield(void);
/* The thread ends here. */
_Noreturn void model_exit(void);
unsigned model_self(void);
/* A thread that does not run has ended, or waits. */
bool model_waits(unsigned thread);

/* What ed_worker_current gives on this thread. */
struct ed_worker;
void model_set_worker(struct ed_worker *worker);

_Noreturn void model_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MODEL_CHECK(condition) \
    ((condition) ? (void)0 : model_violation("%s:%d: %s", __FILE_NAME__, __LINE__, #condition))

#endif
