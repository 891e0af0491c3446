/* copy_file.c: copies a file in blocks, four at a time, at their positions: no loop waits for a disk meanwhile.
 *     copy_file FROM TO
 * The copy is made beside TO and takes its name when all of it is on the disk: whoever looks sees the old file or the new
 * one, never half of it. A failure, or ^C, leaves TO as it was. */
#include <eddy/eddy.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 * 1024, AT_A_TIME = 4 };

struct copy {
    const char *from_path, *to_path;
    char temporary[4096];
    eddy_file *from, *to;
    int64_t bytes;
    eddy_semaphore *slots;
};
struct block {
    struct copy *copy;
    int64_t offset;
};

static int copy_block(void *arg, eddy_value *out) {
    const struct block *block = arg; /* a copy, which the task owns */
    struct copy *copy = block->copy;
    (void)out;
    char *data = malloc(BLOCK); /* not on the task's stack, which is small */
    int bytes = data != NULL ? eddy_file_read(copy->from, data, BLOCK, block->offset) : EDDY_ENOMEM;
    const int status = bytes > 0 ? eddy_file_write(copy->to, data, (size_t)bytes, block->offset) : bytes;
    free(data);
    eddy_semaphore_post(copy->slots);
    return status;
}

static int copy_blocks(struct copy *copy) {
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int64_t offset = 0; offset < copy->bytes && status == 0; offset += BLOCK) {
        const struct block block = {copy, offset};
        status = eddy_semaphore_acquire(copy->slots); /* so the file may be larger than memory */
        if (status == 0)
            status = eddy_group_spawn(&group, NULL, copy_block, (void *)&block, EDDY_TASK(.copy_bytes = sizeof block));
    }
    return eddy_group_exit(&group, status); /* the first failure cancels the others */
}

static int copy_open(struct copy *copy) {
    int status = eddy_file_size(copy->from, &copy->bytes);
    if (status == 0) status = eddy_file_open(&copy->to, copy->temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (status < 0) return status;
    status = copy_blocks(copy);
    if (status == 0) status = eddy_file_sync(copy->to, false);
    const int closed = eddy_file_close(copy->to); /* tells what earlier writes came to */
    return status < 0 ? status : closed;
}

static int give_name(void *arg, eddy_value *out) { /* a blocking call: on a thread */
    const struct copy *copy = arg;
    (void)out;
    return rename(copy->temporary, copy->to_path) == 0 ? 0 : eddy_fail(-errno, "cannot make %s", copy->to_path);
}

static int app(void *arg, eddy_value *out) {
    struct copy *copy = arg;
    (void)out;
    copy->slots = eddy_semaphore_create(AT_A_TIME);
    int status = copy->slots != NULL ? eddy_file_open(&copy->from, copy->from_path, O_RDONLY, 0) : EDDY_ENOMEM;
    if (status == 0) {
        status = copy_open(copy);
        (void)eddy_file_close(copy->from);
    }
    if (status == 0) status = eddy_to_thread(give_name, copy, NULL);
    if (status == 0) printf("%lld bytes copied\n", (long long)copy->bytes);
    eddy_semaphore_release(copy->slots);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: copy_file FROM TO\n");
        return 2;
    }
    static struct copy copy;
    copy.from_path = argv[1];
    copy.to_path = argv[2];
    if (snprintf(copy.temporary, sizeof copy.temporary, "%s.part", argv[2]) >= (int)sizeof copy.temporary) return 2;
    const int status = eddy_run(app, &copy, NULL, EDDY_RUN(.handle_sigint = true));
    if (status < 0) (void)remove(copy.temporary);
    return status < 0;
}
