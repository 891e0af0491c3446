/* hold.c: debug mode: what a task holds while it suspends and should not.
 *
 * Problem    A task that suspends with a mutex of the system locked stops whoever locks it next: with the whole worker, and
 *            for good if that worker is where the holder waits to go on. An eddy lock may be held: it suspends.
 * Idea       The program says what it holds (eddy/debug.h; eddy/mutex.h says it for pthread's mutexes). Each suspension of
 *            a task in debug mode looks whether the list is empty; a direct await counts as one. Each hold is reported
 *            once, so a loop that suspends a million times is one report.
 * Whose      Notes lie on the strand, in the order taken; a task that runs on another's stack adds its own to the end.
 * Threads    The host.
 * Tests      tests/debug/hold_test.c. */
#include "task/task.h"

#include "eddy/debug.h"

#include <stdio.h>

struct ed_hold {
    struct ed_hold *outer;
    eddy_task *task;
    const volatile void *what;
    const char *place;
    bool told;
};

static struct ed_strand *strand_in_debug(void) {
    struct ed_fiber *fiber = ed_fiber_current();
    return fiber != NULL && ed_fiber_worker(fiber)->sched->debug ? ed_strand_of(fiber) : NULL;
}

void eddy_hold_begin_at(const char *place, const volatile void *what) {
    struct ed_strand *strand = strand_in_debug();
    struct ed_hold *hold = strand != NULL ? ed_alloc(sizeof *hold) : NULL;
    if (hold == NULL) return;
    *hold = (struct ed_hold){strand->holds, strand->fiber.task, what, place, false};
    strand->holds = hold;
}

void eddy_hold_end(const volatile void *what) {
    struct ed_strand *strand = strand_in_debug();
    if (strand == NULL) return;
    for (struct ed_hold **link = &strand->holds; *link != NULL; link = &(*link)->outer) {
        struct ed_hold *hold = *link;
        if (hold->what != what) continue;
        *link = hold->outer;
        ed_free(hold);
        return;
    }
}

static void report(const struct ed_hold *hold, const char *how, const char *why) {
    char message[320], stack[2048];
    void *places[ED_ORIGIN_PLACES];
    size_t count = ed_unwind_here(places, ED_ORIGIN_PLACES);
    ed_symbols_print(places, count, "  ", stack, sizeof stack);
    snprintf(message, sizeof message, "a task %s%s while it holds what it took at %s", how, why, hold->place);
    ed_report_stack(hold->task->future.sched, EDDY_REPORT_HELD, hold->task, message, stack);
}

void ed_hold_suspends(struct ed_strand *strand, const char *reason) {
    for (struct ed_hold *hold = strand->holds; hold != NULL; hold = hold->outer) {
        if (hold->told) continue;
        hold->told = true;
        report(hold, "suspends on ", reason);
    }
}

void ed_hold_end(eddy_task *ended, struct ed_strand *strand) {
    while (strand->holds != NULL && strand->holds->task == ended) {
        struct ed_hold *hold = strand->holds;
        strand->holds = hold->outer;
        if (!hold->told) report(hold, "has ended", "");
        ed_free(hold);
    }
}
