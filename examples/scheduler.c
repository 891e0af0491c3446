/* scheduler.c: jobs at intervals and at times of the day, in tasks, threads and processes, until ^C or SIGTERM.
 *     scheduler [SECONDS]
 * Each job has a task that waits for its next time and runs it, so there is never more than one run of a job: what comes due
 * meanwhile is left out, and counted (EDDY_TICKS_SKIP). Jobs that wait run in their task, what blocks in a thread, what
 * computes in a process. When told to end it starts no more, and lets those that run finish for five seconds. */
#include <eddy/eddy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANY = -1 };

struct job {
    const char *name;
    int64_t every_ns;         /* 0: at times of the day */
    int hour, minute, second; /* ANY: each one */
    int (*run)(void);
    int runs, missed, failed;
};

/* ---- what there is to do ---- */

static int beat(void) { return 0; }

static int sweep(void) { return eddy_sleep(EDDY_MS(250)); } /* longer than its interval */

static int write_log(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return usleep(20000); /* a call that blocks */
}
static int rotate(void) { return eddy_to_thread(write_log, NULL, NULL); }

static int count_primes(eddy_bytes in, eddy_bytes *out) {
    int count = 0;
    (void)in;
    for (int n = 2; n < 20000; n++) {
        int d = 2;
        while (d * d <= n && n % d != 0) d++;
        count += d * d > n;
    }
    return eddy_bytes_copy(out, &count, sizeof count);
}
EDDY_REMOTE(count_primes);

static int report(void) {
    eddy_bytes out;
    const int status = EDDY_TIMEOUT(EDDY_SECONDS(30), eddy_to_process(count_primes, eddy_bytes_view("", 0), &out));
    if (status < 0) return status;
    int count;
    memcpy(&count, out.data, sizeof count);
    eddy_bytes_free(&out);
    return count == 2262 ? 0 : eddy_fail(EDDY_EINVAL, "%d primes", count);
}

static struct job jobs[] = {{"beat", EDDY_MS(100), 0, 0, 0, beat, 0, 0, 0},
                            {"sweep", EDDY_MS(100), 0, 0, 0, sweep, 0, 0, 0},
                            {"rotate", 0, ANY, ANY, ANY, rotate, 0, 0, 0}, /* each second */
                            {"report", EDDY_MS(500), 0, 0, 0, report, 0, 0, 0},
                            {"backup", 0, 3, 30, 0, beat, 0, 0, 0}}; /* at 03:30:00 */
enum { JOBS = sizeof jobs / sizeof jobs[0] };

/* ---- when ---- */

/* How long until the wall clock's next second that fits. Local time, so a day may have 23 or 25 hours: each second is asked
 * for by name; at most a day of them. */
static int64_t until_next_ns(const struct job *job) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (time_t second = now.tv_sec + 1; second <= now.tv_sec + 90000; second++) {
        struct tm local;
        localtime_r(&second, &local);
        if ((job->hour == ANY || job->hour == local.tm_hour) && (job->minute == ANY || job->minute == local.tm_min) &&
            (job->second == ANY || job->second == local.tm_sec))
            return (second - now.tv_sec) * EDDY_SECONDS(1) - now.tv_nsec;
    }
    return EDDY_SECONDS(3600); /* no such time: asks again */
}

/* Who sets the clock is noticed within a minute. */
static int wait_for_time(const struct job *job) {
    for (;;) {
        const int64_t left_ns = until_next_ns(job);
        if (left_ns <= EDDY_SECONDS(60)) return eddy_sleep(left_ns);
        const int status = eddy_sleep(EDDY_SECONDS(60));
        if (status < 0) return status;
    }
}

/* ---- the scheduler ---- */

static int run_job(void *arg, eddy_value *out) {
    struct job *job = arg;
    (void)out;
    const int status = job->run();
    job->runs += status == 0;
    job->failed += status < 0;
    if (status < 0 && status != EDDY_ECANCELED) printf("%s failed: %s\n", job->name, eddy_status_name(status));
    return 0; /* a job that fails is run again at its next time */
}

/* The run is a task of its own, shielded: who ends the waiting does not end it. */
static int keep(void *arg, eddy_value *out) {
    struct job *job = arg;
    eddy_interval interval = eddy_interval_start(job->every_ns > 0 ? job->every_ns : 1, EDDY_TICKS_SKIP);
    (void)out;
    for (;;) {
        const int64_t missed = job->every_ns > 0 ? eddy_interval_wait(&interval) : wait_for_time(job);
        if (missed < 0) return (int)missed;
        job->missed += (int)missed;
        eddy_task *task;
        eddy_future *shielded;
        int status = eddy_spawn(&task, run_job, job, EDDY_TASK(.name = job->name));
        if (status < 0) return status;
        status = eddy_shield(&shielded, EDDY_FUTURE(task));
        if (status == 0) {
            status = eddy_await(shielded, NULL);
            eddy_future_release(shielded);
        }
        if (status == EDDY_ECANCELED && EDDY_TIMEOUT(EDDY_SECONDS(5), eddy_await(EDDY_FUTURE(task), NULL)) < 0)
            printf("%s was stopped in the middle\n", job->name);
        eddy_task_release(task);
        if (status < 0) return status;
    }
}

static int wait_for_end(void *seconds) {
    eddy_signal *stop;
    int status = eddy_signal_open(&stop, SIGTERM);
    if (status < 0) return status;
    fprintf(stderr, "%d jobs, until ^C or SIGTERM\n", JOBS);
    const int64_t limit_ns = seconds != NULL ? EDDY_SECONDS(atof(seconds)) : EDDY_FOREVER;
    status = EDDY_TIMEOUT(limit_ns, eddy_signal_wait(stop)); /* ^C cancels main, which is this task */
    eddy_signal_close(stop);
    return status == EDDY_ETIMEDOUT || status == EDDY_ECANCELED ? 0 : status;
}

static int app(void *arg, eddy_value *out) {
    eddy_group group;
    (void)out;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < JOBS && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, keep, &jobs[i], EDDY_TASK(.name = jobs[i].name));
    if (status == 0) status = wait_for_end(arg);
    if (status >= 0) eddy_group_cancel(&group);
    status = eddy_group_exit(&group, status < 0 ? status : 0);
    if (status == EDDY_ECANCELED) status = 0; /* by ^C: that is how it ends */
    for (int i = 0; i < JOBS; i++)
        printf("%-7s %d runs, %d times left out, %d failed\n", jobs[i].name, jobs[i].runs, jobs[i].missed,
               jobs[i].failed);
    return status;
}

int main(int argc, char **argv) {
    return eddy_run(app, argc > 1 ? argv[1] : NULL, NULL, EDDY_RUN(.serial = true, .handle_sigint = true)) < 0;
}
