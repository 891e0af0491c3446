/* file.c: a system call on a file as a job of the run's file pool.
 *
 * Problem    A cancelled job has perhaps begun: its caller must not be told that nothing was written when something was.
 * Idea       The job lies on the caller's stack, and the pool's borrowing form returns only when the function has ended
 *            or will never begin. `begun` says which: what was done is told as done, and the request put back.
 * Invariants (F1) A pool for each run, made by its first file; the end of the run closes it.
 * Threads    Calls: tasks. Jobs: the pool's threads.
 * Tests      tests/file/file_test.c. */
#include "eddy/file.h"
#include "eddy/thread.h"
#include "task/task.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    THREADS_MAX = 8,
    LIMIT_BYTES = 64 * 1024 * 1024
}; /* 8: what a disk's queue likes, and one slow mount leaves some */

struct eddy_file {
    int fd; /* (c) */
};

struct job {
    int (*run)(struct job *job);
    int fd;
    const char *path;
    int flags;
    unsigned mode;
    void *data;
    size_t bytes;
    int64_t offset;
    bool begun;
    int result;
};

/* ---- the pool ---------------------------------------------------------------------------------- */

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* F1 */
static int pool_of_run(eddy_thread_pool **pool_out) {
    struct ed_sched *sched = ed_worker_current()->sched;
    int status = 0;
    pthread_mutex_lock(&making);
    if (sched->file_data == NULL) {
        eddy_thread_pool *pool;
        eddy_thread_pool_options options = eddy_thread_pool_options_init();
        options.threads = THREADS_MAX;
        options.name = "files";
        status = eddy_thread_pool_create(&pool, &options);
        if (status == 0) sched->file_data = pool;
    }
    *pool_out = sched->file_data;
    pthread_mutex_unlock(&making);
    return status;
}

static int run_job(void *arg, eddy_value *out) {
    struct job *job = arg;
    (void)out;
    job->begun = true;
    job->result = job->run(job);
    return 0;
}

static int submit(struct job *job) {
    eddy_thread_pool *pool;
    if (ed_fiber_current() == NULL) return ed_outside_task();
    int status = pool_of_run(&pool);
    if (status == 0) status = eddy_thread_pool_run(pool, run_job, job, NULL);
    if (!job->begun) return status;
    if (status == EDDY_ECANCELED) {
        eddy_cancel(EDDY_FUTURE(ed_task_current()));
        eddy_task_uncancel(ed_task_current()); /* pending again, but asked for once */
    }
    return job->result;
}

/* ---- jobs: 0 or more, or -errno ----------------------------------------------------------------- */

static ED_SYSCALL int run_open(struct job *job) {
    int fd;
    do fd = open(job->path, job->flags | O_CLOEXEC, job->mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static ED_SYSCALL int run_read(struct job *job) {
    size_t done = 0;
    while (done < job->bytes) {
        ssize_t got = pread(job->fd, (char *)job->data + done, job->bytes - done, job->offset + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (int)done;
}

static ED_SYSCALL int run_write(struct job *job) {
    for (size_t done = 0; done < job->bytes;) {
        ssize_t put = pwrite(job->fd, (char *)job->data + done, job->bytes - done, job->offset + (int64_t)done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -errno;
        done += (size_t)put;
    }
    return 0;
}

static ED_SYSCALL int run_sync(struct job *job) {
    return (job->flags != 0 ? fdatasync(job->fd) : fsync(job->fd)) < 0 ? -errno : 0;
}

static ED_SYSCALL int run_size(struct job *job) {
    struct stat found;
    if (fstat(job->fd, &found) < 0) return -errno;
    job->offset = found.st_size;
    return 0;
}

static ED_SYSCALL int run_truncate(struct job *job) { return ftruncate(job->fd, job->offset) < 0 ? -errno : 0; }

static ED_SYSCALL int run_close(struct job *job) { return close(job->fd) < 0 && errno != EINTR ? -errno : 0; }

/* ---- the public words --------------------------------------------------------------------------- */

int eddy_file_open(eddy_file **file_out, const char *path, int flags, unsigned mode) {
    if (path == NULL) return EDDY_EINVAL;
    eddy_file *file = ed_alloc(sizeof *file);
    if (file == NULL) return EDDY_ENOMEM;
    struct job job = {.run = run_open, .path = path, .flags = flags, .mode = mode};
    int status = submit(&job);
    if (status < 0) {
        ed_free(file);
        return job.begun ? eddy_fail(status, "cannot open %s: %s", path, eddy_status_text(status)) : status;
    }
    file->fd = status;
    *file_out = file;
    return 0;
}

int eddy_file_read(eddy_file *file, void *buffer, size_t bytes, int64_t offset) {
    if (bytes > INT_MAX || offset < 0) return EDDY_EINVAL;
    struct job job = {.run = run_read, .fd = file->fd, .data = buffer, .bytes = bytes, .offset = offset};
    return submit(&job);
}

int eddy_file_write(eddy_file *file, const void *data, size_t bytes, int64_t offset) {
    if (offset < 0) return EDDY_EINVAL;
    struct job job = {
        .run = run_write, .fd = file->fd, .data = (void *)(uintptr_t)data, .bytes = bytes, .offset = offset};
    return submit(&job);
}

int eddy_file_sync(eddy_file *file, bool data_only) {
    struct job job = {.run = run_sync, .fd = file->fd, .flags = data_only};
    return submit(&job);
}

int eddy_file_size(eddy_file *file, int64_t *bytes_out) {
    struct job job = {.run = run_size, .fd = file->fd};
    int status = submit(&job);
    if (status == 0) *bytes_out = job.offset;
    return status;
}

int eddy_file_truncate(eddy_file *file, int64_t bytes) {
    if (bytes < 0) return EDDY_EINVAL;
    struct job job = {.run = run_truncate, .fd = file->fd, .offset = bytes};
    return submit(&job);
}

int eddy_file_fd(const eddy_file *file) { return file->fd; }

int eddy_file_close(eddy_file *file) {
    if (file == NULL) return 0;
    struct job job = {.run = run_close, .fd = file->fd};
    int status = submit(&job);
    if (!job.begun) { /* cancelled, or no thread to be had: here, then */
        int closed = run_close(&job);
        if (status != EDDY_ECANCELED) status = closed;
    }
    ed_free(file);
    return status;
}

static int read_whole(eddy_file *file, const char *path, size_t limit_bytes, eddy_bytes *bytes) {
    int64_t size;
    int status = eddy_file_size(file, &size);
    if (status < 0) return status;
    for (size_t capacity = (size_t)(size > 0 ? size : 0) + 4096;; capacity *= 2) { /* it may grow; /proc says 0 */
        if (bytes->size > limit_bytes || capacity > INT_MAX)
            return eddy_fail(EDDY_ELIMIT, "%s has more than %zu bytes", path, limit_bytes);
        eddy_bytes more;
        status = eddy_bytes_alloc(&more, capacity);
        if (status < 0) return status;
        if (bytes->size > 0) memcpy(more.data, bytes->data, bytes->size);
        more.size = bytes->size;
        eddy_bytes_free(bytes);
        *bytes = more;
        size_t room = capacity - bytes->size - 1;
        status = eddy_file_read(file, (char *)bytes->data + bytes->size, room, (int64_t)bytes->size);
        if (status < 0) return status;
        bytes->size += (size_t)status;
        ((char *)bytes->data)[bytes->size] = '\0';
        if ((size_t)status < room) break;
    }
    return bytes->size > limit_bytes ? eddy_fail(EDDY_ELIMIT, "%s has more than %zu bytes", path, limit_bytes) : 0;
}

int eddy_file_read_all(const char *path, size_t limit_bytes, eddy_bytes *out) {
    eddy_file *file;
    int status = eddy_file_open(&file, path, O_RDONLY, 0);
    if (status < 0) return status;
    eddy_bytes bytes = {NULL, 0};
    status = read_whole(file, path, limit_bytes != 0 ? limit_bytes : LIMIT_BYTES, &bytes);
    int closed = eddy_file_close(file);
    if (status == 0) status = closed;
    if (status == 0)
        *out = bytes;
    else
        eddy_bytes_free(&bytes);
    return status;
}
