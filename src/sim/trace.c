/* trace.c: a line for each event of a simulated run.
 *
 *     2000419 w1 t7 "reader" parks: queue get          virtual nanoseconds since the run began, worker, task, event
 *     2000583 net 40001 to 80: data, 5 bytes           what arrives, between which ports
 *
 * Nothing in it depends on an address, on the machine or on how the program was compiled, so that two traces can be
 * compared byte by byte. (Whether a task runs on its awaiter's stack depends on how much of that is left: frames differ
 * between compilers, and so do traces of programs that nest many of them.)
 * Threads: the simulator's. */
#include "sim/world.h"
#include "task/task.h"

#include <inttypes.h>

static void begin_line(struct ed_worker *worker) {
    struct ed_sim_world *world = ed_sim_world(worker->sched);
    fprintf(world->trace, "%10" PRId64 " w%u ", world->now_ns - ED_SIM_BEGIN_NS, worker->index);
}

void ed_sim_note(struct ed_worker *worker, const char *what) {
    struct ed_sim_world *world = ed_sim_world(worker->sched);
    if (world->trace == NULL) return;
    begin_line(worker);
    fprintf(world->trace, "%s\n", what);
}

void ed_sim_note_packet(struct ed_sched *sched, unsigned from_port, unsigned to_port, const char *what, size_t bytes) {
    struct ed_sim_world *world = ed_sim_world(sched);
    if (world->trace == NULL) return;
    fprintf(world->trace, "%10" PRId64 " net %u to %u: %s", world->now_ns - ED_SIM_BEGIN_NS, from_port, to_port, what);
    if (bytes > 0) fprintf(world->trace, ", %zu bytes", bytes);
    fprintf(world->trace, "\n");
}

static void name_task(FILE *file, const eddy_task *task) {
    char name[ED_TASK_NAME_BYTES];
    if (task->name[0] == '\0') {
        fprintf(file, "t%" PRIu64 " ", task->id);
    } else {
        eddy_task_name(task, name, sizeof name);
        fprintf(file, "t%" PRIu64 " \"%s\" ", task->id, name);
    }
}

static void hear(struct ed_listener *listener, struct ed_worker *worker, enum ed_event event, const void *what,
                 int64_t number, const char *text) {
    FILE *file = ED_CONTAINER(listener, struct ed_sim_world, listener)->trace;
    begin_line(worker);
    if (event == ED_EVENT_STEAL) what = ED_CONTAINER(what, struct eddy_task, start);
    if (what != NULL) name_task(file, what);
    switch (event) {
    case ED_EVENT_START: fprintf(file, "starts\n"); break;
    case ED_EVENT_DIRECT: fprintf(file, "starts on its awaiter's stack\n"); break;
    case ED_EVENT_PARK: fprintf(file, "parks: %s\n", text); break;
    case ED_EVENT_RESUME: fprintf(file, "goes on: %s\n", text); break;
    case ED_EVENT_PREEMPT: fprintf(file, "is put off\n"); break;
    case ED_EVENT_WAKE: fprintf(file, "is woken: %s\n", number < 0 ? eddy_status_name((int)number) : "done"); break;
    case ED_EVENT_DUE: fprintf(file, "is due\n"); break;
    case ED_EVENT_CANCEL: fprintf(file, "is asked to end, request %" PRId64 "\n", number); break;
    case ED_EVENT_DELIVER: fprintf(file, "hears the request\n"); break;
    case ED_EVENT_END: fprintf(file, "ends: %s\n", number < 0 ? eddy_status_name((int)number) : "done"); break;
    case ED_EVENT_STEAL: fprintf(file, "is stolen from w%" PRId64 "\n", number); break;
    case ED_EVENT_PUBLISH: fprintf(file, "shares: %" PRId64 "\n", number); break;
    case ED_EVENT_GIVE: fprintf(file, "moves to w%" PRId64 "\n", number); break;
    case ED_EVENT_POST: fprintf(file, "posts to w%" PRId64 "\n", number); break;
    }
}

void ed_sim_trace_to(struct ed_sched *sched, FILE *file) {
    struct ed_sim_world *world = ed_sim_world(sched);
    world->trace = file;
    world->listener.hear = hear;
    sched->listener = file != NULL ? &world->listener : NULL;
}
