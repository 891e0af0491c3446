/* no_debug.h: for models of tasks: debug mode is off, no user's callback is added. */
#ifndef MODEL_NO_DEBUG_H
#define MODEL_NO_DEBUG_H

#include "task/callback.h"

struct ed_origin *ed_origin_take(void) {
    return NULL;
}
void ed_origin_fill(struct ed_origin *origin) { (void)origin; }
const struct ed_origin *ed_origin_of(const eddy_future *of) { return (void)of, NULL; }
size_t ed_origin_print(const struct ed_origin *origin, char *buffer, size_t bytes) {
    (void)origin, (void)buffer, (void)bytes;
    return 0;
}
void ed_lent_note(eddy_task *task) { (void)task; }
void ed_lent_end(const eddy_task *ended, struct ed_strand *strand, const void *frame) {
    (void)ended, (void)strand, (void)frame;
}
void ed_hold_end(eddy_task *ended, struct ed_strand *strand) { (void)ended, (void)strand; }
void ed_report_future(eddy_future *of, enum eddy_report_kind kind, const char *message) {
    (void)of, (void)kind, (void)message;
}
int ed_outside_task(void) { return EDDY_EWRONGTHREAD; }
void ed_function_message(const char *what, uintptr_t function, char message_out[ED_FUNCTION_MESSAGE_BYTES]) {
    (void)what, (void)function;
    message_out[0] = '\0';
}
int ed_wrong_thread(struct ed_sched *of, const char *message) { return (void)of, (void)message, EDDY_EWRONGTHREAD; }
size_t ed_callbacks_count(const eddy_future *of) { return (void)of, 0; }
void ed_callbacks_drop(eddy_future *of) { (void)of; }

#endif
