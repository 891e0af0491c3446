/* blocking_file.c: a blocking read runs in a thread while a ticker goes on.
 *
 * fread stops its thread until the disk answers, and inside a task that would be the worker's, with every
 * task on it: here there is one worker only. eddy_to_thread runs it elsewhere and suspends the task; its
 * argument may lie on this stack, because the call returns only after the function has ended. In asyncio:
 *
 *     ticker = asyncio.create_task(tick())
 *     size = await asyncio.to_thread(read_file, path)
 *     ticker.cancel() */
#include <eddy/eddy.h>

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

/* An ordinary blocking function, on a plain thread: nothing of eddy may suspend here. */
static int read_file(void *arg, eddy_value *out) {
    const char *path = arg;
    char block[16384];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return eddy_fail(-errno, "cannot open %s", path);
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;) out->i64 += (int64_t)got;
    const bool failed = ferror(file);
    fclose(file);
    const struct timespec slow_disk = {.tv_nsec = 500000000}; /* this file came from the cache */
    nanosleep(&slow_disk, NULL);
    return failed ? eddy_fail(-EIO, "cannot read %s", path) : 0;
}

static int tick(void *arg, eddy_value *out) {
    int *ticks = arg;
    (void)out;
    for (;;) {
        const int status = eddy_sleep(EDDY_MS(50));
        if (status < 0) return status;
        printf("tick %d\n", ++*ticks);
    }
}

static int app(void *arg, eddy_value *out) {
    const char *path = arg;
    struct stat file;
    eddy_value bytes = EDDY_NONE;
    int ticks = 0; /* the ticker's: no worker but this one, so no lock */
    (void)out;

    eddy_group group;
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, tick, &ticks, NULL);
    if (status == 0) status = eddy_to_thread(read_file, arg, &bytes);
    eddy_group_cancel(&group); /* the ticker has no end of its own */
    status = eddy_group_exit(&group, status);
    if (status < 0) return status;

    printf("%s: %lld bytes read, %d ticks meanwhile\n", path, (long long)bytes.i64, ticks);
    if (stat(path, &file) != 0 || file.st_size != bytes.i64) return eddy_fail(-EIO, "that is not its size");
    if (ticks < 2) return eddy_fail(-ERANGE, "the read held up the loop");
    return 0;
}

int main(int argc, char **argv) {
    char *path = argc > 1 ? argv[1] : argv[0]; /* a file that is surely there: this program */
    return eddy_run(app, path, NULL, EDDY_RUN(.workers = 1)) < 0;
}
