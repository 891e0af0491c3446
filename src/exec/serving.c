/* serving.c: see serving.h. */
#include "exec/serving.h"
#include "exec/process_buffer.h"

#include "eddy/loop.h"
#include "eddy/process_call.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct ed_wire_terms *_Atomic serving; /* NULL: no call, or one without terms */
static _Atomic uint64_t serving_number;
static pthread_t serving_thread; /* written by begin, which comes before any reader that `serving` lets in */
static eddy_bytes lent;          /* as serving_thread */
static struct ed_came own;       /* the serving thread's alone; -1: taken */
static unsigned own_fds;         /* as serving_thread: without the buffer's */

void ed_came_close(struct ed_came *came) {
    for (unsigned i = 0; i < came->count; i++)
        if (came->fds[i] >= 0) close(came->fds[i]);
    came->count = 0;
}

int ed_serving_begin(uint64_t number, struct ed_wire_terms *terms, struct ed_came *came, char text[ED_WIRE_TEXT_MAX]) {
    if (terms == NULL) return 0;
    own = *came;
    came->count = 0;
    own_fds = terms->fds;
    if (own.count != terms->fds + (terms->buffer_bytes > 0)) {
        snprintf(text, ED_WIRE_TEXT_MAX,
                 "the worker process cannot open the %u descriptors of the call: see RLIMIT_NOFILE",
                 terms->fds + (terms->buffer_bytes > 0));
        return EDDY_ELIMIT;
    }
    if (terms->buffer_bytes > 0) {
        const int status = ed_buffer_map(own.fds[own_fds], terms->buffer_bytes, &lent);
        if (status < 0) {
            snprintf(text, ED_WIRE_TEXT_MAX, "the worker process cannot map the buffer of %llu bytes: %s",
                     (unsigned long long)terms->buffer_bytes, eddy_status_text(status));
            return status;
        }
    }
    serving_thread = pthread_self();
    ED_STORE_RELAXED(&serving_number, number);
    ED_STORE_RELEASE(&serving, terms);
    return 0;
}

void ed_serving_end(void) {
    ED_STORE_RELEASE(&serving, NULL);
    ed_buffer_unmap(&lent);
    ed_came_close(&own);
}

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

eddy_bytes eddy_process_lent_buffer(void) { return ED_LOAD_ACQUIRE(&serving) != NULL ? lent : (eddy_bytes){NULL, 0}; }

size_t eddy_process_fd_count(void) { return ED_LOAD_ACQUIRE(&serving) != NULL ? own_fds : 0; }

int eddy_process_fd_take(size_t index) {
    if (ED_LOAD_ACQUIRE(&serving) == NULL || index >= own_fds) return EDDY_EINVAL;
    if (!pthread_equal(serving_thread, pthread_self())) return EDDY_EWRONGTHREAD;
    const int fd = own.fds[index];
    own.fds[index] = -1;
    return fd >= 0 ? fd : EDDY_ESTATE;
}

int eddy_process_report(const void *data, size_t bytes) {
    struct ed_wire_terms *terms = ED_LOAD_ACQUIRE(&serving);
    if (terms == NULL || !pthread_equal(serving_thread, pthread_self())) return EDDY_EWRONGTHREAD;
    if (data == NULL && bytes > 0) return EDDY_EINVAL;
    if (bytes > ED_REPORT_BYTES_MAX) return EDDY_ELIMIT;
    if (terms->wants_reports && ed_report_put(&terms->report, data, (uint32_t)bytes))
        ed_worker_send(&(struct ed_wire_head){
            .magic = ED_WIRE_MAGIC, .kind = ED_WIRE_REPORTED, .number = ED_LOAD_RELAXED(&serving_number)});
    return 0;
}
