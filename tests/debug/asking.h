/* asking.h: stacks and pictures for claims about what they show. A worker that gets no core for a second does not answer: it is
 * asked again, until all do. */
#ifndef ASKING_H
#define ASKING_H

#include "harness/test.h"

#include "debug/picture.h"

static inline int print_stack(eddy_task *task, char *text, size_t bytes) {
    int status;
    do status = eddy_task_print_stack(task, text, bytes);
    while (status == EDDY_EBUSY);
    return status;
}

static inline eddy_picture *take_picture(void) {
    for (;;) {
        eddy_picture *picture;
        EXPECT_OK(eddy_picture_take(&picture));
        if (picture->missing == 0) return picture;
        eddy_picture_release(picture);
    }
}

#endif
