/* inspect.h: a run answers questions from outside. See inspect.c. */
#ifndef ED_DEBUG_INSPECT_H
#define ED_DEBUG_INSPECT_H

#include "task/task.h"

struct ed_inspector;

/* A thread that answers for `sched`, from before its workers turn until after their last message. 0 or a status. */
int ed_inspector_open(struct ed_inspector **inspector_out, struct ed_sched *sched);
void ed_inspector_close(struct ed_inspector *inspector); /* NULL is nothing */

#endif
