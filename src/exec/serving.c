/* serving.c: see serving.h. */
#include "exec/serving.h"

#include "eddy/loop.h"
#include "eddy/process_call.h"

static struct ed_wire_terms *_Atomic serving; /* NULL: no call, or one without terms */
static _Atomic uint64_t serving_number;

void ed_serving_begin(uint64_t number, struct ed_wire_terms *terms) {
    ED_STORE_RELAXED(&serving_number, number);
    ED_STORE_RELEASE(&serving, terms);
}

void ed_serving_end(void) { ED_STORE_RELEASE(&serving, NULL); }

bool eddy_process_cancelled(void) {
    const struct ed_wire_terms *terms = ED_LOAD_ACQUIRE(&serving);
    return terms != NULL && ED_LOAD_ACQUIRE(&terms->cancelled) == ED_LOAD_RELAXED(&serving_number);
}

int64_t eddy_process_time_left_ns(void) {
    const struct ed_wire_terms *terms = ED_LOAD_ACQUIRE(&serving);
    if (terms == NULL || terms->deadline_ns == EDDY_FOREVER) return EDDY_FOREVER;
    const int64_t left_ns = terms->deadline_ns - eddy_time_ns();
    return left_ns > 0 ? left_ns : 0;
}
