/* serving.h: in a worker process, the call that is being served: what its function may ask (include/eddy/process_call.h).
 *
 * Threads    begin and end: the process's main thread. The public questions: any thread of the process, while the function
 *            runs. Tests: tests/exec/process_call_test.c. */
#ifndef ED_EXEC_SERVING_H
#define ED_EXEC_SERVING_H

#include "exec/wire.h"

/* The function of the call `number` is about to be entered. NULL as terms: the initializer's. */
void ed_serving_begin(uint64_t number, struct ed_wire_terms *terms);
/* It has returned. */
void ed_serving_end(void);

#endif
