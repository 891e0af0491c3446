/* Files: what is written at a position is read there; a cancelled call has happened in whole or not at all. */
#include "eddy/file.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/task.h"
#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *file_path(void) {
    static char path[300];
    snprintf(path, sizeof path, "%s/file", test_folder());
    return path;
}

static eddy_file *open_file(void) {
    eddy_file *file;
    EXPECT_OK(eddy_file_open(&file, file_path(), O_RDWR | O_CREAT | O_TRUNC, 0600));
    EXPECT(fcntl(eddy_file_fd(file), F_GETFD) & FD_CLOEXEC);
    return file;
}

TEST(file, what_is_written_is_read) {
    eddy_file *file = open_file();
    char got[16] = "";
    int64_t size;
    EXPECT_OK(eddy_file_write(file, "world", 5, 6));
    EXPECT_OK(eddy_file_write(file, "hello ", 6, 0));
    EXPECT_EQ(11, eddy_file_read(file, got, sizeof got, 0)); /* less: the end */
    EXPECT_STR("hello world", got);
    EXPECT_EQ(5, eddy_file_read(file, got, 5, 6));
    EXPECT_EQ(0, eddy_file_read(file, got, 5, 11));
    EXPECT_EQ(0, eddy_file_read(file, got, 5, 1000));
    EXPECT_OK(eddy_file_sync(file, false));
    EXPECT_OK(eddy_file_sync(file, true));
    EXPECT_OK(eddy_file_truncate(file, 3));
    EXPECT_OK(eddy_file_size(file, &size));
    EXPECT_EQ(3, size);
    EXPECT_EQ(EDDY_EINVAL, eddy_file_read(file, got, 1, -1));
    EXPECT_EQ(EDDY_EINVAL, eddy_file_write(file, got, 1, -1));
    EXPECT_EQ(EDDY_EINVAL, eddy_file_truncate(file, -1));
    EXPECT_OK(eddy_file_close(file));
    EXPECT_OK(eddy_file_close(NULL));
    eddy_bytes all;
    EXPECT_OK(eddy_file_read_all(file_path(), 0, &all));
    EXPECT_EQ(3, all.size);
    EXPECT_STR("hel", all.data);
    eddy_bytes_free(&all);
    EXPECT_EQ(EDDY_ELIMIT, eddy_file_read_all(file_path(), 2, &all));
    EXPECT_OK(eddy_file_read_all("/proc/self/status", 0, &all)); /* its length is 0 */
    EXPECT_HAS(all.data, "Name:");
    eddy_bytes_free(&all);
    eddy_handled();
}

TEST(file, failures_name_the_path) {
    eddy_file *file;
    eddy_bytes all;
    char c;
    EXPECT_EQ(-ENOENT, eddy_file_open(&file, "/nowhere/at/all", O_RDONLY, 0));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-ENOENT)), "/nowhere/at/all");
    EXPECT_EQ(-ENOENT, eddy_file_read_all("/nowhere/at/all", 0, &all));
    EXPECT_EQ(-EISDIR, eddy_file_read_all("/", 0, &all));
    eddy_handled();
    EXPECT_OK(eddy_file_open(&file, "/dev/full", O_RDWR, 0));
    EXPECT_EQ(-ENOSPC, eddy_file_write(file, "x", 1, 0));
    EXPECT_OK(eddy_file_close(file));
    EXPECT_OK(eddy_file_open(&file, "/dev/null", O_WRONLY, 0));
    EXPECT_EQ(-EBADF, eddy_file_read(file, &c, 1, 0));
    EXPECT_OK(eddy_file_close(file));
}

enum { RECORDS = 400, RECORD = 64 };

struct record {
    eddy_file *file;
    int index;
};

static int write_record(void *arg, eddy_value *out) {
    const struct record *record = arg;
    char text[RECORD + 1];
    (void)out;
    snprintf(text, sizeof text, "%*d", RECORD, record->index);
    return eddy_file_write(record->file, text, RECORD, (int64_t)record->index * RECORD);
}

TEST(file, many_tasks_write_one_file) {
    static struct record records[RECORDS];
    eddy_file *file = open_file();
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < RECORDS; i++) {
        records[i] = (struct record){file, i};
        EXPECT_OK(eddy_group_spawn(&group, NULL, write_record, &records[i], NULL));
    }
    EXPECT_OK(eddy_group_exit(&group, 0));
    for (int i = 0; i < RECORDS; i++) {
        char text[RECORD + 1] = "";
        EXPECT_EQ(RECORD, eddy_file_read(file, text, RECORD, (int64_t)i * RECORD));
        EXPECT_EQ(i, atoi(text));
    }
    EXPECT_OK(eddy_file_close(file));
}

struct attempt {
    eddy_file *file;
    int index, status;
    bool went_on; /* after the write, with a cancel pending if it was cancelled late */
};

static int write_and_note(void *arg, eddy_value *out) {
    struct attempt *attempt = arg;
    (void)out;
    char c = (char)('A' + attempt->index % 26);
    attempt->status = eddy_file_write(attempt->file, &c, 1, attempt->index);
    attempt->went_on = true;
    return attempt->status < 0 ? attempt->status : eddy_check_cancel();
}

/* EDDY_ECANCELED: not written. 0: written, and the request is still there. */
TEST(file, cancelled_write_has_happened_or_has_not) {
    enum { ATTEMPTS = 200 };
    static struct attempt attempts[ATTEMPTS];
    static eddy_task *tasks[ATTEMPTS];
    eddy_file *file = open_file();
    EXPECT_OK(eddy_file_truncate(file, ATTEMPTS));
    for (int i = 0; i < ATTEMPTS; i++) {
        attempts[i] = (struct attempt){file, i, 1, false};
        EXPECT_OK(eddy_spawn(&tasks[i], write_and_note, &attempts[i], NULL));
        if (i % 10 == 9) EXPECT_OK(eddy_yield());
    }
    for (int i = 0; i < ATTEMPTS; i += 2) eddy_cancel(EDDY_FUTURE(tasks[i]));
    for (int i = 0; i < ATTEMPTS; i++) {
        int status = eddy_await(EDDY_FUTURE(tasks[i]), NULL);
        char c;
        EXPECT_EQ(1, eddy_file_read(file, &c, 1, i));
        bool written = attempts[i].went_on && attempts[i].status == 0;
        EXPECT_EQ(written ? 'A' + i % 26 : 0, c);
        if (i % 2 == 1) EXPECT_OK(status);
        if (!written) EXPECT_EQ(EDDY_ECANCELED, status);
        eddy_task_release(tasks[i]);
    }
    EXPECT_OK(eddy_file_close(file));
}

static int use_with_failing_memory(void *arg) {
    (void)arg;
    eddy_bytes all;
    int status = eddy_file_read_all("/proc/self/comm", 0, &all);
    if (status == 0) eddy_bytes_free(&all);
    return status;
}

TEST(file, refused_memory_leaves_nothing) {
    EXPECT_OK(use_with_failing_memory(NULL)); /* the pool and its thread are there */
    if (test_workers() == 1) EXPECT(test_each_allocation_fails(use_with_failing_memory, NULL) >= 2);
}
