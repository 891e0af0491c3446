/* picture.h: pictures of all tasks. See picture.c, show.c. */
#ifndef ED_DEBUG_PICTURE_H
#define ED_DEBUG_PICTURE_H

#include "eddy/debug.h"
#include "task/task.h"

#include <pthread.h>

enum { ED_STACK_FRAMES = 64 };

/* A task as its worker saw it. */
struct ed_seen {
    struct ed_seen *next;
    eddy_task_picture told; /* its pointers lead into this record */
    char name[ED_TASK_NAME_BYTES];
    const struct ed_fiber *fiber; /* on which it is: an address to compare */
    uint64_t group_parent;        /* the task whose group it belongs to, or 0 */
    bool in_exit;                 /* it waits for its group's children */
    bool seen;                    /* by its own worker */
    struct ed_awaited {
        uint64_t *ids;
        size_t count, capacity;
    } awaited;
    void *frames[];
};

struct eddy_picture {
    _Atomic unsigned references; /* the taker, and each message on its way */
    struct ed_sched *sched;
    eddy_task *only; /* it, and who shares its stack; NULL: all. Its record stays a task's, whatever becomes of it */
    bool stacks;
    const void *caller; /* where the taker goes on: its own stack begins there */
    int64_t taken_ns;
    pthread_mutex_t mutex; /* unanswered, closed, list, count, lost, others_told */
    pthread_cond_t changed;
    unsigned unanswered;  /* workers */
    unsigned missing;     /* workers that had not answered when it was closed */
    bool closed;          /* the taker waits no more: who answers now tells nothing */
    bool others_told;     /* one worker has told of the tasks that are not its own */
    struct ed_seen *list; /* until it is closed */
    size_t count, lost;
    eddy_future *answered; /* a task's: set by the last that answers; or NULL */
    struct ed_seen **all;  /* once it is closed: in order of ids */
    struct visit {
        struct ed_message message;
        struct eddy_picture *picture;
    } visits[];
};

/* Takes one from a task, or from a plain thread (which blocks), of all tasks or of one. 0 or a status. */
int ed_picture_take(eddy_picture **picture_out, struct ed_sched *sched, eddy_task *only, bool stacks,
                    const void *caller);

/* Lines for a task's calls, those inside eddy left out where their names are known. As snprintf. */
size_t ed_stack_text(void *const *places, size_t count, const char *indent, char *buffer, size_t bytes);

#endif
