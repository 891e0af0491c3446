#include "sched/current.h"

static _Thread_local struct ed_worker *current;
static _Thread_local struct ed_sched *visited;

__attribute__((noinline)) struct ed_worker *ed_worker_current(void) {
    __asm__ volatile("" ::: "memory"); /* not pure: each call reads anew */
    return current;
}

__attribute__((noinline)) void ed_worker_set_current(struct ed_worker *worker) {
    __asm__ volatile("" ::: "memory");
    current = worker;
}

__attribute__((noinline)) struct ed_sched *ed_sched_visited(void) {
    __asm__ volatile("" ::: "memory");
    return visited;
}

__attribute__((noinline)) void ed_sched_visit(struct ed_sched *sched) {
    __asm__ volatile("" ::: "memory");
    visited = sched;
}
