/* process_buffer.c: memory that two processes see: a memfd, mapped on either side, of a size that nobody can change (a shorter file
 * under a mapping is a SIGBUS).
 *
 * Threads    Any. Tests: tests/exec/process_buffer_test.c. */
#include "exec/process_buffer.h"
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static ED_SYSCALL int open_sealed(size_t size) {
    int fd = memfd_create("eddy-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0) return fd;
    const int status = -errno;
    close(fd);
    return status;
}

static ED_SYSCALL int map(int memfd, size_t size, eddy_bytes *bytes_out) {
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (data == MAP_FAILED) return -errno;
    *bytes_out = (eddy_bytes){data, size};
    return 0;
}

static ED_SYSCALL int size_of(int memfd, size_t *size_out) {
    struct stat info;
    if (fstat(memfd, &info) < 0) return -errno;
    *size_out = (size_t)info.st_size;
    return (fcntl(memfd, F_GET_SEALS) & SEALS) == SEALS ? 0 : EDDY_EINVAL;
}

int ed_buffer_map(int memfd, size_t size, eddy_bytes *bytes_out) {
    size_t found;
    const int status = size_of(memfd, &found);
    if (status < 0) return status;
    return found == size ? map(memfd, size, bytes_out) : EDDY_EINVAL;
}

void ed_buffer_unmap(eddy_bytes *bytes) {
    if (bytes->data != NULL) munmap(bytes->data, bytes->size);
    *bytes = (eddy_bytes){NULL, 0};
}

int eddy_process_buffer_create(eddy_process_buffer **buffer_out, size_t size) {
    if (buffer_out == NULL || size == 0 || size > INT64_MAX) return EDDY_EINVAL;
    eddy_process_buffer *buffer = ed_calloc(sizeof *buffer);
    if (buffer == NULL) return EDDY_ENOMEM;
    int status = buffer->memfd = open_sealed(size);
    if (status < 0) goto free_buffer;
    status = map(buffer->memfd, size, &buffer->bytes);
    if (status < 0) goto close_memfd;
    *buffer_out = buffer;
    return 0;

close_memfd:
    close(buffer->memfd);
free_buffer:
    ed_free(buffer);
    if (status == EDDY_ENOMEM) return status;
    return eddy_fail(status, "no shared buffer of %zu bytes: %s", size, eddy_status_text(status));
}

eddy_bytes eddy_process_buffer_bytes(eddy_process_buffer *buffer) { return buffer->bytes; }

void eddy_process_buffer_release(eddy_process_buffer *buffer) {
    if (buffer == NULL) return;
    ed_buffer_unmap(&buffer->bytes);
    close(buffer->memfd);
    ed_free(buffer);
}
