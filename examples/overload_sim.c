/* overload_sim.c: what a gate does for a server under too much load, on a virtual clock: the same figures on each machine.
 *     overload_sim            a table;  overload_sim --json    for `zig build plots`, which draws docs/overload.png
 * A service has 10 slots; a request holds one for 20 ms on average (exponentially distributed), so 500 a second are all that
 * it can do. Clients come at random times (a Poisson process), whatever happened to those before them, and have gone after
 * one second: what is answered later was work for nobody. Once they stand in line, once a gate refuses some. */
#include <eddy/eddy.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 10, TAKES_MS = 20, SECONDS = 10, REQUESTS_MAX = SECONDS * 1000 / TAKES_MS * SLOTS * 3 };

static struct run {
    double load; /* 1: as much as can be done */
    bool gated;
    eddy_gate *gate;
    eddy_semaphore *line;
    size_t count, in_time, refused, late;
    int64_t answered_ns[REQUESTS_MAX]; /* how long the answered ones took */
} run;

static int64_t random_ns(double mean_ns) {
    const double uniform = ((double)(eddy_sim_random() >> 11) + 1) / 9007199254740993.0;
    return (int64_t)(-log(uniform) * mean_ns);
}

static int request(void *arg, eddy_value *out) {
    const int64_t came_ns = eddy_time_ns();
    (void)arg, (void)out;
    int status = run.gated ? eddy_gate_enter(run.gate, came_ns + EDDY_SECONDS(1)) : eddy_semaphore_acquire(run.line);
    if (status == EDDY_EOVERLOADED) return run.refused++, 0;
    if (status == 0) status = eddy_sleep(random_ns(EDDY_MS(TAKES_MS)));
    if (status < 0) return status;
    status = run.gated ? eddy_gate_exit(run.gate) : eddy_semaphore_post(run.line);
    const int64_t took_ns = eddy_time_ns() - came_ns;
    run.answered_ns[run.in_time + run.late] = took_ns;
    (*(took_ns <= EDDY_SECONDS(1) ? &run.in_time : &run.late))++;
    return status;
}

static int clients(void *arg, eddy_value *out) {
    eddy_group group;
    (void)arg, (void)out;
    run.gate = eddy_gate_create(SLOTS, NULL);
    run.line = eddy_semaphore_create(SLOTS);
    int status = run.gate != NULL && run.line != NULL ? eddy_group_enter(&group) : EDDY_ENOMEM;
    if (status < 0) return status;
    const double between_ns = (double)EDDY_MS(TAKES_MS) / SLOTS / run.load;
    int64_t next_ns = eddy_time_ns();
    const int64_t end_ns = next_ns + EDDY_SECONDS(SECONDS);
    while (status == 0 && (next_ns += random_ns(between_ns)) < end_ns && run.count < REQUESTS_MAX) {
        status = eddy_sleep_until(next_ns);
        if (status == 0) status = eddy_group_spawn(&group, NULL, request, NULL, NULL);
        run.count++;
    }
    status = eddy_group_exit(&group, status);
    eddy_gate_release(run.gate);
    eddy_semaphore_release(run.line);
    return status;
}

static int compare(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double part) {
    const size_t count = run.in_time + run.late;
    return count == 0 ? 0 : (double)run.answered_ns[(size_t)((double)(count - 1) * part)] / 1e6;
}

int main(int argc, char **argv) {
    const bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (!json) printf("  load  in line: in time   p50 ms   p99 ms    gate: in time  refused   p50 ms   p99 ms\n");
    for (int tenths = 5; tenths <= 20; tenths += tenths >= 8 && tenths < 12 ? 1 : json ? 1 : 4) {
        for (int gated = 0; gated <= 1; gated++) {
            memset(&run, 0, sizeof run);
            run.load = tenths / 10.0;
            run.gated = gated;
            if (eddy_sim_run(clients, NULL, NULL, EDDY_SIM(.seed = 1, .workers = 1, .serial = true)) < 0) return 1;
            qsort(run.answered_ns, run.in_time + run.late, sizeof run.answered_ns[0], compare);
            const double all = (double)run.count, in_time = 100 * (double)run.in_time / all,
                         refused = 100 * (double)run.refused / all;
            const char *name = gated ? "gate" : "line";
            if (json)
                printf("{\"overload\": \"%s\", \"load\": %.1f, \"in_time\": %.2f, \"refused\": %.2f, \"p50_ms\": %.2f, "
                       "\"p99_ms\": %.2f}\n",
                       name, run.load, in_time, refused, percentile_ms(0.5), percentile_ms(0.99));
            else if (gated)
                printf("%12.1f %%  %5.1f %% %8.1f %8.1f\n", in_time, refused, percentile_ms(0.5), percentile_ms(0.99));
            else
                printf("%6.1f %14.1f %% %8.1f %8.1f", run.load, in_time, percentile_ms(0.5), percentile_ms(0.99));
        }
    }
    return 0;
}
