/* worker.c: what net/ does when a run ends. */
#include "net/lookup.h"
#include "net/net.h"
#include "net/opened.h"
#include "net/stream.h"
#include "sched/sched.h"

void ed_net_worker_close(struct ed_worker *worker) {
    struct ed_net_worker *net = worker->net_data;
    if (net == NULL) return;
    while (!ed_list_empty(&net->streams)) ed_stream_end_run(ed_stream_of_node(net->streams.next));
    while (!ed_list_empty(&net->opened)) ed_opened_end_run(net->opened.next);
    ed_buffer_store_deinit(&net->store);
    ed_free(net);
    worker->net_data = NULL;
}

void ed_net_close(struct ed_sched *sched) { ed_resolver_close(sched); }
