/* current.h: which worker runs on this thread: the core's only thread-locals.
 *
 * Compilers keep the address of a thread-local across a switch of stacks. The accessor is therefore volatile
 * assembly or a call that cannot be inlined, and these are the only code of the project that reads the thread
 * pointer in a function that may switch. */
#ifndef ED_SCHED_CURRENT_H
#define ED_SCHED_CURRENT_H

struct ed_sched;
struct ed_worker;

struct ed_worker *ed_worker_current(void); /* NULL on threads that are no worker */
void ed_worker_set_current(struct ed_worker *worker);

/* The simulation that runs this code outside its workers, where else a plain thread would: its clock is the time.
 * NULL everywhere else. */
struct ed_sched *ed_sched_visited(void);
void ed_sched_visit(struct ed_sched *sched);

#endif
