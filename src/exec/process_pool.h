/* process_pool.h: what the two sides of a process pool share: tasks (process_pool.c) and its thread (manager.c).
 *
 * Problem    A call's task may be cancelled, its process may die, and the pool may end, all in the same moment; a process
 *            must have been started by a thread that outlives it; nobody may wait where a worker's loop turns; and a short
 *            call must not pay for a thread between its task and the process.
 * Idea       Bytes and life are two matters. The pool's home, the worker that opened it, polls the sockets in its own loop: a
 *            task there sends its call itself and is woken by the answer's arrival; from another worker the home is asked
 *            by a message (feeder.c). One thread per pool, the manager, starts, kills and reaps, and knows deadlines
 *            (manager.c). Both meet under the pool's lock.
 *
 *   call     QUEUED ---home---> SENT (a process has it) ---home---> DONE (the caller is told)
 *              \  \---its process died or was too busy to begin it--/ back to the front of the queue
 *               \--its task, a closer---> TAKEN_BACK; also from SENT while its slot says that it has not begun (wire.h)
 *            kill_wanted: its task was cancelled and waits for the end of the work, or from kill_at_ns on for its death.
 *            abandoned:   its task was cancelled and left; result and failure are the pool's to drop and report.
 *
 *   process  DEAD --spawned--> STARTING --HELLO--> INITIALIZING --RESULT--> READY
 *            (without an initializer STARTING goes to READY)
 *            READY -> ENDING: its end of the stream was closed (pool closes, max_tasks); it has until its deadline.
 *            any -> DYING: killed. Its pidfd says that it ended (`reaped`); then the home reads what it had sent, lets go of
 *            its socket, settles its calls: DEAD.
 *
 *   pool     open -> closing (kill: processes at once; terminate: what has begun is told, and killed at terminate_at_ns) ->
 *            ended, when all processes are DEAD.
 *            broken: takes no more calls; what is SENT may still end. By starts that can come to nothing: the system refuses
 *            one for good, or all for 10 s, or three in a row die before their first call.
 *
 * In flight  A process that is free gets one call. Once all processes are there, and all have one, small calls go out up to
 *            ED_WIRE_IN_FLIGHT each. One that waits behind another is taken back when somebody is free, or can be started
 *            in place of one that ended.
 * Invariants (P1) An entry of a process is a call, or one that was taken away (gone), until its answer is read.
 *            (P2) A death fails at most the call that the dead process had begun; what it had answered before counts.
 *            (P3) The manager ends after the last process is DEAD.
 * Fields     (c) constant; (l) under the lock; (m) the manager alone; (h) the home alone; (lm), (lh) written by it under the
 *            lock, so that it may read them without.
 * Threads    See above. Locks: run.h. Nothing blocks under the lock.
 * Tests      tests/exec/process_test.c, process_life_test.c, process_move_test.c. */
#ifndef ED_EXEC_PROCESS_POOL_H
#define ED_EXEC_PROCESS_POOL_H

#include "eddy/process.h"
#include "exec/caller.h"
#include "exec/process_call.h"
#include "exec/run.h"
#include "exec/spawn.h"
#include "exec/wire.h"

#include <poll.h>

enum {
    ED_PROCESSES_MAX = 256,
    ED_REFUSED_STARTS_MAX = 100 /* in a row, with no process there: 10 s of what the system may be short of */
};

enum ed_call_state { ED_CALL_QUEUED, ED_CALL_SENT, ED_CALL_DONE, ED_CALL_TAKEN_BACK };

struct ed_remote_call {
    struct ed_list link;            /* (l) while QUEUED                                    */
    struct ed_caller caller;        /* see caller.h                                        */
    struct eddy_process_pool *pool; /* (c) one reference                                   */
    _Atomic unsigned references;    /* the task's, and the manager's until DONE/TAKEN_BACK */
    const char *name;               /* (c) of the function; static                         */
    struct ed_process *process;     /* (l) while SENT                                      */
    unsigned entry;                 /* (l) while SENT: of the process                      */
    enum ed_call_state state;       /* (l)                                                 */
    bool kill_wanted, abandoned;    /* (l)                                                 */
    int64_t kill_at_ns;             /* (l) with kill_wanted                                */
    int64_t deadline_ns;            /* (c) of its task's scopes; EDDY_FOREVER              */
    struct ed_call_extras *extras;  /* (c) NULL: bytes alone                               */
    unsigned moves;                 /* (l) processes that died before they began it        */
    int status;                     /* once DONE or TAKEN_BACK                             */
    eddy_error *error;              /* as status                                           */
    eddy_bytes out;                 /* once DONE                                           */
    size_t frame_bytes;             /* (c)                                                 */
    struct ed_wire_head head;       /* (c) the frame: head, name, argument; slot: (h)      */
    char rest[];                    /* (c)                                                 */
};

enum ed_process_state {
    ED_PROCESS_DEAD,
    ED_PROCESS_STARTING,
    ED_PROCESS_INITIALIZING,
    ED_PROCESS_READY,
    ED_PROCESS_ENDING,
    ED_PROCESS_DYING
};

/* What its next frame must be. */
enum ed_awaits { ED_AWAITS_HELLO, ED_AWAITS_INITIALIZER, ED_AWAITS_ANSWERS };

struct ed_entry_of_call {
    struct ed_remote_call *call; /* (lh) one reference                                  */
    uint64_t number;             /* (lh)                                                */
    bool gone;                   /* (l) taken back: its answer will say nothing         */
};

struct ed_process {
    struct eddy_process_pool *pool;   /* (c)                                                      */
    enum ed_process_state state;      /* (l)                                                      */
    struct ed_spawned os;             /* (l) pid; pidfd (m); page (l); socket (c). Valid unless DEAD */
    bool expected;                    /* (l) its end is our doing: no death                       */
    bool reaped;                      /* (l) it has ended                                         */
    bool was_ready;                   /* (l) no dead start                                        */
    int unattached;                   /* (l) why the home could not take it; 0                    */
    unsigned served;                  /* (l) calls, for max_tasks                                 */
    int64_t deadline_ns;              /* (m) STARTING: for HELLO; ENDING: for the end             */
    char end[160];                    /* once reaped: what became of it                           */
    bool cpu_used_up;                 /* once reaped: the call that it had begun went over its limit */
    struct ed_message attach, detach; /* from the manager to the home, in this order            */

    struct ed_entry_of_call entries[ED_WIRE_IN_FLIGHT]; /* a ring                               */
    unsigned first, count;                              /* (lh)                                 */
    unsigned unsent;                                    /* (h) of the newest entries            */
    size_t sent_bytes;                                  /* (h) of the oldest of these           */
    const char *send_first;                             /* (h) the initializer's frame, or what is left of it */
    size_t send_first_bytes;                            /* (h)                                  */

    enum ed_awaits awaits;       /* (h)                                                      */
    bool is_deaf;                /* (h) it spoke nonsense, or its end of the stream came      */
    struct ed_poller *poller;    /* (h) NULL: not attached                                   */
    struct ed_wire_head head;    /* (h) of the frame that is coming in                       */
    size_t got;                  /* (h) bytes of it: head, text, payload                     */
    char text[ED_WIRE_TEXT_MAX]; /* (h)                                                      */
    eddy_bytes payload;          /* (h) NULL data with bytes to come: no memory, skipped     */
};

struct eddy_process_pool {
    struct ed_pool pool;                  /* references also: each call, `ask` under way   */
    struct ed_worker *home;               /* (c)                                           */
    struct ed_message ask;                /* to the home: look at the queue                */
    bool is_asked;                        /* (l) it is under way                           */
    char *worker_path;                    /* (c) NULL: this program                        */
    char **environment;                   /* (m) spawn.h                                   */
    unsigned processes_max;               /* (c)                                           */
    size_t queue_max;                     /* (c)                                           */
    enum eddy_on_cancel on_cancel;        /* (c)                                           */
    enum eddy_on_death on_death;          /* (c)                                           */
    struct ed_remote_call *initializer;   /* (c) a frame to send first; never QUEUED; NULL */
    unsigned max_tasks, kills_per_second; /* (c)                                           */
    struct ed_wire_limits limits;         /* (c)                                           */
    int64_t hello_ns, grace_ns;           /* (c)                                           */
    bool same_build;                      /* (c) HELLO must give this identity             */
    struct ed_wire_identity identity;     /* (c) of this program                           */

    struct ed_list queue;        /* (l)                                          */
    size_t queued;               /* (l)                                          */
    uint64_t calls, done, kills; /* (l) `calls` numbers them                     */
    uint64_t deaths, respawns;   /* (l)                                          */
    unsigned kills_wanted;       /* (l) calls SENT with kill_wanted              */
    bool closing, killing;       /* (l)                                          */
    bool terminating;            /* (l) also closing                             */
    bool has_signalled;          /* (m) while terminating                        */
    int64_t looked_ns;           /* (m) when it last looked at what was asked for */
    int64_t terminate_grace_ns;  /* (l) of who terminates                        */
    int64_t terminate_at_ns;     /* (l) while terminating                        */
    bool is_broken;              /* (l)                                          */
    eddy_error *broken;          /* (l) why; NULL: no memory for that            */
    int bell;                    /* (l) eventfd; -1: the manager has ended       */

    struct ed_process *processes; /* see there                                    */
    struct pollfd *polls;         /* (m) the bell, then the pidfd of each         */
    unsigned dead_starts;         /* (l) in a row                                 */
    unsigned refused_starts;      /* (l) by the system; in a row, with no process there */
    unsigned owed;                /* (l) processes that died or were killed, not yet replaced */
    int64_t spawn_pause_until_ns; /* (l) after a start that was refused           */
    double kill_tokens;           /* (m)                                          */
    int64_t kill_tokens_ns;       /* (m) when they were last counted              */
};

/* The lock is held: makes the manager look. */
void ed_process_pool_ring(struct eddy_process_pool *pool);
/* The lock is held. Calls that wait for a process that is free, or not there yet; and processes that have one. */
size_t ed_process_pool_waiting(const struct eddy_process_pool *pool, size_t *running_out);

/* The default pool of the calling worker's run, opened at its first use. */
int ed_process_pool_default(struct eddy_process_pool **pool_out);
/* A call of a registered function, with two references: the caller's, and the pool's, which ed_remote_call_run passes on. */
int ed_remote_call_make(struct eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in,
                        struct ed_remote_call **call_out);
/* Has it run, and waits: what eddy_process_pool_call gives. */
int ed_remote_call_run(struct ed_remote_call *call, eddy_bytes *out);
void ed_remote_call_release(struct ed_remote_call *call);

/* A call with its frame built; number 0. NULL: no memory. */
struct ed_remote_call *ed_remote_call_create(struct eddy_process_pool *pool, const struct eddy_remote *remote,
                                             eddy_bytes in);

/* ---- feeder.c: the home ------------------------------------------------------------------------- */

/* On the home, in a task or not: gives queued calls to processes and sends. */
void ed_process_pool_feed(struct eddy_process_pool *pool);
/* The lock is held: takes a SENT call out of its process's hands. False: it has begun. */
bool ed_remote_call_take(struct ed_remote_call *call);
/* The lock is held: a SENT call goes back to the front of the queue. False: it has begun. */
bool ed_remote_call_move(struct ed_remote_call *call);
/* Arrivals on the home of what the manager sends: a process has been spawned; it was reaped. */
void ed_process_attach(struct ed_message *message, struct ed_worker *home);
void ed_process_detach(struct ed_message *message, struct ed_worker *home);

/* ---- manager.c ---------------------------------------------------------------------------------- */

/* The manager's thread. */
void *ed_process_manager(void *pool);
eddy_error *ed_process_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What calls are told that a pool which is killed or terminated does not run. NULL: no memory. */
eddy_error *ed_process_pool_error_of_end(const struct eddy_process_pool *pool);
/* The lock is held. Takes `why`; the first one stays. */
void ed_process_pool_break(struct eddy_process_pool *pool, eddy_error *why);
/* The lock is held. Its pidfd will tell. `expected`: by our own decision. */
void ed_process_kill(struct ed_process *process, bool expected);
/* The lock is held: the call is in no hands but the caller's. Takes `error`. */
void ed_remote_call_end(struct ed_remote_call *call, int status, eddy_error *error);
/* The lock is held. The process is reaped and its socket closed: what becomes of its calls, and of the pool. DEAD. */
void ed_process_settle(struct ed_process *process);

#endif
