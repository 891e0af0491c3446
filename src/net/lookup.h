/* lookup.h: what takes a thread of the resolver's: names to addresses (resolve.c), addresses to names (address_name.c). See
 * lookup.c. */
#ifndef ED_NET_LOOKUP_H
#define ED_NET_LOOKUP_H

#include "eddy/task.h"
#include "sched/sched.h"

/* The beginning of a job, which owns all that its run touches. */
struct ed_lookup {
    struct ed_lookup *next;
    struct ed_later later; /* where there are no threads */
    const struct ed_sockets *sockets;
    eddy_future *future; /* one reference; completed by run */
    _Atomic bool abandoned;
    _Atomic int references;                /* the task and the queue */
    void (*run)(struct ed_lookup *lookup); /* in a thread: completes the future */
};

/* A job of `bytes`, zeroed, the ed_lookup first; a value that nobody takes goes to `drop`. NULL: no memory. */
void *ed_lookup_create(size_t bytes, void (*run)(struct ed_lookup *lookup), void (*drop)(eddy_value value));
/* Has it done, and takes its value. Takes the job. Suspends; cancelled, it is abandoned. */
int ed_lookup_do(struct ed_lookup *lookup, const char *reason, eddy_value *value_out);
/* libuv's code for what getaddrinfo and getnameinfo gave. */
int ed_lookup_status(int failure, int error);

struct ed_sched;
/* Joins the look-up threads of the run. Blocks while look-ups are under way. */
void ed_resolver_close(struct ed_sched *sched);

#endif
