/* report.c: what nobody handled goes to the run's exception handler, or to standard error. Threads: any. */
#include "task/task.h"

#include <stdio.h>
#include <string.h>

static void to_stderr(const eddy_report *report) {
    char detail[1024] = "";
    if (report->error != NULL) {
        ed_error_print(report->error, report->task != NULL ? report->task : "", detail, sizeof detail);
    } else if (report->status < 0) {
        snprintf(detail, sizeof detail, "%s: %s", eddy_status_name(report->status), eddy_status_text(report->status));
    }
    bool named = report->task != NULL && report->task[0] != '\0' && strstr(report->message, report->task) == NULL;
    fprintf(stderr, "eddy: %s%s%s%s%s%s%s%s\n", report->message, named ? " (\"" : "", named ? report->task : "",
            named ? "\")" : "", report->place != NULL ? ", made at " : "", report->place != NULL ? report->place : "",
            detail[0] != '\0' ? ": " : "", detail);
    if (report->stack != NULL) fprintf(stderr, "%s\n", report->stack);
    if (report->origin != NULL) fprintf(stderr, "made by\n%s\n", report->origin);
}

void ed_report(struct ed_sched *sched, const eddy_report *report) {
    struct ed_tasks *tasks = sched != NULL ? ed_tasks_of(sched) : NULL;
    if (tasks != NULL && tasks->on_exception != NULL) {
        tasks->on_exception(report, tasks->on_exception_arg);
    } else {
        to_stderr(report);
    }
}

void eddy_report_send(const eddy_report *report) {
    struct ed_worker *worker = ed_worker_current();
    ed_report(worker != NULL ? worker->sched : NULL, report);
}

static void report_task(struct ed_sched *sched, eddy_report *report, eddy_task *task) {
    char name[ED_TASK_NAME_BYTES], origin[ED_ORIGIN_BYTES];
    eddy_task_name(task, name, sizeof name);
    report->task = name;
    report->place = task->place;
    report->future = &task->future;
    if (ed_origin_print(ed_origin_of(&task->future), origin, sizeof origin) > 0) report->origin = origin;
    ed_report(sched, report);
}

void ed_report_task(struct ed_sched *sched, enum eddy_report_kind kind, eddy_task *task, const char *message,
                    int status, const eddy_error *error) {
    report_task(sched, &(eddy_report){.kind = kind, .message = message, .status = status, .error = error}, task);
}

void ed_report_stack(struct ed_sched *sched, enum eddy_report_kind kind, eddy_task *task, const char *message,
                     const char *stack) {
    report_task(sched, &(eddy_report){.kind = kind, .message = message, .stack = stack}, task);
}

void ed_report_future(eddy_future *future, enum eddy_report_kind kind, const char *message) {
    char origin[ED_ORIGIN_BYTES];
    const bool known = ed_origin_print(ed_origin_of(future), origin, sizeof origin) > 0;
    ed_report(future->sched, &(eddy_report){.kind = kind,
                                            .message = message,
                                            .task = "",
                                            .status = future->status,
                                            .error = future->error,
                                            .future = future,
                                            .origin = known ? origin : NULL});
}

void ed_function_message(const char *what, uintptr_t function, char message_out[ED_FUNCTION_MESSAGE_BYTES]) {
    int bytes = snprintf(message_out, ED_FUNCTION_MESSAGE_BYTES, "%s", what);
    ed_symbol_print((const void *)(function + 1), message_out + bytes, ED_FUNCTION_MESSAGE_BYTES - (size_t)bytes);
}

int ed_wrong_thread(struct ed_sched *sched, const char *message) {
    struct ed_worker *here = ed_worker_current();
    if (sched == NULL && here != NULL) sched = here->sched;
    if (sched == NULL || !sched->debug) return EDDY_EWRONGTHREAD;
    char stack[ED_ORIGIN_BYTES];
    void *places[ED_ORIGIN_PLACES];
    ed_symbols_print(places, ed_unwind_here(places, ED_ORIGIN_PLACES), "  ", stack, sizeof stack);
    eddy_task *task = here != NULL && here->sched == sched ? ed_task_current() : NULL;
    if (task != NULL)
        ed_report_stack(sched, EDDY_REPORT_WRONG_THREAD, task, message, stack);
    else
        ed_report(sched,
                  &(eddy_report){.kind = EDDY_REPORT_WRONG_THREAD, .message = message, .task = "", .stack = stack});
    return EDDY_EWRONGTHREAD;
}

int ed_outside_task(void) {
    return ed_wrong_thread(NULL, "a function that belongs into a task was called outside of one");
}
