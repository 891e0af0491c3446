/* process_call.c: see process_call.h: calls that take along a buffer, descriptors, progress. */
#include "exec/process_call.h"
#include "exec/process_buffer.h"
#include "exec/process_pool.h"
#include "exec/remote.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(EDDY_PROCESS_FDS_MAX + 1 == ED_WIRE_FDS_MAX, "and the buffer's");
_Static_assert((int)EDDY_PROCESS_REPORT_MAX == (int)ED_REPORT_BYTES_MAX, "one limit");

/* ---- records ------------------------------------------------------------------------------------ */

/* On the call's worker. */
static void news_arrives(struct ed_message *message, struct ed_worker *worker) {
    struct ed_call_extras *extras = ED_CONTAINER(message, struct ed_call_extras, news);
    struct ed_remote_call *call = extras->call;
    (void)worker;
    ED_STORE_RELEASE(&extras->is_news_under_way, false);
    ed_caller_interrupt(&call->caller);
    ed_remote_call_release(call);
}

static int copy_fds(struct ed_call_extras *extras, const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const int copy = ed_fd_copy(fds[i], ED_WORKER_FIRST_CLOSED);
        if (copy < 0)
            return eddy_fail(copy, "descriptor %d cannot be passed to a worker process: %s", fds[i],
                             eddy_status_text(copy));
        extras->fds[extras->fds_count++] = copy;
    }
    return 0;
}

int ed_call_extras_create(struct ed_call_extras **extras_out, const eddy_process_call_options *options) {
    *extras_out = NULL;
    if (options->size != sizeof *options || (options->fds == NULL && options->fds_count > 0)) return EDDY_EINVAL;
    if (options->fds_count > EDDY_PROCESS_FDS_MAX)
        return eddy_fail(EDDY_EINVAL, "a call takes %d descriptors, not %zu", EDDY_PROCESS_FDS_MAX, options->fds_count);
    if (options->buffer != NULL && *options->buffer == NULL)
        return eddy_fail(EDDY_EINVAL, "the call's buffer is NULL: another call has it, or had it and was abandoned");
    if (options->buffer == NULL && options->fds_count == 0 && options->progress == NULL) return 0;

    struct ed_call_extras *extras = ed_calloc(sizeof *extras);
    if (extras == NULL) return EDDY_ENOMEM;
    extras->progress = options->progress;
    extras->progress_arg = options->progress_arg;
    extras->news.arrive = news_arrives;
    int status = copy_fds(extras, options->fds, options->fds_count);
    if (status == 0 && options->buffer != NULL) {
        extras->buffer_bytes = (*options->buffer)->bytes.size;
        status = copy_fds(extras, &(*options->buffer)->memfd, 1);
    }
    if (status < 0) {
        ed_call_extras_free(extras);
        return status;
    }
    if (options->buffer != NULL) {
        extras->buffer = *options->buffer;
        *options->buffer = NULL;
    }
    *extras_out = extras;
    return 0;
}

void ed_call_extras_free(struct ed_call_extras *extras) {
    if (extras == NULL) return;
    for (unsigned i = 0; i < extras->fds_count; i++) close(extras->fds[i]);
    eddy_process_buffer_release(extras->buffer);
    ed_free(extras);
}

size_t ed_fds_pack(union ed_fds_control *control, const int *fds, unsigned count) {
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof *control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(part), fds, count * sizeof *fds);
    return CMSG_SPACE(count * sizeof *fds);
}
_Static_assert(CMSG_SPACE(ED_WIRE_FDS_MAX * sizeof(int)) <= sizeof(union ed_fds_control), "room for all");

/* ---- terms and progress ------------------------------------------------------------------------- */

void ed_call_write_terms(const struct ed_remote_call *call, struct ed_wire_terms *terms) {
    const struct ed_call_extras *extras = call->extras;
    terms->deadline_ns = call->deadline_ns;
    terms->buffer_bytes = extras != NULL ? extras->buffer_bytes : 0;
    terms->fds = extras != NULL ? extras->fds_count - (extras->buffer_bytes > 0) : 0;
    terms->wants_reports = extras != NULL && extras->progress != NULL;
    if (terms->wants_reports) ed_report_init(&terms->report);
}

void ed_call_keep_report(struct ed_remote_call *call, struct ed_wire_terms *terms) {
    struct ed_call_extras *extras = call->extras;
    if (extras == NULL || extras->progress == NULL) return;
    extras->has_said |= ed_report_take(&terms->report, extras->said, &extras->said_bytes, &extras->said_number);
}

void ed_call_has_news(struct ed_remote_call *call) {
    struct ed_call_extras *extras = call->extras;
    if (extras == NULL || extras->progress == NULL || ED_EXCHANGE(&extras->is_news_under_way, true)) return;
    ED_ADD(&call->references, 1);
    if (ed_post(call->caller.worker, &extras->news) < 0) extras->news.arrive(&extras->news, call->caller.worker);
}

int ed_call_tell_news(struct ed_remote_call *call) {
    struct ed_call_extras *extras = call->extras;
    if (extras == NULL || extras->progress == NULL) return 0;
    char said[ED_REPORT_BYTES_MAX];
    pthread_mutex_lock(&call->pool->pool.lock);
    if (call->state == ED_CALL_SENT) ed_call_keep_report(call, &call->process->os.page->terms[call->entry]);
    const bool has_said = extras->has_said;
    const uint32_t bytes = extras->said_bytes;
    const uint64_t number = extras->said_number;
    extras->has_said = false;
    if (has_said) memcpy(said, extras->said, bytes);
    pthread_mutex_unlock(&call->pool->pool.lock);
    if (!has_said) return 0;
    struct ed_fiber *fiber = ed_fiber_current();
    const bool migrates = ed_stay_begin(fiber); /* the call's messages go to this worker (caller.h) */
    const int status = extras->progress(extras->progress_arg, eddy_bytes_view(said, bytes), number);
    ed_stay_end(fiber, migrates);
    return status < 0 ? status : 0;
}

/* ---- the call ----------------------------------------------------------------------------------- */

int eddy_process_pool_call(eddy_process_pool *pool, eddy_remote_fn fn, eddy_bytes in, eddy_bytes *out,
                           const eddy_process_call_options *options) {
    if (out != NULL) *out = (eddy_bytes){NULL, 0};
    if (ed_fiber_current() == NULL) return ed_outside_task();
    struct ed_call_extras *extras = NULL;
    int status = pool != NULL ? 0 : ed_process_pool_default(&pool);
    if (status == 0 && options != NULL) status = ed_call_extras_create(&extras, options);
    if (status < 0) return status;

    struct ed_remote_call *call;
    status = ed_remote_call_make(pool, fn, in, &call);
    if (status == 0) {
        call->extras = extras;
        if (extras != NULL) extras->call = call;
        status = ed_remote_call_run(call, out);
    }
    if (extras != NULL && extras->buffer != NULL && (call == NULL || !call->abandoned)) {
        *options->buffer = extras->buffer; /* (A2) */
        extras->buffer = NULL;
    }
    if (call != NULL)
        ed_remote_call_release(call);
    else
        ed_call_extras_free(extras);
    return status;
}
