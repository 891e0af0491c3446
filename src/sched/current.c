#include "sched/current.h"

/* Named by the accessor's assembly: the model of access and the linkage are those that it is written for. */
extern _Thread_local struct ed_worker *ed_current_worker;
__attribute__((used, visibility("hidden"),
               tls_model("initial-exec"))) _Thread_local struct ed_worker *ed_current_worker;
static _Thread_local struct ed_sched *visited;

__attribute__((noinline)) void ed_worker_set_current(struct ed_worker *worker) {
    __asm__ volatile("" ::: "memory"); /* not pure: each call reads anew */
    ed_current_worker = worker;
}

__attribute__((noinline)) struct ed_sched *ed_sched_visited(void) {
    __asm__ volatile("" ::: "memory");
    return visited;
}

__attribute__((noinline)) void ed_sched_visit(struct ed_sched *sched) {
    __asm__ volatile("" ::: "memory");
    visited = sched;
}
