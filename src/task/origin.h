/* origin.h: debug mode's notes: where things were made, whose argument lies on a stack. See origin.c. */
#ifndef ED_TASK_ORIGIN_H
#define ED_TASK_ORIGIN_H

#include "task/future.h"

enum { ED_ORIGIN_PLACES = 16, ED_ORIGIN_BYTES = 2048 };

struct ed_origin {
    size_t count;
    void *places[ED_ORIGIN_PLACES]; /* return addresses, innermost first */
};

/* A bare future of a run in debug mode: ED_TRACED. */
struct ed_traced_future {
    struct eddy_future future;
    struct ed_origin origin;
};

struct ed_strand;

/* The calls of the caller; NULL: no memory. ed_free. */
struct ed_origin *ed_origin_take(void);
void ed_origin_fill(struct ed_origin *origin);
/* NULL: nothing was noted. Valid as long as the future. */
const struct ed_origin *ed_origin_of(const eddy_future *future);
/* A line for each call, as snprintf does; NULL: "". */
size_t ed_origin_print(const struct ed_origin *origin, char *buffer, size_t bytes);

/* The running task spawns `task`: notes its argument if that lies on the spawner's stack. */
void ed_lent_note(eddy_task *task);
/* `ended` has returned to `frame`, on this strand: reports tasks whose argument lies below it. */
void ed_lent_end(const eddy_task *ended, struct ed_strand *strand, const void *frame);

#endif
