/* progress.c: see progress.h. */
#include "demo/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 30 };
static const int64_t redraw_ns = EDDY_MS(100), line_every_ns = EDDY_SECONDS(2);

static double done_share(const struct settings *settings, uint64_t answered, int64_t elapsed_ns) {
    double share = 0;
    if (settings->requests < INT64_MAX) share = (double)answered / (double)settings->requests;
    if (settings->duration_ns < INT64_MAX) {
        const double by_time = (double)elapsed_ns / (double)settings->duration_ns;
        if (by_time > share) share = by_time;
    }
    return share < 1 ? share : 1;
}

int progress_main(void *arg, eddy_value *out) {
    (void)out;
    struct progress *progress = arg;
    const bool is_terminal = isatty(STDERR_FILENO);
    const int64_t start_ns = eddy_time_ns();
    int status;
    do {
        const uint64_t answered = atomic_load(&progress->load->answered),
                       created = atomic_load(&progress->load->created);
        const double share = done_share(progress->settings, answered, eddy_time_ns() - start_ns);
        const int filled = (int)(share * BAR_CELLS);
        if (is_terminal)
            fprintf(stderr, "\r[%.*s%*s] %3.0f %%  %llu answers, %llu users ", filled, "##############################",
                    BAR_CELLS - filled, "", 100 * share, (unsigned long long)answered, (unsigned long long)created);
        else
            fprintf(stderr, "%3.0f %%: %llu answers, %llu users\n", 100 * share, (unsigned long long)answered,
                    (unsigned long long)created);
        status = eddy_sleep(is_terminal ? redraw_ns : line_every_ns);
    } while (status == 0);
    if (is_terminal) fprintf(stderr, "\r\033[K");
    return status;
}
