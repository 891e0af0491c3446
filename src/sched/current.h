/* current.h: which worker runs on this thread: the core's only thread-locals.
 *
 * Problem    Compilers keep the address of a thread-local, or its value, across a switch of stacks; after a migration both
 *            are another thread's. Yet nearly every call asks which worker it is on, so asking must cost next to nothing,
 *            inlined into functions that switch.
 * Idea       The accessor is volatile assembly that finds the address and reads there anew each time. The variable has no
 *            C declaration outside current.c, so no compiler can make an access of its own: what names it is this.
 *            tests/checks/thread_locals.sh holds that against the object code, where any other thread-local in a function
 *            that may switch is an offence.
 * Measured   x86_64: two loads, 2 ns less than a call to a function that cannot be inlined.
 * Threads    Any, each its own. ED_CURRENT_BY_CALL: the function is somebody else's (the models'). */
#ifndef ED_SCHED_CURRENT_H
#define ED_SCHED_CURRENT_H

struct ed_sched;
struct ed_worker;

/* NULL on threads that are no worker. */
#if defined(__x86_64__) && !defined(ED_CURRENT_BY_CALL)
static inline __attribute__((always_inline)) struct ed_worker *ed_worker_current(void) {
    struct ed_worker *worker;
    __asm__ volatile("movq ed_current_worker@GOTTPOFF(%%rip), %0\n"
                     "movq %%fs:(%0), %0"
                     : "=r"(worker)
                     :
                     : "memory");
    return worker;
}
#elif defined(__aarch64__) && !defined(ED_CURRENT_BY_CALL)
static inline __attribute__((always_inline)) struct ed_worker *ed_worker_current(void) {
    struct ed_worker *worker;
    void *thread;
    __asm__ volatile("adrp %0, :gottprel:ed_current_worker\n"
                     "ldr %0, [%0, #:gottprel_lo12:ed_current_worker]\n"
                     "mrs %1, tpidr_el0\n"
                     "ldr %0, [%1, %0]"
                     : "=&r"(worker), "=&r"(thread)
                     :
                     : "memory");
    return worker;
}
#else
struct ed_worker *ed_worker_current(void);
#endif
void ed_worker_set_current(struct ed_worker *worker);

/* The simulation that runs this code outside its workers, where else a plain thread would: its clock is the time.
 * NULL everywhere else. */
struct ed_sched *ed_sched_visited(void);
void ed_sched_visit(struct ed_sched *sched);

#endif
