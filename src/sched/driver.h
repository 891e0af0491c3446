/* driver.h: the seam below the core: sleeping, waking, the clock. Implementations: loop/driver.c (libuv)
 * and sim/driver.c (one thread, virtual clock). */
#ifndef ED_SCHED_DRIVER_H
#define ED_SCHED_DRIVER_H

#include "base/base.h"

struct ed_worker;

#define ED_POLL_NOW INT64_MIN

struct ed_driver {
    /* On the worker's thread, before its first turn. Sets worker->driver_data. 0 or a status. */
    int (*open)(struct ed_worker *worker);
    /* On the worker's thread, after its last turn: everything that needs the loop is closed by now. */
    void (*close)(struct ed_worker *worker);
    /* ED_POLL_NOW: takes the events that are there. Else sleeps until an event, a wake, or the clock shows
     * deadline_ns (INT64_MAX: none). Event callbacks run inside; they wake fibers and queue calls, never run
     * user code. */
    void (*poll)(struct ed_worker *worker, int64_t deadline_ns);
    /* Any thread: makes a sleeping poll return, or the next one not sleep. */
    void (*wake)(struct ed_worker *worker);
    /* Monotonic nanoseconds. */
    int64_t (*now)(struct ed_worker *worker);
    /* Whether polling could bring anything (open handles beside the driver's own). */
    bool (*holds_io)(struct ed_worker *worker);
};

#endif
