/* net.h: the door of net/: what the runtime calls when a run ends. Streams, servers and look-ups themselves are
 * public: include/eddy/net.h. */
#ifndef ED_NET_H
#define ED_NET_H

struct ed_sched;
struct ed_worker;

/* On `worker`'s thread, not in a task: `held` has not visited its scheduler for ED_HELD_NS, so `worker` accepts the
 * connections that wait for it, as its own. */
void ed_net_visit(struct ed_worker *worker, const struct ed_worker *held);

/* On the worker's thread, when its tasks have ended and before its driver closes: closes and reports every stream
 * that was left open, and gives the worker's buffers back. Legal when net/ was never used. */
void ed_net_worker_close(struct ed_worker *worker);

/* When no task runs any more, on any worker, and before the workers' memory goes: ends the look-up threads. Blocks
 * until look-ups under way have ended. Legal when there were none. */
void ed_net_close(struct ed_sched *sched);

#endif
