/* assemble.h: a runtime's parts, for run.c (threads) and simulate.c (one thread). See assemble.c. */
#ifndef ED_RUNTIME_ASSEMBLE_H
#define ED_RUNTIME_ASSEMBLE_H

#include <pthread.h>

#include "debug/debug.h"
#include "eddy/signal.h"
#include "exec/exec.h"
#include "loop/loop.h"
#include "net/net.h"
#include "sim/sim.h"
#include "task/task.h"

struct ed_runtime {
    struct ed_sched sched;
    eddy_run_options options; /* with defaults filled in */

    /* main, as the supervisor saw it end; read after the workers have stopped */
    eddy_coro_fn fn;
    void *arg;
    eddy_loop *loop; /* (c) once started: main's domain, else the runtime's */
    int status;
    eddy_value value;
    int64_t deadline_ns;  /* of the shutdown; set when main ended */
    int64_t cancelled_ns; /* when the tasks that are waited for were cancelled */
    _Atomic bool ended;   /* the supervisor is done: no task lives */

    /* interrupt.c: SIGINT, if it is handled; worker 0 */
    eddy_task *main;
    eddy_signal *interrupt;
    eddy_future *given_up; /* set by the second SIGINT: main is not waited for any more */
    unsigned interrupts;

    /* simulate.c */
    int64_t limit_ns; /* of the clock while main runs */
    int64_t late_ns;  /* the first deadline of the shutdown; 0: main runs */
    int stuck;        /* why main was given up, or 0 */

    /* run.c */
    pthread_t *threads;
    pthread_t tick;
    void *overflow;   /* worker 0's, from begin to end */
    struct ed_watch { /* the tick thread's: since when a worker has not visited its scheduler */
        uint64_t slices;
        int64_t since_ns;
        bool held;                /* for ED_HELD_NS or more */
        struct ed_worker *worker; /* (c) */
        struct ed_message visit;  /* to another worker, while visit_sent */
        _Atomic bool visit_sent;
    } * watches;
    struct ed_watchdog *watchdog;   /* (c) debug mode; else NULL */
    struct ed_inspector *inspector; /* (c) if it was asked for; else NULL */
    pthread_mutex_t mutex;          /* started, start_status, stopped, tick_* */
    pthread_cond_t changed;
    unsigned started, stopped;
    int start_status;
    _Atomic bool tick_parked;
    bool tick_stop;
    bool trimming; /* the tick thread's: it gives stacks' memory back, for as long as all sleep */
};

/* Everything but threads: workers, arena, rooms. 0 or a status; on failure nothing is left. `stacks`: NULL for the
 * defaults. */
int ed_runtime_open(struct ed_runtime **runtime_out, const struct ed_driver *driver, const eddy_run_options *options,
                    unsigned workers, uint64_t seed, const struct ed_stack_options *stacks);
void ed_runtime_close(struct ed_runtime *runtime);

/* Spawns the supervisor on worker 0: it runs `fn` as the main task, then ends all others. */
int ed_runtime_start(struct ed_runtime *runtime, eddy_coro_fn fn, void *arg);

/* Worker 0's tasks: begins to watch for SIGINT (0 or a status); stops. */
int ed_interrupt_open(struct ed_runtime *runtime);
void ed_interrupt_close(struct ed_runtime *runtime);

/* On a worker's thread, after the barrier: lets what is left arrive, drops timers. */
void ed_runtime_drain(struct ed_worker *worker);

#endif
