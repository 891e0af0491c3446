/* eddy/file.h: files, read and written at positions, without holding a loop.
 *
 * The system has no way to wait for a disk as one waits for a socket: each call runs on a thread of a pool of its own, at
 * most 8 threads a run, which no other blocking work delays. A call that the page cache could answer costs some
 * microseconds more than a system call: read and write in large pieces.
 *
 * Order: a task's calls happen in their order, since each is waited for; those of several tasks in any order, also on one
 * file and at overlapping positions. Cancel: a call that has not begun is not begun; one that has begun is finished and
 * gives its result, and the cancel stays pending for what the task does next. So EDDY_ECANCELED means: nothing was read,
 * nothing was written. */
#ifndef EDDY_FILE_H
#define EDDY_FILE_H

#include "eddy/process.h"

EDDY_BEGIN_DECLS

typedef struct eddy_file eddy_file;

/** Opens a file.
 *
 *  @param file_out  Gives it: eddy_file_close().
 *  @param path      Borrowed.
 *  @param flags     As open(2) has them: O_RDONLY, O_RDWR | O_CREAT, ...; it is close-on-exec.
 *  @param mode      Of a file that is made, as open(2) has it; else 0.
 *  @return          0; ENOENT, EACCES, EMFILE... with a text that names the path; EDDY_ENOMEM; EDDY_EINVAL: no path; EDDY_ECANCELED;
 *                   EDDY_ECLOSED while the run shuts down; EDDY_EWRONGTHREAD outside a task.
 *
 *  Suspends. Cancellation point: see above.  Threads: any task. */
EDDY_API int eddy_file_open(eddy_file **file_out, const char *path, int flags, unsigned mode) EDDY_SUSPENDS;

/** Reads `bytes` from `offset` on, less only at the end of the file.
 *
 *  @param buffer  Borrowed; written up to what is returned.
 *  @param bytes   At most INT_MAX.
 *  @return        Bytes read, 0 at or beyond the end; EDDY_EINVAL; EIO, EISDIR...; otherwise as eddy_file_open.
 *
 *  Suspends. Cancellation point: see above. Threads: any task, any number at once.  Source: pread. */
EDDY_API int eddy_file_read(eddy_file *file, void *buffer, size_t bytes, int64_t offset) EDDY_SUSPENDS;

/** Writes all of `data` from `offset` on (to the end, wherever that is, of a file opened with O_APPEND).
 *  @return 0; ENOSPC, EIO, EFBIG...: some of it may be written; otherwise as eddy_file_read.  Source: pwrite. */
EDDY_API int eddy_file_write(eddy_file *file, const void *data, size_t bytes, int64_t offset) EDDY_SUSPENDS;

/** Waits until what was written is on the disk: with `data_only` without what is not needed to read it again.
 *  @return 0; EIO, EINVAL (it has no disk)...; otherwise as eddy_file_open. Suspends, cancellation point, threads: as read.
 *  Source: fsync, fdatasync. */
EDDY_API int eddy_file_sync(eddy_file *file, bool data_only) EDDY_SUSPENDS;
/** Its length now. @return as eddy_file_sync. */
EDDY_API int eddy_file_size(eddy_file *file, int64_t *bytes_out) EDDY_SUSPENDS;
/** Cuts it, or lengthens it by zeros. @return 0; EDDY_EINVAL: `bytes` < 0; EFBIG...; otherwise as eddy_file_sync.
 *  Source: ftruncate. */
EDDY_API int eddy_file_truncate(eddy_file *file, int64_t bytes) EDDY_SUSPENDS;

/** Its descriptor, for what has no function here: borrowed. */
EDDY_API int eddy_file_fd(const eddy_file *file) EDDY_ANY_THREAD;

/** Takes the file back, whatever is returned: no call on it may be under way.
 *  @return 0, or what close(2) found (EIO, ENOSPC: earlier writes may be lost). EDDY_ECANCELED: it is closed, and what
 *          close(2) found is not known.
 *  Suspends: the system may write now. Cancellation point: when it suspends, but a cancel does not stop it. Threads: any
 *  task; elsewhere, and where no thread is to be had, it closes in the calling thread. NULL is nothing. */
EDDY_API int eddy_file_close(eddy_file *file) EDDY_SUSPENDS;

/** Reads a whole file.
 *  @param limit_bytes  A longer one is EDDY_ELIMIT; 0: 64 MiB.
 *  @param out          Gives its bytes (eddy_bytes_free), ended by a 0 that is not counted. Written when 0 is returned.
 *  @return             as eddy_file_open and eddy_file_read. */
EDDY_API int eddy_file_read_all(const char *path, size_t limit_bytes, eddy_bytes *out) EDDY_SUSPENDS;

EDDY_END_DECLS

#endif
