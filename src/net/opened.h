/* opened.h: a descriptor with an owner that is no stream: watches, datagram sockets. See opened.c. */
#ifndef ED_NET_OPENED_H
#define ED_NET_OPENED_H

#include "eddy/base.h"
#include "loop/loop.h"
#include "sched/sched.h"

struct ed_opened {
    _Atomic uint32_t references; /* the owner's, each call's that is inside, the message's instead of the owner's */
    struct ed_worker *worker;    /* (c) home */
    const char *what;            /* (c) "a watch" */
    struct ed_poll *poll;        /* (o) NULL: closed */
    struct ed_list node;         /* (o) in ed_net_worker.opened while it is open */
    struct ed_message close;
    _Atomic bool gone;                /* closed: nothing needs the home any more */
    void (*free)(struct ed_opened *); /* (c) any thread */
};

/* On the calling worker, which becomes its home. Takes `fd` if 0 is returned. */
int ed_opened_init(struct ed_opened *opened, int fd, const char *what, void (*free)(struct ed_opened *));
/* The owner's end of it. Any thread. */
void ed_opened_close(struct ed_opened *opened);
/* Runs fn(arg) at home, as a call that is inside. Any task; suspends. */
int ed_opened_call(struct ed_opened *opened, eddy_coro_fn fn, void *arg, const char *name);
/* The run ends: reports, closes the descriptor. The owner's reference remains. */
void ed_opened_end_run(struct ed_list *node);

#endif
