/* resolve.h: the look-up threads' end. See resolve.c. */
#ifndef ED_NET_RESOLVE_H
#define ED_NET_RESOLVE_H

struct ed_sched;

/* Joins the look-up threads of the run. Blocks while look-ups are under way. */
void ed_resolver_close(struct ed_sched *sched);

#endif
