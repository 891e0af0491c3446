/* process_pool.h: what the two sides of a process pool share: tasks (process_pool.c) and its thread (manager.c).
 *
 * Problem    A call's task may be cancelled, its process may die, and the pool may end, all in the same moment; the process
 *            must have been started by a thread that outlives it; and nobody may wait where a worker's loop turns.
 * Idea       One thread per pool, the manager, owns everything that belongs to processes: sockets, pidfds, deadlines,
 *            kills. Tasks only queue calls and set wishes under the lock, and ring its eventfd. A call ends by a message to
 *            its task's worker (caller.h).
 *
 *   call     QUEUED ---manager---> SENT (a process has it) ---manager---> DONE (the caller is told)
 *              \  \---its process died before it had begun--/ back to the front of the queue
 *               \--its task---> TAKEN_BACK
 *            kill_wanted: its task was cancelled and waits for the death of the work.
 *            abandoned:   its task was cancelled and left; result and failure are the manager's to drop and report.
 *
 *   process  DEAD --spawned--> STARTING --HELLO--> INITIALIZING --RESULT--> READY <--> BUSY
 *            (without an initializer STARTING goes to READY)
 *            READY -> ENDING: its end of the stream was closed (pool closes, max_tasks); it has until its deadline.
 *            any -> DYING: killed. Every one leaves for DEAD when its pidfd says that it ended, and nothing else counts.
 *
 *   pool     open -> closing (kill: processes at once) -> ended, when all processes are DEAD.
 *            broken: takes no more calls; what is SENT may still end.
 *
 * Invariants (P1) A process has at most one call: SENT <=> some process points to it. (P2) A death fails at most the call that
 *            the dead process had begun; what it had answered before counts. (P3) The manager ends after the last
 *            process is reaped.
 * Fields     (c) constant; (l) under the lock; (m) the manager alone; (lm) written by the manager under the lock, so that it
 *            may read it without.
 * Threads    See above. Locks: exec.h. Nothing blocks under the lock.
 * Tests      tests/exec/process_test.c, process_life_test.c. */
#ifndef ED_EXEC_PROCESS_POOL_H
#define ED_EXEC_PROCESS_POOL_H

#include "eddy/process.h"
#include "exec/caller.h"
#include "exec/run.h"
#include "exec/spawn.h"
#include "exec/wire.h"

#include <poll.h>

enum { ED_PROCESSES_MAX = 256 };

enum ed_call_state { ED_CALL_QUEUED, ED_CALL_SENT, ED_CALL_DONE, ED_CALL_TAKEN_BACK };

struct ed_remote_call {
    struct ed_list link;            /* (l) while QUEUED                                    */
    struct ed_caller caller;        /* see caller.h                                        */
    struct eddy_process_pool *pool; /* (c) one reference                                   */
    _Atomic unsigned references;    /* the task's, and the manager's until DONE/TAKEN_BACK */
    const char *name;               /* (c) of the function; static                         */
    enum ed_call_state state;       /* (l)                                                 */
    bool kill_wanted, abandoned;    /* (l)                                                 */
    unsigned moves;                 /* (m) processes that died before they began it        */
    int status;                     /* once DONE or TAKEN_BACK                             */
    eddy_error *error;              /* as status                                           */
    eddy_bytes out;                 /* once DONE                                           */
    size_t frame_bytes;             /* (c)                                                 */
    struct ed_wire_head head;       /* (c) the frame: head, name, argument                 */
    char rest[];                    /* (c)                                                 */
};

enum ed_process_state {
    ED_PROCESS_DEAD,
    ED_PROCESS_STARTING,
    ED_PROCESS_INITIALIZING,
    ED_PROCESS_READY,
    ED_PROCESS_BUSY,
    ED_PROCESS_ENDING,
    ED_PROCESS_DYING
};

struct ed_process {
    enum ed_process_state state; /* (lm)                                                     */
    struct ed_spawned os;        /* (lm) pid; the rest (m). Valid unless DEAD                */
    struct ed_remote_call *call; /* (lm) what it has: BUSY, or DYING with it                 */
    int64_t deadline_ns;         /* (m) STARTING: for HELLO; ENDING: for the end             */
    bool expected;               /* (m) its end is our doing: no death                       */
    bool was_ready;              /* (m) no dead start                                        */
    unsigned served;             /* (m) calls, for max_tasks                                 */

    const char *send_at; /* (m) what is left of the frame that it is being sent */
    size_t send_bytes;   /* (m)                                                 */

    struct ed_wire_head head;    /* (m) of the frame that is coming in                       */
    size_t got;                  /* (m) bytes of it: head, text, payload                     */
    char text[ED_WIRE_TEXT_MAX]; /* (m)                                                      */
    eddy_bytes payload;          /* (m) NULL data with bytes to come: no memory, skipped     */
};

struct eddy_process_pool {
    struct ed_pool pool;                  /* references also: each call                    */
    char *worker_path;                    /* (c) NULL: this program                        */
    char **environment;                   /* (m) spawn.h                                   */
    unsigned processes_max;               /* (c)                                           */
    size_t queue_max;                     /* (c)                                           */
    enum eddy_on_cancel on_cancel;        /* (c)                                           */
    enum eddy_on_death on_death;          /* (c)                                           */
    struct ed_remote_call *initializer;   /* (c) a frame to send first; never QUEUED; NULL */
    unsigned max_tasks, kills_per_second; /* (c)                                           */
    int64_t hello_ns;                     /* (c)                                           */
    uint64_t identity;                    /* (c) what HELLO must say; 0: anything          */

    struct ed_list queue;        /* (l)                                          */
    size_t queued, running;      /* (l)                                          */
    uint64_t calls, done, kills; /* (l) `calls` numbers them                     */
    uint64_t deaths, respawns;   /* (l)                                          */
    unsigned kills_wanted;       /* (l) calls SENT with kill_wanted              */
    bool closing, killing;       /* (l)                                          */
    bool is_broken;              /* (l)                                          */
    eddy_error *broken;          /* (l) why; NULL: no memory for that            */
    int bell;                    /* (l) eventfd; -1: the manager has ended       */

    struct ed_process *processes; /* see there                                    */
    struct pollfd *polls;         /* (m) the bell, then pidfd and socket of each  */
    unsigned dead_starts;         /* (m) in a row                                 */
    unsigned owed;                /* (m) processes that died or were killed, not yet replaced */
    int64_t spawn_pause_until_ns; /* (m) after a failed start                     */
    double kill_tokens;           /* (m)                                          */
    int64_t kill_tokens_ns;       /* (m) when they were last counted              */
};

/* The lock is held: makes the manager look. */
void ed_process_pool_ring(struct eddy_process_pool *pool);

void ed_remote_call_release(struct ed_remote_call *call);

/* A call with its frame built; number 0. NULL: no memory. */
struct ed_remote_call *ed_remote_call_create(struct eddy_process_pool *pool, const struct eddy_remote *remote,
                                             eddy_bytes in);

/* The manager's thread. */
void *ed_process_manager(void *pool);

#endif
