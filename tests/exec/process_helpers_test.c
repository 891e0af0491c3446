/* process_helpers_test.c: see process_helpers.h. No tests here. */
#include "exec/process_helpers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void open_gate(const char *path) {
    const int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(1, write(fd, "x", 1));
    close(fd);
}

int help_spin(eddy_bytes in, eddy_bytes *out) {
    (void)out;
    if (in.size > 0) open_gate(in.data);
    for (volatile unsigned long turns = 0;; turns++) continue;
}
EDDY_REMOTE(help_spin);

int help_getpid(eddy_bytes in, eddy_bytes *out) {
    (void)in;
    const int pid = getpid();
    return eddy_bytes_copy(out, &pid, sizeof pid);
}
EDDY_REMOTE(help_getpid);

int help_gate(eddy_bytes in, eddy_bytes *out) {
    while (access(in.data, F_OK) < 0) usleep(500);
    return help_getpid(in, out);
}
EDDY_REMOTE(help_gate);

int help_spin_task(void *pool, eddy_value *out) {
    (void)out;
    return eddy_process_pool_run(pool, help_spin, eddy_bytes_view("", 0), NULL);
}

int help_gate_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    eddy_bytes bytes;
    const int status =
        eddy_process_pool_run(gate->pool, help_gate, eddy_bytes_view(gate->path, strlen(gate->path) + 1), &bytes);
    if (status >= 0) *out = EDDY_I64(*(int *)bytes.data);
    eddy_bytes_free(&bytes);
    return status;
}

void help_gate_init(struct help_gate *gate, eddy_process_pool *pool) {
    gate->pool = pool;
    snprintf(gate->path, sizeof gate->path, "%s/gate-%d", test_folder(), (int)getpid());
}

void help_gate_open(struct help_gate *gate) { open_gate(gate->path); }

int help_gate_until_open(struct help_gate *gate) {
    struct stat info;
    while (stat(gate->path, &info) < 0 || info.st_size == 0) EXPECT_OK(eddy_yield());
    return (int)info.st_size;
}

int help_begin_task(void *arg, eddy_value *out) {
    struct help_gate *gate = arg;
    (void)out;
    return eddy_process_pool_run(gate->pool, help_spin, eddy_bytes_view(gate->path, strlen(gate->path) + 1), NULL);
}

void help_gate_deinit(struct help_gate *gate) { EXPECT_EQ(0, unlink(gate->path)); }

int help_pid(eddy_process_pool *pool, int *pid_out) {
    eddy_bytes out;
    const int status = eddy_process_pool_run(pool, help_getpid, eddy_bytes_view("", 0), &out);
    if (status < 0) return status;
    EXPECT_EQ(sizeof *pid_out, out.size);
    memcpy(pid_out, out.data, sizeof *pid_out);
    eddy_bytes_free(&out);
    return 0;
}

int help_pid_task(void *pool, eddy_value *out) {
    int pid;
    const int status = help_pid(pool, &pid);
    *out = EDDY_I64(pid);
    return status;
}

int help_close_task(void *pool, eddy_value *out) {
    (void)out;
    return eddy_process_pool_close(pool);
}

void help_until(eddy_process_pool *pool, size_t running, size_t queued) {
    eddy_process_pool_stats stats;
    do {
        EXPECT_OK(eddy_yield());
        eddy_process_pool_stats_read(pool, &stats);
    } while (stats.running != running || stats.queued != queued);
}

void help_no_children(void) {
    EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
    EXPECT_EQ(ECHILD, test_errno());
}
